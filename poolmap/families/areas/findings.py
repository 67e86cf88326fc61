"""What the report says of the results of a map, and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import EVERY_MODEL, Block, Dataset, ModelResult, ReportTable
from poolmap.families.areas.effect_words import RHO, SIGMA
from poolmap.families.areas.further_words import further_blocks
from poolmap.families.areas.likelihood_words import ALPHA, OWN, RATIO
from poolmap.families.areas.neighbour_words import neighbour_blocks
from poolmap.families.areas.option_words import option_sentences, region_effects_table
from poolmap.families.areas.options import OPTIONS
from poolmap.families.areas.scales import (
    CERTAIN,
    SCALES,
    Form,
    Scale,
    default_words,
    exceedance_column,
    form,
    scale_of,
    thresholds,
)
from poolmap.families.areas.words import listed, probability

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_TWO = Form(2)


def estimates_table(scale: Scale, result: ModelResult) -> pd.DataFrame:
    """The rows of the scale's quantity in a model's table `areas`, index from 0, in the areas' order."""
    table = result.estimates["areas"]
    return table[table["quantity"] == scale.quantity].reset_index(drop=True)


def findings(spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """What the map says: areas that are surely raised, the extremes, the spread; and the tables."""
    primary = next(iter(results.values()))
    scale = scale_of(spec)
    table = estimates_table(scale, primary)
    table = table.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)
    number = form(scale, table["lower"], table["upper"])
    bounds = thresholds(spec, data)
    blocks: list[Block] = [_headline(scale, table, number, threshold) for threshold in bounds]
    high, low = table.iloc[0], table.iloc[-1]
    default = default_words(spec, _threshold(scale, number, bounds[0]))
    blocks.append(
        f"The {scale.noun} is highest in {high['name']}, {_with_interval(spec, high, number)}, and lowest in "
        f"{low['name']}, {_with_interval(spec, low, number)}. {default}".rstrip()
    )
    blocks += _parameter_sentences(spec, scale, primary)
    blocks += _model_sentences(scale, bounds[0], number, results)
    blocks.append(_areas_table(spec, scale, table, number, bounds, primary.name))
    blocks += further_blocks(spec, scale, table, number, bounds[0], primary)
    if "region_effects" in primary.estimates:
        blocks.append(region_effects_table(spec, scale, primary))
    blocks.append(_parameters_table(spec, scale, results))
    return blocks + neighbour_blocks(scale, bounds[0], results)


def _threshold(scale: Scale, number: Form, threshold: float) -> str:
    return f"{threshold * 100:g}%" if number.percent else f"{threshold:g}"


def _headline(scale: Scale, table: pd.DataFrame, number: Form, threshold: float) -> str:
    column = exceedance_column(scale.quantity, threshold)
    sure = table[table[column] > CERTAIN]
    what = (
        f"the posterior probability of a {scale.noun} above {_threshold(scale, number, threshold)} is more "
        f"than {CERTAIN:g}"
    )
    if sure.empty:
        most = table.loc[table[column].idxmax()]
        return (
            f"In none of {len(table)} areas {what}; it is highest in {most['name']} "
            f"({probability(most[column])})."
        )
    each = [f"{row['name']} ({probability(row[column])})" for _, row in sure.iterrows()]
    return f"In {len(sure)} of {len(table)} areas {what}: {listed(each)}."


def _parameter_sentences(spec: AreasAnalysis, scale: Scale, result: ModelResult) -> list[str]:
    table = result.estimates["parameters"].set_index("quantity")
    sigma = table.loc["sigma"]
    known = ["covariates"] if "beta" in table.index else []
    known += ["regions"] if "sigma_region" in table.index else []
    after = f" left when the {' and '.join(known)} are accounted for" if known else ""
    prior = spec.models[result.name].prior
    on = {"rr": " on the log scale", "prevalence": " on the logit scale", "mean": ""}[scale.quantity]
    number = Form(2) if scale.quantity != "mean" else form(scale, [sigma["lower"]], [sigma["upper"]])
    if prior in ("leroux", "car"):
        sentences = [f"sigma, the {SIGMA[prior]}{after}, is {_with_interval(spec, sigma, number)}{on}."]
    else:
        text = (
            f"The standard deviation of the area effects{after} is {_with_interval(spec, sigma, number)}{on}"
        )
        if scale.quantity != "mean":
            what = "risk" if scale.ratio else "odds"
            text += (
                f": an area one standard deviation above the middle has {np.exp(sigma['mean']):.2f} times "
                f"its {what}"
            )
        sentences = [f"{text}."]
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
            f"{lead}: near 1, {scale.noun}s vary smoothly from neighbour to neighbour; near 0, without "
            "pattern." + (" The data say little about it." if wide else "")
        )
    likelihood = spec.likelihood(result.name)
    if likelihood in OWN:
        name, about = OWN[likelihood]
        row = table.loc[name]
        sentences.append(f"{name}, the {about}, is {_with_interval(spec, row, _plain(row))}.")
    return [*sentences, *_covariate_sentences(spec, scale, table), *option_sentences(spec, scale, result)]


def _covariate_sentences(spec: AreasAnalysis, scale: Scale, table: pd.DataFrame) -> list[str]:
    quantity = RATIO[scale.quantity][0] if scale.quantity in RATIO else "beta"
    if quantity not in table.index:
        return []
    noun = {"rr": "the relative risk is", "prevalence": "the odds are", "mean": "the mean"}[scale.quantity]
    sentences = []
    for _, row in table.loc[[quantity]].iterrows():
        number = Form(2) if scale.quantity in RATIO else form(scale, [row["lower"]], [row["upper"]])
        verb = f"{noun} multiplied by" if scale.quantity in RATIO else f"{noun} changes by"
        sentences.append(
            f"Per unit of {row['term']} {verb} {_with_interval(spec, row, number)}. "
            "This compares areas, not persons (ecological association)."
        )
    return sentences


def _model_sentences(
    scale: Scale, threshold: float, number: Form, results: Mapping[str, ModelResult]
) -> list[str]:
    primary, *others = results.values()
    first = estimates_table(scale, primary)
    column = exceedance_column(scale.quantity, threshold)
    sentences = []
    for other in others:
        second = estimates_table(scale, other).set_index("area").loc[first["area"]].reset_index()
        changed = first["name"][(first[column] > CERTAIN) != (second[column] > CERTAIN)].tolist()
        most = scale.change(first["mean"], second["mean"]).max()
        by = f"a factor of {np.exp(most):.2f}" if scale.ratio else number(most)
        text = (
            f"Under {other.name} in place of {primary.name} the {scale.noun} of an area changes by at most "
            f"{by}, "
        )
        if changed:
            verb = "crosses" if len(changed) == 1 else "cross"
            text += f"and {listed(changed)} {verb} the bound of {CERTAIN:g}."
        else:
            text += f"and the same areas are above the bound of {CERTAIN:g}."
        sentences.append(text)
    return sentences


def _areas_table(
    spec: AreasAnalysis,
    scale: Scale,
    table: pd.DataFrame,
    number: Form,
    bounds: tuple[float, ...],
    model: str,
) -> ReportTable:
    level = f"{spec.interval:.0%}"
    about = {
        "rr": "SIR: observed over expected cases, exact Poisson interval.",
        "prevalence": "Raw proportion: cases over persons examined, exact binomial interval.",
        "mean": "Direct estimate with its normal interval.",
    }[scale.quantity]
    columns: dict[str, list[str] | pd.Series] = {"area": table["name"]}
    if "cases" in table:
        columns["cases"] = [_cases(row) for _, row in table.iterrows()]
    if scale.ratio:
        columns["expected"] = ["" if np.isnan(v) else f"{v:,.1f}" for v in table["expected"]]
    elif "population" in table:
        columns["examined"] = ["" if np.isnan(v) else f"{v:,.0f}" for v in table["population"]]
    raw = scale.raw_symbol
    columns[raw] = [number(v) for v in table[scale.raw]]
    columns[f"{raw} {level} interval"] = _intervals(
        number, table[f"{scale.raw}_lower"], table[f"{scale.raw}_upper"]
    )
    if "direct_rate" in table:
        rate = form(SCALES["mean"], table["direct_rate_lower"], table["direct_rate_upper"])
        columns["direct rate"] = [rate(v) for v in table["direct_rate"]]
        columns[f"direct rate {level} interval"] = _intervals(
            rate, table["direct_rate_lower"], table["direct_rate_upper"]
        )
        about += (
            " Direct rate: directly standardised, cases per 100,000, gamma interval (Fay and Feuer 1997)."
        )
    columns[scale.symbol] = [number(v) for v in table["mean"]]
    columns[f"{scale.symbol} {level} interval"] = _intervals(number, table["lower"], table["upper"])
    for threshold in bounds:
        heading = f"P({scale.symbol} > {_threshold(scale, number, threshold)})"
        columns[heading] = [probability(v) for v in table[exceedance_column(scale.quantity, threshold)]]
    frame = pd.DataFrame(columns)
    suppressed = ""
    if "at_least" in table and (table["at_least"] < table["at_most"]).any():
        suppressed = " Suppressed counts are given by their range."
    return ReportTable(
        frame,
        f"All areas by {scale.noun}. {about}{suppressed} {scale.symbol[0].upper()}{scale.symbol[1:]}: "
        f"posterior mean and central posterior interval from the model {model}.",
        frame.columns[1:].tolist(),
        model,
    )


def _cases(row: pd.Series) -> str:
    """The count, or the range of a suppressed one."""
    if not np.isnan(row["cases"]):
        return f"{row['cases']:,.0f}"
    if "at_least" in row.index and not np.isnan(row["at_least"]):
        return f"{row['at_least']:,.0f} to {row['at_most']:,.0f} (suppressed)"
    return ""


def _intervals(number: Form, lower: pd.Series, upper: pd.Series) -> list[str]:
    return [number.interval(a, b) for a, b in zip(lower, upper, strict=True)]


def _parameters_table(spec: AreasAnalysis, scale: Scale, results: Mapping[str, ModelResult]) -> ReportTable:
    level = f"{spec.interval:.0%} interval"
    rows = [
        [
            name,
            row["quantity"],
            row["term"],
            _plain(row)(row["mean"]),
            _plain(row).interval(row["lower"], row["upper"]),
        ]
        for name, result in results.items()
        for _, row in result.estimates["parameters"].iterrows()
    ]
    frame = pd.DataFrame(rows, columns=["model", "parameter", "term", "mean", level])
    ratio = f" and {RATIO[scale.quantity][0]} = exp(beta)" if scale.quantity in RATIO else ""
    own = dict.fromkeys(spec.likelihood(name) for name in results if spec.likelihood(name) in OWN)
    more = "".join(f"; {OWN[likelihood][0]}, {OWN[likelihood][1]}" for likelihood in own)
    named = set(frame["parameter"])
    more += "".join(f"; {name}, {about}" for name, about in OPTIONS.items() if name in named)
    return ReportTable(
        frame,
        f"Parameters by model: alpha, {ALPHA[scale.quantity]} at average covariates; beta{ratio}, per unit "
        "of the covariate; sigma, spread of the area effects, and rho, how far neighbours share them, as "
        f"each model defines them{more}.",
        ["mean", level],
        EVERY_MODEL,
    )


def _plain(row: pd.Series) -> Form:
    """Three decimals, more where the interval is narrow."""
    return Form(max(3, form(SCALES["mean"], [row["lower"]], [row["upper"]]).decimals))


def _with_interval(spec: AreasAnalysis, row: pd.Series, number: Form = _TWO) -> str:
    interval = number.interval(row["lower"], row["upper"])
    return f"{number(row['mean'])} ({spec.interval:.0%} interval {interval})"
