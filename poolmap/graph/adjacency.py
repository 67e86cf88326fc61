"""Neighbours from polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from poolmap.graph.geometry import Finding, Geometry
from poolmap.graph.graph import Graph

if TYPE_CHECKING:
    import geopandas as gpd

_CORNER = 0.01


def build_adjacency(
    geometry: Geometry, contiguity: Literal["queen", "rook"] = "queen", tolerance: float = 0.0
) -> Graph:
    """The contiguity graph of the areas.

    Queen neighbours share at least one point of their boundaries, rook neighbours at least one segment. The
    pairs are those of libpysal (shared vertices or shared segments) together with polygons that touch without
    a common vertex (as where one border has been drawn with more points than the other) or that overlap; for
    rook neighbours the overlap must be as long as a hundredth of the smaller circumference.

    Args:
        geometry: the checked polygons.
        contiguity: "queen" or "rook".
        tolerance: polygons whose distance is at most this many metres are neighbours too; for maps whose
            borders do not quite meet. With queen contiguity only.

    Returns:
        The graph, its areas in the order of the frame.

    Raises:
        ValueError: another contiguity, a negative tolerance, or a tolerance with rook contiguity.
    """
    import libpysal
    import shapely

    if contiguity not in ("queen", "rook"):
        raise ValueError(f"contiguity must be 'queen' or 'rook', not '{contiguity}'")
    if tolerance < 0 or (tolerance and contiguity == "rook"):
        raise ValueError("tolerance must be 0 or more, and 0 with rook contiguity")
    frame = geometry.frame
    polygons = frame.geometry.values
    rook = contiguity == "rook"
    table = libpysal.graph.Graph.build_contiguity(frame.geometry.reset_index(drop=True), rook=rook).adjacency
    table = table[table > 0]
    shared = np.column_stack([table.index.get_level_values(k).to_numpy() for k in ("focal", "neighbor")])

    meeting = _pairs(shapely.STRtree(polygons).query(polygons, predicate="intersects"))
    if rook:
        meeting = meeting[_along_a_border(polygons[meeting[:, 0]], polygons[meeting[:, 1]])]
    edges = [shared, meeting]
    if tolerance:
        metric, metres = _in_metres(frame)
        near = shapely.STRtree(metric).query(metric, predicate="dwithin", distance=tolerance / metres)
        edges.append(_pairs(near))
    return Graph.from_edges(frame["area"], np.concatenate(edges), contiguity, tolerance)


def separations(geometry: Geometry, graph: Graph) -> list[Finding]:
    """How far each component but the biggest lies from the nearest area outside it.

    A few metres speak for borders that do not quite meet (a false island), kilometres for a true one.

    Args:
        geometry: the polygons that the graph was built from.
        graph: their graph.

    Returns:
        One finding a component, biggest first; none where the graph is connected.
    """
    import shapely

    polygons, metres = _in_metres(geometry.frame)
    findings = []
    for number, size in enumerate(graph.component_sizes[1:], start=1):
        inside = np.flatnonzero(graph.component == number)
        outside = np.flatnonzero(graph.component != number)
        (own, other), distance = shapely.STRtree(polygons[outside]).query_nearest(
            polygons[inside], return_distance=True, all_matches=False
        )
        closest = int(np.argmin(distance))
        area, neighbour = graph.areas[inside[own[closest]]], graph.areas[outside[other[closest]]]
        what = "no neighbours" if size == 1 else f"one of a separate group of {size} areas"
        what += f"; the nearest other area is '{neighbour}', {_distance(distance[closest] * metres)} away"
        action = "kept apart; if the two should be neighbours, set a tolerance"
        findings.append(Finding(area, what, action))
    return findings


def _pairs(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m, 2) each pair once, first number the lower, from a (2, k) answer of a tree about its own members."""
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


def _in_metres(frame: gpd.GeoDataFrame) -> tuple[NDArray[np.object_], float]:
    """The polygons in a plane, and how many metres one of its units is.

    Longitude and latitude are projected to an equal-area plane (Lambert azimuthal) around the map's middle.
    """
    if not frame.crs.is_geographic:
        return np.asarray(frame.geometry.values), frame.crs.axis_info[0].unit_conversion_factor
    west, south, east, north = frame.total_bounds
    middle = f"+proj=laea +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +datum=WGS84 +units=m"
    return np.asarray(frame.geometry.to_crs(middle).values), 1.0


def _distance(metres: float) -> str:
    return f"{metres / 1000:.3g} km" if metres >= 1000 else f"{metres:.2g} m"
