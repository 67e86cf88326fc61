"""From draws of reported quantities to tidy estimates tables, one schema for all families."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.contracts import Quantity
from poolmap.inference.convergence import convergence

STATISTICS = ["mean", "sd", "median", "lower", "upper", "mcse", "ess_bulk", "ess_tail", "rhat"]
MEANING = {
    "quantity": "what is estimated",
    "mean": "posterior mean",
    "sd": "posterior standard deviation",
    "median": "posterior median",
    "lower": "lower end of the central posterior interval",
    "upper": "upper end of the central posterior interval",
    "mcse": "Monte Carlo standard error of the mean",
    "ess_bulk": "bulk effective sample size",
    "ess_tail": "tail effective sample size",
    "rhat": "rank-normalised split R-hat",
}


def import_arviz() -> Any:
    """ArviZ, without the notice of its coming version that it prints on import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def diagnostics(draws: np.ndarray) -> dict[str, np.ndarray]:
    """R-hat, bulk and tail effective sample size and the mean's Monte Carlo error of each row.

    Args:
        draws: array (chain, draw, row).

    Returns:
        arrays (row,) `mcse`, `ess_bulk`, `ess_tail`, `rhat` (Vehtari et al. 2021, Bayesian Analysis 16:667,
        rank-normalised). A row whose draws are all the same has no such figures, nor one with a draw that is
        not finite: NaN.
    """
    usable = np.isfinite(draws).all(axis=(0, 1)) & (draws.max(axis=(0, 1)) > draws.min(axis=(0, 1)))
    out = {name: np.full(draws.shape[2], np.nan) for name in ("mcse", "ess_bulk", "ess_tail", "rhat")}
    if usable.any():
        for name, figures in convergence(draws[:, :, usable]).items():
            out[name][usable] = figures
    return out


def summarise(quantities: Sequence[Quantity], interval: float) -> dict[str, pd.DataFrame]:
    """The estimates tables.

    Args:
        quantities: from a family's `estimate`.
        interval: level of the central interval, e.g. 0.95.

    Returns:
        tables by name with the columns `quantity, <keys>`, those of `STATISTICS`, and each quantity's own.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for item in quantities:
        flat = item.draws.reshape(-1, item.draws.shape[2])
        tail = (1 - interval) / 2
        lower, median, upper = np.quantile(flat, [tail, 0.5, 1 - tail], axis=0)
        rows = {
            "mean": flat.mean(axis=0),
            "sd": flat.std(axis=0, ddof=1),
            "median": median,
            "lower": lower,
            "upper": upper,
            **diagnostics(item.draws),
        }
        frame = pd.DataFrame({"quantity": [item.quantity] * flat.shape[1]})
        parts = [frame]
        if item.keys is not None:
            parts.append(item.keys.reset_index(drop=True))
        parts.append(pd.DataFrame({name: rows[name] for name in STATISTICS}))
        if item.extra is not None:
            parts.append(item.extra.reset_index(drop=True))
        tables.setdefault(item.table, []).append(pd.concat(parts, axis=1))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def dictionary(quantities: Sequence[Quantity], interval: float) -> dict[str, Any]:
    """The data dictionary that goes beside the tables: keys, quantities and columns in words."""
    content: dict[str, Any] = {"interval": interval, "columns": MEANING, "tables": {}}
    for item in quantities:
        keys = [] if item.keys is None else list(item.keys.columns)
        table = content["tables"].setdefault(item.table, {"keys": keys, "quantities": {}})
        table["quantities"][item.quantity] = item.description
    return content
