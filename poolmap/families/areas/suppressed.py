"""Counts of which only a range is published ("<5"), and what they say of a rate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from poolmap.tables import Table

if TYPE_CHECKING:
    from poolmap.config.area_outcome import Suppressed

_BELOW = re.compile(r"(<=|<|≤)\s*(\d{1,4})")
_WIDEST = 1000


def read_counts(table: Table, column: str, suppressed: Suppressed | None) -> pd.DataFrame:
    """A column of counts of which some are given as a range.

    "<5" is taken for 0 to 4 and "<=4" as well; the mark of the config for its range.

    Args:
        table: the user's table; problems are noted in it.
        column: of the counts.
        suppressed: what the config says of them.

    Returns:
        `cases` (NaN where missing or suppressed), `at_least` and `at_most` (both the count itself where it is
        known), `mark` (the text of a suppressed count, else ""); one row a row of the table.
    """
    text = table.frame[column]
    low, high = (pd.Series(np.nan, index=text.index) for _ in range(2))
    marked = pd.Series(False, index=text.index)
    for value in pd.unique(text):
        bounds = _range(value, suppressed)
        if bounds is not None:
            here = text == value
            low[here], high[here], marked = bounds[0], bounds[1], marked | here
    impossible = marked & ((high < low) | (high > _WIDEST))
    for line in text.index[impossible][:5]:
        table.problem(
            f"'{text[line]}' is no range of counts", "write <5 for 0 to 4", line=line, column=column
        )
    rest = Table(table.path, table.frame.assign(**{column: text.where(~marked, "")}), [], table.unit)
    what = "the number of cases: 0, 1, 2 ..., or <5 where it is suppressed"
    if suppressed is None:
        what += " (another mark: name it in 'outcome.suppressed')"
    cases = rest.counts(column, what=what)
    table.problems += rest.problems
    exact = ~marked
    low[exact], high[exact] = cases[exact], cases[exact]
    cases = low.where(low == high)
    return pd.DataFrame(
        {"cases": cases, "at_least": low, "at_most": high, "mark": text.where(marked & (low < high), "")}
    )


def _range(value: str, suppressed: Suppressed | None) -> tuple[int, int] | None:
    if suppressed is not None and value == suppressed.mark:
        return suppressed.range
    found = _BELOW.fullmatch(value)
    if found is None:
        return None
    return 0, int(found[2]) - (found[1] == "<")


def expected_within(mean: ArrayLike, at_least: ArrayLike, at_most: ArrayLike) -> NDArray[np.float64]:
    """Mean of a Poisson count that is known to lie between two bounds, both included.

    Args:
        mean: (n,) above 0, of the count without that knowledge.
        at_least, at_most: (n,).
    """
    mean, low, high = (np.asarray(x, dtype=np.float64) for x in (mean, at_least, at_most))
    if not mean.size:
        return mean
    y = low[:, None] + np.arange(int((high - low).max()) + 1)
    log_p = np.where(y <= high[:, None], special.xlogy(y, mean[:, None]) - special.gammaln(y + 1), -np.inf)
    return (special.softmax(log_p, axis=1) * y).sum(axis=1)
