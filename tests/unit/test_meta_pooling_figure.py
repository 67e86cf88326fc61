"""No, partial and complete pooling in one figure: what a reader sees."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from poolmap.figures.pooling import Pooling, moved_most, pooling

LONG = "Ferguson-Ramirez, de la Cruz and Oyelaran-Whitfield, International Group 1951"


def models(n, *, wide=False):
    rng = np.random.default_rng(n)
    y, se = rng.normal(-0.3, 0.5, n), rng.uniform(0.1, 0.8, n)
    if wide:
        se[0] = 30.0
    alone = np.exp(y[:, None] + se[:, None] * [0, -2, 2])
    shrunk = {
        by: np.exp((-0.3 + by * (y + 0.3))[:, None] + np.minimum(se, 0.4)[:, None] * [0, -2, 2])
        for by in (0.6, 0.7)
    }
    return {
        "no pooling": Pooling("none", alone),
        "partial, normal": Pooling("partial", shrunk[0.6], (0.74, 0.6, 0.9)),
        "partial, Student t": Pooling("partial", shrunk[0.7], (0.76, 0.62, 0.92)),
        "complete (common effect)": Pooling("complete", None, (0.8, 0.75, 0.85)),
    }


@pytest.mark.parametrize("n", [3, 13, 60, 200])
def test_every_row_is_named_without_overlap(n):
    names = [LONG if i % 3 == 1 else f"Study {i}" for i in range(n)]
    figure = pooling(names, models(n), log=True, null=1.0, label="risk ratio")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    (axes,) = figure.axes
    labels = axes.get_yticklabels()
    assert [text.get_text() for text in labels][-3:] == [
        "pooled: partial, normal", "pooled: partial, Student t", "pooled: complete (common effect)",
    ]  # fmt: skip
    assert len(labels) == min(n, 40) + 3
    assert (f"the 40 of {n} studies" in axes.get_xlabel()) == (n > 40)
    boxes = [text.get_window_extent(renderer) for text in labels]
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(boxes))
    everything = [*boxes, figure.legends[0].get_window_extent(renderer)]
    everything.append(axes.xaxis.label.get_window_extent(renderer))
    page = figure.bbox
    for box in everything:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1


def test_values_shapes_and_ticks():
    given = models(5)
    figure = pooling([f"S{i}" for i in range(5)], given, log=True, null=1.0)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for words, model in given.items():
        if model.studies is not None:
            assert list(lines[words].get_xdata()) == pytest.approx(list(model.studies[:, 0]))
    pooled = [line.get_xdata()[0] for line in axes.lines if line.get_label() == "pooled"]
    assert pooled == pytest.approx([0.74, 0.76, 0.8])
    legend = figure.legends[0].get_lines()
    assert sorted(text.get_text() for text in figure.legends[0].get_texts()) == sorted(given)
    assert len({line.get_marker() for line in legend}) == 4  # told apart without colour
    assert "1" in [text.get_text() for text in axes.get_xticklabels()]


def test_of_many_studies_those_that_pooling_moves_most():
    given = models(60)
    own = moved_most(given, log=True)
    alone = np.log(given["no pooling"].studies[:, 0])
    moved = np.max([abs(np.log(given[w].studies[:, 0]) - alone) for w in given if "partial" in w], axis=0)
    assert len(own) == 40 and (np.diff(own) > 0).all()
    assert moved[own].min() >= np.delete(moved, own).max()
    figure = pooling([f"S{i}" for i in range(60)], given, log=True)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown[:40] == [f"S{i}" for i in own]
    (drawn,) = [line for line in figure.axes[0].lines if line.get_label() == "no pooling"]
    assert list(drawn.get_xdata()) == pytest.approx(list(np.exp(alone[own])))


def test_an_interval_beyond_the_axis_ends_in_an_arrow():
    def arrows(figure):
        return sorted(line.get_marker() for line in figure.axes[0].lines if line.get_marker() in ("<", ">"))

    names = [f"S{i}" for i in range(13)]
    assert arrows(pooling(names, models(13, wide=True), log=True)) == ["<", ">"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Pooling("none", np.ones((2, 3))), r"need \(3, 3\)"),
        (Pooling("complete"), "complete pooling needs one"),
        (Pooling("partial"), "a value for each study"),
        (Pooling("none", np.zeros((3, 3))), "not above 0"),
        (Pooling("some", np.ones((3, 3))), "unknown kind 'some'"),
    ],
)
def test_what_cannot_be_drawn(model, message):
    with pytest.raises(ValueError, match=message):
        pooling(["A", "B", "C"], {"m": model}, log=True)
