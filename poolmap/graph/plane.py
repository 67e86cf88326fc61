"""Distances on the ground, in metres, whatever the coordinates of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import geopandas as gpd

_EARTH = 6_371_008.8
_WGS84_A = 6_378_137.0
_WGS84_E2 = 6.694_379_990_14e-3
_WEB_MERCATOR = 3857
_DEGREES = "EPSG:4326"


def in_plane(frame: gpd.GeoDataFrame) -> tuple[gpd.GeoSeries, float]:
    """The polygons in a plane, and how many metres one of its units is.

    Longitude and latitude, and Web Mercator (whose metres are not those of the ground), are projected to an
    equal-area plane (Lambert azimuthal) around the middle of the areas; a map that crosses the date line
    stays in one piece.
    """
    crs = frame.crs
    if not crs.is_geographic and crs.to_epsg() != _WEB_MERCATOR:
        return frame.geometry, float(crs.axis_info[0].unit_conversion_factor)
    west, south, east, north = frame.geometry.to_crs(_DEGREES).bounds.to_numpy().T
    x, y, z = _geocentric((west + east) / 2, (south + north) / 2).mean(axis=0)
    longitude, latitude = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    plane = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=WGS84 +units=m"
    return frame.geometry.to_crs(plane), 1.0


def centroids(frame: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """The areas' centroids as points whose straight distances, in metres, stand for those on the ground.

    Returns:
        (n, 3) geocentric coordinates on the WGS 84 ellipsoid (see `chord`); (n, 2) coordinates in the map's
        plane where that has no place on the earth.
    """
    polygons, metres = in_plane(frame)
    points = polygons.centroid
    if not (frame.crs.is_geographic or frame.crs.is_projected):
        return np.column_stack([points.x, points.y]) * metres
    points = points.to_crs(_DEGREES)
    return _geocentric(points.x.to_numpy(), points.y.to_numpy())


def chord(metres: float) -> float:
    """The straight distance between two points this far apart on the surface of the earth."""
    return float(2 * _EARTH * np.sin(min(metres / (2 * _EARTH), np.pi / 2)))


def on_ground(straight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distances on the surface of the earth that straight ones through it stand for."""
    return 2 * _EARTH * np.arcsin(np.minimum(straight / (2 * _EARTH), 1))


def in_words(metres: float) -> str:
    """A distance to three digits ("12.5 km", "0.5 m")."""
    return f"{metres / 1000:.3g} km" if metres >= 1000 else f"{metres:.3g} m"


def _geocentric(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) of degrees on the ellipsoid."""
    along, up = np.radians(longitude), np.radians(latitude)
    normal = _WGS84_A / np.sqrt(1 - _WGS84_E2 * np.sin(up) ** 2)
    x, y = normal * np.cos(up) * np.cos(along), normal * np.cos(up) * np.sin(along)
    return np.column_stack([x, y, normal * (1 - _WGS84_E2) * np.sin(up)])
