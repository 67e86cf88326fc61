"""The report's words on subgroups of one study that have a tau of their own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.families.meta.design import design
from poolmap.families.meta.model_kinds import prior_of
from poolmap.families.meta.numbers import listed
from poolmap.families.meta.usable import used_by


def lone_studies(spec: MetaAnalysis, data: Dataset, models: Iterable[str]) -> list[str]:
    """A remark on each model in which the only study of a subgroup is to tell the subgroup's tau."""
    found = []
    for model in models:
        layout = design(spec, model, used_by(spec, model, data))
        if layout.G < 2:
            continue
        sizes = np.bincount(layout.subgroup, minlength=len(layout.subgroups))
        alone = [name for name, size in zip(layout.subgroups, sizes, strict=True) if size == 1]
        if not alone:
            continue
        one, prior = len(alone) == 1, prior_of("tau", spec.priors(model)["tau"])
        have = "has one study only" if one else "have one study each"
        rest = (
            "the interval of its pooled effect rests" if one else "the intervals of their pooled effects rest"
        )
        found.append(
            f"Caution: in model {model} each subgroup has a tau of its own, and {listed(alone)} {have}. One "
            "study cannot tell how the studies of a subgroup differ: tau there is known from its prior alone "
            f"({prior}), and {rest} on that prior. Do not report either without it, or let the subgroups "
            "share one tau (subgroup_tau: common)."
        )
    return found
