"""What figures with a row a study share: names in as many lines as they need, rows as high as their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.138  # inches, of a line of text of 8 points
WIDE = 36  # characters
TALL = 6.0  # inches


def in_lines(name: str, width: int = WIDE) -> str:
    """A name in lines of at most `width` characters, nothing left out (Chinese characters count twice).

    A line ends at a space, or after an underscore where the word alone is longer than a line.
    """
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in name)
    width = max(8, width * len(name) // (len(name) + wide)) if wide else width
    lines = [""]
    for word in name.split():
        parts = re.findall("[^_]*_|[^_]+", word) if len(word) > width else [word]
        parts = [part[i : i + width] for part in parts for i in range(0, len(part), width)]
        for n, part in enumerate(parts):
            joined = lines[-1] + " " * (n == 0 and lines[-1] != "") + part
            if len(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(part)
    return "\n".join(lines)


def stack(labels: Sequence[str], least: float | Sequence[float], room: float = 0.05) -> np.ndarray:
    """Tops of rows one below the other, inches from the first, and the bottom of the last (row + 1,).

    Args:
        labels: of the rows, in lines.
        least: height of a row, however short its label.
        room: above and below the label together.
    """
    heights = [LINE * (label.count("\n") + 1) + room for label in labels]
    return np.append(0.0, np.cumsum(np.maximum(heights, least)))


def furthest(moved: np.ndarray, most: int) -> np.ndarray:
    """Positions of the `most` largest values (all where there are no more), in the order given."""
    moved = np.asarray(moved, dtype=float)
    return np.sort(np.argsort(-moved, kind="stable")[:most])


def ticks_on_top(axes: Axes, height: float) -> None:
    """The ticks of a plot of many rows also above it, where the axis below may be off the screen."""
    if height > TALL:
        axes.tick_params(axis="x", top=True, labeltop=True)


def legend_above(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """A legend above the axes that reads along its rows, labels as they are written."""
    along = [handle for column in range(columns) for handle in handles[column::columns]]
    legend = figure.legend(handles=along, loc="outside upper center", ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)
