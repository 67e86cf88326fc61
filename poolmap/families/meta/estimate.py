"""From posterior draws to the reported quantities of a meta-analysis."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import Dataset, Quantity
from poolmap.families.meta.absolute import number_needed, treated_risk
from poolmap.families.meta.classical import typical_variance
from poolmap.families.meta.effects import Scale, scale_of
from poolmap.families.meta.posterior import Effects, study_effects
from poolmap.families.meta.predictive import predictive
from poolmap.families.meta.usable import has_contrast, used_by

if TYPE_CHECKING:
    import xarray

__all__ = ["estimate", "predictive"]

SIDES = "; p_lt_null and p_gt_null: posterior probability that it is below and above no effect"
LINE = 41  # points of a regression line
MOST_PAIRS = 8  # subgroups of which every pair is compared; of more, each with the first


def estimate(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """Pooled effect, heterogeneity, prediction for a new study, and the effect of each study.

    Every effect is given on the scale of analysis (`log_rr`, `rd`, `logit_p` ...) and on the natural scale
    where that is another one (`rr`, `proportion`, `correlation` ...); those that compare have the columns
    `p_lt_null` and `p_gt_null`. Tables (the last ones where the config asks for them):

    - `pooled` (no keys): the pooled effect at the studies' average, that of a new study (`..._new`), `tau`,
      `tau_within`, `i2`, `r2` (share of the variance between studies that a formula explains), `icc`; none
      for unrelated effects, which have none of these;
    - `studies` (keys `study`, and `effect_id` where studies have several effects): each effect given all
      studies, with `raw`, `raw_lower`, `raw_upper` (its own estimate and normal interval at the level of
      the config), `weight` (per cent) and, where estimates are drawn to the pooled effect by a known
      share, `shrinkage`;
    - `coefficients` (key `term`): `beta` per unit of the moderator; of ratios `exp_beta`;
    - `regression_lines` (keys `term`, `value`): the expected effect along a moderator;
    - `subgroups` (key `subgroup`), at the studies' average of the moderators, with `n_studies` and, where
      studies have several effects, `n_effects`; `subgroup_differences` (keys `subgroup`, `reference`);
    - `thresholds` (keys `effect`, `threshold`), with `p_below` and `p_above`;
    - `absolute` (key `baseline_risk`): `risk` in arm 1 and `rd`, with `nnt`, `nnt_lower`, `nnt_upper`.

    Args:
        draws: the parameters that `model.stan_data` keeps.
        rng: draws the new study's effect and the studies' effects that the program has integrated out.
    """
    scale, data = scale_of(spec), used_by(spec, model, data)
    effects = study_effects(spec, model, data, draws, rng)
    quantities: list[Quantity] = []
    if effects.mu is not None:
        quantities += _pooled(spec, model, data, effects, draws, scale)
    quantities += _studies(spec, model, data, effects, draws, scale)
    if spec.models[model].formula:
        quantities += _coefficients(effects, scale)
        quantities += _lines(data.tables["moderators"], effects, scale)
    if effects.design.subgroups:
        quantities += _subgroups(data.tables["studies"], effects, scale, rng)
    if spec.thresholds and effects.mu is not None:
        quantities.append(_thresholds(spec, effects, scale))
    if spec.baseline_risks and effects.mu is not None:
        quantities += _absolute(spec, effects, float(spec.interval or 0.95))
    return quantities


def _sided(values: np.ndarray, null: float | None) -> pd.DataFrame | None:
    """The columns `p_lt_null` and `p_gt_null` of draws (chain, draw, row); None without a null."""
    if null is None:
        return None
    return pd.DataFrame(
        {"p_lt_null": (values < null).mean(axis=(0, 1)), "p_gt_null": (values > null).mean(axis=(0, 1))}
    )


def _both_scales(
    scale: Scale, values: np.ndarray, name: str = "{}"
) -> Iterator[tuple[str, str, np.ndarray, pd.DataFrame | None]]:
    """Quantity, words, draws and columns of an effect on its one or two scales."""
    null = 0.0 if scale.contrast else None
    sides = SIDES if scale.contrast else ""
    yield name.format(scale.name), f"{scale.words}{sides}", values, _sided(values, null)
    if scale.back:
        natural = scale.natural(values)
        words = f"{scale.back_words}: {scale.inverse_words} of {scale.name}{sides}"
        extra = _sided(natural, scale.null if scale.contrast else None)
        yield name.format(scale.back), words, natural, extra


def _pooled(
    spec: MetaAnalysis, model: str, data: Dataset, effects: Effects, draws: xarray.Dataset, scale: Scale
) -> Iterator[Quantity]:
    chosen, layout = spec.models[model], effects.design
    at = " at the studies' average" if layout.terms or layout.subgroups else ""
    for name, words, values, extra in _both_scales(scale, effects.mu[:, :, None]):
        yield Quantity("pooled", name, f"pooled effect{at}: {words}", values, extra=extra)
    if effects.new is not None:
        for name, words, values, extra in _both_scales(scale, effects.new[:, :, None], "{}_new"):
            described = f"effect in a new study (its interval: prediction interval): {words}"
            yield Quantity("pooled", name, described, values, extra=extra)
    if "icc" in draws:
        words = "intraclass correlation: correlation of two people's outcomes within an arm or group"
        yield Quantity("pooled", "icc", words, draws["icc"].values.reshape(*effects.mu.shape, 1))
    if effects.tau is None or layout.G != 1:
        return
    tau = effects.tau
    what = "scale of the Student-t distribution" if chosen.effects == "student_t" else "standard deviation"
    yield Quantity("pooled", "tau", f"{what} of the {scale.words} between studies", tau)
    variance = tau**2
    if chosen.effects == "student_t":
        df = chosen.df or DEFAULT_DF
        if df <= 2:  # no variance
            return
        variance = variance * df / (df - 2)
    typical = _typical(data.tables["studies"], layout.X)
    total = variance + typical
    source = (
        "with s^2 the typical within-study variance of Higgins & Thompson 2002, equation 9, from the "
        "estimated sampling variances"
    )
    if effects.tau_within is not None:
        within = effects.tau_within[:, :, None]
        yield Quantity(
            "pooled", "tau_within", f"standard deviation of the {scale.words} within studies", within
        )
        total = total + within**2
        words = "I-squared within studies, per cent: tau_within^2 / (tau^2 + tau_within^2 + s^2)"
        yield Quantity("pooled", "i2_within", words, 100 * within**2 / total)
        words = f"I-squared between studies, per cent: tau^2 / (tau^2 + tau_within^2 + s^2) {source}"
    else:
        words = f"I-squared, per cent: tau^2 / (tau^2 + s^2) {source}"
    yield Quantity("pooled", "i2", words, 100 * variance / total)
    if layout.terms:
        explained = effects.location.var(axis=2)[:, :, None]
        words = "share of the variance between studies that the regression explains, per cent (R-squared)"
        yield Quantity("pooled", "r2", words, 100 * explained / (explained + total - typical))


def _typical(studies: pd.DataFrame, X: np.ndarray) -> float:
    """Typical variance of the studies that have an estimate of their own."""
    by_itself = has_contrast(studies)
    if not by_itself.all():
        basis, sizes, _ = np.linalg.svd(X[by_itself], full_matrices=False)
        X = basis[:, sizes > 1e-9 * sizes[0]]  # without some studies columns may be collinear
    return typical_variance(studies.loc[by_itself, "vi"].to_numpy(), X)


def _studies(
    spec: MetaAnalysis, model: str, data: Dataset, effects: Effects, draws: xarray.Dataset, scale: Scale
) -> Iterator[Quantity]:
    studies = data.tables["studies"]
    keys = studies[["study", "effect_id"] if "effect_id" in studies else ["study"]]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    half = special.ndtri(0.5 + spec.interval / 2) * np.sqrt(vi)
    extra = pd.DataFrame({"raw": yi, "raw_lower": yi - half, "raw_upper": yi + half})
    extra = extra.assign(**_weights(spec, model, effects, draws, vi))
    told = "; raw, raw_lower, raw_upper: the study's own estimate and interval"
    told += "; weight: per cent" if "weight" in extra else ""
    words = f"{scale.words} of the study, given all studies{told}"
    yield Quantity("studies", scale.name, words, effects.theta, keys, extra)
    if scale.back:
        natural = {raw: scale.natural(extra[raw]) for raw in ("raw", "raw_lower", "raw_upper")}
        words = f"{scale.back_words} of the study: {scale.inverse_words} of {scale.name}{told}"
        values = scale.natural(effects.theta)
        yield Quantity("studies", scale.back, words, values, keys, extra.assign(**natural))


def _weights(
    spec: MetaAnalysis, model: str, effects: Effects, draws: xarray.Dataset, vi: np.ndarray
) -> dict[str, np.ndarray]:
    """Weights and, for the normal likelihood, shrinkage: posterior means, from the sampling variances."""
    chosen = spec.models[model]
    if effects.mu is None or chosen.likelihood == "beta_binomial" or spec.effect_id is not None:
        return {}
    between = np.zeros((1, len(vi)))
    if effects.tau is not None:
        between = effects.tau[:, :, effects.design.group - 1] ** 2
        if "w" in draws:
            between = between * draws["w"].values
        between = between.reshape(-1, len(vi))
    precision = (1 / (vi + between)).mean(axis=0)
    found = {"weight": 100 * precision / precision.sum()}
    if chosen.likelihood == "normal" and effects.tau is not None:
        found["shrinkage"] = vi * precision
    return found


def _coefficients(effects: Effects, scale: Scale) -> Iterator[Quantity]:
    values = effects.beta[:, :, effects.design.M :]
    keys = pd.DataFrame({"term": effects.design.terms})
    words = f"change of the {scale.words} per unit of the term"
    yield Quantity("coefficients", "beta", words + SIDES, values, keys, _sided(values, 0.0))
    if scale.ratio:
        natural = np.exp(values)
        words = f"factor by which the {scale.back_words} changes per unit of the term: exponential of beta"
        yield Quantity("coefficients", "exp_beta", words + SIDES, natural, keys, _sided(natural, 1.0))


def _lines(moderators: pd.DataFrame, effects: Effects, scale: Scale) -> Iterator[Quantity]:
    """The regression line of each number that stands in the formula as it is, and in no other term."""
    layout = effects.design
    own = [
        (layout.M + j, term)
        for j, term in enumerate(layout.terms)
        if term in moderators
        and pd.api.types.is_numeric_dtype(moderators[term])
        and sum(term in other for other in layout.terms) == 1
    ]
    if not own:
        return
    values = np.stack([np.linspace(moderators[t].min(), moderators[t].max(), LINE) for _, t in own])
    rows = np.repeat(layout.average[None, None, :], LINE, axis=1).repeat(len(own), axis=0)
    for i, (column, _) in enumerate(own):
        rows[i, :, column] = values[i] - layout.centres[column - layout.M]
    lines = effects.beta @ rows.reshape(-1, rows.shape[2]).T
    keys = pd.DataFrame({"term": np.repeat([t for _, t in own], LINE), "value": values.ravel()})
    words = f"{scale.words} expected where the moderator has this value, others at their average"
    yield Quantity("regression_lines", scale.name, words, lines, keys)


def _subgroups(
    studies: pd.DataFrame, effects: Effects, scale: Scale, rng: np.random.Generator
) -> Iterator[Quantity]:
    layout = effects.design
    names, several = list(layout.subgroups), range(layout.M)
    keys = pd.DataFrame({"subgroup": names})
    counts = pd.DataFrame({"n_studies": studies["study"].groupby(layout.subgroup).nunique().to_numpy()})
    if "effect_id" in studies:
        counts["n_effects"] = np.bincount(layout.subgroup)
    means = np.stack([effects.mean_of(g) for g in several], axis=2)
    for name, words, values, extra in _both_scales(scale, means):
        columns = counts if extra is None else counts.join(extra)
        yield Quantity("subgroups", name, f"pooled effect of the subgroup: {words}", values, keys, columns)
    if effects.tau is not None:
        new = np.stack([effects.new_in(g, rng) for g in several], axis=2)
        for name, words, values, extra in _both_scales(scale, new, "{}_new"):
            yield Quantity("subgroups", name, f"new study of the subgroup: {words}", values, keys, extra)
        if layout.G > 1:
            words = f"standard deviation of the {scale.words} between the studies of the subgroup"
            yield Quantity("subgroups", "tau", words, effects.tau, keys)
    pairs = list(combinations(several, 2)) if layout.M <= MOST_PAIRS else [(0, g) for g in several[1:]]
    first, second = (list(side) for side in zip(*pairs, strict=True))
    keys = pd.DataFrame({"subgroup": [names[g] for g in second], "reference": [names[g] for g in first]})
    difference = means[:, :, second] - means[:, :, first]
    words = f"{scale.words} of the subgroup minus that of the reference{SIDES}"
    yield Quantity("subgroup_differences", "difference", words, difference, keys, _sided(difference, 0.0))
    if scale.ratio:
        ratio = np.exp(difference)
        words = f"{scale.back_words} of the subgroup divided by that of the reference{SIDES}"
        yield Quantity("subgroup_differences", "ratio", words, ratio, keys, _sided(ratio, 1.0))


def _thresholds(spec: MetaAnalysis, effects: Effects, scale: Scale) -> Quantity:
    kinds = {"pooled": effects.mu} | ({} if effects.new is None else {"new": effects.new})
    keys = pd.DataFrame(
        [(kind, threshold) for kind in kinds for threshold in spec.thresholds],
        columns=["effect", "threshold"],
    )
    values = np.stack([scale.natural(kinds[kind]) for kind in keys["effect"]], axis=2)
    limits = keys["threshold"].to_numpy()
    extra = pd.DataFrame(
        {
            "p_below": (values < limits).mean(axis=(0, 1)),
            "p_above": (values > limits).mean(axis=(0, 1)),
        }
    )
    words = (
        f"{scale.report_words}, pooled or in a new study; p_below and p_above: posterior probability that it "
        "lies below and above the threshold"
    )
    return Quantity("thresholds", scale.report, words, values, keys, extra)


def _absolute(spec: MetaAnalysis, effects: Effects, interval: float) -> Iterator[Quantity]:
    keys = pd.DataFrame({"baseline_risk": spec.baseline_risks})
    risks = np.stack([treated_risk(spec.measure, effects.mu, risk) for risk in spec.baseline_risks], axis=2)
    words = "risk in arm 1 where that in arm 2 is the baseline risk, by the pooled effect"
    yield Quantity("absolute", "risk", words, risks, keys)
    rd = risks - np.array(spec.baseline_risks)
    needed = [number_needed(rd[:, :, i], interval) for i in range(rd.shape[2])]
    extra = pd.DataFrame(needed, columns=["nnt", "nnt_lower", "nnt_upper"])
    words = (
        "risk in arm 1 minus the baseline risk; nnt: number needed to treat, 1 / |rd| at the median, "
        "nnt_lower and nnt_upper at the ends of the interval (empty where that holds 0)"
    )
    yield Quantity("absolute", "rd", words + SIDES, rd, keys, extra.join(_sided(rd, 0.0)))
