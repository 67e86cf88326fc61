"""The respondents of a survey that can be used, and why the others cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import MISSING_LEVEL, rule
from poolmap.families.mrp.outcome import check_outcome, read_outcome
from poolmap.families.mrp.pooled import SurveyTable
from poolmap.tables import MISSING

DESIGN = r"stratum|(cluster|population_size|inclusion)_\d+"
"""Columns of the respondents that say how they were drawn."""


@dataclass
class Respondents:
    """The usable rows of a survey.

    Attributes:
        people: variables and predictors (factors: categories of text; numeric predictors: numbers, NaN where
            missing), `y`, `weight`, and where there are some `exposure`, `stratum`, `cluster_<i>`,
            `population_size_<i>`, `inclusion_<i>`; the index is the survey table's.
        excluded: row of the survey table and reason.
        answers: ordered, categorical: the answers in the order of their codes.
        sampled: the columns of the design (`stratum` ...) of every row that has them all, usable or not.
    """

    people: pd.DataFrame
    sampled: pd.DataFrame
    excluded: list[tuple[int, str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def respondents(
    spec: MrpAnalysis,
    needs: Needs,
    kinds: Mapping[str, str],
    survey: SurveyTable,
    census_levels: Mapping[str, frozenset[str]],
) -> Respondents:
    """Read the rows of the survey and tell which can be used.

    Args:
        kinds: of each predictor, `numeric` or `factor`.
        survey: harmonised; what is wrong goes to its problems.
        census_levels: the levels that the census has of each variable: a text such as NA that is one of them
            is no missing value.
    """
    frame = survey.frame
    people = pd.DataFrame(index=frame.index)
    reason = pd.Series("", index=frame.index, dtype=object)

    def leave_out(rows: pd.Series, why: pd.Series | str) -> None:
        new = rows.to_numpy() & (reason == "").to_numpy()
        reason[new] = why if isinstance(why, str) else why[new]

    y, answers = read_outcome(spec, survey, leave_out, lambda: reason == "")
    factors = [name for name in needs.predictors if kinds[name] == "factor"]
    for variable in dict.fromkeys([*needs.variables, *factors]):
        if variable not in frame.columns:
            continue
        known = census_levels.get(variable, frozenset())
        missing = survey.is_missing(variable) & ~frame[variable].isin(known)
        column = frame[variable]
        if rule(spec, variable) == "level" and missing.any():
            column = column.astype(object).where(~missing, MISSING_LEVEL).astype("category")
        else:
            leave_out(missing, f"no '{variable}'")
        people[variable] = column
        if missing.all():
            survey.problem(
                "every row is without a value",
                "name a column that is filled in, or leave the variable out of the analysis",
                column=variable,
            )
    for name in needs.predictors:
        if kinds[name] == "numeric":
            people[name] = survey.numbers(name) if name in frame.columns else np.nan
    people["y"] = y
    people["weight"] = 1.0
    if spec.outcome.exposure is not None:
        exposure = spec.outcome.exposure
        what = "the time at risk, above 0"
        people["exposure"] = survey.numbers(exposure, lower=0, strict_lower=True, what=what)
        leave_out(survey.is_missing(exposure), f"no '{exposure}'")
    if spec.weight is not None:
        people["weight"] = _weights(spec.weight, survey, reason == "")
    _design(spec, survey, people, reason == "")
    of_design = people[[name for name in people if re.fullmatch(DESIGN, str(name))]]
    sampled = of_design[~of_design.isin(MISSING).any(axis=1) & of_design.notna().all(axis=1)]
    people = people[reason == ""]
    excluded = [(int(row), why) for row, why in reason[reason != ""].items()]
    check_outcome(spec, survey, people)
    return Respondents(people, sampled, excluded, answers)


def _weights(column: str, survey: SurveyTable, used: pd.Series) -> pd.Series:
    """Sampling weights; every row that is otherwise used needs one above 0."""
    weights = survey.numbers(column, lower=0, what="the sampling weight, above 0")
    told = (
        (
            survey.is_missing(column),
            "the weight is missing",
            "give the row its weight; take rows that were not sampled out of the file",
        ),
        (
            weights == 0,
            "the weight is 0",
            "a row of weight 0 stands for nobody: take it out of the file, or name another column",
        ),
    )
    for rows, what, remedy in told:
        lines = survey.frame.index[rows & used]
        for line in lines[:5]:
            survey.problem(what, remedy, line=line, column=column)
        if len(lines) > 5:
            survey.problem(f"the same in {len(lines) - 5} more rows", column=column)
    return weights


def _design(spec: MrpAnalysis, survey: SurveyTable, people: pd.DataFrame, used: pd.Series) -> None:
    """Strata, sampling units, sizes of the population, inclusion probabilities; every used row needs them."""
    design = spec.design
    named = {"stratum": design.strata} if design.strata else {}
    named |= {f"cluster_{i}": column for i, column in enumerate(design.clusters)}
    for name, column in named.items():
        people[name] = survey.frame[column]
    for i, column in enumerate(design.population_sizes):
        what = "the number of units in the population, above 0"
        people[f"population_size_{i}"] = survey.numbers(column, lower=0, strict_lower=True, what=what)
    for i, column in enumerate(design.inclusion):
        what = "the probability that the unit was drawn, above 0 and at most 1"
        values = survey.numbers(column, lower=0, upper=1, strict_lower=True, what=what)
        people[f"inclusion_{i}"] = values
        if i < len(design.clusters):
            _one_a_unit(survey, column, values, [*named.values()][: i + 1 + bool(design.strata)])
    for column in dict.fromkeys([*named.values(), *design.population_sizes, *design.inclusion]):
        lines = survey.frame.index[survey.is_missing(column) & used]
        if len(lines):
            more = f" (and {len(lines) - 1} more rows)" if len(lines) > 1 else ""
            survey.problem(
                f"no value{more}",
                "every row needs all that `design` names (stratum, sampling units, population sizes, "
                "probabilities), or leave `design` away",
                line=lines[0],
                column=column,
            )
    if design.population_sizes and not survey.problems:
        _check_sizes(spec, survey, people[used])


def _one_a_unit(survey: SurveyTable, column: str, values: pd.Series, unit: Sequence[str]) -> None:
    """Note sampling units whose rows do not agree on their probability."""
    of = [survey.origin["file"], *(survey.frame[name] for name in unit)]
    first = values.groupby(of, observed=True).transform("first")
    differs = survey.frame.index[(values != first) & values.notna()]
    if len(differs):
        line = differs[0]
        named = ", ".join(f"{name} {survey.frame.at[line, name]!r}" for name in unit)
        survey.problem(
            f"{values[line]:g}, but {first[line]:g} in an earlier row of the same unit ({named})",
            "all rows of a sampling unit have the probability with which the unit was drawn",
            line=line,
            column=column,
        )


def _check_sizes(spec: MrpAnalysis, survey: SurveyTable, people: pd.DataFrame) -> None:
    """A stratum, or a unit of the stage before, has one size, and not fewer units than the sample."""
    people = people.assign(file=survey.origin["file"])
    above = ["file", *(["stratum"] if "stratum" in people else [])]
    for stage, column in enumerate(spec.design.population_sizes):
        size = people[f"population_size_{stage}"]
        parent = people[above].apply(tuple, axis=1)
        unit = f"cluster_{stage}"
        units = people[unit] if unit in people else pd.Series(people.index, index=people.index)
        groups = pd.DataFrame({"size": size, "unit": units}).groupby(parent, observed=True, sort=False)
        found = groups.agg(least=("size", "min"), most=("size", "max"), drawn=("unit", "nunique"))
        first = pd.Series(people.index, index=people.index).groupby(parent, observed=True, sort=False).first()
        of = f" of the same {' and '.join(_names(spec, above[1:]))}" if above[1:] else ""
        for group, row in found[(found["least"] < found["most"])].head(5).iterrows():
            survey.problem(
                f"rows{of} have different population sizes, {row['least']:g} and {row['most']:g}",
                "write the number of units that one could have drawn from, alike in all these rows",
                line=first[group],
                column=column,
            )
        for group, row in (
            found[(found["least"] == found["most"]) & (found["most"] < found["drawn"])].head(5).iterrows()
        ):
            survey.problem(
                f"the population size is {row['most']:g}, and {row['drawn']:g} units{of} are in the survey",
                "write the number of units that one could have drawn from",
                line=first[group],
                column=column,
            )
        above.append(unit)


def _names(spec: MrpAnalysis, columns: list[str]) -> list[str]:
    """The user's names of `stratum` and `cluster_<i>`."""
    return [
        str(spec.design.strata) if c == "stratum" else spec.design.clusters[int(c.rpartition("_")[2])]
        for c in columns
    ]
