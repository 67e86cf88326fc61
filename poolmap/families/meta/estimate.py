"""From posterior draws to the reported effects, and to replicated data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, Predictive, Quantity
from poolmap.families.meta.effects import scale_of, typical_variance

if TYPE_CHECKING:
    import xarray


def estimate(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """Pooled effect, heterogeneity, prediction for a new study, and the effect of each study.

    Table `pooled` (no keys): the pooled effect on the scale of analysis (`log_rr`, `rd`, `logit_p` ...)
    and on the natural scale where that is another one (`rr`, `proportion`, `correlation` ...), the same of
    a new study (`..._new`), `tau` and `i2`. Effects that compare have the columns `p_lt_null` and
    `p_gt_null`: posterior probability below and above no effect.

    Table `studies` (key `study`): effect of each study given all studies, with the columns `raw`,
    `raw_lower`, `raw_upper` (the study's own estimate and its normal interval at the level of the config),
    `weight` (per cent) and, for the normal likelihood, `shrinkage`, the posterior mean of
    se^2 / (se^2 + tau^2).

    Args:
        draws: `mu`, `tau` (chain, draw); `theta` (chain, draw, study) for the binomial likelihood.
        rng: draws the new study's effect and, for the normal likelihood, the studies' effects.
    """
    scale = scale_of(spec)
    studies = data.tables["studies"]
    vi = studies["vi"].to_numpy()
    mu, tau = draws["mu"].values, draws["tau"].values
    new = mu + tau * rng.standard_normal(mu.shape)

    quantities: list[Quantity] = []

    def pooled(quantity: str, description: str, values: np.ndarray, null: float | None = None) -> None:
        extra = None
        if null is not None:
            extra = pd.DataFrame(
                {"p_lt_null": [float((values < null).mean())], "p_gt_null": [float((values > null).mean())]}
            )
        quantities.append(Quantity("pooled", quantity, description, values[:, :, None], extra=extra))

    sides, null, natural_null = "", None, None
    if scale.contrast:
        sides = "; p_lt_null and p_gt_null: posterior probability that it is below and above no effect"
        null, natural_null = 0.0, scale.null
    pooled(scale.name, f"pooled {scale.words}: mean of the studies' effects{sides}", mu, null)
    if scale.back:
        words = f"pooled {scale.back_words}: {scale.inverse_words} of {scale.name}{sides}"
        pooled(scale.back, words, scale.natural(mu), natural_null)
    pooled(
        f"{scale.name}_new", f"{scale.words} in a new study (its interval: prediction interval)", new, null
    )
    if scale.back:
        words = f"{scale.back_words} in a new study (its interval: prediction interval)"
        pooled(f"{scale.back}_new", words, scale.natural(new), natural_null)
    pooled("tau", f"standard deviation of the {scale.words} between studies", tau)
    pooled(
        "i2",
        "I-squared, per cent: tau^2 / (tau^2 + s^2) with s^2 the typical within-study variance of Higgins & "
        "Thompson 2002, equation 9, from the estimated sampling variances",
        100 * tau**2 / (tau**2 + typical_variance(vi)),
    )

    theta = study_effects(draws, studies, rng)
    keys = studies[["study"]]
    extra = _study_columns(spec, studies, tau, interval=spec.interval)
    if spec.models[model].likelihood == "binomial":
        extra = extra.drop(columns="shrinkage")
    told = "; raw, raw_lower, raw_upper: the study's own estimate and interval; weight: per cent"
    quantities.append(
        Quantity(
            "studies", scale.name, f"{scale.words} of the study, given all studies{told}", theta, keys, extra
        )
    )
    if scale.back:
        extra = extra.assign(**{raw: scale.natural(extra[raw]) for raw in ("raw", "raw_lower", "raw_upper")})
        words = f"{scale.back_words} of the study: {scale.inverse_words} of {scale.name}{told}"
        quantities.append(Quantity("studies", scale.back, words, scale.natural(theta), keys, extra))
    return quantities


def study_effects(draws: xarray.Dataset, studies: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draws (chain, draw, study) of the studies' effects.

    Where the program has integrated them out they are drawn from their exact distribution given mu, tau
    and the estimates (Gelman et al. 2013, BDA3, equation 5.17): normal with mean B mu + (1 - B) y and
    variance (1 - B) se^2, B = se^2 / (se^2 + tau^2).
    """
    if "theta" in draws:
        return draws["theta"].values
    mu, tau = draws["mu"].values[:, :, None], draws["tau"].values[:, :, None]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    spread = np.sqrt(vi + tau**2)
    deviation = (tau / spread) ** 2 * (yi - mu)  # not (1 - B): exact where tau is tiny
    noise = rng.standard_normal((*mu.shape[:2], len(yi)))
    return mu + deviation + tau * np.sqrt(vi) / spread * noise


def _study_columns(
    spec: MetaAnalysis, studies: pd.DataFrame, tau: np.ndarray, *, interval: float
) -> pd.DataFrame:
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    half = special.ndtri(0.5 + interval / 2) * np.sqrt(vi)
    total = vi + (tau**2).reshape(-1, 1)
    weight = (1 / total).mean(axis=0)
    return pd.DataFrame(
        {
            "raw": yi,
            "raw_lower": yi - half,
            "raw_upper": yi + half,
            "weight": 100 * weight / weight.sum(),
            "shrinkage": (vi / total).mean(axis=0),
        }
    )


def predictive(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated studies and the log likelihood of each.

    Normal likelihood: estimates of new studies of the same precision, y ~ normal(mu, sqrt(se^2 + tau^2));
    the log likelihood is that same marginal density. Binomial likelihood: see `_predictive_counts`.
    """
    if spec.models[model].likelihood == "binomial":
        return _predictive_counts(spec, data, draws, rng)
    studies = data.tables["studies"]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    mu, tau = draws["mu"].values[:, :, None], draws["tau"].values[:, :, None]
    spread = np.sqrt(vi + tau**2)
    return Predictive(
        unit="study",
        labels=studies["study"].tolist(),
        observed=yi,
        replicated=mu + spread * rng.standard_normal(spread.shape),
        log_lik=-0.5 * np.log(2 * np.pi) - np.log(spread) - 0.5 * ((yi - mu) / spread) ** 2,
        value=scale_of(spec).words,
    )


def _predictive_counts(
    spec: MetaAnalysis, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated events of each arm, all of arm 1 and then all of arm 2, and each study's log likelihood.

    The replicates are mixed ones (Marshall & Spiegelhalter 2007, Bayesian Analysis 2:409): arm 2 has the
    study's own baseline, arm 1 that baseline and the effect of a new study, normal(mu, tau), for the
    risk ratio truncated where the risk would pass 1. `log_lik` (chain, draw, study) is the sum over both
    arms given the study's baseline and effect.
    """
    studies = data.tables["studies"]
    y1, n1, y2, n2 = (studies[name].to_numpy() for name in ("events_1", "total_1", "events_2", "total_2"))
    mu, tau = draws["mu"].values[:, :, None], draws["tau"].values[:, :, None]
    theta, baseline = draws["theta"].values, draws["baseline"].values
    uniform = rng.random(theta.shape)
    if spec.measure == "RR":
        uniform *= special.ndtr((-baseline - mu) / tau)
        new = mu + tau * special.ndtri(np.maximum(uniform, np.finfo(float).tiny))
        new = np.minimum(new, -baseline)
        risk, log_risks = np.exp, _log_risks_log
    else:
        new = mu + tau * special.ndtri(np.maximum(uniform, np.finfo(float).tiny))
        risk, log_risks = special.expit, _log_risks_logit
    return Predictive(
        unit="arm",
        left_out="study",
        labels=[f"{study}, arm {arm}" for arm in (1, 2) for study in studies["study"]],
        observed=np.concatenate([y1, y2]),
        replicated=np.concatenate(
            [
                rng.binomial(n1, np.minimum(risk(baseline + new), 1.0)),
                rng.binomial(n2, np.minimum(risk(baseline), 1.0)),
            ],
            axis=2,
        ),
        log_lik=_binomial(y1, n1, *log_risks(baseline + theta)) + _binomial(y2, n2, *log_risks(baseline)),
        value="events",
    )


def _log_risks_logit(logit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return special.log_expit(logit), special.log_expit(-logit)


def _log_risks_log(log_risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_risk = np.minimum(log_risk, -np.finfo(float).tiny)
    return log_risk, np.log(-np.expm1(log_risk))


def _binomial(events: np.ndarray, total: np.ndarray, log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Binomial log probability from log p and log(1 - p)."""
    ways = special.gammaln(total + 1) - special.gammaln(events + 1) - special.gammaln(total - events + 1)
    return ways + events * log_p + (total - events) * log_q
