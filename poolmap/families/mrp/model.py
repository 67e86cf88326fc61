"""Input of the Stan program `mrp/mrp`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, StanData
from poolmap.errors import InputError
from poolmap.families.mrp.design import Design, design_of
from poolmap.families.mrp.formula import Formula, parse_formula
from poolmap.families.mrp.layout import Layout, batches
from poolmap.families.mrp.likelihood import CODES, OF_ANSWERS, Outcome, outcome_of
from poolmap.families.mrp.structures import structure_problems
from poolmap.families.mrp.whitening import Approximation, SurveyModel, approximate
from poolmap.graph.elimination import elimination

ACCEPTANCE = 0.85
CAREFUL = {"tested": 0.97, "negative_binomial": 0.9}
"""Target acceptance; of outcomes with parameters of their own that may lie in a corner, a higher one."""


@dataclass(frozen=True, eq=False)
class Described:
    """One model of the analysis: its formula, what the columns of its design are, and the model in arrays."""

    formula: Formula
    design: Design
    arrays: SurveyModel


def kind_of(spec: MrpAnalysis, model: str) -> str:
    """The likelihood of a model: a key of `outcome.CODES`."""
    kind = spec.outcome.kind
    if kind == "binary" and spec.outcome.test is not None:
        return "tested"
    return "negative_binomial" if kind == "count" and spec.models[model].likelihood != "poisson" else kind


def formula_of(spec: MrpAnalysis, model: str) -> Formula:
    """The parsed formula of a model.

    Raises:
        InputError: it cannot be read, or the model's structures do not go with it.
    """
    pooled = spec.outcome.test is None
    formula = parse_formula(spec.formula_of(model), spec.outcome.column, pooled=pooled)
    if problems := structure_problems(spec, model, formula):
        raise InputError(problems)
    return formula


def describe_model(spec: MrpAnalysis, model: str, data: Dataset) -> Described:
    """One model of the analysis.

    Raises:
        InputError: the formula cannot be fitted.
    """
    formula = formula_of(spec, model)
    design = design_of(formula, data.facts["predictors"])
    outcome = outcome_of(kind_of(spec, model), data)
    settings = spec.models[model]
    layout = Layout(
        outcome.predictors, design.common, batches(formula, design, dict(settings.structure), data)
    )
    cells = data.tables["cells"].iloc[outcome.cell].reset_index(drop=True)
    matrix = layout.design(cells, design.matrix(cells, data.facts["predictors"]))
    own = settings.residual_prior if outcome.kind == "continuous" else settings.dispersion_prior
    priors: dict[str, Any] = {"lkj": settings.lkj}
    for name, prior in {
        "alpha": settings.alpha_prior,
        "beta": settings.beta_prior,
        "sigma": settings.sigma_prior,
        "rho": settings.rho_prior,
        "correlation": settings.correlation_prior,
        "own": own,
        "test_mean": settings.test_mean_prior,
        "test_sd": settings.test_sd_prior,
    }.items():
        priors |= prior.stan_data(name)
    return Described(
        formula, design, SurveyModel(layout, matrix, outcome, priors, _validation(spec, outcome))
    )


def _validation(spec: MrpAnalysis, outcome: Outcome) -> tuple[Any, Any, str] | None:
    test = spec.outcome.test
    if outcome.kind != "tested" or test is None:
        return None
    both = (test.sensitivity, test.specificity)
    correct = tuple(np.array([study.correct for study in studies]) for studies in both)
    return correct, tuple(np.array([study.of for study in studies]) for studies in both), test.between_studies


def design_matrix(spec: MrpAnalysis, model: str, data: Dataset, frame: pd.DataFrame) -> np.ndarray:
    """(rows, columns) the columns that coefficients and slopes belong to, for rows of the table `cells` or
    `census`: what `parts.Batch.columns` and the middle dimension of `parts.Parts.beta` number."""
    design = design_of(formula_of(spec, model), data.facts["predictors"])
    return design.matrix(frame, data.facts["predictors"])


def stan_data(spec: MrpAnalysis, model: str, data: Dataset) -> StanData:
    """The survey's cells, the layout of what is sampled, its normal approximation and the priors.

    Raises:
        InputError: see `describe_model`.
    """
    arrays = describe_model(spec, model, data).arrays
    names = ["alpha", "beta", "effect", "sigma", "rho", "correlation"]
    content = program_data(arrays)
    sizes = {
        "beta": arrays.layout.P,
        "effect": arrays.layout.effects,
        "sigma": content["K"],
        "rho": sum(kind > 1 for kind in content["type"]),
        "correlation": sum(J > 1 for J in content["J"]),
    }
    own = {
        "continuous": ["residual_sd"],
        "negative_binomial": ["dispersion"],
        "ordered": ["cutpoints"],
        "tested": ["sensitivity", "specificity"],
    }.get(arrays.outcome.kind, [])
    if content["test"] == 2:
        own += ["test_mean", "test_sd"]
    return StanData(
        content,
        [n for n in names if sizes.get(n, 1)] + own,
        whitened=CAREFUL.get(arrays.outcome.kind, ACCEPTANCE),
    )


def program_data(model: SurveyModel) -> dict[str, Any]:
    """The data block of `mrp/mrp` for a model in arrays, with its normal approximation."""
    guess = approximate(model)
    outcome, kind = model.outcome, model.outcome.kind
    of_answers, whole = kind in OF_ANSWERS, kind not in (*OF_ANSWERS, "continuous")
    counts = kind in ("count", "negative_binomial")
    correct, of, between = model.validation or ((np.empty(0), np.empty(0)), (np.empty(0), np.empty(0)), "")
    return {
        "C": len(outcome.n),
        "E": model.layout.E,
        "P": model.layout.P,
        "kind": CODES[kind],
        "n": outcome.n.astype(np.int64),
        "y": outcome.y.astype(np.int64) if whole else [],
        "mean_y": outcome.y if kind == "continuous" else [],
        "within_ss": float(outcome.within_ss.sum()),
        "log_exposure": outcome.log_exposure if counts else [],
        "answers": outcome.answers.shape[1],
        "n_answer": outcome.answers if of_answers else np.zeros((0, 0)),
        "pivot": outcome.pivot + 1 if kind == "ordered" else 0,
        "test": {"": 0, "equal": 1, "varying": 2}[between],
        "studies": [len(part) for part in correct],
        "correct": np.concatenate(correct).astype(np.int64),
        "of": np.concatenate(of).astype(np.int64),
        **_structure(model, guess),
        **guess.test,
        **model.priors,
    }


def _structure(model: SurveyModel, guess: Approximation) -> dict[str, Any]:
    """The layout of what is sampled, on the pattern of the Cholesky factor."""
    layout = model.layout
    N = layout.length
    matrices = [guess.information, sparse.diags_array(guess.precision_prior), *layout.matrices()]
    whole = abs(matrices[0])
    for matrix in matrices[2:]:
        whole = whole + abs(matrix)
    pairs = np.column_stack(whole.tocoo().coords)
    pattern = elimination(N, pairs[pairs[:, 0] < pairs[:, 1]])
    place = np.empty(N, dtype=np.int64)
    place[pattern.order] = np.arange(N)
    lower = [pattern.on_pattern(matrix.tocsc()) for matrix in matrices]
    entries = [np.flatnonzero(values) for values in lower]
    design = model.design.tocsr()
    all_batches = [batch for _ in range(layout.E) for batch in layout.batches]
    return {
        "N": N,
        "order": place + 1,
        "nonzero": design.nnz,
        "design_value": design.data,
        "design_column": place[design.indices] + 1,
        "design_start": design.indptr + 1,
        "F": len(layout.floating(0)),
        "floating": np.stack([layout.floating(e) + 1 for e in range(layout.E)]),
        "free_at": float(guess.shift_prior[0] / guess.precision_prior[0]),
        "free_scale": float(guess.precision_prior[0] ** -0.5),
        "K": len(all_batches),
        "type": [batch.type for batch in all_batches],
        "J": [batch.effects for batch in all_batches],
        "size": np.array([batch.size for batch in all_batches], dtype=np.int64).reshape(-1, 3),
        "H": len(guess.hyper_at),
        "hyper_at": guess.hyper_at,
        "hyper_scale": guess.hyper_scale.reshape(len(guess.hyper_at), -1),
        "bend": guess.bend,
        "bend_at": guess.bend_at,
        "matrices": len(matrices),
        "nnz": len(pattern.row),
        "column_start": pattern.column_start,
        "row": pattern.row,
        "row_start": pattern.row_start,
        "row_place": pattern.row_place,
        "row_column": pattern.row_column,
        "column": np.repeat(np.arange(N), np.diff(pattern.column_start)),
        "entries": int(sum(map(len, entries))),
        "matrix_start": np.cumsum([0, *map(len, entries)]),
        "values": np.concatenate([values[at] for values, at in zip(lower, entries, strict=True)]),
        "place": np.concatenate(entries),
        "shift_data": guess.shift_data[pattern.order],
        "shift_prior": guess.shift_prior[pattern.order],
    }
