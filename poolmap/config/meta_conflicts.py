"""What in the config of a meta-analysis does not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolmap.config.conflicts import Conflict
from poolmap.config.measures import (
    DEFAULT_PRIORS,
    GENERIC_COLUMNS,
    MEASURES,
    PRECISION_COLUMNS,
    RATIOS,
    RISK_MEASURES,
    example_prior,
)
from poolmap.tables import close_to

if TYPE_CHECKING:
    from poolmap.config.meta import MetaAnalysis
    from poolmap.config.meta_model import MetaModel

UNSTATED = {"beta_prior": "a coefficient", "tau_within_prior": "the variation within studies"}
SHARED_KINDS = ("total", "n", "sd", "time")
"""What one column may hold for both arms: their size, or a standard deviation pooled over them."""


def conflicts(spec: MetaAnalysis, *, whole: bool) -> list[Conflict]:
    """Everything that does not go together.

    Args:
        whole: whether all keys are there (and not only those that a step reads).
    """
    found = [*_columns(spec), *_options(spec)]
    for number, (name, model) in enumerate(spec.models.items()):
        own = model.conflicts(spec.measure, several_effects=spec.effect_id is not None)
        own += _with_the_analysis(spec, model, first=whole and number == 0)
        if whole:
            own += _priors(spec, model, name)
        found += [conflict.below(f"models.{name}") for conflict in own]
    return found


def _columns(spec: MetaAnalysis) -> list[Conflict]:
    if spec.layout == "long" and not spec.compares_arms:
        what = f"measure {spec.measure} has no two arms to stand in rows of their own: leave `layout` away"
        return [Conflict("layout", what)]
    found = []
    if (spec.layout == "long") != (spec.reference is not None):
        what = (
            "`reference` names the arm to compare with where `layout: long` says that each arm has a row: "
            "give both or neither"
        )
        found.append(Conflict("reference" if spec.reference is not None else "layout", what))
    given = {
        name: column for name in type(spec.columns).model_fields if (column := getattr(spec.columns, name))
    }
    given.pop("correlation", None)
    if spec.measure == "GEN":
        valid = any(set(given) == {"estimate", *precision} for precision in PRECISION_COLUMNS)
        needed = "estimate and one of " + "; ".join(" with ".join(names) for names in PRECISION_COLUMNS)
        missing, other = [], [name for name in given if name not in GENERIC_COLUMNS]
    else:
        valid = set(given) == set(spec.needed_columns)
        needed = "exactly the columns " + ", ".join(sorted(spec.needed_columns))
        missing = [name for name in spec.needed_columns if name not in given]
        other = [name for name in given if name not in spec.needed_columns]
    if not valid:
        what = f"measure {spec.measure} takes {needed}; given: {', '.join(sorted(given)) or 'none'}"
        parts = [f"add {', '.join(missing)}"] if missing else []
        parts += [f"take out {', '.join(other)}"] if other else []
        found.append(Conflict("columns", what, " and ".join(parts) + _other_measures(set(given))))
    seen: dict[str, str] = {}
    for name, column in given.items():
        first = seen.setdefault(column, name)
        kind = name.split("_")[0]
        if first != name and not (kind == first.split("_")[0] and kind in SHARED_KINDS):
            what = f"the column '{column}' is named for {first} already"
            found.append(Conflict(f"columns.{name}", what, f"name the column that holds {name}"))
    if spec.add is not None and not spec.has_cells:
        what = f"measure {spec.measure} has no cells of counts to add to: leave `add` away"
        found.append(Conflict("add", what))
    return found


def _other_measures(given: set[str]) -> str:
    """The measures that the given columns are those of."""
    fitting = [measure for measure, names in MEASURES.items() if set(names) == given]
    fitting += ["GEN"] if any(given == {"estimate", *names} for names in PRECISION_COLUMNS) else []
    return f"; or choose a measure that these columns are for: {', '.join(fitting)}" if fitting else ""


def _options(spec: MetaAnalysis) -> list[Conflict]:
    found = []
    if spec.effect_id is not None and spec.layout == "long":
        what = "`effect_id` has one row an effect, `layout: long` one an arm: give the effects in wide rows"
        found.append(Conflict("effect_id", what))
    if spec.columns.correlation is not None and spec.effect_id is None:
        what = (
            "a correlation is that of several effects of a study: name the column that tells them apart in "
            "`effect_id`"
        )
        found.append(Conflict("columns.correlation", what))
    if spec.baseline_risks and spec.measure not in RISK_MEASURES:
        what = (
            f"absolute risks follow from {', '.join(RISK_MEASURES)}, not from measure {spec.measure}: leave "
            "`baseline_risks` away"
        )
        found.append(Conflict("baseline_risks", what))
    ratio = spec.measure in RATIOS or spec.estimate_scale != "plain"
    if ratio and any(threshold <= 0 for threshold in spec.thresholds):
        what = "thresholds of a ratio are ratios, above 0 (not their logarithms)"
        found.append(Conflict("thresholds", what))
    return found


def _with_the_analysis(spec: MetaAnalysis, model: MetaModel, *, first: bool) -> list[Conflict]:
    """What in a model does not fit the rest of the analysis."""
    found = []
    if first and model.effects == "independent":
        what = "the first model is the primary one and must pool: put another one before it"
        found.append(Conflict("effects", what))
    if spec.add is not None and spec.add.to == "none" and model.likelihood != "normal":
        what = (
            "`add.to: none` leaves out studies whose own estimate a zero cell makes undefined; the "
            f"{model.likelihood} likelihood needs no addition and can use them: leave `add` away"
        )
        found.append(Conflict("likelihood", what))
    if spec.columns.correlation is not None and model.correlation is not None:
        what = "the column `columns.correlation` gives it: leave one of the two away"
        found.append(Conflict("correlation", what))
    for key, names in {"formula": model.formula_names, "subgroups": model.subgroup_names}.items():
        for column in names:
            if column not in spec.moderators:
                what = f"'{column}' is not among `moderators`: name the columns to be read there"
                near = close_to(column, spec.moderators)
                listed = ", ".join((*spec.moderators, column))
                remedy = f"did you mean '{near}'?" if near else f"write `moderators: [{listed}]`"
                found.append(Conflict(key, what, remedy))
    measures = getattr(model.tau_prior, "measures", None)
    if measures is not None and spec.measure not in measures:
        what = (
            f"the prior {model.tau_prior.family} is one for measure {' or '.join(measures)}, not for "
            f"{spec.measure}"
        )
        found.append(Conflict("tau_prior", what, "state another one, for instance {half_normal: 0.5}"))
    return found


def _priors(spec: MetaAnalysis, model: MetaModel, name: str) -> list[Conflict]:
    """The priors that a model lacks, with lines to copy."""
    needed = model.needs_priors(spec.measure in DEFAULT_PRIORS, spec.effect_id is not None)
    if not needed:
        return []
    of = UNSTATED.get(" ".join(needed), f"measure {spec.measure}")
    what = (
        f"state {' and '.join(needed)}: there is no default that could be defended for {of} whatever its "
        "unit and subject"
    )
    scale = spec.estimate_scale if spec.measure == "GEN" else spec.measure
    example = ", ".join(f"{key}: {example_prior(key, scale)}" for key in needed)
    if "models" in spec.model_fields_set:
        remedy = f"add to the model, with numbers that suit your data: {example}"
    else:
        remedy = f"add to the analysis, with numbers that suit your data: models: {{{name}: {{{example}}}}}"
    return [Conflict("", what, remedy)]
