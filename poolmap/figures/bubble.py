"""Bubble plots of a meta-regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis, marker_areas, name_points
from poolmap.figures.style import BLUE, INK, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12


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
    null: float | None = 0.0,
    names: Sequence[str] | None = None,
) -> Figure:
    """A bubble plot: effects against a moderator, area by weight, and the regression line with its band.

    Args:
        moderator, yi, weights: of the studies (study,); effects on the scale of analysis.
        at: values of the moderator, rising (point,).
        line, lower, upper: the mean effect there and its band, on the scale of analysis (point,).
        ratio: the scale of analysis is a log ratio; the axis is drawn in ratios, on a log scale.
        moderator_label, axis_label: of the axes.
        band_label: what the band is, for the legend.
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
        axes.scatter(
            x,
            show(yi),
            s=marker_areas(weights),
            facecolor="#9aa1ab88",
            edgecolor=INK,
            linewidth=0.8,
            zorder=3,
        )
        drawn = np.concatenate([yi, lower, upper, [] if null is None else [null]])
        pad = 0.06 * (drawn.max() - drawn.min())
        axes.set_ylim(*show([drawn.min() - pad, drawn.max() + pad]))
        ends = [min(x.min(), at.min()), max(x.max(), at.max())]
        axes.set_xlim(ends[0] - 0.04 * (ends[1] - ends[0]), ends[1] + 0.04 * (ends[1] - ends[0]))
        effect_axis(axes, "y", log=ratio)
        if null is not None:
            axes.axhline(
                float(show(null)), color=INK, linewidth=0.9, linestyle=":", zorder=1, label="no effect"
            )
        axes.set_xlabel(moderator_label, parse_math=False)
        axes.set_ylabel(axis_label, parse_math=False)
        handles, _ = axes.get_legend_handles_labels()
        extra = [
            Line2D(
                [], [], marker="o", markersize=6, markerfacecolor="#9aa1ab88", markeredgecolor=INK,
                linestyle="none", label="study, area by weight",
            ),
            Line2D([], [], color=BLUE, linewidth=0.8, linestyle=(0, (4, 2)), label=band_label),
        ]  # fmt: skip
        figure.legend(handles=[*extra, *handles], loc="outside lower center", ncol=4, columnspacing=1.2)
        if names is not None:
            away = np.abs(yi - np.interp(x, at, line)) * np.sqrt(np.asarray(weights, dtype=float))
            order = np.argsort(-away, kind="stable")[:MOST_NAMES]
            name_points(figure, axes, x, show(yi), names, order=order, areas=marker_areas(weights))
    return figure
