"""Area-level covariates: a one-sided formula turned into a centred design matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.tables import Table


def formula_columns(formula: str | None) -> list[str]:
    """The columns that a one-sided formula names, sorted; none where it cannot be parsed.

    Args:
        formula: such as "~ scale(deprivation)", or None.
    """
    from formulae import model_description

    if formula is None:
        return []
    try:
        return sorted(filter(None, model_description(_right_side(formula)).var_names))
    except Exception:
        return []


def design_matrix(table: Table, formula: str | None, lines: pd.Series) -> pd.DataFrame:
    """The covariates of each area, each column centred on its mean over the areas; no intercept.

    Columns of numbers enter as numbers; columns without any number are categories, coded against the first.

    Args:
        table: the table of counts; problems are noted in it.
        formula: one-sided, in lme4 notation; None for no covariates.
        lines: the line of the table that holds each area's covariates.

    Returns:
        One row an area, in the order of `lines`, index from 0; without columns where something is wrong.
    """
    from formulae import design_matrices

    nothing = pd.DataFrame(index=range(len(lines)))
    if formula is None:
        return nothing
    where = f"the formula '{formula}'"
    before = len(table.problems)
    values = {}
    for column in formula_columns(formula):
        text = table.frame.loc[lines, column]
        missing = table.is_missing(column)
        missing = missing[missing & missing.index.isin(lines)]
        for line in missing.index[:5]:
            table.problem(
                "the covariate is missing",
                "fill it in, or leave the covariate out of the formula: an area cannot be left out of the "
                "map",
                line=line,
                column=column,
            )
        if len(missing) > 5:
            table.problem(f"the covariate is missing in {len(missing) - 5} more rows", column=column)
        if pd.to_numeric(text, errors="coerce").notna().any():
            values[column] = table.numbers(column, what="the covariate as a number").loc[lines].to_numpy()
        else:
            values[column] = text.to_numpy()
    if len(table.problems) > before:
        return nothing
    try:
        parts = design_matrices(_right_side(formula), pd.DataFrame(values))
    except Exception as error:
        table.problem(f"{where} cannot be read ({error})", 'write it as "~ scale(deprivation) + urban"')
        return nothing
    if parts.group is not None:
        table.problem(f"{where} has group terms", "the area effects are in the model already: take them out")
        return nothing
    design = parts.common.as_dataframe() if parts.common is not None else nothing
    design = design.drop(columns="Intercept", errors="ignore").reset_index(drop=True).astype("float64")
    bad = [c for c in design if not np.isfinite(design[c]).all()]
    flat = [c for c in design if c not in bad and np.ptp(design[c]) == 0]
    for column in bad:
        table.problem(f"{where}: '{column}' is not finite everywhere", "check its values and the function")
    for column in flat:
        table.problem(f"{where}: '{column}' is the same in all areas", "take it out")
    if bad or flat:
        return nothing
    design = design - design.mean()
    if np.linalg.matrix_rank(design / design.std()) < design.shape[1]:
        table.problem(f"{where}: its columns depend on each other linearly", "take one of them out")
    return design


def _right_side(formula: str) -> str:
    return formula.strip().removeprefix("~").strip()
