"""Mending the polygons of a map: every change is a finding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import geopandas as gpd

_NOTABLE_OVERLAP = 0.01


@dataclass(frozen=True)
class Finding:
    """What was found about an area and what was done; `area` is empty where it concerns all."""

    area: str
    finding: str
    action: str


def left_out_empty(
    areas: NDArray[np.object_], shapes: NDArray[np.object_], findings: list[Finding]
) -> NDArray[np.bool_]:
    """(n,) which features have a geometry; the others are findings."""
    import shapely

    empty = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    for row in np.flatnonzero(empty):
        what = f"feature {row + 1} has no geometry"
        findings.append(Finding(areas[row], what, "left out of the map"))
    return ~empty


def repaired(
    areas: NDArray[np.object_], shapes: NDArray[np.object_], findings: list[Finding]
) -> NDArray[np.object_]:
    """Valid polygons in two dimensions only; what was changed is added to the findings.

    A polygon of which nothing is left comes back empty.
    """
    import shapely

    shapes = shapes.copy()
    if shapely.has_z(shapes).any():
        shapes = shapely.force_2d(shapes)
        findings.append(Finding("", "coordinates have a height", "heights left out"))
    for row in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        shapes[row] = shapely.multipolygons(polygons_of(shapes[row]))
        findings.append(Finding(areas[row], "polygons mixed with points or lines", "only the polygons kept"))
    for row in np.flatnonzero(~shapely.is_valid(shapes)):
        reason, before = shapely.is_valid_reason(shapes[row]), shapely.area(shapes[row])
        shapes[row] = shapely.make_valid(shapes[row], method="structure", keep_collapsed=False)
        after = shapely.area(shapes[row])
        change = abs(after - before) / before if before else math.inf
        note = (
            "" if change < 0.001 else f"; its size changed from {before:.4g} to {after:.4g} square map units"
        )
        findings.append(Finding(areas[row], f"invalid polygon: {reason}", f"repaired{note}"))
    return shapes


def joined_parts(frame: gpd.GeoDataFrame, findings: list[Finding]) -> gpd.GeoDataFrame:
    """One row an area: the features of one id become one area, in the place of the first.

    Args:
        frame: `area` and valid `geometry`; features of one id agree in all other columns.
        findings: the areas that had several features are added.
    """
    import shapely

    count = frame["area"].value_counts(sort=False)
    first = ~frame["area"].duplicated()
    if first.all():
        return frame
    shapes = frame.geometry.to_numpy().copy()
    for area in count.index[count > 1]:
        rows = np.flatnonzero(frame["area"] == area)
        shapes[rows[0]] = shapely.union_all(shapes[rows])
        what = f"{len(rows)} features have this id and agree in all other columns"
        findings.append(Finding(area, what, "taken for the parts of one area and joined"))
    frame = frame.copy()
    frame["geometry"] = type(frame.geometry.values)(shapes, crs=frame.crs)
    return frame[first].reset_index(drop=True)


def overlaps(areas: NDArray[np.object_], shapes: NDArray[np.object_]) -> list[Finding]:
    """Pairs of areas that share a notable part of the smaller one's ground."""
    import shapely

    tree = shapely.STRtree(shapes)
    found = np.concatenate([tree.query(shapes, predicate=p) for p in ("overlaps", "covers")], axis=1)
    pairs = np.unique(np.sort(found.T[found[0] != found[1]], axis=1), axis=0)
    first, second = shapes[pairs[:, 0]], shapes[pairs[:, 1]]
    smaller = np.minimum(shapely.area(first), shapely.area(second))
    share = shapely.area(shapely.intersection(first, second)) / smaller
    return [
        Finding(
            areas[i], f"overlaps '{areas[j]}' by {part:.0%} of the smaller one", "kept; check the boundaries"
        )
        for (i, j), part in zip(pairs, share, strict=True)
        if part > _NOTABLE_OVERLAP
    ]


def polygons_of(shape: Any) -> list[Any]:
    """The polygons inside a geometry, however nested."""
    if shape.geom_type == "Polygon":
        return [] if shape.is_empty else [shape]
    return [polygon for part in getattr(shape, "geoms", []) for polygon in polygons_of(part)]
