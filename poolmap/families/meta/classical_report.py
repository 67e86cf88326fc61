"""The classical companion in the report: tables and sentences from the companion tables."""

from __future__ import annotations

import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.meta.classical import METHODS
from poolmap.families.meta.classical_models import influence_sentence
from poolmap.families.meta.effects import SCALES, scale_of
from poolmap.families.meta.finding_tables import of_model
from poolmap.families.meta.model_kinds import moderation
from poolmap.families.meta.numbers import (
    NOTHING,
    Interval,
    decimals,
    df_words,
    effect_name,
    has,
    interval_of,
    level,
    listed,
    number,
    pooled_row,
    short_name,
    whole_percent,
    with_interval,
    writer,
)
from poolmap.families.meta.pooled_table import as_sd, student_note
from poolmap.families.meta.small_study import ENOUGH_STUDIES

LARGEST_Z = 4
TESTS = {"egger": "Egger's test", "peters": "Peters' test"}


def classical_blocks(spec: MetaAnalysis, result: ModelResult) -> list[Block]:
    """Classical results beside the Bayesian ones of a model.

    Args:
        result: the model's, with the companion tables of `companions.companions`.
    """
    blocks: list[Block] = _pooling(spec, result)
    if "crosscheck" in result.companions:
        blocks.append(_crosscheck(result.companions["crosscheck"]))
    if "mantel_haenszel" in result.companions:
        blocks.append(_common_effects(spec, result))
    if "influence" in result.companions:
        blocks.append(influence_sentence(result.companions["influence"]))
    if "small_study_tests" in result.companions:
        blocks.append(_tests(result.companions["small_study_tests"]))
    return blocks


def _pooling(spec: MetaAnalysis, result: ModelResult) -> list[Block]:
    scale, percent = scale_of(spec), level(spec.interval)
    table, pooled = result.companions["classical"], result.estimates["pooled"]
    write = writer(scale, [pooled_row(pooled, scale.report)["sd"]])
    has_tau = has(pooled, "tau")
    places = decimals(float(pooled_row(pooled, "tau")["sd"])) if has_tau else 2
    short, narrow = f"Pooled {short_name(spec)}", _narrower(table)

    def effect(row: pd.Series, *columns: str) -> str:
        if not row[list(columns)].notna().all():
            return NOTHING
        values = tuple(float(scale.natural(row[c])) for c in columns)
        if len(values) == 3:
            return with_interval(values, write)
        return f"{write(values[0])} to {write(values[1])}"

    def share(value: float) -> str:
        return NOTHING if pd.isna(value) else whole_percent(value)

    def spread(values: Interval) -> str:
        return NOTHING if pd.isna(values[0]) else with_interval(values, lambda x: number(x, places))

    posterior = {q: interval_of(pooled_row(pooled, q)) for q in set(pooled["quantity"])}
    new = posterior.get(f"{scale.report}_new")
    adhoc = {"HKSJ, ad hoc": NOTHING} if narrow else {}
    rows = [
        {
            "Method": f"Bayesian, model {result.name}",
            short: with_interval(posterior[scale.report], write),
            "HKSJ interval": NOTHING,
            **adhoc,
            "tau": spread(as_sd(spec, result.name, posterior["tau"])) if has_tau else NOTHING,
            "I2 (tau2)": share(posterior["i2"][0]) if "i2" in posterior else NOTHING,
            "I2 (Q)": NOTHING,
            "Prediction interval": f"{write(new[1])} to {write(new[2])}" if new else NOTHING,
        }
    ]
    for _, row in table.iterrows():
        limits = row[["tau2_lower", "tau2_upper"]]
        tau = tuple(float(x) for x in (row["tau"], *limits.clip(lower=0) ** 0.5))
        truncated = effect(row, "hksj_truncated_lower", "hksj_truncated_upper")
        rows.append(
            {
                "Method": METHODS[row["method"]],
                short: effect(row, "mu", "lower", "upper"),
                "HKSJ interval": effect(row, "hksj_lower", "hksj_upper"),
                **{heading: truncated for heading in adhoc},
                "tau": spread(tau) if limits.notna().all() else NOTHING,
                "I2 (tau2)": share(row["i2"]),
                "I2 (Q)": share(row["i2_q"]),
                "Prediction interval": effect(row, "pi_hts_lower", "pi_hts_upper"),
            }
        )
    first = table.iloc[0]
    q = number(first["q"], 2 if first["q"] < 10 else 1)
    p = "< 0.001" if first["q_p"] < 0.001 else f"= {first['q_p']:.3f}"
    frame = pd.DataFrame(rows)
    caption = (
        f"Classical results beside the Bayesian ones: pooled {effect_name(spec)} with Wald and "
        f"Hartung-Knapp-Sidik-Jonkman (HKSJ) {percent} intervals; tau with its Q-profile interval; I2 from "
        "tau2 and the typical within-study variance, and from Q; prediction interval of Higgins, Thompson & "
        f"Spiegelhalter 2009 with k - 2 degrees of freedom. Q = {q} on "
        f"{df_words(first['q_df'])}, p {p}. {_bayesian_note(spec, result, has_tau)}"
        f"{NOTHING}: not part of the method. {of_model(result, 'classical')}"
    )
    blocks: list[Block] = [ReportTable(frame, caption, numeric=list(frame.columns[1:]), model=result.name)]
    blocks += [words for words in (_adjusted(spec, result), _hksj(table, narrow)) if words]
    return blocks


def _narrower(table: pd.DataFrame) -> list[str]:
    """The estimators whose HKSJ interval is narrower than their Wald interval."""
    narrow = table["hksj_upper"] - table["hksj_lower"] < table["upper"] - table["lower"]
    return table.loc[narrow, "method"].tolist()


def _hksj(table: pd.DataFrame, narrow: list[str]) -> str:
    """What to make of the HKSJ interval where the studies differ less than by chance; else ""."""
    first = table.iloc[0]
    if not narrow and first["q"] >= first["q_df"]:
        return ""
    below = (
        f"Q ({first['q']:.2f}) is below its degrees of freedom ({first['q_df']:g}): the studies differ less "
        "than is expected by chance alone"
    )
    if not narrow:
        return (
            f"{below}. The standard error of the HKSJ interval is then smaller than that of the Wald "
            "interval, and only the t distribution makes it wider: do not read it as the more cautious one "
            "(Röver, Knapp & Friede 2015, BMC Med Res Methodol 15:99)."
        )
    which = listed([METHODS[method] for method in narrow])
    why = f"{below}, and the" if first["q"] < first["q_df"] else "The"
    return (
        f"{why} HKSJ interval is narrower than the Wald interval ({which}). Prefer the Wald interval, or the "
        "HKSJ interval with the ad hoc correction (standard error not below the Wald one), which the table "
        "gives (Röver, Knapp & Friede 2015, BMC Med Res Methodol 15:99; Wiksten, Rücker & Schwarzer 2016, "
        "Stat Med 35:2503)."
    )


def _bayesian_note(spec: MetaAnalysis, result: ModelResult, has_tau: bool) -> str:
    """What the Bayesian row shows as tau, where its effects are Student-t; else ""."""
    if not has_tau or spec.models[result.name].effects != "student_t":
        return ""
    row = pooled_row(result.estimates["pooled"], "tau")
    note = student_note(spec, result.name, interval_of(row), decimals(float(row["sd"])))
    return f"In the Bayesian row tau is the standard deviation between studies: {note}. "


def _adjusted(spec: MetaAnalysis, result: ModelResult) -> str:
    """That the classical rows know nothing of the moderators of the Bayesian one; else ""."""
    adjusted = moderation(spec, result.name)
    if not adjusted:
        return ""
    beside = [
        words
        for name, words in (
            ("meta_regression", "the classical meta-regression"),
            ("classical_subgroups", "the classical subgroup analysis"),
        )
        if name in result.companions
    ]
    pointer = f" Its counterpart is {listed(beside)}, in a table of its own." if beside else ""
    return (
        f"Do not compare the rows of this table as like with like: the Bayesian model is adjusted "
        f"({adjusted}), its effect is that at the average of the studies and its tau what remains between "
        "studies alike in these; the classical rows, the common effects from the counts and the tests of "
        f"small-study effects are not adjusted.{pointer}"
    )


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


def _common_effects(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    ratio = writer(SCALES["OR"], [1.0])
    rows = []
    for _, row in result.companions["mantel_haenszel"].iterrows():
        if pd.isna(row["estimate"]):
            told = f"{NOTHING} (no events in one arm of all studies)"
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
        f"Common effects from the counts of {spec.data}, without continuity correction "
        f"({level(spec.interval)} confidence intervals). They take the effect to be the same in all studies. "
        f"({result.name}/estimates/mantel_haenszel.csv)"
    )
    return ReportTable(frame.astype(str), caption, numeric=["Common effect", "Studies"])


def _tests(table: pd.DataFrame) -> str:
    said = "; ".join(
        f"{TESTS[row['test']]}: t = {row['statistic']:.2f} on {df_words(row['df'])}, p = {row['p']:.3f}"
        for _, row in table.iterrows()
    )
    text = f"Do small studies differ from large ones (funnel plot asymmetry)? {said}."
    if int(table["k"].min()) < ENOUGH_STUDIES:
        text += (
            f" With fewer than {ENOUGH_STUDIES} studies such a test has little power and is not advised "
            "(Sterne et al. 2011)."
        )
    return text + " Asymmetry has more causes than unpublished studies."
