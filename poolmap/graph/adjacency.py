"""From the polygons and the config to the graph of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.graph import GraphSpec
from poolmap.errors import InputError, Problem
from poolmap.graph.contiguity import Pairs, tolerant_pairs, touching_pairs, vertex_pairs
from poolmap.graph.geometry import Geometry
from poolmap.graph.graph import Graph
from poolmap.graph.plane import in_plane, in_words
from poolmap.graph.repair import Finding
from poolmap.tables import nearest

if TYPE_CHECKING:
    import geopandas as gpd

    from poolmap.config.areas import AreasAnalysis


def build_graph(geometry: Geometry, spec: GraphSpec, *, separate: bool = True) -> Graph:
    """The graph of the areas, with what a reader should know of it as its findings.

    Args:
        geometry: the checked polygons; for `method: arcs` with the file that they come from.
        spec: the section `graph` of the config.
        separate: whether to measure how far parts of the map lie apart.

    Returns:
        The graph, its areas in the order of the frame. Its findings tell which pairs were joined and cut by
        hand, and how far each part of the map that lies apart is from the rest.

    Raises:
        InputError: there is one area only; no area has a neighbour; the supplied file is wrong; `join` or
            `cut` names an area that is not there.
    """
    areas = geometry.frame["area"].tolist()
    if len(areas) < 2:
        what = f"the map has one area only ('{areas[0]}')"
        remedy = "a map of risks compares areas: give the polygons of all of them"
        raise InputError([Problem(geometry.path or "geometry", what, remedy)])
    drawn = _pairs(geometry, spec)
    pairs, edits = _edited(drawn, areas, spec)
    if not len(pairs):
        remedy = "take pairs out of `graph.cut`" if len(drawn) else _remedy_for_isolation(geometry, spec)
        what = f"no area has a neighbour: neighbours are {rule_in_words(spec)}"
        raise InputError([Problem("config: graph", what, remedy)])
    graph = Graph.from_edges(areas, pairs, rule_in_words(spec))
    apart = separations(geometry, graph) if separate else []
    return replace(graph, findings=(*edits, *apart))


def analysis_graph(spec: AreasAnalysis, polygons: gpd.GeoDataFrame) -> tuple[Geometry, Graph]:
    """The polygons and the graph of an analysis, from its polygons as `ingest` returns them.

    Raises:
        InputError: as `build_graph`.
    """
    column = spec.geometry_area or spec.area
    geometry = Geometry(polygons, path=spec.geometry, area_column=column, layer=spec.geometry_layer)
    return geometry, build_graph(geometry, spec.graph)


def rule_in_words(spec: GraphSpec) -> str:
    """Which areas are neighbours, as the end of a sentence that begins "Neighbours are"."""
    border = {
        ("queen", "touch"): "areas that share a point of their borders (queen contiguity)",
        ("rook", "touch"): "areas that share a stretch of border (rook contiguity)",
        ("queen", "vertices"): "areas that share a vertex of their borders as drawn (queen contiguity)",
        ("rook", "vertices"): "areas that share a segment of their borders as drawn (rook contiguity)",
    }[spec.contiguity, spec.match]
    gap = f", gaps of up to {in_words(spec.tolerance)} bridged" if spec.tolerance else ""
    shared = "an arc" if spec.contiguity == "rook" else "the end of an arc"
    text = {
        "contiguity": f"{border}{gap}",
        "arcs": f"areas whose borders share {shared} of the TopoJSON file ({spec.contiguity} contiguity)",
        "knn": f"each area and the {spec.k} whose centroids are nearest to its own",
        "distance": f"areas whose centroids lie at most {in_words(spec.distance or 0)} apart",
        "file": f"the pairs of areas in {spec.file}",
    }[spec.method]
    counts = [f"{len(pairs)} {what}" for pairs, what in ((spec.join, "joined"), (spec.cut, "cut")) if pairs]
    return text + (f"; pairs changed by hand: {' and '.join(counts)}" if counts else "")


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

    if graph.n_components == 1:
        return []
    plane, metres = in_plane(geometry.frame)
    polygons = np.asarray(plane.values)
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
        what += f"; the nearest other area is '{neighbour}', {in_words(distance[closest] * metres)} away"
        action = "kept apart; if the two should be neighbours, join them or set a tolerance"
        findings.append(Finding(area, what, action))
    return findings


def _pairs(geometry: Geometry, spec: GraphSpec) -> Pairs:
    frame = geometry.frame
    if spec.method == "arcs":
        from poolmap.graph.topojson import arc_pairs

        areas = frame["area"].tolist()
        return arc_pairs(geometry.path, geometry.area_column, geometry.layer, areas, spec.contiguity)
    if spec.method == "file":
        from poolmap.graph.edge_file import file_pairs

        return file_pairs(spec.file, frame["area"].tolist())
    if spec.method == "distance":
        from poolmap.graph.nearest import band_pairs

        return band_pairs(frame, spec.distance)
    if spec.method == "knn":
        from poolmap.graph.nearest import nearest_pairs

        if spec.k >= len(frame):
            what = f"each area cannot have {spec.k} neighbours among {len(frame)} areas"
            raise InputError([Problem("config: graph.k", what, f"set it to {len(frame) - 1} or less")])
        return nearest_pairs(frame, spec.k)
    if spec.match == "vertices":
        return vertex_pairs(frame, spec.contiguity)
    if spec.tolerance:
        return tolerant_pairs(frame, spec.contiguity, spec.tolerance)
    return touching_pairs(frame, spec.contiguity)


def _edited(pairs: Pairs, areas: Sequence[str], spec: GraphSpec) -> tuple[Pairs, list[Finding]]:
    """The pairs after `join` and `cut`, and what these did."""
    number = {area: i for i, area in enumerate(areas)}
    problems = [
        Problem(f"config: graph.{key}", f"'{area}' is not an area of the map", nearest(area, areas))
        for key, edits in (("join", spec.join), ("cut", spec.cut))
        for pair in edits
        for area in pair
        if area not in number
    ]
    if problems:
        raise InputError(problems)
    edges = set(map(tuple, pairs.tolist()))
    findings = []
    for a, b in spec.join:
        edge = tuple(sorted((number[a], number[b])))
        what = f"to be joined to '{b}' (graph.join)"
        findings.append(Finding(a, what, "are neighbours without it" if edge in edges else "made neighbours"))
        edges.add(edge)
    for a, b in spec.cut:
        edge = tuple(sorted((number[a], number[b])))
        what = f"to be cut from '{b}' (graph.cut)"
        findings.append(
            Finding(a, what, "no longer neighbours" if edge in edges else "are not neighbours without it")
        )
        edges.discard(edge)
    return np.array(sorted(edges), dtype=np.int64).reshape(-1, 2), findings


def _remedy_for_isolation(geometry: Geometry, spec: GraphSpec) -> str:
    """Which setting to change, and to what, where no area has a neighbour."""
    import shapely

    if spec.method == "distance":
        from poolmap.graph.nearest import nearest_distances

        closest = np.ceil(nearest_distances(geometry.frame))
        return (
            f"set `graph.distance` to {closest.min():.0f} or more, the metres between the two closest "
            f"centroids; from {closest.max():.0f} every area has a neighbour"
        )
    if spec.method == "arcs":
        return (
            "the areas were drawn one by one: use `graph.method: contiguity`, with a `tolerance` if need be"
        )
    if spec.method == "file":
        return "name the pairs of neighbours in the file, or choose another `graph.method`"
    plane, metres = in_plane(geometry.frame)
    polygons = np.asarray(plane.values)
    _, gap = shapely.STRtree(polygons).query_nearest(
        polygons, return_distance=True, all_matches=False, exclusive=True
    )
    remedy = f"the two closest areas lie {in_words(float(gap.min()) * metres)} apart: "
    if spec.match == "vertices":
        remedy += "use `graph.match: touch`, "
    return remedy + "set `graph.tolerance` (metres) above that, or use `graph.method: knn` or `distance`"
