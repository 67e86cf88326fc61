"""Reading and checking the boundaries of areas; every repair is reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poolmap.errors import InputError, Problem
from poolmap.graph.repair import Finding, joined_parts, left_out_empty, overlaps, polygons_of, repaired
from poolmap.tables import nearest

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

_SHOWN = 5
_LONGITUDE_LATITUDE = "EPSG:4326"
_CHOOSE = "name one of them as `geometry_layer`, or save it in a file of its own: "
_UNREADABLE = "check that it is a whole GeoPackage, GeoJSON, TopoJSON, GeoParquet or shapefile"


@dataclass(frozen=True)
class Geometry:
    """Checked boundaries.

    Attributes:
        frame: GeoDataFrame with the columns `area` (text, unique), `geometry` (valid, not empty Polygon or
            MultiPolygon, in two dimensions) and the file's other columns; its CRS is set; its rows are in the
            order of the file.
        findings: the validity report: what was repaired or assumed, and what to look at.
        path: the file, as the user wrote it.
        area_column, layer: where in the file the ids and the polygons are (see `read_geometry`).
        left_out: ids of features without ground, which have no place in the map.
    """

    frame: gpd.GeoDataFrame
    findings: list[Finding] = field(default_factory=list)
    path: str = ""
    area_column: str = "area"
    layer: str | None = None
    left_out: tuple[str, ...] = ()


def read_geometry(
    path: str | Path, area_column: str, layer: str | None = None, crs: str | None = None
) -> Geometry:
    """Read the polygons of a map and check them; mend what can be mended and report it.

    Args:
        path: any vector file that GDAL reads (GeoPackage, GeoJSON, TopoJSON, shapefile), or GeoParquet.
        area_column: the column with the area's id; it is renamed `area`, as text (whole numbers without
            ".0").
        layer: the layer, where the file holds several with geometry.
        crs: the coordinate reference system, such as "EPSG:27700", of a file that names none.

    Returns:
        The boundaries with the report of what was found. Invalid polygons are repaired with
        `shapely.make_valid(method="structure")`; features without ground are left out; features of one id
        that agree in all other columns are joined; a missing CRS is taken for longitude and latitude if all
        coordinates are in their range.

    Raises:
        InputError: the file cannot be read, has no such layer or column, has a missing id, one id with
            different values in other columns, a geometry that is no polygon, or coordinates that do not fit
            its CRS.
    """
    import shapely

    name = str(path)
    frame = _read(Path(path), name, layer)
    columns = [c for c in frame.columns if c != frame.geometry.name]
    if area_column not in columns:
        raise InputError(
            [Problem(name, f"there is no column '{area_column}'", nearest(area_column, columns))]
        )
    if not len(frame):
        raise InputError([Problem(name, "the file holds no areas", "give a file with one polygon an area")])

    findings: list[Finding] = []
    frame = frame.reset_index(drop=True)
    if frame.geometry.name != "geometry":
        frame = frame.drop(columns="geometry", errors="ignore").rename_geometry("geometry")
    clash = [c for c in columns if c != area_column and c.lower() == "area"]
    if clash:
        frame = frame.drop(columns=clash)
        what = f"the file has a column '{clash[0]}' of its own"
        findings.append(Finding("", what, f"left out: 'area' is the id, taken from '{area_column}'"))
    frame = frame.rename(columns={area_column: "area"})
    frame["area"] = _as_text(frame["area"])

    problems = _check_ids(name, area_column, frame)
    problems += _check_shapes(name, frame["area"], np.asarray(frame.geometry.values))
    if not problems:
        frame, problems = _with_crs(name, frame, crs, findings)
    if problems:
        raise InputError(problems)

    ids = frame["area"].tolist()
    kept = left_out_empty(frame["area"].to_numpy(), np.asarray(frame.geometry.values), findings)
    frame = frame[kept].reset_index(drop=True)
    areas = frame["area"].to_numpy()
    shapes = repaired(areas, np.asarray(frame.geometry.values), findings)
    flat = shapely.is_empty(shapes)
    for area in areas[flat]:
        findings.append(Finding(area, "the polygon encloses no ground", "left out of the map"))
    frame["geometry"] = type(frame.geometry.values)(shapes, crs=frame.crs)
    frame = joined_parts(frame[~flat].reset_index(drop=True), findings)
    if frame.empty:
        raise InputError([Problem(name, "no feature has a polygon that encloses ground", _UNREADABLE)])
    findings += overlaps(frame["area"].to_numpy(), np.asarray(frame.geometry.values))
    ordered = ["area", *[c for c in frame.columns if c not in ("area", "geometry")], "geometry"]
    drawn = set(frame["area"])
    left_out = tuple(area for area in dict.fromkeys(ids) if area not in drawn)
    return Geometry(frame[ordered], findings, name, area_column, layer, left_out)


def _read(path: Path, name: str, layer: str | None) -> gpd.GeoDataFrame:
    import geopandas as gpd
    import pyogrio

    if not path.exists():
        raise InputError(
            [Problem(name, "the file does not exist", "check the path; it is relative to the project folder")]
        )
    if path.suffix.lower() == ".shp":
        missing = [s for s in (".shx", ".dbf") if not _sibling(path, s)]
        if missing:
            what = f"the shapefile lacks its {' and '.join(missing)} part"
            remedy = "a shapefile is several files of one name (.shp, .shx, .dbf, .prj): keep them together"
            raise InputError([Problem(name, what, remedy)])
    try:
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            return gpd.read_parquet(path)
        layers = [str(found) for found, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(layers) == 1:
            layer = layers[0]
        if layer in layers:
            return pyogrio.read_dataframe(path, layer=layer, on_invalid="ignore")
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            [Problem(name, f"the file cannot be read as a map ({reason})", _UNREADABLE)]
        ) from None
    if not layers:
        what, remedy = "the file holds no geometry", _UNREADABLE
    elif layer is None:
        what, remedy = "the file holds several layers", _CHOOSE + ", ".join(layers)
    else:
        what, remedy = f"there is no layer '{layer}'", nearest(layer, layers)
    raise InputError([Problem(name, what, remedy)])


def _sibling(path: Path, suffix: str) -> bool:
    return path.with_suffix(suffix).exists() or path.with_suffix(suffix.upper()).exists()


def _as_text(values: pd.Series) -> list[str]:
    """Ids as stripped text: whole numbers without ".0", missing ones empty."""

    def text(value: Any) -> str:
        if value is None or value != value:
            return ""
        if isinstance(value, (float, np.floating)) and float(value).is_integer():
            value = int(value)
        return str(value).strip()

    return [text(value) for value in values.astype(object)]


def _check_ids(name: str, column: str, frame: gpd.GeoDataFrame) -> list[Problem]:
    """Features without an id, and ids of several features that are not the parts of one area."""
    where = f"{name}, column '{column}'"
    areas = frame["area"]
    others = [c for c in frame.columns if c not in ("area", "geometry")]
    problems = []
    empty = np.flatnonzero(areas == "")
    if empty.size:
        shown = ", ".join(str(row + 1) for row in empty[:_SHOWN]) + (" ..." if empty.size > _SHOWN else "")
        what = f"{empty.size} of {len(areas)} features have no id (feature {shown})"
        problems.append(Problem(where, what, "give every area an id"))
    differing = (
        frame[(areas != "") & areas.duplicated(keep=False)].groupby("area")[others].nunique(dropna=False)
    )
    differing = differing[(differing > 1).any(axis=1)]
    for area, values in differing.head(_SHOWN).iterrows():
        rows = np.flatnonzero(areas == area)
        listed = ", ".join(str(row + 1) for row in rows[:_SHOWN])
        column = values.index[values > 1][0]
        what = (
            f"the id '{area}' stands {len(rows)} times (feature {listed}), with several values of '{column}'"
        )
        remedy = "dissolve the parts of an area into one feature, or choose a column whose values are unique"
        problems.append(Problem(where, what, remedy))
    if len(differing) > _SHOWN:
        problems.append(Problem(where, f"the same for {len(differing) - _SHOWN} more ids"))
    return problems


def _check_shapes(name: str, areas: pd.Series, shapes: NDArray[np.object_]) -> list[Problem]:
    import shapely

    empty = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    kind = shapely.get_type_id(shapes)
    collection = kind == shapely.GeometryType.GEOMETRYCOLLECTION
    polygonal = np.isin(kind, [shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON])
    collection[collection] = [bool(polygons_of(shape)) for shape in shapes[collection]]
    wrong = np.flatnonzero(~empty & ~polygonal & ~collection)
    problems = [
        Problem(
            f"{name}, feature {row + 1} (area '{areas[row]}')",
            f"the geometry is a {shapes[row].geom_type}, not a polygon",
            "give a map of boundaries; points and lines have no neighbours",
        )
        for row in wrong[:_SHOWN]
    ]
    if len(wrong) > _SHOWN:
        problems.append(Problem(name, f"the same in {len(wrong) - _SHOWN} more features"))
    return problems


def _with_crs(
    name: str, frame: gpd.GeoDataFrame, crs: str | None, findings: list[Finding]
) -> tuple[gpd.GeoDataFrame, list[Problem]]:
    """The frame with its CRS, assumed where missing; or the problem with it."""
    import shapely

    west, south, east, north = shapely.total_bounds(np.asarray(frame.geometry.values))
    fits = west >= -360 and east <= 360 and south >= -90 and north <= 90
    span = f"x from {west:g} to {east:g}, y from {south:g} to {north:g}"
    if crs is not None:
        problem = _set_crs_problem(name, frame, crs)
        if problem is None and frame.crs is None:
            findings.append(Finding("", "the file names no coordinate reference system", f"taken for {crs}"))
            frame = frame.set_crs(crs)
        if problem is not None:
            return frame, [problem]
    if frame.crs is None and fits:
        what = f"the file names no coordinate reference system ({span})"
        findings.append(Finding("", what, f"taken for longitude and latitude ({_LONGITUDE_LATITUDE})"))
        return frame.set_crs(_LONGITUDE_LATITUDE), []
    if frame.crs is None:
        what = f"the file names no coordinate reference system, and its coordinates are not degrees ({span})"
        remedy = (
            "name it in the config (geometry_crs: EPSG:27700, say), or save the file again with it (for a "
            "shapefile: put the .prj file beside it)"
        )
        return frame, [Problem(name, what, remedy)]
    if frame.crs.is_geographic and not fits:
        what = f"its coordinates are not longitude and latitude ({frame.crs.name}), as is said: {span}"
        remedy = "save it again with the CRS of its coordinates, or reproject it (GeoJSON is always degrees)"
        return frame, [Problem(name, what, remedy)]
    return frame, []


def _set_crs_problem(name: str, frame: gpd.GeoDataFrame, crs: str) -> Problem | None:
    """What is wrong with the CRS that the config gives."""
    import pyproj

    try:
        given = pyproj.CRS(crs)
    except pyproj.exceptions.CRSError:
        remedy = "give its EPSG code, such as EPSG:27700, or a PROJ or WKT text"
        return Problem("config: geometry_crs", f"'{crs}' is not a coordinate reference system", remedy)
    if frame.crs is not None and not frame.crs.equals(given, ignore_axis_order=True):
        what = f"the file names its own coordinate reference system ({frame.crs.name}), which is not {crs}"
        return Problem(name, what, "leave `geometry_crs` away, or correct the file")
    return None
