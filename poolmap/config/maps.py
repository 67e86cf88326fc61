"""The config section of how maps are drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from poolmap.config.base import Section


class MapSpec(Section):
    """How the estimates are drawn on the map."""

    classes: Literal["none", "quantiles", "jenks_caspall", "equal_interval"] = "none"
    """Rule for the breaks between classes of the estimate; `none` shades without classes."""
    number: int = Field(5, ge=2, le=9)
    """Number of classes."""
    breaks: tuple[float, ...] = ()
    """Breaks between classes, in place of a rule."""
    credit: str = ""
    """Where borders and data come from, in small print below the maps."""

    @model_validator(mode="after")
    def _consistent(self) -> MapSpec:
        if self.breaks and self.classes != "none":
            raise PydanticCustomError("breaks", "give either 'classes' or 'breaks', not both")
        if any(b >= a for b, a in zip(self.breaks, self.breaks[1:], strict=False)):
            raise PydanticCustomError("breaks", "the breaks must rise from one to the next")
        return self
