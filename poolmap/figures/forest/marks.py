"""What a forest plot draws in its axes, gathered first and drawn in a few batches: 200 studies stay quick."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.forest.rows import Interval
from poolmap.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 7.0  # square points: a square of next to no weight stays visible


class Marks:
    """Intervals and markers of one axes, kept by their look until `draw`.

    Args:
        axes: with its final limits across; what passes them ends in an arrow head.
        log: whether they are on a log axis.
        width: of the axes in inches.
    """

    def __init__(self, axes: Axes, *, log: bool, width: float) -> None:
        self.axes = axes
        self.limits = axes.get_xlim()
        self._to = np.log if log else float
        self._point = (self._to(self.limits[1]) - self._to(self.limits[0])) / (72 * width)
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
            self._bars[color, width, style, 3].append([(left, y), (right, y)])
        for end, edge, beyond, arrow in ((lower, low, lower < low, "<"), (upper, high, upper > high, ">")):
            if beyond:
                self._ends[color, arrow, 4.0, 1.0].append((edge, y))
            elif caps:
                self._ends[color, "|", 7.0, width].append((end, y))

    def square(self, value: Interval, y: float, area: float) -> None:
        """A filled square of `area` square points; where it hides an end of the interval, that is white."""
        estimate, *ends = value
        area = max(area, SMALLEST)
        self._marker(estimate, y, "s", area, INK, "none")
        for end in ends:
            if end > 0 or self._to is float:
                points = abs(self._to(end) - self._to(estimate)) / self._point
                if 0.5 < points < np.sqrt(area) / 2:
                    self._bars["white", 0.8, "-", 5].append([(estimate, y), (end, y)])

    def circle(self, x: float, y: float, area: float, color: str) -> None:
        """An open circle of `area` square points."""
        self._marker(x, y, "o", area, "white", color)

    def diamond(self, value: Interval, y: float, half: float, face: str) -> None:
        """A diamond from end to end of an interval, `half` as high as it is on both sides of the middle."""
        from matplotlib.patches import Polygon

        estimate, lower, upper = value
        corners = [(lower, y), (estimate, y - half), (upper, y), (estimate, y + half)]
        self.axes.add_patch(
            Polygon(corners, closed=True, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=4)
        )

    def _marker(self, x: float, y: float, shape: str, area: float, face: str, edge: str) -> None:
        if self.limits[0] <= x <= self.limits[1]:
            self._markers[shape, face, edge].append((x, y, area))

    def draw(self) -> None:
        """Draw all: a collection of lines and one of markers for each look."""
        from matplotlib.collections import LineCollection

        for (color, width, style, order), bars in self._bars.items():
            self.axes.add_collection(
                LineCollection(bars, colors=color, linewidths=width, linestyles=[style], zorder=order),
                autolim=False,
            )
        for (color, shape, size, width), ends in self._ends.items():
            x, y = zip(*ends, strict=True)
            self.axes.plot(
                x, y, linestyle="none", marker=shape, markersize=size, markeredgewidth=width, color=color,
                clip_on=False, zorder=4,
            )  # fmt: skip
        for (shape, face, edge), points in self._markers.items():
            x, y, area = zip(*points, strict=True)
            self.axes.scatter(
                x, y, marker=shape, s=area, facecolor=face, edgecolor=edge, linewidth=1.0, clip_on=False,
                zorder=4,
            )  # fmt: skip
