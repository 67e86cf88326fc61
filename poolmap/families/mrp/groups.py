"""Groups of the population: which cells belong to each, and in which order they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def groups(
    census: pd.DataFrame, grouping: Sequence[str], order: Mapping[str, Sequence[str]]
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The group of each cell of the census, and the groups' keys in order.

    Args:
        census: the cells.
        grouping: variables; none is the whole population, one group without keys.
        order: of the levels of variables that have one; others stand as sorted.
    """
    if not len(grouping):
        return np.zeros(len(census), dtype=np.int64), pd.DataFrame(index=[0])
    names = list(grouping)
    frame = census[names].copy()
    for name in names:
        if name in order and set(frame[name]) <= set(order[name]):
            frame[name] = pd.Categorical(frame[name], categories=list(order[name]), ordered=True)
    grouped = frame.groupby(names, sort=True, observed=True)
    keys = grouped.size().reset_index()[names].astype({name: census[name].dtype for name in names})
    return grouped.ngroup().to_numpy(), keys


def members(frame: pd.DataFrame, names: Sequence[str], keys: pd.DataFrame) -> NDArray[np.int64]:
    """The group of each row, its place in `keys` (groups by the variables `names`); -1 for none of them."""
    if not len(names):
        return np.zeros(len(frame), dtype=np.int64)
    names = list(names)
    numbered = frame[names].merge(keys[names].assign(group=np.arange(len(keys))), on=names, how="left")
    return numbered["group"].fillna(-1).to_numpy(dtype=np.int64)
