"""Where everything of a forest plot stands: rows from the top, columns from the left, all in inches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from poolmap.figures.forest.rows import ForestRow, Interval, Subgroup, Summary
from poolmap.figures.forest.ruler import Ruler

WIDTH = 7.5
PLOT = 2.0  # narrowest plot
GAP = 0.12
JUDGEMENT = 0.22  # column of the risk of bias
MANY = 30  # studies: of more, rows are dense
TALL = 6.0  # rows so high have the ticks on top too


@dataclass(frozen=True)
class Pitch:
    """Sizes of the rows: inches; `text` and `judgement` in points, `square` and `circle` in square points.

    Attributes:
        text: size of letters.
        line: height of a line.
        room: above and below the lines of a row together.
        single, double: least height of a study with its own estimate alone, with both.
        summary, total: least height of a summary in a block, of one of all studies.
        apart: from the middle of a study's row to each of its two estimates.
        square: area of the heaviest study's square.
        circle: area of the circles.
        diamond: from a diamond's middle to its top.
        label, lines: widest name, and most lines of it.
        judgement: size of the symbols of the risk of bias.
        beside: both estimates as text side by side, else one below the other.
    """

    text: float
    line: float
    room: float
    single: float
    double: float
    summary: float
    total: float
    apart: float
    square: float
    circle: float
    diamond: float
    label: float
    lines: int
    judgement: float
    beside: bool


ROOMY = Pitch(
    text=8.0, line=0.133, room=0.06, single=0.215, double=0.325, summary=0.28, total=0.32, apart=0.068,
    square=49.0, circle=18.0, diamond=0.1, label=1.85, lines=5, judgement=10.0, beside=False,
)  # fmt: skip
DENSE = Pitch(
    text=7.5, line=0.12, room=0.034, single=0.154, double=0.154, summary=0.2, total=0.24, apart=0.034,
    square=28.0, circle=9.0, diamond=0.08, label=2.1, lines=5, judgement=8.6, beside=True,
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A row of the plot: what it is, its text and its place, inches from the top of the table."""

    kind: str  # study, summary, subgroup, note, rule, space
    of: ForestRow | Summary | Subgroup | None
    label: str
    left: float
    top: float
    height: float

    @property
    def middle(self) -> float:
        """Where its text stands."""
        return self.top + self.height / 2


@dataclass(frozen=True)
class Columns:
    """Places across, inches from the left of the page.

    Attributes:
        cells: right ends of the columns between name and plot.
        plot: left and right end of the plot.
        own, shrunken: right ends of the texts of the two estimates.
        weight: right end.
        bias: middles.
        right: right end of the rules.
        width: of the page.
    """

    cells: Sequence[float]
    plot: tuple[float, float]
    own: float
    shrunken: float
    weight: float
    bias: Sequence[float]
    right: float
    width: float


@dataclass(frozen=True)
class Headings:
    """Of the columns: `cells` between name and plot, the text of the estimates, the weights."""

    cells: Sequence[str]
    own: str
    shrunken: str
    weight: str

    @property
    def lines(self) -> int:
        """Lines of the highest one."""
        return max(text.count("\n") + 1 for text in (*self.cells, self.own, self.shrunken))


def across(
    ruler: Ruler,
    items: Sequence[Item],
    headings: Headings,
    domains: int,
    write: Callable[[Interval], str],
) -> Columns:
    """The columns as wide as their texts; the plot takes what is left of the page, at least `PLOT`."""

    def bold(text: str) -> float:
        return ruler.width(text, bold=True)

    rows = [item.of for item in items if item.kind == "study"]
    summaries = [item.of for item in items if item.kind == "summary"]
    names = [item.left + ruler.width(item.label) for item in items if item.kind == "study"]
    names += [item.left + bold(item.label) for item in items if item.kind == "summary"]
    study = max([GAP + bold("Study"), *names])
    cells = [
        max([bold(heading), *(ruler.width(row.cells[j]) for row in rows)]
            + [bold(s.cells[j]) for s in summaries if s.cells])
        for j, heading in enumerate(headings.cells)
    ]  # fmt: skip
    own = max([0.3, bold(headings.own), *(ruler.width(write(row.raw)) for row in rows)])
    own = max([own, *(bold(write(s.value)) for s in summaries)])
    given = max((ruler.width(write(row.shrunken)) for row in rows if row.shrunken is not None), default=0.0)
    beside = GAP + max(given, bold(headings.shrunken)) if headings.shrunken else 0.0
    own = own if beside else max(own, given)
    weight = GAP + bold(headings.weight) if headings.weight else 0.0
    bias = GAP + domains * JUDGEMENT if domains else 0.0

    left = study + GAP + sum(w + GAP for w in cells) + GAP
    right = 1.5 * GAP + own + beside + weight + bias + GAP
    width = max(WIDTH, left + PLOT + right)
    ends = np.cumsum([study + GAP, *(w + GAP for w in cells)])[1:] - GAP / 2
    end = width - GAP
    return Columns(
        cells=ends.tolist(),
        plot=(left, width - right),
        own=end - bias - weight - beside,
        shrunken=end - bias - weight,
        weight=end - bias,
        bias=[end - JUDGEMENT * (domains - j - 0.5) for j in range(domains)],
        right=end,
        width=width,
    )


def down(
    ruler: Ruler, pitch: Pitch, blocks: Sequence[Subgroup], summaries: Sequence[Summary], doubled: bool
) -> list[Item]:
    """The rows from the top, each as high as its text; a rule below each block with a summary of its own.

    Headings of blocks and their notes are broken by `fitted`, once the columns are known.
    """
    items: list[Item] = []

    def add(kind: str, of: object, label: str, left: float, least: float) -> None:
        top = items[-1].top + items[-1].height if items else 0.0
        height = pitch.line * (label.count("\n") + 1) + pitch.room if label else 0.0
        items.append(Item(kind, of, label, left, top, max(least, height)))

    def add_summary(summary: Summary, least: float) -> None:
        add("summary", summary, ruler.wrap(summary.label, pitch.label, bold=True), GAP, least)

    study = pitch.double if doubled else pitch.single
    add("space", None, "", 0.0, 0.03)
    for before, block in pairwise([Subgroup("", []), *blocks]):
        if (block.label or before.label) and items[-1].kind == "study":
            add("space", None, "", 0.0, 0.05)
        if block.label:
            add("subgroup", block, block.label, GAP, pitch.single + 0.04)
        left = 2 * GAP if block.label else GAP
        for row in block.rows:
            add("study", row, ruler.wrap(row.label, pitch.label, lines=pitch.lines), left, study)
        for summary in block.summaries:
            add_summary(summary, pitch.summary)
        if block.note:
            add("note", block, block.note, 2 * GAP, pitch.single)
        if block.summaries:
            add("rule", None, "", 0.0, 0.14)
    if items[-1].kind != "rule":
        add("rule", None, "", 0.0, 0.16)
    for summary in summaries:
        add_summary(summary, pitch.total)
    return items


def fitted(ruler: Ruler, pitch: Pitch, items: Sequence[Item], most: float) -> list[Item]:
    """Rows whose headings and notes are broken where they would run into the plot, the rest moved down."""
    found: list[Item] = []
    for item in items:
        label, height = item.label, item.height
        if item.kind in ("subgroup", "note"):
            label = ruler.wrap(label, most - item.left, bold=item.kind == "subgroup")
            height = max(height, pitch.line * (label.count("\n") + 1) + pitch.room)
        top = found[-1].top + found[-1].height if found else 0.0
        found.append(Item(item.kind, item.of, label, item.left, top, height))
    return found
