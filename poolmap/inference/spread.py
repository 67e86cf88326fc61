"""Mean and covariance of a density known but for a factor, from its values about the mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

MOST_CROSS = 14  # dimensions; beyond, correlations are left out


def spread(
    log_density: Callable[[Array], float],
    mode: Array,
    *,
    step: float = 0.15,
    floor: float = 0.1,
    reach: float = 5.0,
    places: int = 15,
) -> tuple[Array, Array]:
    """Mean and Cholesky factor of the covariance, by the curvature at the mode and a sum along each axis.

    Args:
        log_density: up to a constant; not finite where there is none.
        mode: (H,).
        step: of the numerical curvature.
        floor: of the curvature along an axis.
        reach: how many standard deviations, as the curvature has them, the sum along an axis goes out, since
            tails may be longer than the curvature says; places: in how many places.
    """
    H = len(mode)
    if not H:
        return mode, np.zeros((0, 0))
    axes = _axes(log_density, mode, step, floor)
    out = np.linspace(-reach, reach, places)
    mean, scale = mode.copy(), np.empty(H)
    for k in range(H):
        heights = np.array([log_density(mode + s * axes[:, k]) for s in out])
        weights = special.softmax(np.where(np.isfinite(heights), heights, -np.inf))
        centre = weights @ out
        mean = mean + centre * axes[:, k]
        scale[k] = np.sqrt(np.maximum(weights @ (out - centre) ** 2, 0.25))
    whole = axes * scale
    return mean, np.linalg.cholesky(whole @ whole.T)


def _axes(log_density: Callable[[Array], float], mode: Array, step: float, floor: float) -> Array:
    """Principal axes of the numerical curvature, each as long as its standard deviation."""
    H, at, steps = len(mode), log_density(mode), step * np.eye(len(mode))
    curvature = np.zeros((H, H))
    for i in range(H):
        second = log_density(mode + steps[i]) - 2 * at + log_density(mode - steps[i])
        curvature[i, i] = -second / step**2
        for j in range(i if H <= MOST_CROSS else 0):
            corners = [
                sign * log_density(mode + s * steps[i] + t * steps[j])
                for s, t, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            ]
            curvature[i, j] = curvature[j, i] = -sum(corners) / (4 * step**2)
    values, vectors = np.linalg.eigh(np.nan_to_num(curvature))
    return vectors / np.sqrt(np.maximum(values, floor))
