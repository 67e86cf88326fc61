"""How likely each area is under each draw, its own effect integrated out.

What is left depends little on the area's own observation, so that leaving it out by importance sampling is
sound where with the effect as drawn it is not (integrated importance sampling: Vehtari et al. 2016, JMLR
17(103):1-38; Li, Qiu and Feng 2016, Statistics and Computing 26:881-897).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp

from poolmap.families.areas.arrays import INTRINSIC, Field
from poolmap.families.areas.likelihoods import Observed
from poolmap.graph.scaling import factorise

Array = NDArray[np.float64]

NODES = 15
_STEP = 1e-2  # of the numerical derivatives, on the scale of eta
_NEWTON = 8


def integrated_log_density(
    effects: str,
    field: Field,
    seen: Observed,
    rows: NDArray[np.int64],
    eta: Array,
    re: Array,
    sigma: Array,
    rho: Array,
    rng: np.random.Generator,
    *own: Array | float,
) -> Array:
    """Log E[p(y_i | eta_i)] over the effect of area i given the other areas' effects and observations.

    Args:
        effects: a key of `arrays.EFFECTS`.
        field: the structured part of the model.
        seen: the m observations.
        rows: (m,) their areas.
        eta: (draws, m) linear predictor there.
        re: (draws, n) effects of all areas.
        sigma, rho: (draws, 1); rho is not read where the model has none.
        rng: draws the structured part of BYM2 given the sum of both parts.
        own: dispersion and probability of a structural zero, as of `Observed.log_density`.

    Returns:
        (draws, m).
    """
    slope, bend = seen.derivatives(eta, *own, step=_STEP)
    others = np.zeros_like(re), np.zeros_like(re)
    others[0][:, rows], others[1][:, rows] = slope, np.maximum(-bend, 0)
    mean, sd = _conditional(effects, field, re, sigma, rho, *others, rng)
    return _integral(seen, eta - re[:, rows] + mean[:, rows], sd[:, rows], eta, own)


def _conditional(
    effects: str,
    field: Field,
    re: Array,
    sigma: Array,
    rho: Array,
    slope: Array,
    bend: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Mean and standard deviation (draws, n) of each area's effect, given those of the others."""
    mean, sd = np.zeros_like(re), np.broadcast_to(sigma, re.shape).copy()
    nodes = field.nodes
    if not len(nodes):
        return mean, sd
    inside, degree = re[:, nodes], field.matrix.diagonal()
    neighbours = (sparse.diags_array(degree) - field.matrix).tocsc()
    if effects not in INTRINSIC:
        # Leroux: precision rho (D - A) + (1 - rho) I; CAR: D - rho A
        precision = rho * degree + 1 - rho if effects == "leroux" else np.broadcast_to(degree, inside.shape)
        mean[:, nodes] = rho * (inside @ neighbours) / precision
        sd[:, nodes] = sigma / np.sqrt(precision)
        return mean, sd
    if effects == "bym2":
        share = np.clip(rho, 1e-6, 1 - 1e-6)
        scale, loose = sigma * np.sqrt(share), sigma * np.sqrt(1 - share)
        phi = _structured(field, inside / sigma, share, rng)
    else:
        scale, loose = sigma, np.zeros_like(sigma)
        phi = inside / sigma
    # The field sums to zero in its component: where area i moves by t, all move back by t / size. What that
    # does to the likelihood of the others is a parabola in so small a step.
    size = np.bincount(field.component)[field.component]
    back = scale / size
    total = sparse.csc_array(
        (np.ones(len(nodes)), (np.arange(len(nodes)), field.component)),
        shape=(len(nodes), field.n_components),
    )
    of_others = [(part @ total)[:, field.component] - part for part in (slope[:, nodes], bend[:, nodes])]
    precision = degree + of_others[1] * back**2
    step = (phi @ neighbours - degree * phi - of_others[0] * back) / precision
    reach = scale * (1 - 1 / size)
    mean[:, nodes] = scale * phi + reach * step
    sd[:, nodes] = np.sqrt(reach**2 / precision + loose**2)
    return mean, sd


def _structured(field: Field, x: Array, rho: Array, rng: np.random.Generator) -> Array:
    """Draws of phi given x = sqrt(1 - rho) theta + sqrt(rho) phi, one for each draw of x and rho.

    Normal with precision A = Q + r I, r = rho / (1 - rho): A^-1 (A mean + w) with w ~ N(0, A), made of a
    normal variable for each pair of neighbours and each area.
    """
    f = len(field.nodes)
    upper = sparse.triu(field.matrix, 1).tocoo()
    first, second = upper.coords
    root = np.sqrt(-upper.data)
    number = np.arange(len(root))
    pairs = sparse.csc_array(
        (np.concatenate([root, -root]), (np.concatenate([first, second]), np.concatenate([number, number]))),
        shape=(f, len(root)),
    )
    size = np.bincount(field.component)
    phi = np.empty_like(x)
    for draw, share in enumerate(rho[:, 0]):
        r = share / (1 - share)
        noise = pairs @ rng.standard_normal(len(root)) + np.sqrt(r) * rng.standard_normal(f)
        precision = (field.matrix + sparse.diags_array(np.full(f, r))).tocsc()
        found = factorise(precision).solve(np.sqrt(share) / (1 - share) * x[draw] + noise)
        phi[draw] = found - (np.bincount(field.component, found) / size)[field.component]
    return phi


def _integral(seen: Observed, mean: Array, sd: Array, start: Array, own: tuple[Array | float, ...]) -> Array:
    """Log of the integral of p(y | eta) N(eta | mean, sd^2), by Gauss and Hermite's rule about the mode."""
    if seen.likelihood == "normal":
        variance = sd**2 + seen.se**2
        return -0.5 * ((seen.lower - mean) ** 2 / variance + np.log(2 * np.pi * variance))
    sd = np.maximum(sd, 1e-9)
    x = np.clip((start - mean) / sd, -8, 8)
    for _ in range(_NEWTON):
        slope, bend = seen.derivatives(mean + sd * x, *own, step=_STEP)
        precision = 1 + np.maximum(-bend, 0) * sd**2
        x = x + np.clip((slope * sd - x) / precision, -2, 2)
    width = 1 / np.sqrt(precision)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    terms = []
    for node, weight in zip(nodes, weights, strict=True):
        at = x + width * node
        terms.append(seen.log_density(mean + sd * at, *own) - 0.5 * at**2 + 0.5 * node**2 + np.log(weight))
    return logsumexp(terms, axis=0) + np.log(width) - 0.5 * np.log(2 * np.pi)
