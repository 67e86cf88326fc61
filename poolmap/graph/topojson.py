"""Neighbours by the arcs that areas share in a TopoJSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from poolmap.errors import InputError, Problem
from poolmap.graph.contiguity import Pairs, sharing
from poolmap.tables import nearest

_BROKEN = "save the map again as TopoJSON, or use `method: contiguity`"


def arc_pairs(
    path: str | Path,
    area_column: str,
    layer: str | None,
    areas: Sequence[str],
    contiguity: Literal["queen", "rook"],
) -> Pairs:
    """Areas whose polygons in a TopoJSON file have an arc (rook) or the end of an arc (queen) in common.

    A topology stores each stretch of border once; two areas are rook neighbours where both refer to it. Arcs
    end where borders meet, so that areas that share only a corner share the end of an arc. Nothing is
    computed from coordinates: gaps and overlaps of the drawn polygons do not matter.

    Args:
        path: the file.
        area_column: the property with the area's id, or `id` for the features' own.
        layer: the object of the file; may be None where there is one only.
        areas: ids of the areas, in the order of the wanted numbers; other features are ignored.
        contiguity: "rook" or "queen".

    Raises:
        InputError: the file is no TopoJSON, an area has no feature in it, or a feature refers to an arc that
            the file does not hold.
    """
    name = str(path)
    topology = _topology(name)
    geometries = _geometries(name, topology, layer)
    number = {area: i for i, area in enumerate(areas)}
    count = len(topology["arcs"])
    owner: list[int] = []
    used: list[int] = []
    problems: list[Problem] = []
    seen = set()
    for position, geometry in enumerate(geometries, start=1):
        area = _id(geometry, area_column)
        if area not in number:
            continue
        seen.add(area)
        arcs = [arc if arc >= 0 else ~arc for arc in _arcs(geometry)]
        if any(arc >= count for arc in arcs):
            where = f"{name}, feature {position} (area '{area}')"
            what = f"it refers to arc {max(arcs)}, but the file has arcs 0 to {count - 1} only"
            problems.append(Problem(where, what, _BROKEN))
            continue
        owner += [number[area]] * len(arcs)
        used += arcs
    lacking = [area for area in areas if area not in seen]
    if lacking:
        listed = ", ".join(f"'{area}'" for area in lacking[:5]) + (" ..." if len(lacking) > 5 else "")
        what = f"{len(lacking)} areas of the map have no feature with arcs: {listed}"
        problems.append(Problem(name, what, _BROKEN))
    if problems:
        raise InputError(problems)
    arc, area_number = np.array(used, dtype=np.int64), np.array(owner, dtype=np.int64)
    if contiguity == "rook":
        return sharing(arc, area_number)
    ends = _ends(topology["arcs"], quantised="transform" in topology)[arc]
    _, junction = np.unique(ends.ravel(), return_inverse=True)
    return sharing(junction, np.repeat(area_number, 2))


def _topology(name: str) -> Mapping[str, Any]:
    remedy = "`method: arcs` needs a TopoJSON file as geometry; use `method: contiguity` for other formats"
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        content = None
    if not isinstance(content, dict) or content.get("type") != "Topology":
        raise InputError([Problem(name, "the file is not TopoJSON and has no arcs", remedy)])
    if not content.get("arcs") or not content.get("objects"):
        raise InputError([Problem(name, "the topology holds no arcs or no objects", remedy)])
    return content


def _geometries(name: str, topology: Mapping[str, Any], layer: str | None) -> list[Mapping[str, Any]]:
    objects = topology["objects"]
    if layer is None and len(objects) == 1:
        layer = next(iter(objects))
    if layer not in objects:
        what = "the file holds several objects" if layer is None else f"there is no object '{layer}'"
        raise InputError([Problem(name, what, nearest(layer or "", objects))])
    chosen = objects[layer]
    return chosen["geometries"] if chosen.get("type") == "GeometryCollection" else [chosen]


def _id(geometry: Mapping[str, Any], area_column: str) -> str:
    """A feature's id as text, as `read_geometry` has it."""
    properties = geometry.get("properties") or {}
    value = properties.get(area_column, geometry.get("id") if area_column == "id" else None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _arcs(geometry: Mapping[str, Any]) -> Iterator[int]:
    """The arc numbers of a geometry, however nested; a number below 0 is the reversed arc ~number."""
    if geometry.get("type") == "GeometryCollection":
        for part in geometry.get("geometries", []):
            yield from _arcs(part)
    elif geometry.get("type") in ("Polygon", "MultiPolygon"):
        yield from _numbers(geometry.get("arcs", []))


def _numbers(nested: Any) -> Iterator[int]:
    for item in nested:
        if isinstance(item, int):
            yield item
        else:
            yield from _numbers(item)


def _ends(arcs: Sequence[Sequence[Sequence[float]]], *, quantised: bool) -> NDArray[np.complex128]:
    """(arcs, 2) first and last point of each arc; quantised arcs are stored as steps."""
    ends = np.empty((len(arcs), 2), dtype=np.complex128)
    for i, arc in enumerate(arcs):
        points = np.array([point[:2] for point in arc], dtype=np.float64)
        last = points.sum(axis=0) if quantised else points[-1]
        ends[i] = complex(*points[0]), complex(*last)
    return ends
