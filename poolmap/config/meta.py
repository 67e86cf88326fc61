"""The config section of a meta-analysis (`family: meta`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, Prior, Section, first_read_by
from poolmap.config.conflicts import tell
from poolmap.config.measures import COUNT_COLUMNS as COUNT_COLUMNS
from poolmap.config.measures import DEFAULT_PRIORS, GENERIC_COLUMNS, MEASURES, NO_CORRECTION
from poolmap.config.meta_conflicts import conflicts
from poolmap.config.meta_model import MetaModel


def _text_or_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError(
            "value", "a text or a number is expected: put it in quotes, spelt as in the table"
        )
    return value


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    if not values:
        raise PydanticCustomError(
            "values", "no value is given: name those to leave out, or leave the key away"
        )
    return values


Value = Annotated[StrictStr | StrictInt | StrictFloat, BeforeValidator(_text_or_number)]
"""A value of a table's column, as it is written in the config."""
Values = Annotated[tuple[Value, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]


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
    time_1: Column | None = None
    """Person-time in arm 1."""
    time_2: Column | None = None
    """Person-time in arm 2."""
    mean_1: Column | None = None
    """Mean in arm 1."""
    sd_1: Column | None = None
    """Standard deviation in arm 1 (not the standard error of the mean)."""
    n_1: Column | None = None
    """People in arm 1 (means)."""
    mean_2: Column | None = None
    """Mean in arm 2."""
    sd_2: Column | None = None
    """Standard deviation in arm 2."""
    n_2: Column | None = None
    """People in arm 2 (means)."""
    events: Column | None = None
    """Events in the group (measures of a single group) or in the row's arm (`layout: long`)."""
    total: Column | None = None
    """People in the group or arm."""
    time: Column | None = None
    """Person-time in the group or arm."""
    mean: Column | None = None
    """Mean in the group or arm."""
    sd: Column | None = None
    """Standard deviation in the group or arm."""
    n: Column | None = None
    """People in the group or arm (means), or pairs (correlations)."""
    r: Column | None = None
    """Pearson correlation."""
    arm: Column | None = None
    """The arm that the row is of (`layout: long`)."""
    estimate: Column | None = None
    """Effect estimate (measure GEN)."""
    se: Column | None = None
    """Its standard error; that of the logarithm where the estimate is a ratio."""
    variance: Column | None = None
    """Its variance, in place of the standard error."""
    lower: Column | None = None
    """Lower limit of its confidence interval (level: `confidence`), in place of the standard error."""
    upper: Column | None = None
    """Upper limit of its confidence interval."""
    p_value: Column | None = None
    """Two-sided p-value of no effect, in place of the standard error."""
    correlation: Column | None = None
    """Correlation of the sampling errors of a study's effects (with `effect_id`); the same in its rows."""


class ZeroCells(Section):
    """What is added to cells of counts for estimates with a large-sample variance (never for exact ones)."""

    value: float = Field(0.5, gt=0, le=1)
    """What is added to each cell: events and non-events of both arms, or events in person-time."""
    to: Literal["only0", "all", "none"] = "only0"
    """`only0`: in studies with a zero cell; `all`: in every study; `none`: a study whose estimate or
    variance is then undefined is left out."""


class MetaAnalysis(Analysis):
    """A pairwise random-effects meta-analysis of study results."""

    family: Literal["meta"]
    data: PathText
    """The study table: CSV, TSV, Excel (.xlsx) or Parquet."""
    sheet: str | None = Field(None, min_length=1)
    """Sheet of an Excel workbook; the first one where it is left out."""
    layout: Literal["wide", "long"] = "wide"
    """`wide`: one row a study; `long`: one row an arm."""
    study: Column
    """Column with the study's name; each may stand once (`layout: long`: once for each of its two arms;
    with `effect_id`: once for each of its effects)."""
    effect_id: Column | None = None
    """Column that tells the effects of one study apart, where a study has several of them, each in a row."""
    measure: Literal[
        *("OR", "RR", "RD", "PETO", "IRR", "IRD", "MD", "SMD", "ROM"),
        *("PLO", "PFT", "PR", "IRLN", "IR", "MN", "ZCOR", "GEN"),
    ]
    """Effect measure, called as in metafor: odds ratio, risk ratio, risk difference, Peto's odds ratio;
    incidence rate ratio and difference; mean difference, standardised mean difference (Hedges' g), log ratio
    of means; of a single group the proportion as log odds (PLO), Freeman-Tukey double arcsine (PFT) or as it
    is (PR), the incidence rate as logarithm (IRLN) or as it is (IR), the mean (MN); the correlation as
    Fisher's z; GEN for estimates with their precision."""
    columns: MetaColumns
    """Which columns hold the raw data or estimates."""
    reference: str | None = Field(None, min_length=1)
    """The arm against which the other one is compared (`layout: long`)."""
    add: ZeroCells | None = None
    """What is done about zero cells; left out: 0.5 in studies that have one (PETO: nothing is added)."""
    estimate_scale: Literal["plain", "ratio", "log_ratio"] = "plain"
    """What the estimates of measure GEN are: analysed as they are; ratios (with their limits), analysed as
    logarithms; or logarithms of ratios. Standard errors and variances are always those of the logarithm."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """Level of the confidence intervals in the columns `lower` and `upper`."""
    moderators: tuple[Column, ...] = ()
    """Columns that formulas and subgroups use: numbers where every value is one, else categories. A study
    without a value in one of them is left out of all models."""
    exclude: dict[Column, Values] = Field({})
    """Studies to leave out: those with one of these values in the column; they are listed in the report."""
    risk_of_bias: dict[Annotated[str, Field(min_length=1)], Column] = Field({})
    """Judgements to show in the forest plot: what the domain is called, and its column, with low, some
    concerns (or moderate), high (or serious, critical), unclear (or no information)."""
    cumulative: Column | None = None
    """Column that orders the studies of the cumulative meta-analysis, such as the year."""
    thresholds: tuple[float, ...] = Field((), json_schema_extra=first_read_by("estimate"))
    """Effects of interest, as reported (a ratio, not its logarithm): the report gives the probability that
    the pooled effect, and that of a new study, lies below and above each."""
    baseline_risks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (), json_schema_extra=first_read_by("estimate")
    )
    """Risks without the intervention for which absolute risks and the number needed to treat are given (OR,
    RR, RD, PETO)."""
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
        context = info.context or {}
        if not context.get("unchecked"):
            tell(conflicts(self, whole=not context.get("partial")))
        return self

    @property
    def compares_arms(self) -> bool:
        """Whether the measure is computed from the data of two arms."""
        return any(name.endswith("_1") for name in MEASURES.get(self.measure, ()))

    @property
    def has_cells(self) -> bool:
        """Whether the measure is computed from counts, to which something may be added."""
        return self.measure != "PFT" and any(n.startswith("events") for n in MEASURES.get(self.measure, ()))

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """The columns to read: under the measure's names, or (`layout: long`) those of one arm and `arm`."""
        if self.measure == "GEN":
            return tuple(n for n in GENERIC_COLUMNS if getattr(self.columns, n) is not None)
        names = MEASURES[self.measure]
        if self.layout == "long":
            return (*(n.removesuffix("_1") for n in names if n.endswith("_1")), "arm")
        return names

    @property
    def zero_cells(self) -> ZeroCells:
        """What is done about zero cells."""
        if self.add is not None:
            return self.add
        return ZeroCells(to="none" if self.measure in NO_CORRECTION else "only0")

    def priors(self, model: str) -> dict[str, Prior]:
        """The priors in force for a model, by the parameter's name; only those that it has."""
        mu, tau = DEFAULT_PRIORS.get(self.measure, (None, None))
        return self.models[model].priors(self.measure, mu, tau, several_effects=self.effect_id is not None)

    def input_files(self) -> dict[str, str]:
        """The study table."""
        return {"data": self.data}

    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """The study column, those of raw data or estimates, and those of the options."""
        yield ("study",), "data", self.study
        for name in ("effect_id", "cumulative"):
            if getattr(self, name) is not None:
                yield (name,), "data", getattr(self, name)
        for name in MetaColumns.model_fields:
            column = getattr(self.columns, name)
            if column is not None:
                yield ("columns", name), "data", column
        for column in self.moderators:
            yield ("moderators",), "data", column
        for column in self.exclude:
            yield ("exclude", column), "data", column
        for domain, column in self.risk_of_bias.items():
            yield ("risk_of_bias", domain), "data", column

    def program(self, model: str) -> str:
        """One of the programs of `stan/meta/`."""
        if self.effect_id is not None:
            return "meta/multilevel"
        likelihood = self.models[model].likelihood
        if likelihood in ("binomial", "poisson") and not self.compares_arms:
            return "meta/group"
        return f"meta/{likelihood}"
