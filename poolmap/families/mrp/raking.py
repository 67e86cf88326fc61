"""Raking (iterative proportional fitting) of cells, or of respondents' weights, to margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-10
MOST = 10_000


@dataclass(frozen=True, eq=False)
class Raked:
    """Cells that agree with their margins, as far as they can.

    Attributes:
        cells: (n,) the cells, or the weights of respondents.
        iterations: how often all margins were gone through.
        gap: the largest difference between an entry of a margin and its total, as a share of the latter (of
            the grand total where it is 0).
        converged: whether the gap is below the tolerance.
    """

    cells: np.ndarray
    iterations: int
    gap: float
    converged: bool


def rake(
    seed: np.ndarray,
    members: Sequence[np.ndarray],
    totals: Sequence[np.ndarray],
    *,
    tolerance: float = TOLERANCE,
    most: int = MOST,
) -> Raked:
    """Scale the cells to each margin in turn until all agree.

    Source: Deming and Stephan 1940, Annals of Mathematical Statistics 11(4):427-444; of the weights of a
    sample Deville, Särndal and Sautory 1993, JASA 88:1013-1020. The result has the odds ratios of the seed; a
    cell that is 0 stays 0. None of the libraries on PyPI was fit for it when this was written: `ipfn` loops
    over the cells in Python, calls a stalled table converged and divides by empty margins; `balance` needs
    numpy below 2 on Python 3.11, `humanleague` has no wheels, `samplics` is no longer kept.

    Args:
        seed: (n,) where the cells start, 0 or more; or sampling weights.
        members: of each margin, (n,) the entry of the margin that each cell belongs to, from 0.
        totals: of each margin, its entries.
        tolerance: of `gap`.
        most: iterations before giving up.
    """
    cells = np.array(seed, dtype=float)
    gap, iteration = np.inf, 0
    while iteration < most:
        iteration += 1
        for member, total in zip(members, totals, strict=True):
            fitted = np.bincount(member, cells, len(total))
            cells *= np.divide(total, fitted, out=np.zeros(len(total)), where=fitted > 0)[member]
        gap = max(
            float((np.abs(np.bincount(member, cells, len(total)) - total) / _scale(total)).max())
            for member, total in zip(members, totals, strict=True)
        )
        if gap <= tolerance:
            break
    return Raked(cells, iteration, gap, gap <= tolerance)


def _scale(total: np.ndarray) -> np.ndarray:
    return np.where(total > 0, total, total.sum())
