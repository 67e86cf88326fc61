"""The order of the levels of a variable, and which of its levels stands for missing values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import Problem
from poolmap.families.mrp.recode import band_labels
from poolmap.spelling import close_to, nearest, numbers_in

MISSING_LEVEL = "missing"
IN_ORDER = ("rw1", "ar1")
_NUMBER_FIRST = re.compile(r"\s*(<?)[<>=≤≥ ]*(\d+(?:\.\d+)?)")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d)[,’' ](?=\d{3}(?!\d))")
_MONTH_OF_YEAR = re.compile(r"\s*(\d{4})\.(\d{1,2})\s*")
_YEAR_LAST = re.compile(r"\s*\D?(\d{1,2})\D{1,2}(\d{4})\s*")
_DATE_YEAR_LAST = re.compile(r"\s*\d{1,2}\D\d{1,2}\D\d{4}\b.*")


def ordered(levels: Iterable[str]) -> list[str]:
    """Levels in order: by their numbers where all begin with one, else as text.

    "5-9" comes before "10-14", "<5" before both, "500-999" before "1,000-1,999"; of times "2021-W9" before
    "2021-W10", "12/2020" before "1/2021".
    """
    levels = list(levels)
    keys = _number_keys(levels)
    return sorted(levels, key=keys.__getitem__) if keys else sorted(levels)


def _number_keys(levels: list[str]) -> dict[str, tuple]:
    """What to sort levels by; nothing where some level does not begin with a number."""
    plain = [_THOUSANDS.sub("", level) for level in levels]
    if levels and all(map(_MONTH_OF_YEAR.fullmatch, plain)):
        return {level: tuple(map(int, text.split("."))) for level, text in zip(levels, plain, strict=True)}
    if levels and all(map(_YEAR_LAST.fullmatch, plain)):
        texts = zip(levels, plain, strict=True)
        return {level: (*map(int, reversed(_NUMBERS.findall(text))), level) for level, text in texts}
    keys = {}
    for level, text in zip(levels, plain, strict=True):
        match = _NUMBER_FIRST.match(text)
        if match is None:
            return {}
        rest = tuple(map(float, _NUMBERS.findall(text)[1:]))
        keys[level] = (float(match[2]) - (0.5 if match[1] else 0), rest, level)
    return keys


def _tell_their_order(levels: list[str]) -> bool:
    """Whether the numbers that levels begin with are sure to be their order: those of 3/11/2021 are not."""
    return bool(_number_keys(levels)) and not any(map(_DATE_YEAR_LAST.fullmatch, levels))


def order_of(spec: MrpAnalysis, variable: str, levels: Iterable[str], problems: list[Problem]) -> list[str]:
    """The levels of a variable in order: the config's, else that of its bands, else `ordered`.

    Args:
        levels: all levels of survey and census.
        problems: an order of the config that is not one of these levels is noted here.
    """
    there = list(dict.fromkeys(levels))
    if variable in spec.order:
        chosen = list(spec.order[variable])
        where = f"config: order.{variable}"
        for level in chosen:
            if level not in there:
                what = f"neither survey nor census has the level '{level}'"
                problems.append(Problem(where, what, nearest(level, there)))
        lacking = [level for level in there if level not in chosen and level != MISSING_LEVEL]
        if lacking:
            what = f"it lacks the level{'s' if len(lacking) > 1 else ''} {listed(lacking)}"
            problems.append(Problem(where, what, "write every level once, in order"))
        return [*chosen, *(level for level in there if level not in chosen)]
    last = [MISSING_LEVEL] if MISSING_LEVEL in there and rule(spec, variable) == "level" else []
    rest = [level for level in there if level not in last]
    if variable in spec.bands:
        names = spec.recode.get(variable, {})
        bands = dict.fromkeys(names.get(label, label) for label in band_labels(spec.bands[variable]))
        if set(rest) <= set(bands):
            return [*(level for level in bands if level in rest), *last]
    return [*ordered(rest), *last]


def unordered(spec: MrpAnalysis, order: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Walks along levels whose order nothing tells: neither the config, nor bands, nor numbers in front; and
    structures in which the level of missing values would have neighbours."""
    found = {}
    for name, model in spec.models.items():
        for factor, structure in model.structure.items():
            if structure != "iid" and MISSING_LEVEL in set(order.get(factor, ())) - {
                *spec.order.get(factor, ())
            }:
                found.setdefault(
                    factor,
                    Problem(
                        f"config: models.{name}.structure.{factor}",
                        f"{structure} ties each level to its neighbours, and '{MISSING_LEVEL}' has none",
                        f"write missing: {{{factor}: drop}}, or leave the structure away",
                    ),
                )
            levels = [level for level in order.get(factor, ()) if level != MISSING_LEVEL]
            told = factor in spec.order or factor in spec.bands or not levels or _tell_their_order(levels)
            if structure in IN_ORDER and not told and factor not in found:
                found[factor] = Problem(
                    f"config: models.{name}.structure.{factor}",
                    f"{structure} goes from level to level, and their order is not known: {listed(levels)}",
                    f"write it in the analysis: order: {{{factor}: [{', '.join(levels[:3])}"
                    f"{', ...' if len(levels) > 3 else ''}]}}, in their order",
                )
    return list(found.values())


def rule(spec: MrpAnalysis, variable: str) -> str:
    """What becomes of respondents without a value of the variable: `drop` or `level`."""
    return spec.missing if isinstance(spec.missing, str) else spec.missing.get(variable, "drop")


def folded(level: str) -> str:
    """A level without what spelling may differ in: capitals, accents, blanks, punctuation."""
    plain = unicodedata.normalize("NFKD", str(level).casefold())
    return "".join(c for c in plain if c.isalnum())


def spelling(level: str) -> tuple[str, tuple[float, ...]]:
    """What levels share that differ only in how they are written: capitals, accents, blanks, "1.0" for 1.

    Numbers have to agree: "1-4" is not 14.
    """
    if re.fullmatch(r"\d+(\.\d+)?", str(level)):
        return repr(float(level)), ()
    return folded(level), tuple(numbers_in(str(level)))


def alike(level: str, known: Iterable[str]) -> list[str]:
    """The levels that differ from this one only in how they are written (see `spelling`)."""
    own = spelling(level)
    return [other for other in known if other != level and own[0] and spelling(other) == own]


def close_level(level: str, known: Iterable[str]) -> str | None:
    """The level that is probably meant: spelt nearly alike, or the only one with the same numbers ("65 and
    over" for "65+")."""
    known, numbers = list(known), numbers_in(level)
    same = [other for other in known if numbers and numbers_in(other) == numbers]
    near = [*alike(level, known), *(same if len(same) == 1 else [])]
    return near[0] if near else close_to(level, known)


def initials(levels: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Which levels begin which ("f" and "m": "Female" and "Male"); empty unless all do, one each."""
    levels, known = [level for level in levels if folded(level)], [other for other in known if folded(other)]
    found = {}
    for level in levels:
        own = folded(level)
        begun = [o for o in known if own.startswith(folded(o)) or folded(o).startswith(own)]
        found |= {level: begun[0]} if len(begun) == 1 and not numbers_in(level) else {}
    return found if len(set(found.values())) == len(levels) else {}


def listed(levels: Sequence[str], most: int = 10) -> str:
    """Levels in quotes, separated by commas; the first few of many."""
    more = f" and {len(levels) - most} more" if len(levels) > most else ""
    return ", ".join(f"'{level}'" for level in levels[:most]) + more
