"""Tables of the results of a meta-analysis, from the estimates tables."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, ModelResult, ReportTable
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    has,
    interval_of,
    level,
    number,
    number_needed_to_treat,
    pooled_row,
    probability,
    ratio,
    with_interval,
    writer,
)

NOTHING = "–"
MOST_BESIDE = 4  # models in columns
SHARES = ("i2", "i2_within", "r2")


def pooled_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    """Pooled effect and heterogeneity of all models that pool, side by side."""
    scale, name, percent = scale_of(spec), effect_name(spec), level(spec.interval)
    tables = {m: r.estimates["pooled"] for m, r in results.items() if "pooled" in r.estimates}

    def written(quantity: str) -> list[str]:
        rows = [pooled_row(table, quantity) if has(table, quantity) else None for table in tables.values()]
        if quantity in SHARES:
            return [NOTHING if row is None else with_interval(interval_of(row), _percent) for row in rows]
        places = decimals(min(float(row["sd"]) for row in rows if row is not None))
        write = writer(scale, []) if scale.ratio and quantity.removesuffix("_new") == scale.ratio else None
        write = write or (lambda x: number(x, places))
        return [NOTHING if row is None else with_interval(interval_of(row), write) for row in rows]

    several = any(has(table, "tau_within") for table in tables.values())
    wanted = {f"Pooled {name}": scale.report}
    if scale.back:
        wanted[f"Pooled {scale.words}"] = scale.name
    wanted |= {
        f"{name[:1].upper()}{name[1:]} in a new study (prediction)": f"{scale.report}_new",
        "tau": "tau",
        "tau_within": "tau_within",
        "I-squared between studies" if several else "I-squared": "i2",
        "I-squared within studies": "i2_within",
        "R-squared": "r2",
        "Intraclass correlation": "icc",
    }
    lines = {
        words: written(quantity)
        for words, quantity in wanted.items()
        if any(has(table, quantity) for table in tables.values())
    }
    if scale.contrast:
        for sign, column in (("<", "p_lt_null"), (">", "p_gt_null")):
            lines[f"P({name} {sign} {scale.null:g})"] = [
                probability(pooled_row(table, scale.report)[column]) for table in tables.values()
            ]
    if len(tables) > MOST_BESIDE:  # a row a model, or the table is wider than the page
        if scale.back:
            lines.pop(f"Pooled {scale.words}", None)
        frame = pd.DataFrame({"Model": list(tables)} | lines)
        frame = frame.rename(
            columns=lambda x: "In a new study (prediction)" if x.endswith("(prediction)") else x
        )
    else:
        frame = pd.DataFrame(list(lines.values()), columns=list(tables))
        frame.insert(0, "Quantity", list(lines))
    caption = (
        f"Pooled results{' of all models' if len(tables) > 1 else ''}: posterior median ({percent} posterior "
        "interval)."
    )
    if any(NOTHING in line for line in lines.values()):
        caption += f" {NOTHING}: not part of the model."
    alone = [model for model in results if model not in tables]
    if alone:
        caption += f" Left out, since nothing is pooled: {', '.join(alone)}."
    return ReportTable(
        frame,
        caption,
        numeric=list(frame.columns[1:]),
        model=next(iter(tables)) if len(tables) == 1 else EVERY_MODEL,
    )


def coefficients_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Coefficients of the regression, on the scale of analysis and as ratios."""
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["coefficients"]
    beta = table[table["quantity"] == "beta"]
    frame = pd.DataFrame({"Term": beta["term"].astype(str).to_numpy()})
    frame[f"Change of the {scale.words if scale.back else effect_name(spec)}"] = [
        with_interval(interval_of(row), _by_spread(row)) for _, row in beta.iterrows()
    ]
    if scale.ratio:
        rows = table[table["quantity"] == "exp_beta"]
        frame[f"Factor of the {effect_name(spec)}"] = [
            with_interval(interval_of(row), _by_spread(row, least=2)) for _, row in rows.iterrows()
        ]
    for sign, column in (("<", "p_lt_null"), (">", "p_gt_null")):
        frame[f"P(change {sign} 0)"] = [probability(p) for p in beta[column]]
    caption = (
        f"Meta-regression {spec.models[result.name].formula}: by one unit more of the term (of a category: "
        "against the one that has no term of its own), other terms unchanged. Posterior median "
        f"({percent} posterior interval). Model {result.name}."
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def subgroup_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Pooled effect of each subgroup, of a new study of it, and its tau where it has one of its own."""
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["subgroups"]
    rows = {q: table[table["quantity"] == q] for q in (scale.report, f"{scale.report}_new", "tau")}
    effect = rows[scale.report]
    write = writer(scale, effect["sd"])
    unit, number = ("Studies", "n_studies") if spec.effect_id is None else ("Effects", "n_effects")
    frame = pd.DataFrame(
        {
            "Subgroup": effect["subgroup"].astype(str).to_numpy(),
            unit: [f"{n:.0f}" for n in effect[number]],
            f"Pooled {scale.short}": [with_interval(interval_of(row), write) for _, row in effect.iterrows()],
        }
    )
    new = rows[f"{scale.report}_new"]
    if len(new):
        frame["In a new study (prediction)"] = [
            with_interval(interval_of(row), write) for _, row in new.iterrows()
        ]
    if len(rows["tau"]):
        frame["tau"] = [with_interval(interval_of(row), _by_spread(row)) for _, row in rows["tau"].iterrows()]
    if scale.contrast:
        for sign, column in (("<", "p_lt_null"), (">", "p_gt_null")):
            frame[f"P({scale.short} {sign} {scale.null:g})"] = [probability(p) for p in effect[column]]
    caption = (
        f"Pooled {effect_name(spec)} by {spec.models[result.name].subgroups}: posterior median ({percent} "
        f"posterior interval). Model {result.name}."
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def difference_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Differences between subgroups, with the probability of either sign."""
    scale = scale_of(spec)
    table = result.estimates["subgroup_differences"]
    rows = table[table["quantity"] == ("ratio" if scale.ratio else "difference")]
    if scale.ratio:
        heading, write = f"Ratio of the {scale.short}s", ratio
    else:
        places = decimals(float(rows["sd"].min()))
        heading = f"Difference of the {scale.words if scale.back else effect_name(spec)}"
        write = lambda x: number(x, places)  # noqa: E731
    frame = pd.DataFrame(
        {
            "Subgroup": rows["subgroup"].astype(str).to_numpy(),
            "Against": rows["reference"].astype(str).to_numpy(),
            heading: [with_interval(interval_of(row), write) for _, row in rows.iterrows()],
            "P(lower)": [probability(p) for p in rows["p_lt_null"]],
            "P(higher)": [probability(p) for p in rows["p_gt_null"]],
        }
    )
    caption = (
        f"Differences between the subgroups of {spec.models[result.name].subgroups}: posterior median "
        f"({level(spec.interval)} posterior interval), and the posterior probability that the "
        f"{effect_name(spec)} of the first is lower and higher than that of the second. Model {result.name}."
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[2:]), model=result.name)


def threshold_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> list[ReportTable]:
    """Probabilities that the pooled effect, and that of a new study, lie beyond each threshold; or none."""
    kinds = {"pooled": "pooled", "new": "in a new study"}
    rows = [
        {
            "Model": name,
            "Effect": kinds[row["effect"]],
            "Threshold": f"{float(row['threshold']):g}",
            "P(below)": probability(row["p_below"]),
            "P(above)": probability(row["p_above"]),
        }
        for name, result in results.items()
        if "thresholds" in result.estimates
        for _, row in result.estimates["thresholds"].iterrows()
    ]
    caption = f"Posterior probability that the {effect_name(spec)} lies below and above each threshold"
    return _by_model(rows, results, caption, ["Threshold", "P(below)", "P(above)"])


def absolute_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> list[ReportTable]:
    """Events per 1,000 people at each baseline risk, and the number needed to treat; or none."""
    first, second = spec.arms
    rows = []
    for name, result in results.items():
        table = result.estimates.get("absolute")
        if table is None:
            continue
        risks, rd = (table[table["quantity"] == q].set_index("baseline_risk") for q in ("risk", "rd"))
        for baseline, row in rd.iterrows():
            places = min(decimals(1000 * float(row["sd"])), 2)
            write = lambda x, places=places: number(1000 * x, places)  # noqa: E731
            rows.append(
                {
                    "Model": name,
                    f"{second}: events": f"{1000 * float(baseline):g}",
                    f"{first}: events": with_interval(interval_of(risks.loc[baseline]), write),
                    "Difference": with_interval(interval_of(row), write),
                    "Number needed to treat": number_needed_to_treat(row),
                }
            )
    caption = (
        f"Events per 1,000 people by the pooled {effect_name(spec)}, where those in the arm {second} are as "
        f"stated, and how many people must have {first} in place of {second} for one event fewer or more "
        "(rounded up; where the interval of the difference holds 0, from one event fewer or more through "
        "infinity to the other): posterior median "
        f"({level(spec.interval)} posterior interval)"
    )
    return _by_model(rows, results, caption, [f"{second}: events", f"{first}: events", "Difference"])


def _by_model(
    rows: list[dict[str, str]], results: Mapping[str, ModelResult], caption: str, numeric: list[str]
) -> list[ReportTable]:
    """A table of rows by model, without the column of models where there is one only."""
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    if len(results) == 1:
        return [ReportTable(frame.drop(columns="Model"), f"{caption}.", numeric, next(iter(results)))]
    return [ReportTable(frame, f"{caption}, by model.", numeric, EVERY_MODEL)]


def study_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Each study alone and given all studies."""
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["studies"]
    table = table[table["quantity"] == scale.report]
    write = writer(scale, table["sd"])
    pooled = "pooled" in result.estimates
    raw = zip(table["raw"], table["raw_lower"], table["raw_upper"], strict=True)
    frame = pd.DataFrame({"Study": table["study"].astype(str).to_numpy()})
    if "effect_id" in table:
        frame["Effect"] = table["effect_id"].astype(str).to_numpy()
    keys = frame.shape[1]
    frame[f"Own {scale.short}"] = [with_interval(value, write) for value in raw]
    given = f"{scale.short} given all studies" if pooled else f"{scale.short} with its prior"
    frame[given] = [with_interval(interval_of(row), write) for _, row in table.iterrows()]
    if "weight" in table and table["weight"].notna().all():
        frame["Weight"] = [f"{x:.1f}%" for x in table["weight"]]
    unit = "effect" if "effect_id" in table else "study"
    together = "given all studies" if pooled else "with the prior of its effect, unrelated to the others"
    caption = (
        f"Each {unit} alone ({percent} confidence interval) and {together} (posterior median, "
        f"{percent} posterior interval). Model {result.name}."
    )
    if "shrinkage" in table and table["shrinkage"].notna().all():
        frame["Shrinkage B"] = [f"{x:.2f}" for x in table["shrinkage"]]
        chosen = spec.models[result.name]
        towards = "expected" if chosen.formula or chosen.subgroups else "pooled"
        caption += f" B is the share of the {towards} effect in the study's estimate (posterior mean)."
    return ReportTable(frame, caption, numeric=list(frame.columns[keys:]), model=result.name)


def _percent(value: float) -> str:
    return f"{value:.0f}%"


def _by_spread(row: pd.Series, least: int = 0):
    """Decimals by the row's own standard deviation."""
    places = max(decimals(float(row["sd"])), least)
    return lambda x: number(x, places)
