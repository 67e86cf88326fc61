"""Empirical predictive distributions of the between-study variance, by outcome and comparison.

Turner et al. 2015, Stat Med 34:984-998 (log odds ratios; tau^2 log-normal); Rhodes, Turner & Higgins 2015,
J Clin Epidemiol 68:52-60 (standardised mean differences; log tau^2 Student-t with 5 degrees of freedom).
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "empirical_priors.csv"

COMPARISONS = {
    "pharmacological_vs_placebo": ("pharmacological against placebo", ()),
    "pharmacological_vs_pharmacological": ("pharmacological against pharmacological", ()),
    "non_pharmacological_vs_placebo": ("non-pharmacological against placebo", ()),
    "non_pharmacological_vs_pharmacological": (
        "non-pharmacological against pharmacological",
        ("pharmacological vs non-pharmacological",),
    ),
    "non_pharmacological_vs_non_pharmacological": ("non-pharmacological against non-pharmacological", ()),
    "non_pharmacological": (
        "non-pharmacological against any",
        (
            "non-pharmacological vs placebo",
            "non-pharmacological vs pharmacological",
            "pharmacological vs non-pharmacological",
            "non-pharmacological vs non-pharmacological",
        ),
    ),
}
"""Comparisons by key: (words, other ways to write them). `placebo` includes other control: usual care."""

AREAS = {
    "respiratory": ("respiratory diseases", ()),
    "cancer": ("cancer", ()),
    "other": ("other medical areas", ()),
}

_RESOURCE = ("resource use, hospital stay or process", ("resource use / hospital stay / process",))
_SIGNS = "signs or symptoms reflecting continuation or end of condition"

TURNER_OUTCOMES = {
    "all_cause_mortality": ("all-cause mortality", ()),
    "obstetric_outcomes": ("obstetric outcomes", ("obstetric outcome",)),
    "cause_specific_mortality_or_major_morbidity": (
        "cause-specific mortality, major morbidity event or composite of mortality or morbidity",
        (
            "cause-specific mortality / major morbidity event / composite (mortality or morbidity)",
            "cause-specific mortality",
            "major morbidity event",
            "major morbidity",
        ),
    ),
    "resource_use_or_hospital_stay": (_RESOURCE[0], (*_RESOURCE[1], "resource use", "hospital stay")),
    "surgical_or_device_success": (
        "surgical or device-related success or failure",
        ("surgical / device related success / failure",),
    ),
    "withdrawals": ("withdrawals or drop-outs", ("withdrawals / drop-outs", "drop-outs")),
    "internal_structure": (
        "internal or structure-related outcomes",
        ("internal / structure-related outcomes",),
    ),
    "general_physical_health": ("general physical health indicators", ()),
    "adverse_events": ("adverse events", ("adverse event",)),
    "infection_or_new_disease": (
        "infection or onset of new disease",
        ("infection / onset of new disease", "infection"),
    ),
    "signs_or_symptoms": (
        _SIGNS,
        ("signs / symptoms reflecting continuation / end of condition", "symptoms"),
    ),
    "pain": ("pain", ()),
    "quality_of_life": (
        "quality of life or functioning, dichotomised",
        ("quality of life / functioning (dichotomized)", "functioning"),
    ),
    "mental_health": ("mental health indicators", ()),
    "biological_markers": (
        "biological markers, dichotomised",
        ("biological markers (dichotomized)", "biological marker"),
    ),
    "subjective_outcomes": ("subjective outcomes, various", ("subjective outcomes (various)",)),
}

RHODES_OUTCOMES = {
    "obstetric_outcomes": ("obstetric outcomes", ("obstetric outcome",)),
    "resource_use_or_hospital_stay": (
        _RESOURCE[0],
        ("resource use and hospital stay / process", "resource use", "hospital stay"),
    ),
    "internal_structure": (
        "internal or external structure-related outcomes",
        ("internal and external structure-related outcome",),
    ),
    "general_physical_health": (
        "general physical health, adverse events, pain, quality of life or functioning",
        (
            "general physical health and adverse event and pain and quality of life / functioning",
            "adverse events",
            "pain",
            "quality of life",
            "functioning",
        ),
    ),
    "signs_or_symptoms": (
        f"{_SIGNS}, infection, onset of new acute or chronic disease",
        (
            "signs / symptoms reflecting continuation / end of condition and infection / onset of new acute "
            "/ chronic disease",
            "symptoms",
            "infection",
            "infection or new disease",
        ),
    ),
    "mental_health": ("mental health outcomes", ("mental health outcome",)),
    "biological_markers": ("biological markers", ("biological marker",)),
    "subjective_outcomes": ("various subjectively measured outcomes", ()),
}


@dataclass(frozen=True)
class EmpiricalPrior:
    """One published set of predictive distributions.

    Attributes:
        source: as cited in the report.
        measures: the effect measures on whose scale of analysis the distributions are.
        keys: what the config states, and its categories by name: (words, other ways to write them).
        fixed: parameters that stand before those of the table.
    """

    source: str
    measures: tuple[str, ...]
    keys: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]]
    fixed: tuple[float, ...] = ()


def _some(*names: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: COMPARISONS[name] for name in names}


EMPIRICAL = {
    "turner_2015": EmpiricalPrior(
        "Turner 2015",
        ("OR", "PETO"),
        {"outcome": TURNER_OUTCOMES, "comparison": _some(*(n for n in COMPARISONS if "_vs_" in n))},
    ),
    "rhodes_2015": EmpiricalPrior(
        "Rhodes 2015",
        ("SMD",),
        {
            "outcome": RHODES_OUTCOMES,
            "comparison": _some(
                "pharmacological_vs_placebo", "pharmacological_vs_pharmacological", "non_pharmacological"
            ),
            "area": AREAS,
        },
        fixed=(5.0,),
    ),
}
"""By the name of the prior in the config."""


@cache
def table() -> dict[tuple[str, ...], tuple[float, float]]:
    """(location, scale) of log tau^2, by (prior, outcome, comparison, area); area "" for Turner."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    keys = ("prior", "outcome", "comparison", "area")
    return {tuple(row[k] for k in keys): (float(row["location"]), float(row["scale"])) for row in rows}


def parameters(prior: str, setting: Mapping[str, str]) -> tuple[float, ...]:
    """Parameters of the prior in a setting: (mean, sd) or (df, location, scale) of log tau^2.

    Args:
        prior: a name in `EMPIRICAL`.
        setting: the category of each key, by its name.

    Raises:
        KeyError: no such category.
    """
    place = (prior, setting["outcome"], setting["comparison"], setting.get("area", ""))
    return (*EMPIRICAL[prior].fixed, *table()[place])


def words(prior: str, setting: Mapping[str, str]) -> str:
    """The setting in words: `Turner 2015: all-cause mortality, pharmacological against placebo`."""
    known = EMPIRICAL[prior]
    return f"{known.source}: {', '.join(names[setting[key]][0] for key, names in known.keys.items())}"


def category(prior: str, key: str, given: str) -> str | None:
    """The name of the category that is meant, or None.

    Upper and lower case, spaces, hyphens and underscores are alike, and `against`, `versus` and `vs`.
    """
    names = EMPIRICAL[prior].keys[key]
    known = {_plain(way): name for name, (text, ways) in names.items() for way in (name, text, *ways)}
    return known.get(_plain(given))


def nearest_first(prior: str, key: str, given: str) -> list[str]:
    """All categories of a key, the nearest to what was written first."""

    def likeness(name: str) -> float:
        text, ways = EMPIRICAL[prior].keys[key][name]
        wanted = _plain(given)
        return max(difflib.SequenceMatcher(None, wanted, _plain(way)).ratio() for way in (name, text, *ways))

    return sorted(EMPIRICAL[prior].keys[key], key=likeness, reverse=True)


def _plain(text: str) -> str:
    words = re.sub(r"[^a-z0-9]+", " ", text.lower()).split()
    alike = {"against": "vs", "versus": "vs", "v": "vs", "nonpharmacological": "non pharmacological"}
    plain = " ".join(alike.get(word, word) for word in words)
    return re.sub(r"\b(placebo (or )?control|control)$", "placebo", plain)
