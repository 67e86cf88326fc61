"""Direct estimates: what the sample says of a group without a model."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.special import gammaincinv
from scipy.stats import norm, t

from poolmap.families.mrp.survey_design import Design


def wilson_interval(yes: np.ndarray, n: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a binomial share.

    Source: Wilson EB. Journal of the American Statistical Association 1927;22:209-212.

    Args:
        yes, n: (groups,) answers counted as yes, and all answers; n = 0 gives NaN.
        level: of the interval, e.g. 0.95.

    Returns:
        Lower and upper limits, (groups,) each.
    """
    z = norm.ppf((1 + level) / 2)
    n = np.where(np.asarray(n) > 0, n, np.nan)
    share = yes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def poisson_interval(total: np.ndarray, exposure: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a Poisson rate (Garwood F. Biometrika 1936;28:437-442).

    Args:
        total, exposure: (groups,) counts and time at risk; no exposure gives NaN.
        level: of the interval.
    """
    exposure = np.where(np.asarray(exposure) > 0, exposure, np.nan)
    tail = (1 - level) / 2
    lower = np.where(np.asarray(total) > 0, gammaincinv(np.maximum(total, 1e-300), tail), 0)
    return lower / exposure, gammaincinv(np.asarray(total) + 1, 1 - tail) / exposure


def domain_ratio(
    design: Design,
    y: np.ndarray,
    base: np.ndarray,
    group: np.ndarray,
    groups: int,
    *,
    weight: np.ndarray | None = None,
    x: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted ratio of totals of each group, sum w y / sum w base, and its linearised standard error.

    A group is a domain of the whole sample: the scores d_i = (y_i - r base_i) / sum w base of its members, 0
    for the others, are a variable of the sample whose total's variance is that of the design (Särndal,
    Swensson and Wretman 1992, Model Assisted Survey Sampling, 5.8). Calibrated weights take the place of the
    sampling weights, and then the scores' residuals from regression on the calibration variables that of the
    scores (Deville and Särndal 1992, JASA 87:376-382).

    Args:
        design: how the respondents were drawn.
        y, base: (respondents,); a base of 1 gives the mean, of a variable of 0 and 1 the share.
        group: (respondents,) the group 0..groups-1 of each, or -1 for none.
        groups: number of groups.
        weight: (respondents,) calibrated weights, with `x` (respondents, P) what they are calibrated to.

    Returns:
        Ratio and standard error, (groups,) each; NaN where the group has no weight, and a NaN standard error
        where it has fewer than two respondents.
    """
    inside = group >= 0
    weight = design.weight if weight is None else weight
    total, above = (np.bincount(group[inside], (weight * v)[inside], groups) for v in (base, y))
    total = np.where(total > 0, total, np.nan)
    ratio = above / total
    index, places = group[inside], np.flatnonzero(inside)
    with np.errstate(invalid="ignore"):
        score = np.nan_to_num((y[inside] - ratio[index] * base[inside]) / total[index])

    def of_groups(factor: np.ndarray) -> sparse.csr_array:
        return sparse.csr_array((factor[inside] * score, (places, index)), shape=(len(y), groups))

    weighted = of_groups(weight)
    variance = design.variance(weighted)
    if x is not None:  # of the residuals: scores less x beta
        gram = x.T @ (design.weight[:, None] * x)
        beta = np.linalg.lstsq(gram, (of_groups(design.weight).T @ x).T, rcond=None)[0]
        of_x = weight[:, None] * x
        variance = variance - 2 * (design.covariance(weighted, of_x) * beta.T).sum(axis=1)
        variance += ((design.covariance(of_x, of_x) @ beta) * beta).sum(axis=0)
    members = np.bincount(group[inside], minlength=groups)
    return ratio, np.where((members > 1) & np.isfinite(ratio), np.sqrt(np.maximum(variance, 0)), np.nan)


def t_quantile(level: float, freedom: float | np.ndarray) -> np.ndarray:
    """Student's quantile for a central interval; infinite degrees of freedom: the normal one; NaN: NaN."""
    return t.ppf((1 + level) / 2, freedom)


def logit_interval(
    share: np.ndarray, se: np.ndarray, level: float, freedom: float | np.ndarray = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Interval on the logit scale, back-transformed: it stays between 0 and 1.

    logit(p) +- t se / (p (1 - p)), as `svyciprop(method = "logit")` of R's survey; not defined (NaN) where
    the share is 0 or 1 or the standard error is not known.
    """
    z = t_quantile(level, freedom)
    inside = (share > 0) & (share < 1) & (se > 0)
    p = np.where(inside, share, np.nan)
    centre, half = np.log(p / (1 - p)), z * se / (p * (1 - p))
    return 1 / (1 + np.exp(half - centre)), 1 / (1 + np.exp(-half - centre))


def log_interval(
    rate: np.ndarray, se: np.ndarray, level: float, freedom: float | np.ndarray = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a rate on the log scale, back-transformed; not defined (NaN) where it is 0."""
    inside = (rate > 0) & (se > 0)
    rate = np.where(inside, rate, np.nan)
    factor = np.exp(t_quantile(level, freedom) * se / rate)
    return rate / factor, rate * factor


def plain_interval(
    value: np.ndarray, se: np.ndarray, level: float, freedom: float | np.ndarray = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate plus and minus so many standard errors; NaN where the standard error is not above 0."""
    half = np.where(se > 0, t_quantile(level, freedom) * se, np.nan)
    return value - half, value + half
