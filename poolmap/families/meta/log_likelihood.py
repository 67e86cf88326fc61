"""How likely each study is under each draw, its own effect and baseline integrated out.

What is left depends only on the parameters that all studies share, so that leaving a study out by
importance sampling is sound, and a draw of a fit without a study can tell how likely that study is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special, stats

from poolmap.config.base import Prior
from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.families.meta.design import Design
from poolmap.families.meta.random_baselines import log_precisions, random_baselines
from poolmap.families.meta.study_likelihood import marginal, marginal_log_lik, study_likelihoods

if TYPE_CHECKING:
    import xarray

LOG_2PI = np.log(2 * np.pi)
NODES = 40


def log_likelihood(
    spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame, draws: xarray.Dataset
) -> np.ndarray:
    """Log likelihood (chain, draw, study) of the studies of a layout and table, one effect each.

    Where it is not `integrated` it is that given the study's own baseline and effect.

    Args:
        layout, studies: of the same studies, all or some.
        draws: the parameters that all studies share; for unrelated effects any draws of the right number.
    """
    chosen = spec.models[model]
    shape = next(iter(draws.data_vars.values())).shape[:2]
    if chosen.effects == "independent":
        alone = alone_log_likelihood(spec, model, studies)
        return np.broadcast_to(alone, (*shape, len(studies)))
    location = draws["beta"].values @ layout.X.T
    tau = draws["tau"].values[:, :, layout.group - 1] if layout.G else np.zeros((*shape, 1))
    df = (chosen.df or DEFAULT_DF) if chosen.effects == "student_t" else None
    if chosen.likelihood == "normal":
        deviation = studies["yi"].to_numpy() - location
        variance = studies["vi"].to_numpy()
        if df is None:
            return _normal(deviation, variance, tau**2)
        return _student_t_mixture(deviation, variance, tau**2, df)
    if not integrated(spec, model):
        return _given_own(spec, studies, draws)
    if chosen.baseline == "random":
        return random_baselines(spec.measure, *_counts(studies), draws, location, tau, df)
    likelihoods = likelihoods_of(spec, model, studies)
    return marginal_log_lik(
        likelihoods, location, tau if layout.G else None, chosen.effects, chosen.df or DEFAULT_DF
    )


def integrated(spec: MetaAnalysis, model: str) -> bool:
    """Whether the study's own effect and baseline are integrated out.

    They are not for uniform priors of fixed baselines.
    """
    chosen = spec.models[model]
    if chosen.likelihood not in ("binomial", "poisson") or not spec.compares_arms:
        return True
    return chosen.baseline == "random" or spec.priors(model)["baseline"].family != "uniform"


def likelihoods_of(spec: MetaAnalysis, model: str, studies: pd.DataFrame):
    """The likelihood of each study's counts as a function of its effect (fixed baselines integrated out)."""
    events, sizes = _counts(studies)
    return study_likelihoods(spec.measure, events, sizes, spec.priors(model).get("baseline"))


def _counts(studies: pd.DataFrame) -> tuple[list[np.ndarray], list[np.ndarray]]:
    arms = ("_1", "_2") if "events_1" in studies else ("",)
    size = "total" if f"total{arms[0]}" in studies else "time"
    return (
        [studies[f"events{arm}"].to_numpy() for arm in arms],
        [studies[f"{size}{arm}"].to_numpy() for arm in arms],
    )


def _normal(deviation: np.ndarray, vi: np.ndarray, tau2: np.ndarray) -> np.ndarray:
    total = vi + tau2
    return -0.5 * (LOG_2PI + np.log(total) + deviation**2 / total)


def _student_t_mixture(deviation: np.ndarray, vi: np.ndarray, tau2: np.ndarray, df: float) -> np.ndarray:
    """Log density of a Student-t effect plus a normal error.

    The t is a mixture of normals with variance tau^2 / q, q ~ gamma(df / 2, df / 2); the trapezoid rule in
    log q, where the integrand falls off exponentially on both sides, is exact to far below Monte Carlo error.
    """
    found = np.full(deviation.shape, -np.inf)
    for log_q, weight in zip(*log_precisions(df, 1e-14, 0.25), strict=True):
        np.logaddexp(found, weight + _normal(deviation, vi, tau2 * np.exp(-log_q)), out=found)
    return found


def alone_log_likelihood(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> np.ndarray:
    """Log likelihood (K,) of studies whose effect is known by its prior alone (unrelated effects)."""
    prior = spec.priors(model)["mu"]
    if spec.models[model].likelihood == "normal":
        yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
        if prior.family == "uniform":
            low, high = prior.parameters
            inside = special.ndtr((high - yi) / se) - special.ndtr((low - yi) / se)
            return np.log(inside / (high - low))
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        density = _density(prior)(yi[:, None] + se[:, None] * nodes)
        return special.logsumexp(density, b=weights / np.sqrt(2 * np.pi), axis=1)
    likelihoods = likelihoods_of(spec, model, studies)
    if prior.family == "uniform":
        low, high = prior.parameters
        nodes, weights = np.polynomial.legendre.leggauss(2000)
        theta = low + (high - low) * (nodes + 1) / 2
        return np.array([special.logsumexp(one(theta), b=weights / 2) for one in likelihoods])
    df, location, scale = _standard(prior)
    df = None if np.isinf(df) else df
    return np.array([float(marginal(one, location, scale, df)[0]) for one in likelihoods])


def _standard(prior: Prior) -> tuple[float, float, float]:
    given = dict(zip(prior.CODES[prior.family][1], prior.parameters, strict=True))
    df = {"normal": np.inf, "cauchy": 1.0, "student_t": given.get("df")}[prior.family]
    return df, given["location"], given["scale"]


def _density(prior: Prior):
    df, location, scale = _standard(prior)
    return stats.t(df, location, scale).logpdf


def _given_own(spec: MetaAnalysis, studies: pd.DataFrame, draws: xarray.Dataset) -> np.ndarray:
    """Log likelihood of two arms given the study's baseline in arm 2 and its effect."""
    baseline, theta = draws["baseline"].values, draws["theta"].values
    total = 0.0
    for events, size, linear in zip(*_counts(studies), (baseline + theta, baseline), strict=True):
        if spec.measure == "IRR":
            total = total + stats.poisson.logpmf(events, size * np.exp(linear))
        else:
            risk = np.minimum(np.exp(linear), 1.0) if spec.measure == "RR" else special.expit(linear)
            total = total + stats.binom.logpmf(events, size, risk)
    return total
