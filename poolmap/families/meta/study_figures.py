"""Figures that show the studies one by one: funnel, Baujat, Galbraith and L'Abbé plots, refits."""

from __future__ import annotations

from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.figure_words import analysed, written
from poolmap.families.meta.funnel_figure import funnel_figure
from poolmap.families.meta.numbers import effect_name, level, pooled_row, ratio
from poolmap.families.meta.refit_figures import cumulative_figure, leave_one_out_figure, shrinkage_figure
from poolmap.families.meta.usable import has_contrast, used_by, with_contrast
from poolmap.figures.baujat import baujat, baujat_coordinates
from poolmap.figures.galbraith import common_effect, galbraith
from poolmap.figures.labbe import labbe

LEAST = 3  # studies: with two, neither asymmetry nor influence can be seen
COUNTS = ("events_1", "total_1", "events_2", "total_2")


def study_figures(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> list[NamedFigure]:
    """Funnel, Baujat, Galbraith and leave-one-out plots of three or more studies; L'Abbé of RR, OR and RD.

    Where the companions of the model hold them also empirical against full Bayes, and the cumulative
    meta-analysis. Of studies with several effects the funnel plot alone: the others take effects to be
    independent.

    Args:
        result: the primary model: its pooled effect and weights are drawn, and the figures stand with it.
    """
    data = used_by(spec, result.name, data)
    studies = data.tables["studies"]
    enough, made = has_contrast(studies).sum() >= LEAST, []
    if spec.effect_id:
        return [funnel_figure(spec, data, result)] if enough and scale_of(spec).contrast else []
    if enough:
        if scale_of(spec).contrast:
            made.append(funnel_figure(spec, data, result))
        made += [_baujat(spec, data, result), _galbraith(spec, data, result)]
        if "leave_one_out" in result.companions:
            made.append(leave_one_out_figure(spec, result))
    if "cumulative" in result.companions:
        made.append(cumulative_figure(spec, result))
    if "empirical_bayes" in result.companions:
        made.append(shrinkage_figure(spec, result))
    if spec.measure in ("RR", "OR", "RD") and set(COUNTS) <= set(studies.columns):
        made.append(_labbe(spec, data, result))
    return made


def _baujat(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    studies = with_contrast(spec, data).tables["studies"]
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
    scale, studies = scale_of(spec), with_contrast(spec, data).tables["studies"]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    name, percent, slope = analysed(spec), level(spec.interval), common_effect(yi, se)
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
        f"Galbraith plot of {len(studies)} studies; common {name} {written(spec, slope)}. {len(outside)} "
        f"{lie} outside the {percent} band{': ' + listed if listed else ''}."
    )
    return NamedFigure("galbraith", figure, "Galbraith plot", caption, alt, result.name)


def _labbe(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale, studies = scale_of(spec), data.tables["studies"]
    table = result.estimates["studies"]
    rows = table["quantity"] == scale.report
    known = "weight" in table
    weights = table.loc[rows, "weight"].to_numpy() if known else 1 / studies["vi"].to_numpy()
    by = "weight" if known else "precision (1 / variance)"
    pooled = float(pooled_row(result.estimates["pooled"], scale.report)["median"])
    counts = [studies[name].to_numpy() for name in COUNTS]
    figure = labbe(
        *counts,
        weights=weights,
        pooled=pooled,
        measure=spec.measure,
        arms=spec.arms,
        circle_label=f"study, area by {by}",
        names=studies["study"].tolist(),
    )
    name = effect_name(spec)
    caption = (
        f"Each circle is a study: the observed risk in the arm {spec.arms[0]} against that in the arm "
        f"{spec.arms[1]}, area by {by} (small ones drawn larger to be seen). On the dotted line both are "
        f"alike; the solid line has the pooled {name} of model {result.name} (posterior median) at every "
        "baseline risk (L'Abbé et al. 1987). Circles that follow the solid line speak for this measure; a "
        "drift away from it along the axis speaks for an effect that depends on the baseline risk, but "
        "chance in the baseline alone makes such a drift too. At most twelve studies far from the solid line "
        "are named, where there is room."
    )
    below = int((counts[0] / counts[1] < counts[2] / counts[3]).sum())
    alt = (
        f"L'Abbé plot of {len(studies)} studies: the risk is lower in the arm {spec.arms[0]} than in the arm "
        f"{spec.arms[1]} in {below} of them. Pooled {name} "
        f"{ratio(pooled) if scale.ratio else written(spec, pooled)}."
    )
    return NamedFigure("labbe", figure, "L'Abbé plot", caption, alt, result.name)
