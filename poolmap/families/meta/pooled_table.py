"""The table of pooled results: all models that pool side by side, told apart by what they are."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, ModelResult, ReportTable
from poolmap.families.meta.effects import Scale, scale_of
from poolmap.families.meta.model_kinds import kinds, sd_factor, t_df
from poolmap.families.meta.numbers import (
    NOTHING,
    Interval,
    capital,
    decimals,
    df_words,
    effect_name,
    has,
    interval_of,
    level,
    models_named,
    number,
    on_scale,
    pooled_row,
    short_name,
    two_sides,
    whole_percent,
    with_interval,
    writer,
)

MOST_BESIDE = 3  # models in columns
SHARES = ("i2", "i2_within", "r2")
SPREADS = ("tau", "tau_within")
SD_BETWEEN = "SD between studies"


def pooled_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    """Pooled effect and heterogeneity of all models that pool, side by side, and what each of them is."""
    tables = {m: r.estimates["pooled"] for m, r in results.items() if "pooled" in r.estimates}
    lines = _lines(spec, tables)
    told = kinds(spec)
    if len(tables) > MOST_BESIDE:  # a row a model, or the table is wider than the page
        frame = pd.DataFrame({"Model": list(tables), "What it is": [told[model] for model in tables]} | lines)
        numeric = list(frame.columns[2:])
    else:
        if len(tables) > 1:
            lines = {"What it is": [told[model] for model in tables]} | lines
        frame = pd.DataFrame(list(lines.values()), columns=list(tables))
        frame.insert(0, "Quantity", list(lines))
        numeric = list(frame.columns[1:])
    model = next(iter(tables)) if len(tables) == 1 else EVERY_MODEL
    return ReportTable(frame, _caption(spec, results, tables, lines), numeric=numeric, model=model)


def _lines(spec: MetaAnalysis, tables: Mapping[str, pd.DataFrame]) -> dict[str, list[str]]:
    """The quantities that any model has, by their names, each as text by model."""
    scale, name = scale_of(spec), effect_name(spec)
    several = any(has(table, "tau_within") for table in tables.values())
    student = any(spec.models[model].effects == "student_t" for model in tables)
    wide = len(tables) > MOST_BESIDE
    wanted = {f"Pooled {name}": scale.report}
    if scale.back and not wide:
        wanted[f"Pooled {on_scale(spec)}"] = scale.name
    wanted |= {
        "In a new study (prediction)" if wide else f"{capital(name)} in a new study (prediction)": (
            f"{scale.report}_new"
        ),
        SD_BETWEEN if student else "tau": "tau",
        "tau_within": "tau_within",
        "I-squared between studies" if several else "I-squared": "i2",
        "I-squared within studies": "i2_within",
        "R-squared": "r2",
        "Intraclass correlation": "icc",
    }
    lines = {
        words: _written(spec, scale, tables, quantity)
        for words, quantity in wanted.items()
        if any(has(table, quantity) for table in tables.values())
    }
    if scale.contrast:
        rows = [pooled_row(table, scale.report) for table in tables.values()]
        sides = [two_sides(row["p_lt_null"], row["p_gt_null"]) for row in rows]
        for sign, column in zip("<>", zip(*sides, strict=True), strict=True):
            lines[f"P({short_name(spec) if wide else name} {sign}\xa0{scale.null:g})"] = list(column)
    return lines


def _written(
    spec: MetaAnalysis, scale: Scale, tables: Mapping[str, pd.DataFrame], quantity: str
) -> list[str]:
    """One quantity of all models as text; all with the decimals of the most precise one."""
    found = {m: pooled_row(table, quantity) for m, table in tables.items() if has(table, quantity)}
    if quantity in SHARES:
        write = whole_percent
    elif scale.ratio and quantity.removesuffix("_new") == scale.ratio:
        write = writer(scale, [])
    else:
        together = SPREADS if quantity in SPREADS else (quantity,)
        spreads = [
            [float(pooled_row(table, q)["sd"]) for table in tables.values() if has(table, q)]
            for q in together
        ]
        places = decimals(max(min(spread) for spread in spreads if spread))
        write = lambda x: number(x, places)  # noqa: E731
    cells = []
    for model in tables:
        values = interval_of(found[model]) if model in found else (float("nan"),) * 3
        if quantity == "tau" and model in found:
            values = as_sd(spec, model, values)
        cells.append(NOTHING if pd.isna(values[0]) else with_interval(values, write))
    return cells


def as_sd(spec: MetaAnalysis, model: str, tau: Interval) -> Interval:
    """tau and its limits as standard deviations of the effects; NaN where these have none."""
    factor = sd_factor(spec, model)
    return tuple(factor * x for x in tau)


def student_note(spec: MetaAnalysis, model: str, tau: Interval, places: int) -> str:
    """What tau is of Student-t effects, and how the standard deviation follows from it."""
    factor, df = sd_factor(spec, model), df_words(t_df(spec, model))
    scale = with_interval(tau, lambda x: number(x, places))
    text = f"model {model} has Student-t effects with {df}, and its tau, {scale}, is their scale"
    if pd.isna(factor):
        return f"{text}: with so few degrees of freedom there is no standard deviation"
    return f"{text}; the standard deviation is {factor:.3g} times tau"


def _caption(
    spec: MetaAnalysis,
    results: Mapping[str, ModelResult],
    tables: Mapping[str, pd.DataFrame],
    lines: Mapping[str, list[str]],
) -> str:
    text = [
        f"Pooled results{' of all models' if len(tables) > 1 else ''}: posterior median "
        f"({level(spec.interval)} posterior interval)."
    ]
    if any(cell == NOTHING for line in lines.values() for cell in line):
        text.append(f"{NOTHING}: not part of the model.")
    notes = [
        student_note(spec, model, interval_of(row), decimals(float(row["sd"])))
        for model, table in tables.items()
        if spec.models[model].effects == "student_t" and has(table, "tau")
        for row in [pooled_row(table, "tau")]
    ]
    if notes:
        text.append(f"{SD_BETWEEN}: tau, but {'; '.join(notes)}.")
    regressions = [model for model in tables if spec.models[model].formula or spec.models[model].subgroups]
    if regressions:
        text.append(
            f"Of {models_named(regressions)} the pooled effect is that at the "
            "average of the studies; where there is a tau, it is what remains between studies that are alike "
            "in these."
        )
    alone = [model for model in results if model not in tables]
    if alone:
        text.append(f"Left out, since nothing is pooled: {', '.join(alone)}.")
    only = next(iter(tables))
    text.append(
        f"Model {only} ({only}/estimates/pooled.csv)."
        if len(tables) == 1
        else "Numbers of each model: estimates/pooled.csv in its folder."
    )
    return " ".join(text)
