"""The pattern of the sparse Cholesky factor of a graph's precision matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from poolmap.graph.scaling import factorise


@dataclass(frozen=True, eq=False)
class Elimination:
    """In which order the areas of a graph are eliminated, and where the Cholesky factor has entries.

    Attributes:
        order: (n,) area at each place of the order.
        column_start: (n + 1,) where each column of the factor starts, from 0.
        row: (entries,) row of each entry, the diagonal first in its column.
        row_start: (n + 1,) where each row starts in the next two: the entries left of the diagonal.
        row_place: (entries - n,) place of the entry in the columns.
        row_column: (entries - n,) its column.
    """

    order: NDArray[np.int64]
    column_start: NDArray[np.int64]
    row: NDArray[np.int64]
    row_start: NDArray[np.int64]
    row_place: NDArray[np.int64]
    row_column: NDArray[np.int64]

    def on_pattern(self, matrix: sparse.csc_array) -> NDArray[np.float64]:
        """(entries,) lower triangle of a symmetric matrix, areas in their own order, on the pattern."""
        n = len(self.order)
        lower = sparse.tril(matrix[self.order][:, self.order]).tocoo()
        column = np.repeat(np.arange(n, dtype=np.int64), np.diff(self.column_start))
        values = np.zeros(len(self.row))
        place = np.searchsorted(column * n + self.row, lower.col.astype(np.int64) * n + lower.row)
        values[place] = lower.data
        return values


def laplacian(n: int, edges: NDArray[np.int64]) -> sparse.csc_array:
    """D - A of a graph.

    Args:
        n: number of nodes.
        edges: (m, 2) node numbers from 0, each pair once.
    """
    edges = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    half = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    adjacency = (half + half.T).tocsc()
    return (sparse.diags_array(np.bincount(edges.ravel(), minlength=n).astype(float)) - adjacency).tocsc()


def elimination(n: int, edges: NDArray[np.int64]) -> Elimination:
    """The order of elimination (minimum degree) of a graph, and the pattern of the factor.

    Args:
        n: number of nodes.
        edges: (m, 2) node numbers from 0, each pair once.
    """
    factor = factorise((laplacian(n, edges) + sparse.eye_array(n)).tocsc())
    lower = factor.L.tocsc()
    lower.sort_indices()
    start, row = lower.indptr.astype(np.int64), lower.indices.astype(np.int64)
    column = np.repeat(np.arange(n, dtype=np.int64), np.diff(start))
    left = np.flatnonzero(row != column)
    left = left[np.lexsort((column[left], row[left]))]
    return Elimination(
        order=np.argsort(factor.perm_c),
        column_start=start,
        row=row,
        row_start=np.concatenate([[0], np.cumsum(np.bincount(row[left], minlength=n))]),
        row_place=left,
        row_column=column[left],
    )
