"""Figures of a meta-analysis: the forest plot, and the models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, Dataset, ModelResult, NamedFigure
from poolmap.families.meta.arms import arm_cells, cells_in_words
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.study_figures import study_figures
from poolmap.figures.forest import ForestRow, Summary, forest, ratio_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """The forest plot of the primary model and plots of its studies; the models side by side."""
    primary = next(iter(results.values()))
    made = [_forest(spec, data, primary), *study_figures(spec, data, primary)]
    if len(results) > 1:
        made.append(_models(spec, results))
    return made


def _forest(spec: MetaAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    scale = scale_of(spec)
    pooled = result.estimates["pooled"]
    table = result.estimates["studies"]
    table = table[table["quantity"] == scale.report].set_index("study")
    studies = data.tables["studies"]
    headings, columns = arm_cells(spec, studies)
    effect, new = (pooled_row(pooled, f"{scale.report}{end}") for end in ("", "_new"))
    write_one = writer(scale, [effect["sd"], *table["sd"]])
    percent = level(spec.interval)

    rows = []
    for i, study in enumerate(studies["study"]):
        found = table.loc[study]
        cells = [column[i] for column in columns]
        raw = (float(found["raw"]), float(found["raw_lower"]), float(found["raw_upper"]))
        rows.append(ForestRow(study, cells, raw, interval_of(found), float(found["weight"])))

    tau, i2 = pooled_row(pooled, "tau"), pooled_row(pooled, "i2")
    places = decimals(float(tau["sd"]))
    tau_text = with_interval(interval_of(tau), lambda x: number(x, places))
    i2_text = with_interval(interval_of(i2), lambda x: f"{x:.0f}%")
    note = f"Heterogeneity ({percent} intervals): τ {tau_text}; I² {i2_text}"
    pooled_label = f"Pooled {'effect' if scale.contrast else scale.report_words}"
    figure = forest(
        rows,
        [
            Summary(pooled_label, interval_of(effect), "diamond"),
            Summary("New study (prediction)", interval_of(new), "line"),
        ],
        headings=headings,
        effect=scale.short,
        interval_heading=f"{percent} interval",
        axis_label=effect_name(spec) + (" (log axis)" if scale.ratio else ""),
        write=lambda value: with_interval(value, write_one),
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        favours=spec.favours,
        note=note,
    )
    name = effect_name(spec)
    text = with_interval(interval_of(effect), write_one, f"{percent} interval")
    predicted = with_interval(interval_of(new), write_one, f"{percent} interval")
    solid = ", the solid one no effect" if scale.contrast else ""
    caption = (
        f"Each study's own {name} with its {percent} confidence interval (filled square, area by weight; "
        f"upper text) and its {name} given all studies (open circle, dashed {percent} posterior interval; "
        f"lower text in italics). The diamond is the pooled {name}, the capped line the {percent} prediction "
        f"interval for a new study; the dotted line marks the pooled effect{solid}. "
        "Estimates of the model are posterior medians; an interval that leaves the axis ends in an arrow. "
        f"Model {result.name}."
    )
    if data.facts.get("corrected"):
        which = "All studies" if spec.zero_cells.to == "all" else "Studies with a zero cell"
        added = f"{data.facts['correction']:g} added to {cells_in_words(spec)}"
        caption += f" {which}: {added} for the study's own estimate."
    alt = f"Forest plot of {len(rows)} studies. Pooled {name} {text}; prediction for a new study {predicted}."
    return NamedFigure("forest", figure, "Forest plot", caption, alt, result.name)


def _models(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> NamedFigure:
    scale = scale_of(spec)
    found = {
        name: [
            pooled_row(result.estimates["pooled"], q) for q in (scale.report, f"{scale.report}_new", "tau")
        ]
        for name, result in results.items()
    }
    name, percent = effect_name(spec), level(spec.interval)
    write = writer(scale, [rows[0]["sd"] for rows in found.values()])
    figure = draw_models(
        list(found),
        [[interval_of(row) for row in rows] for rows in found.values()],
        panels=[f"Pooled {name}", "New study (prediction)", "τ, between studies"],
        log=bool(scale.ratio),
        contrast=scale.contrast,
    )
    spoken = "; ".join(
        f"{model} {with_interval(interval_of(rows[0]), write, f'{percent} interval')}"
        for model, rows in found.items()
    )
    stamped = [model for model, result in results.items() if not result.passed]
    caption = (
        f"Posterior median and {percent} interval by model: pooled {name}, {name} in a new study, and the "
        f"between-study standard deviation tau (of the {scale.words})."
        + (f" Do not use: {', '.join(stamped)} failed its checks." if stamped else "")
    )
    alt = f"Pooled {name} by model: {spoken}."
    return NamedFigure("models", figure, "Models side by side", caption, alt, EVERY_MODEL)


def draw_models(
    models: list[str],
    values: list[list[tuple[float, float, float]]],
    *,
    panels: list[str],
    log: bool,
    contrast: bool = True,
) -> Figure:
    """Dots and whiskers of several quantities (panels) by model (rows).

    Args:
        models: names, the primary one first (drawn on top).
        values: for each model, for each panel: estimate, lower and upper end.
        panels: what each panel shows; the last is a standard deviation.
        log: log axis for all panels but the last (no effect is 1), else linear (no effect is 0).
        contrast: whether there is such a value of no effect, to be marked with a line.
    """
    import matplotlib
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    from poolmap.figures.style import BLUE, INK, MUTED, RC, new_figure

    marks = ["o", "s", "D", "^", "v", "P", "X", "*"]
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 0.75 + 0.32 * len(models))
        grid = figure.subplots(1, len(panels), sharey=True)
        for j, axes in enumerate(grid):
            last = j == len(panels) - 1
            for i, row in enumerate(values):
                estimate, lower, upper = row[j]
                color = INK if i == 0 else BLUE
                axes.plot(
                    [lower, upper], [i, i], color=color, linewidth=1.5, linestyle="-" if i == 0 else "--"
                )
                axes.plot(
                    [estimate], [i], marker=marks[i % len(marks)], color=color, markersize=6,
                    markerfacecolor=color if i == 0 else "white", linestyle="none",
                )  # fmt: skip
            axes.set_xlabel(panels[j], parse_math=False)
            axes.set_ylim(len(models) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            if last:
                axes.set_xlim(left=0)
                axes.xaxis.set_major_locator(MaxNLocator(4))
                continue
            if contrast:
                axes.axvline(1.0 if log else 0.0, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
            if log:
                axes.set_xscale("log")
                low, high = axes.get_xlim()
                axes.xaxis.set_major_locator(FixedLocator(ratio_ticks(low, high, 5)))
                axes.xaxis.set_minor_locator(NullLocator())
                axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        grid[0].set_yticks(np.arange(len(models)), models)
        grid[0].tick_params(axis="y", labelcolor=INK)
    return figure
