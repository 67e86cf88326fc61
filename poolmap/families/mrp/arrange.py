"""In which order groups stand in figures and tables: levels in an order keep it, others go by estimate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.order import IN_ORDER, MISSING_LEVEL
from poolmap.families.mrp.report_words import by_words

Order = Mapping[str, Sequence[str]]
"""The levels of each variable as the data hold them (`facts["order"]`)."""

_BAND = re.compile(
    r"(?P<below>[<≤]|under )?\s*[>≥]?=?\s*(?P<low>\d+(\.\d+)?)\s*"
    r"((-|–|to)\s*(?P<high>\d+(\.\d+)?)|(?P<above>\+|and (over|older)|or (over|older|more)))?( years)?"
)


def ordered_levels(spec: MrpAnalysis, order: Order, variable: str) -> list[str]:
    """The levels of a variable in their order; none where they have no order of their own (areas).

    They have one where the config tells it, in the time, in bands, along a random walk or an autoregression,
    and where all are spans of numbers that follow one another ("18-29", "30-44", "65+").
    """
    levels = list(order.get(variable, ()))
    walks = any(model.structure.get(variable) in IN_ORDER for model in spec.models.values())
    told = variable in spec.order or variable in spec.bands or variable == spec.time or walks
    return levels if told or _are_bands(levels) else []


def arranged(
    spec: MrpAnalysis, order: Order, table: pd.DataFrame, grouping: Sequence[str]
) -> tuple[pd.DataFrame, str]:
    """The rows of a grouping as they are shown, and in words how.

    Levels in an order keep it, within the groups of the other variables; these go from high to low by their
    (mean) estimate.

    Args:
        spec: the analysis; order: of the levels of the variables.
        table: estimates, a row a group.
        grouping: its variables.
    """
    places = {}
    for name in grouping:
        levels = ordered_levels(spec, order, name)
        if levels and set(table[name]) <= set(levels):
            places[name] = table[name].map({level: i for i, level in enumerate(levels)})
    if not places:
        return table.sort_values("mean", ascending=False, ignore_index=True, kind="stable"), BY_ESTIMATE
    others = [name for name in grouping if name not in places]
    keys = pd.DataFrame({f"_{name}": place for name, place in places.items()}, index=table.index)
    words = f"in the order of {by_words([name for name in grouping if name in places])}"
    if others:
        keys.insert(0, "_mean", -table.groupby(others, sort=False)["mean"].transform("mean"))
        keys.insert(1, "_first", table.groupby(others, sort=False).ngroup())
        words = f"by {by_words(others)} ({BY_MEAN}), then {words}"
    return table.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True), words


BY_ESTIMATE, BY_MEAN = "sorted by estimate", "sorted by mean estimate"


def _are_bands(levels: Sequence[str]) -> bool:
    """Whether all levels are spans of numbers that follow one another, and not numbers alone."""
    spans, real = [], False
    for level in levels:
        if level == MISSING_LEVEL:
            continue
        found = _BAND.fullmatch(str(level).strip())
        if found is None:
            return False
        low, high = float(found["low"]), float(found["high"] or found["low"])
        if found["below"]:
            low, high = -math.inf, low
        elif found["above"]:
            high = math.inf
        real |= low < high
        spans.append((low, high))
    spans.sort()
    apart = all(one[1] <= other[0] for one, other in pairwise(spans))
    return real and apart and all(low <= high for low, high in spans)
