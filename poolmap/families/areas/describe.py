"""What the report says of the data of a map: counts or estimates, standardisation, graph, polygons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from poolmap.contracts import Block, Dataset, ReportTable
from poolmap.families.areas.map_words import map_blocks
from poolmap.families.areas.option_words import data_blocks
from poolmap.families.areas.scales import form, scale_of
from poolmap.families.areas.standard import STANDARDS
from poolmap.families.areas.words import counted, listed, names

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_KEPT = "They stay in the map and are estimated from the other areas."


def describe(spec: AreasAnalysis, data: Dataset) -> list[Block]:
    """What was observed, how expected counts were made, the graph, and what was mended or left out."""
    facts, areas = data.facts, data.tables["areas"]
    blocks = _estimates(spec, areas, facts) if spec.scale == "mean" else _counts(spec, areas, facts)
    if facts.get("without_population"):
        what = "Nobody was examined in" if spec.scale == "prevalence" else "No cases are expected in"
        why = "" if spec.scale == "prevalence" else " (nobody is at risk there)"
        blocks.append(
            f"{what} {listed(names(areas, facts['without_population']))}{why}. They stay in the map, say "
            "nothing about the risk, and are estimated from the others."
        )
    return blocks + data_blocks(spec, data) + map_blocks(data)


def _estimates(spec: AreasAnalysis, areas: pd.DataFrame, facts: Mapping) -> list[Block]:
    known = areas[areas["estimate"].notna()]
    half = 2 * known["se"]
    number = form(scale_of(spec), known["estimate"] - half, known["estimate"] + half)
    ends = known["estimate"].min(), known["estimate"].median(), known["estimate"].max()
    low, middle, high = (number(value) for value in ends)
    blocks: list[Block] = [
        f"{facts['areas']} areas, {len(known)} of them with a direct estimate ({spec.value_name}): from "
        f"{low} to {high} (median {middle}), with standard errors from {number(known['se'].min())} to "
        f"{number(known['se'].max())}, taken as known."
    ]
    if facts["without_estimate"]:
        blocks.append(f"No direct estimate: {listed(names(areas, facts['without_estimate']))}. {_KEPT}")
    return blocks


def _counts(spec: AreasAnalysis, areas: pd.DataFrame, facts: Mapping) -> list[Block]:
    known = areas[areas["cases"].notna()]
    text = f"{facts['areas']} areas with {facts['cases']:,.0f} {spec.cases_name}. "
    if len(known):
        text += (
            f"The number in an area runs from {known['cases'].min():,.0f} to {known['cases'].max():,.0f} "
            f"(median {known['cases'].median():,.0f}). "
        )
    if spec.scale == "prevalence":
        people = areas["population"]
        text += (
            f"The number of persons examined runs from {people.min():,.0f} to {people.max():,.0f}. Of all "
            f"persons together {100 * facts['overall']:.3g}% are cases."
        )
    else:
        text += (
            f"The expected number runs from {areas['expected'].min():.1f} to {areas['expected'].max():.1f}."
        )
    blocks: list[Block] = [text]
    if facts.get("suppressed"):
        blocks += _suppressed(areas, facts)
    if spec.scale == "prevalence":
        blocks.append(
            "The raw proportion is cases over persons examined, with an exact binomial interval (Clopper and "
            "Pearson 1934)."
        )
    else:
        blocks += _standardisation(spec, areas, facts)
    if facts["without_cases"]:
        blocks.append(f"No case count: {listed(names(areas, facts['without_cases']))}. {_KEPT}")
    if facts.get("without_either"):
        blocks.append(
            f"Of these, {counted(len(facts['without_either']), 'area')} without a population or expected "
            "count either: they have no excess cases, and no weight in larger regions."
        )
    return blocks


def _suppressed(areas: pd.DataFrame, facts: Mapping) -> list[Block]:
    """How many counts are known by their range only, and what was made of the mark."""
    ids = facts["suppressed"]
    marks = [
        f"'{row['mark']}' ({counted(row['rows'], 'count')}) for {row['at_least']} to {row['at_most']}"
        for row in facts["suppressed_rows"]
    ]
    text = (
        f"The count of {counted(len(ids), 'area')} is suppressed: {listed(names(areas, ids))}. The table has "
        f"{listed(marks)}; these counts enter the model by their range, and are not in the sum above."
    )
    if facts["strata"]:
        text += " Ranges are added up over the strata of an area."
    literal = [row for row in facts["suppressed_rows"] if row["at_least"] == 0]
    if literal and facts["zeros"]:
        row = literal[0]
        text += (
            f" Zeros stand in the same column as {counted(facts['zeros'], 'count')} of 0: if "
            f"'{row['mark']}' never stands for 0, write it in the config as suppressed: (mark: "
            f"'{row['mark']}', range: [1, {row['at_most']}])."
        )
    return [text]


def _standardisation(spec: AreasAnalysis, areas: pd.DataFrame, facts: Mapping) -> list[Block]:
    if spec.outcome.expected is not None:
        return [
            f"Expected counts were given in the column '{spec.outcome.expected}'; they sum to "
            f"{facts['expected']:,.1f} over the areas with a case count. A ratio of 1 means as many cases as "
            "expected under the rates from which they were worked out."
        ]
    rates = facts["reference_rates"]
    supplied = spec.outcome.reference is not None
    if supplied:
        of = f" by {' and '.join(facts['strata'])}" if facts["strata"] else ""
        how = (
            f"external indirect standardisation: the reference rates{of} in the column "
            f"'{spec.outcome.reference}', applied to each area's population; {facts['expected']:,.1f} cases "
            "are expected over the areas with a case count"
        )
    elif len(rates) == 1:
        how = (
            f"internal indirect standardisation: the rate of all areas together, {_rate(rates[0]['rate'])} "
            "per 100,000 of the population, applied to each area's population"
        )
    else:
        how = (
            f"internal indirect standardisation: the rates of all areas together by "
            f"{' and '.join(facts['strata'])} ({len(rates)} strata), applied to each area's population"
        )
    text = (
        f"Expected counts come from {how}. The standardised ratio (SIR) is observed over expected cases, "
        "with an exact Poisson interval (Garwood 1936); it takes the expected count as known."
    )
    if facts.get("suppressed") and not supplied:
        text += (
            " Suppressed counts enter these rates by their range (the rate of greatest likelihood, EM "
            "algorithm)."
        )
    blocks: list[Block] = [text]
    if len(rates) > 1:
        unit = "cases per 100,000 of the population"
        frame = pd.DataFrame(
            [[row["stratum"], _rate(row["rate"])] for row in rates],
            columns=[", ".join(facts["strata"]), unit],
        )
        blocks.append(ReportTable(frame, "Reference rates by stratum.", [unit]))
    if spec.outcome.standard is not None:
        blocks += _direct(spec, areas, facts)
    return blocks


def _direct(spec: AreasAnalysis, areas: pd.DataFrame, facts: Mapping) -> list[Block]:
    """Which standard population the directly standardised rates have, and where there are none."""
    standard, strata = spec.outcome.standard, " and ".join(facts["strata"])
    if isinstance(standard, str):
        known = STANDARDS[standard]
        what = f"the {known.title} ({known.source})"
        if len(facts["strata"]) > 1:
            what += ", strata of the same ages with equal weights"
    else:
        what = f"the weights in the column '{standard.weights}'"
    text = (
        f"Directly standardised rates by {strata} are reported beside the ratios: each area's rates, "
        f"weighted by {what}, with intervals by the gamma distribution (Fay and Feuer 1997, Statistics in "
        "Medicine 16:791-801). They are rates as observed: the model's estimates do not depend on them."
    )
    if facts["without_direct_rate"]:
        text += (
            f" There is none in {listed(names(areas, facts['without_direct_rate']))}, where a count is "
            "missing or suppressed, or a stratum has nobody in it."
        )
    total = sum(row["weight"] for row in facts["standard_weights"])
    frame = pd.DataFrame(
        [[row["stratum"], f"{row['weight'] / total:.2%}"] for row in facts["standard_weights"]],
        columns=[", ".join(facts["strata"]), "weight"],
    )
    return [text, ReportTable(frame, "Weights of direct standardisation.", ["weight"])]


def _rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate * 1e5:,.4g}"
