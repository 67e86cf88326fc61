"""The config section of multilevel regression and poststratification (`family: mrp`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from poolmap.config.base import Analysis, Column, Name, PathText, Section, first_read_by
from poolmap.config.conflicts import Conflict, tell
from poolmap.config.graph import GraphSpec
from poolmap.config.mrp_conflicts import mrp_conflicts
from poolmap.config.mrp_frame import AreaPredictors, Extension, Margin
from poolmap.config.mrp_model import MrpModel
from poolmap.config.mrp_survey import Answer, Bands, SurveyDesign, SurveyOutcome

Text = Annotated[str, Field(min_length=1)]


class Truth(Section):
    """Known true values, to show beside the estimates (a demonstration, a validation)."""

    data: PathText
    """Table with a column for each grouping variable (empty where a row is not about it) and the value; other
    columns are passed over."""
    value: Column
    """Column with the true share (binary: between 0 and 1) or mean."""
    level: Column | None = None
    """Column with the answer that a share is of (ordered, categorical)."""


class MrpMap(Section):
    """Polygons on which the estimates of one variable are drawn, and from which neighbours are found."""

    geometry: PathText
    """The polygons, in any format that GDAL reads."""
    variable: Column
    """The variable of the census that names the area."""
    column: Column | None = None
    """Column of the polygons with the area's name, where it is called otherwise there."""
    layer: Column | None = None
    """Layer (TopoJSON: object) with the polygons, where their file holds several."""
    crs: Column | None = None
    """Coordinate reference system of the polygons (EPSG:27700), where their file names none."""
    credit: str = Field("", json_schema_extra=first_read_by("report"))
    """Where borders and data come from, in small print below the maps."""


class Contrast(Section):
    """Levels of a variable that are compared, by difference and by ratio: first minus (over) second."""

    variable: Column
    """A variable of the census, or the `time`."""
    levels: tuple[Text, Text]
    """The two levels; first - second, first / second."""
    within: tuple[Column, ...] = ()
    """Variables within whose levels they are compared; none: in the whole population."""

    def conflicts(self, at: str) -> list[Conflict]:
        """What of it cannot be, `at` being its place."""
        found = []
        if self.levels[0] == self.levels[1]:
            found.append(Conflict(f"{at}.levels", f"'{self.levels[0]}' is compared with itself"))
        if self.variable in self.within:
            what = f"'{self.variable}' is compared within its own levels"
            found.append(Conflict(f"{at}.within", what, "leave it away here"))
        return found


class MrpAnalysis(Analysis):
    """Small-area and subgroup estimates from a survey and a census."""

    family: Literal["mrp"]

    survey: PathText | dict[Name, PathText]
    """The survey: one row a respondent. Several, pooled: a name and a file each; the variable `survey` then
    says which one a respondent is from."""
    outcome: SurveyOutcome
    """What was asked."""
    weight: Column | None = None
    """Column of the survey with the sampling weight, for the weighted estimates shown beside the model's."""
    design: SurveyDesign = SurveyDesign()
    """How the survey was drawn, for the standard errors of the weighted estimates."""
    recode: dict[Column, dict[Text, Text]] = Field(default_factory=dict)
    """New names of levels, by variable, for survey and census alike: `{sex: {M: male, F: female}}`. NA stands
    for a missing value: `{income: {"999": NA}}`."""
    bands: dict[Column, Bands] = Field(default_factory=dict)
    """Numbers cut into bands, by the name of the new variable, for survey and census alike:
    `{age: {column: age_years, lower: [18, 30, 45, 65]}}`."""
    missing: Literal["drop", "level"] | dict[Column, Literal["drop", "level"]] = "drop"
    """Respondents without a value of a variable: `drop` (left out and listed) or `level` (a level "missing"
    of their own, which nobody in the census has)."""
    house: tuple[Column, ...] = ()
    """Variables of the formula that say how the survey was taken (survey house, mode) and that the census
    lacks; estimates are for the average of the effects of their levels."""
    time: Column | None = None
    """Variable of the survey that says when it was taken (wave, week). A census without it holds for all
    times."""

    census: PathText | None = None
    """The census: one row a cell with its number of people; with `microdata`, one row a person."""
    count: Column | None = None
    """Column of the census with the number of people in the cell; with `microdata`, the person's weight (left
    out: 1 each)."""
    microdata: bool = False
    """Whether the census has a row for each person."""
    margins: tuple[Margin, ...] = ()
    """Tables of margins in place of a census of cells: the cells are made to agree with all (raking)."""
    seed_table: Literal["survey", "uniform"] | PathText = "uniform"
    """Where the cells of `margins` start from, which sets their associations: all alike (`uniform`), the
    (weighted) survey, or a table of cells; what it holds as 0 stays 0."""
    extend: tuple[Extension, ...] = ()
    """Variables of the formula that the census lacks, put into it by a model of the survey."""
    area_predictors: tuple[AreaPredictors, ...] = ()
    """Tables of predictors of areas, joined to survey and census."""

    formula: str = Field(pattern=r"~")
    """The model in lme4 notation, e.g. "vote ~ 1 + income + (1 | state) + (1 | age) + (1 | state:age)".
    Numeric predictors, factors and their interactions; varying intercepts
    and slopes, "(1 + income | state)"."""
    order: dict[Column, tuple[Text, ...]] = Field(default_factory=dict)
    """Order of the levels of a factor, where it is neither that of its numbers nor of its bands."""
    map: MrpMap | None = None
    """Polygons of the areas."""
    graph: GraphSpec = GraphSpec()
    """Which areas are neighbours, where a model's structure is `icar` or `bym2`."""
    models: dict[Name, MrpModel] = Field(
        default_factory=lambda: {"main": MrpModel()}, min_length=1, json_schema_extra=first_read_by("fit")
    )
    """The models to fit; the first is the primary one, the rest are compared with it."""

    estimates: tuple[str, ...] = Field(min_length=1)
    """Groupings to estimate for: variables of the census, or several joined by colons ("state:age").
    The total is always estimated."""
    contrasts: tuple[Contrast, ...] = ()
    """Differences and ratios between groups, or changes over time."""
    thresholds: tuple[float, ...] = Field((), json_schema_extra=first_read_by("estimate"))
    """Values whose posterior probability of being exceeded is reported, of every group."""
    truth: Truth | None = None
    """Known true values to show beside the estimates."""
    leave_out: Column | None = None
    """A variable (the area) whose levels are left out one by one, to see how well each is predicted; most of
    them by a fit of their own, which takes its time."""
    calibrate: int = Field(0, ge=0, le=1000, json_schema_extra=first_read_by("estimate"))
    """Number of surveys simulated from the fitted model and fitted again, to tell the expected error of each
    area's estimate; of the primary model only (for another one, put it first in `models`)."""
    outcome_name: str = Field("", json_schema_extra=first_read_by("report"))
    """What the share or mean is called in the report; of a rate with its unit ("visits a year")."""

    @field_validator("recode", mode="before")
    @classmethod
    def _named(cls, recode: Any) -> Any:
        """A level that is recoded to nothing."""
        if isinstance(recode, dict):
            tell(
                [
                    Conflict(f"{name}.{old}", f"'{old}' gets no name", "write NA for a missing value")
                    for name, levels in recode.items()
                    if isinstance(levels, dict)
                    for old, new in levels.items()
                    if new is None or new == ""
                ]
            )
        return recode

    @model_validator(mode="after")
    def _consistent(self) -> MrpAnalysis:
        tell(mrp_conflicts(self))
        return self

    def groupings(self) -> list[tuple[str, ...]]:
        """The variables of each requested table of estimates; the empty tuple is the total."""
        return [(), *(tuple(part.strip() for part in text.split(":")) for text in self.estimates)]

    @staticmethod
    def table_name(grouping: tuple[str, ...]) -> str:
        """The estimates table (and file) of a grouping: `total`, `county`, `county_school_type`."""
        return re.sub(r"\W+", "_", "_".join(grouping)) or "total"

    def formula_of(self, model: str) -> str:
        """The formula of a model."""
        return self.models[model].formula or self.formula

    @property
    def surveys(self) -> dict[str, str]:
        """The survey files by name; a single one is called `survey`."""
        return self.survey if isinstance(self.survey, dict) else {"survey": self.survey}

    def is_calibrated(self, model: str) -> bool:
        """Whether surveys are simulated from the fit of a model: the primary one, where `calibrate` asks."""
        return bool(self.calibrate) and model == next(iter(self.models))

    @property
    def has_graph(self) -> bool:
        """Whether a model shares effects between neighbours."""
        return any(model.is_areal for model in self.models.values())

    def graph_files(self) -> list[str]:
        """The files that the graph is built from besides the polygons as read."""
        if self.graph.method == "arcs" and self.map is not None:
            return [self.map.geometry]
        return [self.graph.file] if self.graph.file is not None else []

    @property
    def geometry(self) -> str:
        """The file of the polygons."""
        return self.map.geometry if self.map is not None else ""

    @property
    def geometry_area(self) -> str:
        """The column of the polygons with the area."""
        return (self.map.column or self.map.variable) if self.map is not None else ""

    @property
    def geometry_layer(self) -> str | None:
        """The layer with the polygons."""
        return self.map.layer if self.map is not None else None

    def view(self, step: str, model: str | None = None) -> dict[str, Any]:
        """As `Analysis.view`; reading the data needs what every model's formula and structure name."""
        content = super().view(step, model)
        if step == "ingest":
            kept = {"formula", "structure"}
            content["models"] = {
                name: own.model_dump(mode="json", include=kept, exclude_defaults=True)
                for name, own in self.models.items()
            }
        return content

    def input_files(self) -> dict[str, str]:
        """Surveys, census or margins, and what else the config names."""
        pooled = isinstance(self.survey, dict)
        files = {f"survey.{name}" if pooled else "survey": path for name, path in self.surveys.items()}
        if self.census is not None:
            files["census"] = self.census
        files |= {f"margins.{i}.data": margin.data for i, margin in enumerate(self.margins)}
        if self.margins and self.seed_table not in ("survey", "uniform"):
            files["seed_table"] = self.seed_table
        files |= {f"extend.{i}.known": e.known for i, e in enumerate(self.extend) if e.known is not None}
        files |= {f"area_predictors.{i}.data": p.data for i, p in enumerate(self.area_predictors)}
        if self.truth is not None:
            files["truth.data"] = self.truth.data
        if self.map is not None:
            files["map.geometry"] = self.map.geometry
        if self.has_graph and self.graph.file is not None:
            files["graph.file"] = self.graph.file
        return files

    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """What the config names in the survey, the census and the further tables.

        The variables of formulas and estimates are left to the family's `look`.
        """
        in_survey = {
            ("outcome", "column"): self.outcome.column,
            ("outcome", "exposure"): self.outcome.exposure,
            ("weight",): self.weight,
            ("time",): self.time,
            ("design", "strata"): self.design.strata,
        }
        in_survey |= {("design", "clusters", str(i)): name for i, name in enumerate(self.design.clusters)}
        sizes = self.design.population_sizes
        in_survey |= {("design", "population_sizes", str(i)): name for i, name in enumerate(sizes)}
        in_survey |= {("design", "inclusion", str(i)): name for i, name in enumerate(self.design.inclusion)}
        in_survey |= {("house", str(i)): name for i, name in enumerate(self.house)}
        in_survey |= {("extend", str(i), "variable"): e.variable for i, e in enumerate(self.extend)}
        made = {*self.bands, *([] if not isinstance(self.survey, dict) else ["survey"])}
        for name in self.surveys:
            file = f"survey.{name}" if isinstance(self.survey, dict) else "survey"
            for key, column in in_survey.items():
                if column is not None and column not in made:
                    yield key, file, column
        if self.count is not None:
            yield ("count",), "census" if self.census is not None else "seed_table", self.count
        for i, margin in enumerate(self.margins):
            yield ("margins", str(i), "count"), f"margins.{i}.data", margin.count
        for i, extension in enumerate(self.extend):
            if extension.count is not None:
                yield ("extend", str(i), "count"), f"extend.{i}.known", extension.count
        for i, source in enumerate(self.area_predictors):
            if source.area not in self.bands:
                yield ("area_predictors", str(i), "area"), f"area_predictors.{i}.data", source.area
            for j, column in enumerate(source.columns):
                yield ("area_predictors", str(i), "columns", str(j)), f"area_predictors.{i}.data", column
        if self.truth is not None:
            yield ("truth", "value"), "truth.data", self.truth.value
            if self.truth.level is not None:
                yield ("truth", "level"), "truth.data", self.truth.level

    def program(self, model: str) -> str:
        """The program, one for all kinds of outcome."""
        return "mrp/mrp"


__all__ = ["Answer", "Contrast", "MrpAnalysis", "MrpMap", "MrpModel", "Truth"]
