"""The formula of a meta-regression: read by the library formulae, its complaints in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pandas as pd

from poolmap.errors import InputError, Problem
from poolmap.tables import nearest

FUNCTIONS = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
"""Functions of numbers, beside those of formulae: C, T, I, center, scale, poly, bs."""
EXAMPLE = 'write the right-hand side over the moderators, such as "latitude + allocation"'
REFERENCE = "to choose the reference category of a moderator write T(allocation, 'random')"


def slopes(key: str, formula: str, names: list[str], moderators: pd.DataFrame) -> pd.DataFrame:
    """The columns of a formula without its intercept, numbers (K, P).

    Args:
        key: place of the formula in the config.
        names: the moderators that it names.
        moderators: the moderators of the K studies.

    Raises:
        InputError: a formula that cannot be read or computed, without an intercept or a moderator, or with
            a part that would not mean what it says.
    """
    text = read_formula(key, formula, names)
    refuse = _refusal(key, formula)
    try:
        columns = _columns(text, moderators)
    except Exception as error:  # formulae raises errors of its own and lets any of Python's through
        raise refuse(*_in_words(error, text, names, moderators.columns, _words(names, moderators))) from None
    if "Intercept" not in columns:
        remedy = "leave 0 and -1 away; the pooled effect is the intercept. Use `subgroups` for a mean of each"
        raise refuse("has no intercept", remedy)
    columns = columns.drop(columns="Intercept")
    if columns.empty:
        raise refuse("names no moderator")
    infinite = [name for name in columns if not np.isfinite(columns[name]).all()]
    if infinite:
        listed = ", ".join(f"'{name}'" for name in infinite)
        remedy = "look for values that the function is not defined for, such as the logarithm of 0"
        raise refuse(f"gives no number for some studies in {listed}", remedy)
    plain = columns.columns.str.replace(".0]", "]", regex=False)
    return columns.set_axis(plain, axis=1) if plain.is_unique else columns


def read_formula(key: str, formula: str, names: list[str]) -> str:
    """The right-hand side of a formula, read without data.

    Raises:
        InputError: a formula that cannot be read, or with a part that would not mean what it says.
    """
    from formulae import model_description

    text = formula.strip().removeprefix("~").strip()
    refuse = _refusal(key, formula)
    _check_text(text, refuse)
    try:
        read = set(model_description(text).var_names)
    except Exception as error:  # see `slopes`
        raise refuse(*_in_words(error, text, names, names, [])) from None
    unread = [name for name in names if name not in read]
    if unread:
        listed = ", ".join(f"'{name}'" for name in unread)
        raise refuse(f"cannot be read as far as {listed}", f"join the terms by + : {EXAMPLE}")
    return text


def _refusal(key: str, formula: str) -> Callable[..., InputError]:
    def refuse(what: str, remedy: str = EXAMPLE) -> InputError:
        return InputError([Problem(key, f"the formula '{formula}' {what}", remedy)])

    return refuse


def _columns(text: str, moderators: pd.DataFrame) -> pd.DataFrame:
    from formulae import design_matrices

    with np.errstate(all="ignore"), redirect_stdout(StringIO()):  # formulae prints what it then raises
        found = design_matrices(text, moderators, na_action="pass", extra_namespace=FUNCTIONS)
    columns = found.common.as_dataframe() if found.common is not None else pd.DataFrame()
    return columns.astype("float64").reset_index(drop=True)


def _words(names: list[str], moderators: pd.DataFrame) -> list[str]:
    """The moderators named that are categories."""
    return [name for name in names if name in moderators and moderators[name].dtype.kind not in "fiu"]


def _check_text(text: str, refuse: Callable[..., InputError]) -> None:
    """What formulae would read as something else, or not say plainly."""
    bare = re.sub(r"`[^`]*`", "x", text)
    if "~" in bare:
        raise refuse("has a left-hand side", f"the effects are on the left anyhow: {EXAMPLE}")
    if "|" in bare:
        raise refuse("has varying terms", f"studies vary by tau as it is: {EXAMPLE}")
    if re.search(r"\boffset\s*\(", bare):
        raise refuse("has an offset", f"an effect has none: {EXAMPLE}")
    inner = None
    while inner != bare:
        inner, bare = bare, re.sub(r"[\w.]+\([^()]*\)|\{[^{}]*\}", "x", bare)
    power = re.search(r"[\w.]\s*\*\*", bare)
    if power or "^" in bare:
        raise refuse("has a power outside of I()", "write I(latitude**2) for the square of a moderator")


def _in_words(
    error: Exception, text: str, names: list[str], known: Iterable[str], words: list[str]
) -> tuple[str, str]:
    """What is wrong with the formula, and what to do."""
    said = str(error)
    if isinstance(error, KeyError) or "has no attribute" in said:
        name = str(error.args[0]) if isinstance(error, KeyError) else ""
        call = re.search(rf"(?<![\w.])({re.escape(name)}[\w.]*)\s*\(", text)
        if call or not name:
            functions = "log, log2, log10, exp, sqrt, abs, center, scale, poly, bs, C, T and I"
            function = f"the function '{call[1]}'" if call and name else "a function"
            return f"uses {function}, which is not known", f"the functions are {functions}"
        return f"names '{name}', which is no moderator", nearest(name, known)
    kind, mark = type(error).__name__, re.search(r"(?:character: |parse ')([^']?)", said)
    if kind in ("ParseError", "ScanError") and mark:
        if not mark[1]:
            return "is not complete", EXAMPLE
        if mark[1] == "_":
            return "has a name that begins with '_'", "put the name of the column into backticks"
        remedy = REFERENCE if mark[1] in "[]" else f"put names with other signs into backticks; {EXAMPLE}"
        return f"cannot be read: '{mark[1]}' cannot stand there", remedy
    if said.startswith("Unterminated"):
        return "has a quotation mark that is not closed", REFERENCE
    if "otype" in said and re.search("EQUAL|GREATER|LESS", said):
        return "compares outside of I()", "write the comparison inside of I(), such as I(latitude > 30)"
    if "Encoding" in said:
        return "has a category that C() cannot use", REFERENCE
    if "not in levels" in said or "is not in list" in said:
        return "takes a reference category that no study has", f"{REFERENCE}, as the table spells it"
    if isinstance(error, TypeError) and words:
        listed = " and ".join(f"'{name}'" for name in words)
        return (
            f"cannot be computed: {listed} {'is a category' if len(words) == 1 else 'are categories'}",
            "functions of numbers need a column in which every value is a number",
        )
    return f"cannot be read or computed ({said.strip() or kind})", EXAMPLE
