"""The input of the Stan programs of a meta-analysis."""

from __future__ import annotations

from poolmap.config.meta import COUNT_COLUMNS, MetaAnalysis
from poolmap.contracts import Dataset, StanData

LINK = {"OR": 1, "RR": 2}


def stan_data(spec: MetaAnalysis, model: str, data: Dataset) -> StanData:
    """Data of `meta/normal` (estimates and standard errors) or `meta/binomial` (counts of each arm)."""
    studies = data.tables["studies"]
    values: dict = {"K": len(studies)}
    for name, prior in spec.priors(model).items():
        values |= prior.stan_data(name)
    if spec.models[model].likelihood == "normal":
        values |= {"y": studies["yi"].tolist(), "se": studies["se"].tolist()}
        return StanData(values, ("mu", "tau"))
    values |= {name: studies[name].tolist() for name in COUNT_COLUMNS}
    return StanData(values | {"link": LINK[spec.measure]}, ("mu", "tau", "theta", "baseline"))
