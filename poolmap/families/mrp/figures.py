"""Figures of multilevel regression and poststratification."""

from __future__ import annotations

from collections.abc import Mapping

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.mrp.contrast_figures import contrast_figures
from poolmap.families.mrp.data_figures import composition_figure
from poolmap.families.mrp.group_figures import group_figure
from poolmap.families.mrp.left_out_figures import left_out_levels_figure
from poolmap.families.mrp.map_figures import map_figures
from poolmap.families.mrp.model_figures import (
    contribution_figure,
    models_figure,
    shrinkage_figure,
)
from poolmap.families.mrp.report_words import estimates_of_grouping
from poolmap.families.mrp.time_figures import time_figure
from poolmap.families.mrp.truth_figures import truth_figures
from poolmap.families.mrp.validation_figures import expected_error_figure, factor_figure, left_out_figure


def figures(spec: MrpAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """Each figure where its data are there: groups, maps, time, shrinkage, truth, contrasts, checks.

    The groups' estimates are those of the primary model; further models are compared with it.

    Args:
        spec: the analysis.
        data: from `ingest`, with the polygons where there is a map.
        results: the fitted models by name.
    """
    primary = next(iter(results.values()))
    order = data.facts.get("order", {})
    made: list[NamedFigure | None] = []
    for grouping in spec.groupings()[1:]:
        table = estimates_of_grouping(spec, primary, grouping)
        if table is None or table.empty:
            continue
        over_time = None
        if spec.time is not None and spec.time in grouping:
            over_time = time_figure(spec, data, primary, grouping, table)
        made.append(over_time or group_figure(spec, order, primary, grouping, table))
        if spec.map is not None and grouping == (spec.map.variable,) and data.geometry is not None:
            made += map_figures(spec, data, primary, table)
        made += truth_figures(spec, primary, grouping, table)
        if over_time is None:
            made.append(shrinkage_figure(spec, primary, grouping, table))
            made.append(models_figure(spec, results, grouping))
    made += contrast_figures(spec, order, primary)
    made.append(composition_figure(spec, data))
    made += [contribution_figure(spec, result) for result in results.values()]
    made += [factor_figure(spec, result) for result in results.values()]
    made += [left_out_levels_figure(spec, order, result) for result in results.values()]
    made.append(left_out_figure(spec, order, results))
    made.append(expected_error_figure(spec, primary))
    return [figure for figure in made if figure is not None]
