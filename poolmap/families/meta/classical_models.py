"""Classical counterparts of regressions, subgroups and multilevel models, in the report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, ModelResult, ReportTable
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.numbers import (
    decimals,
    effect_name,
    interval_of,
    level,
    number,
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
    bayes = result.estimates["coefficients"]
    bayes = bayes[bayes["quantity"] == "beta"].set_index("term")
    rows = []
    for _, row in table.iterrows():
        write = _written(float(row["se"]))
        values = (row["estimate"], row["lower"], row["upper"])
        name = str(row["term"])
        rows.append(
            {
                "Term": name,
                f"Bayesian, model {result.name}": (
                    with_interval(interval_of(bayes.loc[name]), write) if name in bayes.index else ""
                ),
                "REML (Wald interval)": with_interval(values, write),
                "p": _p(float(row["p"])).removeprefix("p ").removeprefix("= "),
                "Knapp-Hartung interval": f"{write(row['knha_lower'])} to {write(row['knha_upper'])}",
                "p ": _p(float(row["knha_p"])).removeprefix("p ").removeprefix("= "),
            }
        )
    frame = pd.DataFrame(rows).rename(columns={"p ": "p (Knapp-Hartung)"})
    explained = "" if np.isnan(fit["r2"]) else f"; it explains {fit['r2']:.0f}% of tau2 (R2)"
    caption = (
        f"Classical meta-regression beside model {result.name}: coefficients on the {scale_of(spec).words} "
        f"({level(spec.interval)} intervals), columns of the formula "
        f"{'centred' if spec.models[result.name].centre else 'as they are'}. Residual tau "
        f"{float(fit['tau2']) ** 0.5:.3f}{explained}. Test of residual heterogeneity: Q = {fit['qe']:.1f} on "
        f"{fit['qe_df']:.0f} degrees of freedom, {_p(float(fit['qe_p']))}. Test of all coefficients: Q = "
        f"{fit['qm']:.1f} on {fit['qm_df']:.0f}, {_p(float(fit['qm_p']))}."
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
                "I2": "" if pd.isna(row["i2"]) else f"{row['i2']:.0f}%",
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
        f"{first['q_between']:.2f} on {first['df_between']:.0f} degrees of freedom, "
        f"{_p(float(first['p_between']))}."
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), result.name)


def _multilevel(spec: MetaAnalysis, result: ModelResult) -> ReportTable:
    """Coefficients by REML and ML (or with a common effect) beside the Bayesian model's variation."""
    scale = scale_of(spec)
    table, fits = result.companions["classical_multilevel"], result.companions["classical_multilevel_fit"]
    pooled = result.estimates["pooled"].set_index("quantity")
    plain = "coefficients" not in result.estimates and "subgroups" not in result.estimates
    rows = []

    def spread(quantity: str) -> str:
        if quantity not in pooled.index:
            return ""
        row = pooled.loc[quantity]
        return with_interval(interval_of(row), _written(float(row["sd"])))

    if plain:
        row = pooled.loc[scale.name]
        rows.append(
            {
                "Method": f"Bayesian, model {result.name}",
                "Term": "pooled",
                "Estimate": with_interval(interval_of(row), _written(float(row["sd"]))),
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
                "Term": "pooled" if row["term"] == "intercept" else str(row["term"]),
                "Estimate": with_interval(values, _written(float(row["se"]))),
                "tau": _root(fit, "tau2"),
                "tau within studies": _root(fit, "tau2_within"),
            }
        )
    fit = fits.iloc[0]
    frame = pd.DataFrame(rows)
    frame = frame.loc[:, [name for name in frame if (frame[name] != "").any()]]
    caption = (
        f"Classical multilevel meta-analysis beside model {result.name}, on the {scale.words}: "
        f"{level(spec.interval)} Wald intervals, standard deviations with profile-likelihood intervals. Q = "
        f"{fit['q']:.1f} on {fit['q_df']:.0f} degrees of freedom, {_p(float(fit['q_p']))}."
    )
    return ReportTable(frame, caption, list(frame.columns[2:]), result.name)


def _root(fit: pd.Series, name: str) -> str:
    """A standard deviation with its interval, from the variance; "" where the model has none."""
    if pd.isna(fit[f"{name}_lower"]) and not fit[name]:
        return ""
    values = tuple(float(max(fit[key], 0.0)) ** 0.5 for key in (name, f"{name}_lower", f"{name}_upper"))
    if np.isnan(values).any():
        return f"{values[0]:.3f}"
    return with_interval(values, lambda x: f"{x:.3f}")
