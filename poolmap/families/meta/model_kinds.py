"""What kind of model each one is, in a few words that tell the models of an analysis apart."""

from __future__ import annotations

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.config.priors import Prior
from poolmap.families.meta.numbers import df_words

SYMBOLS = {"baseline": "baselines", "baseline_sd": "sigma", "icc": "rho"}
"""What the report calls the parameter of a prior, where it is not called as in the config."""


def t_df(spec: MetaAnalysis, model: str) -> float:
    """Degrees of freedom of Student-t effects."""
    return spec.models[model].df or DEFAULT_DF


def sd_factor(spec: MetaAnalysis, model: str) -> float:
    """What tau is multiplied by for the standard deviation of the effects between studies.

    Of Student-t effects tau is the scale: sqrt(df / (df - 2)), NaN where df is 2 or less and there is no
    standard deviation. Else 1.
    """
    if spec.models[model].effects != "student_t":
        return 1.0
    df = t_df(spec, model)
    return (df / (df - 2)) ** 0.5 if df > 2 else float("nan")


def heterogeneity(spec: MetaAnalysis, model: str) -> str:
    """How the studies' effects are distributed, in a few words."""
    chosen = spec.models[model]
    if chosen.likelihood == "beta_binomial":
        return "beta-binomial"
    if chosen.effects == "student_t":
        return f"random effects (Student-t, {df_words(t_df(spec, model))})"
    if spec.effect_id is not None and chosen.heterogeneous:
        three = chosen.within(True)
        return "random effects " + (
            "between and within studies (three levels)" if three else "between studies (two levels)"
        )
    words = {"normal": "random effects", "common": "common effect", "independent": "unrelated effects"}
    return words[chosen.effects]


def likelihood(spec: MetaAnalysis, model: str) -> str:
    """The likelihood, in a few words."""
    chosen = spec.models[model]
    words = {
        "normal": "normal likelihood",
        "binomial": "exact binomial likelihood",
        "poisson": "exact Poisson likelihood",
        "beta_binomial": "exact likelihood of the counts",
    }[chosen.likelihood]
    return words + (" with random baselines" if chosen.baseline == "random" else "")


def moderation(spec: MetaAnalysis, model: str) -> str:
    """Regression and subgroups, in a few words; "" for none."""
    chosen, parts = spec.models[model], []
    if chosen.formula:
        parts.append(f"regression on {chosen.formula}")
    if chosen.subgroups:
        own = ", each with its own tau" if chosen.subgroup_tau == "own" else ""
        parts.append(f"subgroups by {chosen.subgroups}{own}")
    return ", ".join(parts)


def kind(spec: MetaAnalysis, model: str) -> str:
    """Effects, likelihood, regression and subgroups of a model, in one line."""
    chosen = spec.models[model]
    parts = [heterogeneity(spec, model), likelihood(spec, model), moderation(spec, model)]
    if chosen.correlation:
        parts.append(f"sampling errors correlated {chosen.correlation:g}")
    return ", ".join(part for part in parts if part)


def kinds(spec: MetaAnalysis) -> dict[str, str]:
    """Each model in one line; of models that are alike otherwise, with the priors that tell them apart."""
    plain = {model: kind(spec, model) for model in spec.models}
    told = {}
    for model, words in plain.items():
        alike = [other for other in plain if other != model and plain[other] == words]
        differing = {name for other in alike for name in differing_priors(spec, model, other)}
        mine = spec.priors(model)
        extra = [prior_of(name, mine[name]) for name in mine if name in differing]
        told[model] = ", ".join([words, *extra])
    return told


def differing_priors(spec: MetaAnalysis, model: str, other: str) -> list[str]:
    """Names of the parameters that both models have, with other priors."""
    mine, theirs = spec.priors(model), spec.priors(other)
    return [name for name in mine if name in theirs and mine[name] != theirs[name]]


def prior_of(name: str, prior: Prior) -> str:
    """`tau ~ half-normal(0.5)`."""
    symbol = SYMBOLS.get(name, name)
    return f"{symbol} ~ {written(prior, symbol)}"


def written(prior: Prior, symbol: str = "tau") -> str:
    """A prior for the report: `half-Cauchy(0.5)`."""
    return prior.words(symbol).replace("cauchy", "Cauchy").replace("student", "Student")
