"""Surveys simulated from the fitted model, in the cells of the survey itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.links import link_of
from poolmap.families.mrp.model import design_matrix
from poolmap.families.mrp.parts import Parts
from poolmap.families.mrp.poststratify import poststratify

Array = NDArray[np.float64]


def cell_values(spec: MrpAnalysis, model: str, data: Dataset, given: Parts) -> Array:
    """Share, mean or rate in each cell of the survey, by draw: (answers, draws, cells)."""
    cells = data.tables["cells"]
    answers = len(data.facts["answers"]) if spec.outcome.kind in ("ordered", "categorical") else 1
    return poststratify(
        given,
        design_matrix(spec, model, data, cells),
        {batch.level: cells[batch.level].to_numpy() for batch in given.batches},
        sparse.eye_array(len(cells), format="csc"),
        link_of(spec.outcome.kind, answers),
    ).values


def simulated(
    spec: MrpAnalysis, data: Dataset, values: Array, own: dict[str, Array], rng: np.random.Generator
) -> Dataset:
    """The data with new answers in every cell, as many respondents in each as there are.

    Args:
        spec, data: the analysis.
        values: (answers, cells) true shares, means or rates, one draw of `cell_values`.
        own: of that draw, what the outcome's kind has besides (`Parts.own`).
        rng: draws the answers.
    """
    cells, kind = data.tables["cells"].copy(), spec.outcome.kind
    n = cells["n"].to_numpy(dtype=np.int64)
    tables = dict(data.tables)
    if kind == "binary":
        p = values[0]
        if "sensitivity" in own:
            p = p * own["sensitivity"] + (1 - p) * (1 - own["specificity"])
        cells["yes"] = rng.binomial(n, p)
    elif kind == "continuous":
        sd = own["residual_sd"]
        cells["mean"] = rng.normal(values[0], sd / np.sqrt(n))
        cells["within_ss"] = sd**2 * np.where(n > 1, rng.chisquare(np.maximum(n - 1, 1)), 0)
    elif kind in ("ordered", "categorical"):
        shares = values.T / values.sum(axis=0)[:, None]
        cells[[f"n_{a}" for a in range(len(values))]] = rng.multinomial(n, shares)
    elif "dispersion" in own:
        tables["rows"] = _rows(tables["rows"], values[0], float(own["dispersion"]), rng)
        cells["total"] = _totals(tables["rows"], len(cells))
    else:
        cells["total"] = rng.poisson(values[0] * cells["exposure"].to_numpy(dtype=float))
    return replace(data, tables=tables | {"cells": cells})


def _rows(rows: pd.DataFrame, rate: Array, dispersion: float, rng: np.random.Generator) -> pd.DataFrame:
    """New counts of every respondent, variance m + dispersion m^2, again as distinct rows."""
    persons = rows.loc[np.repeat(rows.index, rows["n"]), ["cell", "exposure"]].reset_index(drop=True)
    mean = rate[persons["cell"].to_numpy()] * persons["exposure"].to_numpy(dtype=float)
    if dispersion > 0:
        mean = rng.gamma(1 / dispersion, mean * dispersion)
    persons["y"] = rng.poisson(mean)
    return persons.groupby(["cell", "y", "exposure"]).size().rename("n").reset_index()


def _totals(rows: pd.DataFrame, cells: int) -> NDArray[np.int64]:
    return np.bincount(rows["cell"], rows["y"] * rows["n"], cells).astype(np.int64)
