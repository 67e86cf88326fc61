"""Known true values, matched to the groups that are estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import listed
from poolmap.spelling import close_to, nearest_then
from poolmap.tables import MISSING, Table

TWICE = (
    "give each group one row; a row about a variable that neither the formula nor the estimates have counts "
    "as one about its other variables, so take such rows out"
)
SHARES = ("binary", "ordered", "categorical")


def read_truth(
    spec: MrpAnalysis,
    needs: Needs,
    truth: Table,
    levels: Mapping[str, Sequence[str]],
    answers: Sequence[str],
) -> pd.DataFrame:
    """The known values: `table` (of estimates), grouping variables ("" where not used), `value`.

    A row belongs to the grouping whose variables are filled in. Other variables of the analysis count too, so
    that a row about a group that is not estimated is passed over and not taken for another.

    Args:
        truth: harmonised, columns of categories.
        levels: of each variable and factor, those of the census.
        answers: of an ordered or categorical outcome, whose shares the values are: the table has then the
            column `answer` too.

    Raises:
        InputError: columns that are not there, values out of range, groups that the census does not know, a
            group twice.
    """
    grouping_variables = list(dict.fromkeys(v for grouping in spec.groupings() for v in grouping))
    truth.has(spec.truth.value, key="truth: value")
    if answers and spec.truth.level is not None:
        truth.has(spec.truth.level, key="truth: level")
    elif answers:
        what = "the true shares of several answers need a column that says which answer they are of"
        truth.problem(what, "name it as `level` in `truth`")
    _check_columns(spec, truth, grouping_variables)
    truth.finish()
    if spec.outcome.kind in SHARES:
        value = truth.numbers(
            spec.truth.value, lower=0, upper=1, what="a share between 0 and 1, such as 0.55 for 55%"
        )
    else:
        value = truth.numbers(spec.truth.value, what="the true mean, a number")
    frame = truth.frame.astype(object)
    own = pd.Series("", index=frame.index, dtype=object)
    if answers:
        own = frame[spec.truth.level]
        _check_known(truth, spec.truth.level, own[value.notna()], answers, "an answer of the survey")
    keys = [v for v in dict.fromkeys([*grouping_variables, *needs.factors, *levels]) if v in frame.columns]
    filled = pd.DataFrame({v: ~frame[v].isin(MISSING - set(levels.get(v, ()))) for v in keys}, frame.index)
    parts = []
    for grouping in spec.groupings():
        rows = (filled == [key in grouping for key in keys]).all(axis=1) & value.notna()
        part = frame.loc[rows, list(grouping)]
        for line in part.index[_repeated(part.assign(**{"\0": own[rows]}))]:
            group = ", ".join(part.loc[line]) or "the total"
            truth.problem(f"a second row about {group}", TWICE, line=line)
        for variable in grouping:
            _check_known(truth, variable, part[variable], levels[variable], "in the census")
        part = part.reindex(columns=grouping_variables, fill_value="")
        part = part.assign(table=spec.table_name(grouping), value=value[rows], answer=own[rows])
        parts.append(part)
    if not truth.problems and not any(map(len, parts)):
        what = "no row is about the total or about a group of 'estimates'"
        truth.problem(what, "fill in the variables that a row is about, and leave all others empty")
    truth.finish()
    columns = ["table", *grouping_variables, *(["answer"] if answers else []), "value"]
    return pd.concat(parts, ignore_index=True)[columns]


def _check_columns(spec: MrpAnalysis, truth: Table, variables: Sequence[str]) -> None:
    """Note which columns of the variables of the estimates are lacking, and which are there."""
    lacking = [variable for variable in variables if variable not in truth.frame]
    if not lacking:
        return
    what = (
        f"the file has the columns {listed(truth.names)}, and lacks {listed(lacking)}: the estimates "
        f"({', '.join(spec.estimates)}) need a column for each of their variables"
    )
    free = [name for name in truth.names if name not in (*variables, spec.truth.value, spec.truth.level)]
    near = {variable: close_to(variable, free) for variable in lacking}
    renamed = [f"rename '{name}' to '{variable}'" for variable, name in near.items() if name is not None]
    if len(renamed) < len(lacking):
        renamed.append("add the columns, empty in rows that are not about them, or estimate less")
    truth.problem(what, "; ".join(renamed))


def _repeated(part: pd.DataFrame) -> np.ndarray:
    return part.duplicated().to_numpy()


def _check_known(truth: Table, column: str, values: pd.Series, known: Sequence[str], what: str) -> None:
    for line, level in values[~values.isin(list(known))].items():
        remedy = nearest_then(level, known, "Spell it as there, or take the row out")
        truth.problem(f"'{level}' is not {what}", remedy, line=line, column=column)
