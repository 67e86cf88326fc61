"""Formulas and structures that cannot be, told with the config's line before anything is run."""

from __future__ import annotations

from poolmap.config.conflicts import Conflict
from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError
from poolmap.families.mrp.formula import parse_formula
from poolmap.families.mrp.structures import structure_problems


def look(spec: MrpAnalysis, files: bool) -> list[Conflict]:
    """Formulas that cannot be read, and structures that do not go with them."""
    found: dict[Conflict, None] = {}
    for name, model in spec.models.items():
        try:
            formula = parse_formula(
                spec.formula_of(name), spec.outcome.column, pooled=spec.outcome.test is None
            )
        except InputError as error:
            where = f"models.{name}.formula" if model.formula else "formula"
            found |= {Conflict(where, problem.what, problem.remedy): None for problem in error.problems}
            continue
        problems = structure_problems(spec, name, formula)
        found |= {Conflict(problem.where, problem.what, problem.remedy): None for problem in problems}
    return list(found)
