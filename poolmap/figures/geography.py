"""Polygons made ready to be drawn: a plane for their extent, far islands in insets, no finer than is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.graph.plane import in_plane

if TYPE_CHECKING:
    import geopandas as gpd

Box = tuple[float, float, float, float]
"""West, south, east, north."""

WORTH_AN_INSET = 1.5  # how much larger the map would be with the far areas on it
FAR = 0.12  # a gap as wide as this share of the map's diagonal sets areas apart
NEAR = 0.08  # areas within this share of the map's sides stay on it
MAX_INSETS = 5
FINEST = 2500  # a map's longer side in units of the first tolerance
SVG_VERTICES = 120_000  # of all panels; about 14 bytes each


@dataclass(frozen=True, eq=False)
class Layout:
    """Polygons where they are drawn.

    Attributes:
        polygons: (n,) of shapely, in the units of the main map; those of insets moved and scaled.
        box: what the main map and its insets cover.
        main: what the main map covers.
        insets: the frame of each inset.
        metres: on the ground, of one unit of the main map.
        north: direction of north in the middle of the main map, in radians from upwards, clockwise.
        coarse: whether the polygons are too many to be drawn as vectors in a file of moderate size.
    """

    polygons: NDArray[np.object_]
    box: Box
    main: Box
    insets: Sequence[Box]
    metres: float
    north: float
    coarse: bool


def lay_out(frame: gpd.GeoDataFrame, panels: int = 1) -> Layout:
    """Project, arrange and simplify polygons for a map.

    Maps in longitude and latitude or Web Mercator are drawn in an equal-area plane around their own middle,
    others in their own. Areas far from the rest come into insets where the map would otherwise be much
    larger; each inset is drawn in the plane of its own middle, at its own scale. Only what is drawn is
    simplified; borders of neighbours stay together.

    Args:
        frame: one row an area, with `geometry`: polygons and multipolygons, also empty ones.
        panels: how many maps share the file.
    """

    groups = _groups(frame)
    main, metres = _projected(frame, groups[0])
    box = _bounds(main)
    polygons = np.empty(len(frame), dtype=object)
    polygons[groups[0]] = main
    cells = _cells(box, len(groups) - 1)
    framed = []
    for rows, cell in zip(groups[1:], cells, strict=True):
        part, _ = _projected(frame, rows)
        moved, edge = _into(part, cell)
        polygons[rows] = moved
        framed.append(edge)
    whole = _around([box, *framed])
    polygons, coarse = _simplified(polygons, box, SVG_VERTICES // max(panels, 1))
    return Layout(polygons, whole, box, framed, metres, _north(frame, groups[0]), coarse)


def _groups(frame: gpd.GeoDataFrame) -> list[NDArray[np.intp]]:
    """Rows of the main map, then of each inset, the largest first."""
    import shapely

    geometry, _ = in_plane(frame)
    polygons = np.asarray(geometry.values)
    everything = np.arange(len(frame))
    bounds = shapely.bounds(polygons)
    seen = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    if len(seen) < 3:
        return [everything]
    middle = (bounds[seen, :2] + bounds[seen, 2:]) / 2
    bulk = np.quantile(middle, [0.05, 0.95], axis=0)
    reach = FAR * float(np.hypot(*(bulk[1] - bulk[0])))
    if reach == 0:
        return [everything]
    member = _near_ones(polygons[seen], reach)
    sizes = np.bincount(member)
    main = int(np.argmax(sizes))
    west, south, east, north = _around(bounds[seen[member == main]])
    wide, tall = NEAR * (east - west), NEAR * (north - south)
    for group in range(len(sizes)):
        w, s, e, n = _around(bounds[seen[member == group]])
        inside = w > west - wide and e < east + wide and s > south - tall and n < north + tall
        if inside:
            member[member == group] = main
    far = [seen[member == group] for group in np.unique(member) if group != main]
    whole = _around(bounds[seen])
    if not far or len(far) > MAX_INSETS:
        return [everything]
    if _size(whole) < WORTH_AN_INSET * _size((west, south, east, north)):
        return [everything]
    rest = np.setdiff1d(everything, np.concatenate(far))
    return [rest, *sorted(far, key=len, reverse=True)]


def _near_ones(polygons: NDArray[np.object_], reach: float) -> NDArray[np.int32]:
    """Group of each polygon, from 0: gaps within a group are no wider than `reach`."""
    import shapely
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    def groups(pairs: NDArray[np.int_], n: int) -> NDArray[np.int32]:
        links = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(n, n))
        return connected_components(links, directed=False)[1]

    # one vertex a cell of the size of a tenth of the gap stands for all in it; cells that touch are one patch
    # (of a whole country's pairs of cells within reach there are tens of millions)
    points, of = shapely.get_coordinates(polygons, return_index=True)
    grid = np.floor(points / (reach / 10)).astype(np.int64)
    cells, first, cell = np.unique(grid, axis=0, return_index=True, return_inverse=True)
    patch = groups(cKDTree(cells).query_pairs(1.5, output_type="ndarray"), len(cells))
    inside = patch == np.argmax(np.bincount(patch))
    at, rest = points[first], np.flatnonzero(~inside)
    pairs = [np.column_stack([of, len(polygons) + patch[cell.ravel()]])]
    if len(rest):
        distance, _ = cKDTree(at[inside]).query(at[rest], distance_upper_bound=reach)
        close = patch[rest[np.isfinite(distance)]]
        near = rest[cKDTree(at[rest]).query_pairs(reach, output_type="ndarray")]
        pairs.append(len(polygons) + np.column_stack([close, np.full(len(close), patch[inside][0])]))
        pairs.append(len(polygons) + patch[near])
    member = groups(np.concatenate(pairs), len(polygons) + int(patch.max()) + 1)[: len(polygons)]
    return np.unique(member, return_inverse=True)[1]


def _projected(frame: gpd.GeoDataFrame, rows: NDArray[np.intp]) -> tuple[NDArray[np.object_], float]:
    geometry, metres = in_plane(frame.iloc[rows])
    return np.asarray(geometry.values), metres


def _cells(box: Box, count: int) -> list[Box]:
    """A place for each inset: in a row below a wide map, in a column beside a tall one."""
    if not count:
        return []
    west, south, east, north = box
    wide, tall = east - west, north - south
    gap = 0.03 * max(wide, tall)
    if tall > 1.3 * wide:
        side, step = 0.4 * wide, tall / count
        return [
            (east + gap, north - (i + 1) * step + gap * (i < count - 1), east + gap + side, north - i * step)
            for i in range(count)
        ]
    side, step = 0.28 * tall, wide / max(count, 3)
    return [
        (west + i * step, south - gap - side, west + (i + 1) * step - gap * (i < count - 1), south - gap)
        for i in range(count)
    ]


def _into(polygons: NDArray[np.object_], cell: Box) -> tuple[NDArray[np.object_], Box]:
    """Polygons scaled and moved into a cell, and the frame around them."""
    import shapely

    west, south, east, north = _bounds(polygons)
    margin = 0.06 * min(cell[2] - cell[0], cell[3] - cell[1])
    room = cell[2] - cell[0] - 2 * margin, cell[3] - cell[1] - 2 * margin
    factor = min(room[0] / max(east - west, 1e-9), room[1] / max(north - south, 1e-9))
    start = np.array([cell[0] + margin, cell[3] - margin])
    corner = np.array([west, north])
    moved = shapely.transform(polygons, lambda points: (points - corner) * factor + start)
    wide, tall = (east - west) * factor, (north - south) * factor
    frame = (cell[0], cell[3] - tall - 2 * margin, cell[0] + wide + 2 * margin, cell[3])
    return moved, frame


def _simplified(polygons: NDArray[np.object_], box: Box, most: int) -> tuple[NDArray[np.object_], bool]:
    """Polygons with no more vertices than are seen, and whether they are still more than `most`."""
    import shapely

    finest = max(box[2] - box[0], box[3] - box[1]) / FINEST
    finer = polygons
    drawn = ~shapely.is_empty(polygons)
    for tolerance in finest * 2.0 ** np.arange(4):
        coarser = polygons.copy()
        coarser[drawn] = shapely.coverage_simplify(polygons[drawn], tolerance)
        coarser = _without_specks(coarser, tolerance**2)
        lost = shapely.is_empty(coarser) & drawn
        coarser[lost] = polygons[lost]
        if tolerance == finest:
            finer = coarser
        if shapely.get_num_coordinates(coarser).sum() <= most:
            return coarser, False
    return finer, True


def _without_specks(polygons: NDArray[np.object_], least: float) -> NDArray[np.object_]:
    """Without the parts of areas too small to be seen; each area keeps its largest part."""
    import shapely

    parts, of = shapely.get_parts(polygons, return_index=True)
    size = shapely.area(parts)
    largest = np.zeros(len(polygons))
    np.maximum.at(largest, of, size)
    keep = (size >= least) | (size == largest[of])
    if keep.all():
        return polygons
    slimmer = polygons.copy()
    changed = np.unique(of[~keep])
    for i in changed:
        slimmer[i] = shapely.multipolygons(parts[keep & (of == i)])
    return slimmer


def _north(frame: gpd.GeoDataFrame, rows: NDArray[np.intp]) -> float:
    """Direction of north in the middle of the map; NaN where its coordinates are not on the earth."""
    import geopandas as gpd
    import shapely

    if frame.crs is None or not (frame.crs.is_geographic or frame.crs.is_projected):
        return float("nan")
    plane, _ = in_plane(frame.iloc[rows])
    west, south, east, north = plane.total_bounds
    point = gpd.GeoSeries([shapely.Point((west + east) / 2, (south + north) / 2)], crs=plane.crs)
    place = point.to_crs("EPSG:4326").iloc[0]
    ahead = gpd.GeoSeries([shapely.Point(place.x, min(place.y + 0.1, 90))], crs="EPSG:4326").to_crs(plane.crs)
    return float(np.arctan2(ahead.iloc[0].x - point.iloc[0].x, ahead.iloc[0].y - point.iloc[0].y))


def _bounds(polygons: NDArray[np.object_]) -> Box:
    import shapely

    return tuple(float(end) for end in shapely.total_bounds(polygons))


def _around(boxes: Sequence[Box] | NDArray[np.float64]) -> Box:
    ends = np.asarray(boxes, dtype=np.float64)
    low, high = ends[:, :2].min(axis=0), ends[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _size(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
