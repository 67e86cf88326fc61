"""What the report says of hot spots, ranks, borrowing, larger regions and contrasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.areas.estimands import false_discovery_rate
from poolmap.families.areas.scales import Form, Scale, exceedance_column, form
from poolmap.families.areas.words import counted, listed, probability

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis


def further_blocks(
    spec: AreasAnalysis,
    scale: Scale,
    table: pd.DataFrame,
    number: Form,
    threshold: float,
    result: ModelResult,
) -> list[Block]:
    """Sentences and tables beyond each area's value.

    Args:
        table: the rows of the scale's quantity, the highest first.
        number: how its numbers are written.
        threshold: the first one.
    """
    blocks: list[Block] = [_hot_spots(spec, scale, table, number, threshold)]
    if scale.ratio:
        blocks.append(_excess(spec, table, result))
    blocks.append(_borrowing(scale, table))
    blocks.append(_ranks(spec, scale, table, result.name))
    if "regions" in result.estimates:
        blocks.append(_regions(spec, scale, number, threshold, result))
    if "contrasts" in result.estimates:
        blocks.append(_contrasts(spec, scale, result))
    return blocks


def _above(number: Form, threshold: float) -> str:
    return f"{threshold * 100:g}%" if number.percent else f"{threshold:g}"


def _hot_spots(spec: AreasAnalysis, scale: Scale, table: pd.DataFrame, number: Form, threshold: float) -> str:
    hot = table["hot_spot"].to_numpy(dtype=bool)
    accepted = f"{100 * spec.false_discovery_rate:g}%"
    what = f"{scale.noun} above {_above(number, threshold)}"
    rule = "the largest set of areas of which no more than that share is expected to be called so wrongly"
    if not hot.any():
        return f"Hot spots ({what}; false discovery rate {accepted}: {rule}): none."
    rate = false_discovery_rate(table[exceedance_column(scale.quantity, threshold)].to_numpy(), hot)
    names = table["name"][hot].tolist()
    return (
        f"Hot spots ({what}; false discovery rate {accepted}: {rule}): {counted(len(names), 'area')}, with "
        f"an "
        f"expected share of wrong ones of {100 * rate:.1f}%: {listed(names)}."
    )


def _excess(spec: AreasAnalysis, table: pd.DataFrame, result: ModelResult) -> str:
    areas = result.estimates["areas"]
    excess = areas[areas["quantity"] == "excess"].set_index("area")
    most = excess.loc[excess["mean"].idxmax()]
    hot = excess.reindex(table["area"][table["hot_spot"].astype(bool)]).dropna(subset="mean")
    text = (
        f"The excess over the expected number of cases is largest in {most['name']}: {most['mean']:,.1f} "
        f"({spec.interval:.0%} interval {most['lower']:,.1f} to {most['upper']:,.1f})."
    )
    if len(hot):
        text += f" The hot spots have {hot['mean'].sum():,.0f} cases more than expected (posterior mean)."
    return text


def _borrowing(scale: Scale, table: pd.DataFrame) -> str:
    middle = table[["from_own", "from_neighbours", "from_others"]].median()
    most, least = table.loc[table["from_own"].idxmax()], table.loc[table["from_own"].idxmin()]
    return (
        f"How much an area's {scale.noun} rests on its own observation: {middle['from_own']:.0%} in the "
        f"median area; {middle['from_neighbours']:.0%} comes from its neighbours, and the rest from other "
        "areas (through the overall level, covariates and neighbours' neighbours) and the priors. Most rests "
        f"on its own in {most['name']} ({_own(most['from_own'])}), least in {least['name']} "
        f"({_own(least['from_own'])}). These are shares of the estimate's response to each observation, from "
        "posterior covariances (Giordano, Broderick & Jordan 2018)."
    )


def _own(share: float) -> str:
    """In per cent; a share above 1 is so by Monte Carlo error."""
    return f"{min(share, 1.0):.0%}"


def _ranks(spec: AreasAnalysis, scale: Scale, table: pd.DataFrame, model: str) -> ReportTable:
    level = f"{spec.interval:.0%} interval"
    frame = pd.DataFrame(
        {
            "area": table["name"],
            "rank": [f"{value:.1f}" for value in table["rank"]],
            f"rank, {level}": [
                f"{low:.0f} to {high:.0f}"
                for low, high in zip(table["rank_lower"], table["rank_upper"], strict=True)
            ],
            "P(highest fifth)": [probability(value) for value in table["p_highest_fifth"]],
            "P(lowest fifth)": [probability(value) for value in table["p_lowest_fifth"]],
            "hot spot": ["yes" if hot else "" for hot in table["hot_spot"].astype(bool)],
            "from its own": [_own(value) for value in table["from_own"]],
            "from neighbours": [f"{value:.0%}" for value in table["from_neighbours"]],
        }
    )
    numeric = [column for column in frame.columns[1:] if column != "hot spot"]
    return ReportTable(
        frame,
        f"Areas by {scale.noun}: posterior mean of the rank (1 is the highest of {len(table)}), the "
        "probabilities of being in the highest and in the lowest fifth, and how much of the estimate rests "
        "on "
        f"the area's own observation and on those of its neighbours. Model {model}.",
        numeric,
        model,
    )


def _regions(
    spec: AreasAnalysis, scale: Scale, number: Form, threshold: float, result: ModelResult
) -> ReportTable:
    rows = result.estimates["regions"]
    by = "expected" if scale.ratio else "population"
    level = f"{spec.interval:.0%} interval"
    frame = pd.DataFrame(
        {
            "grouping": rows["grouping"],
            "region": rows["region"].astype(str),
            "areas": [f"{value:,.0f}" for value in rows["n_areas"]],
            "cases": [f"{value:,.0f}" for value in rows["cases"]],
            "expected" if scale.ratio else "examined": [f"{value:,.1f}" for value in rows[by]],
            scale.symbol: [number(value) for value in rows["mean"]],
            f"{scale.symbol} {level}": [
                number.interval(low, high) for low, high in zip(rows["lower"], rows["upper"], strict=True)
            ],
            f"P({scale.symbol} > {_above(number, threshold)})": [
                probability(value) for value in rows[exceedance_column(scale.quantity, threshold)]
            ],
        }
    )
    weight = "expected cases" if scale.ratio else "persons examined"
    return ReportTable(
        frame,
        f"Larger regions: the {scale.noun} of all their areas together (weighted by {weight}, draw by "
        f"draw, so "
        f"that intervals account for what areas share). Model {result.name}.",
        frame.columns[2:].tolist(),
        result.name,
    )


def _contrasts(spec: AreasAnalysis, scale: Scale, result: ModelResult) -> ReportTable:
    rows = result.estimates["contrasts"]
    written = Form(2) if scale.ratio else form(scale, rows["lower"], rows["upper"])
    what = "ratio" if scale.ratio else "difference"
    frame = pd.DataFrame(
        {
            "first": rows["first_name"],
            "second": rows["second_name"],
            what: [written(value) for value in rows["mean"]],
            f"{spec.interval:.0%} interval": [
                written.interval(low, high) for low, high in zip(rows["lower"], rows["upper"], strict=True)
            ],
            "P(first is higher)": [probability(value) for value in rows["p_first_higher"]],
        }
    )
    return ReportTable(
        frame,
        f"Pairs of areas: {what} of their {scale.noun}s, draw by draw (posterior mean). Model {result.name}.",
        frame.columns[2:].tolist(),
        result.name,
    )
