"""What the report says of the data of multilevel regression and poststratification."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, ReportTable
from poolmap.families.mrp.words import counted, listed


def describe(spec: MrpAnalysis, data: Dataset) -> list[Block]:
    """What the survey and the census hold, what was left out, which levels nobody was asked in."""
    facts, levels = data.facts, data.tables["levels"]
    answers = "; ".join(f"{answer}: {count:,}" for answer, count in facts["answers"].items())
    respondents = facts["respondents"]
    blocks: list[Block] = [
        f"The survey ({spec.survey}) gives {respondents:,} usable rows in {facts['survey_cells']:,} cells; "
        f"the census ({spec.census}) counts a population of {facts['population']:,.0f} in "
        f"{facts['census_cells']:,} cells. Answers to '{spec.outcome.column}': {answers}; "
        f"'{spec.outcome.positive}' counts as yes and every other answer counted here as no."
    ]
    if facts["rows_excluded"]:
        counts = data.exclusions["reason"].value_counts()
        reasons = "; ".join(f"{reason}: {count}" for reason, count in counts.items())
        blocks.append(
            f"{counted(facts['rows_excluded'], 'row')} of the survey could not be used ({reasons}); the list "
            "of exclusions names each."
        )
    blocks.append(_levels_table(levels))
    if (~levels["seen"]).any():
        blocks.append(
            "Levels of the census that the survey does not hold are estimated from the predictors and the "
            "other factors alone; their own effect is drawn from the distribution of its batch, so their "
            "intervals are wider."
        )
    for name, source in facts["predictors"].items():
        blocks.append(_predictor(name, source))
    merged = facts["census_rows"] - facts["census_cells"]
    if merged:
        blocks.append(
            f"{counted(merged, 'row')} of the census repeated a cell (they differ in columns that the "
            "analysis does not use); their counts were added up."
        )
    if facts["respondents_outside_census_cells"]:
        blocks.append(
            f"{counted(facts['respondents_outside_census_cells'], 'row')} of the survey belong to "
            "combinations of levels that the census does not list: they inform the model, but no "
            "population is there."
        )
    for table, groups in facts["groups_without_people"].items():
        blocks.append(
            f"Without population in the census, so without an estimate in '{table}': {listed(groups)}."
        )
    findings = facts.get("geometry_findings", [])
    if findings:
        said = [f"{f['area'] or 'all areas'}: {f['finding']} ({f['action']})" for f in findings]
        blocks.append(f"Boundaries: {listed(said)}.")
    return blocks


def _levels_table(levels: pd.DataFrame) -> ReportTable:
    grouped = levels.groupby("term", sort=False)
    unseen = levels[~levels["seen"]].groupby("term")["census_n"].sum()
    frame = pd.DataFrame(
        {
            "Varying intercept": grouped.size().index,
            "Levels in the census": [f"{(part['census_n'] > 0).sum():,}" for _, part in grouped],
            "In the survey": [f"{part['seen'].sum():,}" for _, part in grouped],
            "Population in the others": [f"{unseen.get(term, 0):,.0f}" for term, _ in grouped],
        }
    )
    caption = (
        "Levels of each batch of varying intercepts, how many of them the survey holds, and the population "
        "in the others."
    )
    return ReportTable(frame, caption, list(frame.columns[1:]))


def _predictor(name: str, source: Mapping) -> str:
    text = (
        f"Predictor '{name}': mean {source['mean']:.3g}, standard deviation {source['sd']:.3g} over the "
        "population."
    )
    if not source["constant_within"]:
        return f"{text} Each row of the survey has its own."
    where = " and ".join(f"'{key}'" for key in source["constant_within"])
    checked = "; the survey's values were found to agree" if source["in_survey"] else ""
    return f"{text} The census fixes its value by {where} and gives it to the survey's rows{checked}."
