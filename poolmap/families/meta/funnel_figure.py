"""The funnel plot of a meta-analysis: around the pooled effect, or around what the model expects of each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.design import design
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.figure_words import analysed, analysed_axis, point_words, unit_of, written
from poolmap.families.meta.numbers import count, level, pooled_row
from poolmap.families.meta.usable import has_contrast, with_contrast
from poolmap.figures.funnel import funnel, residual_funnel
from poolmap.figures.predictive import plural

FEW = 10  # Sterne et al. 2011


def funnel_figure(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    """A contour-enhanced funnel plot; of a model with subgroups or a formula the funnel of its residuals."""
    chosen = spec.models[result.name]
    if chosen.subgroups or chosen.formula:
        return _residuals(spec, data, result)
    studies, scale = with_contrast(spec, data).tables["studies"], scale_of(spec)
    unit, name, percent = unit_of(spec), analysed(spec), level(spec.interval)
    pooled = float(pooled_row(result.estimates["pooled"], scale.name)["median"])
    figure = funnel(
        studies["yi"].to_numpy(),
        studies["se"].to_numpy(),
        pooled,
        ratio=bool(scale.ratio),
        axis_label=analysed_axis(spec),
        interval=spec.interval,
        unit=unit,
    )
    caption = (
        f"{point_words(spec)}: its own {name} and its standard error, precise ones on top. The shaded "
        "bands are centred on no effect and show the two-sided p-value there: results missing from "
        "the white band speak for selection by significance, results missing from shaded bands for other "
        f"causes (Peters et al. 2008). The solid line is the pooled {name} of model {result.name} (posterior "
        f"median); between the dashed lines {percent} of {plural(unit)} would lie if all shared it: "
        f"heterogeneity alone puts {plural(unit)} outside.{_caution(spec, studies)}"
    )
    inside = abs(studies["yi"] / studies["se"]) <= special.ndtri(0.975)
    alt = (
        f"Funnel plot of {_counted(spec, studies)} around a pooled {name} of {written(spec, pooled)}; "
        f"{int(inside.sum())} of them do not differ from no effect at p 0.05, {int((~inside).sum())} do. "
        f"Standard errors from {studies['se'].min():.2g} to {studies['se'].max():.2g}."
    )
    return NamedFigure("funnel", figure, "Funnel plot", caption, alt, result.name)


def _residuals(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale, chosen = scale_of(spec), spec.models[result.name]
    unit, name, percent = unit_of(spec), analysed(spec), level(spec.interval)
    by_itself = has_contrast(data.tables["studies"])
    studies = data.tables["studies"][by_itself]
    residual = studies["yi"].to_numpy() - expected_effects(spec, data, result)[by_itself]
    layout = design(spec, result.name, data).rows(by_itself)
    groups = np.array(layout.subgroups)[layout.subgroup].tolist() if layout.subgroups else None
    expected = "what the model expects" if chosen.formula else "the mean of its subgroup"
    label = f"{name} as a multiple of {expected} (log axis)" if scale.ratio else f"{name} minus {expected}"
    figure = residual_funnel(
        residual,
        studies["se"].to_numpy(),
        ratio=bool(scale.ratio),
        axis_label=label,
        interval=spec.interval,
        groups=groups,
        expected_label=expected,
        unit=unit,
    )
    from_what = " and ".join(
        [f"the mean of its subgroup ({chosen.subgroups})"] * bool(chosen.subgroups)
        + [f"what the regression ({chosen.formula}) expects of it"] * bool(chosen.formula)
    )
    outside = np.abs(residual / studies["se"]) > special.ndtri(0.5 + spec.interval / 2)
    caption = (
        f"{point_words(spec)}: how far its own {name} lies from {from_what} in model {result.name} "
        f"(posterior mean), {'as a multiple, ' if scale.ratio else ''}and its standard error, precise "
        "ones on top. One funnel around one pooled effect would show the differences that the model explains "
        "as asymmetry. "
        f"Between the dashed lines {percent} of {plural(unit)} would lie if nothing but chance set them "
        "apart from these means: heterogeneity that remains puts more outside. There are no contours of "
        f"significance, since a residual is not tested against no effect.{_caution(spec, studies)}"
    )
    alt = (
        f"Funnel plot of the residuals of {_counted(spec, studies)} around what model {result.name} expects; "
        f"{int(outside.sum())} lie outside the {percent} region. "
        f"Standard errors from {studies['se'].min():.2g} to {studies['se'].max():.2g}."
    )
    return NamedFigure("funnel", figure, "Funnel plot of residuals", caption, alt, result.name)


def expected_effects(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> np.ndarray:
    """The effect (study,) that a model expects of each study by its subgroup and formula: posterior means.

    Exact, since it is linear in the coefficients: from the posterior means of the pooled effect (or those of
    the subgroups) and of the coefficients.
    """
    layout, name = design(spec, result.name, data), scale_of(spec).name
    slopes = np.empty(0)
    if layout.terms:
        slopes = _means(result.estimates["coefficients"], "beta", "term", layout.terms)
    if layout.subgroups:
        means = _means(result.estimates["subgroups"], name, "subgroup", layout.subgroups)
    else:
        means = np.array([float(pooled_row(result.estimates["pooled"], name)["mean"])])
    means = means - layout.average[layout.M :] @ slopes  # reported means are those of average studies
    return layout.X @ np.concatenate([means, slopes])


def _means(table: pd.DataFrame, quantity: str, key: str, wanted: tuple[str, ...]) -> np.ndarray:
    rows = table[table["quantity"] == quantity].set_index(key)["mean"]
    return rows.loc[list(wanted)].to_numpy(dtype=float)


def _counted(spec: MetaAnalysis, studies: pd.DataFrame) -> str:
    """`13 studies`, or `10 effects of 5 studies`."""
    told = count(len(studies), unit_of(spec))
    return f"{told} of {count(studies['study'].nunique(), 'study')}" if spec.effect_id else told


def _caution(spec: MetaAnalysis, studies: pd.DataFrame) -> str:
    """What not to read from a funnel; what counts is the number of studies, not of effects."""
    n = studies["study"].nunique()
    several = " Effects of one study are not independent of each other." if spec.effect_id else ""
    if n < FEW:
        return (
            f"{several} With {n} studies, fewer than {FEW}, chance alone makes funnels look lopsided: do not "
            "judge asymmetry from it (Sterne et al. 2011)."
        )
    return (
        f"{several} Asymmetry has other causes than missing results: true differences between small and "
        "large studies, poor methods of small ones, chance (Sterne et al. 2011)."
    )
