"""Baujat plots: which studies make the heterogeneity, and which the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import name_points
from poolmap.figures.style import INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12


def baujat_coordinates(yi: np.ndarray, vi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each study's contribution to Cochran's Q, and its influence on the common-effect estimate.

        Q_i = w_i (y_i - mu)^2,     influence_i = (mu - mu_(-i))^2 / Var(mu_(-i)),     w_i = 1 / v_i

    with mu the inverse-variance mean of all studies and mu_(-i) that of all others.

    Args:
        yi, vi: estimates and sampling variances of at least two studies (study,).

    Source: Baujat et al. 2002 (Stat Med 21:2641).
    """
    yi, weight = np.asarray(yi, dtype=float), 1 / np.asarray(vi, dtype=float)
    if yi.size < 2:
        raise ValueError("a Baujat plot needs at least two studies")
    mu = (weight * yi).sum() / weight.sum()
    rest = weight.sum() - weight
    # mu - mu_(-i) = w_i (y_i - mu) / (W - w_i)
    return weight * (yi - mu) ** 2, (weight * (yi - mu)) ** 2 / rest


def baujat(yi: np.ndarray, vi: np.ndarray, *, names: Sequence[str] | None = None) -> Figure:
    """A Baujat plot; the studies farthest from the origin (at most 12) are named where there is room.

    Args:
        yi, vi: estimates and sampling variances on the scale of analysis (study,).
        names: of the studies.
    """
    import matplotlib

    x, y = baujat_coordinates(yi, vi)
    with matplotlib.rc_context(RC):
        figure = new_figure(6.0, 4.4)
        axes = figure.add_subplot()
        axes.scatter(x, y, s=24, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=3)
        axes.set_xlim(-0.03 * max(x.max(), 1e-12), 1.08 * max(x.max(), 1e-12))
        axes.set_ylim(-0.03 * max(y.max(), 1e-12), 1.08 * max(y.max(), 1e-12))
        axes.set_xlabel("contribution to heterogeneity (Cochran's Q)")
        axes.set_ylabel("influence on the common-effect estimate\n(squared standardised change)")
        axes.grid(color=MUTED, alpha=0.2, linewidth=0.5)
        if names is not None:
            far = np.hypot(x / max(x.max(), 1e-12), y / max(y.max(), 1e-12))
            name_points(figure, axes, x, y, names, order=np.argsort(-far, kind="stable")[:MOST_NAMES])
    return figure
