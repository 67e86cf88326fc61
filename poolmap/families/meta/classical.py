"""Classical meta-analysis: what stands beside the Bayesian results.

Normal-normal model y_i ~ N(x_i' beta, v_i + tau^2) with known sampling variances v_i, throughout on the scale
of analysis (logarithms for ratios). Pure functions on arrays; `k` is the number of studies.

The two definitions of I^2 in use, both per cent:
    `i2`: from tau^2, 100 tau^2 / (tau^2 + s^2) with s^2 the typical sampling variance (metafor, RevMan 2025);
    `i2_q`: from Q, 100 (Q - df) / Q, not below 0 (Higgins et al. 2003).
They agree for the DerSimonian-Laird estimator and differ for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

METHODS = {
    "CE": "common effect (inverse variance)",
    "DL": "DerSimonian-Laird",
    "PM": "Paule-Mandel",
    "REML": "restricted maximum likelihood",
    "ML": "maximum likelihood",
    "SJ": "Sidik-Jonkman",
    "HE": "Hedges",
    "HS": "Hunter-Schmidt",
    "PMM": "median-unbiased Paule-Mandel",
    "EB": "empirical Bayes (Morris)",
}
TABLE_METHODS = ("CE", "DL", "PM", "REML", "ML")
PREDICTION_FORMS = {
    "z": "mu -+ z sqrt(tau^2 + se^2): metafor's default",
    "hts": "mu -+ t(k-2) sqrt(tau^2 + se^2): Higgins, Thompson & Spiegelhalter 2009",
    "t": "mu -+ t(k-1) sqrt(tau^2 + se^2): the same with k - 1 degrees of freedom",
    "hksj": "mu -+ t(k-1) sqrt(tau^2 + se^2) with the Hartung-Knapp-Sidik-Jonkman se: IntHout et al. 2016",
}
Limits = tuple[float, float]
NOWHERE: Limits = (np.nan, np.nan)


@dataclass(frozen=True)
class WeightedFit:
    """Weighted least squares with weights 1 / (v_i + tau^2).

    Attributes:
        beta: coefficients, shape (p,).
        covariance: (X' W X)^-1, shape (p, p).
        fitted, residuals, weights: shape (k,).
        hat: leverages, diagonal of X (X' W X)^-1 X' W, shape (k,).
        q: sum of squared weighted residuals.
    """

    beta: np.ndarray
    covariance: np.ndarray
    fitted: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    hat: np.ndarray
    q: float


@dataclass(frozen=True)
class Pooled:
    """A pooled effect with its heterogeneity; intervals at one level, NaN where k leaves none.

    Attributes:
        method: key of `METHODS`.
        k: number of studies.
        mu, se, lower, upper, p: pooled effect with Wald interval and two-sided p (normal).
        hksj_se, hksj_lower, hksj_upper, hksj_p: Hartung-Knapp-Sidik-Jonkman, t(k-1); NaN for CE.
        hksj_truncated_...: the same with the ad-hoc q >= 1, never shorter than t(k-1) on the Wald se.
        tau2, tau2_se: between-study variance; 0 and NaN for CE.
        tau2_lower, tau2_upper: Q-profile interval (the same whatever the estimator); NaN for CE.
        q, q_df, q_p: Cochran's Q with weights 1 / v_i.
        i2, h2: from tau^2; NaN for CE, which estimates no heterogeneity.
        i2_q, h2_q: from Q; h2_q = Q / df may be below 1.
        log_likelihood: restricted for REML, marginal for all others, at mu and tau2.
        pi_z, pi_hts, pi_t, pi_hksj: prediction intervals, see `PREDICTION_FORMS`; NaN for CE.
    """

    method: str
    k: int
    mu: float
    se: float
    lower: float
    upper: float
    p: float
    hksj_se: float
    hksj_lower: float
    hksj_upper: float
    hksj_p: float
    hksj_truncated_se: float
    hksj_truncated_lower: float
    hksj_truncated_upper: float
    hksj_truncated_p: float
    tau2: float
    tau2_se: float
    tau2_lower: float
    tau2_upper: float
    q: float
    q_df: int
    q_p: float
    i2: float
    i2_q: float
    h2: float
    h2_q: float
    log_likelihood: float
    pi_z: Limits
    pi_hts: Limits
    pi_t: Limits
    pi_hksj: Limits

    @property
    def tau(self) -> float:
        """Between-study standard deviation."""
        return float(np.sqrt(self.tau2))


@dataclass(frozen=True)
class MetaRegression:
    """A meta-regression.

    Attributes:
        method: key of `METHODS`.
        test: `z` or `knha` (Knapp & Hartung 2003: t and F with k - p degrees of freedom).
        coefficients: one row per column of X: `term`, `estimate`, `se`, `statistic`, `p`, `lower`, `upper`.
        covariance: of the coefficients, shape (p, p).
        tau2: residual between-study variance; `tau2_total` the same without moderators.
        r2: per cent of `tau2_total` explained, not below 0; NaN where `tau2_total` is 0, and for CE.
        i2, h2: residual, from tau^2; NaN for CE.
        qe, qe_df, qe_p: test for residual heterogeneity.
        qm, qm_df, qm_p: test of all coefficients but the intercept: chi-squared, or F with `knha`. NaN
            without moderators.
        log_likelihood: restricted for REML, marginal for all others.
    """

    method: str
    test: str
    coefficients: pd.DataFrame
    covariance: np.ndarray
    tau2: float
    tau2_total: float
    r2: float
    i2: float
    h2: float
    qe: float
    qe_df: int
    qe_p: float
    qm: float
    qm_df: int
    qm_p: float
    log_likelihood: float


@dataclass(frozen=True)
class Subgroups:
    """Subgroups and the test between them.

    Attributes:
        table: one row per subgroup: `subgroup`, `k`, `mu`, `se`, `lower`, `upper`, `tau2`, `i2`, `q`, `q_df`,
            `q_p`.
        common_tau: whether tau^2 is one for all subgroups, or one for each.
        q_between, df, p: chi-squared test that all subgroups have the same mean effect.
    """

    table: pd.DataFrame
    common_tau: bool
    q_between: float
    df: int
    p: float


def weighted_fit(
    yi: np.ndarray, vi: np.ndarray, tau2: float = 0.0, X: np.ndarray | None = None
) -> WeightedFit:
    """Weighted least squares at a given tau^2.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        X: design matrix, shape (k, p); None for an intercept.

    Raises:
        ValueError: shapes differ, values are not finite, a variance is not positive, there are no studies or
            fewer than coefficients, or columns are collinear.
    """
    return _fit(*checked(yi, vi, X), tau2)


def tau_squared(
    yi: np.ndarray, vi: np.ndarray, method: str = "REML", X: np.ndarray | None = None
) -> tuple[float, float]:
    """Between-study variance and its standard error.

    DL: DerSimonian & Laird 1986; HE: Hedges & Olkin 1985; HS: Schmidt & Hunter 1990, (Q - k) / sum w; SJ:
    Sidik & Jonkman 2005, started at sum (y - ybar)^2 / k; all with standard errors from the variance of a
    quadratic form. PM: Paule & Mandel 1982, where Q(tau^2) = k - p; PMM: where Q(tau^2) is the median of its
    chi-squared distribution (Viechtbauer 2021); EB: Morris 1983, whose equation has the same solution as PM
    (Viechtbauer et al. 2015). ML and REML: the highest of all maxima of the likelihood, with standard errors
    from the expected information (Viechtbauer 2005).

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        method: key of `METHODS`.
        X: design matrix, shape (k, p); None for an intercept.

    Returns:
        Estimate, not below 0, and standard error. 0 and NaN for CE, and where k = p.

    Raises:
        ValueError: as `weighted_fit`, or an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    yi, vi, X = checked(yi, vi, X)
    k, p = X.shape
    if method == "CE" or k == p:
        return 0.0, np.nan
    if method in ("ML", "REML"):
        tau2 = _maximum(yi, vi, X, method == "REML")
        P = _projection(vi, X, tau2) if method == "REML" else np.diag(1 / (vi + tau2))
        return tau2, float(np.sqrt(2 / (P**2).sum()))
    if method in ("PM", "EB", "PMM"):
        target = stats.chi2.median(k - p) if method == "PMM" else k - p
        tau2 = _q_root(yi, vi, X, target)
        return tau2, float(np.sqrt(2 * k**2 / (k - p)) / (1 / (vi + tau2)).sum())
    return _moments(yi, vi, X, method)


def q_profile(yi: np.ndarray, vi: np.ndarray, interval: float = 0.95, X: np.ndarray | None = None) -> Limits:
    """Q-profile interval of tau^2 (Viechtbauer 2007).

    Both limits are 0 where Q at tau^2 = 0 lies below its lower quantile: the effects differ less than
    sampling error makes likely.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        interval: level, as 0.95.
        X: design matrix, shape (k, p); None for an intercept.

    Returns:
        Lower and upper limit; NaN where k = p.
    """
    yi, vi, X = checked(yi, vi, X)
    df = X.shape[0] - X.shape[1]
    if df == 0:
        return NOWHERE
    high, low = stats.chi2.ppf([(1 + interval) / 2, (1 - interval) / 2], df)
    return _q_root(yi, vi, X, high), _q_root(yi, vi, X, low)


def typical_variance(vi: np.ndarray, X: np.ndarray | None = None) -> float:
    """Typical sampling variance s^2: (k - p) / trace(P) at tau^2 = 0 (Higgins & Thompson 2002, equation 9).

    Args:
        vi: sampling variances, shape (k,).
        X: design matrix, shape (k, p); None for an intercept. NaN where k = p.
    """
    yi, vi, X = checked(np.zeros(len(vi)), vi, X)
    df = X.shape[0] - X.shape[1]
    fit = _fit(yi, vi, X, 0.0)
    return float(df / (fit.weights @ (1 - fit.hat))) if df else np.nan


def pool(
    yi: np.ndarray,
    vi: np.ndarray,
    method: str = "REML",
    interval: float = 0.95,
    *,
    tau2: float | None = None,
) -> Pooled:
    """Pooled effect of k studies.

    HKSJ: Hartung & Knapp 2001, Sidik & Jonkman 2002; its ad-hoc truncation: Knapp & Hartung 2003, Röver et
    al. 2015. With one study the effect is the study's own, tau2 is 0 and the rest on heterogeneity NaN.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        method: key of `METHODS`.
        interval: level of all intervals, as 0.95.
        tau2: between-study variance, where it is known; its standard error is then NaN.

    Raises:
        ValueError: as `tau_squared`.
    """
    yi, vi, X = checked(yi, vi, None)
    k = len(yi)
    tau2, tau2_se = tau_squared(yi, vi, method) if tau2 is None else (tau2, np.nan)
    fit = _fit(yi, vi, X, tau2)
    mu, se = float(fit.beta[0]), float(np.sqrt(fit.covariance[0, 0]))
    q = _fit(yi, vi, X, 0.0).q
    half, tail = (1 + interval) / 2, float(stats.chi2.sf(q, k - 1)) if k > 1 else np.nan
    z = stats.norm.ppf(half)
    random = method != "CE" and k > 1
    dispersion = fit.q / (k - 1) if random else np.nan
    hksj_se = se * np.sqrt(dispersion)
    truncated_se = se * np.sqrt(max(1.0, dispersion)) if random else np.nan
    t = stats.t.ppf(half, k - 1) if random else np.nan
    typical = typical_variance(vi) if random else np.nan

    def predicted(quantile: float, error: float) -> Limits:
        width = quantile * np.sqrt(tau2 + error**2) if random else np.nan
        return float(mu - width), float(mu + width)

    def t_p(error: float) -> float:
        return float(2 * stats.t.sf(abs(mu / error), k - 1)) if random and error > 0 else np.nan

    limits = q_profile(yi, vi, interval) if random else NOWHERE
    return Pooled(
        method=method,
        k=k,
        mu=mu,
        se=se,
        lower=float(mu - z * se),
        upper=float(mu + z * se),
        p=float(2 * stats.norm.sf(abs(mu / se))),
        hksj_se=float(hksj_se),
        hksj_lower=float(mu - t * hksj_se),
        hksj_upper=float(mu + t * hksj_se),
        hksj_p=t_p(hksj_se),
        hksj_truncated_se=float(truncated_se),
        hksj_truncated_lower=float(mu - t * truncated_se),
        hksj_truncated_upper=float(mu + t * truncated_se),
        hksj_truncated_p=t_p(truncated_se),
        tau2=tau2,
        tau2_se=tau2_se,
        tau2_lower=limits[0],
        tau2_upper=limits[1],
        q=q,
        q_df=k - 1,
        q_p=tail,
        i2=float(100 * tau2 / (tau2 + typical)),
        i2_q=float(max(0.0, 100 * (q - (k - 1)) / q)) if q > 0 else (0.0 if k > 1 else np.nan),
        h2=float(1 + tau2 / typical),
        h2_q=float(q / (k - 1)) if k > 1 else np.nan,
        log_likelihood=_log_likelihood(yi, vi, X, tau2, method == "REML"),
        pi_z=predicted(z, se),
        pi_hts=predicted(stats.t.ppf(half, k - 2) if k > 2 else np.nan, se),
        pi_t=predicted(t, se),
        pi_hksj=predicted(t, hksj_se),
    )


def classical_table(
    yi: np.ndarray, vi: np.ndarray, interval: float = 0.95, methods: Sequence[str] = TABLE_METHODS
) -> pd.DataFrame:
    """The classical results, one row per estimator, for printing beside the Bayesian ones.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        interval: level of all intervals, as 0.95.
        methods: keys of `METHODS`.

    Returns:
        Columns as the attributes of `Pooled`, with `tau`, and each prediction interval as two columns
        (`pi_z_lower`, `pi_z_upper`, `pi_hts_lower`, ...).
    """
    rows = []
    for method in methods:
        pooled = pool(yi, vi, method, interval)
        row = asdict(pooled) | {"tau": pooled.tau}
        for form in PREDICTION_FORMS:
            row[f"pi_{form}_lower"], row[f"pi_{form}_upper"] = row.pop(f"pi_{form}")
        rows.append(row)
    first = ["method", "k", "tau2", "tau", "tau2_se", "tau2_lower", "tau2_upper", "mu", "se"]
    table = pd.DataFrame(rows)
    return table[[*first, *(column for column in table if column not in first)]]


def empirical_bayes(
    yi: np.ndarray, vi: np.ndarray, method: str = "ML", interval: float = 0.95
) -> pd.DataFrame:
    """Empirical Bayes estimates of the studies' effects: shrunken, with mu and tau^2 plugged in.

    theta_j = B_j mu + (1 - B_j) y_j with the shrinkage factor B_j = v_j / (v_j + tau^2) (Efron & Morris 1975;
    Morris 1983). Its standard deviation comes three times, by what it takes as known:
        `sd_plugin`: mu and tau^2 known, sqrt((1 - B_j) v_j); 0 where tau^2 is 0;
        `sd_mu`: tau^2 known, adds B_j^2 var(mu) (the BLUP of metafor);
        `sd`: neither, adds (d theta_j / d tau^2)^2 var(tau^2): the first-order approximation of Kass &
            Steffey 1989, with var(tau^2) as in `tau_squared`; rough where tau^2 is near 0.
    Full Bayes, which integrates over mu and tau, says what the first costs.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        method: how tau^2 is estimated: `DL`, `PM` (method of moments) or `ML`, `REML` (marginal likelihood),
            or another key of `METHODS`.
        interval: level of the intervals, as 0.95.

    Returns:
        One row per study: `y`, `se`, `shrinkage` (B_j), `theta`, `sd_plugin`, `lower_plugin`, `upper_plugin`,
        `sd_mu`, `lower_mu`, `upper_mu`, `sd`, `lower`, `upper`.
    """
    yi, vi, X = checked(yi, vi, None)
    tau2, tau2_se = tau_squared(yi, vi, method)
    fit = _fit(yi, vi, X, tau2)
    mu, w = fit.beta[0], fit.weights
    shrinkage = vi / (vi + tau2)
    theta = shrinkage * mu + (1 - shrinkage) * yi
    plugin = (1 - shrinkage) * vi
    known_tau = plugin + shrinkage**2 * fit.covariance[0, 0]
    mu_slope = -(w**2 @ fit.residuals) / w.sum()
    slope = vi * w**2 * fit.residuals + shrinkage * mu_slope
    whole = known_tau + slope**2 * (0.0 if method == "CE" else tau2_se**2)
    table = {"y": yi, "se": np.sqrt(vi), "shrinkage": shrinkage, "theta": theta}
    z = stats.norm.ppf((1 + interval) / 2)
    for name, variance in (("_plugin", plugin), ("_mu", known_tau), ("", whole)):
        sd = np.sqrt(variance)
        table |= {f"sd{name}": sd, f"lower{name}": theta - z * sd, f"upper{name}": theta + z * sd}
    return pd.DataFrame(table)


def meta_regression(
    yi: np.ndarray,
    vi: np.ndarray,
    X: np.ndarray | pd.DataFrame,
    method: str = "REML",
    *,
    knapp_hartung: bool = False,
    interval: float = 0.95,
    tau2: float | None = None,
) -> MetaRegression:
    """Mixed-effects meta-regression (Berkey et al. 1995; Knapp & Hartung 2003).

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        X: design matrix with its intercept, shape (k, p); a DataFrame names the terms, else `x1`, `x2`, ...
        method: key of `METHODS`.
        knapp_hartung: t and F instead of z and chi-squared, with the residual dispersion (not truncated).
        interval: level of the coefficients' intervals, as 0.95.
        tau2: residual between-study variance, where it is known.

    Raises:
        ValueError: as `tau_squared`; with `knapp_hartung` also when k = p.
    """
    terms = list(X.columns) if isinstance(X, pd.DataFrame) else [f"x{j + 1}" for j in range(np.shape(X)[1])]
    yi, vi, X = checked(yi, vi, X)
    k, p = X.shape
    df = k - p
    if knapp_hartung and df == 0:
        raise ValueError("as many studies as coefficients: no degrees of freedom for Knapp-Hartung")
    if tau2 is None:
        tau2, _ = tau_squared(yi, vi, method, X)
    total, _ = tau_squared(yi, vi, method)
    fit = _fit(yi, vi, X, tau2)
    covariance = fit.covariance * (fit.q / df if knapp_hartung else 1.0)
    law = stats.t(df) if knapp_hartung else stats.norm()
    se = np.sqrt(np.diag(covariance))
    width = law.ppf((1 + interval) / 2) * se
    coefficients = pd.DataFrame(
        {
            "term": terms,
            "estimate": fit.beta,
            "se": se,
            "statistic": fit.beta / se,
            "p": 2 * law.sf(np.abs(fit.beta / se)),
            "lower": fit.beta - width,
            "upper": fit.beta + width,
        }
    )
    tested = ~np.all(X == 1, axis=0)
    m = int(tested.sum())
    qm = qm_p = np.nan
    if m:
        beta = fit.beta[tested]
        qm = float(beta @ np.linalg.solve(covariance[np.ix_(tested, tested)], beta))
        qm_p = float(stats.chi2.sf(qm, m))
        if knapp_hartung:
            qm /= m
            qm_p = float(stats.f.sf(qm, m, df))
    qe = _fit(yi, vi, X, 0.0).q
    typical = typical_variance(vi, X) if method != "CE" else np.nan
    return MetaRegression(
        method=method,
        test="knha" if knapp_hartung else "z",
        coefficients=coefficients,
        covariance=covariance,
        tau2=tau2,
        tau2_total=total,
        r2=max(0.0, 100 * (1 - tau2 / total)) if total > 0 else np.nan,
        i2=float(100 * tau2 / (tau2 + typical)),
        h2=float(1 + tau2 / typical),
        qe=qe,
        qe_df=df,
        qe_p=float(stats.chi2.sf(qe, df)) if df else np.nan,
        qm=qm,
        qm_df=m,
        qm_p=qm_p,
        log_likelihood=_log_likelihood(yi, vi, X, tau2, method == "REML"),
    )


def subgroups(
    yi: np.ndarray,
    vi: np.ndarray,
    groups: Sequence[object],
    method: str = "REML",
    *,
    common_tau: bool = False,
    interval: float = 0.95,
) -> Subgroups:
    """Subgroup analysis and the test between subgroups (Borenstein et al. 2009, chapter 19).

    With one tau^2 for each subgroup, the subgroup means are compared by their weights 1 / se^2; a subgroup of
    one study then has tau^2 = 0. With a common tau^2 this is meta-regression on the subgroup.

    Args:
        yi, vi: effects and sampling variances, shape (k,).
        groups: subgroup of each study, length k; rows come in the order of their first study.
        method: key of `METHODS`.
        common_tau: whether all subgroups share tau^2.
        interval: level of the intervals, as 0.95.

    Raises:
        ValueError: as `tau_squared`, `groups` of another length, or a missing subgroup.
    """
    yi, vi, _ = checked(yi, vi, None)
    codes, names = pd.factorize(np.asarray(groups, dtype=object))
    if len(codes) != len(yi):
        raise ValueError(f"{len(codes)} subgroups for {len(yi)} studies")
    if (codes < 0).any():
        raise ValueError("studies without a subgroup")
    members = [codes == g for g in range(len(names))]
    tau2 = tau_squared(yi, vi, method, np.eye(len(names))[codes])[0] if common_tau else None
    z = stats.norm.ppf((1 + interval) / 2)
    rows = []
    for name, one in zip(names, members, strict=True):
        own = pool(yi[one], vi[one], method, interval)
        mu, se, i2 = own.mu, own.se, own.i2
        if tau2 is not None:
            fit = _fit(yi[one], vi[one], np.ones((own.k, 1)), tau2)
            mu, se = float(fit.beta[0]), float(np.sqrt(fit.covariance[0, 0]))
            i2 = 100 * tau2 / (tau2 + typical_variance(vi[one])) if method != "CE" else np.nan
        rows.append(
            {
                "subgroup": name,
                "k": own.k,
                "mu": mu,
                "se": se,
                "lower": mu - z * se,
                "upper": mu + z * se,
                "tau2": own.tau2 if tau2 is None else tau2,
                "i2": i2,
                "q": own.q,
                "q_df": own.q_df,
                "q_p": own.q_p,
            }
        )
    table = pd.DataFrame(rows)
    between = _fit(table["mu"].to_numpy(), table["se"].to_numpy() ** 2, np.ones((len(names), 1)), 0.0).q
    df = len(names) - 1
    return Subgroups(table, common_tau, between, df, float(stats.chi2.sf(between, df)) if df else np.nan)


def checked(
    yi: np.ndarray, vi: np.ndarray, X: np.ndarray | pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects (k,), variances (k,) and design (k, p) as arrays of numbers that can be fitted.

    Raises:
        ValueError: as `weighted_fit`.
    """
    yi, vi = np.asarray(yi, dtype=float), np.asarray(vi, dtype=float)
    if yi.ndim != 1 or yi.shape != vi.shape:
        raise ValueError(f"effects and variances must be vectors of one length: {yi.shape}, {vi.shape}")
    if not len(yi):
        raise ValueError("no studies")
    X = np.ones((len(yi), 1)) if X is None else np.asarray(X, dtype=float)
    if X.ndim != 2 or len(X) != len(yi):
        raise ValueError(f"the design matrix must have a row for each of {len(yi)} studies, not {X.shape}")
    if not (np.isfinite(yi).all() and np.isfinite(vi).all() and np.isfinite(X).all()):
        raise ValueError("effects, variances and moderators must be finite")
    if (vi <= 0).any():
        raise ValueError("variances must be positive")
    if len(yi) < X.shape[1]:
        raise ValueError(f"{X.shape[1]} coefficients need more than {len(yi)} studies")
    if np.linalg.matrix_rank(X / np.abs(X).max(axis=0).clip(1e-300)) < X.shape[1]:
        raise ValueError("the moderators are collinear")
    return yi, vi, X


def _fit(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, tau2: float) -> WeightedFit:
    # By QR of the weighted design: years as moderators make X'WX nearly singular.
    weights = 1 / (vi + tau2)
    root = np.sqrt(weights)
    Q, R = np.linalg.qr(root[:, None] * X)
    inverse = np.linalg.inv(R)
    beta = inverse @ (Q.T @ (root * yi))
    fitted = X @ beta
    residuals = yi - fitted
    return WeightedFit(
        beta=beta,
        covariance=inverse @ inverse.T,
        fitted=fitted,
        residuals=residuals,
        weights=weights,
        hat=(Q**2).sum(axis=1),
        q=float(weights @ residuals**2),
    )


def _projection(vi: np.ndarray, X: np.ndarray, tau2: float) -> np.ndarray:
    """P = W - W X (X'WX)^-1 X'W, with y'Py = Q."""
    root = 1 / np.sqrt(vi + tau2)
    Q, _ = np.linalg.qr(root[:, None] * X)
    return root[:, None] * (np.eye(len(vi)) - Q @ Q.T) * root


def _log_likelihood(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, tau2: float, restricted: bool) -> float:
    k, p = X.shape
    fit = _fit(yi, vi, X, tau2)
    value = -0.5 * (k * np.log(2 * np.pi) - np.log(fit.weights).sum() + fit.q)
    if restricted:
        value += 0.5 * (
            p * np.log(2 * np.pi) + np.linalg.slogdet(X.T @ X)[1] + np.linalg.slogdet(fit.covariance)[1]
        )
    return float(value)


def _score(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, tau2: float, restricted: bool) -> float:
    """Derivative of the log likelihood, profiled over beta, by tau^2."""
    fit = _fit(yi, vi, X, tau2)
    trace = fit.weights @ (1 - fit.hat) if restricted else fit.weights.sum()
    return float(0.5 * ((fit.weights * fit.residuals) @ (fit.weights * fit.residuals) - trace))


def _maximum(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, restricted: bool) -> float:
    """The tau^2 of the highest maximum: each fall of the score through 0 on a grid is one, and 0 may be."""
    top = max(_ols_rss(yi, X) / (X.shape[0] - X.shape[1]), vi.min())
    while _score(yi, vi, X, top, restricted) > 0:
        top *= 4
    grid = np.concatenate([[0.0], np.geomspace(1e-3 * vi.min(), top, 60)])
    scores = [_score(yi, vi, X, t, restricted) for t in grid]
    maxima = [0.0] if scores[0] <= 0 else []
    for low, high, before, after in zip(grid[:-1], grid[1:], scores[:-1], scores[1:], strict=True):
        if before > 0 >= after:
            maxima.append(
                optimize.brentq(lambda t: _score(yi, vi, X, t, restricted), low, high, xtol=1e-14 * high)
            )
    if len(maxima) == 1:
        return float(maxima[0])
    return float(max(maxima, key=lambda t: _log_likelihood(yi, vi, X, t, restricted)))


def _ols_rss(yi: np.ndarray, X: np.ndarray) -> float:
    return float(((yi - X @ np.linalg.lstsq(X, yi, rcond=None)[0]) ** 2).sum())


def _q_root(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, target: float) -> float:
    """The tau^2 where the falling function Q(tau^2) is `target`; 0 where Q(0) is below it."""
    if _fit(yi, vi, X, 0.0).q <= target:
        return 0.0
    # Q(tau^2) is at most the unweighted sum of squares over tau^2.
    high = _ols_rss(yi, X) / target * (1 + 1e-9)
    return float(optimize.brentq(lambda t: _fit(yi, vi, X, t).q - target, 0.0, high, xtol=1e-14 * high))


def _moments(yi: np.ndarray, vi: np.ndarray, X: np.ndarray, method: str) -> tuple[float, float]:
    """Estimators from one quadratic form y'Py, with the standard error of that form."""
    k, p = X.shape
    if method == "SJ":
        start = float(np.var(yi))
        if start == 0:
            return 0.0, np.nan
        P = _projection(vi, X, start)
        factor, shift = start / (k - p), 0.0
    elif method == "HE":
        P = _projection(np.ones(k), X, 0.0)
        factor, shift = 1 / (k - p), float(np.diag(P) @ vi)
    else:
        P = _projection(vi, X, 0.0)
        factor, shift = (1 / np.trace(P), k - p) if method == "DL" else (1 / (1 / vi).sum(), k)
    tau2 = max(0.0, float(factor * (yi @ P @ yi - shift)))
    product = P * (vi + tau2)
    return tau2, float(factor * np.sqrt(2 * (product * product.T).sum()))
