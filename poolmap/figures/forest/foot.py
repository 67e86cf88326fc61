"""What stands below a forest plot: the directions, the legend, the notes and the key of the risk of bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poolmap.figures.forest.layout import GAP, Columns
from poolmap.figures.forest.page import Page
from poolmap.figures.forest.rows import JUDGEMENTS, ForestRow, Summary
from poolmap.figures.forest.ruler import Ruler
from poolmap.figures.forest.table import DASHED, PART
from poolmap.figures.style import BLUE, INK

if TYPE_CHECKING:
    from matplotlib.lines import Line2D


def directions(
    ruler: Ruler, columns: Columns, favours: tuple[str, str] | None, middle: float
) -> tuple[str, str] | None:
    """What effects left and right of no effect favour, in lines that stay on the page.

    Args:
        middle: where no effect stands, inches from the left.
    """
    if not favours:
        return None
    left, right = (middle - 2 * GAP, columns.width - middle - 2 * GAP)
    return ruler.wrap(f"← {favours[0]}", left), ruler.wrap(f"{favours[1]} →", right)


def put_directions(page: Page, sides: tuple[str, str], middle: float, top: float) -> None:
    """Both directions, on either side of no effect."""
    page.put(middle - 0.5 * GAP, top, sides[0], align="right", va="top")
    page.put(middle + 0.5 * GAP, top, sides[1], va="top")


def key_and_notes(
    ruler: Ruler, columns: Columns, note: str, domains: Sequence[str], rows: Sequence[ForestRow]
) -> list[str]:
    """The note and the key of the risk of bias, in lines as wide as the page."""
    found = [note] if note else []
    if domains:
        key = "; ".join(f"D{j} {name}" for j, name in enumerate(domains, 1))
        shown = [name for name in JUDGEMENTS if any(name in row.bias for row in rows)]
        letters = ", ".join(f"{JUDGEMENTS[name][0]} {name}" for name in shown)
        found.append(f"Risk of bias: {letters}. {key}")
    return [ruler.wrap(text, columns.width - 2 * GAP) for text in found]


def legend(
    page: Page, top: float, summaries: Sequence[Summary], of_all: Sequence[Summary], doubled: bool
) -> None:
    """What the markers mean, in a row below `top`."""
    entries = [_entry("study's own estimate", INK, "s", 5, line=1.1)]
    if doubled:
        entries.append(_entry("given all studies", BLUE, "o", 4.5, face="white", line=1.0, style=DASHED))
    whole = {id(summary) for summary in of_all}
    diamonds = [id(s) in whole for s in summaries if s.shape == "diamond"]
    if False in diamonds:
        entries.append(_entry("pooled, subgroup", INK, "D", 5, face=PART))
    if True in diamonds:
        entries.append(_entry("pooled", INK, "D", 5))
    if any(s.shape == "line" for s in summaries):
        entries.append(_entry("prediction, new study", INK, "|", 7, line=1.8))
    page.figure.legend(
        handles=entries, loc="upper center", bbox_to_anchor=page.at(page.width / 2, top),
        bbox_transform=page.figure.transFigure, ncol=len(entries), fontsize=page.size, borderaxespad=0,
        handlelength=2.4, columnspacing=1.4,
    )  # fmt: skip


def _entry(
    label: str,
    color: str,
    marker: str,
    size: float,
    *,
    face: str = "",
    line: float = 0.0,
    style: object = "-",
) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=color, marker=marker, markersize=size, markerfacecolor=face or color, linewidth=line,
        linestyle=style, label=label,
    )  # fmt: skip
