"""Funnel plots with contours of significance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from poolmap.figures.points import effect_axis, name_points
from poolmap.figures.style import BLUE, INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12
LEVELS = (0.90, 0.95, 0.99)
SHADES = ("white", "#eceef1", "#d3d7dd", "#b3b9c2")  # from not significant to beyond the last level


def funnel(
    yi: np.ndarray,
    se: np.ndarray,
    pooled: float,
    *,
    ratio: bool,
    axis_label: str,
    null: float = 0.0,
    interval: float = 0.95,
    levels: Sequence[float] = LEVELS,
    pooled_label: str = "pooled effect",
    names: Sequence[str] | None = None,
) -> Figure:
    """A contour-enhanced funnel plot: effects against standard errors, the precise studies on top.

    Shaded bands, centred on no effect, show where a study differs from it at each level of a two-sided
    Wald test; dashed lines, pooled -/+ z SE, hold `interval` of the studies if all share the pooled effect.

    Args:
        yi, se: estimates and standard errors on the scale of analysis (study,).
        pooled: pooled effect on that scale.
        ratio: the scale of analysis is a log ratio; the axis is drawn in ratios, on a log scale.
        axis_label: name of the effect.
        null: no effect on the scale of analysis.
        interval: level of the pseudo-confidence region.
        levels: of confidence, rising, at most three.
        pooled_label: what the line is called in the legend.
        names: of the studies; the 12 farthest from the pooled effect are named where there is room.

    Source: Peters et al. 2008 (J Clin Epidemiol 61:991); Sterne & Egger 2001 (J Clin Epidemiol 54:1046).
    """
    import matplotlib
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    yi, se = np.asarray(yi, dtype=float), np.asarray(se, dtype=float)
    show = np.exp if ratio else np.asarray
    bottom = 1.08 * se.max()
    z = special.ndtri(0.5 + interval / 2)
    reach = max(np.abs(yi - pooled).max(), z * bottom)
    low, high = min(pooled - reach, yi.min()), max(pooled + reach, yi.max())
    pad = 0.03 * (high - low)
    low, high = low - pad, high + pad
    with matplotlib.rc_context(RC):
        figure = new_figure(6.0, 4.9)
        axes = figure.add_subplot()
        depth = np.array([0.0, bottom])
        fine = np.linspace(0, bottom, 401)
        critical = [0.0, *(special.ndtri(0.5 + level / 2) for level in levels)]
        for k, inner in enumerate(critical):
            for side in (-1, 1):
                near = null + side * inner * fine
                far = null + side * critical[k + 1] * fine if k + 1 < len(critical) else side * np.inf
                near, far = (np.clip(edge, low, high) * np.ones_like(fine) for edge in (near, far))
                axes.fill_betweenx(fine, show(near), show(far), color=SHADES[k], linewidth=0, zorder=0)
                if k:
                    edge = null + side * inner * depth
                    axes.plot(show(edge), depth, color=MUTED, linewidth=0.5, zorder=1, label=f"contour {k}")
        axes.plot(show([null, null]), depth, color=INK, linewidth=0.7, linestyle=":", zorder=2, label="null")
        axes.plot(show([pooled, pooled]), depth, color=BLUE, linewidth=1.4, zorder=2, label="pooled")
        for side in (-1, 1):
            edge = pooled + side * z * depth
            axes.plot(show(edge), depth, color=BLUE, linewidth=1.1, linestyle=(0, (4, 2)), zorder=2)
        size = 26 if len(yi) <= 60 else 14
        axes.scatter(show(yi), se, s=size, facecolor=INK, edgecolor="white", linewidth=0.6, zorder=4)
        axes.set_xlim(*show([low, high]))
        axes.set_ylim(bottom, 0)
        effect_axis(axes, "x", log=ratio)
        axes.set_xlabel(axis_label, parse_math=False)
        axes.set_ylabel("standard error" + (" (of the log)" if ratio else ""))
        bounds = [f"p > {1 - levels[0]:.2g}"]
        bounds += [f"{1 - b:.2g} < p ≤ {1 - a:.2g}" for a, b in pairwise(levels)]
        bounds.append(f"p ≤ {1 - levels[-1]:.2g}")
        handles = [
            Line2D([], [], marker="o", color=INK, markersize=4.5, linestyle="none", label="study"),
            Line2D([], [], color=BLUE, linewidth=1.4, label=pooled_label),
            Line2D(
                [], [], color=BLUE, linewidth=1.1, linestyle=(0, (4, 2)),
                label=f"{100 * interval:g}% of studies, if alike",
            ),
            Line2D([], [], color=INK, linewidth=0.7, linestyle=":", label="no effect"),
            *(
                Patch(facecolor=shade, edgecolor=MUTED, linewidth=0.5, label=label)
                for shade, label in zip(SHADES, bounds, strict=False)
            ),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncol=4, columnspacing=1.4)
        if names is not None:
            order = np.argsort(-np.abs(yi - pooled) / se, kind="stable")[:MOST_NAMES]
            name_points(figure, axes, show(yi), se, names, order=order)
    return figure
