"""Reading the whole config: merge defaults into each analysis, collect every error, raise once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from poolmap.config.areas import AreasAnalysis
from poolmap.config.base import Analysis, Name, Sampling, Section
from poolmap.config.meta import MetaAnalysis
from poolmap.config.mrp import MrpAnalysis
from poolmap.config.yaml_file import Location, line_of, read_yaml
from poolmap.errors import InputError, Problem
from poolmap.tables import nearest, read_header

FAMILIES = {"meta": MetaAnalysis, "areas": AreasAnalysis, "mrp": MrpAnalysis}
AnyAnalysis = Annotated[MetaAnalysis | AreasAnalysis | MrpAnalysis, Field(discriminator="family")]
RESERVED_NAMES = {"analysis": ("stan",), "model": ("data", "graph", "figures")}
SECTION = ("a section with keys below it is expected", "indent its keys below this one")
# what pydantic expected: the same in the words of the config, and what to write
EXPECTED = {
    "dict_type": SECTION,
    "model_type": SECTION,
    "model_attributes_type": SECTION,
    "tuple_type": ("a list is expected", "write it in brackets, also one entry: [entry]"),
    "float_parsing": ("a number is expected", "write it with a decimal point: 0.95, not 95%"),
    "float_type": ("a number is expected", "write it with a decimal point, without quotes"),
    "int_parsing": ("a whole number is expected", "write it without quotes or separators"),
    "int_type": ("a whole number is expected", "write it without quotes or separators"),
    "string_type": ("a text is expected", "put it in quotes"),
}
INHERITED = ("seed", "interval", "on_failed_checks")


class Config(Section):
    """The whole config. Everything above `analyses` is a default that any analysis may override."""

    title: str = "poolmap"
    """Heading of the index page."""
    seed: int = Field(20261120, ge=1, lt=2**31)
    """Random seed; every job derives its own from it."""
    sampling: Sampling = Sampling()
    """How Stan samples."""
    interval: float = Field(0.95, gt=0.5, lt=1)
    """Level of the central posterior intervals."""
    on_failed_checks: Literal["stop", "report"] = "stop"
    """What to do where a fit fails its checks twice: `stop` ends the run with an error after the report is
    written, `report` only stamps the results."""
    analyses: dict[Name, AnyAnalysis] = Field(min_length=1)
    """The analyses, each under a name of its own."""

    @field_validator("analyses", mode="after")
    @classmethod
    def _free_names(cls, analyses: dict[str, Any]) -> dict[str, Any]:
        """Names that are folders of the results already cannot be used again."""
        for name, spec in analyses.items():
            for kind, at, names in (("analysis", name, [name]), ("model", f"{name}.models", spec.models)):
                taken = [n for n in names if n in RESERVED_NAMES[kind]]
                if taken:
                    raise PydanticCustomError(
                        "reserved",
                        "'{name}' cannot be the name of a {kind}: a folder of the results is called so",
                        {"name": taken[0], "kind": kind, "at": at},
                    )
        return analyses

    def resolved(self) -> Config:
        """The config with the defaults at its top written into each analysis."""
        analyses = {}
        for name, spec in self.analyses.items():
            update: dict[str, Any] = {k: getattr(self, k) for k in INHERITED if getattr(spec, k) is None}
            own = spec.sampling.model_dump(exclude_unset=True) if spec.sampling else {}
            update["sampling"] = self.sampling.model_copy(update=own)
            update["title"] = spec.title or name.replace("_", " ")
            analyses[name] = spec.model_copy(update=update)
        return self.model_copy(update={"analyses": analyses})


def derive_seed(seed: int, *parts: str) -> int:
    """A seed for one job, from the config's seed and the job's wildcards; between 1 and 2^31 - 1."""
    digest = hashlib.sha256(json.dumps([seed, *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2**31 - 1) + 1


def parse_analysis(view: Mapping[str, Any]) -> Analysis:
    """The typed section from what `Analysis.view` gave (a script's way back to it).

    Keys that only later steps read are at their defaults; none of them is None.
    """
    defaults = {key: Config.model_fields[key].default for key in INHERITED}
    return TypeAdapter(AnyAnalysis).validate_python({**defaults, **view}, context={"partial": True})


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the config, for editors that complete and check YAML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "poolmap config",
    }


def load_config(
    path: str | Path, *, overrides: Mapping[str, Any] | None = None, check_files: bool = True
) -> Config:
    """Read and check a config.

    Args:
        path: the YAML file.
        overrides: values from the command line, by key; they win over the file.
        check_files: also check that the input files exist and hold the columns that the config names.

    Returns:
        the config, defaults filled in (`Config.resolved`).

    Raises:
        InputError: everything that is wrong, each with the key's path and line.
    """
    content, lines = read_yaml(path)
    content = _merged(content, overrides or {})

    def place(at: Location) -> str:
        line = line_of(lines, at)
        key = ".".join(str(part) for part in at)
        return f"{path}, line {line}: {key}" if line else f"{path}: {key}"

    try:
        config = Config.model_validate(content).resolved()
    except ValidationError as error:
        raise InputError(_problems(error, content, lines, place)) from None
    if check_files:
        problems = _file_problems(config, place)
        if problems:
            raise InputError(problems)
    return config


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _valid_keys(content: Any, at: Location) -> list[str]:
    """The keys that may stand in the section at a place of the config."""
    section: Any = Config
    for part in at:
        field = section.model_fields.get(part) if isinstance(section, type) else None
        if field is None:
            return []
        if part == "analyses":
            break
        section = next((a for a in _sections(field.annotation)), None)
    if at and at[0] == "analyses":
        if len(at) < 2:
            return []
        entry = content.get("analyses", {}).get(at[1], {})
        section = FAMILIES.get(entry.get("family")) if isinstance(entry, dict) else None
        rest = list(at[2:])
        while section is not None and rest:
            part = rest.pop(0)
            field = section.model_fields.get(part)
            section = next(iter(_sections(field.annotation)), None) if field else None
            if part == "models" and rest:
                rest.pop(0)
    return list(section.model_fields) if section is not None else []


def _sections(annotation: Any) -> list[type[Section]]:
    """The config sections named in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [s for a in getattr(annotation, "__args__", ()) for s in _sections(a)]


def _problems(
    error: ValidationError,
    content: dict[str, Any],
    lines: Mapping[Location, int],
    place: Callable[[Location], str],
) -> list[Problem]:
    problems = []
    for item in error.errors():
        at: Location = tuple(p for p in item["loc"] if p != "[key]")
        if len(at) > 2 and at[0] == "analyses" and at[2] in FAMILIES:
            at = (*at[:2], *at[3:])
        context = item.get("ctx", {})
        for key, what in context.get("conflicts", ()):
            here = (*at, key)
            problems.append((line_of(lines, here) or 0, Problem(place(here), what)))
        if "conflicts" in context:
            continue
        if "at" in context:
            at = (*at, *str(context["at"]).split("."))
        kind, given = item["type"], item.get("input")
        what, remedy = item["msg"], ""
        if kind == "extra_forbidden":
            what = "there is no such key"
            remedy = nearest(str(at[-1]), _valid_keys(content, at[:-1]))
        elif kind == "missing":
            what = "this key is needed and is not there"
            remedy = "add it; README.md and config/config.yaml show each key in use"
        elif kind == "literal_error":
            valid = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
            what, remedy = f"'{given}' is not one of {context['expected']}", nearest(str(given), valid)
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            given_family = given.get("family") if isinstance(given, dict) else None
            at = (*at, "family")
            what = (
                f"'{given_family}' is not a family" if given_family else "this key is needed and is not there"
            )
            remedy = nearest(str(given_family or ""), FAMILIES)
        elif kind == "string_pattern_mismatch" and len(at) <= 4 and at[-2:-1] in (("analyses",), ("models",)):
            what = f"'{at[-1]}' cannot be a name"
            remedy = "use lower-case letters, digits and underscores, beginning with a letter"
        elif kind in EXPECTED:
            what, remedy = EXPECTED[kind]
            what += f" (given: {'nothing' if given is None else repr(given)})"
        elif "input" in item and not isinstance(given, dict | list):
            what = f"{what[0].lower()}{what[1:]} (given: {given!r})"
        problems.append((line_of(lines, at) or 0, Problem(place(at), what, remedy)))
    return [problem for _, problem in sorted(problems, key=lambda pair: pair[0])]


def _file_problems(config: Config, place: Callable[[Location], str]) -> list[Problem]:
    problems = []
    for name, spec in config.analyses.items():
        headers: dict[str, list[str]] = {}
        for key, path in spec.input_files().items():
            at = ("analyses", name, *key.split("."))
            if not Path(path).is_file():
                remedy = "check the path; it is relative to the project folder"
                problems.append(Problem(place(at), f"the file '{path}' does not exist", remedy))
            elif key not in ("geometry", "graph.file"):
                try:
                    headers[key] = read_header(path, getattr(spec, "sheet", None))
                except InputError as error:
                    problems.extend(error.problems)
        for key, file, column in spec.column_references():
            if file in headers and column not in headers[file]:
                at = ("analyses", name, *key)
                path = spec.input_files()[file]
                problems.append(
                    Problem(place(at), f"'{path}' has no column '{column}'", nearest(column, headers[file]))
                )
    return problems
