"""A lattice over the hyperparameters, followed as far as there is density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

Place = tuple[int, ...]

APART = 1.5
"""Distance of the points in standard deviations: a sum over a normal density is exact to 0.0002."""
DROP = 4.5  # log density below the highest, from which on it is not followed
MOST_POINTS = 150


def lattice(log_density: Callable[[Place, Place | None], float], H: int) -> dict[Place, float]:
    """Places of the lattice, from the middle outwards, with their log density.

    Args:
        log_density: of a place (steps of the lattice along each axis); it also gets a place next to it that
            was visited before, if there is one.
        H: number of axes.
    """
    found: dict[Place, float] = {}
    front: list[Place] = [(0,) * H]
    best = -np.inf
    while front and len(found) < MOST_POINTS:
        place = front.pop(0)
        if place in found:
            continue
        around = [(*place[:k], place[k] + step, *place[k + 1 :]) for k in range(H) for step in (-1, 1)]
        found[place] = log_density(place, next((p for p in around if p in found), None))
        best = max(best, found[place])
        if found[place] > best - DROP:
            front += [p for p in around if p not in found]
    return found


def weights(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the density from log densities; none for places where it is not finite."""
    return special.softmax(np.where(np.isfinite(heights), heights, -np.inf))
