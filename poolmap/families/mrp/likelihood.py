"""The outcome of a survey, cell by cell: its likelihood, and working weights of its normal approximation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from poolmap.contracts import Dataset

Array = NDArray[np.float64]

CODES = {
    "binary": 1,
    "continuous": 2,
    "count": 3,
    "negative_binomial": 4,
    "ordered": 5,
    "categorical": 6,
    "tested": 7,
}
"""Codes of `mrp.stan`; `tested`: a binary outcome that is the result of a test with errors."""

OF_ANSWERS = ("ordered", "categorical")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was answered in each cell (negative binomial: in each distinct row).

    Attributes:
        kind: a key of `CODES`.
        n: (C,) respondents.
        y: (C,) yes answers, totals of a count, the count itself (negative binomial), or the mean of a
            continuous outcome.
        within_ss: (C,) sum of squares about the mean of the cell (continuous).
        log_exposure: (C,) of counts.
        of_each: (C,) log probability of the respondents' counts given their total (Poisson counts), so that
            the density is of the same data as that of other likelihoods.
        answers: (C, A) respondents by answer (ordered, categorical).
        cell: (C,) row of the table `cells` that each belongs to.
    """

    kind: str
    n: Array
    y: Array
    within_ss: Array
    log_exposure: Array
    of_each: Array
    answers: Array
    cell: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> Outcome:
        """The outcome of some of the cells (of the rows); `cell` keeps its numbers."""
        names = ("n", "y", "within_ss", "log_exposure", "of_each", "answers", "cell")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    @property
    def predictors(self) -> int:
        """The number of linear predictors."""
        return self.answers.shape[1] - 1 if self.kind == "categorical" else 1

    @property
    def pivot(self) -> int:
        """Number (from 0) of the cutpoint that stands in for the intercept (ordered)."""
        share = self.answers.sum(axis=0) / self.answers.sum()
        return int(np.argmin(np.abs(np.cumsum(share)[:-1] - 0.5)))

    def log_lik(self, eta: Array, own: dict[str, Array]) -> Array:
        """(..., C) log likelihood of each cell, with all constants: of a count that of each respondent's.

        Args:
            eta: (..., E, C) linear predictors.
            own: `residual_sd`, `dispersion`, `sensitivity`, `specificity` (...,), `cutpoints` (..., A - 1).
        """
        one = eta[..., 0, :]
        n, y = self.n, self.y
        if self.kind == "binary":
            return _ways(y, n) + y * one - n * np.logaddexp(0, one)
        if self.kind == "tested":
            p = tested(one, own)
            return _ways(y, n) + special.xlogy(y, p) + special.xlog1py(n - y, -p)
        if self.kind == "continuous":
            sd = own["residual_sd"][..., None]
            return (
                -n * (np.log(sd) + 0.5 * np.log(2 * np.pi))
                - 0.5 * (self.within_ss + n * (y - one) ** 2) / sd**2
            )
        if self.kind == "count":
            log_mean = one + self.log_exposure
            return y * log_mean - np.exp(log_mean) - special.gammaln(y + 1) + self.of_each
        if self.kind == "negative_binomial":
            size = 1 / (own["dispersion"][..., None] + 1e-9)
            log_mean = one + self.log_exposure
            log_total = np.logaddexp(log_mean, np.log(size))
            return n * (
                special.gammaln(y + size)
                - special.gammaln(size)
                - special.gammaln(y + 1)
                + size * (np.log(size) - log_total)
                + y * (log_mean - log_total)
            )
        ways = special.gammaln(n + 1) - special.gammaln(self.answers + 1).sum(axis=1)
        return ways + special.xlogy(self.answers, self.shares(eta, own)).sum(axis=-1)

    def shares(self, eta: Array, own: dict[str, Array]) -> Array:
        """(..., C, A) probability of each answer (ordered, categorical)."""
        return shares(self.kind, eta, own)

    def derivatives(self, eta: Array, own: dict[str, Array]) -> tuple[Array, Array]:
        """Slope (E, C) and expected information (E, E, C) of the log likelihood in eta (E, C).

        Of a continuous outcome both are those with `residual_sd` 1.
        """
        one, n, y = eta[0], self.n, self.y
        if self.kind == "binary":
            p = special.expit(one)
            slope, weight = y - n * p, n * p * (1 - p)
        elif self.kind == "tested":
            p, pr = special.expit(one), tested(one, own)
            change = (own["sensitivity"] + own["specificity"] - 1) * p * (1 - p)
            slope, weight = (y / pr - (n - y) / (1 - pr)) * change, n * change**2 / (pr * (1 - pr))
        elif self.kind == "continuous":
            slope, weight = n * (y - one), n
        elif self.kind in ("count", "negative_binomial"):
            mean = np.exp(one + self.log_exposure)
            if self.kind == "count":
                slope, weight = y - mean, mean
            else:
                shrunk = 1 + own["dispersion"] * mean
                slope, weight = n * (y - mean) / shrunk, n * mean / shrunk
        elif self.kind == "ordered":
            p = np.maximum(self.shares(eta, own), 1e-12)
            density = special.expit(one[:, None] - own["cutpoints"])
            density = density * (1 - density)
            none = np.zeros((len(one), 1))
            change = np.hstack([none, density]) - np.hstack([density, none])
            slope = (self.answers * change / p).sum(axis=1)
            weight = n * (change**2 / p).sum(axis=1)
        else:
            p = self.shares(eta, own)[:, 1:].T
            weight = n * (np.eye(self.predictors)[:, :, None] * p - p[:, None] * p[None])
            return self.answers[:, 1:].T - n * p, weight
        return slope[None], weight[None, None]


def shares(kind: str, eta: Array, own: dict[str, Array]) -> Array:
    """(..., rows, A) probability of each answer (ordered, categorical); eta is (..., E, rows)."""
    if kind == "categorical":
        logits = np.concatenate([np.zeros_like(eta[..., :1, :]), eta], axis=-2)
        return np.moveaxis(special.softmax(logits, axis=-2), -2, -1)
    below = special.expit(own["cutpoints"][..., None, :] - eta[..., 0, :, None])
    edge = np.ones((*below.shape[:-1], 1))
    return np.diff(np.concatenate([0 * edge, below, edge], axis=-1), axis=-1)


def tested(eta: Array, own: dict[str, Array]) -> Array:
    """Probability of a positive test where the logit of the prevalence is eta (..., rows)."""
    sensitivity, specificity = (np.asarray(own[k])[..., None] for k in ("sensitivity", "specificity"))
    return special.expit(eta) * (sensitivity + specificity - 1) + 1 - specificity


def _ways(y: Array, n: Array) -> Array:
    return special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)


def _of_each(rows: pd.DataFrame, total: Array, log_exposure: Array) -> Array:
    """(C,) log multinomial probability of the counts of each cell's respondents, from the table `rows`."""
    n, y, exposure = (rows[name].to_numpy(dtype=np.float64) for name in ("n", "y", "exposure"))
    own = n * (y * np.log(exposure) - special.gammaln(y + 1))
    return np.bincount(rows["cell"], own, len(total)) + special.gammaln(total + 1) - total * log_exposure


def outcome_of(kind: str, data: Dataset) -> Outcome:
    """The outcome from the tables `cells` (negative binomial: `rows`), a continuous one standardised."""
    cells = data.tables["cells"]
    rows = data.tables["rows"] if kind == "negative_binomial" else cells
    C = len(rows)
    zero = np.zeros(C)

    def column(name: str) -> Array:
        return rows[name].to_numpy(dtype=np.float64)

    values: dict[str, Any] = {name: zero for name in ("y", "within_ss", "log_exposure", "of_each")}
    values["answers"] = np.zeros((C, 0))
    if kind in ("binary", "tested"):
        values["y"] = column("yes")
    elif kind == "continuous":
        scale = data.facts["outcome_scale"]
        values["y"] = (column("mean") - scale["mean"]) / scale["sd"]
        values["within_ss"] = column("within_ss") / scale["sd"] ** 2
    elif kind == "count":
        values |= {"y": column("total"), "log_exposure": np.log(column("exposure"))}
        values["of_each"] = _of_each(data.tables["rows"], values["y"], values["log_exposure"])
    elif kind == "negative_binomial":
        values |= {"y": column("y"), "log_exposure": np.log(column("exposure"))}
    else:
        answers = len(data.facts["answers"])
        values["answers"] = np.column_stack([column(f"n_{a}") for a in range(answers)])
    cell = column("cell").astype(np.int64) if kind == "negative_binomial" else np.arange(C)
    return Outcome(kind=kind, n=column("n"), cell=cell, **values)
