"""The gate: may the draws of a fit be trusted? Every reported quantity must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from poolmap.contracts import Quantity
from poolmap.inference.summary import diagnostics

MAX_RHAT = 1.01
MIN_ESS = 400
MIN_EBFMI = 0.3

LONGER = "sample longer: raise sampling.warmup and sampling.draws"
# name: (label, criterion, advice where it fails)
GATE = {
    "rhat": ("R-hat", f"< {MAX_RHAT}", LONGER),
    "ess_bulk": ("Bulk effective sample size", f"> {MIN_ESS}", LONGER),
    "ess_tail": ("Tail effective sample size", f"> {MIN_ESS}", LONGER),
    "divergences": (
        "Divergent transitions",
        "0",
        "raise sampling.adapt_delta towards 1 (0.99); if they stay, look at the priors and the model",
    ),
    "treedepth": ("Transitions at the largest tree depth", "0", "raise sampling.max_treedepth by 1 or 2"),
    "ebfmi": (
        "E-BFMI",
        f"> {MIN_EBFMI}",
        "raise sampling.warmup; state tighter priors on the standard deviations",
    ),
    "varying": (
        "Quantities not finite, or constant without being known",
        "0",
        "look for a prior or for data that fix the quantity",
    ),
}


@dataclass(frozen=True)
class Check:
    """One check of a fit.

    Attributes:
        name, label, criterion: what is checked, in code, in words, and the bound.
        worst: the worst value found (None where it cannot be computed).
        where: the quantity or chain with the worst value.
        passed: whether the bound holds.
        advice: what to do where it does not.
    """

    name: str
    label: str
    criterion: str
    worst: float | None
    where: str
    passed: bool
    advice: str


def ebfmi(energy: np.ndarray) -> np.ndarray:
    """Energy Bayesian fraction of missing information of each chain (Betancourt 2016, arXiv:1604.00695).

    Args:
        energy: array (chain, draw).
    """
    return np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)


def check_fit(
    quantities: Sequence[Quantity], sample_stats: Mapping[str, np.ndarray], max_treedepth: int
) -> list[Check]:
    """Check one fit.

    Args:
        quantities: all reported quantities with their draws.
        sample_stats: arrays (chain, draw): `diverging`, `tree_depth`, `energy`.
        max_treedepth: the bound that the sampler was given.

    Returns:
        the checks: R-hat < 1.01, bulk and tail effective sample size > 400 for every reported quantity
        (Vehtari et al. 2021), no divergences, no saturated tree depth, E-BFMI > 0.3 in every chain
        (Betancourt 2017, arXiv:1701.02434). A quantity that does not vary over the draws, or is not finite
        in all of them, fails, but for one that is known without them (`Quantity.known`): it fails where it
        varies.
    """
    names: list[str] = []
    parts: dict[str, list[np.ndarray]] = {"rhat": [], "ess_bulk": [], "ess_tail": []}
    broken: list[str] = []
    for item in quantities:
        labels = _labels(item)
        finite = np.isfinite(item.draws).all(axis=(0, 1))
        varies = np.zeros(len(labels), dtype=bool)
        varies[finite] = np.ptp(item.draws[:, :, finite], axis=(0, 1)) > 0
        known = np.zeros(len(labels), dtype=bool) if item.known is None else item.known
        good_rows = finite & (varies != known)
        broken += [label for label, good in zip(labels, good_rows, strict=True) if not good]
        if not varies.any():
            continue
        figures = diagnostics(item.draws[:, :, varies])
        names += [label for label, good in zip(labels, varies, strict=True) if good]
        for key, found in parts.items():
            found.append(figures[key])
    values = {key: np.concatenate(found) if found else np.array([]) for key, found in parts.items()}
    divergent = int(sample_stats["diverging"].sum())
    saturated = int((sample_stats["tree_depth"] >= max_treedepth).sum())
    fractions = ebfmi(sample_stats["energy"])
    chains = [f"chain {chain + 1}" for chain in range(len(fractions))]
    return [
        _extreme("rhat", values["rhat"], names, lambda x: x < MAX_RHAT, largest=True),
        _extreme("ess_bulk", values["ess_bulk"], names, lambda x: x > MIN_ESS),
        _extreme("ess_tail", values["ess_tail"], names, lambda x: x > MIN_ESS),
        _check("divergences", divergent, "all chains", divergent == 0),
        _check("treedepth", saturated, "all chains", saturated == 0),
        _extreme("ebfmi", fractions, chains, lambda x: x > MIN_EBFMI),
        _check("varying", len(broken), ", ".join(broken[:3]) or "none", not broken),
    ]


def _check(name: str, worst: float | None, where: str, good: bool) -> Check:
    label, criterion, advice = GATE[name]
    return Check(name, label, criterion, None if worst is None else float(worst), where, good, advice)


def _extreme(
    name: str,
    values: np.ndarray,
    names: Sequence[str],
    holds: Callable[[np.ndarray], np.ndarray],
    *,
    largest: bool = False,
) -> Check:
    """The check of many values by their worst; one that is not finite is worse than any other."""
    if not values.size:
        return _check(name, None, "nothing varies", False)
    finite = np.isfinite(values)
    at = (
        int(np.argmin(finite))
        if not finite.all()
        else int(np.argmax(values) if largest else np.argmin(values))
    )
    return _check(name, values[at] if finite[at] else None, names[at], bool(holds(values).all()))


def _labels(item: Quantity) -> list[str]:
    """A label for each row of a quantity: `rr[Wake]`, `tau`."""
    if item.keys is None or item.keys.shape[1] == 0:
        return [item.quantity] * item.draws.shape[2]
    keys = item.keys.astype(str).agg(", ".join, axis=1)
    return [f"{item.quantity}[{key}]" for key in keys]


def passed(checks: Sequence[Check]) -> bool:
    """Whether all checks hold."""
    return all(check.passed for check in checks)


def as_dicts(checks: Sequence[Check]) -> list[dict]:
    """The checks as plain data for JSON."""
    return [asdict(check) for check in checks]


def failures(verdict: Mapping[str, Any]) -> list[str]:
    """What failed, in words, from a verdict as it stands in checks.json; empty where all passed."""
    return [
        f"{check['label']} {'not computable' if check['worst'] is None else format(check['worst'], '.4g')} "
        f"({check['where']}; needed {check['criterion']})"
        for check in verdict["checks"]
        if not check["passed"]
    ]
