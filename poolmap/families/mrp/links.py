"""From the linear predictor to what a kind of outcome estimates: shares, a mean, a rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Link:
    """What is averaged over the cells of the census, and what the averages become.

    Attributes:
        outputs: how many values a cell has.
        values: from eta (E, cells, draws in the block), which may be overwritten, and the block's rows of
            `Parts.own`, each of the values in turn: function (output, eta, own) -> (cells, draws).
        finish: from their averages over the people, (outputs, draws, groups), the estimates
            (answers, draws, groups).
        among: averages among a finite number of people of each cell, drawn: function (all values
            (outputs, cells, draws), people (cells, 1), own, generator) -> (answers, cells, draws).
    """

    outputs: int
    values: Callable[[int, Array, Mapping[str, Array]], Array]
    among: Callable[[Array, NDArray[np.int64], Mapping[str, Array], np.random.Generator], Array]
    finish: Callable[[Array], Array] = lambda averages: averages


def inverse_logit(logit: Array) -> Array:
    """1 / (1 + exp(-logit)), computed in place: the argument holds the result."""
    np.negative(logit, out=logit)
    with np.errstate(over="ignore"):
        np.exp(logit, out=logit)
    logit += 1
    return np.reciprocal(logit, out=logit)


def binary() -> Link:
    """The share of yes: inverse logit."""

    def among(share, people, own, rng):
        return rng.binomial(people, share) / np.maximum(people, 1)

    return Link(1, lambda _, eta, own: inverse_logit(eta[0]), among)


def continuous() -> Link:
    """The mean, in the outcome's units as the linear predictor is."""

    def among(mean, people, own, rng):
        return rng.normal(mean, own["residual_sd"] / np.sqrt(np.maximum(people, 1)))

    return Link(1, lambda _, eta, own: eta[0], among)


def count() -> Link:
    """The mean count, or rate per unit of exposure: exp."""

    def among(mean, people, own, rng):
        total = mean * people
        if "dispersion" in own:  # the sum of n such counts: gamma-Poisson with n times the shape
            shape = np.maximum(people, 1) / (own["dispersion"] + 1e-9)
            total = rng.gamma(shape, total / shape)
        return rng.poisson(total) / np.maximum(people, 1)

    return Link(1, lambda _, eta, own: np.exp(eta[0], out=eta[0]), among)


def ordered(answers: int) -> Link:
    """The share of each answer, P(y <= k) = inverse logit of (cutpoint k - eta).

    The shares at most k are averaged, and the answers are their differences.
    """

    def values(k: int, eta: Array, own: Mapping[str, Array]) -> Array:
        return inverse_logit(own["cutpoints"][:, k].astype(eta.dtype) - eta[0])

    def finish(averages: Array) -> Array:
        whole = np.concatenate([np.zeros_like(averages[:1]), averages, np.ones_like(averages[:1])])
        return np.clip(np.diff(whole, axis=0), 0, 1)  # a difference below 0 is rounding

    def among(at_most, people, own, rng):
        return _answers_among(finish(at_most), people, rng)

    return Link(answers - 1, values, among, finish)


def categorical(answers: int) -> Link:
    """The share of each answer, softmax of (0, eta_1, ..., eta_{C-1}): the first is the reference."""

    def values(k: int, eta: Array, own: Mapping[str, Array]) -> Array:
        if k == 0:  # the later outputs of the block find the shares in eta
            largest = np.maximum(eta.max(axis=0), 0)
            eta -= largest
            np.exp(eta, out=eta)
            reference = np.exp(-largest)
            total = eta.sum(axis=0) + reference
            eta /= total
            return reference / total
        return eta[k - 1]

    def among(shares, people, own, rng):
        return _answers_among(shares, people, rng)

    return Link(answers, values, among)


def _answers_among(shares: Array, people: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Shares (answers, cells, draws) among the people of each cell: the answers of each are multinomial."""
    shares = np.moveaxis(shares, 0, -1).astype(np.float64)
    shares = shares / shares.sum(axis=-1, keepdims=True)
    chosen = rng.multinomial(np.broadcast_to(people, shares.shape[:-1]), shares)
    return np.moveaxis(chosen, -1, 0) / np.maximum(people, 1)


def link_of(kind: str, answers: int = 0) -> Link:
    """The link of an outcome's kind.

    Args:
        kind: `binary`, `continuous`, `count`, `ordered` or `categorical`.
        answers: how many answers an ordered or categorical outcome has.
    """
    if kind in ("ordered", "categorical"):
        return {"ordered": ordered, "categorical": categorical}[kind](answers)
    return {"binary": binary, "continuous": continuous, "count": count}[kind]()
