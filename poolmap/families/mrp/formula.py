"""The model formula: lme4 notation, read by the library formulae, restricted to what the family can fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poolmap.errors import InputError, Problem

SUPPORTED = (
    "supported are numeric columns as predictors and varying intercepts of a factor or of an interaction "
    'of factors, e.g. "vote ~ 1 + income + (1 | state) + (1 | age) + (1 | state:age)"'
)

_COMPUTED = f"add the computed column to both files and name it; {SUPPORTED}"


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes:
        text: as the user wrote it.
        outcome: the left-hand side.
        predictors: numeric columns with a coefficient each.
        terms: the varying intercepts; each is the tuple of variables whose interaction is the factor.
    """

    text: str
    outcome: str
    predictors: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of all terms, each once, in the order of the formula."""
        return tuple(dict.fromkeys(variable for term in self.terms for variable in term))


def term_name(term: tuple[str, ...]) -> str:
    """The factor as the formula writes it: `county:school_type`."""
    return ":".join(term)


def parse_formula(text: str, outcome: str) -> Formula:
    """Parse a formula such as "award ~ 1 + meals + (1 | county) + (1 | county:type)".

    `(1 | a/b)` stands for `(1 | a) + (1 | a:b)`, as in lme4.

    Args:
        text: the formula.
        outcome: the outcome column of the config, which the left-hand side must name.

    Raises:
        InputError: the formula cannot be parsed, or holds what the family does not fit: another
            left-hand side, no intercept, no varying intercept, varying slopes, functions, interactions of
            predictors.
    """
    from formulae import model_description

    where = f'formula "{text}"'
    try:
        model = model_description(text)
    except Exception as error:  # formulae raises its own scan and parse errors as well as ValueError
        raise InputError([Problem(where, f"it cannot be read: {error}", SUPPORTED)]) from None

    problems: list[Problem] = []
    if "**" in text:
        problems.append(Problem(where, "powers are not supported", _COMPUTED))
    left = _variable(model.response.term) if model.response is not None else None
    if left != outcome:
        problems.append(
            Problem(
                where,
                f"its left-hand side is not the outcome column '{outcome}'",
                f"begin it with '{outcome} ~'; which answer counts as yes stands in 'outcome: positive'",
            )
        )
    common = [term for term in model.common_terms if not _is_intercept(term)]
    if len(common) == len(model.common_terms):
        problems.append(Problem(where, "it has no intercept", "take '0' or '- 1' out of the formula"))
    predictors = []
    for term in common:
        name = _variable(term)
        if name is None:
            problems.append(Problem(where, f"'{term.name}' is not a column", _remedy(term)))
        else:
            predictors.append(name)
    terms = []
    for group in model.group_terms:
        factor = tuple(_plain_name(component) for component in group.factor.components)
        if not _is_intercept(group.expr):
            what = f"'({group.expr.name} | {group.factor.name})' is a varying slope"
            problems.append(Problem(where, what, SUPPORTED))
        elif None in factor:
            what = f"'(1 | {group.factor.name})' is not a varying intercept of columns"
            problems.append(Problem(where, what, SUPPORTED))
        elif any(set(factor) == set(other) for other in terms):
            problems.append(
                Problem(where, f"'(1 | {group.factor.name})' stands twice", "take one of them out")
            )
        else:
            terms.append(factor)
    if not model.group_terms:
        problems.append(
            Problem(where, "it has no varying intercept, so nothing is pooled", f"add one; {SUPPORTED}")
        )
    if problems:
        raise InputError(problems)
    return Formula(text, outcome, tuple(predictors), tuple(terms))


def _is_intercept(term: Any) -> bool:
    return type(term).__name__ == "Intercept"


def _plain_name(component: Any) -> str | None:
    if type(component).__name__ != "Variable" or component.reference is not None:
        return None
    return component.name


def _variable(term: Any) -> str | None:
    """The column of a term that is a column and nothing else."""
    return _plain_name(term.components[0]) if len(term.components) == 1 else None


def _remedy(term: Any) -> str:
    if term.name.startswith("scale("):
        return "write the column alone: predictors are standardised in any case"
    return _COMPUTED
