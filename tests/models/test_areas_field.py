"""The sparse field of a disease map: its factor, and its derivatives against Stan's own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from poolmap.graph.elimination import elimination, laplacian
from poolmap.stan import toolchain as tools

ROOT = Path(__file__).parents[2]


def _map(n: int, seed: int) -> np.ndarray:
    """Edges of a planar graph (Delaunay) of n points, and of one pair apart."""
    from scipy.spatial import Delaunay

    corners = Delaunay(np.random.default_rng(seed).uniform(size=(n - 2, 2))).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]], [[n - 2, n - 1]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def test_the_pattern_holds_the_factor():
    """The dense Cholesky factor of the reordered precision has no entry off the pattern."""
    n, edges = 60, _map(60, 1)
    Q = laplacian(n, edges)
    assert Q.toarray() == pytest.approx(np.diag(np.bincount(edges.ravel())) - _adjacency(n, edges))
    pattern = elimination(n, edges)
    P = (Q + sparse.eye_array(n)).toarray()[np.ix_(pattern.order, pattern.order)]
    factor = np.linalg.cholesky(P)
    column = np.repeat(np.arange(n), np.diff(pattern.column_start))
    held = np.zeros((n, n), dtype=bool)
    held[pattern.row, column] = True
    assert np.abs(factor[~held]).max() < 1e-12
    assert held.sum() < 0.4 * n * (n + 1) / 2
    full = np.zeros((n, n))
    full[pattern.row, column] = pattern.on_pattern(Q)
    assert full + np.tril(full, -1).T == pytest.approx(Q.toarray()[np.ix_(pattern.order, pattern.order)])
    # each row's entries left of the diagonal, found again through their places
    for j in range(n):
        here = slice(pattern.row_start[j], pattern.row_start[j + 1])
        assert (pattern.row[pattern.row_place[here]] == j).all()
        assert (column[pattern.row_place[here]] == pattern.row_column[here]).all()
        assert set(pattern.row_column[here]) == set(np.flatnonzero(held[j, :j]))


def _adjacency(n: int, edges: np.ndarray) -> np.ndarray:
    adjacency = np.zeros((n, n))
    adjacency[tuple(edges.T)] = 1
    return adjacency + adjacency.T


def test_derivatives_as_by_automatic_differentiation(tmp_path):
    n, rng = 40, np.random.default_rng(2)
    edges = _map(n, 3)
    pattern = elimination(n, edges)
    toolchain = tools.find_toolchain()
    if toolchain.kind == "wheel":
        tools.prepare_toolchain()
    program = tmp_path / "gradient"
    arguments = [*tools.compiler_flags(0, threads=False), "-I", str(ROOT / "stan")]
    arguments += [
        *tools.include_flags(toolchain),
        str(ROOT / "tests/models/areas_gradient.cpp"),
        "-o",
        str(program),
    ]
    arguments += tools.link_flags(toolchain)
    tools.run_compiler([*toolchain.compiler_command, *arguments], "the gradient test")
    problem = [n, len(pattern.row)]
    for part in (pattern.column_start, pattern.row, pattern.row_start, pattern.row_place, pattern.row_column):
        problem += part.tolist()
    problem += pattern.on_pattern(laplacian(n, edges)).tolist()
    problem += [1.7, *rng.uniform(0.2, 3, n), *rng.normal(size=2 * n), *rng.normal(size=n + 2)]
    said = subprocess.run(
        [str(program)], input=" ".join(map(str, problem)), capture_output=True, text=True, check=True
    )
    ours, reference = np.array([line.split() for line in said.stdout.splitlines()], dtype=float).T
    assert len(ours) == 2 + 3 * n
    assert ours == pytest.approx(reference, rel=1e-8, abs=1e-8)
