"""Replicated data and log likelihoods of the cells of the survey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, Predictive
from poolmap.families.mrp.effects import joined
from poolmap.families.mrp.likelihood import OF_ANSWERS, Outcome, tested
from poolmap.families.mrp.model import describe_model

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]


def predictive(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicates of what was observed in each cell of the survey, and the log likelihood of each cell.

    Observed are the number of yes answers, the mean, the total of a count, or the number of each answer
    (ordered, categorical: an observation for each cell and answer; leave-one-out leaves out cells).
    """
    known = describe_model(spec, model, data)
    layout, outcome = known.arrays.layout, known.arrays.outcome
    flat, cells = joined(draws), data.tables["cells"]
    shape = draws.sizes["chain"], draws.sizes["draw"]
    x = np.concatenate([flat["alpha"], flat["beta"], flat["effect"]], axis=1)
    eta = (known.arrays.design @ x.T).T.reshape(len(x), layout.E, -1)
    own = {
        name: values if name == "cutpoints" else values[:, 0]
        for name, values in flat.items()
        if name in ("cutpoints", "residual_sd", "dispersion", "sensitivity", "specificity") and values.size
    }
    log_lik = outcome.log_lik(eta, own)
    replicated = _replicates(outcome, eta, own, rng)
    observed = outcome.answers if outcome.kind in OF_ANSWERS else outcome.y
    if outcome.kind == "negative_binomial":
        log_lik, replicated, observed = (
            _by_cell(values, outcome.cell) for values in (log_lik, replicated, outcome.n * outcome.y)
        )
    if outcome.kind == "continuous":
        scale = data.facts["outcome_scale"]
        log_lik = log_lik - outcome.n * np.log(scale["sd"])
        replicated, observed = (scale["mean"] + scale["sd"] * values for values in (replicated, observed))
    variables = list(dict.fromkeys(v for term in data.facts["terms"] for v in term))
    labels, left_out = _labels(cells, variables, list(data.facts["predictors"])), ""
    if outcome.kind in OF_ANSWERS:
        labels = [f"{label}: {answer}" for label in labels for answer in data.facts["answers"]]
        left_out = "cell"
    return Predictive(
        unit="answer count" if left_out else "cell",
        labels=labels,
        observed=observed.ravel(),
        replicated=replicated.reshape(*shape, -1),
        log_lik=log_lik.reshape(*shape, -1),
        value=_value(spec),
        left_out=left_out,
    )


def _replicates(outcome: Outcome, eta: Array, own: dict[str, Array], rng: np.random.Generator) -> Array:
    """(draws, C), of answers (draws, C, A)."""
    n, one = outcome.n, eta[:, 0]
    size = n.astype(np.int64)
    if outcome.kind == "binary":
        return rng.binomial(size, special.expit(one))
    if outcome.kind == "tested":
        return rng.binomial(size, tested(one, own))
    if outcome.kind == "continuous":
        return rng.normal(one, own["residual_sd"][:, None] / np.sqrt(n))
    if outcome.kind in OF_ANSWERS:
        return rng.multinomial(size, outcome.shares(eta, own))
    mean = np.exp(one + outcome.log_exposure)
    if outcome.kind == "count":
        return rng.poisson(mean)
    # the sum of n such counts: gamma-Poisson with n times the shape
    shape = n / (own["dispersion"][:, None] + 1e-9)
    return rng.poisson(rng.gamma(shape, mean * n / shape))


def _by_cell(values: Array, cell: NDArray[np.int64]) -> Array:
    """Sums over the rows of each cell, along the last axis."""
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    return np.add.reduceat(values[..., order], starts, axis=-1)


def _value(spec: MrpAnalysis) -> str:
    column, kind = spec.outcome.column, spec.outcome.kind
    if kind == "binary":
        return f"yes answers ({column}: {spec.outcome.positive})"
    return {"continuous": "mean of {}", "count": "total of {}"}.get(
        kind, "respondents by answer to {}"
    ).format(column)


def _labels(cells: pd.DataFrame, variables: Sequence[str], predictors: Sequence[str]) -> list[str]:
    """The levels of each cell, with its predictors where those alone do not tell the cells apart."""
    if not variables and not predictors:
        return ["all"] * len(cells)
    labels = pd.Series([""] * len(cells), index=cells.index)
    if variables:
        labels = cells[list(variables)].agg(" / ".join, axis=1)
    if labels.duplicated().any():
        for name in predictors:
            what = (
                cells[name]
                if cells[name].dtype == object or cells[name].dtype == "str"
                else cells[name].map("{:g}".format)
            )
            labels = labels + (" / " if variables else "") + f"{name} " + what
    return labels.tolist()
