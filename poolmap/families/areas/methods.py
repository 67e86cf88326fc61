"""What the report says of a disease map: the data, the model, the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import EVERY_MODEL, Block, Dataset, Equation, ModelResult, ReportTable
from poolmap.families.areas.approximation import WITH_RHO
from poolmap.families.areas.effect_words import RHO, SIGMA, effect_blocks
from poolmap.families.areas.estimate import exceedance_column
from poolmap.families.areas.figures import CERTAIN, rr_table

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis
    from poolmap.graph.graph import Graph

_LISTED = 12


def describe(spec: AreasAnalysis, data: Dataset) -> list[Block]:
    """The counts, how expected counts were made, the graph, and what was mended or left out."""
    facts = data.facts
    areas = data.tables["areas"]
    known = areas[areas["cases"].notna()]
    text = (
        f"{facts['areas']} areas with {facts['cases']:,.0f} {spec.cases_name}. The number in an area runs "
        f"from {known['cases'].min():,.0f} to {known['cases'].max():,.0f} (median "
        f"{known['cases'].median():,.0f}); the expected number from {areas['expected'].min():.1f} to "
        f"{areas['expected'].max():.1f}."
    )
    blocks: list[Block] = [text, _standardisation(spec, facts)]
    if len(facts.get("reference_rates", [])) > 1:
        frame = pd.DataFrame(
            [[row["stratum"], _rate(row["rate"])] for row in facts["reference_rates"]],
            columns=[", ".join(facts["strata"]), "cases per 100,000 of the population"],
        )
        blocks.append(
            ReportTable(frame, "Reference rates by stratum.", ["cases per 100,000 of the population"])
        )
    if facts["without_cases"]:
        blocks.append(
            f"No case count: {_listed(_names(areas, facts['without_cases']))}. They stay in the map and are "
            "estimated from the other areas."
        )
    if facts["without_population"]:
        blocks.append(
            f"No cases are expected in {_listed(_names(areas, facts['without_population']))} (nobody is at "
            "risk there). They stay in the map, say nothing about the risk, and are estimated from the "
            "others."
        )
    if data.graph is not None:
        blocks.append(_graph(data))
        if data.graph.findings:
            blocks.append(_graph_findings(data.graph))
    findings = facts["geometry"]
    if findings:
        frame = pd.DataFrame(findings)[["area", "finding", "action"]].rename(
            columns={"finding": "found", "action": "done"}
        )
        blocks.append(ReportTable(frame, "What was found about the polygons, and what was done."))
    else:
        blocks.append("All polygons are valid.")
    return blocks


def _standardisation(spec: AreasAnalysis, facts: Mapping) -> str:
    if spec.outcome.expected is not None:
        return (
            f"Expected counts were given in the column '{spec.outcome.expected}'; they sum to "
            f"{facts['expected']:,.1f} over the areas with a case count. A ratio of 1 means as many cases as "
            "expected under the rates from which they were worked out."
        )
    rates = facts["reference_rates"]
    if len(rates) == 1:
        how = f"the rate of all areas together, {_rate(rates[0]['rate'])} per 100,000 of the population"
    else:
        how = f"the rates of all areas together by {' and '.join(facts['strata'])} ({len(rates)} strata)"
    return (
        f"Expected counts come from internal indirect standardisation: {how}, applied to each area's "
        "population. The standardised ratio (SIR) is observed over expected cases, with an exact Poisson "
        "interval (Garwood 1936); it takes the expected count as known."
    )


def _graph(data: Dataset) -> str:
    graph = data.graph
    sizes = graph.component_sizes
    neighbours = graph.n_neighbours
    text = (
        f"Neighbours are {graph.rule}: {len(graph.edges)} pairs, "
        f"{neighbours.min()} to {neighbours.max()} neighbours an area (mean {neighbours.mean():.1f}). "
    )
    connected = sizes[sizes > 1]
    factors = [f"{factor:.3f}" for factor in graph.scaling[sizes > 1]]
    if graph.n_components == 1:
        text += f"The graph is connected; its scaling factor is {factors[0]}."
    else:
        text += (
            f"The graph has {_counted(len(connected), 'connected component')} of "
            f"{_listed(map(str, connected))} areas (scaling factor {_listed(factors)})"
        )
        islands = _names(data.tables["areas"], graph.islands)
        alone = f" and {_counted(len(islands), 'area')} without neighbours: {_listed(islands)}."
        text += alone if islands else "."
    return text


def _graph_findings(graph: Graph) -> ReportTable:
    frame = pd.DataFrame([asdict(finding) for finding in graph.findings])
    title = "What was found about the graph: pairs changed by hand, and parts of the map that lie apart."
    return ReportTable(frame.rename(columns={"finding": "found", "action": "done"}), title)


def methods(spec: AreasAnalysis, model: str, data: Dataset) -> list[Block]:
    """One model in words and equations, with the priors in force."""
    chosen = spec.models[model]
    terms = data.tables["covariates"].columns[1:].tolist()
    linear = r"\alpha + \mathbf{x}_i^\top \boldsymbol\beta + b_i" if terms else r"\alpha + b_i"
    spoken = "alpha plus x i transposed beta plus b i" if terms else "alpha plus b i"
    blocks: list[Block] = [
        "The observed count of each area is Poisson, with the expected count times the area's relative "
        "risk as its mean:",
        Equation(
            r"y_i \sim \mathrm{Poisson}(E_i\, \mathrm{RR}_i), \qquad \log \mathrm{RR}_i = " + linear,
            f"y i is Poisson with mean E i times R R i; the log of R R i is {spoken}",
        ),
    ]
    blocks += effect_blocks(chosen.prior)
    if terms:
        blocks.append(
            f"Covariates, from the formula {spec.covariates} and centred on their means over the areas: "
            f"{', '.join(terms)}. exp(beta) is the ratio of relative risks per unit; the unit of scale(x) is "
            "one standard deviation of x over the areas."
        )
    priors = [f"alpha ~ {chosen.alpha_prior}"]
    priors += [f"each beta ~ {chosen.beta_prior}"] if terms else []
    priors += [f"sigma ~ {chosen.sigma_prior.words('sigma')}"]
    priors += [f"rho ~ {chosen.rho_prior.words('rho')}"] if chosen.prior in WITH_RHO else []
    blocks.append(f"Priors: {'; '.join(priors)}.")
    return blocks


def findings(spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """What the map says: areas whose risk is surely raised, the extremes, the spread; and the tables."""
    primary = next(iter(results.values()))
    rr = rr_table(primary).sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)
    blocks: list[Block] = [_headline(spec, rr, threshold) for threshold in spec.exceedance]
    high, low = rr.iloc[0], rr.iloc[-1]
    blocks.append(
        f"The relative risk is highest in {high['name']}, {_with_interval(spec, high)}, and lowest in "
        f"{low['name']}, {_with_interval(spec, low)}. A relative risk of 1 is the rate of the reference."
    )
    blocks += _parameter_sentences(spec, primary)
    blocks += _model_sentences(spec, results)
    blocks.append(_areas_table(spec, rr, primary.name))
    blocks.append(_parameters_table(spec, results))
    return blocks


def _headline(spec: AreasAnalysis, rr: pd.DataFrame, threshold: float) -> str:
    column = exceedance_column(threshold)
    sure = rr[rr[column] > CERTAIN]
    what = f"the posterior probability of a relative risk above {threshold:g} is more than {CERTAIN:g}"
    if sure.empty:
        most = rr.loc[rr[column].idxmax()]
        return (
            f"In none of {len(rr)} areas {what}; it is highest in {most['name']} "
            f"({_probability(most[column])})."
        )
    each = [f"{row['name']} ({_probability(row[column])})" for _, row in sure.iterrows()]
    return f"In {len(sure)} of {len(rr)} areas {what}: {_listed(each)}."


def _parameter_sentences(spec: AreasAnalysis, result: ModelResult) -> list[str]:
    table = result.estimates["parameters"].set_index("quantity")
    sigma = table.loc["sigma"]
    after = " left when the covariates are accounted for" if "beta" in table.index else ""
    prior = spec.models[result.name].prior
    if prior in ("leroux", "car"):
        sentences = [f"sigma, the {SIGMA[prior]}{after}, is {_with_interval(spec, sigma)} on the log scale."]
    else:
        sentences = [
            f"The standard deviation of the area effects{after} is {_with_interval(spec, sigma)} on the "
            f"log scale: an area one standard deviation above the middle has {np.exp(sigma['mean']):.2f} "
            "times its risk."
        ]
    if "rho" in table.index:
        rho = table.loc["rho"]
        wide = rho["upper"] - rho["lower"] > 0.7
        lead = (
            f"Of the variance of the area effects, a share rho of {_with_interval(spec, rho)} is spatially "
            "structured"
            if prior == "bym2"
            else f"rho, the {RHO[prior]}, is {_with_interval(spec, rho)}"
        )
        sentences.append(
            f"{lead}: near 1, risks vary smoothly from neighbour to neighbour; near 0, without pattern."
            + (" The counts say little about it." if wide else "")
        )
    if "rate_ratio" in table.index:
        for _, row in table.loc[["rate_ratio"]].iterrows():
            sentences.append(
                f"Per unit of {row['term']} the relative risk is multiplied by {_with_interval(spec, row)}. "
                "This compares areas, not persons (ecological association)."
            )
    return sentences


def _model_sentences(spec: AreasAnalysis, results: Mapping[str, ModelResult]) -> list[str]:
    primary, *others = results.values()
    first = rr_table(primary)
    column = exceedance_column(spec.exceedance[0])
    sentences = []
    for other in others:
        second = rr_table(other).set_index("area").loc[first["area"]].reset_index()
        changed = first["name"][(first[column] > CERTAIN) != (second[column] > CERTAIN)].tolist()
        text = (
            f"Under {other.name} in place of {primary.name} the relative risk of an area changes by at most "
            f"a factor of {np.exp(np.abs(np.log(second['mean'] / first['mean'])).max()):.2f}, "
        )
        if changed:
            verb = "crosses" if len(changed) == 1 else "cross"
            text += f"and {_listed(changed)} {verb} the bound of {CERTAIN:g}."
        else:
            text += f"and the same areas are above the bound of {CERTAIN:g}."
        sentences.append(text)
    return sentences


def _areas_table(spec: AreasAnalysis, rr: pd.DataFrame, model: str) -> ReportTable:
    level = f"{spec.interval:.0%}"
    frame = pd.DataFrame(
        {
            "area": rr["name"],
            "cases": [_number(v, ",.0f") for v in rr["cases"]],
            "expected": [_number(v, ",.1f") for v in rr["expected"]],
            "SIR": [_number(v, ".2f") for v in rr["sir"]],
            f"SIR {level} interval": [
                "" if np.isnan(a) else f"{a:.2f} to {b:.2f}"
                for a, b in zip(rr["sir_lower"], rr["sir_upper"], strict=True)
            ],
            "RR": [f"{v:.2f}" for v in rr["mean"]],
            f"RR {level} interval": [
                f"{a:.2f} to {b:.2f}" for a, b in zip(rr["lower"], rr["upper"], strict=True)
            ],
        }
    )
    for threshold in spec.exceedance:
        frame[f"P(RR > {threshold:g})"] = [_probability(v) for v in rr[exceedance_column(threshold)]]
    return ReportTable(
        frame,
        "All areas by relative risk. SIR: observed over expected cases, exact Poisson interval. RR: "
        f"posterior mean and central posterior interval from the model {model}.",
        frame.columns[1:].tolist(),
        model,
    )


def _parameters_table(spec: AreasAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    level = f"{spec.interval:.0%} interval"
    rows = [
        [
            name,
            row["quantity"],
            row["term"],
            f"{row['mean']:.3f}",
            f"{row['lower']:.3f} to {row['upper']:.3f}",
        ]
        for name, result in results.items()
        for _, row in result.estimates["parameters"].iterrows()
    ]
    frame = pd.DataFrame(rows, columns=["model", "parameter", "term", "mean", level])
    return ReportTable(
        frame,
        "Parameters by model: alpha, log relative risk at average covariates; beta and rate_ratio = "
        "exp(beta), per unit of the covariate; sigma, spread of the area effects, and rho, how far "
        "neighbours share them, as each model defines them.",
        ["mean", level],
        EVERY_MODEL,
    )


def _with_interval(spec: AreasAnalysis, row: pd.Series) -> str:
    return f"{row['mean']:.2f} ({spec.interval:.0%} interval {row['lower']:.2f} to {row['upper']:.2f})"


def _probability(value: float) -> str:
    return "> 0.999" if value > 0.999 else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)


def _rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate * 1e5:,.4g}"


def _names(areas: pd.DataFrame, ids: list[str] | tuple[str, ...]) -> list[str]:
    return areas.set_index("area").loc[list(ids), "name"].tolist()


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _listed(items: Iterable[str]) -> str:
    """The items in words, the first few where they are many."""
    items = list(items)
    if len(items) > _LISTED:
        return f"{', '.join(items[:_LISTED])} and {len(items) - _LISTED} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
