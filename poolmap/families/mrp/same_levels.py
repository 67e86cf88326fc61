"""Whether survey and census have the same levels: spelling, leading zeros, numbers beside bands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.config.mrp_survey import Bands
from poolmap.families.mrp.order import MISSING_LEVEL, close_level, folded, listed, ordered, rule
from poolmap.families.mrp.recode import band_labels
from poolmap.spelling import article, nearest_then, numbers_in
from poolmap.tables import Table

_SHOWN = 20
_NUMBER = re.compile(r"\d+(\.\d+)?")
_BELOW = re.compile(r"(under|below|less than|[<≤]=?)\s*\d", re.IGNORECASE)
_BAND = re.compile(
    r"((under|over|below|above|less than|[<>≤≥]=?)\s*)?\d+(\.\d+)?\s*"
    r"([-–—]\s*\d+(\.\d+)?|to\s*<?\s*\d+(\.\d+)?|\+|(and|or) (over|older|above|more))?\s*(years?|yrs?)?",
    re.IGNORECASE,
)


def check_levels(
    spec: MrpAnalysis, survey: Table, people: pd.DataFrame, levels: Mapping[str, Sequence[str]], census: str
) -> None:
    """Note each level of the survey that the census lacks, with the nearest that it has.

    Args:
        people: the respondents used.
        levels: of each variable that both sides have, the census's levels.
        census: what the census is called.
    """
    for variable, known in levels.items():
        counts = people[variable].astype(object).value_counts(sort=False)
        unknown = counts[~counts.index.isin(list(known))]
        if rule(spec, variable) == "level":
            unknown = unknown.drop(MISSING_LEVEL, errors="ignore")
        short = {level.lstrip("0"): level for level in known if level.isdigit()}
        lost = [level for level in unknown.index if level.isdigit() and level.lstrip("0") in short]
        if lost:
            many = "1 level" if len(lost) == 1 else f"{len(lost):,} levels"
            survey.problem(
                f"{many} of the survey match the census, {census}, only without leading zeros: "
                f"'{lost[0]}' is '{short[lost[0].lstrip('0')]}' there",
                "leading zeros were lost in one of the files (a spreadsheet does that): write the codes as "
                "text, all of one length",
                column=variable,
            )
            unknown = unknown.drop(lost)
        if _is_number_beside_bands(unknown.index, known):
            survey.problem(*_uncut(variable, unknown, known, census), column=variable)
            continue
        for level, count in unknown.head(_SHOWN).items():
            rows = "1 row" if count == 1 else f"{count:,} rows"
            alike = [other for other in known if folded(other) == folded(level)]
            near = close_level(level, known)
            if alike:
                said = f"did you mean '{alike[0]}'? It differs only in capitals, blanks or accents."
            elif near is not None:
                said = f"did you mean '{near}'?"
            else:
                said = nearest_then(level, known, "")
            a = article(variable).partition(" ")[0]
            survey.problem(
                f"'{level}' ({rows}) is not {a} '{variable}' of the census, {census}",
                f"{said} Spell it alike in both files, or recode it: "
                f"`recode: {{{variable}: {{{written(level)}: {written(near or 'a level of the census')}}}}}`",
                column=variable,
            )
        if len(unknown) > _SHOWN:
            more = f"the same for {len(unknown) - _SHOWN:,} more levels"
            survey.problem(more, column=variable)


def _is_number_beside_bands(levels: Sequence[str], known: Sequence[str]) -> bool:
    """Whether one side has numbers where the other has bands ("47" beside "45-64")."""
    own, other = sum(map(_is_number, levels)), sum(map(_is_number, known))
    banded = [sum(map(_is_band, side)) for side in (levels, known)]
    return (own > 2 and own > banded[0] and 2 * banded[1] > len(known)) or (
        other > 2 and other > banded[1] and 2 * banded[0] > len(levels)
    )


def _uncut(variable: str, unknown: pd.Series, known: Sequence[str], census: str) -> tuple[str, str]:
    """What is said of numbers where the other side has bands, and what to do."""
    in_survey = sum(map(_is_number, unknown.index)) > sum(map(_is_band, unknown.index))
    sides = (list(unknown.index), list(known)) if in_survey else (list(known), list(unknown.index))
    numbers = ordered([level for level in sides[0] if _is_number(level)])
    bands = ordered([level for level in sides[1] if _is_band(level)])
    whose = [f"the census, {census},", "the survey"]
    what = (
        f"{whose[in_survey]} has numbers ({listed(numbers, 3)}), and {whose[not in_survey]} has bands "
        f"({listed(bands, 5)})"
    )
    lower = [0.0 if _BELOW.match(band) else numbers_in(band)[0] for band in bands]
    if lower != sorted(set(lower)):
        return what, f"cut the numbers into these bands by `bands: {{{variable}: {{lower: [...]}}}}`"
    named = "" if band_labels(Bands(lower=lower)) == bands else f", labels: {json.dumps(bands)}"
    bounds = ", ".join(f"{bound:g}" for bound in lower)
    return (
        what,
        f"have the numbers cut into these bands: `bands: {{{variable}: {{lower: [{bounds}]{named}}}}}`",
    )


def _is_number(level: str) -> bool:
    return bool(_NUMBER.fullmatch(level))


def _is_band(level: str) -> bool:
    """Whether a level is a range of numbers, or open on a side."""
    return bool(_BAND.fullmatch(level)) and not _is_number(level)


def written(level: str) -> str:
    """A level as YAML has it: in quotes where it would not be read as text."""
    return level if re.fullmatch(r"[^\W\d][\w .+-]*", level) else json.dumps(level, ensure_ascii=False)
