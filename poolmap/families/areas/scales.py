"""What a map is of (relative risks, prevalences or means): its names, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from poolmap.families.areas.expected import mean_interval, proportion_interval, ratio_interval

if TYPE_CHECKING:
    import pandas as pd

    from poolmap.config.areas import AreasAnalysis
    from poolmap.contracts import Dataset


CERTAIN = 0.95
"""Above this posterior probability an area is called sure."""


@dataclass(frozen=True)
class Scale:
    """The words of one scale.

    Attributes:
        quantity: its value in the column `quantity` of the table `areas`.
        symbol: in headings and formulas.
        noun: in sentences.
        raw: the column of what was observed on the same scale.
        raw_symbol, raw_noun: of that column.
        reference: what the default threshold is, a sentence that begins with its value.
    """

    quantity: str
    symbol: str
    noun: str
    raw: str
    raw_symbol: str
    raw_noun: str
    reference: str

    @property
    def ratio(self) -> bool:
        """Whether values are ratios, compared on a log scale about 1."""
        return self.quantity == "rr"

    def change(self, first: ArrayLike, second: ArrayLike) -> np.ndarray:
        """How far two values are apart: as the log of their ratio (relative risks), or their difference."""
        if self.ratio:
            return np.abs(np.log(np.asarray(second) / np.asarray(first)))
        return np.abs(np.asarray(second) - np.asarray(first))


SCALES = {
    "rr": Scale(
        "rr",
        "RR",
        "relative risk",
        "sir",
        "SIR",
        "raw ratio",
        "A relative risk of {} is the rate of the reference.",
    ),
    "prevalence": Scale(
        "prevalence",
        "prevalence",
        "prevalence",
        "proportion",
        "raw proportion",
        "raw proportion",
        "{} is the prevalence in all areas together.",
    ),
    "mean": Scale(
        "mean",
        "mean",
        "mean",
        "estimate",
        "direct estimate",
        "direct estimate",
        "{} is the median of the direct estimates.",
    ),
}


def scale_of(spec: AreasAnalysis) -> Scale:
    """The scale of an analysis."""
    return SCALES[spec.scale]


def thresholds(spec: AreasAnalysis, data: Dataset) -> tuple[float, ...]:
    """The thresholds of the exceedance probabilities; by default 1, or a middle value."""
    if spec.exceedance is not None:
        return spec.exceedance
    return (1.0,) if spec.scale == "rr" else (float(data.facts["overall"]),)


def default_words(spec: AreasAnalysis, shown: str) -> str:
    """What the default threshold, written so, is; nothing where the config sets its own (but for ratios)."""
    scale = scale_of(spec)
    if scale.ratio:
        return scale.reference.format(1)
    return scale.reference.format(shown) if spec.exceedance is None else ""


def exceedance_column(quantity: str, threshold: float) -> str:
    """Name of the column with the posterior probability that the quantity is above `threshold`."""
    return f"p_{quantity}_gt_{threshold:g}"


def raw_interval(scale: Scale, areas: pd.DataFrame, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of what was observed: exact for counts, normal for direct estimates; NaN where unknown."""
    if scale.quantity == "rr":
        return ratio_interval(areas["cases"], areas["expected"], level)
    if scale.quantity == "prevalence":
        return proportion_interval(areas["cases"], areas["population"], level)
    return mean_interval(areas["estimate"], areas["se"], level)


@dataclass(frozen=True)
class Form:
    """How numbers of a scale are written.

    Attributes:
        decimals: behind the point, of a percentage where `percent`.
        percent: whether as a percentage.
    """

    decimals: int
    percent: bool = False

    def __call__(self, value: float) -> str:
        """The number as text; nothing where it is unknown."""
        if value is None or math.isnan(value):
            return ""
        return f"{value:,.{self.decimals}{'%' if self.percent else 'f'}}"

    def interval(self, lower: float, upper: float) -> str:
        """`0.34 to 0.73`; nothing where it is unknown."""
        return "" if math.isnan(lower) else f"{self(lower)} to {self(upper)}"


def form(scale: Scale, lower: Iterable[float], upper: Iterable[float]) -> Form:
    """The form that shows two digits of the typical width of these intervals, at most four decimals more."""
    if scale.ratio:
        return Form(2)
    percent = scale.quantity == "prevalence"
    width = float(np.nanmedian(np.asarray(list(upper), float) - np.asarray(list(lower), float)))
    width *= 100 if percent else 1
    decimals = 1 - math.floor(math.log10(width)) if width > 0 else 2
    return Form(min(max(decimals, 1 if percent else 0), 6), percent)


def rounded(value: float, digits: int = 2) -> float:
    """To so many significant digits."""
    return float(f"{value:.{digits}g}")
