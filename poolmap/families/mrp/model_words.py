"""One model of a survey in words and equations, with the priors in force."""

from __future__ import annotations

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset
from poolmap.families.mrp.effect_words import effect_blocks, largest_batch
from poolmap.families.mrp.estimate_words import estimate_blocks
from poolmap.families.mrp.formula import parse_formula
from poolmap.families.mrp.likelihood_words import likelihood_blocks
from poolmap.families.mrp.structures import structure_of

SCALES = {
    "binary": "on the logit scale",
    "continuous": "in standard deviations of the outcome",
    "count": "on the log scale",
    "ordered": "on the logit scale",
    "categorical": "on the scale of log odds against the first answer",
}


def methods(spec: MrpAnalysis, model: str, data: Dataset) -> list[Block]:
    """The model and the poststratification in words and equations, with the priors in force."""
    first = next(iter(spec.models))
    blocks = [
        *likelihood_blocks(spec, model, data),
        *effect_blocks(spec, model, data),
        f"Priors {SCALES[spec.outcome.kind]}: {priors_in_force(spec, model, data)}.",
    ]
    if model == first:
        return blocks + estimate_blocks(spec, data)
    return [*blocks, f"Poststratification, direct estimates and validation are as for model {first}."]


def priors_in_force(spec: MrpAnalysis, model: str, data: Dataset) -> str:
    """The priors of everything that the model has, and of nothing else."""
    own, kind = spec.models[model], spec.outcome.kind
    formula = parse_formula(spec.formula_of(model), spec.outcome.column, pooled=False)
    structures = [structure_of(group, dict(own.structure)) for group in formula.groups]
    found = [f"{'each cutpoint' if kind == 'ordered' else 'intercept'} {own.alpha_prior.words('alpha')}"]
    if formula.common:
        each = "standard deviation of a numeric predictor"
        found.append(f"coefficients {own.beta_prior.words('beta')} per {each}")
    if formula.groups:
        what = "effects" if any(group.slopes for group in formula.groups) else "varying intercepts"
        found.append(f"standard deviation of each batch of {what} {own.sigma_prior.words('sigma')}")
    if largest_batch(formula, data) > 1:
        found.append(f"correlations of the effects of a level LKJ({own.lkj:g})")
    if "bym2" in structures:
        found.append(f"share of the variance that neighbours share {own.rho_prior.words('rho')}")
    if "ar1" in structures:
        found.append(f"correlation of neighbouring levels {own.correlation_prior.words('rho')}")
    if kind == "continuous":
        found.append(f"standard deviation within cells {own.residual_prior.words('sigma_y')}")
    if kind == "count" and own.likelihood == "negative_binomial":
        found.append(f"dispersion {own.dispersion_prior.words('delta')}")
    if spec.outcome.test is not None and spec.outcome.test.between_studies == "varying":
        found.append(f"mean logits of sensitivity and specificity {own.test_mean_prior.words('mean')}")
        found.append(f"their standard deviation between studies {own.test_sd_prior.words('sd')}")
    return "; ".join(found)
