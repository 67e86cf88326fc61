"""Items 13 to 15 and 19 to 22 of PRISMA 2020, filled in for one run.

Source: Page et al. 2021, BMJ 372:n71; the items' wording is shortened.
"""

from __future__ import annotations

from poolmap.families.meta.describe import BY_CHOICE, precision, studies_and_effects
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    count,
    effect_name,
    has,
    interval_of,
    level,
    listed,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.run_facts import NOT_DONE, TO_ADD, Item, RunFacts, models_named, places, sentence
from poolmap.families.meta.usable import COLUMN

CERTAINTY = f"{NOT_DONE}state {{}} of the evidence for each outcome (such as by GRADE)."


def prisma_items(run: RunFacts) -> list[Item]:
    """The items, in the order of the checklist."""
    return [
        Item("13a", "Which studies entered each synthesis", *_eligible(run)),
        Item("13b", "How data were prepared: missing statistics, conversions", *_prepared(run)),
        Item("13c", "How results are tabulated and shown", *_displayed(run)),
        Item("13d", "How results were synthesised, heterogeneity, software", *_synthesis(run)),
        Item("13e", "How causes of heterogeneity were explored", *_explored(run)),
        Item("13f", "Sensitivity analyses", *_sensitivity(run)),
        Item("14", "How bias from missing results was assessed", *_missing_results(run)),
        Item(
            "15",
            "How certainty of the evidence was assessed",
            CERTAINTY.format("how you judged the certainty"),
        ),
        Item("19", "Results of each study", *_studies(run)),
        Item("20a", "Characteristics and risk of bias of the contributing studies", *_characteristics(run)),
        Item("20b", "Results of each synthesis", *_results(run)),
        Item("20c", "Results on causes of heterogeneity", *_explained(run)),
        Item("20d", "Results of sensitivity analyses", *_sensitivity_results(run)),
        Item("21", "Bias from missing results, for each synthesis", *_missing_results_found(run)),
        Item("22", "Certainty of the evidence, for each outcome", CERTAINTY.format("the certainty")),
    ]


def _eligible(run: RunFacts) -> tuple[str, str]:
    facts, reasons = run.data.facts, run.data.exclusions["reason"].astype(str)
    chosen = int(reasons.str.contains(BY_CHOICE, regex=False).sum())
    studies = run.data.tables["studies"]
    partly = int((studies[COLUMN] != "").sum()) if COLUMN in studies else 0
    other = len(reasons) - chosen - partly
    entered, rows = studies_and_effects(run.spec, run.data), count(facts["n_rows"], "row")
    text = f"{entered} entered, from {rows} in the file."
    if chosen:
        text += f" {count(chosen, 'row')} left out by choice."
    if other:
        text += f" {count(other, 'row')} left out because of missing data or no information."
    if partly:
        text += f" {count(partly, 'study')} entered some of the models only, as told under Data."
    text += f" {TO_ADD}how you decided which studies were eligible for this synthesis."
    return text, "Data: text, table Rows left out" if len(reasons) else "Data"


def _prepared(run: RunFacts) -> tuple[str, str]:
    spec, facts, scale = run.spec, run.data.facts, scale_of(run.spec)
    if spec.measure == "GEN":
        text = [f"Each estimate came with {precision(spec)}."]
    else:
        text = [f"The {scale.words} and its variance were computed from the raw data of each study."]
    text.append("Nothing was imputed: rows without the data needed were left out and are listed.")
    if facts["corrected"]:
        text.append(f"{facts['correction']:g} was added where there were zero cells, as told under Data.")
    exact = [model for model, chosen in spec.models.items() if chosen.likelihood != "normal"]
    if exact:
        text.append(f"{sentence(models_named(exact))[:-1]} used the counts as they are.")
    if scale.back:
        text.append(f"Results were carried back to the {scale.back_words}.")
    return " ".join(text), "Data"


def _displayed(run: RunFacts) -> tuple[str, str]:
    names = ("forest", "funnel", "baujat", "galbraith", "labbe", "leave_one_out", "cumulative", "bubble",
             "pooling", "shrinkage", "influence", "models")  # fmt: skip
    return "Tables of the studies and of pooled results; the figures listed.", places(
        "Data and Results: tables", run.shown(*names)
    )


def _synthesis(run: RunFacts) -> tuple[str, str]:
    text = f"Bayesian models fitted in Stan. {run.models_in_words()}."
    measures = []
    tables = [result.estimates.get("pooled") for result in run.results.values()]
    own = [result.estimates.get("subgroups") for result in run.results.values()]
    if any(has(table, "tau") for table in tables):
        measures.append("tau")
    if any(has(table, "tau") for table in own):
        measures.append("tau of each subgroup")
    if any(has(table, "i2") for table in tables):
        measures.append("I-squared")
    new = f"{scale_of(run.spec).report}_new"
    if any(has(table, new) for table in tables):
        measures.append("prediction intervals")
    if any(has(table, "icc") for table in tables):
        measures.append("an intraclass correlation")
    if measures:
        text += f" Heterogeneity: {listed(measures)}."
    if run.companion("classical") or run.companion("classical_multilevel"):
        text += " Classical estimators stand beside."
    return f"{text} {TO_ADD}why you chose them.", "Methods; software under Reproducibility"


def _explored(run: RunFacts) -> tuple[str, str]:
    found = []
    for model in run.results:
        chosen = run.spec.models[model]
        if chosen.formula:
            found.append(f"meta-regression on {chosen.formula} (model {model})")
        if chosen.subgroups:
            found.append(f"subgroups by {chosen.subgroups} (model {model})")
    if not found:
        return "None was explored in this run: no model has subgroups or a formula.", ""
    return f"{sentence(listed(found))} {TO_ADD}whether they were planned.", "Methods"


def _sensitivity(run: RunFacts) -> tuple[str, str]:
    found = []
    if len(run.results) > 1:
        found.append(f"{count(len(run.results) - 1, 'further model')} beside the primary one")
    if run.companion("leave_one_out"):
        found.append("leave-one-out, with the exact posterior")
    if run.companion("leave_one_out_reml"):
        found.append("leave-one-out by REML")
    if run.companion("influence"):
        found.append("case-deletion statistics")
    if not found:
        return "None in this run: one model was fitted, and no study was left out in turn.", ""
    return sentence(listed(found)), places("Methods" * (len(run.results) > 1), _refits(run))


def _refits(run: RunFacts) -> str:
    """Where the refits without each study stand."""
    where = []
    if run.companion("leave_one_out") or run.companion("leave_one_out_reml"):
        where.append(run.shown("leave_one_out") or "table leave_one_out_reml in the results folder")
    if run.companion("influence"):
        where.append(run.shown("influence") or "table influence in the results folder")
    return places(*where)


def _missing_results(run: RunFacts) -> tuple[str, str]:
    found = ["a funnel plot"] if run.drawn("funnel") else []
    if run.companion("small_study_tests"):
        names = {"egger": "Egger's test", "peters": "Peters' test"}
        table = run.primary.companions["small_study_tests"]
        found += [names.get(test, str(test)) for test in table["test"]]
    rest = f"{NOT_DONE}state how you judged the risk of bias from missing results (such as ROB-ME)."
    if not found:
        return f"Neither funnel plot nor test in this run. {rest}", ""
    return f"Small-study effects: {listed(found)}. {rest}", "Results"


def _studies(run: RunFacts) -> tuple[str, str]:
    raw = " with its raw data" if run.spec.measure != "GEN" else ""
    text = (
        f"Each study{raw}, its own estimate and {level(run.spec.interval)} interval, and its estimate given "
    )
    return f"{text}all studies.", places("Data and Results: tables", run.shown("forest"))


def _characteristics(run: RunFacts) -> tuple[str, str]:
    text = "The studies with all columns of the file."
    if "risk_of_bias" in run.data.tables:
        domains = listed([str(name) for name in run.data.tables["risk_of_bias"]])
        text += f" Risk of bias as judged by you: {domains}."
    else:
        text += f" {NOT_DONE}state the risk of bias of the studies (no judgements are in the config)."
    return text, places("Data: text, table The studies as reported", run.shown("forest"))


def _results(run: RunFacts) -> tuple[str, str]:
    scale, pooled = scale_of(run.spec), run.primary.estimates["pooled"]
    effect = pooled_row(pooled, scale.report)
    write = writer(scale, [effect["sd"]])
    interval = f"{level(run.spec.interval)} interval"
    text = f"Pooled {effect_name(run.spec)} {with_interval(interval_of(effect), write, interval)}"
    if has(pooled, f"{scale.report}_new"):
        new = pooled_row(pooled, f"{scale.report}_new")
        text += f"; prediction interval {write(new['lower'])} to {write(new['upper'])}"
    if has(pooled, "i2"):
        share = with_interval(interval_of(pooled_row(pooled, "i2")), lambda x: f"{x:.0f}%")
        text += f"; I-squared {share}"
    text += f". Model {run.primary.name}."
    if run.spec.favours:
        left, right = run.spec.favours
        text += f" Below {scale.null:g}: {left}; above: {right}."
    if not run.primary.passed:
        text = f"DO NOT USE: the fit failed its checks. {text}"
    return text, places("Results: text, table Pooled results", run.shown("forest"))


def _explained(run: RunFacts) -> tuple[str, str]:
    found = []
    if models := run.has_table("coefficients"):
        found.append(f"coefficients ({models_named(models)})")
    if models := run.has_table("subgroups"):
        found.append(
            "pooled effects of subgroups and their differences, with posterior probabilities "
            f"({models_named(models)})"
        )
    if not found:
        return "None was explored in this run.", ""
    return sentence(listed(found)), places("Results: tables", run.shown("bubble"))


def _sensitivity_results(run: RunFacts) -> tuple[str, str]:
    where, text = [], []
    if len(run.results) > 1:
        text.append("The pooled effect by each model.")
        where += ["Results: table Pooled results", run.shown("models", "pooling") or run.comparison]
    if run.companion("leave_one_out") or run.companion("leave_one_out_reml"):
        text.append("The pooled effect without each study in turn.")
    if run.companion("influence"):
        text.append("Case-deletion statistics of each study.")
    if not text:
        return "None in this run.", ""
    return " ".join(text), places(*where, _refits(run))


def _missing_results_found(run: RunFacts) -> tuple[str, str]:
    rest = f"{NOT_DONE}state your judgement of bias from missing results."
    shown = run.shown("funnel")
    tests = run.companion("small_study_tests")
    if not shown and not tests:
        return f"Neither funnel plot nor test in this run. {rest}", ""
    found = listed(["the funnel plot"] * bool(shown) + ["the tests of its asymmetry"] * tests)
    text = f"{found[:1].upper()}{found[1:]} (small-study effects have more causes than missing results)."
    return f"{text} {rest}", places(shown, "Results: text on small studies" * tests)
