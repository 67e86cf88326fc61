"""Words that the figures of a meta-analysis share: names of points, axes and units."""

from __future__ import annotations

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import effect_name, number, ratio

LOG_AXIS = " (log axis)"


def unit_of(spec: MetaAnalysis) -> str:
    """What a row of the table of studies is: a `study`, or an `effect` of a study with several."""
    return "effect" if spec.effect_id else "study"


def point_words(spec: MetaAnalysis, what: str = "point") -> str:
    """`Each point is a study`, or of studies with several effects `Each point is one effect of a study`."""
    return f"Each {what} is " + ("one effect of a study" if spec.effect_id else "a study")


def labels(studies: pd.DataFrame) -> list[str]:
    """Names of the studies, with the effect where they have several."""
    if "effect_id" not in studies:
        return studies["study"].astype(str).tolist()
    return (studies["study"].astype(str) + ", " + studies["effect_id"].astype(str)).tolist()


def reported_axis(spec: MetaAnalysis, before: str = "") -> str:
    """Label of an axis of effects as they are reported."""
    return f"{before}{effect_name(spec)}" + (LOG_AXIS if scale_of(spec).ratio else "")


def analysed(spec: MetaAnalysis) -> str:
    """The effect in words, on the axis that is drawn: ratios as such, all others on the scale of analysis."""
    scale = scale_of(spec)
    return effect_name(spec) if scale.ratio or scale.report == scale.name else scale.words


def analysed_axis(spec: MetaAnalysis) -> str:
    """Label of an axis of effects on the scale of analysis, ratios as such."""
    return analysed(spec) + (LOG_AXIS if scale_of(spec).ratio else "")


def written(spec: MetaAnalysis, value: float) -> str:
    """A value on the scale of analysis as text, ratios as such."""
    scale = scale_of(spec)
    return shown(spec, float(scale.natural(value)) if scale.ratio else value)


def shown(spec: MetaAnalysis, value: float) -> str:
    """A value as it is drawn, as text."""
    return ratio(value) if scale_of(spec).ratio else number(value, 2 if abs(value) >= 0.1 else 3)
