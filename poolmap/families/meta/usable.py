"""Which studies each model can use: one without events in both arms tells a ratio to some models only.

With the normal likelihood such a study has no estimate of its own. With an exact likelihood and a baseline of
its own for each study, whatever it says of an odds, risk or rate ratio comes from the prior of its baseline
alone: it is left out (Dias et al. 2011, NICE DSU Technical Support Document 2, section 6.3; Cochrane Handbook
10.4.4.1). Where the baselines share a distribution (`baseline: random`), or risks do (beta-binomial), the
other studies tell how many events to expect, and that there were none in one arm of many people is
information on the effect. Events in everybody in both arms are the same for odds ratios; for risk ratios
they are information with any exact likelihood: both risks are near 1, and so is their ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.measures import ADDING_UP, MEASURES
from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import LIKELIHOODS
from poolmap.contracts import Dataset
from poolmap.families.meta.study_columns import moderator_facts

NO_EVENTS = "no events in either arm"
EVENTS_ONLY = "events only in both arms"
COLUMN = "no_contrast"
"""Column of the table of studies, where there are such studies: `NO_EVENTS`, `EVENTS_ONLY` or ""."""
NEEDS_EVENTS = ("OR", "RR", "PETO", "IRR")
"""Measures on which a study without events in both arms says nothing by itself."""
FEW_STUDIES = 4
"""Up to so many, the between-study standard deviation rests on its prior."""


def no_contrast(spec: MetaAnalysis, counts: pd.DataFrame) -> pd.Series:
    """What keeps each study from telling a ratio by itself: `NO_EVENTS`, `EVENTS_ONLY` or ""."""
    found = pd.Series("", index=counts.index, dtype=object)
    if spec.measure not in NEEDS_EVENTS:
        return found
    found[(counts["events_1"] == 0) & (counts["events_2"] == 0)] = NO_EVENTS
    if "total_1" in counts:
        every = (counts["events_1"] == counts["total_1"]) & (counts["events_2"] == counts["total_2"])
        found[every] = EVENTS_ONLY
    return found


def has_contrast(studies: pd.DataFrame) -> np.ndarray:
    """Which rows of the table of studies tell a ratio by themselves: a mask."""
    if COLUMN not in studies:
        return np.ones(len(studies), dtype=bool)
    return (studies[COLUMN] == "").to_numpy()


def some_model_could(spec: MetaAnalysis) -> bool:
    """Whether there are models that can use a study without a contrast, for this measure and these data."""
    exact = any(spec.measure in measures for measures in LIKELIHOODS.values())
    return exact and spec.compares_arms and spec.effect_id is None and spec.zero_cells.to != "none"


def reason(spec: MetaAnalysis, kind: str) -> str:
    """Why, and by which models, a study without a contrast is left out."""
    if not some_model_could(spec):
        return f"{kind}: says nothing of a ratio, and is left out of all models"
    if kind == EVENTS_ONLY and spec.measure == "RR":
        return f"{kind}: has no estimate of its own, and is left out of models with the normal likelihood"
    return (
        f"{kind}: says nothing of a ratio by itself, and is left out of models with the normal likelihood or "
        "with a baseline of its own for each study"
    )


def uses(spec: MetaAnalysis, model: str, kind: str) -> bool:
    """Whether a model uses studies of a kind (`NO_EVENTS`, `EVENTS_ONLY`, or "" for all others)."""
    chosen = spec.models[model]
    shares = chosen.likelihood == "beta_binomial" or chosen.baseline == "random"
    exact = chosen.likelihood != "normal"
    return not kind or shares or (kind == EVENTS_ONLY and spec.measure == "RR" and exact)


def used_by(spec: MetaAnalysis, model: str, data: Dataset) -> Dataset:
    """The data of the studies that a model uses, with their facts."""
    return _chosen(spec, data, lambda kind: uses(spec, model, kind))


def used_by_any(spec: MetaAnalysis, data: Dataset) -> Dataset:
    """The data of the studies that at least one of the models uses, with their facts."""
    return _chosen(spec, data, lambda kind: any(uses(spec, model, kind) for model in spec.models))


def with_contrast(spec: MetaAnalysis, data: Dataset) -> Dataset:
    """The data of the studies that tell a ratio by themselves, for what works on their own estimates."""
    return _chosen(spec, data, lambda kind: not kind)


def table_facts(spec: MetaAnalysis, studies: pd.DataFrame, moderators: pd.DataFrame) -> dict[str, Any]:
    """What a reader must know of the studies that are used: their number, totals and moderators."""
    totals = {
        name: studies[name].sum().item()
        for name in MEASURES.get(spec.measure, ())
        if name.split("_")[0] in ADDING_UP
    }
    count = studies["study"].nunique()
    return {
        "n_studies": count,
        "n_effects": len(studies),
        "few_studies": count <= FEW_STUDIES,
        "totals": totals,
        "moderators": moderator_facts(moderators),
    }


def _chosen(spec: MetaAnalysis, data: Dataset, wanted: Callable[[str], bool]) -> Dataset:
    studies = data.tables["studies"]
    if COLUMN not in studies:
        return data
    keep = studies[COLUMN].map(wanted).to_numpy(dtype=bool)
    if keep.all():
        return data
    tables = {name: table[keep].reset_index(drop=True) for name, table in data.tables.items()}
    gone = set(studies.loc[~keep, "study"])
    facts = data.facts | table_facts(spec, tables["studies"], tables.get("moderators", pd.DataFrame()))
    facts["corrected"] = [name for name in data.facts["corrected"] if name not in gone]
    return replace(data, tables=tables, facts=facts)
