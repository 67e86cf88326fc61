"""Reading and checking the boundaries of areas; every repair is reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poolmap.errors import InputError, Problem
from poolmap.tables import nearest

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

_SHOWN = 5
_NOTABLE_OVERLAP = 0.01
_LONGITUDE_LATITUDE = "EPSG:4326"
_UNREADABLE = "check that it is a whole GeoPackage, GeoJSON, TopoJSON, GeoParquet or shapefile"


@dataclass(frozen=True)
class Finding:
    """What was found about an area's boundary and what was done; `area` is empty where it concerns all."""

    area: str
    finding: str
    action: str


@dataclass(frozen=True)
class Geometry:
    """Checked boundaries.

    Attributes:
        frame: GeoDataFrame with the columns `area` (text, unique), `geometry` (valid, not empty Polygon or
            MultiPolygon, in two dimensions) and the file's other columns; its CRS is set; its rows are those
            of the file, in order.
        findings: the validity report: what was repaired or assumed, and what to look at.
        path: the file, as the user wrote it.
    """

    frame: gpd.GeoDataFrame
    findings: list[Finding] = field(default_factory=list)
    path: str = ""


def read_geometry(path: str | Path, area_column: str, layer: str | None = None) -> Geometry:
    """Read the polygons of a map and check them; mend what can be mended and report it.

    Args:
        path: any vector file that GDAL reads (GeoPackage, GeoJSON, TopoJSON, shapefile), or GeoParquet.
        area_column: the column with the area's id; it is renamed `area`, as text (whole numbers without
            ".0").
        layer: the layer, where the file holds several with geometry.

    Returns:
        The boundaries with the report of what was found. Invalid polygons are repaired with
        `shapely.make_valid(method="structure")`; a missing CRS is taken for longitude and latitude if all
        coordinates are in their range.

    Raises:
        InputError: the file cannot be read, has no such layer or column, has a missing or repeated id, an
            empty or non-polygon geometry, or coordinates that do not fit its CRS.
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

    problems = _check_ids(name, area_column, frame["area"])
    shapes = np.asarray(frame.geometry.values)
    problems += _check_shapes(name, frame["area"], shapes)
    if not problems:
        frame, problems = _with_crs(name, frame, shapes, findings)
    if problems:
        raise InputError(problems)

    areas = frame["area"].to_numpy()
    if shapely.has_z(shapes).any():
        shapes = shapely.force_2d(shapes)
        findings.append(Finding("", "coordinates have a height", "heights left out"))
    shapes = _repair(areas, shapes, findings)
    lost = np.flatnonzero(shapely.is_empty(shapes))
    if lost.size:
        remedy = "draw its boundary again: nothing is left of it after repair"
        raise InputError(_some(name, lost, areas, lambda _: "the polygon encloses no ground", remedy))
    findings += _overlaps(areas, shapes)
    frame["geometry"] = type(frame.geometry.values)(shapes, crs=frame.crs)
    ordered = ["area", *[c for c in frame.columns if c not in ("area", "geometry")], "geometry"]
    return Geometry(frame[ordered], findings, name)


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
        what, remedy = "the file holds several layers", f"name one of them as 'layer': {', '.join(layers)}"
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


def _some(
    name: str, rows: NDArray[np.int64], areas: Any, what: Callable[[int], str], remedy: str
) -> list[Problem]:
    """One problem for each of the first few rows, and one that counts the rest."""
    problems = [
        Problem(f"{name}, feature {row + 1} (area '{areas[row]}')", what(row), remedy)
        for row in rows[:_SHOWN]
    ]
    if len(rows) > _SHOWN:
        problems.append(Problem(name, f"the same in {len(rows) - _SHOWN} more features"))
    return problems


def _check_ids(name: str, column: str, areas: pd.Series) -> list[Problem]:
    where = f"{name}, column '{column}'"
    problems = []
    empty = np.flatnonzero(areas == "")
    if empty.size:
        shown = ", ".join(str(row + 1) for row in empty[:_SHOWN]) + (" ..." if empty.size > _SHOWN else "")
        what = f"{empty.size} of {len(areas)} features have no id (feature {shown})"
        problems.append(Problem(where, what, "give every area an id"))
    count = areas[areas != ""].value_counts()
    repeated = sorted(count.index[count > 1])
    for area in repeated[:_SHOWN]:
        rows = ", ".join(str(row + 1) for row in np.flatnonzero(areas == area)[:_SHOWN])
        what = f"the id '{area}' stands {count[area]} times (feature {rows})"
        remedy = "dissolve the parts of an area into one feature, or choose a column whose values are unique"
        problems.append(Problem(where, what, remedy))
    if len(repeated) > _SHOWN:
        problems.append(Problem(where, f"the same for {len(repeated) - _SHOWN} more ids"))
    return problems


def _check_shapes(name: str, areas: pd.Series, shapes: NDArray[np.object_]) -> list[Problem]:
    import shapely

    empty = np.array([shape is None for shape in shapes]) | shapely.is_empty(shapes)
    kind = shapely.get_type_id(shapes)
    collection = kind == shapely.GeometryType.GEOMETRYCOLLECTION
    polygonal = np.isin(kind, [shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON])
    collection[collection] = [bool(_polygons_of(shape)) for shape in shapes[collection]]
    wrong = np.flatnonzero(~empty & ~polygonal & ~collection)
    return _some(
        name,
        np.flatnonzero(empty),
        areas,
        lambda _: "the area has no geometry",
        "give it a polygon, or take the feature out of the file",
    ) + _some(
        name,
        wrong,
        areas,
        lambda row: f"the geometry is a {shapes[row].geom_type}, not a polygon",
        "give a map of boundaries; points and lines have no neighbours",
    )


def _with_crs(
    name: str, frame: gpd.GeoDataFrame, shapes: NDArray[np.object_], findings: list[Finding]
) -> tuple[gpd.GeoDataFrame, list[Problem]]:
    """The frame with its CRS, assumed where missing; or the problem with it."""
    import shapely

    west, south, east, north = shapely.total_bounds(shapes)
    fits = west >= -360 and east <= 360 and south >= -90 and north <= 90
    span = f"x from {west:g} to {east:g}, y from {south:g} to {north:g}"
    if frame.crs is None and fits:
        what = f"the file names no coordinate reference system ({span})"
        findings.append(Finding("", what, f"taken for longitude and latitude ({_LONGITUDE_LATITUDE})"))
        return frame.set_crs(_LONGITUDE_LATITUDE), []
    if frame.crs is None:
        what = f"the file names no coordinate reference system, and its coordinates are not degrees ({span})"
        remedy = "save it again with its CRS (for a shapefile: put the .prj file beside it)"
        return frame, [Problem(name, what, remedy)]
    if frame.crs.is_geographic and not fits:
        what = (
            f"the file says longitude and latitude ({frame.crs.name}), but its coordinates are not ({span})"
        )
        remedy = "save it again with the CRS of its coordinates, or reproject it (GeoJSON is always degrees)"
        return frame, [Problem(name, what, remedy)]
    return frame, []


def _repair(
    areas: NDArray[np.object_], shapes: NDArray[np.object_], findings: list[Finding]
) -> NDArray[np.object_]:
    """Valid polygons only; what was changed is added to the findings."""
    import shapely

    shapes = shapes.copy()
    for row in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        shapes[row] = shapely.multipolygons(_polygons_of(shapes[row]))
        findings.append(Finding(areas[row], "polygons mixed with points or lines", "only the polygons kept"))
    for row in np.flatnonzero(~shapely.is_valid(shapes)):
        reason, before = shapely.is_valid_reason(shapes[row]), shapely.area(shapes[row])
        shapes[row] = shapely.make_valid(shapes[row], method="structure", keep_collapsed=False)
        after = shapely.area(shapes[row])
        change = abs(after - before) / before if before else math.inf
        note = (
            "" if change < 0.001 else f"; its size changed from {before:.4g} to {after:.4g} square map units"
        )
        findings.append(Finding(areas[row], f"invalid polygon: {reason}", f"repaired{note}"))
    return shapes


def _polygons_of(shape: Any) -> list[Any]:
    """The polygons inside a geometry, however nested."""
    if shape.geom_type == "Polygon":
        return [] if shape.is_empty else [shape]
    return [polygon for part in getattr(shape, "geoms", []) for polygon in _polygons_of(part)]


def _overlaps(areas: NDArray[np.object_], shapes: NDArray[np.object_]) -> list[Finding]:
    """Pairs of areas that share a notable part of the smaller one's ground."""
    import shapely

    tree = shapely.STRtree(shapes)
    found = np.concatenate([tree.query(shapes, predicate=p) for p in ("overlaps", "covers")], axis=1)
    pairs = np.unique(np.sort(found.T[found[0] != found[1]], axis=1), axis=0)
    first, second = shapes[pairs[:, 0]], shapes[pairs[:, 1]]
    smaller = np.minimum(shapely.area(first), shapely.area(second))
    share = shapely.area(shapely.intersection(first, second)) / smaller
    return [
        Finding(
            areas[i], f"overlaps '{areas[j]}' by {part:.0%} of the smaller one", "kept; check the boundaries"
        )
        for (i, j), part in zip(pairs, share, strict=True)
        if part > _NOTABLE_OVERLAP
    ]
