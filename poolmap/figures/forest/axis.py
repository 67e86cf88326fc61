"""The axis of a forest plot: its ends and ticks, and what lies on either side of no effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.forest.rows import ForestRow, Summary
from poolmap.figures.ticks import MOST_TICKS, plain, ratio_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BETWEEN = 0.12  # inches, least gap of two tick labels


def limits(
    rows: Sequence[ForestRow],
    summaries: Sequence[Summary],
    *,
    log: bool,
    null: float | None,
    bounds: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Ends of the axis: estimates and shrunken intervals, and wider intervals as far as they leave room.

    Where no study has a shrunken interval, nine in ten of the studies' own take their place.
    """
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    diamonds = [x for s in summaries if s.shape == "diamond" for x in s.value]
    core = [*diamonds, *(row.raw[0] for row in rows)]
    core += [x for row in rows if row.shrunken is not None for x in row.shrunken]
    if null is not None:
        core.append(null)
    if all(row.shrunken is None for row in rows):
        core.append(float(np.quantile([row.raw[1] for row in rows], 0.1, method="higher")))
        core.append(float(np.quantile([row.raw[2] for row in rows], 0.9, method="lower")))
    wide = [*core, *(x for row in rows for x in row.raw), *(x for s in summaries for x in s.value)]
    with np.errstate(divide="ignore"):
        core, wide = to(np.array(core, dtype=float)), to(np.array(wide, dtype=float))
    core = core[np.isfinite(core)]
    span = core.max() - core.min()
    low = max(wide.min(), core.min() - 0.35 * span)
    high = min(wide.max(), core.max() + 0.35 * span)
    pad = 0.04 * (high - low)
    low, high = float(back(low - pad)), float(back(high + pad))
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def place(value: float, low: float, high: float, *, log: bool) -> float:
    """Where on the axis a value stands: 0 at its left end, 1 at its right."""
    ends = (value, low, high)
    at, left, right = np.log(ends) if log else ends
    return float((at - left) / (right - left))


def ticks(
    low: float, high: float, *, log: bool, width: float, measure: Callable[[str], float]
) -> tuple[list[float], list[str]]:
    """As many round values as fit, at most `MOST_TICKS`, and how they are written.

    Args:
        width: of the axis, inches.
        measure: width of a text, inches.
    """
    from matplotlib.ticker import MaxNLocator

    for most in range(MOST_TICKS, 2, -1):
        if log:
            found = ratio_ticks(low, high, most)
        else:
            steps = MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
            found = [float(t) for t in steps if low <= t <= high]
        labels = [plain(t) for t in found]
        if _apart(found, labels, low, high, log=log, width=width, measure=measure):
            return found, labels
    ends = [found[0], found[-1]]
    return ends, [plain(t) for t in ends]


def _apart(found, labels, low, high, *, log, width, measure) -> bool:
    """Whether no two labels touch."""
    middles = width * np.array([place(t, low, high, log=log) for t in found])
    halves = np.array([measure(label) for label in labels]) / 2
    return bool((np.diff(middles) >= halves[1:] + halves[:-1] + BETWEEN).all())


def dress(
    axes: Axes, found: Sequence[float], labels: Sequence[str], *, title: str, size: float, top: bool
) -> None:
    """Ticks, their labels (also on top of a tall plot) and the title below."""
    from matplotlib.ticker import NullLocator

    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(found, labels)
    axes.tick_params(axis="x", labelsize=size, length=3, top=top, labeltop=top)
    axes.set_xlabel(title, fontsize=size + 0.5, labelpad=2, parse_math=False)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
