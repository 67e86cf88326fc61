"""R-hat, effective sample sizes and Monte Carlo errors of many quantities at once.

The definitions are those of Vehtari, Gelman, Simpson, Carpenter, Bürkner 2021 (Bayesian Analysis 16:667-718),
as ArviZ has them quantity by quantity; here all rows go through each step together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_AT_ONCE = 4_000_000  # draws in memory, times a few


def convergence(draws: Array) -> dict[str, Array]:
    """Figures of each row of draws.

    Args:
        draws: array (chain, draw, row) of finite numbers; none of the rows constant.

    Returns:
        arrays (row,): `mcse` of the mean, `ess_bulk`, `ess_tail` (the smaller one of the 5% and 95%
        quantiles) and `rhat`, rank-normalised, the larger one of location and scale.
    """
    chains, n, rows = draws.shape
    step = max(_AT_ONCE // (chains * n), 1)
    parts = [_figures(np.moveaxis(draws[:, :, at : at + step], 2, 0)) for at in range(0, rows, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _figures(x: Array) -> dict[str, Array]:
    """The same for (row, chain, draw)."""
    halves = _split(x)
    flat = x.reshape(len(x), -1)
    normal = _normal_scores(halves)
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    tails = np.quantile(flat, [0.05, 0.95], axis=1)
    return {
        "mcse": flat.std(axis=1, ddof=1) / np.sqrt(_ess(halves)),
        "ess_bulk": _ess(normal),
        "ess_tail": np.fmin(*(_ess(_split((x <= q[:, None, None]).astype(np.float64))) for q in tails)),
        "rhat": np.fmax(_rhat(normal), _rhat(_normal_scores(folded))),
    }


def _split(x: Array) -> Array:
    """Each chain as two: its first and its last half."""
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)


def _normal_scores(x: Array) -> Array:
    from scipy import special, stats

    ranks = stats.rankdata(x.reshape(len(x), -1), axis=1)
    return special.ndtri((ranks - 3 / 8) / (ranks.shape[1] + 1 / 4)).reshape(x.shape)


def _rhat(x: Array) -> Array:
    n = x.shape[2]
    within = x.var(axis=2, ddof=1).mean(axis=1)
    between = n * x.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore"):  # infinite where each chain is stuck at a value of its own
        return np.sqrt((between / within + n - 1) / n)


def _ess(x: Array) -> Array:
    """Effective sample size of each row's mean, by Geyer's initial monotone sequence of pairs of lags."""
    from scipy import fft

    rows, chains, n = x.shape
    size = fft.next_fast_len(2 * n, real=True)
    power = np.abs(fft.rfft(x - x.mean(axis=2, keepdims=True), n=size, axis=2)) ** 2
    covariance = fft.irfft(power.mean(axis=1), n=size, axis=1)[:, :n] / n
    within = covariance[:, 0] * n / (n - 1)
    total = covariance[:, 0] + x.mean(axis=2).var(axis=1, ddof=1)
    constant = np.ptp(x, axis=(1, 2)) < np.finfo(np.float64).resolution
    total[constant] = 1.0
    rho = 1 - (within[:, None] - covariance) / total[:, None]
    rho[:, 0] = 1.0
    last = max(-(-(n - 2) // 2) - 1, 0)
    even, odd = rho[:, 0 : 2 * last + 1 : 2], rho[:, 1 : 2 * last + 2 : 2]
    pairs = even + odd
    # the sequence stops at the first pair that is not positive, or at the last
    ends = pairs <= 0
    stop = np.where(ends.any(axis=1), ends.argmax(axis=1), last)
    before = np.arange(last + 1) < stop[:, None]
    monotone = np.minimum.accumulate(pairs, axis=1)
    at = np.arange(rows), stop
    rest = np.where((even[at] > 0) | (pairs[at] >= 0), even[at], 0.0)
    tau = -1 + 2 * np.where(before, monotone, 0.0).sum(axis=1) + rest
    ess = chains * n / np.maximum(tau, 1 / np.log10(chains * n))
    return np.where(constant, float(chains * n), ess)
