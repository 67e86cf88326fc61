"""Area-level covariates: a one-sided formula turned into a centred design matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from poolmap.formula_text import unread
from poolmap.tables import Table, nearest


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


def design_matrix(table: Table, formula: str | None, lines: pd.Series, areas: Sequence[str]) -> pd.DataFrame:
    """The covariates of each area, each column centred on its mean over the areas; no intercept.

    Columns of numbers enter as numbers; columns without any number are categories, coded against the first.

    Args:
        table: the table of counts; problems are noted in it.
        formula: one-sided, in lme4 notation; None for no covariates.
        lines: the line of the table that holds each area's covariates.
        areas: the ids of the areas, for messages.

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
        without = [a for a, none in zip(areas, table.is_missing(column)[lines], strict=True) if none]
        if without:
            table.problem(
                f"the covariate is missing in {len(without)} area(s): {', '.join(without)}",
                "fill it in (from a neighbouring year, or from a source that has all areas), or leave it out "
                "of the formula: an area cannot be left out of the map, and no value is made up for it",
                line=int(lines.iloc[list(areas).index(without[0])]),
                column=column,
            )
        if pd.to_numeric(text, errors="coerce").notna().any():
            values[column] = table.numbers(column, what="the covariate as a number").loc[lines].to_numpy()
        else:
            values[column] = text.to_numpy()
    if len(table.problems) > before:
        return nothing
    if why := unread(_right_side(formula)):
        table.problem(f"{where} cannot be read: {why}", 'write it as "~ scale(deprivation) + urban"')
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
    tied = _dependent(design)
    if tied:
        table.problem(
            f"{where}: its columns depend on each other linearly: {', '.join(tied)}", "take one of them out"
        )
    return design


def standard_errors(
    table: Table,
    formula: str | None,
    design: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    lines: pd.Series,
    areas: Sequence[str],
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Standard errors of covariates that are measured with errors, in the unit of the design matrix.

    Args:
        table: the table of counts; problems are noted in it.
        formula: of the covariates.
        design: what `design_matrix` made of it.
        pairs: covariate and the column with its standard errors.
        lines, areas: as of `design_matrix`.

    Returns:
        A row an area, in the order of `lines`, index from 0, with a column for each of standard errors; and
        the column of the design matrix of each covariate.
    """
    found, terms = {}, {}
    known = formula_columns(formula)
    for covariate, column in pairs:
        if covariate not in known:
            table.problem(
                f"'covariate_errors' names '{covariate}', which the formula '{formula}' does not have",
                nearest(covariate, known),
            )
            continue
        term = _linear_term(formula, covariate)
        if term is None:
            table.problem(
                f"'{covariate}' has errors and does not stand by itself in the formula '{formula}'",
                f"write it once, as {covariate} or scale({covariate}): for other functions of a covariate, "
                "categories and interactions the errors cannot be accounted for",
            )
            continue
        without = [a for a, none in zip(areas, table.is_missing(column)[lines], strict=True) if none]
        if without:
            table.problem(
                f"the standard error of '{covariate}' is missing in {len(without)} area(s): "
                f"{', '.join(without)}",
                "fill it in; write 0 where the covariate is known exactly",
                line=int(lines.iloc[list(areas).index(without[0])]),
                column=column,
            )
        se = table.numbers(column, lower=0, what="the standard error").loc[lines].to_numpy()
        if not without and np.isfinite(se).all() and not se.any():
            table.problem(
                "all standard errors are 0: nothing is measured with errors",
                f"take '{covariate}' out of 'covariate_errors'",
                column=column,
            )
        if term in design:
            x = pd.to_numeric(table.frame.loc[lines, covariate], errors="coerce").to_numpy()
            found[column] = se * np.ptp(design[term].to_numpy()) / np.ptp(x)
            terms[covariate] = term
        elif not design.empty:
            table.problem(f"'{covariate}' has errors and is no column of numbers", "", column=covariate)
    return pd.DataFrame(found, index=range(len(lines))), terms


def _linear_term(formula: str, covariate: str) -> str | None:
    """The term `x`, `scale(x)` or `center(x)` of a covariate; None where it is in others or in several."""
    from formulae import model_description

    terms = [t for t in model_description(_right_side(formula)).terms if covariate in (t.var_names or ())]
    names = [t.name.replace(" ", "") for t in terms]
    linear = (covariate, *(f"{function}({covariate})" for function in ("scale", "center")))
    return names[0] if len(names) == 1 and names[0] in linear else None


def _dependent(design: pd.DataFrame) -> list[str]:
    """The columns that are part of an exact linear dependence; none where the columns are independent."""
    if design.empty:
        return []
    triangle = np.linalg.qr((design / design.std()).to_numpy(), mode="r")
    _, values, rows = np.linalg.svd(triangle)
    rank = int((values > values.max() * max(design.shape) * np.finfo(float).eps).sum())
    taking_part = np.abs(rows[rank:]).max(axis=0, initial=0) > 1e-8
    return design.columns[taking_part].tolist()


def _right_side(formula: str) -> str:
    return formula.strip().removeprefix("~").strip()
