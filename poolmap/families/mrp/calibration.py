"""Weights made to agree with the census: raking, linear calibration, and what is left of scores after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class NotConvergedError(ValueError):
    """Raking did not come to an end: the margins cannot all be met by these respondents."""


def raked_weights(
    weight: Array,
    margins: Sequence[NDArray[np.intp]],
    totals: Sequence[Array],
    *,
    tolerance: float = 1e-10,
    most: int = 1000,
) -> Array:
    """Weights that meet the margins, by iterative proportional fitting (Deming and Stephan 1940).

    Source: Annals of Mathematical Statistics 11(4):427-444; for samples Deville, Särndal and Sautory
    1993, JASA 88:1013-1020.

    Args:
        weight: (n,) sampling weights.
        margins: of each margin (n,) the level of each respondent, from 0; every level has respondents.
        totals: of each margin (levels,) the people in the population.
        tolerance: largest difference from a total, as a share of it, with which it ends.
        most: sweeps over all margins.

    Raises:
        NotConvergedError: after `most` sweeps.
    """
    w = np.array(weight, dtype=float)
    for _ in range(most):
        for level, total in zip(margins, totals, strict=True):
            w *= (total / np.bincount(level, w, len(total)))[level]
        gaps = [
            np.abs(np.bincount(level, w, len(total)) / total - 1).max()
            for level, total in zip(margins, totals, strict=True)
        ]
        if max(gaps, default=0.0) <= tolerance:
            return w
    raise NotConvergedError("raking did not converge")


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
