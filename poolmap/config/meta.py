"""The config section of a meta-analysis (`family: meta`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, PositivePrior, Prior, Section, first_read_by

COUNT_COLUMNS = ("events_1", "total_1", "events_2", "total_2")

_PERSON_TIME = ("events_1", "time_1", "events_2", "time_2")
_MEANS = ("mean_1", "sd_1", "n_1", "mean_2", "sd_2", "n_2")
MEASURES: dict[str, tuple[str, ...]] = {
    "OR": COUNT_COLUMNS,
    "RR": COUNT_COLUMNS,
    "RD": COUNT_COLUMNS,
    "PETO": COUNT_COLUMNS,
    "IRR": _PERSON_TIME,
    "IRD": _PERSON_TIME,
    "MD": _MEANS,
    "SMD": _MEANS,
    "ROM": _MEANS,
    "PLO": ("events", "total"),
    "PFT": ("events", "total"),
    "PR": ("events", "total"),
    "IRLN": ("events", "time"),
    "IR": ("events", "time"),
    "MN": ("mean", "sd", "n"),
    "ZCOR": ("r", "n"),
}
"""The raw columns of each measure but GEN, in a table with one row a study."""
PRECISION_COLUMNS = (("se",), ("variance",), ("lower", "upper"), ("p_value",))
"""What may tell the precision of an estimate (measure GEN); exactly one of them does."""
NO_CORRECTION = ("PETO",)
"""Measures that zero cells leave defined, so that nothing is added to them unless the config says so."""

DEFAULT_PRIORS = {
    # measure: (mu, tau). Ratios: Günhan, Röver & Friede 2020 (mu), Röver et al. 2021 (tau).
    "RR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "OR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "RD": (Prior("normal", (0, 1)), PositivePrior("half_normal", (0.25,))),
    "PETO": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "IRR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
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


class ZeroCells(Section):
    """What is added to cells of counts for estimates with a large-sample variance (never for exact ones)."""

    value: float = Field(0.5, gt=0, le=1)
    """What is added to each cell: events and non-events of both arms, or events in person-time."""
    to: Literal["only0", "all", "none"] = "only0"
    """`only0`: in studies with a zero cell; `all`: in every study; `none`: a study whose estimate or
    variance is then undefined is left out."""


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
    """The study table: CSV, TSV, Excel (.xlsx) or Parquet."""
    sheet: str | None = Field(None, min_length=1)
    """Sheet of an Excel workbook; the first one where it is left out."""
    layout: Literal["wide", "long"] = "wide"
    """`wide`: one row a study; `long`: one row an arm."""
    study: Column
    """Column with the study's name; each may stand once (`layout: long`: once for each of its two arms)."""
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
        self._check_columns()
        for name, model in self.models.items():
            if model.likelihood == "binomial" and self.measure not in ("OR", "RR"):
                raise PydanticCustomError(
                    "likelihood",
                    "the binomial likelihood is available for OR and RR, not for measure {measure}",
                    {"measure": self.measure, "at": f"models.{name}.likelihood"},
                )
            whole = not (info.context or {}).get("partial")
            stated = model.mu_prior is not None and model.tau_prior is not None
            if whole and self.measure not in DEFAULT_PRIORS and not stated:
                raise PydanticCustomError(
                    "prior_needed",
                    "state mu_prior and tau_prior: there is no default that could be defended for measure "
                    "{measure} whatever its unit and subject",
                    {"measure": self.measure, "at": f"models.{name}"},
                )
            if self.add is not None and self.add.to == "none" and model.likelihood != "normal":
                raise PydanticCustomError(
                    "add",
                    "`to: none` leaves out studies whose own estimate a zero cell makes undefined; the "
                    "{name} likelihood needs no addition and can use them: leave `add` away",
                    {"name": model.likelihood, "at": "add.to"},
                )
        return self

    def _check_columns(self) -> None:
        given = {name for name in MetaColumns.model_fields if getattr(self.columns, name) is not None}
        if self.layout == "long" and not self.compares_arms:
            raise PydanticCustomError(
                "layout",
                "measure {measure} has no two arms to stand in rows of their own: leave `layout` away",
                {"measure": self.measure, "at": "layout"},
            )
        if (self.layout == "long") != (self.reference is not None):
            raise PydanticCustomError(
                "reference",
                "`reference` names the arm to compare with where `layout: long` says that each arm has a "
                "row: give both or neither",
                {"at": "reference" if self.reference is not None else "layout"},
            )
        if self.measure == "GEN":
            valid = any(given == {"estimate", *precision} for precision in PRECISION_COLUMNS)
            needed = "estimate and one of " + "; ".join(" with ".join(names) for names in PRECISION_COLUMNS)
        else:
            valid = given == set(self.needed_columns)
            needed = "exactly the columns " + ", ".join(sorted(self.needed_columns))
        if not valid:
            raise PydanticCustomError(
                "columns",
                "measure {measure} takes {needed}; given: {given}",
                {
                    "measure": self.measure,
                    "needed": needed,
                    "given": ", ".join(sorted(given)) or "none",
                    "at": "columns",
                },
            )
        if self.add is not None and not self.has_cells:
            raise PydanticCustomError(
                "add",
                "measure {measure} has no cells of counts to add to: leave `add` away",
                {"measure": self.measure, "at": "add"},
            )

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
            return tuple(n for n in MetaColumns.model_fields if getattr(self.columns, n) is not None)
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
        """The study column and the columns of raw data or estimates."""
        yield ("study",), "data", self.study
        for name in MetaColumns.model_fields:
            column = getattr(self.columns, name)
            if column is not None:
                yield ("columns", name), "data", column

    def program(self, model: str) -> str:
        """`meta/normal` or `meta/binomial`."""
        return f"meta/{self.models[model].likelihood}"
