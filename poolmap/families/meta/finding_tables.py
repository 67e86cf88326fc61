"""Tables of the results of a meta-analysis, from the estimates tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, ModelResult, ReportTable
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.model_kinds import sd_factor, t_df
from poolmap.families.meta.numbers import (
    capital,
    decimals,
    df_words,
    effect_heading,
    effect_name,
    interval_of,
    level,
    listed,
    number,
    number_needed_to_treat,
    on_scale,
    ratio,
    short_name,
    two_sides,
    with_interval,
    writer,
)

NO_THRESHOLDS = pd.DataFrame({"effect": []})


def of_model(result: ModelResult, *tables: str) -> str:
    """The model that a table belongs to, and the files that its numbers stand in."""
    files = listed([f"{result.name}/estimates/{table}.csv" for table in tables])
    return f"Model {result.name} ({files})."


def coefficients_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Coefficients of the regression, on the scale of analysis and as ratios."""
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["coefficients"]
    beta = table[table["quantity"] == "beta"]
    frame = pd.DataFrame({"Term": beta["term"].astype(str).to_numpy()})
    frame[f"Change of the {on_scale(spec)}"] = [
        with_interval(interval_of(row), _by_spread(row)) for _, row in beta.iterrows()
    ]
    if scale.ratio:
        rows = table[table["quantity"] == "exp_beta"]
        frame[f"Factor of the {effect_name(spec)}"] = [
            with_interval(interval_of(row), _by_spread(row, least=2)) for _, row in rows.iterrows()
        ]
    for sign, column in _sides(beta).items():
        frame[f"P(change {sign} 0)"] = column
    caption = (
        f"Meta-regression {spec.models[result.name].formula}: by one unit more of the term (of a category: "
        "against the one that has no term of its own), other terms unchanged. Posterior median "
        f"({percent} posterior interval). {of_model(result, 'coefficients')}"
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def _sides(rows: pd.DataFrame) -> dict[str, list[str]]:
    """The probabilities of the two sides of no effect, a column each, by the sign."""
    pairs = [two_sides(row["p_lt_null"], row["p_gt_null"]) for _, row in rows.iterrows()]
    return {sign: [pair[i] for pair in pairs] for i, sign in enumerate("<>")}


def subgroup_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Pooled effect of each subgroup, of a new study of it, and its tau where it has one of its own."""
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["subgroups"]
    rows = {q: table[table["quantity"] == q] for q in (scale.report, f"{scale.report}_new", "tau")}
    effect = rows[scale.report]
    write = writer(scale, effect["sd"])
    frame = pd.DataFrame(
        {
            "Subgroup": effect["subgroup"].astype(str).to_numpy(),
            **_counted(spec, effect),
            f"Pooled {short_name(spec)}": _intervals(effect, write),
        }
    )
    new = rows[f"{scale.report}_new"]
    if len(new):
        frame["In a new study (prediction)"] = _intervals(new, write)
    if len(rows["tau"]):
        frame["tau"] = [with_interval(interval_of(row), _by_spread(row)) for _, row in rows["tau"].iterrows()]
    if scale.contrast:
        for sign, column in _sides(effect).items():
            frame[f"P({short_name(spec)} {sign} {scale.null:g})"] = column
    caption = (
        f"Pooled {effect_name(spec)} by {spec.models[result.name].subgroups}: posterior median ({percent} "
        f"posterior interval). {_scale_note(spec, result.name) if len(rows['tau']) else ''}"
        f"{of_model(result, 'subgroups')}"
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def _counted(spec: MetaAnalysis, rows: pd.DataFrame) -> dict[str, list[str]]:
    """Studies, and effects where studies have several, a column each."""
    columns = {"Studies": "n_studies"} | ({"Effects": "n_effects"} if spec.effect_id is not None else {})
    return {heading: [f"{n:.0f}" for n in rows[column]] for heading, column in columns.items()}


def _scale_note(spec: MetaAnalysis, model: str) -> str:
    """That tau of Student-t effects is a scale, and how the standard deviation follows; else ""."""
    if spec.models[model].effects != "student_t":
        return ""
    factor = sd_factor(spec, model)
    rest = "there is no standard deviation"
    if pd.notna(factor):
        rest = f"the standard deviation is {factor:.3g} times tau"
    return f"tau is the scale of a Student-t distribution with {df_words(t_df(spec, model))}; {rest}. "


def difference_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Differences between subgroups, with the probability of either sign."""
    scale = scale_of(spec)
    table = result.estimates["subgroup_differences"]
    rows = table[table["quantity"] == ("ratio" if scale.ratio else "difference")]
    if scale.ratio:
        plural = f"{effect_name(spec)}s" if spec.measure == "GEN" else f"{scale.short}s"
        heading, write = f"Ratio of the {plural}", ratio
    else:
        places = decimals(float(rows["sd"].min()))
        heading = f"Difference of the {on_scale(spec)}"
        write = lambda x: number(x, places)  # noqa: E731
    sides = _sides(rows)
    frame = pd.DataFrame(
        {
            "Subgroup": rows["subgroup"].astype(str).to_numpy(),
            "Against": rows["reference"].astype(str).to_numpy(),
            heading: _intervals(rows, write),
            "P(lower)": sides["<"],
            "P(higher)": sides[">"],
        }
    )
    caption = (
        f"Differences between the subgroups of {spec.models[result.name].subgroups}: posterior median "
        f"({level(spec.interval)} posterior interval), and the posterior probability that the "
        f"{effect_name(spec)} of the first is lower and higher than that of the second. "
        f"{of_model(result, 'subgroup_differences')}"
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[2:]), model=result.name)


def threshold_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> list[ReportTable]:
    """Probabilities that the pooled effect, and that of a new study, lie beyond each threshold; or none."""
    kinds = {"pooled": "pooled", "new": "in a new study"}
    rows = []
    for name, result in results.items():
        for kind, frame in result.estimates.get("thresholds", NO_THRESHOLDS).groupby("effect", sort=False):
            row = {"Model": name, "Effect": kinds[str(kind)]}
            for _, at in frame.iterrows():
                sides = two_sides(at["p_below"], at["p_above"])
                for sign, odds in zip("<>", sides, strict=True):
                    row[f"P({sign}\xa0{float(at['threshold']):g})"] = odds
            rows.append(row)
    caption = (
        f"Posterior probability that the {effect_name(spec)} lies below (<) and above (>) each threshold"
    )
    numeric = [heading for heading in rows[0] if heading.startswith("P(")] if rows else []
    return _by_model(rows, results, caption, numeric, "thresholds")


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
    numeric = [f"{second}: events", f"{first}: events", "Difference"]
    return _by_model(rows, results, caption, numeric, "absolute")


def _by_model(
    rows: list[dict[str, str]],
    results: Mapping[str, ModelResult],
    caption: str,
    numeric: list[str],
    table: str,
) -> list[ReportTable]:
    """A table of rows by model, without the column of models where there is one only."""
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    if len(results) == 1:
        (result,) = results.values()
        words = f"{caption}. {of_model(result, table)}"
        return [ReportTable(frame.drop(columns="Model"), words, numeric, result.name)]
    words = f"{caption}, by model (estimates/{table}.csv in the folder of each)."
    return [ReportTable(frame, words, numeric, EVERY_MODEL)]


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
        frame[effect_heading(spec)] = table["effect_id"].astype(str).to_numpy()
    keys = frame.shape[1]
    short = short_name(spec)
    frame[f"Own {short}"] = [with_interval(value, write) for value in raw]
    given = capital(f"{short} given all studies" if pooled else f"{short} with its prior")
    frame[given] = _intervals(table, write)
    if "weight" in table and table["weight"].notna().all():
        frame["Weight"] = [f"{x:.1f}%" for x in table["weight"]]
    unit = "effect" if "effect_id" in table else "study"
    together = "given all studies" if pooled else "with the prior of its effect, unrelated to the others"
    caption = (
        f"Each {unit} alone ({percent} confidence interval) and {together} (posterior median, "
        f"{percent} posterior interval)."
    )
    if "shrinkage" in table and table["shrinkage"].notna().all():
        frame["Shrinkage B"] = [f"{x:.2f}" for x in table["shrinkage"]]
        chosen = spec.models[result.name]
        towards = "expected" if chosen.formula or chosen.subgroups else "pooled"
        caption += f" B is the share of the {towards} effect in the study's estimate (posterior mean)."
    caption += f" {of_model(result, 'studies')}"
    return ReportTable(frame, caption, numeric=list(frame.columns[keys:]), model=result.name)


def _intervals(rows: pd.DataFrame, write: Callable[[float], str]) -> list[str]:
    return [with_interval(interval_of(row), write) for _, row in rows.iterrows()]


def _by_spread(row: pd.Series, least: int = 0):
    """Decimals by the row's own standard deviation."""
    places = max(decimals(float(row["sd"])), least)
    return lambda x: number(x, places)
