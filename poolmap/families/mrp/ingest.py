"""From raw survey and census to checked cells, with every level indexed by the census."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.categories import present
from poolmap.families.mrp.cells import survey_cells
from poolmap.families.mrp.census import aggregated, cell_rows, columns_of, person_rows, repeated
from poolmap.families.mrp.doubts import doubts, odd_levels, remarks
from poolmap.families.mrp.extend import extend
from poolmap.families.mrp.gaps import empty_groups, outside
from poolmap.families.mrp.inputs import Inputs, read_inputs
from poolmap.families.mrp.levels import check_people, check_varies, index_levels, level_report
from poolmap.families.mrp.margins import margin_cells
from poolmap.families.mrp.needs import Needs, needs_of
from poolmap.families.mrp.order import MISSING_LEVEL, order_of, unordered
from poolmap.families.mrp.polygons import read_polygons
from poolmap.families.mrp.pooled import SURVEY, SurveyTable, pool
from poolmap.families.mrp.predictors import (
    join_area_predictors,
    number_and_factor,
    predictor_kinds,
    scale,
    settle,
)
from poolmap.families.mrp.recode import LeftOut
from poolmap.families.mrp.respondents import respondents
from poolmap.families.mrp.same_levels import check_levels
from poolmap.families.mrp.truth import read_truth
from poolmap.tables import MISSING, Table, exclusions, nearest


def ingest(spec: MrpAnalysis) -> Dataset:
    """The checked survey and census of one analysis, for all its models together.

    Tables of the result (V: the variables of the formulas and of the estimates; X: the predictors, numbers or
    text):

    * `survey`: the respondents used: `file` (name of the survey) and `line`, V (those the survey has), X, `y`
      (binary 0/1, the number, or the code of the answer from 0), `weight`, and where given `exposure`,
      `stratum`, `cluster_<i>`, `population_size_<i>`, `inclusion_<i>`;
    * `cells`: the survey's distinct cells: variables of the formulas, X, `level_<k>`, and by the outcome's
      kind the columns of `cells.survey_cells`; of counts also the table `rows`;
    * `census`: the cells of the population: V without house variables, X, `count`, `level_<k>` (-1 for
      batches with a house variable); once for each time where the census lacks the time;
    * `levels`: every level of every batch: `term`, `level`, `code` (its number in the batch), `seen` (in the
      survey; these come first), `survey_n`, `census_n`;
    * `variables`: every level of every variable in survey and census (see `levels.level_report`);
    * `unused`, where there is a design: `file` and its columns of the rows of the survey that are left out;
    * `truth`, where known (see `truth.read_truth`).

    `level_<k>` is the code of the cell's level in batch k of `facts["terms"]`.

    Facts: `kind`, `answers` (in order; ordered, categorical), `answer_counts`, `terms`, `predictors`,
    `order` (levels of each variable), `outcome_scale` (continuous: mean, sd), `house`, `time`, `times` (how
    often the census is repeated), numbers of respondents, cells and people, `raking`, `extensions`, `notes`,
    `doubts` (sentences on what is most likely a slip).

    Raises:
        InputError: a missing column, a level of the survey that the census does not know, counts, weights or
            predictors that are not numbers in their range, margins that disagree, an area without a polygon;
            all that can be found at once.
    """
    needs = needs_of(spec)
    inputs = read_inputs(spec, needs)
    survey = pool(inputs.surveys, _survey_columns(spec, needs, inputs.margins))
    facts: dict[str, Any] = {}
    census = _census_table(spec, inputs, survey, facts)
    joined = _join(spec, needs, inputs, survey, census)
    kinds = predictor_kinds(needs, census.frame, survey.frame)
    both = number_and_factor(needs, census.frame, survey.frame)
    _raise(_clashes(spec, needs, kinds, both))

    lacking = [
        v for v in needs.of_census if v in needs.extended or (v == spec.time and v not in census.frame)
    ]
    names = [v for v in needs.of_census if v not in lacking]
    held = {name: kind for name, kind in kinds.items() if name not in (*needs.extended, *lacking)}
    rows = _population(spec, names, held, census, inputs.left_out)
    levels = {v: frozenset(present(rows[v])) for v in names}
    asked = respondents(spec, needs, kinds, survey, levels)
    _raise([*survey.problems, *census.problems])

    people = asked.people
    people.insert(0, "line", survey.origin.loc[people.index, "line"])
    people.insert(0, "file", survey.origin.loc[people.index, "file"])
    x = list(held)
    factors = [name for name in needs.predictors if kinds[name] == "factor"]
    both = [v for v in dict.fromkeys([*names, *(f for f in factors if f in rows)]) if v in people]
    known = {v: present(rows[v]) for v in both}
    check_levels(spec, survey, people, known, census.path)
    check_varies(survey, people, dict.fromkeys([*needs.factors, *factors]), known)
    check_people(spec, census, people, rows, both)
    _raise([*survey.problems, *census.problems])

    cells = aggregated(rows, list(dict.fromkeys([*names, *x])))
    facts |= {"census_rows": len(rows), "census_cells": len(cells), "population": float(cells["count"].sum())}
    facts["extensions"] = []
    for at, table in enumerate(inputs.extensions):
        cells, about = extend(spec, at, table, people, cells)
        facts["extensions"].append(about)
    facts["times"] = 1
    if spec.time in lacking:
        times = [t for t in present(people[spec.time]) if t != MISSING_LEVEL]
        cells, facts["times"] = repeated(cells, spec.time, times), len(times)

    numeric = [name for name in needs.predictors if kinds[name] == "numeric"]
    sources = settle(needs, numeric, survey, joined, people, cells)
    _raise(survey.problems)
    gaps = people[numeric].isna()
    for name in numeric:
        asked.excluded += [(int(row), f"no value of '{name}'") for row in people.index[gaps[name]]]
    people = people[~gaps.any(axis=1)].copy()
    if people.empty:
        survey.problem("no row can be used", "every row lacks the outcome, a variable or a predictor")
        _raise(survey.problems)

    order = _in_order(spec, [*needs.variables, *factors], people, cells)
    _raise(unordered(spec, order))
    predictors = {}
    for name in needs.predictors:
        if kinds[name] == "factor":
            predictors[name] = {"type": "factor", "levels": order[name]}
        else:
            table = _holder(spec, inputs, census, name)
            predictors[name] = {"type": "numeric", **_scale(table, cells, name), **sources[name]}
    _raise([problem for table in (census, *inputs.areas) for problem in table.problems])

    keys = list(dict.fromkeys([*needs.factors, *needs.predictors]))
    tables = survey_cells(spec.outcome.kind, people, keys, asked.answers)
    repeated_for = {spec.time: facts["times"]} if facts["times"] > 1 else {}
    tables["levels"] = index_levels(needs.terms, needs.house, tables["cells"], cells, repeated_for)
    odd = odd_levels(_unchecked(needs, survey, people, known), spec.time)
    tables["variables"] = level_report(needs, order, people, cells, repeated_for, remarks(odd))
    facts["doubts"] = doubts(spec, inputs, survey, people, cells, order, numeric, odd)
    facts |= _facts(spec, needs, inputs, survey, asked.answers, people, len(asked.excluded))
    facts |= {
        "order": order,
        "predictors": predictors,
        "survey_cells": len(tables["cells"]),
        **outside(needs, tables["cells"], cells, repeated_for),
        "groups_without_people": empty_groups(spec, cells),
    }
    in_census = {v: present(cells[v]) for v in needs.of_census}
    _raise(_unknown_levels(spec, {v: present(cells.loc[cells["count"] > 0, v]) for v in needs.of_census}))
    if inputs.truth is not None:
        known |= {name: order[name] for name in factors} | in_census
        tables["truth"] = read_truth(spec, needs, inputs.truth, known, asked.answers)
    unused = asked.sampled.drop(index=people.index)
    if len(unused) and len(unused.columns):
        tables["unused"] = unused.assign(file=survey.origin["file"]).reset_index(drop=True)
    tables |= {"survey": people.reset_index(drop=True), "census": cells}
    tables = {name: _texts(table) for name, table in tables.items()}
    data = Dataset(tables, _exclusions(survey, asked.excluded, inputs.left_out), facts)
    if spec.map is not None:
        areas = cells[spec.map.variable]
        data.geometry = read_polygons(spec, present(areas), facts)
    return data


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise InputError(problems)


def _survey_columns(spec: MrpAnalysis, needs: Needs, margins: Sequence[Table]) -> list[str]:
    design = spec.design
    own = [spec.outcome.column, spec.outcome.exposure, spec.weight, design.strata]
    own += [
        *design.clusters,
        *design.population_sizes,
        *design.inclusion,
        *needs.variables,
        *needs.predictors,
        *needs.extended,
    ]
    own += [source.area for source in spec.area_predictors]
    own += [column for table in margins for column in table.frame.columns]
    return [column for column in dict.fromkeys(own) if column is not None]


def _census_table(spec: MrpAnalysis, inputs: Inputs, survey: SurveyTable, facts: dict[str, Any]) -> Table:
    """The census as a table of text; from margins, the raked cells with the column of counts as numbers."""
    if inputs.census is not None:
        return inputs.census
    seed: Table | pd.DataFrame | None = inputs.seed
    if spec.seed_table == "survey":
        seed = _seed_of_survey(spec, inputs, survey)
    cells, facts["raking"] = margin_cells(spec, inputs.margins, seed)
    path = "raked from " + ", ".join(margin.data for margin in spec.margins)
    return Table(path, cells.set_axis(pd.RangeIndex(1, len(cells) + 1, name="line"), axis=0), unit="cell")


def _seed_of_survey(spec: MrpAnalysis, inputs: Inputs, survey: SurveyTable) -> pd.DataFrame:
    """The survey's rows that have all variables of the margins, with their `weight`."""
    names = dict.fromkeys(
        column
        for margin, table in zip(spec.margins, inputs.margins, strict=True)
        for column in table.frame.columns
        if column != margin.count
    )
    there = [name for name in names if name in survey.frame]
    rows = survey.frame[there].assign(weight=1.0)
    if spec.weight is not None:
        rows["weight"] = Table(survey.path, survey.frame).numbers(spec.weight).clip(lower=0).fillna(0.0)
    whole = ~np.any([survey.frame[name].isin(MISSING).to_numpy() for name in there], axis=0)
    return rows[whole]


def _join(spec: MrpAnalysis, needs: Needs, inputs: Inputs, survey: SurveyTable, census: Table) -> set[str]:
    """The columns that the survey got from tables of areas; the census gets them all."""
    where, forced = census.path, needs.forced
    joined = join_area_predictors(spec, inputs.areas, survey, census.frame, where, forced)
    _raise([problem for table in inputs.areas for problem in table.problems])
    return joined


def _clashes(spec: MrpAnalysis, needs: Needs, kinds: Mapping[str, str], both: Sequence[str]) -> list[Problem]:
    """Names that are asked for as a number and as a factor at once; both: with and without `C()`."""
    found = []
    for name in both:
        what = f"'{name}' is a number in one place, and a factor, C({name}), in another"
        remedy = f"write C({name}) everywhere, or give the factor a column of its own"
        found.append(Problem("config: formula", what, remedy))
    for name in spec.missing if isinstance(spec.missing, dict) else ():
        if kinds.get(name) == "numeric" and spec.missing[name] == "level":
            what = f"'{name}' is a number in the formula, and numbers have no levels"
            found.append(Problem("config: missing", what, f"leave it away, or write C({name})"))
    for name in needs.predictors:
        if name in needs.extended and kinds[name] == "numeric":
            what = f"'{name}' is put into the census by levels, and the formula takes it for a number"
            found.append(Problem("config: formula", what, f"write C({name})"))
        elif name in needs.variables and kinds[name] == "numeric":
            what = f"'{name}' is a number in the formula and a factor in a batch or in the estimates"
            remedy = f"write C({name}), or give the number, or the factor (by `bands`), a name of its own"
            found.append(Problem("config: formula", what, remedy))
    return found


def _unknown_levels(spec: MrpAnalysis, levels: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Levels that the config compares and of which the census has no people."""
    return [
        Problem(
            f"config: contrasts.{i}.levels",
            f"the census has no {contrast.variable} '{level}'",
            nearest(level, levels[contrast.variable]),
        )
        for i, contrast in enumerate(spec.contrasts)
        for level in contrast.levels
        if level not in levels[contrast.variable]
    ]


def _population(
    spec: MrpAnalysis,
    names: Sequence[str],
    kinds: Mapping[str, str],
    census: Table,
    left_out: list[LeftOut],
) -> pd.DataFrame:
    """The rows of the population: variables and predictors that the census holds, and `count`."""
    if spec.margins:
        rows = columns_of(names, kinds, census)
        rows["count"] = census.frame["count"]
        return rows
    if spec.microdata:
        return person_rows(spec, names, kinds, census, left_out)
    return cell_rows(names, kinds, census, spec.count or "")


def _in_order(
    spec: MrpAnalysis, names: Sequence[str], people: pd.DataFrame, cells: pd.DataFrame
) -> dict[str, list[str]]:
    """The levels of each variable in order; gives the variable this order in both tables."""
    problems: list[Problem] = []
    order = {}
    for name in dict.fromkeys(names):
        frames = [frame for frame in (cells, people) if name in frame]
        there = [level for f in frames for level in present(f[name])]
        order[name] = order_of(spec, name, there, problems)
        for frame in frames:
            frame[name] = frame[name].cat.set_categories(order[name])
    _raise(problems)
    return order


def _holder(spec: MrpAnalysis, inputs: Inputs, census: Table, name: str) -> Table:
    """The table that a predictor of the census comes from."""
    sources = zip(spec.area_predictors, inputs.areas, strict=True)
    return next((table for source, table in sources if name in source.columns), census)


def _scale(table: Table, cells: pd.DataFrame, name: str) -> dict[str, float]:
    mean, sd = scale(cells, name)
    if not sd > 1e-12 * max(abs(mean), 1e-300):
        what = "the predictor has the same value for everyone"
        table.problem(what, "take it out of the formula", column=name)
    return {"mean": mean, "sd": sd}


def _facts(
    spec: MrpAnalysis,
    needs: Needs,
    inputs: Inputs,
    survey: SurveyTable,
    answers: Sequence[str],
    people: pd.DataFrame,
    excluded: int,
) -> dict[str, Any]:
    from_survey = {id(table) for table in inputs.surveys.values()}
    facts: dict[str, Any] = {
        "kind": spec.outcome.kind,
        "answers": list(answers),
        "terms": [list(term) for term in needs.terms],
        "house": list(needs.house),
        "time": spec.time,
        "respondents": len(people),
        "rows_excluded": excluded + sum(id(table) in from_survey for table, _, _ in inputs.left_out),
        "census_rows_excluded": sum(id(table) not in from_survey for table, _, _ in inputs.left_out),
        "surveys": survey.origin.loc[people.index, "file"].value_counts(sort=False).to_dict(),
        "notes": [*survey.notes, *(f"{t.path}: {note}" for t in inputs.population for note in t.notes)],
    }
    if spec.outcome.kind == "continuous":
        facts["outcome_scale"] = {"mean": float(people["y"].mean()), "sd": float(people["y"].std())}
    if spec.outcome.kind in ("binary", "ordered", "categorical"):
        counts = survey.frame.loc[people.index, spec.outcome.column].astype(object).value_counts()
        facts["answer_counts"] = {str(answer): int(count) for answer, count in counts.items()}
    return facts


def _unchecked(
    needs: Needs, survey: SurveyTable, people: pd.DataFrame, known: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The variables of the respondents whose levels no census checks, the survey among them."""
    frame = people[[name for name in needs.variables if name in people and name not in known]]
    if survey.origin["file"].nunique() > 1 and SURVEY not in frame:
        frame = frame.assign(**{SURVEY: survey.origin.loc[people.index, "file"]})
    return frame


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text again."""
    coded = [c for c in table.columns if isinstance(table[c].dtype, pd.CategoricalDtype)]
    return table.astype({column: "str" for column in coded})


def _exclusions(
    survey: SurveyTable, excluded: Sequence[tuple[int, str]], left_out: Sequence[LeftOut]
) -> pd.DataFrame:
    rows = [(*survey.place(row), "", reason) for row, reason in sorted(excluded)]
    rows += [(table.path, line, "", reason) for table, line, reason in left_out]
    return exclusions(sorted(rows, key=lambda row: row[:2]))
