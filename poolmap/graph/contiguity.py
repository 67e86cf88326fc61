"""Neighbours by borders: shared vertices, touching polygons, gaps up to a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from poolmap.graph.plane import in_plane

if TYPE_CHECKING:
    import geopandas as gpd

Pairs = NDArray[np.int64]
"""(m, 2) row numbers of areas, each pair once, the lower number first."""

_CORNER = 0.01
_TURN = 4


def vertex_pairs(frame: gpd.GeoDataFrame, contiguity: Literal["queen", "rook"]) -> Pairs:
    """Areas with a vertex (queen) or a segment between two vertices (rook) in common, to the last digit.

    These are the pairs of `spdep::poly2nb(snap = 0)` and `libpysal.graph.Graph.build_contiguity`.
    """
    import shapely

    polygons, owner = shapely.get_parts(np.asarray(frame.geometry.values), return_index=True)
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    area = owner[polygon[ring]]
    _, vertex = np.unique(points @ [1, 1j], return_inverse=True)
    if contiguity == "queen":
        return sharing(vertex, area)
    along = ring[1:] == ring[:-1]
    ends = np.sort(np.column_stack([vertex[:-1], vertex[1:]])[along], axis=1)
    segment = ends[:, 0] * (vertex.max() + 1) + ends[:, 1]
    real = ends[:, 0] != ends[:, 1]
    return sharing(segment[real], area[1:][along][real])


def touching_pairs(frame: gpd.GeoDataFrame, contiguity: Literal["queen", "rook"]) -> Pairs:
    """Areas that meet in a point (queen) or along their borders (rook), vertices or not, or that overlap.

    An overlap makes rook neighbours only where it is longer than a hundredth of the smaller circumference.
    """
    import shapely

    polygons = np.asarray(frame.geometry.values)
    meeting = _once(shapely.STRtree(polygons).query(polygons, predicate="intersects"))
    if contiguity == "rook":
        meeting = meeting[_along_a_border(polygons[meeting[:, 0]], polygons[meeting[:, 1]])]
    return union(vertex_pairs(frame, contiguity), meeting)


def tolerant_pairs(frame: gpd.GeoDataFrame, contiguity: Literal["queen", "rook"], tolerance: float) -> Pairs:
    """Touching areas, and those whose borders do not quite meet or that overlap by mistake.

    Queen neighbours lie at most `tolerance` metres apart. Rook neighbours have a stretch of border within
    `tolerance` of the other that is longer, for either of the two, than four times the tolerance (at a corner
    it is about twice) and than a hundredth of the smaller circumference.
    """
    import shapely

    exact = touching_pairs(frame, contiguity)
    plane, metres = in_plane(frame)
    polygons, reach = np.asarray(plane.values), tolerance / metres
    near = _once(shapely.STRtree(polygons).query(polygons, predicate="dwithin", distance=reach))
    if contiguity == "rook":
        near = _without(near, exact)
        first, second = polygons[near[:, 0]], polygons[near[:, 1]]
        length = np.minimum(_within(first, second, reach), _within(second, first, reach))
        corner = _CORNER * np.minimum(shapely.length(first), shapely.length(second))
        near = near[length > np.maximum(_TURN * reach, corner)]
    return union(exact, near)


def sharing(cell: NDArray[np.int64], area: NDArray[np.int64]) -> Pairs:
    """Pairs of areas that are found in the same cell.

    Args:
        cell, area: (k,) area `area[i]` is in cell `cell[i]`; repetition does not matter.
    """
    n = int(area.max(initial=0)) + 1
    cells, areas = np.divmod(np.unique(cell * n + area), n)
    found, lag = [np.empty((0, 2), dtype=np.int64)], 1
    while (same := cells[lag:] == cells[:-lag]).any():
        found.append(np.column_stack([areas[:-lag], areas[lag:]])[same])
        lag += 1
    return np.unique(np.concatenate(found), axis=0)


def union(*pairs: Pairs) -> Pairs:
    """The pairs that are in any of these."""
    return np.unique(np.concatenate(pairs), axis=0)


def _without(pairs: Pairs, others: Pairs) -> Pairs:
    key = [1, int(pairs.max(initial=0)) + 1]
    return pairs[~np.isin(pairs @ key, others @ key)]


def _once(found: NDArray[np.int64]) -> Pairs:
    """Each pair once, from a (2, k) answer of a tree about its own members."""
    return found.T[found[0] < found[1]]


def _along_a_border(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which pairs of polygons share a segment, or overlap in more than a corner."""
    import shapely

    along = shapely.relate_pattern(first, second, "****1****")
    overlapping = np.flatnonzero(~along & shapely.relate_pattern(first, second, "T********"))
    first, second = first[overlapping], second[overlapping]
    # The length of a sliver is about half its circumference.
    length = shapely.length(shapely.intersection(first, second)) / 2
    along[overlapping] = length > _CORNER * np.minimum(shapely.length(first), shapely.length(second))
    return along


def _within(first: NDArray[np.object_], second: NDArray[np.object_], reach: float) -> NDArray[np.float64]:
    """How long a part of the first one's border lies at most so far from the second."""
    import shapely

    return shapely.length(shapely.intersection(shapely.boundary(first), shapely.buffer(second, reach)))
