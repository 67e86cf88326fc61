"""Maps: where polygons are drawn, how values are coloured, what the file holds."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from matplotlib.patches import PathPatch
from shapely.geometry import box

from poolmap.figures.choropleth import WEIGHTS, MapPanel, draw_maps
from poolmap.figures.geography import lay_out
from poolmap.figures.scales import class_breaks, class_scale, ratio_scale, sequential_scale
from poolmap.figures.style import save_figure


def grid(wide, tall, at=(0.0, 50.0), side=1.0, crs="EPSG:4326"):
    cells = [
        box(at[0] + i * side, at[1] + j * side, at[0] + (i + 1) * side, at[1] + (j + 1) * side)
        for i in range(wide)
        for j in range(tall)
    ]
    return gpd.GeoDataFrame(geometry=cells, crs=crs)


def joined(*frames):
    geometry = np.concatenate([frame.geometry.values for frame in frames])
    return gpd.GeoDataFrame(geometry=geometry, crs=frames[0].crs)


def test_degrees_are_drawn_equal_area_and_north_is_up():
    layout = lay_out(grid(6, 1))
    sizes = shapely.area(layout.polygons)
    assert sizes.max() / sizes.min() == pytest.approx(1, rel=1e-6)
    assert layout.metres == 1
    assert layout.north == pytest.approx(0, abs=0.01)
    assert layout.insets == []


def test_a_map_over_the_date_line_is_in_one_piece():
    layout = lay_out(joined(grid(3, 3, (177, -20)), grid(3, 3, (-180, -20))))
    west, _, east, _ = layout.box
    assert (east - west) / 1000 == pytest.approx(6 * 111 * np.cos(np.radians(18.5)), rel=0.05)


def test_far_islands_come_into_an_inset_of_their_own_scale():
    main, far = grid(10, 6, (-100, 35)), grid(2, 2, (-158, 20), 0.5)
    frame = joined(main, far)
    layout = lay_out(frame)
    alone = lay_out(main)
    assert len(layout.insets) == 1
    assert np.subtract(layout.main, alone.main) == pytest.approx(np.zeros(4), abs=1e-6)
    edge = box(*layout.insets[0])
    assert all(edge.contains(polygon) for polygon in layout.polygons[60:])
    assert not edge.intersects(shapely.union_all(layout.polygons[:60]))
    # the shape is kept: a square of degrees at 20 degrees north is narrower than high
    west, south, east, north = shapely.total_bounds(layout.polygons[60:])
    assert (east - west) / (north - south) == pytest.approx(np.cos(np.radians(20.5)), rel=0.02)


def test_near_islands_stay_on_the_map():
    assert lay_out(joined(grid(10, 6), grid(1, 1, (11, 53), 0.5))).insets == []


def test_neighbours_keep_one_border_when_it_is_simplified():
    steps = np.linspace(0, 1, 5001)
    wiggle = np.column_stack([1 + 0.0001 * np.sin(900 * steps), steps])
    left = shapely.Polygon([*wiggle, (0, 1), (0, 0)])
    right = shapely.Polygon([*wiggle, (2, 1), (2, 0)])
    frame = gpd.GeoDataFrame(geometry=[left, right], crs=None)
    layout = lay_out(frame.set_crs("EPSG:27700"))
    assert shapely.get_num_coordinates(layout.polygons).sum() < 500
    assert shapely.area(shapely.intersection(*layout.polygons)) == pytest.approx(0, abs=1e-12)
    assert shapely.area(shapely.union_all(layout.polygons)) == pytest.approx(2, rel=1e-3)


def test_specks_are_not_drawn_but_each_area_is():
    speck = box(20, 55, 20.00001, 55.00001)
    with_speck = shapely.multipolygons([box(0, 50, 1, 51), box(2, 50, 2.00001, 50.00001)])
    frame = gpd.GeoDataFrame(geometry=[with_speck, box(1, 50, 20, 55), speck], crs="EPSG:4326")
    layout = lay_out(frame)
    assert shapely.get_num_geometries(layout.polygons).tolist() == [1, 1, 1]
    assert not shapely.is_empty(layout.polygons).any()


def test_a_map_of_very_many_areas_is_a_picture_in_a_small_file(tmp_path):
    frame = grid(100, 100, side=0.1)
    values = np.linspace(0.5, 2, len(frame))
    scale = ratio_scale("ratio", values, values)
    figure = draw_maps(frame, [MapPanel(letter, values, scale) for letter in "ABCD"])
    svg = next(path for path in save_figure(figure, tmp_path / "map") if path.suffix == ".svg")
    assert lay_out(frame, 4).coarse
    assert svg.stat().st_size < 2_000_000


def test_the_ratio_scale_is_symmetric_about_one_and_marks_values_beyond():
    scale = ratio_scale("ratio", np.array([0.6, 1.3]), np.array([0.0, 1.3]))
    assert scale.norm.vmin * scale.norm.vmax == pytest.approx(1)
    assert scale.norm.vmax == 2 and scale.extend == "min"
    assert [float(t) for t in scale.labels] == pytest.approx([0.5, 0.71, 1, 1.4, 2])
    up, down = scale.colours(np.array([2.0, 0.5]))
    assert not np.allclose(up, down)
    assert np.allclose(scale.colours(np.array([0.0])), scale.colours(np.array([0.5])))


def test_classes_of_ratios_are_orange_above_one_and_purple_below():
    values = np.array([0.4, 0.75, 0.8, 1.0, 1.3, 3.0, np.nan])
    scale = ratio_scale("ratio", values, values, breaks=[0.8, 1.25, 2])
    colours = scale.colours(values)
    assert np.array_equal(colours[1], colours[0])
    assert np.array_equal(colours[2], colours[1])  # a break belongs to the class below it
    red, _, blue, _ = colours.T
    assert blue[0] > red[0]
    assert red[4] > blue[4]
    assert np.array_equal(colours[6], np.ones(4))
    assert scale.labels == ["0.8", "1.25", "2"]
    # more certain of being above: the farther from 1, the darker
    assert colours[5][:3].sum() < colours[4][:3].sum()


def test_sequential_scales():
    assert len(np.unique(sequential_scale("x", np.ones(3)).colours(np.ones(3)), axis=0)) == 1
    scale = sequential_scale("share", np.array([0.1, 0.5]), percent=True, breaks=[0.2, 0.3])
    assert scale.labels == ["20%", "30%"]
    assert len(np.unique(scale.colours(np.array([0.1, 0.25, 0.5])), axis=0)) == 3
    classes = class_scale("class", ["low", "middle", "high"])
    assert len({tuple(c) for c in classes.colours(np.array([0.0, 1.0, 2.0]))}) == 3


def test_classes_that_end_on_this_side_of_one_have_the_colour_of_the_other_side():
    values = np.array([0.1, 0.7, 1, 2])
    shades = ratio_scale("ratio", values, values, breaks=[0.23, 0.4, 0.98]).cmap.colors
    assert shades[-1][0] > shades[-1][2] + 0.05  # orange


@pytest.mark.parametrize(("breaks", "neutral"), [([0.65, 0.8, 1.07], 2), ([1.5, 2], 0), ([0.4, 0.5], 2)])
def test_the_class_that_holds_one_is_neutral(breaks, neutral):
    values = np.array([0.1, 0.7, 1, 2])
    shades = ratio_scale("ratio", values, values, breaks=breaks).cmap.colors[:, :3]
    red, _, blue = shades.T
    assert abs(red - blue)[neutral] < 0.01
    assert (abs(np.delete(red - blue, neutral)) > 0.05).all()


def test_class_breaks_by_rule():
    values = np.array([1.0, 1.1, 1.2, 5.0, 5.1, 9.0, 9.1, np.nan])
    assert class_breaks(values, "jenks_caspall", 3) == [1.2, 5.1]
    assert class_breaks(values, "quantiles", 2) == [5.0]
    assert class_breaks(np.ones(4), "jenks_caspall", 3) == []
    with pytest.raises(ValueError, match="unknown rule"):
        class_breaks(values, "guess", 3)


def test_colours_fade_with_uncertainty():
    frame, values = grid(3, 1), np.full(3, 2.0)
    scale = ratio_scale("ratio", values, values)
    figure = draw_maps(frame, [MapPanel("faded", values, scale, certainty=np.array([0, 1, 2]))])
    shapes = sorted(figure.axes[0].findobj(PathPatch), key=lambda shape: shape.get_path().get_extents().x0)
    pale = [1 - np.array(shape.get_facecolor()[:3]) for shape in shapes]
    for part, weight in zip(pale, WEIGHTS, strict=True):
        assert part == pytest.approx(weight * pale[2])


def test_hatching_by_what_it_means():
    frame, values = grid(4, 1), np.array([1.0, np.nan, 2.0, 1.5])
    scale = ratio_scale("ratio", values, values)
    mask = np.array([False, False, True, False])
    figure = draw_maps(
        frame, [MapPanel("x", values, scale)], missing_label="no count", hatched={"suppressed": mask}
    )
    shapes = figure.axes[0].findobj(PathPatch)
    assert len({shape.get_hatch() for shape in shapes if shape.get_hatch()}) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["no count", "suppressed"]
    with pytest.raises(ValueError, match="3 kinds of hatching"):
        draw_maps(frame, [MapPanel("x", values, scale)], hatched=dict.fromkeys("abc", mask))
