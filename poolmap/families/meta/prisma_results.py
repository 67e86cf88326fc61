"""Items 19 to 21 of PRISMA 2020, filled in for one run: the results, with their numbers."""

from __future__ import annotations

import pandas as pd

from poolmap.checklist import NOT_DONE, TO_ADD, Item
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    has,
    interval_of,
    level,
    listed,
    number,
    pooled_row,
    whole_percent,
    with_interval,
    writer,
)
from poolmap.families.meta.pooled_table import as_sd
from poolmap.families.meta.run_facts import RunFacts, places

MOST_TOLD = 6  # coefficients or subgroups of a model whose numbers are given
TESTS = {"egger": "Egger's test", "peters": "Peters' test"}


def result_items(run: RunFacts) -> list[Item]:
    """Items 19 to 21, in the order of the checklist."""
    return [
        Item("19", "Results of each study", *_studies(run)),
        Item("20a", "Characteristics and risk of bias of the contributing studies", *_characteristics(run)),
        Item("20b", "Results of each synthesis", *_results(run)),
        Item("20c", "Results on causes of heterogeneity", *_explained(run)),
        Item("20d", "Results of sensitivity analyses", *_sensitivity(run)),
        Item("21", "Bias from missing results, for each synthesis", *_missing_results(run)),
    ]


def _studies(run: RunFacts) -> tuple[str, str]:
    unit = "study" if run.spec.effect_id is None else "effect of each study"
    raw = " with its raw data" if run.spec.measure != "GEN" else ""
    percent = level(run.spec.interval)
    return (
        f"Each {unit}{raw}, its own estimate with {percent} confidence interval, and its estimate given all "
        f"studies with {percent} posterior interval.",
        places(
            "Data: table The studies as reported",
            "Results: table Each study alone" if run.spec.effect_id is None else "Results: tables",
            _forest(run),
        ),
    )


def _forest(run: RunFacts) -> str:
    """Where the forest plot of the primary model stands."""
    return run.shown("forest", exactly=True)


def _characteristics(run: RunFacts) -> tuple[str, str]:
    text = f"The studies with all columns of the file. {TO_ADD}how they are alike and how they differ."
    if "risk_of_bias" in run.data.tables:
        domains = listed([str(name) for name in run.data.tables["risk_of_bias"]])
        text += f" Risk of bias as judged by you: {domains}."
        return text, places("Data: text, table The studies as reported", _forest(run))
    text += f" {NOT_DONE}state the risk of bias of the studies (no judgements are in the config)."
    return text, "Data: text, table The studies as reported"


def _pooled(run: RunFacts, model: str, words: str = "") -> str:
    """The pooled effect of a model: `0.50 (0.34 to 0.73)`."""
    effect = pooled_row(run.results[model].estimates["pooled"], scale_of(run.spec).report)
    text = with_interval(interval_of(effect), writer(scale_of(run.spec), [effect["sd"]]), words)
    return text + run.stamp(model)


def _results(run: RunFacts) -> tuple[str, str]:
    scale, pooled, name = scale_of(run.spec), run.primary.estimates["pooled"], run.primary.name
    text = f"Pooled {effect_name(run.spec)} {_pooled(run, name, f'{level(run.spec.interval)} interval')}"
    if has(pooled, f"{scale.report}_new"):
        new = pooled_row(pooled, f"{scale.report}_new")
        write = writer(scale, [pooled_row(pooled, scale.report)["sd"]])
        text += f"; prediction interval {write(new['lower'])} to {write(new['upper'])}"
    if has(pooled, "tau"):
        row = pooled_row(pooled, "tau")
        sd, places_ = as_sd(run.spec, name, interval_of(row)), decimals(float(row["sd"]))
        if pd.notna(sd[0]):
            told = with_interval(sd, lambda x: number(x, places_))
            text += f"; standard deviation between studies {told}"
    if has(pooled, "i2"):
        share = with_interval(interval_of(pooled_row(pooled, "i2")), whole_percent)
        text += f"; I-squared {share}"
    text += f". Model {name}."
    if run.spec.models[name].subgroups:
        text += " This is the average over the subgroups; each has its own effect: see 20c."
    if run.spec.favours:
        left, right = run.spec.favours
        text += f" Below {scale.null:g}: {left}; above: {right}."
    if not run.primary.passed:
        text = f"DO NOT USE: the fit failed its checks. {text.replace(run.stamp(name), '')}"
    return text, places("Results: text, table Pooled results", _forest(run))


def _explained(run: RunFacts) -> tuple[str, str]:
    models = list(dict.fromkeys([*run.has_table("coefficients"), *run.has_table("subgroups")]))
    if not models:
        return "None was explored in this run.", ""
    text = [_of_regression(run, model) for model in run.has_table("coefficients")]
    text += [_of_subgroups(run, model) for model in run.has_table("subgroups")]
    return " ".join(text), places(run.tables_of(models), run.shown("bubble"))


def _of_regression(run: RunFacts, model: str) -> str:
    table = run.results[model].estimates["coefficients"]
    rows = table[table["quantity"] == "beta"]
    if len(rows) > MOST_TOLD:
        return f"Model {model}: {len(rows)} coefficients in its table."
    told = []
    for _, row in rows.iterrows():
        places_ = decimals(float(row["sd"]))
        told.append(f"{row['term']} {with_interval(interval_of(row), lambda x, p=places_: number(x, p))}")
    text = f"Model {model}{run.stamp(model)}, change per unit: {'; '.join(told)}"
    pooled = run.results[model].estimates["pooled"]
    if has(pooled, "r2"):
        share = with_interval(interval_of(pooled_row(pooled, "r2")), whole_percent)
        text += f"; R-squared {share}"
    return f"{text}."


def _of_subgroups(run: RunFacts, model: str) -> str:
    scale, table = scale_of(run.spec), run.results[model].estimates["subgroups"]
    rows = table[table["quantity"] == scale.report]
    if len(rows) > MOST_TOLD:
        return f"Model {model}: {len(rows)} subgroups in its table, with their differences."
    write = writer(scale, rows["sd"])
    told = [f"{row['subgroup']} {with_interval(interval_of(row), write)}" for _, row in rows.iterrows()]
    return (
        f"Model {model}{run.stamp(model)}, pooled {effect_name(run.spec)}: {'; '.join(told)}; differences "
        "with posterior probabilities in its tables."
    )


def _sensitivity(run: RunFacts) -> tuple[str, str]:
    where, text, others = [], [], run.other_models()
    if others:
        told = "; ".join(f"{name} {_pooled(run, name)}" for name in [run.primary.name, *others])
        text.append(f"Pooled {effect_name(run.spec)} by model: {told}.")
        where += ["Results: table Pooled results", run.shown("models", "pooling")]
    for table, how, column in (
        ("leave_one_out", "exact posterior", "mu_median"),
        ("leave_one_out_reml", "REML", "mu"),
    ):
        if run.companion(table):
            text.append(_left_out(run, table, how, column))
    if run.companion("influence"):
        marked = run.primary.companions["influence"]
        names = marked.loc[marked["influential"].astype(bool), "study"].astype(str).tolist()
        text.append(f"Influential by case deletion: {listed(names) if names else 'no study'}.")
    if not text:
        return "None in this run.", ""
    return " ".join(text), places(*where, run.refits())


def _left_out(run: RunFacts, table: str, how: str, column: str) -> str:
    """From which to which value the pooled effect goes when each study is left out in turn."""
    frame, scale = run.primary.companions[table], scale_of(run.spec)
    sd = pooled_row(run.primary.estimates["pooled"], scale.report)["sd"]
    write, ordered = writer(scale, [sd]), frame.sort_values(column)
    ends = [
        f"{write(float(scale.natural(row[column])))} (without {row['study']})"
        for _, row in ordered.iloc[[0, -1]].iterrows()
    ]
    return f"Without each study in turn ({how}): from {ends[0]} to {ends[1]}."


def _missing_results(run: RunFacts) -> tuple[str, str]:
    rest = f"{NOT_DONE}state your judgement of bias from missing results."
    shown, tests = run.shown("funnel"), run.companion("small_study_tests")
    if not shown and not tests:
        return f"Neither funnel plot nor test in this run. {rest}", ""
    found = [f"the {figure.title[:1].lower()}{figure.title[1:]}" for figure in run.drawn("funnel")[:1]]
    if tests:
        found += [
            f"{TESTS.get(row['test'], row['test'])} (p = {row['p']:.2f})"
            for _, row in run.primary.companions["small_study_tests"].iterrows()
        ]
    words = listed(found)
    text = f"{words[:1].upper()}{words[1:]}. Small-study effects have more causes than missing results."
    return f"{text} {rest}", places(shown, "Results: text on small studies" * tests)
