"""Figures of refits: without each study, as studies are added, and empirical beside full Bayes."""

from __future__ import annotations

import numpy as np

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.figure_words import analysed, analysed_axis, reported_axis, shown
from poolmap.families.meta.numbers import effect_name, interval_of, level, number, pooled_row, with_interval
from poolmap.figures.refits import MOST_ROWS, cumulative_forest, cumulative_steps, leave_one_out_forest
from poolmap.figures.shrinkage import MOST_STUDIES, shrinkage


def leave_one_out_figure(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    """The pooled effect without each study in turn, from the model's companion table."""
    scale, table = scale_of(spec), result.companions["leave_one_out"]
    whole = pooled_row(result.estimates["pooled"], scale.report)
    values = {end: scale.natural(table[f"mu_{end}"].to_numpy()) for end in ("median", "lower", "upper")}
    name, percent = effect_name(spec), level(spec.interval)
    figure = leave_one_out_forest(
        table["study"].tolist(),
        *values.values(),
        interval_of(whole),
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=reported_axis(spec, "pooled "),
    )
    furthest = table.loc[table["mu_shift"].abs().idxmax()]
    said = (
        f"Leaving out {furthest['study']} changes the pooled {name} most, by {abs(furthest['mu_shift']):.1f} "
        "posterior standard deviations."
    )
    few = ""
    if len(table) > MOST_ROWS:
        few = (
            f"Of the {len(table)} studies the {MOST_ROWS} without which it moves most have a row each; one "
            f"row shows the range of the other {len(table) - MOST_ROWS}; the table leave_one_out has all. "
        )
    caption = (
        f"The pooled {name} without each study in turn: posterior median and {percent} interval, from the "
        f"exact posterior by quadrature. {few}The band is the interval of all studies. {said} "
        f"Model {result.name}."
    )
    return NamedFigure("leave_one_out", figure, "Leave-one-out", caption, said, result.name)


def cumulative_figure(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    """The pooled effect as studies are added, exact where the companion table is, else classical."""
    scale, table = scale_of(spec), result.companions["cumulative"]
    exact = "mu_median" in table
    columns = ("mu_median", "mu_lower", "mu_upper") if exact else ("mu", "lower", "upper")
    values = [scale.natural(table[column].to_numpy()) for column in columns]
    name, percent = effect_name(spec), level(spec.interval)
    by = [_plain(value) for value in table["by"]]
    figure = cumulative_forest(
        table["study"].astype(str).tolist(),
        *values,
        by=by,
        log=bool(scale.ratio),
        null=scale.null if scale.contrast else None,
        label=reported_axis(spec, "pooled "),
    )
    how = (
        f"posterior median and {percent} interval, from the exact posterior by quadrature with the priors of "
        f"model {result.name}"
        if exact
        else f"classical random-effects estimate (REML) with its {percent} confidence interval"
    )
    steps = ""
    if len(cumulative_steps(by)) < len(table):
        steps = " A row adds several studies; the table cumulative has one for each."
    caption = (
        f"The pooled {name} of the studies so far, as they are added from the top in the order of "
        f"'{spec.cumulative}': {how}.{steps} The last row holds all studies. Looks at the same "
        "question again and again are not independent of each other: an interval that once left no effect "
        "out is not a test."
    )
    first, last = (
        with_interval(tuple(float(column[i]) for column in values), lambda x: shown(spec, x)) for i in (0, -1)
    )
    alt = f"Cumulative meta-analysis: the pooled {name} goes from {first} with one study to {last} with all."
    return NamedFigure("cumulative", figure, "Cumulative meta-analysis", caption, alt, result.name)


def shrinkage_figure(spec: MetaAnalysis, result: ModelResult) -> NamedFigure:
    """Each study alone, by empirical and by full Bayes, from the companion table."""
    scale, table = scale_of(spec), result.companions["empirical_bayes"]
    name, percent = analysed(spec), level(spec.interval)
    names = table.loc[table["method"] == "none", "study"].tolist()
    figure = shrinkage(names, table, log=bool(scale.ratio), label=analysed_axis(spec))
    tau = table.groupby("method")["tau"].first()
    ml = table[table["method"] == "ml"]
    studies, pooled = (ml.loc[ml["quantity"] == what, "width_ratio"] for what in ("theta", "mu"))
    known, mean = (number(tau[method], 3) for method in ("ml", "full"))
    said = (
        f"Taking tau as known to be its maximum-likelihood estimate ({known}; posterior mean "
        f"{mean}) makes the studies' intervals {studies.median():.2f} times as wide as full "
        f"Bayes does (median of the studies), and that of the pooled {name} "
        f"{float(pooled.iloc[0]):.2f} times."
    )
    few = ""
    if len(names) > MOST_STUDIES:
        few = (
            f"Of the {len(names)} studies those {MOST_STUDIES} are drawn whose estimate full Bayes moves "
            "most; the table empirical_bayes has all. "
        )
    caption = (
        f"What ignoring the uncertainty of tau costs: each study's {name} with its {percent} interval by "
        "itself (no pooling), by empirical Bayes, which takes tau as known (maximum likelihood), and by full "
        f"Bayes, which does not. {said} {few}The most precise study stands on top, the pooled {name} below. "
        f"Priors of model {result.name}."
    )
    return NamedFigure("shrinkage", figure, "Empirical and full Bayes", caption, said, result.name)


def _plain(value: object) -> str:
    """A year or date as it stands in the table: 1987, not 1987.0."""
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)
