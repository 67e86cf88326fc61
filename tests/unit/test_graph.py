import json
from dataclasses import replace

import numpy as np
import pytest
from maps import NORTH_CAROLINA, example, graph_of, us_counties
from scipy import sparse

from poolmap.graph.elimination import laplacian
from poolmap.graph.geometry import read_geometry
from poolmap.graph.graph import Graph, connected_components
from poolmap.graph.repair import Finding
from poolmap.graph.scaling import factorise, icar_marginal_variances, inverse_diagonals, scaling_factors


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def lattice(rows, columns):
    number = np.arange(rows * columns).reshape(rows, columns)
    across = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
    down = np.column_stack([number[:-1].ravel(), number[1:].ravel()])
    return np.concatenate([across, down])


def pseudo_inverse_variances(n, edges, component):
    """The definition, by a dense Moore-Penrose inverse of the Laplacian."""
    laplacian = np.zeros((n, n))
    for i, j in edges:
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    variances = np.diag(np.linalg.pinv(laplacian, hermitian=True)).copy()
    variances[np.bincount(component)[component] == 1] = np.nan
    return variances


# The graph


def test_components_are_ordered_by_size_then_first_node():
    edges = np.array([[5, 6], [6, 7], [1, 2], [3, 4]])
    assert connected_components(8, edges).tolist() == [3, 1, 1, 2, 2, 0, 0, 0]


def test_graph_from_edges_normalises_and_round_trips():
    graph = Graph.from_edges("abcdef", [[4, 2], [2, 3], [3, 2], [0, 1]], "queen")
    assert graph.edges.tolist() == [[0, 1], [2, 3], [2, 4]]
    assert graph.component.tolist() == [1, 1, 0, 0, 0, 2]
    assert graph.component_sizes.tolist() == [3, 2, 1]
    assert graph.n_neighbours.tolist() == [1, 1, 2, 1, 1, 0]
    assert graph.islands == ("f",) and np.isnan(graph.scaling[2])
    graph = replace(graph, findings=(Finding("f", "no neighbours", "kept apart"),))
    text = json.dumps(graph.as_dict(), allow_nan=False)
    again = Graph.from_dict(json.loads(text))
    assert again.as_dict() == graph.as_dict() and json.loads(text)["scaling"][2] is None
    assert again.edges.dtype == graph.edges.dtype and again.areas == graph.areas


def test_graph_without_edges_or_areas():
    alone = Graph.from_edges(["a", "b"], [], "queen")
    assert alone.islands == ("a", "b") and np.isnan(alone.scaling).all()
    assert Graph.from_dict(alone.as_dict()).as_dict() == alone.as_dict()
    assert Graph.from_edges([], [], "queen").n_components == 0


@pytest.mark.parametrize(
    ("areas", "edges", "message"),
    [("aa", [], "repeated"), ("ab", [[0, 2]], "outside 0 to 1"), ("ab", [[1, 1]], "its own neighbour")],
)
def test_impossible_graphs_are_refused(areas, edges, message):
    with pytest.raises(ValueError, match=message):
        Graph.from_edges(areas, edges, "queen")


def test_subset_reorders_and_finds_components_anew():
    graph = Graph.from_edges("abcde", [[0, 1], [1, 2], [2, 3], [3, 4]], "queen")
    part = graph.subset(["e", "a", "d", "b"])
    assert part.areas == ("e", "a", "d", "b")
    assert part.edges.tolist() == [[0, 2], [1, 3]]
    assert part.scaling == pytest.approx([0.25, 0.25])
    whole = graph.subset("edcba")
    assert whole.scaling == pytest.approx(graph.scaling)
    with pytest.raises(ValueError, match="z"):
        graph.subset(["a", "z"])


# Scaling factors


@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [
        ("sids2.shp", "FIPS", 0.5859796418794216),
        ("columbus.shp", "POLYID", 0.4812001939223105),
        ("stl_hom.shp", "FIPSNO", 0.37218080327345576),
    ],
)
def test_scaling_factors_of_known_maps(name, column, factor):
    """Geometric mean of the diagonal of the Moore-Penrose inverse (Riebler et al. 2016), queen contiguity."""
    assert graph_of(example(name, column)).scaling == pytest.approx([factor], rel=1e-9)


def test_scaling_factor_of_the_counties_of_the_united_states(tmp_path):
    """Contiguous states and the District of Columbia; the factor is that of the 3,105 areas of the mainland.

    The 9,102 pairs are libpysal's, without its one row for each area that has no neighbours.
    """
    geometry = read_geometry(us_counties(tmp_path), "id", "counties")
    frame = geometry.frame[~geometry.frame["area"].str[:2].isin(["02", "15", "60", "66", "69", "72", "78"])]
    graph = graph_of(replace(geometry, frame=frame.reset_index(drop=True)), match="vertices")
    assert (graph.n, len(graph.edges), graph.component_sizes.tolist()) == (3107, 9102, [3105, 1, 1])
    assert graph.scaling[0] == pytest.approx(0.6097894535211539, rel=1e-9)


def test_scaling_factor_of_the_demonstration():
    graph = graph_of(read_geometry(NORTH_CAROLINA, "fips"))
    assert graph.scaling[0] == pytest.approx(0.5860, abs=1e-4)


def test_scaling_factors_in_closed_form():
    """Pair: variances 1/4. Path of three: 5/9, 2/9, 5/9. Complete graph: (n - 1) / n^2. Single node: none."""
    edges = np.array([[0, 1], [2, 3], [3, 4], [5, 6], [5, 7], [5, 8], [6, 7], [6, 8], [7, 8]])
    component = np.array([2, 2, 1, 1, 1, 0, 0, 0, 0, 3])
    expected = [3 / 16, (5 / 9 * 2 / 9 * 5 / 9) ** (1 / 3), 1 / 4]
    factors = scaling_factors(10, edges, component)
    assert factors[:3] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(factors[3])
    variances = icar_marginal_variances(10, edges, component)
    assert variances[2:5] == pytest.approx([5 / 9, 2 / 9, 5 / 9], rel=1e-12)


def test_variances_on_a_ring_in_closed_form():
    """On a ring of n nodes every marginal variance is (n^2 - 1) / (12 n)."""
    n = 101
    edges = np.column_stack([np.arange(n), (np.arange(n) + 1) % n])
    variances = icar_marginal_variances(n, edges, np.zeros(n, dtype=int))
    assert variances == pytest.approx(np.full(n, (n**2 - 1) / (12 * n)), rel=1e-10)


@pytest.mark.parametrize(("n_pairs", "connected"), [(30, False), (45, False), (60, False), (250, True)])
def test_variances_agree_with_the_dense_pseudo_inverse(n_pairs, connected):
    """Random graphs of 60 nodes, the sparser ones with several components and islands."""
    rng = np.random.default_rng(n_pairs)
    pairs = rng.integers(0, 60, size=(n_pairs, 2))
    edges = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    component = connected_components(60, edges)
    sizes = np.bincount(component)
    assert (len(sizes) == 1) if connected else ((sizes == 1).any() and (sizes > 1).sum() > 1)
    np.testing.assert_allclose(
        icar_marginal_variances(60, edges, component),
        pseudo_inverse_variances(60, edges, component),
        rtol=1e-10,
        equal_nan=True,
    )


def test_variances_agree_on_lattices():
    edges = lattice(14, 17)
    component = np.zeros(14 * 17, dtype=int)
    sparse = icar_marginal_variances(len(component), edges, component)
    np.testing.assert_allclose(sparse, pseudo_inverse_variances(len(component), edges, component), rtol=1e-10)


def test_several_inverses_at_once():
    """The diagonals of (Q + k I)^-1 for three k, against dense inverses."""
    edges = lattice(7, 9)
    matrices = [laplacian(63, edges) + k * sparse.eye_array(63) for k in (0.01, 1, 30)]
    found = inverse_diagonals([factorise(matrix.tocsc()) for matrix in matrices])
    dense = [np.diag(np.linalg.inv(matrix.toarray())) for matrix in matrices]
    np.testing.assert_allclose(found, dense, rtol=1e-10)
    other = factorise((laplacian(63, lattice(9, 7)) + sparse.eye_array(63)).tocsc())
    with pytest.raises(ArithmeticError, match="same pattern"):
        inverse_diagonals([factorise(matrices[0].tocsc()), other])


def test_ten_thousand_areas():
    """A lattice of 100 by 100, checked against the eigenvalues of its Laplacian: 2 - 2 cos(pi k / 100)."""
    edges = lattice(100, 100)
    variances = icar_marginal_variances(10_000, edges, np.zeros(10_000, dtype=int))
    one_way = 2 - 2 * np.cos(np.pi * np.arange(100) / 100)
    eigenvalues = np.add.outer(one_way, one_way).ravel()[1:]
    assert variances.sum() == pytest.approx((1 / eigenvalues).sum(), rel=1e-10)
    grid = variances.reshape(100, 100)
    np.testing.assert_allclose(grid, grid[::-1, ::-1], rtol=1e-8)
