"""Graphs of whole countries: counts of pairs, components and islands, and scaling factors."""

from dataclasses import replace

import numpy as np
import pytest
from maps import graph_of, unpacked

from poolmap.graph.edge_file import file_pairs
from poolmap.graph.geometry import read_geometry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("geographies")


@pytest.fixture(scope="module")
def nat(folder):
    return read_geometry(unpacked("nat.fgb", folder), "FIPS")


def inventory(graph):
    return graph.n, len(graph.edges), graph.n_components, len(graph.islands)


@pytest.mark.parametrize("match", ["touch", "vertices"])
def test_queen_pairs_of_3085_counties_are_those_that_come_with_the_data(nat, folder, match):
    """The GAL file beside the polygons in PySAL 1.14.4, pair by pair."""
    graph = graph_of(nat, match=match)
    assert inventory(graph) == (3085, 9084, 1, 0)
    theirs = file_pairs(unpacked("nat_queen.gal", folder), [str(int(area)) for area in graph.areas])
    assert theirs.tolist() == graph.edges.tolist()


def test_rook_pairs_of_3085_counties(nat):
    assert inventory(graph_of(nat, contiguity="rook")) == (3085, 8594, 1, 0)


def test_scaling_factor_of_3085_counties_is_that_of_the_dense_inverse(nat):
    """diag((Q + 11'/n)^-1) - 1/n is the diagonal of the Moore-Penrose inverse of a connected graph."""
    graph = graph_of(nat)
    n = graph.n
    i, j = graph.edges.T
    dense = np.full((n, n), 1 / n)
    dense[i, j] -= 1
    dense[j, i] -= 1
    dense[np.diag_indices(n)] += graph.n_neighbours
    variances = np.diag(np.linalg.inv(dense)) - 1 / n
    assert graph.scaling == pytest.approx([np.exp(np.log(variances).mean())], rel=1e-9)


@pytest.mark.parametrize(("contiguity", "pairs"), [("queen", 329), ("rook", 327)])
def test_countries_of_the_world(folder, contiguity, pairs):
    """80 components, 75 of them single countries, by vertices as by shared arcs.

    (366 and 364 pairs, as is sometimes counted, are half of libpysal's rows, of which 75 are those of the
    countries without neighbours.)
    """
    geometry = read_geometry(unpacked("world.topojson", folder), "name", "countries")
    for spec in ({"match": "vertices"}, {"method": "arcs"}):
        graph = graph_of(geometry, contiguity=contiguity, **spec)
        assert inventory(graph) == (241, pairs, 80, 75)
        assert np.isnan(graph.scaling[5:]).all() and (graph.scaling[:5] > 0).all()


def test_components_have_the_factors_they_have_by_themselves(nat):
    """The Pacific states with Nevada, and New England: each component has the factor it has by itself."""
    west = nat.frame["area"].str[:2].isin(["06", "32", "41", "53"])
    east = nat.frame["area"].str[:2].isin(["09", "23", "25", "33", "44", "50"])
    both = graph_of(replace(nat, frame=nat.frame[west | east].reset_index(drop=True)))
    alone = [graph_of(replace(nat, frame=nat.frame[part].reset_index(drop=True))) for part in (west, east)]
    assert both.n_components == 2
    assert both.scaling == pytest.approx([graph.scaling[0] for graph in alone], rel=1e-10)
