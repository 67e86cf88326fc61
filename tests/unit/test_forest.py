"""What the forest plot shows, at any number of studies."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from poolmap.families.meta.numbers import number, ratio, with_interval
from poolmap.figures.forest import JUDGEMENTS, ForestRow, Subgroup, Summary, forest
from poolmap.figures.forest.layout import MANY
from poolmap.figures.style import save_figure
from poolmap.figures.ticks import minus, ratio_ticks

LONG = "Fredericksen-Vanderbilt & O'Shaughnessy multicentre collaborative trial group 1998"


def draw(n, *, log=True, wide=False, prediction=0.9, **more):
    rng = np.random.default_rng(n)
    rows = []
    for i in range(n):
        effect, se = rng.normal(0, 0.5), rng.uniform(0.1, 0.5)
        raw, shrunken = (
            (effect, effect - k * se, effect + k * se) for k in ((50 if wide and i == 0 else 2), 1.2)
        )
        if log:
            raw, shrunken = (tuple(float(x) for x in np.exp(v)) for v in (raw, shrunken))
        label = f"Study {i}" if i % 3 else f"{LONG} {i}"
        rows.append(ForestRow(label, [f"{i} / 100", "5 / 100"], raw, shrunken, 100 / n))
    null = 1.0 if log else 0.0
    given = {
        "headings": ["Vaccine\nevents / total", "Control\nevents / total"],
        "effect": "RR",
        "interval_heading": "90% interval",
        "axis_label": "risk ratio (log axis)",
        "write": lambda v: with_interval(v, ratio if log else lambda x: number(x, 2)),
        "log": log,
        "favours": ("favours vaccine", "favours control"),
        "note": "Heterogeneity: tau 0.5",
        **more,
    }
    summaries = [
        Summary("Pooled effect", (null + 0.1, null - 0.2, null + 0.3), "diamond"),
        Summary("New study (prediction)", (null, null - prediction, null + prediction), "line"),
    ]
    return forest(rows, summaries, **given), rows


def markers(axes):
    """Squares of the studies' own estimates and circles of those given all, a collection each."""
    return [c for c in axes.collections if isinstance(c, PathCollection)]


def texts(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("log", [True, False])
def test_content(log):
    figure, rows = draw(13, log=log)
    shown = texts(figure)
    (axes,) = figure.axes
    assert axes.get_xscale() == ("log" if log else "linear")
    for row in rows:
        for value in (row.raw, row.shrunken):
            assert minus(with_interval(value, ratio if log else lambda x: number(x, 2))) in shown
        for cell in row.cells:
            assert cell in shown
    for text in ("Study 1", "Pooled effect", "New study (prediction)", "RR (90% interval)", "Weight"):
        assert text in shown
    assert "Vaccine\nevents / total" in shown
    assert "Heterogeneity: tau 0.5" in shown
    assert {"← favours vaccine", "favours control →"} <= set(shown)
    assert axes.get_xlabel() == "risk ratio (log axis)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["study's own estimate", "given all studies", "pooled", "prediction, new study"]
    squares, circles = markers(axes)
    assert len(squares.get_paths()[0].vertices) < len(circles.get_paths()[0].vertices)  # shapes, not colour
    for kind, found in (("raw", squares), ("shrunken", circles)):
        assert list(found.get_offsets()[:, 0]) == pytest.approx([getattr(row, kind)[0] for row in rows])
    assert (squares.get_offsets()[:, 1] < circles.get_offsets()[:, 1]).all()  # the square above
    (diamond,) = axes.patches
    null = 1.0 if log else 0.0
    assert diamond.get_xy()[:, 0].min() == pytest.approx(null - 0.2)
    assert diamond.get_xy()[:, 0].max() == pytest.approx(null + 0.3)
    assert any(list(line.get_xdata()) == [null, null] for line in axes.lines)


DOMAINS = ["randomisation", "deviations from intended interventions", "missing outcome data", "overall"]


def draw_blocks(n, **more):
    """Two subgroups with risk of bias; every third study has a long name."""
    _, rows = draw(n)
    known = [*JUDGEMENTS, ""]
    rows = [
        ForestRow(r.label, r.cells, r.raw, r.shrunken, r.weight, [known[(i + j) % 5] for j in range(4)])
        for i, r in enumerate(rows)
    ]
    cut = n // 2
    note = "tau 0.31 (0.10 to 0.60); I-squared 65% (20% to 88%); test for heterogeneity p 0.03"
    blocks = [
        Subgroup("Random", rows[:cut], [Summary("All random", (0.6, 0.5, 0.8), "diamond")], note),
        Subgroup(
            "Alternate or systematic, by centre", rows[cut:],
            [Summary("All alternate", (0.9, 0.7, 1.2), "diamond", ["9 / 99", "8 / 88"], 60.0)], "tau 0.10",
        ),
    ]  # fmt: skip
    total = [Summary("Pooled effect", (0.7, 0.6, 0.9), "diamond")]
    given = {
        "headings": ["Vaccine", "Control"], "effect": "RR", "interval_heading": "90% interval",
        "axis_label": "risk ratio", "write": lambda v: with_interval(v, ratio), "log": True,
        "favours": ("favours vaccine", "favours control"), "note": "Test between subgroups: p 0.2",
        "bias_domains": DOMAINS, **more,
    }  # fmt: skip
    return forest(blocks, total, **given), rows


@pytest.mark.parametrize("n", [3, 13, 60, 200])
@pytest.mark.parametrize("make", [draw, draw_blocks])
def test_nothing_overlaps_or_leaves_the_page(make, n):
    figure, rows = make(n)
    assert {t.get_fontsize() for t in figure.texts} <= {8 if n <= MANY else 7.5, 6}
    assert figure.get_size_inches()[0] < 10
    if make is draw_blocks:
        shown = " ".join(texts(figure)).replace("\n", " ")
        assert all(row.label in shown for row in rows)  # no name is cut
    figure.canvas.draw()  # places the axis label
    renderer = figure.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.texts]
    boxes += [
        (label, t.get_window_extent(renderer))
        for t in figure.axes[0].get_xticklabels()
        if (label := t.get_text())
    ]
    boxes.append(("axis", figure.axes[0].xaxis.label.get_window_extent(renderer)))
    boxes.append(("legend", figure.legends[0].get_window_extent(renderer)))
    page = figure.bbox
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1, text
    boxes.sort(key=lambda item: item[1].y0)
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            if b.y0 > a.y1:
                break
            across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            # a text's box is higher than its letters: 2 pixels at 100 dpi
            assert across <= 0 or up <= 2, (one, other)


def test_subgroups():
    figure, _ = draw_blocks(13)
    (axes,) = figure.axes
    shown = [text.replace("\n", " ") for text in texts(figure)]
    for text in ("Random", "Alternate or systematic, by centre", "All random", "All alternate", "9 / 99"):
        assert text in shown
    assert any(text.startswith("tau 0.31 (0.10 to 0.60); I-squared 65%") for text in shown)
    assert {"tau 0.10", "60.0%", "Test between subgroups: p 0.2"} <= set(shown)
    ends = [(d.get_xy()[:, 0].min(), d.get_xy()[:, 0].max()) for d in axes.patches]
    assert ends == [(0.5, 0.8), (0.7, 1.2), (0.6, 0.9)]
    one, two, total = (d.get_facecolor() for d in axes.patches)
    assert one == two != total
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[2:] == ["pooled, subgroup", "pooled"]
    heights = {text.get_text(): text.get_position()[1] for text in figure.texts}
    order = ["Random", "All random", "All alternate", "tau 0.10", "Pooled effect"]
    assert sorted(order, key=lambda text: -heights[text]) == order


def test_risk_of_bias_is_told_by_letter_and_shape():
    figure, rows = draw_blocks(13)
    letters = [t.get_text() for t in figure.texts if t.get_fontsize() == 6]
    expected = [JUDGEMENTS[judgement][0] for row in rows for judgement in row.bias if judgement]
    assert letters == expected
    markers = {
        a.get_label().removeprefix("bias "): a.get_marker()
        for a in figure.artists
        if str(a.get_label()).startswith("bias ")
    }
    assert set(markers) == set(JUDGEMENTS)
    assert len(set(markers.values())) == 4
    key = " ".join(text for text in texts(figure) if "Risk of bias" in text).replace("\n", " ")
    assert "L low, S some concerns, H high, U unclear" in key
    assert "D2 deviations from intended interventions" in key
    row = ForestRow("A", [], (1.0, 0.5, 2.0), None, None, ["dubious"])
    given = {
        "headings": [], "effect": "RR", "interval_heading": "95% interval", "axis_label": "RR",
        "write": lambda v: with_interval(v, ratio), "log": True,
    }  # fmt: skip
    with pytest.raises(ValueError, match="unknown judgement 'dubious'"):
        forest([row], [], **given, bias_domains=["overall"])
    with pytest.raises(ValueError, match="1 judgements, 0 domains"):
        forest([row], [], **given)


def test_single_groups():
    """No line of no effect, one column of counts, one line a study, the axis within 0 and 1."""
    rows = [
        ForestRow(f"Cohort {i}", [f"{i} / 1,200"], (i / 10, i / 10 - 0.15, i / 10 + 0.15), None, 25.0)
        for i in range(1, 5)
    ]
    figure = forest(
        rows, [Summary("Pooled proportion", (0.25, 0.2, 0.3), "diamond", ["10 / 4,800"], 100.0)],
        headings=["Events / total"], effect="Proportion", interval_heading="95% interval",
        axis_label="proportion", write=lambda v: with_interval(v, lambda x: number(x, 2)), log=False,
        null=None, bounds=(0, 1),
    )  # fmt: skip
    (axes,) = figure.axes
    assert {"3 / 1,200", "10 / 4,800", "0.30 (0.15 to 0.45)", "100.0%"} <= set(texts(figure))
    assert axes.get_xlim()[0] >= 0
    assert not any(list(line.get_xdata()) == [0, 0] for line in axes.lines)
    (squares,) = markers(axes)
    assert list(squares.get_offsets()[:, 0]) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["study's own estimate", "pooled"]


def test_an_interval_beyond_the_axis_ends_in_an_arrow():
    def arrows(figure):
        return [line.get_marker() for line in figure.axes[0].lines if line.get_marker() in ("<", ">")]

    assert sorted(arrows(draw(5, wide=True, prediction=0.3)[0])) == ["<", ">"]
    assert arrows(draw(5, prediction=0.3)[0]) == []


def test_a_forest_without_counts_and_directions(tmp_path):
    rows = [ForestRow(name, [], (1.0, 0.0, 2.0), (0.8, 0.1, 1.5), 50.0) for name in ("A", "B")]
    figure = forest(
        rows, [], headings=[], effect="Effect", interval_heading="95% interval", axis_label="points",
        write=lambda v: with_interval(v, lambda x: number(x, 1)), log=False,
    )  # fmt: skip
    assert {"A", "B", "1.0 (0.0 to 2.0)"} <= set(texts(figure))
    paths = save_figure(figure, tmp_path / "forest")
    assert [path.suffix for path in paths] == [".svg", ".png", ".pdf"]
    assert paths[2].read_bytes().startswith(b"%PDF") and b"CreationDate" not in paths[2].read_bytes()
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in save_figure(figure, tmp_path / "forest")] == first


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.08, 6, [0.1, 0.2, 0.5, 1, 2, 5]),
        (0.4, 2.2, [0.5, 0.7, 1, 1.5, 2]),
        (0.002, 300, [0.01, 0.1, 1, 10, 100]),
        (1.02, 1.19, [1.04, 1.08, 1.12, 1.16]),
    ],
)
def test_ratio_ticks(low, high, expected):
    assert ratio_ticks(low, high) == expected


@pytest.mark.parametrize(("low", "high"), [(1e-9, 1e9), (0.5, 2), (0.99, 1.01), (1e-3, 1.5), (3, 4000)])
def test_ratio_ticks_are_few_and_inside(low, high):
    ticks = ratio_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)
