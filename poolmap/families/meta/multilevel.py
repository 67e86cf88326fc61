"""Studies with several effects each: input of the Stan program, effects, and predictions, given its draws.

    y = X beta + u[study] + w + e,   u ~ normal(0, tau),   w ~ normal(0, tau_within),
    cov(e_i, e_k) = rho_j se_i se_k within study j

A study's effects have the covariance A + U C U', diagonal plus rank 2: A = (1 - rho) se^2 + tau_within^2,
U = [se, 1] and C = diag(rho, tau^2), so its inverse needs only sums over the study's effects (Woodbury).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Predictive
from poolmap.errors import InputError, Problem
from poolmap.families.meta.design import Design
from poolmap.families.meta.effects import scale_of

if TYPE_CHECKING:
    import xarray

CELLS = 1_000_000  # draws times effects worked on at once
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Clusters:
    """Effects by study, in any order of rows.

    Attributes:
        study: position (K,) of each effect's study, from 0.
        size: effects of each study (J,).
        se: standard errors (K,).
        rho: correlation of the sampling errors of each study (J,).
    """

    study: np.ndarray
    size: np.ndarray
    se: np.ndarray
    rho: np.ndarray

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.study, kind="stable")

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.size)[:-1]])

    def sums(self, x: np.ndarray) -> np.ndarray:
        """Sum (.., J) over the effects of each study of x (.., K)."""
        return np.add.reduceat(x[..., self._order], self._starts, axis=-1)

    def means(self, x: np.ndarray) -> np.ndarray:
        """Mean (.., K) of x over the effects of each one's study."""
        return (self.sums(x) / self.size)[..., self.study]

    def errors(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Sampling errors (*shape, K)."""
        z = rng.standard_normal((*shape, len(self.study)))
        rho, mean = self.rho[self.study], self.means(z)
        whole = np.sqrt(1 + (self.size[self.study] - 1) * rho)  # root of the correlation matrix along 1
        return self.se * (np.sqrt(1 - rho) * (z - mean) + whole * mean)

    def solve(self, r: np.ndarray, tau2: np.ndarray, within2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V^-1 r (.., K) and log det V of each study (.., J).

        Args:
            r: residuals (.., K).
            tau2, within2: variances between and within studies, (.., 1).
        """
        rho, se = self.rho, self.se
        a = 1 / ((1 - rho[self.study]) * se**2 + within2)
        ar = a * r
        one, errors = 1 + tau2 * self.sums(a), 1 + rho * self.sums(a * se**2)
        cross, at_one, at_se = self.sums(a * se), self.sums(ar), self.sums(ar * se)
        determinant = one * errors - tau2 * rho * cross**2
        along_se = rho * (one * at_se - tau2 * cross * at_one) / determinant
        along_one = tau2 * (errors * at_one - rho * cross * at_se) / determinant
        solved = ar - a * (se * along_se[..., self.study] + along_one[..., self.study])
        return solved, np.log(determinant) - self.sums(np.log(a))


def multilevel_data(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> dict[str, Any]:
    """What `stan/meta/multilevel.stan` needs beside the design and the priors.

    Args:
        studies: a row an effect: `study`, `yi`, `se`, and `correlation` where the config names its column.

    Returns:
        `y`, `se` (K), `J`, `study` (K, from 1 in the order of appearance), `rho` (J), `within`.

    Raises:
        InputError: correlations that no set of effects can have, that are missing, or that differ within a
            study.
    """
    clusters = clusters_of(spec, model, studies)
    return {
        "y": studies["yi"].tolist(),
        "se": clusters.se.tolist(),
        "J": len(clusters.size),
        "study": (clusters.study + 1).tolist(),
        "rho": clusters.rho.tolist(),
        "within": int(spec.models[model].within(True)),
    }


def clusters_of(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> Clusters:
    """The effects by study, with their correlation: of the column, else of the model, else 0.

    Raises:
        InputError: as `multilevel_data`.
    """
    study, names = pd.factorize(studies["study"])
    size = np.bincount(study, minlength=len(names))
    if "correlation" in studies:
        where = f"columns.correlation, column '{spec.columns.correlation}'"
        given = studies["correlation"].to_numpy(dtype=float)
    else:
        where = f"models.{model}.correlation"
        given = np.full(len(study), spec.models[model].correlation or 0.0)
    problems = []
    rho = np.zeros(len(names))
    for j in np.flatnonzero(size > 1):
        values = np.unique(given[study == j])
        label, least = f"study '{names[j]}'", -1 / (size[j] - 1)
        if np.isnan(values).any() or len(values) > 1:
            has = (
                "has an effect without a correlation"
                if np.isnan(values).any()
                else "has several correlations"
            )
            remedy = "give the same correlation in all rows of the study"
            problems.append(Problem(where, f"{label} {has}", remedy))
        elif not least < values[0] < 1:
            what = f"{label}: {size[j]} effects cannot all have sampling errors correlated by {values[0]:g}"
            remedy = f"the correlation must lie above {least:.3g} and below 1 (positive definite covariance)"
            problems.append(Problem(where, what, remedy))
        else:
            rho[j] = values[0]
    if problems:
        raise InputError(problems)
    return Clusters(study, size, studies["se"].to_numpy(dtype=float), rho)


def multilevel_effects(
    spec: MetaAnalysis,
    model: str,
    layout: Design,
    studies: pd.DataFrame,
    draws: xarray.Dataset,
    rng: np.random.Generator,
) -> np.ndarray:
    """The effects X beta + u + w (chain, draw, K), drawn from their exact normal distribution given the rest.

    By conditioning a simulation: with u*, w*, e* from the prior, u* + w* plus its regression on what the
    residual y - X beta exceeds the simulated one by (Matheron's rule; Doucet 2010, A note on efficient
    conditional simulation of Gaussian distributions).
    """
    clusters = clusters_of(spec, model, studies)
    yi = studies["yi"].to_numpy()
    theta = np.empty((*draws["beta"].shape[:2], len(yi)))
    for at, location, tau, within in _chunks(layout, draws):
        if "tau" not in draws:
            theta[at] = location
            continue
        prior = _heterogeneity(clusters, location.shape, tau, within, rng)
        excess = yi - location - prior - clusters.errors(location.shape[:-1], rng)
        solved, _ = clusters.solve(excess, tau**2, within**2)
        theta[at] = (
            location + prior + tau**2 * clusters.sums(solved)[..., clusters.study] + within**2 * solved
        )
    return theta


def multilevel_predictive(
    spec: MetaAnalysis,
    model: str,
    layout: Design,
    studies: pd.DataFrame,
    draws: xarray.Dataset,
    rng: np.random.Generator,
) -> Predictive:
    """Effects of new studies like these, and the log likelihood (chain, draw, J) of each whole study."""
    clusters = clusters_of(spec, model, studies)
    yi = studies["yi"].to_numpy()
    shape = draws["beta"].shape[:2]
    replicated, log_lik = np.empty((*shape, len(yi))), np.empty((*shape, len(clusters.size)))
    for at, location, tau, within in _chunks(layout, draws):
        new = location + _heterogeneity(clusters, location.shape, tau, within, rng)
        replicated[at] = new + clusters.errors(location.shape[:-1], rng)
        residual = yi - location
        solved, log_determinant = clusters.solve(residual, tau**2, within**2)
        log_lik[at] = -0.5 * (clusters.size * LOG_2PI + log_determinant + clusters.sums(residual * solved))
    pairs = zip(studies["study"], studies["effect_id"], strict=True)
    return Predictive(
        unit="effect",
        left_out="study",
        labels=[f"{study}, {effect}" for study, effect in pairs],
        observed=yi,
        replicated=replicated,
        log_lik=log_lik,
        value=scale_of(spec).words,
    )


def _heterogeneity(
    clusters: Clusters, shape: tuple[int, ...], tau: np.ndarray, within: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """u + w of new studies, of this shape (.., K)."""
    between = tau * rng.standard_normal((*shape[:-1], len(clusters.size)))
    return between[..., clusters.study] + within * rng.standard_normal(shape)


def _chunks(
    layout: Design, draws: xarray.Dataset
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray]]:
    """Where in (chain, draw), expected effects (.., K), tau and tau_within (.., 1; 0 where there is none)."""
    beta = draws["beta"].values
    chains, count = beta.shape[:2]
    none = np.zeros((chains, count, 1))
    tau = draws["tau"].values if "tau" in draws else none
    within = draws["tau_within"].values if "tau_within" in draws else none
    step = max(1, CELLS // (chains * len(layout.X)))
    for start in range(0, count, step):
        at = (slice(None), slice(start, start + step))
        yield at, beta[at] @ layout.X.T, tau[at], within[at]
