"""What survey and census lack of each other: cells without people, groups without population."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import MISSING_LEVEL
from poolmap.families.mrp.words import counted

_SHOWN = 5


def outside(
    needs: Needs, survey: pd.DataFrame, census: pd.DataFrame, repeated_for: Mapping[str, int]
) -> dict[str, Any]:
    """Respondents whose combination of levels the census does not list, and the first of these.

    Args:
        survey, census: distinct cells of the survey, with `n`; cells of the population.
        repeated_for: a variable for each level of which the census stands there once.

    Returns:
        facts: the number of respondents, of combinations, and the largest five of these in words, those with
        a missing value last.
    """
    keys = [name for name in needs.factors if name not in (*needs.house, *repeated_for)]
    found = pd.Series(dtype="int64")
    if keys:
        known = pd.MultiIndex.from_frame(census[keys].drop_duplicates())
        lost = survey[~pd.MultiIndex.from_frame(survey[keys]).isin(known)]
        found = lost.groupby(keys, observed=True)["n"].sum().sort_values(ascending=False, kind="stable")
        unknown = np.any([found.index.get_level_values(key) == MISSING_LEVEL for key in keys], axis=0)
        found = pd.concat([found[~unknown], found[unknown]])
    labels = [" / ".join(key if isinstance(key, tuple) else (key,)) for key in found.index[:_SHOWN]]
    return {
        "respondents_outside_census_cells": int(found.sum()),
        "combinations_outside_census": len(found),
        "first_outside_census": [
            f"{label} ({counted(int(n), 'respondent')})" for label, n in zip(labels, found, strict=False)
        ],
    }


def empty_groups(spec: MrpAnalysis, cells: pd.DataFrame) -> dict[str, list[str]]:
    """Groups of the census whose counts are all 0, by table of estimates."""
    found = {}
    for grouping in spec.groupings()[1:]:
        size = cells.groupby(list(grouping), observed=True)["count"].sum()
        keys = size.index[size.to_numpy() == 0]
        if len(keys):
            names = [" / ".join(key) if isinstance(key, tuple) else str(key) for key in keys]
            found[spec.table_name(grouping)] = names
    return found
