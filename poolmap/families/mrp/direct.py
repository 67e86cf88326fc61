"""Direct estimates of a share: what the sample says of a group without a model."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm


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


def weighted_share(
    yes: np.ndarray, weight: np.ndarray, group: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted share of each group and its linearised standard error.

    The design is taken as sampling with replacement with the given weights, without strata or clusters: the
    default of the R package survey for `svydesign(ids = ~1, weights = ~w)`; a group is a domain of the whole
    sample. With d_i = w_i (y_i - p) / sum w for the members and 0 for the others, the variance is
    n / (n - 1) sum d_i^2 (Sarndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, 5.8).

    Args:
        yes: (respondents,) 1 or 0.
        weight: (respondents,) at least 0.
        group: (respondents,) the group 0..groups-1 of each, or -1 for none.
        groups: number of groups.

    Returns:
        Share and standard error, (groups,) each; NaN where the group has no weight, and a NaN standard error
        where it has fewer than two respondents.
    """
    inside = group >= 0
    index, w, y = group[inside], np.asarray(weight, float)[inside], np.asarray(yes, float)[inside]
    total = np.bincount(index, w, groups)
    total = np.where(total > 0, total, np.nan)
    share = np.bincount(index, w * y, groups) / total
    deviation = w * (y - share[index]) / total[index]
    n = len(yes)
    variance = np.bincount(index, deviation**2, groups) * (n / (n - 1) if n > 1 else np.nan)
    members = np.bincount(index, minlength=groups)
    return share, np.where(members > 1, np.sqrt(variance), np.nan)


def logit_interval(share: np.ndarray, se: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Normal interval on the logit scale, back-transformed: it stays between 0 and 1.

    logit(p) +- z se / (p (1 - p)); not defined (NaN) where the share is 0 or 1 or the standard error is not
    known.
    """
    z = norm.ppf((1 + level) / 2)
    inside = (share > 0) & (share < 1) & (se > 0)
    p = np.where(inside, share, np.nan)
    centre, half = np.log(p / (1 - p)), z * se / (p * (1 - p))
    return 1 / (1 + np.exp(half - centre)), 1 / (1 + np.exp(-half - centre))
