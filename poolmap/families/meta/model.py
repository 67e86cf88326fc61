"""The input of the Stan programs of a meta-analysis."""

from __future__ import annotations

from typing import Any

import pandas as pd

from poolmap.config.base import Prior
from poolmap.config.meta import MEASURES, MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import Dataset, StanData
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.usable import used_by

EFFECTS = {"common": 0, "normal": 1, "student_t": 2, "independent": 3}
LINK = {"OR": 1, "RR": 2}
UNUSED = Prior("normal", (0, 1))
"""Stands in the data of a program for the prior of a parameter that the model has not."""
PRIORS = {
    "meta/normal": ("mu", "beta", "tau"),
    "meta/multilevel": ("mu", "beta", "tau", "tau_within"),
    "meta/binomial": ("mu", "beta", "tau", "baseline", "baseline_sd"),
    "meta/poisson": ("mu", "beta", "tau", "baseline", "baseline_sd"),
    "meta/group": ("mu", "beta", "tau"),
    "meta/beta_binomial": ("mu", "beta", "baseline", "icc"),
}
"""The priors in the data block of each program."""


def stan_data(spec: MetaAnalysis, model: str, data: Dataset) -> StanData:
    """Data of the model's program (`spec.program`): the studies that the model uses, design, priors.

    Raises:
        InputError: as `design.design`.
    """
    data = used_by(spec, model, data)
    return program_data(spec, model, design(spec, model, data), data.tables["studies"])


def program_data(spec: MetaAnalysis, model: str, layout: Design, studies: pd.DataFrame) -> StanData:
    """The same of the studies of a layout and table: all, or some of them."""
    program, chosen = spec.program(model), spec.models[model]
    values: dict[str, Any] = {
        "K": len(studies),
        "P": layout.X.shape[1],
        "M": layout.M,
        "X": layout.X.tolist(),
    }
    if program != "meta/beta_binomial":
        values |= {"G": layout.G, "group": layout.group.tolist()}
        values |= {"effects": EFFECTS[chosen.effects], "df": chosen.df or DEFAULT_DF}
    stated = spec.priors(model)
    for name in PRIORS[program]:
        values |= stated.get(name, UNUSED).stan_data(name)
    if program in ("meta/binomial", "meta/poisson"):
        values["baseline_random"] = int(chosen.baseline == "random")
    if program == "meta/multilevel":
        from poolmap.families.meta.multilevel import multilevel_data

        values |= multilevel_data(spec, model, studies)
    else:
        values |= _observed(spec, program, studies)
    return StanData(values, _kept(spec, model, layout))


def _observed(spec: MetaAnalysis, program: str, studies: pd.DataFrame) -> dict[str, Any]:
    """The studies' data, by the names of the program."""
    if program == "meta/normal":
        return {"y": studies["yi"].tolist(), "se": studies["se"].tolist()}
    names = MEASURES[spec.measure]
    if program == "meta/group":  # 1 binomial with people, 2 Poisson with person-time
        code, size = (1, "total") if "total" in names else (2, "time")
        return {"likelihood": code, "events": studies["events"].tolist(), "size": studies[size].tolist()}
    if spec.compares_arms:
        columns = {name: studies[name].tolist() for name in names}
    else:  # a single group is the only arm
        columns = {f"{name}_1": studies[name].tolist() for name in names}
        columns |= {f"{name}_2": [] for name in names}
    if program == "meta/binomial":
        return columns | {"link": LINK[spec.measure]}
    if program == "meta/beta_binomial":
        return columns | {"arms": 2 if spec.compares_arms else 1}
    return columns


def _kept(spec: MetaAnalysis, model: str, layout: Design) -> tuple[str, ...]:
    """The parameters whose draws are kept: those that the model has."""
    chosen = spec.models[model]
    kept = ["beta"] if layout.X.shape[1] else []
    kept += ["tau"] if layout.G else []
    kept += ["tau_within"] if chosen.within(spec.effect_id is not None) else []
    kept += ["w"] if chosen.effects == "student_t" else []
    exact = chosen.likelihood in ("binomial", "poisson")
    kept += ["theta"] if exact or chosen.effects == "independent" else []
    kept += ["baseline"] if exact and spec.compares_arms else []
    if chosen.baseline == "random" or (chosen.likelihood == "beta_binomial" and spec.compares_arms):
        kept += ["baseline_mean"]
    kept += ["baseline_sd"] if chosen.baseline == "random" else []
    kept += ["icc"] if chosen.likelihood == "beta_binomial" else []
    return tuple(kept)
