"""The marginal posterior of each area without sampling: a deterministic approximation.

Nested Laplace approximation (Rue, Martino, Chopin 2009, JRSS B 71:319-392): the hyperparameters are summed
over a grid; for each point of it the linear predictor is taken to be normal. That normal distribution is not
the one at the mode, whose mean is wrong where counts are small, but the one closest to the posterior
(variational: Opper, Archambeau 2009, Neural Computation 21:786-792). It serves to refit a model on other
graphs; what is reported of the model itself comes from Stan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from poolmap.families.areas.approximation import Approximation, calibrated
from poolmap.families.areas.arrays import INTRINSIC, MapModel
from poolmap.families.areas.hyperparameters import natural
from poolmap.families.areas.lattice import APART, Place, lattice, weights
from poolmap.families.areas.mode import (
    FieldSolver,
    Mode,
    linear_prior,
    precision_parts,
    unstructured_variance,
)
from poolmap.graph.scaling import inverse_diagonals

Array = NDArray[np.float64]

_ROUNDS = 2
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class Marginals:
    """The linear predictor of each area as a mixture of normal distributions.

    Attributes:
        weight: (g,) of each point of the grid of hyperparameters; they sum to 1.
        mean, sd: (g, n).
        hyper: (g,) of each hyperparameter, on its natural scale, by name.
    """

    weight: Array
    mean: Array
    sd: Array
    hyper: dict[str, Array]

    def exceedance(self, threshold: float) -> Array:
        """(n,) posterior probability that the linear predictor is above the threshold."""
        return self.weight @ special.ndtr((self.mean - threshold) / self.sd)

    def mean_exp(self) -> Array:
        """(n,) posterior mean of exp of the linear predictor."""
        return self.weight @ np.exp(self.mean + self.sd**2 / 2)

    def mean_hyper(self, name: str) -> float:
        """Posterior mean of a hyperparameter on its natural scale."""
        return float(self.weight @ self.hyper[name])


def marginals(model: MapModel, frame: Approximation) -> Marginals:
    """The marginal posterior of the linear predictor of each area.

    Args:
        model: the model.
        frame: approximate mean and covariance of the hyperparameters, of this model or of one like it (the
            same on another graph): the grid is laid along it and followed as far as there is density.

    Covariates with errors are at their mean given what was observed (`approximation.calibrated`).
    """
    mode = Mode(calibrated(model) if model.measured else model)
    points, heights, modes = _grid(mode, frame)
    weight = weights(np.array(heights))
    kept = weight > 1e-4 * weight.max()
    fits = [_Fit(mode, point, eta) for point, eta, keep in zip(points, modes, kept, strict=True) if keep]
    _closest(fits)
    weight = weight[kept] / weight[kept].sum()
    hyper = {name: np.array([fit.values[name] for fit in fits]) for name in model.hyper_names}
    return Marginals(
        weight, np.array([fit.mean for fit in fits]), np.sqrt(np.array([fit.variance for fit in fits])), hyper
    )


def _grid(mode: Mode, frame: Approximation) -> tuple[list[Array], list[float], list[Array]]:
    """Points of the lattice; their log density and mode of eta."""
    points: dict[Place, Array] = {}
    modes: dict[Place, Array] = {}
    start = mode.eta

    def height(place: Place, near: Place | None) -> float:
        mode.eta = start if near is None else modes[near]
        points[place] = frame.grid_at + frame.grid_scale @ (APART * np.array(place))
        found = mode.log_density(points[place])
        modes[place] = mode.eta
        return found

    found = lattice(height, len(frame.grid_at))
    return [points[place] for place in found], list(found.values()), [modes[place] for place in found]


class _Fit:
    """A normal distribution of the linear predictor for given hyperparameters."""

    def __init__(self, mode: Mode, hyper: Array, eta: Array) -> None:
        self.mode, self.model = mode, mode.model
        model, field = self.model, self.model.field
        named = dict(zip(model.hyper_names, hyper, strict=True))
        likelihood = model.observed.likelihood
        self.values = {name: natural(name, likelihood, value) for name, value in named.items()}
        sigma, rho = self.values["sigma"], self.values.get("rho", 0.0)
        self.rest = (self.values.get("dispersion", 0.0), self.values.get("zero", 0.0))
        n = len(model.X)
        self.a, self.c = precision_parts(model.effects, sigma, rho, field.degree)
        self.s2 = unstructured_variance(model, sigma, rho)
        self.mean, self.variance = eta, np.zeros(n)

    def improve(self) -> None:
        """A Newton step towards the closest normal distribution, its variance as it is."""
        model, at = self.model, self.model.field.nodes
        W, r = self._expected()
        self._W = W
        D = W / (1 + self.s2 * W)
        X = self.mode.design
        DX = D[:, None] * X
        prior_mean, prior_precision = linear_prior(model, self.values.get("sigma_region"))
        K = X.shape[1]
        answers = np.empty((0, K + 1))
        self.solver = None
        if len(at):
            precision = (self.a * model.field.matrix + sparse.diags_array(self.c + D[at])).tocsc()
            self.solver = FieldSolver(precision, model.field.component, model.effects in INTRINSIC)
            answers = self.solver.solve(np.column_stack([DX[at], (D * r)[at]]))
        of_beta = X.T @ DX - DX[at].T @ answers[:, :-1] + np.diag(prior_precision)
        right = X.T @ (D * r) - DX[at].T @ answers[:, -1] + prior_precision * prior_mean
        beta = np.linalg.solve(of_beta, right)
        fixed = X @ beta
        fixed[at] += answers[:, -1] - answers[:, :-1] @ beta
        self._slope = X.copy()
        self._slope[at] -= answers[:, :-1]
        self._of_beta = of_beta
        shrunk = self.s2 * W / (1 + self.s2 * W)
        new = fixed + shrunk * (r - fixed)
        self.change = float(np.abs(new - self.mean).max())
        linear = model.observed.likelihood == "normal"
        self.mean = new if linear else self.mean + np.clip(new - self.mean, -2, 2)

    def spread(self, inverse_diagonal: Array) -> None:
        """Take the variance of the last step, given the diagonal of the inverse of the field's precision."""
        at = self.model.field.nodes
        variance = np.sum((self._slope @ np.linalg.inv(self._of_beta)) * self._slope, axis=1)
        if self.solver is not None:
            variance[at] += inverse_diagonal
            if self.model.effects in INTRINSIC:
                variance[at] -= self.solver.base**2 / self.solver.total[self.model.field.component]
        shrink = 1 / (1 + self.s2 * self._W)
        self.variance = self.s2 * shrink + shrink**2 * variance

    def _expected(self) -> tuple[Array, Array]:
        """Working weights and responses from the expected slope and curvature of the log likelihood."""
        model = self.model
        if model.observed.likelihood == "normal":
            return self.mode.exact_working(self.mean)
        W, r = np.zeros_like(self.mean), np.zeros_like(self.mean)
        rows = model.rows
        eta = self.mean[rows] + np.sqrt(self.variance[rows]) * _NODES[:, None]
        slopes, bends = model.observed.derivatives(eta, *self.rest)
        slope, weight = _WEIGHTS @ slopes, np.maximum(_WEIGHTS @ -bends, 1e-4)
        W[rows] = weight
        r[rows] = self.mean[rows] + slope / weight
        self.mode.fill_empty(W, r, self.mean)
        return W, r


def _closest(fits: Sequence[_Fit]) -> None:
    """The closest normal distribution at each point: means for given variances and variances in turn."""
    for _ in range(_ROUNDS):
        for fit in fits:
            for _ in range(8):
                fit.improve()
                if fit.change < 1e-4:
                    break
        solvers = [fit.solver for fit in fits]
        if solvers[0] is None:
            diagonals = [np.empty(0)] * len(fits)
        else:
            diagonals = inverse_diagonals([solver.factor for solver in solvers])
        for fit, diagonal in zip(fits, diagonals, strict=True):
            fit.spread(diagonal)
