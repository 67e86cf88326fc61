"""What words and figures share: names of estimates and groups, numbers with a sensible number of decimals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult
from poolmap.families.mrp.estimate import quantity_of

Number = Callable[[float], str]
"""A number as text."""


def estimates_of_grouping(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...]
) -> pd.DataFrame | None:
    """The shares, means or rates of one grouping, () being the total; None where no group has people."""
    table = result.estimates.get(spec.table_name(grouping))
    if table is None:
        return None
    return table[table["quantity"] == quantity_of(spec)].reset_index(drop=True)


def has_answers(spec: MrpAnalysis) -> bool:
    """Whether each group has a share of each of several answers."""
    return spec.outcome.kind in ("ordered", "categorical")


def value_name(spec: MrpAnalysis, answer: str = "") -> str:
    """What is estimated, in words: "share of people who smoke", "mean systolic pressure", "rate of visits a
    year" (whose unit the config's name of the outcome has to tell)."""
    outcome = spec.outcome
    if has_answers(spec):
        about = f" ({spec.outcome_name or outcome.column})"
        return f"share of '{answer}'{about}" if answer else f"share of each answer{about}"
    if outcome.kind == "binary":
        return f"share of {spec.outcome_name or f'{outcome.column}: {outcome.positive}'}"
    name = spec.outcome_name or outcome.column
    if outcome.kind == "count" and outcome.exposure is not None:
        return f"rate of {spec.outcome_name or f'{name} per unit of {outcome.exposure}'}"
    return f"mean {name}"


def noun(spec: MrpAnalysis) -> str:
    """`share`, `mean` or `rate`."""
    return quantity_of(spec)


def is_share(spec: MrpAnalysis) -> bool:
    """Whether estimates lie between 0 and 1."""
    return quantity_of(spec) == "share"


def decimals(values: Sequence[float] | np.ndarray, least: int = 0) -> int:
    """Decimals that show differences of about a tenth of the usual one of these lengths (intervals' widths).

    Args:
        values: lengths; those that are not finite or 0 are passed over.
        least: the fewest.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known) & (known > 0)]
    if not known.size:
        return max(least, 2)
    return int(np.clip(1 - math.floor(math.log10(float(np.median(known)))), least, 8))


def fixed(value: float, places: int) -> str:
    """A number with so many decimals and separators of thousands; no minus before 0, empty where unknown."""
    if not np.isfinite(value):
        return ""
    text = f"{value:,.{places}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def number_of(spec: MrpAnalysis, table: pd.DataFrame) -> Number:
    """How the estimates of a table are written; shares with two decimals or more."""
    places = decimals(table["upper"] - table["lower"], 2 if is_share(spec) else 0)
    return lambda value: fixed(value, places)


def with_interval(number: Number, row: pd.Series) -> str:
    """An estimate and its interval, short: "0.50 (0.34 to 0.73)"."""
    return f"{number(row['mean'])} ({number(row['lower'])} to {number(row['upper'])})"


def in_full(spec: MrpAnalysis, number: Number, row: pd.Series) -> str:
    """An estimate and its interval with the level: "0.50 (95% interval 0.34 to 0.73)"."""
    return f"{number(row['mean'])} ({level(spec)} interval {number(row['lower'])} to {number(row['upper'])})"


def level(spec: MrpAnalysis) -> str:
    """Level of the intervals: "95%"."""
    return f"{100 * spec.interval:g}%"


def group_names(table: pd.DataFrame, grouping: Sequence[str]) -> pd.Series:
    """A name for each row's group: its levels, joined by " / "; "all" without variables."""
    if not len(grouping):
        return pd.Series("all", index=table.index)
    names = table[grouping[0]].astype(str)
    for variable in grouping[1:]:
        names = names + " / " + table[variable].astype(str)
    return names


def exceedance(spec: MrpAnalysis, table: pd.DataFrame) -> dict[str, str]:
    """The column with the probability of being above each threshold, by the threshold as written."""
    names = {f"{threshold:g}": f"p_{noun(spec)}_gt_{threshold:g}" for threshold in spec.thresholds}
    return {threshold: name for threshold, name in names.items() if name in table}


def term_words(term: str) -> str:
    """A term of the formula in words: "sex[male]" is "sex (male)", "county:age" is "county by age"."""
    parts = re.split(r"(\[[^\]]*\])", term)
    return "".join(
        f" ({part[1:-1].removeprefix('T.')})" if part.startswith("[") else re.sub(r":(?=\S)", " by ", part)
        for part in parts
    )


def by_words(grouping: Sequence[str]) -> str:
    """The variables of a grouping: "county and school type"."""
    return " and ".join(variable.replace("_", " ") for variable in grouping)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def joined(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
