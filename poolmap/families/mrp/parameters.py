"""The tables `parameters` and `contributions`: what the model estimates besides the groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Quantity
from poolmap.families.mrp.parts import Batch, Parts

SCALE = {
    "binary": "logit of the share",
    "continuous": "outcome, in its units",
    "count": "log of the mean",
    "ordered": "logit of the share above each cutpoint",
    "categorical": "log odds of the answer against the first",
}
"""What the linear predictor is, by the outcome's kind."""

OWN = {
    "cutpoints": ("cutpoint", "logit of the share up to the first of the two answers, where eta is 0"),
    "residual_sd": ("residual_sd", "standard deviation within cells, in units of the outcome"),
    "dispersion": ("dispersion", "overdispersion of the counts: variance m + dispersion m^2"),
    "sensitivity": ("sensitivity", "share of cases who test positive"),
    "specificity": ("specificity", "share of others who test negative"),
    "test_mean": ("accuracy_mean", "mean logit of the validation studies' sensitivity, or specificity"),
    "test_sd": ("accuracy_sd", "standard deviation of these logits between studies"),
}


def parameters(
    kind: str, parts: Parts, answers: Sequence[str], outcome: str, shape: tuple[int, int]
) -> list[Quantity]:
    """The model's parameters, key `term` (and `answer`, of a categorical outcome).

    Args:
        kind: of the outcome; outcome: its column.
        parts: the linear predictor and what comes with it.
        answers: of an ordered or categorical outcome.
        shape: chains and draws.

    Returns:
        `alpha`, `beta` per standard deviation of a numeric predictor, `sigma` of each batch of effects,
        `correlation` of its effects, `rho` where its structure has one, and what the kind has of its own.
    """
    several = list(answers[1:]) if kind == "categorical" else None
    scale = SCALE[kind]

    def quantity(name: str, about: str, values: NDArray, terms: Sequence[str], each: bool = True) -> Quantity:
        """From values (draws, terms, E) or, where not `each`, (draws, terms)."""
        keys = pd.DataFrame({"term": list(terms)})
        if several is not None:
            keys = keys.loc[np.repeat(keys.index, len(several) if each else 1)].reset_index(drop=True)
            keys["answer"] = several * len(terms) if each else ""
        return Quantity("parameters", name, about, values.reshape(*shape, -1), keys)

    found = []
    if kind != "ordered":
        about = f"intercept: {scale} where numeric predictors have their mean and factors their first level"
        found.append(quantity("alpha", about, parts.alpha[:, None], ["intercept"]))
    common = np.flatnonzero((parts.beta != 0).any(axis=(0, 2)))  # the others have varying slopes only
    if common.size:
        about = (
            f"change of the {scale} per standard deviation in the census of a numeric predictor, or from the "
            "first level of a factor"
        )
        found.append(quantity("beta", about, parts.beta[:, common], [parts.columns[p] for p in common]))
    found += _of_batches(quantity, parts.batches, scale)
    for name, (called, about) in OWN.items():
        if name in parts.own:
            values = parts.own[name].reshape(len(parts.alpha), -1)
            pairs = [f"{a} | {b}" for a, b in pairwise(answers)]
            terms = pairs if name == "cutpoints" else [outcome]
            terms = ["sensitivity", "specificity"] if name.startswith("test_") else terms
            found.append(quantity(called, about, values, terms, each=False))
    return found


def _of_batches(quantity, batches: Sequence[Batch], scale: str) -> list[Quantity]:
    found = []
    about = {
        "sigma": f"standard deviation of the varying effects; {scale}",
        "correlation": "correlation of two effects of the same level",
        "rho": "spatially structured share of the variance (bym2), or correlation of neighbours (ar1)",
    }
    for name, words in about.items():
        values, terms = [], []
        for batch in batches:
            if name not in batch.own:
                continue
            own = batch.own[name]
            if name == "sigma":
                values.append(own)
                terms += effect_names(batch)
            elif name == "correlation":
                for i, j in combinations(range(len(batch.columns)), 2):
                    values.append(own[:, i, None, j])
                    terms.append(f"{batch.name}: {batch.effects[i]}, {batch.effects[j]}")
            else:
                values.append(own[:, None])
                terms.append(batch.name)
        if values:
            found.append(quantity(name, words, np.concatenate(values, axis=1), terms))
    return found


def effect_names(batch: Batch) -> list[str]:
    """What each effect of a batch is called: "county", or "county: income" of several."""
    if len(batch.columns) == 1 and batch.columns[0] < 0:
        return [batch.name]
    return [f"{batch.name}: {effect}" for effect in batch.effects]


def contributions(
    kind: str,
    parts: Parts,
    spreads: Sequence[NDArray],
    predictors: NDArray,
    counts: NDArray,
    answers: Sequence[str],
    shape: tuple[int, int],
) -> list[Quantity]:
    """The table `contributions`: how much each term makes cells differ, key `term`.

    Args:
        spreads: of each batch (draws, J, E), from poststratification.
        predictors: (cells, P) design; counts: (cells,) people of the census.
        The others: as of `parameters`.

    Returns:
        `effects_sd`: of a batch the standard deviation of its effects over the levels of the census (the
        finite-population standard deviation of Gelman 2005, Annals of Statistics 33:1-53), of a column of the
        design that of its part of the linear predictor over the people: known to be 0 where the column is the
        same for everyone in the census.
    """
    terms, values, known = [], [], []
    common = np.flatnonzero((parts.beta != 0).any(axis=(0, 2)))
    if common.size:
        predictors = predictors[:, common]
        mean = np.average(predictors, axis=0, weights=counts)
        sd = np.sqrt(np.average((predictors - mean) ** 2, axis=0, weights=counts))
        sd[np.ptp(predictors[counts > 0], axis=0) == 0] = 0
        values.append(np.abs(parts.beta[:, common]) * sd[:, None])
        terms += [parts.columns[p] for p in common]
        known += list(sd == 0)
    for batch, spread in zip(parts.batches, spreads, strict=True):
        if np.isfinite(spread).all():
            values.append(spread)
            terms += effect_names(batch)
            known += [False] * len(batch.columns)
    if not terms:
        return []
    keys = pd.DataFrame({"term": terms})
    if kind == "categorical":
        keys = keys.loc[np.repeat(keys.index, len(answers) - 1)].reset_index(drop=True)
        keys["answer"] = list(answers[1:]) * len(terms)
    about = (
        "standard deviation of what the term adds to the linear predictor: of varying effects over their "
        f"levels in the census, of a predictor over the people; {SCALE[kind]}"
    )
    together = np.concatenate(values, axis=1).reshape(*shape, -1)
    of_each = np.repeat(known, together.shape[2] // len(terms))
    return [Quantity("contributions", "effects_sd", about, together, keys, known=of_each)]
