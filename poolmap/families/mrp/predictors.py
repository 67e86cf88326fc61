"""Predictors: numbers or factors, joined by area, given to the survey where the census fixes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.categories import present
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import close_level, folded, listed
from poolmap.tables import MISSING, Table, nearest, nearest_then

TOTALS = frozenset({"total", "totals", "all", "sum", "overall", "grandtotal"})
_SHOWN = 10
_NEARLY = 0.1  # share of areas that may vary before a predictor counts as the respondent's own


def join_area_predictors(
    spec: MrpAnalysis,
    tables: Sequence[Table],
    survey: Table,
    census: pd.DataFrame,
    where: str,
    forced: Collection[str] = (),
) -> set[str]:
    """Give census and survey the columns of the tables of predictors of areas, in place.

    Args:
        tables: of `spec.area_predictors`, harmonised; what is wrong goes to their problems.
        survey: gets a column where it has the area and not a column of that name.
        census: categories of text by column, one row a cell (or a person).
        where: what the census is called.
        forced: columns that are factors although their levels are numbers.

    Returns:
        the columns that the survey got.
    """
    given: set[str] = set()
    for source, table in zip(spec.area_predictors, tables, strict=True):
        named = [table.has(name, key="area_predictors") for name in (source.area, *source.columns)]
        if source.area not in census:
            what = f"the census, {where}, has no variable '{source.area}' to join it by"
            table.problem(what, nearest(source.area, census.columns))
        if not all(named) or source.area not in census:
            continue
        frame = table.frame
        _check_areas(table, source.area, source.columns)
        known = list(frame[source.area])
        lived = present(census[source.area])
        for name in source.columns:
            if name not in forced and _is_numeric(frame[name].cat.categories):
                table.numbers(name)
            values = dict(zip(known, frame[name], strict=True))
            for area in [a for a in lived if values.get(a, "") in MISSING][:20]:
                if area in values:
                    what, remedy = (
                        f"no '{name}' of {source.area} '{area}'",
                        "every area of the census needs one",
                    )
                else:
                    what = f"there is no row for {source.area} '{area}' of the census"
                    remedy = _no_row(area, known, lived)
                table.problem(what, remedy)
            if name in census:
                what = f"the census, {where}, has a column '{name}' of its own"
                table.problem(what, "take it out of the census or out of `area_predictors`", column=name)
                continue
            census[name] = _looked_up(census[source.area], values)
            if source.area in survey.frame and name not in survey.frame:
                survey.frame[name] = _looked_up(survey.frame[source.area], values)
                given.add(name)
    return given


def predictor_kinds(needs: Needs, census: pd.DataFrame, survey: pd.DataFrame) -> dict[str, str]:
    """Whether each predictor is `numeric` or a `factor`: C(x), or text.

    A column is text where fewer than half of its levels are numbers, be it with a comma for the point (that
    is refused where they are read).
    """
    return {
        name: "factor"
        if name in needs.forced or not _is_numeric(_levels(name, census, survey))
        else "numeric"
        for name in needs.predictors
    }


def number_and_factor(needs: Needs, census: pd.DataFrame, survey: pd.DataFrame) -> list[str]:
    """Numeric predictors that the formulas have with and without `C()`: two predictors of one name."""
    both = [name for name in needs.predictors if name in needs.forced and name in needs.plain]
    return [name for name in both if _is_numeric(_levels(name, census, survey))]


def _levels(name: str, census: pd.DataFrame, survey: pd.DataFrame) -> list[str]:
    return present((census if name in census else survey)[name])


def _is_numeric(levels: Sequence[str]) -> bool:
    levels = pd.Series(list(levels), dtype=object)
    levels = levels[~levels.isin(MISSING)]
    numbers = pd.to_numeric(levels.str.replace(",", ".", n=1), errors="coerce").notna().sum()
    return bool(2 * numbers >= len(levels))


def settle(
    needs: Needs,
    numeric: Sequence[str],
    survey: Table,
    joined: Collection[str],
    people: pd.DataFrame,
    cells: pd.DataFrame,
) -> dict[str, dict[str, Any]]:
    """Give the respondents the census's values of predictors that it fixes; say for each what fixes it.

    A predictor that the census holds constant within a variable (or within all variables of the formula
    together) is taken from there, and the survey's own values, where it has any, must agree with it. Any
    other predictor is the respondent's own and comes from the survey.

    Args:
        numeric: the numeric predictors.
        joined: columns that the survey got from a table of areas.
        people: gets the values; NaN where there are none.
        cells: of the population.

    Returns:
        by predictor `constant_within` (variables; [] where it is the respondent's own) and `in_survey`.
    """
    shared = [v for v in needs.factors if v in cells.columns and v in people.columns]
    sources: dict[str, dict[str, Any]] = {}
    for name in numeric:
        in_survey = name in survey.frame.columns
        varying = {v: _varying(cells, [v], name) for v in shared}
        fixing = [[v] for v in shared if not len(varying[v])]
        nearly = [v for v in shared if len(varying[v]) <= _NEARLY * cells[v].nunique() and not fixing]
        if not fixing and shared and not len(_varying(cells, shared, name)):
            fixing = [shared]
        keys = fixing[0] if fixing else []
        sources[name] = {"constant_within": keys, "in_survey": in_survey and name not in joined}
        if nearly:
            v = nearly[0]
            survey.problem(
                f"the census fixes '{name}' by '{v}', except in {listed(varying[v])}, where it varies",
                f"a predictor of areas has one value an area: mend the census there, or rename the column if "
                f"'{name}' is meant to vary within '{v}'",
            )
        elif not keys and not in_survey:
            one = next((v for v in shared if len(varying[v])), None)
            within = f": it varies within '{one}', e.g. in {listed(varying[one], 3)}" if one else ""
            survey.problem(
                f"there is no column '{name}' (asked for by 'formula'), and the census does not fix its "
                f"value by {' and '.join(shared) or 'a variable of the formula'}{within}",
                nearest_then(name, survey.frame.columns, "A predictor of areas needs one value an area"),
            )
        elif keys:
            people[name] = _given(keys, name, survey, people, cells)
    return sources


def scale(cells: pd.DataFrame, name: str) -> tuple[float, float]:
    """Mean and standard deviation of a predictor over the people of the census."""
    mean = float(np.average(cells[name], weights=cells["count"]))
    return mean, float(np.sqrt(np.average((cells[name] - mean) ** 2, weights=cells["count"])))


def _check_areas(table: Table, area: str, columns: Sequence[str]) -> None:
    """Note areas with several rows; where they differ, a predictor of areas varies within one."""
    for label in table.frame.index[table.frame[area].duplicated(keep="first")][:_SHOWN]:
        name = table.frame.at[label, area]
        rows = table.frame[table.frame[area] == name]
        differ = [column for column in columns if rows[column].nunique() > 1]
        what = f"{area} '{name}' stands already in {table.unit} {rows.index[0]}"
        if differ:
            values = " and ".join(dict.fromkeys(str(value) for value in rows[differ[0]]))
            what += f", and '{differ[0]}' varies within it ({values})"
        table.problem(what, "give every area one row", line=label)


def _no_row(area: str, known: Sequence[str], lived: Sequence[str]) -> str:
    """What to do about an area of the census without a row of predictors."""
    if folded(area) in TOTALS:
        return "take the rows of a total out of the census: with them everyone is counted twice"
    remedy = "Spell it alike in both files, or add the row"
    near = close_level(area, [other for other in known if other not in lived])
    if near is not None:
        return f"did you mean '{near}'? {remedy}"
    return nearest_then(area, [other for other in known if other not in lived], remedy)


def _looked_up(area: pd.Series, values: Mapping[str, str]) -> pd.Series:
    texts = [values.get(level, "") for level in area.cat.categories]
    unique = pd.Index(dict.fromkeys([*texts, ""]), dtype=object)
    codes = np.append(unique.get_indexer(texts), unique.get_loc(""))[area.cat.codes]
    return pd.Series(pd.Categorical.from_codes(codes, unique), index=area.index)


def _varying(cells: pd.DataFrame, keys: Sequence[str], name: str) -> list[str]:
    """The groups of cells within which a predictor has different values."""
    spread = cells.groupby(list(keys), observed=True)[name].agg(["min", "max"])
    differ = ~np.isclose(spread["min"], spread["max"], rtol=1e-9, atol=0)
    return [" / ".join(k) if isinstance(k, tuple) else str(k) for k in spread.index[differ]]


def _given(
    keys: Sequence[str], name: str, survey: Table, people: pd.DataFrame, cells: pd.DataFrame
) -> pd.Series:
    """The census's value for each respondent; notes those whose own value differs from it."""
    value = cells.groupby(list(keys), observed=True)[name].first()
    if len(keys) > 1:
        place = pd.MultiIndex.from_frame(people[list(keys)].astype(object))
        value.index = pd.MultiIndex.from_tuples([tuple(map(str, key)) for key in value.index])
    else:
        place = pd.Index(people[keys[0]].astype(object))
        value.index = value.index.astype(object)
    known = pd.Series(value.reindex(place).to_numpy(), index=people.index)
    given = people[name]
    differ = given.notna() & known.notna() & ~np.isclose(given, known, rtol=1e-6, atol=1e-9)
    where = " and ".join(f"'{key}'" for key in keys)
    for line in people.index[differ][:_SHOWN]:
        survey.problem(
            f"{given[line]:g} is not the census's value {known[line]:g} for "
            f"{', '.join(str(people.at[line, key]) for key in keys)}",
            f"in the census {where} fixes '{name}': mend the file that is wrong, or take the column out "
            "of the survey (the census's values are then used)",
            line=line,
            column=name,
        )
    if differ.sum() > _SHOWN:
        survey.problem(f"the same in {differ.sum() - _SHOWN} more rows", column=name)
    return known.where(known.notna(), given)
