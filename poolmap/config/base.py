"""What the sections of the config share: priors, sampler settings, and which step reads which key."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

STEPS = ("ingest", "fit", "estimate", "report")
"""The steps that read the config, in the order of the data. (The graph is read with `ingest`.)"""

NAME = re.compile(r"[a-z][a-z0-9_]*")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Column = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, Field(min_length=1, description="path relative to the project folder")]


def first_read_by(step: str) -> dict[str, str]:
    """Mark a key (in `json_schema_extra`) with the first step that reads it; the default is `ingest`.

    A later step is not rerun by a key that only a still later one reads: a changed title rewrites the
    report and refits nothing.
    """
    if step not in STEPS:
        raise ValueError(f"unknown step {step}")
    return {"first_read_by": step}


class Section(BaseModel):
    """A section of the config: unknown keys are refused, values are not coerced from other types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True
    )


class Sampling(Section):
    """How Stan samples."""

    chains: int = Field(4, ge=2, le=64)
    """Number of chains; at least 2, since R-hat compares them."""
    warmup: int = Field(1000, ge=100)
    """Warm-up iterations per chain."""
    draws: int = Field(1000, ge=100)
    """Draws kept per chain."""
    adapt_delta: float = Field(0.9, gt=0, lt=1)
    """Target acceptance; raise it towards 1 where divergences are reported."""
    max_treedepth: int = Field(10, ge=5, le=15)
    """Largest tree depth of the sampler."""


class Prior:
    """A prior written by name: `{normal: [location, scale]}`, `{half_cauchy: scale}`.

    `CODES` gives each family's code in `stan/functions/priors.stanfunctions` and its parameters. A
    half-family is its parent with location 0 on a parameter with lower bound 0.
    """

    CODES: ClassVar[dict[str, tuple[int, tuple[str, ...]]]] = {
        "normal": (1, ("location", "scale")),
        "student_t": (2, ("df", "location", "scale")),
        "cauchy": (3, ("location", "scale")),
        "half_normal": (1, ("scale",)),
        "half_student_t": (2, ("df", "scale")),
        "half_cauchy": (3, ("scale",)),
        "exponential": (4, ("rate",)),
        "beta": (5, ("a", "b")),
    }
    ALLOWED: ClassVar[tuple[str, ...]] = ("normal", "student_t", "cauchy")

    def __init__(self, family: str, parameters: tuple[float, ...]) -> None:
        self.family = family
        self.parameters = parameters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prior) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.family, self.parameters))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __str__(self) -> str:
        return f"{self.family.replace('_', '-')}({', '.join(f'{p:g}' for p in self.parameters)})"

    def as_dict(self) -> dict[str, float | list[float]]:
        """The prior as it is written in the config."""
        values = list(self.parameters)
        return {self.family: values[0] if len(values) == 1 else values}

    def stan_data(self, name: str) -> dict[str, Any]:
        """The two data entries `<name>_prior_family` and `<name>_prior` (3 numbers) of a Stan program.

        The numbers are (location, scale, df) for the location-scale families, (rate, 0, 0) for the
        exponential and (a, b, 0) for the beta.
        """
        code, names = self.CODES[self.family]
        given = dict(zip(names, self.parameters, strict=True))
        if code in (1, 2, 3):
            numbers = [given.get("location", 0.0), given["scale"], given.get("df", 0.0)]
        else:
            numbers = [*self.parameters, 0.0, 0.0][:3]
        return {f"{name}_prior_family": code, f"{name}_prior": numbers}

    @classmethod
    def parse(cls, value: Any) -> Prior:
        """Read a prior from the config, with a message that says what can be written.

        Raises:
            PydanticCustomError: unknown family, or a wrong number or range of parameters.
        """
        if isinstance(value, Prior):
            return value
        example = ", ".join(f"{{{n}: {_example(cls.CODES[n][1])}}}" for n in cls.ALLOWED)
        if not isinstance(value, dict) or len(value) != 1:
            raise PydanticCustomError("prior", "a prior is written as one of {example}", {"example": example})
        family, given = next(iter(value.items()))
        if family not in cls.ALLOWED:
            raise PydanticCustomError(
                "prior_family",
                "'{family}' is not a prior for this parameter; write one of {example}",
                {"family": str(family), "example": example},
            )
        names = cls.CODES[family][1]
        values = given if isinstance(given, list | tuple) else [given]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if len(values) != len(names) or not numbers:
            raise PydanticCustomError(
                "prior_parameters",
                "{family} takes {count} ({names}): write {example}",
                {
                    "family": family,
                    "count": "1 number" if len(names) == 1 else f"{len(names)} numbers",
                    "names": ", ".join(names),
                    "example": f"{{{family}: {_example(names)}}}",
                },
            )
        for parameter, number in zip(names, values, strict=True):
            if parameter != "location" and number <= 0:
                raise PydanticCustomError(
                    "prior_range",
                    "the {parameter} of a {family} prior is above 0",
                    {"parameter": parameter, "family": family},
                )
        return cls(family, tuple(float(v) for v in values))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda prior: prior.as_dict()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        def shape(names: tuple[str, ...]) -> dict[str, Any]:
            number = {"type": "number"}
            if len(names) == 1:
                return number
            return {"type": "array", "items": number, "minItems": len(names), "maxItems": len(names)}

        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {n: {**shape(cls.CODES[n][1]), "description": ", ".join(cls.CODES[n][1])}},
                    "required": [n],
                    "additionalProperties": False,
                }
                for n in cls.ALLOWED
            ]
        }


def _example(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "[" + ", ".join(names) + "]"


class PositivePrior(Prior):
    """A prior of a scale parameter (a standard deviation)."""

    ALLOWED = ("half_normal", "half_student_t", "half_cauchy", "exponential")


class UnitPrior(Prior):
    """A prior of a parameter between 0 and 1."""

    ALLOWED = ("beta",)


class Analysis(Section):
    """What every analysis has, whatever its family. Keys left out are taken from the top of the config."""

    family: str
    title: str = Field("", json_schema_extra=first_read_by("report"))
    """Heading of the report; the analysis's name where it is left out."""
    question: str = Field("", json_schema_extra=first_read_by("report"))
    """The question that the analysis answers, in a sentence or two; opens the report."""
    seed: int | None = Field(None, ge=1, lt=2**31, json_schema_extra=first_read_by("fit"))
    """Random seed; every job derives its own from it."""
    sampling: Sampling | None = Field(None, json_schema_extra=first_read_by("fit"))
    """How Stan samples; keys left out are taken from the top of the config."""
    interval: float | None = Field(None, gt=0.5, lt=1, json_schema_extra=first_read_by("estimate"))
    """Level of the central posterior intervals."""
    on_failed_checks: Literal["stop", "report"] | None = Field(
        None, json_schema_extra=first_read_by("report")
    )
    """What to do where a fit fails its checks twice: `stop` ends the run with an error after the report is
    written, `report` only stamps the results."""

    @abstractmethod
    def input_files(self) -> dict[str, str]:
        """The user's files that `ingest` reads, by the key that names them."""

    @abstractmethod
    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Each column that the config names in a text table: (place of the key, key of the file, column)."""

    @abstractmethod
    def program(self, model: str) -> str:
        """The Stan program of a model, as its path below `stan/` without ending."""

    @property
    def has_graph(self) -> bool:
        """Whether the analysis needs an adjacency graph of its areas."""
        return False

    def view(self, step: str, model: str | None = None) -> dict[str, Any]:
        """The part of the section that a step (and the steps before it) reads, as plain data.

        It is what Snakemake compares to decide on a rerun, and what the step's script gets. With `model`,
        the other models are left out; the steps before `fit` see none.
        """
        last = STEPS.index(step)
        content = self.model_dump(mode="json", exclude_none=True)
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            if STEPS.index(str(extra.get("first_read_by", "ingest"))) > last:
                content.pop(name, None)
        if "models" in content:
            if step == "ingest":
                content.pop("models")
            elif model is not None:
                content["models"] = {model: content["models"][model]}
        return content
