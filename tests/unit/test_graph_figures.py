import geopandas as gpd
import numpy as np
import pytest
import shapely
from maps import NORTH_CAROLINA, graph_of, squares
from shapely.geometry import MultiPolygon, box

from poolmap.figures.graph_map import draw_graph
from poolmap.graph.geometry import read_geometry
from poolmap.graph.graph import Graph


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def drawn(figure):
    from matplotlib.collections import LineCollection, PathCollection

    (axes,) = figure.axes
    paths = [c for c in axes.collections if isinstance(c, PathCollection)]
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    return paths, lines


def test_figure_has_every_polygon_and_every_edge():
    geometry = read_geometry(NORTH_CAROLINA, "fips")
    figure = draw_graph(geometry.frame, graph_of(geometry))
    (polygons,), (edges,) = drawn(figure)
    assert len(polygons.get_paths()) == 100 and len(edges.get_segments()) == 245
    assert all(len(path.vertices) for path in polygons.get_paths())
    assert figure.legends == [] and not figure.axes[0].get_title()


def test_figure_tells_components_apart_without_colour():
    geometry = squares((0, 0), (1, 0), (2, 0), (5, 5), (6, 5), (9, 0), ids=["n", "o", "p", "q", "r", "far"])
    figure = draw_graph(geometry.frame, graph_of(geometry))
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
    geometry = squares((0, 0), (1, 0), (4, 4), crs="EPSG:3035")
    graph = graph_of(geometry).subset(["b", "a"])
    (_, (edges,)) = drawn(draw_graph(geometry.frame, graph))
    assert edges.get_segments()[0].tolist() == [[1.5, 0.5], [0.5, 0.5]]


def test_figure_of_a_map_across_the_date_line_is_in_one_piece():
    geometry = squares((178, 60), (179, 60), (-180, 60), (-179, 60), crs="EPSG:4326")
    (_, (edges,)) = drawn(draw_graph(geometry.frame, graph_of(geometry, tolerance=10)))
    kilometres = [np.ptp(segment[:, 0]) / 1000 for segment in np.array(edges.get_segments())]
    assert len(kilometres) == 3 and all(50 < length < 60 for length in kilometres)


def test_figure_keeps_holes_and_parts():
    ring = box(0, 0, 9, 9).difference(box(3, 3, 6, 6))
    shape = MultiPolygon([*shapely.get_parts(ring), box(20, 0, 21, 1)])
    frame = gpd.GeoDataFrame({"area": ["x"]}, geometry=[shape], crs=3857)
    ((polygons,), _) = drawn(draw_graph(frame, Graph.from_edges("x", [], "none")))
    (path,) = polygons.get_paths()
    rings = path.to_polygons()
    winding = [shapely.is_ccw(shapely.LinearRing(ring)) for ring in rings]
    assert len(rings) == 3 and winding == [winding[0], not winding[0], winding[0]]
