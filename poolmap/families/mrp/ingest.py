"""Read the survey and the census, check them against each other, and index every level by the census."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.contrasts import contrast_grouping, unknown_levels
from poolmap.families.mrp.formula import Formula, parse_formula, term_name
from poolmap.families.mrp.left_out import not_in_formula
from poolmap.tables import Table, exclusions, nearest, read_table

RESERVED = frozenset(
    """line yes weight n count truth value table quantity term level answer variable first second mean sd
    median lower upper mcse ess_bulk ess_tail rhat n_survey n_census raw raw_lower raw_upper weighted
    weighted_lower weighted_upper
    predicted_lower predicted_upper""".split()  # noqa: SIM905
)


def ingest(spec: MrpAnalysis) -> Dataset:
    """The checked survey and census of one analysis.

    Tables of the result (V: the variables of the formula and of the estimates; X: the predictors):

    * `survey`: the respondents used: `line` in the file, V (those the survey has), X, `yes` 0/1, `weight`;
    * `cells`: the survey's distinct cells: variables of the formula, X, `yes`, `n`, `level_<k>`;
    * `census`: the cells of the population: V, X, `count`, `level_<k>`;
    * `levels`: every level of every batch of varying intercepts: `term`, `level`, `code` (its column in the
      batch), `seen` (in the survey; these come first), `survey_n`, `census_n`;
    * `truth`, where known: `table`, V of the estimates, `value`.

    `level_<k>` is the code of the cell's level in batch k of the formula.

    Raises:
        InputError: a missing column, a level of the survey that the census does not know, counts, weights or
            predictors that are not numbers in their range, or an area without a polygon; all that can be
            found at once.
    """
    formula = parse_formula(spec.formula, spec.outcome.column)
    survey, census = read_table(spec.survey), read_table(spec.census)
    grouping_variables = dict.fromkeys(v for grouping in spec.groupings() for v in grouping)
    grouping_variables |= dict.fromkeys(v for contrast in spec.contrasts for v in contrast_grouping(contrast))
    variables = list(dict.fromkeys([*formula.variables, *grouping_variables]))

    survey.has(spec.outcome.column, key="outcome: column")
    if spec.weight is not None:
        survey.has(spec.weight, key="weight")
    for variable in formula.variables:
        survey.has(variable, key="formula")
    census.has(spec.count, key="count")
    for name in dict.fromkeys([*formula.variables, *formula.predictors]):
        census.has(name, key="formula")
    for variable in grouping_variables:
        if variable not in formula.variables:
            census.has(variable, key="estimates")
    for name in dict.fromkeys([*variables, *formula.predictors]):
        if name in RESERVED:
            census.problem("the name is one of poolmap's own columns", "rename the column", column=name)
    _raise(survey, census)

    rows = _census_rows(spec, formula, census, variables)
    people, excluded, facts = _respondents(spec, formula, survey, variables, rows)
    _raise(survey, census)
    _check_levels(survey, people, rows, [v for v in variables if v in people], spec.census)
    sources = _settle_predictors(spec, formula, survey, people, rows)
    _raise(survey, census)
    missing = people[list(formula.predictors)].isna()
    for line, name in zip(*np.nonzero(missing.to_numpy()), strict=True):
        excluded.append((int(people.index[line]), f"no value of '{formula.predictors[name]}'"))
    people = people[~missing.any(axis=1)]
    if people.empty:
        survey.problem("no row can be used", "every row lacks the outcome, a variable or the weight")
        _raise(survey)

    x = list(formula.predictors)
    cells = rows.groupby([*variables, *x], sort=True, as_index=False)["count"].sum()
    survey_cells = (
        people.groupby([*formula.variables, *x], sort=True)["yes"].agg(["sum", "size"]).reset_index()
    )
    survey_cells = survey_cells.rename(columns={"sum": "yes", "size": "n"})
    levels = pd.concat(
        [_index_levels(k, term, survey_cells, cells) for k, term in enumerate(formula.terms)],
        ignore_index=True,
    )
    tables = {
        "survey": people.rename_axis("line").reset_index(),
        "cells": survey_cells,
        "census": cells,
        "levels": levels,
    }
    facts |= {
        "terms": [list(term) for term in formula.terms],
        "respondents": len(people),
        "rows_excluded": len(dict(excluded)),
        "population": float(cells["count"].sum()),
        "census_rows": len(rows),
        "census_cells": len(cells),
        "survey_cells": len(survey_cells),
        "respondents_outside_census_cells": _outside(formula, survey_cells, cells),
        "predictors": {name: _scale(census, cells, name) | sources[name] for name in x},
        "groups_without_people": {},
    }
    _raise(census)
    for grouping in spec.groupings()[1:]:
        size = cells.groupby(list(grouping))["count"].sum()
        empty = [" / ".join(_tuple(group)) for group in size.index[size == 0]]
        if empty:
            facts["groups_without_people"][spec.table_name(grouping)] = empty
    if spec.truth is not None:
        tables["truth"] = _truth(spec, formula, list(grouping_variables), cells)
    excluded_rows = [(spec.survey, line, "", reason) for line, reason in sorted(excluded)]
    data = Dataset(tables, exclusions(excluded_rows), facts)
    asked = [*unknown_levels(spec, cells), *not_in_formula(spec, formula.variables)]
    if asked:
        raise InputError(asked)
    if spec.map is not None:
        data.geometry = _geometry(spec, cells, facts)
    return data


def _raise(*tables: Table) -> None:
    problems = [problem for table in tables for problem in table.problems]
    if problems:
        raise InputError(problems)


def _tuple(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def _census_rows(spec: MrpAnalysis, formula: Formula, census: Table, variables: list[str]) -> pd.DataFrame:
    """The census as read: variables as text, predictors and `count` as numbers; index: line of the file."""
    rows = pd.DataFrame({v: census.ids(v, what=v, unique=False) for v in variables}, index=census.frame.index)
    for name in formula.predictors:
        rows[name] = census.numbers(name)
    rows["count"] = census.numbers(spec.count, lower=0, what="the number of people, 0 or more")
    for name in [*formula.predictors, spec.count]:
        lines = census.frame.index[census.is_missing(name)]
        for line in lines[:20]:
            cell = ", ".join(f"{v} {rows.at[line, v]}" for v in variables)
            census.problem(
                f"no value for the cell {cell}", "every cell of the census needs one", line=line, column=name
            )
        if len(lines) > 20:
            census.problem(f"the same in {len(lines) - 20} more rows", column=name)
    if not census.problems and rows["count"].sum() <= 0:
        census.problem(
            "the counts add up to 0", "name the column with the number of people", column=spec.count
        )
    return rows


def _respondents(
    spec: MrpAnalysis, formula: Formula, survey: Table, variables: list[str], census: pd.DataFrame
) -> tuple[pd.DataFrame, list[tuple[int, str]], dict[str, Any]]:
    """The usable rows of the survey, the others with the reason, and facts about the answers.

    A variable that only the estimates use may be absent. NA counts as missing unless it is a level of the
    census.
    """
    frame = survey.frame
    people = pd.DataFrame(index=frame.index)
    reason = pd.Series("", index=frame.index)

    def leave_out(rows: pd.Series, why: str) -> None:
        reason[rows & (reason == "")] = why

    outcome = spec.outcome.column
    leave_out(survey.is_missing(outcome), f"no answer in '{outcome}'")
    for variable in variables:
        if variable in frame.columns:
            people[variable] = frame[variable]
            missing = survey.is_missing(variable) & ~frame[variable].isin(set(census[variable]))
            leave_out(missing, f"no '{variable}'")
    for name in formula.predictors:
        people[name] = survey.numbers(name) if name in frame.columns else np.nan
    people["yes"] = _is_answer(frame[outcome], spec.outcome.positive).astype("int64")
    counted = (people["yes"] == 1) | _counts_as_no(survey, spec, frame[outcome][reason == ""])
    for line in frame.index[~counted & (reason == "")]:
        leave_out(frame.index == line, f"the answer '{frame.at[line, outcome]}' is neither yes nor no")
    people["weight"] = 1.0
    if spec.weight is not None:
        people["weight"] = survey.numbers(spec.weight, lower=0, what="the sampling weight, 0 or more")
        leave_out(survey.is_missing(spec.weight), f"no '{spec.weight}'")

    used = people[reason == ""]
    answers = frame.loc[used.index, outcome].value_counts()
    if len(answers) and not used["yes"].any():
        survey.problem(
            f"no row holds the positive answer '{spec.outcome.positive}'; the answers are "
            f"{_listed_answers(frame.loc[used.index, outcome])}",
            "write one of them as 'outcome: positive'",
            column=outcome,
        )
    if spec.weight is not None and len(used) and not used["weight"].sum() > 0:
        survey.problem("the weights add up to 0", "name the column with the weights", column=spec.weight)
    excluded = [(int(line), why) for line, why in reason[reason != ""].items()]
    return used, excluded, {"answers": {str(answer): int(count) for answer, count in answers.items()}}


def _is_answer(answers: pd.Series, answer: str | int | float) -> pd.Series:
    if isinstance(answer, str):
        return answers == answer
    return pd.to_numeric(answers, errors="coerce") == answer


def _counts_as_no(survey: Table, spec: MrpAnalysis, answers: pd.Series) -> pd.Series:
    """Which of the answers count as no; notes where that is not clear from the config."""
    chosen, outcome = spec.outcome, spec.outcome.column
    no = pd.Series(False, index=survey.frame.index)
    others = answers[~_is_answer(answers, chosen.positive)]
    if chosen.negative == "others":
        no[others.index] = True
        return no
    if chosen.negative is not None:
        for answer in chosen.negative:
            hit = _is_answer(others, answer)
            if not hit.any():
                listed = _listed_answers(others)
                survey.problem(
                    f"no row holds the negative answer '{answer}'; the other answers are {listed}",
                    "write the answers that count as no in 'outcome: negative'",
                    column=outcome,
                )
            no[hit.index[hit]] = True
        return no
    if others.nunique() > 1 and len(others) < len(answers):
        survey.problem(
            f"beside '{chosen.positive}' there are {others.nunique()} other answers: "
            f"{_listed_answers(others)}",
            "say which count as no, e.g. negative: [No] in 'outcome' (the rest is left out and listed), or "
            "negative: others; mend different spellings of one answer in the file",
            column=outcome,
        )
    no[others.index] = True
    return no


def _listed_answers(answers: pd.Series) -> str:
    counts = answers.value_counts()
    shown = ", ".join(f"'{answer}' ({count})" for answer, count in counts.head(10).items())
    return shown + (" ..." if len(counts) > 10 else "")


def _check_levels(
    survey: Table, people: pd.DataFrame, census: pd.DataFrame, variables: list[str], census_file: str
) -> None:
    """Note each level of the survey that the census lacks."""
    for variable in variables:
        known = list(dict.fromkeys(census[variable]))
        counts = people[variable].value_counts(sort=False)
        for level, count in counts[~counts.index.isin(known)].items():
            rows = "1 row" if count == 1 else f"{count} rows"
            survey.problem(
                f"'{level}' ({rows}) is not a '{variable}' of the census, {census_file}",
                f"{nearest(str(level), known)} Spell it alike in both files, or recode the survey to the "
                "census's levels",
                column=variable,
            )


def _settle_predictors(
    spec: MrpAnalysis, formula: Formula, survey: Table, people: pd.DataFrame, census: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Give area-level predictors the census's values; say for each what fixes its value.

    A predictor that the census holds constant within a variable (or within all variables of the formula
    together) is taken from there, and the survey's own values, where it has any, must agree with it. Any
    other predictor is the respondent's own and comes from the survey.
    """
    sources: dict[str, dict[str, Any]] = {}
    shared = list(formula.variables)
    for name in formula.predictors:
        keys: Sequence[str] = ()
        for candidate in [*([v] for v in shared), shared]:
            spread = census.groupby(candidate)[name].agg(["min", "max"])
            if np.allclose(spread["min"], spread["max"], rtol=1e-9, atol=0):
                keys = candidate
                break
        in_survey = name in survey.frame.columns
        sources[name] = {"constant_within": list(keys), "in_survey": in_survey}
        if not keys:
            if not in_survey:
                survey.problem(
                    f"there is no column '{name}' (asked for by 'formula'), and the census does not fix its "
                    f"value by {' and '.join(shared)}",
                    nearest(name, survey.frame.columns),
                )
            continue
        value = census.groupby(keys)[name].first()
        place = pd.MultiIndex.from_frame(people[keys]) if len(keys) > 1 else pd.Index(people[keys[0]])
        known = pd.Series(value.reindex(place).to_numpy(), index=people.index)
        given = people[name]
        differ = given.notna() & known.notna() & ~np.isclose(given, known, rtol=1e-6, atol=1e-9)
        where = " and ".join(f"'{key}'" for key in keys)
        for line in people.index[differ][:10]:
            survey.problem(
                f"{given[line]:g} is not the census's value {known[line]:g} for "
                f"{', '.join(people.at[line, key] for key in keys)}",
                f"in the census {where} fixes '{name}': mend the file that is wrong, or take the column out "
                "of the survey (the census's values are then used)",
                line=line,
                column=name,
            )
        if differ.sum() > 10:
            survey.problem(f"the same in {differ.sum() - 10} more rows", column=name)
        people[name] = known.where(known.notna(), given)
    return sources


def _index_levels(k: int, term: tuple[str, ...], survey: pd.DataFrame, census: pd.DataFrame) -> pd.DataFrame:
    """Number the levels of batch k, the survey's first, and write the codes into both tables."""
    keys = list(term)
    both = pd.concat([survey[keys], census[keys]], ignore_index=True)
    both["survey_n"] = np.concatenate([survey["n"], np.zeros(len(census))])
    both["census_n"] = np.concatenate([np.zeros(len(survey)), census["count"]])
    levels = both.groupby(keys, as_index=False)[["survey_n", "census_n"]].sum()
    levels["seen"] = levels["survey_n"] > 0
    levels = levels.sort_values(["seen", *keys], ascending=[False] + [True] * len(keys), ignore_index=True)
    levels["code"] = np.arange(len(levels))
    codes = both[keys].merge(levels, on=keys, how="left", validate="many_to_one")["code"].to_numpy()
    survey[f"level_{k}"], census[f"level_{k}"] = codes[: len(survey)], codes[len(survey) :]
    name = levels[keys].agg(":".join, axis=1) if len(keys) > 1 else levels[keys[0]]
    return pd.DataFrame(
        {
            "term": term_name(term),
            "level": name,
            "code": levels["code"],
            "seen": levels["seen"],
            "survey_n": levels["survey_n"].astype("int64"),
            "census_n": levels["census_n"],
        }
    )


def _outside(formula: Formula, survey: pd.DataFrame, census: pd.DataFrame) -> int:
    """Respondents whose combination of levels the census does not list."""
    keys = list(formula.variables)
    known = census[keys].drop_duplicates()
    merged = survey[[*keys, "n"]].merge(known, on=keys, how="left", indicator=True)
    return int(merged.loc[merged["_merge"] == "left_only", "n"].sum())


def _scale(census: Table, cells: pd.DataFrame, name: str) -> dict[str, float]:
    """Mean and standard deviation of a predictor over the people of the census."""
    mean = float(np.average(cells[name], weights=cells["count"]))
    sd = float(np.sqrt(np.average((cells[name] - mean) ** 2, weights=cells["count"])))
    if not sd > 1e-12 * max(abs(mean), 1e-300):
        census.problem(
            "the predictor has the same value for everyone", "take it out of the formula", column=name
        )
    return {"mean": mean, "sd": sd}


def _truth(
    spec: MrpAnalysis, formula: Formula, grouping_variables: list[str], cells: pd.DataFrame
) -> pd.DataFrame:
    """The known shares: `table` (of estimates), grouping variables ("" where not used), `value`.

    A row belongs to the grouping whose variables are filled in. Other variables of the census count too, so
    that a row about a group that is not estimated is passed over and not taken for another.
    """
    truth = read_table(spec.truth.data)
    truth.has(spec.truth.value, key="truth: value")
    for variable in grouping_variables:
        truth.has(variable, key="estimates")
    _raise(truth)
    value = truth.numbers(spec.truth.value, lower=0, upper=1, what="a share between 0 and 1")
    keys = [v for v in dict.fromkeys([*grouping_variables, *formula.variables]) if v in truth.frame.columns]
    filled = truth.frame[keys] != ""
    parts = []
    for grouping in spec.groupings():
        rows = (filled == [key in grouping for key in keys]).all(axis=1) & value.notna()
        part = truth.frame.loc[rows, list(grouping)]
        repeated = part.duplicated() if grouping else pd.Series(np.arange(len(part)) > 0, index=part.index)
        for line in part.index[repeated]:
            group = ", ".join(part.loc[line]) or "the total"
            truth.problem(f"a second row about {group}", "give each group one row", line=line)
        for variable in grouping:
            known = sorted(set(cells[variable]))
            for line in part.index[~part[variable].isin(known)]:
                level = part.at[line, variable]
                truth.problem(
                    f"'{level}' is not in the census",
                    f"{nearest(level, known)} Spell it as in the census, or take the row out",
                    line=line,
                    column=variable,
                )
        part = part.reindex(columns=grouping_variables, fill_value="")
        parts.append(part.assign(table=spec.table_name(grouping), value=value[rows]))
    truth.finish()
    return pd.concat(parts, ignore_index=True)[["table", *grouping_variables, "value"]]


def _geometry(spec: MrpAnalysis, cells: pd.DataFrame, facts: dict[str, Any]) -> Any:
    """The polygons, what was repaired noted in the facts; every mapped level of the census must have one."""
    from poolmap.graph.geometry import read_geometry

    column = spec.map.column or spec.map.variable
    geometry = read_geometry(spec.map.geometry, column)
    areas = list(geometry.frame["area"])
    absent = [level for level in sorted(set(cells[spec.map.variable])) if level not in set(areas)]
    if absent:
        raise InputError(
            Problem(
                f"{spec.map.geometry}, column '{column}'",
                f"there is no polygon for {spec.map.variable} '{level}' of the census",
                f"{nearest(level, areas)} Spell it alike in both files, or add the polygon",
            )
            for level in absent
        )
    facts["geometry_findings"] = [asdict(finding) for finding in geometry.findings]
    return geometry.frame
