"""Where each coefficient and effect of a model stands among what is sampled, and their prior precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from poolmap.contracts import Dataset
from poolmap.families.mrp.design import INTERCEPT, Design
from poolmap.families.mrp.formula import Formula, term_name
from poolmap.families.mrp.structures import AREAL, structure_of
from poolmap.graph.elimination import laplacian
from poolmap.graph.graph import Graph

LARGE = 150  # levels of a component; without its last level its precision would be a full matrix

TYPES = {"iid": 1, "rw1": 1, "icar": 1, "ar1": 2, "bym2": 3}


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of varying effects of one linear predictor.

    Attributes:
        name: as in the formula.
        structure: `iid`, `rw1`, `ar1`, `icar` or `bym2`.
        level: column of the tables `cells` and `census` with the code of the level.
        columns: for each of the J effects of a level the column of the design; `INTERCEPT`.
        codes: the codes of the levels that are sampled: those of the survey (iid), or all.
        to_levels: (len(codes) J, coordinates) the effects from the coordinates that are sampled.
        matrices: M_j (coordinates, coordinates) of the prior precision sum_j c_j M_j.
        size: dimensions of the parts that the determinant of the prior precision consists of.
        floating: coordinates of a large field that is sampled with the intercept as its mean.
    """

    name: str
    structure: str
    level: str
    columns: tuple[int, ...]
    codes: NDArray[np.int64]
    to_levels: sparse.csr_array
    matrices: tuple[sparse.csr_array, ...]
    size: tuple[int, int, int]
    floating: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def type(self) -> int:
        """The code of `mrp.stan`."""
        return TYPES[self.structure]

    @property
    def effects(self) -> int:
        """J, the effects of a level."""
        return len(self.columns)

    @property
    def coordinates(self) -> int:
        """How many numbers are sampled."""
        return self.to_levels.shape[1]

    @property
    def hyperparameters(self) -> int:
        """log sigma of each effect; then logit rho, or the partial correlations."""
        J = self.effects
        return J + (J * (J - 1) // 2 if self.type == 1 else 1)

    def rows(self, frame: pd.DataFrame, x: NDArray[np.float64]) -> sparse.csr_array:
        """(rows, coordinates) what the coordinates add to the linear predictor of the rows of a table."""
        place = np.searchsorted(self.codes, frame[self.level].to_numpy(dtype=np.int64))
        whole = sparse.csr_array((len(frame), self.coordinates))
        for a, column in enumerate(self.columns):
            part = self.to_levels[place * self.effects + a]
            if column != INTERCEPT:
                part = sparse.diags_array(x[:, column]) @ part
            whole = whole + part
        return whole.tocsr()


def batches(formula: Formula, design: Design, structure: dict[str, str], data: Dataset) -> tuple[Batch, ...]:
    """The batches of a formula; a varying intercept of a single factor may have a structure."""
    terms = [frozenset(term) for term in data.facts["terms"]]
    found = []
    for group, columns in zip(formula.groups, design.batches, strict=True):
        k = terms.index(frozenset(group.factor))
        own = structure_of(group, structure)
        level = f"level_{k}"
        if own == "iid":
            codes = np.unique(data.tables["cells"][level].to_numpy(dtype=np.int64))
            found.append(_exchangeable(group.name, level, columns, codes))
            continue
        levels = data.tables["levels"]
        levels = levels[levels["term"] == term_name(tuple(data.facts["terms"][k]))]
        names = levels.sort_values("code")["level"].astype(str).tolist()
        if own in AREAL:
            graph = data.graph
        else:
            ordered = [str(name) for name in data.facts["order"][group.factor[0]]]
            graph = Graph.from_edges(ordered, [(i, i + 1) for i in range(len(ordered) - 1)], "in order")
        place = {area: i for i, area in enumerate(graph.areas)}
        found.append(_structured(group.name, level, own, graph, [place[name] for name in names]))
    return tuple(found)


def _exchangeable(name: str, level: str, columns: tuple[int, ...], codes: NDArray[np.int64]) -> Batch:
    J, L = len(columns), len(codes)
    matrices = []
    for a in range(J):
        for b in range(a + 1):
            one = np.zeros((J, J))
            one[a, b] = one[b, a] = 1
            matrices.append(sparse.csr_array(sparse.kron(sparse.eye_array(L), one)))
    return Batch(
        name, "iid", level, columns, codes, sparse.eye_array(L * J).tocsr(), tuple(matrices), (L, 0, 0)
    )


def _structured(name: str, level: str, structure: str, graph: Graph, place: Sequence[int]) -> Batch:
    """`place`: the node of each level, by code."""
    n, codes = graph.n, np.arange(len(place))
    floating = np.empty(0, dtype=np.int64)
    if structure == "ar1":
        inside = np.zeros(n)
        inside[1:-1] = 1
        beside = sparse.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1])
        matrices = [sparse.eye_array(n), sparse.diags_array(inside), beside]
        basis, size = sparse.eye_array(n), (n, 0, 0)
    else:
        joined = graph.n_neighbours > 0
        free, floating = _without_last(graph)
        rank = graph.n - graph.n_components
        scale = sparse.diags_array(np.where(joined, graph.scaling[graph.component], 1.0))
        field = free.T @ (scale @ laplacian(n, graph.edges)) @ free
        alone = sparse.eye_array(n).tocsc()[:, ~joined]
        m = alone.shape[1]
        if structure == "bym2":
            own = sparse.eye_array(n).tocsc()[:, joined]
            basis, size = sparse.hstack([own, alone, free]), (n - m, m, rank)
            parts = [sparse.eye_array(n - m), sparse.eye_array(m), field]
            matrices = [
                _block(basis.shape[1], start, part) for start, part in zip((0, n - m, n), parts, strict=True)
            ]
            floating = floating + n
        else:
            basis, size = sparse.hstack([free, alone]), (rank + m, 0, 0)
            matrices = [sparse.block_diag([field, sparse.eye_array(m)])]
    to_levels = basis.tocsr()[np.asarray(place)]
    return Batch(
        name,
        structure,
        level,
        (INTERCEPT,),
        codes,
        to_levels,
        tuple(matrix.tocsr() for matrix in matrices),
        size,
        floating,
    )


def _block(n: int, start: int, part: sparse.sparray) -> sparse.csr_array:
    part = part.tocoo()
    where = (part.row + start, part.col + start)
    return sparse.coo_array((part.data, where), shape=(n, n)).tocsr()


def _without_last(graph: Graph) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """(nodes, coordinates) a field that sums to zero in each component from its values without the last.

    The first component, if it is large, keeps all its values; these coordinates come second.
    """
    rows, columns, values, count = [], [], [], 0
    for component in range(graph.n_components):
        nodes = np.flatnonzero(graph.component == component)
        if component == 0 and len(nodes) > LARGE:
            count = len(nodes)
            rows, columns, values = [nodes], [np.arange(count)], [np.ones(count)]
            continue
        m = len(nodes) - 1
        if m == 0:
            continue
        rows += [nodes[:-1], np.full(m, nodes[-1])]
        columns += 2 * [count + np.arange(m)]
        values += [np.ones(m), -np.ones(m)]
        count += m
    where = (np.concatenate(rows), np.concatenate(columns)) if rows else ([], [])
    floating = np.arange(graph.component_sizes[0] if graph.component_sizes[0] > LARGE else 0)
    found = sparse.coo_array((np.concatenate(values) if rows else [], where), shape=(graph.n, count))
    return found.tocsr(), floating


@dataclass(frozen=True, eq=False)
class Layout:
    """The vector x of a model with E linear predictors: intercepts, coefficients, effects by predictor.

    Attributes:
        E, P: linear predictors; coefficients of each.
        batches: of one predictor; each predictor has its own.
    """

    E: int
    P: int
    batches: tuple[Batch, ...]

    @property
    def effects(self) -> int:
        """Coordinates of the effects of one predictor."""
        return sum(batch.coordinates for batch in self.batches)

    @property
    def length(self) -> int:
        """Length of x."""
        return self.E * (1 + self.P + self.effects)

    def starts(self, e: int) -> list[int]:
        """Where each batch of predictor e starts in x."""
        first = self.E * (1 + self.P) + e * self.effects
        return [first + int(s) for s in np.cumsum([0, *(b.coordinates for b in self.batches)])[:-1]]

    def floating(self, e: int) -> NDArray[np.int64]:
        """Where a large field of predictor e stands among the effects; at most one batch has one."""
        first = self.E * (1 + self.P)
        both = zip(self.batches, self.starts(e), strict=True)
        return np.concatenate([np.empty(0, dtype=np.int64), *(b.floating + s - first for b, s in both)])

    def design(self, cells: pd.DataFrame, x: NDArray[np.float64]) -> sparse.csr_array:
        """(E cells, N) the linear predictors of the cells, predictor by predictor."""
        one = sparse.csr_array(np.column_stack([np.ones(len(cells)), x[:, : self.P]]))
        one = sparse.hstack([one, *(batch.rows(cells, x) for batch in self.batches)]).tocoo()
        blocks = []
        for e in range(self.E):
            number = np.concatenate(
                [
                    [e],
                    self.E + e * self.P + np.arange(self.P),
                    self.E * (1 + self.P) + e * self.effects + np.arange(self.effects),
                ]
            )
            where = (one.row, number[one.col])
            blocks.append(sparse.coo_array((one.data, where), shape=(len(cells), self.length)))
        return sparse.vstack(blocks).tocsr()

    def matrices(self) -> list[sparse.csr_array]:
        """The matrices M_j of all batches of all predictors, in the order of the scalars."""
        return [
            _block(self.length, start, matrix)
            for e in range(self.E)
            for batch, start in zip(self.batches, self.starts(e), strict=True)
            for matrix in batch.matrices
        ]
