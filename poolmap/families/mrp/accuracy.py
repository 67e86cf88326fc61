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

PLACE = {
    "model": ("p_below_truth", None),
    "predicted": ("predicted_p_below_truth", "predicted_p_at_truth"),
}
"""Columns with the place of the truth among the draws (`place`); None: the draws have no ties with it."""

ROUNDING = 1e-6  # known shares are written with a few digits, and a predicted limit may be the same fraction
SMALL = 1e-3  # of a small rate, of which a millionth may be much: this part of it at most


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


def place(draws: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the draws below the truth, and of those equal to it.

    Args:
        draws: (draws, groups); truth: (groups,), NaN where unknown.

    Returns:
        each (groups,) between 0 and 1, NaN where the truth is unknown.
    """
    near = _rounding(truth)
    below = (draws < truth - near).mean(axis=0)
    equal = (np.abs(draws - truth) <= near).mean(axis=0)
    unknown = np.isnan(truth)
    return np.where(unknown, np.nan, below), np.where(unknown, np.nan, equal)


def _rounding(truth: np.ndarray) -> np.ndarray:
    """How near to a known value counts as equal to it."""
    return np.minimum(ROUNDING, SMALL * np.abs(truth))


def places(table: pd.DataFrame, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """`place` of the groups whose truth is known, from a table of estimates; kind: key of `PLACE`."""
    column, equal = PLACE[kind]
    some = table[table[column].notna()]
    below = some[column].to_numpy(dtype=float)
    return below, some[equal].to_numpy(dtype=float) if equal else np.zeros_like(below)


def held(below: np.ndarray, at: np.ndarray, level: float) -> np.ndarray:
    """How much of the truth the central interval of a level holds: 1, 0, or a part where it is at an end.

    The share of a few people takes few values, and a closed interval with both its ends among them has more
    probability than its level. Of an end the interval therefore holds the part of its probability that makes
    up the level, as in the probability integral transform for counts (Czado, Gneiting and Held 2009,
    Biometrics 65:1254-1261, equation 2): the mean over groups of a right model is then the level.

    Args:
        below, at: (groups,) as from `place`; level: between 0 and 1.
    """
    low, high = (1 - level) / 2, (1 + level) / 2
    within = np.minimum(below + at, high) - np.maximum(below, low)
    apart = np.divide(within, at, out=np.zeros_like(within), where=at > 0)
    return np.where(at > 0, np.clip(apart, 0, 1), (below >= low) & (below <= high))


LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))


def calibration(table: pd.DataFrame, interval: float) -> pd.DataFrame:
    """Data of a calibration plot: how many true values intervals of each level hold.

    Args:
        table: estimates of groups, with the columns of `estimate`.
        interval: level of the intervals of the direct estimates.

    Returns:
        `kind`, `level`, `coverage` (share of groups whose interval of that level holds the truth, ends of the
        model's in part as in `held`), `groups`: at every level of `LEVELS` for the model's, at the one level
        for the direct estimates.
    """
    columns = ["kind", "level", "coverage", "groups"]
    if "truth" not in table:
        return pd.DataFrame(columns=columns)
    known, rows = table[table["truth"].notna()], []
    for kind, (value, lower, _, _) in KINDS.items():
        if kind in PLACE and PLACE[kind][0] in known:
            below, at = places(known, kind)
            rows += [
                (kind, level, held(below, at, level).mean(), below.size) for level in LEVELS if below.size
            ]
        elif kind not in PLACE and lower in known:
            found = _scores(known.dropna(subset=[value]), kind)
            if found["intervals"]:
                rows.append((kind, interval, found["covered"] / found["intervals"], found["intervals"]))
    return pd.DataFrame(rows, columns=columns)


def _scores(groups: pd.DataFrame, kind: str) -> dict[str, float | int]:
    value, lower, upper, _ = KINDS[kind]
    error = groups[value] - groups["truth"]
    with_interval = groups[groups[lower].notna()]
    near = _rounding(with_interval["truth"])
    inside = with_interval["truth"].between(with_interval[lower] - near, with_interval[upper] + near)
    return {
        "groups": len(groups),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(error.abs().mean()),
        "covered": int(inside.sum()),
        "intervals": len(with_interval),
        "width": float((with_interval[upper] - with_interval[lower]).mean()),
    }
