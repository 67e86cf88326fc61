"""Leaving out whole areas: how well the rest of the survey predicts an area's own answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, LeftOut, Predictive
from poolmap.errors import Problem
from poolmap.families.mrp.model import stan_data
from poolmap.families.mrp.predictive import predictive
from poolmap.inference.predictive import averages
from poolmap.tables import nearest_then

if TYPE_CHECKING:
    import xarray

NOTHING = 1e-12  # exposure of a cell that is left out, whose logarithm the program takes
EMPTIED = ("n", "yes", "total", "within_ss")


def left_out(spec: MrpAnalysis, model: str, data: Dataset) -> Callable[[int], LeftOut] | None:
    """How to fit the model without the answers of one level of `leave_out` (of `levels_left_out`).

    The level stays in the model with no respondents, and its effects follow from the rest: from their
    distribution, or from the neighbours. The density of its answers is the mean over the draws of all
    parameters and of these effects; replicated are the answers of its respondents.

    Returns:
        None where the config leaves nothing out: cells are then left out by importance sampling alone.
    """
    if spec.leave_out is None:
        return None
    names = levels_left_out(spec, data)

    def without(i: int) -> LeftOut:
        out = (data.tables["cells"][spec.leave_out] == names[i]).to_numpy()

        def log_lik(draws: xarray.Dataset) -> np.ndarray:
            given = predictive(spec, model, data, draws, np.random.default_rng(0), only=out)
            return given.log_lik.sum(axis=2, dtype=np.float64)

        def replicated(draws: xarray.Dataset, rng: np.random.Generator) -> np.ndarray:
            given = predictive(spec, model, data, draws, rng, only=out)
            only = replace(data, tables=data.tables | {"cells": data.tables["cells"][out]})
            return averages(with_factors(spec, only, given), spec.leave_out).replicated

        return LeftOut(stan_data(spec, model, emptied(data, out)), log_lik, replicated)

    return without


def levels_left_out(spec: MrpAnalysis, data: Dataset) -> list[str]:
    """The levels of `leave_out` that the survey holds."""
    return sorted(set(data.tables["cells"][spec.leave_out]))


def not_in_formula(spec: MrpAnalysis, variables: Sequence[str]) -> list[Problem]:
    """What is wrong with `leave_out`: only a variable of the formula has levels of its own in the model."""
    if spec.leave_out is None or spec.leave_out in variables:
        return []
    what = f"'{spec.leave_out}' is no factor of the formula"
    return [Problem("leave_out", what, nearest_then(spec.leave_out, variables, "Name one of its factors"))]


def emptied(data: Dataset, out: np.ndarray) -> Dataset:
    """The data with no respondents in the cells where `out` (cells,) is True; levels stay as they are."""
    cells = data.tables["cells"].copy()
    names = [*(n for n in EMPTIED if n in cells), *(n for n in cells if str(n).startswith("n_"))]
    cells.loc[out, names] = 0
    if "exposure" in cells:
        cells["exposure"] = cells["exposure"].astype(float).where(~out, NOTHING)
    tables = data.tables | {"cells": cells}
    if "rows" in tables:
        rows = tables["rows"].copy()
        rows.loc[out[rows["cell"].to_numpy()], "n"] = 0
        tables["rows"] = rows
    return replace(data, tables=tables)


def by_level(spec: MrpAnalysis, data: Dataset, item: Predictive) -> Predictive:
    """Predictive checks with the cells' factors beside them; leave-one-out of whole levels if asked for.

    Args:
        item: of the cells: `log_lik` (chain, draw, cells), observations a whole number of times as many (an
            answer each).
    """
    item = with_factors(spec, data, item)
    if spec.leave_out is None:
        return item
    levels, of = levels_left_out(spec, data), data.tables["cells"][spec.leave_out].to_numpy()
    sums = [item.log_lik[:, :, of == level].sum(axis=2, dtype=np.float64) for level in levels]
    return replace(item, log_lik=np.stack(sums, axis=2), left_out=spec.leave_out, parts=levels)


def with_factors(spec: MrpAnalysis, data: Dataset, item: Predictive) -> Predictive:
    """Predictive checks of the table `cells` with the cells' factors and numbers of respondents."""
    cells = data.tables["cells"]
    times = len(item.observed) // max(len(cells), 1)
    names = list(dict.fromkeys(v for term in data.facts["terms"] for v in term))
    groups = cells[names].loc[np.repeat(cells.index, times)].reset_index(drop=True)
    if times > 1:
        groups = groups.assign(answer=list(data.facts["answers"]) * len(cells))
    size = np.repeat(cells["n"].to_numpy(dtype=float), times)
    return replace(item, groups=groups, size=size, is_mean=spec.outcome.kind == "continuous")
