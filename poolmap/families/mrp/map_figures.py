"""Maps of the estimates of one variable, with their uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.mrp.report_words import (
    by_words,
    decimals,
    has_answers,
    is_share,
    level,
    noun,
    number_of,
    value_name,
    with_interval,
)

CERTAINTY = (1 / 3, 2 / 3)  # quantiles of the intervals' widths between the classes of certainty
CLASSES = (0.05, 0.2, 0.8, 0.95)
MISSING = "not in the census"
MOST_ANSWERS = 6


def map_figures(
    spec: MrpAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame
) -> list[NamedFigure]:
    """Estimate, width of the interval and exceedance of the thresholds; a map that fades with uncertainty.

    Args:
        spec: with a map.
        data: with the polygons.
        result: the model; table: its estimates by the map's variable.
    """
    if has_answers(spec):
        return [_of_answers(spec, data, result, table)]
    return [_side_by_side(spec, data, result, table), _fading(spec, data, result, table)]


def _on_map(data: Dataset, variable: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of the polygons, NaN where there is none."""
    return table.set_index(variable).reindex(data.geometry["area"].to_numpy())


def _ticks(scale, values: np.ndarray, spec: MrpAnalysis):
    """The scale with labels of just as many decimals as its ticks need."""
    from dataclasses import replace

    step = abs(scale.ticks[1] - scale.ticks[0])
    places = decimals([step], 2 if is_share(spec) else 0)
    return replace(scale, labels=[f"{tick:,.{places}f}" for tick in scale.ticks])


def _sequential(label: str, values: np.ndarray, spec: MrpAnalysis):
    from poolmap.figures.rows import in_lines
    from poolmap.figures.scales import sequential_scale

    return _ticks(sequential_scale(in_lines(label, 52), values), values, spec)


def _side_by_side(spec: MrpAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame) -> NamedFigure:
    from poolmap.figures.choropleth import MapPanel, draw_maps
    from poolmap.figures.scales import class_scale

    variable = spec.map.variable
    rows = _on_map(data, variable, table)
    mean = rows["mean"].to_numpy(dtype=float)
    width = (rows["upper"] - rows["lower"]).to_numpy(dtype=float)
    panels = [
        MapPanel("Estimate", mean, _sequential(value_name(spec), mean, spec)),
        MapPanel("Uncertainty", width, _sequential(f"width of the {level(spec)} interval", width, spec)),
    ]
    above = ""
    for threshold in spec.thresholds[:2]:
        column = f"p_{noun(spec)}_gt_{threshold:g}"
        if column in rows:
            probability = rows[column].to_numpy(dtype=float)
            classed = np.where(
                np.isnan(probability), np.nan, np.digitize(probability, CLASSES, right=True).astype(float)
            )
            words = ["to 0.05", "to 0.2", "to 0.8", "to 0.95", "> 0.95"]
            scale = class_scale(f"posterior probability of more than {threshold:g}", words)
            panels.append(MapPanel(f"Above {threshold:g}?", classed, scale))
            above += f" Also: the posterior probability of being above {threshold:g}."
    figure = draw_maps(data.geometry, panels, missing_label=MISSING, credit=spec.map.credit)
    number = number_of(spec, table)
    low, high = table.iloc[int(table["mean"].argmin())], table.iloc[int(table["mean"].argmax())]
    return NamedFigure(
        name=f"map_{spec.table_name((variable,))}_{result.name}",
        figure=figure,
        title=f"Map by {by_words((variable,))}",
        caption=f"MrP estimates of the {value_name(spec)} (posterior mean), and the width of their "
        f"{level(spec)} intervals: the wider, the less the data say.{above}{_hatched(mean)} "
        f"Model {result.name}.",
        alt=f"{len(panels)} maps of {len(mean)} areas. The estimated {noun(spec)} runs from "
        f"{with_interval(number, low)} in {low[variable]} to {with_interval(number, high)} in "
        f"{high[variable]}; intervals are {number(np.nanmin(width))} to {number(np.nanmax(width))} wide.",
        model=result.name,
    )


def _classes(width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes of certainty, 0 to 2, and the widths between them."""
    bounds = np.nanquantile(width, CERTAINTY)
    filled = np.where(np.isnan(width), np.inf, width)
    return len(bounds) - np.digitize(filled, bounds, right=True), bounds


def _fading(spec: MrpAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame) -> NamedFigure:
    """Estimate and certainty in one map: colours fade where the estimate is uncertain (value by alpha)."""
    from poolmap.figures.choropleth import MapPanel, draw_maps

    variable = spec.map.variable
    rows = _on_map(data, variable, table)
    mean = rows["mean"].to_numpy(dtype=float)
    classes, bounds = _classes((rows["upper"] - rows["lower"]).to_numpy(dtype=float))
    panel = MapPanel("", mean, _sequential(value_name(spec), mean, spec), certainty=classes)
    figure = draw_maps(data.geometry, [panel], missing_label=MISSING, credit=spec.map.credit)
    number = number_of(spec, table)
    ends = " and ".join(number(bound) for bound in bounds)
    words = (
        f"Colours are the MrP estimates of the {value_name(spec)} (posterior mean), in three strengths by "
        "how "
        f"certain they are: a third of the areas each, divided where the width of the {level(spec)} interval "
        f"is {ends}.{_hatched(mean)} Model {result.name}."
    )
    return NamedFigure(
        name=f"map_certainty_{spec.table_name((variable,))}_{result.name}",
        figure=figure,
        title="Estimate and certainty in one map",
        caption=words,
        alt=f"A map of {len(mean)} areas. {words}",
        model=result.name,
    )


def _of_answers(spec: MrpAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame) -> NamedFigure:
    """A map for each answer on one scale, fading with uncertainty."""
    from poolmap.figures.choropleth import MapPanel, draw_maps

    variable, number = spec.map.variable, number_of(spec, table)
    answers = list(dict.fromkeys(table["answer"]))
    scale = _sequential("share of the answer", table["mean"].to_numpy(dtype=float), spec)
    every = (table["upper"] - table["lower"]).to_numpy(dtype=float)
    bounds = np.nanquantile(every, CERTAINTY)
    panels, words, none = [], [], np.zeros(0)
    for answer in answers[:MOST_ANSWERS]:
        of = table[table["answer"] == answer]
        rows = _on_map(data, variable, of)
        none = rows["mean"].to_numpy(dtype=float)
        width = (rows["upper"] - rows["lower"]).to_numpy(dtype=float)
        classes = len(bounds) - np.digitize(np.where(np.isnan(width), np.inf, width), bounds, right=True)
        panels.append(MapPanel(str(answer), none, scale, certainty=classes))
        low, high = of.iloc[int(of["mean"].argmin())], of.iloc[int(of["mean"].argmax())]
        words.append(
            f"'{answer}' from {with_interval(number, low)} in {low[variable]} to "
            f"{with_interval(number, high)} in {high[variable]}"
        )
    cut = f" The first {MOST_ANSWERS} of {len(answers)} answers." if len(answers) > MOST_ANSWERS else ""
    return NamedFigure(
        name=f"map_{spec.table_name((variable,))}_{result.name}",
        figure=draw_maps(data.geometry, panels, missing_label=MISSING, credit=spec.map.credit),
        title=f"Map by {by_words((variable,))}",
        caption=f"MrP estimates of the {value_name(spec)} (posterior mean), a map for each answer, all on "
        "one "
        f"scale. Colours fade by the width of the {level(spec)} interval: full to {number(bounds[0])}, "
        "fainter "
        f"to {number(bounds[1])}, faintest beyond.{cut}{_hatched(none)} Model {result.name}.",
        alt=f"{len(panels)} maps of {len(none)} areas. Shares run, of {'; of '.join(words)}.",
        model=result.name,
    )


def _hatched(mean: np.ndarray) -> str:
    none = int(np.isnan(mean).sum())
    if none == 0:
        return ""
    who = "One area of the map is" if none == 1 else f"{none} areas of the map are"
    return f" {who} {MISSING} and hatched."
