"""Whether survey and census have the same levels: spelling, leading zeros, numbers beside bands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.config.mrp_survey import Bands
from poolmap.families.mrp import words
from poolmap.families.mrp.order import (
    MISSING_LEVEL,
    alike,
    close_level,
    folded,
    initials,
    listed,
    ordered,
    rule,
)
from poolmap.families.mrp.recode import band_labels
from poolmap.spelling import article, nearest_then, numbers_in
from poolmap.tables import Table

_SHOWN = 20
SEVERAL = 3  # levels spelt otherwise: more are told in one sentence
UNKNOWN = frozenset(
    {"unknown", "missing", "none", "notknown", "notstated", "notavailable", "refused", "dontknow", "noanswer"}
)
_CODE = re.compile(r"-\d+|9{2,}|n/?a|dk", re.IGNORECASE)
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATE = re.compile(rf"\d{{1,2}}[-. ]{_MONTH}[a-z]*|{_MONTH}[a-z]*[-. ]\d{{1,2}}", re.IGNORECASE)
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
        whole = _of_the_whole(variable, unknown.index, known, census)
        if variable in spec.bands and unknown.index.isin(band_labels(spec.bands[variable])).any():
            whole = _other_bands(variable, band_labels(spec.bands[variable]), known, census)
        if whole:
            survey.problem(*whole, column=variable)
            continue
        near = {level: other[0] for level in unknown.index if (other := alike(level, known))}
        if len(near) > SEVERAL:
            survey.problem(*_spelt_otherwise(variable, near, census), column=variable)
            unknown = unknown.drop(list(near))
        _tell_each(variable, survey, unknown, known, census)


def _other_bands(variable: str, own: Sequence[str], known: Sequence[str], census: str) -> tuple[str, str]:
    """What is said of bands of the config that are not those of the census, and what to do."""
    what = (
        f"`bands` cuts '{variable}' into {listed(own, 5)}, and the census, {census}, has {listed(known, 5)}"
    )
    return what, f"cut the numbers as the census is cut: {_cutting(variable, known)}"


def _of_the_whole(
    variable: str, unknown: Sequence[str], known: Sequence[str], census: str
) -> tuple[str, str] | None:
    """What is said, and what to do, where the two sides hold different kinds of levels; else None."""
    if _is_number_beside_bands(unknown, known):
        return _uncut(variable, unknown, known, census)
    coded = [sum(map(_is_number, side)) for side in (unknown, known)]
    if len(unknown) > 1 and len(known) > 1:
        if coded[0] == len(unknown) and not coded[1]:
            return _coded(variable, "the survey", unknown, f"the census, {census},", known)
        if coded[1] == len(known) and not coded[0]:
            return _coded(variable, f"the census, {census},", known, "the survey", unknown)
    return None


def _coded(
    variable: str, one: str, codes: Sequence[str], other: str, names: Sequence[str]
) -> tuple[str, str]:
    """What is said where one side has codes and the other names, and what to do."""
    what = f"{one} has codes ({listed(ordered(codes), 5)}), and {other} has names ({listed(names, 5)})"
    first, second = (written(code) for code in ordered(codes)[:2])
    remedy = (
        "write the names in both files (Stata and SPSS: give the values their labels), or say which name "
        f"belongs to each code: `recode: {{{variable}: {{{first}: ..., {second}: ...}}}}`"
    )
    return what, remedy


def _spelt_otherwise(variable: str, near: Mapping[str, str], census: str) -> tuple[str, str]:
    """What is said of several levels that are spelt otherwise in the census, and what to do."""
    pairs = [f"'{level}' is '{other}' there" for level, other in near.items()]
    what = (
        f"{len(near):,} levels are written otherwise than in the census, {census}, by capitals, blanks, "
        f"accents, punctuation or decimals: {words.listed(pairs, SEVERAL)}"
    )
    level, other = next(iter(near.items()))
    remedy = f"spell them alike in both files, or recode each: `recode: {{{variable}: {{{written(level)}: "
    return what, f"{remedy}{written(other)}, ...}}}}`"


def _tell_each(variable: str, survey: Table, unknown: pd.Series, known: Sequence[str], census: str) -> None:
    a, begun = article(variable).partition(" ")[0], initials(unknown.index, known)
    for level, count in unknown.head(_SHOWN).items():
        rows = "1 row" if count == 1 else f"{count:,} rows"
        near = close_level(level, known) or begun.get(level)
        if alike(level, known):
            said = f"did you mean '{near}'? It differs only in how it is written."
        elif near is not None:
            said = f"did you mean '{near}'?"
        else:
            said = nearest_then(level, known, "")
        if _DATE.fullmatch(level):
            said = f"a spreadsheet may have taken a band for a date. {said[:1].upper()}{said[1:]}"
        if folded(level) in UNKNOWN or _CODE.fullmatch(level):
            said = f"if it stands for a missing value, recode it to NA. {said[:1].upper()}{said[1:]}"
            near = near or "NA"
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
    banded = [sum(map(is_band, side)) for side in (levels, known)]
    return (own > 2 and own > banded[0] and 2 * banded[1] > len(known)) or (
        other > 2 and other > banded[1] and 2 * banded[0] > len(levels)
    )


def _uncut(variable: str, unknown: Sequence[str], known: Sequence[str], census: str) -> tuple[str, str]:
    """What is said of numbers where the other side has bands, and what to do."""
    in_survey = sum(map(_is_number, unknown)) > sum(map(is_band, unknown))
    sides = (unknown, known) if in_survey else (known, unknown)
    numbers = ordered([level for level in sides[0] if _is_number(level)])
    bands = sorted((level for level in sides[1] if is_band(level)), key=_lower_bound)
    whose = [f"the census, {census},", "the survey"]
    what = (
        f"{whose[in_survey]} has numbers ({listed(numbers, 3)}), and {whose[not in_survey]} has bands "
        f"({listed(bands, 5)})"
    )
    return what, f"have the numbers cut into these bands: {_cutting(variable, bands)}"


def _cutting(variable: str, known: Sequence[str]) -> str:
    """The key that cuts numbers into bands with these names."""
    bands = sorted((level for level in known if is_band(level)), key=_lower_bound)
    lower = [_lower_bound(band) for band in bands]
    if not bands or lower != sorted(set(lower)):
        return f"`bands: {{{variable}: {{lower: [...]}}}}`"
    named = "" if band_labels(Bands(lower=lower)) == bands else f", labels: {json.dumps(bands)}"
    bounds = ", ".join(f"{bound:g}" for bound in lower)
    return f"`bands: {{{variable}: {{lower: [{bounds}]{named}}}}}`"


def _is_number(level: str) -> bool:
    return bool(_NUMBER.fullmatch(level))


def _lower_bound(band: str) -> float:
    return 0.0 if _BELOW.match(band) else numbers_in(band)[0]


def is_band(level: str) -> bool:
    """Whether a level is a range of numbers, or open on a side."""
    return bool(_BAND.fullmatch(level)) and not _is_number(level)


def written(level: str) -> str:
    """A level as YAML has it: in quotes where it would not be read as text."""
    return level if re.fullmatch(r"[^\W\d][\w .+-]*", level) else json.dumps(level, ensure_ascii=False)
