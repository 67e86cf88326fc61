"""The cells of a population that is known by its margins only, by raking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.categories import present
from poolmap.families.mrp.census import aggregated, check_duplicates, check_points
from poolmap.families.mrp.order import close_level, listed, ordered
from poolmap.families.mrp.raking import Raked, rake
from poolmap.families.mrp.same_levels import written
from poolmap.tables import Table

AGREE = 1e-6  # totals of two margins, relative
MOST_CELLS = 5_000_000
_SHOWN = 10


def check_margins(spec: MrpAnalysis, tables: Sequence[Table]) -> None:
    """Note margins without their count or without variables, and repeated rows; before recoding."""
    for table, margin in zip(tables, spec.margins, strict=True):
        if not table.has(margin.count, key="margins: count"):
            continue
        if len(table.frame.columns) == 1:
            what = "the margin has no variable"
            table.problem(what, "the columns beside the count are the variables of the margin")
        check_duplicates(table, margin.count)


def margin_cells(
    spec: MrpAnalysis, tables: Sequence[Table], seed: Table | pd.DataFrame | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The cells that agree with all margins.

    Args:
        tables: the margins, harmonised.
        seed: a table of cells, the respondents (variables and `weight`), or None: all cells alike.

    Returns:
        variables (categories) and `count`; and facts of the raking: `cells`, `zeros` (cells that the margins
        have people for, and the seed holds as 0 or not at all), `iterations`, `gap`, `totals`, `seed`.

    Raises:
        InputError: counts that are no numbers, margins that contradict each other or whose people the seed
            has no cells for, raking that does not come to an end.
    """
    margins = [_margin(table, margin.count) for table, margin in zip(tables, spec.margins, strict=True)]
    _raise([problem for table in tables for problem in table.problems])
    totals = [float(margin["count"].sum()) for margin in margins]
    _raise(_disagreements(spec, margins, totals))
    cells = _seeded(spec, margins, seed)
    _raise(_unknown_to_seed(spec, margins, cells))
    members, targets = [], []
    for margin, total in zip(margins, totals, strict=True):
        names = [name for name in margin.columns if name != "count"]
        keys = pd.MultiIndex.from_frame(margin[names].astype(object))
        member = keys.get_indexer(pd.MultiIndex.from_frame(cells[names].astype(object)))
        members.append(member)
        targets.append(margin["count"].to_numpy(dtype=float) * (totals[0] / total))  # rounded otherwise
    known = np.all([member >= 0 for member in members], axis=0)
    cells, members = cells[known].reset_index(drop=True), [member[known] for member in members]
    start = cells["count"].to_numpy(dtype=float)
    _raise(_without_cells(spec, margins, members, start))
    raked = rake(start, members, targets)
    if not raked.converged:
        _raise([_not_converged(spec, margins, members, targets, raked)])
    cells["count"] = raked.cells
    zeros = int((start == 0).sum()) if seed is None else _ruled_out(margins, cells[start > 0])
    return cells, {
        "cells": int((start > 0).sum()),
        "zeros": zeros,
        "iterations": raked.iterations,
        "gap": raked.gap,
        "total": totals[0],
        "margins": [[name for name in margin.columns if name != "count"] for margin in margins],
        "seed": spec.seed_table if spec.seed_table in ("survey", "uniform") else "table",
    }


def seed_rows(spec: MrpAnalysis, table: Table) -> pd.DataFrame:
    """The rows of the seed table: variables and `count`; what is wrong goes to its problems."""
    names = [name for name in table.frame.columns if name != spec.count]
    rows = table.frame[names].copy()
    rows["count"] = table.numbers(spec.count, lower=0, what="the cell's count, 0 or more").fillna(0.0)
    return rows


def _margin(table: Table, count: str) -> pd.DataFrame:
    """The entries of one margin, those that recoding has made equal added up."""
    names = [name for name in table.frame.columns if name != count]
    rows = table.frame[names].copy()
    for name in names:
        for line in rows.index[rows[name] == ""][:5]:
            remedy = "write every level; rows of totals must not stand in the table"
            table.problem(f"the {name} is empty", remedy, line=line, column=name)
    rows["count"] = table.numbers(count, lower=0, what="the number of people, 0 or more")
    check_points(table, count)
    for line in rows.index[table.is_missing(count)][:5]:
        table.problem("no number of people", "every row needs one", line=line, column=count)
    return aggregated(rows, names)


def _disagreements(
    spec: MrpAnalysis, margins: Sequence[pd.DataFrame], totals: Sequence[float]
) -> list[Problem]:
    """Margins with different levels, totals, or numbers of a variable that they share; the first of these.

    A level that is misspelt or lacking makes totals and numbers differ as well, so these are compared only
    where the levels agree.
    """
    if found := _other_levels(spec, margins):
        return found
    paths = [margin.data for margin in spec.margins]
    if max(totals) - min(totals) > AGREE * max(totals):
        told = "; ".join(f"{path}: {total:,.10g}" for path, total in zip(paths, totals, strict=True))
        remedy = (
            "count the same people in every margin; where they differ by rounding, scale them to one total"
        )
        return [Problem("config: margins", f"the margins do not sum to the same total ({told})", remedy)]
    if totals[0] <= 0:
        return [Problem("config: margins", "the margins sum to 0", "name the columns with the counts")]
    found = []
    for (a, first), (b, second) in combinations(enumerate(margins), 2):
        shared = [name for name in _variables(first) if name in second.columns]
        if not shared:
            continue
        sums = [
            margin.assign(**{n: margin[n].astype(object) for n in shared}).groupby(shared)["count"].sum()
            for margin in (first, second)
        ]
        gap = (sums[0] - sums[1]).abs()
        off = gap.index[gap > AGREE * totals[0]]
        for key in off[:_SHOWN]:
            group = ", ".join(key) if isinstance(key, tuple) else key
            what = f"{group}: {sums[0][key]:,.10g} people, but {sums[1][key]:,.10g} in {paths[b]}"
            found.append(Problem(paths[a], what, "make margins that share a variable agree on it"))
        if len(off) > _SHOWN:
            found.append(Problem(paths[a], f"the same for {len(off) - _SHOWN:,} more groups"))
    return found


def _other_levels(spec: MrpAnalysis, margins: Sequence[pd.DataFrame]) -> list[Problem]:
    """Margins whose levels of a variable are not those of the others that have it; one problem each."""
    found = []
    for name in dict.fromkeys(name for margin in margins for name in _variables(margin)):
        having = [i for i, margin in enumerate(margins) if name in margin.columns]
        held = {i: set(present(margins[i][name])) for i in having}
        usual = max(having, key=lambda i: (sum(other == held[i] for other in held.values()), -len(held[i])))
        for i in having:
            if held[i] != held[usual]:
                found.append(_unlike(spec, name, i, usual, held[i], held[usual]))
    return found


def _unlike(
    spec: MrpAnalysis, name: str, margin: int, other: int, has: set[str], should: set[str]
) -> Problem:
    """How the levels of a variable differ between two margins."""
    added, lacking = sorted(has - should), sorted(should - has)
    told = [f"has {listed(added)}"] if added else []
    told += [f"lacks {listed(lacking)}"] if lacking else []
    what = (
        f"it {' and '.join(told)}, unlike {spec.margins[other].data}; margins that share a variable hold the "
        "same levels of it"
    )
    near = {level: close_level(level, lacking) or close_level(level, sorted(should)) for level in added}
    meant = {level: other for level, other in near.items() if other is not None}
    if not meant:
        remedy = "spell levels alike in all margins, or recode them; a level without people has a row with 0"
    else:
        pairs = ", ".join(f"{written(old)}: {written(new)}" for old, new in list(meant.items())[:_SHOWN])
        remedy = f"spell levels alike, or write `recode: {{{name}: {{{pairs}}}}}`"
    return Problem(f"{spec.margins[margin].data}, column '{name}'", what, remedy)


def _seeded(
    spec: MrpAnalysis, margins: Sequence[pd.DataFrame], seed: Table | pd.DataFrame | None
) -> pd.DataFrame:
    """The cells to start from: variables (categories) and `count`."""
    levels: dict[str, pd.Index] = {}
    for margin in margins:
        for name in margin.columns:
            if name != "count":
                levels.setdefault(name, margin[name].cat.categories)
    if seed is None:
        size = int(np.prod([float(len(level)) for level in levels.values()]))
        if size > MOST_CELLS:
            what = (
                f"the margins span {size:,} cells ({', '.join(f'{n}: {len(v)}' for n, v in levels.items())})"
            )
            remedy = "give a `seed_table` with the cells that exist, or fewer variables or levels"
            _raise([Problem("config: margins", what, remedy)])
        grid = np.indices([len(level) for level in levels.values()]).reshape(len(levels), -1)
        columns = {
            name: pd.Categorical.from_codes(codes, level)
            for (name, level), codes in zip(levels.items(), grid, strict=True)
        }
        return pd.DataFrame(columns).assign(count=1.0)
    if isinstance(seed, Table):
        for name in levels:
            seed.has(name, key="margins")
        seed.finish()
        rows = seed_rows(spec, seed)
        seed.finish()
        return aggregated(rows, [name for name in rows.columns if name != "count"])
    absent = [name for name in levels if name not in seed]
    if absent:
        what = f"the survey lacks {', '.join(absent)}, which the margins have"
        remedy = "take them out of the margins, or write `seed_table: uniform`"
        _raise([Problem("config: seed_table", what, remedy)])
    return aggregated(seed[list(levels)].assign(count=seed["weight"]), list(levels))


def _ruled_out(margins: Sequence[pd.DataFrame], cells: pd.DataFrame) -> int:
    """How many combinations of levels with people in every margin are none of these cells."""
    some = [margin[margin["count"] > 0].drop(columns="count").astype(object) for margin in margins]
    possible, *rest = sorted(some, key=len, reverse=True)
    size = float(len(possible))
    for other in rest:
        shared = [name for name in other if name in possible]
        size *= len(other) / max(len(other[shared].drop_duplicates()), 1) if shared else len(other)
        if size <= MOST_CELLS:
            possible = possible.merge(other, on=shared) if shared else possible.merge(other, how="cross")
    if size > MOST_CELLS:  # too many to list: their number where margins that share variables go evenly
        return round(size) - len(cells)
    keys = list(possible)
    held = pd.MultiIndex.from_frame(cells[keys].astype(object))
    return int((~pd.MultiIndex.from_frame(possible).isin(held)).sum())


def _variables(margin: pd.DataFrame) -> list[str]:
    return [name for name in margin.columns if name != "count"]


def _unknown_to_seed(
    spec: MrpAnalysis, margins: Sequence[pd.DataFrame], cells: pd.DataFrame
) -> list[Problem]:
    """Levels with people that no cell of the seed has, by variable."""
    found = {}
    whose = "the survey" if spec.seed_table == "survey" else spec.seed_table
    for margin, table in zip(margins, spec.margins, strict=True):
        for name in _variables(margin):
            known = ordered(present(cells[name]))
            lived = present(margin.loc[margin["count"] > 0, name])
            lacking = [level for level in lived if level not in known]
            if not lacking or name in found:
                continue
            unused = [level for level in known if level not in present(margin[name])]
            meant = {level: near for level in lacking if (near := close_level(level, unused)) is not None}
            like = f" (did you mean {listed(list(meant.values()))}?)" if meant else ""
            what = (
                f"{whose}, where the cells start from, has no '{name}' {listed(lacking)}; its levels are "
                f"{listed(known)}"
            )
            remedy = f"spell levels alike in all files, or recode them{like}; or write `seed_table: uniform`"
            found[name] = Problem(f"{table.data}, column '{name}'", what, remedy)
    return list(found.values())


def _without_cells(
    spec: MrpAnalysis, margins: Sequence[pd.DataFrame], members: Sequence[np.ndarray], start: np.ndarray
) -> list[Problem]:
    """Entries of margins that have people, but no cell that could hold them."""
    found = []
    for table, margin, member in zip(spec.margins, margins, members, strict=True):
        names = [name for name in margin.columns if name != "count"]
        empty = (np.bincount(member, start, len(margin)) == 0) & (margin["count"] > 0).to_numpy()
        for _, row in margin[empty].head(_SHOWN).iterrows():
            group = ", ".join(str(row[name]) for name in names)
            what = (
                f"{group}: {row['count']:,.10g} people, but no cell of the seed ({spec.seed_table}) holds it"
            )
            remedy = "spell levels alike, take a seed that has these cells, or `seed_table: uniform`"
            found.append(Problem(table.data, what, remedy))
        if empty.sum() > _SHOWN:
            found.append(Problem(table.data, f"the same for {empty.sum() - _SHOWN} more groups"))
    return found


def _not_converged(
    spec: MrpAnalysis,
    margins: Sequence[pd.DataFrame],
    members: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    raked: Raked,
) -> Problem:
    gaps = [np.abs(np.bincount(m, raked.cells, len(t)) - t) for m, t in zip(members, targets, strict=True)]
    worst = int(np.argmax([gap.max() for gap in gaps]))
    row = margins[worst].iloc[int(gaps[worst].argmax())]
    group = ", ".join(str(row[name]) for name in margins[worst].columns if name != "count")
    what = (
        f"raking does not converge: after {raked.iterations:,} rounds '{group}' of "
        f"{spec.margins[worst].data} is off by {gaps[worst].max():,.3g} people"
    )
    remedy = "the seed's zeros rule out cells that the margins need: take another seed, or check the margins"
    return Problem("config: margins", what, remedy)


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise InputError(problems)
