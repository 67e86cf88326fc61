"""The columns of a study table beside its data: choices, moderators, judgements, order, correlations."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis, Value
from poolmap.tables import MISSING, Table, nearest

JUDGEMENTS = {
    "low": ("low", "l"),
    "some concerns": ("some concerns", "some concern", "moderate", "s", "m"),
    "high": ("high", "serious", "critical", "h"),
    "unclear": ("unclear", "no information", "ni", "u"),
}
"""What is read as each judgement of the risk of bias, in small letters."""
_JUDGEMENT = {word: judgement for judgement, words in JUDGEMENTS.items() for word in words}
_VALID = "low, some concerns (or moderate), high (or serious, critical), unclear (or no information)"


def leave_out_by_choice(spec: MetaAnalysis, table: Table) -> dict[int, str]:
    """Take the rows that `exclude` names off the table.

    A text in the config is compared as it is written and, where no row has it, as a number; a number always
    as a number. With `layout: long` a study leaves with both its arms, so its rows must agree in the column;
    only the column of the arm itself picks single rows.

    Returns:
        reason by line; one line a study of two arms.
    """
    found: dict[int, str] = {}
    gone: set[int] = set()
    study = table.frame[spec.study]
    for column, values in spec.exclude.items():
        text = table.frame[column]
        chosen = pd.Series(False, index=text.index)
        for value in values:
            same = _same(text, value)
            if not same.any():
                table.problem(
                    f"no row has the value '{_written(value)}' (key `exclude`)",
                    nearest(_written(value), sorted(set(text) - {""})),
                    column=column,
                )
            chosen |= same
        lines = text.index[chosen].tolist()
        reason = f"left out by choice: {column} is "
        if spec.layout == "long" and column != spec.columns.arm:
            for name in dict.fromkeys(study[lines]):
                rows = text.index[study == name]
                if not chosen[rows].all():
                    said = " and ".join(f"'{value}'" for value in dict.fromkeys(text[rows]))
                    table.problem(
                        f"the rows of study '{name}' have {said}, and only one of them is to be left "
                        "out (key `exclude`)",
                        "a study leaves with both its arms: give its rows the same value",
                        line=rows[0],
                        column=column,
                    )
                gone |= set(rows)
                found.setdefault(rows[0], f"{reason}{text[rows[0]]}")
            continue
        if spec.layout == "long":
            reason = f"this arm left out by choice: {column} is "
        gone |= set(lines)
        for line in lines:
            found.setdefault(line, f"{reason}{text[line]}")
    table.frame = table.frame.drop(index=sorted(gone))
    return found


def _written(value: Value) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _same(text: pd.Series, value: Value) -> pd.Series:
    if isinstance(value, str):
        same = text == value
        if same.any():
            return same
    number = pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0]
    return pd.to_numeric(text, errors="coerce") == number


def per_study(
    table: Table,
    column: str,
    rows: pd.DataFrame,
    study: pd.Series,
    *,
    key: str,
    by: pd.Series | None = None,
    meaning: Callable[[str], Hashable] | None = None,
) -> pd.Series:
    """The text of a column that says something of the study, by the index of `rows`; "" where missing.

    A field left empty in one row of a study takes the value of another; two values are a problem.

    Args:
        rows: lines of the table that belong together, a column each (one row an arm: two).
        study: its name, by line.
        key: of the config that names the column.
        by: the study of each of `rows` where it may have several of them.
        meaning: what a text stands for; texts of one meaning agree. Left out: numbers are compared as such.
    """
    meaning = meaning or _number_or_text
    group = rows.index.to_series() if by is None else by
    of = pd.concat([pd.Series(group.to_numpy(), index=rows[part].tolist()) for part in rows]).sort_index()
    text = table.frame.loc[of.index, column]
    given = text[~text.isin(MISSING)]
    groups = given.groupby(of[given.index], sort=False)
    for _, values in groups:
        different = list(dict.fromkeys(values))
        if len({meaning(value) for value in different}) > 1:
            line = values.index[0]
            said = " and ".join(f"'{value}'" for value in different)
            table.problem(
                f"study '{study[line]}' has {said} (key `{key}`)",
                "it says something of the whole study: give all its rows the same value",
                line=line,
                column=column,
            )
    first = groups.first()
    return group.map(lambda name: first.get(name, "")).astype(object)


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def numbers_or_text(text: pd.Series) -> pd.Series:
    """Numbers (float64, NaN where missing) where every value is one, else the text itself."""
    values = pd.to_numeric(text.where(~text.isin(MISSING)), errors="coerce").astype("float64")
    given = ~text.isin(MISSING)
    return values if np.isfinite(values[given]).all() else text


def moderators(
    spec: MetaAnalysis, table: Table, rows: pd.DataFrame, study: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, list[str]]]:
    """The moderators by the index of `rows`, numbers or text; the same as text; those missing, by line."""
    found = {
        column: per_study(table, column, rows, study, key="moderators")
        for column in dict.fromkeys(spec.moderators)
    }
    missing: dict[int, list[str]] = {}
    for column, text in found.items():
        for line in text.index[text == ""]:
            missing.setdefault(line, []).append(column)
    frame = pd.DataFrame({column: numbers_or_text(text) for column, text in found.items()}, index=rows.index)
    written = pd.DataFrame(
        {column: _as_written(text, frame[column]) for column, text in found.items()}, index=rows.index
    )
    return frame, written, missing


def _as_written(text: pd.Series, values: pd.Series) -> pd.Series:
    """The text of each value; of a number that is written in several ways (10, 10.0) the first of them."""
    if not pd.api.types.is_numeric_dtype(values):
        return text
    first = text.groupby(values, sort=False).first()
    return values.map(first).fillna("").astype(object)


def moderator_facts(frame: pd.DataFrame) -> dict[str, Any]:
    """By moderator: `kind` number with `lowest` and `highest`, or category with `levels` and their rows.

    Where most values of a category are numbers, `not_numbers` lists the others: slips, perhaps.
    """
    facts: dict[str, Any] = {}
    for column, values in frame.items():
        if pd.api.types.is_numeric_dtype(values):
            facts[str(column)] = {
                "kind": "number",
                "lowest": float(values.min()),
                "highest": float(values.max()),
            }
        else:
            levels = values.value_counts().sort_index()
            facts[str(column)] = {"kind": "category", "levels": {str(k): int(n) for k, n in levels.items()}}
            odd = not_numbers(values)
            facts[str(column)] |= {"not_numbers": odd} if odd else {}
    return facts


def not_numbers(values: pd.Series) -> list[str]:
    """The values that make a column a category though most of them are numbers: slips, or decimal commas."""
    if pd.api.types.is_numeric_dtype(values):
        return []
    with_point = pd.to_numeric(values.str.replace(",", ".", regex=False), errors="coerce")
    if with_point.notna().mean() <= 0.5:
        return []
    return list(dict.fromkeys(values[pd.to_numeric(values, errors="coerce").isna()]))


def judgements(
    domains: Mapping[str, str], table: Table, rows: pd.DataFrame, study: pd.Series
) -> pd.DataFrame:
    """The judgements of each domain, by the index of `rows`: low, some concerns, high, unclear, or ""."""
    columns = {}
    for domain, column in domains.items():
        text = per_study(table, column, rows, study, key=f"risk_of_bias.{domain}", meaning=_meaning)
        words = text.map(_bare)
        columns[domain] = words.map(lambda word: _JUDGEMENT.get(word, ""))
        letters = set(words) & {"m", "c", "ni"}  # of ROBINS-I, where S is serious
        for line in words.index[words != ""]:
            if words[line] == "s" and letters:
                what = f"'{text[line]}' may be some concerns or, as beside '{min(letters).upper()}', serious"
                table.problem(what, "write the judgements as words", line=line, column=column)
            elif words[line] not in _JUDGEMENT:
                what = f"'{text[line]}' is not a judgement of the risk of bias"
                table.problem(what, f"write {_VALID}, or leave the field empty", line=line, column=column)
    return pd.DataFrame(columns, index=rows.index)


def _meaning(text: str) -> str:
    word = _bare(text)
    return _JUDGEMENT.get(word, word)


def _bare(text: str) -> str:
    """A judgement in small letters, without 'risk of bias' behind it."""
    words = re.sub(r"[\s_-]+", " ", text.strip().casefold())
    return re.sub(r" (risk( of bias)?|rob|bias)$", "", words)


def effect_order(study: pd.Series) -> pd.Index:
    """The lines with a study's effects together, studies in the order of their first line."""
    codes, _ = pd.factorize(study)
    return study.index[np.argsort(codes, kind="stable")]


def check_effects(spec: MetaAnalysis, table: Table, study: pd.Series) -> pd.Series:
    """The effects' names; one that is empty, or stands twice in a study, is a problem."""
    effect = table.ids(str(spec.effect_id), what="effect", unique=False)
    first: dict[tuple[str, str], int] = {}
    for line in effect.index[(effect != "") & (study != "")]:
        pair = study[line], effect[line]
        if pair in first:
            table.problem(
                f"effect '{pair[1]}' of study '{pair[0]}' stands already in {table.unit} {first[pair]}",
                "each effect of a study may stand once: merge the rows or give the effects different names",
                line=line,
                column=spec.effect_id,
            )
        first.setdefault(pair, line)
    return effect


def correlations(table: Table, column: str, study: pd.Series) -> pd.Series:
    """The correlation of the sampling errors, NaN where missing; not the same in a study: a problem."""
    rho = table.numbers(
        column, lower=-1, upper=1, strict_lower=True, what="a correlation above -1 and below 1"
    )
    for line in rho.index[rho == 1]:
        remedy = "write a correlation above -1 and below 1"
        table.problem("sampling errors cannot be correlated by 1", remedy, line=line, column=column)
    for name, values in rho.dropna().groupby(study, sort=False):
        if values.nunique() > 1:
            listed = " and ".join(f"{value:g}" for value in dict.fromkeys(values))
            table.problem(
                f"study '{name}' has the correlations {listed}",
                "give the same correlation in all rows of a study",
                line=values.index[0],
                column=column,
            )
    return rho


def check_given_correlations(table: Table, column: str, rho: pd.Series, study: pd.Series) -> None:
    """Note each kept effect without a correlation, in a study of which several are kept."""
    several = study.map(study.value_counts()) > 1
    for line in study.index[several & rho.isna()]:
        table.problem(
            f"the effect has no correlation with the others of study '{study[line]}'",
            "give all rows of the study the same correlation, or assume one: leave `columns.correlation` "
            "away and give the model a `correlation`",
            line=line,
            column=column,
        )
