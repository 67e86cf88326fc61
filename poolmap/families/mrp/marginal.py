"""The shape of an approximate density of hyperparameters: mode, and the bend of long tails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, special

Array = NDArray[np.float64]

FARTHEST = 6.0  # a log standard deviation or a logit beyond is 0 or 1 to any data
STRENGTHS = (0.3, 1.0, 3.0, 6.0)
GAIN = 0.7  # a bend that does not bring the density this much nearer to normal is not worth while


@dataclass(frozen=True, eq=False)
class Bend:
    """hyper = t - strength softplus(at - t)^2: an exponential left tail of log sigma is a normal one of t.

    Attributes:
        strength: (H,) 0 where t is the hyperparameter itself.
        at: (H,) where the tail begins.
    """

    strength: Array
    at: Array

    def bent(self, t: Array) -> Array:
        """The hyperparameters from t."""
        return t - self.strength * np.logaddexp(0, self.at - t) ** 2

    def log_jacobian(self, t: Array) -> float:
        """Log of the derivative of the hyperparameters in t, summed."""
        beyond = np.logaddexp(0, self.at - t)
        return float(np.log1p(2 * self.strength * beyond * special.expit(self.at - t)).sum())

    def straight(self, hyper: Array) -> Array:
        """t from the hyperparameters."""
        t = hyper.copy()
        for _ in range(60):
            beyond = np.logaddexp(0, self.at - t)
            slope = 1 + 2 * self.strength * beyond * special.expit(self.at - t)
            t = t - (t - self.strength * beyond**2 - hyper) / slope
        return t


def bend_of(log_density: Callable[[Array], float], mode: Array, which: NDArray[np.bool_]) -> Bend:
    """The bend under which each of the chosen hyperparameters is nearest to normal along its axis."""
    strength, at = np.zeros(len(mode)), np.zeros(len(mode))
    offsets = np.concatenate([np.linspace(-7, -1.5, 9), np.linspace(-1, 1.5, 11), [2.0, 2.5]])
    for i in np.flatnonzero(which):
        unit = np.eye(len(mode))[i]
        heights = np.array([log_density(mode + offset * unit) for offset in offsets])
        good = np.isfinite(heights)
        if good.sum() < 6:
            continue
        axis = interpolate.PchipInterpolator(mode[i] + offsets[good], heights[good])
        strength[i], at[i] = _best_bend(axis, mode[i])
    return Bend(strength, at)


def _best_bend(axis: Callable[[Array], Array], mode: float) -> tuple[float, float]:
    best, found = GAIN * _unevenness(axis, mode, 0.0, 0.0), (0.0, 0.0)
    for strength in STRENGTHS:
        for at in mode + np.arange(-2.5, 1.1, 0.25):
            uneven = _unevenness(axis, mode, strength, at)
            if uneven < best:
                best, found = uneven, (strength, at)
    return found


def _unevenness(axis: Callable[[Array], Array], mode: float, strength: float, at: float) -> float:
    """How far the log density in t departs from that of a normal, within three standard deviations."""
    one = Bend(np.array(strength), np.array(at))
    t = np.linspace(mode - 7, mode + 6, 400)
    value = one.bent(t)
    beyond = np.logaddexp(0, at - t)
    inside = np.clip(value, mode - 7, mode + 2.5)
    height = axis(inside) + np.minimum(value - inside, 0) - 50 * np.maximum(value - inside, 0)
    height = height + np.log1p(2 * strength * beyond * special.expit(at - t))
    weight = special.softmax(height)
    mean = weight @ t
    sd = np.sqrt(weight @ (t - mean) ** 2)
    u = np.linspace(-3, 3, 25)
    departure = np.interp(mean + sd * u, t, height) + 0.5 * u**2
    return float(np.std(departure))


def newton_step(log_density: Callable[[Array], float], at: Array, step: Array) -> tuple[Array, Array]:
    """One damped Newton step with the curvature on the diagonal, by differences of the size of `step`.

    Returns:
        The new point, within `FARTHEST` of 0, and the size of the next differences.
    """
    if not len(at):
        return at, step
    here, move = log_density(at), np.zeros(len(at))
    for i in range(len(at)):
        unit = np.zeros(len(at))
        unit[i] = step[i]
        low, high = log_density(at - unit), log_density(at + unit)
        if np.isfinite([low, here, high]).all():
            slope, curve = (high - low) / (2 * step[i]), (2 * here - high - low) / step[i] ** 2
            move[i] = np.clip(slope / max(curve, 0.5 * abs(slope), 1e-2), -1, 1)
    move = np.clip(at + move, -FARTHEST, FARTHEST) - at
    while not log_density(at + move) >= here and np.abs(move).max() > 1e-3:
        move = move / 2
    if np.isfinite(log_density(at + move)):
        at = at + move
    return at, np.clip(np.abs(move), 0.05, 0.3)
