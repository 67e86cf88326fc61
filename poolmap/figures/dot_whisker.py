"""Estimates of many groups as dots with interval whiskers, several kinds of estimate side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis
from poolmap.figures.rows import LINE, in_lines, ticks_on_top
from poolmap.figures.style import INK, MUTED, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.2  # inches
WIDTH = 7.5
LETTER, TITLE_LETTER = 0.062, 0.085  # of a row's label, of a panel's title
LABEL, NARROW = 40, 26  # characters a line of a row's label, alone and in panels with labels of their own


@dataclass(frozen=True)
class Series:
    """One kind of estimate over the rows of a panel.

    Attributes:
        label: its name in the legend; series of one name share an entry.
        values: (rows,) positions; NaN draws nothing.
        lower, upper: (rows,) ends of the whiskers, or None for dots alone.
        marker: matplotlib marker; kinds differ in shape, not only in colour.
        colour: of marker and whisker.
        filled: whether the marker is filled; one that is not shows what lies below it.
        size: of the marker, in points.
        offset: rows by which it is drawn above (below 0) or below its row's middle.
    """

    label: str
    values: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    marker: str = "o"
    colour: str = INK
    filled: bool = True
    size: float = 4.5
    offset: float = 0.0


@dataclass(frozen=True)
class Panel:
    """Rows, first on top, with the series drawn over them."""

    labels: Sequence[str]
    series: Sequence[Series]
    title: str = ""


def dot_whisker(
    panels: Sequence[Panel],
    *,
    x_label: str,
    x_limits: tuple[float, float] | None = None,
    same_rows: bool = False,
    reference: tuple[float, str] | None = None,
    across: int | None = None,
    log: bool = False,
) -> Figure:
    """Draw panels side by side on one scale.

    Args:
        panels: at least one; rows of a panel are labelled at its left.
        x_label: what the estimates are, with the unit.
        x_limits: ends of the scale; from the data where it is left out.
        same_rows: the panels have the same rows, so only the first of each line of panels is labelled.
        reference: a value to mark by a dashed line, and its name in the legend ("" for none there).
        across: panels in a line; all where it is left out.
        log: whether the values are ratios, to be shown on a log axis.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    across = min(across or len(panels), len(panels))
    lines = -(-len(panels) // across)
    rows = max(len(panel.labels) for panel in panels)
    width = LABEL if same_rows or across == 1 else NARROW
    labels = [[in_lines(label, width) for label in panel.labels] for panel in panels]
    longest = max((len(line) for own in labels for label in own for line in label.split("\n")), default=0)
    room = int((WIDTH - LETTER * longest) / across / TITLE_LETTER) if same_rows else 88 // across
    tallest = max((label.count("\n") for own in labels for label in own), default=0) + 1
    with matplotlib.rc_context(RC):
        row = max(ROW, LINE * tallest + 0.04)
        height = lines * (row * rows + (0.35 if lines > 1 else 0)) + 1.1
        figure = new_figure(WIDTH, max(1.9, height))
        grid = figure.subplots(lines, across, sharex=True, sharey=same_rows, squeeze=False)
        entries: dict[str, Line2D] = {}
        for axis in grid.ravel()[len(panels) :]:
            axis.set_axis_off()
        for number, (axis, panel) in enumerate(zip(grid.ravel(), panels, strict=False)):
            place = np.arange(len(panel.labels))
            axis.hlines(place, 0, 1, transform=axis.get_yaxis_transform(), color=RULE, lw=0.4, zorder=0)
            if reference is not None:
                axis.axvline(reference[0], color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=1)
                if reference[1]:
                    entries[reference[1]] = Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)))
            for order, series in enumerate(panel.series):
                entries[series.label] = _draw(axis, place + series.offset, series, 2 + order)
            axis.set_yticks(place, labels[number], parse_math=False)
            axis.tick_params(axis="y", length=0, labelcolor=INK, labelsize=7.5 if rows > 12 else 8.5)
            axis.set_ylim(rows - 0.4, -0.6)
            axis.spines["left"].set_visible(False)
            title = in_lines(panel.title, room) if panel.title else ""
            axis.set_title(title, loc="left", fontweight="bold", parse_math=False)
            if x_limits is not None:
                axis.set_xlim(*x_limits)
            if same_rows and number % across:
                axis.tick_params(axis="y", labelleft=False)
            if number + across >= len(panels):
                axis.tick_params(axis="x", labelbottom=True)
        if log:
            effect_axis(grid[0, 0], "x", log=True, most=max(4, 8 // across))
        for axis in grid[0]:
            ticks_on_top(axis, height)
        figure.supxlabel(in_lines(x_label, 100), fontsize=9, parse_math=False)
        if entries:
            legend = figure.legend(
                entries.values(), entries.keys(), loc="outside upper center", ncols=min(6, len(entries))
            )
            for text in legend.get_texts():
                text.set_parse_math(False)
    return figure


def _draw(axis, place: np.ndarray, series: Series, order: int):
    """Draw one series and return its legend entry."""
    from matplotlib.lines import Line2D

    face = series.colour if series.filled else "none"
    if series.lower is not None:
        axis.hlines(place, series.lower, series.upper, color=series.colour, lw=1.3, zorder=order)
    look = {
        "marker": series.marker,
        "markersize": series.size,
        "markerfacecolor": face,
        "markeredgecolor": series.colour,
        "markeredgewidth": 1.1,
    }
    # without points an unclipped line would reach to the corner of the page
    clipped = not np.isfinite(series.values).any()
    axis.plot(series.values, place, ls="", zorder=order + 0.5, clip_on=clipped, **look)
    line = (
        {"color": series.colour, "lw": 1.3}
        if series.lower is not None
        else {"ls": "", "color": series.colour}
    )
    return Line2D([], [], **line, **look)
