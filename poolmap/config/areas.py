"""The config section of a disease map (`family: areas`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Analysis, Column, Name, PathText, Section, first_read_by
from poolmap.config.graph import GraphSpec
from poolmap.config.priors import HalfPrior, ShareOrPCPrior, UnboundedPrior


class AreaOutcome(Section):
    """What was counted, and among whom."""

    cases: Column
    """Column with the number of cases."""
    population: Column | None = None
    """Column with the population (or person-time) at risk; expected counts come from it by indirect
    standardisation to the rates of all areas together."""
    strata: tuple[Column, ...] = ()
    """Columns (age, sex ...) by which the rates are standardised; the table then has one row an area and
    stratum."""
    expected: Column | None = None
    """Column with expected counts worked out elsewhere, in place of `population`."""
    likelihood: Literal["poisson"] = "poisson"
    """Distribution of the counts."""

    @model_validator(mode="after")
    def _consistent(self) -> AreaOutcome:
        if (self.population is None) == (self.expected is None):
            raise PydanticCustomError(
                "expected", "give either 'population' or 'expected', not both and not neither"
            )
        if self.expected is not None and self.strata:
            raise PydanticCustomError(
                "strata", "'strata' goes with 'population': 'expected' is standardised already"
            )
        return self


class AreaModel(Section):
    """One model of a disease map."""

    prior: Literal["bym2", "icar", "leroux", "car", "iid"] = "bym2"
    """Prior of the area effects: `bym2` (spatially structured and unstructured), `icar` (structured only),
    `leroux` and `car` (proper conditional autoregressive) or `iid` (unstructured)."""
    alpha_prior: UnboundedPrior = UnboundedPrior("normal", (0, 5))
    """Prior of the intercept (log relative risk of an average area)."""
    beta_prior: UnboundedPrior = UnboundedPrior("normal", (0, 5))
    """Prior of each covariate's coefficient."""
    sigma_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the standard deviation of the area effects on the log scale."""
    rho_prior: ShareOrPCPrior = ShareOrPCPrior("beta", (0.5, 0.5))
    """Prior of the share of that variance that is spatially structured (bym2), or of the strength of the
    dependence between neighbours (leroux, car)."""

    @model_validator(mode="after")
    def _consistent(self) -> AreaModel:
        if self.rho_prior.family == "pc" and self.prior != "bym2":
            raise PydanticCustomError(
                "rho_prior", "a pc prior of rho goes with bym2 only: its rho is a share of variance"
            )
        return self


class AreasAnalysis(Analysis):
    """A map of disease risk from counts by area."""

    family: Literal["areas"]
    data: PathText
    """The table of counts: one row an area (or area and stratum)."""
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
    exceedance: tuple[float, ...] = Field((1.0,), min_length=1, json_schema_extra=first_read_by("estimate"))
    """Relative risks whose posterior probability of being exceeded is reported; the first one is mapped."""
    cases_name: str = Field("cases", json_schema_extra=first_read_by("report"))
    """What the cases are called in the report."""
    models: dict[Name, AreaModel] = Field(
        default_factory=lambda: {"bym2": AreaModel()}, min_length=1, json_schema_extra=first_read_by("fit")
    )
    """The models to fit; the first is the primary one, the rest are compared with it."""

    @model_validator(mode="after")
    def _consistent(self) -> AreasAnalysis:
        if any(threshold <= 0 for threshold in self.exceedance):
            raise PydanticCustomError("exceedance", "a relative risk is above 0", {"at": "exceedance"})
        return self

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
        for name in ("cases", "population", "expected"):
            column = getattr(self.outcome, name)
            if column is not None:
                yield ("outcome", name), "data", column
        for stratum in self.outcome.strata:
            yield ("outcome", "strata"), "data", stratum

    def program(self, model: str) -> str:
        """`areas/areas`, for every model."""
        return "areas/areas"
