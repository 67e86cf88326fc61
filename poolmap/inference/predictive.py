"""Posterior predictive checks and leave-one-out predictive density from a family's `Predictive`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from poolmap.contracts import Companion, Predictive
from poolmap.inference.psis import smoothed

STATISTICS = {
    "mean": lambda x: x.mean(axis=-1),
    "standard deviation": lambda x: x.std(axis=-1),
    "smallest": lambda x: x.min(axis=-1),
    "largest": lambda x: x.max(axis=-1),
}
MAX_PARETO_K = 0.7
MIN_EFFECTIVE_SHARE = 0.5
"""Effective draws, as a share of all, from which importance weights tell an interval of a part left out.

A density may be right before an interval is. Of a normal effect with variance t^2 in the population, and s^2
given its own data, draws of the one reach the tails of the other where s^2 is not much less than t^2; a
share of one half is s^2 / t^2 = 0.54, at which 4,000 draws reach 2.6 t.
"""
AT_ONCE = 5_000_000  # replicated observations worked on at once


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
        columns `statistic, observed, mean, median, lower, upper, p_value, replicates` (their number); no rows
        without observations.
    """
    flat = _by_draw(item)
    tail = (1 - interval) / 2
    rows = []
    for name, statistic in STATISTICS.items() if len(item.observed) else ():
        observed, replicated = float(statistic(item.observed)), _in_blocks(flat, statistic)
        lower, median, upper = np.quantile(replicated, [tail, 0.5, 1 - tail])
        p_value = float((replicated < observed).mean() + 0.5 * (replicated == observed).mean())
        rows.append((name, observed, float(replicated.mean()), median, lower, upper, p_value, len(flat)))
    columns = ["statistic", "observed", "mean", "median", "lower", "upper", "p_value", "replicates"]
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
    tables = []
    for name in item.groups.columns.drop("answer", errors="ignore"):
        found = averages(item, name)
        replicated, observed = found.replicated.reshape(-1, len(found.keys)), found.observed
        tail = (1 - interval) / 2
        lower, upper = np.quantile(replicated, [tail, 1 - tail], axis=0)
        tied = np.isclose(replicated, observed, rtol=1e-12, atol=0)
        table = found.keys.rename(columns={name: "level"}).assign(
            n=found.n,
            observed=observed,
            mean=replicated.mean(axis=0),
            lower=lower,
            upper=upper,
            p_value=((replicated < observed) & ~tied).mean(axis=0) + 0.5 * tied.mean(axis=0),
            inside=_within(observed, lower, upper),
        )
        table.insert(0, "variable", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages over the persons of the levels of a factor.

    Attributes:
        keys: the levels, and `answer` where there are several.
        n: (levels,) persons.
        observed: (levels,); replicated: (chain, draw, levels).
    """

    keys: pd.DataFrame
    n: np.ndarray
    observed: np.ndarray
    replicated: np.ndarray


def averages(item: Predictive, name: str) -> Averages:
    """What was observed and replicated in each level of a factor of `item.groups`."""
    by = [name, *(column for column in item.groups if column == "answer")]
    grouped = item.groups.groupby(by, sort=True)
    code, keys = grouped.ngroup().to_numpy(), grouped.size().reset_index()[by]
    shape = (len(keys), len(code))
    at = (code, np.arange(len(code)))
    n = np.bincount(code, item.size, len(keys))
    weights = sparse.csr_array((item.size if item.is_mean else np.ones(len(code)), at), shape=shape)
    flat = _by_draw(item)
    replicated = _in_blocks(flat, lambda part: (weights @ part.T).T / n)
    return Averages(
        keys, n, weights @ item.observed / n, replicated.reshape(*item.replicated.shape[:2], len(keys))
    )


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
        if item.groups is not None and item.left_out in item.groups:
            known = predicted_without(item, refits, interval)
            table = known.merge(table, on=item.left_out, validate="m:1")
            inside = known["inside"].dropna()
            held = f"{int(inside.sum())} of {len(inside)}"
            held += f" ({inside.mean():.0%})" if len(inside) else ""
            words = (
                f"each {item.left_out} predicted from all others. n: its persons; observed: {item.value}, a "
                "person; mean, lower, upper: mean and interval of the same in replicates of these persons by "
                "the fit that did not see them (empty where importance weights are too uneven for it and no "
                "fit without it passed its checks); inside: whether the interval holds what was observed, as "
                f"in {held}; the level of the interval is {interval:.0%}. {words}"
            )
        found.append(Companion("left_out", table, words))
    return found


def predicted_without(item: Predictive, refits: Sequence[Mapping[str, Any]], interval: float) -> pd.DataFrame:
    """What was observed in each part that is left out, beside its prediction from the others.

    Predictions are replicates of the fit without the part, or of all draws with their importance weights.

    Args:
        item: with `groups` that have the column `left_out`.
        refits: of `left_out.refit_left_out`.

    Returns:
        the part (by the name in `left_out`), `answer` where there are several, `n`, `observed`, `mean`,
        `lower`, `upper`, `inside`; the last four are missing where neither can be trusted.
    """
    whole = averages(item, item.left_out)
    again = {
        refit["i"]: refit["replicated"] for refit in refits if "replicated" in refit and refit["converged"]
    }
    tail = (1 - interval) / 2
    mean, lower, upper = np.full((3, len(whole.keys)), np.nan)
    chains, draws, _ = item.log_lik.shape
    kept = np.arange(draws) if item.replicated_draws is None else item.replicated_draws
    replicated = whole.replicated.reshape(-1, len(whole.keys))
    for block in smoothed(item.log_lik):
        for at, i in enumerate(range(block.parts.start, block.parts.stop)):
            rows = np.flatnonzero((whole.keys[item.left_out] == item.parts[i]).to_numpy())
            if i in again:
                values = np.asarray(again[i], dtype=float).T
                weights = np.ones(len(values))
            elif not (block.pareto_k[at] <= MAX_PARETO_K and block.effective[at] >= MIN_EFFECTIVE_SHARE):
                continue
            else:
                values = replicated[:, rows]
                log_weights = block.log_weights[:, at].reshape(chains, draws)[:, kept].ravel()
                weights = np.exp(log_weights - log_weights.max())
            mean[rows] = np.average(values, axis=0, weights=weights)
            limits = np.quantile(values, [tail, 1 - tail], axis=0, weights=weights, method="inverted_cdf")
            lower[rows], upper[rows] = limits
    found = whole.keys.assign(n=whole.n, observed=whole.observed, mean=mean, lower=lower, upper=upper)
    inside = pd.array(_within(whole.observed, lower, upper), dtype="boolean")
    inside[np.isnan(mean)] = pd.NA
    return found.assign(inside=inside)


def _within(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Whether intervals hold what was observed; sums of the same numbers may differ in the last digit."""
    return (observed >= lower - 1e-12) & (observed <= upper + 1e-12)


def _in_blocks(flat: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A function of single draws (draws, n) of all draws, in bounded memory."""
    blocks = np.array_split(flat, max(1, -(-flat.size // AT_ONCE)))
    return np.concatenate([function(part.astype(np.float64)) for part in blocks])


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
    blocks = [(block.elpd, block.lpd, block.pareto_k) for block in smoothed(item.log_lik)]
    elpd, lpd, k = np.concatenate(blocks, axis=1) if blocks else np.empty((3, 0))
    elpd = elpd.copy()
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
        "p_loo": float(lpd.sum() - elpd.sum()),
        "n_high_k": int((~(k <= MAX_PARETO_K) & (method == "psis")).sum()),
        "elpd": [float(x) for x in elpd],
        "pareto_k": [float(x) if np.isfinite(x) else None for x in k],
        "method": method.tolist(),
    }


def unreliable(item: Predictive) -> list[int]:
    """Positions of the parts that importance sampling cannot leave out, and whose density is not known.

    Their Pareto k is above 0.7; or, of parts that are levels of a factor and are predicted
    (`predicted_without`), the weights are too uneven for an interval.
    """
    if item.exact_elpd is not None:
        return []
    predicted = item.groups is not None and item.left_out in item.groups
    found: list[int] = []
    for block in smoothed(item.log_lik):
        bad = ~(block.pareto_k <= MAX_PARETO_K)
        if predicted:
            bad |= block.effective < MIN_EFFECTIVE_SHARE
        found += [block.parts.start + int(i) for i in np.flatnonzero(bad)]
    return found


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
