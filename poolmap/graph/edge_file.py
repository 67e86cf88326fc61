"""Neighbours from a file: edge list, adjacency matrix, GAL; every entry is checked."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poolmap.errors import InputError, Problem
from poolmap.graph.contiguity import Pairs
from poolmap.tables import Table, nearest, read_table, read_text

_SHOWN = 20
_LISTED = 5


@dataclass
class _Check:
    """The problems of a file, the first ones in full, and the areas by number."""

    path: str
    areas: Sequence[str]
    problems: list[Problem] = field(default_factory=list)
    more: int = 0

    def __post_init__(self) -> None:
        self.number = {area: i for i, area in enumerate(self.areas)}

    def add(self, where: str, what: str, remedy: str) -> None:
        if len(self.problems) < _SHOWN:
            self.problems.append(Problem(where, what, remedy))
        else:
            self.more += 1

    def unknown(self, where: str, area: str) -> None:
        """An id that no area has; the nearest one is looked for only where it will be shown."""
        remedy = ""
        if len(self.problems) < _SHOWN:
            near = nearest(area, self.areas) if area else "give the id of an area"
            remedy = near if near.startswith("did") or len(self.areas) <= 25 else "use the ids of the map"
        self.add(where, f"'{area}' is not an area of the map" if area else "the id is empty", remedy)

    def own(self, where: str, area: str) -> None:
        self.add(where, f"area '{area}' is made its own neighbour", "take that out")

    def lacking(self, named: Container[str], what: str, remedy: str) -> None:
        without = [area for area in self.areas if area not in named]
        if without:
            shown = ", ".join(f"'{area}'" for area in without[:_LISTED])
            listed = shown + (" ..." if len(without) > _LISTED else "")
            self.add(self.path, f"{len(without)} areas of the map have no {what}: {listed}", remedy)

    def few(self, ids: dict[str, Any]) -> bool:
        """Whether most ids of the file are not those of the map: then one problem says it all."""
        known = sum(area in self.number for area in ids)
        if 2 * known >= len(ids):
            return False
        first = next(area for area in ids if area not in self.number)
        what = f"{len(ids) - known} of its {len(ids)} ids are not those of an area, the first one '{first}'"
        remedy = (
            f"write it with the ids of the map, such as '{self.areas[0]}', not with the numbers of its rows"
        )
        self.problems = [Problem(self.path, what, remedy)]
        return True

    def finish(self) -> None:
        if self.more:
            self.problems.append(Problem(self.path, f"{self.more} more problems of these kinds"))
        if self.problems:
            raise InputError(self.problems)


def file_pairs(path: str | Path, areas: Sequence[str]) -> Pairs:
    """The pairs of neighbours that a file names.

    Args:
        path: a GAL file (ending .gal), or a table as `read_table` takes it: an edge list has two columns of
            ids, a row a pair, in any order and direction; an adjacency matrix has the ids in its first column
            and again as the names of the others, with 1 for neighbours and 0 elsewhere. Areas that an edge
            list does not name have no neighbours; matrix and GAL must have all areas.
        areas: ids of the areas, in the order of the wanted numbers.

    Raises:
        InputError: the file cannot be read, or anything is wrong with its entries: unknown ids, areas that
            are their own neighbours, an asymmetric matrix, counts of a GAL file that do not fit.
    """
    check = _Check(str(path), areas)
    if Path(path).suffix.lower() == ".gal":
        pairs = _gal(check)
    else:
        table = read_table(path)
        columns = table.frame.columns
        if len(columns) == 2:
            pairs = _edge_list(table, check)
        elif 2 * len(check.number.keys() & set(columns[1:])) >= len(columns) - 1:
            pairs = _matrix(table, check)
        else:
            what = f"it has {len(columns)} columns, and most of them are not named by the id of an area"
            remedy = (
                "give an edge list (two columns of ids, one row a pair of neighbours) or an adjacency matrix "
                "(ids in the first column and again as the names of the others)"
            )
            raise InputError([Problem(str(path), what, remedy)])
    check.finish()
    return np.unique(np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1), axis=0)


def _edge_list(table: Table, check: _Check) -> list[tuple[int, int]]:
    first, second = table.frame.columns
    if first in check.number and second in check.number:
        what = f"'{first}' and '{second}' are areas, but the first line of a table names its columns"
        check.add(table.path, what, "put a line of column names above it")
    if check.few(dict.fromkeys(table.frame.to_numpy().ravel())):
        return []
    pairs = []
    for line, a, b in table.frame.itertuples():
        unknown = [(column, v) for column, v in ((first, a), (second, b)) if v not in check.number]
        for column, value in unknown:
            check.unknown(table.where(line, column), value)
        if not unknown and a == b:
            check.own(table.where(line), a)
        elif not unknown:
            pairs.append((check.number[a], check.number[b]))
    return pairs


def _matrix(table: Table, check: _Check) -> list[tuple[int, int]]:
    frame, areas = table.frame, list(check.areas)
    ids, *columns = frame.columns
    line: dict[str, int] = {}
    for row, area in frame[ids].items():
        if area in line:
            what = f"area '{area}' has a row already ({table.unit} {line[area]})"
            check.add(table.where(row, ids), what, "keep one of the two")
        elif area not in check.number:
            check.unknown(table.where(row, ids), area)
        line.setdefault(area, row)
    for column in columns:
        if column not in check.number:
            check.unknown(f"{table.path}, header", column)
    for what, named in (("row", line), ("column", set(columns))):
        check.lacking(named, what, f"give each its {what}, with zeros where it has no neighbours")
    if check.problems:
        return []
    values = frame.set_axis(frame[ids], axis=0).loc[areas, areas].to_numpy()
    joined = np.isin(values, ["1", "1.0"])
    for i, j in np.argwhere(~joined & ~np.isin(values, ["0", "0.0"])):
        remedy = "write 1 for neighbours and 0 elsewhere; weights are not used"
        check.add(table.where(line[areas[i]], areas[j]), f"'{values[i, j]}' is not 0 or 1", remedy)
    for i in np.flatnonzero(np.diag(joined)):
        check.own(table.where(line[areas[i]], areas[i]), areas[i])
    for i, j in np.argwhere(joined & ~joined.T):
        what = f"'{areas[j]}' is made a neighbour of '{areas[i]}', but not the other way round"
        remedy = f"write the same into {table.unit} {line[areas[j]]}, column '{areas[i]}'"
        check.add(table.where(line[areas[i]], areas[j]), what, remedy)
    return np.argwhere(joined).tolist()


def _gal(check: _Check) -> list[tuple[int, int]]:
    """The pairs of a GAL file.

    Its first line has the number of areas (in GeoDa's files after a 0, with names behind it); then an area
    has two lines: its id and the number of its neighbours; their ids.
    """
    lines = read_text(check.path).splitlines()
    header = lines[0].split() if lines else []
    size = header[1] if len(header) > 1 and header[0] == "0" else next(iter(header), "")
    if not size.isdigit():
        what, remedy = "it does not begin with the number of areas", "begin with '0 100 map id' or '100'"
        check.add(f"{check.path}, line 1", what, remedy)
        return []
    stands: dict[str, int] = {}
    named: dict[tuple[str, str], int] = {}
    at = 1
    while at < len(lines):
        fields = lines[at].split()
        at += 1
        if not fields:
            continue
        where = f"{check.path}, line {at}"
        if len(fields) != 2 or not fields[1].isdigit():
            what = f"'{' '.join(fields[:6])}' is not an id and the number of its neighbours"
            check.add(
                where, what, "give each area two lines: its id and the number; the ids of its neighbours"
            )
            return []
        area, count = fields[0], int(fields[1])
        if area in stands:
            check.add(where, f"area '{area}' stands already in line {stands[area]}", "keep one of the two")
        stands.setdefault(area, at)
        others = lines[at].split() if count and at < len(lines) else []
        at += 1 if count else 0
        if len(others) != count:
            what = f"area '{area}' is said to have {count} neighbours, but {len(others)} follow"
            check.add(where, what, "correct the number, or the line below it")
        named |= dict.fromkeys(((area, other) for other in others), at)
    if check.few(stands):
        return []
    for area, line in stands.items():
        if area not in check.number:
            check.unknown(f"{check.path}, line {line}", area)
    for (area, other), line in named.items():
        where = f"{check.path}, line {line}"
        if other == area:
            check.own(where, area)
        elif other not in check.number:
            check.unknown(where, other)
        elif (other, area) not in named and other in stands:
            what = f"'{other}' is made a neighbour of '{area}', but not the other way round"
            check.add(where, what, f"name '{area}' in the entry of '{other}' too, in line {stands[other]}")
    if int(size) != len(stands):
        what = f"it says {size} areas, but {len(stands)} have an entry"
        check.add(f"{check.path}, line 1", what, "correct the number, or save the file again")
    check.lacking(stands, "entry", "give each its entry, with 0 where it has no neighbours")
    return [] if check.problems else [(check.number[a], check.number[b]) for a, b in named]
