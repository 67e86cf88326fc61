"""The rows of a forest plot: texts in their columns, intervals and markers in the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from poolmap.figures.forest.layout import GAP, Columns, Headings, Item, Pitch
from poolmap.figures.forest.marks import Marks
from poolmap.figures.forest.page import Page
from poolmap.figures.forest.rows import JUDGEMENTS, ForestRow, Interval, Summary
from poolmap.figures.style import BLUE, INK

PART = "#a9b0ba"  # a subgroup's diamond
DASHED = (0, (3, 1.2))
BOLD = {"fontweight": "bold"}
GIVEN = {"color": BLUE, "fontstyle": "italic"}
WIDER = {"o": 1.0, "h": 1.05, "s": 0.85, "D": 0.75}  # markers of one apparent size


class Table:
    """Draws the rows.

    Args:
        write: estimate and interval as text.
        heaviest: weight of the heaviest study, whose square has the pitch's area.
        of_all: the summaries of all studies, whose diamonds are black.
    """

    def __init__(
        self,
        page: Page,
        marks: Marks,
        pitch: Pitch,
        columns: Columns,
        write: Callable[[Interval], str],
        heaviest: float,
        of_all: Sequence[Summary],
    ) -> None:
        self.page, self.marks, self.pitch, self.columns = page, marks, pitch, columns
        self.write, self.heaviest = write, heaviest
        self.of_all = {id(summary) for summary in of_all}
        self._judged: dict[str, list[tuple[float, float]]] = {}

    def head(self, headings: Headings, domains: int, y: float) -> None:
        """The headings of the columns, their middle at y."""
        columns, page = self.columns, self.page
        page.put(GAP, y, "Study", **BOLD)
        for end, heading in zip(columns.cells, headings.cells, strict=True):
            page.put(end, y, heading, align="right", **BOLD)
        page.put(columns.own, y, headings.own, align="right", **BOLD)
        if headings.shrunken:
            page.put(columns.shrunken, y, headings.shrunken, align="right", **BOLD)
        if headings.weight:
            page.put(columns.weight, y, headings.weight, align="right", **BOLD)
        for j in range(domains):
            page.put(columns.bias[j], y, f"D{j + 1}", align="center", **BOLD)

    def draw(self, items: Sequence[Item]) -> None:
        """All rows, and the rule above them; every other study on a band where rows are dense."""
        left, right = GAP, self.columns.right
        self.page.rule(0.0, left, right)
        if self.pitch.beside:
            studies = [item for item in items if item.kind == "study"]
            shaded = [(item.top, item.top + item.height) for item in studies[1::2]]
            self.page.bands(shaded, left, right)
        for item in items:
            if item.kind == "rule":
                self.page.rule(item.middle, left, right)
            elif item.kind == "subgroup":
                self.page.put(item.left, item.middle, item.label, **BOLD)
            elif item.kind == "note":
                self.page.put(item.left, item.middle, item.label, fontstyle="italic")
            elif item.kind == "study":
                self._study(item, item.of)
            elif item.kind == "summary":
                self._summary(item, item.of)
        self.marks.draw()
        for judgement, places in self._judged.items():
            _, marker, face, _ = JUDGEMENTS[judgement]
            size = self.pitch.judgement * WIDER[marker]
            self.page.symbols(places, marker, size, face, INK, f"bias {judgement}")

    def _study(self, item: Item, row: ForestRow) -> None:
        y, page, columns, pitch = item.middle, self.page, self.columns, self.pitch
        page.put(item.left, y, item.label)
        for end, text in zip(columns.cells, row.cells, strict=True):
            page.put(end, y, text, align="right")
        apart = pitch.apart if row.shrunken is not None else 0.0
        stacked = 0.0 if pitch.beside else apart
        page.put(columns.own, y - stacked, self.write(row.raw), align="right")
        weight = self.heaviest if row.weight is None else row.weight
        self.marks.whisker(row.raw, y - apart, INK, 1.1, "-")
        self.marks.square(row.raw, y - apart, pitch.square * weight / self.heaviest)
        if row.shrunken is not None:
            page.put(columns.shrunken, y + stacked, self.write(row.shrunken), align="right", **GIVEN)
            self.marks.whisker(row.shrunken, y + apart, BLUE, 1.0, DASHED)
            self.marks.circle(row.shrunken[0], y + apart, pitch.circle, BLUE)
        if row.weight is not None:
            page.put(columns.weight, y, percent(row.weight), align="right")
        for x, judgement in zip(columns.bias, row.bias, strict=False):
            if judgement:
                letter, _, _, ink = JUDGEMENTS[judgement]
                self._judged.setdefault(judgement, []).append((x, y))
                page.put(x, y, letter, align="center", va="center_baseline", color=ink, fontsize=6, zorder=5)

    def _summary(self, item: Item, summary: Summary) -> None:
        y, page, columns = item.middle, self.page, self.columns
        page.put(item.left, y, item.label, **BOLD)
        for end, text in zip(columns.cells, summary.cells, strict=False):
            page.put(end, y, text, align="right", **BOLD)
        page.put(columns.own, y, self.write(summary.value), align="right", **BOLD)
        if summary.weight is not None:
            page.put(columns.weight, y, percent(summary.weight), align="right", **BOLD)
        if summary.shape == "diamond":
            face = INK if id(summary) in self.of_all else PART
            self.marks.diamond(summary.value, y, self.pitch.diamond, face)
        else:
            self.marks.whisker(summary.value, y, INK, 1.8, "-", caps=True)


def percent(weight: float) -> str:
    """A weight as text."""
    return f"{weight:.1f}%"
