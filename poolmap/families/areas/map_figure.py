"""The maps of one model: what was observed, what is estimated, how surely, and above the threshold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.areas.findings import CERTAIN, estimates_table
from poolmap.families.areas.scales import Scale, exceedance_column, form, scale_of, thresholds
from poolmap.figures.choropleth import MapPanel, class_scale, draw_maps, ratio_scale, sequential_scale

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis
    from poolmap.figures.choropleth import Scale as ColourScale

CLASSES = (0.05, 0.2, 0.8, CERTAIN)
_TITLES = {
    "rr": (
        "Raw ratio, observed / expected (SIR)",
        "Smoothed relative risk (RR)",
        "Uncertainty of the RR",
    ),
    "prevalence": ("Raw proportion", "Smoothed prevalence", "Uncertainty of the prevalence"),
    "mean": ("Direct estimate", "Smoothed mean", "Uncertainty of the mean"),
}


def map_figure(spec: AreasAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    """Observed, estimated, its uncertainty, and the exceedance probability: four maps."""
    scale = scale_of(spec)
    table = estimates_table(scale, result).set_index("area").loc[data.geometry["area"].tolist()]
    number = form(scale, table["lower"], table["upper"])
    threshold = thresholds(spec, data)[0]
    above = f"{threshold * 100:g}%" if number.percent else f"{threshold:g}"
    probability = table[exceedance_column(scale.quantity, threshold)].to_numpy()
    sure = probability > CERTAIN
    level = f"{spec.interval:.0%}"
    colours, width = _colours(scale, spec, table, level)
    classes = class_scale(
        f"posterior probability that the {scale.noun} is above {above}"
        if not scale.ratio
        else f"posterior probability that RR > {above}",
        ["to 0.05", "to 0.2", "to 0.8", "to 0.95", "> 0.95"],
    )
    titles = _TITLES[scale.quantity]
    figure = draw_maps(
        data.geometry,
        [
            MapPanel(f"A  {titles[0]}", table[scale.raw].to_numpy(), colours),
            MapPanel(f"B  {titles[1]}", table["mean"].to_numpy(), colours, sure),
            MapPanel(f"C  {titles[2]}", width.values, width.scale),
            MapPanel(
                f"D  Is the {scale.symbol} above {above}?",
                np.digitize(probability, CLASSES, right=True),
                classes,
                sure,
            ),
        ],
        outline_label=f"P({scale.symbol} > {above}) > {CERTAIN:g}",
        missing_label=_missing(spec, data),
    )
    low, high = table["mean"].idxmin(), table["mean"].idxmax()
    raised = {
        "rr": f"Where the risk of {spec.cases_name} is raised",
        "prevalence": f"Where {spec.cases_name} are frequent",
        "mean": f"{spec.value_name} by area",
    }
    observed = {
        "rr": "observed over expected cases",
        "prevalence": "cases over persons examined",
        "mean": "direct estimates",
    }
    uncertain = "the ratio of the ends" if scale.ratio else "the width"
    return NamedFigure(
        "maps",
        figure,
        raised[scale.quantity],
        f"A: {observed[scale.quantity]}. B: posterior mean of the {scale.noun} from the model "
        f"{result.name}, on the colours of A; colours end where the arrows are. C: how uncertain B is, as "
        f"{uncertain} of its {level} posterior interval. D: posterior probability that the "
        f"{scale.noun} is above {above}. Heavy outlines in B and D: that probability is above "
        f"{CERTAIN:g}.",
        f"Four maps of {len(table)} areas. The smoothed {scale.noun} runs from "
        f"{number(table.at[low, 'mean'])} in {table.at[low, 'name']} to {number(table.at[high, 'mean'])} in "
        f"{table.at[high, 'name']}; in {sure.sum()} areas the probability of a {scale.noun} above {above} is "
        f"more than {CERTAIN:g}.",
        result.name,
    )


def _colours(
    scale: Scale, spec: AreasAnalysis, table: pd.DataFrame, level: str
) -> tuple[ColourScale, MapPanel]:
    """Colours of the raw and smoothed values, and the width of the intervals with its own."""
    raw, mean = table[scale.raw].to_numpy(), table["mean"].to_numpy()
    lower, upper = table["lower"].to_numpy(), table["upper"].to_numpy()
    if scale.ratio:
        colours = ratio_scale("ratio to the expected count (log scale)", mean, np.concatenate([mean, raw]))
        label = f"upper / lower end of the {level} interval"
        return colours, MapPanel("", upper / lower, sequential_scale(label, upper / lower, log=True))
    percent = scale.quantity == "prevalence"
    label = f"share of {spec.cases_name}" if percent else spec.value_name
    colours = _few_digits(sequential_scale(label, mean), percent)
    below, above = (raw < mean.min()).any(), (raw > mean.max()).any()
    ends = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    colours = replace(colours, extend=ends[int(below), int(above)])
    label = f"width of the {level} interval"
    return colours, MapPanel("", upper - lower, _few_digits(sequential_scale(label, upper - lower), percent))


def _few_digits(scale: ColourScale, percent: bool) -> ColourScale:
    """Ticks with two digits of what is between them, as percentages where they are shares."""
    factor = 100 if percent else 1
    step = factor * (scale.ticks[1] - scale.ticks[0])
    decimals = max(0, 1 - math.floor(math.log10(step)))
    sign = "%" if percent else ""
    return replace(scale, labels=[f"{factor * tick:,.{decimals}f}{sign}" for tick in scale.ticks])


def _missing(spec: AreasAnalysis, data: Dataset) -> str:
    if spec.scale == "mean":
        return "no direct estimate"
    suppressed = "no or suppressed" if data.facts.get("suppressed") else "no"
    return f"{suppressed} case count, or nobody at risk"
