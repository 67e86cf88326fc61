"""The table beside the estimates of a survey: every level of every variable."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Companion, Dataset


def companions(
    spec: MrpAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """The levels report whole; the page sums up variables of many levels."""
    description = (
        "Every level of every variable, in order: rows of the survey and their weights (empty: the survey "
        "lacks the variable), people in the census (empty: the census lacks it), and what is remarkable."
    )
    return [Companion("levels", data.tables["variables"], description)]
