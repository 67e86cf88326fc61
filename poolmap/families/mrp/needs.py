"""Which variables and columns the formulas and the estimates of an analysis need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.formula import Formula, parse_formula
from poolmap.spelling import close_to


@dataclass(frozen=True)
class Needs:
    """What all models of an analysis and its estimates need together.

    Attributes:
        terms: the factors of the batches of varying effects, each a tuple of variables, none twice.
        predictors: columns with coefficients or varying slopes.
        forced: those of them that are factors although their levels are numbers, `C(x)`.
        plain: those that some formula has without `C()`.
        groups: variables of estimates, contrasts and what is left out.
        house: variables that the census need not have.
        extended: variables that are put into the census by a model of the survey.
    """

    terms: tuple[tuple[str, ...], ...]
    predictors: tuple[str, ...]
    forced: frozenset[str]
    groups: tuple[str, ...]
    house: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()

    @property
    def factors(self) -> tuple[str, ...]:
        """The variables of the batches, each once."""
        return tuple(dict.fromkeys(variable for term in self.terms for variable in term))

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of batches and estimates, each once."""
        return tuple(dict.fromkeys([*self.factors, *self.groups]))

    @property
    def of_census(self) -> tuple[str, ...]:
        """The variables that the cells of the population are told apart by."""
        return tuple(variable for variable in self.variables if variable not in self.house)


def needs_of(spec: MrpAnalysis) -> Needs:
    """What an analysis needs, from the formulas of its models and its estimates.

    Raises:
        InputError: every formula that cannot be read or fitted, and keys that do not fit the formulas.
    """
    formulas: dict[str, Formula] = {}
    problems: list[Problem] = []
    for name in spec.models:
        text = spec.formula_of(name)
        if text in formulas:
            continue
        try:
            formulas[text] = parse_formula(text, spec.outcome.column, pooled=spec.outcome.test is None)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    parsed = list(formulas.values())
    terms: dict[frozenset[str], tuple[str, ...]] = {}
    for formula in parsed:
        for term in formula.terms:
            terms.setdefault(frozenset(term), term)
    groups = [variable for grouping in spec.groupings() for variable in grouping]
    groups += [v for contrast in spec.contrasts for v in (contrast.variable, *contrast.within)]
    needs = Needs(
        terms=tuple(terms.values()),
        predictors=tuple(dict.fromkeys(name for formula in parsed for name in formula.predictors)),
        forced=frozenset(name for formula in parsed for name in formula.factors),
        groups=tuple(dict.fromkeys([*groups, *([spec.leave_out] if spec.leave_out else [])])),
        house=spec.house,
        extended=tuple(extension.variable for extension in spec.extend),
        plain=frozenset(name for formula in parsed for name in formula.plain),
    )
    if found := _misfits(spec, needs):
        raise InputError(found)
    return needs


def _misfits(spec: MrpAnalysis, needs: Needs) -> list[Problem]:
    """Keys of the config that name variables which neither formulas nor estimates have."""
    found = []

    def check(key: str, names: Sequence[str], among: Sequence[str], remedy: str) -> None:
        for i, name in enumerate(names):
            if name not in among:
                listed = ", ".join(f"'{v}'" for v in among)
                what = f"'{name}' is none of the variables that can stand here: {listed}"
                near = close_to(name, among)
                said = f"did you mean '{near}'? Else {remedy}" if near else remedy
                found.append(Problem(f"config: {key.format(i=i, name=name)}", what, said))

    leave = "leave it away, or write it into the formula"
    check("house.{i}", needs.house, needs.factors, f"{leave}, e.g. (1 | {next(iter(needs.house), '')})")
    if spec.time is not None:
        remedy = (
            f"leave it away, write it as a varying intercept, (1 | {spec.time}), or add it to the estimates"
        )
        check("time", [spec.time], needs.variables, remedy)
    if spec.leave_out is not None:
        check("leave_out", [spec.leave_out], needs.factors, "leave it away, or name one of these")
    check("extend.{i}.variable", needs.extended, [*needs.variables, *needs.predictors], leave)
    if isinstance(spec.missing, dict):
        check("missing.{name}", list(spec.missing), [*needs.variables, *needs.predictors], leave)
    check("order.{name}", list(spec.order), [*needs.variables, *needs.predictors], leave)
    for i, name in enumerate(needs.house):
        if name in needs.predictors:
            what = f"'{name}' has a coefficient or a slope in the formula"
            remedy = f"effects of a house can be averaged over as varying intercepts only: write (1 | {name})"
            found.append(Problem(f"config: house.{i}", what, remedy))
        if name in needs.groups:
            what = f"'{name}' is estimated for, and nobody in the census belongs to a house"
            remedy = "take it out of the estimates, or out of `house`"
            found.append(Problem(f"config: house.{i}", what, remedy))
    return found
