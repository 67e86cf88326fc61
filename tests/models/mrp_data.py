"""Datasets of the mrp family made by hand, as its ingest makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.formula import parse_formula
from poolmap.graph.graph import Graph
from poolmap.tables import exclusions


def analysis(
    formula: str,
    models: Mapping[str, Any] | None = None,
    outcome: Mapping[str, Any] | None = None,
    **further: Any,
) -> MrpAnalysis:
    """An analysis without files."""
    settings = {
        "family": "mrp",
        "survey": "-",
        "census": "-",
        "count": "count",
        "outcome": {"column": "y", **(outcome or {"positive": 1})},
        "formula": formula,
        "estimates": ["g"],
        "interval": 0.95,
        "models": models or {"main": {}},
        **further,
    }
    if any({"icar", "bym2"} & set(m.get("structure", {}).values()) for m in settings["models"].values()):
        settings["map"] = {"geometry": "-", "variable": "g"}
    return MrpAnalysis.model_validate(settings)


def dataset(
    spec: MrpAnalysis,
    survey: pd.DataFrame,
    census: pd.DataFrame,
    *,
    predictors: Mapping[str, Mapping[str, Any]] | None = None,
    order: Mapping[str, Sequence[str]] | None = None,
    graph: Graph | None = None,
    answers: int = 0,
) -> Dataset:
    """The tables and facts that the model reads.

    Args:
        spec: the analysis.
        survey: a row a respondent: the variables and predictors, `y` (and `exposure` of counts).
        census: a row a cell: the variables, predictors and `count`.
        predictors, order: as in the facts.
        graph: of the areas.
        answers: how many answers there are (ordered, categorical).
    """
    formula = parse_formula(spec.formula, "y", pooled=False)
    predictors = dict(predictors or {})
    keys = list(dict.fromkeys([*formula.variables, *predictors]))
    kind = spec.outcome.kind
    survey, census = survey.copy(), census.copy()
    for variable in formula.variables:
        survey[variable], census[variable] = survey[variable].astype(str), census[variable].astype(str)
    survey["_"] = census["_"] = 0  # so that a formula without variables has one cell
    if "exposure" not in survey:
        survey["exposure"] = 1.0
    groups = survey.groupby([*keys, "_"], sort=True)
    cells = groups.agg(n=("y", "size")).reset_index()
    if kind == "binary":
        cells["yes"] = groups["y"].sum().to_numpy()
    elif kind == "continuous":
        cells["mean"] = groups["y"].mean().to_numpy()
        cells["within_ss"] = groups["y"].apply(lambda v: ((v - v.mean()) ** 2).sum()).to_numpy()
    elif kind == "count":
        cells["total"] = groups["y"].sum().to_numpy()
        cells["exposure"] = groups["exposure"].sum().to_numpy()
    else:
        for answer in range(answers):
            cells[f"n_{answer}"] = groups["y"].apply(lambda v, a=answer: (v == a).sum()).to_numpy()
    tables = {"survey": survey.drop(columns="_"), "cells": cells, "census": census}
    if kind == "count":
        numbered = survey.assign(cell=groups.ngroup())
        rows = numbered.groupby(["cell", "y", "exposure"]).size().rename("n").reset_index()
        tables["rows"] = rows
    levels = []
    for k, term in enumerate(formula.terms):
        name = {"cells": _label(cells, term), "census": _label(census, term)}
        n = pd.Series(cells["n"].to_numpy()).groupby(name["cells"].to_numpy()).sum()
        every = sorted(set(name["cells"])) + sorted(set(name["census"]) - set(name["cells"]))
        code = {level: i for i, level in enumerate(every)}
        for table, frame in (("cells", cells), ("census", census)):
            frame[f"level_{k}"] = name[table].map(code)
        seen = [level in n.index for level in every]
        levels.append(
            pd.DataFrame(
                {"term": ":".join(term), "level": every, "code": range(len(every)), "seen": seen,
                 "survey_n": [n.get(level, 0) for level in every], "census_n": 1.0}
            )
        )  # fmt: skip
    tables["levels"] = pd.concat(levels, ignore_index=True) if levels else pd.DataFrame(
        columns=["term", "level", "code", "seen", "survey_n", "census_n"])  # fmt: skip
    facts: dict[str, Any] = {
        "kind": kind,
        "answers": [str(a) for a in range(answers)],
        "terms": [list(term) for term in formula.terms],
        "predictors": predictors,
        "order": dict(order or {}),
    }
    if kind == "continuous":
        facts["outcome_scale"] = {"mean": float(survey["y"].mean()), "sd": float(survey["y"].std())}
    return Dataset(tables, exclusions(), facts, None, graph)


def _label(frame: pd.DataFrame, term: Sequence[str]) -> pd.Series:
    label = frame[term[0]].astype(str)
    for variable in term[1:]:
        label = label + ":" + frame[variable].astype(str)
    return label


def numeric(census: pd.DataFrame, name: str) -> dict[str, Any]:
    """The facts of a numeric predictor."""
    mean = float(np.average(census[name], weights=census["count"]))
    sd = float(np.sqrt(np.average((census[name] - mean) ** 2, weights=census["count"])))
    return {"type": "numeric", "mean": mean, "sd": sd, "constant_within": [], "in_survey": True}
