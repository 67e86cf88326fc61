"""Several surveys as one table, whose messages still name the file and the line of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from poolmap.tables import Table

SURVEY = "survey"
"""The variable that says which of several surveys a respondent is from."""


@dataclass
class SurveyTable(Table):
    """One or several surveys; the index of the frame numbers the rows from 0.

    Attributes:
        origin: of each row: `file` (the survey's name), `path`, `line`; kept whole where rows are taken out.
    """

    origin: pd.DataFrame = field(default_factory=pd.DataFrame)

    def where(self, line: int | None = None, column: str | None = None) -> str:
        """The place in the row's own file."""
        if line is None:
            return super().where(None, column)
        row = self.origin.loc[line]
        return Table(row["path"], self.frame, unit=row["unit"]).where(int(row["line"]), column)

    def place(self, line: int) -> tuple[str, int]:
        """The path and line of a row."""
        row = self.origin.loc[line]
        return row["path"], int(row["line"])


def pool(tables: Mapping[str, Table], columns: Sequence[str]) -> SurveyTable:
    """The surveys one below the other.

    Args:
        tables: by the name of the survey, columns of categories.
        columns: those that are needed; one that some survey lacks is left out.
    """
    kept = [c for c in dict.fromkeys(columns) if all(c in t.frame.columns for t in tables.values())]
    origin = pd.concat(
        [
            pd.DataFrame({"file": name, "path": t.path, "unit": t.unit, "line": t.frame.index.to_numpy()})
            for name, t in tables.items()
        ],
        ignore_index=True,
    )
    frame = pd.DataFrame(
        {c: union_categoricals([t.frame[c].array for t in tables.values()]) for c in kept}, index=origin.index
    )
    if len(tables) > 1:
        sizes = [len(table.frame) for table in tables.values()]
        codes = np.repeat(np.arange(len(tables)), sizes)
        frame[SURVEY] = pd.Categorical.from_codes(codes, pd.Index(list(tables), dtype=object))
    return SurveyTable(
        path=", ".join(table.path for table in tables.values()),
        frame=frame,
        problems=[problem for table in tables.values() for problem in table.problems],
        notes=[f"{table.path}: {note}" for table in tables.values() for note in table.notes],
        origin=origin,
    )
