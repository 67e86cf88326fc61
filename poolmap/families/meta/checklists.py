"""Reporting checklists of a meta-analysis: what was done in this run, and where the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolmap.checklist import YOURS, items_table
from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, ModelResult, NamedFigure
from poolmap.families.meta.barg import barg_items
from poolmap.families.meta.prisma import prisma_items
from poolmap.families.meta.run_facts import RunFacts
from poolmap.families.meta.usable import used_by_any


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
        items_table(
            prisma_items(run),
            "Items 13 to 15 and 19 to 22 of PRISMA 2020 (Page et al. 2021, BMJ 372:n71), on synthesis.",
        ),
        items_table(
            barg_items(run),
            "The Bayesian analysis reporting guidelines (Kruschke 2021, Nature Human Behaviour 5:1282).",
        ),
    ]
