"""The config section of a meta-analysis (`family: meta`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, PositivePrior, Prior, Section, first_read_by

COUNT_COLUMNS = ("events_1", "total_1", "events_2", "total_2")
ESTIMATE_COLUMNS = ("estimate", "se")

DEFAULT_PRIORS = {
    # measure: (mu, tau). Ratios: Günhan, Röver & Friede 2020 (mu), Röver et al. 2021 (tau).
    "RR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "OR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "RD": (Prior("normal", (0, 1)), PositivePrior("half_normal", (0.25,))),
}


class MetaColumns(Section):
    """Which columns of the study table hold what. Arm 1 is the one whose effect is measured."""

    events_1: Column | None = None
    """Events in arm 1 (treated, exposed)."""
    total_1: Column | None = None
    """People in arm 1."""
    events_2: Column | None = None
    """Events in arm 2 (control, unexposed)."""
    total_2: Column | None = None
    """People in arm 2."""
    estimate: Column | None = None
    """Effect estimate (measure GEN)."""
    se: Column | None = None
    """Its standard error (measure GEN)."""


class MetaModel(Section):
    """One model of a meta-analysis."""

    likelihood: Literal["normal", "binomial"] = "normal"
    """`normal`: effect estimates with known variances; `binomial`: the exact counts of each arm."""
    mu_prior: Prior | None = None
    """Prior of the pooled effect, on the scale of analysis (the log scale for RR and OR)."""
    tau_prior: PositivePrior | None = None
    """Prior of the between-study standard deviation, on the scale of analysis."""
    baseline_prior: Prior = Prior("normal", (0, 10))
    """Prior of each study's log odds (RR: log risk) of an event in arm 2; binomial likelihood only."""


class MetaAnalysis(Analysis):
    """A pairwise random-effects meta-analysis of study results."""

    family: Literal["meta"]
    data: PathText
    """The study table: one row a study."""
    study: Column
    """Column with the study's name; each may stand once."""
    measure: Literal["RR", "OR", "RD", "GEN"]
    """Effect measure: risk ratio, odds ratio, risk difference, or GEN for estimates with standard errors."""
    columns: MetaColumns
    """Which columns hold the counts or estimates."""
    arms: tuple[str, str] = Field(("Treated", "Control"), json_schema_extra=first_read_by("report"))
    """What the two arms are called in the report."""
    effect: str = Field("", json_schema_extra=first_read_by("report"))
    """What the effect is called in the report; the measure's name where it is left out."""
    favours: tuple[str, str] | None = Field(None, json_schema_extra=first_read_by("report"))
    """Labels below the forest plot for effects left and right of no effect."""
    models: dict[Name, MetaModel] = Field(
        default_factory=lambda: {"normal": MetaModel()}, min_length=1, json_schema_extra=first_read_by("fit")
    )
    """The models to fit; the first is the primary one, the rest are compared with it."""

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> MetaAnalysis:
        given = {name for name in MetaColumns.model_fields if getattr(self.columns, name) is not None}
        needed = set(ESTIMATE_COLUMNS if self.measure == "GEN" else COUNT_COLUMNS)
        if given != needed:
            raise PydanticCustomError(
                "columns",
                "measure {measure} takes exactly the columns {needed}; given: {given}",
                {
                    "measure": self.measure,
                    "needed": ", ".join(sorted(needed)),
                    "given": ", ".join(sorted(given)) or "none",
                    "at": "columns",
                },
            )
        for name, model in self.models.items():
            if model.likelihood == "binomial" and self.measure not in ("OR", "RR"):
                raise PydanticCustomError(
                    "likelihood",
                    "the binomial likelihood is available for OR and RR, not for measure {measure}",
                    {"measure": self.measure, "at": f"models.{name}.likelihood"},
                )
            whole = not (info.context or {}).get("partial")
            if whole and self.measure == "GEN" and (model.mu_prior is None or model.tau_prior is None):
                raise PydanticCustomError(
                    "prior_needed",
                    "state mu_prior and tau_prior: measure GEN has no scale from which to defend a default",
                    {"at": f"models.{name}"},
                )
        return self

    def priors(self, model: str) -> dict[str, Prior]:
        """The priors in force for a model: `mu`, `tau`, and `baseline` for the binomial likelihood."""
        chosen = self.models[model]
        mu, tau = DEFAULT_PRIORS.get(self.measure, (chosen.mu_prior, chosen.tau_prior))
        priors = {"mu": chosen.mu_prior or mu, "tau": chosen.tau_prior or tau}
        if chosen.likelihood == "binomial":
            priors["baseline"] = chosen.baseline_prior
        return priors

    def input_files(self) -> dict[str, str]:
        """The study table."""
        return {"data": self.data}

    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """The study column and the columns of counts or estimates."""
        yield ("study",), "data", self.study
        for name in MetaColumns.model_fields:
            column = getattr(self.columns, name)
            if column is not None:
                yield ("columns", name), "data", column

    def program(self, model: str) -> str:
        """`meta/normal` or `meta/binomial`."""
        return f"meta/{self.models[model].likelihood}"
