"""Counts or direct estimates by area and the polygons of the areas: checked and matched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd

from poolmap.config.area_outcome import StandardWeights
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.areas import counts, direct_estimates
from poolmap.families.areas.counts import areas_of_counts, count_rows
from poolmap.families.areas.covariates import design_matrix, formula_columns, standard_errors
from poolmap.families.areas.direct_estimates import areas_of_estimates, estimate_rows
from poolmap.tables import Table, exclusions, nearest, read_table

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_COLUMNS = ("cases", "population", "expected", "reference", "estimate", "se")


def ingest(spec: AreasAnalysis) -> Dataset:
    """Read, check and match the counts (or direct estimates) and the polygons; work out expected counts.

    Returns:
        A `Dataset` with the tables (rows in the order of the polygons)
        `areas`: area, name, then
            of counts: cases (NaN where unknown or suppressed), at_least and at_most (only where some counts
            are suppressed: the bounds of every count), population (NaN where `expected` was given), and
            expected and sir = cases / expected or, for prevalences, proportion = cases / population (NaN
            where unknown or where nobody is at risk), and with a standard population the columns of
            `standard.direct_rates`;
            of direct estimates: estimate and se (NaN where unknown);
        `covariates`: area and the centred columns of the design matrix, if any;
        `regions`: area and the columns of `aggregate` and of the models' `regions`, only where the config has
            some;
        `covariate_errors`: area and the standard errors of covariates, in the unit of `covariates`, only
            where a model has some; `facts["measured"]` names the column of `covariates` of each.
        An area without a count or an estimate stays in the map and is listed in `exclusions`: it is estimated
        from the other areas. So is one with nobody at risk, which is named in `facts["without_population"]`.
        Where the count is unknown, the population may be, too (`facts["without_either"]`).

    Raises:
        InputError: everything found wrong with the two files.
    """
    from poolmap.graph.geometry import read_geometry

    outcome = spec.outcome
    table = read_table(spec.data)
    columns = {"area": spec.area, "name": spec.name}
    columns |= {f"outcome.{key}": getattr(outcome, key) for key in _COLUMNS}
    named = [(key, column) for key, column in columns.items() if column is not None]
    named += [("outcome.strata", column) for column in outcome.strata]
    named += [("aggregate", column) for column in spec.aggregate]
    named += [("regions", column) for column in spec.region_columns]
    named += [("covariate_errors", column) for _, column in spec.measured_columns]
    if isinstance(outcome.standard, StandardWeights):
        named.append(("outcome.standard.weights", outcome.standard.weights))
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

    counted = outcome.cases is not None
    rows = count_rows(table, spec) if counted else estimate_rows(table, spec)
    area_column = spec.geometry_area or spec.area
    table.problems += _unmatched(
        table.path,
        spec.area,
        rows["area"],
        spec.geometry,
        area_column,
        geometry.frame["area"],
        geometry.left_out,
    )
    by_area = _by_area(table, spec, rows, "at_least" if counted else "estimate")
    covariates = design_matrix(table, spec.covariates, by_area["line"], by_area.index.tolist())
    measured = spec.measured_columns
    errors, terms = standard_errors(
        table, spec.covariates, covariates, measured, by_area["line"], by_area.index.tolist()
    )
    table.finish()

    order = geometry.frame["area"].tolist()
    areas, facts = areas_of_counts(spec, rows, by_area) if counted else areas_of_estimates(rows, by_area)
    areas = areas.loc[order].reset_index(names="area")
    covariates.index = by_area.index
    covariates = covariates.loc[order].reset_index(names="area")
    size = "expected count" if spec.outcome.expected else "population"

    def lacking(area: str) -> str:
        if not counted:
            return "no direct estimate"
        return f"no case count and no {size}" if area in facts["without_either"] else "no case count"

    left_out = exclusions(
        [
            (table.path, int(line), area, f"{lacking(area)}: estimated from the other areas")
            for area, line in by_area.loc[order, "missing_line"].dropna().items()
        ]
    )
    facts |= {
        "geometry": [asdict(finding) for finding in geometry.findings],
        "covariates": covariates.columns[1:].tolist(),
        "measured": terms,
    }
    (counts if counted else direct_estimates).check_enough(table, areas)
    table.finish()
    tables = {"areas": areas, "covariates": covariates}
    groupings = _groupings(spec)
    if groupings:
        member = table.frame.loc[by_area["line"], groupings].set_axis(by_area.index)
        tables["regions"] = member.loc[order].reset_index(names="area")
    if terms:
        tables["covariate_errors"] = errors.set_axis(by_area.index).loc[order].reset_index(names="area")
    return Dataset(
        tables,
        left_out,
        facts,
        geometry.frame[["area", "geometry"]].reset_index(drop=True),
    )


def _unmatched(
    data: str,
    data_column: str,
    areas: pd.Series,
    geometry: str,
    geometry_column: str,
    polygons: pd.Series,
    groundless: Collection[str],
) -> list[Problem]:
    """Areas without a polygon and polygons without counts, all of them, with the nearest spelling."""
    counted, drawn = dict.fromkeys(a for a in areas if a), dict.fromkeys(polygons)
    without_ground = [a for a in counted if a in groundless]
    without_polygon = [a for a in counted if a not in drawn and a not in groundless]
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

    if without_ground:
        problems.append(
            Problem(
                f"{data}, column '{data_column}'",
                f"{len(without_ground)} area(s) have an empty polygon in {geometry}: "
                f"{listed(without_ground, [])}",
                f"give them their polygons in {geometry}, or take the rows out of {data}",
            )
        )
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


def _by_area(table: Table, spec: AreasAnalysis, rows: pd.DataFrame, needed: str) -> pd.DataFrame:
    """One row an area: name, first line, line of the first missing value; what varies within is a problem."""
    lines = rows.reset_index(names="line")
    groups = lines.groupby("area", sort=False)
    by_area = groups.agg(name=("name", "first"), line=("line", "first"))
    missing = lines[lines[needed].isna()].groupby("area", sort=False)["line"].first()
    by_area["missing_line"] = missing.reindex(by_area.index)
    own = [*([spec.name] if spec.name else []), *_groupings(spec), *formula_columns(spec.covariates)]
    own += [column for _, column in spec.measured_columns]
    for column in own:
        differs = table.frame[column].groupby(rows["area"], sort=False).nunique()
        for area in differs.index[differs > 1][:5]:
            table.problem(
                f"area '{area}' has different values in its rows", "give it the same in all", column=column
            )
    for column in _groupings(spec):
        empty = table.is_missing(column)[by_area["line"]]
        for line in empty.index[empty][:5]:
            table.problem("the region is empty", "give every area its region", line=line, column=column)
    for column in spec.region_columns:
        regions = table.frame.loc[by_area["line"], column].nunique()
        if regions == 1 or regions == len(by_area) > 1:
            table.problem(
                "all areas are in one region: its effect cannot be told from the intercept"
                if regions == 1
                else "each area is a region of its own: its effect cannot be told from the area's",
                "name another column in 'regions', or take it out",
                column=column,
            )
    return by_area


def _groupings(spec: AreasAnalysis) -> list[str]:
    """The columns that name larger regions."""
    return list(dict.fromkeys([*spec.aggregate, *spec.region_columns]))
