"""Formulas and subgroups that cannot be, told with the config's line before anything is run."""

from __future__ import annotations

from poolmap.config.conflicts import Conflict
from poolmap.config.meta import MetaAnalysis
from poolmap.errors import InputError
from poolmap.families.meta.design import design
from poolmap.families.meta.formula import read_formula
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.usable import used_by


def look(spec: MetaAnalysis, files: bool) -> list[Conflict]:
    """Formulas that cannot be read; with `files`, formulas and subgroups that do not fit the study table.

    A table with mistakes is not told of here, but by `ingest`, where other analyses can go on.
    """
    chosen = [name for name, model in spec.models.items() if model.formula or model.subgroups]
    found: list[Conflict] = []
    for name in list(chosen):
        if text := spec.models[name].formula:
            try:
                read_formula(f"models.{name}.formula", text, spec.models[name].formula_names)
            except InputError as error:
                found += _conflicts(error)
                chosen.remove(name)
    if not (chosen and files):
        return found
    try:
        data = ingest(spec)
    except InputError:
        return found
    for name in chosen:
        try:
            design(spec, name, used_by(spec, name, data))
        except InputError as error:
            found += _conflicts(error)
    return found


def _conflicts(error: InputError) -> list[Conflict]:
    return [Conflict(problem.where, problem.what, problem.remedy) for problem in error.problems]
