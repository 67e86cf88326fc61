"""What a survey asked, how it was drawn, and how its columns become the variables of a model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from poolmap.config.base import Column, Section
from poolmap.config.conflicts import Conflict, tell

Answer = StrictStr | StrictInt | StrictFloat
KINDS = ("binary", "continuous", "count", "ordered", "categorical")


class Validation(Section):
    """One validation study of a test: persons of known status, and how many the test got right."""

    correct: int = Field(ge=0)
    """Persons whose status the test told rightly."""
    of: int = Field(ge=0)
    """Persons tested."""

    @model_validator(mode="after")
    def _consistent(self) -> Validation:
        if self.correct > self.of:
            tell(
                [Conflict("correct", f"{self.correct} of {self.of} cannot be right: write `correct` <= `of`")]
            )
        return self


class Test(Section):
    """How well the answer `positive` tells who is a case; estimated together with the prevalence."""

    sensitivity: tuple[Validation, ...] = Field(min_length=1)
    """Studies of cases: how many of them tested positive."""
    specificity: tuple[Validation, ...] = Field(min_length=1)
    """Studies of persons who are no cases: how many of them tested negative."""
    between_studies: Literal["equal", "varying"] = "equal"
    """`equal`: all studies share one sensitivity (and specificity); `varying`: they vary about a mean on the
    logit scale, and the survey's own is one more of them (Gelman and Carpenter 2020)."""

    @model_validator(mode="after")
    def _consistent(self) -> Test:
        tested = [sum(study.of for study in studies) for studies in (self.sensitivity, self.specificity)]
        right = [sum(study.correct for study in studies) for studies in (self.sensitivity, self.specificity)]
        if all(tested) and right[0] / tested[0] + right[1] / tested[1] <= 1:
            both = f"sensitivity {right[0] / tested[0]:.2f}, specificity {right[1] / tested[1]:.2f}"
            what = (
                f"by these studies the test tells nothing, or the opposite: {both}, together no more than 1"
            )
            remedy = "`correct` counts cases that tested positive (sensitivity), others that tested negative"
            tell([Conflict("specificity", what, remedy)])
        return self


class SurveyOutcome(Section):
    """What was asked in the survey."""

    column: Column
    """Column of the survey with the answer."""
    kind: Literal["binary", "continuous", "count", "ordered", "categorical"] = "binary"
    """`binary` (yes or no), `continuous` (a measurement, normal about its mean), `count` (0, 1, 2 ...),
    `ordered` (levels in an order) or `categorical` (levels without one)."""
    positive: Answer | None = None
    """The answer that counts as yes (binary)."""
    negative: Literal["others"] | tuple[Answer, ...] | None = None
    """The answers that count as no (binary); any further one is left out and listed. `others`: every other
    answer counts as no. Needed where the survey holds more than one other answer. Missing answers are left
    out."""
    levels: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """The answers in their order (ordered), or those to be told apart (categorical: the first is the model's
    reference); by default all answers that the survey holds (categorical). Others are left out and listed."""
    exposure: Column | None = None
    """Column of the survey with the time at risk that a count belongs to (count); by default the same for
    all, and the mean count is estimated."""
    test: Test | None = None
    """The outcome is the result of a test that errs (binary): its validation studies."""

    @model_validator(mode="after")
    def _consistent(self) -> SurveyOutcome:
        readers = {
            "positive": ("binary",),
            "negative": ("binary",),
            "test": ("binary",),
            "levels": ("ordered", "categorical"),
            "exposure": ("count",),
        }
        found = [
            Conflict(key, f"it goes with `kind: {' or '.join(kinds)}`, and the kind is {self.kind}")
            for key, kinds in readers.items()
            if getattr(self, key) not in (None, ()) and self.kind not in kinds
        ]
        if self.kind == "binary" and self.positive is None:
            found.append(Conflict("positive", "a binary outcome needs the answer that counts as yes"))
        if self.kind == "ordered" and len(self.levels) < 3:
            found.append(Conflict("levels", "an ordered outcome needs its answers in order, three or more"))
        if len(set(self.levels)) < len(self.levels):
            found.append(Conflict("levels", "a level stands twice"))
        tell(found)
        return self


class SurveyDesign(Section):
    """How the survey was drawn, for the standard errors of the direct estimates beside the model's."""

    strata: Column | None = None
    """Column of the survey with the stratum."""
    clusters: tuple[Column, ...] = ()
    """Columns of the survey with the sampling units, the primary ones first."""
    population_sizes: tuple[Column, ...] = ()
    """Columns with the number of units (of each stage) in the population or stratum, for the finite
    population correction; one a stage."""
    inclusion: tuple[Column, ...] = ()
    """In place of `population_sizes`, where units were drawn without replacement and not all with the same
    probability (proportional to size): columns with the probability that the unit was drawn, given the unit
    of the stage before; one a stage, `[p]`. Needs `weight`."""

    @model_validator(mode="after")
    def _consistent(self) -> SurveyDesign:
        found = []
        if self.inclusion and self.population_sizes:
            what = (
                "it stands in place of `population_sizes`: leave one of the two away. Of units that all had "
                "the same probability it is the number drawn over the population size"
            )
            found.append(Conflict("inclusion", what))
        stages = len(self.clusters) + 1
        for key in ("population_sizes", "inclusion"):
            if len(getattr(self, key)) > stages:
                what = (
                    f"{len(getattr(self, key))} columns for {stages} stage{'s' * (stages > 1)}: one for each "
                    "of `clusters`, and one for the respondents"
                )
                found.append(Conflict(key, what))
        tell(found)
        return self


class Bands(Section):
    """A number cut into bands: age groups."""

    column: Column | None = None
    """Column with the number, where it is called otherwise than the new variable. A side (survey or census)
    that has the new variable already, and not this column, is left as it is."""
    lower: tuple[StrictFloat, ...] = Field(min_length=1)
    """Lower bounds of the bands, ascending; the last one is open above. Numbers below the first are left
    out and listed."""
    labels: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of the bands; by default "18-29", "30-44", ..., "75+"."""

    @model_validator(mode="before")
    @classmethod
    def _with_keys(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            tell([Conflict("", "a list stands where keys are expected", f"write {{lower: {list(given)}}}")])
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Bands:
        found = []
        if list(self.lower) != sorted(set(self.lower)):
            found.append(Conflict("lower", "write the lower bounds in ascending order, each once"))
        if self.labels and len(self.labels) != len(self.lower):
            found.append(Conflict("labels", f"{len(self.labels)} labels for {len(self.lower)} bands"))
        tell(found)
        return self
