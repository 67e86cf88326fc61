"""A normal approximation of the posterior of a map: the coordinates in which Stan samples.

Nested Laplace approximation (Rue, Martino, Chopin 2009, JRSS B 71:319-392): for given hyperparameters the
effects are approximately normal about their mode; the hyperparameters have the density that is left when the
effects are integrated out. Nothing that is reported rests on it: it only decides where the sampler starts and
how its coordinates are scaled (`stan/areas/areas.stan`), and the hyperparameters' part is compared with the
draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from poolmap.families.areas.arrays import MapModel, MeasuredCovariate
from poolmap.families.areas.lattice import APART, lattice, weights
from poolmap.families.areas.mode import Mode
from poolmap.inference.spread import spread

Array = NDArray[np.float64]

# finer and wider than elsewhere: the tail of rho near 1 is long
ALONG = {"step": 0.1, "floor": 0.05, "reach": 6.0, "places": 25}


@dataclass(frozen=True, eq=False)
class Approximation:
    """Coordinates for the sampler, named as in the data block of `areas.stan`; areas in their own order.

    Attributes:
        W, r: (n,) working weights and responses.
        mean_at, mean_slope, mean_scale: (C,), (C, K + G), (C,) of the mean of the raw field by component.
        linear_at: (K + G,) mode of the coefficients: intercepts, covariates, effects of the regions.
        linear_precision, linear_shift: (K + G, K + G), (K + G,) what the data and the priors of the first K
            say of them: a precision, and its product with the mean.
        hyper_at, hyper_scale: (H,), (H, H) mean and Cholesky factor of the covariance of the
            hyperparameters, on the log or logit scale.
        grid_at, grid_scale: (H,), (H, H) the same along straight axes: the lattice of `marginals`.
        measured_at, measured_scale: (J, 2), (J, 2, 2) the same of mu_x and log sigma_x of each covariate with
            errors.
    """

    W: Array
    r: Array
    mean_at: Array
    mean_slope: Array
    mean_scale: Array
    linear_at: Array
    linear_precision: Array
    linear_shift: Array
    hyper_at: Array
    hyper_scale: Array
    grid_at: Array
    grid_scale: Array
    measured_at: Array
    measured_scale: Array


def approximate(model: MapModel) -> Approximation:
    """The approximation of one model's posterior."""
    of_covariates = [of_measured(model, covariate) for covariate in model.measured]
    if model.measured:
        model = calibrated(model)
    mode = Mode(model)
    start = {"sigma": np.log(0.3), "rho": 0.5, "dispersion": np.log(0.1), "zero": -2.0}
    if model.observed.likelihood == "normal":
        start["sigma"] = np.log(max(float(model.observed.lower.std()), 1e-6))
    start["sigma_region"] = start["sigma"]
    begin = np.array([start[name] for name in model.hyper_names])
    edges = np.vstack([begin, begin + 0.5 * np.eye(len(begin))])
    found = optimize.minimize(
        lambda hyper: -mode.log_density(hyper),
        begin,
        method="Nelder-Mead",
        options={"initial_simplex": edges, "xatol": 0.02, "fatol": 0.02, "maxfev": 80 * len(begin)},
    )
    grid_at, grid_scale = spread(mode.log_density, found.x, **ALONG)
    state = mode.solve(grid_at)
    hyper_at, hyper_scale = _bent(mode.log_density, grid_at, grid_scale)
    mean_at, mean_slope, mean_scale = mode.field_means(state)
    of_regions = np.zeros(len(state.beta))
    if model.region is not None:
        of_regions[model.X.shape[1] :] = np.exp(-2 * grid_at[-1])
    J = len(of_covariates)
    return Approximation(
        W=state.W,
        r=state.r,
        mean_at=mean_at,
        mean_slope=mean_slope,
        mean_scale=mean_scale,
        linear_at=state.beta,
        linear_precision=state.beta_precision - np.diag(of_regions),
        linear_shift=state.beta_shift,
        hyper_at=hyper_at,
        hyper_scale=hyper_scale,
        grid_at=grid_at,
        grid_scale=grid_scale,
        measured_at=np.array([at for at, _ in of_covariates]).reshape(J, 2),
        measured_scale=np.array([scale for _, scale in of_covariates]).reshape(J, 2, 2),
    )


def of_measured(model: MapModel, covariate: MeasuredCovariate) -> tuple[Array, Array]:
    """Mean and Cholesky factor of the covariance of mu_x and log sigma_x, from the observed values alone."""
    x = model.X[:, covariate.column]

    def log_density(at: Array) -> float:
        mu, sigma = at[0], np.exp(np.clip(at[1], -20, 20))
        variance = sigma**2 + covariate.se**2
        fit = -0.5 * float(np.sum((x - mu) ** 2 / variance + np.log(variance)))
        return fit - 0.5 * (mu**2 + sigma**2) / covariate.scale**2 + at[1]

    # in units of its observed spread, so that the steps of the numerical derivatives fit
    unit = float(x.std())
    stretch = np.array([unit, 1.0])
    begin = np.array([0.0, np.log(unit)])
    found = optimize.minimize(
        lambda at: -log_density(at * stretch), begin / stretch, method="Nelder-Mead", options={"xatol": 1e-3}
    )
    at, scale = spread(lambda at: log_density(at * stretch), found.x, **ALONG)
    return at * stretch, stretch[:, None] * scale


def calibrated(model: MapModel) -> MapModel:
    """A model whose covariates with errors are at their mean given the observed (regression calibration).

    What is unknown about their true values becomes a known variance of the linear predictor, at the
    coefficient that a fit without it has (Carroll et al. 2006, chapter 4).
    """
    X, variance = model.X.copy(), []
    for covariate in model.measured:
        mu, log_sigma = of_measured(model, covariate)[0]
        x = model.X[:, covariate.column]
        X[:, covariate.column], unknown = covariate.given(x, mu, float(np.exp(log_sigma)))
        variance.append(unknown)
    plain = replace(model, X=X, measured=())
    beta = approximate(plain).linear_at[[covariate.column for covariate in model.measured]]
    return replace(plain, noise=np.tensordot(beta**2, np.array(variance), axes=1))


def _bent(log_density: Callable[[Array], float], at: Array, scale: Array) -> tuple[Array, Array]:
    """Mean and Cholesky factor of the covariance by a lattice.

    The tail of rho near 1 is bent, and no straight axis follows it.
    """
    found = lattice(lambda place, _: log_density(at + APART * scale @ np.array(place)), len(at))
    places, weight = np.array(list(found), dtype=float), weights(np.array(list(found.values())))
    centre = weight @ places
    covariance = APART**2 * (weight * (places - centre).T) @ (places - centre)
    values, vectors = np.linalg.eigh(covariance)
    whole = scale @ (vectors * np.sqrt(np.maximum(values, 0.25)))
    return at + APART * scale @ centre, np.linalg.cholesky(whole @ whole.T)
