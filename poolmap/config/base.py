"""What the sections of the config share: sampler settings, and which step reads which key."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from poolmap.config.priors import PositivePrior as PositivePrior
from poolmap.config.priors import Prior as Prior
from poolmap.config.priors import UnitPrior as UnitPrior

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
    """How the posterior is sampled."""

    sampler: Literal["stan", "nutpie"] = "stan"
    """`stan`: Stan's own no-U-turn sampler; `nutpie`: the same Stan program, sampled by nutpie (see
    docs/samplers.md)."""
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
    """How the posterior is sampled; keys left out are taken from the top of the config."""
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
    def fitted_by(self) -> str:
        """What samples the posterior, in the report's words."""
        if self.sampling and self.sampling.sampler == "nutpie":
            return "Hamiltonian Monte Carlo with the sampler nutpie on a program in Stan"
        return "Hamiltonian Monte Carlo in Stan"

    @property
    def has_graph(self) -> bool:
        """Whether the analysis needs an adjacency graph of its areas."""
        return False

    def is_calibrated(self, model: str) -> bool:
        """Whether data are simulated from the fit of a model and fitted again (door `calibrate`)."""
        return False

    def graph_files(self) -> list[str]:
        """The user's files that the graph is built from besides what `ingest` has made."""
        return []

    def view(self, step: str, model: str | None = None) -> dict[str, Any]:
        """The part of the section that a step (and the steps before it) reads, as plain data.

        It is what Snakemake compares to decide on a rerun, and what the step's script gets. With `model`,
        the other models are left out; the steps before `fit` see none.
        """
        last = STEPS.index(step)
        content = self.model_dump(mode="json", exclude_none=True)
        _leave_out(self, content, last)
        if "models" in content:
            if step == "ingest":
                content.pop("models")
            elif model is not None:
                content["models"] = {model: content["models"][model]}
        return content


def _leave_out(section: Section, content: dict[str, Any], last: int) -> None:
    """Take the keys out that only steps after this one read, also those of sections inside."""
    for name, info in type(section).model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        if STEPS.index(str(extra.get("first_read_by", "ingest"))) > last:
            content.pop(name, None)
        elif isinstance(getattr(section, name), Section) and isinstance(content.get(name), dict):
            _leave_out(getattr(section, name), content[name], last)
