"""Measures texts as they will be drawn, and breaks them into lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Ruler:
    """Widths of texts of one size, in inches.

    Args:
        figure: whose fonts are used.
        size: points.
    """

    def __init__(self, figure: Figure, size: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.font_manager import FontProperties

        self._renderer = FigureCanvasAgg(figure).get_renderer()
        self._dpi = figure.dpi
        self._fonts = [FontProperties(size=size, weight=weight) for weight in ("normal", "bold")]
        self._known: dict[tuple[str, bool], float] = {}

    def width(self, text: str, *, bold: bool = False) -> float:
        """Width of a text; of the longest line where there are several."""
        return max(self._line(line, bold) for line in text.split("\n"))

    def wrap(self, text: str, most: float, *, bold: bool = False, lines: int = 0) -> str:
        """A text in lines no wider than `most`.

        Lines end at spaces, but not at no-break ones; inside a word only where it is longer than a line.

        Args:
            lines: what does not fit in so many lines is cut with an ellipsis; 0: nothing is cut.
        """
        found = [""]
        for word in text.split(" "):
            joined = f"{found[-1]} {word}".lstrip()
            if self._line(joined, bold) <= most:
                found[-1] = joined
            elif self._line(word, bold) <= most:
                found.append(word)
            else:
                found += self._break(word, most, bold)
        found = [line for line in found if line] or [""]
        if lines and len(found) > lines:
            last = found[lines - 1]
            while last and self._line(f"{last}…", bold) > most:
                last = last[:-1].rstrip()
            found = [*found[: lines - 1], f"{last}…"]
        return "\n".join(found)

    def _break(self, word: str, most: float, bold: bool) -> list[str]:
        parts = [""]
        for letter in word:
            if parts[-1] and self._line(parts[-1] + letter, bold) > most:
                parts.append("")
            parts[-1] += letter
        return parts

    def _line(self, line: str, bold: bool) -> float:
        if (line, bold) not in self._known:
            pixels = self._renderer.get_text_width_height_descent(line, self._fonts[bold], False)[0]
            self._known[line, bold] = pixels / self._dpi
        return self._known[line, bold]
