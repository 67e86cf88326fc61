"""Expected counts by indirect standardisation, standardised ratios, and intervals of what was observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from poolmap.families.areas.suppressed import expected_within


def reference_rates(
    at_least: pd.Series, at_most: pd.Series, population: pd.Series, stratum: pd.Series, known: pd.Series
) -> pd.Series:
    """Rates of all areas together, by stratum: the internal reference of indirect standardisation.

    Cases over population; where some counts are known to lie in a range only, the rate of greatest likelihood
    for Poisson counts (EM algorithm: Dempster, Laird and Rubin 1977, JRSS B 39:1-38).

    Args:
        at_least, at_most: bounds of each count, the same where it is known; one value a row (area x stratum).
        population: population (or person-time) of each row.
        stratum: the stratum of each row.
        known: which rows count: those of the areas of which every stratum has a count.

    Returns:
        Cases per unit of population by stratum, in order of first appearance; NaN where nobody of the known
        rows is in the stratum.
    """
    strata = pd.unique(stratum)
    n = population[known].groupby(stratum[known], sort=False).sum().reindex(strata)
    censored = known & (at_least < at_most) & (population > 0)
    cases = at_least.where(~censored, (at_least + at_most) / 2)

    def rates() -> pd.Series:
        return cases[known].groupby(stratum[known], sort=False).sum().reindex(strata) / n.where(n > 0)

    found = rates()
    for _ in range(1000 if censored.any() else 0):
        mean = population[censored] * stratum[censored].map(found)
        cases[censored] = expected_within(mean, at_least[censored], at_most[censored])
        last, found = found, rates()
        if np.nanmax(np.abs(found / last.where(last > 0) - 1), initial=0) < 1e-10:
            break
    return found


def expected_counts(
    area: pd.Series, population: pd.Series, stratum: pd.Series, rates: pd.Series
) -> pd.Series:
    """Expected counts by area, `E_i = sum_s n_is r_s` (indirect standardisation).

    Source: Breslow NE, Day NE. Statistical Methods in Cancer Research, volume II. IARC 1987, chapter 2.

    Args:
        area, population, stratum: one value a row (area x stratum).
        rates: reference rate of each stratum.

    Returns:
        E by area, in order of first appearance.
    """
    rate = stratum.map(rates).where(population > 0, 0.0)
    return (population * rate).groupby(area, sort=False).sum(min_count=1)


def ratio_interval(
    cases: ArrayLike, expected: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact Poisson interval of the ratio of observed to expected counts, E taken as known.

    Source: Garwood F. Fiducial limits for the Poisson distribution. Biometrika 1936;28:437-442.

    Args:
        cases: observed counts; NaN where unknown.
        expected: expected counts.
        level: of the central interval, as 0.95.

    Returns:
        Lower and upper limits; NaN where cases are unknown or nothing is expected.
    """
    from scipy.stats import chi2

    y = np.asarray(cases, dtype=np.float64)
    e = np.asarray(expected, dtype=np.float64)
    e = np.where(e > 0, e, np.nan)
    tail = (1 - level) / 2
    lower = np.where(y > 0, chi2.ppf(tail, 2 * np.where(y > 0, y, 1)) / 2, 0.0)
    upper = chi2.ppf(1 - tail, 2 * (y + 1)) / 2
    return np.where(np.isnan(y), np.nan, lower) / e, upper / e


def proportion_interval(
    cases: ArrayLike, persons: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact binomial interval of a proportion.

    Source: Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 1934;26:404-413.

    Args:
        cases: observed counts; NaN where unknown.
        persons: of whom they are cases.
        level: of the central interval, as 0.95.

    Returns:
        Lower and upper limits; NaN where cases are unknown or there are no persons.
    """
    from scipy.stats import beta

    y = np.asarray(cases, dtype=np.float64)
    n = np.asarray(persons, dtype=np.float64)
    y = np.where(n > 0, y, np.nan)
    tail = (1 - level) / 2
    inside = np.where(np.isnan(y), 1, y), np.where(np.isnan(y), 2, n)
    lower = np.where(y > 0, beta.ppf(tail, np.fmax(inside[0], 1), inside[1] - inside[0] + 1), 0.0)
    upper = np.where(y < n, beta.ppf(1 - tail, inside[0] + 1, np.fmax(inside[1] - inside[0], 1)), 1.0)
    unknown = np.isnan(y)
    return np.where(unknown, np.nan, lower), np.where(unknown, np.nan, upper)


def mean_interval(
    estimate: ArrayLike, se: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal interval of direct estimates with known standard errors; NaN where unknown."""
    from scipy.stats import norm

    middle, half = np.asarray(estimate, dtype=np.float64), np.asarray(se, dtype=np.float64)
    half = half * norm.ppf((1 + level) / 2)
    return middle - half, middle + half
