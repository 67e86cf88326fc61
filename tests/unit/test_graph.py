import json

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from poolmap.errors import InputError
from poolmap.figures.graph_map import draw_graph
from poolmap.graph.adjacency import build_adjacency, separations
from poolmap.graph.geometry import Geometry, read_geometry
from poolmap.graph.graph import Graph, connected_components
from poolmap.graph.scaling import icar_marginal_variances, scaling_factors

NORTH_CAROLINA = "resources/nc_sids/counties.gpkg"
CALIFORNIA = "resources/california_schools/counties.gpkg"


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def example(name, column):
    """A map that ships inside the libpysal wheel; nothing is downloaded."""
    import libpysal

    return read_geometry(libpysal.examples.get_path(name), column)


def squares(*corners, ids=None, crs="EPSG:3857"):
    """Unit squares with these lower left corners."""
    shapes = [box(x, y, x + 1, y + 1) for x, y in corners]
    return Geometry(
        gpd.GeoDataFrame({"area": ids or list("abcdefgh"[: len(shapes)])}, geometry=shapes, crs=crs)
    )


def write(tmp_path, shapes, ids, crs="EPSG:3857", name="map.gpkg", **columns):
    path = tmp_path / name
    gpd.GeoDataFrame({"id": ids, **columns}, geometry=shapes, crs=crs).to_file(path)
    return path


def refused(path, column="id", layer=None):
    with pytest.raises(InputError) as caught:
        read_geometry(path, column, layer)
    assert str(path) in str(caught.value)
    return str(caught.value)


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


# Reading


def test_demonstration_maps_are_read_without_repair():
    carolina = read_geometry(NORTH_CAROLINA, "fips")
    assert list(carolina.frame.columns) == ["area", "county", "geometry"]
    assert carolina.frame["area"][0] == "37009" and len(carolina.frame) == 100
    assert carolina.frame.crs.to_epsg() == 4267
    assert carolina.findings == []
    california = read_geometry(CALIFORNIA, "fips", layer="counties")
    assert california.frame["area"].str.startswith("06").all() and len(california.frame) == 58
    assert california.findings == []


def test_invalid_polygons_are_repaired_and_reported(tmp_path):
    bow_tie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    geometry = read_geometry(write(tmp_path, [bow_tie, box(5, 5, 6, 6)], ["x", "y"]), "id")
    assert geometry.frame.is_valid.all()
    assert set(geometry.frame.geom_type) <= {"Polygon", "MultiPolygon"}
    (finding,) = geometry.findings
    assert finding.area == "x" and "Self-intersection" in finding.finding and "repaired" in finding.action


def test_polygons_are_kept_from_a_mixed_collection(tmp_path):
    mixed = GeometryCollection([box(0, 0, 1, 1), LineString([(0, 0), (5, 5)])])
    geometry = read_geometry(write(tmp_path, [mixed, box(1, 0, 2, 1)], ["x", "y"], name="map.gpkg"), "id")
    assert geometry.frame.geometry[0].area == 1
    assert [f.area for f in geometry.findings] == ["x"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7, 8], ["7", "8"]),
        ([7.0, 8.0], ["7", "8"]),
        ([1.5, 2.0], ["1.5", "2"]),
        ([" 01", "1 "], ["01", "1"]),
    ],
)
def test_ids_become_text(tmp_path, ids, expected):
    geometry = read_geometry(write(tmp_path, [box(0, 0, 1, 1), box(1, 0, 2, 1)], ids), "id")
    assert geometry.frame["area"].tolist() == expected


def test_a_column_called_area_gives_way_to_the_id(tmp_path):
    path = write(tmp_path, [box(0, 0, 1, 1)], ["x"], Area=[3.2], people=[5])
    geometry = read_geometry(path, "id")
    assert list(geometry.frame.columns) == ["area", "people", "geometry"]
    assert "'Area'" in geometry.findings[0].finding


def test_heights_are_left_out(tmp_path):
    path = write(tmp_path, [Polygon([(0, 0, 5), (1, 0, 5), (1, 1, 5)])], ["x"])
    geometry = read_geometry(path, "id")
    assert not geometry.frame.has_z.any()
    assert "height" in geometry.findings[0].finding


def test_overlapping_areas_are_reported(tmp_path):
    path = write(tmp_path, [box(0, 0, 2, 2), box(1, 0, 3, 2), box(9, 9, 10, 10)], ["x", "y", "z"])
    (finding,) = read_geometry(path, "id").findings
    assert finding.area == "x" and "'y' by 50%" in finding.finding


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_missing_crs_is_assumed_only_where_coordinates_are_degrees(tmp_path):
    (tmp_path / "degrees").mkdir()
    degrees = write(tmp_path / "degrees", [box(10, 50, 11, 51)], ["x"], crs=None, name="map.shp")
    geometry = read_geometry(degrees, "id")
    assert geometry.frame.crs.to_epsg() == 4326
    assert "no coordinate reference system" in geometry.findings[0].finding
    metres = write(tmp_path, [box(5e5, 4e6, 6e5, 5e6)], ["x"], crs=None, name="map.shp")
    assert ".prj" in refused(metres)


def test_metres_in_a_file_that_says_degrees_are_refused(tmp_path):
    path = write(tmp_path, [box(5e5, 4e6, 6e5, 5e6)], ["x"], crs="EPSG:4326")
    assert "longitude and latitude" in refused(path)


def test_refusals_name_file_feature_and_remedy(tmp_path):
    shapes = [box(0, 0, 1, 1), Point(3, 3), None, box(1, 0, 2, 1), box(2, 0, 3, 1)]
    message = refused(write(tmp_path, shapes, ["a", "b", "c", "a", None], name="map.gpkg"))
    assert "4 problems" in message
    assert "the id 'a' stands 2 times (feature 1, 4)" in message and "dissolve" in message
    assert "1 of 5 features have no id (feature 5)" in message
    assert "feature 2 (area 'b'): the geometry is a Point, not a polygon" in message
    assert "feature 3 (area 'c'): the area has no geometry" in message


def test_a_polygon_without_ground_is_refused(tmp_path):
    flat = Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    assert "encloses no ground" in refused(write(tmp_path, [flat, box(0, 0, 1, 1)], ["x", "y"]))


def test_unknown_columns_and_layers_name_the_nearest(tmp_path):
    assert "did you mean 'fips'?" in refused(NORTH_CAROLINA, "FIPSS")
    assert "did you mean 'counties'?" in refused(NORTH_CAROLINA, "fips", "countys")
    path = write(tmp_path, [box(0, 0, 1, 1)], ["x"])
    gpd.GeoDataFrame({"id": ["x"]}, geometry=[box(0, 0, 1, 1)], crs=3857).to_file(path, layer="second")
    assert "map, second" in refused(path)
    assert read_geometry(path, "id", "second").frame["area"].tolist() == ["x"]


def test_unreadable_files_are_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.gpkg")
    broken = tmp_path / "broken.geojson"
    broken.write_text('{"type": "FeatureColl')
    assert "cannot be read as a map" in refused(broken)
    table = tmp_path / "table.csv"
    table.write_text("id,n\na,1\n")
    assert "holds no geometry" in refused(table)
    shapefile = write(tmp_path, [box(0, 0, 1, 1)], ["x"], name="map.shp")
    (tmp_path / "map.dbf").unlink()
    assert "lacks its .dbf part" in refused(shapefile)


def test_geoparquet_is_read(tmp_path):
    path = tmp_path / "map.parquet"
    gpd.GeoDataFrame({"id": [1]}, geometry=[box(0, 0, 1, 1)], crs=3857).to_parquet(path)
    assert read_geometry(path, "id").frame["area"].tolist() == ["1"]


# Neighbours


@pytest.mark.parametrize(("contiguity", "edges"), [("queen", 245), ("rook", 231)])
def test_north_carolina_neighbours(contiguity, edges):
    """Counts by libpysal 4.14 on the same polygons."""
    graph = build_adjacency(read_geometry(NORTH_CAROLINA, "fips"), contiguity)
    assert (graph.n, len(graph.edges), graph.n_components) == (100, edges, 1)
    assert graph.areas[:2] == ("37009", "37005") and graph.islands == ()
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
    assert (np.diff(graph.edges[:, 0] * graph.n + graph.edges[:, 1]) > 0).all()


@pytest.mark.parametrize(("contiguity", "edges"), [("queen", 139), ("rook", 135)])
def test_california_neighbours(contiguity, edges):
    """By shared vertices 138 and 135; San Joaquin and Santa Clara overlap in a corner: a queen pair."""
    graph = build_adjacency(read_geometry(CALIFORNIA, "county"), contiguity)
    assert (len(graph.edges), graph.n_components) == (edges, 1)


@pytest.mark.parametrize(
    ("name", "column", "queen", "rook"),
    [
        ("columbus.shp", "POLYID", 118, 100),
        ("stl_hom.shp", "FIPSNO", 203, 199),
        ("virginia.shp", "FIPS", 293, 287),
        ("us48.shp", "STATE_NAME", 107, 105),
        ("mexicojoin.shp", "NAME", 69, 65),
    ],
)
def test_libpysal_examples(name, column, queen, rook):
    geometry = example(name, column)
    assert len(build_adjacency(geometry).edges) == queen
    assert len(build_adjacency(geometry, "rook").edges) == rook


def test_queen_needs_a_point_and_rook_a_segment():
    geometry = squares((0, 0), (1, 1), (1, 0), (5, 5))
    assert build_adjacency(geometry).edges.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert build_adjacency(geometry, "rook").edges.tolist() == [[0, 2], [1, 2]]
    assert build_adjacency(geometry).islands == ("d",)


def test_borders_without_common_vertices_still_meet():
    frame = gpd.GeoDataFrame(
        {"area": ["long", "short", "over"]},
        geometry=[box(0, 0, 1, 9), box(1, 3, 2, 4), box(1.9, 3.2, 3, 3.8)],
        crs=3857,
    )
    for contiguity in ("queen", "rook"):
        assert build_adjacency(Geometry(frame), contiguity).edges.tolist() == [[0, 1], [1, 2]]


def test_an_index_of_the_frame_does_not_matter():
    geometry = squares((0, 0), (1, 0), (2, 0))
    geometry.frame.index = [30, 10, 20]
    assert build_adjacency(geometry).edges.tolist() == [[0, 1], [1, 2]]


def test_tolerance_bridges_the_gaps_of_tokyo():
    """Borders that do not quite meet: 695 pairs, factor 0.524858 (libpysal fuzzy contiguity, 10 m)."""
    geometry = example("tokyomet262.shp", "AreaID")
    graph = build_adjacency(geometry, tolerance=1.0)
    assert (len(graph.edges), graph.n_components, graph.tolerance) == (695, 1, 1.0)
    assert graph.scaling[0] == pytest.approx(0.5248580685162061, rel=1e-9)


def test_tolerance_is_in_metres_whatever_the_crs():
    degrees = squares((0, 0), (1.001, 0), crs="EPSG:4326")
    assert build_adjacency(degrees, tolerance=100).n_components == 2
    assert build_adjacency(degrees, tolerance=120).n_components == 1
    feet = squares((0, 0), (4, 0), crs="EPSG:2264")
    assert build_adjacency(feet, tolerance=0.9).n_components == 2
    assert build_adjacency(feet, tolerance=0.92).n_components == 1


def test_separations_say_how_far_and_from_whom():
    geometry = squares((0, 0), (1, 0), (2, 0), (3.5, 0), (2005, 0))
    findings = separations(geometry, build_adjacency(geometry))
    assert findings[0].area == "d" and "'c', 0.5 m away" in findings[0].finding
    assert findings[1].area == "e" and "'d', 2 km away" in findings[1].finding
    connected = squares((0, 0), (1, 0))
    assert separations(connected, build_adjacency(connected)) == []


@pytest.mark.parametrize("options", [{"contiguity": "bishop"}, {"tolerance": -1.0}])
def test_other_definitions_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build_adjacency(squares((0, 0), (1, 0)), **options)
    with pytest.raises(ValueError, match="rook"):
        build_adjacency(squares((0, 0), (1, 0)), "rook", tolerance=1.0)


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
    assert build_adjacency(example(name, column)).scaling == pytest.approx([factor], rel=1e-9)


def test_scaling_factor_of_the_demonstration():
    graph = build_adjacency(read_geometry(NORTH_CAROLINA, "fips"))
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


def test_ten_thousand_areas():
    """A lattice of 100 by 100, checked against the eigenvalues of its Laplacian: 2 - 2 cos(pi k / 100)."""
    edges = lattice(100, 100)
    variances = icar_marginal_variances(10_000, edges, np.zeros(10_000, dtype=int))
    one_way = 2 - 2 * np.cos(np.pi * np.arange(100) / 100)
    eigenvalues = np.add.outer(one_way, one_way).ravel()[1:]
    assert variances.sum() == pytest.approx((1 / eigenvalues).sum(), rel=1e-10)
    grid = variances.reshape(100, 100)
    np.testing.assert_allclose(grid, grid[::-1, ::-1], rtol=1e-8)


# The figure


def drawn(figure):
    from matplotlib.collections import LineCollection, PathCollection

    (axes,) = figure.axes
    paths = [c for c in axes.collections if isinstance(c, PathCollection)]
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    return paths, lines


def test_figure_has_every_polygon_and_every_edge():
    geometry = read_geometry(NORTH_CAROLINA, "fips")
    figure = draw_graph(geometry.frame, build_adjacency(geometry))
    (polygons,), (edges,) = drawn(figure)
    assert len(polygons.get_paths()) == 100 and len(edges.get_segments()) == 245
    assert all(len(path.vertices) for path in polygons.get_paths())
    assert figure.legends == [] and not figure.axes[0].get_title()


def test_figure_tells_components_apart_without_colour():
    geometry = squares((0, 0), (1, 0), (2, 0), (5, 5), (6, 5), (9, 0), ids=["n", "o", "p", "q", "r", "far"])
    figure = draw_graph(geometry.frame, build_adjacency(geometry))
    _, lines = drawn(figure)
    assert [len(c.get_segments()) for c in lines] == [2, 1]
    assert lines[0].get_linestyles() != lines[1].get_linestyles()
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "component 1: 3 areas",
        "component 2: 2 areas",
        "no neighbours: far",
    ]
    looks = [(line.get_marker(), line.get_fillstyle()) for line in figure.axes[0].lines]
    assert looks == [("o", "full"), ("s", "full"), ("o", "none"), ("x", "full")]


def test_figure_follows_the_order_of_the_graph_not_of_the_frame():
    geometry = squares((0, 0), (1, 0), (4, 4))
    graph = build_adjacency(geometry).subset(["b", "a"])
    (_, (edges,)) = drawn(draw_graph(geometry.frame, graph))
    assert edges.get_segments()[0].tolist() == [[1.5, 0.5], [0.5, 0.5]]


def test_figure_keeps_holes_and_parts():
    ring = box(0, 0, 9, 9).difference(box(3, 3, 6, 6))
    shape = MultiPolygon([*shapely.get_parts(ring), box(20, 0, 21, 1)])
    frame = gpd.GeoDataFrame({"area": ["x"]}, geometry=[shape], crs=3857)
    ((polygons,), _) = drawn(draw_graph(frame, build_adjacency(Geometry(frame))))
    (path,) = polygons.get_paths()
    rings = path.to_polygons()
    winding = [shapely.is_ccw(shapely.LinearRing(ring)) for ring in rings]
    assert len(rings) == 3 and winding == [winding[0], not winding[0], winding[0]]
