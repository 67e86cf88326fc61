"""What is estimated of each area, the parameters, and replicated data, from the draws; vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from poolmap.contracts import Dataset, Predictive, Quantity
from poolmap.families.areas.effect_words import RHO, SIGMA
from poolmap.families.areas.further import compared, further_columns, regions
from poolmap.families.areas.likelihood_words import ALPHA, BETA, OWN, RATIO
from poolmap.families.areas.likelihoods import Observed
from poolmap.families.areas.model import (
    IN_STAN,
    covariate_matrix,
    field,
    intercepts_of,
    observed,
    observed_areas,
    region_of,
)
from poolmap.families.areas.options import option_parameters, region_effects
from poolmap.families.areas.own_effect import integrated_log_density
from poolmap.families.areas.scales import raw_interval, scale_of
from poolmap.families.areas.standard import PER, gamma_interval

if TYPE_CHECKING:
    import xarray

    from poolmap.config.areas import AreasAnalysis

MOST_NUMBERS = 2_000_000  # draws times areas that leave-one-out works on
FEWEST_DRAWS = 400
_RAW = ("cases", "at_least", "at_most", "population", "expected", "sir", "proportion", "estimate", "se")
_DESCRIPTION = {
    "rr": "relative risk: the area's rate over the rate expected from the reference rates",
    "log_rr": "its natural logarithm",
    "excess": "cases beyond those expected from the reference rates: expected (rr - 1)",
    "rate": "cases that the model expects, per 100,000 of the population",
    "prevalence": "share of persons who are cases",
    "mean": "mean of what the direct estimates measure",
}


def estimate(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """The tables `areas` and `parameters` of one model.

    Args:
        spec: the analysis.
        model: name of the model.
        data: the checked input.
        draws: posterior draws of the parameters that `stan_data` keeps.
        rng: not used: everything follows from the draws.

    Returns:
        `areas`, keyed by area and name, with eta = alpha + x' beta + re: of counts `rr` = exp(eta), the
        relative risk against the reference rates, `log_rr` = eta, `rate` where the population is known
        and not 0, and `excess`, the cases beyond those expected; of cases among persons `prevalence` =
        inverse logit of eta; of direct estimates `mean` = eta. Beside the first of them what was observed
        with its interval, the directly standardised rate (cases per 100,000) where there is a standard
        population, and the columns of `further_columns`. `regions` and `contrasts` where the config
        asks for them.
        `parameters`, keyed by term: `alpha`, `beta` and `rate_ratio` or `odds_ratio` = exp(beta) of each
        covariate, `sigma`, `rho` (bym2, leroux, car), and what the likelihood has of its own: `dispersion`,
        `icc`, `zero_inflation`; with the model's options `component_intercept`, `sigma_region`, `mu_x`,
        `sigma_x` and `reliability`.
        `region_effects`, keyed by region, where the model has them.
    """
    areas = data.tables["areas"]
    scale = scale_of(spec)
    eta = _linear_predictor(spec, model, data, draws)
    value = _inverse_link(scale.quantity, eta)
    lower, upper = raw_interval(scale, areas, spec.interval)
    extra = areas[[name for name in _RAW if name in areas]]
    extra = extra.assign(**{f"{scale.raw}_lower": lower, f"{scale.raw}_upper": upper})
    if "direct_rate" in areas:
        moments = (areas[f"direct_{name}"] for name in ("rate", "variance", "largest"))
        low, high = gamma_interval(*moments, spec.interval)
        extra = extra.assign(
            direct_rate=PER * areas["direct_rate"],
            direct_rate_lower=PER * low,
            direct_rate_upper=PER * high,
        )
    own = {name: float(draws[name].mean()) for name in ("dispersion", "zero") if name in draws}
    extra = extra.join(further_columns(spec, model, data, eta, value, **own))
    keys = areas[["area", "name"]]
    of_areas = [(scale.quantity, value, keys, extra)]
    if scale.quantity == "rr":
        of_areas.append(("log_rr", eta, keys, None))
        at = np.flatnonzero(areas["population"] > 0)
        if len(at):
            per_person = (areas["expected"] / areas["population"]).to_numpy(dtype=np.float64)[at]
            cases = value[:, :, at] * per_person * PER
            if "zero" in draws:
                cases = cases * (1 - _one(draws, "zero"))
            of_areas.append(("rate", cases, keys.iloc[at], None))
        at = np.flatnonzero(areas["expected"] > 0)
        excess = (value[:, :, at] - 1) * areas["expected"].to_numpy(dtype=np.float64)[at]
        of_areas.append(("excess", excess, keys.iloc[at], None))
    quantities = [Quantity("areas", name, _DESCRIPTION[name], *rest) for name, *rest in of_areas]
    quantities += [*regions(spec, data, value), *compared(spec, data, value)]
    quantities += region_effects(spec, model, data, draws)

    def parameter(quantity: str, description: str, values: NDArray[np.float64], terms: list[str]) -> None:
        keys = pd.DataFrame({"term": terms})
        quantities.append(Quantity("parameters", quantity, description, values, keys))

    about = f"{ALPHA[scale.quantity]} at average covariates and no area effect"
    parameter("alpha", about, _one(draws, "alpha"), ["intercept"])
    terms = data.tables["covariates"].columns[1:].tolist()
    if terms:
        beta = draws["beta"].to_numpy()
        parameter("beta", f"change of the {BETA[scale.quantity]} per unit of the covariate", beta, terms)
        if scale.quantity in RATIO:
            name, words = RATIO[scale.quantity]
            about = f"ratio of {words} per unit of the covariate, exp(beta)"
            parameter(name, about, np.exp(beta), terms)
    prior = spec.models[model].prior
    on = "" if scale.quantity == "mean" else f", {'log' if scale.ratio else 'logit'} scale"
    parameter("sigma", f"{SIGMA[prior]}{on}", _one(draws, "sigma"), ["area effects"])
    if "rho" in draws:
        parameter("rho", RHO[prior], _one(draws, "rho"), ["area effects"])
    for name, about, values, terms in option_parameters(spec, model, data, draws):
        parameter(name, about, values, terms)
    likelihood = spec.likelihood(model)
    if likelihood in OWN:
        name, about = OWN[likelihood]
        parameter(name, about, _one(draws, IN_STAN.get(name, name)), ["likelihood"])
    return quantities


def predictive(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated data and pointwise log likelihood of the areas that were observed.

    Replicates keep each area's estimate: they are new counts (or direct estimates) in the same areas. A count
    of which only a range is known cannot be compared with replicates; leave-one-out has its range. The log
    likelihood has the area's own effect integrated out (`own_effect`).
    """
    areas = data.tables["areas"]
    rows = observed_areas(data)
    seen = observed(spec, model, data)
    eta = _linear_predictor(spec, model, data, draws)[:, :, rows]
    own = [_one(draws, name) if name in draws else 0.0 for name in ("dispersion", "zero")]
    known = ~seen.censored
    exact = seen.subset(known)
    return Predictive(
        unit="area",
        labels=areas["name"].iloc[rows[known]].tolist(),
        observed=exact.lower,
        replicated=exact.replicate(rng, eta[:, :, known], *own),
        log_lik=_left_one_out(spec, model, data, seen, eta, own, draws, rng),
        value=spec.value_name,
        integrated="the area's own effect",
    )


def _left_one_out(
    spec: AreasAnalysis,
    model: str,
    data: Dataset,
    seen: Observed,
    eta: NDArray[np.float64],
    own: Sequence[NDArray[np.float64] | float],
    draws: xarray.Dataset,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(chain, draw, observation) log likelihood, the area's own effect integrated out; of some of the draws
    where there are many areas."""
    chosen, n = spec.models[model], len(data.tables["areas"])
    chains, length, m = eta.shape
    some = slice(None, None, -(-chains * length // max(FEWEST_DRAWS, MOST_NUMBERS // n)))

    def flat(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[:, some].reshape(-1, values.shape[2])

    found = integrated_log_density(
        chosen.prior,
        field(chosen, data.graph),
        seen,
        observed_areas(data),
        flat(eta),
        flat(draws["re"].to_numpy()),
        flat(_one(draws, "sigma")),
        flat(_one(draws, "rho")) if "rho" in draws else np.zeros((1, 1)),
        rng,
        *(flat(value) if isinstance(value, np.ndarray) else value for value in own),
    )
    return found.reshape(chains, -1, m)


def _linear_predictor(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset
) -> NDArray[np.float64]:
    """(chain, draw, area) the linear predictor: intercept, covariates, region and area effects."""
    intercepts = intercepts_of(spec, model, data)
    A = len(intercepts.weight)
    alpha = draws["beta_all"].to_numpy()[:, :, :A] @ intercepts.X.T if A > 1 else _one(draws, "alpha")
    eta = draws["re"].to_numpy() + alpha
    X = covariate_matrix(data)
    if X.shape[1]:
        eta = eta + draws["beta"].to_numpy() @ X.T
    if "from_measured" in draws:
        eta = eta + draws["from_measured"].to_numpy()
    region = region_of(spec, model, data)[0]
    if region is not None:
        eta = eta + draws["region_effect"].to_numpy()[:, :, region]
    return eta


def _inverse_link(quantity: str, eta: NDArray[np.float64]) -> NDArray[np.float64]:
    if quantity == "mean":
        return eta
    return np.exp(eta) if quantity == "rr" else special.expit(eta)


def _one(draws: xarray.Dataset, name: str) -> NDArray[np.float64]:
    """(chain, draw, 1) of a parameter with one value."""
    return draws[name].to_numpy().reshape(*draws[name].shape[:2], 1)
