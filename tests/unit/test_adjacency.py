from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from maps import CALIFORNIA, NORTH_CAROLINA, example, graph_of, squares, us_counties
from shapely.geometry import box

from poolmap.config.graph import GraphSpec
from poolmap.errors import InputError
from poolmap.graph.adjacency import rule_in_words
from poolmap.graph.geometry import Geometry, read_geometry


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def edges(geometry, **spec):
    return graph_of(geometry, **spec).edges.tolist()


def refused(geometry, **spec):
    with pytest.raises(InputError) as caught:
        graph_of(geometry, **spec)
    return str(caught.value)


def inventory(graph):
    return graph.n, len(graph.edges), graph.n_components, len(graph.islands)


# Contiguity


@pytest.mark.parametrize(("contiguity", "pairs"), [("queen", 245), ("rook", 231)])
def test_north_carolina_neighbours(contiguity, pairs):
    """Counts by libpysal 4.14 on the same polygons."""
    graph = graph_of(read_geometry(NORTH_CAROLINA, "fips"), contiguity=contiguity)
    assert inventory(graph) == (100, pairs, 1, 0)
    assert graph.areas[:2] == ("37009", "37005") and graph.findings == ()
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
    assert (np.diff(graph.edges[:, 0] * graph.n + graph.edges[:, 1]) > 0).all()


@pytest.mark.parametrize(("contiguity", "vertices", "touch"), [("queen", 138, 139), ("rook", 135, 135)])
def test_california_neighbours(contiguity, vertices, touch):
    """San Joaquin and Santa Clara share no vertex but overlap in a corner: a queen pair."""
    geometry = read_geometry(CALIFORNIA, "county")
    assert len(edges(geometry, contiguity=contiguity, match="vertices")) == vertices
    assert inventory(graph_of(geometry, contiguity=contiguity)) == (58, touch, 1, 0)


@pytest.mark.parametrize(
    ("name", "column", "queen", "rook", "components", "islands"),
    [
        ("sids2.shp", "FIPS", 245, 231, 1, 0),
        ("columbus.shp", "POLYID", 118, 100, 1, 0),
        ("stl_hom.shp", "FIPSNO", 203, 199, 1, 0),
        ("virginia.shp", "FIPS", 293, 287, 2, 0),
        ("G_utm.shp", "AreaKey", 431, 416, 1, 0),
        ("Chicago77.shp", "COMAREA_ID", 199, 177, 1, 0),
        ("us48.shp", "STATE_NAME", 107, 105, 1, 0),
        ("10740.shp", "STFID", 607, 501, 2, 1),
        ("mexicojoin.shp", "NAME", 69, 65, 1, 0),
    ],
)
def test_libpysal_examples(name, column, queen, rook, components, islands):
    """Inventories of libpysal's queen and rook contiguity on its own examples."""
    crs = {"G_utm.shp": "EPSG:26916", "Chicago77.shp": "EPSG:3435"}.get(name)
    geometry = example(name, column, crs)
    n = len(geometry.frame)
    found = inventory(graph_of(geometry, match="vertices"))
    assert found == (n, queen, components, islands)
    found = inventory(graph_of(geometry, match="vertices", contiguity="rook"))
    assert found == (n, rook, components, islands)


@pytest.mark.parametrize("contiguity", ["queen", "rook"])
def test_vertices_are_matched_as_by_libpysal(contiguity):
    import libpysal

    frame = example("tokyomet262.shp", "AreaID").frame
    theirs = libpysal.graph.Graph.build_contiguity(frame.geometry, rook=contiguity == "rook").adjacency
    theirs = theirs[theirs > 0]
    pairs = {tuple(sorted(pair)) for pair in theirs.index}
    assert set(map(tuple, edges(Geometry(frame), contiguity=contiguity, match="vertices"))) == pairs


def test_queen_needs_a_point_and_rook_a_segment():
    geometry = squares((0, 0), (1, 1), (1, 0), (5, 5))
    for match in ("touch", "vertices"):
        assert edges(geometry, match=match) == [[0, 1], [0, 2], [1, 2]]
        assert edges(geometry, contiguity="rook", match=match) == [[0, 2], [1, 2]]
    assert graph_of(geometry).islands == ("d",)


def test_borders_without_common_vertices_still_meet():
    frame = gpd.GeoDataFrame(
        {"area": ["long", "short", "over"]},
        geometry=[box(0, 0, 1, 9), box(1, 3, 2, 4), box(1.9, 3.2, 3, 3.8)],
        crs=3857,
    )
    for contiguity in ("queen", "rook"):
        assert edges(Geometry(frame), contiguity=contiguity) == [[0, 1], [1, 2]]
        assert "graph.match: touch" in refused(Geometry(frame), contiguity=contiguity, match="vertices")


def test_holes_and_parts_have_borders_too():
    ring = box(0, 0, 9, 9).difference(box(3, 3, 6, 6))
    parts = shapely.multipolygons([box(20, 0, 21, 1), box(3, 3, 6, 6)])
    frame = gpd.GeoDataFrame({"area": ["ring", "parts"]}, geometry=[ring, parts], crs=3857)
    for match in ("touch", "vertices"):
        assert edges(Geometry(frame), contiguity="rook", match=match) == [[0, 1]]


def test_an_index_of_the_frame_does_not_matter():
    geometry = squares((0, 0), (1, 0), (2, 0))
    geometry.frame.index = [30, 10, 20]
    assert edges(geometry) == [[0, 1], [1, 2]]
    assert edges(geometry, method="knn", k=1) == [[0, 1], [1, 2]]


# Tolerance


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"match": "vertices"}, (262, 473, 23, 10)),
        ({"match": "vertices", "contiguity": "rook"}, (262, 472, 23, 10)),
        ({"tolerance": 1.0}, (262, 695, 1, 0)),
        ({"tolerance": 10.0}, (262, 695, 1, 0)),
    ],
)
def test_tolerance_bridges_the_gaps_of_tokyo(spec, expected):
    """libpysal: 473 and 472 pairs by vertices; 695, factor 0.524858, by fuzzy contiguity of 10 m.

    (478, as is sometimes counted, is half of libpysal's 956 rows, ten of which are those of the areas without
    neighbours.)
    """
    graph = graph_of(example("tokyomet262.shp", "AreaID"), **spec)
    assert inventory(graph) == expected
    if "tolerance" in spec:
        assert graph.scaling[0] == pytest.approx(0.5248580685162061, rel=1e-9)


def test_tolerance_is_in_metres_whatever_the_crs():
    degrees = squares((0, 0), (1.001, 0), (3, 0), (4, 0), crs="EPSG:4326")
    assert graph_of(degrees, tolerance=100).n_components == 3
    assert graph_of(degrees, tolerance=120).n_components == 2
    feet = squares((0, 0), (4, 0), (8, 0), (9, 0), crs="EPSG:2264")
    assert graph_of(feet, tolerance=0.9).n_components == 3
    assert graph_of(feet, tolerance=0.92).n_components == 1
    mercator = squares((0, 8_399_738), (1.5, 8_399_738), (4, 8_399_738), (5, 8_399_738))
    assert graph_of(mercator, tolerance=0.24).n_components == 3
    assert graph_of(mercator, tolerance=0.26).n_components == 2


def test_tolerance_reaches_across_the_date_line():
    frame = gpd.GeoDataFrame(
        {"area": ["west", "east", "far"]},
        geometry=[box(179, 0, 179.9999, 1), box(-179.9999, 0, -179, 1), box(-179, 0, -178, 1)],
        crs=4326,
    )
    assert edges(Geometry(frame), tolerance=10) == [[1, 2]]
    assert edges(Geometry(frame), tolerance=25) == [[0, 1], [1, 2]]


@pytest.mark.parametrize("gap", [-0.01, 0.01])
def test_rook_with_tolerance_needs_a_stretch_of_border(gap):
    """Rows of squares that gape or overlap by a hundredth: sides are rook neighbours, corners are not."""
    side = 1 + gap
    geometry = squares((0, 0), (side, 0), (0, side), (side, side))
    exact = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert edges(geometry, tolerance=0.03) == exact
    assert edges(geometry, contiguity="rook", tolerance=0.03) == [[0, 1], [0, 2], [1, 3], [2, 3]]


def test_rook_with_tolerance_keeps_exact_neighbours():
    """A border of 0.05 is one, however short against the tolerance."""
    geometry = squares((0, 0), (1, 0.95), (9, 0))
    assert edges(geometry, contiguity="rook") == [[0, 1]]
    assert edges(geometry, contiguity="rook", tolerance=0.1) == [[0, 1]]


# Nearest and distance


def test_nearest_neighbours_are_joined_from_either_side():
    geometry = squares((0, 0), (2, 0), (5, 0), (9, 0))
    assert edges(geometry, method="knn", k=1) == [[0, 1], [1, 2], [2, 3]]
    assert edges(geometry, method="knn", k=3) == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert "set it to 3 or less" in refused(geometry, method="knn", k=4)


def test_nearest_neighbours_with_one_centroid():
    frame = gpd.GeoDataFrame(
        {"area": list("abcd")}, geometry=[box(-r, -r, r, r) for r in (1, 2, 3, 4)], crs=3857
    )
    assert graph_of(Geometry(frame), method="knn", k=1).n_neighbours.min() >= 1
    assert len(edges(Geometry(frame), method="knn", k=3)) == 6


@pytest.mark.parametrize("k", [3, 6])
def test_nearest_neighbours_are_those_of_libpysal(k):
    import libpysal

    frame = example("tokyomet262.shp", "AreaID").frame
    theirs = libpysal.graph.Graph.build_knn(frame.geometry.centroid, k).adjacency
    pairs = {tuple(sorted(pair)) for pair in theirs.index}
    assert set(map(tuple, edges(Geometry(frame), method="knn", k=k))) == pairs


def test_distance_is_measured_on_the_ground():
    """A degree of the equator is 111.32 km, one of the parallel of 60 degrees north 55.80 km (WGS 84)."""
    for latitude, kilometres in ((0, 111.32), (60, 55.80)):
        geometry = squares(
            (10, latitude - 0.005),
            (11, latitude - 0.005),
            (11.5, latitude - 0.005),
            crs="EPSG:4326",
            size=0.01,
        )
        assert edges(geometry, method="distance", distance=1000 * kilometres - 50) == [[1, 2]]
        assert edges(geometry, method="distance", distance=1000 * kilometres + 50) == [[0, 1], [1, 2]]


def test_distance_in_a_plane_without_a_place_on_the_earth():
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    geometry = squares((0, 0), (3, 0), (7, 0), crs=local)
    assert edges(geometry, method="distance", distance=3) == [[0, 1]]
    assert edges(geometry, method="knn", k=1) == [[0, 1], [1, 2]]


# Joins, cuts, islands


def test_pairs_are_joined_and_cut_last():
    geometry = squares((0, 0), (1, 0), (5, 0), (6, 0))
    graph = graph_of(geometry, join=[["c", "b"]], cut=[["a", "b"]])
    assert graph.edges.tolist() == [[1, 2], [2, 3]] and graph.islands == ("a",)
    joined, cut, apart = graph.findings
    assert (joined.area, joined.action) == ("c", "made neighbours")
    assert (cut.area, cut.action) == ("a", "no longer neighbours")
    assert apart.area == "a" and "no neighbours" in apart.finding
    assert graph.rule.endswith("pairs changed by hand: 1 joined and 1 cut")


def test_joins_and_cuts_without_effect_are_reported():
    graph = graph_of(squares((0, 0), (1, 0), (2, 0)), join=[["a", "b"]], cut=[["c", "a"]])
    assert [f.action for f in graph.findings] == [
        "are neighbours without it",
        "are not neighbours without it",
    ]


def test_joins_and_cuts_of_unknown_areas_are_refused():
    geometry = squares((0, 0), (1, 0), ids=["Wake", "Durham"])
    message = refused(geometry, join=[["wake", "Durham"]], cut=[["Wake", "Durhan"]])
    assert "graph.join: 'wake' is not an area of the map" in message and "did you mean 'Wake'?" in message
    assert "graph.cut: 'Durhan'" in message and "did you mean 'Durham'?" in message


def test_separations_say_how_far_and_from_whom():
    geometry = squares((0, 0), (1, 0), (2, 0), (3.5, 0), (2005, 0), crs="EPSG:3035")
    findings = graph_of(geometry).findings
    assert findings[0].area == "d" and "'c', 0.5 m away" in findings[0].finding
    assert findings[1].area == "e" and "'d', 2 km away" in findings[1].finding


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ({}, "the two closest areas lie 1.5 m apart: set `graph.tolerance`"),
        ({"match": "vertices"}, "use `graph.match: touch`"),
        ({"tolerance": 1}, "set `graph.tolerance` (metres) above that"),
        ({"method": "distance", "distance": 2}, "set `graph.distance` to 3 or more"),
    ],
)
def test_a_graph_without_neighbours_says_which_setting_to_change(spec, remedy):
    message = refused(squares((0, 0), (2.5, 0), (10, 0)), **spec)
    assert "no area has a neighbour" in message and remedy in message


def test_a_graph_whose_pairs_are_all_cut_is_refused():
    assert "take pairs out of `graph.cut`" in refused(squares((0, 0), (1, 0)), cut=[["a", "b"]])


def test_a_join_saves_a_map_of_islands():
    assert edges(squares((0, 0), (3, 0)), join=[["a", "b"]]) == [[0, 1]]


def test_one_area_only_is_refused():
    assert "the map has one area only ('a')" in refused(squares((0, 0)))


def test_counties_of_the_united_states(tmp_path):
    """States and the District of Columbia: 9 components and 6 counties alone, by vertices as by arcs.

    San Juan, Nantucket, Aleutians West and three of Hawaii are alone; the territories have the other parts.
    """
    geometry = read_geometry(us_counties(tmp_path), "id", "counties")
    territories = geometry.frame["area"].str[:2].isin(["60", "66", "69", "72", "78"])
    states = replace(geometry, frame=geometry.frame[~territories].reset_index(drop=True))
    assert inventory(graph_of(geometry, match="vertices")) == (3230, 9338, 21, 15)
    graph = graph_of(states, match="vertices")
    assert inventory(graph) == (3141, 9151, 9, 6)
    assert sorted(graph.islands) == ["02016", "15001", "15003", "15007", "25019", "53055"]
    assert inventory(graph_of(states)) == (3141, 9152, 9, 6)
    assert inventory(graph_of(states, method="arcs")) == (3141, 9152, 9, 6)
    assert inventory(graph_of(states, method="arcs", contiguity="rook")) == (3141, 8757, 9, 6)


def test_rules_are_told_in_words():
    rules = [
        rule_in_words(GraphSpec(**spec))
        for spec in (
            {"tolerance": 2500},
            {"contiguity": "rook", "match": "vertices"},
            {"method": "arcs"},
            {"method": "knn", "k": 6},
            {"method": "distance", "distance": 50_000},
            {"method": "file", "file": "data/ferries.csv"},
        )
    ]
    assert rules == [
        "areas that share a point of their borders (queen contiguity), gaps of up to 2.5 km bridged",
        "areas that share a segment of their borders as drawn (rook contiguity)",
        "areas whose borders share the end of an arc of the TopoJSON file (queen contiguity)",
        "each area and the 6 whose centroids are nearest to its own",
        "areas whose centroids lie at most 50 km apart",
        "the pairs of areas in data/ferries.csv",
    ]
