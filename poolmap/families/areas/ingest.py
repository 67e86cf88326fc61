"""Counts by area and the polygons of the areas: checked, matched, standardised."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.areas.covariates import design_matrix, formula_columns
from poolmap.families.areas.expected import expected_counts, reference_rates
from poolmap.tables import Table, exclusions, nearest, read_table

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_ALL = ""


def ingest(spec: AreasAnalysis) -> Dataset:
    """Read, check and match the counts and the polygons; work out expected counts and raw ratios.

    Returns:
        A `Dataset` with the tables (rows in the order of the polygons)
        `areas`: area, name, cases (NaN where unknown), population (NaN where `expected` was given), expected,
        sir = cases / expected (NaN where unknown or nothing is expected);
        `covariates`: area and the centred columns of the design matrix, if any.
        An area without a case count stays in the map and is listed in `exclusions`: it is estimated from the
        other areas. So is one in which nothing is expected, which is named in `facts["without_population"]`.

    Raises:
        InputError: everything found wrong with the two files.
    """
    from poolmap.graph.geometry import read_geometry

    outcome = spec.outcome
    table = read_table(spec.data)
    columns = {"area": spec.area, "name": spec.name, "outcome.cases": outcome.cases}
    columns |= {"outcome.population": outcome.population, "outcome.expected": outcome.expected}
    named = [(key, column) for key, column in columns.items() if column is not None]
    named += [("outcome.strata", column) for column in outcome.strata]
    named += [("covariates", column) for column in formula_columns(spec.covariates)]
    found = [table.has(column, key=key) for key, column in named]
    problems: list[Problem] = []
    geometry = None
    try:
        column = spec.geometry_area or spec.area
        geometry = read_geometry(spec.geometry, column, spec.geometry_layer, spec.geometry_crs)
    except InputError as error:
        problems += error.problems
    if not all(found) or geometry is None:
        raise InputError(table.problems + problems)

    rows = _rows(table, spec)
    area_column = spec.geometry_area or spec.area
    table.problems += _unmatched(
        table.path, spec.area, rows["area"], spec.geometry, area_column, geometry.frame["area"]
    )
    by_area = _by_area(table, spec, rows)
    covariates = design_matrix(table, spec.covariates, by_area["line"])
    table.finish()

    order = geometry.frame["area"].tolist()
    areas, facts = _areas(spec, rows, by_area)
    areas = areas.loc[order].reset_index(names="area")
    covariates.index = by_area.index
    covariates = covariates.loc[order].reset_index(names="area")
    unknown = areas["area"][areas["cases"].isna()]
    left_out = exclusions(
        [
            (
                table.path,
                int(by_area.at[a, "missing_line"]),
                a,
                "no case count: estimated from the other areas",
            )
            for a in unknown
        ]
    )
    facts |= {
        "geometry": [asdict(finding) for finding in geometry.findings],
        "covariates": covariates.columns[1:].tolist(),
    }
    _enough(table, areas)
    return Dataset(
        {"areas": areas, "covariates": covariates},
        left_out,
        facts,
        geometry.frame[["area", "geometry"]].reset_index(drop=True),
    )


def _rows(table: Table, spec: AreasAnalysis) -> pd.DataFrame:
    """The checked rows: area, name, stratum, cases, size (population or expected); index: its line."""
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
        first: dict[tuple[str, str], int] = {}
        for line, pair in zip(area.index, zip(area, stratum, strict=True), strict=True):
            if pair in first:
                table.problem(
                    f"area '{pair[0]}' and stratum '{pair[1]}' stand already in line {first[pair]}",
                    "each area and stratum may stand once: add the rows up or name the missing stratum "
                    "column",
                    line=line,
                )
            first.setdefault(pair, line)
        _check_strata(table, area, stratum)
    size = outcome.population or outcome.expected
    rows = pd.DataFrame(
        {
            "area": area,
            "name": table.frame[spec.name] if spec.name else area,
            "stratum": stratum,
            "cases": table.counts(outcome.cases, what="the number of cases: 0, 1, 2 ..."),
            "size": table.numbers(size, lower=0, what="a number, 0 or more"),
        }
    )
    what = "population" if outcome.population else "expected count"
    missing = table.is_missing(size)
    for line in rows.index[missing][:5]:
        table.problem(f"the {what} is missing", f"give every row its {what}", line=line, column=size)
    if missing.sum() > 5:
        table.problem(f"the {what} is missing in {missing.sum() - 5} more rows", column=size)
    _check_sizes(table, spec, rows)
    return rows


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
    column = spec.outcome.population or spec.outcome.expected
    empty = (rows["size"] == 0) & (rows["cases"] > 0)
    for line in rows.index[empty][:5]:
        table.problem(
            f"{rows.at[line, 'cases']:g} cases, but the "
            f"{'population' if spec.outcome.population else 'expected count'} is 0",
            "check both columns",
            line=line,
            column=column,
        )
    if spec.outcome.population is None or (rows["size"].dropna() % 1 != 0).any():
        return
    above = rows.index[(rows["cases"] > rows["size"]) & ~empty]
    for line in above[:5]:
        table.problem(
            f"{rows.at[line, 'cases']:g} cases in a population of {rows.at[line, 'size']:g}",
            "check that 'cases' and 'population' are not exchanged; write a population in single persons, "
            "and person-time in a smaller unit (the estimates do not depend on the unit)",
            line=line,
            column=spec.outcome.cases,
        )
    if len(above) > 5:
        table.problem(f"more cases than population in {len(above) - 5} more rows", column=spec.outcome.cases)


def _unmatched(
    data: str, data_column: str, areas: pd.Series, geometry: str, geometry_column: str, polygons: pd.Series
) -> list[Problem]:
    """Areas without a polygon and polygons without counts, all of them, with the nearest spelling."""
    counted, drawn = dict.fromkeys(a for a in areas if a), dict.fromkeys(polygons)
    without_polygon = [a for a in counted if a not in drawn]
    without_counts = [a for a in drawn if a not in counted]
    places = f"{data}, column '{data_column}', and {geometry}, column '{geometry_column}'"
    width = max(map(len, [*counted, *drawn]), default=0)
    padded = {a.zfill(width): a for a in without_counts}
    dropped = [(a, padded[a.zfill(width)]) for a in without_polygon if a.zfill(width) in padded]
    problems = []
    if dropped:
        a, b = dropped[0]
        lost = data if len(a) < len(b) else geometry
        problems.append(
            Problem(
                places,
                f"{len(dropped)} ids match only with leading zeros: '{a}' in the counts is '{b}' in the "
                f"polygons",
                f"leading zeros were lost in {lost} (a spreadsheet does that): write its ids as text, "
                f"{width} characters long",
            )
        )
        without_polygon = [a for a in without_polygon if a not in dict(dropped)]
        without_counts = [b for b in without_counts if b not in dict(dropped).values()]

    def listed(ids: list[str], others: list[str]) -> str:
        def one(area: str) -> str:
            near = nearest(area, others)
            return f"'{area}' ({near})" if others and near.startswith("did you mean") else f"'{area}'"

        return ", ".join(map(one, ids))

    if without_polygon:
        problems.append(
            Problem(
                f"{data}, column '{data_column}'",
                f"{len(without_polygon)} area(s) have no polygon in {geometry}: "
                f"{listed(without_polygon, without_counts)}",
                f"correct the ids, add the polygons to {geometry}, or take the rows out of {data}",
            )
        )
    if without_counts:
        problems.append(
            Problem(
                f"{geometry}, column '{geometry_column}'",
                f"{len(without_counts)} polygon(s) have no row in {data}: "
                f"{listed(without_counts, without_polygon)}",
                f"correct the ids, take the polygons out of {geometry}, or add rows to {data} (with the "
                "cases left empty where they are unknown: such an area is estimated from the others)",
            )
        )
    return problems


def _by_area(table: Table, spec: AreasAnalysis, rows: pd.DataFrame) -> pd.DataFrame:
    """One row an area: name, first line, line of the first missing count; what varies within is a problem."""
    lines = rows.reset_index(names="line")
    groups = lines.groupby("area", sort=False)
    by_area = groups.agg(name=("name", "first"), line=("line", "first"))
    missing = lines[lines["cases"].isna()].groupby("area", sort=False)["line"].first()
    by_area["missing_line"] = missing.reindex(by_area.index)
    for column in ([spec.name] if spec.name else []) + formula_columns(spec.covariates):
        differs = table.frame[column].groupby(rows["area"], sort=False).nunique()
        for area in differs.index[differs > 1][:5]:
            table.problem(
                f"area '{area}' has different values in its rows", "give it the same in all", column=column
            )
    return by_area


def _areas(
    spec: AreasAnalysis, rows: pd.DataFrame, by_area: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    known_area = by_area["missing_line"].isna()
    known = rows["area"].map(known_area)
    cases = rows["cases"].groupby(rows["area"], sort=False).sum().where(known_area)
    facts: dict[str, Any] = {}
    if spec.outcome.population is not None:
        rates = reference_rates(rows["cases"], rows["size"], rows["stratum"], known)
        population = rows["size"].groupby(rows["area"], sort=False).sum()
        expected = expected_counts(rows["area"], rows["size"], rows["stratum"], rates)
        facts["reference_rates"] = [
            {"stratum": stratum, "rate": None if math.isnan(rate) else float(rate)}
            for stratum, rate in rates.items()
        ]
        facts["population"] = float(population.sum())
    else:
        expected = rows["size"].groupby(rows["area"], sort=False).sum()
        population = pd.Series(np.nan, index=expected.index)
    areas = pd.DataFrame(
        {"name": by_area["name"], "cases": cases, "population": population, "expected": expected}
    )
    areas["sir"] = areas["cases"] / areas["expected"].where(areas["expected"] > 0)
    facts |= {
        "areas": len(areas),
        "cases": float(areas["cases"].sum()),
        "expected": float(areas["expected"][known_area].sum()),
        "strata": list(spec.outcome.strata),
        "without_cases": areas.index[~known_area].tolist(),
        "without_population": areas.index[known_area & ~(areas["expected"] > 0)].tolist(),
    }
    return areas, facts


def _enough(table: Table, areas: pd.DataFrame) -> None:
    usable = areas["cases"].notna() & (areas["expected"] > 0)
    if areas["cases"].sum() == 0:
        table.problem("there are no cases at all", "without a case there is no risk to map")
    elif usable.sum() < 2:
        table.problem(
            f"{usable.sum()} area(s) have a case count and a population",
            "a map is estimated from at least two areas",
        )
    table.finish()
