"""The report's words on studies that tell a ratio to some models only."""

from __future__ import annotations

from collections.abc import Sequence

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import models_named
from poolmap.families.meta.usable import COLUMN, EVENTS_ONLY, NO_EVENTS, uses

SHOWN = 40  # studies named in a sentence


def no_contrast_sentences(spec: MetaAnalysis, data: Dataset) -> list[str]:
    """Which studies have no events, or events only, in both arms, and which models use them all the same.

    Args:
        data: as it was read, with the studies that only some models use.
    """
    names = data.facts["no_information"]
    if not names:
        return []
    difference = "IRD" if spec.measure == "IRR" else "RD"
    ratio = scale_of(spec).report_words
    studies = data.tables["studies"]
    if COLUMN not in studies:
        return [
            f"{_named(names)}: without events in both arms, or with events only, a study says nothing of the "
            f"{ratio} by itself. It is left out of all models. Measured as a difference (measure "
            f"{difference}) it would count."
        ]
    found = []
    for kind in (NO_EVENTS, EVENTS_ONLY):
        some = studies.loc[studies[COLUMN] == kind, "study"].tolist()
        if not some:
            continue
        using = [model for model in spec.models if uses(spec, model, kind)]
        leaving = [model for model in spec.models if model not in using]
        text = f"{_named(some)}: {kind}."
        if using:
            text += f" Used by {models_named(using)}, which {_why_used(spec, using)}."
        if leaving:
            whom = "all models" if not using else models_named(leaving)
            text += f" Left out of {whom}: {_why_left(spec, leaving, ratio)}."
        if not using:
            needed = f"`likelihood: {'poisson' if spec.measure == 'IRR' else 'binomial'}`"
            if spec.measure != "RR" or kind == NO_EVENTS:
                needed += " and `baseline: random`"
            text += (
                f" A model with {needed} can use such studies, and so can any model of the difference "
                f"(measure {difference})."
            )
        found.append(text)
    return found


def _why_used(spec: MetaAnalysis, models: Sequence[str]) -> str:
    reasons = []
    if any(
        spec.models[m].likelihood == "beta_binomial" or spec.models[m].baseline == "random" for m in models
    ):
        reasons.append("can tell from the other studies how many events were to be expected")
    if any(spec.models[m].likelihood == "binomial" and spec.models[m].baseline != "random" for m in models):
        reasons.append("can tell that both risks are near 1, and so is their ratio")
    return " or ".join(reasons)


def _why_left(spec: MetaAnalysis, models: Sequence[str], ratio: str) -> str:
    reasons = []
    if any(spec.models[m].likelihood == "normal" for m in models):
        reasons.append("the normal likelihood takes each study's own estimate, and such a study has none")
    if any(spec.models[m].likelihood != "normal" for m in models):
        reasons.append(
            f"where each study has a baseline of its own, all that such a study says of the {ratio} comes "
            "from the prior of its baseline"
        )
    return "; ".join(reasons)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
