"""What the report says of a model's options: region effects, covariates with errors, component intercepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import Block, Dataset, Equation, ModelResult, ReportTable
from poolmap.families.areas.components import component_names
from poolmap.families.areas.likelihood_words import RATIO
from poolmap.families.areas.model import intercepts_of, region_of
from poolmap.families.areas.options import EFFECT
from poolmap.families.areas.priors import measured_scale
from poolmap.families.areas.scales import SCALES, Form, Scale, form
from poolmap.families.areas.words import counted, listed, names

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

_ON = {"rr": " on the log scale", "prevalence": " on the logit scale", "mean": ""}


def data_blocks(spec: AreasAnalysis, data: Dataset) -> list[Block]:
    """The regions and the standard errors of covariates that the table has."""
    blocks: list[Block] = []
    for column in spec.region_columns:
        sizes = data.tables["regions"][column].value_counts()
        blocks.append(
            f"The column '{column}' puts the areas into {len(sizes)} regions of {sizes.min()} to "
            f"{counted(int(sizes.max()), 'area')}."
        )
    for covariate, column in spec.measured_columns:
        se = data.tables["covariate_errors"][column]
        exact = int((se == 0).sum())
        number = form(SCALES["mean"], [float(se.min())], [float(se.max())])
        text = (
            f"The covariate '{covariate}' is measured with errors: standard errors in the column '{column}', "
            f"from {number(se.min())} to {number(se.max())} in the unit of "
            f"{data.facts['measured'][covariate]}"
        )
        known = f" (0, known exactly, in {counted(exact, 'area')})" if exact else ""
        blocks.append(f"{text}{known}.")
    return blocks


def region_blocks(spec: AreasAnalysis, model: str, data: Dataset) -> list[Block]:
    """The effects of regions; nothing for a model without them."""
    region, found = region_of(spec, model, data)
    if region is None:
        return []
    return [
        f"The areas of a region (column '{spec.models[model].regions}', {len(found)} regions) share an "
        "effect v, drawn towards the mean of all regions; the effects of areas are what is left within "
        "regions. What is reported of an area includes the effect of its region.",
        Equation(
            r"v_g \sim \mathrm{Normal}(0, \sigma_\mathrm{region}^2)",
            "v g is normal with mean zero and standard deviation sigma region",
        ),
    ]


def component_blocks(spec: AreasAnalysis, model: str, data: Dataset) -> list[Block]:
    """The intercepts of components; nothing for a model without them."""
    intercepts = intercepts_of(spec, model, data)
    if not intercepts.several:
        return []
    text = (
        "Each part of the map that hangs together has an intercept of its own (Freni-Sterrantino, Ventrucci "
        "and Rue 2018), with the prior of alpha: its level is not drawn towards that of the others. alpha is "
        "their mean, weighted by the number of areas: "
        f"{listed(component_names(data, intercepts.component))}."
    )
    graph, areas = data.graph, data.tables["areas"]
    rest = ~np.isin(graph.component, intercepts.component)
    alone = rest & (graph.n_neighbours == 0)
    for which, why in ((alone, "has no neighbours"), (rest & ~alone, "is in a component without data")):
        if which.any():
            ids = areas["area"][which]
            text += f" {listed(names(areas, ids))}: alpha in place of an own one (each {why})."
    return [text]


def measured_blocks(spec: AreasAnalysis, model: str, data: Dataset) -> list[Block]:
    """How covariates with errors enter; nothing for a model without them."""
    errors = spec.models[model].covariate_errors
    if not errors:
        return []
    told = [f"{data.facts['measured'][x]} (standard errors in '{se}')" for x, se in errors.items()]
    priors = [
        f"of {term}, mu_x ~ normal(0, {scale:g}) and sigma_x ~ half-normal({scale:g})"
        for term in (data.facts["measured"][x] for x in errors)
        for scale in [measured_scale(data, term)]
    ]
    return [
        f"Measured with errors of known standard deviation: {listed(told)}. The coefficient is that of the "
        "true values, which are estimated with the rest (classical error model: Carroll, Ruppert, Stefanski "
        "and Crainiceanu 2006, Measurement Error in Nonlinear Models, 2nd edition); that of the values as "
        "measured would be drawn towards 0.",
        Equation(
            r"x_i^\mathrm{obs} \sim \mathrm{Normal}(x_i, s_{x,i}^2), \qquad "
            r"x_i \sim \mathrm{Normal}(\mu_x, \sigma_x^2)",
            "x i as observed is normal around the true x i with standard deviation s x i; the true x i is "
            "normal with mean mu x and standard deviation sigma x",
        ),
        "The true values are taken to be normal over the areas, independent of each other, of the other "
        "covariates and of the area effects, and the errors to be independent of the outcome. Where the "
        "covariate follows a map or another covariate, a model of that would tell more of its true values. "
        f"Priors: {'; '.join(priors)}.",
    ]


def option_sentences(spec: AreasAnalysis, scale: Scale, result: ModelResult) -> list[str]:
    """What was found of regions, component intercepts and the reliability of covariates."""
    table = result.estimates["parameters"]
    level = f"{spec.interval:.0%} interval"

    def told(row: pd.Series, number: Form) -> str:
        return f"{number(row['mean'])} ({level} {number.interval(row['lower'], row['upper'])})"

    def number(rows: pd.DataFrame) -> Form:
        return Form(2) if scale.quantity != "mean" else form(scale, rows["lower"], rows["upper"])

    sentences = []
    region = table[table["quantity"] == "sigma_region"]
    if len(region):
        effects = region_rows(scale, result).sort_values("mean", ascending=False)
        high, low, f = effects.iloc[0], effects.iloc[-1], number(effects)
        what = (
            f", a ratio of {RATIO[scale.quantity][1]} of" if scale.quantity in RATIO else ", a difference of"
        )
        sentences.append(
            f"The standard deviation of the region effects is {told(region.iloc[0], number(region))}"
            f"{_ON[scale.quantity]}. Against an average region, the effect is highest in {high['region']}"
            f"{what} {told(high, f)}, and lowest in {low['region']}, {told(low, f)}."
        )
    own = table[table["quantity"] == "component_intercept"]
    if len(own):
        f = number(own)
        each = [f"{row['term']} {told(row, f)}" for _, row in own.iterrows()]
        sentences.append(f"The intercepts of the components{_ON[scale.quantity]}: {listed(each)}.")
    for _, row in table[table["quantity"] == "reliability"].iterrows():
        sentences.append(
            f"The reliability of {row['term']}, the share of its observed variance that is true variation, "
            f"is {told(row, Form(2))}: a coefficient that takes the observed values for the true ones would "
            "be too near 0 by about this factor, were it the only covariate."
        )
    return sentences


def region_rows(scale: Scale, result: ModelResult) -> pd.DataFrame:
    """The effects of regions on the scale that is reported: ratios, or differences of means."""
    table = result.estimates["region_effects"]
    quantity = RATIO[scale.quantity][0] if scale.quantity in RATIO else EFFECT
    return table[table["quantity"] == quantity].reset_index(drop=True)


def region_effects_table(spec: AreasAnalysis, scale: Scale, result: ModelResult) -> ReportTable:
    """The effect of each region."""
    rows = region_rows(scale, result).sort_values("mean", ascending=False, kind="stable")
    f = Form(2) if scale.quantity in RATIO else form(scale, rows["lower"], rows["upper"])
    what = f"ratio of {RATIO[scale.quantity][1]}" if scale.quantity in RATIO else "difference of the mean"
    level = f"{spec.interval:.0%} interval"
    frame = pd.DataFrame(
        {
            "region": rows["region"],
            "areas": [f"{n:,.0f}" for n in rows["n_areas"]],
            what: [f(v) for v in rows["mean"]],
            level: [f.interval(a, b) for a, b in zip(rows["lower"], rows["upper"], strict=True)],
        }
    )
    return ReportTable(
        frame,
        f"Effects of the regions (column '{spec.models[result.name].regions}'): {what} against an average "
        "region, covariates and area effects apart. They are not the values of the regions, which also "
        "depend on their areas (the key 'aggregate' gives these).",
        frame.columns[1:].tolist(),
        result.name,
    )
