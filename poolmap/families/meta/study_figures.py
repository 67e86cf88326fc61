"""Figures that show the studies one by one: funnel, Baujat, Galbraith and L'Abbé plots."""

from __future__ import annotations

from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    ratio,
    with_interval,
)
from poolmap.figures.baujat import baujat, baujat_coordinates
from poolmap.figures.funnel import funnel
from poolmap.figures.galbraith import common_effect, galbraith
from poolmap.figures.labbe import labbe
from poolmap.figures.refits import cumulative_forest, leave_one_out_forest
from poolmap.figures.shrinkage import shrinkage

LEAST = 3  # studies: with two, neither asymmetry nor influence can be seen
FEW = 10  # Sterne et al. 2011
COUNTS = ("events_1", "total_1", "events_2", "total_2")


def study_figures(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> list[NamedFigure]:
    """Funnel, Baujat, Galbraith and leave-one-out plots of three or more studies; L'Abbé of RR, OR and RD.

    Where the companions of the model hold them also empirical against full Bayes, and the cumulative
    meta-analysis. Of studies with several effects the funnel plot alone: the others take effects to be
    independent.

    Args:
        result: the primary model: its pooled effect and weights are drawn, and the figures stand with it.
    """
    studies = data.tables["studies"]
    made = []
    if spec.effect_id:
        return [_funnel(spec, data, result)] if len(studies) >= LEAST and scale_of(spec).contrast else []
    if len(studies) >= LEAST:
        if scale_of(spec).contrast:
            made.append(_funnel(spec, data, result))
        made += [_baujat(spec, data, result), _galbraith(spec, data, result)]
        if "leave_one_out" in result.companions:
            made.append(_leave_one_out(spec, result))
    if "cumulative" in result.companions:
        made.append(_cumulative(spec, result))
    if "empirical_bayes" in result.companions:
        made.append(_shrinkage(spec, result))
    if spec.measure in ("RR", "OR", "RD") and set(COUNTS) <= set(studies.columns):
        made.append(_labbe(spec, data, result))
    return made


def _leave_one_out(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    scale, table = scale_of(spec), result.companions["leave_one_out"]
    whole = pooled_row(result.estimates["pooled"], scale.report)
    shown = {end: scale.natural(table[f"mu_{end}"].to_numpy()) for end in ("median", "lower", "upper")}
    name, percent = effect_name(spec), level(spec.interval)
    figure = leave_one_out_forest(
        table["study"].tolist(),
        *shown.values(),
        interval_of(whole),
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=f"pooled {name}",
    )
    furthest = table.loc[table["mu_shift"].abs().idxmax()]
    said = (
        f"Leaving out {furthest['study']} changes the pooled {name} most, by {abs(furthest['mu_shift']):.1f} "
        "posterior standard deviations."
    )
    caption = (
        f"The pooled {name} without each study in turn: posterior median and {percent} interval, from the "
        f"exact posterior by quadrature. The band is the interval of all studies. {said} Model {result.name}."
    )
    return NamedFigure("leave_one_out", figure, "Leave-one-out", caption, said, result.name)


def _cumulative(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    scale, table = scale_of(spec), result.companions["cumulative"]
    exact = "mu_median" in table
    columns = ("mu_median", "mu_lower", "mu_upper") if exact else ("mu", "lower", "upper")
    shown = [scale.natural(table[column].to_numpy()) for column in columns]
    name, percent = effect_name(spec), level(spec.interval)
    by = [f"{value:g}" if isinstance(value, float) else str(value) for value in table["by"]]
    figure = cumulative_forest(
        table["study"].astype(str).tolist(),
        *shown,
        by=by,
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=f"pooled {name}",
    )
    how = (
        f"posterior median and {percent} interval, from the exact posterior by quadrature with the priors of "
        f"model {result.name}"
        if exact
        else f"classical random-effects estimate (REML) with its {percent} confidence interval"
    )
    caption = (
        f"The pooled {name} of the studies so far, as they are added from the top in the order of "
        f"'{spec.cumulative}': {how}. The last row holds all studies. Looks at the same question again and "
        "again are not independent of each other: an interval that once left no effect out is not a test."
    )
    first, last = (
        with_interval(tuple(float(values[i]) for values in shown), lambda x: _shown(spec, x)) for i in (0, -1)
    )
    alt = f"Cumulative meta-analysis: the pooled {name} goes from {first} with one study to {last} with all."
    return NamedFigure("cumulative", figure, "Cumulative meta-analysis", caption, alt, result.name)


def _shown(spec: MetaAnalysis, value: float) -> str:
    return ratio(value) if scale_of(spec).ratio else number(value, 2 if abs(value) >= 0.1 else 3)


def _shrinkage(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    scale, table = scale_of(spec), result.companions["empirical_bayes"]
    name, percent = _analysed(spec), level(spec.interval)
    names = table.loc[table["method"] == "none", "study"].tolist()
    figure = shrinkage(names, table, log=bool(scale.ratio), label=name)
    tau = table.groupby("method")["tau"].first()
    ml = table[table["method"] == "ml"]
    studies, pooled = (ml.loc[ml["quantity"] == what, "width_ratio"] for what in ("theta", "mu"))
    known, mean = (number(tau[method], 3) for method in ("ml", "full"))
    said = (
        f"Taking tau as known to be its maximum-likelihood estimate ({known}; posterior mean "
        f"{mean}) makes the studies' intervals {studies.median():.2f} times as wide as full "
        f"Bayes does (median of the studies), and that of the pooled {name} "
        f"{float(pooled.iloc[0]):.2f} times."
    )
    caption = (
        f"What ignoring the uncertainty of tau costs: each study's {name} with its {percent} interval by "
        "itself (no pooling), by empirical Bayes, which takes tau as known (maximum likelihood), and by full "
        f"Bayes, which does not. {said} The most precise study stands on top, the pooled {name} below. "
        f"Priors of model {result.name}."
    )
    return NamedFigure("shrinkage", figure, "Empirical and full Bayes", caption, said, result.name)


def _analysed(spec: MetaAnalysis) -> str:
    """The effect in words, on the axis that is drawn: ratios as such, all others on the scale of analysis."""
    scale = scale_of(spec)
    return effect_name(spec) if scale.ratio or scale.report == scale.name else scale.words


def _written(spec: MetaAnalysis, value: float) -> str:
    scale = scale_of(spec)
    return ratio(float(scale.natural(value))) if scale.ratio else number(value, 2 if abs(value) >= 0.1 else 3)


def _funnel(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale, studies = scale_of(spec), data.tables["studies"]
    pooled = float(pooled_row(result.estimates["pooled"], scale.name)["median"])
    name, percent, n = _analysed(spec), level(spec.interval), len(studies)
    figure = funnel(
        studies["yi"].to_numpy(),
        studies["se"].to_numpy(),
        pooled,
        ratio=bool(scale.ratio),
        axis_label=name + (" (log axis)" if scale.ratio else ""),
        interval=spec.interval,
    )
    few = (
        f" With {n} studies, fewer than {FEW}, chance alone makes funnels look lopsided: do not judge "
        "asymmetry from it (Sterne et al. 2011)."
        if n < FEW
        else " Asymmetry has other causes than missing results: true differences between small and large "
        "studies, poor methods of small ones, chance (Sterne et al. 2011)."
    )
    caption = (
        f"Each point is a study: its own {name} and its standard error, precise studies on top. The shaded "
        "bands are centred on no effect and show a study's two-sided p-value there: results missing from "
        "the white band speak for selection by significance, results missing from shaded bands for other "
        f"causes (Peters et al. 2008). The solid line is the pooled {name} of model {result.name} (posterior "
        f"median); between the dashed lines {percent} of studies would lie if all shared it: heterogeneity "
        f"alone puts studies outside.{few}"
    )
    inside = abs(studies["yi"] / studies["se"]) <= 1.959964
    alt = (
        f"Funnel plot of {n} studies around a pooled {name} of {_written(spec, pooled)}; "
        f"{int(inside.sum())} of them do not differ from no effect at p 0.05, {int((~inside).sum())} do. "
        f"Standard errors from {studies['se'].min():.2g} to {studies['se'].max():.2g}."
    )
    return NamedFigure("funnel", figure, "Funnel plot", caption, alt, result.name)


def _baujat(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    studies = data.tables["studies"]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    q, influence = baujat_coordinates(yi, vi)
    figure = baujat(yi, vi, names=studies["study"].tolist())
    caption = (
        "Each circle is a study. To the right: its part of Cochran's Q, its weighted squared distance from "
        "the common effect. Upwards: how much that effect changes when the study is left out, squared, in "
        "units of its variance (Baujat et al. 2002). A study at the upper right makes both the heterogeneity "
        "and the result; look there first for how it differs. Computed from the classical common-effect "
        "model, in which large studies weigh more than where effects vary between studies. At most twelve "
        "studies are named, where there is room."
    )
    most, strongest = (studies["study"].iloc[int(values.argmax())] for values in (q, influence))
    share = f" ({100 * q.max() / q.sum():.0f}% of Q = {q.sum():.1f})" if q.sum() > 0 else ""
    alt = (
        f"Baujat plot of {len(studies)} studies. {most} contributes most to the heterogeneity{share}; "
        f"{strongest} has the most influence on the common effect."
    )
    return NamedFigure("baujat", figure, "Baujat plot", caption, alt, result.name)


def _galbraith(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale, studies = scale_of(spec), data.tables["studies"]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    name, percent, slope = _analysed(spec), level(spec.interval), common_effect(yi, se)
    figure = galbraith(
        yi,
        se,
        ratio=bool(scale.ratio),
        effect=name,
        interval=spec.interval,
        names=studies["study"].tolist(),
    )
    caption = (
        f"Each point is a study: its {'log ' if scale.ratio else ''}{name} divided by its standard error, "
        "against its precision (Galbraith 1988). The ray from 0 through a point leads to the study's "
        f"{name} on the right axis. The solid line is the classical common effect; about "
        f"{percent} of studies lie between the dashed lines if all share it, and more lie outside the more "
        "effects vary. Studies outside are named, at most twelve, where there is room."
    )
    outside = studies["study"][abs(yi - slope) / se > special.ndtri(0.5 + spec.interval / 2)]
    listed = ", ".join(outside[:10]) + (" ..." if len(outside) > 10 else "")
    lie = "lies" if len(outside) == 1 else "lie"
    alt = (
        f"Galbraith plot of {len(studies)} studies; common {name} {_written(spec, slope)}. {len(outside)} "
        f"{lie} outside the {percent} band{': ' + listed if listed else ''}."
    )
    return NamedFigure("galbraith", figure, "Galbraith plot", caption, alt, result.name)


def _labbe(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale, studies = scale_of(spec), data.tables["studies"]
    table = result.estimates["studies"]
    rows = table["quantity"] == scale.report
    weights = table.loc[rows, "weight"].to_numpy() if "weight" in table else 1 / studies["vi"].to_numpy()
    pooled = float(pooled_row(result.estimates["pooled"], scale.report)["median"])
    counts = [studies[name].to_numpy() for name in COUNTS]
    figure = labbe(
        *counts,
        weights=weights,
        pooled=pooled,
        measure=spec.measure,
        arms=spec.arms,
        names=studies["study"].tolist(),
    )
    name = effect_name(spec)
    caption = (
        f"Each circle is a study: the observed risk in the arm {spec.arms[0]} against that in the arm "
        f"{spec.arms[1]}, area by weight (small ones drawn larger to be seen). On the dotted line both are "
        f"alike; the solid line has the pooled {name} of model {result.name} (posterior median) at every "
        "baseline risk (L'Abbé et al. 1987). Circles that follow the solid line speak for this measure; a "
        "drift away from it along the axis speaks for an effect that depends on the baseline risk, but "
        "chance in the baseline alone makes such a drift too."
    )
    below = int((counts[0] / counts[1] < counts[2] / counts[3]).sum())
    alt = (
        f"L'Abbé plot of {len(studies)} studies: the risk is lower in the arm {spec.arms[0]} than in the arm "
        f"{spec.arms[1]} in {below} of them. Pooled {name} "
        f"{ratio(pooled) if scale.ratio else _written(spec, pooled)}."
    )
    return NamedFigure("labbe", figure, "L'Abbé plot", caption, alt, result.name)
