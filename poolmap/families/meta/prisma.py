"""Items 13 to 15 and 19 to 22 of PRISMA 2020, filled in for one run.

Source: Page et al. 2021, BMJ 372:n71; the items' wording is shortened. Here the items on methods; those on
results are in `prisma_results.py`.
"""

from __future__ import annotations

import poolmap
from poolmap.checklist import NOT_DONE, TO_ADD, Item
from poolmap.families.meta.describe import BY_CHOICE, precision, studies_and_effects
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.model_kinds import kinds
from poolmap.families.meta.numbers import count, has, listed, models_named, on_scale
from poolmap.families.meta.prisma_results import result_items
from poolmap.families.meta.run_facts import RunFacts, places, sentence
from poolmap.families.meta.small_study import ENOUGH_STUDIES
from poolmap.families.meta.usable import COLUMN

CERTAINTY = f"{NOT_DONE}state {{}} of the evidence for each outcome (such as by GRADE)."
ALL_FIGURES = (
    "forest", "funnel", "baujat", "galbraith", "labbe", "leave_one_out", "cumulative", "bubble", "pooling",
    "shrinkage", "influence", "models",
)  # fmt: skip


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
        *result_items(run),
        Item("22", "Certainty of the evidence, for each outcome", CERTAINTY.format("the certainty")),
    ]


def _eligible(run: RunFacts) -> tuple[str, str]:
    facts, reasons = run.data.facts, run.data.exclusions["reason"].astype(str)
    chosen = int(reasons.str.contains(BY_CHOICE, regex=False).sum())
    studies = run.data.tables["studies"]
    partly = int((studies[COLUMN] != "").sum()) if COLUMN in studies else 0
    other = len(reasons) - chosen - partly
    entered, rows = studies_and_effects(run.spec, run.data), count(facts["n_rows"], "row")
    text = f"{entered} entered, from {rows} of {run.spec.data}"
    text += ", the same in all models." if len(run.results) > 1 else "."
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
    text.append(
        "Nothing was imputed: rows without the data needed were left out and are listed."
        if len(run.data.exclusions)
        else "No row lacked data that were needed, and nothing was imputed."
    )
    if facts["corrected"]:
        text.append(
            f"{facts['correction']:g} was added where there were zero cells, in "
            f"{count(len(facts['corrected']), 'study')}, as told under Data."
        )
    exact = [model for model, chosen in spec.models.items() if chosen.likelihood != "normal"]
    if exact:
        text.append(f"{sentence(models_named(exact))[:-1]} used the counts as they are.")
    if scale.back:
        text.append(f"The analysis is on the {on_scale(spec)}; results were carried back.")
    return " ".join(text), "Data"


def _displayed(run: RunFacts) -> tuple[str, str]:
    shown = run.shown(*ALL_FIGURES)
    text = (
        "Tables: the studies with their own estimates; pooled results of each model; each study given all "
        "studies."
    )
    return text + (" Figures: as listed." if shown else ""), places("Data and Results: tables", shown)


def _synthesis(run: RunFacts) -> tuple[str, str]:
    version = poolmap.__version__
    text = f"Bayesian, by {run.spec.fitted_by} through poolmap {version}. {run.models_in_words()}."
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
        text += " Classical estimators stand beside, with Cochran's Q."
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
    found, words, others = [], kinds(run.spec), run.other_models()
    if others:
        told = "; ".join(f"{name}: {words[name]}" for name in others)
        found.append(f"The primary model against {told}.")
    if run.companion("leave_one_out"):
        found.append("The primary model without each study in turn, by quadrature of its exact posterior.")
    if run.companion("leave_one_out_reml"):
        found.append("The classical random-effects model (REML) without each study in turn.")
    if run.companion("influence"):
        found.append("Case-deletion statistics of each study (REML).")
    if not found:
        alone = (
            "one model was fitted" if len(run.results) == 1 else "no further model has the same moderators"
        )
        return f"None in this run: {alone}, and no study was left out in turn.", ""
    return " ".join(found), places("Methods" * bool(others), run.refits())


def _missing_results(run: RunFacts) -> tuple[str, str]:
    found = [f"a {figure.title[:1].lower()}{figure.title[1:]}" for figure in run.drawn("funnel")[:1]]
    if run.companion("small_study_tests"):
        names = {"egger": "Egger's test", "peters": "Peters' test"}
        table = run.primary.companions["small_study_tests"]
        found += [names.get(test, str(test)) for test in table["test"]]
    rest = f"{NOT_DONE}state how you judged the risk of bias from missing results (such as ROB-ME)."
    if not found:
        return f"Neither funnel plot nor test in this run. {rest}", ""
    few = ""
    if run.companion("small_study_tests") and run.data.facts["n_studies"] < ENOUGH_STUDIES:
        few = f" With fewer than {ENOUGH_STUDIES} studies the tests have little power."
    return f"Small-study effects: {listed(found)}.{few} {rest}", places(
        run.shown("funnel"), "Results: text on small studies" * run.companion("small_study_tests")
    )
