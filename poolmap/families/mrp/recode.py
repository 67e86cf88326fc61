"""Recoding levels and cutting numbers into bands, alike in every table of an analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.config.mrp_survey import Bands
from poolmap.errors import Problem
from poolmap.families.mrp.categories import mapped, present
from poolmap.families.mrp.codes import code_doubt
from poolmap.tables import Table, nearest

LeftOut = tuple[Table, int, str]
"""A row that is left out: its table, its line, and why."""


def harmonise(spec: MrpAnalysis, tables: Sequence[Table]) -> tuple[list[LeftOut], list[Problem], list[str]]:
    """Apply `recode` and `bands` to every table that has their columns, in place.

    A recoded column comes first, then bands, then a recoded variable of bands. Rows with a number below the
    first band are taken out of the table.

    Args:
        tables: columns of categories of text; numbers that cannot be read are noted in their problems.

    Returns:
        the rows taken out, what is wrong with the config, and doubts (see `doubts`).
    """
    first = {name: levels for name, levels in spec.recode.items() if name not in spec.bands}
    then = {name: levels for name, levels in spec.recode.items() if name in spec.bands}
    problems = _recode(first, tables)
    left_out: list[LeftOut] = []
    doubts: list[str] = []
    for name, bands in spec.bands.items():
        left_out += _cut(name, bands, tables, problems, doubts)
    return left_out, problems + _recode(then, tables), doubts


def band_labels(bands: Bands) -> list[str]:
    """The names of the bands: those given, or "18-29", "30-44", "75+"."""
    if bands.labels:
        return list(bands.labels)
    lower = bands.lower
    whole = all(float(bound).is_integer() for bound in lower)
    names = []
    for start, end in pairwise(lower):
        if whole:
            names.append(f"{start:g}" if end - start == 1 else f"{start:g}-{end - 1:g}")
        else:
            names.append(f"{start:g} to <{end:g}")
    return [*names, f"{lower[-1]:g}+"]


def _recode(maps: Mapping[str, Mapping[str, str]], tables: Sequence[Table]) -> list[Problem]:
    problems = []
    for name, levels in maps.items():
        having = [table for table in tables if name in table.frame.columns]
        if not having:
            columns = dict.fromkeys(column for table in tables for column in table.names)
            what = f"no table has a column '{name}'"
            problems.append(Problem(f"config: recode.{name}", what, nearest(name, columns)))
            continue
        there = dict.fromkeys(level for table in having for level in present(table.frame[name]))
        for level in levels:
            if level not in there:
                what = f"no table has the level '{level}'"
                problems.append(
                    Problem(f"config: recode.{name}", what, nearest(level, sorted(filter(None, there))))
                )
        for table in having:
            table.frame[name] = mapped(table.frame[name], lambda level, of=levels: of.get(level, level))
    return problems


def _cut(
    name: str, bands: Bands, tables: Sequence[Table], problems: list[Problem], doubts: list[str]
) -> list[LeftOut]:
    """Cut the column into bands wherever it stands; the rows below the first one."""
    column, labels = bands.column or name, band_labels(bands)
    left_out: list[LeftOut] = []
    found = False
    for table in tables:
        if column not in table.frame.columns or _is_banded(table, column, name, labels):
            found |= column in table.frame.columns
            continue
        found = True
        values = table.numbers(column, what=f"a number, which is cut into the bands of '{name}'")
        doubts += code_doubt(table.where(column=column), column, table.frame[column], values)
        codes = np.searchsorted(np.asarray(bands.lower, dtype=float), values.to_numpy(), side="right")
        codes = np.where(values.isna(), 0, codes)
        below = values.notna() & (codes == 0)
        table.frame[name] = pd.Categorical.from_codes(codes, pd.Index(["", *labels], dtype=object))
        reason = f"'{column}' is below the first band of '{name}', {labels[0]}"
        left_out += [(table, line, reason) for line in values.index[below]]
        table.frame = table.frame[~below]
        if table.frame.empty:
            what = f"every number is below the first band of '{name}', {bands.lower[0]:g}"
            table.problem(what, f"write lower bounds in the unit of '{column}'", column=column)
    if not found:
        columns = dict.fromkeys(c for table in tables for c in table.names)
        what = f"no table has a column '{column}'"
        problems.append(Problem(f"config: bands.{name}", what, nearest(column, columns)))
    return left_out


def _is_banded(table: Table, column: str, name: str, labels: Sequence[str]) -> bool:
    """Whether the column of the numbers, which is the new variable's too, holds the bands already."""
    if column != name:
        return False
    used = set(present(table.frame[column])) - {""}
    return bool(used) and used <= set(labels)
