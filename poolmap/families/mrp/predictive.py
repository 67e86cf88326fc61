"""Replicated data and log likelihoods of the cells of the survey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import gammaln

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, Predictive
from poolmap.families.mrp.effects import parts as parts_of
from poolmap.families.mrp.links import inverse_logit
from poolmap.families.mrp.model import design_matrix, level_codes, terms

if TYPE_CHECKING:
    import xarray


def predictive(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated yes counts and the log likelihood of each cell of the survey."""
    cells, facts = data.tables["cells"], data.facts
    given = parts_of(spec, model, data, draws, rng)
    logit = given.alpha + given.beta[:, :, 0] @ design_matrix(spec, model, data, cells).T
    codes = level_codes(cells, len(terms(data)))
    for k, batch in enumerate(given.batches):
        logit += batch.draw(slice(None))[:, codes[:, k], 0, 0]
    yes, n = cells["yes"].to_numpy(), cells["n"].to_numpy()
    ways = gammaln(n + 1) - gammaln(yes + 1) - gammaln(n - yes + 1)
    log_lik = ways + yes * logit - n * np.logaddexp(0, logit)
    replicated = rng.binomial(n, inverse_logit(logit))
    variables = list(dict.fromkeys(v for term in facts["terms"] for v in term))
    shape = (*draws["alpha"].shape, len(cells))
    return Predictive(
        unit="cell",
        labels=_labels(cells, variables, list(facts["predictors"])),
        observed=yes,
        replicated=replicated.reshape(shape),
        log_lik=log_lik.reshape(shape),
        value=f"yes answers ({spec.outcome.column}: {spec.outcome.positive})",
    )


def _labels(cells: pd.DataFrame, variables: Sequence[str], predictors: Sequence[str]) -> list[str]:
    """The levels of each cell, with its predictors where those alone do not tell the cells apart."""
    labels = cells[list(variables)].agg(" / ".join, axis=1)
    if labels.duplicated().any():
        for name in predictors:
            labels = labels + cells[name].map(lambda value, name=name: f" / {name} {value:g}")
    return labels.tolist()
