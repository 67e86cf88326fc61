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

LARGE = 20_000_000
"""Observations times draws up to which every draw is replicated and all is kept in double precision."""
REPLICATES = 1_000
"""Draws that are replicated beyond it. Log likelihoods, of all draws, are then kept in single precision:
wrong by less than a ten-millionth of themselves, which is nothing beside their scatter between draws."""
AT_ONCE = 2_000_000
"""Linear predictors worked out at once."""


def predictive(
    spec: MrpAnalysis,
    model: str,
    data: Dataset,
    draws: xarray.Dataset,
    rng: np.random.Generator,
    *,
    only: NDArray[np.bool_] | None = None,
) -> Predictive:
    """Replicates of what was observed in each cell of the survey, and the log likelihood of each cell.

    Observed are the number of yes answers, the mean, the total of a count, or the number of each answer
    (ordered, categorical: an observation for each cell and answer; leave-one-out leaves out cells). Memory is
    4 bytes for each cell and draw where these are many (`LARGE`).

    Args:
        spec, model, data: the analysis, the model's name and the data.
        draws: of the fit; rng: of the replicates.
        only: (cells,) the cells to tell of; all if None.
    """
    known = describe_model(spec, model, data)
    layout, outcome, design = known.arrays.layout, known.arrays.outcome, known.arrays.design
    cells = data.tables["cells"]
    if only is not None:
        rows = only[outcome.cell]
        outcome, design, cells = outcome.only(rows), design[np.tile(rows, layout.E)], cells[only]
    flat = joined(draws)
    shape = draws.sizes["chain"], draws.sizes["draw"]
    x = np.concatenate([flat["alpha"], flat["beta"], flat["effect"]], axis=1)
    own = {
        name: values if name == "cutpoints" else values[:, 0]
        for name, values in flat.items()
        if name in ("cutpoints", "residual_sd", "dispersion", "sensitivity", "specificity") and values.size
    }
    observed = outcome.answers.ravel() if outcome.kind in OF_ANSWERS else outcome.y
    if outcome.kind == "negative_binomial":
        observed = _by_cell(outcome.n * outcome.y, outcome.cell)
    kept = _replicated(shape, len(observed))
    large = kept is not None
    chosen = np.tile(np.isin(np.arange(shape[1]), kept) if large else np.ones(shape[1], bool), shape[0])
    log_lik = np.empty((len(x), len(cells)), dtype=np.float32 if large else np.float64)
    whole = np.int32 if large else np.int64
    real = outcome.kind == "continuous"
    replicated = np.empty((chosen.sum(), len(observed)), dtype=log_lik.dtype if real else whole)
    done = 0
    step = max(1, AT_ONCE // max(layout.E * len(outcome.n), outcome.answers.size, 1))
    for start in range(0, len(x), step):
        some = slice(start, start + step)
        eta = (design @ x[some].T).T.reshape(-1, layout.E, len(outcome.n))
        part = {name: values[some] for name, values in own.items()}
        densities, at = outcome.log_lik(eta, part), chosen[some]
        part = {name: values[at] for name, values in part.items()}
        new = _replicates(outcome, eta[at], part, rng)
        if outcome.kind == "negative_binomial":
            densities, new = _by_cell(densities, outcome.cell), _by_cell(new, outcome.cell)
        log_lik[some] = densities
        replicated[done : done + len(new)] = new.reshape(len(new), len(observed))
        done += len(new)
    if real:
        scale = data.facts["outcome_scale"]
        log_lik -= outcome.n * np.log(scale["sd"])
        replicated *= scale["sd"]
        replicated += scale["mean"]
        observed = scale["mean"] + scale["sd"] * observed
    variables = list(dict.fromkeys(v for term in data.facts["terms"] for v in term))
    labels, left_out = _labels(cells, variables, list(data.facts["predictors"])), ""
    if outcome.kind in OF_ANSWERS:
        labels = [f"{label}: {answer}" for label in labels for answer in data.facts["answers"]]
        left_out = "cell"
    return Predictive(
        unit="answer count" if left_out else "cell",
        labels=labels,
        observed=observed,
        replicated=replicated.reshape(shape[0], -1, len(observed)),
        log_lik=log_lik.reshape(*shape, -1),
        value=_value(spec),
        left_out=left_out,
        replicated_draws=kept,
    )


def _replicated(shape: tuple[int, int], observations: int) -> NDArray[np.int64] | None:
    """The draws of each chain that are replicated, evenly spaced; None for all."""
    chains, draws = shape
    if chains * draws * observations <= LARGE:
        return None
    return np.linspace(0, draws - 1, min(draws, max(REPLICATES // chains, 1))).round().astype(np.int64)


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
