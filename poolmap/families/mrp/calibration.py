"""Weights made to agree with the census by linear calibration, and what is left of scores after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def calibrated_weights(weight: Array, x: Array, totals: Array) -> Array:
    """Weights w (1 + x' lambda) with which the totals of x are those of the population (GREG's weights).

    Source: Deville and Särndal 1992, JASA 87:376-382, the chi-squared distance.

    Args:
        weight: (n,); x: (n, P), collinear columns allowed; totals: (P,) of the population.
    """
    gram = x.T @ (weight[:, None] * x)
    away = np.linalg.lstsq(gram, totals - weight @ x, rcond=None)[0]
    return weight * (1 + x @ away)


def residuals(y: Array, x: Array, weight: Array) -> Array:
    """What is left of y (n, G) after weighted regression on x (n, P)."""
    return y - x @ coefficients(y, x, weight)


def coefficients(y: Array, x: Array, weight: Array) -> Array:
    """Of the weighted regression of y (n, G) on x (n, P), collinear columns allowed: (P, G)."""
    weighted = weight[:, None] * x
    return np.linalg.lstsq(x.T @ weighted, weighted.T @ y, rcond=None)[0]
