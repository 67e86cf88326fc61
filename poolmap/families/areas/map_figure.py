"""The maps of one model: what was observed, what is estimated, how surely, and above the threshold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.areas.findings import CERTAIN, estimates_table
from poolmap.families.areas.scales import Scale, exceedance_column, form, scale_of, thresholds
from poolmap.figures.choropleth import MapPanel, draw_maps
from poolmap.figures.scales import class_breaks, class_scale, ratio_scale, sequential_scale

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis
    from poolmap.figures.scales import Scale as ColourScale

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


CERTAINTY = (1 / 3, 2 / 3)  # quantiles of the intervals' widths between the classes of certainty


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
        missing_label=_missing(spec),
        hatched=_suppressed(data),
        credit=spec.map.credit,
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
    ends = "" if colours.extend == "neither" else "; colours end where the arrows are"
    uncertain = "the ratio of the ends" if scale.ratio else "the width"
    return NamedFigure(
        "maps",
        figure,
        raised[scale.quantity],
        f"A: {observed[scale.quantity]}. B: posterior mean of the {scale.noun} from the model "
        f"{result.name}, on the colours of A{ends}. C: how uncertain B is, as "
        f"{uncertain} of its {level} posterior interval. D: posterior probability that the "
        f"{scale.noun} is above {above}. Heavy outlines in B and D: that probability is above "
        f"{CERTAIN:g}.",
        f"Four maps of {len(table)} areas. The smoothed {scale.noun} runs from "
        f"{number(table.at[low, 'mean'])} in {table.at[low, 'name']} to {number(table.at[high, 'mean'])} in "
        f"{table.at[high, 'name']}; in {sure.sum()} areas the probability of a {scale.noun} above {above} is "
        f"more than {CERTAIN:g}.",
        result.name,
    )


def fading_map(spec: AreasAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    """Estimate and certainty in one map: colours fade where the estimate is uncertain (value by alpha)."""
    scale = scale_of(spec)
    table = estimates_table(scale, result).set_index("area").loc[data.geometry["area"].tolist()]
    level = f"{spec.interval:.0%}"
    colours, width = _colours(scale, spec, table, level)
    bounds = np.quantile(width.values, CERTAINTY)
    classes = len(bounds) - np.digitize(width.values, bounds, right=True)
    panel = MapPanel(f"Smoothed {scale.noun}", table["mean"].to_numpy(), colours, certainty=classes)
    figure = draw_maps(data.geometry, [panel], credit=spec.map.credit)
    measure = "ratio of the ends" if scale.ratio else "width"
    ends = " and ".join(f"{bound:.2g}" for bound in bounds)
    words = (
        f"Colours are the posterior mean of the {scale.noun} from the model {result.name}, in three "
        f"strengths by how certain it is: a third of the areas each, divided where the {measure} of the "
        f"{level} posterior interval is {ends}. What stands out is both far from the average and certain."
    )
    alt = f"A map of {len(table)} areas. {words}"
    return NamedFigure("map_certainty", figure, "Estimate and certainty in one map", words, alt, result.name)


def _colours(
    scale: Scale, spec: AreasAnalysis, table: pd.DataFrame, level: str
) -> tuple[ColourScale, MapPanel]:
    """Colours of the raw and smoothed values, and the width of the intervals with its own."""
    raw, mean = table[scale.raw].to_numpy(), table["mean"].to_numpy()
    lower, upper = table["lower"].to_numpy(), table["upper"].to_numpy()
    if scale.ratio:
        shown = np.concatenate([mean, raw])
        breaks = _breaks(spec, mean)
        what = "ratio to the expected count" + ("" if breaks else " (log scale)")
        colours = ratio_scale(what, mean, shown, breaks)
        label = f"upper / lower end of the {level} interval"
        return colours, MapPanel("", upper / lower, sequential_scale(label, upper / lower, log=True))
    percent = scale.quantity == "prevalence"
    label = f"share of {spec.cases_name}" if percent else spec.value_name
    breaks = _breaks(spec, mean)
    colours = sequential_scale(label, mean, percent=percent, breaks=breaks)
    if not breaks:
        colours = _few_digits(colours, percent)
    below, above = (raw < mean.min()).any(), (raw > mean.max()).any()
    ends = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    if not breaks:
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


def _breaks(spec: AreasAnalysis, values: NDArray[np.float64]) -> list[float]:
    """Between the classes of the estimate; none where it is shaded without classes."""
    if spec.map.classes == "none":
        return list(spec.map.breaks)
    return class_breaks(values, spec.map.classes, spec.map.number)


def _missing(spec: AreasAnalysis) -> str:
    return "no direct estimate" if spec.scale == "mean" else "no case count, or nobody at risk"


def _suppressed(data: Dataset) -> dict[str, NDArray[np.bool_]]:
    """Areas whose count is known by its range only, in the order of the map."""
    ids = data.facts.get("suppressed", [])
    if not ids:
        return {}
    return {"suppressed count, known by its range": data.geometry["area"].isin(ids).to_numpy()}
