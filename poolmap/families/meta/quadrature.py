"""The exact posterior of the normal-normal model by quadrature: the cross-check of every MCMC run.

    y_i ~ N(theta_i, se_i^2),   theta_i ~ N(x_i' beta, tau^2),   beta ~ normal, Student-t or flat,   tau ~ any

Given tau (and, for a Student-t prior, its mixing precision) beta is normal, so each effect is a mixture of
normals over tau (Gelman et al. 2013, section 5.4; Röver 2020, J Stat Softw 93(6)). The integral over tau is a
Gauss-Legendre rule on panels in u, tau = s sinh(u), placed where the posterior mass is: linear near 0,
logarithmic in the tail, so that power tails (half-Cauchy) end exponentially. A prior of log tau
(log-normal, log-Student-t) has u of its own, tau = exp(a + b sinh(u)). Many data sets at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.base import Prior
from poolmap.families.meta.classical import typical_variance

ORDER = 16  # nodes of a panel
PANELS = (12, 20, 32, 64, 128, 256, 512)
TOLERANCE = 1e-10
FAINT = 40.0  # log density below the peak that no longer counts: 4e-18
CELLS = 400_000  # of the largest array: more data sets are worked off in turns
LOG_2PI = float(np.log(2 * np.pi))

Parameters = tuple[float, ...]


@dataclass(frozen=True)
class TauPrior:
    """One prior of tau.

    Attributes:
        log_density: of tau, given (parameters, tau > 0).
        tail: a where the density falls as tau^-a, given the parameters; inf where it falls faster.
        support: (lowest, highest) tau, given the parameters.
        logarithmic: (a, b) of tau = exp(a + b sinh(u)), given the parameters; None for tau = s sinh(u).
    """

    log_density: Callable[[Parameters, np.ndarray], np.ndarray]
    tail: Callable[[Parameters], float] = lambda _: np.inf
    support: Callable[[Parameters], tuple[float, float]] = lambda _: (0.0, np.inf)
    logarithmic: Callable[[Parameters], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Axis:
    """tau = s sinh(u), or exp(a + b sinh(u)) where a and b are given.

    Attributes:
        s: of each set (set,).
        a, b: numbers, or None.
    """

    s: np.ndarray
    a: float | None = None
    b: float | None = None

    def tau(self, u: np.ndarray) -> np.ndarray:
        """tau at u (set, ...)."""
        if self.b is not None:
            return np.exp(self.a + self.b * np.sinh(u))
        return self._s(u) * np.sinh(u)

    def log_jacobian(self, u: np.ndarray) -> np.ndarray:
        """log d tau / d u."""
        steep = np.log(np.cosh(u))
        if self.b is not None:
            return self.a + self.b * np.sinh(u) + np.log(self.b) + steep
        return np.log(self._s(u)) + steep

    def growth(self, u: np.ndarray) -> np.ndarray:
        """Like log tau where tau is large, in units of s, and like 0 where it is small."""
        if self.b is not None:
            return np.logaddexp(0, self.a + self.b * np.sinh(u) - np.log(self._s(u)))
        return np.log(np.cosh(u))

    def u(self, tau: float) -> np.ndarray:
        """The u of each set (set,)."""
        if self.b is not None:
            with np.errstate(divide="ignore"):
                return np.full(len(self.s), np.arcsinh((np.log(tau) - self.a) / self.b))
        return np.arcsinh(tau / self.s)

    def _s(self, u: np.ndarray) -> np.ndarray:
        return self.s.reshape(-1, *[1] * (u.ndim - 1))


def _half_normal(p: Parameters, tau: np.ndarray) -> np.ndarray:
    return 0.5 * np.log(2 / np.pi) - np.log(p[0]) - 0.5 * (tau / p[0]) ** 2


def _half_student_t(p: Parameters, tau: np.ndarray) -> np.ndarray:
    df, scale = p
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    return np.log(2) + constant - np.log(scale) - (df + 1) / 2 * np.log1p((tau / scale) ** 2 / df)


def _lognormal_tau2(p: Parameters, tau: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        z = (2 * np.log(tau) - p[0]) / p[1]
        return np.log(2) - np.log(tau) - np.log(p[1]) - 0.5 * LOG_2PI - 0.5 * z**2


def _log_student_t_tau2(p: Parameters, tau: np.ndarray) -> np.ndarray:
    df, location, scale = p
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    with np.errstate(divide="ignore"):
        z = (2 * np.log(tau) - location) / scale
        density = constant - np.log(scale) - (df + 1) / 2 * np.log1p(z**2 / df)
        return np.where(tau > 0, np.log(2) - np.log(tau) + density, -np.inf)


# tau^4 overflows above; of a log-Student-t less than 1e-11 (df 5) or 1e-8 (df 3) of the mass lies below
POSITIVE = (1e-300, 1e75)
_LOG_NORMAL = TauPrior(
    _lognormal_tau2, support=lambda _: POSITIVE, logarithmic=lambda p: (p[0] / 2, p[1] / 2)
)
# The density falls faster than 1 / tau, but slower than any further power
_LOG_STUDENT_T = TauPrior(
    _log_student_t_tau2,
    tail=lambda _: 1 + 1e-9,
    support=lambda _: POSITIVE,
    logarithmic=lambda p: (p[1] / 2, p[2] * np.sqrt(p[0]) / 2),
)

TAU_PRIORS: dict[str, TauPrior] = {
    "half_normal": TauPrior(_half_normal),
    "half_student_t": TauPrior(_half_student_t, tail=lambda p: p[0] + 1),
    "half_cauchy": TauPrior(lambda p, tau: _half_student_t((1.0, p[0]), tau), tail=lambda _: 2.0),
    "exponential": TauPrior(lambda p, tau: np.log(p[0]) - p[0] * tau),
    "uniform": TauPrior(
        lambda p, tau: np.full(tau.shape, -np.log(p[1] - p[0])), support=lambda p: (p[0], p[1])
    ),
    "lognormal_tau2": _LOG_NORMAL,
    "turner_2015": _LOG_NORMAL,
    "log_student_t_tau2": _LOG_STUDENT_T,
    "rhodes_2015": _LOG_STUDENT_T,
    "flat": TauPrior(lambda _, tau: np.zeros(tau.shape), tail=lambda _: 0.0),
}
"""Priors of tau by name, with the parameters of `Prior.CODES`; `flat` is the improper uniform on tau."""

FLAT = Prior("flat", ())
"""The improper uniform prior, of mu or of tau."""


@dataclass(frozen=True)
class Mixture:
    """A posterior that is a mixture of normals, of one quantity in each data set (set).

    Attributes:
        weight, centre, spread: weights (sum 1), means, standard deviations (set, component).
        exists: the order of the highest finite moment.
    """

    weight: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    exists: int = 2

    def mean(self) -> np.ndarray:
        """Posterior mean (set,); NaN where it does not exist."""
        return _expectation(self.weight, self.centre) if self.exists >= 1 else _every(self.weight, np.nan)

    def sd(self) -> np.ndarray:
        """Posterior standard deviation (set,); inf where it is not finite."""
        if self.exists < 2:
            return _every(self.weight, np.inf)
        deviation = self.centre - self.mean()[:, None]
        return np.sqrt(_expectation(self.weight, self.spread**2 + deviation**2))

    def below(self, value: float | np.ndarray) -> np.ndarray:
        """P(quantity < value) (set,), accurate in the lower tail."""
        value = np.broadcast_to(np.asarray(value, dtype=float), self.weight.shape[:1])
        return _expectation(self.weight, special.ndtr((value[:, None] - self.centre) / self.spread))

    def above(self, value: float | np.ndarray) -> np.ndarray:
        """P(quantity > value) (set,), accurate in the upper tail."""
        value = np.broadcast_to(np.asarray(value, dtype=float), self.weight.shape[:1])
        return _expectation(self.weight, special.ndtr((self.centre - value[:, None]) / self.spread))

    def quantile(self, probability: float) -> np.ndarray:
        """The quantile of each set (set,), by Newton steps kept within a bracket.

        Raises:
            ArithmeticError: no convergence.
        """
        z = special.ndtri(probability)
        ends = self.centre + z * self.spread
        counts = self.weight > 0
        low = np.where(counts, ends, np.inf).min(axis=1)
        high = np.where(counts, ends, -np.inf).max(axis=1)
        x = np.clip(_expectation(self.weight, ends), low, high)
        for _ in range(200):
            scaled = (x[:, None] - self.centre) / self.spread
            miss = _expectation(self.weight, special.ndtr(scaled)) - probability
            density = _expectation(self.weight, np.exp(-0.5 * scaled**2) / self.spread) / np.sqrt(2 * np.pi)
            low, high = np.where(miss < 0, x, low), np.where(miss > 0, x, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = x - miss / density
            inside = (step > low) & (step < high)
            new = np.where(miss == 0, x, np.where(inside, step, 0.5 * (low + high)))
            width = np.abs(new - x)
            x = new
            if np.all(width <= 1e-12 * (np.abs(x) + self.spread.min(axis=1))):
                return x
        raise ArithmeticError("a quantile of a mixture was not found")


@dataclass(frozen=True)
class TauMarginal:
    """The posterior of tau in each data set.

    Attributes:
        nodes, weight: tau and its posterior mass (set, node).
        edges: of the panels, on the scale u (set, panel + 1).
        coefficients: Legendre series of the mass up to a point of each panel (ORDER + 1, set, panel).
        scale: s of tau = s sinh(u) (set,).
        exists: order of the highest finite moment, 0 to 4.
        logarithmic: as in `TauPrior`, for its parameters.
    """

    nodes: np.ndarray
    weight: np.ndarray
    edges: np.ndarray
    coefficients: np.ndarray
    scale: np.ndarray
    exists: int
    logarithmic: tuple[float, float] | None = None

    @property
    def axis(self) -> Axis:
        """How tau depends on u."""
        return Axis(self.scale, *(self.logarithmic or ()))

    def mean(self, power: int = 1) -> np.ndarray:
        """Posterior mean of tau^power (set,); inf where it is not finite."""
        if power > self.exists:
            return _every(self.weight, np.inf)
        return _expectation(self.weight, self.nodes**power)

    def sd(self, power: int = 1) -> np.ndarray:
        """Posterior standard deviation of tau^power (set,); inf where it is not finite."""
        if self.exists < 2 * power:
            return _every(self.weight, np.inf)
        deviation = self.nodes**power - self.mean(power)[:, None]
        return np.sqrt(_expectation(self.weight, deviation**2))

    def quantile(self, probability: float) -> np.ndarray:
        """The quantile of each set (set,)."""
        masses = self.coefficients.sum(axis=0)  # Legendre polynomials are 1 at 1
        upto = np.cumsum(masses, axis=1)
        panel = np.minimum((upto < probability).sum(axis=1), masses.shape[1] - 1)
        rows = np.arange(len(panel))
        rest = probability - (upto - masses)[rows, panel]
        series = self.coefficients[:, rows, panel]
        low, high = -np.ones(len(rows)), np.ones(len(rows))
        for _ in range(52):
            middle = 0.5 * (low + high)
            below = np.polynomial.legendre.legval(middle, series, tensor=False) < rest
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        left, right = self.edges[rows, panel], self.edges[rows, panel + 1]
        return self.axis.tau(left + (right - left) * (low + 1) / 2)

    def above(self, value: float) -> np.ndarray:
        """P(tau > value) (set,)."""
        u = self.axis.u(value)
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        t = np.clip(2 * (u[:, None] - left) / (right - left) - 1, -1, 1)
        below = np.polynomial.legendre.legval(t, self.coefficients, tensor=False).sum(axis=1)
        return np.clip(1 - below, 0, 1)


@dataclass(frozen=True)
class Posterior:
    """The exact posterior of `set` data sets of at most `k` studies and p coefficients.

    Attributes:
        yi, se, used: the data (set, k); used: which studies each set holds.
        design: x_i (k, p).
        tau: marginal posterior of tau.
        weight, tau_at: components of all mixtures (set, component).
        centre, covariance: of the coefficients given the component (set, component, p[, p]).
        log_marginal: log marginal likelihood (set,); with a flat prior, up to its constant density 1.
        error: estimated relative error of the quadrature (set,).
    """

    yi: np.ndarray
    se: np.ndarray
    used: np.ndarray
    design: np.ndarray
    tau: TauMarginal
    weight: np.ndarray
    tau_at: np.ndarray
    centre: np.ndarray
    covariance: np.ndarray
    log_marginal: np.ndarray
    error: np.ndarray

    def coefficient(self, j: int = 0) -> Mixture:
        """Posterior of a coefficient; of mu where there are no moderators."""
        spread = np.sqrt(self.covariance[:, :, j, j])
        return Mixture(self.weight, self.centre[:, :, j], spread, self.tau.exists)

    def mu(self) -> Mixture:
        """Posterior of the pooled effect."""
        return self.coefficient(0)

    def theta_new(self) -> Mixture:
        """The effect in a new study (models without moderators)."""
        self._no_moderators()
        spread = np.sqrt(self.covariance[:, :, 0, 0] + self.tau_at**2)
        return Mixture(self.weight, self.centre[:, :, 0], spread, self.tau.exists)

    def theta(self, i: int) -> Mixture:
        """The effect of study i given its set's studies (of a new one with its x, where not used)."""
        x = self.design[i]
        centre = self.centre @ x
        variance = np.einsum("p,bmpq,q->bm", x, self.covariance, x)
        sampling = np.where(self.used[:, i], self.se[:, i] ** 2, np.inf)[:, None]
        y = np.where(self.used[:, i], self.yi[:, i], 0.0)[:, None]
        pull = 1 / (1 + self.tau_at**2 / sampling)
        spread = np.sqrt(pull * self.tau_at**2 + pull**2 * variance)
        return Mixture(self.weight, pull * centre + (1 - pull) * y, spread, self.tau.exists)

    def shrinkage(self) -> np.ndarray:
        """Posterior mean of B_i = se_i^2 / (se_i^2 + tau^2) (set, k); NaN for studies not used."""
        values = [
            _expectation(self.weight, 1 / (1 + (self.tau_at / self.se[:, [i]]) ** 2))
            for i in range(self.se.shape[1])
        ]
        return np.where(self.used, np.stack(values, axis=1), np.nan)

    def i2(self, probability: float | None = None) -> np.ndarray:
        """I-squared in per cent, 100 tau^2 / (tau^2 + s^2) with the typical variance s^2 (set,).

        Its posterior mean, or a quantile. NaN for one study. Source: Higgins & Thompson 2002, eq. 9 and 10.
        """
        typical = _typical(self.se, self.used)[:, None]
        if probability is None:
            t2 = self.tau.nodes**2
            return _expectation(self.tau.weight, 100 * t2 / (t2 + typical))
        t2 = self.tau.quantile(probability)[:, None] ** 2
        return (100 * t2 / (t2 + typical))[:, 0]

    def i2_sd(self) -> np.ndarray:
        """Posterior standard deviation of I-squared (set,)."""
        t2 = self.tau.nodes**2
        share = 100 * t2 / (t2 + _typical(self.se, self.used)[:, None])
        return np.sqrt(_expectation(self.tau.weight, (share - self.i2()[:, None]) ** 2))

    def pooled(self, interval: float = 0.95) -> pd.DataFrame:
        """Summaries of mu, tau, tau2, i2 and theta_new, one row per set and quantity.

        Columns: set, quantity, mean, sd, median, lower, upper (central interval).
        """
        self._no_moderators()
        ends = {"median": 0.5, "lower": (1 - interval) / 2, "upper": (1 + interval) / 2}
        parts = []
        for name, it in (("mu", self.mu()), ("tau", self.tau), ("theta_new", self.theta_new())):
            columns = {"mean": it.mean(), "sd": it.sd()}
            parts.append((name, columns | {end: it.quantile(p) for end, p in ends.items()}))
        quantiles = parts[1][1]
        parts.append(
            (
                "tau2",
                {"mean": self.tau.mean(2), "sd": self.tau.sd(2)} | {end: quantiles[end] ** 2 for end in ends},
            )
        )
        parts.append(
            ("i2", {"mean": self.i2(), "sd": self.i2_sd()} | {end: self.i2(p) for end, p in ends.items()})
        )
        sets = np.arange(len(self.yi))
        return pd.concat(
            [pd.DataFrame({"set": sets, "quantity": name, **columns}) for name, columns in parts],
            ignore_index=True,
        )

    def studies(self, interval: float = 0.95, row: int = 0) -> pd.DataFrame:
        """Shrunken effects of one set, a row per study: i, mean, sd, median, lower, upper, shrinkage."""
        one = self.only(row)
        ends = {"median": 0.5, "lower": (1 - interval) / 2, "upper": (1 + interval) / 2}
        share = one.shrinkage()[0]
        rows = []
        for i in np.flatnonzero(one.used[0]):
            it = one.theta(i)
            values = {"i": int(i), "mean": it.mean()[0], "sd": it.sd()[0]}
            rows.append(
                values | {end: it.quantile(p)[0] for end, p in ends.items()} | {"shrinkage": share[i]}
            )
        return pd.DataFrame(rows)

    def only(self, row: int) -> Posterior:
        """The posterior of one of the data sets."""
        at, tau = slice(row, row + 1), self.tau
        marginal = TauMarginal(
            tau.nodes[at], tau.weight[at], tau.edges[at], tau.coefficients[:, at], tau.scale[at], tau.exists,
            tau.logarithmic,
        )  # fmt: skip
        return Posterior(
            self.yi[at], self.se[at], self.used[at], self.design, marginal, self.weight[at], self.tau_at[at],
            self.centre[at], self.covariance[at], self.log_marginal[at], self.error[at],
        )  # fmt: skip

    def _no_moderators(self) -> None:
        if self.design.shape[1] != 1 or np.any(self.design != 1):
            raise ValueError("this quantity is defined without moderators only")


def _typical(se: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Typical within-study variance of each set (set,); NaN for one study."""
    return np.array([typical_variance(v[u]) for v, u in zip(se**2, used, strict=True)])


def posterior(
    yi: np.ndarray,
    se: np.ndarray,
    mu_prior: Prior,
    tau_prior: Prior,
    *,
    used: np.ndarray | None = None,
    design: np.ndarray | None = None,
) -> Posterior:
    """The exact posterior of one or many data sets.

    Args:
        yi, se: estimates and standard errors, (k,) or (set, k).
        mu_prior: of every coefficient: `normal`, `student_t`, `cauchy` (the last two with one coefficient
            only), or `FLAT`.
        tau_prior: of a family in `TAU_PRIORS`.
        used: which studies each set holds (set, k); all where it is left out.
        design: moderators with the constant (k, p); the constant alone where it is left out, and no column
            for effects with mean 0.

    Raises:
        ValueError: shapes that do not match, SE not above 0, an empty set, an unknown prior, or priors that
            leave the posterior improper.
        ArithmeticError: the quadrature did not reach its tolerance.
    """
    yi, se = np.atleast_2d(np.asarray(yi, dtype=float)), np.atleast_2d(np.asarray(se, dtype=float))
    if used is None:
        used = np.ones(yi.shape, dtype=bool)
    used = np.atleast_2d(np.asarray(used, dtype=bool))
    yi, se, used = np.broadcast_arrays(yi, se, used)
    design = np.ones((yi.shape[1], 1)) if design is None else np.asarray(design, dtype=float)
    if design.ndim != 2 or len(design) != yi.shape[1]:
        raise ValueError(f"the design has {design.shape} rows and columns for {yi.shape[1]} studies")
    if not (np.isfinite(yi[used]).all() and np.isfinite(se[used]).all() and (se[used] > 0).all()):
        raise ValueError("estimates must be finite and standard errors above 0")
    if not used.any(axis=1).all():
        raise ValueError("a data set without studies")
    if tau_prior.family not in TAU_PRIORS:
        raise ValueError(f"no quadrature for the prior {tau_prior.family} of tau; one of {list(TAU_PRIORS)}")
    yi, se = np.where(used, yi, 0.0), np.where(used, se, 1.0)
    flat = mu_prior.family == "flat"
    count = int(used.sum(axis=1).min()) - (design.shape[1] if flat else 0)
    tail = TAU_PRIORS[tau_prior.family].tail(tau_prior.parameters) + count
    if tail <= 1 or count < 0:
        raise ValueError("with this prior of tau and so few studies the posterior is improper")
    precision, log_mass = _mixing(mu_prior, design.shape[1])
    parts, start = [], 0
    rows = max(1, CELLS // (PANELS[0] * ORDER * (yi.shape[1] + 4 * len(precision))))
    while start < len(yi):
        at = slice(start, start + rows)
        parts.append(
            _integrate(
                yi[at], se[at], used[at], design, mu_prior, tau_prior, precision, log_mass, float(tail)
            )
        )
        start += rows
    return parts[0] if len(parts) == 1 else _joined(parts)


def _mixing(prior: Prior, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Prior precisions of the coefficients, and their log probabilities: many for a Student-t prior.

    mu ~ t(df, m, s) is mu | l ~ N(m, s^2 / l), l ~ gamma(df / 2, df / 2); trapezoidal rule in log l.
    """
    values = dict(zip(_LOCATION_SCALE.get(prior.family, ()), prior.parameters, strict=True))
    if prior.family == "flat":
        return np.zeros(1), np.zeros(1)
    if prior.family == "normal":
        return np.array([values["scale"] ** -2.0]), np.zeros(1)
    if prior.family not in _LOCATION_SCALE:
        raise ValueError(f"no quadrature for the prior {prior.family} of mu")
    if p != 1:
        raise ValueError(f"a {prior.family} prior is for models without moderators")
    half = values.get("df", 1.0) / 2
    step = min(0.2, 0.5 / np.sqrt(half))
    centre = np.arange(-40 / half if half < 1 else -40, 5, step)
    log_mass = half * np.log(half) - special.gammaln(half) + half * centre - half * np.exp(centre)
    kept = log_mass > log_mass.max() - FAINT
    return np.exp(centre[kept]) / values["scale"] ** 2, log_mass[kept] + np.log(step)


_LOCATION_SCALE = {
    "normal": ("location", "scale"),
    "student_t": ("df", "location", "scale"),
    "cauchy": ("location", "scale"),
}


class _Sets:
    """The likelihood given tau, of a block of data sets, with the coefficients integrated out."""

    def __init__(self, yi, se, used, design, mu_prior, precision, log_mass):
        self.variance, self.used, self.p = se**2, used, design.shape[1]
        self.precision, self.log_mass = precision, log_mass
        w = used / self.variance
        names = _LOCATION_SCALE.get(mu_prior.family, ())
        location = dict(zip(names, mu_prior.parameters, strict=True)).get("location", 0.0)
        # Deviations from the fit at tau = 0, so that the sums of squares below lose no digits
        normal = np.einsum("bk,kp,kq->bpq", w, design, design)
        right = np.einsum("bk,kp,bk->bp", w, design, yi)
        if self.p and np.linalg.matrix_rank(normal).min() < self.p and mu_prior.family == "flat":
            raise ValueError("collinear moderators")
        self.shift = (np.linalg.pinv(normal) @ right[:, :, None])[:, :, 0]
        rest = np.where(used, yi - self.shift @ design.T, 0.0)
        self.prior_mean = location - self.shift
        squares = np.einsum("kp,kq->kpq", design, design).reshape(len(design), -1)
        stack = [
            rest[:, :, None] ** 2,
            rest[:, :, None] * design,
            np.broadcast_to(squares, (len(yi), *squares.shape)),
        ]
        self.columns = np.concatenate(stack, axis=2)
        self.count = used.sum(axis=1)

    def given(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log likelihood (set, node, j), mean (set, node, j, p) and covariance of the coefficients."""
        p = self.p
        total = self.variance[:, None, :] + tau[:, :, None] ** 2
        if self.used.all():
            w, logs = 1 / total, np.log(total).sum(axis=2)
        else:
            w = self.used[:, None, :] / total
            logs = np.log(np.where(self.used[:, None, :], total, 1.0)).sum(axis=2)
        sums = w @ self.columns
        squares, right = sums[:, :, 0], sums[:, :, 1 : p + 1]
        normal = sums[:, :, p + 1 :].reshape(*tau.shape, p, p)
        identity = np.eye(p)
        P = normal[:, :, None] + self.precision[:, None, None] * identity
        b = right[:, :, None] + self.precision[:, None] * self.prior_mean[:, None, None]
        if p == 1:
            covariance, determinant = 1 / P, np.log(P[..., 0, 0])
        else:
            covariance, determinant = np.linalg.inv(P), np.linalg.slogdet(P)[1]
        mean = np.einsum("bnjpq,bnjq->bnjp", covariance, b)
        at_prior = self.precision * (self.prior_mean**2).sum(axis=1)[:, None, None]
        quadratic = squares[:, :, None] + at_prior - (mean * b).sum(axis=3)
        proper = self.precision > 0
        prior = 0.5 * p * np.where(proper, np.log(np.where(proper, self.precision, 1)), LOG_2PI)
        logs = -0.5 * (self.count[:, None] * LOG_2PI + logs)[:, :, None]
        loglik = logs - 0.5 * quadratic - 0.5 * determinant + prior + self.log_mass
        return loglik, mean + self.shift[:, None, None], covariance


def _integrate(yi, se, used, design, mu_prior, tau_prior, precision, log_mass, tail) -> Posterior:
    sets = _Sets(yi, se, used, design, mu_prior, precision, log_mass)
    family, parameters = TAU_PRIORS[tau_prior.family], tau_prior.parameters
    scale = np.sqrt(used.sum(axis=1) / (used / se**2).sum(axis=1))
    logarithmic = family.logarithmic(parameters) if family.logarithmic else None
    axis = Axis(scale, *(logarithmic or ()))
    exists = 4 if np.isinf(tail) else int(np.clip(np.ceil(tail) - 2, 0, 4))
    lowest, highest = family.support(parameters)
    slope = 1.0 if np.isinf(tail) else min(1.0, tail - 1 - exists)
    reach = 300.0 if logarithmic else min(45 / slope, 300.0)
    low, high = axis.u(lowest), np.minimum(axis.u(highest), reach)

    def log_density(u: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        tau = axis.tau(u)
        given = sets.given(tau)
        loglik = given[0][:, :, 0] if len(precision) == 1 else special.logsumexp(given[0], axis=2)
        return loglik + family.log_density(parameters, tau) + axis.log_jacobian(u), given

    for count in (200, 60, 60):
        u = low[:, None] + (high - low)[:, None] * np.linspace(1e-9, 1, count)
        logs = log_density(u)[0]
        moment = logs + exists * axis.growth(u)  # the tail counts as far as moments need it
        near = (logs > logs.max(axis=1, keepdims=True) - FAINT) | (
            moment > moment.max(axis=1, keepdims=True) - FAINT
        )
        first = np.maximum(near.argmax(axis=1) - 1, 0)
        last = np.minimum(count - near[:, ::-1].argmax(axis=1), count - 1)
        rows = np.arange(len(u))
        low, high = np.where(first > 0, u[rows, first], low), np.where(last < count - 1, u[rows, last], high)
    u = low[:, None] + (high - low)[:, None] * np.linspace(1e-9, 1, 160)
    logs = log_density(u)[0]
    mass = np.exp(logs - logs.max(axis=1, keepdims=True))
    moment = logs + exists * axis.growth(u)
    mass = mass / mass.sum(axis=1, keepdims=True)
    moment = np.exp(moment - moment.max(axis=1, keepdims=True))
    mesh = 0.4 * mass + 0.2 * moment / moment.sum(axis=1, keepdims=True) + 0.4 / u.shape[1]
    mesh = np.cumsum(mesh, axis=1)
    mesh = (mesh - mesh[:, :1]) / (mesh[:, -1:] - mesh[:, :1])

    x, w = np.polynomial.legendre.leggauss(ORDER)
    analysis = (np.polynomial.legendre.legvander(x, ORDER - 1) * w[:, None]).T * (np.arange(ORDER) + 0.5)[
        :, None
    ]
    for panels in PANELS:
        targets = np.linspace(0, 1, panels + 1)
        edges = np.stack([np.interp(targets, mesh[b], u[b]) for b in range(len(u))])
        edges[:, 0], edges[:, -1] = low, high
        half = np.diff(edges, axis=1)[:, :, None] / 2
        nodes = (edges[:, :-1, None] + half * (1 + x)).reshape(len(u), -1)
        logs, (loglik, mean, covariance) = log_density(nodes)
        peak = logs.max(axis=1, keepdims=True)
        dense = np.exp(logs - peak).reshape(len(u), panels, ORDER) * half
        total = (dense @ w).sum(axis=1)
        series = np.einsum("oi,bpi->obp", analysis, dense) / total[:, None]
        heavy = dense * np.exp(exists * axis.growth(nodes)).reshape(dense.shape)
        rough = np.abs(np.einsum("oi,bpi->obp", analysis[-2:], heavy)).sum(axis=(0, 2))
        error = np.maximum(rough / (heavy @ w).sum(axis=1), np.abs(series[-2:]).sum(axis=(0, 2)))
        if (error < TOLERANCE).all():
            break
    else:
        raise ArithmeticError(f"the quadrature did not converge: relative error {error.max():.1g}")
    weight = (dense * w).reshape(len(u), -1) / total[:, None]
    tau = axis.tau(nodes)
    integral = np.polynomial.legendre.legint(series, lbnd=-1, axis=0)
    marginal = TauMarginal(tau, weight, edges, integral, scale, exists, logarithmic)
    share = np.exp(loglik - special.logsumexp(loglik, axis=2, keepdims=True))
    j, p = len(precision), design.shape[1]
    return Posterior(
        yi, se, used, design, marginal, (weight[:, :, None] * share).reshape(len(u), -1),
        np.repeat(tau, j, axis=1), mean.reshape(len(u), nodes.shape[1] * j, p),
        covariance.reshape(len(u), nodes.shape[1] * j, p, p),
        np.log(total) + peak[:, 0], error,
    )  # fmt: skip


def _joined(parts: Sequence[Posterior]) -> Posterior:
    """Blocks of data sets as one; those with fewer panels are filled up with components of weight 0."""

    def stack(arrays: list[np.ndarray], axis: int = 0, edge: bool = False) -> np.ndarray:
        wide = 1 + axis
        size = max(a.shape[wide] for a in arrays) if arrays[0].ndim > wide else 0
        filled = []
        for a in arrays:
            if a.ndim > wide and a.shape[wide] < size:
                pad = [(0, 0)] * a.ndim
                pad[wide] = (0, size - a.shape[wide])
                a = np.pad(a, pad, mode="edge" if edge else "constant")
            filled.append(a)
        return np.concatenate(filled, axis=axis)

    taus = [part.tau for part in parts]
    marginal = TauMarginal(
        stack([t.nodes for t in taus], edge=True),
        stack([t.weight for t in taus]),
        stack([t.edges for t in taus], edge=True),
        stack([t.coefficients for t in taus], axis=1),
        stack([t.scale for t in taus]),
        min(t.exists for t in taus),
        taus[0].logarithmic,
    )
    return Posterior(
        stack([part.yi for part in parts]),
        stack([part.se for part in parts]),
        stack([part.used for part in parts]),
        parts[0].design,
        marginal,
        stack([part.weight for part in parts]),
        stack([part.tau_at for part in parts], edge=True),
        stack([part.centre for part in parts], edge=True),
        stack([part.covariance for part in parts], edge=True),
        stack([part.log_marginal for part in parts]),
        stack([part.error for part in parts]),
    )


def log_marginal_common(
    yi: np.ndarray, se: np.ndarray, mu_prior: Prior, design: np.ndarray | None = None
) -> float:
    """Log marginal likelihood of one data set without heterogeneity (tau = 0)."""
    yi, se = np.atleast_2d(np.asarray(yi, dtype=float)), np.atleast_2d(np.asarray(se, dtype=float))
    design = np.ones((yi.shape[1], 1)) if design is None else np.asarray(design, dtype=float)
    mixing = _mixing(mu_prior, design.shape[1])
    sets = _Sets(yi, se, np.ones(yi.shape, dtype=bool), design, mu_prior, *mixing)
    return float(special.logsumexp(sets.given(np.zeros((1, 1)))[0]))


def _expectation(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (weight * values).sum(axis=1)


def _every(weight: np.ndarray, value: float) -> np.ndarray:
    return np.full(len(weight), value)
