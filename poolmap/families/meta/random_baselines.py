"""How likely the counts of two arms are where baseline and effect are integrated out: random baselines.

    baseline ~ normal(m, s),   effect ~ normal(location, tau) or Student-t

by Gauss-Hermite quadrature around the mode of the two (Naylor & Smith 1982, Applied Statistics 31:214).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from poolmap.families.meta.study_likelihood import log_choose

if TYPE_CHECKING:
    import xarray

LOG_2PI = np.log(2 * np.pi)
SIDE = 11  # nodes a dimension
SIDE_RR = 15  # the bound of the risk ratio's baselines has a kink at an effect of 0
NEWTON = 8
STEP = 1e-3  # of numerical derivatives
LEAP = 4.0  # longest step towards the mode
FAR = 80.0  # log odds and log risk ratios beyond which nothing changes
FLAT = 0.05  # least curvature taken: at the kink, and where the truncated mass bends the density upwards

Value = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Log density at a, b."""
Slopes = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
"""Its derivatives by a and by b, and minus the second ones: by a twice, by both, by b twice."""


def random_baselines(
    measure: str,
    events: Sequence[np.ndarray],
    sizes: Sequence[np.ndarray],
    draws: xarray.Dataset,
    location: np.ndarray,
    tau: np.ndarray,
    df: float | None,
) -> np.ndarray:
    """Log probability (chain, draw, K) of the counts of studies, under each draw.

    Of Student-t effects it is that of normal ones given the precision that mixes them, over which the
    trapezoid rule runs.

    Args:
        measure: `OR`, `RR` or `IRR`.
        events, sizes: of the two arms (K,); sizes are people, for `IRR` person-time.
        draws: `baseline_mean` and `baseline_sd` (chain, draw, 1).
        location, tau: expected effect of each study and standard deviation of the effects (chain, draw, K).
        df: degrees of freedom of Student-t effects; None for normal ones.
    """
    m, s = draws["baseline_mean"].values, draws["baseline_sd"].values
    tau = np.broadcast_to(tau, location.shape)

    def given(tau: np.ndarray) -> np.ndarray:
        if measure == "RR":
            return _integral(*_risk_ratio(events, sizes, m, s, location, tau), SIDE_RR)
        return _integral(*_smooth(measure == "IRR", events, sizes, m, s, location, tau), SIDE)

    if df is None:
        return given(tau)
    found = np.full(location.shape, -np.inf)
    for log_q, weight in zip(*log_precisions(df, 1e-7, 0.5), strict=True):
        np.logaddexp(found, weight + given(tau * np.exp(-log_q / 2)), out=found)
    return found


def log_precisions(df: float, tail: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in log q and log weights of the precisions q ~ gamma(df / 2, df / 2) that a Student-t mixes.

    Args:
        tail: probability left out on either side.
        step: largest step; of many degrees of freedom, where q is nearly 1, a fraction of its spread.
    """
    q = stats.gamma(df / 2, scale=2 / df)
    step = min(step, step * 2 * float(special.polygamma(1, df / 2)) ** 0.5)
    nodes = np.arange(np.log(q.ppf(tail)), np.log(q.isf(tail)) + step, step)
    return nodes, q.logpdf(np.exp(nodes)) + nodes + np.log(step)


def _smooth(
    poisson: bool, events, sizes, m, s, location: np.ndarray, tau: np.ndarray
) -> tuple[Value, Slopes, np.ndarray, np.ndarray]:
    """Odds and rate ratios, baseline and effect z-scored: baseline m + s a, effect location + tau b."""
    (y1, y2), (n1, n2) = events, sizes

    def log_probability(y, n, eta):
        if poisson:
            return y * (np.log(n) + eta) - n * np.exp(eta) - special.gammaln(y + 1)
        return log_choose(y, n) + y * special.log_expit(eta) + (n - y) * special.log_expit(-eta)

    def slope_and_curvature(y, n, eta):
        if poisson:
            rate = n * np.exp(eta)
            return y - rate, rate
        risk = special.expit(eta)
        return y - n * risk, n * risk * (1 - risk)

    def value(a, b):
        base = m + s * a
        one, two = log_probability(y1, n1, base + location + tau * b), log_probability(y2, n2, base)
        return one + two - 0.5 * (a**2 + b**2) - LOG_2PI

    def slopes(a, b):
        base = m + s * a
        g1, h1 = slope_and_curvature(y1, n1, base + location + tau * b)
        g2, h2 = slope_and_curvature(y2, n2, base)
        return s * (g1 + g2) - a, tau * g1 - b, s**2 * (h1 + h2) + 1, s * tau * h1, tau**2 * h1 + 1

    # start at the arms' own log odds or log rates, drawn half way to the prior where the arms say little
    shift = (0.5, 0.0) if poisson else (0.5, 0.5)
    eta1, eta2 = (
        np.log((y + shift[0]) / ((n - y + shift[1]) if not poisson else n)) for y, n in ((y1, n1), (y2, n2))
    )
    a = np.broadcast_to(np.clip((eta2 - m) / s, -4, 4), location.shape).copy()
    b = np.clip((eta1 - (m + s * a) - location) / np.maximum(tau, 1e-8), -4, 4)
    return value, slopes, a, b


def _risk_ratio(
    events, sizes, m, s, location: np.ndarray, tau: np.ndarray
) -> tuple[Value, Slopes, np.ndarray, np.ndarray]:
    """Risk ratios: a is the mean of the arms' logits, effect location + tau b.

    The baseline's normal is truncated at -max(0, effect), where a risk comes to 1, and divided by its mass
    below; the mean of the logits and the effect may take any values together (stan/meta/binomial.stan).
    """
    (y1, y2), (n1, n2) = events, sizes
    constant = log_choose(y1, n1) + log_choose(y2, n2) - LOG_2PI

    def arm(theta, mean):
        """Log risk and log of 1 less the risk of the arm whose risk is exp(theta) times the other's."""
        r, both = np.exp(np.clip(-theta, -FAR, FAR)), np.exp(-2 * np.clip(mean, -FAR, FAR))
        root = np.sqrt((1 - r) ** 2 + 4 * r * both)
        safe = np.where(r >= 1, r - 1 + root, 4 * r * both / (root + np.abs(1 - r)))
        total = 1 + r + root
        return np.log(2 / total), np.log(safe / total)

    def value(a, b):
        theta = location + tau * b
        (risk1, safe1), (risk2, safe2) = arm(theta, a), arm(-theta, a)
        counts = y1 * risk1 + (n1 - y1) * safe1 + y2 * risk2 + (n2 - y2) * safe2
        density = -0.5 * ((risk2 - m) / s) ** 2 - np.log(s) - 0.5 * b**2
        mass = special.log_ndtr((-np.maximum(theta, 0) - m) / s)
        slope = np.log(2) - np.logaddexp(-safe1, -safe2)  # of the baseline by the mean of the logits
        return counts + density - mass + slope + constant

    def slopes(a, b):
        at = {(i, j): value(a + i * STEP, b + j * STEP) for i in (-1, 0, 1) for j in (-1, 0, 1)}
        ga, gb = (at[1, 0] - at[-1, 0]) / (2 * STEP), (at[0, 1] - at[0, -1]) / (2 * STEP)
        haa = (2 * at[0, 0] - at[1, 0] - at[-1, 0]) / STEP**2
        hbb = (2 * at[0, 0] - at[0, 1] - at[0, -1]) / STEP**2
        hab = (at[1, -1] + at[-1, 1] - at[1, 1] - at[-1, -1]) / (4 * STEP**2)
        haa, hbb = np.maximum(haa, FLAT), np.maximum(hbb, FLAT)
        limit = 0.98 * np.sqrt(haa * hbb)
        return ga, gb, haa, np.clip(hab, -limit, limit), hbb

    logit1, logit2 = (np.log((y + 0.5) / (n - y + 0.5)) for y, n in ((y1, n1), (y2, n2)))
    a = np.broadcast_to(0.5 * (logit1 + logit2), location.shape).copy()
    effect = np.log((y1 + 0.5) / (n1 + 0.5)) - np.log((y2 + 0.5) / (n2 + 0.5))
    return value, slopes, a, np.clip((effect - location) / np.maximum(tau, 1e-8), -4, 4)


def _integral(value: Value, slopes: Slopes, a: np.ndarray, b: np.ndarray, side: int) -> np.ndarray:
    """Log integral over a and b of the exponential of a log density, from a start near its mode."""
    for _ in range(NEWTON):
        ga, gb, haa, hab, hbb = slopes(a, b)
        det = haa * hbb - hab**2
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        da, db = np.clip(da, -LEAP, LEAP), np.clip(db, -LEAP, LEAP)
        here, size = value(a, b), np.ones_like(a)
        for _ in range(4):  # halve the step where it does not climb
            worse = value(a + size * da, b + size * db) < here - 1e-12
            if not worse.any():
                break
            size = np.where(worse, size / 2, size)
        a, b = a + size * da, b + size * db
    _, _, haa, hab, hbb = slopes(a, b)
    det = haa * hbb - hab**2
    l11 = np.sqrt(hbb / det)  # Cholesky factor of the inverse Hessian
    l21 = -hab / det / l11
    l22 = np.sqrt(np.maximum(haa / det - l21**2, 1e-300))
    nodes, weights = np.polynomial.hermite_e.hermegauss(side)
    total = np.full(a.shape, -np.inf)
    for x, wx in zip(nodes, weights, strict=True):
        for y, wy in zip(nodes, weights, strict=True):
            term = value(a + l11 * x, b + l21 * x + l22 * y) + 0.5 * (x**2 + y**2)
            np.logaddexp(total, term + np.log(wx * wy), out=total)
    return total + np.log(l11 * l22)
