"""What the forest plot shows, and how numbers are written."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.families.meta.numbers import decimals, number, ratio, with_interval
from poolmap.figures.forest import ForestRow, Summary, forest, ratio_ticks
from poolmap.figures.style import save_figure


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
        label = (
            f"Study {i}" if i % 3 else f"A study with a very long name, by many authors from all over, {i}"
        )
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
            assert with_interval(value, ratio if log else lambda x: number(x, 2)) in shown
        for cell in row.cells:
            assert cell in shown
    for text in ("Study 1", "Pooled effect", "New study (prediction)", "RR (90% interval)", "Weight"):
        assert text in shown
    assert "Vaccine\nevents / total" in shown
    assert "Heterogeneity: tau 0.5" in shown
    assert any("favours vaccine" in text.replace("\n", " ") for text in shown)
    assert axes.get_xlabel() == "risk ratio (log axis)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["study's own estimate", "given all studies", "pooled", "prediction, new study"]
    squares = [c for c in axes.collections if len(c.get_paths()[0].vertices) <= 6]
    assert len(axes.collections) == 26
    assert len(squares) == 13  # the other 13 are circles: told apart without colour
    (diamond,) = axes.patches
    null = 1.0 if log else 0.0
    assert diamond.get_xy()[:, 0].min() == pytest.approx(null - 0.2)
    assert diamond.get_xy()[:, 0].max() == pytest.approx(null + 0.3)
    assert any(list(line.get_xdata()) == [null, null] for line in axes.lines)


@pytest.mark.parametrize("n", [3, 30, 100])
def test_nothing_overlaps_or_leaves_the_page(n):
    figure, _ = draw(n)
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


def test_numbers():
    assert [ratio(x) for x in (0.503, 0.0861, 0.0123, 0.00012, 1.0, 9.999, 12.34, 123.4, 12345.6)] == [
        *("0.50", "0.09", "0.012", "<0.001", "1.00", "10.0", "12.3", "123", "12,346")
    ]
    assert [decimals(x) for x in (3.3, 0.19, 0.049, 33, 0, np.nan)] == [1, 2, 3, 0, 2, 2]
    assert number(-0.004, 2) == "0.00"
    assert with_interval((0.5, 0.34, 0.73), ratio, "95% interval") == "0.50 (95% interval 0.34 to 0.73)"
