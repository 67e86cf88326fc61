"""Which models' posterior is known exactly, by deterministic quadrature, and that posterior."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.base import Prior
from poolmap.config.meta import MetaAnalysis
from poolmap.families.meta.design import Design
from poolmap.families.meta.exact_counts import count_posterior, leave_one_out_counts
from poolmap.families.meta.log_likelihood import likelihoods_of
from poolmap.families.meta.quadrature import TAU_PRIORS, posterior
from poolmap.families.meta.refits import leave_one_out

NORMAL = Prior("normal", (0, 1))
MOMENTS = ("normal", "student_t", "cauchy")
"""Priors of mu and of baselines with which the posterior is worked out by quadrature."""
MOST_COUNTED = 60
"""Studies of an exact likelihood up to which it is: the work grows with their number."""


def has_one_tau(spec: MetaAnalysis, model: str) -> bool:
    """Whether the model has normal effects with mu and tau alone, and priors that allow quadrature."""
    chosen = spec.models[model]
    return (
        chosen.effects == "normal"
        and chosen.likelihood != "beta_binomial"
        and chosen.baseline != "random"
        and not (chosen.formula or chosen.subgroups or spec.effect_id)
        and all(spec.priors(model).get(name, NORMAL).family in MOMENTS for name in ("mu", "baseline"))
    )


def is_exact(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> bool:
    """Whether `exact_posterior` and `exact_leave_one_out` can be had."""
    if not has_one_tau(spec, model):
        return False
    if spec.models[model].likelihood == "normal":
        return True
    # the quadrature for counts has no nodes for densities that are singular at tau = 0
    return len(studies) <= MOST_COUNTED and not TAU_PRIORS[spec.priors(model)["tau"].family].logarithmic


def exact_posterior(spec: MetaAnalysis, model: str, studies: pd.DataFrame):
    """The posterior given all studies: a `quadrature.Posterior` or an `exact_counts.CountPosterior`."""
    priors = spec.priors(model)
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    if spec.models[model].likelihood == "normal":
        return posterior(yi, se, priors["mu"], priors["tau"])
    return count_posterior(likelihoods_of(spec, model, studies), priors["mu"], priors["tau"], yi=yi, se=se)


def exact_leave_one_out(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> pd.DataFrame:
    """The posterior without each study in turn, columns as `refits.leave_one_out`, with `study`."""
    priors = spec.priors(model)
    if spec.models[model].likelihood == "normal":
        data = studies["yi"].to_numpy(), studies["se"].to_numpy(), priors["mu"], priors["tau"]
        table = leave_one_out(*data, spec.interval)
    else:
        likelihoods = likelihoods_of(spec, model, studies)
        table, _ = leave_one_out_counts(likelihoods, priors["mu"], priors["tau"], spec.interval)
    table.insert(0, "study", studies["study"].to_numpy())
    return table


def common_effect_elpd(spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame) -> np.ndarray:
    """log p(y_i | the other studies) (K,) of a common effect with normal errors and normal priors.

    The posterior of the coefficients is normal, and without study i it follows by taking the study's part
    from the precision (Gelman et al. 2013, BDA3, section 14.2).
    """
    priors, X = spec.priors(model), layout.X
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    pairs = [priors["mu" if j < layout.M else "beta"].parameters for j in range(X.shape[1])]
    location, scale = np.array(pairs).T
    found = []
    for i in range(len(yi)):
        rest = np.arange(len(yi)) != i
        weighted = X[rest].T / vi[rest]
        covariance = np.linalg.inv(np.diag(scale**-2.0) + weighted @ X[rest])
        mean = covariance @ (location / scale**2 + weighted @ yi[rest])
        total = vi[i] + X[i] @ covariance @ X[i]
        found.append(-0.5 * (np.log(2 * np.pi * total) + (yi[i] - X[i] @ mean) ** 2 / total))
    return np.array(found)


def is_common_normal(spec: MetaAnalysis, model: str) -> bool:
    """Whether `common_effect_elpd` can be had."""
    chosen = spec.models[model]
    priors = [spec.priors(model).get(name, NORMAL).family for name in ("mu", "beta")]
    kind = (chosen.likelihood, chosen.effects) == ("normal", "common")
    return kind and spec.effect_id is None and set(priors) == {"normal"}
