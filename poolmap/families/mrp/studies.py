"""What validation studies and the survey say of a test: coordinates for the sampler (`stan/mrp/mrp.stan`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from poolmap.families.mrp.likelihood import Outcome, tested
from poolmap.families.mrp.marginal import bend_of, newton_step, spread
from poolmap.inference.prior_density import log_prior

Array = NDArray[np.float64]

ROUNDS = 10
MOST_FALSE = 0.5
"""Share of the positives that may be false where the search for the mode begins: the survey speaks, too."""


@dataclass(frozen=True, eq=False)
class Accuracy:
    """A test's hyperparameters: the sampler's coordinates of them.

    Attributes:
        at, scale: (H,), (H, H) mean and Cholesky factor of the covariance.
        bend, bend_at: (H,) as in `whitening.Approximation`.
        data: of the program: `study_logit`, `study_weight`, `pooled_sd`.
    """

    at: Array
    scale: Array
    bend: Array
    bend_at: Array
    data: Mapping[str, Any]


def pooled_accuracy(
    correct: tuple[Array, Array], of: tuple[Array, Array], outcome: Outcome
) -> dict[str, Array]:
    """Sensitivity and specificity by all studies together, the specificity such that not too many of the
    survey's positives are false."""
    a = np.array([c.sum() + 1 for c in correct])
    b = np.array([(o - c).sum() + 1 for c, o in zip(correct, of, strict=True)])
    sensitivity, specificity = a / (a + b)
    false = MOST_FALSE * (outcome.y.sum() + 0.5) / (outcome.n.sum() + 1)
    return {"sensitivity": sensitivity, "specificity": max(specificity, 1 - false)}


def accuracy(
    correct: tuple[Array, Array], of: tuple[Array, Array], between: str, priors: Mapping[str, Any]
) -> Accuracy:
    """Coordinates of a test's hyperparameters.

    Args:
        correct, of: correct answers and persons in the studies of sensitivity, and of specificity.
        between: `equal`: the two logits; or `varying`: of each of the two the mean and the log standard
            deviation, then the survey's logit and those of the studies.
        priors: as of `whitening.SurveyModel`.
    """
    if between == "equal":
        a = np.array([c.sum() + 1 for c in correct])
        b = np.array([(o - c).sum() + 1 for c, o in zip(correct, of, strict=True)])
        at, sd = (
            special.digamma(a) - special.digamma(b),
            np.sqrt(special.polygamma(1, a) + special.polygamma(1, b)),
        )
        unknown = np.zeros(sum(map(len, of)))
        data = {"study_logit": unknown, "study_weight": unknown, "pooled_sd": sd}
        return Accuracy(at, np.diag(sd), np.zeros(2), np.zeros(2), data)
    both = [_varying(c, o, priors) for c, o in zip(correct, of, strict=True)]
    rest = np.zeros(sum(len(o) + 1 for o in of))

    def of_means(name: int) -> Array:
        return np.concatenate([*([0.0, found[name]] for found in both), rest])

    scale = np.concatenate([*([1.0, found[1]] for found in both), rest + 1])
    data = {
        "study_logit": np.concatenate([found[4] for found in both]),
        "study_weight": np.concatenate([found[5] for found in both]),
        "pooled_sd": [1.0, 1.0],
    }
    return Accuracy(of_means(0), np.diag(scale), of_means(2), of_means(3), data)


def _varying(
    correct: Array, of: Array, priors: Mapping[str, Any]
) -> tuple[float, float, float, float, Array, Array]:
    """Of the log standard deviation mean, standard deviation and bend; logit and information of each study.

    The mode of the studies' logits given the standard deviation, and the standard deviation given the normal
    approximation of the studies there, in turn.
    """
    mean, precision = priors["test_mean_prior"][0], priors["test_mean_prior"][1] ** -2.0
    log_sd, step = np.zeros(1), np.full(1, 0.3)
    eta = special.logit((correct + 1) / (of + 2))
    for _ in range(ROUNDS):
        variance = np.exp(2 * log_sd[0])
        for _ in range(20):
            p = special.expit(eta)
            weight = of * p * (1 - p)
            logit = eta + (correct - of * p) / weight
            whole = weight / (1 + weight * variance)
            centre = (whole @ logit + precision * mean) / (whole.sum() + precision)
            eta = eta + np.clip((weight * variance * logit + centre) / (weight * variance + 1) - eta, -1, 1)

        def log_density(at: Array, weight: Array = weight, logit: Array = logit) -> float:
            whole = weight / (1 + weight * np.exp(2 * at[0]))
            middle = (whole @ logit + precision * mean) / (whole.sum() + precision)
            square = whole @ (logit - middle) ** 2 + precision * (mean - middle) ** 2
            prior = log_prior(priors["test_sd_prior_family"], priors["test_sd_prior"], float(np.exp(at[0])))
            determinant = np.log1p(weight * np.exp(2 * at[0])).sum() + np.log(whole.sum() + precision)
            return float(at[0] + prior - 0.5 * (square + determinant))

        log_sd, step = newton_step(log_density, log_sd, step)
    bend = bend_of(log_density, log_sd, np.ones(1, dtype=bool))
    at, scale = spread(lambda t: log_density(bend.bent(t)) + bend.log_jacobian(t), bend.straight(log_sd))
    return float(at[0]), float(scale[0, 0]), float(bend.strength[0]), float(bend.at[0]), logit, weight


def average(outcome: Outcome, eta: Array, own: Mapping[str, Array]) -> tuple[Array, dict[str, float]]:
    """The average linear predictor by which the share of positives is told.

    Args:
        outcome: of the cells; eta: (C,) their linear predictors at the mode; own: the test's accuracy there.

    Returns:
        (C,) weights of the cells, and the program's `average_at`, `average_offset`, `positive_at`,
        `positive_slope` and `positive_sd`.
    """
    weight = outcome.n * special.expit(eta)
    weight = weight / weight.sum()
    share = outcome.n @ special.expit(eta) / outcome.n.sum()
    false = special.logit(1 - own["specificity"])
    true = share * own["sensitivity"]
    positive = outcome.n @ tested(eta, {k: np.asarray(v) for k, v in own.items()}) / outcome.n.sum()
    at = float(weight @ eta)
    return weight, {
        "average_at": at,
        "average_offset": float(special.logit(share) - at),
        "positive_at": float(np.logaddexp(special.logit(true), false)),
        "positive_slope": float((1 - share) / (1 - true) * special.expit(special.logit(true) - false)),
        "positive_sd": float(np.sqrt((1 - positive) / (outcome.n.sum() * positive + 1))),
    }


WITHOUT = {
    "study_logit": [],
    "study_weight": [],
    "pooled_sd": [1.0, 1.0],
    "average_design": [],
    **dict.fromkeys(("average_at", "average_offset", "positive_at", "positive_slope"), 0.0),
    "positive_sd": 1.0,
}
"""The program's data where the outcome is not the result of a test."""
