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
            dispersion, zero: scalars, or arrays that broadcast with eta.

        Returns:
            (..., m).
        """
        if self.likelihood == "normal":
            z = (self.lower - eta) / self.se
            return -0.5 * z**2 - np.log(self.se) - 0.5 * np.log(2 * np.pi)
        density = self._count(self.lower, eta, dispersion, zero, slice(None))
        for i in np.flatnonzero(self.censored):
            at = slice(i, i + 1)
            parts = [
                self._count(np.float64(y), eta[..., at], dispersion, zero, at)
                for y in range(int(self.lower[i]), int(self.upper[i]) + 1)
            ]
            density[..., at] = special.logsumexp(parts, axis=0)
        return density

    def _count(
        self, y: Array | np.float64, eta: Array, dispersion: Array | float, zero: Array | float, at: slice
    ) -> Array:
        if self.likelihood in OF_PERSONS:
            n = self.trials[at]
            choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
            if self.likelihood == "binomial":
                return choose + y * eta - n * np.logaddexp(0, eta)
            size = 1 / np.asarray(dispersion) - 1
            a, b = size * special.expit(eta), size * special.expit(-eta)
            return choose + special.betaln(y + a, n - y + b) - special.betaln(a, b)
        log_mean = self.log_exposure[at] + eta
        if self.likelihood == "negative_binomial":
            size = 1 / np.asarray(dispersion)
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
