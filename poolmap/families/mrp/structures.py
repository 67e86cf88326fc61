"""Which varying intercepts have a structure, and what cannot be."""

from __future__ import annotations

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import Problem
from poolmap.families.mrp.formula import Formula, Group

AREAL = ("icar", "bym2")


def structure_of(group: Group, structures: dict[str, str]) -> str:
    """The structure of a batch: that of its factor, where it is a varying intercept of a single factor."""
    single = len(group.factor) == 1 and group.intercept and not group.slopes
    return structures.get(group.factor[0], "iid") if single else "iid"


def structure_problems(spec: MrpAnalysis, model: str, formula: Formula) -> list[Problem]:
    """What is wrong with the structures of a model."""
    found = []
    for factor, structure in spec.models[model].structure.items():
        where = f"models.{model}.structure.{factor}"
        of_factor = [group for group in formula.groups if group.factor == (factor,) and group.intercept]
        if not of_factor:
            what = f"the formula has no varying intercept '(1 | {factor})'"
            found.append(Problem(where, what, "add it to the formula, or take the factor out of 'structure'"))
        elif structure != "iid" and of_factor[0].slopes:
            what = (
                f"the intercepts of '{of_factor[0].name}' are correlated with slopes, and have no structure"
            )
            slopes = " + ".join(":".join(slope) for slope in of_factor[0].slopes)
            found.append(Problem(where, what, f"write (1 + {slopes} || {factor})"))
        if structure in AREAL and spec.map is not None and spec.map.variable != factor:
            what = f"the polygons are those of '{spec.map.variable}', so '{factor}' has no neighbours"
            found.append(Problem(where, what, "write rw1 or ar1 for levels in an order, or iid"))
    return found
