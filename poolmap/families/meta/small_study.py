"""Small-study effects: is the effect related to the precision of the study?

Such a relation has many causes, selective publication being one. With fewer than 10 studies these tests have
little power and should not be used (Sterne et al. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from poolmap.families.meta.classical import meta_regression

ENOUGH_STUDIES = 10


@dataclass(frozen=True)
class RegressionTest:
    """A regression test for funnel plot asymmetry.

    Attributes:
        test: `egger`, `egger_random` or `peters`.
        predictor: what the effect is regressed on: `standard error` or `1 / total`.
        k: number of studies used.
        slope, slope_se: of the predictor.
        statistic, df, p: t with `df` degrees of freedom; for `egger_random` z, with df NaN.
        limit, limit_se, limit_lower, limit_upper: intercept: the effect of a study of boundless size.
    """

    test: str
    predictor: str
    k: int
    slope: float
    slope_se: float
    statistic: float
    df: float
    p: float
    limit: float
    limit_se: float
    limit_lower: float
    limit_upper: float


@dataclass(frozen=True)
class RankTest:
    """Begg & Mazumdar's rank correlation: Kendall's tau-b, two-sided p (exact without ties where k < 50)."""

    k: int
    kendall_tau: float
    p: float


def egger(yi: np.ndarray, vi: np.ndarray, interval: float = 0.95) -> RegressionTest:
    """Egger's test (Egger et al. 1997): effect on standard error, weights 1 / v_i, dispersion estimated.

    The slope is the intercept of Egger's form, y / se on 1 / se (Sterne & Egger 2005).

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        interval: level of the limit's interval, as 0.95.

    Raises:
        ValueError: fewer than 3 studies, all standard errors equal, or as `classical.weighted_fit`.
    """
    yi, vi = _enough(yi, vi)
    return _least_squares("egger", "standard error", yi, np.sqrt(vi), vi, interval)


def egger_random(
    yi: np.ndarray, vi: np.ndarray, method: str = "REML", interval: float = 0.95
) -> RegressionTest:
    """Egger's test by meta-regression, with additive heterogeneity (default of metafor's `regtest`).

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        method: key of `classical.METHODS`.
        interval: level of the limit's interval, as 0.95.

    Raises:
        ValueError: as `egger`.
    """
    yi, vi = _enough(yi, vi)
    _varying(np.sqrt(vi), "standard errors")
    X = np.column_stack([np.ones(len(yi)), np.sqrt(vi)])
    limit, slope = meta_regression(yi, vi, X, method, interval=interval).coefficients.itertuples()
    return RegressionTest(
        "egger_random", "standard error", len(yi), slope.estimate, slope.se, slope.statistic, np.nan, slope.p,
        limit.estimate, limit.se, limit.lower, limit.upper,
    )  # fmt: skip


def peters(
    yi: np.ndarray,
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    interval: float = 0.95,
) -> RegressionTest:
    """Peters' test for log odds ratios (Peters et al. 2006): effect on 1 / total.

    Weights are 1 / (1 / events + 1 / non-events) of both arms together, so that, unlike Egger's, they do not
    depend on the effect. Studies without events, or with nothing else, have weight 0 and are left out.

    Args:
        yi: log odds ratios, shape (k,).
        events_1, total_1, events_2, total_2: counts of the arms, shape (k,).
        interval: level of the limit's interval, as 0.95.

    Raises:
        ValueError: fewer than 3 studies with a comparison, all totals equal, or shapes differ.
    """
    yi, a, n1, c, n2 = (np.asarray(x, dtype=float) for x in (yi, events_1, total_1, events_2, total_2))
    if len({x.shape for x in (yi, a, n1, c, n2)}) > 1:
        raise ValueError("effects and counts must be vectors of one length")
    n, events = n1 + n2, a + c
    weights = events * (n - events) / n
    some = weights > 0
    yi, weights = _enough(yi[some], weights[some])
    return _least_squares("peters", "1 / total", yi, 1 / n[some], 1 / weights, interval)


def begg(yi: np.ndarray, vi: np.ndarray) -> RankTest:
    """Begg & Mazumdar's test (1994): rank correlation of standardised effect and variance.

    Args:
        yi, vi: effects and sampling variances, shape (k,).

    Raises:
        ValueError: fewer than 3 studies, or vectors that do not match.
    """
    yi, vi = _enough(yi, vi)
    weights = 1 / vi
    standardised = (yi - weights @ yi / weights.sum()) / np.sqrt(vi - 1 / weights.sum())
    untied = len(np.unique(standardised)) == len(np.unique(vi)) == len(yi)
    how = "exact" if untied and len(yi) < 50 else "asymptotic"
    kendall = stats.kendalltau(standardised, vi, method=how)
    return RankTest(len(yi), float(kendall.statistic), float(kendall.pvalue))


def _enough(yi: np.ndarray, vi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    yi, vi = np.asarray(yi, dtype=float), np.asarray(vi, dtype=float)
    if yi.ndim != 1 or yi.shape != vi.shape:
        raise ValueError(f"effects and variances must be vectors of one length: {yi.shape}, {vi.shape}")
    if len(yi) < 3:
        raise ValueError(f"tests for small-study effects need at least 3 studies, not {len(yi)}")
    return yi, vi


def _varying(predictor: np.ndarray, words: str) -> None:
    if np.ptp(predictor) <= 1e-12 * np.abs(predictor).max():
        raise ValueError(f"all {words} are equal: there is nothing to relate the effect to")


def _least_squares(
    test: str, name: str, yi: np.ndarray, predictor: np.ndarray, vi: np.ndarray, interval: float
) -> RegressionTest:
    _varying(predictor, "standard errors" if test == "egger" else "totals")
    X = np.column_stack([np.ones(len(yi)), predictor])
    fit = meta_regression(yi, vi, X, "CE", knapp_hartung=True, interval=interval)
    limit, slope = fit.coefficients.itertuples()
    return RegressionTest(
        test, name, len(yi), slope.estimate, slope.se, slope.statistic, len(yi) - 2, slope.p,
        limit.estimate, limit.se, limit.lower, limit.upper,
    )  # fmt: skip
