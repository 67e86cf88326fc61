"""What a forest plot draws in its axes, gathered first and drawn in a few batches: 200 studies stay quick."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Interval = tuple[float, float, float]
"""Estimate, lower and upper end of its interval, on the scale that is drawn."""


class Marks:
    """Intervals and markers of one axes, kept by their look until `draw`.

    Args:
        axes: with its final limits across; what passes them ends in an arrow head.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.limits = axes.get_xlim()
        self._bars: dict[tuple, list] = defaultdict(list)
        self._ends: dict[tuple, list] = defaultdict(list)
        self._markers: dict[tuple, list] = defaultdict(list)

    def whisker(
        self, value: Interval, y: float, color: str, width: float, style: object, *, caps: bool = False
    ) -> None:
        """An interval; an end beyond the axis becomes an arrow head, else (with `caps`) a tick."""
        low, high = self.limits
        _, lower, upper = value
        left, right = max(lower, low), min(upper, high)
        if left < right:
            self._bars[color, width, style].append([(left, y), (right, y)])
        for end, edge, beyond, arrow in ((lower, low, lower < low, "<"), (upper, high, upper > high, ">")):
            if beyond:
                self._ends[color, arrow, 4.0, 1.0].append((edge, y))
            elif caps:
                self._ends[color, "|", 7.0, width].append((end, y))

    def marker(self, x: float, y: float, shape: str, size: float, face: str, edge: str) -> None:
        """A marker of `size` square points; none where the estimate is beyond the axis."""
        if self.limits[0] <= x <= self.limits[1]:
            self._markers[shape, face, edge].append((x, y, size))

    def draw(self) -> None:
        """Draw all: a collection of lines and one of markers for each look."""
        from matplotlib.collections import LineCollection

        for (color, width, style), bars in self._bars.items():
            self.axes.add_collection(
                LineCollection(bars, colors=color, linewidths=width, linestyles=[style], zorder=3),
                autolim=False,
            )
        for (color, shape, size, width), ends in self._ends.items():
            x, y = zip(*ends, strict=True)
            self.axes.plot(
                x, y, linestyle="none", marker=shape, markersize=size, markeredgewidth=width, color=color,
                clip_on=False, zorder=4,
            )  # fmt: skip
        for (shape, face, edge), points in self._markers.items():
            x, y, size = zip(*points, strict=True)
            self.axes.scatter(
                x, y, marker=shape, s=size, facecolor=face, edgecolor=edge, linewidth=1.0, zorder=4
            )
