"""Direct standardisation: standard populations by age, weights of strata, rates with their intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

PER = 100_000
_OPEN = math.inf


@dataclass(frozen=True)
class Standard:
    """A standard population.

    Attributes:
        title: in the report.
        source: where it is published.
        starts: first year of age of each group; a group ends where the next begins, the last is open.
        weights: of the groups.
    """

    title: str
    source: str
    starts: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def groups(self) -> str:
        """The groups in words."""
        ends = [*(start - 1 for start in self.starts[1:]), None]
        pairs = zip(self.starts, ends, strict=True)
        return ", ".join(f"{a}+" if b is None else str(a) if a == b else f"{a}-{b}" for a, b in pairs)


STANDARDS = {
    "who_world": Standard(
        "WHO World Standard 2000-2025",
        "Ahmad et al. 2001, GPE Discussion Paper 31, World Health Organization",
        tuple(range(0, 101, 5)),
        (
            *(8.86, 8.69, 8.60, 8.47, 8.22, 7.93, 7.61, 7.15, 6.59, 6.04, 5.37),
            *(4.55, 3.72, 2.96, 2.21, 1.52, 0.91, 0.44, 0.15, 0.04, 0.005),
        ),
    ),
    "european_2013": Standard(
        "European Standard Population 2013",
        "Eurostat 2013, Revision of the European Standard Population, doi:10.2785/11470",
        (0, 1, *range(5, 96, 5)),
        (
            *(1000, 4000, 5500, 5500, 5500, 6000, 6000, 6500, 7000, 7000, 7000),
            *(7000, 6500, 6000, 5500, 5000, 4000, 2500, 1500, 800, 200),
        ),
    ),
}

_FORMS = (
    (re.compile(r"(?:<|under|below)\s*(\d+)"), lambda a: (0, a - 1)),
    (re.compile(r"(\d+)\s*(?:\+|plus|and over|and older|or older|and above)"), lambda a: (a, _OPEN)),
    (re.compile(r"(?:>=|≥)\s*(\d+)"), lambda a: (a, _OPEN)),
    (re.compile(r"(\d+)\s*(?:-|–|—|to|_)\s*(\d+)"), lambda a, b: (a, b)),
    (re.compile(r"(\d+)"), lambda a: (a, a)),
)


def age_range(label: str) -> tuple[float, float] | None:
    """First and last completed year of an age group ("0-4", "85+", "<1", "5 to 9 years"), or None."""
    text = re.sub(r"\s*(years?|yrs?)(\s+of\s+age)?\s*", " ", label.strip().lower())
    text = re.sub(r"\bages?d?\b", "", text).strip()
    for pattern, ends in _FORMS:
        found = pattern.fullmatch(text)
        if found is not None:
            return ends(*map(int, found.groups()))
    return None


def age_weights(labels: Sequence[str], standard: str) -> tuple[dict[str, float], list[str]]:
    """Weights of age groups by a standard population.

    Args:
        labels: of the age groups, each once.
        standard: a key of `STANDARDS`.

    Returns:
        the standard's weight of each group, and what is wrong with the groups: a label that names no ages,
        ends that lie inside a group of the standard, overlaps and gaps.
    """
    known = STANDARDS[standard]
    starts = np.array(known.starts)
    problems: list[str] = []
    ranges: dict[str, tuple[float, float]] = {}
    for label in labels:
        ends = age_range(label)
        if ends is None:
            problems.append(f"'{label}' names no ages: write 0-4, 5-9 ... 85+")
        elif ends[0] not in starts or (ends[1] != _OPEN and ends[1] + 1 not in starts):
            problems.append(f"'{label}' cuts a group of the {known.title} in two; its groups: {known.groups}")
        else:
            ranges[label] = ends
    ordered = sorted(ranges, key=lambda label: ranges[label])
    for first, second in pairwise(ordered):
        if ranges[second][0] <= ranges[first][1]:
            problems.append(f"'{first}' and '{second}' overlap")
        elif ranges[second][0] != ranges[first][1] + 1:
            problems.append(f"between '{first}' and '{second}' ages are missing")
    weights = np.array(known.weights)
    found = {
        label: float(weights[(starts >= low) & (starts <= high)].sum())
        for label, (low, high) in ranges.items()
    }
    return found, problems


def direct_rates(rows: pd.DataFrame, weights: Mapping[str, float]) -> pd.DataFrame:
    """Directly standardised rates, their variances, and the largest weight of a case.

    Args:
        rows: area, stratum, cases (NaN where missing or suppressed) and size (population).
        weights: of each stratum, on any scale.

    Returns:
        by area, in order of first appearance: direct_rate = sum_s w_s y_s / n_s with w adding up to 1,
        direct_variance = sum_s w_s^2 y_s / n_s^2, direct_largest = max_s w_s / n_s; NaN where a count is
        missing or suppressed, or a stratum with weight has nobody in it. Cases per unit of population.
    """
    share = rows["stratum"].map(weights) / sum(weights.values())
    per_case = (share / rows["size"].where(rows["size"] > 0)).where(share > 0, 0.0)
    cases = rows["cases"].where(share > 0, 0.0)
    parts = pd.DataFrame(
        {
            "direct_rate": per_case * cases,
            "direct_variance": per_case**2 * cases,
            "direct_largest": per_case,
        }
    )
    area = rows["area"]
    whole = parts.notna().all(axis=1).groupby(area, sort=False).all()
    groups = parts.groupby(area, sort=False)
    found = groups[["direct_rate", "direct_variance"]].sum().join(groups["direct_largest"].max())
    return found.where(whole, axis=0)


def gamma_interval(
    rate: ArrayLike, variance: ArrayLike, largest: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a directly standardised rate, by the gamma distribution.

    Source: Fay MP, Feuer EJ. Confidence intervals for directly standardized rates: a method based on the
    gamma distribution. Statistics in Medicine 1997;16:791-801.

    Args:
        rate, variance, largest: of `direct_rates`.
        level: of the central interval, as 0.95.

    Returns:
        Lower and upper limits; NaN where the rate is unknown.
    """
    from scipy.stats import gamma

    y, v, w = (np.asarray(x, dtype=np.float64) for x in (rate, variance, largest))
    tail = (1 - level) / 2
    some = y > 0
    mean, spread = np.where(some, y, 1.0), np.where(some, v, 1.0)
    lower = np.where(some, gamma.ppf(tail, mean**2 / spread, scale=spread / mean), 0.0)
    upper = gamma.ppf(1 - tail, (y + w) ** 2 / (v + w**2), scale=(v + w**2) / (y + w))
    return np.where(np.isnan(y), np.nan, lower), upper
