"""Expected counts by indirect standardisation, and standardised incidence (or mortality) ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def reference_rates(
    cases: pd.Series, population: pd.Series, stratum: pd.Series, known: pd.Series
) -> pd.Series:
    """Rates of all areas together, by stratum: the internal reference of indirect standardisation.

    Args:
        cases, population: counts and population (or person-time) of each row (area x stratum).
        stratum: the stratum of each row.
        known: which rows count: those of the areas whose cases are known in every stratum.

    Returns:
        Cases per unit of population by stratum, in order of first appearance; NaN where nobody of the known
        rows is in the stratum.
    """
    totals = pd.DataFrame({"cases": cases, "population": population})[known]
    totals = totals.groupby(stratum[known], sort=False).sum()
    totals = totals.reindex(pd.unique(stratum))
    return totals["cases"] / totals["population"].where(totals["population"] > 0)


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
