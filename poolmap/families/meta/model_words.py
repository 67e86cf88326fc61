"""The report's words on one model of a meta-analysis: a methods paragraph with equations and priors."""

from __future__ import annotations

import poolmap
from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, Equation
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.likelihood_words import likelihood_blocks
from poolmap.families.meta.model_kinds import t_df
from poolmap.families.meta.numbers import df_words, listed
from poolmap.families.meta.prior_words import prior_sentence
from poolmap.families.meta.reported_words import classical, further, reported
from poolmap.families.meta.usable import used_by


def methods(spec: MetaAnalysis, model: str, data: Dataset) -> list[Block]:
    """The model in words and equations, with the priors in force."""
    data = used_by(spec, model, data)
    layout = design(spec, model, data)
    blocks: list[Block] = [_opening(spec, model), *likelihood_blocks(spec, model, data)]
    blocks += _effects(spec, model, layout)
    blocks += _expected(spec, model, layout)
    blocks += _drawn_back(spec, model, layout)
    blocks.append(prior_sentence(spec, model))
    words = [reported(spec, model, layout), further(spec, model, layout)]
    primary = next(iter(spec.models))
    if model == primary:
        words += [
            classical(spec, model),
            f"The model was fitted by {spec.fitted_by} (Carpenter et al. 2017, J Stat Softw 76:1) with "
            f"poolmap {poolmap.__version__}.",
        ]
    else:
        words.append(f"All else as with model {primary}: sampling, and what is computed from the draws.")
    return blocks + [text for text in words if text]


def _opening(spec: MetaAnalysis, model: str) -> str:
    chosen = spec.models[model]
    regression = " meta-regression" if chosen.formula else " model"
    with_subgroups = (
        f" with a pooled effect for each category of {chosen.subgroups}" if chosen.subgroups else ""
    )
    exact = {
        "binomial": " with the exact binomial likelihood",
        "poisson": " with the exact Poisson likelihood",
    }
    tail = f"{exact.get(chosen.likelihood, '')}{with_subgroups}"
    if chosen.likelihood == "beta_binomial":
        return f"A beta-binomial{regression}{with_subgroups}."
    if chosen.effects == "independent":
        return (
            f"A model of unrelated effects{tail}: nothing is pooled, each study is analysed on its own. It "
            "stands beside the others to show what they make of the same studies."
        )
    if chosen.effects == "common":
        return (
            f"A common-effect{regression}{tail}: all studies are taken to have the same effect"
            + (", apart from what the moderators explain" if chosen.formula else "")
            + (", within each subgroup" if chosen.subgroups else "")
            + ", and their estimates differ by chance alone."
        )
    if chosen.effects == "student_t":
        return (
            f"A random-effects{regression}{tail}; the effects follow a Student-t distribution with "
            f"{df_words(t_df(spec, model))}, so that outlying studies draw the pooled effect "
            "less than with a normal distribution (Lee & Thompson 2008, Stat Med 27:418)."
        )
    if spec.effect_id is not None:
        if chosen.within(True):
            return (
                f"A three-level random-effects{regression}{with_subgroups}: sampling errors, variation of "
                "effects within studies, and variation between studies (Konstantopoulos 2011, Res Synth "
                "Methods 2:61)."
            )
        return (
            f"A random-effects{regression}{with_subgroups} in which the effects of one study are the same "
            "but for their sampling errors."
        )
    kind = " of the studies' estimates (normal-normal)" if chosen.likelihood == "normal" else ""
    return f"A random-effects{regression}{kind}{tail}."


def _effects(spec: MetaAnalysis, model: str, layout: Design) -> list[Block]:
    """The distribution of the effects theta around the expected one."""
    chosen = spec.models[model]
    if chosen.likelihood == "beta_binomial":
        return []
    if chosen.effects == "independent":
        return ["The effect theta of each study has the prior of mu for itself alone."]
    several = layout.terms or layout.subgroups
    at, spoken = (r"\mu_i", "the expected effect mu i") if several else (r"\mu", "mu")
    tau = r"\tau_{g(i)}" if layout.G > 1 else r"\tau"
    tau_words = "tau of the study's subgroup" if layout.G > 1 else "tau"
    if spec.effect_id is not None:
        return _levels(spec, model, r"\mu_{ij}" if several else r"\mu", spoken.replace("mu i", "mu i j"))
    if chosen.effects == "common":
        return [Equation(rf"\theta_i = {at}", f"The effect theta i of study i is {spoken}.")]
    if chosen.effects == "student_t":
        df = f"{t_df(spec, model):g}"
        return [
            f"The effects vary between studies around the {'expected' if several else 'pooled'} effect; tau "
            "is the scale of the Student-t distribution, "
            + (
                f"whose standard deviation is tau times the square root of {df} / ({df} - 2)."
                if t_df(spec, model) > 2
                else "which with so few degrees of freedom has no standard deviation."
            ),
            Equation(
                rf"\theta_i \sim t_{{{df}}}({at}, {tau})",
                f"The effect theta i of study i has a Student-t distribution with {df} degrees of freedom, "
                f"location {spoken} and scale {tau_words}.",
            ),
        ]
    return [
        f"The effects vary between studies around the {'expected' if several else 'pooled'} effect mu with "
        f"standard deviation {'tau, which each subgroup has for itself' if layout.G > 1 else 'tau'}.",
        Equation(
            rf"\theta_i \sim \mathrm{{Normal}}({at}, {tau}^2)",
            f"The effect theta i of study i is normal with mean {spoken} and standard deviation {tau_words}.",
        ),
    ]


def _levels(spec: MetaAnalysis, model: str, at: str, spoken: str) -> list[Block]:
    chosen = spec.models[model]
    if not chosen.heterogeneous:
        return [Equation(rf"\theta_{{ij}} = {at}", f"The effect theta i j is {spoken}.")]
    latex = rf"\theta_{{ij}} = {at} + u_i"
    words = f"The effect theta i j is {spoken} plus a deviation u i of the study"
    law = r", \quad u_i \sim \mathrm{Normal}(0, \tau^2)"
    if not chosen.within(True):
        return [
            "The effects vary between studies with standard deviation tau; those of one study do not differ.",
            Equation(latex + law, f"{words}, which is normal with mean 0 and standard deviation tau."),
        ]
    return [
        "The effects vary between studies with standard deviation tau, and within studies with standard "
        "deviation tau_within.",
        Equation(
            latex + r" + w_{ij}" + law + r", \quad w_{ij} \sim \mathrm{Normal}(0, \tau_w^2)",
            f"{words} and a deviation w i j of the effect within it; these are normal with mean 0 and "
            "standard deviations tau and tau within.",
        ),
    ]


def _expected(spec: MetaAnalysis, model: str, layout: Design) -> list[Block]:
    """How the expected effect follows from subgroups and moderators."""
    if not (layout.terms or layout.subgroups):
        if spec.models[model].likelihood == "beta_binomial":
            return [Equation(r"\mu_i = \mu", "The expected effect mu i is the pooled effect mu.")]
        return []
    chosen = spec.models[model]
    i = "ij" if spec.effect_id is not None else "i"
    spoken_i = "i j" if spec.effect_id is not None else "i"
    mean, words = r"\mu", "mu"
    text = []
    if layout.subgroups:
        mean, words = rf"\mu_{{g({i})}}", f"the mean of the subgroup g of {spoken_i}"
        tau = ""
        if layout.G > 1:
            tau = ", and each its own tau"
        elif layout.G == 1:
            tau = "; they share one tau"
        text.append(
            f"Each subgroup of {chosen.subgroups} ({listed(list(layout.subgroups))}) has a pooled effect of "
            f"its own{tau}."
        )
    latex = rf"\mu_{{{i}}} = {mean}"
    spoken = f"The expected effect mu {spoken_i} is {words}"
    if layout.terms:
        shift = r" - \bar{x}_k" if chosen.centre else ""
        latex += (
            rf" + \sum_k \beta_k (x_{{{i}k}}{shift})" if chosen.centre else rf" + \sum_k \beta_k x_{{{i}k}}"
        )
        less = " less its mean over the studies" if chosen.centre else ""
        spoken += f" plus the sum over the terms k of beta k times x k{less}"
        terms = terms_named(layout.terms)
        verb, its = ("They are", "their") if len(layout.terms) > 1 else ("It is", "its")
        zero = "all of them are" if len(layout.terms) > 1 else "it is"
        text.append(
            f"The formula {chosen.formula} gives the {terms}. "
            + (
                f"{verb} centred on {its} mean over the studies, so that mu is the effect at the studies' "
                "average."
                if chosen.centre
                else f"{verb} not centred: mu is the effect where {zero} 0, and the pooled effect that is "
                "reported is that at the studies' average."
            )
        )
    return [*text, Equation(latex, spoken + ".")]


def terms_named(terms: tuple[str, ...]) -> str:
    """`term latitude` or `terms latitude and year`."""
    return f"term{'s' * (len(terms) > 1)} {listed(list(terms))}"


def _drawn_back(spec: MetaAnalysis, model: str, layout: Design) -> list[Block]:
    """How effects that the program integrates out are had."""
    chosen = spec.models[model]
    if chosen.likelihood == "beta_binomial":
        return [
            "The risks are integrated out for sampling and then drawn from their exact beta distribution "
            "given the parameters and the counts; a study's effect is computed from them."
        ]
    if chosen.likelihood != "normal" or not chosen.heterogeneous:
        return []
    if spec.effect_id is not None:
        return [
            "The effects are integrated out for sampling and then drawn from their exact normal distribution "
            "given the parameters and the estimates."
        ]
    if chosen.effects == "student_t":
        return [
            "The Student-t distribution is a mixture of normal ones; the studies' effects are integrated out "
            "for sampling and then drawn from their exact normal distribution given the parameters and the "
            "estimates, which draws each estimate towards the expected effect, an outlying one less."
        ]
    several = bool(layout.terms or layout.subgroups)
    mu, words = (r"\mu_i", "mu i") if several else (r"\mu", "mu")
    tau = r"\tau_{g(i)}" if layout.G > 1 else r"\tau"
    return [
        f"The studies' effects are integrated out for sampling and then drawn from their exact distribution "
        f"given the parameters and the estimates, which draws each estimate towards "
        f"{'the expected effect' if several else 'mu'} by the factor B:",
        Equation(
            rf"\theta_i \mid y \sim \mathrm{{Normal}}\left(B_i {mu} + (1 - B_i) y_i, \; "
            rf"(1 - B_i) s_i^2\right), \quad B_i = \frac{{s_i^2}}{{s_i^2 + {tau}^2}}",
            f"Given the parameters and the estimates, theta i is normal with mean B i times {words} plus 1 "
            "minus B i times y i, and variance 1 minus B i times s i squared; B i is s i squared divided by "
            "s i squared plus tau squared.",
        ),
    ]
