"""The levels of the variables: whether their people are believable, their numbering, the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.doubts import noted
from poolmap.families.mrp.formula import term_name
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import folded, listed, spelling
from poolmap.tables import Table


def check_people(
    spec: MrpAnalysis, census: Table, people: pd.DataFrame, rows: pd.DataFrame, variables: Iterable[str]
) -> None:
    """Note what makes the number of people in the census unbelievable.

    That is: fewer people than respondents, and a level without respondents that holds as many people as all
    other levels together, whatever the other variables, as the rows of a total do.

    Args:
        people: the respondents used.
        rows: of the census: the variables that both sides have, and `count`.
        variables: the factors among them.
    """
    total = float(rows["count"].sum())
    if total < len(people) and not (spec.microdata and spec.count is None):
        census.problem(
            f"the census holds {total:,.4g} people, and the survey has {len(people):,} respondents",
            "write numbers of people: not shares, and not in thousands",
            column=spec.count,
        )
    names = list(variables)
    for variable in names:
        lived = rows.groupby(variable, observed=True)["count"].sum()
        unasked = lived.index.difference(people[variable].astype(object).unique())
        for level in unasked if len(lived) > 2 else ():
            if math.isclose(lived[level], total - lived[level], rel_tol=0.02) and _is_total(
                rows, variable, level, [name for name in names if name != variable]
            ):
                census.problem(
                    f"'{level}' has no respondents, and as many people ({lived[level]:,.0f}) as all other "
                    "levels together",
                    "take the rows of a total out of the census: with them everyone is counted twice",
                    column=variable,
                )


def _is_total(rows: pd.DataFrame, variable: str, level: str, others: list[str]) -> bool:
    """Whether a level holds the people of all other levels in each group of the other variables."""
    own = (rows[variable] == level).to_numpy()
    counts = pd.DataFrame({"own": rows["count"].where(own, 0), "rest": rows["count"].where(~own, 0)})
    if others:
        counts = counts.groupby([rows[name] for name in others], observed=True).sum()
    else:
        counts = counts.sum().to_frame().T
    return np.allclose(counts["own"], counts["rest"], rtol=1e-3, atol=1e-6 * rows["count"].sum())


def check_varies(survey: Table, people: pd.DataFrame, names: Iterable[str], levels: Mapping) -> None:
    """Note each factor of the formula with a single level among the respondents."""
    for name in names:
        seen = people[name].astype(object).unique() if name in people else []
        if len(seen) == 1:
            others = len(levels.get(name, [])) - 1
            more = f", of the {others + 1} of the census" if others > 0 else ""
            survey.problem(
                f"every row used has the same level, '{seen[0]}'{more}",
                "the survey says nothing of how the levels differ: take the variable out of the formula"
                + (
                    ", and the other levels out of the census, which the estimates are then not for"
                    if others > 0
                    else ""
                ),
                column=name,
            )


def index_levels(
    terms: Sequence[tuple[str, ...]],
    house: Sequence[str],
    survey: pd.DataFrame,
    census: pd.DataFrame,
    repeated: Mapping[str, int],
) -> pd.DataFrame:
    """Number the levels of each batch, the survey's first, and write the codes into both tables.

    Args:
        terms: the batches' factors.
        house: variables that the census lacks: batches with one of them have code -1 there.
        survey: distinct cells of the survey: variables (categories with the same levels as the census's, in
            their order) and `n`; gets `level_<k>`.
        census: cells of the population: variables and `count`; gets `level_<k>`.
        repeated: a variable for each level of which the census stands there once, and the number of levels.

    Returns:
        `term`, `level`, `code`, `seen`, `survey_n`, `census_n`: one row a level of each batch.
    """
    parts = []
    for k, term in enumerate(terms):
        lacking = any(variable in house for variable in term)
        sizes = [len(survey[variable].cat.categories) for variable in term]
        asked = _combined(survey, term)
        lived = np.zeros(0, dtype=np.int64) if lacking else _combined(census, term)
        keys, place = np.unique(np.concatenate([asked, lived]), return_inverse=True)
        survey_n = np.bincount(place[: len(asked)], survey["n"], len(keys)).astype("int64")
        weights = census["count"] if not lacking else None
        census_n = np.bincount(place[len(asked) :], weights, len(keys)) / _times(repeated, term)
        order = np.lexsort([keys, survey_n == 0])
        code = np.empty(len(keys), dtype=np.int64)
        code[order] = np.arange(len(keys))
        survey[f"level_{k}"] = code[place[: len(asked)]]
        census[f"level_{k}"] = -1 if lacking else code[place[len(asked) :]]
        levels = np.unravel_index(keys[order], sizes)
        names = [
            survey[variable].cat.categories.to_numpy()[codes]
            for variable, codes in zip(term, levels, strict=True)
        ]
        parts.append(
            pd.DataFrame(
                {
                    "term": term_name(term),
                    "level": [":".join(parts) for parts in zip(*names, strict=True)],
                    "code": np.arange(len(keys)),
                    "seen": survey_n[order] > 0,
                    "survey_n": survey_n[order],
                    "census_n": census_n[order],
                }
            )
        )
    if not parts:
        columns = {"term": "str", "level": "str", "code": "int64", "seen": "bool", "survey_n": "int64"}
        return pd.DataFrame(columns=[*columns, "census_n"]).astype({**columns, "census_n": "float64"})
    return pd.concat(parts, ignore_index=True)


def level_report(
    needs: Needs,
    order: Mapping[str, Sequence[str]],
    people: pd.DataFrame,
    census: pd.DataFrame,
    repeated: Mapping[str, int],
    odd: Mapping[tuple[str, str], str],
) -> pd.DataFrame:
    """Every level of every variable, beside each other in survey and census.

    Args:
        needs: of the analysis.
        order: of the levels of each variable.
        people, census: respondents and cells.
        repeated: as for `index_levels`.
        odd: what is odd of a level, by variable and level.

    Returns:
        `variable`, `level` (in order), `survey_n` and `survey_weight` (NaN: the survey lacks the variable),
        `census_n` (NaN: the census lacks it), `note` (what is remarkable).
    """
    parts = []
    for variable, levels in order.items():
        index = pd.Index(levels, dtype=object)
        part = pd.DataFrame({"variable": variable, "level": levels})
        part[["survey_n", "survey_weight", "census_n"]] = np.nan
        if variable in people:
            codes = index.get_indexer(people[variable].astype(object))
            part["survey_n"] = np.bincount(codes, minlength=len(levels)).astype(float)
            part["survey_weight"] = np.bincount(codes, people["weight"], len(levels))
        if variable in census:
            codes = index.get_indexer(census[variable].cat.categories)[census[variable].cat.codes]
            people_of = np.bincount(codes, census["count"], len(levels))
            part["census_n"] = people_of / _times(repeated, [variable])
        notes = _notes(variable, levels, part, variable in needs.extended)
        part["note"] = noted(notes, variable, levels, odd)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _times(repeated: Mapping[str, int], variables: Sequence[str]) -> int:
    """How often each person stands in a group of these variables."""
    return math.prod(count for name, count in repeated.items() if name not in variables)


def _notes(variable: str, levels: Sequence[str], part: pd.DataFrame, extended: bool) -> list[str]:
    like: dict[tuple, list[str]] = {}
    for level in levels:
        like.setdefault(spelling(level) if folded(level) else (level,), []).append(level)
    notes = []
    for level, asked, lived in zip(levels, part["survey_n"], part["census_n"], strict=True):
        said = []
        twins = [other for other in like[spelling(level) if folded(level) else (level,)] if other != level]
        if twins:
            said.append(f"spelt nearly as {listed(twins)}")
        if asked == 0:
            said.append("nobody in the survey")
        if asked > 0 and lived == 0:
            said.append("nobody in the census")
        if asked > lived > 0:
            said.append("more respondents than people")
        if extended:
            said.append("put into the census by extend")
        notes.append("; ".join(said))
    return notes


def _combined(frame: pd.DataFrame, term: Sequence[str]) -> np.ndarray:
    """One number for each combination of levels."""
    sizes = [len(frame[variable].cat.categories) for variable in term]
    codes = [frame[variable].cat.codes.to_numpy(dtype=np.int64) for variable in term]
    return np.ravel_multi_index(codes, sizes) if len(frame) else np.zeros(0, dtype=np.int64)
