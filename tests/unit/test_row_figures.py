"""Figures with a row a study or a model: names in full, no overlap, and what stands for many studies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection

from poolmap.families.meta.quadrature import Prior
from poolmap.families.meta.refits import compare_empirical_bayes, cumulative, leave_one_out
from poolmap.figures.models import draw_models
from poolmap.figures.predictive import draw_predictive
from poolmap.figures.refits import cumulative_forest, cumulative_steps, leave_one_out_forest
from poolmap.figures.rows import in_lines
from poolmap.figures.shrinkage import shrinkage
from poolmap.figures.style import not_drawn, save_figure

LONG = "Fredericksen-Vanderbilt & O'Shaughnessy multicentre collaborative trial group 1998"
ODD = "$mart_trial^2 <A & B> \\alpha $x_ 1975"
ENDS = ["mu_median", "mu_lower", "mu_upper"]


def names_of(k):
    return [(LONG, ODD, f"Østergård {i}")[i % 3] for i in range(k)]


def refits(k):
    rng = np.random.default_rng(3)
    se = rng.uniform(0.1, 0.8, k)
    yi = rng.normal(-0.2, np.sqrt(0.09 + se**2))
    return yi, se, Prior("normal", (0, 2.82)), Prior("half_normal", (0.5,))


def nothing_overlaps(figure, rows):
    """Labels of the rows do not overlap, and all words of the figure lie on its page."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    labels = figure.axes[0].get_yticklabels()
    boxes = sorted((label.get_window_extent(renderer) for label in labels), key=lambda box: box.y0)
    assert len(boxes) == rows
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    texts = [axes.xaxis.label for axes in figure.axes]
    for axes in figure.axes:
        low, high = axes.get_xlim()
        texts += [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
    boxes += [text.get_window_extent(renderer) for text in texts]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    page = figure.bbox
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("k", [3, 13, 60, 200])
def test_refits_name_every_row_in_full(k):
    yi, se, mu, tau = refits(k)
    out, added = leave_one_out(yi, se, mu, tau), cumulative(yi, se, mu, tau)
    whole = tuple(np.exp(added[ends].iloc[-1]) for ends in ENDS)
    names = names_of(k)
    made = leave_one_out_forest(names, *np.exp(out[ENDS].to_numpy().T), whole, log=True, null=1, label="OR")
    shown = nothing_overlaps(made, min(k, 60) + 1 + (k > 60))
    if k <= 60:
        assert [label.replace("\n", " ") for label in shown] == [
            *(f"without {name}" for name in names),
            "all studies",
        ]
    made = cumulative_forest(names, *added[ENDS].to_numpy().T, null=0, by=list(range(k)))
    shown = nothing_overlaps(made, min(k, 60))
    assert f"+ {names[0]} (0)" == shown[0].replace("\n", " ") or k > 60
    made = shrinkage(names, compare_empirical_bayes(yi, se, mu, tau), log=True)
    shown = nothing_overlaps(made, min(k, 40) + 1)
    assert LONG in {label.replace("\n", " ") for label in shown}
    axes = made.figure.axes[0]
    assert axes.get_window_extent().y0 < 0.9 * made.dpi  # no empty foot


def test_leave_one_out_of_many_studies():
    """Sixty rows that move the effect most, in their order; the row of the others holds their range."""
    rng = np.random.default_rng(1)
    centre = np.exp(rng.normal(0, 0.02, 150))
    lower, upper = centre * 0.8, centre * 1.3
    figure = leave_one_out_forest(
        [f"S{i}" for i in range(150)], centre, lower, upper, (1.0, 0.8, 1.25), log=True
    )
    (axes,) = figure.axes
    shown = [text.get_text() for text in axes.get_yticklabels()]
    far = np.sort(np.argsort(-abs(np.log(centre)), kind="stable")[:60])
    assert shown == [
        *(f"without S{i}" for i in far), "without any one of the\nother 90 studies", "all studies",
    ]  # fmt: skip
    others = np.delete(np.arange(150), far)
    lines = [one for one in axes.collections if isinstance(one, LineCollection)]
    bars = [one.get_segments()[0][:, 0] for one in lines if len(one.get_segments()) == 1]
    assert bars[0] == pytest.approx([lower[others].min(), upper[others].max()])
    assert bars[1] == pytest.approx([centre[others].min(), centre[others].max()])
    points = next(one for one in axes.collections if len(one.get_offsets()) == 60)
    assert list(points.get_offsets()[:, 0]) == pytest.approx(list(centre[far]))


def test_cumulative_steps():
    assert list(cumulative_steps([1990, 1990, 1991])) == [0, 1, 2]  # few: a row each
    years = np.repeat(np.arange(1970, 2020), 4)
    assert list(cumulative_steps(years.tolist())) == list(range(3, 200, 4))
    steps = cumulative_steps(list(range(1000)))
    assert len(steps) == 60 and steps[-1] == 999
    assert np.ptp(np.diff(steps)) <= 1
    uneven = sorted([*range(100), *[50] * 200])
    steps = cumulative_steps(uneven)
    assert steps[-1] == 299 and len(steps) <= 60
    assert all(i == 299 or uneven[i] != uneven[i + 1] for i in steps)  # no value is split
    centre = np.linspace(1, 2, 200)
    figure = cumulative_forest([""] * 200, centre, centre - 1, centre + 1, by=years.tolist())
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown[0] == "to 1970: + 4 studies" and shown[-1] == "to 2019: + 4 studies, all 200"
    (points,) = [one for one in figure.axes[0].collections if len(one.get_offsets()) == 49]
    assert list(points.get_offsets()[:, 0]) == pytest.approx(list(centre[3:-4:4]))


@pytest.mark.parametrize("log", [True, False])
def test_eight_models_with_long_names(log):
    back = np.exp if log else np.asarray
    rng = np.random.default_rng(2)
    names = ["main", "robust_student_t_with_seven_degrees_of_freedom", LONG, ODD, "a", "b", "c", "wide"]
    values = []
    for i in range(8):
        spread = 40 if i == 7 else 0.3
        effect = rng.normal(0, 0.1)
        values.append(
            [tuple(back(effect + np.array([0, -1, 1]) * spread)) for _ in range(2)] + [(0.2, 0.1, 0.4)]
        )
    values[4][1] = values[4][2] = None
    figure = draw_models(
        names, values, panels=["Pooled standardised mean difference in quality of life", "New", "tau"],
        log=log, notes=["", "Student-t effects, 7 df", *[""] * 6],
    )  # fmt: skip
    shown = nothing_overlaps(figure, 8)
    assert shown[0] == "main" and shown[1].endswith("\nStudent-t effects, 7 df")
    assert shown[2].replace("\n", " ") == LONG and shown[3].replace("\n", " ") == ODD
    for axes in figure.axes[:2]:
        arrows = sorted(line.get_marker() for line in axes.lines if line.get_marker() in ("<", ">"))
        assert arrows == ["<", ">"]
        low, high = axes.get_xlim()
        assert (np.log(high / low) if log else high - low) < 5  # the wide model does not set the axis
        assert axes.get_xlabel().endswith("(log axis)") == log
    assert not figure.axes[2].get_xlabel().endswith("(log axis)")
    points = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert len(points) == 7 + 2


@pytest.mark.parametrize("k", [3, 13, 60, 200])
def test_predictive_figure(k, tmp_path):
    rng = np.random.default_rng(k)
    mean, observed = rng.normal(0, 1, k), rng.normal(0, 3, k)
    table = pd.DataFrame(
        {
            "unit": "study", "label": names_of(k), "observed": observed, "mean": mean, "lower": mean - 2,
            "upper": mean + 2, "p_value": rng.uniform(0, 1, k),
            "inside": (observed > mean - 2) & (observed < mean + 2),
        }
    )  # fmt: skip
    table.loc[0, ["observed", "inside"]] = 9.0, False
    figure = draw_predictive(table, "standardised mean difference in $ per $100", 0.975)
    left, _ = figure.axes
    assert left.texts and len(left.texts) <= 8
    assert "97.5%" in figure.legends[0].get_texts()[2].get_text()
    save_figure(figure, tmp_path / "predictive")


def test_lines_of_a_name():
    assert in_lines(LONG).replace("\n", " ") == LONG
    assert max(map(len, in_lines(LONG).split("\n"))) <= 36
    assert in_lines("robust_student_t_with_seven_df", 26) == "robust_student_t_with_\nseven_df"
    assert in_lines("a_b c_d", 26) == "a_b c_d"
    assert in_lines("x" * 50, 26) == "x" * 26 + "\n" + "x" * 24
    assert in_lines("大規模な無作為化比較試験", 16) == "大規模な無作為化\n比較試験"
    assert in_lines("") == ""


def test_letters_without_a_font_are_told():
    from matplotlib.figure import Figure

    def told(words):
        figure = Figure()
        figure.text(0.5, 0.5, words, parse_math=False)
        return not_drawn(figure)

    assert told("Åberg, Łukasz, Ζωή, Иванов, τ² ≤ 1 – $x_1^2 <A & B>") == ""
    missing = told("Study \U000e0fff\ufffe")
    assert "\ufffe \U000e0fff" in missing and "no font" in missing
    assert "left to right" in told("سعيد")
