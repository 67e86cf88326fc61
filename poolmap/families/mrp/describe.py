"""What the report says of the data: survey, census, what was recoded, raked and left out, and the levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, ReportTable
from poolmap.families.mrp.order import MISSING_LEVEL
from poolmap.families.mrp.recode import band_labels
from poolmap.families.mrp.words import counted, listed

MOST_LEVELS = 15  # of a variable whose levels are listed one by one
MOST_REASONS = 12


def describe(spec: MrpAnalysis, data: Dataset) -> list[Block]:
    """What the survey and the census hold, what was left out, which levels nobody was asked in."""
    facts, tables = data.facts, data.tables
    blocks: list[Block] = [f"{_survey(spec, data)} {_census(spec, facts)} {_outcome(spec, data)}"]
    blocks += _left_out(spec, data)
    blocks += _recoded(spec)
    if facts["notes"]:
        blocks.append(f"Reading the files: {listed(facts['notes'])}.")
    blocks += _raked(facts)
    blocks += [_extended(about) for about in facts["extensions"]]
    blocks += _houses_and_times(facts)
    same = [spec.time] if facts["times"] > 1 else []
    blocks.append(_variables_table(tables["variables"], spec.weight is not None, same))
    if len(tables["levels"]):
        blocks.append(_batches_table(tables["levels"]))
    if (~tables["levels"]["seen"]).any():
        blocks.append(
            "Levels of the census that the survey does not hold are estimated from the predictors and the "
            "other factors alone; their own effect is drawn from the distribution of its batch, so their "
            "intervals are wider."
        )
    if facts["predictors"]:
        blocks.append(_predictors_table(spec, facts["predictors"]))
    merged = facts["census_rows"] - facts["census_cells"]
    if merged and not spec.microdata:
        blocks.append(
            f"{counted(merged, 'row')} of the census repeated a cell (they differ in columns that the "
            "analysis does not use, or in levels that are recoded to one); their counts were added up."
        )
    if facts["respondents_outside_census_cells"]:
        blocks.append(
            f"{counted(facts['respondents_outside_census_cells'], 'row')} of the survey belong to "
            f"{counted(facts['combinations_outside_census'], 'combination')} of levels that the census does "
            "not list: they inform the model, but no population is there. The combinations: "
            f"{_first(facts['first_outside_census'], facts['combinations_outside_census'])}."
        )
    for table, groups in facts["groups_without_people"].items():
        blocks.append(
            f"Without population in the census, so without an estimate in '{table}': {listed(groups)}."
        )
    return blocks + _boundaries(facts)


def _first(shown: Sequence[str], number: int) -> str:
    """The first few, and how many more there are."""
    return "; ".join(shown) + (f"; and {number - len(shown):,} more" if number > len(shown) else "")


def _survey(spec: MrpAnalysis, data: Dataset) -> str:
    facts = data.facts
    cells = f"{facts['respondents']:,} usable rows in {counted(facts['survey_cells'], 'cell')}"
    if len(facts["surveys"]) < 2:
        return f"The survey ({next(iter(spec.surveys.values()))}) gives {cells}."
    parts = [f"{name} ({spec.surveys[name]}): {n:,}" for name, n in facts["surveys"].items()]
    told = f"{len(parts)} surveys, pooled, give {cells}: {'; '.join(parts)}."
    if spec.weight is None:
        return told
    weights = data.tables["survey"].groupby("file", sort=False)["weight"].sum()
    sums = "; ".join(f"{name}: {total:,.5g}" for name, total in weights.items())
    return f"{told} In the weighted estimates each survey counts by the sum of its weights ({sums})."


def _census(spec: MrpAnalysis, facts: Mapping[str, Any]) -> str:
    people, cells = f"{facts['population']:,.0f}", counted(facts["census_cells"], "cell")
    if spec.margins:
        return f"The census is known by its margins; raked, they give a population of {people} in {cells}."
    if spec.microdata:
        start = f"The census ({spec.census}) has a row for each of {facts['census_rows']:,} members"
        if spec.count is None:
            return f"{start} of the population, in {cells}."
        return (
            f"{start} of a sample of it, who, weighted by '{spec.count}', stand for a population of {people} "
            f"in {cells}."
        )
    return f"The census ({spec.census}) counts a population of {people} in {cells}."


def _outcome(spec: MrpAnalysis, data: Dataset) -> str:
    facts, column = data.facts, spec.outcome.column
    if facts["kind"] in ("continuous", "count"):
        y = data.tables["survey"]["y"]
        what = f"'{column}' runs from {y.min():,.6g} to {y.max():,.6g}"
        if facts["kind"] == "continuous":
            scale = facts["outcome_scale"]
            return f"{what}, mean {scale['mean']:,.4g}, standard deviation {scale['sd']:,.3g}."
        if spec.outcome.exposure is None:
            return f"{what}, mean {y.mean():,.4g}."
        exposure = data.tables["survey"]["exposure"].sum()
        return (
            f"{what}; {y.sum():,.0f} in all, over a time at risk ('{spec.outcome.exposure}') of "
            f"{exposure:,.6g}, are {y.sum() / exposure:,.4g} per unit of time."
        )
    counts = facts["answer_counts"]
    if facts["kind"] == "binary":
        shown = listed([f"{answer}: {count:,}" for answer, count in counts.items()], MOST_LEVELS)
        return (
            f"Answers to '{column}': {shown}; '{spec.outcome.positive}' counts as yes and every other answer "
            "counted here as no."
        )
    shown = listed([f"{answer}: {counts.get(answer, 0):,}" for answer in facts["answers"]], MOST_LEVELS)
    if facts["kind"] == "ordered":
        return f"Answers to '{column}', in order: {shown}."
    return f"Answers to '{column}': {shown}; the model compares the others with '{facts['answers'][0]}'."


def _left_out(spec: MrpAnalysis, data: Dataset) -> list[Block]:
    """How many rows of either side were left out, by reason."""
    blocks: list[Block] = []
    if data.exclusions.empty:
        return blocks
    of_survey = data.exclusions["file"].isin(list(spec.surveys.values()))
    for whose, rows in (("survey", data.exclusions[of_survey]), ("census", data.exclusions[~of_survey])):
        if rows.empty:
            continue
        counts = rows["reason"].value_counts()
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in counts.head(MOST_REASONS).items())
        if len(counts) > MOST_REASONS:
            others = int(counts[MOST_REASONS:].sum())
            reasons += f"; and {len(counts) - MOST_REASONS} more reasons: {others:,}"
        blocks.append(
            f"{counted(len(rows), 'row')} of the {whose} could not be used ({reasons}); the list "
            "of exclusions names each."
        )
    return blocks


def _recoded(spec: MrpAnalysis) -> list[Block]:
    blocks: list[Block] = []
    if spec.recode:
        parts = [
            f"{variable} ({listed([f'{old} to {new}' for old, new in levels.items()], MOST_LEVELS)})"
            for variable, levels in spec.recode.items()
        ]
        blocks.append(f"Levels recoded, in every table alike: {listed(parts)}.")
    if spec.bands:
        parts = [
            f"'{name}' from '{bands.column or name}' ({listed(band_labels(bands), MOST_LEVELS)})"
            for name, bands in spec.bands.items()
        ]
        blocks.append(f"Numbers cut into bands, wherever a table has them: {listed(parts)}.")
    return blocks


def _raked(facts: Mapping[str, Any]) -> list[Block]:
    raking = facts.get("raking")
    if not raking:
        return []
    margins = [" by ".join(names) for names in raking["margins"]]
    seed = {
        "uniform": "from cells that are all alike, so that variables which no margin has together count as "
        "independent",
        "survey": "from the (weighted) cells of the survey, whose associations it keeps",
        "table": "from a table of cells, whose associations it keeps",
    }[raking["seed"]]
    zeros = (
        f" {counted(raking['zeros'], 'cell')} that the start holds as 0 or lacks, and for which the margins "
        "have people, stay empty."
        if raking["zeros"]
        else " No cell was ruled out."
    )
    gap = raking["gap"] * raking["total"]
    off = f" (no margin is off by more than {gap:.1g} people)" if gap > 0.01 else ""
    return [
        f"The cells were made to agree with the margins {listed(margins)}, of {raking['total']:,.0f} people "
        f"each, by raking (iterative proportional fitting; Deming and Stephan 1940) {seed}. It converged "
        f"after {counted(raking['iterations'], 'round')}{off}.{zeros} What the margins leave open is not "
        "carried into the intervals."
    ]


def _extended(about: Mapping[str, Any]) -> str:
    weighted = ", respondents counted by their weights," if about["weighted"] else ""
    batches = ", ".join(
        f"{term} ({sigma:.2f})" for term, sigma in zip(about["terms"], about["sigma"], strict=True)
    )
    smoothed = (
        f"a multinomial logistic regression of the survey{weighted} with varying intercepts, by their "
        f"standard deviation on the logit scale: {batches}"
        if batches
        else f"its shares in the survey{weighted.rstrip(',')}"
    )
    known = ""
    if about["known"]:
        known = (
            f" The shares were then raked to those of {about['known']} "
            f"({counted(about['iterations'], 'round')}), each cell of the census keeping its people."
        )
    return (
        f"The census lacks '{about['variable']}'. Each of its cells was divided into {about['levels']} "
        f"levels by {smoothed}, at its posterior mode.{known} This first stage is taken as known: its "
        "uncertainty is not carried into the intervals, which are too narrow where the outcome depends much "
        f"on '{about['variable']}'."
    )


def _houses_and_times(facts: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    if facts["house"]:
        blocks.append(
            f"How the survey was taken ({listed(facts['house'])}) is not in the census. The estimates are "
            "for the average of the effects of its levels, each with the same weight."
        )
    if facts["times"] > 1:
        blocks.append(
            f"The census does not tell times apart: it is taken to hold for each of the {facts['times']} "
            f"levels of '{facts['time']}'."
        )
    return blocks


def _variables_table(variables: pd.DataFrame, weighted: bool, same: Sequence[str]) -> ReportTable:
    """Every level of the variables that have few; of those with many how many there are.

    Args:
        same: variables for whose levels the census holds alike.
    """
    rows = []
    for name, part in variables.groupby("variable", sort=False):
        asked, lived = part["survey_n"].sum(), part["census_n"].sum()
        in_survey, in_census = part["survey_n"].notna().all(), part["census_n"].notna().all()
        if len(part) <= MOST_LEVELS:
            for _, row in part.iterrows():
                rows.append(
                    {
                        "Variable": name,
                        "Level": row["level"],
                        "Respondents": f"{row['survey_n']:,.0f}" if in_survey else "",
                        "Sample": _percent(row["survey_n"], asked),
                        "Weighted": _percent(row["survey_weight"], part["survey_weight"].sum()),
                        "Population": "" if name in same else _percent(row["census_n"], lived),
                        "Remark": "; ".join(filter(None, [row["note"], "one census for all"]))
                        if name in same
                        else _remark(row, in_census),
                    }
                )
            continue
        unseen = part[part["survey_n"] == 0]
        remark = ""
        if in_survey and in_census and len(unseen):
            remark = (
                f"{_percent(unseen['census_n'].sum(), lived)} of the population in "
                f"{counted(len(unseen), 'level')} without respondents"
            )
        alike = part[part["note"].str.contains("spelt nearly")]
        if len(alike):
            remark += f"{'; ' if remark else ''}spelt nearly alike: {listed(alike['level'].tolist(), 6)}"
        held = f", {int((part['survey_n'] > 0).sum()):,} in the survey" if in_survey else ""
        rows.append(
            {
                "Variable": name,
                "Level": f"{len(part):,} levels{held}",
                "Respondents": f"{asked:,.0f}" if in_survey else "",
                "Sample": "",
                "Weighted": "",
                "Population": "",
                "Remark": remark,
            }
        )
    frame = pd.DataFrame(rows)
    if not weighted:
        frame = frame.drop(columns="Weighted")
    if (frame["Remark"] == "").all():
        frame = frame.drop(columns="Remark")
    caption = (
        "The variables: respondents, share of each level in the sample and in the population of the census"
        + (", and in the sample by weights" if weighted else "")
        + f". Variables with more than {MOST_LEVELS} levels are summed up; levels.csv has them all."
    )
    numeric = [c for c in ("Respondents", "Sample", "Weighted", "Population") if c in frame]
    return ReportTable(frame, caption, numeric)


def _remark(row: pd.Series, in_census: bool) -> str:
    if not in_census:
        return "the census lacks the variable"
    if row["level"] == MISSING_LEVEL and row["census_n"] == 0:
        return "no answer; nobody in the census"
    return str(row["note"])


def _batches_table(levels: pd.DataFrame) -> ReportTable:
    grouped = levels.groupby("term", sort=False)
    unseen = levels[~levels["seen"]].groupby("term")["census_n"].sum()
    frame = pd.DataFrame(
        {
            "Varying by": [" by ".join(term.split(":")) for term in grouped.size().index],
            "Levels in the census": [f"{(part['census_n'] > 0).sum():,}" for _, part in grouped],
            "In the survey": [f"{part['seen'].sum():,}" for _, part in grouped],
            "Population in the others": [f"{unseen.get(term, 0):,.0f}" for term, _ in grouped],
        }
    )
    caption = "Levels of each batch of varying effects, how many of them the survey holds, the population in "
    return ReportTable(frame, f"{caption}the others.", list(frame.columns[1:]))


def _predictors_table(spec: MrpAnalysis, predictors: Mapping[str, Mapping[str, Any]]) -> ReportTable:
    joined = {name: source for source in spec.area_predictors for name in source.columns}
    rows = []
    for name, source in predictors.items():
        if source["type"] == "factor":
            levels = source["levels"]
            what = f"factor: {listed(levels, 8)}; compared with {levels[0]}"
            rows.append({"Predictor": name, "Mean": "", "Standard deviation": "", "Where from": what})
            continue
        where = "each row of the survey has its own"
        if source["constant_within"]:
            keys = " and ".join(f"'{key}'" for key in source["constant_within"])
            agrees = "; the survey's values agree" if source["in_survey"] else ""
            where = f"fixed by {keys} in the census{agrees}"
        if name in joined:
            where = f"joined by '{joined[name].area}' from {joined[name].data}"
        rows.append(
            {
                "Predictor": name,
                "Mean": f"{source['mean']:.3g}",
                "Standard deviation": f"{source['sd']:.3g}",
                "Where from": where,
            }
        )
    frame = pd.DataFrame(rows)
    caption = "Predictors, with mean and standard deviation over the population of the census."
    return ReportTable(frame, caption, ["Mean", "Standard deviation"])


def _boundaries(facts: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    findings = facts.get("geometry_findings", [])
    if findings:
        said = [f"{f['area'] or 'all areas'}: {f['finding']} ({f['action']})" for f in findings]
        blocks.append(f"Boundaries: {listed(said)}.")
    outside: Sequence[str] = facts.get("polygons_left_out", [])
    if outside:
        blocks.append(f"Polygons of areas that the census lacks were left out of the map: {listed(outside)}.")
    return blocks


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if np.isfinite(part) and whole > 0 else ""
