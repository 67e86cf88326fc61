"""Which components of the graph have an intercept of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.families.areas.words import counted

if TYPE_CHECKING:
    from poolmap.contracts import Dataset
    from poolmap.graph.graph import Graph


@dataclass(frozen=True, eq=False)
class Intercepts:
    """The intercepts of a model.

    Attributes:
        X: (n, A) their columns of the design matrix: of a component, 1 in its areas; areas without an
            intercept of their own have the weights, so that theirs is the mean of the others.
        weight: (A,) share of each component in the areas of all of them.
        component: (A,) the number of the component in the graph.
    """

    X: NDArray[np.float64]
    weight: NDArray[np.float64]
    component: NDArray[np.int64]

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.weight) > 1


def one_intercept(n: int) -> Intercepts:
    """The same intercept for n areas."""
    return Intercepts(np.ones((n, 1)), np.ones(1), np.zeros(1, dtype=np.int64))


def component_intercepts(graph: Graph, rows: NDArray[np.int64]) -> Intercepts:
    """An intercept for each component of at least two areas, one of them observed; one where that leaves less
    than two.

    An intrinsic field sums to zero in each component, so that its level needs an intercept
    (Freni-Sterrantino, Ventrucci and Rue 2018, Spatial and Spatio-temporal Epidemiology 26:25-34). An area by
    itself, or a component without data, would not determine its own.

    Args:
        graph: of the areas.
        rows: (m,) areas that were observed.
    """
    seen = np.bincount(graph.component[rows], minlength=graph.n_components)
    own = np.flatnonzero((graph.component_sizes > 1) & (seen > 0))
    if len(own) < 2:
        return one_intercept(graph.n)
    weight = graph.component_sizes[own] / graph.component_sizes[own].sum()
    member = graph.component[:, None] == own
    X = np.where(member.any(axis=1)[:, None], member, weight)
    return Intercepts(X, weight, own)


def component_names(data: Dataset, component: NDArray[np.int64]) -> list[str]:
    """What components are called in tables: `component 2 (Hawaii and 3 more)`."""
    names, of = data.tables["areas"]["name"], data.graph.component
    found = []
    for number in component:
        first, *others = names[of == number]
        found.append(f"component {number + 1} ({first} and {counted(len(others), 'other')})")
    return found
