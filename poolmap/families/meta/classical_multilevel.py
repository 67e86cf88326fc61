"""Classical three-level meta-analysis: several effects of a study, with correlated sampling errors.

    y = X beta + u[study] + w + e,   u ~ N(0, tau^2),   w ~ N(0, tau_within^2),   e ~ N(0, S) within study

The variances by restricted or full maximum likelihood, the coefficients by generalised least squares given
them. All on the scale of analysis; `k` effects of J studies. Source: Konstantopoulos 2011, Res Synth Methods
2:61-76; Van den Noortgate et al. 2013, Behav Res 45:576-594; the estimates are those of metafor's rma.mv.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from poolmap.families.meta.classical import NOWHERE, Limits, checked

METHODS = ("CE", "REML", "ML")


@dataclass(frozen=True)
class Multilevel:
    """A multilevel meta-analysis or meta-regression.

    Attributes:
        method: `CE` (no heterogeneity), `REML` or `ML`.
        levels: 3, or 2 without variation within studies.
        k, studies: number of effects and of studies.
        coefficients: one row per column of X: `term`, `estimate`, `se`, `statistic`, `p`, `lower`, `upper`
            (Wald, normal).
        covariance: of the coefficients, shape (p, p).
        tau2, tau2_within: variance between studies and within them; 0 where the model has none.
        tau2_limits, tau2_within_limits: profile likelihood intervals; NaN where there is none.
        icc: tau^2 / (tau^2 + tau_within^2), correlation of two effects of a study; NaN with two levels and
            where both are 0.
        q, q_df, q_p: Cochran's Q of the residuals, with the sampling covariance alone.
        log_likelihood: restricted for REML, marginal for the others.
    """

    method: str
    levels: int
    k: int
    studies: int
    coefficients: pd.DataFrame
    covariance: np.ndarray
    tau2: float
    tau2_within: float
    tau2_limits: Limits
    tau2_within_limits: Limits
    icc: float
    q: float
    q_df: int
    q_p: float
    log_likelihood: float


@dataclass(frozen=True)
class _Fit:
    """Generalised least squares at given variances: with log likelihood and its gradient by them."""

    beta: np.ndarray
    covariance: np.ndarray
    q: float
    log_likelihood: float
    score: np.ndarray


class _Blocks:
    """The data by study, studies of one size stacked: lists of y (m, n), X (m, n, p), S (m, n, n)."""

    def __init__(self, yi: np.ndarray, X: np.ndarray, S: list[np.ndarray], rows: list[np.ndarray]) -> None:
        self.k, self.p = X.shape
        self.log_det_xx = np.linalg.slogdet(X.T @ X)[1]
        self.stacks = []
        sizes = np.array([len(at) for at in rows])
        for n in np.unique(sizes):
            which = np.flatnonzero(sizes == n)
            at = np.stack([rows[j] for j in which])
            self.stacks.append((yi[at], X[at], np.stack([S[j] for j in which])))

    def fit(self, variances: np.ndarray, restricted: bool) -> _Fit:
        """At (tau^2, tau_within^2)."""
        normal, right, inverses, log_det = 0.0, 0.0, [], 0.0
        for y, X, S in self.stacks:
            V = S + variances[0] + variances[1] * np.eye(S.shape[1])
            inverse = np.linalg.inv(V)
            inverses.append(inverse)
            log_det += np.linalg.slogdet(V)[1].sum()
            VX = inverse @ X
            normal = normal + np.einsum("mnp,mnq->pq", X, VX)
            right = right + np.einsum("mnp,mn->p", VX, y)
        covariance = np.linalg.inv(normal)
        beta = covariance @ right
        q, score = 0.0, np.zeros(2)
        for (y, X, _), inverse in zip(self.stacks, inverses, strict=True):
            r = y - X @ beta
            Vr = np.einsum("mij,mj->mi", inverse, r)
            q += (r * Vr).sum()
            score += [(Vr.sum(axis=1) ** 2).sum(), (Vr**2).sum()]
            score -= [inverse.sum(), np.trace(inverse, axis1=1, axis2=2).sum()]
            if restricted:
                VX = inverse @ X
                along = VX.sum(axis=1)
                score += [
                    np.einsum("mp,pq,mq->", along, covariance, along),
                    np.einsum("mnp,pq,mnq->", VX, covariance, VX),
                ]
        value = -0.5 * (self.k * np.log(2 * np.pi) + log_det + q)
        if restricted:
            value += 0.5 * (self.p * np.log(2 * np.pi) + self.log_det_xx - np.linalg.slogdet(normal)[1])
        return _Fit(beta, covariance, float(q), float(value), 0.5 * score)


def multilevel(
    yi: np.ndarray,
    vi: np.ndarray,
    study: Sequence[object],
    method: str = "REML",
    X: np.ndarray | pd.DataFrame | None = None,
    *,
    levels: int = 3,
    rho: float | np.ndarray = 0.0,
    covariance: np.ndarray | None = None,
    interval: float = 0.95,
) -> Multilevel:
    """Pooled effect or meta-regression of studies with several effects each.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        study: whose effect each is, length k.
        method: key of `METHODS`.
        X: design matrix with its intercept, shape (k, p); None for an intercept; a DataFrame names the terms.
        levels: 3, or 2 to leave out the variation within studies.
        rho: correlation of the sampling errors of a study's effects: one number, or one a row (k,).
        covariance: the sampling covariance itself (k, k), in place of `rho`; 0 between studies, `vi` on the
            diagonal.
        interval: level of all intervals, as 0.95.

    Raises:
        ValueError: as `classical.pool`; an unknown method; a sampling covariance that is not positive
            definite (which study); three levels where no study has two effects; one study only.
    """
    if method not in METHODS or levels not in (2, 3):
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}, or levels not 2 or 3")
    terms = list(X.columns) if isinstance(X, pd.DataFrame) else None
    yi, vi, X = checked(yi, vi, X)
    terms = terms or ([f"x{j + 1}" for j in range(X.shape[1])] if X.shape[1] > 1 else ["intercept"])
    rows = _rows_of(study, len(yi))
    random = method != "CE"
    if random and len(rows) < 2:
        raise ValueError("variation between studies cannot be estimated from one study")
    if random and levels == 3 and len(rows) == len(yi):
        raise ValueError("variation within studies cannot be estimated: every study has one effect")
    if random and len(yi) <= X.shape[1]:
        raise ValueError(f"{len(yi)} effects leave nothing to estimate {levels - 1} variances from")
    blocks = _Blocks(yi, X, _sampling(vi, rows, rho, covariance, study), rows)
    free = np.array([random, random and levels == 3])
    scale = float(np.median(vi))
    variances = _maximise(blocks, free, method == "REML", scale)
    fit = blocks.fit(variances, method == "REML")
    limits = [
        _profile(blocks, free, c, variances, method == "REML", scale, interval) if free[c] else NOWHERE
        for c in (0, 1)
    ]
    q, df, total = blocks.fit(np.zeros(2), False).q, blocks.k - blocks.p, float(variances.sum())
    se = np.sqrt(np.diag(fit.covariance))
    z = stats.norm.ppf((1 + interval) / 2)
    coefficients = pd.DataFrame(
        {
            "term": terms,
            "estimate": fit.beta,
            "se": se,
            "statistic": fit.beta / se,
            "p": 2 * stats.norm.sf(np.abs(fit.beta / se)),
            "lower": fit.beta - z * se,
            "upper": fit.beta + z * se,
        }
    )
    return Multilevel(
        method=method,
        levels=levels,
        k=blocks.k,
        studies=len(rows),
        coefficients=coefficients,
        covariance=fit.covariance,
        tau2=float(variances[0]),
        tau2_within=float(variances[1]),
        tau2_limits=limits[0],
        tau2_within_limits=limits[1],
        icc=float(variances[0] / total) if levels == 3 and total > 0 else np.nan,
        q=q,
        q_df=df,
        q_p=float(stats.chi2.sf(q, df)) if df else np.nan,
        log_likelihood=fit.log_likelihood,
    )


def _rows_of(study: Sequence[object], k: int) -> list[np.ndarray]:
    codes, names = pd.factorize(np.asarray(study, dtype=object))
    if len(codes) != k or (codes < 0).any():
        raise ValueError(f"{k} effects need as many studies, none missing")
    return [np.flatnonzero(codes == j) for j in range(len(names))]


def _sampling(
    vi: np.ndarray,
    rows: list[np.ndarray],
    rho: float | np.ndarray,
    covariance: np.ndarray | None,
    study: Sequence[object],
) -> list[np.ndarray]:
    """The sampling covariance of each study."""
    rho = np.broadcast_to(np.asarray(rho, dtype=float), vi.shape)
    if covariance is not None:
        covariance = np.asarray(covariance, dtype=float)
        inside = np.zeros((len(vi), len(vi)), dtype=bool)
        for at in rows:
            inside[np.ix_(at, at)] = True
        if covariance.shape != inside.shape or (covariance[~inside] != 0).any():
            raise ValueError("the sampling covariance is (k, k), with 0 between studies")
        if not np.allclose(covariance, covariance.T) or not np.allclose(np.diag(covariance), vi):
            raise ValueError("the sampling covariance must be symmetric, with the variances on its diagonal")
    found = []
    for at in rows:
        if covariance is not None:
            block = covariance[np.ix_(at, at)]
        else:
            if np.ptp(rho[at]) > 0:
                raise ValueError(f"study {study[at[0]]}: several correlations")
            se = np.sqrt(vi[at])
            block = rho[at[0]] * np.outer(se, se)
            np.fill_diagonal(block, vi[at])
        if np.linalg.eigvalsh(block)[0] <= 1e-12 * block.max():
            raise ValueError(f"study {study[at[0]]}: the sampling covariance is not positive definite")
        found.append(block)
    return found


def _maximise(
    blocks: _Blocks, free: np.ndarray, restricted: bool, scale: float, fixed: np.ndarray | None = None
) -> np.ndarray:
    """The variances of the highest maximum over those that are free; the others at `fixed` (0)."""
    fixed = np.zeros(2) if fixed is None else fixed
    if not free.any():
        return fixed

    def whole(x: np.ndarray) -> np.ndarray:
        variances = fixed.copy()
        variances[free] = scale * x
        return variances

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        fit = blocks.fit(whole(x), restricted)
        return -fit.log_likelihood, -scale * fit.score[free]

    best = None
    for start in (0.02, 0.3, 3.0):
        tried = optimize.minimize(
            objective,
            np.full(free.sum(), start),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * int(free.sum()),
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500},
        )
        best = tried if best is None or tried.fun < best.fun else best
    return whole(best.x)


def _profile(
    blocks: _Blocks,
    free: np.ndarray,
    component: int,
    at: np.ndarray,
    restricted: bool,
    scale: float,
    interval: float,
) -> Limits:
    """Where twice the log likelihood, highest over the other variance, falls by the chi-squared quantile."""
    top = blocks.fit(at, restricted).log_likelihood
    drop = stats.chi2.ppf(interval, 1) / 2
    others = free.copy()
    others[component] = False

    def rest(value: float) -> float:
        fixed = np.where(others, 0.0, at)
        fixed[component] = value
        variances = _maximise(blocks, others, restricted, scale, fixed)
        return blocks.fit(variances, restricted).log_likelihood - top + drop

    low = 0.0
    if rest(0.0) < 0:
        low = float(optimize.brentq(rest, 0.0, at[component], rtol=1e-8))
    high = max(2 * at[component], scale)
    while rest(high) > 0:
        high *= 2
    return low, float(optimize.brentq(rest, at[component], high, rtol=1e-8))
