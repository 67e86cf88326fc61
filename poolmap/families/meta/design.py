"""The design matrix of a meta-analysis: subgroup means, and centred columns of a formula."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.meta.formula import slopes
from poolmap.families.meta.study_columns import not_numbers

COLLINEAR = 1e-8  # share of a column's variation that the columns before it leave unexplained


@dataclass(frozen=True)
class Design:
    """How the expected effect of each of K studies (or effects) follows from P parameters.

    Attributes:
        X: matrix (K, P): first `M` columns with the means (one, or one a subgroup), then the slopes.
        terms: names of the slopes (P - M).
        M: number of means; 0 for unrelated effects.
        subgroups: names of the subgroups, in the order of the means; none without subgroups.
        subgroup: position (K,) of each study's subgroup, from 0; all 0 without subgroups.
        group: which tau is each study's, (K,), from 1 (as Stan counts).
        G: number of taus.
        centres: value taken from each slope's column.
    """

    X: np.ndarray
    terms: tuple[str, ...]
    M: int
    subgroups: tuple[str, ...]
    subgroup: np.ndarray
    group: np.ndarray
    G: int
    centres: np.ndarray

    @property
    def average(self) -> np.ndarray:
        """The design row (P,) of the studies' average: what the pooled effect is the effect of."""
        return self.X.mean(axis=0)

    def rows(self, chosen: np.ndarray) -> Design:
        """The same parameters and centres, for some of the studies (a mask or positions)."""
        return replace(self, X=self.X[chosen], subgroup=self.subgroup[chosen], group=self.group[chosen])


def design(spec: MetaAnalysis, model: str, data: Dataset) -> Design:
    """The design of one model.

    Raises:
        InputError: a formula that cannot be read, without an intercept, with more coefficients than the
            studies can tell apart, or with collinear columns; fewer than two subgroups.
    """
    chosen, k = spec.models[model], len(data.tables["studies"])
    moderators = data.tables.get("moderators", pd.DataFrame(index=range(k)))
    if chosen.effects == "independent":
        return Design(np.empty((k, 0)), (), 0, (), np.zeros(k, int), np.ones(k, int), 0, np.empty(0))
    unit = "studies" if spec.effect_id is None else "effects"
    names: tuple[str, ...] = ()
    index = np.zeros(k, dtype=int)
    if chosen.subgroups:
        place = f"models.{model}.subgroups"
        number = pd.api.types.is_numeric_dtype(moderators[chosen.subgroups])
        names, index = _subgroups(place, data.tables["categories"][chosen.subgroups], unit, number=number)
    means = np.eye(max(len(names), 1))[index]
    columns = pd.DataFrame(index=range(k))
    if chosen.formula:
        key = f"models.{model}.formula"
        columns = slopes(key, chosen.formula, chosen.formula_names, moderators)
        _check(key, columns, means, moderators[chosen.formula_names], unit)
    values = columns.to_numpy(dtype=float)
    centres = values.mean(axis=0) if chosen.centre else np.zeros(values.shape[1])
    own = chosen.subgroup_tau == "own"
    return Design(
        X=np.hstack([means, values - centres]),
        terms=tuple(columns.columns),
        M=means.shape[1],
        subgroups=names,
        subgroup=index,
        group=(index if own else np.zeros(k, dtype=int)) + 1,
        G=(len(names) if own else 1) if chosen.heterogeneous else 0,
        centres=centres,
    )


def _subgroups(key: str, column: pd.Series, unit: str, *, number: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """The subgroups in the order of appearance, and that of each study.

    Numbers are categories where a value has two studies or more on average; otherwise they are measured.
    """
    index, names = pd.factorize(column)
    most = len(column) // 2 if number else len(column) - 1
    if 1 < len(names) <= most:
        return tuple(str(name) for name in names), index
    what = f"all {unit} have '{names[0]}' in the column '{column.name}': there are no subgroups"
    remedy = "name a column with two categories or more, or leave `subgroups` away"
    if 1 < len(names) < len(column):
        what = f"the column '{column.name}' holds {len(names)} different numbers in {len(column)} {unit}"
        remedy = (
            f"as categories they need two {unit} each on average: name a column with fewer values, or give "
            "the number to a `formula`"
        )
    elif len(names) > 1:
        what = f"all {unit} differ in the column '{column.name}': no subgroup has two"
        remedy = "name a column with categories; the effect of a number is a `formula`"
    raise InputError([Problem(key, what, remedy)])


def _check(key: str, slopes: pd.DataFrame, means: np.ndarray, moderators: pd.DataFrame, unit: str) -> None:
    """Refuse columns that the studies cannot tell apart."""
    k, needed = len(means), means.shape[1] + slopes.shape[1]
    if needed >= k:
        said = [f"{needed} means and coefficients from {k} {unit}"]
        for name, values in moderators.items():
            odd = not_numbers(values)
            said += [f"'{name}' is read as a category because of values such as '{odd[0]}'"] if odd else []
        remedy = (
            f"a regression needs more {unit} than coefficients (the Cochrane Handbook asks for ten studies a "
            "moderator): take moderators out, or merge categories"
        )
        raise InputError([Problem(key, "; ".join(said), remedy)])
    problems, before, taken = [], means, []
    for name in slopes:
        column = slopes[name].to_numpy(dtype=float)
        if np.ptp(column) == 0:
            remedy = "take it out of the formula: it tells nothing"
            problems.append(Problem(key, f"the column '{name}' does not vary between the {unit}", remedy))
            continue
        column = column - column.mean()
        column /= np.sqrt(column @ column)
        rest = column - before @ np.linalg.lstsq(before, column, rcond=None)[0]
        if rest @ rest <= COLLINEAR:
            with_these = ", ".join(f"'{other}'" for other in taken) or "the subgroups"
            what = f"the column '{name}' follows from {with_these}: they are collinear"
            remedy = "take one of them out of the formula: their effects cannot be told apart"
            problems.append(Problem(key, what, remedy))
            continue
        before, taken = np.column_stack([before, column]), [*taken, name]
    if problems:
        raise InputError(problems)
