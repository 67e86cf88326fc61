"""A normal approximation of a model's posterior: the coordinates in which Stan samples (`stan/mrp/mrp.stan`).

For given hyperparameters the effects are approximately normal about their mode. Mode, working weights and the
hyperparameters' own mode are found in turn (penalised quasi-likelihood: Breslow, Clayton 1993, JASA 88:9-25),
then the hyperparameters' spread from the curvature of their approximate marginal density. Nothing that is
reported rests on it: it only decides where the sampler starts and how its coordinates are scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, optimize, sparse

from poolmap.families.mrp.hyper import Array, prior_precision
from poolmap.families.mrp.layout import Layout
from poolmap.families.mrp.likelihood import Outcome
from poolmap.families.mrp.marginal import bend_of, newton_step, spread
from poolmap.families.mrp.starts import cutpoints_of, first_intercepts, first_own
from poolmap.families.mrp.studies import WITHOUT, accuracy, average
from poolmap.graph.scaling import factorise
from poolmap.inference.prior_density import log_prior

ROUNDS = 12
DENSE = 0.2  # share of entries; beyond, the factor of the precision is worked out as a full matrix


@dataclass(frozen=True, eq=False)
class SurveyModel:
    """One model of a survey in arrays.

    Attributes:
        layout: what is sampled.
        design: (E C, N) linear predictors from x.
        outcome: of the cells.
        priors: `<name>_prior_family` and `<name>_prior` of alpha, beta, sigma, rho, correlation, own,
            test_mean and test_sd, and `lkj`.
        validation: of a test: correct answers and persons, (2, studies) each of sensitivity and specificity;
            `varying` or `equal`.
    """

    layout: Layout
    design: sparse.csr_array
    outcome: Outcome
    priors: Mapping[str, Any]
    validation: tuple[Array, Array, str] | None = None

    @property
    def batch_hyper(self) -> int:
        """The number of hyperparameters of all batches of all predictors."""
        return self.layout.E * sum(batch.hyperparameters for batch in self.layout.batches)


@dataclass(frozen=True, eq=False)
class Approximation:
    """Coordinates for the sampler.

    Attributes:
        information: (N, N) of the data in x at the mode; of a continuous outcome with residual_sd 1.
        shift_data, shift_prior: (N,) the mode is precision^-1 (shift_data + shift_prior).
        precision_prior: (N,) of the normals that stand in for the priors of alpha and beta; 0 for effects.
        hyper_at, hyper_scale: (H,), (H, H) mean and Cholesky factor of the covariance of the hyperparameters,
            those that are bent before they are bent.
        bend, bend_at: (H,) of `Bend`; 0 where a hyperparameter is not bent.
        test: the program's data on validation studies and the share of positives (`studies`).
    """

    information: sparse.csc_array
    shift_data: Array
    shift_prior: Array
    precision_prior: Array
    hyper_at: Array
    hyper_scale: Array
    bend: Array
    bend_at: Array
    test: Mapping[str, Any]


def approximate(model: SurveyModel) -> Approximation:
    """The approximation of one model's posterior."""
    mode = _Mode(model)
    hyper, step = mode.start(), np.full(mode.free, 0.3)
    for _ in range(ROUNDS):
        mode.settle(hyper)
        new, step = newton_step(mode.log_density, hyper, step)
        moved = np.abs(new - hyper).max(initial=0.0)
        hyper = new
        if moved < 0.02:
            break
    mode.settle(hyper)
    bend = bend_of(mode.log_density, hyper, mode.log_sigmas())
    at, scale = spread(lambda t: mode.log_density(bend.bent(t)) + bend.log_jacobian(t), bend.straight(hyper))
    own_at, own_scale = mode.own_spread()
    own_bend = own_bend_at = np.zeros(len(own_at))
    test = WITHOUT
    if model.validation is not None:
        studies = accuracy(*model.validation, model.priors)
        own_at, own_scale, own_bend, own_bend_at = studies.at, studies.scale, studies.bend, studies.bend_at
        weight, known = average(model.outcome, mode.eta(mode.x), mode.own)
        test = {**studies.data, **known, "average_design": model.design.T @ weight}
    return Approximation(
        information=mode.information,
        shift_data=mode.shift,
        shift_prior=mode.prior_shift,
        precision_prior=mode.prior_weight,
        hyper_at=np.concatenate([at, own_at]),
        hyper_scale=_block_diagonal(scale, own_scale),
        bend=np.concatenate([bend.strength, own_bend]),
        bend_at=np.concatenate([bend.at, own_bend_at]),
        test=test,
    )


class _Mode:
    """The mode of x for given hyperparameters, and the density that is left of them; starts from the last."""

    def __init__(self, model: SurveyModel) -> None:
        self.model = model
        layout, outcome = model.layout, model.outcome
        self.is_continuous = outcome.kind == "continuous"
        self.free = model.batch_hyper + self.is_continuous
        self.matrices = layout.matrices()
        self.prior_mean, self.prior_weight = self._coefficient_priors()
        self.prior_shift = self.prior_mean * self.prior_weight
        self.own = first_own(model)
        self.design, self.outside = _without_intercept(layout, model.design)
        self.x = np.zeros(layout.length)
        self.x[: layout.E] = first_intercepts(outcome)
        for e in range(layout.E):
            self.x[layout.floating(e) + layout.E * (1 + layout.P)] = self.x[e]
        self.information: sparse.csc_array
        self.shift: Array
        self._work()
        self._pattern()

    def start(self) -> Array:
        layout, found = self.model.layout, []
        for _ in range(layout.E):
            for batch in layout.batches:
                begin = np.zeros(batch.hyperparameters)
                begin[: batch.effects] = np.log(0.4)
                found.append(begin)
        if self.is_continuous:
            outcome = self.model.outcome
            left = outcome.within_ss.sum() / max(outcome.n.sum() - len(outcome.n), 1)
            found.append(np.array([0.5 * np.log(left) if left > 0 else -0.2]))
        return np.concatenate([*found, np.empty(0)])

    def log_sigmas(self) -> np.ndarray:
        """Which of the hyperparameters are logs of standard deviations of effects."""
        layout, found = self.model.layout, []
        for _ in range(layout.E):
            for batch in layout.batches:
                found.append(np.arange(batch.hyperparameters) < batch.effects)
        return np.concatenate([*found, np.zeros(int(self.is_continuous), dtype=bool)])

    def settle(self, hyper: Array) -> None:
        """Moves x to its mode, and the outcome's own parameters with it."""
        for _ in range(25):
            scalars = self._scalars(hyper)[0]
            new = self._solve(scalars)[0]
            eta = self.eta(new) - self.eta(self.x)
            furthest = float(np.abs(eta).max())
            self.x = self.x + (new - self.x) * min(1.0, 3.0 / max(furthest, 1e-300))
            self._own_step()
            self._work()
            if furthest < 1e-4 or self.is_continuous:
                break

    def eta(self, x: Array) -> Array:
        """The linear predictors; cells outside a large field have the mean of the field for intercept."""
        return self.design @ x + self.outside @ x

    def log_density(self, hyper: Array) -> float:
        """Approximate log posterior density of the hyperparameters, at the present weights."""
        try:
            scalars, constant = self._scalars(hyper)
            x, log_det = self._solve(scalars)
        except (ArithmeticError, RuntimeError, np.linalg.LinAlgError):
            return -np.inf
        shift = scalars[0] * self.shift + self.prior_shift
        found = constant + 0.5 * float(shift @ x) - 0.5 * log_det
        return found if np.isfinite(found) else -np.inf

    def _scalars(self, hyper: Array) -> tuple[Array, float]:
        """c_j of the information, the coefficients' priors and the batches; what else depends on them."""
        model, values, constant, at = self.model, [np.ones(2)], 0.0, 0
        for _ in range(model.layout.E):
            for batch in model.layout.batches:
                part = prior_precision(batch, hyper[at : at + batch.hyperparameters], model.priors)
                at += batch.hyperparameters
                values.append(part.scalars)
                constant += part.half_log_det + part.log_prior
        scalars = np.concatenate(values)
        if self.is_continuous:
            outcome, log_sd = model.outcome, hyper[-1]
            scalars[0] = np.exp(-2 * log_sd)
            square = outcome.within_ss.sum() + outcome.n @ outcome.y**2
            prior = log_prior(model.priors["own_prior_family"], model.priors["own_prior"], np.exp(log_sd))
            constant += -outcome.n.sum() * log_sd - 0.5 * scalars[0] * square + log_sd + prior
        return scalars, constant

    def _solve(self, scalars: Array) -> tuple[Array, float]:
        """Mode of x and log determinant of the precision at the present weights."""
        shift = scalars[0] * self.shift + self.prior_shift
        data = self._values @ scalars
        N = len(self.x)
        if self._dense:
            dense = np.zeros((N, N))
            dense[self._rows, self._columns] = data
            L = linalg.cholesky(dense, lower=True, overwrite_a=True, check_finite=False)
            x = linalg.cho_solve((L, True), shift, check_finite=False)
            return x, 2 * float(np.log(np.diag(L)).sum())
        matrix = sparse.csc_array((data, self._rows, self._starts), shape=(N, N))
        factor = factorise(matrix)
        with np.errstate(invalid="ignore"):  # not finite where the precision has lost its definiteness
            return factor.solve(shift), float(np.log(factor.U.diagonal()).sum())

    def _pattern(self) -> None:
        E = self.model.layout.E
        C = self.design.shape[0] // E
        # not that of the information, in which an entry may happen to be 0 at present
        of_cells = sum(abs(self.design).tocsr()[start : start + C] for start in range(0, E * C, C))
        whole = of_cells.T @ of_cells + sparse.eye_array(len(self.x))
        for matrix in self.matrices:
            whole = whole + abs(matrix)
        whole = whole.tocsc()
        whole.sort_indices()
        self._starts, self._rows = whole.indptr, whole.indices
        self._dense = whole.nnz > DENSE * len(self.x) ** 2
        self._columns = np.repeat(np.arange(len(self.x)), np.diff(whole.indptr))
        fixed = [self.information, sparse.diags_array(self.prior_weight), *self.matrices]
        self._values = np.column_stack([self._on_pattern(matrix) for matrix in fixed])

    def _on_pattern(self, matrix: sparse.sparray) -> Array:
        N = len(self.x)
        entries = matrix.tocoo()
        place = np.searchsorted(
            self._columns.astype(np.int64) * N + self._rows, entries.col.astype(np.int64) * N + entries.row
        )
        found = np.zeros(len(self._rows))
        np.add.at(found, place, entries.data)
        return found

    def _work(self) -> None:
        """Information and shift of the data at x."""
        model = self.model
        E, D = model.layout.E, self.design
        eta = self.eta(self.x)
        slope, weight = model.outcome.derivatives(eta.reshape(E, -1), self.own)
        blocks = [[sparse.diags_array(weight[e, f]) for f in range(E)] for e in range(E)]
        W = sparse.block_array(blocks).tocsr()
        self.information = (D.T @ (W @ D)).tocsc()
        self.shift = D.T @ (W @ (D @ self.x) + slope.ravel())
        if hasattr(self, "_values"):
            self._values[:, 0] = self._on_pattern(self.information)

    def _coefficient_priors(self) -> tuple[Array, Array]:
        """Mean and precision of the normals that stand in for the priors of alpha and beta, 0 for effects."""
        layout, priors = self.model.layout, self.model.priors
        mean, weight = np.zeros(layout.length), np.zeros(layout.length)
        for name, where in (
            ("alpha", slice(0, layout.E)),
            ("beta", slice(layout.E, layout.E * (1 + layout.P))),
        ):
            location, scale, _ = priors[f"{name}_prior"]
            wide = 1.8 if priors[f"{name}_prior_family"] == 10 else 1.0
            mean[where], weight[where] = location, 1 / (wide * scale) ** 2
        if self.model.outcome.kind == "ordered":
            mean[0] = -mean[0]
        return mean, weight

    def _own_step(self) -> None:
        """The outcome's own parameters at the present linear predictor."""
        log_lik, at = self._own_density()
        if len(at):
            self._set_own(optimize.minimize(lambda own: -log_lik(own), at, method="BFGS").x)

    def own_spread(self) -> tuple[Array, Array]:
        """Mean and Cholesky factor of the covariance of the outcome's own hyperparameters."""
        log_lik, at = self._own_density()
        return spread(log_lik, at) if len(at) else (at, np.zeros((0, 0)))

    def _own_density(self) -> tuple[Callable[[Array], float], Array]:
        model = self.model
        outcome, priors = model.outcome, model.priors
        eta = self.eta(self.x).reshape(model.layout.E, -1)
        if outcome.kind == "negative_binomial":

            def dispersed(at: Array) -> float:
                dispersion = np.exp(np.clip(at, -12, 12))
                prior = log_prior(priors["own_prior_family"], priors["own_prior"], float(dispersion[0]))
                return float(outcome.log_lik(eta, {"dispersion": dispersion[0]}).sum() + prior + at[0])

            return dispersed, np.log(self.own["dispersion"]) * np.ones(1)
        if outcome.kind == "ordered":

            def ordered(at: Array) -> float:
                cutpoints = cutpoints_of(np.clip(at, -12, 5), outcome.pivot)
                return float(outcome.log_lik(eta, {"cutpoints": cutpoints}).sum() + at.sum())

            return ordered, np.log(np.diff(self.own["cutpoints"]))
        return lambda _: 0.0, np.empty(0)

    def _set_own(self, at: Array) -> None:
        if self.model.outcome.kind == "ordered":
            self.own = {"cutpoints": cutpoints_of(np.clip(at, -12, 5), self.model.outcome.pivot)}
        else:
            self.own = {"dispersion": np.exp(np.clip(at[0], -12, 12))}


def _without_intercept(layout: Layout, design: sparse.csr_array) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The design without the intercept that a large field has, and the field's mean for cells outside of it;
    without such a field the design as it is."""
    rows, length = design.shape
    outside = sparse.csr_array((rows, length))
    if not len(layout.floating(0)):
        return design, outside
    keep = np.ones(length)
    keep[: layout.E] = 0
    for e in range(layout.E):
        at = layout.floating(e) + layout.E * (1 + layout.P)
        of_e = design[:, [e]].toarray().ravel() != 0
        left = np.flatnonzero(of_e & (np.asarray(design[:, at].sum(axis=1)).ravel() == 0))
        if len(left):
            where = (np.repeat(left, len(at)), np.tile(at, len(left)))
            outside = outside + sparse.csr_array(
                (np.full(len(where[0]), 1 / len(at)), where), shape=design.shape
            )
    return (design @ sparse.diags_array(keep)).tocsr(), outside


def _block_diagonal(first: Array, second: Array) -> Array:
    return sparse.block_diag([first, second]).toarray() if len(first) and len(second) else (
        first if len(first) else second
    )  # fmt: skip
