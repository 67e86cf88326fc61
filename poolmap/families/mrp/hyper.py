"""The hyperparameters of a model on their unbounded scale: prior precision and density, as `mrp.stan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolmap.families.mrp.layout import Batch
from poolmap.inference.prior_density import log_prior

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PriorPrecision:
    """Scalars c_j of the precision of a batch, half the log of its determinant, log prior with Jacobians."""

    scalars: Array
    half_log_det: float
    log_prior: float


def prior_precision(batch: Batch, hyper: Array, priors: Mapping[str, Any]) -> PriorPrecision:
    """The prior precision of a batch at its hyperparameters.

    Args:
        batch: the batch.
        hyper: log sigma of each effect; then logit rho or the partial correlations (inverse tanh).
        priors: `sigma_prior_family`, `sigma_prior` ..., and `lkj`.
    """
    J = batch.effects
    log_sigma = hyper[:J]
    prior = float(log_sigma.sum()) + sum(
        log_prior(priors["sigma_prior_family"], priors["sigma_prior"], float(s)) for s in np.exp(log_sigma)
    )
    if batch.type == 1:
        L = correlation_factor(hyper[J:], J)
        inverse = np.linalg.inv(L @ L.T) / np.exp(log_sigma[:, None] + log_sigma)
        scalars = inverse[np.tril_indices(J)]
        half = -batch.size[0] * float(log_sigma.sum() + np.log(np.diag(L)).sum())
        return PriorPrecision(scalars, half, prior + _log_lkj(hyper[J:], J, priors["lkj"]))
    r, rest = 1 / (1 + np.exp(-hyper[J])), 1 / (1 + np.exp(hyper[J]))
    precision = np.exp(-2 * log_sigma[0])
    name = "correlation" if batch.type == 2 else "rho"
    prior += float(np.log(r) + np.log(rest))
    prior += log_prior(priors[f"{name}_prior_family"], priors[f"{name}_prior"], float(r))
    if batch.type == 2:
        innovation = precision / (rest * (1 + r))
        half = 0.5 * (batch.size[0] * np.log(innovation) + np.log(rest) + np.log1p(r))
        return PriorPrecision(innovation * np.array([1, r**2, -r]), float(half), prior)
    scalars = precision * np.array([1 / rest, 1, 1 / r])
    return PriorPrecision(scalars, 0.5 * float(np.asarray(batch.size) @ np.log(scalars)), prior)


def correlation_factor(partial: Array, J: int) -> Array:
    """Cholesky factor (..., J, J) of the correlations with these partial correlations (inverse tanh), row by
    row (Lewandowski, Kurowicka and Joe 2009, Journal of Multivariate Analysis 100:1989-2001)."""
    z = np.tanh(partial)
    L = np.zeros((*partial.shape[:-1], J, J))
    L[..., 0, 0] = 1
    at = 0
    for i in range(1, J):
        left = np.ones(partial.shape[:-1])
        for j in range(i):
            L[..., i, j] = z[..., at] * np.sqrt(left)
            left = left - L[..., i, j] ** 2
            at += 1
        L[..., i, i] = np.sqrt(left)
    return L


def _log_lkj(partial: Array, J: int, shape: float) -> float:
    power = [shape + (J - 2 - j) / 2 for i in range(1, J) for j in range(i)]
    return float(-2 * np.dot(power, np.logaddexp(partial, -partial) - np.log(2))) if power else 0.0
