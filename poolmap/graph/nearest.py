"""Neighbours by the distance between centroids: k nearest, distance band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.graph.contiguity import Pairs
from poolmap.graph.plane import centroids, chord, on_ground

if TYPE_CHECKING:
    import geopandas as gpd


def nearest_pairs(frame: gpd.GeoDataFrame, k: int) -> Pairs:
    """Each area and the k whose centroids are nearest, a pair where either is among the nearest of the other.

    Raises:
        ValueError: there are not more than k areas.
    """
    from scipy.spatial import KDTree

    points = centroids(frame)
    n = len(points)
    if not 1 <= k < n:
        raise ValueError(f"k must be at least 1 and below the number of areas, {n}")
    _, found = KDTree(points).query(points, k + 1)
    own = found == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True
    neighbour = found[~own].reshape(n, k)
    pairs = np.column_stack([np.repeat(np.arange(n), k), neighbour.ravel()])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def band_pairs(frame: gpd.GeoDataFrame, distance: float) -> Pairs:
    """Areas whose centroids lie at most so many metres apart."""
    from scipy.spatial import KDTree

    points = centroids(frame)
    reach = chord(distance) if points.shape[1] == 3 else distance
    pairs = KDTree(points).query_pairs(reach, output_type="ndarray").astype(np.int64)
    return np.unique(pairs, axis=0)


def nearest_distances(frame: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """(n,) metres from each area's centroid to the nearest other one; needs two areas."""
    from scipy.spatial import KDTree

    points = centroids(frame)
    distance = KDTree(points).query(points, 2)[0][:, 1]
    return on_ground(distance) if points.shape[1] == 3 else distance
