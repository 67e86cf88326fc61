"""The exact posterior of meta-analyses of counts by quadrature, with all studies and without each in turn.

    y_i | theta_i ~ L_i (study_likelihood.py),   theta_i ~ N(mu, tau^2),   mu, tau ~ their priors

Each study's effect and baseline are integrated out first; what is left is a function of mu and tau.
Gauss-Legendre on panels of u, tau = s sinh(u), and given tau on two panels of x, mu = centre(tau) +
width(tau) sinh(x), placed where the posterior, or that without any one study, has its mass. All sets of
studies share the nodes, so that leaving each study out costs no further likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special
from scipy.interpolate import CubicHermiteSpline

from poolmap.config.base import Prior
from poolmap.families.meta.classical import typical_variance
from poolmap.families.meta.quadrature import ORDER, TAU_PRIORS, TauMarginal
from poolmap.families.meta.refits import _wide
from poolmap.families.meta.study_likelihood import (
    LOCATION_FAMILIES,
    StudyLikelihood,
    log_prior,
    marginal,
    standard_form,
)

FAINT = 34.0  # log density below the peak that no longer counts: 2e-15
PANELS = (10, 20, 40)  # of u
MU_ORDER = 44  # nodes of each of the two panels of x
TOLERANCE = 1e-7
POINTS = 400  # of a distribution function


@dataclass(frozen=True)
class OnGrid:
    """A posterior known by its moments and its distribution function at many points, in each set.

    Attributes:
        at: the points (point,).
        cdf, pdf: at the points (set, point).
        mean_, sd_: moments (set,); NaN and inf where they do not exist.
    """

    at: np.ndarray
    cdf: np.ndarray
    pdf: np.ndarray
    mean_: np.ndarray
    sd_: np.ndarray

    def mean(self) -> np.ndarray:
        """Posterior mean (set,)."""
        return self.mean_

    def sd(self) -> np.ndarray:
        """Posterior standard deviation (set,)."""
        return self.sd_

    def quantile(self, probability: float) -> np.ndarray:
        """The quantile of each set (set,)."""
        low, high = np.full(len(self.cdf), self.at[0]), np.full(len(self.cdf), self.at[-1])
        curves = CubicHermiteSpline(self.at, self.cdf.T, self.pdf.T)
        rows = np.arange(len(low))
        for _ in range(52):
            middle = 0.5 * (low + high)
            below = curves(middle)[rows, rows] < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)


@dataclass(frozen=True)
class Moments:
    """Posterior mean and standard deviation of one quantity, (1,) each."""

    mean_: np.ndarray
    sd_: np.ndarray

    def mean(self) -> np.ndarray:
        """Posterior mean."""
        return self.mean_

    def sd(self) -> np.ndarray:
        """Posterior standard deviation."""
        return self.sd_


@dataclass(frozen=True)
class CountPosterior:
    """The exact posterior given all studies (set 0) and without study i (set i + 1, where asked for).

    It has what `refits.crosscheck` and `refits.leave_one_out` need of `quadrature.Posterior`.

    Attributes:
        yi, se: empirical effects and standard errors (1, K), from which I-squared has its typical variance.
        tau: marginal posterior of tau.
        log_marginal: log marginal likelihood (set,), a log probability of the counts.
        error: estimated relative error of the quadrature (set,).
        nodes_mu, nodes_tau: of the grid (tau node, mu node), (tau node,).
        weight: posterior mass at them (set, tau node, mu node).
        effects: posterior mean and variance of each study's effect at the nodes (2, K, tau node, mu node).
    """

    yi: np.ndarray
    se: np.ndarray
    tau: TauMarginal
    log_marginal: np.ndarray
    error: np.ndarray
    nodes_mu: np.ndarray
    nodes_tau: np.ndarray
    weight: np.ndarray
    effects: np.ndarray
    grid: _Grid

    def only(self, sets: slice) -> CountPosterior:
        """Some of the sets."""
        t = self.tau
        tau = TauMarginal(
            t.nodes[sets], t.weight[sets], t.edges[sets], t.coefficients[:, sets], t.scale[sets], t.exists
        )
        return CountPosterior(
            self.yi, self.se, tau, self.log_marginal[sets], self.error[sets], self.nodes_mu, self.nodes_tau,
            self.weight[sets], self.effects, self.grid,
        )  # fmt: skip

    def mu(self) -> OnGrid:
        """Posterior of the pooled effect."""
        return self._distribution(np.zeros(len(self.nodes_tau)))

    def theta_new(self) -> OnGrid:
        """The effect in a new study."""
        return self._distribution(self.nodes_tau)

    def theta(self, i: int) -> Moments:
        """The effect of study i given all studies (set 0)."""
        mean, variance = self.effects[:, i]
        centre = (self.weight[0] * mean).sum()
        spread = (self.weight[0] * (variance + (mean - centre) ** 2)).sum()
        return Moments(np.array([centre]), np.array([np.sqrt(spread)]))

    def i2(self) -> np.ndarray:
        """Posterior mean of I-squared in per cent (set,), with the typical variance of all studies."""
        typical = typical_variance(self.se[0] ** 2)
        t2 = self.tau.nodes**2
        return (self.tau.weight * 100 * t2 / (t2 + typical)).sum(axis=1)

    def _distribution(self, spread: np.ndarray) -> OnGrid:
        mu, exists = self.nodes_mu, self.tau.exists
        mean = np.einsum("stm,tm->s", self.weight, mu)
        spreads = spread[:, None] ** 2
        variance = np.array(
            [(w * ((mu - m) ** 2 + spreads)).sum() for w, m in zip(self.weight, mean, strict=True)]
        )
        if exists < 1:
            mean = np.full(len(mean), np.nan)
        at = self._points(spread)
        cdf, pdf = self.grid.distribution(at, spread, self.weight)
        return OnGrid(at, cdf, pdf, mean, np.sqrt(variance) if exists > 1 else np.full(len(mean), np.inf))

    def _points(self, spread: np.ndarray) -> np.ndarray:
        """Points that hold the middle 1 - 1e-7 of all sets, denser where the mass is."""
        z = np.linspace(-6, 6, 25)
        values = (self.nodes_mu[:, :, None] + spread[:, None, None] * z).ravel()
        share = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
        mass = (self.weight.max(axis=0)[:, :, None] * share).ravel()
        order = np.argsort(values)
        upto = np.cumsum(mass[order]) / mass.sum()
        probabilities = special.ndtr(np.linspace(-5.2, 5.2, POINTS))
        points = np.interp(probabilities, upto, values[order])
        even = np.linspace(points[0], points[-1], POINTS // 4)
        return np.unique(np.concatenate([points, even]))


@dataclass(frozen=True)
class _Grid:
    """Where the nodes of mu lie: mu = centre + width sinh(x) given tau, x on two panels with `edges`."""

    centre: np.ndarray
    width: np.ndarray
    edges: np.ndarray  # (tau node, 3)

    def nodes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, weights of d mu, mu: (tau node, mu node)."""
        t, w = np.polynomial.legendre.leggauss(MU_ORDER)
        half = np.diff(self.edges, axis=1)[:, :, None] / 2
        x = (self.edges[:, :-1, None] + half * (1 + t)).reshape(len(self.centre), -1)
        mass = (half * w).reshape(x.shape) * self.width[:, None] * np.cosh(x)
        return x, mass, self.centre[:, None] + self.width[:, None] * np.sinh(x)

    def distribution(
        self, at: np.ndarray, spread: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """P(mu + spread z < at) and its density, z standard normal (set, point).

        The distribution of mu between the nodes is that of the polynomial through its density in x. Where
        the spread is small against the nodes' distances that is averaged over z, else the normal
        distribution over the nodes.
        """
        cdf = np.zeros((len(weight), len(at)))
        pdf = np.zeros_like(cdf)
        z, zw = np.polynomial.hermite_e.hermegauss(24)
        zw = zw / zw.sum()
        _, _, mu = self.nodes()
        t, w = np.polynomial.legendre.leggauss(MU_ORDER)
        analysis = (np.polynomial.legendre.legvander(t, MU_ORDER - 1) * w[:, None]).T
        analysis = analysis * (np.arange(MU_ORDER) + 0.5)[:, None] / w  # from masses to the density's series
        integral = np.polynomial.legendre.legint(analysis, lbnd=-1, axis=0)
        mass = weight.sum(axis=2)
        for j in range(len(mu)):
            share = weight[:, j] / np.maximum(mass[:, j], 1e-300)[:, None]
            sd = np.sqrt((share * (mu[j] - (share @ mu[j])[:, None]) ** 2).sum(axis=1))
            narrow = sd[mass[:, j] > 0].min() if (mass[:, j] > 0).any() else 0.0
            if spread[j] > 0.7 * narrow:
                scaled = (at[:, None] - mu[j]) / spread[j]
                cdf += weight[:, j] @ special.ndtr(scaled).T
                pdf += weight[:, j] @ (np.exp(-0.5 * scaled**2) / (np.sqrt(2 * np.pi) * spread[j])).T
                continue
            points = at[:, None] - spread[j] * (z if spread[j] > 0 else np.zeros(1))
            share = zw if spread[j] > 0 else np.ones(1)
            x = np.arcsinh((points - self.centre[j]) / self.width[j])
            for panel in range(2):
                left, right = self.edges[j, panel], self.edges[j, panel + 1]
                if right <= left:
                    continue
                s = 2 * (x - left) / (right - left) - 1
                own = weight[:, j, panel * MU_ORDER : (panel + 1) * MU_ORDER]
                upto = np.polynomial.legendre.legvander(np.clip(s, -1, 1), MU_ORDER) @ integral
                cdf += own @ np.einsum("pzm,z->mp", upto, share)
                slope = np.polynomial.legendre.legvander(np.clip(s, -1, 1), MU_ORDER - 1) @ analysis
                inside = (s >= -1) & (s <= 1)
                slope *= (inside * 2 / (right - left) / (self.width[j] * np.cosh(x)))[:, :, None]
                pdf += own @ np.einsum("pzm,z->mp", slope, share)
        return cdf, pdf


def count_posterior(
    likelihoods: Sequence[StudyLikelihood],
    mu_prior: Prior,
    tau_prior: Prior,
    *,
    yi: np.ndarray | None = None,
    se: np.ndarray | None = None,
    without: bool = False,
) -> CountPosterior:
    """The exact posterior of a model with one mean and one tau, normal effects.

    Args:
        likelihoods: of the K studies, from `study_likelihood.study_likelihoods`.
        mu_prior: `normal`, `student_t` or `cauchy`.
        tau_prior: of a family in `quadrature.TAU_PRIORS`, proper.
        yi, se: empirical effects and standard errors (K,) for I-squared; those of the counts with 1/2 added
            to each cell where they are left out.
        without: whether also without each study in turn.

    Raises:
        ValueError: a prior that this quadrature has not, or one study where one is to be left out.
        ArithmeticError: the quadrature did not reach its tolerance.
    """
    if mu_prior.family not in LOCATION_FAMILIES:
        raise ValueError(f"the prior of mu is one of {list(LOCATION_FAMILIES)}, not {mu_prior.family}")
    if tau_prior.family not in TAU_PRIORS or tau_prior.family == "flat":
        raise ValueError(f"no quadrature for the prior {tau_prior.family} of tau")
    if without and len(likelihoods) < 2:
        raise ValueError("leaving one study out needs at least two studies")
    centres = np.array([item.centre for item in likelihoods]) if yi is None else np.asarray(yi, dtype=float)
    errors = np.array([item.scale for item in likelihoods]) if se is None else np.asarray(se, dtype=float)
    joint = _Joint(likelihoods, mu_prior, tau_prior, without)
    return joint.integrated(centres[None], errors[None])


class _Joint:
    """Log joint density of the counts, mu and u, with all studies and without each."""

    def __init__(self, likelihoods, mu_prior: Prior, tau_prior: Prior, without: bool):
        self.likelihoods, self.mu_prior, self.without = likelihoods, mu_prior, without
        self.family, self.parameters = TAU_PRIORS[tau_prior.family], tau_prior.parameters
        self.d = np.array([item.centre for item in likelihoods])
        self.v = np.array([item.scale for item in likelihoods]) ** 2
        self.s = np.sqrt(len(self.v) / (1 / self.v).sum())
        self.kinked = any(item.kink is not None for item in likelihoods)
        informative = sum(item.two_sided for item in likelihoods) - int(without)
        tail = self.family.tail(self.parameters) + max(informative, 0)
        self.exists = 4 if np.isinf(tail) else int(np.clip(np.ceil(tail) - 2, 0, 4))
        slope = 1.0 if np.isinf(tail) else min(1.0, max(tail - 1 - self.exists, 0.05))
        lowest, highest = self.family.support(self.parameters)
        self.low = float(np.arcsinh(lowest / self.s))
        self.high = float(min(np.arcsinh(highest / self.s), 45 / slope, 300.0))

    def place(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and width of mu given tau, were all normal."""
        _, location, scale = standard_form(self.mu_prior)
        w = 1 / (self.v + tau[:, None] ** 2)
        precision = w.sum(axis=1) + 1 / scale**2
        return (w @ self.d + location / scale**2) / precision, 1 / np.sqrt(precision)

    def logs(self, tau: np.ndarray, mu: np.ndarray, moments: bool = False):
        """(set, tau node, mu node), of tau (tau node,) and mu (tau node, mu node); in tau, not u."""
        at = np.broadcast_to(tau[:, None], mu.shape)
        each = np.empty((len(self.likelihoods), *mu.shape))
        effects = np.empty((2, *each.shape)) if moments else None
        for i, item in enumerate(self.likelihoods):
            each[i], mean, variance = marginal(item, mu, at)
            if moments:
                effects[0, i], effects[1, i] = mean, variance
        total = each.sum(axis=0) + log_prior(self.mu_prior, mu)
        total = total + self.family.log_density(self.parameters, tau)[:, None]
        sets = np.concatenate([total[None], total - each]) if self.without else total[None]
        return (sets, effects) if moments else sets

    def box(self):
        """Edges of u, and of x at some u, that hold all mass; and that mass by u for the panels."""
        low, high = self.low, self.high
        x_low, x_high = np.full(2, -6.0), np.full(2, 6.0)
        at = np.array([low, high])
        for count in (40, 28, 28):
            u = low + (high - low) * np.linspace(1e-6, 1, count)
            tau = self.s * np.sinh(u)
            centre, width = self.place(tau)
            left, right = np.interp(u, at, x_low), np.interp(u, at, x_high)
            steps = np.linspace(0, 1, 33)
            x = left[:, None] + (right - left)[:, None] * steps
            logs = self.logs(tau, centre[:, None] + width[:, None] * np.sinh(x))
            logs = logs + (np.log(width * np.cosh(u))[:, None] + np.log(np.cosh(x)))
            logs = logs + np.log((right - left) / 32)[:, None]
            moment = logs + self.exists * np.log(np.cosh(u))[:, None]
            near = (logs > logs.max(axis=(1, 2), keepdims=True) - FAINT) | (
                moment > moment.max(axis=(1, 2), keepdims=True) - FAINT
            )
            near = near.any(axis=0)
            rows = np.flatnonzero(near.any(axis=1))
            first, last = max(rows[0] - 1, 0), min(rows[-1] + 1, count - 1)
            first_x = np.where(near.any(axis=1), near.argmax(axis=1), 32)
            last_x = np.where(near.any(axis=1), 32 - near[:, ::-1].argmax(axis=1), 0)
            inner = np.arange(first, last + 1)
            filled = rows[np.abs(inner[:, None] - rows).argmin(axis=1)]
            first_x, last_x = first_x[filled], last_x[filled]
            grid = np.arange(len(inner))
            # The neighbours' bounds too: the box must not cut a corner between two u
            before, after = np.maximum(grid - 1, 0), np.minimum(grid + 1, len(grid) - 1)
            first_x = np.minimum(first_x, np.minimum(first_x[before], first_x[after]))
            last_x = np.maximum(last_x, np.maximum(last_x[before], last_x[after]))
            at = u[inner]
            x_low = x[inner, np.maximum(first_x - 1, 0)]
            x_high = x[inner, np.minimum(last_x + 1, 32)]
            low, high = (low if first == 0 else u[first]), (high if last == count - 1 else u[last])
            by_u = special.logsumexp(logs, axis=2), special.logsumexp(moment, axis=2)
        return low, high, at, x_low, x_high, u, by_u

    def integrated(self, yi: np.ndarray, se: np.ndarray) -> CountPosterior:
        low, high, at, x_low, x_high, u, by_u = self.box()
        shares = [np.exp(b - b.max(axis=1, keepdims=True)) for b in by_u]
        shares = [(b / b.sum(axis=1, keepdims=True)).mean(axis=0) for b in shares]
        mesh = np.cumsum(0.4 * shares[0] + 0.2 * shares[1] + 0.4 / len(u))
        mesh = (mesh - mesh[0]) / (mesh[-1] - mesh[0])
        t, w = np.polynomial.legendre.leggauss(ORDER)
        analysis = (np.polynomial.legendre.legvander(t, ORDER - 1) * w[:, None]).T
        analysis = analysis * (np.arange(ORDER) + 0.5)[:, None]
        for panels in PANELS:
            edges = np.interp(np.linspace(0, 1, panels + 1), mesh, u)
            edges[0], edges[-1] = low, high
            half = np.diff(edges)[:, None] / 2
            nodes = (edges[:-1, None] + half * (1 + t)).ravel()
            tau = self.s * np.sinh(nodes)
            centre, width = self.place(tau)
            left, right = np.interp(nodes, at, x_low), np.interp(nodes, at, x_high)
            split = np.arcsinh((0.0 - centre) / width) if self.kinked else 0.5 * (left + right)
            split = np.where((split > left) & (split < right), split, 0.5 * (left + right))
            grid = _Grid(centre, width, np.stack([left, split, right], axis=1))
            _, mass, mu = grid.nodes()
            logs, effects = self.logs(tau, mu, moments=True)
            jacobian = np.log(self.s * np.cosh(nodes))
            logs = logs + (np.log(mass) + jacobian[:, None])
            peak = logs.max(axis=(1, 2))
            dense = np.exp(logs - peak[:, None, None])
            by_node = dense.sum(axis=2).reshape(len(dense), panels, ORDER) * half
            total = (by_node @ w).sum(axis=1)
            series = np.einsum("oi,spi->osp", analysis, by_node) / total[:, None]
            error = np.abs(series[-2:]).sum(axis=(0, 2))
            if error.max() < TOLERANCE:
                break
        else:
            raise ArithmeticError(f"the quadrature did not converge: relative error {error.max():.1g}")
        sets = len(dense)
        node_weight = (half * w).ravel()
        weight = dense * node_weight[:, None] / total[:, None, None]
        marginal_tau = TauMarginal(
            np.broadcast_to(tau, (sets, len(tau))), weight.sum(axis=2),
            np.broadcast_to(edges, (sets, panels + 1)),
            np.polynomial.legendre.legint(series, lbnd=-1, axis=0), np.full(sets, self.s), self.exists,
        )  # fmt: skip
        return CountPosterior(
            yi, se, marginal_tau, np.log(total) + peak, error, mu, tau, weight, effects, grid
        )


def leave_one_out_counts(
    likelihoods: Sequence[StudyLikelihood], mu_prior: Prior, tau_prior: Prior, interval: float = 0.95
) -> tuple[pd.DataFrame, CountPosterior]:
    """The posterior without each study in turn, as `refits.leave_one_out`, and that with all studies.

    Returns:
        A table of one row per study left out, columns as in `refits.leave_one_out` (`elpd_loo`: log
        probability of the study's counts given the other studies), and the posterior of all studies.
    """
    every = count_posterior(likelihoods, mu_prior, tau_prior, without=True)
    whole, without = every.only(slice(0, 1)), every.only(slice(1, None))
    table = _wide(without, interval)
    for name, it in (("mu", whole.mu()), ("tau", whole.tau)):
        table[f"{name}_shift"] = (it.mean() - table[name]) / table[f"{name}_sd"]
    table["elpd_loo"] = whole.log_marginal - without.log_marginal
    return table, whole
