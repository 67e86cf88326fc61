"""Columns of categories: which levels they hold, and other names for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd


def present(column: pd.Series) -> list[str]:
    """The levels that some row has, in the order of the categories."""
    used = np.bincount(column.cat.codes.to_numpy(dtype=np.int64) + 1, minlength=1)[1:] > 0
    return list(column.cat.categories[: len(used)][used])


def mapped(column: pd.Series, new: Callable[[str], str]) -> pd.Series:
    """A column of categories with every level replaced; levels that become equal are one."""
    levels = [new(level) for level in column.cat.categories]
    unique = pd.Index(dict.fromkeys(levels), dtype=object)
    codes = unique.get_indexer(levels)[column.cat.codes]
    return pd.Series(pd.Categorical.from_codes(codes, unique), index=column.index)
