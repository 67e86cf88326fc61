"""The priors in force of one model of a meta-analysis, in words for the report."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from poolmap.config.meta import MetaAnalysis
from poolmap.config.priors import Prior
from poolmap.families.meta.effects import Scale, scale_of
from poolmap.families.meta.model_kinds import written
from poolmap.families.meta.numbers import on_scale, ratio

WRITTEN = {
    "normal": "a normal is written with its mean and standard deviation",
    "student_t": "a Student-t with degrees of freedom, location and scale",
    "half_student_t": "a half-Student-t with degrees of freedom and scale",
    "uniform": "a uniform with its ends",
    "lognormal_tau2": "a log-normal with the mean and standard deviation of the logarithm",
    "log_student_t_tau2": "a log-Student-t with degrees of freedom, location and scale of the logarithm",
}
"""What the numbers are, by family of prior; the sentence begins with the normal."""
CITATIONS = {
    "turner_2015": "Turner et al. 2015, Stat Med 34:984-998",
    "rhodes_2015": "Rhodes, Turner & Higgins 2015, J Clin Epidemiol 68:52-60",
}
SAME_NUMBERS = {"turner_2015": "lognormal_tau2", "rhodes_2015": "log_student_t_tau2"}


def prior_sentence(spec: MetaAnalysis, model: str) -> str:
    """Every prior of the model, with what it says in quantiles.

    Means and slopes: the central 95%, on the natural scale where there is one; standard deviations and the
    intraclass correlation: the median and the 95% point.
    """
    scale, chosen, priors = scale_of(spec), spec.models[model], spec.priors(model)
    on = f" on the {on_scale(spec)}" if scale.back else ""
    mean = "mu"
    if chosen.effects == "independent":
        mean = "the effect of each study"
    elif chosen.subgroups:
        mean = "each subgroup's mu"
    parts = [f"{mean} ~ {written(priors['mu'])}{on} ({_of_effect(priors['mu'], scale)})"]
    parts += [
        f"{name} ~ {written(priors[name], name)} ({_below(priors[name])})"
        for name in ("tau", "tau_within")
        if name in priors
    ]
    if "beta" in priors:
        parts.append(f"each beta ~ {written(priors['beta'])} ({_of_slope(priors['beta'], scale)})")
    if "baseline" in priors:
        name = "each baseline"
        if chosen.baseline == "random":
            name = "m"
        elif chosen.likelihood == "beta_binomial":
            name = "alpha"
        parts.append(f"{name} ~ {written(priors['baseline'])} ({_between(priors['baseline'])})")
    for name, symbol in (("baseline_sd", "sigma"), ("icc", "rho")):
        if name in priors:
            parts.append(f"{symbol} ~ {written(priors[name], symbol)} ({_below(priors[name])})")
    return f"Priors: {'; '.join(parts)}. {_notation(priors.values())}"


def quantile(prior: Prior, p: float) -> float:
    """The quantile of a prior of any family: of the parameter itself, also where the family is one of tau^2.

    Args:
        prior: the prior; a half-family is that of the absolute value.
        p: probability, between 0 and 1.
    """
    given = dict(zip(prior.CODES[prior.family][1], prior.parameters, strict=True))
    code = prior.CODES[prior.family][0]
    if code == 4:
        return float(stats.expon.ppf(p, scale=1 / given["rate"]))
    if code == 5:
        return float(stats.beta.ppf(p, given["a"], given["b"]))
    if code == 6:
        return float(given["lower"] + p * (given["upper"] - given["lower"]))
    if code == 7:
        return float(np.exp(stats.norm.ppf(p, given["meanlog"], given["sdlog"]) / 2))
    unit = {1: stats.norm, 3: stats.cauchy}.get(code) or stats.t(given["df"])
    location = given.get("location", 0.0)
    if prior.family.startswith("half_"):
        return float(given["scale"] * unit.ppf((1 + p) / 2))
    value = location + given["scale"] * unit.ppf(p)
    return float(np.exp(value / 2)) if code == 8 else float(value)


def _ends(prior: Prior) -> tuple[float, float]:
    return quantile(prior, 0.025), quantile(prior, 0.975)


def _between(prior: Prior) -> str:
    lower, upper = _ends(prior)
    return f"95% of its mass from {lower:.3g} to {upper:.3g}"


def _below(prior: Prior) -> str:
    return f"half its mass below {quantile(prior, 0.5):.2g}, 95% below {quantile(prior, 0.95):.2g}"


def _of_effect(prior: Prior, scale: Scale) -> str:
    if not scale.back:
        return _between(prior)
    lower, upper = (float(scale.natural(end)) for end in _ends(prior))
    ends = f"{ratio(lower)} to {ratio(upper)}" if scale.ratio else f"{lower:.3g} to {upper:.3g}"
    return f"95% of its mass on {_article(scale)} {scale.back_words} of {ends}"


def _of_slope(prior: Prior, scale: Scale) -> str:
    if not scale.ratio:
        return f"{_between(prior)} per unit of its moderator"
    lower, upper = (float(np.exp(end)) for end in _ends(prior))
    ends = f"{ratio(lower)} to {ratio(upper)}"
    return (
        f"95% of its mass on {_article(scale)} {scale.ratio_words} multiplied by {ends} per unit of its "
        "moderator"
    )


def _article(scale: Scale) -> str:
    return "an" if scale.back_words[:1] in tuple("aeiou") else "a"


def _notation(priors: Iterable[Prior]) -> str:
    """What the numbers of the families in use are, and where the empirical ones come from."""
    families = [prior.family for prior in priors]
    plain = {"normal", *(SAME_NUMBERS.get(family, family) for family in families)}
    text = "; ".join(words for family, words in WRITTEN.items() if family in plain)
    sources = [citation for family, citation in CITATIONS.items() if family in families]
    cited = f" Empirical predictive distribution: {'; '.join(sources)}." if sources else ""
    return f"{text[0].upper()}{text[1:]}.{cited}"
