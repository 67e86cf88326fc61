"""How near estimates come to known shares: errors and coverage of each kind of estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = {
    "raw": ("raw", "raw_lower", "raw_upper", "raw sample share"),
    "weighted": ("weighted", "weighted_lower", "weighted_upper", "weighted sample share"),
    "model": ("mean", "lower", "upper", "MrP"),
    "predicted": ("mean", "predicted_lower", "predicted_upper", "MrP, finite population"),
}
"""For each kind of estimate: columns of the value and its interval, and its name in the report."""

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
