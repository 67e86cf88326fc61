"""What single studies do to the classical result: leave-one-out, cumulative, case deletion.

The case-deletion statistics are those of Viechtbauer & Cheung 2010, as metafor's `influence`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from poolmap.families.meta.classical import Pooled, pool, tau_squared, weighted_fit

POOLED_COLUMNS = (
    *("k", "mu", "se", "lower", "upper", "p", "hksj_lower", "hksj_upper"),
    *("tau2", "tau", "tau2_lower", "tau2_upper", "i2", "i2_q", "q", "q_p"),
)


def leave_one_out(
    yi: np.ndarray, vi: np.ndarray, method: str = "REML", interval: float = 0.95
) -> pd.DataFrame:
    """The pooled effect without each study in turn.

    Args:
        yi, vi: effects and sampling variances, shape (k,) with k at least 2.
        method: key of `classical.METHODS`.
        interval: level, as 0.95.

    Returns:
        One row per study left out, in the order given, with `POOLED_COLUMNS` as the attributes of
        `classical.Pooled`.

    Raises:
        ValueError: one study only, or as `classical.pool`.
    """
    yi, vi = np.asarray(yi, dtype=float), np.asarray(vi, dtype=float)
    _at_least_two(yi)
    kept = ~np.eye(len(yi), dtype=bool)
    return _rows([pool(yi[keep], vi[keep], method, interval) for keep in kept])


def cumulative(
    yi: np.ndarray,
    vi: np.ndarray,
    order: Sequence[int] | None = None,
    method: str = "REML",
    interval: float = 0.95,
) -> pd.DataFrame:
    """The pooled effect as studies are added one after another.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        order: positions of the studies in the order of entry, a permutation of 0, ..., k - 1; None for the
            order given. Ties, as of years, are the caller's to break: `np.argsort(year, kind="stable")`.
        method: key of `classical.METHODS`.
        interval: level, as 0.95.

    Returns:
        One row per study added, in the order of entry: `added` (its position), then as `leave_one_out`.

    Raises:
        ValueError: `order` is not a permutation, or as `classical.pool`.
    """
    yi, vi = np.asarray(yi, dtype=float), np.asarray(vi, dtype=float)
    order = np.arange(len(yi)) if order is None else np.asarray(order)
    if sorted(order.tolist()) != list(range(len(yi))):
        raise ValueError(f"the order must be a permutation of 0 to {len(yi) - 1}")
    steps = [order[: n + 1] for n in range(len(order))]
    table = _rows([pool(yi[step], vi[step], method, interval) for step in steps])
    table.insert(0, "added", order)
    return table


def influence(
    yi: np.ndarray, vi: np.ndarray, method: str = "REML", X: np.ndarray | None = None
) -> pd.DataFrame:
    """Case-deletion statistics of each study (Viechtbauer & Cheung 2010).

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        method: key of `classical.METHODS`.
        X: design matrix, shape (k, p); None for an intercept.

    Returns:
        One row per study:
            `rstudent`: studentised deleted residual, y_i - x_i' beta(-i) over
                sqrt(v_i + tau2(-i) + var(x_i' beta(-i)));
            `dffits`: change of the fitted value, over sqrt(h_i (v_i + tau2(-i)));
            `cook_d`: change of all coefficients, by their covariance with all studies;
            `cov_ratio`: det of the covariance of the coefficients without the study, over that with it;
            `tau2_deleted`, `q_deleted`: tau^2 and Q (residual) without the study;
            `hat`: leverage; `weight`: weight in the pooled effect, per cent (of 1 / (v_i + tau^2) with X);
            `influential`: by metafor's rule, |dffits| > 3 sqrt(p / (k - p)), or chi-squared(p) probability of
                cook_d over 0.5, or hat > 3 p / k, or a coefficient moved by over one standard error.
        Deleted values are NaN where the remaining studies do not determine the coefficients.

    Raises:
        ValueError: one study only, or as `classical.tau_squared`.
    """
    yi, vi = np.asarray(yi, dtype=float), np.asarray(vi, dtype=float)
    _at_least_two(yi)
    k = len(yi)
    X = np.ones((k, 1)) if X is None else np.asarray(X, dtype=float)
    p = X.shape[1]
    whole = weighted_fit(yi, vi, tau_squared(yi, vi, method, X)[0], X)
    rows = []
    for i, keep in enumerate(~np.eye(k, dtype=bool)):
        try:
            tau2, _ = tau_squared(yi[keep], vi[keep], method, X[keep])
        except ValueError:
            rows.append({})
            continue
        fit = weighted_fit(yi[keep], vi[keep], tau2, X[keep])
        moved = whole.beta - fit.beta
        dfbetas = moved / np.sqrt(np.diag(weighted_fit(yi, vi, tau2, X).covariance))
        residual_variance = vi[i] + tau2 + X[i] @ fit.covariance @ X[i]
        dffits = X[i] @ moved / np.sqrt(whole.hat[i] * (vi[i] + tau2))
        cook = moved @ np.linalg.solve(whole.covariance, moved)
        rows.append(
            {
                "rstudent": (yi[i] - X[i] @ fit.beta) / np.sqrt(residual_variance),
                "dffits": dffits,
                "cook_d": cook,
                "cov_ratio": np.linalg.det(fit.covariance) / np.linalg.det(whole.covariance),
                "tau2_deleted": tau2,
                "q_deleted": weighted_fit(yi[keep], vi[keep], 0.0, X[keep]).q,
                "influential": bool(
                    (k > p and abs(dffits) > 3 * np.sqrt(p / (k - p)))
                    or stats.chi2.cdf(cook, p) > 0.5
                    or whole.hat[i] > 3 * p / k
                    or (np.abs(dfbetas) > 1).any()
                ),
            }
        )
    columns = ["rstudent", "dffits", "cook_d", "cov_ratio", "tau2_deleted", "q_deleted"]
    table = pd.DataFrame(rows, columns=[*columns, "influential"])
    table.insert(len(columns), "hat", whole.hat)
    table.insert(len(columns) + 1, "weight", 100 * whole.weights / whole.weights.sum())
    return table


def _at_least_two(yi: np.ndarray) -> None:
    if len(yi) < 2:
        raise ValueError("leaving one out needs at least two studies")


def _rows(fits: list[Pooled]) -> pd.DataFrame:
    return pd.DataFrame(
        [{column: getattr(fit, column) for column in POOLED_COLUMNS} for fit in fits],
        columns=list(POOLED_COLUMNS),
    )
