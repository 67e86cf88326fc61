"""Variables that no table has, or only one side: what is probably meant, and what else can be done."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.order import listed
from poolmap.families.mrp.pooled import SURVEY
from poolmap.families.mrp.same_levels import is_band
from poolmap.spelling import close_to, nearest, nearest_then

_AGE = re.compile(r"(?<![a-z])(age(?!n)|years)", re.IGNORECASE)


def made(spec: MrpAnalysis) -> list[str]:
    """Variables that the config makes or joins, so that no file needs a column of that name."""
    joined = [column for source in spec.area_predictors for column in source.columns]
    return list(dict.fromkeys([*spec.bands, *joined, *(extension.variable for extension in spec.extend)]))


def absent_from_survey(spec: MrpAnalysis, name: str, columns: Sequence[str]) -> str:
    """What to do about a variable that the population has and a survey lacks.

    Args:
        columns: of the survey.
    """
    if close_to(name, columns) or not _is_age(name):
        return nearest(name, columns)
    number = next((column for column in columns if _is_age(column)), "years")
    return nearest_then(name, columns, f"A number is cut into bands by `{_bands(name, number)}`")


def absent_from_census(
    spec: MrpAnalysis, needs: Needs, name: str, columns: Sequence[str], surveyed: Sequence[str]
) -> str:
    """What to do about a variable that the population lacks.

    Args:
        columns: of the census, or of its margins.
        surveyed: columns of the surveys.
    """
    if name == SURVEY:
        return f"name it in `house`: [{SURVEY}]"
    valid = [*columns, *made(spec)]
    near = close_to(name, valid)
    if name not in surveyed:
        return nearest(name, valid if near or not close_to(name, surveyed) else surveyed)
    if near:
        return f"did you mean '{near}'? Then call it alike in both files. Else {_ways(spec, needs, name)}"
    bands = [column for column in columns if is_band(column)]
    if len(bands) > 1 and not near:
        return (
            f"its levels seem to stand side by side, a column each ({listed(bands, 3)}): give every cell a "
            f"row, with its level in a column '{name}' and its number in another"
        )
    number = next((column for column in columns if _is_age(column)), "")
    if number and _is_age(name):
        return (
            f"'{number}' of the census may be meant: if it holds the same bands, call it alike in both "
            f"files; if it holds numbers, have them cut by `{_bands(name, number)}`"
        )
    return nearest_then(name, valid, _capital(_ways(spec, needs, name)))


def _ways(spec: MrpAnalysis, needs: Needs, name: str) -> str:
    """How a variable that the survey alone has can be in an analysis."""
    house = name in needs.factors and name not in (*needs.predictors, *needs.groups)
    asked = {"when": f"write `time: {name}`"} if spec.time is None else {}
    asked |= {"how": "name it in `house`"} if house else {}
    ways = [f"if it says {what} the survey was taken, {remedy}" for what, remedy in asked.items()]
    return "; ".join([*ways, "a trait of people can be put into the census by `extend`"])


def _is_age(name: str) -> bool:
    return bool(_AGE.search(name))


def _bands(name: str, number: str) -> str:
    of = "" if number == name else f"column: {number}, "
    return f"bands: {{{name}: {{{of}lower: [18, 30, 45, 65]}}}}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
