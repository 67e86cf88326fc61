"""Groups compared draw by draw: differences and ratios between levels, changes over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.config.mrp import Contrast, MrpAnalysis
from poolmap.contracts import Quantity
from poolmap.errors import Problem
from poolmap.families.mrp.groups import members
from poolmap.tables import nearest


def contrast_grouping(contrast: Contrast) -> tuple[str, ...]:
    """The variables whose groups are compared."""
    return (contrast.variable, *(name for name in contrast.within if name != contrast.variable))


def pairs_of(
    contrast: Contrast, keys: pd.DataFrame
) -> tuple[NDArray[np.intp], NDArray[np.intp], pd.DataFrame]:
    """The places in `keys` of the first and second group of each pair, and the levels within which they are.

    Where one of the two has no people the pair is passed over.
    """
    within = list(contrast_grouping(contrast)[1:])
    first, second = (np.flatnonzero(keys[contrast.variable] == level) for level in contrast.levels)
    if not within:
        pairs = min(len(first), len(second))
        return first[:pairs], second[:pairs], pd.DataFrame(index=range(pairs))
    other = members(keys.iloc[first], within, keys.iloc[second])
    both = other >= 0
    return first[both], second[other[both]], keys.iloc[first[both]][within]


def unknown_levels(spec: MrpAnalysis, census: pd.DataFrame) -> list[Problem]:
    """The levels that the config compares and the census does not have."""
    found = []
    for contrast in spec.contrasts:
        levels = list(dict.fromkeys(census[contrast.variable]))
        found += [
            Problem(
                f"contrasts, variable '{contrast.variable}'",
                f"the census has no level '{level}'",
                nearest(level, levels),
            )
            for level in contrast.levels
            if level not in levels
        ]
    return found


def contrasts(
    spec: MrpAnalysis,
    quantity: str,
    found: Sequence[tuple[NDArray[np.float64], pd.DataFrame]],
    answers: Sequence[str],
    shape: tuple[int, int],
) -> list[Quantity]:
    """The table `contrasts`: first less second, and first over second, of every pair and answer.

    Args:
        spec: the analysis.
        quantity: what is compared: `share`, `mean` or `rate`.
        found: of each contrast the draws (answers, draws, groups) of its grouping, and the groups' keys, both
            of groups with people only.
        answers: of an ordered or categorical outcome; else one without a name.
        shape: chains and draws.

    Returns:
        `<quantity>_difference` and, where all draws are above 0, `<quantity>_ratio`; keys `variable`,
        `first`, `second`, the variables of any contrast's `within` (empty where it is not the contrast's)
        and, with several answers, `answer`; `p_first_higher`, the posterior probability
        that the first is higher.
    """
    names = list(dict.fromkeys(name for contrast in spec.contrasts for name in contrast.within))
    keys, draws = [], {"difference": [], "ratio": []}
    for contrast, (values, groups) in zip(spec.contrasts, found, strict=True):
        first, second, within = pairs_of(contrast, groups)
        for a, answer in enumerate(answers):
            one, other = values[a][:, first], values[a][:, second]
            key = within.reindex(columns=names, fill_value="").reset_index(drop=True)
            for place, (name, value) in enumerate(
                (
                    ("variable", contrast.variable),
                    ("first", contrast.levels[0]),
                    ("second", contrast.levels[1]),
                )
            ):
                key.insert(place, name, value)
            if len(answers) > 1:
                key["answer"] = answer
            keys.append(key)
            draws["difference"].append(one - other)
            with np.errstate(divide="ignore", invalid="ignore"):
                draws["ratio"].append(np.where((one > 0) & (other > 0), one / other, np.nan))
    if not keys:
        return []
    rows = pd.concat(keys, ignore_index=True)
    higher = (np.concatenate(draws["difference"], axis=1) > 0).mean(axis=0)
    quantities = []
    for name, words in (("difference", "first less second"), ("ratio", "first over second")):
        value = np.concatenate(draws[name], axis=1)
        some = ~np.isnan(value).any(axis=0)
        if some.any():
            quantities.append(
                Quantity(
                    "contrasts",
                    f"{quantity}_{name}",
                    f"{name} of the {quantity} of two groups, {words}, each with its own composition; "
                    "p_first_higher: posterior probability that the first group's is higher",
                    value[:, some].reshape(*shape, -1),
                    rows[some].reset_index(drop=True),
                    pd.DataFrame({"p_first_higher": higher[some]}),
                )
            )
    return quantities
