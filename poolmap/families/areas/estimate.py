"""Relative risks, parameters and replicated counts from the draws, in vectorised NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Dataset, Predictive, Quantity
from poolmap.families.areas.effect_words import RHO, SIGMA
from poolmap.families.areas.expected import ratio_interval
from poolmap.families.areas.model import covariate_matrix, observed, observed_areas

if TYPE_CHECKING:
    import xarray

    from poolmap.config.areas import AreasAnalysis


def exceedance_column(threshold: float) -> str:
    """Name of the column with the posterior probability that the relative risk is above `threshold`."""
    return f"p_rr_gt_{threshold:g}"


def estimate(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """The tables `areas` (relative risks) and `parameters` of one model.

    Args:
        spec: the analysis.
        model: name of the model.
        data: the checked input.
        draws: posterior draws of alpha, beta, sigma, rho (bym2, leroux, car) and re.
        rng: not used: everything follows from the draws.

    Returns:
        `areas`, keyed by area and name: `rr`, the relative risk exp(alpha + x' beta + re) against the
        reference rates; with the counts, the raw ratio and the exceedance probabilities beside it.
        `parameters`, keyed by term: `alpha`, `beta` and `rate_ratio` = exp(beta) of each covariate, `sigma`,
        and `rho` (bym2, leroux, car).
    """
    areas = data.tables["areas"]
    rr = np.exp(_log_rr(data, draws))
    lower, upper = ratio_interval(areas["cases"], areas["expected"], spec.interval)
    extra = areas[["cases", "expected", "sir"]].assign(sir_lower=lower, sir_upper=upper)
    for threshold in spec.exceedance:
        extra[exceedance_column(threshold)] = (rr > threshold).mean(axis=(0, 1))
    quantities = [
        Quantity(
            "areas",
            "rr",
            "relative risk: the area's rate over the rate expected from the reference rates",
            rr,
            areas[["area", "name"]],
            extra,
        )
    ]

    def parameter(quantity: str, description: str, values: NDArray[np.float64], terms: list[str]) -> None:
        keys = pd.DataFrame({"term": terms})
        quantities.append(Quantity("parameters", quantity, description, values, keys))

    def one(name: str) -> NDArray[np.float64]:
        return draws[name].to_numpy().reshape(*draws[name].shape[:2], 1)

    parameter(
        "alpha", "log relative risk at average covariates and no area effect", one("alpha"), ["intercept"]
    )
    terms = data.tables["covariates"].columns[1:].tolist()
    if terms:
        beta = draws["beta"].to_numpy()
        parameter("beta", "change of the log relative risk per unit of the covariate", beta, terms)
        parameter(
            "rate_ratio", "ratio of relative risks per unit of the covariate, exp(beta)", np.exp(beta), terms
        )
    prior = spec.models[model].prior
    parameter("sigma", f"{SIGMA[prior]}, log scale", one("sigma"), ["area effects"])
    if "rho" in draws:
        parameter("rho", RHO[prior], one("rho"), ["area effects"])
    return quantities


def predictive(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated cases and pointwise log likelihood of the areas with a count.

    Replicates keep each area's relative risk: they are new counts in the same areas.
    """
    areas = data.tables["areas"]
    rows = observed_areas(data)
    seen = observed(spec, data)
    eta = _log_rr(data, draws)[:, :, rows]
    return Predictive(
        unit="area",
        labels=areas["name"].iloc[rows].tolist(),
        observed=seen.lower,
        replicated=rng.poisson(np.exp(eta + seen.log_exposure)).astype(np.float64),
        log_lik=seen.log_density(eta),
        value=spec.cases_name,
    )


def _log_rr(data: Dataset, draws: xarray.Dataset) -> NDArray[np.float64]:
    """(chain, draw, area) log relative risk alpha + x' beta + re."""
    log_rr = draws["re"].to_numpy() + draws["alpha"].to_numpy()[:, :, None]
    X = covariate_matrix(data)
    if X.shape[1]:
        log_rr = log_rr + draws["beta"].to_numpy() @ X.T
    return log_rr
