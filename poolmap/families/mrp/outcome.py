"""The answers of a survey as numbers: yes and no, codes of levels, measurements, counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.config.mrp_survey import Answer
from poolmap.families.mrp.order import ordered
from poolmap.tables import Table, nearest_then

MANY = 10  # other answers, all of them numbers: no yes or no
_MEASURED = (
    "these seem to be measurements or counts: write `kind: continuous` or `kind: count` in 'outcome', "
    "without `positive`; or say which count as no, `negative: others`"
)
_WHICH_NO = (
    "say which count as no, e.g. negative: [No] in 'outcome' (the rest is left out and listed), or negative: "
    "others; mend different spellings of one answer in the file"
)

LeaveOut = Callable[[pd.Series, "pd.Series | str"], None]
"""Marks rows as left out, with one reason or a reason for each row; the first reason of a row counts."""


def read_outcome(
    spec: MrpAnalysis, survey: Table, leave_out: LeaveOut, usable: Callable[[], pd.Series]
) -> tuple[pd.Series, list[str]]:
    """The outcome of each row.

    Args:
        survey: with the outcome's column; what is wrong with answers goes to its problems.
        leave_out: rows without an answer, or with one that does not count, are given to it.
        usable: which rows are not left out so far.

    Returns:
        binary: 1 for yes, 0 for no; ordered, categorical: the code of the answer from 0; continuous, count:
        the number (NaN in rows left out); and the answers in order (ordered, categorical).
    """
    kind, column = spec.outcome.kind, spec.outcome.column
    leave_out(survey.is_missing(column), f"no answer in '{column}'")
    if kind == "binary":
        return _yes_or_no(spec, survey, leave_out, usable), []
    if kind in ("ordered", "categorical"):
        return _levels(spec, survey, leave_out, usable)
    if kind == "count":
        return survey.counts(column, what="the count, a whole number, 0 or more"), []
    return survey.numbers(column, what="the measurement, a number"), []


def check_outcome(spec: MrpAnalysis, survey: Table, people: pd.DataFrame) -> None:
    """Note an outcome that cannot be modelled because it does not vary.

    Args:
        people: the respondents used: `y`, and `exposure` of counts.
    """
    kind, column = spec.outcome.kind, spec.outcome.column
    values = people["y"].dropna()
    if values.empty or survey.problems:
        return
    one = values.iloc[0]
    same = bool((values == one).all())
    if kind == "binary" and same:
        text = survey.frame.loc[values.index, column]
        said = "counts as yes" if one else "counts as no"
        survey.problem(
            f"the outcome has one value: every answer used {said} ({listed_answers(text)})",
            "a model needs both: look at 'outcome: positive' and 'outcome: negative'",
            column=column,
        )
    elif (kind == "continuous" and same) or (
        kind == "count" and same and (one == 0 or not spec.outcome.exposure)
    ):
        survey.problem(
            f"the outcome has one value: {one:g} in all {len(values):,} rows used",
            "name the column with the outcome; what does not vary cannot be modelled",
            column=column,
        )


def listed_answers(answers: pd.Series) -> str:
    """The answers with their counts, the most frequent ten."""
    counts = answers.astype(object).value_counts()
    shown = ", ".join(f"'{answer}' ({count})" for answer, count in counts.head(10).items())
    return shown + (" ..." if len(counts) > 10 else "")


def is_answer(answers: pd.Series, answer: Answer) -> pd.Series:
    """Which rows hold the answer; one written as a number in the config is compared as a number."""
    if isinstance(answer, str):
        return answers == answer
    levels = pd.Series(answers.unique(), dtype=object)
    same = levels[pd.to_numeric(levels, errors="coerce") == answer]
    return answers.isin(list(same))


def _yes_or_no(
    spec: MrpAnalysis, survey: Table, leave_out: LeaveOut, usable: Callable[[], pd.Series]
) -> pd.Series:
    column = spec.outcome.column
    answers = survey.frame[column]
    yes = is_answer(answers, spec.outcome.positive)
    counted = yes | _counts_as_no(spec, survey, answers[usable()])
    leave_out(~counted, "the answer '" + answers.astype(object) + "' is neither yes nor no")
    used = usable()
    if used.any() and not (yes & used).any():
        survey.problem(
            f"no row holds the positive answer '{spec.outcome.positive}'; the answers are "
            f"{listed_answers(answers[used])}",
            "write one of them as 'outcome: positive'",
            column=column,
        )
    return yes.astype("int64")


def _counts_as_no(spec: MrpAnalysis, survey: Table, answers: pd.Series) -> pd.Series:
    """Which of the answers count as no; notes where that is not clear from the config."""
    chosen, column = spec.outcome, spec.outcome.column
    no = pd.Series(False, index=survey.frame.index)
    others = answers[~is_answer(answers, chosen.positive)].astype(object)
    if chosen.negative == "others":
        no[others.index] = True
        return no
    if chosen.negative is not None:
        for answer in chosen.negative:
            hit = is_answer(others, answer)
            if not hit.any():
                survey.problem(
                    f"no row holds the negative answer '{answer}'; the other answers are "
                    f"{listed_answers(others)}",
                    "write the answers that count as no in 'outcome: negative'",
                    column=column,
                )
            no[hit.index[hit]] = True
        return no
    if others.nunique() > 1 and len(others) < len(answers):
        measured = others.nunique() > MANY and pd.to_numeric(others, errors="coerce").notna().all()
        survey.problem(
            f"beside '{chosen.positive}' there are {others.nunique()} other answers: "
            f"{listed_answers(others)}",
            _MEASURED if measured else _WHICH_NO,
            column=column,
        )
    no[others.index] = True
    return no


def _levels(
    spec: MrpAnalysis, survey: Table, leave_out: LeaveOut, usable: Callable[[], pd.Series]
) -> tuple[pd.Series, list[str]]:
    column = spec.outcome.column
    answers = survey.frame[column]
    there = [str(level) for level in answers[usable()].astype(object).unique()]
    levels = list(spec.outcome.levels) or ordered(there)
    for level in levels:
        if level not in there:
            survey.problem(
                f"no row holds the answer '{level}', one of 'outcome: levels'; the answers are "
                f"{listed_answers(answers[usable()])}",
                nearest_then(
                    level, there, "Write the answers as the survey has them, or take out one that nobody gave"
                )
                if there
                else "name the column with the answers",
                column=column,
            )
    codes = pd.Index(levels, dtype=object).get_indexer(answers.astype(object))
    leave_out(
        pd.Series(codes < 0, index=answers.index),
        "the answer '" + answers.astype(object) + "' is none of 'outcome: levels'",
    )
    if len(there) and len(levels) < 2:
        survey.problem(
            f"the outcome has one value: every answer used is '{levels[0]}'",
            "name the column with the answers; what does not vary cannot be modelled",
            column=column,
        )
    return pd.Series(np.asarray(codes, dtype="int64"), index=answers.index), levels
