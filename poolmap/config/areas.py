"""The config section of a disease map (`family: areas`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, Section, first_read_by
from poolmap.config.graph import GraphSpec
from poolmap.config.maps import MapSpec
from poolmap.config.priors import HalfPrior, ShareOrPCPrior, UnboundedPrior, UnitPrior

Likelihood = Literal[
    "poisson", "negative_binomial", "zero_inflated_poisson", "binomial", "beta_binomial", "normal"
]
SCALES: dict[str, tuple[str, ...]] = {
    "rr": ("poisson", "negative_binomial", "zero_inflated_poisson"),
    "prevalence": ("binomial", "beta_binomial"),
    "mean": ("normal",),
}
"""What is estimated of each area, and by which likelihoods; the models of an analysis share it."""
OWN_PRIORS = {
    "dispersion_prior": "negative_binomial",
    "icc_prior": "beta_binomial",
    "zero_inflation_prior": "zero_inflated_poisson",
}


class Suppressed(Section):
    """What stands in place of small counts."""

    mark: Column
    """The text in the column of cases."""
    range: tuple[int, int]
    """The smallest and the largest count that it may stand for."""

    @model_validator(mode="after")
    def _consistent(self) -> Suppressed:
        low, high = self.range
        if not 0 <= low <= high:
            raise PydanticCustomError(
                "range", "write the smallest and the largest count, 0 or more: [1, 4]", {"at": "range"}
            )
        return self


class StandardWeights(Section):
    """A standard population of the user's own."""

    weights: Column
    """Column with the weight of each stratum, the same in all areas; on any scale."""


class AreaOutcome(Section):
    """What was counted, and among whom; or direct estimates with their standard errors."""

    cases: Column | None = None
    """Column with the number of cases. A count written as "<5" is taken to lie between 0 and 4."""
    population: Column | None = None
    """Column with the population (or person-time) at risk: expected counts come from it by indirect
    standardisation. For a prevalence: the persons examined, of whom `cases` are cases."""
    strata: tuple[Column, ...] = ()
    """Columns (age, sex ...) by which the rates are standardised; the table then has one row an area and
    stratum."""
    expected: Column | None = None
    """Column with expected counts worked out elsewhere, in place of `population`."""
    reference: Column | None = None
    """Column with reference rates (cases per unit of the population, the same in all areas for a stratum):
    expected counts come from them; by default from the rates of all areas together."""
    standard: Literal["who_world", "european_2013"] | StandardWeights | None = None
    """Standard population of directly standardised rates, which are reported beside the ratios: the WHO World
    Standard 2000-2025, the European Standard Population 2013, or a column: `{weights: column}`."""
    age: Column | None = None
    """Which of `strata` has the age groups of the named standards, where there are several."""
    suppressed: Suppressed | None = None
    """What stands in place of suppressed small counts: `{mark: "*", range: [1, 4]}`."""
    estimate: Column | None = None
    """Column with direct estimates (survey means, say), in place of `cases`."""
    se: Column | None = None
    """Column with their standard errors, taken as known."""

    @field_validator("standard", mode="before")
    @classmethod
    def _known_standard(cls, value: Any) -> Any:
        """One message in place of one for each form that it could have."""
        own = isinstance(value, dict) and list(value) == ["weights"] and isinstance(value["weights"], str)
        if value in (None, "who_world", "european_2013") or isinstance(value, StandardWeights) or own:
            return value
        raise PydanticCustomError(
            "standard",
            "'{given}' is not a standard population: write who_world, european_2013 or {own}",
            {"given": str(value), "own": "{weights: column}"},
        )

    @model_validator(mode="after")
    def _consistent(self) -> AreaOutcome:
        if (self.cases is None) == (self.estimate is None):
            raise PydanticCustomError(
                "outcome", "give either 'cases' (counts) or 'estimate' and 'se' (direct estimates)"
            )
        if (self.estimate is None) != (self.se is None):
            raise PydanticCustomError("outcome", "'estimate' and 'se' go together")
        if self.estimate is not None:
            counted = ("population", "expected", "strata", "reference", "standard", "age", "suppressed")
            given = [name for name in counted if getattr(self, name)]
            if given:
                raise PydanticCustomError(
                    "outcome",
                    "'{key}' goes with 'cases', not with 'estimate'",
                    {"key": given[0], "at": given[0]},
                )
            return self
        if (self.population is None) == (self.expected is None):
            raise PydanticCustomError(
                "expected", "give either 'population' or 'expected', not both and not neither"
            )
        for key in ("strata", "reference"):
            if self.expected is not None and getattr(self, key):
                raise PydanticCustomError(
                    "strata",
                    "'{key}' goes with 'population': 'expected' is standardised already",
                    {"key": key, "at": key},
                )
        self._check_standard()
        return self

    def _check_standard(self) -> None:
        what = ""
        if self.standard is not None and not self.strata:
            what = "direct standardisation needs 'strata': the columns that the standard has weights of"
        elif isinstance(self.standard, str) and self.age is None and len(self.strata) > 1:
            what = "say which of 'strata' has the age groups: age: column"
        if what:
            raise PydanticCustomError("standard", what, {"at": "standard"})
        if self.age is not None and self.age not in self.strata:
            raise PydanticCustomError(
                "age", "'{column}' is not one of 'strata'", {"column": self.age, "at": "age"}
            )


class AreaModel(Section):
    """One model of a disease map."""

    likelihood: Likelihood | None = None
    """Distribution of what was observed. Counts: `poisson` (the default), `negative_binomial` (variance
    beyond the mean), `zero_inflated_poisson` (more zeros). Cases among persons, for a prevalence: `binomial`,
    `beta_binomial` (variance beyond the binomial). Direct estimates: `normal` with known standard errors
    (Fay-Herriot), the default for them."""
    prior: Literal["bym2", "icar", "leroux", "car", "iid"] = "bym2"
    """Prior of the area effects: `bym2` (spatially structured and unstructured), `icar` (structured only),
    `leroux` and `car` (proper conditional autoregressive) or `iid` (unstructured)."""
    alpha_prior: UnboundedPrior | None = None
    """Prior of the intercept: the log relative risk or the logit of the prevalence of an average area, by
    default normal(0, 5); or its mean, by default wide on the scale of the direct estimates."""
    beta_prior: UnboundedPrior | None = None
    """Prior of each covariate's coefficient: by default as that of the intercept, about 0."""
    sigma_prior: HalfPrior | None = None
    """Prior of the standard deviation of the area effects on the scale of the linear predictor: by default
    half-normal(1); with direct estimates half-normal(their standard deviation)."""
    rho_prior: ShareOrPCPrior = ShareOrPCPrior("beta", (0.5, 0.5))
    """Prior of the share of that variance that is spatially structured (bym2), or of the strength of the
    dependence between neighbours (leroux, car)."""
    dispersion_prior: HalfPrior | None = None
    """Prior of the overdispersion of `negative_binomial`, whose variance is m + dispersion m^2: by default
    half-normal(1)."""
    icc_prior: UnitPrior | None = None
    """Prior of the intraclass correlation of `beta_binomial`: by default beta(1, 9)."""
    zero_inflation_prior: UnitPrior | None = None
    """Prior of the probability of a structural zero of `zero_inflated_poisson`: by default beta(1, 1)."""

    @model_validator(mode="after")
    def _consistent(self) -> AreaModel:
        if self.rho_prior.family == "pc" and self.prior != "bym2":
            raise PydanticCustomError(
                "rho_prior", "a pc prior of rho goes with bym2 only: its rho is a share of variance"
            )
        for key, likelihood in OWN_PRIORS.items():
            if getattr(self, key) is not None and self.likelihood != likelihood:
                raise PydanticCustomError(
                    "own_prior",
                    "'{key}' goes with likelihood: {likelihood} only",
                    {"key": key, "likelihood": likelihood, "at": key},
                )
        return self


class AreasAnalysis(Analysis):
    """A map of disease risk, prevalence or means from counts or direct estimates by area."""

    family: Literal["areas"]
    data: PathText
    """The table of counts or direct estimates: one row an area (or area and stratum)."""
    geometry: PathText
    """The polygons of the areas, in any format that GDAL reads."""
    area: Column
    """Column with the area's id, in the table and in the polygons."""
    geometry_area: Column | None = None
    """Column with the id in the polygons, where it is called otherwise there."""
    geometry_layer: Column | None = None
    """Layer (TopoJSON: object) with the polygons, where their file holds several."""
    geometry_crs: Column | None = None
    """Coordinate reference system of the polygons (EPSG:27700), where their file names none."""
    name: Column | None = None
    """Column of the table with the area's name, for tables and figures."""
    outcome: AreaOutcome
    """What was counted, and among whom."""
    covariates: str | None = Field(None, pattern=r"^\s*~")
    """Area-level covariates as a one-sided formula, e.g. "~ scale(deprivation)"."""
    graph: GraphSpec = GraphSpec()
    """Which areas are neighbours."""
    exceedance: tuple[float, ...] | None = Field(
        None, min_length=1, json_schema_extra=first_read_by("estimate")
    )
    """Relative risks (prevalences, means) whose posterior probability of being exceeded is reported; the
    first one is mapped. By default a relative risk of 1, the prevalence in all areas together, or
    the median of the direct estimates."""
    cases_name: str = Field("cases", json_schema_extra=first_read_by("report"))
    """What the cases are called in the report."""
    estimate_name: str = Field("", json_schema_extra=first_read_by("report"))
    """What the direct estimates are called in the report, with their unit; by default their column's name."""
    false_discovery_rate: float = Field(0.05, gt=0, lt=1, json_schema_extra=first_read_by("estimate"))
    """Expected share of areas wrongly called hot spots that is accepted."""
    aggregate: tuple[Column, ...] = ()
    """Columns of the table that name larger regions, for each of which estimates are worked out too."""
    contrasts: tuple[tuple[str, str], ...] = Field((), json_schema_extra=first_read_by("estimate"))
    """Pairs of areas, by id, whose values are compared: `[["37001", "37063"]]`."""
    map: MapSpec = Field(MapSpec(), json_schema_extra=first_read_by("report"))
    """How the estimates are drawn on the map."""
    models: dict[Name, AreaModel] = Field(
        default_factory=lambda: {"bym2": AreaModel()}, min_length=1, json_schema_extra=first_read_by("fit")
    )
    """The models to fit; the first is the primary one, the rest are compared with it."""

    @model_validator(mode="after")
    def _consistent(self) -> AreasAnalysis:
        if self.aggregate and self.outcome.estimate is not None:
            raise PydanticCustomError(
                "aggregate", "direct estimates have no weights by which to add them up", {"at": "aggregate"}
            )
        for name in self.models:
            self._fits_outcome(name)
        first = next(iter(self.models))
        for name in self.models:
            if self.likelihood(name) not in SCALES[self.scale]:
                raise PydanticCustomError(
                    "scale",
                    "{other} cannot be compared with {own} of the model {first}: put it into an analysis of "
                    "its own",
                    {
                        "other": self.likelihood(name),
                        "own": self.likelihood(first),
                        "first": first,
                        "at": f"models.{name}.likelihood",
                    },
                )
        for threshold in self.exceedance or ():
            if self.scale == "rr" and threshold <= 0:
                raise PydanticCustomError("exceedance", "a relative risk is above 0", {"at": "exceedance"})
            if self.scale == "prevalence" and not 0 < threshold < 1:
                raise PydanticCustomError(
                    "exceedance", "a prevalence lies between 0 and 1: write 0.2 for 20%", {"at": "exceedance"}
                )
        return self

    def _fits_outcome(self, name: str) -> None:
        """Refuse a likelihood that needs another outcome."""
        likelihood, outcome = self.likelihood(name), self.outcome
        what = ""
        if outcome.estimate is not None and likelihood != "normal":
            what = "describes counts, but 'outcome' names direct estimates: write normal, or give 'cases'"
        elif outcome.estimate is None and likelihood == "normal":
            what = (
                "describes direct estimates: give 'outcome' an 'estimate' and a 'se' column, or write poisson"
            )
        elif likelihood in SCALES["prevalence"] and outcome.expected is not None:
            what = "needs the persons examined: give 'outcome' a 'population' in place of 'expected'"
        elif likelihood in SCALES["prevalence"] and outcome.strata:
            what = "gives a prevalence, which is not standardised: take 'strata' out, or write poisson"
        if what:
            raise PydanticCustomError(
                "likelihood",
                "{likelihood} {what}",
                {"likelihood": likelihood, "what": what, "at": f"models.{name}.likelihood"},
            )

    def likelihood(self, model: str) -> str:
        """The likelihood of a model, the default filled in."""
        default = "poisson" if self.outcome.estimate is None else "normal"
        return self.models[model].likelihood or default

    @property
    def scale(self) -> str:
        """What is estimated of each area, a key of `SCALES`."""
        first = self.likelihood(next(iter(self.models)))
        return next(scale for scale, likelihoods in SCALES.items() if first in likelihoods)

    @property
    def value_name(self) -> str:
        """What is observed, in the words of the report."""
        if self.outcome.estimate is None:
            return self.cases_name
        return self.estimate_name or self.outcome.estimate

    def view(self, step: str, model: str | None = None) -> dict[str, Any]:
        """As of every analysis; `ingest` also learns whether the cases are a share of the population."""
        content = super().view(step, model)
        if step == "ingest" and self.scale == "prevalence":
            content["models"] = {"prevalence": {"likelihood": "binomial"}}
        return content

    @property
    def has_graph(self) -> bool:
        """Areas always have a graph."""
        return True

    def input_files(self) -> dict[str, str]:
        """The counts, the polygons, and the neighbours where a file gives them."""
        files = {"data": self.data, "geometry": self.geometry}
        if self.graph.file is not None:
            files["graph.file"] = self.graph.file
        return files

    def graph_files(self) -> list[str]:
        """The files that the graph is built from besides the polygons as read."""
        if self.graph.method == "arcs":
            return [self.geometry]
        return [self.graph.file] if self.graph.file is not None else []

    def column_references(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """The id, name and outcome columns."""
        yield ("area",), "data", self.area
        if self.name is not None:
            yield ("name",), "data", self.name
        for name in ("cases", "population", "expected", "reference", "estimate", "se"):
            column = getattr(self.outcome, name)
            if column is not None:
                yield ("outcome", name), "data", column
        for column in self.aggregate:
            yield ("aggregate",), "data", column
        if isinstance(self.outcome.standard, StandardWeights):
            yield ("outcome", "standard", "weights"), "data", self.outcome.standard.weights
        for stratum in self.outcome.strata:
            yield ("outcome", "strata"), "data", stratum

    def program(self, model: str) -> str:
        """`areas/areas`, for every model."""
        return "areas/areas"
