"""The user's tables of an analysis, read, recoded alike, and checked for the columns that are needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.absent import absent_from_census
from poolmap.families.mrp.census import check_duplicates
from poolmap.families.mrp.margins import check_margins
from poolmap.families.mrp.needs import Needs
from poolmap.families.mrp.pooled import SURVEY
from poolmap.families.mrp.recode import LeftOut, harmonise
from poolmap.tables import Table, read_header, read_table

RESERVED = frozenset(
    """line file yes y weight n count total mean within_ss exposure stratum truth answer value table
    quantity term level sd median lower upper mcse ess_bulk ess_tail rhat n_survey n_census raw raw_lower
    raw_upper weighted weighted_lower weighted_upper raked raked_lower raked_upper greg greg_lower greg_upper
    predicted_lower predicted_upper""".split()  # noqa: SIM905
)
_NUMBERED = re.compile(r"(level|cluster|population_size|inclusion|n)_\d+")


@dataclass
class Inputs:
    """The tables, columns of categories of text.

    Attributes:
        surveys: by name.
        census: of cells or persons; None where it is known by margins.
        margins, extensions, areas: in the order of the config; an extension has none where nothing is known.
        seed: the cells that margins start from, where they are a table.
        truth: known values.
        left_out: rows that are left out of survey or census.
        doubts: what is most likely a slip (see `doubts`).
    """

    surveys: dict[str, Table]
    census: Table | None = None
    margins: list[Table] = field(default_factory=list)
    seed: Table | None = None
    extensions: list[Table | None] = field(default_factory=list)
    areas: list[Table] = field(default_factory=list)
    truth: Table | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def tables(self) -> Iterator[Table]:
        """All tables but the truth."""
        yield from self.surveys.values()
        yield from (t for t in (self.census, *self.margins, self.seed, *self.extensions, *self.areas) if t)

    @property
    def population(self) -> list[Table]:
        """The tables that the cells of the population come from."""
        return [self.census] if self.census is not None else self.margins

    def problems(self) -> list[Problem]:
        """All that was found wrong with the tables so far."""
        return [problem for table in self.tables() for problem in table.problems]


def read_inputs(spec: MrpAnalysis, needs: Needs) -> Inputs:
    """Read every table of the analysis and bring their levels into agreement.

    Raises:
        InputError: files that cannot be read; missing columns; cells that stand twice; a recoding that does
            not fit; all at once.
    """
    problems: list[Problem] = []

    def read(path: str | None, only: frozenset[str] | None = None) -> Table | None:
        try:
            return None if path is None else read_table(path, categories=True, only=only)
        except InputError as error:
            problems.extend(error.problems)
            return None

    has_seed = bool(spec.margins) and spec.seed_table not in ("survey", "uniform")
    wanted = _wanted(spec, needs)
    surveys = {name: read(path, wanted) for name, path in spec.surveys.items()}
    census, seed = (
        read(spec.census, wanted if spec.microdata else None),
        read(spec.seed_table if has_seed else None),
    )
    margins = [read(margin.data) for margin in spec.margins]
    extensions = [read(extension.known) for extension in spec.extend]
    areas = [read(source.data) for source in spec.area_predictors]
    truth = read(spec.truth.data if spec.truth is not None else None)
    if problems:
        raise InputError(problems)
    inputs = Inputs(
        surveys={name: table for name, table in surveys.items() if table is not None},
        census=census,
        margins=[table for table in margins if table is not None],
        seed=seed,
        extensions=extensions,
        areas=[table for table in areas if table is not None],
        truth=truth,
    )
    if census is not None and not spec.microdata and census.has(spec.count or "", key="count"):
        check_duplicates(census, spec.count or "", "; where each row is a person, write `microdata: true`")
    check_margins(spec, inputs.margins)
    if inputs.seed is not None:
        inputs.seed.has(spec.count or "", key="count")
    for table, extension in zip(inputs.extensions, spec.extend, strict=True):
        if table is not None and extension.count in table.frame:
            check_duplicates(table, extension.count or "")
    inputs.left_out, problems, inputs.doubts = harmonise(spec, list(inputs.tables()))
    if inputs.truth is not None:
        harmonise(spec, [inputs.truth])
    _check_columns(spec, needs, inputs)
    problems = inputs.problems() + problems
    if problems:
        raise InputError(problems)
    return inputs


def _wanted(spec: MrpAnalysis, needs: Needs) -> frozenset[str]:
    """The columns of persons that may be needed; their files often have hundreds that are not."""
    design = spec.design
    names = [spec.count, spec.outcome.column, spec.outcome.exposure, spec.weight, design.strata, SURVEY]
    names += [
        *design.clusters,
        *design.population_sizes,
        *design.inclusion,
        *needs.variables,
        *needs.predictors,
    ]
    names += [*needs.house, *needs.extended, *spec.recode, *spec.bands]
    names += [bands.column for bands in spec.bands.values()]
    for source in spec.area_predictors:
        names += [source.area, *source.columns]
    for margin in spec.margins:
        with suppress(InputError):  # told when the margin is read
            names += read_header(margin.data)
    return frozenset(name for name in names if name is not None)


def _check_columns(spec: MrpAnalysis, needs: Needs, inputs: Inputs) -> None:
    """Note columns that are needed and not there, and names that are poolmap's own."""
    outcome, design = spec.outcome, spec.design
    pooled = len(inputs.surveys) > 1
    named = {"outcome: column": [outcome.column], "outcome: exposure": [outcome.exposure]}
    named |= {"weight": [spec.weight], "design: strata": [design.strata], "design: clusters": design.clusters}
    named |= {"design: population_sizes": design.population_sizes, "design: inclusion": design.inclusion}
    named |= {"formula": needs.factors, "extend": needs.extended}
    named |= {"time": [] if spec.time in needs.factors else [spec.time]}
    for table in inputs.surveys.values():
        for key, columns in named.items():
            for column in columns:
                if column is not None and not (pooled and column == SURVEY):
                    table.has(column, key=key)
        if pooled and SURVEY in table.frame.columns and SURVEY in (*needs.variables, *needs.predictors):
            what = f"it has a column '{SURVEY}', which names the file that a respondent is from"
            table.problem(what, "rename the column", column=SURVEY)
    joined = {column for source in spec.area_predictors for column in source.columns}
    first = inputs.population[0]
    columns = {column for table in inputs.population for column in table.frame.columns}
    if inputs.seed is not None:
        columns |= set(inputs.seed.frame.columns) - {spec.count}
    if spec.margins:
        columns -= {margin.count for margin in spec.margins}
    wanted = dict.fromkeys([*needs.of_census, *needs.predictors])
    for name in wanted:
        if name in columns and name in needs.extended:
            what = f"the census has '{name}' already, which `extend` would put into it"
            first.problem(what, "leave `extend` away, or take the column out", column=name)
        if name in columns or name in joined or name in needs.extended or name == spec.time:
            continue
        estimated = {variable for grouping in spec.groupings() for variable in grouping}
        of = "formula" if name in (*needs.factors, *needs.predictors) else "contrasts"
        of = "estimates" if of == "contrasts" and name in estimated else of
        there = "there is no" if inputs.census is not None else "no margin has a"
        known = first.names if inputs.census is not None else sorted(columns)
        surveyed = list(dict.fromkeys(column for table in inputs.surveys.values() for column in table.names))
        first.problem(
            f"{there} column '{name}' (asked for by '{of}')",
            absent_from_census(spec, needs, name, known, surveyed),
        )
    for name in needs.house:
        if name in columns:
            what = f"the census has '{name}', so it is no house variable"
            first.problem(what, "take it out of `house`", column=name)
    if spec.microdata and spec.count is not None:
        first.has(spec.count, key="count")
    for name in dict.fromkeys([*needs.variables, *needs.predictors]):
        if name in RESERVED or _NUMBERED.fullmatch(name):
            what = "the name is one of poolmap's own columns"
            if name in spec.bands:
                first.problems.append(Problem(f"config: bands.{name}", what, "give the bands another name"))
            else:
                table = first if name in columns else next(iter(inputs.surveys.values()))
                table.problem(what, "rename the column", column=name)
