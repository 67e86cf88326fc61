"""The report's words on the data of a meta-analysis: what came in, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, ReportTable
from poolmap.families.meta.arms import arm_cells, cells_in_words, totals_in_words
from poolmap.families.meta.effects import Scale, scale_of
from poolmap.families.meta.no_contrast_words import no_contrast_sentences
from poolmap.families.meta.numbers import (
    NOTHING,
    capital,
    count,
    effect_heading,
    effect_name,
    level,
    listed,
    short_name,
    with_interval,
    writer,
)
from poolmap.families.meta.study_columns import JUDGEMENTS
from poolmap.families.meta.usable import used_by_any

SHOWN_STUDIES = 40  # named one by one in a sentence
BY_CHOICE = "left out by choice: "  # how the reasons of `exclude` begin (study_columns.py)
NO_JUDGEMENT = "not judged"


def describe(spec: MetaAnalysis, data: Dataset) -> list[Block]:
    """What came in, what was left out, which studies were corrected; the table of studies."""
    scale = scale_of(spec)
    read, data = data, used_by_any(spec, data)
    facts = data.facts
    blocks: list[Block] = [
        f"{studies_and_effects(spec, data)} are analysed, from "
        f"{count(facts['n_rows'], 'row')} of {spec.data}."
        + totals_in_words(spec, data)
        + _measured(spec, scale)
    ]
    if facts.get("asymmetric"):
        blocks.append(
            f"The confidence limits of {_names(facts['asymmetric'])} lie unevenly about the estimate. Check "
            "that they stand on the same scale (of the ratio, or of its logarithm) and are not rounded too "
            "far: the standard error is computed from the distance of the limits, as if they were even."
        )
    if facts.get("few_studies") and any(model.heterogeneous for model in spec.models.values()):
        blocks.append(_few(facts["n_studies"]))
    blocks += _left_out(data, told=facts["no_information"])
    blocks += no_contrast_sentences(spec, read)
    if facts["corrected"]:
        exact = any(m.likelihood != "normal" for m in spec.models.values())
        which = "every study" if spec.zero_cells.to == "all" else _names(facts["corrected"])
        blocks.append(
            f"Zero cells: {facts['correction']:g} was added to {cells_in_words(spec)} of {which} for the "
            "study's own estimate and its variance, and so in models with the normal likelihood."
            + (" The exact likelihoods use the counts as they are." if exact else "")
        )
    if facts.get("moderators"):
        blocks.append(_moderators(facts["moderators"]))
    if "risk_of_bias" in data.tables:
        blocks.append(_risk_of_bias(data.tables["risk_of_bias"]))
    blocks.append(_study_data(spec, data))
    return blocks


def studies_and_effects(spec: MetaAnalysis, data: Dataset) -> str:
    """`13 studies`, or with several effects a study `11 studies with 56 effects`."""
    text = count(data.facts["n_studies"], "study")
    return text if spec.effect_id is None else f"{text} with {count(data.facts['n_effects'], 'effect')}"


def _few(studies: int) -> str:
    return (
        f"Only {count(studies, 'study')}: they say little about tau, the standard deviation between studies, "
        "so that its posterior rests on its prior. With a prior that allows larger tau the interval of the "
        "pooled effect becomes wider, and the prediction interval wider still: report both with the prior, "
        "and fit the model with another defensible prior of tau beside it (Friede et al. 2017, Res Synth "
        "Methods 8:79; Röver et al. 2021, Res Synth Methods 12:448)."
    )


def _left_out(data: Dataset, told: Sequence[str]) -> list[str]:
    """A sentence on the rows left out by choice, and one on the others but those `told` elsewhere."""
    listed_rows = data.exclusions[~data.exclusions["id"].isin(told)]
    chosen = listed_rows["reason"].astype(str).str.contains(BY_CHOICE, regex=False)
    found = []
    for words, rows in (
        ("Left out by choice", listed_rows[chosen]),
        ("Left out", listed_rows[~chosen]),
    ):
        if rows.empty:
            continue
        told = [
            f"{row.id}: {str(row.reason).replace(BY_CHOICE, '')}"
            for row in rows.head(SHOWN_STUDIES).itertuples()
        ]
        more = f"; and {len(rows) - SHOWN_STUDIES} more" if len(rows) > SHOWN_STUDIES else ""
        found.append(f"{words}: {count(len(rows), 'row')} ({'; '.join(told)}{more}).")
    return found


def _measured(spec: MetaAnalysis, scale: Scale) -> str:
    """What the effect is and on which scale it is analysed."""
    if spec.measure == "GEN":
        each = "Each" if spec.effect_id is None else "Each row"
        text = f" {each} gives an estimate of the effect ({effect_name(spec)}) and {precision(spec)}."
        return text + (" The ratios are analysed as logarithms." if scale.ratio else "")
    against = f" of {spec.arms[0]} against {spec.arms[1]}" if spec.compares_arms else ""
    text = f" {'The effect is' if scale.contrast else 'What is pooled is'} the {scale.report_words}{against}"
    if scale.inverse == "sin2":
        text += (
            f", analysed as its {scale.words} and carried back by the squared sine, the inverse for large "
            "samples (Miller's inverse depends on a sample size, which a pooled proportion does not have; "
            "Schwarzer et al. 2019)"
        )
    elif scale.inverse == "exp":
        text += f", analysed as its logarithm ({scale.name})"
    elif scale.back:
        text += f", analysed as its {scale.words} ({scale.name})"
    elif spec.measure == "PR":
        text += ", analysed as it is, so that intervals may reach beyond 0 and 1"
    return text + "."


def precision(spec: MetaAnalysis) -> str:
    """What tells the precision of an estimate of measure GEN."""
    words = {
        "se": "its standard error",
        "variance": "its variance",
        "upper": f"its {level(spec.confidence)} confidence limits, from which the standard error is "
        "computed as their distance over twice the normal quantile",
        "p_value": "its two-sided p-value, from which the standard error is computed as for a z-test",
    }
    return next(told for name, told in words.items() if getattr(spec.columns, name) is not None)


def _moderators(facts: dict[str, Any]) -> str:
    told = []
    for name, fact in facts.items():
        if fact["kind"] == "number":
            told.append(f"{name} (a number, from {fact['lowest']:g} to {fact['highest']:g})")
            continue
        levels = ", ".join(f"{label} {n}" for label, n in fact["levels"].items())
        odd = ", ".join(f"'{value}'" for value in fact.get("not_numbers", [])[:5])
        told.append(
            f"{name} (a category: {levels})"
            + (f", where most values are numbers but {odd} not: slips, perhaps" if odd else "")
        )
    return f"Moderators: {'; '.join(told)}. A study without one of them is left out of all models."


def _risk_of_bias(table: pd.DataFrame) -> str:
    told = []
    for domain in table:
        counts = table[domain].replace("", NO_JUDGEMENT).value_counts()
        present = [word for word in (*JUDGEMENTS, NO_JUDGEMENT) if word in counts]
        told.append(f"{domain}: " + listed([f"{counts[word]} {word}" for word in present]))
    return f"Risk of bias as judged in the file. {'; '.join(told)}."


def _study_data(spec: MetaAnalysis, data: Dataset) -> ReportTable:
    studies = data.tables["studies"]
    scale, percent = scale_of(spec), level(spec.interval)
    half = stats.norm.ppf(0.5 + spec.interval / 2) * studies["se"]
    write = writer(scale, [float(studies["se"].min())])
    frame = pd.DataFrame({"Study": studies["study"]})
    if spec.effect_id is not None:
        frame[effect_heading(spec)] = studies["effect_id"]
    numeric = []
    for heading, column in zip(*arm_cells(spec, studies), strict=True):
        numeric.append(heading.replace("\n", ": "))
        frame[numeric[-1]] = column
    heading = f"{capital(short_name(spec))} ({percent} confidence interval)"
    values = zip(studies["yi"], studies["yi"] - half, studies["yi"] + half, strict=True)
    frame[heading] = [with_interval(tuple(scale.natural(np.array(v))), write) for v in values]
    numeric.append(heading)
    if "correlation" in studies and spec.columns.correlation is not None:
        numeric.append(_free("Correlation of errors", frame))
        frame[numeric[-1]] = [f"{x:g}" if np.isfinite(x) else NOTHING for x in studies["correlation"]]
    extras = list(data.facts["extras"])
    moderators = data.tables.get("moderators", pd.DataFrame(index=studies.index))
    judgements = data.tables.get("risk_of_bias", pd.DataFrame(index=studies.index))
    for name in moderators:
        _take_out(extras, name, spec)
        if name == spec.effect_id:  # shown already
            continue
        heading = _free(name, frame)
        if pd.api.types.is_numeric_dtype(moderators[name]):
            numeric.append(heading)
            frame[heading] = moderators[name].map(lambda x: f"{x:g}")
        else:
            frame[heading] = moderators[name].astype(str)
    for domain in judgements:
        _take_out(extras, spec.risk_of_bias[domain], spec)
        frame[_free(f"Risk of bias: {domain}", frame)] = judgements[domain].replace("", NO_JUDGEMENT)
    for name in extras:
        frame[_free(name, frame)] = studies[name].fillna("").astype(str).replace("", NOTHING)
    unit = "study" if spec.effect_id is None else "effect"
    caption = (
        f"The studies as reported, each {unit} with its own estimate from its data alone ({spec.data}; as "
        "read: data/studies.parquet)."
    )
    return ReportTable(frame, caption, numeric)


def _free(name: str, frame: pd.DataFrame) -> str:
    """A heading that the table does not have yet."""
    while name in frame:
        name = f"{name} (in the file)"
    return name


def _take_out(extras: list[str], column: str, spec: MetaAnalysis) -> None:
    """Leave out the file's text of a column that the table shows as read."""
    pair = [f"{column}_1", f"{column}_2"]
    for names in ([column], [f"{column}_in_file"], pair if spec.layout == "long" else []):
        if names and all(name in extras for name in names):
            for name in names:
                extras.remove(name)
            return


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_STUDIES])
    return shown + (f" and {len(names) - SHOWN_STUDIES} more" if len(names) > SHOWN_STUDIES else "")
