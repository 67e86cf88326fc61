"""The report's words on the results of a meta-analysis: sentences, and the order of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, ModelResult
from poolmap.families.meta.classical_models import classical_model_blocks
from poolmap.families.meta.classical_report import classical_blocks
from poolmap.families.meta.describe import studies_and_effects
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.finding_tables import (
    absolute_table,
    coefficients_table,
    difference_table,
    study_table,
    subgroup_table,
    threshold_table,
)
from poolmap.families.meta.lone_words import lone_studies
from poolmap.families.meta.model_kinds import kinds, prior_of, t_df
from poolmap.families.meta.numbers import (
    Interval,
    count,
    decimals,
    df_words,
    effect_name,
    has,
    interval_of,
    level,
    listed,
    number,
    on_scale,
    pooled_row,
    probability,
    two_sides,
    whole_percent,
    with_interval,
    writer,
)
from poolmap.families.meta.pooled_table import as_sd, pooled_table
from poolmap.families.meta.usable import used_by

SAID_PAIRS = 3  # differences between subgroups told in a sentence


def findings(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """The headline of the primary model, then all models side by side and the studies."""
    primary = next(iter(results.values()))
    blocks: list[Block] = _subgroups(spec, primary)
    blocks += [_headline(spec, data, primary), _heterogeneity(spec, primary)]
    blocks += _few_studies(spec, data, primary) + lone_studies(spec, data, results)
    blocks += _thresholds(spec, primary)
    blocks += [_source(spec, primary), *_other_models(spec, results)]
    blocks.append(pooled_table(spec, results))
    for result in results.values():
        if "coefficients" in result.estimates:
            blocks.append(coefficients_table(spec, result))
        if "subgroups" in result.estimates:
            blocks += [subgroup_table(spec, result), difference_table(spec, result)]
    blocks += threshold_table(spec, results) + absolute_table(spec, results)
    if "classical" in primary.companions:
        blocks += classical_blocks(spec, primary)
    for result in results.values():
        blocks += classical_model_blocks(spec, result)
    blocks += [
        study_table(spec, result)
        for name, result in results.items()
        if result is primary or spec.models[name].effects != "common"  # one effect in all its rows
    ]
    return blocks


def _headline(spec: MetaAnalysis, data: Dataset, primary: ModelResult) -> str:
    scale = scale_of(spec)
    effect = pooled_row(primary.estimates["pooled"], scale.report)
    at = ", at their average," if "coefficients" in primary.estimates else ""
    if "subgroups" in primary.estimates:
        at = ", averaged over the subgroups (which makes sense only where these are of one kind),"
    write, interval = writer(scale, [effect["sd"]]), f"{level(spec.interval)} interval"
    studies = studies_and_effects(spec, used_by(spec, primary.name, data))
    text = (
        f"The pooled {effect_name(spec)} over {studies}{at} is "
        f"{with_interval(interval_of(effect), write, interval)}."
    )
    return f"{text} {_sides(spec, effect)}" if scale.contrast else text


def _sides(spec: MetaAnalysis, effect: pd.Series) -> str:
    """The posterior probability of either direction, in the words of the config where it has any."""
    null = f"{scale_of(spec).null:g}"
    below, above = two_sides(effect["p_lt_null"], effect["p_gt_null"])
    if spec.favours:
        left, right = spec.favours
        return (
            f"The posterior probability that it lies below {null} ({left}) is {below}; that it lies above "
            f"{null} ({right}), {above}."
        )
    return f"The posterior probability that it lies below {null} is {below}; above {null}, {above}."


def _heterogeneity(spec: MetaAnalysis, primary: ModelResult) -> str:
    """tau, I-squared and the prediction interval, as far as the model has them."""
    scale, name, percent = scale_of(spec), effect_name(spec), level(spec.interval)
    pooled, interval = primary.estimates["pooled"], f"{percent} interval"
    on = f" on the {on_scale(spec)}" if scale.back else ""
    text = []

    together = [q for q in ("tau", "tau_within") if has(pooled, q)] or ["icc"] * has(pooled, "icc")
    places = min((decimals(float(pooled_row(pooled, q)["sd"])) for q in together), default=2)

    def spread(values: Interval) -> str:
        return with_interval(values, lambda x: number(x, places), interval)

    def share(quantity: str) -> str:
        return with_interval(interval_of(pooled_row(pooled, quantity)), whole_percent, interval)

    if has(pooled, "tau"):
        tau = interval_of(pooled_row(pooled, "tau"))
        sd, law = _between(spec, primary.name, tau, spread)
        said = f"The {name} differs between studies with {sd}"
        if has(pooled, "tau_within"):
            within = interval_of(pooled_row(pooled, "tau_within"))
            said += f", and within studies with a standard deviation tau_within of {spread(within)}"
        said += on + law
        if has(pooled, "i2_within"):
            said += f"; I-squared is {share('i2')} between studies and {share('i2_within')} within them"
        elif has(pooled, "i2"):
            said += f"; I-squared is {share('i2')}"
        text.append(said + ".")
        if has(pooled, "r2"):
            text.append(f"The regression explains {share('r2')} of the variance between studies (R-squared).")
    elif has(primary.estimates.get("subgroups"), "tau"):
        text.append("Each subgroup has its own tau, the standard deviation between its studies.")
    elif has(pooled, "icc"):
        where = "arms" if spec.compares_arms else "studies"
        icc = spread(interval_of(pooled_row(pooled, "icc")))
        text.append(f"Risks vary between {where} with the intraclass correlation {icc}.")
    else:
        text.append(
            f"The model takes the {name} to be the same in all studies"
            + (" but for the moderators" if "coefficients" in primary.estimates else "")
            + (" of a subgroup" if "subgroups" in primary.estimates else "")
            + ": it has neither a tau nor a prediction interval, and its interval is too narrow where "
            "studies differ."
        )
    if has(pooled, f"{scale.report}_new"):
        new = pooled_row(pooled, f"{scale.report}_new")
        write = writer(scale, [pooled_row(pooled, scale.report)["sd"]])
        odds = ""
        if scale.contrast:
            below, above = two_sides(new["p_lt_null"], new["p_gt_null"])
            odds = f", with probability {below} below {scale.null:g} and {above} above it"
        text.append(
            f"In a new study like these the {name} is predicted to lie between {write(new['lower'])} and "
            f"{write(new['upper'])} ({percent} prediction interval){odds}."
        )
    return " ".join(text)


def _subgroups(spec: MetaAnalysis, primary: ModelResult) -> list[Block]:
    """The pooled effect of each subgroup, and the probability of a difference where they are few."""
    table = primary.estimates.get("subgroups")
    if table is None:
        return []
    scale, name = scale_of(spec), effect_name(spec)
    rows = table[table["quantity"] == scale.report]
    write = writer(scale, rows["sd"])
    interval = f"{level(spec.interval)} interval"
    if len(rows) > 2 * SAID_PAIRS:
        return []
    said = "; ".join(
        f"{row['subgroup']} {with_interval(interval_of(row), write, interval)}" for _, row in rows.iterrows()
    )
    text = f"By {spec.models[primary.name].subgroups}, the pooled {name} is: {said}."
    differences = primary.estimates["subgroup_differences"]
    pairs = differences[differences["quantity"] == ("ratio" if scale.ratio else "difference")]
    if len(pairs) <= SAID_PAIRS:
        odds = listed(
            [
                f"{row['subgroup']} than in {row['reference']} is {probability(row['p_gt_null'])}"
                for _, row in pairs.iterrows()
            ]
        )
        text += f" The posterior probability that it is higher in {odds}."
    return [text]


def _between(
    spec: MetaAnalysis, model: str, tau: Interval, write: Callable[[Interval], str]
) -> tuple[str, str]:
    """The standard deviation between studies; and of Student-t effects, of which tau is the scale, how so."""
    if spec.models[model].effects != "student_t":
        return f"a standard deviation tau of {write(tau)}", ""
    df = df_words(t_df(spec, model))
    if t_df(spec, model) <= 2:
        law = f", the scale of a Student-t distribution with {df}, which has no standard deviation"
        return f"a tau of {write(tau)}", law
    law = f", by a Student-t distribution with {df} and scale tau {write(tau)}"
    return f"a standard deviation of {write(as_sd(spec, model, tau))}", law


def _few_studies(spec: MetaAnalysis, data: Dataset, primary: ModelResult) -> list[Block]:
    """That tau rests on its prior where studies are few; nothing where they are not or there is no tau."""
    chosen = spec.models[primary.name]
    if not data.facts.get("few_studies") or not chosen.heterogeneous:
        return []
    prior = prior_of("tau", spec.priors(primary.name)["tau"])
    return [
        f"With {count(data.facts['n_studies'], 'study')} only, tau is known more from its prior ({prior}) "
        "than from the data, and the intervals of the pooled effect and of a new study depend on that prior: "
        "do not report them without it (see Data)."
    ]


def _source(spec: MetaAnalysis, primary: ModelResult) -> str:
    """Which model and which files the numbers above come from."""
    which = "primary model" if len(spec.models) > 1 else "model"
    return (
        f"These are results of the {which}, {primary.name} ({kinds(spec)[primary.name]}), from {spec.data}; "
        f"unrounded they stand in {primary.name}/estimates/pooled.csv."
    )


def _thresholds(spec: MetaAnalysis, primary: ModelResult) -> list[Block]:
    """The probabilities that the pooled effect, and that of a new study, lie beyond each threshold."""
    table = primary.estimates.get("thresholds")
    if table is None:
        return []
    name = effect_name(spec)
    words = {"pooled": f"the pooled {name} lies", "new": f"the {name} in a new study lies"}
    said = []
    for kind, what in words.items():
        sides = [
            (float(row["threshold"]), *two_sides(row["p_below"], row["p_above"]))
            for _, row in table[table["effect"] == kind].iterrows()
        ]
        if sides:
            odds = [f"below {at:g} is {below} (above it {above})" for at, below, above in sides]
            said.append(f"{what} {listed(odds)}")
    return [f"The posterior probability that {'; that '.join(said)}."]


def _other_models(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> list[Block]:
    """The pooled effect by the other models, and which of them do not pool."""
    scale, name = scale_of(spec), effect_name(spec)
    others = list(results.values())[1:]
    if not others:
        return []
    pooling = [result for result in others if "pooled" in result.estimates]
    text = ""
    if pooling:
        rows = {result.name: pooled_row(result.estimates["pooled"], scale.report) for result in pooling}
        write = writer(scale, [row["sd"] for row in rows.values()])
        said = "; ".join(f"{model} {with_interval(interval_of(row), write)}" for model, row in rows.items())
        text += f"The pooled {name} by the other models: {said}."
    alone = [result.name for result in others if "pooled" not in result.estimates]
    if alone:
        text += (
            f" {'Model' if len(alone) == 1 else 'Models'} {listed(alone)} "
            f"{'pools' if len(alone) == 1 else 'pool'} nothing: each study stands on its own, and there is "
            "no pooled effect."
        )
    return [text.strip()]
