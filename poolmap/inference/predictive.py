"""Posterior predictive checks and leave-one-out predictive density from a family's `Predictive`."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.contracts import Companion, Predictive
from poolmap.inference.summary import import_arviz

STATISTICS = {
    "mean": lambda x: x.mean(axis=-1),
    "standard deviation": lambda x: x.std(axis=-1),
    "smallest": lambda x: x.min(axis=-1),
    "largest": lambda x: x.max(axis=-1),
}
MAX_PARETO_K = 0.7


def summarise_predictive(item: Predictive, interval: float) -> pd.DataFrame:
    """Each observation beside its posterior predictive distribution.

    Returns:
        columns `unit, label, observed, mean, lower, upper, p_value, inside`; `p_value` is
        P(replicate < observed) + P(replicate = observed) / 2 (Gelman et al. 2013, BDA3, section 6.3).
    """
    flat = _by_draw(item)
    tail = (1 - interval) / 2
    lower, upper = np.quantile(flat, [tail, 1 - tail], axis=0)
    p_value = (flat < item.observed).mean(axis=0) + 0.5 * (flat == item.observed).mean(axis=0)
    return pd.DataFrame(
        {
            "unit": item.unit,
            "label": list(item.labels),
            "observed": item.observed,
            "mean": flat.mean(axis=0),
            "lower": lower,
            "upper": upper,
            "p_value": p_value,
            "inside": (item.observed >= lower) & (item.observed <= upper),
        }
    )


def predictive_statistics(item: Predictive, interval: float) -> pd.DataFrame:
    """Summary statistics of the data beside their posterior predictive distributions.

    Returns:
        columns `statistic, observed, mean, median, lower, upper, p_value`; no rows without observations.
    """
    flat = _by_draw(item)
    tail = (1 - interval) / 2
    rows = []
    for name, statistic in STATISTICS.items() if len(item.observed) else ():
        observed, replicated = float(statistic(item.observed)), statistic(flat)
        lower, median, upper = np.quantile(replicated, [tail, 0.5, 1 - tail])
        p_value = float((replicated < observed).mean() + 0.5 * (replicated == observed).mean())
        rows.append((name, observed, float(replicated.mean()), median, lower, upper, p_value))
    columns = ["statistic", "observed", "mean", "median", "lower", "upper", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def predictive_groups(item: Predictive, interval: float) -> pd.DataFrame:
    """Predictive checks by the levels of each factor, averages over the persons of the observations.

    Returns:
        columns `variable, level` (`answer`), `n` (persons), `observed, mean, lower, upper, p_value, inside`
        as in `summarise_predictive`; no rows where the family names no factors.
    """
    columns = ["variable", "level", "n", "observed", "mean", "lower", "upper", "p_value", "inside"]
    if item.groups is None or item.size is None or not set(item.groups) - {"answer"}:
        return pd.DataFrame(columns=columns)
    flat = _by_draw(item)
    times = item.size if item.is_mean else np.ones_like(item.size)
    by = [name for name in item.groups if name == "answer"]
    tables = []
    for name in item.groups.columns.drop(by):
        grouped = item.groups.groupby([name, *by], sort=True)
        code, keys = grouped.ngroup().to_numpy(), grouped.size().reset_index()[[name, *by]]
        member = (code[:, None] == np.arange(len(keys))).astype(float)
        n = item.size @ member
        observed, replicated = ((values * times) @ member / n for values in (item.observed, flat))
        tail = (1 - interval) / 2
        lower, upper = np.quantile(replicated, [tail, 1 - tail], axis=0)
        tied = np.isclose(replicated, observed, rtol=1e-12, atol=0)
        found = {
            "n": n,
            "observed": observed,
            "mean": replicated.mean(axis=0),
            "lower": lower,
            "upper": upper,
            "p_value": ((replicated < observed) & ~tied).mean(axis=0) + 0.5 * tied.mean(axis=0),
            "inside": (observed >= lower - 1e-12) & (observed <= upper + 1e-12),
        }
        table = keys.rename(columns={name: "level"}).assign(**found)
        table.insert(0, "variable", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def validation_tables(
    item: Predictive, refits: Sequence[Mapping[str, Any]], interval: float
) -> list[Companion]:
    """Predictive checks by factor, and how well each part that is left out is predicted, if any."""
    found = []
    groups = predictive_groups(item, interval)
    if len(groups):
        words = (
            f"posterior predictive check by the levels of each factor: {item.value}, a person; observed, and "
            "mean and interval of replicates; p_value: P(replicate < observed) + P(replicate = observed) / 2"
        )
        found.append(Companion("predictive_groups", groups, words))
    if len(item.parts):
        scores = leave_one_out(item, refits)
        table = pd.DataFrame({item.left_out: list(item.parts)})
        table = table.assign(**{name: scores[name] for name in ("elpd", "pareto_k", "method")})
        words = (
            f"log predictive density (elpd) of the answers of each {item.left_out} given all others; method: "
            "psis, importance sampling, not to be trusted where pareto_k is above 0.7; refit, fitted without "
            "it"
        )
        found.append(Companion("left_out", table, words))
    return found


def _by_draw(item: Predictive) -> np.ndarray:
    """(all draws, n) replicated data; n may be 0."""
    chains, draws, n = item.replicated.shape
    return item.replicated.reshape(chains * draws, n)


def leave_one_out(item: Predictive, refits: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Expected log predictive density by leave-one-out.

    By Pareto-smoothed importance sampling (Vehtari, Gelman & Gabry 2017); exact where the family knows the
    exact densities, and by a fit without the part where there was one that passed its checks.

    Args:
        item: with the log likelihood of each part.
        refits: of `left_out.refit_left_out`.

    Returns:
        `unit` and `integrated` (see `Predictive`), `elpd_loo`, `se`, `p_loo`, pointwise `elpd`, `pareto_k`
        and `method` (`psis`, `exact`, `refit`), the number of parts with k > 0.7 that are left to importance
        sampling (where the estimate is not to be trusted), and `data`, a fingerprint of what was predicted:
        models are comparable only where it is the same.
    """
    import xarray

    arviz = import_arviz()
    log_lik = xarray.Dataset({"y": (("chain", "draw", "row"), item.log_lik)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of high k, which is told here part by part
        loo = arviz.loo(arviz.InferenceData(log_likelihood=log_lik, posterior=log_lik), pointwise=True)
    k, elpd = loo.pareto_k.values, loo.loo_i.values.copy()
    method = np.full(len(elpd), "psis", dtype=object)
    if item.exact_elpd is not None:
        elpd, method[:] = np.asarray(item.exact_elpd, dtype=float), "exact"
    for refit in refits:
        if refit["passed"]:
            elpd[refit["i"]], method[refit["i"]] = refit["elpd"], "refit"
    data = hashlib.sha256(repr((item.unit, list(item.labels), item.observed.tolist())).encode()).hexdigest()
    return {
        "unit": item.left_out or item.unit,
        "integrated": item.integrated,
        "data": data,
        "elpd_loo": float(elpd.sum()),
        "se": float(np.sqrt(elpd.size * elpd.var())),
        "p_loo": float(loo.elpd_loo + loo.p_loo - elpd.sum()),
        "n_high_k": int((~(k <= MAX_PARETO_K) & (method == "psis")).sum()),
        "elpd": [float(x) for x in elpd],
        "pareto_k": [float(x) if np.isfinite(x) else None for x in k],
        "method": method.tolist(),
    }


def unreliable(item: Predictive) -> list[int]:
    """Positions of the parts whose Pareto k is above 0.7 and whose density is not known exactly."""
    found = leave_one_out(item)
    pairs = enumerate(zip(found["pareto_k"], found["method"], strict=True))
    return [i for i, (k, how) in pairs if how == "psis" and (k is None or k > MAX_PARETO_K)]


def compare(results: dict[str, dict[str, Any]]) -> tuple[pd.DataFrame, list[str]]:
    """Compare models by leave-one-out predictive density.

    Args:
        results: `leave_one_out` of each model, the primary one first.

    Returns:
        a table with a row a model: `model, unit, n, elpd_loo, se, p_loo, n_high_k, elpd_diff, se_diff`
        (difference from the primary model, NaN where the two predict different data), and notes on it.
    """
    primary = next(iter(results.values()))
    rows, notes = [], []
    for name, item in results.items():
        same = item["data"] == primary["data"]
        difference = np.subtract(item["elpd"], primary["elpd"]) if same else np.array([np.nan])
        spread = np.sqrt(difference.size * difference.var(ddof=1)) if difference.size > 1 else np.nan
        rows.append(
            {
                "model": name,
                "unit": item["unit"],
                "n": len(item["elpd"]),
                **{key: item[key] for key in ("elpd_loo", "se", "p_loo", "n_high_k")},
                "elpd_diff": float(difference.sum()),
                "se_diff": float(spread),
            }
        )
        if not same:
            notes.append(
                f"The predictive density of model {name} is not comparable with the primary model's: "
                "the two describe different data."
            )
        if item["n_high_k"]:
            notes.append(
                f"Model {name}: the leave-one-out estimate is unreliable for {item['n_high_k']} of "
                f"{len(item['elpd'])} observations (Pareto k above {MAX_PARETO_K}); "
                "do not choose a model by it."
            )
    return pd.DataFrame(rows), notes
