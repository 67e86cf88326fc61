"""Pareto-smoothed importance sampling of the parts that leave-one-out leaves out, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolmap.inference.summary import import_arviz

Array = NDArray[np.float64]

AT_ONCE = 1_000_000
"""Log likelihoods worked on at once: arviz makes several copies in double precision."""


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Some of the parts, chains joined.

    Attributes:
        parts: which.
        log_weights: (draws, parts) of the posterior without the part, normalised.
        pareto_k: (parts,) shape of the tail of the weights.
        effective: (parts,) Kish's effective number of draws, as a share of them.
        elpd: (parts,) log predictive density without the part.
        lpd: (parts,) log predictive density with it.
    """

    parts: slice
    log_weights: Array
    pareto_k: Array
    effective: Array
    elpd: Array
    lpd: Array


def smoothed(log_lik: Array) -> Iterator[Smoothed]:
    """Smoothed importance weights and densities of blocks of parts, in order.

    As `arviz.loo` (Vehtari, Gelman and Gabry 2017, Statistics and Computing 27:1413-1432), the tail's length
    following from the mean effective sample size of all parts.

    Args:
        log_lik: (chain, draw, parts), of single precision where memory matters.
    """
    arviz = import_arviz()
    chains, draws, parts = log_lik.shape
    step = max(1, AT_ONCE // max(chains * draws, 1))
    blocks = [slice(start, min(start + step, parts)) for start in range(0, parts, step)]
    efficiency = 1.0
    if chains > 1 and blocks:
        sizes = np.concatenate([_effective(log_lik[:, :, block].astype(np.float64)) for block in blocks])
        efficiency = float(sizes.mean()) / (chains * draws)
    for block in blocks:
        own = log_lik[:, :, block].astype(np.float64).reshape(chains * draws, -1).T
        weights, k = arviz.psislw(-own, efficiency)
        elpd = special.logsumexp(weights + own, axis=1)
        lpd = special.logsumexp(own, axis=1) - np.log(chains * draws)
        effective = 1 / np.exp(special.logsumexp(2 * weights, axis=1)) / (chains * draws)
        yield Smoothed(block, weights.T, np.asarray(k), effective, elpd, lpd)


def _effective(log_lik: Array) -> Array:
    import xarray

    found = import_arviz().ess(xarray.Dataset({"y": (("chain", "draw", "row"), log_lik)}), method="mean")
    return found["y"].to_numpy()
