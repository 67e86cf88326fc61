"""Scaling factors of intrinsic conditional autoregressive (ICAR) fields, exact and sparse.

The precision of an ICAR field is the graph Laplacian Q = D - A. Its marginal variances are the diagonal of
the Moore-Penrose inverse of Q, and the scaling factor of a component is their geometric mean (Riebler,
Sorbye, Simpson, Rue 2016, Statistical Methods in Medical Research 25:1145-1165; component by component:
Freni-Sterrantino, Ventrucci, Rue 2018, Spatial and Spatio-temporal Epidemiology 26:25-34).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray


def scaling_factors(n: int, edges: NDArray[np.int64], component: NDArray[np.int64]) -> NDArray[np.float64]:
    """The BYM2 scaling factor of each component.

    Dividing the field of a component by the square root of its factor gives it a generalised variance (the
    geometric mean of the marginal variances) of one, so that the scale parameter means the same on any graph.

    Args:
        n: number of nodes.
        edges: (m, 2) node numbers from 0, each undirected edge once.
        component: (n,) component of each node, numbered from 0 without gaps.

    Returns:
        (number of components,) factors; nan for a node without neighbours.
    """
    log_variance = np.log(icar_marginal_variances(n, edges, component))
    size = np.bincount(component)
    return np.exp(np.bincount(component, weights=log_variance) / size)


def icar_marginal_variances(
    n: int, edges: NDArray[np.int64], component: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Marginal variances of the ICAR field with unit precision that sums to zero in each component.

    Args:
        n: number of nodes.
        edges: (m, 2) node numbers from 0, each undirected edge once.
        component: (n,) component of each node, numbered from 0 without gaps.

    Returns:
        (n,) the diagonal of the Moore-Penrose inverse of D - A; nan for a node without neighbours.
    """
    edges = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    half = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    adjacency = (half + half.T).tocsr()
    by_component = np.argsort(component, kind="stable")
    variances = np.full(n, np.nan)
    for nodes in np.split(by_component, np.cumsum(np.bincount(component))[:-1]):
        if nodes.size > 1:
            variances[nodes] = _connected_variances(adjacency[nodes][:, nodes])
    return variances


def _connected_variances(adjacency: sparse.csr_array) -> NDArray[np.float64]:
    """Diagonal of the Moore-Penrose inverse of the Laplacian of one connected graph.

    With one node grounded (its row and column struck out) the Laplacian is positive definite; its inverse,
    padded with zeros to S, is a generalised inverse, and (I - 11'/n) S (I - 11'/n) is the Moore-Penrose one.
    """
    n = adjacency.shape[0]
    degree = np.asarray(adjacency.sum(axis=0)).ravel()
    kept = np.arange(n) != np.argmax(degree)
    laplacian = (sparse.diags_array(degree) - adjacency).tocsc()
    factor = factorise(laplacian[kept][:, kept])
    diagonal, row_sum = np.zeros(n), np.zeros(n)
    diagonal[kept] = inverse_diagonals([factor])[0]
    row_sum[kept] = factor.solve(np.ones(n - 1))
    return diagonal - 2 * row_sum / n + row_sum.sum() / n**2


def factorise(matrix: sparse.csc_array) -> sparse_linalg.SuperLU:
    """Sparse L D L' of a symmetric positive definite matrix, columns ordered by minimum degree."""
    factor = sparse_linalg.splu(
        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    if not np.array_equal(factor.perm_r, factor.perm_c):
        raise ArithmeticError(
            "the sparse factorisation left the diagonal: the graph's Laplacian is not as expected"
        )
    return factor


def inverse_diagonals(factors: Sequence[sparse_linalg.SuperLU]) -> NDArray[np.float64]:
    """Diagonals of the inverses from L D L' (see `factorise`); each is found on the pattern of L only.

    The recursion of Takahashi, Fagan, Chen 1973, as in Rue, Martino 2007, Journal of Statistical Planning and
    Inference 137:3177-3192, for all matrices at once:
    Z_ij = 1{i = j} / d_j - sum over k > j with L_kj != 0 of L_kj Z_ki.

    Args:
        factors: of M-matrices (no positive entry off the diagonal) with one pattern.

    Returns:
        (number of factors, n).
    """
    # In an M-matrix no entry of the fill-in cancels, so that every pair of rows of a column of L is itself in
    # the pattern of L, and its place is found in a sorted list of (column, row).
    lowers = [factor.L.tocsc() for factor in factors]
    for lower in lowers:
        lower.sort_indices()
    start, row = lowers[0].indptr, lowers[0].indices.astype(np.int64)
    if any(not np.array_equal(lower.indices, row) for lower in lowers[1:]):
        raise ArithmeticError("the matrices have not the same pattern")
    n = lowers[0].shape[0]
    value = np.stack([lower.data for lower in lowers], axis=1)
    place = np.repeat(np.arange(n, dtype=np.int64), np.diff(start)) * n + row
    z = np.empty_like(value)
    diagonal = 1.0 / np.stack([factor.U.diagonal() for factor in factors], axis=1)
    pairs: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for j in range(n - 1, -1, -1):
        below = slice(start[j] + 1, start[j + 1])
        rows, column = row[below], value[below]
        m = rows.size
        if m == 0:
            continue
        if m not in pairs:
            pairs[m] = np.triu_indices(m, 1)
        first, second = pairs[m]
        block = np.empty((m, m, len(lowers)))
        block[np.arange(m), np.arange(m)] = diagonal[rows]
        block[first, second] = z[np.searchsorted(place, rows[first] * n + rows[second])]
        block[second, first] = block[first, second]
        z[below] = -(block * column).sum(axis=1)
        diagonal[j] -= (column * z[below]).sum(axis=0)
    return diagonal[factors[0].perm_c].T
