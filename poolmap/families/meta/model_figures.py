"""Figures that compare models of a meta-analysis, or draw its regression."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import EVERY_MODEL, Dataset, ModelResult, NamedFigure
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.figure_words import (
    analysed,
    analysed_axis,
    labels,
    point_words,
    reported_axis,
    unit_of,
)
from poolmap.families.meta.numbers import (
    count,
    effect_name,
    interval_of,
    level,
    listed,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.usable import used_by, used_by_any, with_contrast
from poolmap.figures.bubble import bubble
from poolmap.figures.models import draw_models
from poolmap.figures.pooling import MOST_STUDIES, Pooling, pooling
from poolmap.figures.predictive import plural

POOLING_WORDS = {"none": "no pooling", "partial": "partial", "complete": "complete"}
MOST_OF_A_KIND = {"none": 2, "partial": 4, "complete": 2}
"""Models that the figure can tell apart."""


def models_figure(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> NamedFigure:
    """Pooled effect, prediction and tau of all models that pool, side by side."""
    scale = scale_of(spec)
    name, percent = effect_name(spec), level(spec.interval)
    panels = {
        scale.report: f"Pooled {name}",
        f"{scale.report}_new": "New study (prediction)",
        "tau": "τ, between studies",
    }
    found = {
        model: {q: pooled_row(table, q) for q in panels if q in set(table["quantity"])}
        for model, table in (
            (m, r.estimates["pooled"]) for m, r in results.items() if "pooled" in r.estimates
        )
    }
    shown = [q for q in panels if any(q in rows for rows in found.values())]
    write = writer(scale, [rows[scale.report]["sd"] for rows in found.values()])
    figure = draw_models(
        list(found),
        [[interval_of(rows[q]) if q in rows else None for q in shown] for rows in found.values()],
        panels=[panels[q] for q in shown],
        notes=[model_note(spec, model) for model in found],
        log=bool(scale.ratio),
        contrast=scale.contrast,
        spread_last=shown[-1] == "tau",
    )
    spoken = "; ".join(
        f"{model} {with_interval(interval_of(rows[scale.report]), write, f'{percent} interval')}"
        for model, rows in found.items()
    )
    apart = [model for model in results if model not in found]
    without = ""
    if apart:
        without = f" Model{'s' * (len(apart) > 1)} {listed(apart)} pool{'s' * (len(apart) == 1)} nothing."
    explained = [m for m in found if spec.models[m].formula or spec.models[m].subgroups]
    average = ""
    if explained:
        average = (
            f" Of {listed(explained)} the pooled effect is that of average studies, tau what the moderators "
            "or subgroups leave."
        )
    stamped = [model for model, result in results.items() if not result.passed]
    warned = f" Do not use: {', '.join(stamped)} failed its checks." if stamped else ""
    caption = (
        f"Posterior median and {percent} interval by model: pooled {name}, {name} in a new study, and the "
        f"between-study standard deviation tau (of the {scale.words}); an empty place stands for what a "
        f"model has not.{average}{without}{warned}"
    )
    alt = f"Pooled {name} by model: {spoken}."
    return NamedFigure("models", figure, "Models side by side", caption, alt, EVERY_MODEL)


def model_note(spec: MetaAnalysis, model: str) -> str:
    """What sets a model apart from a plain random-effects one, in a few words."""
    chosen = spec.models[model]
    told = []
    if len({one.likelihood for one in spec.models.values()}) > 1:
        told.append(f"{chosen.likelihood.replace('_', '-')} likelihood")
    if chosen.effects != "normal":
        varied = {
            "student_t": f"Student-t effects, {chosen.df or DEFAULT_DF:g} df",
            "common": "common effect",
        }
        told.append(varied[chosen.effects])
    if chosen.formula:
        told.append(f"formula: {chosen.formula}")
    if chosen.subgroups:
        told.append(f"subgroups: {chosen.subgroups}")
    return "; ".join(told)


def pooling_figure(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> NamedFigure:
    """No, partial and complete pooling: models of unrelated, varying and common effects in one figure.

    Of the studies that all models use.
    """
    scale, studies = scale_of(spec), with_contrast(spec, data).tables["studies"]
    name, percent = effect_name(spec), level(spec.interval)
    kinds = {"independent": "none", "common": "complete"}
    unit = unit_of(spec)
    shown: dict[str, Pooling] = {}
    left: list[str] = []
    for model, result in results.items():
        chosen = spec.models[model]
        if chosen.formula or chosen.subgroups:
            continue
        kind = kinds.get(chosen.effects, "partial")
        table = result.estimates["studies"]
        table = table[(table["quantity"] == scale.report) & table["study"].isin(studies["study"])]
        rows = table[["median", "lower", "upper"]].to_numpy()
        pooled = result.estimates.get("pooled")
        value = None if pooled is None else interval_of(pooled_row(pooled, scale.report))
        if sum(one.kind == kind for one in shown.values()) == MOST_OF_A_KIND[kind]:
            left.append(model)
        else:
            words = f"{POOLING_WORDS[kind]} ({model})"
            shown[words] = Pooling(kind, None if kind == "complete" else rows, value)
    order = list(POOLING_WORDS)
    shown = dict(sorted(shown.items(), key=lambda item: order.index(item[1].kind)))
    figure = pooling(
        labels(studies),
        shown,
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=reported_axis(spec),
    )
    few = ""
    if len(studies) > MOST_STUDIES:
        few = (
            f" Of {count(len(studies), unit)} those {MOST_STUDIES} are drawn that partial pooling moves most."
        )
    if len(studies) < len(used_by_any(spec, data).tables["studies"]):
        few += " Studies that only some models use are not drawn."
    if left:
        few += f" Not drawn, for want of room: {listed(left)}."
    caption = (
        f"Each {unit}'s {name} with its {percent} posterior interval under models that pool differently: "
        "not at all (unrelated effects), partially (effects around a common mean: drawn to it, the more the "
        f"less a {unit} says), completely (one effect for all: the line with its band). At the foot, the "
        f"pooled effect of each model that has one.{few}"
    )
    write = writer(scale, [1.0] if scale.ratio else [float(studies["se"].min())])
    told = "; ".join(
        f"{words} {with_interval(one.pooled, write, f'{percent} interval')}"
        for words, one in shown.items()
        if one.pooled
    )
    alt = f"No, partial and complete pooling of {count(len(studies), unit)} ({name}). Pooled: {told}."
    return NamedFigure("pooling", figure, "No, partial and complete pooling", caption, alt, EVERY_MODEL)


def bubble_figures(spec: MetaAnalysis, data: Dataset, result: ModelResult, prefix: str) -> list[NamedFigure]:
    """A bubble plot for each number of the formula that has a line of its own.

    Args:
        result: of a model with a formula.
        prefix: of the figures' names, `bubble` or with the model's name.
    """
    lines = result.estimates.get("regression_lines")
    if lines is None:
        return []
    data = used_by(spec, result.name, data)
    scale, studies = scale_of(spec), data.tables["studies"]
    table = result.estimates["studies"]
    name, percent = analysed(spec), level(spec.interval)
    weights, by = 1 / studies["vi"].to_numpy(), "precision (1 / variance)"
    if "weight" in table:
        weights, by = table.loc[table["quantity"] == scale.report, "weight"].to_numpy(), "weight"
    coefficients = result.estimates["coefficients"]
    quantity = "exp_beta" if scale.ratio else "beta"
    unit = unit_of(spec)
    made = []
    for position, (term, rows) in enumerate(lines.groupby("term", sort=False)):
        figure = bubble(
            data.tables["moderators"][term].to_numpy(),
            studies["yi"].to_numpy(),
            weights,
            at=rows["value"].astype(float).to_numpy(),
            line=rows["median"].to_numpy(),
            lower=rows["lower"].to_numpy(),
            upper=rows["upper"].to_numpy(),
            ratio=bool(scale.ratio),
            moderator_label=str(term),
            axis_label=analysed_axis(spec),
            point_label=f"{unit}, area by {by}",
            band_label=f"{percent} interval of the mean",
            null=0.0 if scale.contrast else None,
            names=labels(studies),
        )
        chosen = (coefficients["quantity"] == quantity) & (coefficients["term"] == term)
        slope = coefficients[chosen].iloc[0]
        told = _per_unit(slope, term, name, percent, ratio=bool(scale.ratio))
        others = (
            " Other terms of the formula stand at their average."
            if len(set(coefficients["term"])) > 1
            else ""
        )
        caption = (
            f"{point_words(spec, 'circle')}: its own {name} against {term}, area by {by}. The line is "
            f"the {name} that the regression expects (posterior median), the band its {percent} interval; "
            f"{plural(unit)} scatter around it by tau and by chance.{others} {told} A regression on studies "
            "compares studies, not people: what holds between studies need not hold within them. "
            f"At most twelve circles far from the line are named, where there is room. Model {result.name}."
        )
        alt = f"Bubble plot of {count(len(studies), unit)} against {term}. {told}"
        file = f"{prefix}_{position + 1}"
        made.append(NamedFigure(file, figure, f"Bubble plot: {term}", caption, alt, result.name))
    return made


def _per_unit(slope: pd.Series, term: str, name: str, percent: str, *, ratio: bool) -> str:
    def write(x: float) -> str:
        return f"{x:.3f}" if ratio else f"{x:.3g}"

    value = with_interval(interval_of(slope), write, f"{percent} interval")
    if ratio:
        return f"Per unit of {term} the {name} is multiplied by {value}."
    return f"Per unit of {term} the {name} changes by {value}."
