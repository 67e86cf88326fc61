"""Rows of counts by area (and stratum): read, checked, added up to areas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from poolmap.config.area_outcome import StandardWeights
from poolmap.families.areas.expected import expected_counts, reference_rates
from poolmap.families.areas.scales import rounded
from poolmap.families.areas.standard import age_weights, direct_rates
from poolmap.families.areas.suppressed import read_counts
from poolmap.tables import Table, nearest

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_ALL = ""


def count_rows(table: Table, spec: AreasAnalysis) -> pd.DataFrame:
    """The checked rows of a table of counts.

    Returns:
        area, name, stratum, cases, at_least, at_most, mark (see `read_counts`), size (population or
        expected); index: the line.
    """
    outcome = spec.outcome
    strata = list(outcome.strata)
    area = table.ids(spec.area, what="area", unique=not strata)
    stratum = pd.Series(_ALL, index=area.index)
    if strata:
        for column in strata:
            empty = table.is_missing(column)
            for line in empty.index[empty][:5]:
                table.problem("the stratum is empty", "give every row its stratum", line=line, column=column)
        stratum = table.frame[strata].agg(", ".join, axis=1)
        _check_once(table, area, stratum)
        _check_strata(table, area, stratum)
    size = str(outcome.population or outcome.expected)
    rows = pd.DataFrame(
        {"area": area, "name": table.frame[spec.name] if spec.name else area, "stratum": stratum}
    )
    rows = rows.join(read_counts(table, str(outcome.cases), outcome.suppressed))
    whole = spec.scale == "prevalence"
    people = "the number of persons examined: 0, 1, 2 ..." if whole else "a number, 0 or more"
    rows["size"] = table.numbers(size, lower=0, integer=whole, what=people)
    what = "population" if outcome.population else "expected count"
    missing = table.is_missing(size)
    # an area of which nothing is known stays in the map and is estimated from the others
    missing &= ~(missing & rows["at_least"].isna()).groupby(area, sort=False).transform("all")
    remedy = f"give every row its {what}; an area of which nothing is known has its count empty as well"
    for line in rows.index[missing][:5]:
        table.problem(f"the {what} is missing", remedy, line=line, column=size)
    if missing.sum() > 5:
        table.problem(f"the {what} is missing in {missing.sum() - 5} more rows", column=size)
    _check_sizes(table, spec, rows)
    if outcome.reference is not None:
        rows["reference"] = _reference(table, outcome.reference, rows)
    if outcome.standard is not None:
        rows["weight"] = _weights(table, spec, rows)
    if whole:
        rows["at_most"] = rows["at_most"].where(rows["at_most"] < rows["size"], rows["size"])
        rows["at_most"] = rows["at_most"].where(rows["at_least"].notna())
    return rows


def _reference(table: Table, column: str, rows: pd.DataFrame) -> pd.Series:
    """Supplied reference rates: one a stratum, above 0 where there are cases, no more than 1 a person."""
    rates = _same_by_stratum(table, column, rows, "reference rate")
    impossible = (rates == 0) & (rows["at_least"] > 0)
    for line in rates.index[impossible][:5]:
        table.problem(
            "cases, but the reference rate is 0: no cases are expected",
            "check the rate, or take a wider stratum in which the reference has cases",
            line=line,
            column=column,
        )
    if (rows["size"].dropna() % 1 == 0).all() and (rates > 1).any():
        line = int(rates.index[rates > 1][0])
        table.problem(
            f"a reference rate of {rates[line]:g} cases a person",
            "write rates per unit of the population column: 0.0012, not 120 per 100,000",
            line=line,
            column=column,
        )
    return rates


def _same_by_stratum(table: Table, column: str, rows: pd.DataFrame, what: str) -> pd.Series:
    """A column of numbers, 0 or more, that are the same in all areas for a stratum."""
    values = table.numbers(column, lower=0, what=f"the {what} as a number")
    missing = table.is_missing(column)
    for line in values.index[missing][:5]:
        table.problem(f"the {what} is missing", "give every row its own", line=line, column=column)
    differs = values.groupby(rows["stratum"], sort=False).nunique()
    for stratum in differs.index[differs > 1][:5]:
        of = f" of stratum '{stratum}'" if stratum else ""
        table.problem(f"the {what}{of} differs between areas", "give it the same in all", column=column)
    return values


def _weights(table: Table, spec: AreasAnalysis, rows: pd.DataFrame) -> pd.Series:
    """The standard's weight of each row's stratum; strata of the same ages (sexes, say) share it equally."""
    outcome = spec.outcome
    if isinstance(outcome.standard, StandardWeights):
        weights = _same_by_stratum(table, outcome.standard.weights, rows, "weight")
        if not (weights > 0).any():
            table.problem(
                "all weights are 0", "give the strata their weights", column=outcome.standard.weights
            )
        return weights
    column = outcome.age or outcome.strata[0]
    ages = table.frame[column]
    found, problems = age_weights(pd.unique(ages[~table.is_missing(column)]).tolist(), str(outcome.standard))
    for what in problems[:5]:
        table.problem(what, "or give the weights in a column: standard: (weights: column)", column=column)
    others = rows["stratum"].groupby(ages, sort=False).nunique()
    return ages.map(found) / ages.map(others)


def _check_once(table: Table, area: pd.Series, stratum: pd.Series) -> None:
    first: dict[tuple[str, str], int] = {}
    for line, pair in zip(area.index, zip(area, stratum, strict=True), strict=True):
        if pair in first:
            table.problem(
                f"area '{pair[0]}' and stratum '{pair[1]}' stand already in line {first[pair]}",
                "each area and stratum may stand once: add the rows up or name the missing stratum column",
                line=line,
            )
        first.setdefault(pair, line)


def _check_strata(table: Table, area: pd.Series, stratum: pd.Series) -> None:
    """Every area needs a row for every stratum: a missing or misspelt one would bias its expected count."""
    areas = pd.unique(area)
    found = area.groupby(stratum, sort=False).unique()
    common = [s for s in found.index if 2 * len(found[s]) > len(areas)]
    for name in found.index:
        lines = stratum.index[stratum == name]
        if name not in common:
            table.problem(
                f"stratum '{name}' stands in {len(found[name])} of {len(areas)} areas only "
                f"({_counted_lines(lines)})",
                f"{nearest(name, common)} Else give every area a row for it, with population 0 where nobody "
                "is in it",
            )
            continue
        for missing in [a for a in areas if a not in set(found[name])][:5]:
            table.problem(
                f"area '{missing}' has no row for stratum '{name}'",
                "add the row, with population 0 where nobody is in it; the expected count would be too low",
            )


def _counted_lines(lines: pd.Index) -> str:
    shown = ", ".join(str(line) for line in lines[:5])
    return f"line{'s' if len(lines) > 1 else ''} {shown}" + (" ..." if len(lines) > 5 else "")


def _check_sizes(table: Table, spec: AreasAnalysis, rows: pd.DataFrame) -> None:
    """Cases without anyone at risk, and more cases than persons.

    A column of whole numbers is taken to count persons, of whom no more than all can be cases. Person-time
    written in whole numbers may be exceeded, but only by events more frequent than one per unit of time;
    since expected counts do not depend on the unit of the population, a smaller unit is always at hand.
    """
    outcome = spec.outcome
    column = outcome.population or outcome.expected
    what = "population" if outcome.population else "expected count"
    text = table.frame[str(outcome.cases)]
    empty = (rows["size"] == 0) & (rows["at_least"] > 0)
    for line in rows.index[empty][:5]:
        counted = f"{text[line]} cases" if not rows.at[line, "mark"] else f"'{text[line]}' cases"
        table.problem(f"{counted}, but the {what} is 0", "check both columns", line=line, column=column)
    if empty.sum() > 5:
        table.problem(f"cases, but no {what}, in {empty.sum() - 5} more rows", column=column)
    if outcome.population is None or (rows["size"].dropna() % 1 != 0).any():
        return
    above = rows.index[(rows["at_least"] > rows["size"]) & ~empty]
    for line in above[:5]:
        table.problem(
            f"{text[line]} cases in a population of {rows.at[line, 'size']:g}",
            "check that 'cases' and 'population' are not exchanged; write a population in single persons, "
            "and person-time in a smaller unit (the estimates do not depend on the unit)",
            line=line,
            column=outcome.cases,
        )
    if len(above) > 5:
        table.problem(f"more cases than population in {len(above) - 5} more rows", column=outcome.cases)


def areas_of_counts(
    spec: AreasAnalysis, rows: pd.DataFrame, by_area: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row an area, and what a reader must know of the counts.

    Args:
        spec: the analysis.
        rows: of `count_rows`.
        by_area: name and `missing_line` (NaN where every stratum has a count) by area.

    Returns:
        name, cases (NaN where missing or suppressed), at_least and at_most where some counts are suppressed,
        population (NaN where neither it nor a count is known), and expected and sir, or proportion;
        with a standard population the columns of `direct_rates`; index: the area.
    """
    prevalence = spec.scale == "prevalence"
    known_area = by_area["missing_line"].isna()
    known = rows["area"].map(known_area)
    sums = rows.groupby("area", sort=False)[["at_least", "at_most"]].sum().where(known_area, axis=0)
    size = rows["size"].groupby(rows["area"], sort=False).sum(min_count=1)
    areas = pd.DataFrame({"name": by_area["name"]})
    areas["cases"] = sums["at_least"].where(sums["at_least"] == sums["at_most"])
    suppressed = known_area & (sums["at_least"] < sums["at_most"])
    if suppressed.any():
        areas = areas.join(sums)
    facts: dict[str, Any] = {"strata": list(spec.outcome.strata)}
    areas["population"] = size if spec.outcome.population is not None else np.nan
    if prevalence:
        areas["proportion"] = areas["cases"] / size.where(size > 0)
        seen = sums.mean(axis=1)
        examined = float(size[known_area].sum())
        facts["overall"] = rounded(float(seen.sum()) / examined) if examined else 0.0
        at_risk = size
    else:
        areas["expected"] = size
        if spec.outcome.population is not None:
            if "reference" in rows:
                rates = rows.groupby("stratum", sort=False)["reference"].first()
            else:
                low, high = rows["at_least"], rows["at_most"]
                rates = reference_rates(low, high, rows["size"], rows["stratum"], known)
            areas["expected"] = expected_counts(rows["area"], rows["size"], rows["stratum"], rates)
            facts["reference_rates"] = [
                {"stratum": stratum, "rate": None if math.isnan(rate) else float(rate)}
                for stratum, rate in rates.items()
            ]
        areas["sir"] = areas["cases"] / areas["expected"].where(areas["expected"] > 0)
        facts["expected"] = float(areas["expected"][known_area].sum())
        at_risk = areas["expected"]
    if "weight" in rows:
        weights = rows.groupby("stratum", sort=False)["weight"].first()
        areas = areas.join(direct_rates(rows, weights.to_dict()))
        facts["standard_weights"] = [
            {"stratum": stratum, "weight": float(weight)} for stratum, weight in weights.items()
        ]
        facts["without_direct_rate"] = areas.index[areas["direct_rate"].isna()].tolist()
    if spec.outcome.population is not None:
        facts["population"] = float(size.sum())
    marks = rows[rows["mark"] != ""]
    facts |= {
        "areas": len(areas),
        "cases": float(areas["cases"].sum()),
        "without_cases": areas.index[~known_area].tolist(),
        "without_either": areas.index[size.isna()].tolist(),
        "without_population": areas.index[known_area & ~(at_risk > 0)].tolist(),
        "suppressed": areas.index[suppressed].tolist(),
        "suppressed_rows": [
            {"mark": mark, "at_least": int(low), "at_most": int(high), "rows": len(group)}
            for (mark, low, high), group in marks.groupby(["mark", "at_least", "at_most"], sort=True)
        ],
        "zeros": int((rows["cases"] == 0).sum()),
    }
    return areas, facts


def check_enough(table: Table, areas: pd.DataFrame) -> None:
    """Refuse a map without cases, and one of fewer than two areas with a count."""
    low = areas.get("at_least", areas["cases"])
    at_risk = areas["expected"] if "expected" in areas else areas["population"]
    usable = (low.notna() & (at_risk > 0)).sum()
    if low.sum() == 0:
        table.problem("there are no cases at all", "without a case there is no risk to map")
    elif usable < 2:
        table.problem(
            f"{usable} area(s) have a case count and a population",
            "a map is estimated from at least two areas",
        )
