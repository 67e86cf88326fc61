"""The report's Data section: every repair of the polygons and every finding about the graph, area by area."""

import json

import numpy as np
import pandas as pd
import pytest
from maps import example, graph_of, us_counties
from shapely.geometry import GeometryCollection, LineString, Polygon, box

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import ReportTable
from poolmap.families.areas.describe import describe
from poolmap.families.areas.ingest import ingest
from poolmap.graph.geometry import read_geometry


def analysis(tmp_path, geometry, column, layer=None, **keys):
    """A map with one case and two expected in each area that has a polygon."""
    areas = read_geometry(geometry, column, layer, keys.get("geometry_crs")).frame["area"]
    counts = tmp_path / "counts.csv"
    table = pd.DataFrame({"id": areas, "name": [f"area {a}" for a in areas], "cases": 1, "expected": 2})
    table.to_csv(counts, index=False)
    section = {
        "family": "areas",
        "data": str(counts),
        "geometry": str(geometry),
        "area": "id",
        "name": "name",
    }
    section |= {"geometry_area": column, "outcome": {"cases": "cases", "expected": "expected"}} | keys
    spec = AreasAnalysis.model_validate(section | ({"geometry_layer": layer} if layer else {}))
    data = ingest(spec)
    # as it comes back from its file
    data.facts = json.loads(json.dumps(data.facts))
    return spec, data


def said(spec, data):
    blocks = describe(spec, data)
    tables = {block.caption: block.frame for block in blocks if isinstance(block, ReportTable)}
    return " ".join(block for block in blocks if isinstance(block, str)), tables


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_every_kind_of_repair_is_told(tmp_path):
    import geopandas as gpd

    bow_tie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    mixed = GeometryCollection([box(3, 0, 4, 1), LineString([(0, 0), (5, 5)])])
    shapes = [bow_tie, mixed, box(5, 0, 6, 1), box(7, 0, 8, 1), box(6, 0, 7.5, 1), None]
    ids = ["bow", "mix", "two", "two", "over", "none"]
    path = tmp_path / "map.gpkg"
    gpd.GeoDataFrame({"id": ids}, geometry=shapes).to_file(path)
    spec, data = analysis(tmp_path, path, "id")
    data.graph = graph_of(read_geometry(path, "id"))
    text, tables = said(spec, data)
    for words in (
        "The polygons were checked: 1 polygon was invalid and is repaired",
        "1 feature had points or lines, which are left out",
        "1 feature has no ground and is left out of the map",
        "1 area was drawn as several features, which are joined",
        "1 pair of areas overlaps and is kept as it is",
        "the file names no coordinate reference system (x from 0 to 8, y from 0 to 5): taken for longitude",
    ):
        assert words in text
    table = tables["What was found about the polygons, area by area, and what was done."]
    assert len(table) == len(data.facts["geometry"]) == 6
    done = table.set_index("area")["done"]
    assert done["area bow (bow)"].startswith("repaired") and done["none"] == "left out of the map"
    assert "longitude and latitude" in done["the whole map"]
    assert "area bow (bow)" in tables[next(c for c in tables if "graph" in c)]["area"].tolist()


def test_a_map_without_faults(tmp_path):
    import libpysal

    spec, data = analysis(tmp_path, libpysal.examples.get_path("sids2.shp"), "FIPS")
    text, _ = said(spec, data)
    data.facts["geometry"] = []
    assert "taken for longitude and latitude" in text
    assert "All polygons are valid: nothing in the map was changed." in said(spec, data)[0]


def test_parts_of_a_map_without_single_areas(tmp_path):
    import geopandas as gpd

    path = tmp_path / "map.gpkg"
    shapes = [box(i, 50, i + 1, 51) for i in (0, 1, 2, 9, 10)]
    gpd.GeoDataFrame({"id": list("abcde")}, geometry=shapes, crs="EPSG:4326").to_file(path)
    spec, data = analysis(tmp_path, path, "id")
    data.graph = graph_of(read_geometry(path, "id"))
    text, _ = said(spec, data)
    assert "The graph has 2 connected components of 3 and 2 areas (scaling factor" in text
    assert "without neighbours" not in text


def test_counties_of_the_united_states(tmp_path):
    """22 invalid polygons and one feature without geometry, each in the table."""
    spec, data = analysis(tmp_path, us_counties(tmp_path), "id", "counties")
    text, tables = said(spec, data)
    assert "22 polygons were invalid and are repaired; 1 feature has no ground" in text
    (table,) = tables.values()
    assert table["found"].str.startswith("invalid polygon").sum() == 22
    assert "51610" in table["area"].tolist()


def test_tokyo(tmp_path):
    """10 invalid polygons; 23 components by vertices, of which 22 lie apart by metres."""
    import libpysal

    path = libpysal.examples.get_path("tokyomet262.shp")
    spec, data = analysis(tmp_path, path, "AreaID", graph={"match": "vertices"})
    data.graph = graph_of(example("tokyomet262.shp", "AreaID"), match="vertices")
    text, tables = said(spec, data)
    assert "10 polygons were invalid and are repaired" in text
    assert "13 connected components" in text and "10 areas without neighbours" in text
    apart = next(frame for caption, frame in tables.items() if "graph" in caption)
    assert len(apart) == 22 and apart["done"].str.contains("set a tolerance").all()
    assert np.array([" m away" in found for found in apart["found"]]).all()
