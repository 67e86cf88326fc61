"""What was counted on a disease map, and among whom: the config's section `outcome`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Column, Section


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
