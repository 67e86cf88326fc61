"""What in the data is allowed and yet most likely a slip: codes for missing values, odd times, lost weights.

Every doubt is a sentence for the report and the run's messages; nothing is changed or left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.categories import present
from poolmap.families.mrp.census import like_weight
from poolmap.families.mrp.codes import code_doubt
from poolmap.families.mrp.inputs import Inputs
from poolmap.families.mrp.order import MISSING_LEVEL, alike, listed, ordered
from poolmap.families.mrp.pooled import SURVEY, SurveyTable
from poolmap.families.mrp.recode import band_labels
from poolmap.families.mrp.same_levels import written
from poolmap.families.mrp.words import counted
from poolmap.families.mrp.words import listed as words_of
from poolmap.tables import Table

FEW = 5  # respondents of a level that may be a slip
TIMES = 20  # as many as that has each level that is not as small
YEARS = (1850, 2100)
GAP = 10  # median gaps between times: farther away is far
MANY_TIMES = 20
MANY_WEIGHTS, HEAVY = 100, 0.2  # of so many respondents one has this share of all weights
LARGEST = 100  # times the second largest cell
_TIME = re.compile(r"(.*_)?(year|yr|wave|period|date|time|quarter|month|week)s?", re.IGNORECASE)


@dataclass(frozen=True)
class OddLevel:
    """A level that may be a slip.

    Attributes:
        variable, level: which.
        note: what is odd, in a few words, for the table of levels.
        said: the same as a sentence, with what to do.
    """

    variable: str
    level: str
    note: str
    said: str


def doubts(
    spec: MrpAnalysis,
    inputs: Inputs,
    survey: SurveyTable,
    people: pd.DataFrame,
    cells: pd.DataFrame,
    order: Mapping[str, Sequence[str]],
    predictors: Sequence[str],
    odd: Sequence[OddLevel],
) -> list[str]:
    """All that a reader should look at before trusting the results.

    Args:
        survey: as read.
        people: the respondents used.
        cells: of the population.
        order: the levels of each variable.
        predictors: the numeric ones.
        odd: levels that `odd_levels` found.
    """
    found = list(inputs.doubts)
    columns = {"y": spec.outcome.column} if spec.outcome.kind in ("continuous", "count") else {}
    columns |= {"exposure": spec.outcome.exposure, "weight": spec.weight}
    joined = {column for source in spec.area_predictors for column in source.columns}
    columns |= {name: name for name in predictors if name not in joined}
    for name, column in columns.items():
        if column in survey.frame and name in people:
            text = survey.frame.loc[people.index, column]
            found += code_doubt(survey.where(column=column), column, text, people[name])
    for table in inputs.areas + ([inputs.census] if inputs.census is not None else []):
        of_table = joined if table is not inputs.census else {*predictors} - {*joined, *survey.frame}
        for column in (name for name in table.frame if name in of_table and name in predictors):
            numbers = pd.to_numeric(table.frame[column].astype(object), errors="coerce")
            found += code_doubt(table.where(column=column), None, table.frame[column], numbers)
    if spec.weight is not None:
        found += _one_large_weight(survey.where(column=spec.weight), people["weight"])
    found += [level.said for level in odd]
    if spec.time in people:
        found += crowd_of_times(people, spec.time)
    found += _more_respondents(people, cells, [v for v in order if v in cells and v in people])
    if inputs.census is not None:
        used = {*order, *cells.columns, spec.count}
        if spec.microdata and spec.count is None:
            found += _lost_weight(inputs.census.path, [n for n in inputs.census.names if n not in used])
        found += _unused_time(spec, inputs.census, used)
        found += _one_large_cell(inputs.census.path, cells, [v for v in order if v in cells])
    return [*found, *_other_bands(spec, cells, order)]


def _more_respondents(people: pd.DataFrame, cells: pd.DataFrame, variables: Sequence[str]) -> list[str]:
    """A survey with more people than there are: the census is in thousands, or of other people."""
    found = []
    for variable in variables:
        asked = people[variable].astype(object).value_counts(sort=False)
        lived = cells.groupby(variable, observed=True)["count"].sum()
        lived.index = lived.index.astype(object)
        lived = lived.reindex(asked.index)
        over = asked.index[(asked > lived) & (lived > 0)]
        if len(over):
            each = [f"{level} ({asked[level]:,} respondents, {lived[level]:,.6g} people)" for level in over]
            found.append(
                f"the survey has more respondents than the census has people in '{variable}' "
                f"{words_of(each, 3)}. Are the census's numbers in thousands, or with separators?"
            )
    return found


def _unused_time(spec: MrpAnalysis, census: Table, used: Collection[str | None]) -> list[str]:
    """A census with a year that the analysis does not know of holds the same people several times."""
    found = []
    for name in census.frame.columns if not spec.microdata else ():
        levels = present(census.frame[name]) if _TIME.fullmatch(name) and name not in used else []
        if len(levels) > 1:
            found.append(
                f"{census.path} has a column '{name}' ({listed(ordered(levels), 3)}) that the analysis does "
                "not use: the people of all its levels are added up. If they are the same people at several "
                f"times, keep one of these, or write `time: {name}`."
            )
    return found


def _one_large_cell(path: str, cells: pd.DataFrame, variables: Sequence[str]) -> list[str]:
    """A cell beside which all others are nothing is a slip, or a row of a total."""
    counts = cells["count"].to_numpy()
    if len(counts) < 10 or (counts > 0).sum() < 2:
        return []
    first, second = np.sort(counts)[[-1, -2]]
    if first < LARGEST * second:
        return []
    row = cells.iloc[int(counts.argmax())]
    cell = ", ".join(f"{variable} {row[variable]}" for variable in variables)
    return [
        f"{path}: the cell {cell} has {first:,.0f} people, the next largest of the {len(counts):,} cells "
        f"{second:,.0f}. Is it a slip, or the row of a total?"
    ]


def _other_bands(spec: MrpAnalysis, cells: pd.DataFrame, order: Mapping[str, Sequence[str]]) -> list[str]:
    """Bands that the census had already and that are none of those into which numbers are cut."""
    found = []
    for name, bands in spec.bands.items():
        renamed = spec.recode.get(name, {})
        labels = [renamed.get(label, label) for label in band_labels(bands)]
        others = [level for level in order.get(name, ()) if level not in (*labels, MISSING_LEVEL)]
        if others and name in cells:
            lived = cells.loc[cells[name].isin(others), "count"].sum() / cells["count"].sum()
            found.append(
                f"numbers are cut into the bands {listed(labels)} of '{name}', and the census has "
                f"{listed(others)} besides ({100 * lived:.1f}% of the people), which no respondent whose "
                "number is cut can have: write bands that hold on both sides."
            )
    return found


def _one_large_weight(where: str, weights: pd.Series) -> list[str]:
    share = weights.max() / weights.sum()
    if len(weights) < MANY_WEIGHTS or share < HEAVY:
        return []
    return [
        f"{where}: one of {len(weights):,} respondents, with the weight {weights.max():,.6g} (the median is "
        f"{weights.median():,.6g}), stands for {100 * share:.0f}% of all. Is the weight a slip?"
    ]


def _lost_weight(path: str, names: Sequence[str]) -> list[str]:
    column = next((name for name in names if like_weight(name)), None)
    if column is None:
        return []
    return [
        f"{path} has a column '{column}', which looks like the weight of a person, and the analysis does not "
        f"use it: each row counts as one person. If it is the weight, write `count: {column}`."
    ]


def odd_levels(people: pd.DataFrame, time: str | None) -> list[OddLevel]:
    """Levels of variables that no census checks which hardly anybody has, or which are odd times.

    A level is odd that has 5 respondents or fewer where every level with more has 20 times as many. A time is
    odd, besides, that lies away from its neighbour by more than 10 times the median of the other gaps and has
    less than a fifth of the median of the others' respondents; or that is no year where the others are.

    Args:
        people: of the respondents used the variables that no census checks: time, surveys, house variables,
            ones that `extend` brings.
        time: the variable of time, if there is one.
    """
    found = []
    for variable in people:
        counts = people[variable].astype(object).value_counts(sort=False)
        counts = counts.drop(MISSING_LEVEL, errors="ignore")
        if len(counts) < 2:
            continue
        far = _far_times(counts) if variable == time else {}
        for level, count in counts.items():
            others = counts.drop(level)
            large = others[others > FEW]
            few = count <= FEW and len(large) > 0 and large.min() >= TIMES * count
            twins = [other for other in alike(str(level), others.index) if counts[other] >= count]
            reasons = ["hardly any respondents"] if few else []
            reasons += [far[level]] if level in far else []
            reasons += [f"spelt nearly as {listed(twins)}"] if twins and not few else []
            if reasons:
                found.append(_odd(variable, str(level), int(count), others, reasons, twins))
    return found


def crowd_of_times(people: pd.DataFrame, time: str) -> list[str]:
    """A sentence where the times are so many, with so few respondents, that they may be dates."""
    counts = people[time].astype(object).value_counts()
    if len(counts) <= MANY_TIMES or counts.median() >= FEW:
        return []
    return [
        f"The time '{time}' has {len(counts):,} levels, half of them with {counts.median():g} respondents or "
        f"fewer ({listed(ordered(counts.index), 3)}). Each is a time of its own: if these are dates, put a "
        "column with the month, quarter or year into the survey and name that as the time."
    ]


def remarks(odd: Sequence[OddLevel]) -> dict[tuple[str, str], str]:
    """The notes of odd levels, by variable and level."""
    return {(level.variable, level.level): level.note for level in odd}


def _far_times(counts: pd.Series) -> dict[str, str]:
    """Times that lie far from all others, and what is said of them."""
    numbers = _as_times(list(counts.index))
    if numbers is None or len(counts) < 3:
        return {}
    found = {}
    no_year = (numbers < YEARS[0]) | (numbers > YEARS[1])
    if 2 * no_year.sum() < len(numbers) and (numbers[~no_year] % 1 == 0).all():
        found = dict.fromkeys(counts.index[no_year], "not a year as the others are")
    order = np.argsort(numbers)
    gaps = np.diff(numbers[order])
    for place in range(len(gaps)):
        if gaps[place] <= GAP * np.median(np.delete(gaps, place)):
            continue
        sides = (counts.iloc[order[: place + 1]], counts.iloc[order[place + 1 :]])
        side = min(sides, key=lambda part: part.sum())
        if side.max() < 0.2 * counts.drop(side.index).median():
            rest = ordered(map(str, counts.index.difference(side.index)))
            found |= {level: f"far from the other times ({rest[0]} to {rest[-1]})" for level in side.index}
    return found


def _as_times(levels: Sequence[str]) -> np.ndarray | None:
    """Times as numbers: numbers as they are, dates (2021-03-15) as days; None where some are neither."""
    try:
        return np.array([float(level) for level in levels])
    except ValueError:
        pass
    try:
        return np.array([float(date.fromisoformat(level).toordinal()) for level in levels])
    except ValueError:
        return None


def _odd(
    variable: str, level: str, count: int, others: pd.Series, reasons: Sequence[str], twins: Sequence[str]
) -> OddLevel:
    meant = written(str(twins[0])) if twins else "..."
    low, high = int(others.min()), int(others.max())
    each = f"{low:,} to {high:,}" if low < high else f"{low:,}"
    first, end = (
        f"'{variable}' has the level '{level}' with",
        (
            "It counts as a level like the others; if it is a slip, mend the file or write "
            f"`recode: {{{variable}: {{{written(level)}: {meant}}}}}`."
        ),
    )
    if variable == SURVEY:
        first, end = f"the survey '{level}' has", "Is it the right file, and whole?"
    said = f"{first} {counted(count, 'respondent')} (the others: {each}): {' and '.join(reasons)}. {end}"
    return OddLevel(variable, level, "; ".join(reasons), said)


def noted(
    notes: Sequence[str], variable: str, levels: Sequence[str], more: Mapping[tuple[str, str], str]
) -> list[str]:
    """Notes of levels, with the remarks on odd ones that they do not hold yet."""
    found = []
    for level, note in zip(levels, notes, strict=True):
        said = [part for part in more.get((variable, level), "").split("; ") if part and part not in note]
        found.append("; ".join([*said, *([note] if note else [])]))
    return found
