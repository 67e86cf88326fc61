"""The likelihood of a study's counts as a function of its effect alone, and of the mean and tau alone.

    L_i(theta) = integral of p(arm 1 | baseline + theta) p(arm 2 | baseline) p(baseline) d baseline
    p(y_i | mu, tau) = integral of L_i(theta) p(theta | mu, tau) d theta

for the models of stan/meta/binomial.stan, poisson.stan and group.stan with baselines of their own: the
binomial odds ratio (logit), the binomial risk ratio (log, the baseline's prior truncated at -max(0, theta)
and divided by its mass there; Warn, Thompson & Spiegelhalter 2002, Stat Med 21:1601-1623), the Poisson rate
ratio, and a single group's log odds or log rate. All constants are kept: the values are
log probabilities of counts.

Both integrals run over functions that are analytic and fall off at both ends after the substitution x =
centre + scale sinh(t), so that the trapezoidal rule in t converges exponentially (Trefethen & Weideman 2014,
SIAM Review 56:385). Where that is not so (a risk ratio near the bound, Student-t effects) panels of
Gauss-Legendre take over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.interpolate import PPoly, make_interp_spline

from poolmap.config.base import Prior

KINDS = {"OR": "total", "RR": "total", "IRR": "time", "PLO": "total", "IRLN": "time"}
"""Measures with a likelihood of counts here, and what their events are out of."""
ARMS = {"OR": 2, "RR": 2, "IRR": 2, "PLO": 1, "IRLN": 1}
FAINT = 40.0  # log density below the peak that no longer counts
STEP = 0.05  # of the table of log L, in asinh((theta - centre) / scale)
REACH = 1e8  # of the table, in theta
DEEP = 3000.0  # log density below the peak from where log L is taken for a straight line
NODES_OF_BASELINE = 128
CELLS = 4_000_000  # of the largest array of a marginal likelihood


@dataclass(frozen=True)
class StudyLikelihood:
    """log L(theta) of one study: exact for a single group, else a piecewise quintic through exact values.

    Attributes:
        curve: the log likelihood of the effect.
        centre, scale: about where it peaks and how wide it is (from the counts, 1/2 added to each cell).
        kink: theta at which its slope jumps (the risk ratio's bound), or None.
        two_sided: whether it falls towards 0 on both sides, so that it says something of both directions.
    """

    curve: PPoly
    centre: float
    scale: float
    kink: float | None
    two_sided: bool

    def __call__(self, theta: ArrayLike) -> np.ndarray:
        """log L at each theta."""
        return self.curve(np.asarray(theta, dtype=float))


@dataclass(frozen=True)
class _Study:
    """Counts of one study and its empirical effect, on the scale of analysis."""

    y: tuple[float, ...]
    n: tuple[float, ...]
    centre: float
    scale: float


def study_likelihoods(
    measure: str,
    events: Sequence[ArrayLike],
    sizes: Sequence[ArrayLike],
    baseline_prior: Prior | None = None,
) -> list[StudyLikelihood]:
    """The likelihood of each study's effect, its baseline integrated out.

    Args:
        measure: `OR`, `RR`, `IRR` (two arms), `PLO`, `IRLN` (a single group).
        events: of each arm, arm 1 first (arm,) (K,).
        sizes: people, for `IRR` and `IRLN` person-time, likewise.
        baseline_prior: of arm 2's log odds, log risk or log rate: `normal`, `student_t` or `cauchy`; of two
            arms only.

    Raises:
        ValueError: an unknown measure or prior, another number of arms, or counts that cannot be.
    """
    if measure not in KINDS:
        raise ValueError(f"no likelihood of counts for the measure {measure}; one of {list(KINDS)}")
    y = np.stack([np.asarray(e, dtype=float) for e in events], axis=1)
    n = np.stack([np.asarray(s, dtype=float) for s in sizes], axis=1)
    if y.shape != n.shape or y.shape[1] != ARMS[measure]:
        raise ValueError(
            f"{measure} needs events and {KINDS[measure]} of {ARMS[measure]} arm(s), equally long"
        )
    if not (np.isfinite(n).all() and (n > 0).all() and (y >= 0).all() and (y == np.round(y)).all()):
        raise ValueError(f"events are counts, {KINDS[measure]} is above 0")
    if KINDS[measure] == "total" and (y > n).any():
        raise ValueError("more events than people")
    if ARMS[measure] == 2 and (baseline_prior is None or baseline_prior.family not in LOCATION_FAMILIES):
        raise ValueError(f"the prior of the baselines is one of {list(LOCATION_FAMILIES)}")
    studies = [_study(measure, *row) for row in zip(y, n, strict=True)]
    return [_tabulated(measure, study, baseline_prior) for study in studies]


def marginal_log_lik(
    likelihoods: Sequence[StudyLikelihood],
    location: ArrayLike,
    tau: ArrayLike | None,
    effects: str = "normal",
    df: float = 4.0,
) -> np.ndarray:
    """log p(y_i | mu_i, tau_i): the log likelihood of each study with its effect integrated out.

    Args:
        likelihoods: of the K studies.
        location: expected effect of each study (..., K).
        tau: standard deviation (of Student-t effects scale) of the effects, (..., K) or (..., 1); None or 0:
            effects without heterogeneity.
        effects: `normal`, `student_t` or `common`.
        df: degrees of freedom of Student-t effects.

    Returns:
        Array of the shape of `location`.
    """
    location = np.asarray(location, dtype=float)
    if effects not in ("normal", "student_t", "common"):
        raise ValueError(f"effects are normal, student_t or common, not {effects}")
    if location.shape[-1] != len(likelihoods):
        raise ValueError(f"{location.shape[-1]} locations for {len(likelihoods)} studies")
    spread = np.zeros(1) if tau is None or effects == "common" else np.asarray(tau, dtype=float)
    spread = np.broadcast_to(spread, location.shape)
    found = np.empty(location.shape)
    for i, likelihood in enumerate(likelihoods):
        found[..., i] = marginal(
            likelihood, location[..., i], spread[..., i], df if effects == "student_t" else None
        )[0]
    return found


def marginal(
    likelihood: StudyLikelihood, mu: np.ndarray, tau: np.ndarray, df: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One study: log p(y | mu, tau), and mean and variance of its effect given y, mu and tau.

    Args:
        mu, tau: arrays of one shape; where tau is 0 the effect is mu.
        df: degrees of freedom of Student-t effects; None for normal ones.
    """
    mu, tau = np.broadcast_arrays(np.asarray(mu, dtype=float), np.asarray(tau, dtype=float))
    flat_mu, flat_tau = mu.ravel(), tau.ravel()
    found = np.stack([np.zeros(mu.size), flat_mu, np.zeros(mu.size)])
    none = flat_tau <= 0
    found[0, none] = likelihood(flat_mu[none])
    todo = np.flatnonzero(~none)
    if df is None:
        for step, reach in ((0.25, 4.5), (0.125, 6.0)):
            left = []
            for part in _parts(todo, int(2 * reach / step) + 1):
                values, sound = _by_trapezoids(likelihood, flat_mu[part], flat_tau[part], step, reach)
                found[:, part[sound]] = values[:, sound]
                left.append(part[~sound])
            todo = np.concatenate(left) if left else todo
    for part in _parts(todo, 64):
        found[:, part] = _by_panels(likelihood, flat_mu[part], flat_tau[part], df)
    return tuple(found.reshape(3, *mu.shape))


def _parts(at: np.ndarray, nodes: int) -> list[np.ndarray]:
    return np.array_split(at, max(1, -(-len(at) * nodes // CELLS))) if len(at) else []


def _by_trapezoids(
    likelihood: StudyLikelihood, mu: np.ndarray, tau: np.ndarray, step: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal effects: the trapezoidal rule in t, theta = mode + sd sinh(t); and where it is sound.

    Every other node alone gives the same integral to about the square root of the error.
    """
    v, tau2 = likelihood.scale**2, tau**2
    centre = mu + tau2 / (v + tau2) * (likelihood.centre - mu)
    scale = tau * np.sqrt(v / (v + tau2))
    slope, bend = likelihood.curve.derivative(1), likelihood.curve.derivative(2)
    for _ in range(3):  # to the mode of likelihood times effects
        curvature = np.maximum(-bend(centre), 0) + 1 / tau2
        move = (slope(centre) - (centre - mu) / tau2) / curvature
        scale = 1 / np.sqrt(curvature)
        centre = centre + np.clip(move, -3 * tau, 3 * tau)
    t = np.arange(-reach, reach + step / 2, step)
    offset = scale[:, None] * np.sinh(t)
    theta = centre[:, None] + offset
    logs = likelihood(theta) - 0.5 * ((theta - mu[:, None]) / tau[:, None]) ** 2
    peak = logs.max(axis=1)
    mass = np.exp(logs - peak[:, None]) * np.cosh(t)
    total, alternate = mass.sum(axis=1), 2 * mass[:, (len(t) // 2) % 2 :: 2].sum(axis=1)
    sound = (np.abs(alternate / total - 1) < 3e-5) & (mass[:, [0, -1]].max(axis=1) < 1e-13 * total)
    if likelihood.kink is not None:
        at = np.abs(np.arcsinh((likelihood.kink - centre) / scale))
        edge = np.full(len(mu), likelihood.kink)
        there = likelihood(edge) - 0.5 * ((edge - mu) / tau) ** 2
        sound &= (there < peak - 30) | (at > reach)
    mean = (mass * offset).sum(axis=1) / total
    variance = (mass * (offset - mean[:, None]) ** 2).sum(axis=1) / total
    value = np.log(total * step * scale / tau) + peak - 0.5 * np.log(2 * np.pi)
    return np.stack([value, centre + mean, variance]), sound


NEAR = np.array([0.6, 1.2, 1.8, 2.5, 3.2, 4.0, 5.0, 6.5, 9.0])
FAR = np.array([14.0, 25.0, 50.0, 100.0, 250.0, 1e3, 4e3, 3e4, 1e6])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)


def _by_panels(likelihood: StudyLikelihood, mu: np.ndarray, tau: np.ndarray, df: float | None) -> np.ndarray:
    """Any effects: Gauss-Legendre on panels around the mean and the study's own peak, and up to the kink."""

    def kernel(theta: np.ndarray, mu: np.ndarray, tau: np.ndarray) -> np.ndarray:
        z = (theta - mu) / tau
        if df is None:
            return -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(tau)
        constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
        return constant - (df + 1) / 2 * np.log1p(z**2 / df) - np.log(tau)

    steps = NEAR if df is None else np.concatenate([NEAR, FAR])
    steps = np.concatenate([-steps[::-1], [0.0], steps])
    own = likelihood.centre + likelihood.scale * np.concatenate(
        [-FAR[3::-1], -NEAR[::-1], [0], NEAR, FAR[:4]]
    )
    edges = mu[:, None] + tau[:, None] * steps
    low, high = edges[:, :1], edges[:, -1:]
    extra = own if likelihood.kink is None else np.append(own, likelihood.kink)
    edges = np.sort(np.concatenate([edges, np.clip(extra, low, high)], axis=1), axis=1)
    logs = likelihood(edges) + kernel(edges, mu[:, None], tau[:, None])
    # The peak of a panel is near that of its ends: panels are narrow against both widths
    top = np.maximum(logs[:, 1:], logs[:, :-1]) + np.log(np.maximum(np.diff(edges, axis=1), 1e-300))
    kept = (top > top.max(axis=1, keepdims=True) - FAINT) & (np.diff(edges, axis=1) > 0)
    row, panel = np.nonzero(kept)
    left, half = edges[row, panel], np.diff(edges, axis=1)[row, panel] / 2
    theta = left[:, None] + half[:, None] * (1 + NODES)
    logs = likelihood(theta) + kernel(theta, mu[row, None], tau[row, None])
    peak = np.full(len(mu), -np.inf)
    np.maximum.at(peak, row, logs.max(axis=1))
    mass = np.exp(logs - peak[row, None]) * WEIGHTS * half[:, None]

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(row, weights=values.sum(axis=1), minlength=len(mu))

    total = summed(mass)
    mean = summed(mass * (theta - mu[row, None])) / total
    variance = summed(mass * (theta - (mu + mean)[row, None]) ** 2) / total
    return np.stack([np.log(total) + peak, mu + mean, variance])


def _study(measure: str, y: np.ndarray, n: np.ndarray) -> _Study:
    if KINDS[measure] == "time":
        effect, variance = np.log((y + 0.5) / n), 1 / (y + 0.5)
    else:
        effect, variance = np.log((y + 0.5) / (n - y + 0.5)), 1 / (y + 0.5) + 1 / (n - y + 0.5)
        if measure == "RR":
            variance = special.expit(-effect) ** 2 * variance
            effect = special.log_expit(effect)
    centre = effect[0] - effect[1] if len(y) == 2 else effect[0]
    return _Study(tuple(y), tuple(n), float(centre), float(np.sqrt(variance.sum())))


def _tabulated(measure: str, study: _Study, prior: Prior | None) -> StudyLikelihood:
    end = np.arcsinh(REACH / study.scale)
    x = np.linspace(-end, end, 2 * int(np.ceil(end / STEP)) + 1)
    theta = study.centre + study.scale * np.sinh(x)
    kink = 0.0 if measure == "RR" else None
    pieces = [theta] if kink is None else [-_graded(-theta[::-1], study)[::-1], _graded(theta, study)]
    values = [_log_lik(measure, study, at, prior) for at in pieces]
    lowest = max(v.max() for v in values) - DEEP
    splines = [PPoly.from_spline(make_interp_spline(at[v > lowest], v[v > lowest], k=5)) for at, v in
               zip(pieces, values, strict=True) if (v > lowest).sum() > 8]  # fmt: skip
    # The spline's first and last five intervals are empty
    c = np.concatenate([spline.c[:, 5:-5] for spline in splines], axis=1)
    breaks = np.concatenate([splines[0].x[5:-5], *(spline.x[6:-5] for spline in splines[1:])])
    y, n = study.y, study.n
    two_sided = y[0] > 0 and (KINDS[measure] == "time" or y[0] < n[0])
    return StudyLikelihood(_extended(PPoly(c, breaks)), study.centre, study.scale, kink, two_sided)


def _graded(theta: np.ndarray, study: _Study) -> np.ndarray:
    """The nodes above the kink at 0, with more of them close to it.

    Where hardly anyone is without the event, L comes near 0 just beyond the kink and log L near a pole.
    """
    closest = 1 / (3 + 3 * max(study.n))
    near = closest * np.expm1(STEP * np.arange(int(np.log(REACH / closest) / STEP)))
    spacing = np.diff(theta)
    fine = STEP * (near + closest) < np.interp(near, theta[1:], spacing)
    near = near[: max(int(np.argmin(fine)), 1)]
    return np.concatenate([near, theta[theta > near[-1] + 0.5 * np.interp(near[-1], theta[1:], spacing)]])


def _extended(curve: PPoly) -> PPoly:
    """The curve going on as a straight line at both ends."""
    ends = np.array([[0.0], [0.0], [0.0], [0.0]])
    first, last = curve.x[0], curve.x[-1]
    slopes = curve(np.array([first, last]), 1)
    low = np.vstack([ends, [[slopes[0]], [curve(first) - slopes[0] * REACH]]])
    high = np.vstack([ends, [[slopes[1]], [curve(last)]]])
    breaks = np.concatenate([[first - REACH], curve.x, [last + REACH]])
    return PPoly(np.concatenate([low, curve.c, high], axis=1), breaks)


def _log_lik(measure: str, study: _Study, theta: np.ndarray, prior: Prior | None) -> np.ndarray:
    """log L at each theta (m,), exact."""
    if prior is None or ARMS[measure] == 1:
        return _arm(measure, study.y[0], study.n[0], theta)
    w = _first_guess(measure, study, theta, prior)
    low, high = np.full(len(theta), -45.0), np.full(len(theta), 45.0)
    rows = np.arange(len(theta))

    mode = low
    for count in (121, 41, 41):
        t = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, count)
        logs = _joint(measure, study, theta[:, None], w[:, None] + np.sinh(t), prior)
        mode = t[rows, logs.argmax(axis=1)]
        logs = logs + np.log(np.cosh(t))
        near = logs > logs.max(axis=1, keepdims=True) - FAINT
        first = np.maximum(near.argmax(axis=1) - 1, 0)
        last = np.minimum(count - near[:, ::-1].argmax(axis=1), count - 1)
        low, high = t[rows, first], t[rows, last]
    # Anew around the mode, as fine as the steeper side asks for
    centre, left, right = w + np.sinh(mode), w + np.sinh(low), w + np.sinh(high)
    scale = np.minimum(centre - left, right - centre) / 8
    low, high = np.arcsinh((left - centre) / scale), np.arcsinh((right - centre) / scale)
    found = np.empty(len(theta))
    lopsided = high - low > 9  # one side is much longer than the other, as where neither arm has events
    for at, count in ((~lopsided, NODES_OF_BASELINE), (lopsided, 8 * NODES_OF_BASELINE)):
        t, step = np.linspace(0, 1, count, retstep=True)
        reach = (high - low)[at]
        t = low[at, None] + reach[:, None] * t
        logs = _joint(measure, study, theta[at, None], centre[at, None] + scale[at, None] * np.sinh(t), prior)
        found[at] = special.logsumexp(logs + np.log(np.cosh(t)), axis=1) + np.log(scale[at] * reach * step)
    return found


def _first_guess(measure: str, study: _Study, theta: np.ndarray, prior: Prior) -> np.ndarray:
    """About where the joint density of `_joint` has its steep side: the best of three."""
    (y1, y2), (n1, n2) = study.y, study.n
    if measure == "IRR":
        return np.log((y1 + y2 + 0.5) / (n1 * np.exp(np.clip(theta, -600, 600)) + n2))
    one, two = np.log((y1 + 0.5) / (n1 - y1 + 0.5)), np.log((y2 + 0.5) / (n2 - y2 + 0.5))
    if measure == "RR":
        return np.where(theta > 0, one, two)
    v1, v2 = 1 / (y1 + 0.5) + 1 / (n1 - y1 + 0.5), 1 / (y2 + 0.5) + 1 / (n2 - y2 + 0.5)
    both = ((one - theta) / v1 + two / v2) / (1 / v1 + 1 / v2)
    tried = np.stack([one - theta, np.full(len(theta), two), both])
    best = _joint(measure, study, theta, tried, prior).argmax(axis=0)
    return tried[best, np.arange(len(theta))]


def _joint(measure: str, study: _Study, theta: np.ndarray, w: np.ndarray, prior: Prior) -> np.ndarray:
    """Log joint density of the counts and w given theta.

    w is the baseline; for the risk ratio the logit of the larger of the two risks, which has no bound.
    """
    (y1, y2), (n1, n2) = study.y, study.n
    if measure != "RR":
        arms = _arm(measure, y1, n1, w + theta) + _arm(measure, y2, n2, w)
        return arms + log_prior(prior, w)
    bound = np.maximum(theta, 0)
    log_larger, log_safe = special.log_expit(w), special.log_expit(-w)
    log_smaller = log_larger - np.abs(theta)
    with np.errstate(divide="ignore"):
        # 1 - p e^-|theta| = (1 - p) + p (1 - e^-|theta|), with no cancellation where both are near 0
        other = np.logaddexp(log_safe, log_larger + np.log(-np.expm1(-np.abs(theta))))
    first = theta > 0
    total = _binomial(y1, n1, np.where(first, log_larger, log_smaller), np.where(first, log_safe, other))
    total = total + _binomial(
        y2, n2, np.where(first, log_smaller, log_larger), np.where(first, other, log_safe)
    )
    mass = _log_mass_below(prior, -bound)
    return total + log_prior(prior, log_larger - bound) - mass + log_safe


def _arm(measure: str, y: float, n: float, linear: np.ndarray) -> np.ndarray:
    """Log probability of y events in an arm, given its log odds or log rate."""
    if KINDS[measure] == "total":
        return _binomial(y, n, special.log_expit(linear), special.log_expit(-linear))
    constant = y * np.log(n) - special.gammaln(y + 1)
    with np.errstate(over="ignore"):
        return np.maximum(constant + y * linear - n * np.exp(linear), -1e300)


def _binomial(y: float, n: float, log_risk: np.ndarray, log_safe: np.ndarray) -> np.ndarray:
    return log_choose(y, n) + y * log_risk + (n - y) * log_safe


def log_choose(y: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """Log of the number of ways to have y events among n."""
    return special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)


LOCATION_FAMILIES = {"normal": np.inf, "cauchy": 1.0, "student_t": None}
"""Priors of a location, with their degrees of freedom where the name fixes them."""


def standard_form(prior: Prior) -> tuple[float, float, float]:
    """Degrees of freedom, location and scale."""
    given = dict(zip(prior.CODES[prior.family][1], prior.parameters, strict=True))
    df = LOCATION_FAMILIES[prior.family]
    return given["df"] if df is None else df, given["location"], given["scale"]


def log_prior(prior: Prior, x: np.ndarray) -> np.ndarray:
    """Log density of a prior of `LOCATION_FAMILIES`."""
    df, location, scale = standard_form(prior)
    z = (x - location) / scale
    if np.isinf(df):
        return -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(scale)
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    return constant - np.log(scale) - (df + 1) / 2 * np.log1p(z**2 / df)


def _log_mass_below(prior: Prior, x: np.ndarray) -> np.ndarray:
    df, location, scale = standard_form(prior)
    z = (x - location) / scale
    if np.isinf(df):
        return special.log_ndtr(z)
    if df == 1:
        return np.log(np.arctan2(1.0, -z) / np.pi)
    return np.log(special.stdtr(df, z))
