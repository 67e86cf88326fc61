"""Reporting checklists of a meta-analysis: what was done in this run, and where the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, ModelResult, NamedFigure, ReportTable
from poolmap.families.meta.barg import barg_items
from poolmap.families.meta.prisma import prisma_items
from poolmap.families.meta.run_facts import Item, RunFacts
from poolmap.families.meta.usable import used_by_any

YOURS = "What stands behind 'Not done by poolmap' or 'For you to add' is left to you."


def checklists(
    spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Block]:
    """The synthesis items of PRISMA 2020 and the Bayesian analysis reporting guidelines, a table each.

    Args:
        figures: those on the page, so that no item points to one that was not drawn.
    """
    run = RunFacts(spec, used_by_any(spec, data), results, figures)
    return [
        "What the reporting guidelines ask of a meta-analysis and of a Bayesian analysis, what was done in "
        f"this run, and where in this report it stands. {YOURS} The wording of the items is ours, and short: "
        "see the guidelines for the full ones.",
        _table(
            prisma_items(run),
            "Items 13 to 15 and 19 to 22 of PRISMA 2020 (Page et al. 2021, BMJ 372:n71), on synthesis.",
        ),
        _table(
            barg_items(run),
            "The Bayesian analysis reporting guidelines (Kruschke 2021, Nature Human Behaviour 5:1282).",
        ),
    ]


def _table(items: Sequence[Item], caption: str) -> ReportTable:
    frame = pd.DataFrame(
        [(item.number, item.asks, item.done, item.where or "–") for item in items],
        columns=["Item", "What it asks for", "In this run", "Where"],
    )
    return ReportTable(frame, caption)
