"""The classical companion in the report: tables and sentences from the companion tables."""

from __future__ import annotations

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.meta.classical import METHODS
from poolmap.families.meta.classical_models import influence_sentence
from poolmap.families.meta.effects import SCALES, scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    interval_of,
    level,
    number,
    pooled_row,
    with_interval,
    writer,
)
from poolmap.families.meta.small_study import ENOUGH_STUDIES

LARGEST_Z = 4
TESTS = {"egger": "Egger's test", "peters": "Peters' test"}


def classical_blocks(spec: MetaAnalysis, result: ModelResult) -> list[Block]:
    """Classical results beside the Bayesian ones of a model.

    Args:
        result: the model's, with the companion tables of `companions.companions`.
    """
    blocks: list[Block] = [_pooling(spec, result)]
    if "crosscheck" in result.companions:
        blocks.append(_crosscheck(result.companions["crosscheck"]))
    if "mantel_haenszel" in result.companions:
        blocks.append(_common_effects(spec, result.companions["mantel_haenszel"]))
    if "influence" in result.companions:
        blocks.append(influence_sentence(result.companions["influence"]))
    if "small_study_tests" in result.companions:
        blocks.append(_tests(result.companions["small_study_tests"]))
    return blocks


def _pooling(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    scale, percent = scale_of(spec), level(spec.interval)
    table, pooled = result.companions["classical"], result.estimates["pooled"]
    write = writer(scale, [pooled_row(pooled, scale.report)["sd"]])
    has_tau = "tau" in set(pooled["quantity"])
    places = decimals(float(pooled_row(pooled, "tau")["sd"])) if has_tau else 2

    def effect(row: pd.Series, *columns: str) -> str:
        if not row[list(columns)].notna().all():
            return ""
        values = tuple(float(scale.natural(row[c])) for c in columns)
        if len(values) == 3:
            return with_interval(values, write)
        return f"{write(values[0])} to {write(values[1])}"

    def share(value: float) -> str:
        return "" if pd.isna(value) else f"{value:.0f}%"

    posterior = {q: interval_of(pooled_row(pooled, q)) for q in set(pooled["quantity"])}
    new = posterior.get(f"{scale.report}_new")
    rows = [
        {
            "Method": f"Bayesian, model {result.name}",
            f"Pooled {scale.short}": with_interval(posterior[scale.report], write),
            "HKSJ interval": "",
            "tau": with_interval(posterior["tau"], lambda x: number(x, places)) if has_tau else "",
            "I2 (tau2)": share(posterior["i2"][0]) if "i2" in posterior else "",
            "I2 (Q)": "",
            "Prediction interval": f"{write(new[1])} to {write(new[2])}" if new else "",
        }
    ]
    for _, row in table.iterrows():
        limits = row[["tau2_lower", "tau2_upper"]]
        tau = tuple(float(x) for x in (row["tau"], *limits.clip(lower=0) ** 0.5))
        rows.append(
            {
                "Method": METHODS[row["method"]],
                f"Pooled {scale.short}": effect(row, "mu", "lower", "upper"),
                "HKSJ interval": effect(row, "hksj_lower", "hksj_upper"),
                "tau": with_interval(tau, lambda x: number(x, places)) if limits.notna().all() else "",
                "I2 (tau2)": share(row["i2"]),
                "I2 (Q)": share(row["i2_q"]),
                "Prediction interval": effect(row, "pi_hts_lower", "pi_hts_upper"),
            }
        )
    first = table.iloc[0]
    p = "< 0.001" if first["q_p"] < 0.001 else f"= {first['q_p']:.3f}"
    frame = pd.DataFrame(rows)
    caption = (
        f"Classical results beside the Bayesian ones: pooled {effect_name(spec)} with Wald and "
        f"Hartung-Knapp-Sidik-Jonkman (HKSJ) {percent} intervals; tau with its Q-profile interval; I2 from "
        "tau2 and the typical within-study variance, and from Q; prediction interval of Higgins, Thompson & "
        f"Spiegelhalter 2009 with k - 2 degrees of freedom. Q = {first['q']:.1f} on {first['q_df']:.0f} "
        f"degrees of freedom, p {p}."
    )
    return ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)


def _crosscheck(table: pd.DataFrame) -> str:
    z = table["z"].abs()
    at = table.loc[z.idxmax()]
    where = (
        f"{at['quantity']} of {at['study']}"
        if isinstance(at["study"], str) and at["study"]
        else at["quantity"]
    )
    verdict = "agree" if z.max() < LARGEST_Z else "DO NOT agree"
    return (
        "Cross-check: a deterministic quadrature of the same posterior, without sampling, and the draws "
        f"{verdict}. Over {len(table)} posterior means the largest difference is {z.max():.1f} Monte Carlo "
        f"standard errors ({where})."
    )


def _common_effects(spec: MetaAnalysis, table: pd.DataFrame) -> ReportTable:
    ratio = writer(SCALES["OR"], [1.0])
    rows = []
    for _, row in table.iterrows():
        if pd.isna(row["estimate"]):
            told = "no events in one arm of all studies"
        elif pd.notna(row["ratio"]):
            told = with_interval((row["ratio"], row["ratio_lower"], row["ratio_upper"]), ratio)
        else:
            places = decimals(float(row["se"]))
            values = (row["estimate"], row["lower"], row["upper"])
            told = with_interval(values, lambda x, places=places: number(x, places))
        method = {"MH": "Mantel-Haenszel", "Peto": "Peto"}[row["method"]]
        rows.append({"Method": method, "Measure": row["measure"], "Common effect": told, "Studies": row["k"]})
    frame = pd.DataFrame(rows)
    caption = (
        f"Common effects from the counts, without continuity correction ({level(spec.interval)} confidence "
        "intervals). They take the effect to be the same in all studies."
    )
    return ReportTable(frame.astype(str), caption, numeric=["Common effect", "Studies"])


def _tests(table: pd.DataFrame) -> str:
    said = "; ".join(
        f"{TESTS[row['test']]}: t = {row['statistic']:.2f} on {row['df']:.0f} degrees of freedom, "
        f"p = {row['p']:.3f}"
        for _, row in table.iterrows()
    )
    text = f"Do small studies differ from large ones (funnel plot asymmetry)? {said}."
    if int(table["k"].min()) < ENOUGH_STUDIES:
        text += (
            f" With fewer than {ENOUGH_STUDIES} studies such a test has little power and is not advised "
            "(Sterne et al. 2011)."
        )
    return text + " Asymmetry has more causes than unpublished studies."
