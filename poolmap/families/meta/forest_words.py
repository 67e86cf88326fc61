"""What stands around the forest plot: its caption, its notes, its text for those who cannot see it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import MetaModel
from poolmap.contracts import Dataset, ModelResult
from poolmap.families.meta.arms import cells_in_words
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    count,
    decimals,
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    ratio,
    whole_percent,
    with_interval,
)

SYMBOLS = {"tau": "τ", "tau_within": "τ within studies", "icc": "intraclass correlation"}


def pooled_label(spec: MetaAnalysis, model: str) -> str:
    """What the pooled effect is called in its row: `Pooled effect`, `Common incidence rate`."""
    scale = scale_of(spec)
    whose = _whose(spec.models[model]).capitalize()
    return f"{whose} {'effect' if scale.contrast else scale.report_words}"


def tau_note(spec: MetaAnalysis, tau: pd.Series) -> str:
    """The line below a subgroup with a tau of its own."""
    return f"τ {with_interval(interval_of(tau), _places(tau))} ({level(spec.interval)} interval)"


def foot_note(spec: MetaAnalysis, result: ModelResult) -> str:
    """The line at the foot: tau, tau within studies, I-squared, intraclass correlation, and how two subgroups
    differ; "" for none of them."""
    pooled, percent = result.estimates["pooled"], level(spec.interval)
    scale = "scale " if spec.models[result.name].effects == "student_t" else ""
    parts = []
    for quantity, symbol in SYMBOLS.items():
        for _, row in pooled[pooled["quantity"] == quantity].iterrows():
            parts.append(f"{scale}{symbol} {_unbroken(with_interval(interval_of(row), _places(row)))}")
    between = " between studies" if (pooled["quantity"] == "i2_within").any() else ""
    for _, row in pooled[pooled["quantity"] == "i2"].iterrows():
        share = with_interval(interval_of(row), whole_percent)
        parts.append(f"I²{between} {_unbroken(share)}")
    told = [f"Heterogeneity ({percent} intervals): {'; '.join(parts)}"] if parts else []
    return ". ".join(told + _difference(spec, result))


def _difference(spec: MetaAnalysis, result: ModelResult) -> list[str]:
    """How two subgroups differ; nothing for more of them."""
    table = result.estimates.get("subgroup_differences")
    if table is None:
        return []
    scale = scale_of(spec)
    rows = table[table["quantity"] == ("ratio" if scale.ratio else "difference")]
    if len(rows) != 1:
        return []
    row = rows.iloc[0]
    write = ratio if scale.ratio else _places(row)
    what = scale.words if scale.back else effect_name(spec)
    words = f"Ratio of the {scale.short}s" if scale.ratio else f"Difference of the {what}"
    value = _unbroken(with_interval(interval_of(row), write, f"{level(spec.interval)} interval"))
    return [f"{words}, {row['subgroup']} against {row['reference']}: {value}"]


def _unbroken(text: str) -> str:
    """The text on one line, wherever the line is broken."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _places(row: pd.Series) -> Callable[[float], str]:
    places = decimals(float(row["sd"]))
    return lambda x: number(x, places)


def alternative(spec: MetaAnalysis, result: ModelResult, write: Callable[[float], str]) -> str:
    """What the plot shows, in a sentence or two."""
    scale, percent = scale_of(spec), level(spec.interval)
    pooled = result.estimates["pooled"]
    shown = int((result.estimates["studies"]["quantity"] == scale.report).sum())
    unit = "effect" if spec.effect_id else "study"
    effect = interval_of(pooled_row(pooled, scale.report))
    words = f"Forest plot of {count(shown, unit)}. {_whose(spec.models[result.name]).capitalize()} "
    words += f"{effect_name(spec)} {with_interval(effect, write, f'{percent} interval')}"
    for _, new in pooled[pooled["quantity"] == f"{scale.report}_new"].iterrows():
        predicted = with_interval(interval_of(new), write, f"{percent} interval")
        words += f"; prediction for a new study {predicted}"
    table = result.estimates.get("subgroups")
    if table is not None:
        rows = table[table["quantity"] == scale.report]
        told = [f"{row['subgroup']} {with_interval(interval_of(row), write)}" for _, row in rows.iterrows()]
        words += f". By {spec.models[result.name].subgroups}: {'; '.join(told)}"
    return f"{words}."


def caption(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> str:
    """What squares, circles, diamonds and lines are, how studies weigh, and what was added to zero cells."""
    model, scale, percent = spec.models[result.name], scale_of(spec), level(spec.interval)
    unit, weighs = "effect" if spec.effect_id else "study", "weight" in result.estimates["studies"]
    square = "area in proportion to the weight, the smallest enlarged" if weighs else "all of one size"
    text = f"Each {unit}'s own {effect_name(spec)} and {percent} confidence interval (filled square, {square}"
    if model.effects == "common":
        text += "). "
    else:
        text += (
            "; upright text), and the same given all studies: posterior median and "
            f"{percent} interval (open circle, dashed line; text in italics). "
        )
    text += f"{_pooled(spec, result)}. The dotted line marks the {_whose(model)} effect"
    text += f"{', the solid one no effect' if scale.contrast else ''}. "
    text += "An interval that leaves the axis ends in an arrow; one that its square hides is white. "
    if weighs:
        text += f"{_weights(spec, result.name)} "
    if model.likelihood != "normal":
        text += (
            "The model uses the counts themselves: own estimates, their intervals (normal approximation)"
            f"{' and weights' if weighs else ''} are for comparison only. "
        )
    text += f"Model {result.name}."
    if data.facts.get("corrected"):
        which = "All studies" if spec.zero_cells.to == "all" else "Studies with a zero cell"
        added = f"{data.facts['correction']:g} added to {cells_in_words(spec)}"
        text += f" {which}: {added} for the study's own estimate."
    return text


def _whose(model: MetaModel) -> str:
    return "common" if model.effects == "common" else "pooled"


def _pooled(spec: MetaAnalysis, result: ModelResult) -> str:
    """What diamonds and capped lines are."""
    model, scale, percent = spec.models[result.name], scale_of(spec), level(spec.interval)
    predicts = f"{scale.report}_new" in set(result.estimates["pooled"]["quantity"])
    at = " at the studies' average of the moderators" if model.formula else ""
    if "subgroups" not in result.estimates:
        text = f"The diamond is the {_whose(model)} effect{at}"
        return text + (
            f", the capped line the {percent} prediction interval for a new study" if predicts else ""
        )
    on = f" of {scale.words}s" if scale.back else ""
    text = (
        f"Grey diamonds are the {_whose(model)} effects of the subgroups{at}, the black one is their "
        f"average{on}, each subgroup counted by its number of {'effects' if spec.effect_id else 'studies'}"
    )
    if predicts:
        text += (
            f". Capped lines are {percent} prediction intervals for a new study: one of the subgroup, at the "
            "foot one of any subgroup, as frequent as here"
        )
    return text


def _weights(spec: MetaAnalysis, model: str) -> str:
    """Of what the weights are shares."""
    chosen = spec.models[model]
    variance = "v the sampling variance of the study's own estimate"
    if chosen.effects == "common":
        return f"Weights are in proportion to 1 / v, with {variance}."
    factor, told = "", ""
    if chosen.effects == "student_t":
        factor, told = "w ", " and w the study's own factor in the Student-t distribution"
    if chosen.subgroup_tau == "own":
        told = f", τ that of its subgroup{told}"
    return (
        f"Weights are in proportion to 1 / (v + {factor}τ²), averaged over the posterior distribution, with "
        f"{variance}{told}."
    )
