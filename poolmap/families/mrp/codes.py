"""Numbers that look like codes for a missing value: 999, -9, 99.9."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from poolmap.families.mrp.words import counted

FEWEST = 10  # other values, for a code to stand out
_CODE = re.compile(r"(7{2,}|8{2,}|9{2,}|9+[78])")
_NINES = re.compile(r"9+\.9+")


@dataclass(frozen=True)
class Codes:
    """Values of a column of numbers that look like codes for a missing value.

    Attributes:
        values: these, the most frequent first.
        counts: rows with each.
        lowest, highest: of the other values.
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]
    lowest: float
    highest: float


def missing_codes(numbers: pd.Series) -> Codes | None:
    """Values such as 999, -9 or 99.9 that stand several times far from all others.

    A value counts as a code if it is written with nines (or sevens or eights, or ends in 97 or 98) and lies
    beyond all other values by more than their whole range; or if it is -7, -8, -9, -99 ... and no other value
    is negative. At least one of the codes has to stand twice.
    """
    values = numbers.dropna().to_numpy(dtype=float)
    distinct, counts = np.unique(values, return_counts=True)
    coded = np.array([_is_code(value) for value in distinct], dtype=bool)
    if not coded.any() or counts[~coded].sum() < FEWEST:
        return None
    for _ in range(2):  # what is written like a code and lies near is a value like any other
        low, high = distinct[~coded].min(), distinct[~coded].max()
        beyond = (distinct > high + (high - low)) | (distinct < low - (high - low))
        coded &= beyond | ((distinct <= -7) & (low >= 0))
    if not (counts[coded] >= 2).any():
        return None
    order = np.argsort(-counts[coded], kind="stable")
    found, often = distinct[coded][order], counts[coded][order]
    return Codes(tuple(map(float, found)), tuple(map(int, often)), float(low), float(high))


def code_doubt(where: str, column: str | None, text: pd.Series, numbers: pd.Series) -> list[str]:
    """A sentence on the missing codes of a column, if it seems to have some.

    Args:
        where: the table and column, in words.
        column: as `recode` names it; None where every row needs a value.
        text: the fields as the file has them.
        numbers: the same as numbers.
    """
    codes = missing_codes(numbers)
    if codes is None:
        return []
    fields = [str(text[numbers == value].iloc[0]) for value in codes.values]
    each = listed_counts(fields, codes.counts)
    recoded = ", ".join(f'"{field}": NA' for field in fields)
    remedy = f"to have it read as missing, write `recode: {{{column}: {{{recoded}}}}}`"
    return [
        f"{where}: {each}, far from all other values ({codes.lowest:,.6g} to {codes.highest:,.6g}). A code "
        f"for a missing value? It counts as a number; {remedy if column else 'if it is one, mend the file'}."
    ]


def listed_counts(fields: Sequence[str], counts: Sequence[int]) -> str:
    """The values with how often each stands: "999 stands in 15 rows, -9 in 2 rows"."""
    parts = [f"{field} in {counted(count, 'row')}" for field, count in zip(fields, counts, strict=True)]
    return ", ".join(parts).replace(" in ", " stands in ", 1)


def _is_code(value: float) -> bool:
    text = f"{abs(value):.10g}"
    if value < 0 and text in ("7", "8", "9"):
        return True
    return bool(_CODE.fullmatch(text)) or (bool(_NINES.fullmatch(text)) and len(text) > 3)
