"""Poststratification: cell probabilities weighted by the census, in memory that the cells do not set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

EffectDraws = Callable[[slice], Sequence[np.ndarray]]
"""For a block of draws, the effects of each batch: arrays (draws in the block, levels of the batch)."""


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
    *,
    alpha: np.ndarray,
    beta: np.ndarray,
    predictors: np.ndarray,
    effects: EffectDraws,
    levels: np.ndarray,
    weights: sparse.csc_array,
    people: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    cells_per_block: int = 5_000,
    draws_per_block: int = 100,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draws of the poststratified share of each group, and of the share among a finite number of people.

    theta_g = sum_j w_gj inv_logit(alpha + x_j beta + sum_k u_k[l_k(j)]), over the cells j of the census
    (Gelman and Little 1997, Survey Methodology 23(2):127-135; Park, Gelman and Bafumi 2004, Political
    Analysis 12(4):375-385). The working arrays hold `cells_per_block` x `draws_per_block` numbers, however
    many cells there are; the block sizes do not change the shares beyond the rounding of sums.

    theta_g is the expected share. Of the N_j people of a cell, Binomial(N_j, p_j) say yes; the share among
    them scatters about theta_g, the more the fewer they are.

    Args:
        alpha: (draws,) intercept.
        beta: (draws, P) coefficients.
        predictors: (cells, P) as the model saw them (standardised).
        effects: effects of every batch for a block of draws; called once a block, blocks in order.
        levels: (cells, K) the column of each cell's level in its batch's effects.
        weights: (groups, cells) rows with sum 1, from `group_weights`.
        people: (cells,) whole numbers, the N_j; None leaves the share among the people out.
        rng: draws their answers.
        cells_per_block, draws_per_block: size of the working arrays.

    Returns:
        (draws, groups) expected shares, and shares among the people (or None), float64.
    """
    draws, cells = alpha.size, levels.shape[0]
    shares = np.zeros((draws, weights.shape[0]))
    realised = None if people is None else np.zeros_like(shares)
    blocks = [slice(start, min(start + cells_per_block, cells)) for start in range(0, cells, cells_per_block)]
    weights_of = [weights[:, block] for block in blocks]
    for start in range(0, draws, draws_per_block):
        some = slice(start, min(start + draws_per_block, draws))
        batches = [np.ascontiguousarray(batch.T) for batch in effects(some)]
        for block, weight in zip(blocks, weights_of, strict=True):
            logit = predictors[block] @ beta[some].T
            logit += alpha[some]
            for k, batch in enumerate(batches):
                logit += batch[levels[block, k]]
            probability = inverse_logit(logit)
            shares[some] += (weight @ probability).T
            if realised is not None:
                size = people[block, None]
                yes = rng.binomial(size.astype(np.int64), probability)
                realised[some] += (weight @ (yes / np.maximum(size, 1))).T
    return shares, realised


def inverse_logit(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)), computed in place: the argument holds the result."""
    np.negative(logit, out=logit)
    with np.errstate(over="ignore"):
        np.exp(logit, out=logit)
    logit += 1
    return np.reciprocal(logit, out=logit)
