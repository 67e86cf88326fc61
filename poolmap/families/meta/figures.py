"""Figures of a meta-analysis: the forest plot, its studies one by one, and the models side by side."""

from __future__ import annotations

from collections.abc import Mapping

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.meta.forest_figure import forest_figure
from poolmap.families.meta.model_figures import bubble_figures, models_figure, pooling_figure
from poolmap.families.meta.study_figures import study_figures


def figures(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """The forest plot of the primary model and plots of its studies; regressions, subgroups, the models.

    Of the other models those with subgroups get a forest plot and those with a formula a bubble plot of
    their own.
    """
    primary = next(iter(results.values()))
    made = [forest_figure(spec, data, primary)]
    for name, result in results.items():
        if result is not primary and "subgroups" in result.estimates:
            made.append(forest_figure(spec, data, result, f"forest_{name}"))
    for name, result in results.items():
        made += bubble_figures(spec, data, result, "bubble" if result is primary else f"bubble_{name}")
    made += study_figures(spec, data, primary)
    plain = {
        spec.models[m].effects for m in results if not (spec.models[m].formula or spec.models[m].subgroups)
    }
    if plain & {"common", "independent"} and plain & {"normal", "student_t"}:
        made.append(pooling_figure(spec, data, results))
    if sum("pooled" in result.estimates for result in results.values()) > 1:
        made.append(models_figure(spec, results))
    return made
