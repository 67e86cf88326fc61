"""Replicated studies and the log likelihood of each: for predictive checks and leave-one-out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special, stats

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import Dataset, Predictive
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.exact import (
    common_effect_elpd,
    exact_leave_one_out,
    is_common_normal,
    is_exact,
)
from poolmap.families.meta.log_likelihood import alone_log_likelihood, log_likelihood
from poolmap.families.meta.posterior import new_effects
from poolmap.families.meta.usable import used_by

if TYPE_CHECKING:
    import xarray


def predictive(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Data of new studies like these, and how likely each study is under each draw.

    The log likelihood is that of a study whose own effect (and baseline) is integrated out, so that it
    depends on the parameters that all studies share and leave-one-out by importance sampling is sound.

    The replicates are of new studies of the same size: their effects are drawn anew. Counts of two arms
    keep the study's own baseline (mixed replicates; Marshall & Spiegelhalter 2007, Bayesian Analysis 2:409).
    Of unrelated effects, which say nothing of a new study, the replicates are of the study itself.
    """
    program, data = spec.program(model), used_by(spec, model, data)
    layout = design(spec, model, data)
    studies = data.tables["studies"]
    if program == "meta/multilevel":
        from poolmap.families.meta.multilevel import multilevel_predictive

        return multilevel_predictive(spec, model, layout, studies, draws, rng)
    if program == "meta/beta_binomial":
        from poolmap.families.meta.beta_binomial import beta_binomial_predictive

        return beta_binomial_predictive(spec, layout, studies, draws, rng)
    if program == "meta/normal":
        return _estimates(spec, model, layout, studies, draws, rng)
    return _counts(spec, model, layout, studies, draws, rng)


def _estimates(
    spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame, draws, rng: np.random.Generator
) -> Predictive:
    """Normal likelihood: y ~ normal(theta, se) with theta integrated out."""
    theta, se = _new_or_own(spec, model, layout, draws, 0.0, rng), studies["se"].to_numpy()
    return Predictive(
        unit="study",
        labels=studies["study"].tolist(),
        observed=studies["yi"].to_numpy(),
        replicated=theta + se * rng.standard_normal(theta.shape),
        log_lik=log_likelihood(spec, model, layout, studies, draws),
        value=scale_of(spec).words,
        exact_elpd=_exact_elpd(spec, model, layout, studies),
    )


def _exact_elpd(spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame) -> np.ndarray | None:
    """Exact leave-one-out log predictive densities (K,), where they can be had."""
    if spec.models[model].effects == "independent":  # the other studies say nothing
        return alone_log_likelihood(spec, model, studies)
    if is_common_normal(spec, model):
        return common_effect_elpd(spec, model, layout, studies)
    if not is_exact(spec, model, studies):
        return None
    return exact_leave_one_out(spec, model, studies)["elpd_loo"].to_numpy()


def _counts(
    spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame, draws, rng: np.random.Generator
) -> Predictive:
    """Binomial and Poisson likelihood of one group or two arms."""
    arms = ("_1", "_2") if spec.compares_arms else ("",)
    size = "total" if f"total{arms[0]}" in studies else "time"
    events = [studies[f"events{arm}"].to_numpy() for arm in arms]
    sizes = [studies[f"{size}{arm}"].to_numpy() for arm in arms]
    baseline = draws["baseline"].values if spec.compares_arms else 0.0
    effect = _new_or_own(spec, model, layout, draws, baseline, rng)
    linear = [baseline + effect, baseline] if spec.compares_arms else [effect]
    if size == "time":
        replicated = [rng.poisson(time * np.exp(x)) for time, x in zip(sizes, linear, strict=True)]
    else:
        risk = np.exp if spec.measure == "RR" else special.expit
        replicated = [rng.binomial(n, np.minimum(risk(x), 1.0)) for n, x in zip(sizes, linear, strict=True)]
    names = studies["study"].tolist()
    labels = [f"{name}, arm {arm}" for arm in (1, 2) for name in names] if spec.compares_arms else names
    return Predictive(
        unit="arm" if spec.compares_arms else "study",
        left_out="study",
        labels=labels,
        observed=np.concatenate(events),
        replicated=np.concatenate(replicated, axis=2),
        log_lik=log_likelihood(spec, model, layout, studies, draws),
        value="events",
        exact_elpd=_exact_elpd(spec, model, layout, studies),
    )


def _new_or_own(
    spec: MetaAnalysis, model: str, layout: Design, draws, baseline, rng: np.random.Generator
) -> np.ndarray:
    """Effects of new studies with these baselines (for the risk ratio kept where the risk stays below 1)."""
    chosen = spec.models[model]
    if chosen.effects == "independent":
        return draws["theta"].values
    location = draws["beta"].values @ layout.X.T
    if not layout.G:
        return location
    tau = draws["tau"].values[:, :, layout.group - 1]
    df = (chosen.df or DEFAULT_DF) if chosen.effects == "student_t" else None
    if chosen.likelihood == "normal" or spec.measure != "RR":
        return new_effects(location, tau, df, rng)
    kind = stats.norm if df is None else stats.t(df)
    uniform = rng.random(location.shape) * kind.cdf((-baseline - location) / tau)
    return np.minimum(location + tau * kind.ppf(np.maximum(uniform, np.finfo(float).tiny)), -baseline)
