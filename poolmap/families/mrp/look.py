"""What in a config of mrp cannot be, told with its line before anything is run."""

from __future__ import annotations

from poolmap.config.conflicts import Conflict
from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError
from poolmap.families.mrp.absent import absent_from_census, absent_from_survey, made
from poolmap.families.mrp.formula import parse_formula
from poolmap.families.mrp.needs import Needs, needs_of
from poolmap.families.mrp.pooled import SURVEY
from poolmap.families.mrp.structures import structure_problems
from poolmap.tables import nearest, read_header


def look(spec: MrpAnalysis, files: bool) -> list[Conflict]:
    """Formulas that cannot be read, structures and keys that do not fit it; with `files`, absent columns.

    `files`: whether the header of each file can be read.

    The contents of the tables are `ingest`'s to check.
    """
    found: dict[Conflict, None] = {}
    readable = True
    for name, model in spec.models.items():
        try:
            formula = parse_formula(
                spec.formula_of(name), spec.outcome.column, pooled=spec.outcome.test is None
            )
        except InputError as error:
            readable = False
            where = f"models.{name}.formula" if model.formula else "formula"
            found |= {Conflict(where, problem.what, problem.remedy): None for problem in error.problems}
            continue
        problems = structure_problems(spec, name, formula)
        found |= {Conflict(problem.where, problem.what, problem.remedy): None for problem in problems}
    if files and spec.census in spec.surveys.values() and not spec.microdata:
        what = f"'{spec.census}' is the survey"
        found[Conflict("census", what, "name the file with the population")] = None
    for i, extension in enumerate(spec.extend):
        try:
            parse_formula(
                f"`{extension.variable}` {extension.formula or '~ 1'}", extension.variable, pooled=False
            )
        except InputError as error:
            at = f"extend.{i}.formula"
            found |= {Conflict(at, problem.what, problem.remedy): None for problem in error.problems}
    if not readable:
        return list(found)
    try:
        needs = needs_of(spec)
    except InputError as error:
        keys = [problem.where.removeprefix("config: ") for problem in error.problems]
        return [*found, *(Conflict(k, p.what, p.remedy) for k, p in zip(keys, error.problems, strict=True))]
    return [*found, *(_absent(spec, needs) if files else [])]


def _formulas(spec: MrpAnalysis) -> dict[str, str]:
    """Each formula once, by the key that holds it."""
    found: dict[str, str] = {}
    for name, model in spec.models.items():
        key = f"models.{name}.formula" if model.formula else "formula"
        found.setdefault(key, spec.formula_of(name))
    return found


def _absent(spec: MrpAnalysis, needs: Needs) -> list[Conflict]:
    """Variables that a survey or the population lacks, each at the key that asks for it."""
    surveys = {path: read_header(path) for path in spec.surveys.values()}
    surveyed = list(dict.fromkeys(column for columns in surveys.values() for column in columns))
    whose, columns = _population(spec)
    pooled = [SURVEY] if isinstance(spec.survey, dict) else []
    told = {*needs.house, *needs.extended}  # at their own keys
    found = []
    for name, key in _asked(spec, needs).items():
        lacking = [path for path, there in surveys.items() if name not in there]
        if name not in needs.factors or name in {*told, *pooled, *spec.bands}:
            lacking = []
        free = name in {*columns, *told, *made(spec), *([spec.time] if spec.time else [])}
        if lacking == list(surveys) and not free:
            valid = dict.fromkeys([*columns, *made(spec), *surveyed])
            what = f"neither survey nor {whose[0]} has a column '{name}'"
            found.append(Conflict(key, what, nearest(name, list(valid))))
            continue
        for path in lacking:
            remedy = absent_from_survey(spec, name, surveys[path])
            found.append(Conflict(key, f"'{path}' has no column '{name}'", remedy))
        if not free:
            remedy = absent_from_census(spec, needs, name, columns, [*surveyed, *pooled])
            found.append(Conflict(key, f"{whose[1]} column '{name}'", remedy))
    return found


def _population(spec: MrpAnalysis) -> tuple[tuple[str, str], list[str]]:
    """What the population is called, and the columns that its variables can be."""
    if spec.census is not None:
        return ("census", f"'{spec.census}' has no"), read_header(spec.census)
    columns: dict[str, None] = {}
    for margin in spec.margins:
        columns |= dict.fromkeys(name for name in read_header(margin.data) if name != margin.count)
    if spec.seed_table not in ("survey", "uniform"):
        columns |= dict.fromkeys(name for name in read_header(spec.seed_table) if name != spec.count)
    return ("margins", "no margin has a"), list(columns)


def _asked(spec: MrpAnalysis, needs: Needs) -> dict[str, str]:
    """Each variable that the analysis needs, with the first key that asks for it."""
    found: dict[str, str] = {}
    for key, text in _formulas(spec).items():
        formula = parse_formula(text, spec.outcome.column, pooled=spec.outcome.test is None)
        for name in (*formula.variables, *formula.predictors):
            found.setdefault(name, key)
    for i, grouping in enumerate(spec.groupings()[1:]):
        for name in grouping:
            found.setdefault(name, f"estimates.{i}")
    for i, contrast in enumerate(spec.contrasts):
        found.setdefault(contrast.variable, f"contrasts.{i}.variable")
        for name in contrast.within:
            found.setdefault(name, f"contrasts.{i}.within")
    return found
