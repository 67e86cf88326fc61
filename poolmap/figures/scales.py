"""How the values of a map become colours that the colour-blind can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RATIO_LIMITS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_SHADES = 64  # colours of a continuous scale; areas of one colour are drawn as one shape
METHODS = ("quantiles", "jenks_caspall", "equal_interval")
"""Rules for class breaks, as mapclassify calls them."""


@dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours; panels that hold the same object share one legend.

    Attributes:
        label: what the colours show, with the unit.
        norm, cmap: of matplotlib.
        ticks: values to label.
        labels: the text of each tick.
        extend: as in `Figure.colorbar`: which ends hold values beyond the scale.
    """

    label: str
    norm: Any
    cmap: Any
    ticks: Sequence[float]
    labels: Sequence[str]
    extend: str = "neither"

    def colours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 4) red, green, blue, alpha; values beyond the scale get the colour of its end, NaN white."""
        rgba = np.ones((len(values), 4))
        known = ~np.isnan(values)
        rgba[known] = self.cmap(self.norm(np.clip(values[known], self.norm.vmin, self.norm.vmax)))
        return rgba


def ratio_scale(
    label: str,
    reference: NDArray[np.float64],
    shown: NDArray[np.float64],
    breaks: Sequence[float] = (),
) -> Scale:
    """A diverging scale for ratios, symmetric about 1 on the log scale; orange is above 1, purple below.

    Args:
        label: what the ratio is.
        reference: values that the scale must hold.
        shown: all values that will be drawn on it; the scale ends in arrows where some lie beyond.
        breaks: between classes, rising; none for a continuous scale. A class has the colour of its middle on
            the log scale, so that classes on the two sides of 1 can be told apart whatever their number; one
            around 1 is neutral.
    """
    import matplotlib
    from matplotlib.colors import LogNorm

    reference = np.asarray(reference, dtype=np.float64)
    shown = np.asarray(shown, dtype=np.float64)
    reference = reference[np.isfinite(reference) & (reference > 0)]
    reach = float(np.exp(np.abs(np.log(reference)).max())) if reference.size else 2.0
    colours = matplotlib.colormaps["PuOr_r"].resampled(_SHADES + 1)  # odd: 1 has a colour of its own
    if len(breaks):
        inner = np.log(breaks)
        reach = 1.3 * max(float(np.abs(inner).max()), 0.1)
        between = (inner[1:] + inner[:-1]) / 2
        between[(inner[:-1] < 0) & (inner[1:] > 0)] = 0
        middles = [min(inner[0] - 0.3 * reach, 0), *between, max(inner[-1] + 0.3 * reach, 0)]
        shades = colours(0.5 + 0.5 * np.clip(np.array(middles) / reach, -1, 1))
        return _classed(label, shades, breaks, [f"{value:.3g}" for value in breaks])
    limit = next((end for end in _RATIO_LIMITS if end >= reach), 10.0)
    ticks = [1 / limit, 1 / math.sqrt(limit), 1, math.sqrt(limit), limit]
    below, above = np.nanmin(shown) < 1 / limit, np.nanmax(shown) > limit
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[int(below), int(above)]
    return Scale(label, LogNorm(1 / limit, limit), colours, ticks, [f"{tick:.2g}" for tick in ticks], extend)


@dataclass(frozen=True, eq=False)
class _Classed(Scale):
    """A scale of classes, whose colours are by the number of the class."""

    breaks: Sequence[float] = ()

    def colours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """As in `Scale`; a break belongs to the class below it."""
        classes = np.digitize(values, self.breaks, right=True) + 0.5
        return super().colours(np.where(np.isnan(values), np.nan, classes))


def _classed(
    label: str, shades: NDArray[np.float64], breaks: Sequence[float], labels: Sequence[str]
) -> Scale:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    edges = np.arange(len(shades) + 1)
    norm = BoundaryNorm(edges, len(shades))
    return _Classed(label, norm, ListedColormap(shades), edges[1:-1], labels, breaks=tuple(breaks))


def sequential_scale(
    label: str,
    values: NDArray[np.float64],
    *,
    log: bool = False,
    percent: bool = False,
    breaks: Sequence[float] = (),
) -> Scale:
    """A scale from light (low) to dark (high) between the ends of the values, or in classes."""
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    def text(value: float) -> str:
        return f"{value:.0%}" if percent else f"{value:.3g}"

    colours = matplotlib.colormaps["cividis_r"].resampled(_SHADES)
    if len(breaks):
        shades = colours(np.linspace(0, 1, len(breaks) + 1))
        return _classed(label, shades, breaks, [text(value) for value in breaks])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high <= low:
        high = low * 1.01 + 0.01
    ticks = np.geomspace(low, high, 4) if log else np.linspace(low, high, 4)
    norm = LogNorm(low, high) if log else Normalize(low, high)
    return Scale(label, norm, colours, ticks.tolist(), [text(tick) for tick in ticks])


def class_scale(label: str, labels: Sequence[str]) -> Scale:
    """Classes in diverging colours, the middle one neutral; values are class numbers from 0.

    Args:
        label: what the classes are of.
        labels: of the classes, lowest first.
    """
    import matplotlib
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = len(labels)
    colours = matplotlib.colormaps["PuOr_r"](np.linspace(0.12, 0.88, count))
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    return Scale(label, norm, ListedColormap(colours), range(count), labels)


def class_breaks(values: NDArray[np.float64], method: str, count: int) -> list[float]:
    """Breaks between classes of values by a rule of mapclassify, the ends left out, each once.

    Args:
        values: (n,) finite ones are used.
        method: one of `METHODS`.
        count: of classes; fewer where there are fewer values.

    Raises:
        ValueError: an unknown method.
    """
    import mapclassify

    if method not in METHODS:
        raise ValueError(f"unknown rule of class breaks: {method}")
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    count = min(count, len(np.unique(known)))
    if count < 2:
        return []
    rule = getattr(mapclassify, "".join(part.title() for part in method.split("_")))
    found = rule(known, k=count)
    inner = np.unique(found.bins)
    return [float(end) for end in inner if known.min() < end < known.max()]
