"""Reported quantities of a model's options: region effects, component intercepts, covariates with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Dataset, Quantity
from poolmap.families.areas.components import component_names
from poolmap.families.areas.likelihood_words import ALPHA, BETA, RATIO
from poolmap.families.areas.model import intercepts_of, measured_covariates, region_of

if TYPE_CHECKING:
    import xarray

    from poolmap.config.areas import AreasAnalysis

Array = NDArray[np.float64]
EFFECT = "effect"
"""The quantity of the table `region_effects` on the scale of the linear predictor."""
OPTIONS = {
    "component_intercept": "intercept of a component of the map, whose mean is alpha",
    "sigma_region": "standard deviation of the region effects",
    "mu_x": "mean of the true covariate less the mean of its observed values",
    "sigma_x": "standard deviation of the true covariate over the areas",
    "reliability": "share of the variance of the observed covariate that is variation of the true one, "
    "sigma_x^2 / (sigma_x^2 + mean se^2)",
}
"""The parameters that options add, and what they are."""


def region_effects(spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset) -> list[Quantity]:
    """The table `region_effects`: `effect`, v on the scale of the linear predictor, and exp(v) as
    `rate_ratio` or `odds_ratio`, with the number of areas; nothing for a model without them."""
    region, names = region_of(spec, model, data)
    if region is None:
        return []
    v = draws["region_effect"].to_numpy()
    keys = pd.DataFrame({"region": names})
    extra = pd.DataFrame({"n_areas": np.bincount(region, minlength=len(names))})
    scale = spec.scale
    about = f"effect of the region on the {BETA[scale]} of its areas, against an average region"
    found = [Quantity("region_effects", EFFECT, about, v, keys, extra)]
    if scale in RATIO:
        name, words = RATIO[scale]
        about = f"ratio of {words} of the region to those of an average region, exp(effect)"
        found.insert(0, Quantity("region_effects", name, about, np.exp(v), keys, extra))
    return found


def option_parameters(
    spec: AreasAnalysis, model: str, data: Dataset, draws: xarray.Dataset
) -> list[tuple[str, str, Array, list[str]]]:
    """Rows of the table `parameters`: quantity, description, draws (chain, draw, row) and terms."""
    found: list[tuple[str, str, Array, list[str]]] = []
    intercepts = intercepts_of(spec, model, data)
    A = len(intercepts.weight)
    if intercepts.several:
        about = f"{ALPHA[spec.scale]} in the component at average covariates and no area effect"
        values = draws["beta_all"].to_numpy()[:, :, :A]
        found.append(("component_intercept", about, values, component_names(data, intercepts.component)))
    if spec.models[model].regions is not None:
        found.append(("sigma_region", "", draws["sigma_region"].to_numpy(), ["region effects"]))
    measured = measured_covariates(spec, model, data)
    if measured:
        names = data.tables["covariates"].columns[1:]
        terms = [names[covariate.column - 1] for covariate in measured]
        mu, sigma = draws["mu_x"].to_numpy(), draws["sigma_x"].to_numpy()
        error = np.array([np.mean(covariate.se**2) for covariate in measured])
        found += [
            ("mu_x", "", mu, terms),
            ("sigma_x", "", sigma, terms),
            ("reliability", "", sigma**2 / (sigma**2 + error), terms),
        ]
    return [(name, about or OPTIONS[name], values, terms) for name, about, values, terms in found]
