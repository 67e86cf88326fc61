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
from poolmap.families.meta.study_likelihood import marginal, marginal_log_lik, study_likelihoods

if TYPE_CHECKING:
    import xarray

LOG_2PI = np.log(2 * np.pi)
NODES = 40
SIDE = 11  # nodes a dimension of random baselines and effects
NEWTON = 8


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
        return _random_baselines(spec, studies, draws, location, tau, df)
    likelihoods = likelihoods_of(spec, model, studies)
    return marginal_log_lik(
        likelihoods, location, tau if layout.G else None, chosen.effects, chosen.df or DEFAULT_DF
    )


def integrated(spec: MetaAnalysis, model: str) -> bool:
    """Whether the study's own effect and baseline are integrated out.

    They are not for the risk ratio with random baselines, where the bound of the baselines moves with each
    draw, and for uniform priors of the baselines.
    """
    chosen = spec.models[model]
    if chosen.likelihood not in ("binomial", "poisson") or not spec.compares_arms:
        return True
    if chosen.baseline == "random":
        return spec.measure != "RR"
    return spec.priors(model)["baseline"].family != "uniform"


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
    for log_q, weight in zip(*_log_precisions(df, 1e-14, 0.25), strict=True):
        np.logaddexp(found, weight + _normal(deviation, vi, tau2 * np.exp(-log_q)), out=found)
    return found


def _log_precisions(df: float, tail: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in log q and log weights of the precisions q ~ gamma(df / 2, df / 2) that a Student-t mixes.

    Args:
        tail: probability left out on either side.
        step: largest step; of many degrees of freedom, where q is nearly 1, a fraction of its spread.
    """
    q = stats.gamma(df / 2, scale=2 / df)
    step = min(step, step * 2 * float(special.polygamma(1, df / 2)) ** 0.5)
    nodes = np.arange(np.log(q.ppf(tail)), np.log(q.isf(tail)) + step, step)
    return nodes, q.logpdf(np.exp(nodes)) + nodes + np.log(step)


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


def _random_baselines(
    spec: MetaAnalysis,
    studies: pd.DataFrame,
    draws: xarray.Dataset,
    location: np.ndarray,
    tau: np.ndarray,
    df: float | None,
) -> np.ndarray:
    """Two arms whose baseline ~ normal(m, s) and effect are integrated out, by Gauss-Hermite around the mode.

    With the baseline and the effect z-scored the prior is a standard bivariate normal; of Student-t effects
    it is so given the precision that mixes the normals, over which the trapezoid rule runs.
    """
    m, s = draws["baseline_mean"].values, draws["baseline_sd"].values
    if df is None:
        return _bivariate(spec, studies, m, s, location, tau)
    found = np.full(location.shape, -np.inf)
    for log_q, weight in zip(*_log_precisions(df, 1e-7, 0.5), strict=True):
        one = _bivariate(spec, studies, m, s, location, tau * np.exp(-log_q / 2))
        np.logaddexp(found, weight + one, out=found)
    return found


def _bivariate(spec, studies: pd.DataFrame, m, s, location: np.ndarray, tau: np.ndarray) -> np.ndarray:
    (y1, y2), (n1, n2) = _counts(studies)
    tau = np.broadcast_to(tau, location.shape)
    poisson = spec.measure == "IRR"

    def arm(y, n, eta):
        """Log probability, its slope and curvature by eta."""
        if poisson:
            rate = n * np.exp(eta)
            return y * (np.log(n) + eta) - rate - special.gammaln(y + 1), y - rate, rate
        risk = special.expit(eta)
        ways = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
        value = ways + y * special.log_expit(eta) + (n - y) * special.log_expit(-eta)
        return value, y - n * risk, n * risk * (1 - risk)

    def log_joint(a, b):  # a, b standard normal: baseline m + s a, effect location + tau b
        base = m + s * a
        one, two = arm(y1, n1, base + location + tau * b), arm(y2, n2, base)
        value = one[0] + two[0] - 0.5 * (a**2 + b**2) - LOG_2PI
        gradient = (s * (one[1] + two[1]) - a, tau * one[1] - b)
        hessian = (s**2 * (one[2] + two[2]) + 1, s * tau * one[2], tau**2 * one[2] + 1)
        return value, gradient, hessian

    # start at the arms' own log odds or log rates, drawn half way to the prior where the arms say little
    shift = (0.5, 0.0) if poisson else (0.5, 0.5)
    eta1, eta2 = (
        np.log((y + shift[0]) / ((n - y + shift[1]) if not poisson else n)) for y, n in ((y1, n1), (y2, n2))
    )
    a = np.broadcast_to(np.clip((eta2 - m) / s, -4, 4), location.shape).copy()
    b = np.clip((eta1 - (m + s * a) - location) / np.maximum(tau, 1e-8), -4, 4)
    value, (ga, gb), (haa, hab, hbb) = log_joint(a, b)
    for _ in range(NEWTON):
        det = haa * hbb - hab**2
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        size = np.ones_like(a)
        for _ in range(4):  # halve the step where it does not climb
            tried = log_joint(a + size * da, b + size * db)[0]
            worse = tried < value - 1e-12
            if not worse.any():
                break
            size = np.where(worse, size / 2, size)
        a, b = a + size * da, b + size * db
        value, (ga, gb), (haa, hab, hbb) = log_joint(a, b)
    det = haa * hbb - hab**2
    l11 = np.sqrt(hbb / det)  # Cholesky factor of the inverse Hessian
    l21 = -hab / det / l11
    l22 = np.sqrt(np.maximum(haa / det - l21**2, 1e-300))
    nodes, weights = np.polynomial.hermite_e.hermegauss(SIDE)
    total = np.full(location.shape, -np.inf)
    for x, wx in zip(nodes, weights, strict=True):
        for y, wy in zip(nodes, weights, strict=True):
            term = log_joint(a + l11 * x, b + l21 * x + l22 * y)[0] + 0.5 * (x**2 + y**2)
            np.logaddexp(total, term + np.log(wx * wy), out=total)
    return total + np.log(l11 * l22)
