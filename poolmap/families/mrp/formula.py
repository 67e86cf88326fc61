"""The model formula: lme4 notation, read by the library formulae, restricted to what the family can fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from poolmap.errors import InputError, Problem
from poolmap.formula_text import unread

SUPPORTED = (
    "supported are columns and their interactions, and varying intercepts and slopes of a factor or of an "
    'interaction of factors, e.g. "vote ~ 1 + income * sex + (1 + income | state) + (1 | state:age)"'
)

_COMPUTED = f"add the computed column to both files and name it; {SUPPORTED}"

Columns = tuple[str, ...]
"""A column, or several whose interaction is meant."""


@dataclass(frozen=True)
class Group:
    """A batch of varying effects.

    Attributes:
        factor: the variables whose interaction is the factor.
        intercept: whether intercepts vary.
        slopes: the columns (or interactions of columns) whose slopes vary; with the intercepts they are
            correlated.
    """

    factor: tuple[str, ...]
    intercept: bool
    slopes: tuple[Columns, ...] = ()

    @property
    def name(self) -> str:
        """As lme4 writes it: `(1 + x | state)`; a varying intercept alone is called as its factor."""
        if not self.slopes:
            return term_name(self.factor)
        inner = " + ".join(["1" if self.intercept else "0", *map(term_name, self.slopes)])
        return f"({inner} | {term_name(self.factor)})"


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes:
        text: as the user wrote it.
        outcome: the left-hand side.
        common: the columns, and interactions of columns, with a coefficient each (a factor: one a level but
            the first).
        groups: the batches of varying effects.
        factors: columns written `C(x)`: factors although their levels are numbers.
    """

    text: str
    outcome: str
    common: tuple[Columns, ...]
    groups: tuple[Group, ...]
    factors: frozenset[str] = frozenset()

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that coefficients and slopes belong to, each once."""
        parts = [*self.common, *(slope for group in self.groups for slope in group.slopes)]
        return tuple(dict.fromkeys(name for part in parts for name in part))

    @property
    def plain(self) -> tuple[str, ...]:
        """Those of them that stand somewhere without `C()`."""
        bare = re.sub(r"\bC\([^()]*\)|\|[^()]*\)", " ", self.text.partition("~")[2])
        return tuple(
            name
            for name in self.predictors
            if name not in self.factors or re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", bare)
        )

    @property
    def terms(self) -> tuple[tuple[str, ...], ...]:
        """The factors of the batches, each once, in the order of the formula."""
        found: dict[frozenset[str], tuple[str, ...]] = {}
        for group in self.groups:
            found.setdefault(frozenset(group.factor), group.factor)
        return tuple(found.values())

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of all factors, each once, in the order of the formula."""
        return tuple(dict.fromkeys(variable for term in self.terms for variable in term))


def term_name(term: tuple[str, ...]) -> str:
    """The factor as the formula writes it: `county:school_type`."""
    return ":".join(term)


def parse_formula(text: str, outcome: str, *, pooled: bool = True) -> Formula:
    """Parse a formula such as "award ~ 1 + meals * charter + (1 + meals | county) + (1 | county:type)".

    As in lme4, `(1 | a/b)` stands for `(1 | a) + (1 | a:b)`, `(x | g)` for `(1 + x | g)`, and in
    `(1 + x || g)` intercepts and slopes are not correlated. An interaction needs its parts in the formula
    too, as `a * b` has them.

    Args:
        text: the formula.
        outcome: the outcome column of the config, which the left-hand side must name.
        pooled: whether there must be a varying effect; a prevalence with an imperfect test may do without.

    Raises:
        InputError: the formula cannot be parsed, or holds what the family does not fit: another
            left-hand side, no intercept, nothing that varies, functions of columns, an interaction without
            its parts, the same twice.
    """
    where = f'formula "{text}"'
    problems: list[Problem] = []
    inner, rest = _split(text)
    model = _described(rest, where)
    if "**" in text:
        problems.append(Problem(where, "powers are not supported", _COMPUTED))
    left = _variable(model.response.term) if model.response is not None else None
    if left != outcome:
        what = f"its left-hand side is not the outcome column '{outcome}'"
        remedy = f"begin it with '{outcome} ~'; which answer counts as yes stands in 'outcome: positive'"
        problems.append(Problem(where, what, remedy))
    terms = [term for term in model.common_terms if not _is_intercept(term)]
    if len(terms) == len(model.common_terms):
        problems.append(Problem(where, "it has no intercept", "take '0' or '- 1' out of the formula"))
    factors: set[str] = set()
    common = _columns(terms, where, problems, factors)
    groups: list[Group] = []
    for part in inner:
        groups += _groups(part, where, problems, factors)
    _check_twice(groups, where, problems)
    _check_margins(common, where, problems)
    slopes = [slope for group in groups for slope in group.slopes]
    if outcome in {name for part in (*common, *slopes, *(g.factor for g in groups)) for name in part}:
        what = f"the outcome '{outcome}' stands on its right-hand side too"
        problems.append(Problem(where, what, "an outcome cannot predict itself: take it out there"))
    if not inner and pooled:
        problems.append(
            Problem(where, "it has no varying intercept, so nothing is pooled", f"add one; {SUPPORTED}")
        )
    if problems:
        raise InputError(problems)
    return Formula(text, outcome, common, tuple(groups), frozenset(factors))


def _split(text: str) -> tuple[list[str], str]:
    """What stands between the parentheses of each varying term, and the formula without these terms."""
    inner: list[str] = []
    rest, depth, begin, quoted = "", 0, 0, False
    for sign in text:
        quoted ^= sign == "`"
        depth += 0 if quoted else (sign == "(") - (sign == ")")
        if depth == 1 and sign == "(" and not quoted:
            begin = len(rest)
        rest += sign
        if depth == 0 and sign == ")" and not quoted and "|" in rest[begin:]:
            before = rest[:begin].rstrip()
            inner.append(rest[begin + 1 : -1])
            rest = before[:-1] if before.endswith("+") else f"{before} 1"
        if depth < 0:
            break
    if depth:
        problem = Problem(f'formula "{text}"', "it cannot be read: the parentheses do not match", SUPPORTED)
        raise InputError([problem])
    return inner, rest


def _described(text: str, where: str) -> Any:
    from formulae import model_description

    why = unread(text)
    try:
        if not why:
            return model_description(text)
    except Exception as error:  # formulae raises its own errors as well as ValueError
        why = str(error)
    raise InputError([Problem(where, f"it cannot be read: {why}", SUPPORTED)])


def _groups(inner: str, where: str, problems: list[Problem], factors: set[str]) -> list[Group]:
    """The batches of one varying term, "1 + x | a/b"."""
    apart = "||" in inner
    model = _described(f"y ~ ({inner.replace('||', '|')})", where)
    by_factor: dict[tuple[str | None, ...], list[Any]] = {}
    for part in model.group_terms:
        by_factor.setdefault(tuple(map(_plain_name, part.factor.components)), []).append(part.expr)
    found = []
    for factor, effects in by_factor.items():
        if None in factor:
            problems.append(Problem(where, f"'({inner})' does not vary over columns", SUPPORTED))
            continue
        intercept = any(map(_is_intercept, effects))
        slopes = _columns([e for e in effects if not _is_intercept(e)], where, problems, factors)
        _check_margins(slopes, where, problems)
        if apart:
            found += [Group(factor, True)] if intercept else []
            found += [Group(factor, False, (slope,)) for slope in slopes]
        else:
            found.append(Group(factor, intercept, slopes))
    return found


def _columns(terms: list[Any], where: str, problems: list[Problem], factors: set[str]) -> tuple[Columns, ...]:
    """The columns of each term; notes what is not one, and adds those written `C(x)` to `factors`."""
    found = []
    for term in terms:
        names = []
        for component in term.components:
            name = _plain_name(component)
            if name is None and (name := _in_factor(component)) is not None:
                factors.add(name)
            names.append(name)
        if None in names:
            problems.append(Problem(where, f"'{term.name}' is not a column", _remedy(term)))
        else:
            found.append(tuple(names))
    return tuple(found)


def _check_twice(groups: list[Group], where: str, problems: list[Problem]) -> None:
    seen = set()
    for group in groups:
        for effect in ([()] if group.intercept else []) + list(group.slopes):
            key = (frozenset(group.factor), frozenset(effect))
            if key in seen:
                what = f"'({term_name(effect) or '1'} | {term_name(group.factor)})' stands twice"
                problems.append(Problem(where, what, "take one of them out"))
            seen.add(key)


def _check_margins(terms: tuple[Columns, ...], where: str, problems: list[Problem]) -> None:
    """An interaction without its parts would mean another model in another coding of its factors."""
    known = {frozenset(term) for term in terms}
    for term in terms:
        missing = [name for name in term if len(term) > 1 and frozenset([name]) not in known]
        if missing:
            problems.append(
                Problem(
                    where,
                    f"the interaction '{term_name(term)}' stands without {' and '.join(missing)}",
                    f"write {' * '.join(term)}",
                )
            )


def _is_intercept(term: Any) -> bool:
    return type(term).__name__ == "Intercept"


def _plain_name(component: Any) -> str | None:
    if type(component).__name__ != "Variable" or component.reference is not None:
        return None
    return component.name


def _in_factor(component: Any) -> str | None:
    """The column x of `C(x)`."""
    call = getattr(component, "call", None)
    if call is None or call.callee != "C" or call.kwargs or len(call.args) != 1:
        return None
    return call.args[0].name if type(call.args[0]).__name__ == "LazyVariable" else None


def _variable(term: Any) -> str | None:
    """The column of a term that is a column and nothing else."""
    return _plain_name(term.components[0]) if len(term.components) == 1 else None


def _remedy(term: Any) -> str:
    if re.match(r"(scale|center|standardize)\(", term.name):
        return "write the column alone: predictors are standardised in any case"
    if inside := re.match(r"(?:as\.)?factor\((\w+)\)", term.name):
        return f"write C({inside[1]}), which takes numbers for levels"
    if inside := re.match(r"(?:s|ns|bs|cr|poly|lo)\((\w+)", term.name):
        name = inside[1]
        walk = f"(1 | {name}) with `structure: {{{name}: rw1}}`"
        return f"for a curve, have '{name}' cut by `bands`, and write {walk}"
    return _COMPUTED
