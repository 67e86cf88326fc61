"""What the scatter plots of studies share: axes at true values, marker areas, names beside points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.forest import ratio_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAME = 34  # characters
PLACES = (
    # direction from the marker, horizontal and vertical alignment
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (0.7, 0.7, "left", "bottom"),
    (-0.7, 0.7, "right", "bottom"),
    (0.7, -0.7, "left", "top"),
    (-0.7, -0.7, "right", "top"),
)


def effect_axis(axes: Axes, which: str, *, log: bool) -> None:
    """Ticks of an axis of effects, once its limits are set: true values (0.5, 1, 2) on a log axis.

    Args:
        which: `x` or `y`.
        log: whether the axis shows ratios, given as ratios.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not log:
        return
    low, high = getattr(axes, f"get_{which}lim")()
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(ratio_ticks(*sorted((low, high)))))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def marker_areas(weights: np.ndarray, largest: float = 160.0, least: float = 8.0) -> np.ndarray:
    """Areas of markers in square points, in proportion to the weights, none below `least`."""
    weights = np.asarray(weights, dtype=float)
    return np.maximum(largest * weights / weights.max(), least)


def shorten(name: str) -> str:
    """A study's name; where it is long, cut before its last word (the year) with an ellipsis."""
    if len(name) <= MOST_NAME:
        return name
    last = name.rsplit(" ", 1)[-1]
    last = f" {last}" if len(last) <= 8 else ""
    return name[: MOST_NAME - 1 - len(last)].rstrip(" ,&") + "…" + last


def name_points(
    figure: Figure,
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    names: Sequence[str],
    *,
    order: Sequence[int] | None = None,
    areas: np.ndarray | None = None,
) -> list[int]:
    """Names beside points, each where it overlaps no other name, no marker and no edge.

    A name without such a place is left out. Call it last: it needs the final place of the axes.

    Args:
        x, y: the points, in the axes' coordinates (point,).
        names: of the points; "" for none.
        order: which points are named first; those left out of it get no name.
        areas: of the markers in square points (point,); small dots where it is left out.

    Returns:
        the points that were named.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(np.column_stack([x, y]))
    radii = np.full(len(names), 2.5) if areas is None else np.sqrt(np.asarray(areas)) / 2
    taken = [
        Bbox.from_extents(px - reach, py - reach, px + reach, py + reach)
        for (px, py), reach in zip(dots, 0.9 * radii * figure.dpi / 72, strict=True)
        if np.isfinite([px, py]).all()
    ]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent(renderer))
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    named = []
    for i in range(len(names)) if order is None else order:
        if not names[i]:
            continue
        away = radii[i] + 2.5
        for dx, dy, across, up in PLACES:
            text = axes.annotate(
                shorten(names[i]), (x[i], y[i]), (away * dx, away * dy), textcoords="offset points",
                ha=across, va=up, fontsize=7, parse_math=False, zorder=6,
            )  # fmt: skip
            text.set_in_layout(False)
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
            box = text.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                named.append(i)
                break
            text.remove()
    return named
