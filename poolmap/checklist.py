"""Items of a reporting guideline, filled in: what was done in a run, and where the report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from poolmap.contracts import Block, ReportTable

NOT_DONE = "Not done by poolmap: "
"""Begins what the guideline asks for and this program does not do."""
TO_ADD = "For you to add: "
"""Begins what only the authors know."""
YOURS = "What stands behind 'Not done by poolmap' or 'For you to add' is left to you."


@dataclass(frozen=True)
class Item:
    """One item of a checklist: its number, what it asks for, what was done, and where it stands."""

    number: str
    asks: str
    done: str
    where: str = ""


def items_table(items: Sequence[Item], caption: str) -> ReportTable:
    """The items as a table of the report."""
    frame = pd.DataFrame(
        [(item.number, item.asks, item.done, item.where or "–") for item in items],
        columns=["Item", "What it asks for", "In this run", "Where"],
    )
    return ReportTable(frame, caption)


def gather(items: Sequence[Item]) -> list[Block]:
    """GATHER, the guideline for health estimates (Stevens et al. 2016, Lancet 388:e19-e23): what it asks, and
    its 18 items filled in."""
    return [
        "What the Guidelines for Accurate and Transparent Health Estimates Reporting (GATHER) ask for, what "
        f"was done in this run, and where in this report it stands. {YOURS} The wording of the items is "
        "ours, and short: see the guideline for the full one.",
        items_table(items, "GATHER (Stevens et al. 2016, Lancet 388:e19)."),
    ]
