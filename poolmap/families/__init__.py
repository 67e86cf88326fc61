"""The families of analyses. Each is a folder with the same doors, one module a door.

    ingest.py     ingest(spec) -> contracts.Dataset
    look.py       look(spec, files) -> list of config.conflicts.Conflict: what in the config cannot be, or
                  (where `files` says that they are in order) does not fit the input files; told before
                  anything is run; only where the family has something to say
    model.py      stan_data(spec, model, data) -> contracts.StanData
    estimate.py   estimate(spec, model, data, draws, rng) -> list of contracts.Quantity
                  predictive(spec, model, data, draws, rng) -> contracts.Predictive
    left_out.py   left_out(spec, model, data) -> function of i giving contracts.LeftOut, or None; only where
                  the family can refit without one of the parts that leave-one-out leaves out
    calibrate.py  calibrate(spec, model, data, draws, executable, seed, cores) -> contracts.Companion; only
                  where the family can simulate data from a fit and fit them again (config `calibrate`)
    companions.py companions(spec, model, data, tables) -> list of contracts.Companion; only where the
                  family has tables that do not come from the draws
    figures.py    figures(spec, data, results) -> list of contracts.NamedFigure
    methods.py    describe(spec, data) -> blocks on the data: what came in, what was left out
                  methods(spec, model, data) -> blocks on the model: words, equations, priors
                  findings(spec, data, results) -> blocks on the results: sentences and tables
    checklists.py checklists(spec, data, results, figures) -> blocks: reporting guidelines, filled in; only
                  where the family has some

`spec` is the analysis's section of the typed config, `model` the model's name in it, `draws` the
posterior as an `xarray.Dataset` with dimensions (chain, draw, ...), `results` a dict of
`contracts.ModelResult` by model name, the first being the primary model.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolmap.config.base import Analysis
    from poolmap.config.conflicts import Conflict

DOORS = {
    "ingest": "ingest",
    "look": "look",
    "stan_data": "model",
    "estimate": "estimate",
    "predictive": "estimate",
    "left_out": "left_out",
    "calibrate": "calibrate",
    "companions": "companions",
    "figures": "figures",
    "methods": "methods",
    "findings": "methods",
    "describe": "methods",
    "checklists": "checklists",
}


def door(family: str, name: str) -> Callable:
    """The function behind one door of a family; only that door's module is imported.

    Args:
        family: `meta`, `areas` or `mrp`.
        name: one of `DOORS`.
    """
    return getattr(import_module(f"poolmap.families.{family}.{DOORS[name]}"), name)


def has_door(family: str, name: str) -> bool:
    """Whether a family has a door that not every family needs."""
    return find_spec(f"poolmap.families.{family}.{DOORS[name]}") is not None


def look(spec: Analysis, files: bool) -> list[Conflict]:
    """What in an analysis's config cannot be, by its family's `look`, if it has one."""
    return door(spec.family, "look")(spec, files) if has_door(spec.family, "look") else []
