"""Input of the Stan program, and the design that the program and the poststratification share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, StanData
from poolmap.families.mrp.formula import term_name


def stan_data(spec: MrpAnalysis, model: str, data: Dataset) -> StanData:
    """The survey's cells, their predictors and levels, and the priors, for `mrp/binomial.stan`.

    Only levels that the survey holds are sampled; the others' effects are drawn from their prior given
    sigma when the estimates are made. The program samples each sigma with a sign (see its header).
    """
    cells, settings = data.tables["cells"], spec.models[model]
    cells = cells[cells["n"] > 0]  # those left out have none
    sizes = seen_levels(data)
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    x = design(cells, data.facts["predictors"])
    content: dict[str, Any] = {
        "C": len(cells),
        "P": x.shape[1],
        "K": len(sizes),
        "L": int(sum(sizes)),
        "yes": cells["yes"].to_numpy(),
        "n": cells["n"].to_numpy(),
        "X": x,
        "level": level_codes(cells, len(sizes)) + start + 1,
        "batch": np.repeat(np.arange(1, len(sizes) + 1), sizes),
    }
    for name in ("alpha", "beta", "sigma"):
        content |= getattr(settings, f"{name}_prior").stan_data(name)
    return StanData(content, ["alpha", *(["beta"] if x.shape[1] else []), "signed_sigma", "z"])


def terms(data: Dataset) -> list[str]:
    """The batches of varying intercepts by name, in the order of the formula."""
    return [term_name(tuple(term)) for term in data.facts["terms"]]


def seen_levels(data: Dataset) -> list[int]:
    """How many levels of each batch the survey holds."""
    levels = data.tables["levels"]
    return [int(levels.loc[levels["term"] == term, "seen"].sum()) for term in terms(data)]


def design(frame: pd.DataFrame, predictors: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """The predictors, standardised with the census's mean and standard deviation: (rows, P)."""
    columns = [
        (frame[name] - scale["mean"]) / scale["sd"]
        for name, scale in predictors.items()
        if scale["type"] == "numeric"
    ]
    return np.column_stack(columns) if columns else np.zeros((len(frame), 0))


def design_matrix(spec: MrpAnalysis, model: str, data: Dataset, frame: pd.DataFrame) -> np.ndarray:
    """(rows, P) the design of rows of the survey or of the census."""
    return design(frame, data.facts["predictors"])


def level_codes(frame: pd.DataFrame, batches: int) -> np.ndarray:
    """The code of each row's level in each batch: (rows, K) integers from 0."""
    return frame[[f"level_{k}" for k in range(batches)]].to_numpy(dtype=np.int64)
