"""Replicated studies and the log likelihood of each: for predictive checks and leave-one-out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special, stats

from poolmap.config.base import Prior
from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import Dataset, Predictive
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.posterior import new_effects

if TYPE_CHECKING:
    import xarray

LOG_2PI = np.log(2 * np.pi)
STEPS = np.arange(-12.0, 6.0, 0.25)  # log precision of the normals that a Student-t mixes
NODES = 40


def predictive(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Data of new studies like these, and how likely each study is under each draw.

    The log likelihood is that of a study whose own effect (and baseline) is integrated out, so that it
    depends on the parameters that all studies share and leave-one-out by importance sampling is sound.

    The replicates are of new studies of the same size: their effects are drawn anew. Counts of two arms
    keep the study's own baseline (mixed replicates; Marshall & Spiegelhalter 2007, Bayesian Analysis 2:409).
    Of unrelated effects, which say nothing of a new study, the replicates are of the study itself.
    """
    program = spec.program(model)
    layout = design(spec, model, data)
    studies = data.tables["studies"]
    if program == "meta/multilevel":
        from poolmap.families.meta.multilevel import multilevel_predictive

        return multilevel_predictive(spec, model, layout, studies, draws, rng)
    if program == "meta/beta_binomial":
        from poolmap.families.meta.beta_binomial import beta_binomial_predictive

        return beta_binomial_predictive(spec, layout, studies, draws, rng)
    if program == "meta/normal":
        return _estimates(spec, model, layout, studies, draws, rng)
    return _counts(spec, model, layout, studies, draws, rng)


def _estimates(
    spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame, draws, rng: np.random.Generator
) -> Predictive:
    """Normal likelihood: y ~ normal(theta, se) with theta integrated out."""
    chosen = spec.models[model]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    if chosen.effects == "independent":
        theta = draws["theta"].values
        log_lik = np.broadcast_to(_prior_predictive(spec.priors(model)["mu"], yi, se), theta.shape)
    else:
        location = draws["beta"].values @ layout.X.T
        tau = draws["tau"].values[:, :, layout.group - 1] if layout.G else np.zeros(1)
        df = (chosen.df or DEFAULT_DF) if chosen.effects == "student_t" else None
        theta = new_effects(location, tau, df, rng) if layout.G else location
        density = _normal_log_density if df is None else _student_t_mixture
        log_lik = density(yi - location, se**2, tau**2, df)
    return Predictive(
        unit="study",
        labels=studies["study"].tolist(),
        observed=yi,
        replicated=theta + se * rng.standard_normal(theta.shape),
        log_lik=log_lik,
        value=scale_of(spec).words,
    )


def _normal_log_density(deviation: np.ndarray, vi: np.ndarray, tau2: np.ndarray, _: None = None):
    total = vi + tau2
    return -0.5 * (LOG_2PI + np.log(total) + deviation**2 / total)


def _student_t_mixture(deviation: np.ndarray, vi: np.ndarray, tau2: np.ndarray, df: float) -> np.ndarray:
    """Log density of a Student-t effect plus a normal error.

    The t is a mixture of normals with variance tau^2 / q, q ~ gamma(df / 2, df / 2); the trapezoid rule in
    log q, where the integrand falls off exponentially on both sides, is exact to far below Monte Carlo error.
    """
    weights = stats.gamma.logpdf(np.exp(STEPS), df / 2, scale=2 / df) + STEPS + np.log(STEPS[1] - STEPS[0])
    found = np.full(deviation.shape, -np.inf)
    for log_q, weight in zip(STEPS, weights, strict=True):
        np.logaddexp(found, weight + _normal_log_density(deviation, vi, tau2 * np.exp(-log_q)), out=found)
    return found


def location_density(prior: Prior) -> Callable[[np.ndarray], np.ndarray]:
    """Log density of a prior of an effect."""
    given = dict(zip(prior.CODES[prior.family][1], prior.parameters, strict=True))
    if prior.family == "uniform":
        return stats.uniform(given["lower"], given["upper"] - given["lower"]).logpdf
    df = {"normal": np.inf, "cauchy": 1.0, "student_t": given.get("df")}[prior.family]
    return stats.t(df, given["location"], given["scale"]).logpdf


def _prior_predictive(prior: Prior, yi: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Log density (K,) of each estimate where its effect is known by its prior alone."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    values = yi[:, None] + se[:, None] * nodes
    return special.logsumexp(location_density(prior)(values), b=weights / np.sqrt(2 * np.pi), axis=1)


def _counts(
    spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame, draws, rng: np.random.Generator
) -> Predictive:
    """Binomial and Poisson likelihood of one group or two arms."""
    arms = ("_1", "_2") if spec.compares_arms else ("",)
    size = "total" if f"total{arms[0]}" in studies else "time"
    events = [studies[f"events{arm}"].to_numpy() for arm in arms]
    sizes = [studies[f"{size}{arm}"].to_numpy() for arm in arms]
    baseline = draws["baseline"].values if spec.compares_arms else 0.0
    effect = _new_or_own(spec, model, layout, draws, baseline, rng)
    linear = [baseline + effect, baseline] if spec.compares_arms else [effect]
    if size == "time":
        replicated = [rng.poisson(time * np.exp(x)) for time, x in zip(sizes, linear, strict=True)]
    else:
        risk = np.exp if spec.measure == "RR" else special.expit
        replicated = [rng.binomial(n, np.minimum(risk(x), 1.0)) for n, x in zip(sizes, linear, strict=True)]
    names = studies["study"].tolist()
    labels = [f"{name}, arm {arm}" for arm in (1, 2) for name in names] if spec.compares_arms else names
    return Predictive(
        unit="arm" if spec.compares_arms else "study",
        left_out="study",
        labels=labels,
        observed=np.concatenate(events),
        replicated=np.concatenate(replicated, axis=2),
        log_lik=_count_log_lik(spec, studies, draws),
        value="events",
    )


def _new_or_own(
    spec: MetaAnalysis, model: str, layout: Design, draws, baseline, rng: np.random.Generator
) -> np.ndarray:
    """Effects of new studies with these baselines (for the risk ratio kept where the risk stays below 1)."""
    chosen = spec.models[model]
    if chosen.effects == "independent":
        return draws["theta"].values
    location = draws["beta"].values @ layout.X.T
    if not layout.G:
        return location
    tau = draws["tau"].values[:, :, layout.group - 1]
    df = (chosen.df or DEFAULT_DF) if chosen.effects == "student_t" else None
    if spec.measure != "RR":
        return new_effects(location, tau, df, rng)
    kind = stats.norm if df is None else stats.t(df)
    uniform = rng.random(location.shape) * kind.cdf((-baseline - location) / tau)
    return np.minimum(location + tau * kind.ppf(np.maximum(uniform, np.finfo(float).tiny)), -baseline)


def _count_log_lik(spec: MetaAnalysis, studies: pd.DataFrame, draws) -> np.ndarray:
    """Log likelihood of each study's counts given its effect (and baseline)."""
    arms = ("_1", "_2") if spec.compares_arms else ("",)
    baseline = draws["baseline"].values if spec.compares_arms else 0.0
    linear = [baseline + draws["theta"].values, baseline] if spec.compares_arms else [draws["theta"].values]
    total = 0.0
    for arm, x in zip(arms, linear, strict=True):
        events = studies[f"events{arm}"].to_numpy()
        if f"time{arm}" in studies:
            total = total + stats.poisson.logpmf(events, studies[f"time{arm}"].to_numpy() * np.exp(x))
        else:
            risk = np.minimum(np.exp(x), 1.0) if spec.measure == "RR" else special.expit(x)
            total = total + stats.binom.logpmf(events, studies[f"total{arm}"].to_numpy(), risk)
    return total
