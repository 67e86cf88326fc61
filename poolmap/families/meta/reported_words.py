"""The report's words on quantities computed from the draws: prediction, I-squared, weights."""

from __future__ import annotations

from poolmap.config.meta import MetaAnalysis
from poolmap.families.meta.design import Design
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.model_kinds import t_df
from poolmap.families.meta.numbers import df_words, level


def reported(spec: MetaAnalysis, model: str, layout: Design) -> str:
    """Prediction interval, I-squared, weights: how what is reported is computed."""
    chosen = spec.models[model]
    last = f"Estimates are posterior medians with central {level(spec.interval)} posterior intervals."
    if chosen.effects == "independent":
        return last
    several = bool(layout.terms or layout.subgroups)
    text = ["The pooled effect is the expected effect at the average of the studies."] if several else []
    text += [_prediction(spec, model, layout), _i_squared(spec, model, layout)]
    if layout.terms and layout.G == 1:
        around = "tau^2 + tau_within^2" if chosen.within(spec.effect_id is not None) else "the variance tau^2"
        if chosen.effects == "student_t":
            around = "the variance of the Student-t distribution"
        if chosen.effects != "student_t" or t_df(spec, model) > 2:
            text.append(
                "R-squared is the share of the variance between studies that the regression explains: the "
                f"variance of the expected effects over itself plus {around}."
            )
    if chosen.likelihood != "beta_binomial" and spec.effect_id is None:
        tau = {"common": "s_i^2", "normal": "(s_i^2 + tau^2)", "student_t": "(s_i^2 + tau^2 w_i)"}
        mixed = " (w_i: the variance of the normal that the Student-t distribution mixes)"
        text.append(
            "A study's weight is its share in the sum "
            + (
                "of 1 / s_i^2"
                if chosen.effects == "common"
                else f"of the posterior means of 1 / {tau[chosen.effects]}"
            )
            + (mixed if chosen.effects == "student_t" else "")
            + (", from the estimates computed from the counts." if chosen.likelihood != "normal" else ".")
        )
    return " ".join(part for part in [*text, last] if part)


def _prediction(spec: MetaAnalysis, model: str, layout: Design) -> str:
    chosen = spec.models[model]
    if chosen.effects == "common":
        return "With a common effect there is neither a tau nor a prediction interval."
    counts = chosen.likelihood == "beta_binomial"
    if counts:
        what = "the two arms of such a study" if spec.compares_arms else "such a study"
        law = f"computed from risks of {what} that are drawn from their beta distributions"
    elif chosen.effects == "student_t":
        law = (
            f"drawn from a Student-t distribution with {df_words(t_df(spec, model))}, location mu and "
            "scale tau"
        )
    elif chosen.within(spec.effect_id is not None):
        law = "drawn from a normal with mean mu and variance tau^2 + tau_within^2"
    else:
        law = "drawn from a normal with mean mu and standard deviation tau"
    source = "" if counts else " (Higgins, Thompson & Spiegelhalter 2009)"
    new = "a new effect of a new study" if spec.effect_id is not None else "the effect in a new study"
    where = ""
    if layout.subgroups:
        where = ", which is of a subgroup as often as the studies here are"
    if layout.terms:
        where += f"{' and' if where else ', which is'} at the studies' average of the moderators"
    return (
        f"The prediction interval is that of {new} like these{where}, {law} for each posterior draw{source}."
    )


def _i_squared(spec: MetaAnalysis, model: str, layout: Design) -> str:
    chosen = spec.models[model]
    if layout.G != 1:
        return ""
    of_counts = " of the estimates computed from the counts" if chosen.likelihood != "normal" else ""
    typical = f"with s^2 the typical within-study variance (Higgins & Thompson 2002, equation 9){of_counts}"
    if chosen.within(spec.effect_id is not None):
        return (
            "I-squared is the share of the total variance tau^2 + tau_within^2 + s^2 that lies between "
            f"studies, tau^2, and within them, tau_within^2, in per cent, {typical}."
        )
    if chosen.effects == "student_t":
        if t_df(spec, model) <= 2:
            return ""
        return (
            "I-squared is v / (v + s^2), in per cent, with v the variance of the Student-t distribution, and "
            f"{typical.removeprefix('with ')}; it has a posterior distribution like tau."
        )
    return (
        f"I-squared is tau^2 / (tau^2 + s^2), in per cent, {typical}; it has a posterior distribution like "
        "tau."
    )


def further(spec: MetaAnalysis, model: str, layout: Design) -> str:
    """Differences, thresholds and absolute risks: computed from the same draws.

    Of other models than the primary one only the differences: the rest is alike and told with that.
    """
    if spec.models[model].effects == "independent":
        return ""
    text = []
    if layout.subgroups:
        text.append(
            "Subgroups are compared by the posterior of their difference, draw by draw, not by whether one "
            "interval holds no effect and the other does."
        )
    if model != next(iter(spec.models)):
        return " ".join(text)
    if spec.thresholds:
        text.append(
            "The probability that an effect lies below or above a threshold is the share of posterior draws "
            "that do."
        )
    if spec.baseline_risks:
        text.append(
            f"Absolute risks are those that the pooled {scale_of(spec).report_words} gives at stated risks "
            f"in the arm {spec.arms[1]} (Cochrane Handbook, section 15.4); the number needed to treat is 1 "
            "over the absolute risk difference, and where its interval holds 0 the numbers run through "
            "infinity (Altman 1998, BMJ 317:1309)."
        )
    return " ".join(text)


def classical(spec: MetaAnalysis, model: str) -> str:
    """Which classical methods stand beside the Bayesian results."""
    if spec.effect_id is not None:
        return (
            "Classical results beside the Bayesian ones are those of the multilevel model by restricted "
            "maximum likelihood and maximum likelihood, with Wald intervals."
        )
    chosen, also = spec.models[model], []
    if chosen.formula:
        also.append("a meta-regression by restricted maximum likelihood with Wald and Knapp-Hartung tests")
    if chosen.subgroups:
        also.append("a subgroup analysis with the chi-squared test between subgroups")
    if spec.measure in ("OR", "RR", "RD", "PETO"):
        also.append("the Mantel-Haenszel and Peto methods")
    return (
        "Classical results beside the Bayesian ones are, from the estimates and their standard errors, the "
        "common effect by inverse variance and random effects with tau by DerSimonian-Laird, Paule-Mandel, "
        "restricted maximum likelihood and maximum likelihood, with Wald and Hartung-Knapp-Sidik-Jonkman "
        "intervals" + (f"; {'; '.join(also)}" if also else "") + "."
    )
