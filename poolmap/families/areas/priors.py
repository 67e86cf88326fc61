"""The priors in force of one model: those of the config, and the defaults on the scale of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.priors import HalfPrior, Prior, UnboundedPrior, UnitPrior
from poolmap.contracts import Dataset
from poolmap.families.areas.arrays import WITH_RHO

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

WIDE = 10.0
"""How many standard deviations of the direct estimates the default priors of alpha and beta are wide."""


def priors_in_force(spec: AreasAnalysis, model: str, data: Dataset) -> dict[str, Prior]:
    """Prior of each parameter that the model has, by its name in the estimates.

    With direct estimates, whose unit is the user's, the defaults follow their mean m and standard deviation
    s: alpha ~ normal(m, 10 s), beta ~ normal(0, 10 s / the smallest standard deviation of a covariate),
    sigma ~ half-normal(s); numbers rounded to two digits.

    Returns:
        priors of `alpha`, `beta` (with covariates), `sigma`, and where the likelihood or the area effects
        have them `rho`, `sigma_region`, `dispersion`, `icc`, `zero_inflation`.
    """
    chosen, likelihood = spec.models[model], spec.likelihood(model)
    covariates = data.tables["covariates"].drop(columns="area").to_numpy(dtype=np.float64)
    middle, spread, slope = 0.0, 5.0, 5.0
    sigma = 1.0
    if likelihood == "normal":
        estimates = data.tables["areas"]["estimate"].dropna().to_numpy()
        s = float(estimates.std(ddof=1)) or float(np.abs(estimates).max()) or 1.0
        sigma, spread = _two_digits(s), _two_digits(WIDE * s)
        middle = float(f"{round(float(estimates.mean()) / sigma, 1) * sigma:.6g}")
        if covariates.shape[1]:
            slope = _two_digits(WIDE * s / float(covariates.std(axis=0).min()))
    priors: dict[str, Prior] = {
        "alpha": chosen.alpha_prior or UnboundedPrior("normal", (middle, spread)),
        "beta": chosen.beta_prior or UnboundedPrior("normal", (0.0, slope)),
        "sigma": chosen.sigma_prior or HalfPrior("half_normal", (sigma,)),
    }
    if not covariates.shape[1]:
        del priors["beta"]
    if chosen.prior in WITH_RHO:
        priors["rho"] = chosen.rho_prior
    if chosen.regions is not None:
        priors["sigma_region"] = chosen.sigma_region_prior or HalfPrior("half_normal", (sigma,))
    if likelihood == "negative_binomial":
        priors["dispersion"] = chosen.dispersion_prior or HalfPrior("half_normal", (1.0,))
    if likelihood == "beta_binomial":
        priors["icc"] = chosen.icc_prior or UnitPrior("beta", (1.0, 9.0))
    if likelihood == "zero_inflated_poisson":
        priors["zero_inflation"] = chosen.zero_inflation_prior or UnitPrior("beta", (1.0, 1.0))
    return priors


def measured_scale(data: Dataset, term: str) -> float:
    """Scale of the priors of mean and standard deviation of a covariate with errors: twice the standard
    deviation of its observed values, rounded to two digits."""
    return _two_digits(2 * float(data.tables["covariates"][term].std()))


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
