"""Moran's I and its local parts (esda): do neighbours have similar values, before and after the model?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from poolmap.families.areas.likelihoods import OF_PERSONS, Observed

if TYPE_CHECKING:
    from libpysal.graph import Graph as Weights

    from poolmap.graph.graph import Graph

Array = NDArray[np.float64]

PERMUTATIONS = (999, 9_999)
"""Fewest and most permutations of a local statistic; the more areas, the fewer."""
LEVEL = 0.05
LOG_SIR, LOGIT, ESTIMATE, STANDARDISED = "log_sir", "logit_proportion", "estimate", "eb_ratio"
AFTER = "residual"
"""The values whose pattern is looked at: three as observed, those standardised, and what a model leaves."""
KINDS = ("", "high, neighbours high", "low, neighbours high", "low, neighbours low", "high, neighbours low")
"""Kinds of local pattern, in esda's order of the quadrants from 1."""
_FEWEST = 4
_HALF = 0.5


def log_ratio(cases: ArrayLike, expected: ArrayLike) -> Array:
    """log((y + 1/2) / (E + 1/2)): the log of the raw ratio, defined where there is no case.

    Args:
        cases: observed counts; NaN where unknown.
        expected: expected counts; the result is NaN where nothing is expected.
    """
    y, e = np.asarray(cases, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return np.log((y + _HALF) / np.where(e > 0, e + _HALF, np.nan))


def log_odds(cases: ArrayLike, persons: ArrayLike) -> Array:
    """log((y + 1/2) / (n - y + 1/2)): the logit of the raw proportion; NaN where y is unknown or n is 0."""
    y, n = np.asarray(cases, dtype=np.float64), np.asarray(persons, dtype=np.float64)
    return np.log((y + _HALF) / (np.where(n > 0, n, np.nan) - y + _HALF))


def pearson_residual(seen: Observed, value: ArrayLike) -> Array:
    """What was observed less what is fitted, in Poisson, binomial or sampling standard deviations.

    Args:
        seen: m observations.
        value: (m,) or one relative risk, prevalence or mean.

    Returns:
        (m,) NaN where only the range of a count is known.
    """
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), seen.lower.shape)
    if seen.likelihood == "normal":
        return (seen.lower - value) / seen.se
    fitted = _at_risk(seen) * value
    variance = fitted * (1 - value) if seen.likelihood in OF_PERSONS else fitted
    return np.where(seen.censored, np.nan, (seen.lower - fitted) / np.sqrt(variance))


def standardised_ratio(cases: ArrayLike, expected: ArrayLike) -> Array:
    """Ratios on a scale on which all have the same variance, whatever is expected in an area.

    Source: Assuncao RM, Reis EA. A new proposal to adjust Moran's I for population density. Statistics in
    Medicine 1999;18:2147-2162 (`esda.smoothing.assuncao_rate`). NaN where a count is unknown or nothing is
    expected.
    """
    from esda.smoothing import assuncao_rate

    y, e = np.asarray(cases, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    known = np.isfinite(y) & (e > 0)
    found = np.full(len(y), np.nan)
    if known.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            found[known] = np.ravel(assuncao_rate(y[known], e[known]))
    return found


def moran_table(values: Mapping[str, Array], graph: Graph) -> pd.DataFrame:
    """Moran's I of each set of values, with row-standardised weights.

    Args:
        values: (n,) in the order of the graph's areas, by what they are. Areas with NaN, and those without a
            neighbour that has a value, are left out.
        graph: the neighbours.

    Returns:
        A row a set: `value`, the number of `areas` used, `moran_i`, its `expected` value and `sd` where
        neighbours are no more alike than others (all orders of the values equally likely), `z`, and `p`
        (two-sided, normal approximation). NaN where fewer than 4 areas can be used or all are equal.
    """
    from esda import Moran

    rows = []
    for name, of in values.items():
        used = usable(of, graph)
        row = {"value": name, "areas": len(used)}
        if _testable(of[used]):
            found = Moran(of[used], weights(graph, used), permutations=0)
            row |= {"moran_i": found.I, "expected": found.EI, "sd": found.VI_rand**0.5}
            row |= {"z": found.z_rand, "p": found.p_rand}
        rows.append(row)
    columns = ["value", "areas", "moran_i", "expected", "sd", "z", "p"]
    return pd.DataFrame(rows).reindex(columns=columns)


def local_table(values: Mapping[str, Array], graph: Graph, seed: int) -> pd.DataFrame:
    """The local Moran statistic of each area (Anselin 1995), a row an area and set of values.

    Args:
        values, graph: see `moran_table`.
        seed: of the permutations.

    Returns:
        `value`, `area`, `standardised` (value in standard deviations from the mean), `neighbours` (mean of
        that over the neighbours), `local_i`, `kind` (one of `KINDS`), `p`: two-sided, by permutation
        of the values of the other areas, and `q`: adjusted so that where areas with q below 0.05 are called
        clusters 5% of these calls are expected to be false (Benjamini and Hochberg 1995). Areas that are not
        used have no row.
    """
    from esda import Moran_Local

    tables = []
    for name, of in values.items():
        used = usable(of, graph)
        if not _testable(of[used]):
            continue
        times = int(np.clip(10_000_000 // len(used), *PERMUTATIONS))
        around = weights(graph, used)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            found = Moran_Local(of[used], around, permutations=times, seed=seed, n_jobs=1)
        above = (found.rlisas >= found.Is[:, None]).sum(axis=1)
        one_sided = (np.minimum(above, times - above) + 1) / (times + 1)
        p = np.minimum(2 * one_sided, 1.0)
        z = (of[used] - of[used].mean()) / of[used].std()
        tables.append(
            pd.DataFrame(
                {
                    "value": name,
                    "area": [graph.areas[i] for i in used],
                    "standardised": z,
                    "neighbours": around.lag(z),
                    "local_i": found.Is,
                    "kind": [KINDS[quadrant] for quadrant in found.q],
                    "p": p,
                    "q": false_discovery_rate(p),
                }
            )
        )
    columns = ["value", "area", "standardised", "neighbours", "local_i", "kind", "p", "q"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def false_discovery_rate(p: Array) -> Array:
    """Adjusted p values of Benjamini and Hochberg (1995, JRSS B 57:289-300)."""
    from scipy.stats import false_discovery_control

    return false_discovery_control(p)


def usable(values: Array, graph: Graph) -> NDArray[np.int64]:
    """The areas with a value and a neighbour with one."""
    known = np.isfinite(values)
    both = known[graph.edges].all(axis=1)
    return np.unique(graph.edges[both])


def weights(graph: Graph, used: NDArray[np.int64]) -> Weights:
    """Row-standardised weights among these areas, numbered anew from 0."""
    from libpysal.graph import Graph as Weights

    number = np.full(graph.n, -1)
    number[used] = np.arange(len(used))
    edges = number[graph.edges]
    edges = edges[(edges >= 0).all(axis=1)]
    pairs = np.concatenate([edges, edges[:, ::-1]])
    index = pd.MultiIndex.from_arrays(pairs.T, names=["focal", "neighbor"])
    adjacency = pd.Series(1.0, index=index, name="weight").sort_index()
    return Weights(adjacency, transformation="B").transform("r")


def _at_risk(seen: Observed) -> Array:
    """(m,) expected cases, or persons."""
    return seen.trials if seen.likelihood in OF_PERSONS else np.exp(seen.log_exposure)


def _testable(values: Array) -> bool:
    return len(values) >= _FEWEST and bool(np.ptp(values) > 1e-12 * max(1.0, np.abs(values).max()))
