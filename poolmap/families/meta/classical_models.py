"""Classical counterparts of regressions, subgroups and multilevel models, in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    NOTHING,
    decimals,
    df_words,
    effect_name,
    interval_of,
    level,
    number,
    on_scale,
    pooled_row,
    with_interval,
    writer,
)

METHODS = {
    "REML": "restricted maximum likelihood",
    "ML": "maximum likelihood",
    "CE": "common effect",
}


def classical_model_blocks(spec: MetaAnalysis, result: ModelResult) -> list[Block]:
    """What classical methods say of a model's coefficients, subgroups, or variation at two levels."""
    found, blocks = result.companions, []
    if "meta_regression" in found:
        blocks.append(_regression(spec, result))
    if "classical_subgroups" in found:
        blocks.append(_subgroups(spec, result))
    if "classical_multilevel" in found:
        blocks.append(_multilevel(spec, result))
    return blocks


def influence_sentence(table: pd.DataFrame) -> str:
    """Which studies the rule for influential cases picks out."""
    influential = table.loc[table["influential"].astype(bool), "study"].astype(str).tolist()
    which = ", ".join(influential) or "no study"
    return (
        "Case deletion (classical, REML; DFFITS, Cook's distance, leverage, change of the coefficients) "
        f"marks as influential, by the rule of Viechtbauer & Cheung (2010): {which}."
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _written(spread: float) -> Callable[[float], str]:
    places = decimals(spread)
    return lambda x: number(x, places)


def _regression(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    table, fit = result.companions["meta_regression"], result.companions["meta_regression_fit"].iloc[0]
    bayes = dict(_bayesian_terms(spec, result))
    rows = []
    for _, row in table.iterrows():
        write = _written(float(row["se"]))
        values = (row["estimate"], row["lower"], row["upper"])
        name = str(row["term"])
        rows.append(
            {
                "Term": name,
                f"Bayesian, model {result.name}": (
                    with_interval(interval_of(bayes[name]), write) if name in bayes else NOTHING
                ),
                "REML (Wald interval)": with_interval(values, write),
                "p": _p(float(row["p"])).removeprefix("p ").removeprefix("= "),
                "Knapp-Hartung interval": f"{write(row['knha_lower'])} to {write(row['knha_upper'])}",
                "p ": _p(float(row["knha_p"])).removeprefix("p ").removeprefix("= "),
            }
        )
    frame = pd.DataFrame(rows).rename(columns={"p ": "p (Knapp-Hartung)"})
    explained = ""
    if pd.notna(fit["r2"]):
        explained = (
            f"; it explains {fit['r2']:.0f}% of tau2 (R2, against the model without moderators; the Bayesian "
            "R-squared is defined otherwise, see Methods)"
        )
    caption = (
        f"Classical meta-regression beside model {result.name}: coefficients on the {on_scale(spec)} "
        f"({level(spec.interval)} intervals), columns of the formula "
        f"{'centred' if spec.models[result.name].centre else 'as they are'}. Residual tau "
        f"{float(fit['tau2']) ** 0.5:.3f}{explained}. Test of residual heterogeneity: Q = {fit['qe']:.1f} on "
        f"{df_words(fit['qe_df'])}, {_p(float(fit['qe_p']))}. Test of all coefficients: Q = "
        f"{fit['qm']:.1f} on {df_words(fit['qm_df'])}, {_p(float(fit['qm_p']))}. "
        f"({result.name}/estimates/meta_regression.csv)"
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), result.name)


def _subgroups(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    scale, table = scale_of(spec), result.companions["classical_subgroups"]
    bayes = result.estimates["subgroups"]
    bayes = bayes[bayes["quantity"] == scale.report].set_index("subgroup")
    write = writer(scale, bayes["sd"].tolist())
    rows = []
    for _, row in table.iterrows():
        values = tuple(float(scale.natural(row[c])) for c in ("mu", "lower", "upper"))
        name = str(row["subgroup"])
        rows.append(
            {
                "Subgroup": name,
                "Studies": f"{row['k']:.0f}",
                f"Bayesian, model {result.name}": with_interval(interval_of(bayes.loc[name]), write),
                "REML": with_interval(values, write),
                "tau": f"{float(row['tau2']) ** 0.5:.3f}",
                "I2": NOTHING if pd.isna(row["i2"]) else f"{row['i2']:.0f}%",
            }
        )
    first = table.iloc[0]
    shared = (
        "one tau in all" if spec.models[result.name].subgroup_tau != "own" else "a tau of its own in each"
    )
    frame = pd.DataFrame(rows)
    caption = (
        f"Classical subgroup analysis beside model {result.name}: {effect_name(spec)} with "
        f"{level(spec.interval)} Wald intervals, {shared}. Test between subgroups: Q = "
        f"{first['q_between']:.2f} on {df_words(first['df_between'])}, "
        f"{_p(float(first['p_between']))}. ({result.name}/estimates/classical_subgroups.csv)"
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), result.name)


def _multilevel(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Coefficients by REML and ML (or with a common effect) beside the Bayesian model's variation."""
    table, fits = result.companions["classical_multilevel"], result.companions["classical_multilevel_fit"]
    pooled = result.estimates["pooled"].set_index("quantity")
    rows = []
    write = _written(float(table["se"].min()))
    write_tau = _written(float(pooled["sd"].reindex(["tau", "tau_within"]).min()))

    def spread(quantity: str) -> str:
        if quantity not in pooled.index:
            return NOTHING
        return with_interval(interval_of(pooled.loc[quantity]), write_tau)

    for term, row in _bayesian_terms(spec, result):
        rows.append(
            {
                "Method": f"Bayesian, model {result.name}",
                "Term": _term(term),
                "Estimate": with_interval(interval_of(row), write),
                "tau": spread("tau"),
                "tau within studies": spread("tau_within"),
            }
        )
    for _, row in table.iterrows():
        fit = fits[fits["method"] == row["method"]].iloc[0]
        values = (row["estimate"], row["lower"], row["upper"])
        rows.append(
            {
                "Method": METHODS[str(row["method"])],
                "Term": _term(row["term"]),
                "Estimate": with_interval(values, write),
                "tau": _root(fit, "tau2", write_tau),
                "tau within studies": _root(fit, "tau2_within", write_tau),
            }
        )
    fit = fits.iloc[0]
    frame = pd.DataFrame(rows)
    frame = frame.loc[:, [name for name in frame if (frame[name] != NOTHING).any()]]
    caption = (
        f"Classical multilevel meta-analysis beside model {result.name}, on the {on_scale(spec)}: "
        f"{level(spec.interval)} Wald intervals, standard deviations with profile-likelihood intervals "
        "(Bayesian: posterior medians and intervals). Q = "
        f"{fit['q']:.1f} on {df_words(fit['q_df'])}, {_p(float(fit['q_p']))}. "
        f"({result.name}/estimates/classical_multilevel.csv)"
    )
    return ReportTable(frame, caption, list(frame.columns[2:]), result.name)


def _term(name: str) -> str:
    return "pooled" if name == "intercept" else str(name)


def _bayesian_terms(spec: MetaAnalysis, result: ModelResult) -> Iterator[tuple[str, pd.Series]]:
    """The Bayesian counterpart of each classical coefficient, by its name, on the scale of analysis."""
    name = scale_of(spec).name
    subgroups, slopes = (result.estimates.get(table) for table in ("subgroups", "coefficients"))
    at_average = slopes is None or spec.models[result.name].centre  # else the classical ones are those at 0
    if subgroups is not None and at_average:
        for _, row in subgroups[subgroups["quantity"] == name].iterrows():
            yield str(row["subgroup"]), row
    elif at_average:
        yield "intercept", pooled_row(result.estimates["pooled"], name)
    if slopes is not None:
        for _, row in slopes[slopes["quantity"] == "beta"].iterrows():
            yield str(row["term"]), row


def _root(fit: pd.Series, name: str, write: Callable[[float], str]) -> str:
    """A standard deviation with its interval, from the variance; a dash where the model has none."""
    if pd.isna(fit[f"{name}_lower"]) and not fit[name]:
        return NOTHING
    values = tuple(float(max(fit[key], 0.0)) ** 0.5 for key in (name, f"{name}_lower", f"{name}_upper"))
    if np.isnan(values).any():
        return write(values[0])
    return with_interval(values, write)
