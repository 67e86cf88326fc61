"""Where the numbers of people come from that the estimates are weighted by, beside a census of cells."""

from __future__ import annotations

from pydantic import Field

from poolmap.config.base import Column, PathText, Section


class Margin(Section):
    """One table of a census that is known by its margins only."""

    data: PathText
    """Table with one row a group: the columns besides `count` are the variables of the margin."""
    count: Column
    """Column with the number of people."""


class Extension(Section):
    """A variable that the census lacks, put into it by a model of the survey (two stages). Where there is a
    `weight`, respondents count by it."""

    variable: Column
    """Column of the survey; a variable of the formula."""
    formula: str | None = Field(None, pattern=r"^\s*~")
    """One-sided formula of the model of the variable, e.g. "~ 1 + (1 | county) + (1 | age)"; by default a
    varying intercept of every other variable of the survey that the census has."""
    known: PathText | None = None
    """Table with the number of people (or shares) by level of the variable and, where it has further columns,
    by area: the extended census is made to agree with it."""
    count: Column | None = None
    """Column of `known` with the number of people."""


class AreaPredictors(Section):
    """A table of predictors of areas, joined to survey and census."""

    data: PathText
    """Table with one row an area."""
    area: Column
    """Variable of the census that names the area; a column of the table."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """The predictors, by column."""
