"""Galbraith (radial) plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from poolmap.figures.forest import ratio_ticks
from poolmap.figures.points import name_points, plain
from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12


def common_effect(yi: np.ndarray, se: np.ndarray) -> float:
    """The inverse-variance weighted mean: the slope through the origin of yi / se on 1 / se."""
    weight = 1 / np.asarray(se, dtype=float) ** 2
    return float((weight * np.asarray(yi, dtype=float)).sum() / weight.sum())


def galbraith(
    yi: np.ndarray,
    se: np.ndarray,
    *,
    ratio: bool,
    effect: str,
    interval: float = 0.95,
    names: Sequence[str] | None = None,
) -> Figure:
    """A Galbraith plot: yi / se against 1 / se, with the common effect as a line through the origin.

    A study's effect is the slope of the ray from the origin through its point; the right axis reads it off
    where the ray ends, in true values. The dashed lines, z above and below the line, hold `interval` of
    the studies if all share the common effect. Studies outside them (at most 12) are named.

    Args:
        yi, se: estimates and standard errors on the scale of analysis (study,).
        ratio: the scale of analysis is a log ratio; the right axis shows ratios.
        effect: name of the effect, for the right axis.
        interval: level of the band.
        names: of the studies.

    Source: Galbraith 1988 (Stat Med 7:889).
    """
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    yi, se = np.asarray(yi, dtype=float), np.asarray(se, dtype=float)
    x, y, slope = 1 / se, yi / se, common_effect(yi, se)
    z = float(special.ndtri(0.5 + interval / 2))
    with matplotlib.rc_context(RC):
        figure = new_figure(6.0, 4.6)
        axes = figure.add_subplot()
        end = 1.06 * x.max()
        across = np.array([0.0, end])
        axes.axhline(0, color=INK, linewidth=0.7, linestyle=":", zorder=1)
        axes.plot(across, slope * across, color=BLUE, linewidth=1.4, zorder=2, label="common effect")
        for side, label in ((-1, "_lower"), (1, f"{100 * interval:g}% of studies, if alike")):
            axes.plot(
                across, slope * across + side * z, color=BLUE, linewidth=1.0, linestyle=(0, (4, 2)),
                zorder=2, label=label,
            )  # fmt: skip
        size = 24 if len(yi) <= 60 else 13
        axes.scatter(x, y, s=size, facecolor=INK, edgecolor="white", linewidth=0.6, zorder=4, label="study")
        drawn = [0.0, *y, z, -z, slope * end + z, slope * end - z]
        pad = 0.05 * (max(drawn) - min(drawn))
        low, high = min(drawn) - pad, max(drawn) + pad
        axes.set_xlim(0, end)
        axes.set_ylim(low, high)
        axes.set_xlabel("precision, 1 / standard error")
        axes.set_ylabel(("log " if ratio else "") + "effect / standard error")
        axes.spines["right"].set_visible(False)
        beside = axes.secondary_yaxis("right")
        if ratio:
            ticks = ratio_ticks(float(np.exp(low / end)), float(np.exp(high / end)))
            heights = np.log(ticks) * end
        else:
            ticks = [t for t in MaxNLocator(6).tick_values(low / end, high / end) if low < t * end < high]
            heights = np.array(ticks) * end
        beside.set_yticks(heights, [plain(tick) for tick in ticks])
        read = "(slope of the ray from 0)"
        beside.set_ylabel(
            in_lines(effect, 50) + (" " if len(effect) <= 24 else "\n") + read, parse_math=False
        )
        beside.spines["right"].set_color(MUTED)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncol=3)
        if names is not None:
            away = np.abs(y - slope * x)
            order = [i for i in np.argsort(-away, kind="stable")[:MOST_NAMES] if away[i] > z]
            name_points(figure, axes, x, y, names, order=order)
    return figure
