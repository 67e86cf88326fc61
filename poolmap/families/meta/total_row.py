"""A row of totals below a study table, which would count every study twice."""

from __future__ import annotations

import re

import pandas as pd

from poolmap.config.measures import ADDING_UP
from poolmap.tables import Table

NAMES = re.compile(
    r"(grand |sub ?-?)?totals?|sums?|overall|pooled|combined|summary|all( studies| trials)?", re.I
)


def check_total_row(table: Table, study: pd.Series, values: pd.DataFrame, column: str) -> None:
    """Note a row that is called a total and in which every count is the sum of the other rows.

    Args:
        study: the study's name, by line.
        values: the raw data, by line, under the names of `poolmap.config.meta.MEASURES`.
        column: that of the study's name.
    """
    counts = values[[name for name in values if name.split("_")[0] in ADDING_UP]]
    called = study.str.strip(" :.").map(lambda name: NAMES.fullmatch(name) is not None)
    others = counts[~called]
    if counts.columns.empty or len(others) < 2:
        return
    for line in study.index[called]:
        if (counts.loc[line] - others.sum()).abs().max() <= 1e-9 * others.sum().max():
            table.problem(
                f"'{study[line]}' is no study: its counts are the sums of those of the others",
                f"take the row out of the table, or write `exclude: {{{column}: ['{study[line]}']}}`",
                line=line,
                column=column,
            )
