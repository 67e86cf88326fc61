"""The report's words on a meta-analysis: data, model, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from poolmap.config.base import Prior
from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import EVERY_MODEL, Block, Dataset, Equation, ModelResult, ReportTable
from poolmap.families.meta.arms import arm_cells, cells_in_words, totals_in_words
from poolmap.families.meta.classical_report import classical_blocks
from poolmap.families.meta.effects import Scale, scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    ratio,
    with_interval,
    writer,
)

SHOWN_STUDIES = 40  # named one by one in a sentence


def describe(spec: MetaAnalysis, data: Dataset) -> list[Block]:
    """What came in, what was left out, which studies were corrected; the table of studies."""
    scale = scale_of(spec)
    facts = data.facts
    studies = data.tables["studies"]
    blocks: list[Block] = []
    text = f"{facts['n_studies']} studies are analysed, from {_count(facts['n_rows'], 'row')} of {spec.data}."
    text += totals_in_words(spec, data) + _measured(spec, scale)
    blocks.append(text)
    if facts.get("asymmetric"):
        blocks.append(
            f"The confidence limits of {_names(facts['asymmetric'])} lie unevenly about the estimate. Check "
            "that they stand on the same scale (of the ratio, or of its logarithm) and are not rounded too "
            "far: the standard error is computed from the distance of the limits, as if they were even."
        )

    left_out = facts["n_excluded"]
    if left_out:
        reasons = "; ".join(
            f"{row.id}: {row.reason}" for row in data.exclusions.head(SHOWN_STUDIES).itertuples()
        )
        more = f"; and {left_out - SHOWN_STUDIES} more" if left_out > SHOWN_STUDIES else ""
        blocks.append(f"Left out: {_count(left_out, 'row')} ({reasons}{more}).")
    if facts["no_information"]:
        blocks.append(
            f"{_names(facts['no_information'])}: a study without events in both arms, or with events only, "
            f"says next to nothing about a {scale.report_words} when each study has a baseline of its own, "
            "and is left out of all models. Measured as a difference (measure "
            f"{'IRD' if spec.measure == 'IRR' else 'RD'}) it would count."
        )
    if facts["corrected"]:
        exact = any(m.likelihood != "normal" for m in spec.models.values())
        which = "every study" if spec.zero_cells.to == "all" else _names(facts["corrected"])
        blocks.append(
            f"Zero cells: {facts['correction']:g} was added to {cells_in_words(spec)} of {which} for the "
            "study's own estimate and its variance, and so in models with the normal likelihood."
            + (" The exact likelihoods use the counts as they are." if exact else "")
        )
    blocks.append(_study_data(spec, studies, facts["extras"]))
    return blocks


def _measured(spec: MetaAnalysis, scale: Scale) -> str:
    """What the effect is and on which scale it is analysed."""
    if spec.measure == "GEN":
        precision = {
            "se": "its standard error",
            "variance": "its variance",
            "upper": f"its {level(spec.confidence)} confidence limits, from which the standard error is "
            "computed as their distance over twice the normal quantile",
            "p_value": "its two-sided p-value, from which the standard error is computed as for a z-test",
        }
        given = next(words for name, words in precision.items() if getattr(spec.columns, name) is not None)
        text = f" Each gives an estimate of the effect ({effect_name(spec)}) and {given}."
        return text + (" The ratios are analysed as logarithms." if scale.ratio else "")
    against = f" of {spec.arms[0]} against {spec.arms[1]}" if spec.compares_arms else ""
    text = f" {'The effect is' if scale.contrast else 'What is pooled is'} the {scale.report_words}{against}"
    if scale.inverse == "sin2":
        text += (
            f", analysed as its {scale.words} and carried back by the squared sine, the inverse for large "
            "samples (Miller's inverse depends on a sample size, which a pooled proportion does not have; "
            "Schwarzer et al. 2019)"
        )
    elif scale.inverse == "exp":
        text += f", analysed as its logarithm ({scale.name})"
    elif scale.back:
        text += f", analysed as its {scale.words} ({scale.name})"
    elif spec.measure == "PR":
        text += ", analysed as it is, so that intervals may reach beyond 0 and 1"
    return text + "."


def _study_data(spec: MetaAnalysis, studies: pd.DataFrame, extras: Sequence[str]) -> ReportTable:
    scale, percent = scale_of(spec), level(spec.interval)
    half = stats.norm.ppf(0.5 + spec.interval / 2) * studies["se"]
    write = writer(scale, [float(studies["se"].min())])
    frame = pd.DataFrame({"Study": studies["study"]})
    numeric = []
    for heading, column in zip(*arm_cells(spec, studies), strict=True):
        numeric.append(heading.replace("\n", ": "))
        frame[numeric[-1]] = column
    heading = f"{scale.short} ({percent} confidence interval)"
    values = zip(studies["yi"], studies["yi"] - half, studies["yi"] + half, strict=True)
    frame[heading] = [with_interval(tuple(scale.natural(np.array(v))), write) for v in values]
    numeric.append(heading)
    for name in extras:
        taken = name if name not in frame else f"{name} (in the file)"
        frame[taken] = studies[name].fillna("").astype(str)
    caption = "The studies as reported, each with its own estimate from its data alone."
    return ReportTable(frame, caption, numeric)


def methods(spec: MetaAnalysis, model: str, data: Dataset) -> list[Block]:
    """The model in words and equations, with the priors in force."""
    scale, name = scale_of(spec), effect_name(spec)
    priors = spec.priors(model)
    counts = spec.models[model].likelihood == "binomial"
    on_scale = scale.words if scale.back else name
    blocks: list[Block] = []
    if counts:
        link = "logit" if spec.measure == "OR" else "log"
        word = "log odds" if spec.measure == "OR" else "log risk"
        blocks += [
            "A random-effects model with the exact binomial likelihood of the counts in each arm. Study i "
            f"has a baseline, the {word} of an event in the arm {spec.arms[1]}, and an effect, its "
            f"{on_scale}; the effects vary between studies around the pooled effect mu with standard "
            "deviation tau.",
            Equation(
                r"y_{ij} \sim \mathrm{Binomial}(n_{ij}, p_{ij}), \quad "
                rf"\mathrm{{{link}}}(p_{{i2}}) = \alpha_i, \quad "
                rf"\mathrm{{{link}}}(p_{{i1}}) = \alpha_i + \theta_i",
                f"The events in arm j of study i are binomial; the {link} of the risk is the study's "
                "baseline alpha i in arm 2 and alpha i plus its effect theta i in arm 1.",
            ),
            Equation(
                r"\theta_i \sim \mathrm{Normal}(\mu, \tau^2)",
                "The effect theta i of study i is normal with mean mu and standard deviation tau.",
            ),
            "The baselines are independent between studies, so that arms are compared within studies only. "
            "Zero cells need no correction.",
        ]
        if spec.measure == "RR":
            blocks.append(
                "Risks stay below 1: given its effect, a study's baseline has its prior truncated to the "
                "values that leave both risks below 1 (and divided by its mass there, so that the "
                "distribution of the effects is not distorted)."
            )
    else:
        blocks += [
            "A random-effects model of the studies' estimates (normal-normal). The estimate y of study i "
            f"(its {on_scale}) is normal around the study's own effect with its standard error, taken as "
            "known; the effects vary between studies around the pooled effect mu with standard deviation "
            "tau.",
            Equation(
                r"y_i \sim \mathrm{Normal}(\theta_i, s_i^2), \quad "
                r"\theta_i \sim \mathrm{Normal}(\mu, \tau^2)",
                "The estimate y i of study i is normal with mean theta i and standard error s i; the effect "
                "theta i is normal with mean mu and standard deviation tau.",
            ),
            "The studies' effects are integrated out for sampling and then drawn from their exact "
            "distribution given mu, tau and the estimates, which draws each estimate towards mu by the "
            "factor B:",
            Equation(
                r"\theta_i \mid \mu, \tau, y \sim \mathrm{Normal}\left(B_i \mu + (1 - B_i) y_i, \; "
                r"(1 - B_i) s_i^2\right), \quad B_i = \frac{s_i^2}{s_i^2 + \tau^2}",
                "Given mu, tau and the estimates, theta i is normal with mean B i times mu plus 1 minus B i "
                "times y i, and variance 1 minus B i times s i squared; B i is s i squared divided by s i "
                "squared plus tau squared.",
            ),
        ]
    blocks.append(_prior_sentence(spec, priors))
    of_counts = " of the estimates computed from the counts" if counts else ""
    blocks.append(
        "The prediction interval is that of the effect in a new study like these, drawn from a normal with "
        "mean mu and standard deviation tau for each posterior draw (Higgins, Thompson & Spiegelhalter "
        "2009). I-squared is tau^2 / (tau^2 + s^2), in per cent, with s^2 the typical within-study variance "
        f"(Higgins & Thompson 2002, equation 9){of_counts}; it has a posterior distribution like tau. A "
        "study's weight is its share in the sum of the posterior means of 1 / (s_i^2 + tau^2). Estimates "
        f"are posterior medians with central {level(spec.interval)} posterior intervals."
    )
    return blocks


def _prior_sentence(spec: MetaAnalysis, priors: Mapping[str, Prior]) -> str:
    scale = scale_of(spec)
    mu, tau = priors["mu"], priors["tau"]
    on = f" on the {scale.words}" if scale.back else ""
    text = f"Priors: mu ~ {mu}{on}"
    lower, upper = (_quantile(mu, p) for p in (0.025, 0.975))
    if scale.ratio:
        text += (
            f" (95% of its mass on a {scale.ratio_words} of {ratio(np.exp(lower))} to {ratio(np.exp(upper))})"
        )
    elif scale.back:
        ends = (float(scale.natural(end)) for end in (lower, upper))
        text += " (95% of its mass on a {} of {:.3g} to {:.3g})".format(scale.back_words, *ends)
    else:
        text += f" (95% of its mass from {lower:.3g} to {upper:.3g})"
    text += (
        f"; tau ~ {tau} (half its mass below {_quantile(tau, 0.5):.2g}, 95% below {_quantile(tau, 0.95):.2g})"
    )
    if "baseline" in priors:
        text += f"; each baseline ~ {priors['baseline']}"
    return text + ". A normal is written with its mean and standard deviation."


def _quantile(prior: Prior, p: float) -> float:
    given = dict(zip(prior.CODES[prior.family][1], prior.parameters, strict=True))
    if prior.family == "exponential":
        return float(stats.expon.ppf(p, scale=1 / given["rate"]))
    half = prior.family.startswith("half_")
    family = {"normal": stats.norm, "cauchy": stats.cauchy, "student_t": stats.t(given.get("df", 1))}
    unit = family[prior.family.removeprefix("half_")]
    return float(given.get("location", 0.0) + given["scale"] * unit.ppf((1 + p) / 2 if half else p))


def findings(spec: MetaAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """The headline of the primary model, then all models side by side and the studies."""
    primary = next(iter(results.values()))
    scale, name, percent = scale_of(spec), effect_name(spec), level(spec.interval)
    pooled = primary.estimates["pooled"]
    effect, new = (pooled_row(pooled, f"{scale.report}{end}") for end in ("", "_new"))
    tau, i2 = pooled_row(pooled, "tau"), pooled_row(pooled, "i2")
    write = writer(scale, [effect["sd"]])
    interval = f"{percent} interval"
    tau_places = decimals(float(tau["sd"]))
    odds = ""
    if scale.contrast:
        below, above = (_probability(new[column]) for column in ("p_lt_null", "p_gt_null"))
        odds = f", with probability {below} below {scale.null:g} and {above} above it"

    blocks: list[Block] = [
        f"The pooled {name} over {data.facts['n_studies']} studies is "
        f"{with_interval(interval_of(effect), write, interval)}."
        + (f" {_sides(spec, effect)}" if scale.contrast else ""),
        f"The {name} differs between studies with a standard deviation tau of "
        f"{with_interval(interval_of(tau), lambda x: number(x, tau_places), interval)}"
        + (f" on the {scale.words}" if scale.back else "")
        + f"; I-squared is {with_interval(interval_of(i2), lambda x: f'{x:.0f}%', interval)}. In a new study "
        f"like these the {name} is predicted to lie between {write(new['lower'])} and {write(new['upper'])} "
        f"({percent} prediction interval){odds}.",
    ]
    others = [result for result in results.values() if result is not primary]
    if others:
        rows = {result.name: pooled_row(result.estimates["pooled"], scale.report) for result in others}
        said = "; ".join(f"{model} {with_interval(interval_of(row), write)}" for model, row in rows.items())
        blocks.append(f"The primary model is {primary.name}. The pooled {name} by the other models: {said}.")
    blocks.append(_pooled_table(spec, results))
    if "classical" in primary.companions:
        blocks += classical_blocks(spec, primary)
    blocks += [_study_table(spec, result) for result in results.values()]
    return blocks


def _sides(spec: MetaAnalysis, effect: pd.Series) -> str:
    """The posterior probability of either direction, in the words of the config where it has any."""
    null = f"{scale_of(spec).null:g}"
    below, above = (_probability(effect[column]) for column in ("p_lt_null", "p_gt_null"))
    if spec.favours:
        left, right = spec.favours
        return (
            f"The posterior probability that it lies below {null} ({left}) is {below}; that it lies above "
            f"{null} ({right}), {above}."
        )
    return f"The posterior probability that it lies below {null} is {below}; above {null}, {above}."


def _probability(p: float) -> str:
    """A probability from draws, never written as a certainty."""
    if p < 0.001:
        return "below 0.001"
    if p > 0.999:
        return "above 0.999"
    return f"{p:.3f}" if p < 0.01 or p > 0.99 else f"{p:.2f}"


def _pooled_table(spec: MetaAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    scale, name, percent = scale_of(spec), effect_name(spec), level(spec.interval)
    tables = [result.estimates["pooled"] for result in results.values()]

    def written(quantity: str) -> list[str]:
        rows = [pooled_row(table, quantity) for table in tables]
        if quantity == "i2":
            return [with_interval(interval_of(row), lambda x: f"{x:.0f}%") for row in rows]
        if scale.ratio and quantity.removesuffix("_new") == scale.ratio:
            return [with_interval(interval_of(row), writer(scale, [])) for row in rows]
        places = decimals(min(float(row["sd"]) for row in rows))
        return [with_interval(interval_of(row), lambda x: number(x, places)) for row in rows]

    lines = {f"Pooled {name}": written(scale.report)}
    if scale.back:
        lines[f"Pooled {scale.words}"] = written(scale.name)
    lines[f"{name[:1].upper()}{name[1:]} in a new study (prediction)"] = written(f"{scale.report}_new")
    lines["tau"] = written("tau")
    lines["I-squared"] = written("i2")
    for words, column in (
        [(f"P({name} < {scale.null:g})", "p_lt_null"), (f"P({name} > {scale.null:g})", "p_gt_null")]
        if scale.contrast
        else []
    ):
        lines[words] = [_probability(pooled_row(table, scale.report)[column]) for table in tables]
    frame = pd.DataFrame(list(lines.values()), columns=list(results))
    frame.insert(0, "Quantity", list(lines))
    several = " of all models" if len(results) > 1 else ""
    return ReportTable(
        frame,
        f"Pooled results{several}: posterior median ({percent} posterior interval).",
        numeric=list(results),
        model=next(iter(results)) if len(results) == 1 else EVERY_MODEL,
    )


def _study_table(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    scale, percent = scale_of(spec), level(spec.interval)
    table = result.estimates["studies"]
    table = table[table["quantity"] == scale.report]
    write = writer(scale, table["sd"])
    raw = zip(table["raw"], table["raw_lower"], table["raw_upper"], strict=True)
    frame = pd.DataFrame({"Study": table["study"].astype(str).to_numpy()})
    frame[f"Own {scale.short}"] = [with_interval(value, write) for value in raw]
    frame[f"{scale.short} given all studies"] = [
        with_interval(interval_of(row), write) for _, row in table.iterrows()
    ]
    frame["Weight"] = [f"{x:.1f}%" for x in table["weight"]]
    caption = (
        f"Each study alone ({percent} confidence interval) and given all studies (posterior median, "
        f"{percent} posterior interval). Model {result.name}."
    )
    if "shrinkage" in table:
        frame["Shrinkage B"] = [f"{x:.2f}" for x in table["shrinkage"]]
        caption += " B is the share of the pooled effect in the study's estimate (posterior mean)."
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def _count(number_of: int, word: str) -> str:
    return f"{number_of} {word}" + ("" if number_of == 1 else "s")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_STUDIES])
    return shown + (f" and {len(names) - SHOWN_STUDIES} more" if len(names) > SHOWN_STUDIES else "")
