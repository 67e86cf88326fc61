"""Poststratification: cell estimates weighted by the census, in memory that the cells do not set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from poolmap.families.mrp.gathers import GatherPlan
from poolmap.families.mrp.links import Link
from poolmap.families.mrp.parts import Parts

log = logging.getLogger("poolmap.poststratify")

SMALL = 100_000_000
"""Cells times draws up to which sums are in double precision, and no progress is told."""


@dataclass(frozen=True)
class Poststratified:
    """Draws of the estimates.

    Attributes:
        values: (answers, draws, groups); one answer unless the outcome is ordered or categorical.
        realised: (answers, draws, groups) estimates of a finite number of people, or None.
        contributions: for each batch (draws, J, E), the standard deviation of its effects over the levels of
            the census, per effect and linear predictor; NaN of a batch with one level.
    """

    values: NDArray[np.float64]
    realised: NDArray[np.float64] | None
    contributions: list[NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Cells:
    """A block of cells: its rows, and the groups that they belong to with the weights in them."""

    rows: slice
    groups: NDArray[np.intp]
    weights: sparse.csr_array


def group_weights(counts: np.ndarray, groupings: Sequence[np.ndarray]) -> sparse.csc_array:
    """Each group's weights of the cells, N_j / sum of N in the group; rows of a grouping follow the last's.

    Args:
        counts: (cells,) people in each cell of the census.
        groupings: for each grouping, (cells,) the group 0..G-1 of each cell.

    Returns:
        (groups of all groupings, cells), each row with sum 1; a group without people has an empty row.
    """
    counts = np.asarray(counts, dtype=np.float64)
    blocks = []
    for groups in groupings:
        size = np.bincount(groups, weights=counts)
        share = np.divide(counts, size[groups], out=np.zeros_like(counts), where=size[groups] > 0)
        blocks.append(sparse.coo_array((share, (groups, np.arange(counts.size)))))
    return sparse.vstack(blocks, format="csc")


def poststratify(
    parts: Parts,
    predictors: np.ndarray,
    levels: Mapping[str, np.ndarray],
    weights: sparse.csc_array,
    link: Link,
    *,
    people: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    cells_per_block: int = 4_000,
    draws_per_block: int = 128,
    small: int = SMALL,
) -> Poststratified:
    """Draws of the poststratified estimate of each group.

    theta_g = sum_j w_gj h(eta_j), over the cells j of the census, h the inverse of the link (Gelman and
    Little 1997, Survey Methodology 23(2):127-135; Park, Gelman and Bafumi 2004, Political Analysis
    12(4):375-385). The working arrays hold `cells_per_block` x `draws_per_block` numbers, however many
    cells there are. Beyond `small` cells times draws they are in single precision (an error of some 1e-6 of
    the estimate); sums over the blocks are double.

    theta_g is the expected share, mean or rate. Of the N_j people of a cell, Binomial(N_j, p_j) say yes; the
    share among them scatters about theta_g, the more the fewer they are (`Link.among`).

    Args:
        parts: the linear predictor, draw by draw.
        predictors: (cells, P) the design.
        levels: by the name of a batch's column, (cells,) codes of the levels; -1 for no effect.
        weights: (groups, cells) rows with sum 1, from `group_weights`.
        link: of the outcome's kind.
        people: (cells,) whole numbers, the N_j; None leaves the estimates of a finite number of people out.
        rng: draws their answers.
        cells_per_block, draws_per_block: size of the working arrays.
        small: see above.
    """
    draws, cells = len(parts.alpha), weights.shape[1]
    dtype = np.dtype(np.float64 if cells * draws <= small else np.float32)
    order = _by_group(weights)
    codes = {name: np.asarray(values)[order] for name, values in levels.items()}
    x = np.asarray(predictors, dtype=dtype)[order]
    plan = GatherPlan.of(parts, codes, cells)
    blocks = _blocks(weights[:, order], cells_per_block, dtype)
    people = None if people is None else np.asarray(people)[order]

    averages = np.zeros((link.outputs, draws, weights.shape[0]))
    realised = None if people is None else np.zeros_like(link.finish(averages))
    lived = [np.unique(codes[b.level][codes[b.level] >= 0]) for b in parts.batches]
    contributions = [np.empty((draws, len(b.columns), parts.alpha.shape[1])) for b in parts.batches]

    progress = _Progress(draws, cells, told=cells * draws > small)
    for start in range(0, draws, draws_per_block):
        some = slice(start, min(start + draws_per_block, draws))
        effects = [batch.draw(some) for batch in parts.batches]
        for kept, effect, known in zip(contributions, effects, lived, strict=True):
            those = effect[:, known] if known.size else effect  # a house has no levels in the census
            kept[some] = those.std(axis=1, ddof=1) if those.shape[1] > 1 else np.nan
        table = plan.tables(parts, effects, some, dtype)
        own = {name: values[some] for name, values in parts.own.items()}
        sums = np.zeros((link.outputs, weights.shape[0], some.stop - some.start))
        for block in blocks:
            eta = table.linear_predictor(x, block.rows)
            values = []
            for k in range(link.outputs):
                value = link.values(k, eta, own)
                sums[k, block.groups] += block.weights @ value
                if realised is not None:
                    values.append(value)
            if realised is not None:
                size = people[block.rows, None].astype(np.int64)
                for k, value in enumerate(link.among(np.stack(values), size, own, rng)):
                    realised[k][some, block.groups] += (block.weights @ value).T
        averages[:, some] = sums.transpose(0, 2, 1)
        progress(some.stop)
    return Poststratified(link.finish(averages), realised, contributions)


def _by_group(weights: sparse.csc_array) -> NDArray[np.intp]:
    """The cells in the order of their group in the last grouping, so that a block touches few groups."""
    last = np.zeros(weights.shape[1], dtype=np.int64)
    entries = np.diff(weights.indptr)
    filled = entries > 0
    last[filled] = np.maximum.reduceat(weights.indices, weights.indptr[:-1][filled]) if filled.any() else 0
    return np.argsort(last, kind="stable")


def _blocks(weights: sparse.csc_array, size: int, dtype: np.dtype) -> list[_Cells]:
    found = []
    for start in range(0, weights.shape[1], size):
        rows = slice(start, min(start + size, weights.shape[1]))
        part = weights[:, rows]
        groups, place = np.unique(part.indices, return_inverse=True)
        local = sparse.csc_array((part.data, place, part.indptr), shape=(len(groups), rows.stop - rows.start))
        found.append(_Cells(rows, groups, local.tocsr().astype(dtype)))
    return found


class _Progress:
    """Tells each tenth of the draws that is done, of a large table of cells."""

    def __init__(self, draws: int, cells: int, *, told: bool) -> None:
        self.draws, self.next, self.told = draws, 1, told
        if told:
            log.info("poststratifying %s cells in %s draws", f"{cells:,}", f"{draws:,}")

    def __call__(self, done: int) -> None:
        tenth = 10 * done // self.draws
        if self.told and tenth >= self.next:
            log.info("poststratified %d%% of the draws", 10 * tenth)
            self.next = tenth + 1
