"""Other rules for the same areas, and the pairs in which they differ."""

import pytest
from maps import NORTH_CAROLINA, graph_of, squares

from poolmap.config.graph import GraphSpec
from poolmap.graph.candidates import candidates, short_name, usual_rules
from poolmap.graph.geometry import read_geometry


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def compared(geometry, **spec):
    spec = GraphSpec(**spec)
    return candidates(geometry.frame, graph_of(geometry, **spec.model_dump(exclude_unset=True)), spec)


def test_the_usual_rules_of_a_map():
    """North Carolina: a hundredth of the typical width is 300 m, the mean number of neighbours 4.9."""
    geometry = read_geometry(NORTH_CAROLINA, "fips")
    rules = usual_rules(geometry.frame, graph_of(geometry), GraphSpec())
    assert [short_name(rule) for rule in rules] == ["queen", "queen, 300 m", "rook", "5 nearest"]
    found = {c.name: (len(c.gained), len(c.lost)) for c in compared(geometry)}
    assert list(found) == ["queen, 300 m", "rook", "5 nearest"]  # queen is the chosen one
    assert found["queen, 300 m"] == (0, 0)
    assert found["rook"] == (0, 245 - 231)


def test_no_other_rules_beside_a_graph_from_a_file():
    geometry = squares((0, 0), (1, 0), (2, 0))
    assert usual_rules(geometry.frame, graph_of(geometry), GraphSpec(method="file", file="pairs.csv")) == ()
    assert compared(geometry, compare=[]) == []


def test_pairs_gained_and_lost():
    """a b / c d in a square, e a little apart: queen joins all four, rook not the diagonals."""
    geometry = squares((0, 1), (1, 1), (0, 0), (1, 0), (2.5, 0), crs="EPSG:3035")
    queen = {"contiguity": "queen"}
    rook, bridged, nearest = compared(
        geometry,
        compare=[queen, {"contiguity": "rook"}, queen | {"tolerance": 0.5}, {"method": "knn", "k": 1}],
    )
    assert (rook.name, rook.gained.tolist(), rook.lost.tolist()) == ("rook", [], [[0, 3], [1, 2]])
    assert (bridged.name, bridged.gained.tolist(), bridged.lost.tolist()) == (
        "queen, 0.5 m",
        [[1, 4], [3, 4]],
        [],
    )
    assert nearest.graph.n_neighbours.min() == 1 and nearest.differs
    assert "border (rook contiguity)" in rook.rule


def test_pairs_joined_and_cut_by_hand_hold_for_all():
    geometry = squares((0, 0), (1, 0), (5, 0), (6, 0))
    (rook,) = compared(
        geometry,
        join=[["b", "c"]],
        cut=[["a", "b"]],
        compare=[{"contiguity": "rook"}, {"contiguity": "rook"}],
    )
    assert rook.graph.edges.tolist() == [[1, 2], [2, 3]] and not rook.differs


def test_a_rule_by_which_no_area_has_a_neighbour():
    geometry = squares((0, 0), (1.5, 0), (3, 0))
    (exact,) = compared(geometry, tolerance=1, compare=[{"contiguity": "queen"}])
    assert exact.graph is None and exact.lost.tolist() == [[0, 1], [1, 2]] and len(exact.gained) == 0


def test_pairs_follow_the_order_of_the_graph_not_of_the_frame():
    geometry = squares((0, 0), (1, 0), (5, 0))
    chosen = graph_of(geometry).subset(["c", "b", "a"])
    (near,) = candidates(geometry.frame, chosen, GraphSpec(compare=[{"method": "knn", "k": 1}]))
    assert near.graph.areas == ("c", "b", "a") and near.gained.tolist() == [[0, 1]]
