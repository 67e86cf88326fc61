"""Bubble plots of a meta-regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis, marker_areas, name_points, plain
from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12
FEW_VALUES = 6  # of a moderator: its studies are set side by side


def set_apart(x: np.ndarray, y: np.ndarray, areas: np.ndarray, reach: float, height: float) -> np.ndarray:
    """Places across of studies with few distinct values of the moderator, so that circles do not coincide.

    The largest circles stay in place; each other moves the least that clears those already placed, but no
    farther than 0.4 of the smallest distance of two values.

    Args:
        x, y, areas: moderator, effect as drawn (on its scale of analysis), marker in square points (study,).
        reach, height: of the axes across and up, in the units of x and y, for a 5.2 by 3.4 inch frame.
    """
    radius = np.sqrt(np.asarray(areas) / np.pi) / 72
    values = np.unique(x)
    most = 0.4 * np.diff(values).min() * 5.2 / reach if values.size > 1 else 1.0
    shift = np.zeros(x.size)
    up = np.asarray(y) * 3.4 / height
    tries = np.arange(0, most + 1e-9, 0.02)
    tries = np.column_stack([tries, -tries]).ravel()
    for value in values:
        placed: list[int] = []
        for i in sorted(np.flatnonzero(x == value), key=lambda i: (-radius[i], up[i])):
            room = radius[placed] + radius[i] + 0.01
            apart = np.hypot(tries[:, None] - shift[placed], up[i] - up[placed]) - room
            worst = apart.min(axis=1, initial=0.0)
            shift[i] = tries[np.argmax(worst)]  # the first, nearest place without overlap
            placed.append(int(i))
    return x + shift * reach / 5.2


def bubble(
    moderator: np.ndarray,
    yi: np.ndarray,
    weights: np.ndarray,
    *,
    at: np.ndarray,
    line: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    ratio: bool,
    moderator_label: str,
    axis_label: str,
    band_label: str = "95% interval of the mean",
    point_label: str = "study, area by weight",
    null: float | None = 0.0,
    names: Sequence[str] | None = None,
) -> Figure:
    """A bubble plot: effects against a moderator, area by weight, and the regression line with its band.

    Studies whose moderator has at most six distinct values are set side by side around them. A band that is
    far wider than the studies and the line spread is cut at the edge of the plot.

    Args:
        moderator, yi, weights: of the studies (study,); effects on the scale of analysis.
        at: values of the moderator, rising (point,).
        line, lower, upper: the mean effect there and its band, on the scale of analysis (point,).
        ratio: the scale of analysis is a log ratio; the axis is drawn in ratios, on a log scale.
        moderator_label, axis_label: of the axes.
        band_label: what the band is, for the legend.
        point_label: what a circle is, for the legend.
        null: no effect on the scale of analysis; None for no line.
        names: of the studies; the 12 farthest from the line are named where there is room.

    Source: Thompson & Higgins 2002 (Stat Med 21:1559).
    """
    import matplotlib
    from matplotlib.lines import Line2D

    x, yi = np.asarray(moderator, dtype=float), np.asarray(yi, dtype=float)
    at, line, lower, upper = (np.asarray(value, dtype=float) for value in (at, line, lower, upper))
    show = np.exp if ratio else np.asarray
    with matplotlib.rc_context(RC):
        figure = new_figure(6.0, 4.5)
        axes = figure.add_subplot()
        axes.fill_between(at, show(lower), show(upper), color=BLUE, alpha=0.15, linewidth=0, zorder=1)
        for edge in (lower, upper):
            axes.plot(at, show(edge), color=BLUE, linewidth=0.8, linestyle=(0, (4, 2)), zorder=2)
        axes.plot(at, show(line), color=BLUE, linewidth=1.6, zorder=2, label="regression line")
        drawn = np.concatenate([yi, line, [] if null is None else [null]])
        span = drawn.max() - drawn.min()
        bottom = min(drawn.min(), max(lower.min(), drawn.min() - span))
        top = max(drawn.max(), min(upper.max(), drawn.max() + span))
        pad = 0.06 * (top - bottom)
        ends = [min(x.min(), at.min()), max(x.max(), at.max())]
        few = 1 < np.unique(x).size <= min(FEW_VALUES, x.size - 1)
        beside = (0.1 if few else 0.04) * (ends[1] - ends[0])
        places = x
        if few:
            reach, height = ends[1] - ends[0] + 2 * beside, top - bottom + 2 * pad
            places = set_apart(x, yi, marker_areas(weights), reach, height)
            ends = [min(ends[0], places.min()), max(ends[1], places.max())]
            beside *= 0.5
        axes.scatter(
            places,
            show(yi),
            s=marker_areas(weights),
            facecolor="#9aa1ab88",
            edgecolor=INK,
            linewidth=0.8,
            zorder=3,
        )
        axes.set_ylim(*show([bottom - pad, top + pad]))
        axes.set_xlim(ends[0] - beside, ends[1] + beside)
        effect_axis(axes, "y", log=ratio)
        if null is not None:
            axes.axhline(
                float(show(null)), color=INK, linewidth=0.9, linestyle=":", zorder=1, label="no effect"
            )
        if few:
            axes.set_xticks(np.unique(x), [plain(value) for value in np.unique(x)])
            moderator_label += "\n(studies of the same value are set side by side)"
        axes.set_xlabel(moderator_label, parse_math=False)
        axes.set_ylabel(in_lines(axis_label, 50), parse_math=False)
        handles, _ = axes.get_legend_handles_labels()
        extra = [
            Line2D(
                [], [], marker="o", markersize=6, markerfacecolor="#9aa1ab88", markeredgecolor=INK,
                linestyle="none", label=point_label,
            ),
            Line2D([], [], color=BLUE, linewidth=0.8, linestyle=(0, (4, 2)), label=band_label),
        ]  # fmt: skip
        handles = [*extra, *handles]
        columns = 4 if sum(len(handle.get_label()) for handle in handles) < 76 else 2
        figure.legend(handles=handles, loc="outside lower center", ncol=columns, columnspacing=1.2)
        if names is not None:
            away = np.abs(yi - np.interp(x, at, line)) * np.sqrt(np.asarray(weights, dtype=float))
            order = np.argsort(-away, kind="stable")[:MOST_NAMES]
            name_points(figure, axes, places, show(yi), names, order=order, areas=marker_areas(weights))
    return figure
