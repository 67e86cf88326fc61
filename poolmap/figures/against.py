"""Estimates against what is true: scatter plots, and coverage of intervals by their level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, GOLD, GREEN, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    "raw": ("o", MUTED),
    "weighted": ("s", GOLD),
    "raked": ("^", GREEN),
    "greg": ("D", ORANGE),
    "model": ("o", BLUE),
    "predicted": ("P", BLUE),
}
"""Marker and colour of each kind of estimate."""


@dataclass(frozen=True)
class Against:
    """One panel: a kind of estimate (key of `LOOKS`), its values and intervals, and what it is set against.

    Attributes:
        kind, title: of the estimate.
        across: (groups,) what is known.
        values, lower, upper: (groups,).
        filled: (groups,) whether the marker is filled.
    """

    kind: str
    title: str
    across: np.ndarray
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    filled: np.ndarray


def draw_against(
    panels: Sequence[Against],
    *,
    x_label: str,
    y_label: str,
    limits: tuple[float, float],
    words: tuple[str, str] = ("in the sample", "not in the sample"),
) -> Figure:
    """Panels on one scale, three in a line; on the dashed line both agree.

    Intervals are cut at the ends of the scale, and arrows tell where; so do they of values beyond.

    Args:
        panels: at least one.
        x_label, y_label: of the axes; limits: of both; words: on filled and hollow markers.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    width = 7.5 if across > 1 else 4.6
    with matplotlib.rc_context(RC):
        figure = new_figure(width, 0.75 + down * (width - 0.5) / across * 1.02)
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        arrows = False
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        for number, (axes, panel) in enumerate(zip(grid.ravel(), panels, strict=False)):
            marker, colour = LOOKS[panel.kind]
            small = len(panel.values) > 150
            axes.plot(limits, limits, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=1)
            line = {"color": RULE, "lw": 0.5 if small else 1.0, "zorder": 1.5}
            axes.vlines(panel.across, panel.lower, panel.upper, **line)
            for end, arrow in zip(limits, "v^", strict=True):
                at = _passes(panel, end, up=arrow == "^")
                if at.any():  # without points an unclipped line would reach to the corner of the page
                    arrows = True
                    axes.plot(
                        panel.across[at], np.full(at.sum(), end), ls="", marker=arrow,
                        ms=2.6 if small else 3.6, color=MUTED, clip_on=False, zorder=3,
                    )  # fmt: skip
            for chosen, filled in ((panel.filled, True), (~panel.filled, False)):
                if np.isfinite(panel.values[chosen]).any():
                    axes.plot(
                        panel.across[chosen], panel.values[chosen], ls="", marker=marker,
                        ms=2 if small else 3.8, mec=colour, mfc=colour if filled else "white", zorder=2,
                    )  # fmt: skip
            axes.set_title(
                in_lines(panel.title, 80 // across), loc="left", fontweight="bold", parse_math=False
            )
            axes.set_aspect("equal")
            axes.set_xlim(*limits)
            axes.set_ylim(*limits)
            if number + across >= len(panels):
                axes.tick_params(axis="x", labelbottom=True)
        handles = []
        if any(np.isfinite(panel.values[~panel.filled]).any() for panel in panels):
            look = {"ls": "", "marker": "o", "ms": 4, "mec": INK}
            handles += [
                Line2D([], [], mfc=face, label=word, **look)
                for face, word in zip((INK, "white"), words, strict=True)
            ]
        if arrows:
            look = {"ls": "", "marker": "^", "ms": 4, "color": MUTED}
            handles.append(Line2D([], [], label="goes on beyond the scale", **look))
        if handles:
            figure.legend(handles=handles, loc="outside upper right", ncols=3)
        figure.supxlabel(in_lines(x_label, 90), fontsize=9, color=INK, parse_math=False)
        figure.supylabel(in_lines(y_label, 44), fontsize=9, color=INK, parse_math=False)
    return figure


def beyond(panel: Against, limits: tuple[float, float]) -> tuple[int, int]:
    """How many intervals of a panel go on beyond the scale, and how many values lie there."""
    outside = (panel.values < limits[0]) | (panel.values > limits[1])
    passing = _passes(panel, limits[0], up=False) | _passes(panel, limits[1], up=True)
    return int((passing & ~outside).sum()), int(outside.sum())


def _passes(panel: Against, end: float, *, up: bool) -> np.ndarray:
    """(groups,) whether the interval, or the value, passes the upper (lower) end of the scale."""
    if up:
        return (panel.upper > end) | (panel.values > end)
    return (panel.lower < end) | (panel.values < end)


def draw_coverage(
    curves: Mapping[str, tuple[str, np.ndarray, np.ndarray]], groups: int, *, title: str = ""
) -> Figure:
    """Share of the true values that intervals hold, against the intervals' level.

    The band is where nineteen of twenty such shares would lie if each of the values were held independently
    with the probability of the level.

    Args:
        curves: by kind (key of `LOOKS`): its name, levels and coverage.
        groups: how many true values there are.
        title: of the panel.
    """
    import matplotlib
    from scipy import stats

    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 4.4)
        axes = figure.add_subplot()
        level = np.linspace(0.01, 0.99, 99)
        low, high = (stats.binom.ppf(q, groups, level) / groups for q in (0.025, 0.975))
        axes.fill_between(
            level,
            low,
            high,
            color=RULE,
            alpha=0.5,
            lw=0,
            step="mid",
            label=f"chance, {groups:,} values",
        )
        axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (4, 3)))
        for kind, (name, at, coverage) in curves.items():
            marker, colour = LOOKS[kind]
            alone = len(at) == 1
            axes.plot(
                at, coverage, ls="" if alone else "--" if kind == "predicted" else "-", marker=marker,
                ms=6 if alone else 3.6, color=colour, mfc="white" if alone or kind == "predicted" else colour,
                label=name, clip_on=False, zorder=3,
            )  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_title(title, loc="left", fontweight="bold", parse_math=False)
        axes.set_xlabel("level of the interval")
        axes.set_ylabel("share of true values that it holds")
        figure.legend(loc="outside right upper")
    return figure
