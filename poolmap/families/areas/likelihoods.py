"""Log densities of what was observed in each area, vectorised over areas and draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

CODES = {
    "poisson": 1,
    "negative_binomial": 2,
    "binomial": 3,
    "beta_binomial": 4,
    "normal": 5,
    "zero_inflated_poisson": 6,
}
_LEAST = 1e-9  # added to the dispersion, as in areas.stan: nearer to 0 gamma functions cancel into noise
WITH_DISPERSION = ("negative_binomial", "beta_binomial")
OF_PERSONS = ("binomial", "beta_binomial")


@dataclass(frozen=True, eq=False)
class Observed:
    """What was observed in the areas that inform the model.

    Attributes:
        likelihood: name of the distribution, a key of `CODES`.
        lower, upper: (m,) bounds of each count, both included; the same where it is known exactly. The direct
            estimate (both) with the normal likelihood.
        log_exposure: (m,) log of the expected count; 0 where the likelihood has none.
        trials: (m,) persons, of whom `lower` are cases (binomial, beta-binomial).
        se: (m,) standard error of the direct estimate (normal).
    """

    likelihood: str
    lower: Array
    upper: Array
    log_exposure: Array
    trials: Array
    se: Array

    @property
    def censored(self) -> NDArray[np.bool_]:
        """(m,) which counts are known to lie in a range only."""
        return self.lower < self.upper

    def log_density(self, eta: Array, dispersion: Array | float = 0.0, zero: Array | float = 0.0) -> Array:
        """Log probability (or density) of each observation.

        Args:
            eta: (..., m) linear predictor.
            dispersion: the overdispersion (negative binomial) or the intraclass correlation (beta-binomial).
            zero: probability of a structural zero (zero-inflated Poisson). Both are scalars, or arrays that
                broadcast with eta.

        Returns:
            (..., m).
        """
        if self.likelihood == "normal":
            z = (self.lower - eta) / self.se
            return -0.5 * z**2 - np.log(self.se) - 0.5 * np.log(2 * np.pi)
        density = self._count(self.lower, eta, dispersion, zero, slice(None))
        at = np.flatnonzero(self.censored)
        for above in range(1, int((self.upper - self.lower).max(initial=0)) + 1):
            at = at[self.lower[at] + above <= self.upper[at]]
            more = self._count(self.lower[at] + above, eta[..., at], dispersion, zero, at)
            density[..., at] = np.logaddexp(density[..., at], more)
        return density

    def derivatives(
        self, eta: Array, dispersion: Array | float = 0.0, zero: Array | float = 0.0, *, step: float = 1e-3
    ) -> tuple[Array, Array]:
        """First and second derivative of `log_density` by eta, from differences over `step`."""
        below, here, above = (self.log_density(eta + move, dispersion, zero) for move in (-step, 0.0, step))
        return (above - below) / (2 * step), (above - 2 * here + below) / step**2

    def replicate(
        self,
        rng: np.random.Generator,
        eta: Array,
        dispersion: Array | float = 0.0,
        zero: Array | float = 0.0,
    ) -> Array:
        """New observations of the same areas, as `log_density` has them; (..., m)."""
        if self.likelihood == "normal":
            return rng.normal(eta, self.se)
        if self.likelihood in OF_PERSONS:
            share = special.expit(eta)
            if self.likelihood == "beta_binomial":
                size = 1 / np.asarray(dispersion) - 1
                share = rng.beta(size * share, size * special.expit(-eta))
            return rng.binomial(self.trials.astype(np.int64), share).astype(np.float64)
        mean = np.exp(eta + self.log_exposure)
        if self.likelihood == "negative_binomial":
            mean = rng.gamma(1 / np.asarray(dispersion), mean * dispersion)
        counts = rng.poisson(mean).astype(np.float64)
        if self.likelihood == "zero_inflated_poisson":
            counts *= rng.random(eta.shape) >= zero
        return counts

    def subset(self, keep: NDArray[np.bool_]) -> Observed:
        """The observations of some areas."""
        parts = (self.lower, self.upper, self.log_exposure, self.trials, self.se)
        return Observed(self.likelihood, *(part[keep] for part in parts))

    def _count(
        self,
        y: Array,
        eta: Array,
        dispersion: Array | float,
        zero: Array | float,
        at: slice | NDArray[np.int64],
    ) -> Array:
        if self.likelihood in OF_PERSONS:
            n = self.trials[at]
            choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
            if self.likelihood == "binomial":
                return choose + y * eta - n * np.logaddexp(0, eta)
            size = 1 / (np.asarray(dispersion) + _LEAST) - 1
            a, b = size * special.expit(eta), size * special.expit(-eta)
            return choose + special.betaln(y + a, n - y + b) - special.betaln(a, b)
        log_mean = self.log_exposure[at] + eta
        if self.likelihood == "negative_binomial":
            size = 1 / (np.asarray(dispersion) + _LEAST)
            whole = np.logaddexp(log_mean, np.log(size))
            return (
                special.gammaln(y + size)
                - special.gammaln(size)
                - special.gammaln(y + 1)
                + size * (np.log(size) - whole)
                + y * (log_mean - whole)
            )
        poisson = y * log_mean - np.exp(log_mean) - special.gammaln(y + 1)
        if self.likelihood == "poisson":
            return poisson
        with np.errstate(divide="ignore"):
            return np.where(
                np.asarray(y) > 0,
                np.log1p(-np.asarray(zero)) + poisson,
                np.logaddexp(np.log(zero), np.log1p(-np.asarray(zero)) - np.exp(log_mean)),
            )
