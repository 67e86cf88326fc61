"""The beta-binomial model of counts: the studies' effects, replicates and likelihood (Kuss 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Predictive
from poolmap.families.meta.design import Design

if TYPE_CHECKING:
    import xarray


def beta_binomial_effects(
    spec: MetaAnalysis,
    layout: Design,
    studies: pd.DataFrame,
    draws: xarray.Dataset,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The studies' effects (chain, draw, K) and a new study's (chain, draw): log odds ratios or log odds.

    The program integrates the risks out. Given its parameters the risk of an arm with y events of n people
    is beta(a + y, b + n - y), where the risks of such arms are beta(a, b); in a new study, beta(a, b) itself.
    A new study is at the studies' average; with subgroups, of a subgroup as frequent as here.

    Source: Kuss 2015, Stat Med 34:1097-1116; conjugacy: Gelman et al. 2013, BDA3, section 2.4.
    """
    theta, means = 0.0, _mean_log_odds(spec, layout.X, draws)
    for sign, eta, (events, total) in zip((1, -1), means, _arms(spec, studies), strict=False):
        a, b = _shapes(eta, draws)
        theta = theta + sign * _log_odds(a + events, b + total - events, rng)
    beta = draws["beta"].values
    if layout.subgroups:
        rows = layout.X[rng.integers(len(layout.X), size=beta.shape[:2])]
        rows[:, :, layout.M :] = layout.average[layout.M :]
    else:
        rows = np.broadcast_to(layout.average, beta.shape)
    new = 0.0
    for sign, eta in zip((1, -1), _mean_log_odds(spec, rows, draws), strict=False):
        a, b = _shapes(eta, draws)
        new = new + sign * _log_odds(a, b, rng)[:, :, 0]
    return theta, new


def beta_binomial_predictive(
    spec: MetaAnalysis,
    layout: Design,
    studies: pd.DataFrame,
    draws: xarray.Dataset,
    rng: np.random.Generator,
) -> Predictive:
    """Counts of new studies of the same sizes, and the log likelihood of each study, risks integrated out."""
    replicated, total_log_lik = [], 0.0
    arms = _arms(spec, studies)
    for eta, (events, total) in zip(_mean_log_odds(spec, layout.X, draws), arms, strict=True):
        a, b = _shapes(eta, draws)
        risk = special.expit(_log_odds(a, b, rng, shape=(*eta.shape[:2], len(events))))
        replicated.append(rng.binomial(total, risk))
        total_log_lik = total_log_lik + _log_probability(events, total, a, b)
    names = studies["study"].tolist()
    two = len(arms) == 2
    return Predictive(
        unit="arm" if two else "study",
        left_out="study",
        labels=[f"{name}, arm {arm}" for arm in (1, 2) for name in names] if two else names,
        observed=np.concatenate([events for events, _ in arms]),
        replicated=np.concatenate(replicated, axis=2),
        log_lik=total_log_lik,
        value="events",
    )


def _arms(spec: MetaAnalysis, studies: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Events and people (K,) of each arm."""
    names = ("_1", "_2") if spec.compares_arms else ("",)
    return [(studies[f"events{a}"].to_numpy(), studies[f"total{a}"].to_numpy()) for a in names]


def _mean_log_odds(spec: MetaAnalysis, rows: np.ndarray, draws: xarray.Dataset) -> list[np.ndarray]:
    """Log odds of the mean risk in each arm, for design rows (K, P), or (chain, draw, P) for one study."""
    beta = draws["beta"].values
    own = rows.ndim == 3
    effect = (beta * rows).sum(axis=2, keepdims=True) if own else beta @ rows.T
    if not spec.compares_arms:
        return [effect]
    baseline = draws["baseline_mean"].values
    return [baseline + effect, baseline]


def _shapes(eta: np.ndarray, draws: xarray.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The two parameters of the beta distribution of risks whose mean has the log odds eta."""
    icc = draws["icc"].values.reshape(*eta.shape[:2], 1)
    spread = (1 - icc) / icc
    return special.expit(eta) * spread, special.expit(-eta) * spread


def _log_odds(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Log odds of draws from beta(a, b): the log ratio of gammas, finite where the risk rounds to 0 or 1."""
    shape = np.broadcast_shapes(a.shape, b.shape) if shape is None else shape
    return _log_gamma(a, rng, shape) - _log_gamma(b, rng, shape)


def _log_gamma(a: np.ndarray, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Log of draws from gamma(a): a gamma(a + 1) times uniform^(1 / a) (Marsaglia & Tsang 2000)."""
    return np.log(rng.standard_gamma(np.broadcast_to(a + 1, shape))) - rng.standard_exponential(shape) / a


def _log_probability(events: np.ndarray, total: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Log probability of beta-binomial counts, constants included."""
    choose = -special.betaln(events + 1, total - events + 1) - np.log(total + 1)
    return choose + special.betaln(a + events, b + total - events) - special.betaln(a, b)
