"""The mode of the effects of a map for given hyperparameters, and what is left of the density there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from poolmap.families.areas.arrays import INTRINSIC, Field, MapModel
from poolmap.families.areas.hyperparameters import log_jacobian, log_prior, natural
from poolmap.graph.scaling import factorise

Array = NDArray[np.float64]

_LEAST_WEIGHT = 1e-4


@dataclass(frozen=True, eq=False)
class State:
    """The normal approximation at the mode of the effects.

    Attributes:
        W, r: (n,) working weights and responses.
        D: (n,) weights when the unstructured effects are integrated out.
        beta: (K + G,) coefficients: intercepts, covariates, effects of the regions.
        beta_precision: (K + G, K + G) their precision, their priors' included.
        beta_shift: (K + G,) that precision times their mean.
        solver: of the field; None without one.
        log_density: of the hyperparameters, on their log or logit scale.
    """

    W: Array
    r: Array
    D: Array
    beta: Array
    beta_precision: Array
    beta_shift: Array
    solver: FieldSolver | None
    log_density: float


class Mode:
    """The mode of the effects and of beta for given hyperparameters; starts from the last one found."""

    def __init__(self, model: MapModel) -> None:
        self.model = model
        self.design = model.design
        seen = model.observed
        self.eta = np.zeros(model.X.shape[0])
        if not len(model.rows):
            return
        middle = (seen.lower + seen.upper) / 2
        if seen.likelihood == "normal":
            start = middle
        elif seen.likelihood in ("binomial", "beta_binomial"):
            start = special.logit((middle + 0.5) / (seen.trials + 1))
        else:
            start = np.log(middle + 0.5) - np.logaddexp(seen.log_exposure, np.log(0.5))
        self.eta[:] = start.mean()
        self.eta[model.rows] = (start + start.mean()) / 2

    def log_density(self, hyper: Array) -> float:
        """Approximate log posterior density of the hyperparameters (log or logit scale)."""
        try:
            return self.solve(hyper).log_density
        except (ArithmeticError, RuntimeError, np.linalg.LinAlgError):
            return -np.inf

    def solve(self, hyper: Array) -> State:
        """The mode of the effects and of beta, and the normal approximation there.

        Args:
            hyper: (H,) the hyperparameters on their log or logit scale.
        """
        model, field = self.model, self.model.field
        X, n, at = self.design, model.X.shape[0], model.field.nodes
        named = dict(zip(model.hyper_names, hyper, strict=True))
        values = {name: natural(name, model.observed.likelihood, value) for name, value in named.items()}
        sigma, rho = values["sigma"], values.get("rho", 0.0)
        rest = (values.get("dispersion", 0.0), values.get("zero", 0.0))
        a, c = precision_parts(model.effects, sigma, rho, field.degree)
        s2 = unstructured_variance(model, sigma, rho)
        prior_mean, prior_precision = linear_prior(model, values.get("sigma_region"))
        eta = self.eta
        intrinsic = model.effects in INTRINSIC
        solver = None
        for _ in range(40):
            W, r = self._working(eta, rest)
            D = W / (1 + s2 * W)
            DX = D[:, None] * X
            answers, half_log_det = np.empty((0, X.shape[1] + 1)), 0.0
            if len(at):
                precision = (a * field.matrix + sparse.diags_array(c + D[at])).tocsc()
                solver = FieldSolver(precision, field.component, intrinsic)
                answers = solver.solve(np.column_stack([DX[at], (D * r)[at]]))
                half_log_det = solver.half_log_det
            of_beta = X.T @ DX - DX[at].T @ answers[:, :-1] + np.diag(prior_precision)
            right = X.T @ (D * r) - DX[at].T @ answers[:, -1] + prior_precision * prior_mean
            beta = np.linalg.solve(of_beta, right)
            b = np.zeros(n)
            b[at] = answers[:, -1] - answers[:, :-1] @ beta
            u = np.sqrt(s2) * W / (1 + s2 * W) * (r - X @ beta - b)
            new = X @ beta + b + np.sqrt(s2) * u
            change = np.abs(new - eta).max()
            eta = new if model.observed.likelihood == "normal" else eta + np.clip(new - eta, -2, 2)
            if change < 1e-5:
                break
        self.eta = eta
        bf = b[at]
        log_density = float(model.observed.log_density(eta[model.rows], *rest).sum())
        log_density += -0.5 * a * bf @ (field.matrix @ bf) - 0.5 * float(np.sum(c * bf**2))
        log_density += _log_determinant(model.effects, field, a, sigma, rho) - half_log_det
        log_density += -0.5 * u @ u - 0.5 * np.log1p(s2 * W).sum()
        log_density += -0.5 * float(prior_precision @ (beta - prior_mean) ** 2)
        if model.region is not None:
            log_density -= model.n_regions * np.log(values["sigma_region"])
        log_density += -0.5 * float(np.linalg.slogdet(of_beta)[1])
        log_density += sum(
            log_prior(model, name, values[name]) + log_jacobian(name, model.observed.likelihood, values[name])
            for name in named
        )
        return State(W, r, D, beta, of_beta, right, solver, log_density)

    def field_means(self, state: State) -> tuple[Array, Array, Array]:
        """Mean of the raw field (its own mean not taken out) by component: value, slope on beta, scale."""
        field = self.model.field
        C, K = field.n_components, self.design.shape[1]
        if self.model.effects not in INTRINSIC or state.solver is None:
            return np.zeros(C), np.zeros((C, K)), np.ones(C)
        at, component = field.nodes, field.component
        D, X = state.D[at], self.design[at]
        residual = state.r[at] - X @ state.beta
        weight = np.bincount(component, D, minlength=C)
        size = np.bincount(component, minlength=C)
        mean_at = np.bincount(component, state.solver.raw(D * residual), minlength=C) / size
        slope = np.column_stack(
            [np.bincount(component, D * X[:, k], minlength=C) / weight for k in range(K)]
        ).reshape(C, K)
        scale = np.sqrt(state.solver.total) / size
        return mean_at, slope, scale

    def _working(self, eta: Array, rest: tuple[float, float]) -> tuple[Array, Array]:
        """Working weights and responses of all areas; an area without data has weight 0."""
        model = self.model
        n = model.X.shape[0]
        here = eta[model.rows]
        if model.observed.likelihood == "normal":
            return self.exact_working(eta)
        slope, bend = model.observed.derivatives(here, *rest)
        weight = np.maximum(-bend, _LEAST_WEIGHT)
        W, r = np.zeros(n), np.zeros(n)
        W[model.rows] = weight
        r[model.rows] = here + slope / weight
        self.fill_empty(W, r, eta)
        return W, r

    def exact_working(self, eta: Array) -> tuple[Array, Array]:
        """The same for direct estimates, in whatever unit: their precision and their value."""
        W, r = np.zeros_like(eta), np.zeros_like(eta)
        W[self.model.rows] = 1 / self.model.observed.se**2
        r[self.model.rows] = self.model.observed.lower
        self.fill_empty(W, r, eta)
        return W, r

    def fill_empty(self, W: Array, r: Array, eta: Array) -> None:
        """Give components without data small working weights, in place."""
        field = self.model.field
        if field.n_components:  # the weights of a component without data are free; none would be singular
            total = np.bincount(field.component, W[field.nodes], minlength=field.n_components)
            empty = field.nodes[(total == 0)[field.component]]
            seen = W[W > 0]
            W[empty], r[empty] = 0.01 * min(1.0, np.median(seen) if len(seen) else 1.0), eta[empty]


class FieldSolver:
    """Solves with the precision P of the field; `solve` keeps the sums to zero of an intrinsic field."""

    def __init__(self, precision: sparse.csc_array, component: NDArray[np.int64], intrinsic: bool) -> None:
        self.factor = factor = factorise(precision)
        self.raw = factor.solve
        self.half_log_det = 0.5 * float(np.log(factor.U.diagonal()).sum())
        self._intrinsic = intrinsic
        self._component = component
        if intrinsic:
            # P is block-diagonal by component: one solve gives the answers to all constraints.
            self.base = self.raw(np.ones(len(component)))
            self.total = np.bincount(component, self.base)
            self.half_log_det += 0.5 * float(np.log(self.total).sum())

    def solve(self, v: Array) -> Array:
        """P^-1 v for the columns of v, conditioned on sums of zero (Rue and Held 2005, equation 2.30)."""
        x = self.raw(v)
        if not self._intrinsic:
            return x
        sums = np.column_stack([np.bincount(self._component, column) for column in x.T])
        return x - self.base[:, None] * (sums / self.total[:, None])[self._component]


def precision_parts(effects: str, sigma: float, rho: float, degree: Array) -> tuple[float, Array]:
    """The field's precision as a K + diag(c)."""
    none = np.zeros_like(degree)
    if effects == "bym2":
        return 1 / (sigma**2 * rho), none
    if effects == "leroux":
        return rho / sigma**2, none + (1 - rho) / sigma**2
    if effects == "car":
        return rho / sigma**2, degree * (1 - rho) / sigma**2
    return 1 / sigma**2, none


def _log_determinant(effects: str, field: Field, a: float, sigma: float, rho: float) -> float:
    """Half the log of the (generalised) determinant of the field's precision, less what does not change."""
    f = len(field.nodes)
    if effects in INTRINSIC:
        return 0.5 * (f - field.n_components) * np.log(a)
    if effects == "leroux":
        return 0.5 * float(np.log(rho * field.spectrum + 1 - rho).sum()) - f * np.log(sigma)
    if effects == "car":
        return 0.5 * float(np.log1p(-rho * field.spectrum).sum()) - f * np.log(sigma)
    return 0.0


def unstructured_variance(model: MapModel, sigma: float, rho: float) -> Array:
    """(n,) prior variance of what each area has apart from the field."""
    s2 = np.full(len(model.X), sigma**2)
    s2[model.field.nodes] = sigma**2 * (1 - rho) if model.effects == "bym2" else 0.0
    return s2 if model.noise is None else s2 + model.noise


def linear_prior(model: MapModel, sigma_region: float | None = None) -> tuple[Array, Array]:
    """Mean and precision of the normal that stands in for the prior of each coefficient: (K + G,) each.

    Args:
        sigma_region: standard deviation of the regions' effects, where the model has them.
    """
    A = len(model.intercepts)
    of = [model.priors["alpha_prior"]] * A + [model.priors["beta_prior"]] * (model.X.shape[1] - A)
    mean, precision = np.array([p[0] for p in of]), np.array([1 / p[1] ** 2 for p in of])
    G = model.n_regions
    if not G:
        return mean, precision
    return np.append(mean, np.zeros(G)), np.append(precision, np.full(G, sigma_region**-2.0))
