"""What in a config of mrp cannot be, told with its line before anything is run."""

from __future__ import annotations

from poolmap.config.conflicts import Conflict
from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError
from poolmap.families.mrp.formula import parse_formula
from poolmap.families.mrp.inputs import absent_from_census
from poolmap.families.mrp.needs import Needs, needs_of
from poolmap.families.mrp.pooled import SURVEY
from poolmap.families.mrp.structures import structure_problems
from poolmap.tables import nearest, read_header


def look(spec: MrpAnalysis, files: bool) -> list[Conflict]:
    """Formulas that cannot be read, structures and keys that do not fit it; with `files`, absent columns.

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
    """Variables of the formulas that a survey or the census lacks."""
    made = set(spec.bands)
    pooled = isinstance(spec.survey, dict)
    found = []
    for path in spec.surveys.values():
        columns = read_header(path)
        for name in needs.factors:
            if name not in columns and name not in made and not (pooled and name == SURVEY):
                found.append(_lacking(spec, path, name, nearest(name, columns)))
    if spec.census is not None:
        columns = read_header(spec.census)
        made |= {*needs.house, *needs.extended, *([spec.time] if spec.time else [])}
        made |= {column for source in spec.area_predictors for column in source.columns}
        for name in dict.fromkeys([*needs.factors, *needs.predictors]):
            if name not in columns and name not in made:
                remedy = absent_from_census(needs, name, columns)
                found.append(_lacking(spec, spec.census, name, remedy))
    return found


def _lacking(spec: MrpAnalysis, path: str, name: str, remedy: str) -> Conflict:
    key = next((key for key, text in _formulas(spec).items() if name in text), "formula")
    return Conflict(key, f"'{path}' has no column '{name}'", remedy)
