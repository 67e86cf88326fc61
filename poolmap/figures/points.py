"""What the scatter plots of studies share: axes at true values, marker areas, names beside points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.forest import MOST_TICKS, ratio_ticks
from poolmap.figures.rows import in_lines
from poolmap.figures.style import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

NAME = 24  # characters a line
FULL_SIZE = 30  # studies: of more, the markers are smaller
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
    (0.94, 0.34, "left", "center"),
    (0.94, -0.34, "left", "center"),
    (-0.94, 0.34, "right", "center"),
    (-0.94, -0.34, "right", "center"),
)
AWAY = (2.5, 9.0, 16.0)  # points between marker and name; from the second on a line joins them


def plain(value: float) -> str:
    """A number to six digits, without powers of ten: 0.00001, 1000000."""
    places = max(0, 5 - int(np.floor(np.log10(abs(value))))) if value else 0
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\N{MINUS SIGN}")


def effect_axis(axes: Axes, which: str, *, log: bool, most: int = MOST_TICKS) -> None:
    """Ticks of an axis of effects, once its limits are set: true values (0.5, 1, 2) on a log axis.

    Args:
        which: `x` or `y`.
        log: whether the axis shows ratios, given as ratios.
        most: ticks.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not log:
        return
    low, high = getattr(axes, f"get_{which}lim")()
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(ratio_ticks(*sorted((low, high)), most)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def reach_null(low: float, high: float, null: float | None, most: float = 4.0) -> tuple[float, float]:
    """Ends of an axis stretched to the value of no effect, unless it lies `most` lengths of the axis away.

    Args:
        low, high, null: on a linear axis; null None for no such value.
    """
    if null is None or max(low - null, null - high) > most * (high - low) > 0:
        return low, high
    return min(low, null), max(high, null)


def marker_areas(weights: np.ndarray, largest: float = 160.0, least: float = 8.0) -> np.ndarray:
    """Areas of markers in square points, in proportion to the weights, none below `least`.

    The largest marker has the area `largest` where there are up to 30, and less where there are more.
    """
    weights = np.asarray(weights, dtype=float)
    largest *= min(1.0, FULL_SIZE / weights.size) ** 0.6
    return np.maximum(largest * weights / weights.max(), least)


def shorten(name: str) -> str:
    """A study's name in at most two lines; where it is longer, cut before its last word (the year)."""
    lines = in_lines(name, NAME + 2).split("\n")
    if len(lines) <= 2:
        return "\n".join(lines)
    first, second = in_lines(name, NAME).split("\n")[:2]
    last = name.rsplit(" ", 1)[-1]
    last = f" {last}" if len(last) <= 8 else ""
    return f"{first}\n{second[: NAME - 1 - len(last)].rstrip(' ,&')}…{last}"


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

    Places that no line of the plot crosses come first, and near places before far ones, which a thin line
    joins to their point. A name without a place is left out. Call it last: it needs the final place of the
    axes.

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

    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    scale = figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(np.column_stack([x, y]))
    radii = np.full(len(names), 2.5) if areas is None else np.sqrt(np.asarray(areas)) / 2
    reach = 0.9 * radii[:, None] * scale
    taken = np.hstack([dots - reach, dots + reach])[np.isfinite(dots).all(axis=1)]
    for text in axes.texts:
        taken = np.vstack([taken, text.get_window_extent(renderer).extents])
    lines = _drawn_lines(axes, frame)
    to_data = axes.transData.inverted()
    named = []
    for i in range(len(names)) if order is None else order:
        if not names[i]:
            continue
        found: list[tuple[int, int, int]] = []  # lines crossed, then nearness
        text = axes.annotate(
            shorten(names[i]), (x[i], y[i]), (0, 0), textcoords="offset points", fontsize=7, linespacing=1.05,
            parse_math=False, zorder=6,
        )  # fmt: skip
        text.set_in_layout(False)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        for far, extra in enumerate(AWAY):
            for turn, (dx, dy, across, up) in enumerate(PLACES):
                box = _at(text, (radii[i] + extra) * np.array([dx, dy]), across, up, renderer)
                inside = (
                    frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
                )
                if not inside or _overlaps(box, taken):
                    continue
                if not far or not _crossed(dots[i], box, taken, radii[i] * scale):
                    found.append((_overlaps(box, lines), far, turn))
            if found and min(found)[0] == 0:
                break
        if not found:
            text.remove()
            continue
        _, far, turn = min(found)
        dx, dy, across, up = PLACES[turn]
        box = _at(text, (radii[i] + AWAY[far]) * np.array([dx, dy]), across, up, renderer)
        taken = np.vstack([taken, box.extents])
        if far:
            ends = np.array([dots[i] + radii[i] * scale * np.array([dx, dy]), _nearest(dots[i], box)])
            axes.add_line(_leader(to_data.transform(ends)))
            lines = np.vstack([lines, np.tile(np.linspace(*ends, 8), 2)])
        named.append(i)
    return named


def _at(text, offset: np.ndarray, across: str, up: str, renderer) -> Bbox:
    """Set a name at its offset from the point; where it then stands on the page."""
    text.set_position(tuple(offset))
    text.set(ha=across, va=up, multialignment=across)
    return text.get_window_extent(renderer)


def _overlaps(box: Bbox, others: np.ndarray) -> int:
    """How many of the boxes or points (x0, y0, x1, y1) a box overlaps."""
    if not len(others):
        return 0
    x0, y0, x1, y1 = others.T
    return int(((x0 < box.x1) & (x1 > box.x0) & (y0 < box.y1) & (y1 > box.y0)).sum())


def _drawn_lines(axes: Axes, frame: Bbox) -> np.ndarray:
    """Points on the lines of the plot, every four pixels, as boxes without extent (point, 4)."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        if line.get_linestyle() == "None" or len(line.get_xdata(orig=False)) < 2:
            continue
        path = line.get_transform().transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
        path = path[np.isfinite(path).all(axis=1)]
        path = np.clip(path, [frame.x0, frame.y0], [frame.x1, frame.y1])
        for start, end in pairwise(path):
            steps = np.linspace(0, 1, 2 + int(np.hypot(*(end - start)) / 4))
            found.append(start + steps[:, None] * (end - start))
    return np.tile(np.concatenate(found), 2)


def _nearest(dot: np.ndarray, box: Bbox) -> np.ndarray:
    """The place of a box that is nearest to a point."""
    return np.clip(dot, [box.x0, box.y0], [box.x1, box.y1])


def _crossed(dot: np.ndarray, box: Bbox, taken: np.ndarray, radius: float) -> bool:
    """Whether the line from a marker to its name would cross another marker or name."""
    end = _nearest(dot, box)
    length = np.hypot(*(end - dot))
    steps = np.linspace(min(1.0, (radius + 2) / max(length, 1e-9)), 1, 8)
    way = dot + steps[:, None] * (end - dot)
    x0, y0, x1, y1 = taken.T[:, :, None]
    hit = (x0 < way[:, 0]) & (way[:, 0] < x1) & (y0 < way[:, 1]) & (way[:, 1] < y1)
    own = (x0[:, 0] < dot[0]) & (dot[0] < x1[:, 0]) & (y0[:, 0] < dot[1]) & (dot[1] < y1[:, 0])
    return bool((hit.any(axis=1) & ~own).any())


def _leader(ends: np.ndarray):
    from matplotlib.lines import Line2D

    return Line2D(*ends.T, color=MUTED, linewidth=0.5, zorder=5, label="_leader")
