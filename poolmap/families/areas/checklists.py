"""GATHER, the guideline for health estimates: what was done in this run, and where the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from poolmap.checklist import NOT_DONE, TO_ADD, Item, gather
from poolmap.contracts import Block, Dataset, ModelResult, NamedFigure
from poolmap.families.areas.scales import scale_of
from poolmap.families.areas.words import counted, listed

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis


def checklists(
    spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Block]:
    """The 18 items of GATHER (Stevens et al. 2016, Lancet 388:e19-e23).

    Args:
        figures: those on the page, so that no item points to one that was not drawn.
    """
    return gather(
        [*_inputs(spec, data), *_analysis(spec, data, results, figures), *_results(spec, results, figures)]
    )


def _inputs(spec: AreasAnalysis, data: Dataset) -> list[Item]:
    facts, scale, n = data.facts, scale_of(spec), len(data.tables["areas"])
    exclusions = len(data.exclusions)
    covariates = facts["covariates"]
    sources = [spec.data, spec.geometry, *([spec.graph.file] if spec.graph.file else [])]
    excluded = "No area was left out of the map."
    if exclusions:
        excluded += (
            f" {counted(exclusions, 'area')} without a value did not inform the model and "
            f"{'was' if exclusions == 1 else 'were'} estimated from the others."
        )
    bias = []
    if facts.get("suppressed"):
        bias.append(f"{counted(len(facts['suppressed']), 'count')} known by a range only")
    if facts.get("without_population"):
        bias.append(f"{counted(len(facts['without_population']), 'area')} with nobody at risk")
    if facts["geometry"]:
        bias.append("polygons that were repaired")
    return [
        Item(
            "1", "Indicator, population, places and time",
            f"The {scale.noun} of {spec.value_name} in {n} areas. {TO_ADD}the population (age, sex) and "
            f"the time.",
            "Title; Data",
        ),
        Item("2", "Funding", f"{TO_ADD}who paid for the work."),
        Item("3", "How the data were found and accessed", f"{TO_ADD}how."),
        Item("4", "Inclusion and exclusion", f"{excluded} {TO_ADD}what was left out before.", "Data"),
        Item(
            "5", "All data sources and their characteristics",
            f"Files {listed(sources)}, with checksums. {TO_ADD}their origin, with references.",
            "Data; Reproducibility",
        ),
        Item(
            "6", "Data with potentially important biases",
            f"{_sentence(listed(bias)) if bias else 'None was found by the program.'} {TO_ADD}completeness "
            f"of "
            "registration, and changes of definitions.",
            "Data",
        ),
        Item(
            "7", "Other data inputs",
            (
                f"Covariates from {spec.data}: {listed(covariates)}. {TO_ADD}their sources."
                if covariates
                else "No covariates."
            ),
            "Data" if covariates else "",
        ),
        Item(
            "8", "Inputs in a format that can be used",
            f"The files above; checked and joined in the folder data/. {TO_ADD}where they are "
            "published, or why they cannot be.",
            "Reproducibility",
        ),
    ]  # fmt: skip


def _analysis(
    spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Item]:
    names = list(results)
    several = len(names) > 1
    failed = [name for name, result in results.items() if not result.passed]
    compared = f"Models {listed(names)}, compared by leave-one-out predictive density and by their estimates."
    measured = {name: spec.models[name].covariate_errors for name in names}
    accounted = "; ".join(f"of {listed(errors)} in {name}" for name, errors in measured.items() if errors)
    accounted = f" (those {accounted} are accounted for)" if accounted else ""
    quality = (
        "Convergence and effective sample sizes of all reported quantities; posterior predictive checks."
    )
    if failed:
        quality += f" DO NOT USE model{'s' * (len(failed) > 1)} {listed(failed)}: the fit failed its checks."
    return [
        Item("9", "Overview of the method", "A Bayesian hierarchical model of all areas.", "Methods"),
        Item("10", "All steps, with formulae", "Likelihood, area effects, priors.", "Methods"),
        Item(
            "11", "How models were evaluated and selected",
            (
                f"{compared} {names[0]} is the primary one by the config, not by the result of the "
                f"comparison."
                if several
                else f"One model was fitted. {TO_ADD}why no other."
            ),
            "Model comparison" if several else "",
        ),
        Item(
            "12", "Model performance and sensitivity",
            quality
            + (" Sensitivity: the other models." if several else f" {NOT_DONE}other priors or graphs."),
            "Checks" + ("; Model comparison" if several else ""),
        ),
        Item(
            "13", "How uncertainty was worked out",
            f"{spec.interval:.0%} posterior intervals from {_draws(results)} draws: they hold the "
            f"randomness of "
            "what was observed and the uncertainty of all parameters of the model. They do not hold errors "
            f"of populations, reference rates and covariates{accounted}, nor the choice of model and graph.",
            "Methods",
        ),
        Item(
            "14", "Access to the source code",
            f"poolmap, with its config, versions and seed. {TO_ADD}where your copy of both is published.",
            "Reproducibility",
        ),
    ]  # fmt: skip


def _results(
    spec: AreasAnalysis, results: Mapping[str, ModelResult], figures: Sequence[NamedFigure]
) -> list[Item]:
    primary, scale = next(iter(results)), scale_of(spec)
    drawn = [figure.title for figure in figures if figure.model == primary]
    shown = f"Results: figures {listed([f'“{title}”' for title in drawn])}" if drawn else "Results"
    return [
        Item(
            "15", "Estimates in a format that can be used",
            "CSV with a data dictionary; GeoPackage with a style for QGIS.",
            f"{primary}/estimates/areas.csv, areas.gpkg, areas.qml, dictionary.json",
        ),
        Item(
            "16", "Uncertainty of the estimates",
            f"An interval for each {scale.noun}, and the probability that it is above each threshold.",
            f"{shown}; tables",
        ),
        Item("17", "Interpretation in the light of other evidence", f"{TO_ADD}that; the program knows none."),
        Item(
            "18", "Limitations",
            f"Estimates are smoothed: extremes are drawn towards the rest and towards neighbours. {TO_ADD}"
            "limits of data and of the assumptions that matter for your conclusions.",
        ),
    ]  # fmt: skip


def _draws(results: Mapping[str, ModelResult]) -> str:
    checks = next(iter(results.values())).checks
    return f"{checks['n_chains'] * checks['n_draws']:,}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
