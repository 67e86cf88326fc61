"""Rows of direct estimates with known standard errors (Fay-Herriot): read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from poolmap.families.areas.scales import rounded
from poolmap.tables import Table

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis


def estimate_rows(table: Table, spec: AreasAnalysis) -> pd.DataFrame:
    """The checked rows: area, name, estimate, se (both NaN where there is no estimate); index: the line."""
    column, se_column = str(spec.outcome.estimate), str(spec.outcome.se)
    area = table.ids(spec.area, what="area")
    estimate = table.numbers(column, what="the direct estimate as a number")
    se = table.numbers(se_column, what="the standard error, above 0", lower=0, strict_lower=True)
    alone = ~table.is_missing(column) & table.is_missing(se_column)
    for line in area.index[alone][:5]:
        table.problem(
            "the estimate has no standard error",
            "fill it in, or leave the estimate empty as well: the area is then estimated from the others",
            line=line,
            column=se_column,
        )
    if alone.sum() > 5:
        table.problem(f"the same in {alone.sum() - 5} more rows", column=se_column)
    name = table.frame[spec.name] if spec.name else area
    return pd.DataFrame({"area": area, "name": name, "estimate": estimate, "se": se.where(estimate.notna())})


def areas_of_estimates(rows: pd.DataFrame, by_area: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Name, estimate and se by area, and what a reader must know of them."""
    areas = pd.DataFrame({"name": by_area["name"]}).join(rows.set_index("area")[["estimate", "se"]])
    known = areas["estimate"].notna()
    facts: dict[str, Any] = {
        "areas": len(areas),
        "overall": rounded(float(areas["estimate"].median()), 3) if known.any() else 0.0,
        "without_estimate": areas.index[~known].tolist(),
    }
    return areas, facts


def check_enough(table: Table, areas: pd.DataFrame) -> None:
    """Refuse a map of fewer than two areas with an estimate."""
    known = int(areas["estimate"].notna().sum())
    if known < 2:
        table.problem(f"{known} area(s) have an estimate", "a map is estimated from at least two areas")
