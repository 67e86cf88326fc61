"""What a forest plot shows: studies, blocks of them, and what is pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolmap.figures.style import INK

Interval = tuple[float, float, float]
"""Estimate, lower and upper end of its interval, on the scale that is drawn."""

JUDGEMENTS = {
    # letter, marker, face, colour of the letter
    "low": ("L", "o", "white", INK),
    "some concerns": ("S", "h", "#d5d9df", INK),
    "high": ("H", "s", INK, "white"),
    "unclear": ("U", "D", "white", INK),
}
"""Judgements of the risk of bias, told apart by letter, shape and shade."""


@dataclass(frozen=True)
class ForestRow:
    """One study.

    Attributes:
        label: its name.
        cells: text of the columns between name and plot.
        raw: the study's own estimate and interval.
        shrunken: the same given all studies; None draws the study's own alone.
        weight: per cent; None for no weight.
        bias: its risk of bias in each domain: `low`, `some concerns`, `high`, `unclear`, or "" for none.
    """

    label: str
    cells: Sequence[str]
    raw: Interval
    shrunken: Interval | None
    weight: float | None
    bias: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """A row below the studies.

    Attributes:
        label: its name.
        value: estimate and interval.
        shape: `diamond` (pooled effect) or `line` (prediction for a new study).
        cells: totals, in the columns of `ForestRow.cells`.
        weight: per cent.
    """

    label: str
    value: Interval
    shape: str
    cells: Sequence[str] = ()
    weight: float | None = None


@dataclass(frozen=True)
class Subgroup:
    """A block of studies under a heading, with a summary of its own.

    Attributes:
        label: its heading; "" for rows that stand by themselves.
        rows: its studies.
        summaries: its pooled effect and prediction.
        note: a line below them (heterogeneity).
    """

    label: str
    rows: Sequence[ForestRow]
    summaries: Sequence[Summary] = ()
    note: str = ""


def check(
    studies: Sequence[ForestRow],
    summaries: Sequence[Summary],
    headings: Sequence[str],
    domains: Sequence[str],
) -> None:
    """Refuse rows that do not fit the columns.

    Raises:
        ValueError: as `forest` says.
    """
    if not studies:
        raise ValueError("no studies to draw")
    for row in studies:
        if len(row.cells) != len(headings):
            raise ValueError(f"study {row.label!r}: {len(row.cells)} cells, {len(headings)} headings")
        if row.bias and len(row.bias) != len(domains):
            raise ValueError(f"study {row.label!r}: {len(row.bias)} judgements, {len(domains)} domains")
        for judgement in row.bias:
            if judgement and judgement not in JUDGEMENTS:
                known = ", ".join(JUDGEMENTS)
                raise ValueError(f"study {row.label!r}: unknown judgement {judgement!r}; known: {known}")
    for summary in summaries:
        if summary.cells and len(summary.cells) != len(headings):
            raise ValueError(f"{summary.label!r}: {len(summary.cells)} cells, {len(headings)} headings")
