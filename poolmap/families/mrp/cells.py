"""The distinct cells of a survey, with what is sufficient for the model of the outcome's kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def survey_cells(
    kind: str, people: pd.DataFrame, keys: Sequence[str], answers: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """The respondents by cell.

    Args:
        kind: of the outcome.
        people: the keys, `y`, and `exposure` of counts, if they have one.
        keys: what tells cells apart.
        answers: ordered, categorical: the answers.

    Returns:
        `cells`: keys, `n`, and
            binary: `yes`;
            continuous: `mean` and `within_ss`, the sum of squares about it, in units of the outcome;
            count: `total` and `exposure` (of all respondents of the cell; their number where there is none);
            ordered, categorical: `n_<code>`, how many gave each answer.
        and of counts `rows`: `cell` (row of `cells`), `y`, `exposure`, `n`: respondents who are alike.
    """
    frame = people[[*keys, "y"]].copy()
    frame["exposure"] = people.get("exposure", 1.0)
    if keys:
        grouped = frame.groupby(list(keys), observed=True, sort=True)
        cells = grouped.size().rename("n").reset_index()
        place = grouped.ngroup().to_numpy()
    else:
        cells, place = pd.DataFrame({"n": [len(frame)]}), np.zeros(len(frame), dtype=np.int64)
    size, y = len(cells), frame["y"].to_numpy(dtype=float)
    total = np.bincount(place, y, size)
    tables = {"cells": cells}
    if kind == "binary":
        cells["yes"] = total.astype("int64")
    elif kind == "continuous":
        cells["mean"] = total / cells["n"]
        cells["within_ss"] = np.bincount(place, (y - cells["mean"].to_numpy()[place]) ** 2, size)
    elif kind == "count":
        cells["total"] = total.astype("int64")
        cells["exposure"] = np.bincount(place, frame["exposure"], size)
        alike = pd.DataFrame(
            {"cell": place, "y": y.astype("int64"), "exposure": frame["exposure"].to_numpy()}
        )
        tables["rows"] = alike.groupby(list(alike.columns)).size().rename("n").reset_index()
    else:
        codes = frame["y"].to_numpy(dtype=np.int64)
        for code in range(len(answers)):
            cells[f"n_{code}"] = np.bincount(place[codes == code], minlength=size)
    return tables
