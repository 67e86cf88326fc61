"""The forest plot of one fitted model of a meta-analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from poolmap.config.meta import MEASURES, MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.arms import arm_cells
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.forest_words import alternative, caption, foot_note, pooled_label, tau_note
from poolmap.families.meta.numbers import effect_name, interval_of, level, pooled_row, with_interval, writer
from poolmap.families.meta.usable import used_by
from poolmap.figures.forest import ForestRow, Subgroup, Summary, forest
from poolmap.figures.ticks import minus

BOUNDS = {"expit": (0.0, 1.0), "sin2": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Ends that the natural scale cannot pass, by the inverse that leads to it."""


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
    write_one = writer(scale, [effect["sd"], table["sd"].median()])
    headings, _ = arm_cells(spec, studies)
    rows = _rows(spec, data, result, table)
    summaries = [_pooled(spec, data, pooled_label(spec, result.name), effect, rows, range(len(rows)))]
    new = pooled[pooled["quantity"] == f"{scale.report}_new"]
    if len(new):
        summaries.append(Summary("New study (prediction)", interval_of(new.iloc[0]), "line"))
    figure = forest(
        _blocks(spec, data, result, rows),
        summaries,
        headings=[heading[:1].upper() + heading[1:] for heading in headings],
        effect=scale.short,
        interval_heading=f"{level(spec.interval)} interval",
        axis_label=effect_name(spec) + (" (log axis)" if scale.ratio else ""),
        write=lambda value: with_interval(value, write_one),
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        favours=spec.favours,
        note=foot_note(spec, result),
        bias_domains=list(spec.risk_of_bias),
        bounds=BOUNDS.get(scale.inverse),
    )
    title = "Forest plot" if name == "forest" else f"Forest plot, model {result.name}"
    words = alternative(spec, result, write_one)
    return NamedFigure(name, figure, title, caption(spec, data, result), words, result.name)


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
                label=f"{found['study']}, {found['effect_id']}" if spec.effect_id else str(found["study"]),
                cells=[minus(column[i]) for column in columns],
                raw=(float(found["raw"]), float(found["raw_lower"]), float(found["raw_upper"])),
                shrunken=interval_of(found) if own else None,
                weight=float(found["weight"]) if "weight" in table else None,
                bias=[] if judged is None else [str(x) for x in judged.iloc[i]],
            )
        )
    return rows


def _blocks(spec: MetaAnalysis, data: Dataset, result: ModelResult, rows: list[ForestRow]) -> list[Subgroup]:
    """Rows by subgroup of the model, else by study where studies have several effects."""
    if "subgroups" in result.estimates:
        return _subgroup_blocks(spec, data, result, rows)
    studies = data.tables["studies"]
    if not spec.effect_id:
        return [Subgroup("", rows)]
    blocks = []
    for study, inside in studies.groupby("study", sort=False).indices.items():
        if len(inside) == 1:
            blocks.append(Subgroup("", [rows[inside[0]]]))
            continue
        names = studies["effect_id"].iloc[inside]
        members = [replace(rows[i], label=str(name)) for i, name in zip(inside, names, strict=True)]
        blocks.append(Subgroup(str(study), members))
    return blocks


def _subgroup_blocks(
    spec: MetaAnalysis, data: Dataset, result: ModelResult, rows: list[ForestRow]
) -> list[Subgroup]:
    scale, table = scale_of(spec), result.estimates["subgroups"]
    effects, predicted, taus = (
        {row["subgroup"]: row for _, row in table[table["quantity"] == quantity].iterrows()}
        for quantity in (scale.report, f"{scale.report}_new", "tau")
    )
    column = data.tables["categories"][spec.models[result.name].subgroups]
    member = column.tolist()
    if column.name == spec.effect_id:  # the heading names the effect
        rows = [
            replace(row, label=str(study))
            for row, study in zip(rows, data.tables["studies"]["study"], strict=True)
        ]
    blocks = []
    for subgroup, effect in effects.items():
        inside = [i for i, of in enumerate(member) if of == subgroup]
        summaries = [_pooled(spec, data, "Pooled", effect, rows, inside)]
        if subgroup in predicted:
            summaries.append(Summary("New study", interval_of(predicted[subgroup]), "line"))
        note = tau_note(spec, taus[subgroup]) if subgroup in taus else ""
        blocks.append(Subgroup(f"{column.name}: {subgroup}", [rows[i] for i in inside], summaries, note))
    return blocks


def _pooled(
    spec: MetaAnalysis, data: Dataset, label: str, effect: pd.Series, rows: list[ForestRow], of: Sequence[int]
) -> Summary:
    """A pooled effect with the totals of the studies that it is of."""
    weights = [rows[i].weight for i in of]
    weight = None if None in weights else sum(weights)
    cells = _totals(spec, data.tables["studies"].iloc[list(of)])
    return Summary(label, interval_of(effect), "diamond", cells, weight)


def _totals(spec: MetaAnalysis, studies: pd.DataFrame) -> list[str]:
    """Events, people and person-time of all studies, in the columns of `arm_cells`.

    None where studies have several effects, whose people would count twice.
    """
    if spec.effect_id or spec.measure not in MEASURES:
        return []
    names = MEASURES[spec.measure]
    sums = pd.DataFrame({name: [studies[name].sum()] for name in names})
    if any(name.startswith("mean") for name in names):
        return [f"{sums[name].iloc[0]:,}" for name in names if name.startswith("n")]
    return [column[0] for column in arm_cells(spec, sums)[1]]
