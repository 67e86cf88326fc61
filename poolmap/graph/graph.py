"""The neighbourhood graph of a set of areas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poolmap.graph.repair import Finding


@dataclass(frozen=True, eq=False)
class Graph:
    """Which areas are neighbours, the connected components, and their BYM2 scaling factors.

    Attributes:
        areas: (n,) ids of the areas, text, in the order of the node numbers.
        edges: (m, 2) node numbers from 0; each pair of neighbours once, i < j, sorted.
        component: (n,) component of each area, from 0; the biggest first, equal sizes by their first area.
        scaling: (number of components,) scaling factor of each component (see `poolmap.graph.scaling`); nan
            for a single area.
        rule: which areas are neighbours, as the end of a sentence that begins "Neighbours are".
        findings: what a reader should know of it: pairs joined or cut by hand, parts that lie apart.
    """

    areas: tuple[str, ...]
    edges: NDArray[np.int64]
    component: NDArray[np.int64]
    scaling: NDArray[np.float64]
    rule: str
    findings: tuple[Finding, ...] = ()

    @classmethod
    def from_edges(cls, areas: Iterable[str], edges: ArrayLike, rule: str) -> Graph:
        """The graph of these areas and pairs of neighbours, with components and scaling factors.

        Args:
            areas: the ids, without repetition.
            edges: (m, 2) node numbers from 0; order, direction and repetition do not matter.
            rule: which areas are neighbours, in words.

        Raises:
            ValueError: an id is repeated, a node number is not that of an area, or an area is its own
                neighbour.
        """
        from poolmap.graph.scaling import scaling_factors

        areas = tuple(str(area) for area in areas)
        n = len(areas)
        if len(set(areas)) != n:
            raise ValueError("an area id is repeated")
        pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        if pairs.size and (pairs.min() < 0 or pairs.max() >= n):
            raise ValueError(f"an edge names a node outside 0 to {n - 1}")
        if (pairs[:, 0] == pairs[:, 1]).any():
            raise ValueError("an area is its own neighbour")
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        component = connected_components(n, pairs)
        scaling = scaling_factors(n, pairs, component) if n else np.empty(0)
        return cls(areas, pairs, component, scaling, rule)

    @property
    def n(self) -> int:
        """The number of areas."""
        return len(self.areas)

    @property
    def n_components(self) -> int:
        """The number of connected components, single areas included."""
        return len(self.scaling)

    @property
    def component_sizes(self) -> NDArray[np.int64]:
        """(number of components,) how many areas each component has, biggest first."""
        return np.bincount(self.component, minlength=self.n_components)

    @property
    def n_neighbours(self) -> NDArray[np.int64]:
        """(n,) the number of neighbours of each area."""
        return np.bincount(self.edges.ravel(), minlength=self.n)

    @property
    def islands(self) -> tuple[str, ...]:
        """Ids of the areas without neighbours."""
        return tuple(self.areas[i] for i in np.flatnonzero(self.n_neighbours == 0))

    def subset(self, areas: Sequence[str]) -> Graph:
        """The graph of these areas only, in this order; components and scaling factors are found anew.

        Areas left out take their edges with them, so that two areas which met only through one of them are no
        longer connected.

        Raises:
            ValueError: an id is repeated or is not in the graph.
        """
        number = {area: i for i, area in enumerate(self.areas)}
        unknown = [area for area in areas if area not in number]
        if unknown:
            raise ValueError(f"not in the graph: {', '.join(map(str, unknown[:5]))}")
        new = np.full(self.n, -1)
        new[[number[area] for area in areas]] = np.arange(len(areas))
        edges = new[self.edges]
        return Graph.from_edges(areas, edges[(edges >= 0).all(axis=1)], self.rule)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, fit for JSON; the scaling factor of a single area is None."""
        return {
            "areas": list(self.areas),
            "edges": self.edges.tolist(),
            "component": self.component.tolist(),
            "scaling": [None if np.isnan(factor) else factor for factor in self.scaling.tolist()],
            "rule": self.rule,
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Graph:
        """The graph that `as_dict` wrote."""
        return cls(
            areas=tuple(values["areas"]),
            edges=np.array(values["edges"], dtype=np.int64).reshape(-1, 2),
            component=np.array(values["component"], dtype=np.int64),
            scaling=np.array(values["scaling"], dtype=np.float64),
            rule=values["rule"],
            findings=tuple(Finding(**finding) for finding in values["findings"]),
        )


def connected_components(n: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the component of each node, from 0: the biggest first, equal sizes by their first node.

    Args:
        n: number of nodes.
        edges: (m, 2) node numbers from 0.
    """
    from scipy.sparse import coo_array, csgraph

    if n == 0:
        return np.empty(0, dtype=np.int64)
    matrix = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, label = csgraph.connected_components(matrix, directed=False)
    _, first, size = np.unique(label, return_index=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[label]
