"""Funnel plots: with contours of significance, and of residuals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from poolmap.figures.points import effect_axis, name_points
from poolmap.figures.predictive import plural
from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 12
LEVELS = (0.90, 0.95, 0.99)
SHADES = ("white", "#eceef1", "#d3d7dd", "#b3b9c2")  # from not significant to beyond the last level
GROUP_MARKERS = (("o", True), ("s", False), ("^", True), ("D", False), ("v", True), ("P", False))
MANY = 60  # points: of more, the markers are smaller


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
    unit: str = "study",
    names: Sequence[str] | None = None,
) -> Figure:
    """A contour-enhanced funnel plot: effects against standard errors, the precise studies on top.

    Shaded bands, centred on no effect, show where a study differs from it at each level of a two-sided
    Wald test; dashed lines, pooled -/+ z SE, hold `interval` of the studies if all share the pooled effect.
    The axis shows this region whole, and one as wide about no effect where that lies within the first.

    Args:
        yi, se: estimates and standard errors on the scale of analysis (study,).
        pooled: pooled effect on that scale.
        ratio: the scale of analysis is a log ratio; the axis is drawn in ratios, on a log scale.
        axis_label: name of the effect.
        null: no effect on the scale of analysis.
        interval: level of the pseudo-confidence region.
        levels: of confidence, rising, at most three.
        pooled_label: what the line is called in the legend.
        unit: what a point is, `study` or `effect`.
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
    low, high = min(yi.min(), pooled - z * bottom), max(yi.max(), pooled + z * bottom)
    if low <= null <= high:
        low, high = min(low, null - z * bottom), max(high, null + z * bottom)
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
        _cone(axes, pooled, z, bottom, show)
        _points(axes, show(yi), se)
        _frame(axes, show([low, high]), bottom, ratio, axis_label)
        bounds = [f"p > {1 - levels[0]:.2g}"]
        bounds += [f"{1 - b:.2g} < p ≤ {1 - a:.2g}" for a, b in pairwise(levels)]
        bounds.append(f"p ≤ {1 - levels[-1]:.2g}")
        handles = [
            _point_key(unit),
            *_cone_keys(pooled_label, f"{100 * interval:g}% of {plural(unit)}, if alike"),
            Line2D([], [], color=INK, linewidth=0.7, linestyle=":", label="no effect"),
            *(
                Patch(facecolor=shade, edgecolor=MUTED, linewidth=0.5, label=label)
                for shade, label in zip(SHADES, bounds, strict=False)
            ),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncol=4, columnspacing=1.4)
        if names is not None:
            order = np.argsort(-np.abs(yi - pooled) / se, kind="stable")[:MOST_NAMES]
            name_points(figure, axes, show(yi), se, names, order=order)
    return figure


def residual_funnel(
    residual: np.ndarray,
    se: np.ndarray,
    *,
    ratio: bool,
    axis_label: str,
    interval: float = 0.95,
    groups: Sequence[str] | None = None,
    expected_label: str = "as the model expects",
    unit: str = "study",
) -> Figure:
    """A funnel plot of a model with moderators or subgroups: what each study differs by from its own mean.

    Between the dashed lines, -/+ z SE about no difference, lie `interval` of the studies if there is no
    heterogeneity beyond what the model explains. There are no contours of significance: a residual says
    nothing of a test against no effect.

    Args:
        residual: estimate minus the model's mean for the study, on the scale of analysis (study,).
        se: standard errors (study,).
        ratio: residuals are logs of ratios; the axis is drawn in ratios, on a log scale.
        axis_label: what a residual is.
        interval: level of the region.
        groups: of the studies, told apart by markers where there are at most six.
        expected_label: what the middle line is called in the legend.
        unit: what a point is, `study` or `effect`.

    Source: Viechtbauer 2010 (J Stat Softw 36(3)), `funnel` of models with moderators.
    """
    import matplotlib

    residual, se = np.asarray(residual, dtype=float), np.asarray(se, dtype=float)
    show = np.exp if ratio else np.asarray
    bottom, z = 1.08 * se.max(), special.ndtri(0.5 + interval / 2)
    reach = 1.04 * max(np.abs(residual).max(), z * bottom)
    given = list(dict.fromkeys(groups)) if groups is not None else []
    with matplotlib.rc_context(RC):
        figure = new_figure(6.0, 4.9)
        axes = figure.add_subplot()
        axes.set_facecolor(SHADES[1])
        fine = np.array([0.0, bottom])
        axes.fill_betweenx(fine, show(-z * fine), show(z * fine), color="white", linewidth=0, zorder=0)
        _cone(axes, 0.0, z, bottom, show)
        handles = []
        if 1 < len(given) <= len(GROUP_MARKERS):
            for group, look in zip(given, GROUP_MARKERS, strict=False):
                chosen = np.array([one == group for one in groups])
                _points(axes, show(residual[chosen]), se[chosen], *look, many=len(se) > MANY, label=group)
                handles.append(_point_key(in_lines(group, 30), *look))
        else:
            _points(axes, show(residual), se)
            handles.append(_point_key(unit))
        _frame(axes, show([-reach, reach]), bottom, ratio, axis_label)
        handles += _cone_keys(expected_label, f"{100 * interval:g}% of {plural(unit)}, by chance alone")
        legend = figure.legend(handles=handles, loc="outside lower center", ncol=3, columnspacing=1.4)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _cone(axes: Axes, centre: float, z: float, bottom: float, show) -> None:
    """A line at the centre, and dashed ones centre -/+ z SE."""
    depth = np.array([0.0, bottom])
    axes.plot(show([centre, centre]), depth, color=BLUE, linewidth=1.4, zorder=2, label="pooled")
    for side in (-1, 1):
        edge = centre + side * z * depth
        axes.plot(show(edge), depth, color=BLUE, linewidth=1.1, linestyle=(0, (4, 2)), zorder=2)


def _points(
    axes: Axes,
    x: np.ndarray,
    se: np.ndarray,
    marker: str = "o",
    filled: bool = True,
    *,
    many: bool | None = None,
    label: str = "",
) -> None:
    size = 14 if (len(x) > MANY if many is None else many) else 26
    edge = {"facecolor": INK, "edgecolor": "white", "linewidth": 0.6}
    if not filled:
        edge = {"facecolor": "white", "edgecolor": INK, "linewidth": 1.0}
    axes.scatter(x, se, s=size, marker=marker, zorder=4, label=label, **edge)


def _frame(axes: Axes, ends: np.ndarray, bottom: float, ratio: bool, axis_label: str) -> None:
    axes.set_xlim(*ends)
    axes.set_ylim(bottom, 0)
    effect_axis(axes, "x", log=ratio)
    axes.set_xlabel(in_lines(axis_label, 80), parse_math=False)
    axes.set_ylabel("standard error" + (" (of the log)" if ratio else ""))


def _point_key(words: str, marker: str = "o", filled: bool = True) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], marker=marker, color=INK, markerfacecolor=INK if filled else "white", markersize=4.5,
        linestyle="none", label=words,
    )  # fmt: skip


def _cone_keys(centre: str, region: str) -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=BLUE, linewidth=1.4, label=centre),
        Line2D(
            [], [], color=BLUE, linewidth=1.1, linestyle=(0, (4, 2)),
            label=region,
        ),
    ]  # fmt: skip
