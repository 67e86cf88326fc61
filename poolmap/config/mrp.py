"""The config section of multilevel regression and poststratification (`family: mrp`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, Section, first_read_by
from poolmap.config.priors import HalfPrior, UnboundedPrior


class SurveyOutcome(Section):
    """The yes/no outcome of the survey."""

    column: Column
    """Column of the survey with the answer."""
    positive: StrictStr | StrictInt | StrictFloat
    """The answer that counts as yes."""
    negative: Literal["others"] | tuple[StrictStr | StrictInt | StrictFloat, ...] | None = None
    """The answers that count as no; any further one is left out and listed. `others`: every other answer
    counts as no. Needed where the survey holds more than one other answer. Missing answers are left out."""


class Truth(Section):
    """Known true shares, to show beside the estimates (a demonstration, a validation)."""

    data: PathText
    """Table with a column for each grouping variable (empty where a row is not about it) and the share; other
    columns are passed over."""
    value: Column
    """Column with the true share, between 0 and 1."""


class MrpMap(Section):
    """Polygons on which the estimates of one variable are drawn."""

    geometry: PathText
    """The polygons, in any format that GDAL reads."""
    variable: Column
    """The variable of the census (and of `estimates`) that names the area."""
    column: Column | None = None
    """Column of the polygons with the area's name, where it is called otherwise there."""


class MrpModel(Section):
    """One model of a survey outcome."""

    alpha_prior: UnboundedPrior = UnboundedPrior("normal", (0, 2.5))
    """Prior of the intercept, on the logit scale with predictors centred."""
    beta_prior: UnboundedPrior = UnboundedPrior("normal", (0, 1))
    """Prior of each coefficient, on the logit scale, predictors standardised."""
    sigma_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the standard deviation of each batch of varying intercepts, on the logit scale."""


class MrpAnalysis(Analysis):
    """Small-area estimates of a share from a survey and a census."""

    family: Literal["mrp"]
    survey: PathText
    """The survey: one row a respondent."""
    census: PathText
    """The census: one row a cell, with every variable of the formula and the number of people."""
    count: Column
    """Column of the census with the number of people in the cell."""
    weight: Column | None = None
    """Column of the survey with the sampling weight, for the weighted estimates shown beside the model's."""
    outcome: SurveyOutcome
    """The yes/no outcome."""
    formula: str = Field(pattern=r"~")
    """The model in lme4 notation, e.g. "vote ~ 1 + income + (1 | state) + (1 | age) + (1 | state:age)"."""
    estimates: tuple[str, ...] = Field(min_length=1)
    """Groupings to estimate for: variables of the census, or several joined by colons ("state:age").
    The total is always estimated."""
    truth: Truth | None = None
    """Known true shares to show beside the estimates."""
    map: MrpMap | None = None
    """Polygons on which the estimates of one variable are drawn."""
    outcome_name: str = Field("", json_schema_extra=first_read_by("report"))
    """What the share is called in the report."""
    models: dict[Name, MrpModel] = Field(
        default_factory=lambda: {"main": MrpModel()}, min_length=1, json_schema_extra=first_read_by("fit")
    )
    """The models to fit; the first is the primary one, the rest are compared with it."""

    @model_validator(mode="after")
    def _consistent(self) -> MrpAnalysis:
        if self.map is not None and self.map.variable not in self.estimates:
            raise PydanticCustomError(
                "map",
                "'{variable}' is mapped but not estimated: add it to 'estimates'",
                {"variable": self.map.variable, "at": "map.variable"},
            )
        tables = ["total", "parameters"]
        for grouping in self.groupings()[1:]:
            table = self.table_name(grouping)
            if "" in grouping or len(set(grouping)) < len(grouping) or table in tables:
                raise PydanticCustomError(
                    "estimates",
                    "'{grouping}' is empty, repeats a variable, or would be written to the same table as "
                    "another grouping ('{table}')",
                    {"grouping": ":".join(grouping), "table": table, "at": "estimates"},
                )
            tables.append(table)
        return self

    def groupings(self) -> list[tuple[str, ...]]:
        """The variables of each requested table of estimates; the empty tuple is the total."""
        return [(), *(tuple(part.strip() for part in text.split(":")) for text in self.estimates)]

    @staticmethod
    def table_name(grouping: tuple[str, ...]) -> str:
        """The estimates table (and file) of a grouping: `total`, `county`, `county_school_type`."""
        return re.sub(r"\W+", "_", "_".join(grouping)) or "total"

    def input_files(self) -> dict[str, str]:
        """Survey, census, and the truth and the polygons where they are given."""
        files = {"survey": self.survey, "census": self.census}
        if self.truth is not None:
            files["truth"] = self.truth.data
        if self.map is not None:
            files["geometry"] = self.map.geometry
        return files

    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Outcome and weight in the survey; count and the variables of the estimates in the census."""
        yield ("outcome", "column"), "survey", self.outcome.column
        if self.weight is not None:
            yield ("weight",), "survey", self.weight
        yield ("count",), "census", self.count
        for variable in dict.fromkeys(v for grouping in self.groupings() for v in grouping):
            yield ("estimates",), "census", variable
        if self.truth is not None:
            yield ("truth", "value"), "truth", self.truth.value

    def program(self, model: str) -> str:
        """`mrp/binomial`."""
        return "mrp/binomial"
