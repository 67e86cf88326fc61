"""The config section of a disease map (`family: areas`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.area_outcome import AreaOutcome, StandardWeights
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
    regions: Column | None = None
    """Column of the table that names the region of each area: the areas of a region share an effect, drawn
    from a normal distribution."""
    covariate_errors: dict[Column, Column] = Field(default_factory=dict)
    """Covariates that are measured with errors, and the columns with the standard errors:
    `{deprivation: deprivation_se}`. They stand in the formula by themselves, as `x` or `scale(x)`."""
    component_intercepts: bool = False
    """Whether each part of the map that hangs together (component of the graph) has an intercept of its own.
    Areas without neighbours keep the mean of these intercepts."""
    alpha_prior: UnboundedPrior | None = None
    """Prior of the intercept: the log relative risk or the logit of the prevalence of an average area, by
    default normal(0, 5); or its mean, by default wide on the scale of the direct estimates."""
    beta_prior: UnboundedPrior | None = None
    """Prior of each covariate's coefficient: by default as that of the intercept, about 0."""
    sigma_prior: HalfPrior | None = None
    """Prior of the standard deviation of the area effects on the scale of the linear predictor: by default
    half-normal(1); with direct estimates half-normal(their standard deviation)."""
    sigma_region_prior: HalfPrior | None = None
    """Prior of the standard deviation of the effects of `regions`: by default as that of sigma."""
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
        if self.sigma_region_prior is not None and self.regions is None:
            raise PydanticCustomError(
                "own_prior", "'sigma_region_prior' goes with 'regions'", {"at": "sigma_region_prior"}
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
        for name, model in self.models.items():
            self._fits_outcome(name)
            if model.covariate_errors and self.covariates is None:
                raise PydanticCustomError(
                    "covariate_errors",
                    "there is no covariate: name it in the formula 'covariates' of the analysis",
                    {"at": f"models.{name}.covariate_errors"},
                )
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
        """As of every analysis; `ingest` also learns whether the cases are a share of the population, and
        which columns the models read."""
        content = super().view(step, model)
        if step == "ingest":
            read: list[dict[str, Any]] = [{"regions": column} for column in self.region_columns]
            read += [{"covariate_errors": {x: se}} for x, se in self.measured_columns]
            if self.scale == "prevalence":
                read = [{"likelihood": "binomial"} | keys for keys in read or [{}]]
            if read:
                content["models"] = {f"m{number}": keys for number, keys in enumerate(read)}
        return content

    @property
    def region_columns(self) -> list[str]:
        """Columns with the regions whose effects a model has, each once."""
        return list(dict.fromkeys(m.regions for m in self.models.values() if m.regions is not None))

    @property
    def measured_columns(self) -> list[tuple[str, str]]:
        """Covariates with errors and the columns with their standard errors, each pair once."""
        return list(dict.fromkeys(p for m in self.models.values() for p in m.covariate_errors.items()))

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
        for name, model in self.models.items():
            if model.regions is not None:
                yield ("models", name, "regions"), "data", model.regions
            for covariate, column in model.covariate_errors.items():
                yield ("models", name, "covariate_errors", covariate), "data", column
        for column in self.aggregate:
            yield ("aggregate",), "data", column
        if isinstance(self.outcome.standard, StandardWeights):
            yield ("outcome", "standard", "weights"), "data", self.outcome.standard.weights
        for stratum in self.outcome.strata:
            yield ("outcome", "strata"), "data", stratum

    def program(self, model: str) -> str:
        """`areas/areas`, for every model."""
        return "areas/areas"
