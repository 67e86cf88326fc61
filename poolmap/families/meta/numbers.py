"""Numbers of a meta-analysis as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.families.meta.effects import Scale, scale_of

Interval = tuple[float, float, float]
NOTHING = "–"
"""A cell of a table for which there is no number."""


def decimals(spread: float) -> int:
    """Decimals that show two significant digits of a standard deviation; from 0 to 6."""
    if not np.isfinite(spread) or spread <= 0:
        return 2
    return int(np.clip(1 - np.floor(np.log10(spread)), 0, 6))


def ratio(value: float) -> str:
    """A ratio with two decimals; fewer from 10, and two significant digits below 0.05."""
    if value >= 99.95:
        return f"{value:,.0f}" if value < 1e6 else "over 1,000,000"
    if value >= 9.995:
        return f"{value:.1f}"
    if value >= 0.0495:
        return f"{value:.2f}"
    return f"{value:.2g}" if value >= 0.00095 else "<0.001"


def significant(value: float) -> str:
    """A rate with three significant digits, never in powers of ten."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    places = int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 12))
    return f"{value:,.{places}f}"


def number(value: float, places: int) -> str:
    """A number with fixed decimals, no sign on zero."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text


def with_interval(value: Interval, write: Callable[[float], str], words: str = "") -> str:
    """`0.50 (0.34 to 0.73)`, or with words before the interval."""
    estimate, lower, upper = (write(x) for x in value)
    return f"{estimate} ({words + ' ' if words else ''}{lower} to {upper})"


def level(interval: float | None) -> str:
    """The level of an interval: `95%`."""
    return f"{100 * interval:g}%"


def writer(scale: Scale, spreads: Sequence[float]) -> Callable[[float], str]:
    """How values of the effect that is reported first are written.

    Args:
        scale: the measure.
        spreads: standard deviations on that scale; the smallest decides the decimals.
    """
    if scale.ratio and scale.contrast:
        return ratio
    if scale.ratio:
        return significant
    places = decimals(float(np.min(spreads)))
    return lambda value: number(value, places)


def effect_name(spec: MetaAnalysis) -> str:
    """What the effect is called in the report."""
    return spec.effect or scale_of(spec).report_words


def short_name(spec: MetaAnalysis) -> str:
    """The effect in the heading of a table: `OR`; of measure GEN what the config calls it."""
    return effect_name(spec) if spec.measure == "GEN" else scale_of(spec).short


def on_scale(spec: MetaAnalysis) -> str:
    """The effect on the scale of analysis, in words."""
    scale = scale_of(spec)
    if spec.measure == "GEN" and spec.effect:
        return f"log {spec.effect}" if scale.ratio else spec.effect
    return scale.words if scale.back else effect_name(spec)


def effect_heading(spec: MetaAnalysis) -> str:
    """Heading of the column that tells the effects of a study apart: what the file calls it."""
    return "Which effect" if str(spec.effect_id).lower() == "effect" else capital(str(spec.effect_id))


def capital(text: str) -> str:
    """With a capital at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"


def pooled_row(table: pd.DataFrame, quantity: str) -> pd.Series:
    """The row of a quantity in the table `pooled`."""
    return table.loc[table["quantity"] == quantity].iloc[0]


def interval_of(row: pd.Series) -> Interval:
    """Posterior median, lower and upper end of a row."""
    return float(row["median"]), float(row["lower"]), float(row["upper"])


def has(table: pd.DataFrame | None, quantity: str) -> bool:
    """Whether an estimates table is there and has a quantity."""
    return table is not None and quantity in set(table["quantity"])


def probability(p: float) -> str:
    """A probability from draws, never written as a certainty."""
    if p < 0.001:
        return "<0.001"
    if p > 0.999:
        return ">0.999"
    return f"{p:.3f}" if p < 0.01 or p > 0.99 else f"{p:.2f}"


def two_sides(below: float, above: float) -> tuple[str, str]:
    """The probabilities of the two sides of a value, which add to 1 as they are printed.

    The smaller one is rounded, and the larger one is 1 less what is printed for the smaller. Where some
    mass lies on the value itself, they do not add to 1, and each is rounded for itself.
    """
    if abs(below + above - 1) > 1e-9:
        return probability(below), probability(above)
    small = min(below, above)
    if small < 0.001:
        words = "<0.001", ">0.999"
    else:
        places = 3 if small < 0.01 else 2
        least = round(small, places)
        words = f"{least:.{places}f}", f"{1 - least:.{places}f}"
    return words if below <= above else words[::-1]


def whole_percent(share: float) -> str:
    """A share in per cent, without decimals: `92%`."""
    return f"{share:.0f}%"


def models_named(names: Sequence[str]) -> str:
    """`model a`, or `models a and b`."""
    return f"model{'s' * (len(names) > 1)} {listed(names)}"


def count(number_of: int, word: str) -> str:
    """`1 study`, `3 studies`, `2,000 rows`."""
    several = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number_of:,} {word if number_of == 1 else several}"


def df_words(df: float) -> str:
    """`1 degree of freedom`, `12 degrees of freedom`, `2.5 degrees of freedom`."""
    return f"{df:g} degree{'' if df == 1 else 's'} of freedom"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def number_needed_to_treat(rd: pd.Series) -> str:
    """The number needed to treat with its interval, from the row of a risk difference (Altman 1998).

    Whether events are good or bad is not known here, so the words are `for one event fewer` and `more`.

    Args:
        rd: `median`, `lower`, `upper`, `nnt`, `nnt_lower`, `nnt_upper` (NaN where the interval holds 0).
    """
    words = {True: "for one event fewer", False: "for one event more"}
    fewer = rd["median"] < 0
    if not np.isfinite(rd["nnt"]):
        return "infinite: no difference"
    text = f"{_whole(rd['nnt'])} {words[fewer]}"
    if np.isfinite(rd["nnt_lower"]):
        return f"{text} ({_whole(rd['nnt_lower'])} to {_whole(rd['nnt_upper'])})"
    this, other = (rd["lower"], rd["upper"]) if fewer else (rd["upper"], rd["lower"])
    far = f"{_whole(1 / abs(other))} {words[not fewer]}" if other else ""
    return f"{text} ({_whole(1 / abs(this))} {words[fewer]} to infinity{' to ' + far if far else ''})"


def _whole(value: float) -> str:
    """A number of people, rounded up."""
    return f"{np.ceil(value - 1e-9):,.0f}" if value < 1e6 else "over 1,000,000"
