"""Figures that compare models of a meta-analysis, or draw its regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, Dataset, ModelResult, NamedFigure
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import effect_name, interval_of, level, pooled_row, with_interval, writer
from poolmap.figures.bubble import bubble
from poolmap.figures.forest import ratio_ticks
from poolmap.figures.pooling import Pooling, pooling

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POOLING_WORDS = {"none": "no pooling", "partial": "partial", "complete": "complete"}
MOST_OF_A_KIND = {"none": 2, "partial": 4, "complete": 2}
"""Models that the figure can tell apart."""


def models_figure(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> NamedFigure:
    """Pooled effect, prediction and tau of all models that pool, side by side."""
    scale = scale_of(spec)
    name, percent = effect_name(spec), level(spec.interval)
    panels = {
        scale.report: f"Pooled {name}",
        f"{scale.report}_new": "New study (prediction)",
        "tau": "τ, between studies",
    }
    found = {
        model: {q: pooled_row(table, q) for q in panels if q in set(table["quantity"])}
        for model, table in (
            (m, r.estimates["pooled"]) for m, r in results.items() if "pooled" in r.estimates
        )
    }
    shown = [q for q in panels if any(q in rows for rows in found.values())]
    write = writer(scale, [rows[scale.report]["sd"] for rows in found.values()])
    figure = draw_models(
        list(found),
        [[interval_of(rows[q]) if q in rows else None for q in shown] for rows in found.values()],
        panels=[panels[q] for q in shown],
        log=bool(scale.ratio),
        contrast=scale.contrast,
        spread_last=shown[-1] == "tau",
    )
    spoken = "; ".join(
        f"{model} {with_interval(interval_of(rows[scale.report]), write, f'{percent} interval')}"
        for model, rows in found.items()
    )
    stamped = [model for model, result in results.items() if not result.passed]
    caption = (
        f"Posterior median and {percent} interval by model: pooled {name}, {name} in a new study, and the "
        f"between-study standard deviation tau (of the {scale.words}); an empty place stands for what a "
        "model has not." + (f" Do not use: {', '.join(stamped)} failed its checks." if stamped else "")
    )
    alt = f"Pooled {name} by model: {spoken}."
    return NamedFigure("models", figure, "Models side by side", caption, alt, EVERY_MODEL)


def pooling_figure(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> NamedFigure:
    """No, partial and complete pooling: models of unrelated, varying and common effects in one figure."""
    scale, studies = scale_of(spec), data.tables["studies"]
    name, percent = effect_name(spec), level(spec.interval)
    kinds = {"independent": "none", "common": "complete"}
    shown: dict[str, Pooling] = {}
    for model, result in results.items():
        chosen = spec.models[model]
        if chosen.formula or chosen.subgroups:
            continue
        kind = kinds.get(chosen.effects, "partial")
        table = result.estimates["studies"]
        rows = table.loc[table["quantity"] == scale.report, ["median", "lower", "upper"]].to_numpy()
        pooled = result.estimates.get("pooled")
        value = None if pooled is None else interval_of(pooled_row(pooled, scale.report))
        if sum(one.kind == kind for one in shown.values()) < MOST_OF_A_KIND[kind]:
            words = f"{POOLING_WORDS[kind]} ({model})"
            shown[words] = Pooling(kind, None if kind == "complete" else rows, value)
    labels = studies["study"]
    if "effect_id" in studies:
        labels = labels + ", " + studies["effect_id"]
    figure = pooling(
        labels.tolist(),
        shown,
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=name + (" (log axis)" if scale.ratio else ""),
    )
    caption = (
        f"Each study's {name} with its {percent} posterior interval under models that pool differently: "
        "not at all (unrelated effects), partially (effects around a common mean: drawn to it, the more the "
        "less a study says), completely (one effect for all: the line with its band). At the foot, the "
        "pooled effect of each model that has one."
    )
    write = writer(scale, [1.0] if scale.ratio else [float(studies["se"].min())])
    told = "; ".join(
        f"{words} {with_interval(one.pooled, write, f'{percent} interval')}"
        for words, one in shown.items()
        if one.pooled
    )
    alt = f"No, partial and complete pooling of {len(studies)} {name}s. Pooled: {told}."
    return NamedFigure("pooling", figure, "No, partial and complete pooling", caption, alt, EVERY_MODEL)


def bubble_figures(spec: MetaAnalysis, data: Dataset, result: ModelResult, prefix: str) -> list[NamedFigure]:
    """A bubble plot for each number of the formula that has a line of its own.

    Args:
        result: of a model with a formula.
        prefix: of the figures' names, `bubble` or with the model's name.
    """
    lines = result.estimates.get("regression_lines")
    if lines is None:
        return []
    scale, studies = scale_of(spec), data.tables["studies"]
    table = result.estimates["studies"]
    name, percent = effect_name(spec), level(spec.interval)
    weights = np.ones(len(studies))
    if "weight" in table:
        weights = table.loc[table["quantity"] == scale.report, "weight"].to_numpy()
    coefficients = result.estimates["coefficients"]
    quantity = "exp_beta" if scale.ratio else "beta"
    labels = (
        studies["study"] if "effect_id" not in studies else studies["study"] + ", " + studies["effect_id"]
    )
    made = []
    for position, (term, rows) in enumerate(lines.groupby("term", sort=False)):
        figure = bubble(
            data.tables["moderators"][term].to_numpy(),
            studies["yi"].to_numpy(),
            weights,
            at=rows["value"].astype(float).to_numpy(),
            line=rows["median"].to_numpy(),
            lower=rows["lower"].to_numpy(),
            upper=rows["upper"].to_numpy(),
            ratio=bool(scale.ratio),
            moderator_label=str(term),
            axis_label=(name if scale.ratio or not scale.back else scale.words)
            + (" (log axis)" if scale.ratio else ""),
            band_label=f"{percent} interval of the mean",
            null=0.0 if scale.contrast else None,
            names=labels.tolist(),
        )
        chosen = (coefficients["quantity"] == quantity) & (coefficients["term"] == term)
        slope = coefficients[chosen].iloc[0]
        told = _per_unit(slope, term, name, percent, ratio=bool(scale.ratio))
        others = (
            " Other terms of the formula stand at their average."
            if len(set(coefficients["term"])) > 1
            else ""
        )
        caption = (
            f"Each circle is a study: its own {name} against {term}, area by weight. The line is the {name} "
            f"that the regression expects (posterior median), the band its {percent} interval; studies "
            f"scatter around it by tau and by chance.{others} {told} A regression on studies compares "
            "studies, not people: what holds between studies need not hold within them. "
            f"Model {result.name}."
        )
        alt = f"Bubble plot of {len(studies)} studies against {term}. {told}"
        file = f"{prefix}_{position + 1}"
        made.append(NamedFigure(file, figure, f"Bubble plot: {term}", caption, alt, result.name))
    return made


def _per_unit(slope: pd.Series, term: str, name: str, percent: str, *, ratio: bool) -> str:
    def write(x: float) -> str:
        return f"{x:.3f}" if ratio else f"{x:.3g}"

    value = with_interval(interval_of(slope), write, f"{percent} interval")
    if ratio:
        return f"Per unit of {term} the {name} is multiplied by {value}."
    return f"Per unit of {term} the {name} changes by {value}."


def draw_models(
    models: list[str],
    values: list[list[tuple[float, float, float] | None]],
    *,
    panels: list[str],
    log: bool,
    contrast: bool = True,
    spread_last: bool = True,
) -> Figure:
    """Dots and whiskers of several quantities (panels) by model (rows).

    Args:
        models: names, the primary one first (drawn on top).
        values: for each model, for each panel: estimate, lower and upper end; None for nothing.
        panels: what each panel shows.
        log: log axis for effects (no effect is 1), else linear (no effect is 0).
        contrast: whether there is such a value of no effect, to be marked with a line.
        spread_last: whether the last panel is a standard deviation.
    """
    import matplotlib
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    from poolmap.figures.style import BLUE, INK, MUTED, RC, new_figure

    marks = ["o", "s", "D", "^", "v", "P", "X", "*"]
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 0.75 + 0.32 * len(models))
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for j, axes in enumerate(grid):
            last = spread_last and j == len(panels) - 1
            for i, row in enumerate(values):
                if row[j] is None:
                    continue
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
