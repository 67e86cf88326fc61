"""What is asked of a map beyond each area's value: ranks, hot spots, larger regions, contrasts, borrowing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.families.areas.likelihoods import Observed

Array = NDArray[np.float64]

_AT_ONCE = 4_000_000  # numbers held in memory by each step


def ranks(value: Array, level: float) -> pd.DataFrame:
    """Ranks of the areas, 1 for the highest value, worked out in each draw.

    The posterior mean of the rank is the estimate of least squared error (Laird & Louis 1989, J Educ Stat
    14:29-46); ranks of the posterior means say more than the data do.

    Args:
        value: (chain, draw, area).
        level: of the interval.

    Returns:
        One row an area: `rank` (posterior mean), `rank_lower`, `rank_upper`, and `p_highest_fifth` and
        `p_lowest_fifth`, the probabilities of being in that fifth of the areas.
    """
    draws = value.reshape(-1, value.shape[-1])
    n = draws.shape[1]
    rank = np.empty(draws.shape, dtype=np.int32)
    places = np.broadcast_to(np.arange(1, n + 1, dtype=np.int32), draws.shape)
    for rows in _chunks(len(draws), n):
        order = np.argsort(-draws[rows], axis=1, kind="stable")
        np.put_along_axis(rank[rows], order, places[rows], axis=1)
    tail = (1 - level) / 2
    lower, upper = np.quantile(rank, [tail, 1 - tail], axis=0, method="inverted_cdf")
    fifth = n / 5
    return pd.DataFrame(
        {
            "rank": rank.mean(axis=0),
            "rank_lower": lower,
            "rank_upper": upper,
            "p_highest_fifth": (rank <= fifth).mean(axis=0),
            "p_lowest_fifth": (rank > n - fifth).mean(axis=0),
        }
    )


def hot_spots(probability: Array, rate: float) -> NDArray[np.bool_]:
    """The largest set of areas of which no more than a share `rate` is expected to be called so wrongly.

    The Bayesian false discovery rate of a set is the mean of 1 - P over it (Newton et al. 2004, Biostatistics
    5:155-176, section 4.2; Mueller et al. 2004, JASA 99:990-1001).

    Args:
        probability: (n,) posterior probability that the area's value is above the threshold.
        rate: the false discovery rate that is accepted.

    Returns:
        (n,) True for the areas of the set; areas of equal probability are in it together or not at all.
    """
    probability = np.asarray(probability, dtype=np.float64)
    levels = np.unique(probability)[::-1]
    chosen = np.zeros(len(probability), dtype=bool)
    for level in levels:
        candidate = probability >= level
        if false_discovery_rate(probability, candidate) > rate:
            break
        chosen = candidate
    return chosen


def false_discovery_rate(probability: Array, chosen: NDArray[np.bool_]) -> float:
    """The expected share of areas in a set that are not above the threshold; 0 for an empty set."""
    return float((1 - np.asarray(probability)[chosen]).mean()) if np.any(chosen) else 0.0


def aggregated(value: Array, weight: Array, group: NDArray[np.intp], n_groups: int) -> Array:
    """Weighted means of areas over the groups that they belong to, in each draw.

    Args:
        value: (chain, draw, area).
        weight: (area,) not negative: expected cases of relative risks, persons of prevalences.
        group: (area,) number of the area's group, from 0.
        n_groups: how many there are.

    Returns:
        (chain, draw, group); NaN for a group without weight.
    """
    from scipy import sparse

    total = np.bincount(group, weight, n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weight / total[group]
    member = sparse.csr_array((share, (np.arange(len(group)), group)), shape=(len(group), n_groups))
    found = value.reshape(-1, value.shape[-1]) @ member
    found[:, total == 0] = np.nan
    return found.reshape(*value.shape[:2], n_groups)


def contrasts(value: Array, pairs: Sequence[tuple[int, int]], *, ratio: bool) -> Array:
    """Ratios (relative risks) or differences of two areas' values, in each draw: (chain, draw, pair)."""
    first, second = (value[:, :, [pair[side] for pair in pairs]] for side in (0, 1))
    return first / second if ratio else first - second


@dataclass(frozen=True)
class Borrowed:
    """Where each area's estimate comes from; the three add to 1.

    Attributes:
        own: (n,) weight of the area's own observation.
        neighbours: (n,) of the observations of its neighbours.
        others: (n,) of all the rest: other areas (through the overall level, the covariates and neighbours'
            neighbours) and the prior.
    """

    own: Array
    neighbours: Array
    others: Array


def borrowed(
    eta: Array, observed: Observed, rows: NDArray[np.intp], edges: NDArray[np.intp], **own: float
) -> Borrowed:
    """How much each area's estimate rests on its own observation, and on those of its neighbours.

    The posterior mean of eta_i moves with observation j by Cov(eta_i, eta_j) W_j, where W_j is the
    information on eta_j in what was observed there, the curvature of its log likelihood: exact where all is
    normal, and the first-order effect otherwise (Giordano, Broderick & Jordan 2018, JMLR 19(51), theorem 1).

    Args:
        eta: (chain, draw, area) linear predictor.
        observed: of the areas in `rows`.
        rows: (m,) areas that were observed.
        edges: (e, 2) pairs of neighbours, each once.
        own: `dispersion`, `zero`: what the likelihood has of its own, at its posterior mean.
    """
    n = eta.shape[-1]
    draws = eta.reshape(-1, n)
    middle = draws.mean(axis=0)
    at = middle[rows]
    information = np.zeros(n)
    information[rows] = np.maximum(-observed.derivatives(at, **own)[1], 0)
    centred = draws - middle
    variance = np.einsum("di,di->i", centred, centred) / (len(draws) - 1)
    neighbours = np.zeros(n)
    for some in _chunks(len(edges), len(draws)):
        i, j = edges[some].T
        shared = np.einsum("de,de->e", centred[:, i], centred[:, j]) / (len(draws) - 1)
        neighbours += np.bincount(i, shared * information[j], n) + np.bincount(j, shared * information[i], n)
    mine = variance * information
    return Borrowed(mine, neighbours, 1 - mine - neighbours)


def _chunks(total: int, width: int) -> list[slice]:
    step = max(_AT_ONCE // max(width, 1), 1)
    return [slice(start, start + step) for start in range(0, total, step)]
