"""The cells of the population, from a census of cells or of persons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.categories import present
from poolmap.families.mrp.recode import LeftOut
from poolmap.tables import Table

_SHOWN = 10
_COUNT = re.compile(r"n|(n_?)?(people|persons|pop(ulation)?)(_?\d+)?|counts?|freq(uency)?|cnt|total", re.I)
_THOUSANDS = r"[1-9]\d{0,2}(\.\d{3})+"
_WEIGHT = re.compile(r"(.*_)?(weights?|wt|wgt|wts)|w|perwt|pweight|pwgtp", re.I)


def like_weight(name: str) -> bool:
    """Whether a column is called as the weight of a person, or as a number of people."""
    return bool(_WEIGHT.fullmatch(name) or _COUNT.fullmatch(name))


def check_duplicates(table: Table, count: str, more: str = "") -> None:
    """Note each row that repeats another in all columns but the count.

    Args:
        more: what else to do about it.
    """
    columns = [column for column in table.frame.columns if column != count]
    if not columns:
        return
    frame = table.frame[columns]
    repeated = frame.duplicated()
    if not repeated.any():
        return
    group = frame.groupby(columns, observed=True, sort=False, dropna=False).ngroup()
    first = pd.Series(group.index, index=group.to_numpy()).groupby(level=0).first()
    lines = group.index[repeated]
    for line in lines[:_SHOWN]:
        cell = ", ".join(f"{column} {frame.at[line, column]}" for column in columns)
        table.problem(
            f"duplicated cell: {cell} stands already in {table.unit} {first[group[line]]}",
            "give each cell one row; where the counts belong to different groups, add the column that tells "
            f"them apart{more}",
            line=line,
        )
    if len(lines) > _SHOWN:
        table.problem(f"the same in {len(lines) - _SHOWN} more rows")


def check_points(table: Table, count: str) -> None:
    """Note numbers of people such as 1.521 that may be 1,521: all fractions have three digits."""
    texts = table.frame[count].astype(object).astype(str)
    pointed = texts[texts.str.contains(".", regex=False)]
    if pointed.empty or not pointed.str.fullmatch(_THOUSANDS).all():
        return
    rows = "1 row has" if len(pointed) == 1 else f"{len(pointed):,} rows have"
    table.problem(
        f"{rows} a point with three digits after it: is '{pointed.iloc[0]}' a fraction, or written with a "
        "point between thousands?",
        "write numbers of people without separators, and fractions with more decimals",
        line=pointed.index[0],
        column=count,
    )


def cell_rows(names: Sequence[str], kinds: Mapping[str, str], table: Table, count: str) -> pd.DataFrame:
    """The rows of a census of cells.

    Args:
        names: the variables that the table has to have.
        kinds: of each predictor that it has, `numeric` or `factor`.
        table: harmonised; what is wrong goes to its problems.
        count: column with the number of people.

    Returns:
        variables (categories), predictors (numbers or categories) and `count`; index: line.
    """
    rows = columns_of(names, kinds, table)
    for name in [*names, *(name for name, kind in kinds.items() if kind == "factor")]:
        empty = table.frame.index[table.frame[name] == ""]
        for line in empty[:5]:
            remedy = f"write the level of '{name}' in every row; rows of totals must not stand in the table"
            table.problem(f"the {name} is empty", remedy, line=line, column=name)
        if len(empty) > 5:
            table.problem(f"the same in {len(empty) - 5} more rows", column=name)
    rows["count"] = table.numbers(count, lower=0, what="the number of people, 0 or more")
    check_points(table, count)
    for name in [*(name for name, kind in kinds.items() if kind == "numeric"), count]:
        lines = table.frame.index[table.is_missing(name)]
        for line in lines[:20]:
            cell = ", ".join(f"{v} {rows.at[line, v]}" for v in names)
            table.problem(
                f"no value for the cell {cell}", "every cell of the census needs one", line=line, column=name
            )
        if len(lines) > 20:
            table.problem(f"the same in {len(lines) - 20} more rows", column=name)
    if not table.problems and rows["count"].sum() <= 0:
        table.problem("the counts add up to 0", "name the column with the number of people", column=count)
    return rows


def person_rows(
    spec: MrpAnalysis,
    names: Sequence[str],
    kinds: Mapping[str, str],
    table: Table,
    left_out: list[LeftOut],
) -> pd.DataFrame:
    """The rows of a census of persons (a sample of one, with weights); as `cell_rows`.

    Args:
        left_out: persons without a value of a variable or predictor are added here.
    """
    rows = columns_of(names, kinds, table)
    rows["count"] = 1.0
    if spec.count is not None:
        rows["count"] = table.numbers(spec.count, lower=0, what="the person's weight, 0 or more")
        missing = table.frame.index[table.is_missing(spec.count)]
        if len(missing):
            more = f" (and {len(missing) - 1} more rows)" if len(missing) > 1 else ""
            what = f"the person's weight is missing{more}"
            table.problem(what, "every person needs one", line=missing[0], column=spec.count)
    else:
        _check_persons(table, names, kinds)
    reason = pd.Series("", index=rows.index, dtype=object)
    for name in [*names, *kinds]:
        lacking = table.is_missing(name) if kinds.get(name) == "numeric" else table.frame[name] == ""
        reason[lacking & (reason == "")] = f"no '{name}'"
    left_out += [(table, int(line), why) for line, why in reason[reason != ""].items()]
    rows = rows[reason == ""]
    if not table.problems and rows["count"].sum() <= 0:
        table.problem("no person can be used", "every row lacks a variable or its weight is 0")
    return rows


def _check_persons(table: Table, names: Sequence[str], kinds: Mapping[str, str]) -> None:
    """Note a table of cells that is taken for one of persons: it has a count, and no two rows are alike."""
    counts = [name for name in table.names if _COUNT.fullmatch(name) and name not in (*names, *kinds)]
    if not counts or len(table.frame) < 2 or table.frame[list(names)].duplicated().any():
        return
    table.problem(
        f"by `microdata: true` each row is one person, but no two of its {len(table.frame):,} rows are "
        f"alike, and '{counts[0]}' looks like the number of people: this seems to be a table of cells",
        f"take `microdata` out and write `count: {counts[0]}`. If each row is a person, rename that column; "
        f"if it is the person's weight, write `count: {counts[0]}` beside `microdata: true`",
    )


def aggregated(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The distinct cells, their `count` added up; categories without rows are dropped."""
    frame = rows.copy(deep=False)
    for key in keys:
        if isinstance(frame[key].dtype, pd.CategoricalDtype):
            frame[key] = frame[key].cat.set_categories(present(frame[key]))
    if not keys:
        return pd.DataFrame({"count": [float(rows["count"].sum())]})
    return frame.groupby(list(keys), observed=True, sort=True)["count"].sum().reset_index()


def repeated(cells: pd.DataFrame, name: str, levels: Sequence[str]) -> pd.DataFrame:
    """All cells once for each level of a variable that they lack."""
    place = np.tile(np.arange(len(cells)), len(levels))
    out = cells.iloc[place].reset_index(drop=True)
    codes = np.repeat(np.arange(len(levels)), len(cells))
    out[name] = pd.Categorical.from_codes(codes, pd.Index(list(levels), dtype=object))
    return out


def columns_of(names: Sequence[str], kinds: Mapping[str, str], table: Table) -> pd.DataFrame:
    """The variables and factors (categories) and the numeric predictors (numbers) of a table."""
    factors = dict.fromkeys([*names, *(name for name, kind in kinds.items() if kind == "factor")])
    rows = table.frame[list(factors)].copy()
    for name, kind in kinds.items():
        if kind == "numeric":
            rows[name] = table.numbers(name)
    return rows
