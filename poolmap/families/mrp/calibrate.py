"""Expected error of each group's estimate: surveys simulated from the fitted model, and fitted again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Companion, Dataset, Quantity
from poolmap.families.mrp.effects import parts
from poolmap.families.mrp.estimate import estimate, estimates_of, quantity_of
from poolmap.families.mrp.model import design_matrix, stan_data
from poolmap.families.mrp.simulate import cell_values, simulated
from poolmap.inference.fit import fit

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("poolmap.calibrate")

WORDS = (
    "expected error of each group's estimate, where the model is right: surveys simulated from draws of the "
    "posterior, with the respondents of this survey's cells, fitted again and poststratified; grouping: of "
    "which table; surveys: those whose fit passed its checks; true_mean: mean of the true values; bias, "
    "rmse: mean and root mean square of estimate less true value; coverage: share of intervals that hold the "
    "true value; width: their mean width"
)


def calibrate(
    spec: MrpAnalysis,
    model: str,
    data: Dataset,
    draws: xarray.Dataset,
    executable: Path,
    *,
    seed: int,
    cores: int,
) -> Companion:
    """Simulate, fit and poststratify `spec.calibrate` times.

    Each survey is simulated from a draw of its own, evenly spaced over the posterior, so that the errors are
    averaged over what the model holds possible. Intervals then cover as they say if the computation is right;
    how large errors and intervals are, and how they differ by group, is what is learnt.

    Args:
        spec, model, data: the analysis, the model's name and the data.
        draws: of the fit, dimensions (chain, draw, ...).
        executable: the compiled program.
        seed: of the simulation and of the first fit; cores: chains run at the same time.

    Returns:
        the table `calibration`: `grouping`, `group` (levels joined by " / "), `answer` where there are
        several, `n_survey`, `surveys`, `true_mean`, `bias`, `rmse`, `coverage`, `width`.
    """
    rng = np.random.default_rng(seed)
    chosen = thinned(draws, spec.calibrate)
    count = chosen.sizes["draw"]
    given = parts(spec, model, data, chosen, np.random.default_rng(seed))
    values = cell_values(spec, model, data, given)
    # the same generator: the effects of levels not in the survey are drawn alike
    again = parts(spec, model, data, chosen, np.random.default_rng(seed))
    x = design_matrix(spec, model, data, data.tables["census"])
    truth = _groups(spec, estimates_of(spec, data, again, x, (1, count), rng))
    scores = []
    for i in range(count):
        own = {name: value[i] for name, value in given.own.items()}
        survey = simulated(spec, data, values[:, i], own, rng)

        def reported(found: xarray.Dataset, of: np.random.Generator, survey=survey) -> list[Quantity]:
            return estimate(spec, model, survey, found, of)

        how = {"seed": seed + 2 * i, "cores": cores}
        result = fit(executable, stan_data(spec, model, survey), reported, spec.sampling, **how)
        good = result.verdict["passed"]
        log.info("survey %d of %d: %s", i + 1, count, "passed" if good else "FAILED its checks, left out")
        if good:
            found = _groups(spec, reported(result.draws.posterior, np.random.default_rng(seed)))
            scores.append([_score(*pair, i, spec.interval) for pair in zip(truth, found, strict=True)])
    return Companion("calibration", _table(spec, truth, scores), WORDS)


def thinned(draws: xarray.Dataset, count: int) -> xarray.Dataset:
    """So many draws of all chains, evenly spaced, as one chain."""
    joined = draws.stack(all=("chain", "draw"))
    at = np.linspace(0, joined.sizes["all"] - 1, min(count, joined.sizes["all"])).round().astype(int)
    few = joined.isel(all=at).drop_vars(["all", "chain", "draw"]).rename(all="draw")
    return few.expand_dims("chain").transpose("chain", "draw", ...)


def _groups(spec: MrpAnalysis, quantities: list[Quantity]) -> list[Quantity]:
    tables = {spec.table_name(grouping) for grouping in spec.groupings()}
    return [q for q in quantities if q.table in tables and q.quantity == quantity_of(spec)]


def _score(truth: Quantity, found: Quantity, i: int, interval: float) -> np.ndarray:
    """(4, rows) true value, error, whether the interval holds it, and its width."""
    true = truth.draws[0, i]
    draws = found.draws.reshape(-1, found.draws.shape[2])
    tail = (1 - interval) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.stack([true, draws.mean(axis=0) - true, (lower <= true) & (true <= upper), upper - lower])


def _table(spec: MrpAnalysis, truth: list[Quantity], scores: list[list[np.ndarray]]) -> pd.DataFrame:
    tables = []
    for at, item in enumerate(truth):
        rows = item.draws.shape[2]
        keys = item.keys if item.keys is not None else pd.DataFrame(index=range(rows))
        names = [name for name in keys if name != "answer"]
        table = pd.DataFrame({"grouping": item.table}, index=range(rows))
        table["group"] = keys[names].agg(" / ".join, axis=1) if names else "all"
        if "answer" in keys:
            table["answer"] = keys["answer"]
        table["n_survey"] = item.extra["n_survey"].to_numpy()
        found = np.stack([score[at] for score in scores]) if scores else np.full((1, 4, rows), np.nan)
        table["surveys"] = len(scores)
        table["true_mean"] = found[:, 0].mean(axis=0)
        table["bias"] = found[:, 1].mean(axis=0)
        table["rmse"] = np.sqrt((found[:, 1] ** 2).mean(axis=0))
        table["coverage"] = found[:, 2].mean(axis=0)
        table["width"] = found[:, 3].mean(axis=0)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
