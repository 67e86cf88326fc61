"""The hyperparameters of a map: their scales, and the densities of their priors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from poolmap.families.areas.arrays import MapModel
from poolmap.inference import prior_density

Array = NDArray[np.float64]

PC_RHO = 9
"""Code of the penalised-complexity prior, which the graph goes into."""


def natural(name: str, likelihood: str, value: float) -> float:
    """The value of a hyperparameter, from its logarithm (standard deviations) or its logit (shares)."""
    if _positive(name, likelihood):
        return float(np.exp(np.clip(value, -12, 12)))
    return float(special.expit(np.clip(value, -14, 14)))


def log_jacobian(name: str, likelihood: str, value: float) -> float:
    """Log derivative of the value by its logarithm or logit."""
    if _positive(name, likelihood):
        return float(np.log(value))
    return float(np.log(value) + np.log1p(-value))


def _positive(name: str, likelihood: str) -> bool:
    return name in ("sigma", "sigma_region") or (name == "dispersion" and likelihood == "negative_binomial")


def log_prior(model: MapModel, name: str, x: float) -> float:
    """Log prior density of a hyperparameter, up to a constant."""
    code, numbers = model.priors[f"{name}_prior_family"], model.priors[f"{name}_prior"]
    if code == PC_RHO:
        return pc_rho_log_density(x, numbers[0], model.field.spectrum)
    return prior_density.log_prior(code, numbers, x)


def pc_rho_distance(rho: float, g: Array) -> float:
    """Distance of BYM2 with this rho from the unstructured model (Riebler et al. 2016, section 3.3)."""
    return float(np.sqrt(np.sum(rho * g - np.log1p(rho * g))))


def pc_rho_rate(bound: float, probability: float, g: Array) -> float:
    """Rate of the penalised-complexity prior with P(rho < bound) = probability.

    Args:
        bound, probability: between 0 and 1; the probability above that of a rate near 0.
        g: see `pc_rho_log_density`.

    Raises:
        ValueError: no exponential gives so small a probability.
    """
    near, far = pc_rho_distance(bound, g), pc_rho_distance(1.0, g)

    def excess(log_rate: float) -> float:
        rate = np.exp(log_rate)
        return float(np.expm1(-rate * near) / np.expm1(-rate * far)) - probability

    low, high = np.log(1e-8 / far), np.log(500 / near)
    if excess(low) >= 0:
        raise ValueError(
            f"no penalised-complexity prior has P(rho < {bound:g}) = {probability:g} on this graph: the "
            f"probability is above {near / far:.2f}"
        )
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-12)))


def pc_rho_log_density(rho: float, rate: float, g: Array) -> float:
    """Penalised-complexity prior of BYM2's rho: exponential in the distance from the unstructured model.

    d(rho)^2 = sum_k rho g_k - log(1 + rho g_k) over the identified space, g_k = 1 / eigenvalue of the scaled
    precision - 1 (Riebler et al. 2016, section 3.3), truncated at d(1).

    Args:
        rho: between 0 and 1.
        rate: of the exponential.
        g: (f,) with 0 on the null space.
    """
    d = pc_rho_distance(rho, g)
    slope = 0.5 / d * np.sum(rho * g**2 / (1 + rho * g))
    whole = pc_rho_distance(1.0, g)
    return float(np.log(rate) - rate * d + np.log(slope) - np.log(-np.expm1(-rate * whole)))
