"""The design of a model: the columns that coefficients and slopes belong to, from formula and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from poolmap.families.mrp.formula import Columns, Formula

Predictors = Mapping[str, Mapping[str, Any]]
"""`facts["predictors"]`: numeric columns with the mean and sd over the census, factors with their levels."""

INTERCEPT = -1
"""In place of the number of a column: the effect is a varying intercept."""


@dataclass(frozen=True)
class Design:
    """What each column of the design is.

    Attributes:
        columns: the factors of the product that a column is: a numeric column (standardised), or a column
            and its level (1 where the row has it, else 0).
        common: how many columns have a coefficient of their own: the first; the rest have a varying slope
            only.
        batches: for each group of the formula the number of the column of each of its effects, `INTERCEPT`
            first where intercepts vary.
    """

    columns: tuple[tuple[tuple[str, str | None], ...], ...]
    common: int
    batches: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> list[str]:
        """Of the columns: `income`, `sex[male]`, `income:sex[male]`."""
        return [
            ":".join(name if level is None else f"{name}[{level}]" for name, level in column)
            for column in self.columns
        ]

    def matrix(self, frame: pd.DataFrame, predictors: Predictors) -> np.ndarray:
        """(rows, columns) the design of rows of the survey or of the census."""
        x = np.ones((len(frame), len(self.columns)))
        for at, column in enumerate(self.columns):
            for name, level in column:
                if level is None:
                    scale = predictors[name]
                    x[:, at] *= (frame[name].to_numpy(dtype=np.float64) - scale["mean"]) / scale["sd"]
                else:
                    x[:, at] *= frame[name].astype(str).to_numpy() == level
        return x


def design_of(formula: Formula, predictors: Predictors) -> Design:
    """The design of a formula.

    A numeric column is standardised by the census's people, an interaction of such columns is their product;
    a factor has a column for each level but the first (treatment contrasts).
    """
    columns: dict[tuple[tuple[str, str | None], ...], int] = {}

    def numbers(term: Columns) -> list[int]:
        choices = [
            [(name, str(level)) for level in predictors[name]["levels"][1:]]
            if predictors[name].get("type", "numeric") == "factor"
            else [(name, None)]
            for name in term
        ]
        return [columns.setdefault(tuple(column), len(columns)) for column in product(*choices)]

    for term in formula.common:
        numbers(term)
    common = len(columns)
    batches = [
        tuple(
            ([INTERCEPT] if group.intercept else []) + [c for slope in group.slopes for c in numbers(slope)]
        )
        for group in formula.groups
    ]
    return Design(tuple(columns), common, tuple(batches))
