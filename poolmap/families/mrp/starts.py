"""Where the search for a model's mode begins, and what validation studies say of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolmap.families.mrp.likelihood import Outcome

if TYPE_CHECKING:
    from poolmap.families.mrp.whitening import SurveyModel

Array = NDArray[np.float64]

TEST_MEAN_SD = 0.5


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
        a = np.array([c.sum() + 1 for c in correct])
        b = np.array([(o - c).sum() + 1 for c, o in zip(correct, of, strict=True)])
        return dict(zip(("sensitivity", "specificity"), a / (a + b), strict=True))
    return {}


def test_spread(model: SurveyModel) -> tuple[Array, Array]:
    """Mean and Cholesky factor of the covariance of a test's hyperparameters, from its validation studies."""
    correct, of, between = model.validation
    a = np.array([c.sum() + 1 for c in correct])
    b = np.array([(o - c).sum() + 1 for c, o in zip(correct, of, strict=True)])
    at = special.digamma(a) - special.digamma(b)
    if between == "equal":
        return at, np.diag(np.sqrt(special.polygamma(1, a) + special.polygamma(1, b)))
    studies = sum(len(c) + 1 for c in correct)
    centre = np.array([at[0], np.log(0.6), at[1], np.log(0.6)])
    spread = np.array([TEST_MEAN_SD, 0.6, TEST_MEAN_SD, 0.6])
    return np.concatenate([centre, np.zeros(studies)]), np.diag(np.concatenate([spread, np.ones(studies)]))
