"""Maps for tests, and how they are made."""

import gzip
from pathlib import Path

import geopandas as gpd
from shapely.geometry import box

from poolmap.config.graph import GraphSpec
from poolmap.graph.adjacency import build_graph
from poolmap.graph.geometry import Geometry, read_geometry

NORTH_CAROLINA = "resources/nc_sids/counties.gpkg"
CALIFORNIA = "resources/california_schools/counties.gpkg"
GEOGRAPHIES = Path(__file__).parent / "geographies"


def example(name, column, crs=None):
    """A map that ships inside the libpysal wheel; nothing is downloaded."""
    import libpysal

    return read_geometry(libpysal.examples.get_path(name), column, crs=crs)


def unpacked(name, folder):
    """A file of `geographies/`, unpacked into a folder."""
    path = folder / name
    if not path.exists():
        path.write_bytes(gzip.decompress((GEOGRAPHIES / f"{name}.gz").read_bytes()))
    return path


def us_counties(folder):
    """The counties of the United States as TopoJSON, unpacked into a folder."""
    return unpacked("us_counties.topojson", folder)


def squares(*corners, ids=None, crs="EPSG:3857", size=1.0):
    """Squares with these lower left corners."""
    shapes = [box(x, y, x + size, y + size) for x, y in corners]
    return Geometry(
        gpd.GeoDataFrame({"area": ids or list("abcdefgh"[: len(shapes)])}, geometry=shapes, crs=crs)
    )


def write(folder, shapes, ids, crs="EPSG:3857", name="map.gpkg", **columns):
    """A map file with the ids in the column `id`."""
    path = folder / name
    gpd.GeoDataFrame({"id": ids, **columns}, geometry=shapes, crs=crs).to_file(path)
    return path


def graph_of(geometry, **spec):
    """The graph by this section of the config."""
    return build_graph(geometry, GraphSpec(**spec))
