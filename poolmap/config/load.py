"""Reading the whole config: merge defaults into each analysis, collect every error, raise once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from poolmap.config.areas import AreasAnalysis
from poolmap.config.base import Analysis, Name, Sampling, Section
from poolmap.config.complaints import Schema, complaints
from poolmap.config.conflicts import Conflict
from poolmap.config.meta import MetaAnalysis
from poolmap.config.mrp import MrpAnalysis
from poolmap.config.second_look import mend
from poolmap.config.yaml_file import Location, line_of, read_yaml
from poolmap.errors import InputError, Problem
from poolmap.tables import close_to, nearest, read_header

FAMILIES = {"meta": MetaAnalysis, "areas": AreasAnalysis, "mrp": MrpAnalysis}
AnyAnalysis = Annotated[MetaAnalysis | AreasAnalysis | MrpAnalysis, Field(discriminator="family")]
RESERVED_NAMES = {"analysis": ("stan",), "model": ("data", "graph", "figures")}
ROUNDS = 3  # each looks behind the mistakes that the one before it found
INHERITED = ("seed", "interval", "on_failed_checks")


class Config(Section):
    """The whole config. Everything above `analyses` is a default that any analysis may override."""

    title: str = "poolmap"
    """Heading of the index page."""
    seed: int = Field(20261120, ge=1, lt=2**31)
    """Random seed; every job derives its own from it."""
    sampling: Sampling = Sampling()
    """How the posterior is sampled."""
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


SCHEMA = Schema(Config, FAMILIES)


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


Look = Callable[[Analysis, bool], Sequence[Conflict]]
"""What else can be told of an analysis before it is run; the second argument: also with its input files."""


def load_config(
    path: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    check_files: bool = True,
    look: Look | None = None,
) -> Config:
    """Read and check a config.

    Args:
        path: the YAML file.
        overrides: values from the command line, by key; they win over the file.
        check_files: also check that the input files exist and hold the columns that the config names.
        look: with `check_files`: what else to check of each analysis; with its files where its keys are in
            order and its files can be read.

    Returns:
        the config, defaults filled in (`Config.resolved`).

    Raises:
        InputError: everything that is wrong, each with the key's path and line.
    """
    content, lines = read_yaml(path)
    content = _merged(content, overrides or {})

    def said(at: Location) -> str:
        line = line_of(lines, at)
        key = ".".join(str(part) for part in at)
        return f"{path}, line {line}: {key}" if line else f"{path}: {key}"

    found: list[tuple[Location, int, Problem]] = []
    config = _read(content, lines, said, found)
    if config is not None and check_files:
        wrong = {at[:2] for at, _, _ in found}
        for name, spec in config.analyses.items():
            at = ("analyses", name)
            problems, headers = file_problems(spec)
            if look is not None:
                problems += look(spec, headers and at not in wrong)
            for problem in problems:
                place = (*at, *problem.at.split("."))
                told = Problem(said(place), problem.what, problem.remedy)
                found.append((place, line_of(lines, place) or 0, told))
    if found or config is None:
        in_order = sorted(found, key=lambda entry: entry[1])
        raise InputError(dict.fromkeys(problem for _, _, problem in in_order))
    return config


def _read(
    content: dict[str, Any],
    lines: dict[Location, int],
    said: Callable[[Location], str],
    found: list[tuple[Location, int, Problem]],
) -> Config | None:
    """The config, or as much of it as can be read; what is wrong goes to `found`."""
    silent: list[Location] = []
    for _ in range(ROUNDS):
        try:
            return Config.model_validate(content).resolved()
        except ValidationError as error:
            more = complaints(error, content, SCHEMA, lines, said)
            found += [entry for entry in more if not any(entry[0][: len(at)] == at for at in silent)]
            content, no_more, moved = mend(content, error, SCHEMA)
            silent += no_more
        for place in list(lines):
            for new, old in moved.items():
                if place[: len(old)] == old:
                    lines[(*new, *place[len(old) :])] = lines[place]
    for _ in range(2):
        try:
            return Config.model_validate(content, context={"unchecked": True}).resolved()
        except ValidationError as error:
            analyses = content.get("analyses")
            unreadable = {SCHEMA.place(item["loc"])[:2] for item in error.errors()}
            if not isinstance(analyses, dict):
                return None
            content = content | {
                "analyses": {n: v for n, v in analyses.items() if ("analyses", n) not in unreadable}
            }
    return None


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def file_problems(spec: Analysis) -> tuple[list[Conflict], bool]:
    """Input files that do not exist or cannot be read, and columns that they do not have.

    Returns:
        these, and whether every file could be read.
    """
    found = []
    headers: dict[str, list[str]] = {}
    for key, path in spec.input_files().items():
        if Path(path).is_dir():
            remedy = "name the file in it, with its ending"
            found.append(Conflict(key, f"'{path}' is a folder, not a file", remedy))
        elif not Path(path).exists():
            folder = Path(path).parent
            there = [p.name for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
            near = close_to(Path(path).name, there)
            hint = f"did you mean '{folder / near}'? " if near else "check the path; "
            remedy = f"{hint}{'It' if near else 'it'} is relative to the project folder"
            found.append(Conflict(key, f"the file '{path}' does not exist", remedy))
        elif key not in ("geometry", "map.geometry", "graph.file"):
            try:
                headers[key] = read_header(path, getattr(spec, "sheet", None))
            except InputError as error:
                for problem in error.problems:
                    at = "sheet" if "sheet" in problem.what else key
                    found.append(Conflict(at, f"{problem.where}: {problem.what}", problem.remedy))
    readable = not found
    for key, file, column in spec.column_references():
        if file in headers and column not in headers[file]:
            what = f"'{spec.input_files()[file]}' has no column '{column}'"
            found.append(Conflict(".".join(key), what, nearest(column, headers[file])))
    return found, readable
