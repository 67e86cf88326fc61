"""How near estimates come to known values: errors and coverage of each kind of estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = {
    "raw": ("raw", "raw_lower", "raw_upper", "raw sample share"),
    "weighted": ("weighted", "weighted_lower", "weighted_upper", "weighted sample share"),
    "raked": ("raked", "raked_lower", "raked_upper", "raked sample share"),
    "greg": ("greg", "greg_lower", "greg_upper", "GREG"),
    "model": ("mean", "lower", "upper", "MrP"),
    "predicted": ("mean", "predicted_lower", "predicted_upper", "MrP, finite population"),
}
"""For each kind of estimate: columns of the value and its interval, and its name in the report."""

HOLDING = {"model": "truth_level", "predicted": "predicted_truth_level"}
"""Columns with the level of the narrowest interval that holds the truth (`holding_level`)."""

ROUNDING = 1e-6  # known shares are written with a few digits, and a predicted limit may be the same fraction


def accuracy(table: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage over the groups of one estimates table whose truth is known.

    Args:
        table: estimates of `share` with the columns of `estimate`.

    Returns:
        one row for each kind over the groups with respondents (`where` "sampled"), and for the model's over
        the groups without ("unsampled"): `kind`, `where`, `groups`, `rmse`, `mae`, `covered` (groups whose
        interval holds the truth), `intervals` (groups with an interval), `width` (mean width of the
        intervals). No rows where no truth is known.
    """
    columns = ["kind", "where", "groups", "rmse", "mae", "covered", "intervals", "width"]
    if "truth" not in table:
        return pd.DataFrame(columns=columns)
    known = table[table["truth"].notna()]
    sampled = known["raw"].notna()
    parts = {"sampled": known[sampled], "unsampled": known[~sampled]}
    rows = [
        {"kind": kind, "where": where, **_scores(part.dropna(subset=[KINDS[kind][0]]), kind)}
        for where, part in parts.items()
        for kind, (_, lower, _, _) in KINDS.items()
        if lower in known
    ]
    return pd.DataFrame([row for row in rows if row["groups"]], columns=columns)


def holding_level(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Level of the narrowest central interval of the draws that holds the truth.

    Args:
        draws: (draws, groups); truth: (groups,), NaN where unknown.

    Returns:
        (groups,) between 0 and 1, NaN where the truth is unknown: the share of groups at or below a level is
        the coverage of intervals of that level.
    """
    below = (draws < truth - ROUNDING).mean(axis=0)
    above = (draws > truth + ROUNDING).mean(axis=0)
    return np.where(np.isnan(truth), np.nan, np.maximum(2 * np.maximum(below, above) - 1, 0))


LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))


def calibration(table: pd.DataFrame, interval: float) -> pd.DataFrame:
    """Data of a calibration plot: how many true values intervals of each level hold.

    Args:
        table: estimates of groups, with the columns of `estimate`.
        interval: level of the intervals of the direct estimates.

    Returns:
        `kind`, `level`, `coverage` (share of groups whose interval of that level holds the truth), `groups`:
        at every level of `LEVELS` for the model's, at the one level for the direct estimates.
    """
    columns = ["kind", "level", "coverage", "groups"]
    if "truth" not in table:
        return pd.DataFrame(columns=columns)
    known, rows = table[table["truth"].notna()], []
    for kind, (value, lower, _, _) in KINDS.items():
        level = HOLDING.get(kind)
        if level in known:
            held = known[level].dropna().to_numpy()
            rows += [(kind, at, (held <= at).mean(), len(held)) for at in LEVELS if len(held)]
        elif level is None and lower in known:
            found = _scores(known.dropna(subset=[value]), kind)
            if found["intervals"]:
                rows.append((kind, interval, found["covered"] / found["intervals"], found["intervals"]))
    return pd.DataFrame(rows, columns=columns)


def _scores(groups: pd.DataFrame, kind: str) -> dict[str, float | int]:
    value, lower, upper, _ = KINDS[kind]
    error = groups[value] - groups["truth"]
    with_interval = groups[groups[lower].notna()]
    inside = with_interval["truth"].between(with_interval[lower] - ROUNDING, with_interval[upper] + ROUNDING)
    return {
        "groups": len(groups),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(error.abs().mean()),
        "covered": int(inside.sum()),
        "intervals": len(with_interval),
        "width": float((with_interval[upper] - with_interval[lower]).mean()),
    }
