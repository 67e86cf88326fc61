"""A normal approximation of the posterior of a map: the coordinates in which Stan samples.

Nested Laplace approximation (Rue, Martino, Chopin 2009, JRSS B 71:319-392): for given hyperparameters the
effects are approximately normal about their mode; the hyperparameters have the density that is left when the
effects are integrated out. Nothing that is reported rests on it: it only decides where the sampler starts and
how its coordinates are scaled (`stan/areas/areas.stan`), and the hyperparameters' part is compared with the
draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special

from poolmap.families.areas.likelihoods import CODES, WITH_DISPERSION, Observed
from poolmap.graph.scaling import factorise

Array = NDArray[np.float64]

EFFECTS = {"iid": 1, "icar": 2, "bym2": 3, "leroux": 4, "car": 5}
INTRINSIC = ("icar", "bym2")
WITH_RHO = ("bym2", "leroux", "car")

_STEP = 1e-3  # of the numerical derivatives of a log density
_LEAST_WEIGHT = 1e-4


@dataclass(frozen=True, eq=False)
class Field:
    """The structured part of the area effects, over the areas that have neighbours.

    Attributes:
        nodes: (f,) the areas with neighbours; none with `iid`.
        matrix: (f, f) the Laplacian: scaled by component (icar, bym2) or D - A as it is (leroux, car).
        degree: (f,) number of neighbours.
        component: (f,) from 0.
        spectrum: (f,) what the determinant or the prior of rho needs (`areas.stan`), else zeros.
    """

    nodes: NDArray[np.int64]
    matrix: sparse.csc_array
    degree: Array
    component: NDArray[np.int64]
    spectrum: Array

    @property
    def n_components(self) -> int:
        """The number of components of at least two areas."""
        return int(self.component.max()) + 1 if len(self.component) else 0


@dataclass(frozen=True, eq=False)
class MapModel:
    """One model of a map, in arrays.

    Attributes:
        effects: `iid`, `icar`, `bym2`, `leroux` or `car`.
        field: the structured part.
        X: (n, K) design matrix, the first column 1.
        rows: (m,) areas that were observed.
        observed: what was observed there.
        priors: `Prior.stan_data` of `alpha`, `beta`, `sigma` and, where the model has them, `rho`,
            `dispersion` and `zero`: entries `<name>_prior_family` and `<name>_prior`.
    """

    effects: str
    field: Field
    X: Array
    rows: NDArray[np.int64]
    observed: Observed
    priors: Mapping[str, Any]

    @property
    def hyper_names(self) -> tuple[str, ...]:
        """The hyperparameters in the order of `areas.stan`."""
        names = ["sigma"]
        names += ["rho"] if self.effects in WITH_RHO else []
        names += ["dispersion"] if self.observed.likelihood in WITH_DISPERSION else []
        names += ["zero"] if self.observed.likelihood == "zero_inflated_poisson" else []
        return tuple(names)


@dataclass(frozen=True, eq=False)
class Approximation:
    """Coordinates for the sampler, named as in the data block of `areas.stan`; areas in their own order.

    Attributes:
        W, r: (n,) working weights and responses.
        mean_at, mean_slope, mean_scale: (C,), (C, K), (C,) of the mean of the raw field by component.
        beta_at, beta_scale: (K,), (K, K) mean and Cholesky factor of the covariance of beta.
        hyper_at, hyper_scale: (H,), (H, H) the same of the hyperparameters, on the log or logit scale.
    """

    W: Array
    r: Array
    mean_at: Array
    mean_slope: Array
    mean_scale: Array
    beta_at: Array
    beta_scale: Array
    hyper_at: Array
    hyper_scale: Array


def approximate(model: MapModel) -> Approximation:
    """The approximation of one model's posterior."""
    mode = _Mode(model)
    start = {"sigma": np.log(0.3), "rho": 0.5, "dispersion": np.log(0.1), "zero": -2.0}
    if model.observed.likelihood == "normal":
        start["sigma"] = np.log(max(float(model.observed.lower.std()), 1e-6))
    begin = np.array([start[name] for name in model.hyper_names])
    edges = np.vstack([begin, begin + 0.5 * np.eye(len(begin))])
    found = optimize.minimize(
        lambda hyper: -mode.log_density(hyper),
        begin,
        method="Nelder-Mead",
        options={"initial_simplex": edges, "xatol": 0.02, "fatol": 0.02, "maxfev": 80 * len(begin)},
    )
    hyper_at, hyper_scale = _spread(mode.log_density, found.x)
    state = mode.solve(hyper_at)
    mean_at, mean_slope, mean_scale = mode.field_means(state)
    return Approximation(
        W=state.W,
        r=state.r,
        mean_at=mean_at,
        mean_slope=mean_slope,
        mean_scale=mean_scale,
        beta_at=state.beta,
        beta_scale=np.linalg.cholesky(np.linalg.inv(state.beta_precision)),
        hyper_at=hyper_at,
        hyper_scale=hyper_scale,
    )


@dataclass(frozen=True, eq=False)
class _State:
    W: Array
    r: Array
    D: Array
    beta: Array
    beta_precision: Array
    solver: _FieldSolver | None
    log_density: float


class _Mode:
    """The mode of the effects and of beta for given hyperparameters; starts from the last one found."""

    def __init__(self, model: MapModel) -> None:
        self.model = model
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

    def solve(self, hyper: Array) -> _State:
        model, field = self.model, self.model.field
        X, n, at = model.X, model.X.shape[0], model.field.nodes
        named = dict(zip(model.hyper_names, hyper, strict=True))
        values = {name: _natural(name, model.observed.likelihood, value) for name, value in named.items()}
        sigma, rho = np.exp(np.clip(named["sigma"], -12, 12)), values.get("rho", 0.0)
        rest = (values.get("dispersion", 0.0), values.get("zero", 0.0))
        a, c = _precision(model.effects, sigma, rho, field.degree)
        s2 = np.full(n, sigma**2 * (1 - rho) if model.effects == "bym2" else 0.0)
        s2[np.setdiff1d(np.arange(n), at)] = sigma**2
        prior_mean, prior_precision = _beta_prior(model)
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
                solver = _FieldSolver(precision, field.component, intrinsic)
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
        log_density += -0.5 * float(np.linalg.slogdet(of_beta)[1])
        log_density += sum(
            _hyper_prior(model, name, values[name])
            + _log_jacobian(name, model.observed.likelihood, values[name])
            for name in named
        )
        return _State(W, r, D, beta, of_beta, solver, log_density)

    def field_means(self, state: _State) -> tuple[Array, Array, Array]:
        """Mean of the raw field (its own mean not taken out) by component: value, slope on beta, scale."""
        field = self.model.field
        C, K = field.n_components, self.model.X.shape[1]
        if self.model.effects not in INTRINSIC or state.solver is None:
            return np.zeros(C), np.zeros((C, K)), np.ones(C)
        at, component = field.nodes, field.component
        D, X = state.D[at], self.model.X[at]
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
            return self._exact_working(eta)
        low, mid, high = (model.observed.log_density(here + step, *rest) for step in (-_STEP, 0.0, _STEP))
        slope = (high - low) / (2 * _STEP)
        weight = np.maximum(-(high - 2 * mid + low) / _STEP**2, _LEAST_WEIGHT)
        W, r = np.zeros(n), np.zeros(n)
        W[model.rows] = weight
        r[model.rows] = here + slope / weight
        self._fill_empty(W, r, eta)
        return W, r

    def _exact_working(self, eta: Array) -> tuple[Array, Array]:
        """The same for direct estimates, in whatever unit: their precision and their value."""
        W, r = np.zeros_like(eta), np.zeros_like(eta)
        W[self.model.rows] = 1 / self.model.observed.se**2
        r[self.model.rows] = self.model.observed.lower
        self._fill_empty(W, r, eta)
        return W, r

    def _fill_empty(self, W: Array, r: Array, eta: Array) -> None:
        field = self.model.field
        if field.n_components:  # the weights of a component without data are free; none would be singular
            total = np.bincount(field.component, W[field.nodes], minlength=field.n_components)
            empty = field.nodes[(total == 0)[field.component]]
            seen = W[W > 0]
            W[empty], r[empty] = 0.01 * min(1.0, np.median(seen) if len(seen) else 1.0), eta[empty]


class _FieldSolver:
    """Solves with the precision P of the field; `solve` keeps the sums to zero of an intrinsic field."""

    def __init__(self, precision: sparse.csc_array, component: NDArray[np.int64], intrinsic: bool) -> None:
        self.factor = factor = factorise(precision)
        self.raw = factor.solve
        self.half_log_det = 0.5 * float(np.log(factor.U.diagonal()).sum())
        self._intrinsic = intrinsic
        self._component = component
        if intrinsic:
            # P is block-diagonal by component: one solve gives the answers to all constraints.
            self._base = self.raw(np.ones(len(component)))
            self.total = np.bincount(component, self._base)
            self.half_log_det += 0.5 * float(np.log(self.total).sum())

    def solve(self, v: Array) -> Array:
        """P^-1 v for the columns of v, conditioned on sums of zero (Rue and Held 2005, equation 2.30)."""
        x = self.raw(v)
        if not self._intrinsic:
            return x
        sums = np.column_stack([np.bincount(self._component, column) for column in x.T])
        return x - self._base[:, None] * (sums / self.total[:, None])[self._component]


def _spread(log_density: Callable[[Array], float], mode: Array) -> tuple[Array, Array]:
    """Mean and Cholesky factor of the covariance, by the curvature at the mode and a sum along each axis."""
    H, step = len(mode), 0.1
    at = log_density(mode)
    curvature = np.empty((H, H))
    steps = step * np.eye(H)
    for i in range(H):
        for j in range(i + 1):
            if i == j:
                second = log_density(mode + steps[i]) - 2 * at + log_density(mode - steps[i])
                curvature[i, i] = -second / step**2
                continue
            corners = [
                sign * log_density(mode + s * steps[i] + t * steps[j])
                for s, t, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            ]
            curvature[i, j] = curvature[j, i] = -sum(corners) / (4 * step**2)
    values, vectors = np.linalg.eigh(np.nan_to_num(curvature))
    axes = vectors / np.sqrt(np.maximum(values, 0.05))
    # Tails, as of rho near 1, are longer than the curvature at the mode says.
    steps_out = np.linspace(-6, 6, 25)
    mean, scale = mode.copy(), np.empty(H)
    for k in range(H):
        heights = np.array([log_density(mode + s * axes[:, k]) for s in steps_out])
        weights = special.softmax(np.where(np.isfinite(heights), heights, -np.inf))
        centre = weights @ steps_out
        mean = mean + centre * axes[:, k]
        scale[k] = np.sqrt(np.maximum(weights @ (steps_out - centre) ** 2, 0.25))
    whole = axes * scale
    return mean, np.linalg.cholesky(whole @ whole.T)


def _natural(name: str, likelihood: str, value: float) -> float:
    if name == "sigma" or (name == "dispersion" and likelihood == "negative_binomial"):
        return float(np.exp(np.clip(value, -12, 12)))
    return float(special.expit(np.clip(value, -14, 14)))


def _log_jacobian(name: str, likelihood: str, value: float) -> float:
    if name == "sigma" or (name == "dispersion" and likelihood == "negative_binomial"):
        return float(np.log(value))
    return float(np.log(value) + np.log1p(-value))


def _precision(effects: str, sigma: float, rho: float, degree: Array) -> tuple[float, Array]:
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


def _beta_prior(model: MapModel) -> tuple[Array, Array]:
    """Mean and precision of the normal that stands in for the prior of alpha and of each beta."""
    K = model.X.shape[1]
    of = [model.priors["alpha_prior"]] + [model.priors["beta_prior"]] * (K - 1)
    return np.array([p[0] for p in of]), np.array([1 / p[1] ** 2 for p in of])


def _hyper_prior(model: MapModel, name: str, x: float) -> float:
    """Log prior density of a hyperparameter, up to a constant."""
    code, (p, q, df) = model.priors[f"{name}_prior_family"], model.priors[f"{name}_prior"]
    if code == 1:
        return -0.5 * ((x - p) / q) ** 2
    if code in (2, 3):
        df = df if code == 2 else 1.0
        return -(df + 1) / 2 * float(np.log1p(((x - p) / q) ** 2 / df))
    if code == 4:
        return -p * x
    if code == 5:
        return (p - 1) * float(np.log(x)) + (q - 1) * float(np.log1p(-x))
    if code == 9:
        return pc_rho_log_density(x, p, model.field.spectrum)
    raise ValueError(f"no prior with code {code} here")


def pc_rho_distance(rho: float, g: Array) -> float:
    """Distance of BYM2 with this rho from the unstructured model (Riebler et al. 2016, section 3.3)."""
    return float(np.sqrt(np.sum(rho * g - np.log1p(rho * g))))


def pc_rho_rate(bound: float, probability: float, g: Array) -> float:
    """Rate of the penalised-complexity prior with P(rho < bound) = probability.

    Args:
        bound, probability: between 0 and 1; the probability above that of a rate near 0.
        g: see `pc_rho_log_density`.

    Raises:
        ValueError: no exponential gives so small a probability.
    """
    near, far = pc_rho_distance(bound, g), pc_rho_distance(1.0, g)

    def excess(log_rate: float) -> float:
        rate = np.exp(log_rate)
        return float(np.expm1(-rate * near) / np.expm1(-rate * far)) - probability

    low, high = np.log(1e-8 / far), np.log(500 / near)
    if excess(low) >= 0:
        raise ValueError(
            f"no penalised-complexity prior has P(rho < {bound:g}) = {probability:g} on this graph: the "
            f"probability is above {near / far:.2f}"
        )
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-12)))


def pc_rho_log_density(rho: float, rate: float, g: Array) -> float:
    """Penalised-complexity prior of BYM2's rho: exponential in the distance from the unstructured model.

    d(rho)^2 = sum_k rho g_k - log(1 + rho g_k) over the identified space, g_k = 1 / eigenvalue of the scaled
    precision - 1 (Riebler et al. 2016, section 3.3), truncated at d(1).

    Args:
        rho: between 0 and 1.
        rate: of the exponential.
        g: (f,) with 0 on the null space.
    """
    d = pc_rho_distance(rho, g)
    slope = 0.5 / d * np.sum(rho * g**2 / (1 + rho * g))
    whole = pc_rho_distance(1.0, g)
    return float(np.log(rate) - rate * d + np.log(slope) - np.log(-np.expm1(-rate * whole)))


def codes(model: MapModel) -> dict[str, int]:
    """The codes of the likelihood and of the area effects."""
    return {"likelihood": CODES[model.observed.likelihood], "effects": EFFECTS[model.effects]}
