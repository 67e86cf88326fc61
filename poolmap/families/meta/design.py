"""The design matrix of a meta-analysis: subgroup means, and centred columns of a formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem

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
    names: tuple[str, ...] = ()
    index = np.zeros(k, dtype=int)
    if chosen.subgroups:
        names, index = _subgroups(f"models.{model}.subgroups", moderators[chosen.subgroups])
    means = np.eye(max(len(names), 1))[index]
    slopes = pd.DataFrame(index=range(k))
    if chosen.formula:
        slopes = _slopes(f"models.{model}.formula", chosen.formula, moderators)
        _check(f"models.{model}.formula", slopes, means)
    values = slopes.to_numpy(dtype=float)
    centres = values.mean(axis=0) if chosen.centre else np.zeros(values.shape[1])
    own = chosen.subgroup_tau == "own"
    return Design(
        X=np.hstack([means, values - centres]),
        terms=tuple(slopes.columns),
        M=means.shape[1],
        subgroups=names,
        subgroup=index,
        group=(index if own else np.zeros(k, dtype=int)) + 1,
        G=(len(names) if own else 1) if chosen.heterogeneous else 0,
        centres=centres,
    )


def _subgroups(key: str, column: pd.Series) -> tuple[tuple[str, ...], np.ndarray]:
    text = column.map(lambda x: f"{x:g}" if isinstance(x, float) else str(x))
    index, names = pd.factorize(text)
    if len(names) < 2:
        raise InputError(
            [
                Problem(
                    key,
                    f"all studies have '{names[0]}' in the column '{column.name}': there are no subgroups",
                    "name a column with two categories or more, or leave `subgroups` away",
                )
            ]
        )
    return tuple(names), index


def _slopes(key: str, formula: str, moderators: pd.DataFrame) -> pd.DataFrame:
    """The columns of a formula without its intercept."""
    from formulae import design_matrices

    example = 'write the right-hand side over the moderators, such as "latitude + allocation"'
    try:
        found = design_matrices(formula, moderators)
    except Exception as error:
        words = str(error).strip("'\"\n") or type(error).__name__
        raise InputError(
            [Problem(key, f"the formula '{formula}' cannot be read: {words}", example)]
        ) from None
    if found.group is not None or found.response is not None:
        part = "varying terms" if found.group is not None else "a left-hand side"
        raise InputError([Problem(key, f"the formula '{formula}' has {part}", example)])
    columns = found.common.as_dataframe() if found.common is not None else pd.DataFrame()
    if "Intercept" not in columns:
        remedy = "leave 0 and -1 away; the pooled effect is the intercept. Use `subgroups` for a mean of each"
        raise InputError([Problem(key, f"the formula '{formula}' has no intercept", remedy)])
    columns = columns.drop(columns="Intercept")
    if columns.empty:
        raise InputError([Problem(key, f"the formula '{formula}' names no moderator", example)])
    return columns.reset_index(drop=True)


def _check(key: str, slopes: pd.DataFrame, means: np.ndarray) -> None:
    """Refuse columns that the studies cannot tell apart."""
    k, needed = len(means), means.shape[1] + slopes.shape[1]
    if needed >= k:
        raise InputError(
            [
                Problem(
                    key,
                    f"{needed} means and coefficients from {k} studies",
                    "a regression needs more studies than coefficients (the Cochrane Handbook asks for ten "
                    "studies a moderator): take moderators out, or merge categories",
                )
            ]
        )
    problems, before, taken = [], means, []
    for name in slopes:
        column = slopes[name].to_numpy(dtype=float)
        centred = column - column.mean()
        rest = column - before @ np.linalg.lstsq(before, column, rcond=None)[0]
        if rest @ rest <= COLLINEAR * max(centred @ centred, np.finfo(float).tiny):
            what = f"the column '{name}' does not vary between the studies"
            if centred @ centred > 0:
                with_these = ", ".join(f"'{other}'" for other in taken) or "the subgroups"
                what = f"the column '{name}' follows from {with_these}: they are collinear"
            remedy = "take one of them out of the formula: their effects cannot be told apart"
            problems.append(Problem(key, what, remedy))
            continue
        before, taken = np.column_stack([before, column]), [*taken, name]
    if problems:
        raise InputError(problems)
