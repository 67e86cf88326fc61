"""Other graphs of the same areas: which rules to try, and how their pairs differ from the chosen ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.config.graph import GraphRule, GraphSpec
from poolmap.errors import InputError
from poolmap.graph.adjacency import build_graph, rule_in_words
from poolmap.graph.geometry import Geometry
from poolmap.graph.plane import in_plane

if TYPE_CHECKING:
    import geopandas as gpd

    from poolmap.graph.graph import Graph

CHOSEN = "chosen"
_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Candidate:
    """Another graph beside the chosen one.

    Attributes:
        name: short, for tables and maps.
        rule: which areas are neighbours, as the end of a sentence that begins "Neighbours are".
        graph: the graph; None where no area has a neighbour by this rule.
        gained, lost: (m, 2) pairs of areas (row numbers) that only this graph has, or only the chosen one.
    """

    name: str
    rule: str
    graph: Graph | None
    gained: NDArray[np.int64]
    lost: NDArray[np.int64]

    @property
    def differs(self) -> bool:
        """Whether it has other pairs than the chosen graph."""
        return len(self.gained) + len(self.lost) > 0


def candidates(frame: gpd.GeoDataFrame, chosen: Graph, spec: GraphSpec) -> list[Candidate]:
    """The graphs to compare with the chosen one, each rule once.

    Args:
        frame: `area` and `geometry`.
        chosen: the graph of the analysis.
        spec: the section `graph` of the config; `compare` names the rules, else `usual_rules` does.
    """
    rules = usual_rules(frame, chosen, spec) if spec.compare is None else spec.compare
    frame = frame.set_index("area", drop=False).loc[list(chosen.areas)].reset_index(drop=True)
    found: dict[str, Candidate] = {}
    for rule in rules:
        whole = GraphSpec(**rule.model_dump(exclude_unset=True), join=spec.join, cut=spec.cut)
        words = rule_in_words(whole)
        if words in found or words == rule_in_words(spec):
            continue
        try:
            graph = build_graph(Geometry(frame), whole, separate=False)
        except InputError:  # a rule by which no area has a neighbour
            graph = None
        none = np.empty((0, 2), dtype=np.int64)
        edges = none if graph is None else graph.edges
        gained, lost = _only(edges, chosen.edges, chosen.n), _only(chosen.edges, edges, chosen.n)
        found[words] = Candidate(short_name(rule), words, graph, gained, lost)
    return list(found.values())


def usual_rules(frame: gpd.GeoDataFrame, chosen: Graph, spec: GraphSpec) -> Sequence[GraphRule]:
    """Queen contiguity as drawn and with a tolerance, rook contiguity, and the k nearest.

    The tolerance is a hundredth of the typical width of an area (the root of the median surface), to one
    digit; k is the mean number of neighbours of the chosen graph. None where the graph comes from a file.
    """
    if spec.method == "file":
        return ()
    plane, metres = in_plane(frame)
    typical = _SHARE * math.sqrt(float(np.median(plane.area))) * metres
    tolerance = float(f"{typical:.0e}")
    k = int(np.clip(round(float(chosen.n_neighbours.mean())), 1, chosen.n - 1))
    return (
        GraphRule(contiguity="queen"),
        GraphRule(contiguity="queen", tolerance=tolerance),
        GraphRule(contiguity="rook"),
        GraphRule(method="knn", k=k),
    )


def short_name(rule: GraphRule) -> str:
    """`rook`, `queen, 50 m`, `6 nearest`, `within 20 km`."""
    from poolmap.graph.plane import in_words

    if rule.method == "knn":
        return f"{rule.k} nearest"
    if rule.method == "distance":
        return f"within {in_words(rule.distance or 0)}"
    name = f"{rule.contiguity}, by vertices" if rule.match == "vertices" else rule.contiguity
    return f"{name}, {in_words(rule.tolerance)}" if rule.tolerance else name


def _only(first: NDArray[np.int64], second: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The pairs of the first that are not in the second."""
    key = np.array([n, 1])
    return first[~np.isin(first @ key, second @ key)]
