"""The forest plot of one fitted model of a meta-analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.arms import arm_cells, cells_in_words
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    Interval,
    decimals,
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.usable import used_by
from poolmap.figures.forest import ForestRow, Subgroup, Summary, forest


def forest_figure(
    spec: MetaAnalysis, data: Dataset, result: ModelResult, name: str = "forest"
) -> NamedFigure:
    """The studies, each alone and given all, with the pooled effect and the prediction of a model.

    Studies stand in blocks where the model has subgroups (each with its own pooled effect) or where studies
    have several effects.

    Args:
        result: of a model that pools.
        name: of the figure's files.
    """
    scale, data = scale_of(spec), used_by(spec, result.name, data)
    pooled, studies = result.estimates["pooled"], data.tables["studies"]
    table = result.estimates["studies"]
    table = table[table["quantity"] == scale.report].reset_index(drop=True)
    effect = pooled_row(pooled, scale.report)
    write_one = writer(scale, [effect["sd"], *table["sd"]])
    headings, _ = arm_cells(spec, studies)
    rows = _rows(spec, data, result, table)
    summaries = [Summary(_pooled_label(spec, result), interval_of(effect), "diamond")]
    new = pooled[pooled["quantity"] == f"{scale.report}_new"]
    if len(new):
        summaries.append(Summary("New study (prediction)", interval_of(new.iloc[0]), "line"))
    percent = level(spec.interval)
    figure = forest(
        _blocks(spec, data, result, rows) or rows,
        summaries,
        headings=headings,
        effect=scale.short,
        interval_heading=f"{percent} interval",
        axis_label=effect_name(spec) + (" (log axis)" if scale.ratio else ""),
        write=lambda value: with_interval(value, write_one),
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        favours=spec.favours,
        note=_heterogeneity(spec, pooled),
        bias_domains=list(spec.risk_of_bias),
    )
    words = with_interval(interval_of(effect), write_one, f"{percent} interval")
    alt = f"Forest plot of {len(rows)} {_units(spec)}. Pooled {effect_name(spec)} {words}"
    if len(new):
        predicted = with_interval(interval_of(new.iloc[0]), write_one, f"{percent} interval")
        alt += f"; prediction for a new study {predicted}"
    if "subgroups" in result.estimates:
        found = _by_subgroup(result, scale.report)
        told = "; ".join(f"{g} {with_interval(interval_of(r), write_one)}" for g, r in found.items())
        alt += f". By {spec.models[result.name].subgroups}: {told}"
    caption = _caption(spec, data, result, predicts=bool(len(new)), shrinks=rows[0].shrunken is not None)
    title = "Forest plot" if name == "forest" else f"Forest plot, model {result.name}"
    return NamedFigure(name, figure, title, caption, f"{alt}.", result.name)


def _units(spec: MetaAnalysis) -> str:
    return "effects" if spec.effect_id else "studies"


def _pooled_label(spec: MetaAnalysis, result: ModelResult) -> str:
    scale = scale_of(spec)
    whose = "Common" if spec.models[result.name].effects == "common" else "Pooled"
    return f"{whose} {'effect' if scale.contrast else scale.report_words}"


def _rows(spec: MetaAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame) -> list[ForestRow]:
    """A row a study (or effect), in the order of the data, as are the estimates."""
    studies = data.tables["studies"]
    _, columns = arm_cells(spec, studies)
    judged = data.tables.get("risk_of_bias")
    own = spec.models[result.name].effects != "common"
    rows = []
    for i, found in table.iterrows():
        rows.append(
            ForestRow(
                label=str(found["effect_id"] if spec.effect_id else found["study"]),
                cells=[column[i] for column in columns],
                raw=(float(found["raw"]), float(found["raw_lower"]), float(found["raw_upper"])),
                shrunken=interval_of(found) if own else None,
                weight=float(found["weight"]) if "weight" in table else None,
                bias=[] if judged is None else [str(x) for x in judged.iloc[i]],
            )
        )
    return rows


def _blocks(spec: MetaAnalysis, data: Dataset, result: ModelResult, rows: list[ForestRow]) -> list[Subgroup]:
    """Rows by subgroup of the model or by study with several effects; none where neither applies."""
    if "subgroups" in result.estimates:
        return _subgroup_blocks(spec, data, result, rows)
    if not spec.effect_id:
        return []
    blocks: dict[str, list[ForestRow]] = {}
    for study, row in zip(data.tables["studies"]["study"], rows, strict=True):
        blocks.setdefault(study, []).append(row)
    return [Subgroup(study, members) for study, members in blocks.items()]


def _by_subgroup(result: ModelResult, quantity: str) -> Mapping[str, pd.Series]:
    table = result.estimates["subgroups"]
    return {row["subgroup"]: row for _, row in table[table["quantity"] == quantity].iterrows()}


def _subgroup_blocks(
    spec: MetaAnalysis, data: Dataset, result: ModelResult, rows: list[ForestRow]
) -> list[Subgroup]:
    scale = scale_of(spec)
    effects, predicted, taus = (
        _by_subgroup(result, quantity) for quantity in (scale.report, f"{scale.report}_new", "tau")
    )
    column = data.tables["categories"][spec.models[result.name].subgroups]
    member = column.tolist()
    blocks = []
    for subgroup, effect in effects.items():
        inside = [row for row, of in zip(rows, member, strict=True) if of == subgroup]
        summaries = [Summary("Pooled", interval_of(effect), "diamond")]
        if subgroup in predicted:
            summaries.append(Summary("New study", interval_of(predicted[subgroup]), "line"))
        note = _tau_words(spec, taus[subgroup]) if subgroup in taus else ""
        blocks.append(Subgroup(f"{column.name}: {subgroup}", inside, summaries, note))
    return blocks


def _tau_words(spec: MetaAnalysis, tau: pd.Series) -> str:
    write = _with_places(float(tau["sd"]))
    return f"τ {with_interval(interval_of(tau), write)} ({level(spec.interval)} interval)"


def _with_places(spread: float) -> Callable[[float], str]:
    places = decimals(spread)
    return lambda x: number(x, places)


def _heterogeneity(spec: MetaAnalysis, pooled: pd.DataFrame) -> str:
    """The line at the foot: tau, tau within studies, I-squared, intraclass correlation; "" for none."""
    symbols = {"tau": "τ", "tau_within": "τ within studies", "icc": "intraclass correlation"}
    present = set(pooled["quantity"])
    parts = []
    for quantity, symbol in symbols.items():
        if quantity in present:
            row = pooled_row(pooled, quantity)
            parts.append(f"{symbol} {with_interval(interval_of(row), _with_places(float(row['sd'])))}")
    if "i2" in present:
        value: Interval = interval_of(pooled_row(pooled, "i2"))
        between = " between studies" if "i2_within" in present else ""
        parts.append(f"I²{between} {with_interval(value, lambda x: f'{x:.0f}%')}")
    if not parts:
        return ""
    return f"Heterogeneity ({level(spec.interval)} intervals): {'; '.join(parts)}"


def _caption(spec: MetaAnalysis, data: Dataset, result: ModelResult, *, predicts: bool, shrinks: bool) -> str:
    scale, name, percent = scale_of(spec), effect_name(spec), level(spec.interval)
    unit = "effect" if spec.effect_id else "study"
    square = "filled square" + (
        ", area by weight" if "weight" in result.estimates["studies"] else ", all of one size"
    )
    text = f"Each {unit}'s own {name} with its {percent} confidence interval ({square}"
    if shrinks:
        text += (
            f"; upper text) and its {name} given all studies (open circle, dashed {percent} posterior "
            "interval; lower text in italics)"
        )
    else:
        text += ")"
    diamonds = "The black diamond" if "subgroups" in result.estimates else "The diamond"
    text += f". {diamonds} is the pooled {name}"
    if "subgroups" in result.estimates:
        text += " at the studies' average, the grey ones those of the subgroups"
    elif spec.models[result.name].formula:
        text += " at the studies' average of the moderators"
    if predicts:
        text += f", the capped line the {percent} prediction interval for a new study"
    text += "; the dotted line marks the pooled effect"
    text += ", the solid one no effect. " if scale.contrast else ". "
    text += (
        "Estimates of the model are posterior medians; an interval that leaves the axis ends in an arrow. "
        f"Model {result.name}."
    )
    if data.facts.get("corrected"):
        which = "All studies" if spec.zero_cells.to == "all" else "Studies with a zero cell"
        added = f"{data.facts['correction']:g} added to {cells_in_words(spec)}"
        text += f" {which}: {added} for the study's own estimate."
    return text
