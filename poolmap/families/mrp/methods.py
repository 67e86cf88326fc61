"""The report's words on multilevel regression and poststratification: data, model, findings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, Equation, ModelResult, ReportTable
from poolmap.families.mrp.accuracy import KINDS, accuracy
from poolmap.families.mrp.describe import describe as describe
from poolmap.families.mrp.differences import model_differences
from poolmap.families.mrp.estimate import countable
from poolmap.families.mrp.figures import group_names, share_name, share_table
from poolmap.families.mrp.words import listed

MOST_ROWS = 60  # of a table in the report; longer ones are cut to both ends


def methods(spec: MrpAnalysis, model: str, data: Dataset) -> list[Block]:
    """The model and the poststratification in words and equations, with the priors in force."""
    settings, facts = spec.models[model], data.facts
    predictors = list(facts["predictors"])
    batches = [" by ".join(term) for term in facts["terms"]]
    slope = r" + \sum_{q} \beta_q x_{iq}" if predictors else ""
    slope_words = " plus the sum over predictors q of beta q times x i q" if predictors else ""
    blocks: list[Block] = [
        f"Multilevel regression and poststratification (Gelman and Little 1997). A logistic regression, "
        f"{spec.formula}, is fitted to the survey's cells: rows with the same levels and predictors, whose "
        "yes answers are binomial together.",
        Equation(
            r"y_i \sim \mathrm{Binomial}(n_i, p_i)",
            "y i, the number of yes answers in cell i, is binomial with size n i and probability p i.",
        ),
        Equation(
            rf"\mathrm{{logit}}(p_i) = \alpha{slope} + \sum_{{k}} u_{{k, l_k(i)}}",
            f"the logit of p i is alpha{slope_words} plus the sum over batches k of the effect of the cell's "
            "level in batch k.",
        ),
        Equation(
            r"u_{k, l} \sim \mathrm{Normal}(0, \sigma_k^2)",
            "each effect of batch k is normal with mean 0 and variance sigma k squared.",
        ),
        f"Varying intercepts: {listed(batches)}. "
        + (
            f"Predictors: {listed(predictors)}, standardised with the mean and standard deviation over the "
            "population of the census. "
            if predictors
            else "There are no predictors. "
        )
        + f"Priors on the logit scale: intercept {settings.alpha_prior}"
        + (f"; coefficients {settings.beta_prior} per standard deviation" if predictors else "")
        + f"; standard deviation of each batch {settings.sigma_prior}.",
        "The share of a group is the average of the cells' probabilities, weighted by the population that "
        "the census counts in them:",
        Equation(
            r"\theta_g = \frac{\sum_{j \in g} N_j \, p_j}{\sum_{j \in g} N_j}",
            "theta g is the sum over the census cells j of group g of N j times p j, over the sum of N j.",
        ),
        "It is computed for every draw of the posterior. The effect of a level that the survey does not hold "
        "is drawn from Normal(0, sigma squared) of its batch in every draw. The survey's weights are not "
        "used in the model: what they correct for must stand in the formula and in the census.",
    ]
    draws = spec.sampling.chains * spec.sampling.draws if spec.sampling else 0
    if countable(data.tables["census"]["count"].to_numpy(), draws) is not None:
        blocks.append(
            "The interval of this expected share leaves out how the few members of a small group happen to "
            "answer. The columns predicted_lower and predicted_upper of the tables put it in: they are the "
            "interval of the share in a finite population of the census's size, each member answering yes "
            "with the probability of the cell."
        )
    level = _level(spec)
    blocks.append(
        f"Beside it stand direct estimates. Raw: the share in the sample with Wilson's {level} interval."
        + (
            f" Weighted: the share weighted by '{spec.weight}', with a {level} interval on the logit scale "
            "from the linearised standard error of sampling with replacement by weights alone; strata and "
            "clusters, if the survey had any, are not used. Groups with fewer than two rows, or with one "
            "answer only, have no such interval."
            if spec.weight
            else ""
        )
    )
    return blocks


def findings(spec: MrpAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """The total, the groups and, where the truth is known, how near the estimates come to it."""
    name, result = next(iter(results.items()))
    blocks: list[Block] = []
    total = share_table(result, "total")
    if total is not None:
        blocks.append(_total(spec, total.iloc[0]))
    for grouping in spec.groupings()[1:]:
        table = share_table(result, spec.table_name(grouping))
        if table is not None:
            blocks += _groups(spec, grouping, table, name)
    scores = _accuracy_table(spec, result, name)
    if scores is not None:
        blocks += scores
    if len(results) > 1:
        blocks.append(_comparison(spec, results))
    return blocks


def _total(spec: MrpAnalysis, row: pd.Series) -> str:
    text = (
        f"MrP puts the {share_name(spec)} at {_interval(spec, row)}. In the raw sample it is {row['raw']:.3f}"
    )
    if "weighted" in row:
        text += f", weighted {row['weighted']:.3f}"
        if np.isfinite(row["weighted_lower"]):
            text += f" ({_level(spec)} interval {row['weighted_lower']:.3f} to {row['weighted_upper']:.3f})"
    text += "."
    if np.isfinite(row.get("truth", np.nan)):
        inside = row["lower"] <= row["truth"] <= row["upper"]
        text += f" The known share is {row['truth']:.3f}, {'inside' if inside else 'outside'} MrP's interval."
    return text


def _groups(spec: MrpAnalysis, grouping: tuple[str, ...], table: pd.DataFrame, model: str) -> list[Block]:
    table = table.sort_values("mean", ascending=False, ignore_index=True)
    words = " and ".join(variable.replace("_", " ") for variable in grouping)
    names = group_names(table, grouping)
    high, low = table.iloc[0], table.iloc[-1]
    text = (
        f"By {words}, the estimates run from {_interval(spec, low, 2)} in {names.iloc[-1]} to "
        f"{_interval(spec, high, 2)} in {names.iloc[0]}."
    )
    shown, cut = table, ""
    if len(table) > MOST_ROWS:
        ends = MOST_ROWS // 4
        shown = pd.concat([table.head(ends), table.tail(ends)])
        cut = (
            f" The {ends} highest and {ends} lowest of {len(table)} groups; the others stand in the CSV file."
        )
    columns = {words.capitalize(): names[shown.index]}
    if shown["n_survey"].notna().all():
        columns["Sample"] = shown["n_survey"].map("{:,.0f}".format)
    columns["Population"] = shown["n_census"].map("{:,.0f}".format)
    if table["raw"].notna().any():
        columns["Raw"] = shown["raw"].map(_two)
    if "weighted" in shown:
        columns["Weighted"] = shown["weighted"].map(_two)
    columns["MrP"] = shown["mean"].map(_two)
    columns[f"{_level(spec)} interval"] = [
        f"{lower:.2f} to {upper:.2f}" for lower, upper in zip(shown["lower"], shown["upper"], strict=True)
    ]
    if "truth" in shown and table["truth"].notna().any():
        columns["Truth"] = shown["truth"].map(_two)
    frame = pd.DataFrame(columns).reset_index(drop=True)
    caption = f"{_capital(share_name(spec))} by {words}, highest estimate first.{cut} Model {model}."
    return [text, ReportTable(frame, caption, list(frame.columns[1:]), model)]


def _accuracy_table(spec: MrpAnalysis, result: ModelResult, model: str) -> list[Block] | None:
    rows = []
    for grouping in spec.groupings()[1:]:
        table = share_table(result, spec.table_name(grouping))
        if table is None:
            continue
        for row in accuracy(table).to_dict("records"):
            rows.append(
                {
                    "Groups": " and ".join(v.replace("_", " ") for v in grouping)
                    + (", in the sample" if row["where"] == "sampled" else ", not in the sample"),
                    "Estimate": KINDS[row["kind"]][3],
                    "Number": f"{row['groups']}",
                    "RMSE": f"{row['rmse']:.3f}",
                    "MAE": f"{row['mae']:.3f}",
                    "Intervals holding the truth": f"{row['covered']} of {row['intervals']}",
                    "Mean width": f"{row['width']:.2f}" if np.isfinite(row["width"]) else "",
                }
            )
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return [
        "The true shares are known here, so the estimates can be scored. A known share is that of a finite "
        "population, not the probability behind it: where a group is small, the interval to compare it with "
        "is the one for the finite population.",
        ReportTable(
            frame,
            f"Errors against the known shares: root mean square error (RMSE), mean absolute error (MAE), and "
            f"how many {_level(spec)} intervals hold the truth. Model {model}.",
            list(frame.columns[2:]),
            model,
        ),
    ]


def _comparison(spec: MrpAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    """The models side by side: total and differences of the groups from the primary model."""
    differences = model_differences(spec, results)
    rows = []
    for name, result in results.items():
        for grouping in spec.groupings():
            found = differences.query("model == @name and grouping == @spec.table_name(@grouping)")
            total = share_table(result, "total") if not grouping else None
            if total is None and found.empty:
                continue
            row = dict.fromkeys(
                ["Model", "Groups", "Estimate", "Mean difference", "Largest", "SD", "Where"], ""
            )
            row |= {"Model": name, "Groups": " and ".join(grouping).replace("_", " ") or "total"}
            if total is not None:
                row["Estimate"] = _interval(spec, total.iloc[0])
            if len(found):
                largest = found.loc[found["difference"].abs().idxmax()]
                row["Mean difference"] = f"{found['difference'].abs().mean():.3f}"
                row["Largest"], row["SD"] = f"{largest['difference']:+.3f}", f"{abs(largest['in_sd']):.1f}"
                row["Where"] = largest["group"] if grouping else ""
            rows.append(row)
    frame = pd.DataFrame(rows)
    caption = (
        "Models side by side: the total, and how the groups' estimates differ from the primary model's: mean "
        "absolute difference; the largest one, also in posterior standard deviations of the primary model "
        "(SD), and where it is. Leave-one-out scores do not rank models by the error of small areas (Kuh et "
        "al. 2024, Statistics in Medicine): do not choose by them."
    )
    return ReportTable(frame, caption, ["Mean difference", "Largest", "SD"])


def _interval(spec: MrpAnalysis, row: pd.Series, digits: int = 3) -> str:
    mean, lower, upper = (f"{row[column]:.{digits}f}" for column in ("mean", "lower", "upper"))
    return f"{mean} ({_level(spec)} interval {lower} to {upper})"


def _level(spec: MrpAnalysis) -> str:
    return f"{100 * spec.interval:g}%"


def _two(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
