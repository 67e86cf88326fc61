"""What pydantic finds wrong with a config, in the words of the config."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from poolmap.config.base import Section
from poolmap.config.measures import CALLED
from poolmap.config.yaml_file import Location, line_of
from poolmap.errors import Problem
from poolmap.tables import close_to, nearest

SECTION = ("a section with keys below it is expected", "indent its keys below this one")
# what pydantic expected: the same in the words of the config, and what to write
EXPECTED = {
    "dict_type": SECTION,
    "model_type": SECTION,
    "model_attributes_type": SECTION,
    "tuple_type": ("a list is expected", "write it in brackets, also one entry: [entry]"),
    "float_parsing": ("a number is expected", "write it with a decimal point: 0.95, not 95%"),
    "float_type": ("a number is expected", "write it without quotes, decimals behind a point"),
    "finite_number": ("a number is expected", "write it out"),
    "int_parsing": ("a whole number is expected", "write it without quotes or separators"),
    "int_type": ("a whole number is expected", "write it without quotes or separators"),
    "int_from_float": ("a whole number is expected", "write it without decimals"),
    "bool_parsing": ("true or false is expected", "write true or false"),
    "bool_type": ("true or false is expected", "write true or false"),
    "string_type": ("a text is expected", "put it in quotes"),
    "string_pattern_mismatch": ("a formula with ~ is expected", 'write it in quotes, such as "~ age + sex"'),
    "string_too_long": ("a shorter text is expected", "shorten it"),
    "string_too_short": ("a text is expected", "write it, or leave the key away"),
}
SEVERAL = {  # keys that take one thing, or several by name
    "survey": "name the file, or give each of several a name: {first: a.csv, second: b.csv}",
    "missing": "write drop or level, for all or by variable: {income: level}",
}
TYPES = ("constrained-str", "str", "int", "float", "bool")  # of a value that may be of several
_BRANCH = re.compile(r"(literal|tuple|dict|list)\[.*\]$")  # one of several things that a value may be
LONGEST = 60  # characters of a wrong value that are shown
BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}


@dataclass(frozen=True)
class Schema:
    """The sections of the config: the whole one, and that of each family."""

    whole: type[Section]
    families: Mapping[str, type[Section]]

    def section(self, content: Any, at: Location) -> type[Section] | None:
        """The section that stands at a place of a config, if one does."""
        section: Any = self.whole
        rest = list(at)
        if at[:1] == ("analyses",):
            if len(at) < 2:
                return None
            entry = content.get("analyses")
            entry = entry.get(at[1]) if isinstance(entry, dict) else None
            family = entry.get("family") if isinstance(entry, dict) else None
            section, rest = self.families.get(str(family)), rest[2:]
        while section is not None and rest:
            part = rest.pop(0)
            field = section.model_fields.get(str(part))
            section = next(iter(_sections(field.annotation)), None) if field else None
            if part == "models" and rest:
                rest.pop(0)
        return section

    def keys(self, content: Any, at: Location) -> list[str]:
        """The keys that may stand in the section at a place of a config."""
        section = self.section(content, at)
        return list(section.model_fields) if section is not None else []

    def place(self, loc: Location) -> Location:
        """The place in the config that pydantic means."""
        at = tuple(part for part in loc if part != "[key]" and not _BRANCH.match(str(part)))
        if len(at) > 2 and at[0] == "analyses" and at[2] in self.families:
            at = (*at[:2], *at[3:])
        return at[:-1] if at[-1:] and at[-1] in TYPES and at[-2] not in ("analyses", "models") else at

    def meant(
        self, content: Any, at: Location, kind: str, given: Any, context: Mapping[str, Any]
    ) -> str | None:
        """The valid key or value that is probably meant by a wrong one."""
        if kind == "extra_forbidden":
            return close_to(str(at[-1]), self.keys(content, at[:-1]))
        if kind == "union_tag_invalid":
            return close_to(str(given.get("family")), self.families)
        if kind != "literal_error":
            return None
        if (measure := _measure(at, given)) is not None:
            return None if measure == "GEN" else measure  # the scale of the estimates would be a guess
        return close_to(str(given), _valid_values(context))


def _sections(annotation: Any) -> list[type[Section]]:
    """The config sections named in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [s for a in getattr(annotation, "__args__", ()) for s in _sections(a)]


def _valid_values(context: Mapping[str, Any]) -> list[str]:
    return str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")


def _measure(at: Location, given: Any) -> str | None:
    """The measure that is called so elsewhere."""
    if at[-1] != "measure":
        return None
    word = str(given).strip().lower().replace("_", " ").replace("'", "")
    return next((measure for measure, names in CALLED.items() if word in names), None)


def complaints(
    error: ValidationError, content: Any, schema: Schema, lines: Mapping[Location, int], said: Callable
) -> list[tuple[Location, int, Problem]]:
    """Place, line and words of everything that pydantic found.

    Args:
        error: what it raised.
        content: the config that it read.
        schema: the sections of the config.
        lines: the line of each place.
        said: the words for a place.
    """
    found = []
    wrong = [item["loc"] for item in error.errors()]
    for item in _of_its_kind(error.errors()):
        place = item["loc"]
        if item["type"] == "too_short" and any(at[: len(place)] == place != at for at in wrong):
            continue  # pydantic does not count the entries that are wrong
        at, context = schema.place(item["loc"]), item.get("ctx", {})
        if "conflicts" in context:
            for conflict in context["conflicts"]:
                place = (*at, *conflict.at.split(".")) if conflict.at else at
                found.append((place, conflict.what, conflict.remedy))
            continue
        if "at" in context:
            at = (*at, *str(context["at"]).split("."))
        if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            at = (*at, "family")
        if item["type"] == "missing" and isinstance(at[-1], int):  # a list that is too short
            at = at[:-1]
        found.append((at, *_words(item, at, content, schema)))
    return [(at, line_of(lines, at) or 0, Problem(said(at), what, remedy)) for at, what, remedy in found]


def _of_its_kind(items: Sequence[Any]) -> list[Any]:
    """Of a value that may be a name, a list or a section: what is wrong with what it is."""
    groups: dict[Location, list[Any]] = {}
    for item in items:
        loc = item["loc"]
        ends = [i for i, part in enumerate(loc) if _BRANCH.match(str(part))]
        ends += [len(loc) - 1] if loc and loc[-1] in TYPES else []
        groups.setdefault(loc[: min(ends)] if ends else loc, []).append(item)
    found = []
    for place, group in groups.items():
        inside = [item for item in group if len(item["loc"]) > len(place) + 1]
        words = [i for i in group if i["type"] == "literal_error" and isinstance(i["input"], str)]
        shapes = [item for item in group if item["type"] in ("dict_type", "tuple_type")]
        found += inside or words or shapes or group
    return found


def _words(item: Any, at: Location, content: Any, schema: Schema) -> tuple[str, str]:
    """What is wrong, and what to do."""
    kind, given, context = item["type"], item.get("input"), item.get("ctx", {})
    written = _as_yaml(given)
    if kind == "extra_forbidden":
        return "there is no such key", nearest(str(at[-1]), schema.keys(content, at[:-1]))
    if kind == "missing":
        if schema.place(item["loc"]) != at:
            return f"more entries are expected (given: {written})", "write one for each: [first, second]"
        return "this key is needed and is not there", f"add it{_meaning(schema, content, at)}"
    if kind == "literal_error":
        if (measure := _measure(at, given)) is not None:
            ratio = ", with `estimate_scale: ratio`" if str(given).lower() in ("hr", "hazard ratio") else ""
            return f"'{given}' is not one of {context['expected']}", f"write {measure}{ratio}"
        given = given if isinstance(given, str) else written
        if at[-1] == "negative":
            return f"a list is expected (given: {written})", f"write it in brackets, [{given}]; or others"
        return f"'{given}' is not one of {context['expected']}", nearest(given, _valid_values(context))
    if kind == "union_tag_invalid":
        family = given.get("family")
        said = family if isinstance(family, str) else _as_yaml(family)
        return f"'{said}' is not a family", nearest(said, schema.families)
    if kind == "union_tag_not_found":
        return "this key is needed and is not there", nearest("", schema.families)
    if kind == "string_pattern_mismatch" and "~" not in context["pattern"]:
        remedy = "use lower-case letters, digits and underscores, beginning with a letter"
        return f"'{at[-1]}' cannot be a name", remedy
    if kind in BOUNDS:
        key, bound = BOUNDS[kind]
        share = context[key] == 1 and key == "lt" and isinstance(given, int | float) and 1 < given <= 100
        remedy = f"write it as a share: {given / 100:g} for {given:g}%" if share else ""
        return f"a number {bound} {context[key]:g} is expected (given: {written})", remedy
    if kind == "too_short" and schema.place(item["loc"]) == at:
        return "at least one entry is expected (given: none)", "write one, or leave the key away"
    if kind == "too_long":
        return f"{context['max_length']} entries are expected (given: {context['actual_length']})", ""
    if kind in EXPECTED:
        what, remedy = EXPECTED[kind]
        if context.get("pattern") == "~":
            remedy = 'write it in quotes, such as "vote ~ 1 + (1 | state)"'
        if item["loc"][-1] in TYPES:
            what, remedy = "a text or a number is expected", "put it in quotes, spelt as in the table"
        if kind == "dict_type" and at[-1] in SEVERAL:
            return f"a single value or a section is expected (given: {written})", SEVERAL[str(at[-1])]
        if kind == "string_type" and isinstance(given, list):
            remedy = "write a single one, without brackets"
        if given is None and at[-2:-1] == ("models",):
            remedy = "write {} behind it for a model with all keys left at their defaults"
        elif at[-1] == "models":
            remedy = "write each model's name and its keys below: models: {normal: {likelihood: normal}}"
        return f"{what} (given: {written})", remedy
    if "input" in item and not isinstance(given, dict | list):
        return f"{item['msg'][0].lower()}{item['msg'][1:]} (given: {written})", ""
    return item["msg"], ""


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "no number" if math.isnan(value) else "infinity"
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _meaning(schema: Schema, content: Any, at: Location) -> str:
    """What a missing key is, in the words of the schema."""
    section = schema.section(content, at[:-1])
    field = section.model_fields.get(str(at[-1])) if section is not None else None
    text = " ".join((field.description or "").split()) if field is not None else ""
    first = text.split(";")[0].split(". ")[0].rstrip(".")
    return (f": {first[0].lower()}{first[1:]}" if first else "") + (
        " (README.md and config/config.yaml show each key in use)"
    )
