"""GATHER, the guideline for health estimates, filled in for estimates from a survey and a census."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolmap.checklist import NOT_DONE, TO_ADD, Item, gather
from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, ModelResult, NamedFigure
from poolmap.families.mrp.report_words import by_words, capital, joined, level, value_name
from poolmap.families.mrp.words import counted, listed


def checklists(
    spec: MrpAnalysis, data: Dataset, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Block]:
    """The 18 items of GATHER (Stevens et al. 2016, Lancet 388:e19-e23).

    Args:
        figures: those on the page, so that no item points to one that was not drawn.
    """
    return gather([*_inputs(spec, data), *_analysis(spec, results), *_results(spec, results, figures)])


def _put_in(spec: MrpAnalysis) -> str:
    """Variables whose numbers of people are taken as known, although a model of the survey gives them."""
    if not spec.extend:
        return ""
    return f" of the people by {listed([extension.variable for extension in spec.extend])},"


def _inputs(spec: MrpAnalysis, data: Dataset) -> list[Item]:
    facts = data.facts
    groupings = [by_words(grouping) for grouping in spec.groupings()[1:]]
    left_out = len(data.exclusions)
    excluded = (
        f"{counted(left_out, 'row')} of the input left out, each listed with its reason."
        if left_out
        else "No row of the input was left out."
    )
    unseen = int((~data.tables["levels"]["seen"]).sum())
    without = f"{counted(unseen, 'level')} without respondents" if unseen else "all levels have respondents"
    bias = [f"Sample and census are compared level by level; {without}."]
    if spec.weight is not None:
        bias.append("Weighted estimates stand beside the model's.")
    if spec.outcome.test is not None:
        bias.append("The errors of the test are estimated and taken out.")
    if facts.get("house"):
        bias.append(f"How the survey was taken ({listed(list(facts['house']))}) is in the model.")
    predictors = [name for name in facts["predictors"] if facts["predictors"][name].get("type") != "factor"]
    used = {"census": "The population", "margins": "The population", "seed_table": "Cells to start from"}
    used |= {"extend": "Known shares", "area_predictors": "Predictors of areas", "truth": "Known values"}
    used |= {"map": "Boundaries", "graph": "Neighbours"}
    files: dict[str, list[str]] = {}
    for name, path in spec.input_files().items():
        key = name.partition(".")[0]
        if key in used:
            files.setdefault(used[key], []).append(path)
    frame = " ".join(f"{what}: {listed(paths)}." for what, paths in files.items())
    return [
        Item(
            "1", "Indicator, population, places and time",
            f"The {value_name(spec)}, in all and by {listed(groupings)}. {TO_ADD}the population and the "
            "time.",
            "Title; Data",
        ),
        Item("2", "Funding", f"{TO_ADD}who paid for the work."),
        Item("3", "How the data were found and accessed", f"{TO_ADD}how."),
        Item("4", "Inclusion and exclusion", f"{excluded} {TO_ADD}what was left out before.", "Data"),
        Item(
            "5", "All data sources and their characteristics",
            f"{capital(counted(facts['respondents'], 'respondent'))} of "
            f"{listed(list(spec.surveys.values()))}, "
            f"with checksums. {TO_ADD}how they were sampled, response, and references.",
            "Data; Reproducibility",
        ),
        Item(
            "6", "Data with potentially important biases",
            f"{' '.join(bias)} {TO_ADD}non-response that no variable of the formula explains.",
            "Data",
        ),
        Item(
            "7", "Other data inputs",
            frame
            + (f" Predictors in the formula: {listed(predictors)}." if predictors else "")
            + f" {TO_ADD}their sources.",
            "Data",
        ),
        Item(
            "8", "Inputs in a format that can be used",
            f"The files above; checked and joined in the folder data/. {TO_ADD}where they are published, "
            "or why they cannot be.",
            "Reproducibility",
        ),
    ]  # fmt: skip


def _analysis(spec: MrpAnalysis, results: Mapping[str, ModelResult]) -> list[Item]:
    names = list(results)
    several = len(names) > 1
    failed = [name for name, result in results.items() if not result.passed]
    tried = ["Convergence and effective sample sizes of all reported quantities; posterior predictive checks"]
    if spec.leave_out is not None:
        tried.append(f"each {spec.leave_out} predicted from the others")
    if spec.calibrate:
        tried.append("expected errors from simulated surveys")
    if spec.truth is not None:
        tried.append("errors against known values")
    quality = f"{joined(tried)}."
    if failed:
        quality += f" DO NOT USE model{'s' * (len(failed) > 1)} {listed(failed)}: the fit failed its checks."
    compared = (
        f"Models {listed(names)}, compared by their estimates of the groups and by leave-one-out predictive "
        f"density. {names[0]} is the primary one by the config, not by the result of the comparison."
    )
    checks = next(iter(results.values())).checks
    count = f" from {checks['n_chains'] * checks['n_draws']:,} draws" if "n_draws" in checks else ""
    return [
        Item(
            "9", "Overview of the method",
            "Multilevel regression of the survey, poststratified to the census.",
            "Methods",
        ),
        Item(
            "10", "All steps, with formulae",
            "Recoding and census frame; likelihood, effects, priors; poststratification.",
            "Data; Methods",
        ),
        Item(
            "11", "How models were evaluated and selected",
            compared if several else f"One model was fitted. {TO_ADD}why no other.",
            "Model comparison" if several else "",
        ),
        Item(
            "12", "Model performance and sensitivity",
            f"{quality} "
            + ("Sensitivity: the other models." if several else f"{NOT_DONE}other models or priors."),
            "Checks" + ("; Model comparison" if several else ""),
        ),
        Item(
            "13", "How uncertainty was worked out",
            f"{level(spec)} posterior intervals{count}: they hold the randomness of the answers and the "
            "uncertainty of all parameters of the model, also of levels without respondents. They do not "
            f"hold errors of the census and of predictors,{_put_in(spec)} non-response within cells, nor the "
            "choice of model.",
            "Methods",
        ),
        Item(
            "14", "Access to the source code",
            f"poolmap, with its config, versions and seed. {TO_ADD}where your copy of both is published.",
            "Reproducibility",
        ),
    ]  # fmt: skip


def _results(
    spec: MrpAnalysis, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Item]:
    primary = next(iter(results))
    drawn = [f"“{figure.title}”" for figure in figures if figure.model == primary]
    shown = f"Results: figures {listed(drawn, 6)}" if drawn else "Results"
    files = listed([f"{spec.table_name(grouping)}.csv" for grouping in spec.groupings()])
    beyond = (
        " The posterior probability of being above each threshold, of each group (long tables stand whole in "
        "the CSV files)."
        if spec.thresholds
        else ""
    )
    return [
        Item(
            "15", "Estimates in a format that can be used",
            f"CSV: {files}, with a data dictionary.",
            f"Folder estimates of model {primary}",
        ),
        Item(
            "16", "Uncertainty of the estimates",
            f"An interval for each estimate.{beyond}",
            f"{shown}; tables",
        ),
        Item("17", "Interpretation in the light of other evidence", f"{TO_ADD}that; the program knows none."),
        Item(
            "18", "Limitations",
            "Estimates are drawn towards what the model predicts, the more the fewer respondents a group "
            "has; differences that the formula leaves out are smoothed away. "
            f"{TO_ADD}limits of data and of the assumptions that matter for your conclusions.",
        ),
    ]  # fmt: skip
