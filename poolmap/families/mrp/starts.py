"""Where the search for a model's mode begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolmap.families.mrp.likelihood import Outcome
from poolmap.families.mrp.studies import pooled_accuracy

if TYPE_CHECKING:
    from poolmap.families.mrp.whitening import SurveyModel

Array = NDArray[np.float64]


def cutpoints_of(log_gaps: Array, pivot: int) -> Array:
    """Cutpoints with the pivot at 0 from the logs of the gaps between them."""
    whole = np.concatenate([[0.0], np.cumsum(np.exp(log_gaps))])
    return whole - whole[pivot]


def first_intercepts(outcome: Outcome) -> Array:
    """(E,) the intercepts of a model without anything else."""
    n, y = outcome.n, outcome.y
    if outcome.kind in ("binary", "tested"):
        return np.array([special.logit((y.sum() + 0.5) / (n.sum() + 1))])
    if outcome.kind == "continuous":
        return np.array([n @ y / n.sum()])
    if outcome.kind == "count":
        return np.array([np.log((y.sum() + 0.5) / np.exp(outcome.log_exposure).sum())])
    if outcome.kind == "negative_binomial":
        return np.array([np.log((n @ y + 0.5) / (n @ np.exp(outcome.log_exposure)))])
    share = outcome.answers.sum(axis=0) + 0.5
    share = share / share.sum()
    if outcome.kind == "ordered":
        return np.array([-special.logit(np.cumsum(share)[outcome.pivot])])
    return np.log(share[1:] / share[0])


def first_own(model: SurveyModel) -> dict[str, Array]:
    """The outcome's own parameters to begin with; those of a test from its validation studies."""
    outcome = model.outcome
    if outcome.kind == "negative_binomial":
        return {"dispersion": np.float64(0.3)}
    if outcome.kind == "ordered":
        share = outcome.answers.sum(axis=0) + 0.5
        below = special.logit(np.cumsum(share / share.sum())[:-1])
        return {"cutpoints": below - below[outcome.pivot]}
    if model.validation is not None:
        correct, of, _ = model.validation
        return pooled_accuracy(correct, of, outcome)
    return {}
