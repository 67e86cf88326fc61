import geopandas as gpd
import pytest
from maps import CALIFORNIA, NORTH_CAROLINA, us_counties, write
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from poolmap.errors import InputError
from poolmap.graph.geometry import read_geometry


@pytest.fixture(autouse=True)
def project_folder(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def refused(path, column="id", layer=None):
    with pytest.raises(InputError) as caught:
        read_geometry(path, column, layer)
    assert str(path) in str(caught.value)
    return str(caught.value)


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


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_missing_crs_may_be_named(tmp_path):
    path = write(tmp_path, [box(5e5, 2e5, 6e5, 3e5)], ["x"], crs=None, name="map.shp")
    geometry = read_geometry(path, "id", crs="EPSG:27700")
    assert geometry.frame.crs.to_epsg() == 27700
    (finding,) = geometry.findings
    assert finding.action == "taken for EPSG:27700"
    for crs, message in (
        ("EPSG:4326", "its coordinates are not longitude"),
        ("OSGB", "geometry_crs: 'OSGB'"),
    ):
        with pytest.raises(InputError, match=message):
            read_geometry(path, "id", crs=crs)
    named = write(tmp_path, [box(5e5, 2e5, 6e5, 3e5)], ["x"], crs="EPSG:27700")
    assert read_geometry(named, "id", crs="EPSG:27700").findings == []
    with pytest.raises(InputError, match="which is not EPSG:3035"):
        read_geometry(named, "id", crs="EPSG:3035")


def test_metres_in_a_file_that_says_degrees_are_refused(tmp_path):
    path = write(tmp_path, [box(5e5, 4e6, 6e5, 5e6)], ["x"], crs="EPSG:4326")
    assert "longitude and latitude" in refused(path)


def test_refusals_name_file_feature_and_remedy(tmp_path):
    shapes = [box(0, 0, 1, 1), Point(3, 3), box(1, 0, 2, 1), box(2, 0, 3, 1)]
    message = refused(write(tmp_path, shapes, ["a", "b", "a", None], people=[1, 2, 3, 4]))
    assert "3 problems" in message
    assert "the id 'a' stands 2 times (feature 1, 3), with several values of 'people'" in message
    assert "dissolve" in message
    assert "1 of 4 features have no id (feature 4)" in message
    assert "feature 2 (area 'b'): the geometry is a Point, not a polygon" in message


def test_features_without_ground_are_left_out_and_reported(tmp_path):
    flat = Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    shapes = [flat, box(0, 0, 1, 1), None, Polygon(), box(1, 0, 2, 1)]
    geometry = read_geometry(write(tmp_path, shapes, ["flat", "x", "none", "empty", "y"]), "id")
    assert geometry.frame["area"].tolist() == ["x", "y"]
    assert geometry.left_out == ("flat", "none", "empty")
    found = {f.area: (f.finding, f.action) for f in geometry.findings if f.action.startswith("left out")}
    assert found == {
        "flat": ("the polygon encloses no ground", "left out of the map"),
        "none": ("feature 3 has no geometry", "left out of the map"),
        "empty": ("feature 4 has no geometry", "left out of the map"),
    }
    assert "no feature has a polygon" in refused(write(tmp_path, [flat], ["x"], name="flat.gpkg"))


def test_parts_of_one_area_are_joined_and_reported(tmp_path):
    shapes = [box(0, 0, 1, 1), box(5, 5, 6, 6), box(1, 0, 2, 1), box(8, 8, 9, 9)]
    path = write(tmp_path, shapes, ["a", "b", "a", "a"], name="map.gpkg", people=[7, 8, 7, 7])
    geometry = read_geometry(path, "id")
    assert geometry.frame[["area", "people"]].to_numpy().tolist() == [["a", 7], ["b", 8]]
    assert geometry.frame.geometry[0].equals(MultiPolygon([box(0, 0, 2, 1), box(8, 8, 9, 9)]))
    (finding,) = geometry.findings
    assert finding.area == "a" and "3 features" in finding.finding and "joined" in finding.action
    assert geometry.left_out == ()


def test_counties_of_the_united_states(tmp_path):
    """TopoJSON of us-atlas: 22 invalid polygons by GEOS, one feature without geometry (Falls Church)."""
    path = us_counties(tmp_path)
    geometry = read_geometry(path, "id", "counties")
    assert len(geometry.frame) == 3230 and geometry.frame.is_valid.all()
    assert geometry.left_out == ("51610",)
    assert sum(f.finding.startswith("invalid polygon") for f in geometry.findings) == 22
    assert (geometry.path, geometry.area_column, geometry.layer) == (str(path), "id", "counties")


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
