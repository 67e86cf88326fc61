"""The Bayesian analysis reporting guidelines, filled in for one run.

Source: Kruschke 2021, Nature Human Behaviour 5:1282-1291, table 1; the items' wording is our own.
"""

from __future__ import annotations

from collections.abc import Callable

from poolmap.checklist import NOT_DONE, TO_ADD, Item
from poolmap.families.meta.describe import studies_and_effects
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.model_kinds import SYMBOLS, differing_priors, prior_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    has,
    interval_of,
    level,
    listed,
    models_named,
    number,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.run_facts import RunFacts, places, sentence


def barg_items(run: RunFacts) -> list[Item]:
    """The items, step by step."""
    return [*_preamble(run), *_model(run), *_computation(run), *_posterior(run), *_further(run)]


def _preamble(run: RunFacts) -> list[Item]:
    goal = "Estimation of the pooled effect"
    if any(f"{scale_of(run.spec).report}_new" in set(r.estimates.get("pooled", {}).get("quantity", ()))
           for r in run.results.values()):  # fmt: skip
        goal += ", of heterogeneity, and of the effect in a new study"
    return [
        Item("Preamble", "Why Bayesian", f"{TO_ADD}what the Bayesian analysis gives your readers."),
        Item(
            "Preamble",
            "Goals of the analysis",
            f"{run.spec.question} {goal}.".strip(),
            "top of the page; Results" if run.spec.question else "Results",
        ),
    ]


def _model(run: RunFacts) -> list[Item]:
    spec = run.spec
    moderators = (
        f"; moderators read: {listed(list(dict.fromkeys(spec.moderators)))}" if spec.moderators else ""
    )
    stated: dict[tuple[str, ...], list[str]] = {}
    for name, chosen in spec.models.items():
        if keys := tuple(key for key, value in chosen if key.endswith("_prior") and value is not None):
            stated.setdefault(keys, []).append(name)
    given = sum(len(spec.priors(name)) for name in spec.models)
    if not stated:
        priors = "All priors are the defaults of poolmap"
    else:
        told = [f"{listed(keys)} of {models_named(names)}" for keys, names in stated.items()]
        some = sum(len(keys) * len(names) for keys, names in stated.items()) < given
        rest = "; all others are the defaults of poolmap" if some else ""
        priors = f"Stated in the config: {'; '.join(told)}{rest}"
    return [
        Item(
            "Step 1",
            "The data: what is explained, and by what",
            f"{effect_name(spec)[:1].upper()}{effect_name(spec)[1:]} of "
            f"{studies_and_effects(spec, run.data)}{moderators}.",
            "Data",
        ),
        Item("Step 1", "Likelihood and parameters", f"{run.models_in_words()}.", "Methods"),
        Item(
            "Step 1",
            "Priors, with reasons",
            f"{priors}. Each is shown with what it implies. {TO_ADD}why they suit your subject.",
            "Methods",
        ),
        Item(
            "Step 1",
            "Formal specification",
            "Equations of each model; the Stan programs come with poolmap.",
            "Methods",
        ),
        Item(
            "Step 1",
            "Prior predictive check",
            f"{NOT_DONE}no data were simulated from the priors alone; what they imply for the effect is told "
            "in numbers with them.",
            "Methods",
        ),
    ]


def _computation(run: RunFacts) -> list[Item]:
    other = []
    if run.companion("crosscheck"):
        other.append("a deterministic quadrature of the primary model's posterior, compared with the draws")
    if run.companion("leave_one_out"):
        other.append("leave-one-out by quadrature")
    if run.companion("empirical_bayes"):
        other.append("empirical Bayes beside full Bayes")
    if run.companion("classical") or run.companion("classical_multilevel"):
        other.append("classical estimates, which do not rest on the draws")
    nutpie = run.spec.sampling and run.spec.sampling.sampler == "nutpie"
    software = f"{'Stan, nutpie' if nutpie else 'Stan'} and poolmap, with the versions of all packages."
    return [
        Item("Step 2", "Software", software, "Reproducibility"),
        Item(
            "Step 2",
            "Convergence of the chains",
            f"R-hat of every reported quantity{_worst(run, 'rhat', max, 'largest')}. {_verdict(run)}",
            "Checks",
        ),
        Item(
            "Step 2",
            "Resolution of the chains",
            "Effective sample sizes of every reported quantity, bulk"
            f"{_worst(run, 'ess_bulk', min, 'smallest')} and tail{_worst(run, 'ess_tail', min, 'smallest')}. "
            f"{_verdict(run)}",
            "Checks; each table of estimates in the results folder",
        ),
        Item(
            "Step 2",
            "Computation other than MCMC",
            sentence("; ".join(other)) if other else "None: all results are from the draws.",
            "Results" if other else "",
        ),
    ]


def _worst(run: RunFacts, check: str, of: Callable, word: str) -> str:
    """The worst value of a check over all models: ` (largest 1.003, needed < 1.01)`; "" where unknown."""
    found = [
        item
        for result in run.results.values()
        for item in result.checks.get("checks", [])
        if item["name"] == check and item["worst"] is not None
    ]
    if not found:
        return ""
    worst = of(found, key=lambda item: item["worst"])
    value = f"{worst['worst']:.3f}" if check == "rhat" else f"{worst['worst']:,.0f}"
    return f" ({word} {value}, needed {worst['criterion']})"


def _verdict(run: RunFacts) -> str:
    """Whether the fits passed the gate as a whole, of which the table of checks tells the parts."""
    failed = [name for name, result in run.results.items() if not result.passed]
    if failed:
        return f"DO NOT USE {models_named(failed)}: the fit failed its checks."
    return f"{sentence(models_named(list(run.results)))[:-1]} passed all checks."


def _posterior(run: RunFacts) -> list[Item]:
    percent = level(run.spec.interval)
    probabilities = ", posterior probabilities of either direction" if scale_of(run.spec).contrast else ""
    if run.spec.thresholds:
        probabilities += " and beyond the stated thresholds"
    comparison = "None: models are compared by leave-one-out predictive density, not by Bayes factors."
    if len(run.results) == 1:
        comparison = "None: one model was fitted."
    return [
        Item(
            "Step 3",
            "Posterior predictive check",
            "Data replicated from each model beside those observed.",
            "Checks: figures and tables of each model",
        ),
        Item(
            "Step 3",
            "Summary of the posterior",
            f"Posterior medians and central {percent} intervals{probabilities}.",
            places("Results: text and tables", run.shown("forest", exactly=True)),
        ),
        Item(
            "Step 3",
            "Bayes factors, model probabilities",
            comparison,
            "Model comparison" * (len(run.results) > 1),
        ),
    ]


def _further(run: RunFacts) -> list[Item]:
    thresholds = (
        f"None was taken by poolmap. Probabilities are given for the thresholds "
        f"{listed([f'{x:g}' for x in run.spec.thresholds])}. {TO_ADD}where they come from."
        if run.spec.thresholds
        else "None was taken: results are estimates with intervals and probabilities."
    )
    return [
        Item("Step 4", "Decisions and their criteria", thresholds, "Results" * bool(run.spec.thresholds)),
        Item("Step 5", "Sensitivity to the priors", *_prior_sensitivity(run)),
        Item(
            "Step 6",
            "Make it reproducible",
            "The configuration, the random seed, checksums of the input and versions of the software are "
            "given; the draws of each model's parameters are in posterior.nc in the results folder. "
            f"{TO_ADD}where they are published.",
            "Reproducibility",
        ),
    ]


def _prior_sensitivity(run: RunFacts) -> tuple[str, str]:
    """What can be said of other priors: models that differ from the primary one in nothing else."""
    first, name = run.spec.models[run.primary.name], run.primary.name
    bare = {key for key in type(first).model_fields if not key.endswith("_prior")}
    mine, told, varied = run.spec.priors(name), [], set()
    for other in run.results:
        chosen = run.spec.models[other]
        differing = differing_priors(run.spec, other, name)
        if other == name or not differing or any(getattr(chosen, k) != getattr(first, k) for k in bare):
            continue
        theirs = run.spec.priors(other)
        varied.update(differing)
        changed = listed([prior_of(key, theirs[key]) for key in differing])
        told.append(f"model {other} with {changed}: {_summary(run, other)}")
    if not told:
        return (
            f"{NOT_DONE}no model of this run differs from the primary one in its priors alone. To do it, add "
            "an entry to `models` that is the primary model with another defensible prior, that of tau above "
            "all where studies are few; the report then compares the two here.",
            "",
        )
    as_it_is = listed([prior_of(key, mine[key]) for key in mine if key in varied])
    text = f"Primary model with {as_it_is}: {_summary(run, name)}; {'; '.join(told)}."
    kept = [SYMBOLS.get(key, key) for key in mine if key not in varied]
    if kept:
        text += f" {NOT_DONE}the prior of {listed(kept)} was not varied."
    return text, places("Results: table Pooled results", run.shown("models"))


def _summary(run: RunFacts, model: str) -> str:
    """Pooled effect and tau of a model."""
    scale, pooled = scale_of(run.spec), run.results[model].estimates["pooled"]
    effect = pooled_row(pooled, scale.report)
    write = writer(scale, [effect["sd"]])
    text = f"pooled {effect_name(run.spec)} {with_interval(interval_of(effect), write)}"
    if has(pooled, "tau"):
        row = pooled_row(pooled, "tau")
        digits = decimals(float(row["sd"]))
        text += f", tau {with_interval(interval_of(row), lambda x: number(x, digits))}"
    return text + run.stamp(model)
