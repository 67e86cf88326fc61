"""The page of a forest plot, addressed in inches from the left and from the top of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from poolmap.figures.style import RULE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = "#f1f3f6"


class Page:
    """A figure of which `body` inches hold rows, `head` are above and `foot` below them.

    Args:
        size: of letters, points.
    """

    def __init__(
        self, figure: Figure, *, width: float, head: float, body: float, foot: float, size: float
    ) -> None:
        self.figure, self.width, self.body, self.foot, self.size = figure, width, body, foot, size
        self.height = head + body + foot
        figure.set_size_inches(width, self.height)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place as shares of the figure's width and height."""
        return x / self.width, (self.foot + self.body - y) / self.height

    def axes(self, left: float, right: float) -> Axes:
        """Axes beside all rows, whose y is inches from the top of the rows."""
        x, y = self.at(left, self.body)
        axes = self.figure.add_axes(
            (x, y, (right - left) / self.width, self.body / self.height), label="forest"
        )
        axes.set_ylim(self.body, 0)
        axes.patch.set_visible(False)
        return axes

    def put(self, x: float, y: float, text: str, *, align: str = "left", **style: object) -> None:
        """Write a text."""
        style = {"fontsize": self.size, "parse_math": False, "va": "center", "linespacing": 1.0, **style}
        self.figure.text(*self.at(x, y), text, ha=align, **style)

    def rule(self, y: float, left: float, right: float) -> None:
        """A thin line across."""
        from matplotlib.lines import Line2D

        ends = zip(self.at(left, y), self.at(right, y), strict=True)
        self.figure.add_artist(Line2D(*ends, color=RULE, linewidth=0.8))

    def bands(self, rows: Iterable[tuple[float, float]], left: float, right: float) -> None:
        """Shade rows, given by top and bottom, that the eye keeps to its line."""
        from matplotlib.collections import PolyCollection

        corners = [
            [self.at(left, top), self.at(right, top), self.at(right, bottom), self.at(left, bottom)]
            for top, bottom in rows
        ]
        self._add(PolyCollection(corners, facecolor=BAND, edgecolor="none", zorder=-1))

    def symbols(
        self, places: Iterable[tuple[float, float]], marker: str, size: float, face: str, ink: str, label: str
    ) -> None:
        """Markers of one look, `size` points wide."""
        from matplotlib.lines import Line2D

        points = zip(*(self.at(x, y) for x, y in places), strict=True)
        self._add(
            Line2D(
                *points, marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=ink,
                markeredgewidth=0.7, linestyle="none", label=label,
            )
        )  # fmt: skip

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self.figure.transFigure)
        self.figure.add_artist(artist)
