"""One model of a map in words and equations, with the priors in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolmap.contracts import Block, Dataset
from poolmap.families.areas.effect_words import effect_blocks
from poolmap.families.areas.likelihood_words import (
    RATIO,
    SYMBOL,
    likelihood_blocks,
    linear_predictor,
    suppressed_block,
)
from poolmap.families.areas.model import intercepts_of
from poolmap.families.areas.option_words import component_blocks, measured_blocks, region_blocks
from poolmap.families.areas.priors import priors_in_force

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis


def methods(spec: AreasAnalysis, model: str, data: Dataset) -> list[Block]:
    """One model in words and equations, with the priors in force."""
    chosen = spec.models[model]
    terms = data.tables["covariates"].columns[1:].tolist()
    predictor = linear_predictor(
        covariates=bool(terms),
        regions=chosen.regions is not None,
        components=intercepts_of(spec, model, data).several,
    )
    blocks = likelihood_blocks(spec.likelihood(model), predictor)
    if data.facts.get("suppressed"):
        blocks += suppressed_block()
    blocks += effect_blocks(chosen.prior)
    blocks += region_blocks(spec, model, data) + component_blocks(spec, model, data)
    if terms:
        about = (
            f"exp(beta) is the ratio of {RATIO[spec.scale][1]}"
            if spec.scale in RATIO
            else "beta is the change of the mean"
        )
        blocks.append(
            f"Covariates, from the formula {spec.covariates} and centred on their means over the areas: "
            f"{', '.join(terms)}. {about} per unit; the unit of scale(x) is one standard deviation of x over "
            "the areas."
        )
    blocks += measured_blocks(spec, model, data)
    told = []
    for name, prior in priors_in_force(spec, model, data).items():
        symbol = SYMBOL.get(name, name)
        told.append(f"{'each ' if name == 'beta' else ''}{symbol} ~ {prior.words(symbol)}")
    text = f"Priors: {'; '.join(told)}."
    keys = ["alpha", "beta", "sigma"] + (["sigma_region"] if chosen.regions is not None else [])
    left_out = [key for key in keys if getattr(chosen, f"{key}_prior") is None]
    if spec.scale == "mean" and left_out:
        text += (
            f" Those of {', '.join(left_out)} were not given, and were set wide on the scale of the direct "
            "estimates (their mean and standard deviation, rounded)."
        )
    blocks.append(text)
    return blocks
