"""The results of a survey analysis in sentences and tables: total, groups, contrasts, accuracy, models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, ModelResult
from poolmap.families.mrp.arrange import Order
from poolmap.families.mrp.contrast_rows import compared, forms, labels
from poolmap.families.mrp.finding_tables import (
    accuracy_table,
    contrast_table,
    models_table,
)
from poolmap.families.mrp.formula import parse_formula
from poolmap.families.mrp.group_tables import group_tables
from poolmap.families.mrp.left_out_figures import left_out_words
from poolmap.families.mrp.parameters import SCALE
from poolmap.families.mrp.report_words import (
    by_words,
    decimals,
    estimates_of_grouping,
    exceedance,
    fixed,
    group_names,
    has_answers,
    in_full,
    is_share,
    joined,
    level,
    noun,
    number_of,
    term_words,
    value_name,
)

CERTAIN, UNLIKELY = 0.95, 0.05
UNLIKE = 2  # times that mean weights of pooled surveys differ, which is told with the results
MANY = 0.05  # share of the survey's rows left out that is told with the results


def findings(spec: MrpAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[Block]:
    """Total, groups, contrasts and accuracy of the primary model, and how other models differ."""
    name, result = next(iter(results.items()))
    order = data.facts.get("order", {})
    blocks: list[Block] = [
        f"To look at first: {doubt.replace('`', '')}" for doubt in data.facts.get("doubts", ())
    ]
    total = estimates_of_grouping(spec, result, ())
    if total is not None and len(total):
        blocks.append(" ".join([_total(spec, total), *_of_whom(spec, data)]))
    if spec.outcome.test is not None:
        blocks += _test(spec, result)
    for grouping in spec.groupings()[1:]:
        table = estimates_of_grouping(spec, result, grouping)
        if table is not None and len(table):
            blocks.append(_groups(spec, grouping, table))
            blocks += group_tables(spec, order, grouping, table, name)
    blocks += _contrasts(spec, order, result, alike_within(spec, name))
    blocks += _contributions(spec, result)
    blocks += _accuracy(spec, result)
    blocks += left_out_words(spec, result)
    blocks += _expected_error(spec, result)
    if len(results) > 1:
        blocks.append(models_table(spec, results))
    return blocks


def _of_whom(spec: MrpAnalysis, data: Dataset) -> list[str]:
    """What the estimates average over, and whether many respondents are not among them."""
    facts, said = data.facts, []
    if spec.time is not None:
        how = (
            "each with the same weight" if facts["times"] > 1 else "by the people that the census has in each"
        )
        said.append(
            f"This estimate, and every other that does not tell '{spec.time}' apart, is the average over its "
            f"values, {how}; raw and weighted ones are of all respondents together."
        )
    if spec.weight is not None:
        mean = data.tables["survey"].groupby("file", observed=True)["weight"].mean()
        times = mean.max() / mean.min()
        if times > UNLIKE:
            said.append(
                f"By its weight, a respondent of the survey '{mean.idxmax()}' counts {times:,.1f} times as "
                f"much as one of '{mean.idxmin()}' in weighted estimates of both together: scale the weights "
                "first, if that is not meant."
            )
    out, used = facts["rows_excluded"], facts["respondents"]
    if out > MANY * (out + used):
        share = f"{out / (out + used):.0%}"
        said.append(
            f"{out:,} of {out + used:,} rows of the survey ({share}) were left out: see Data for the reasons."
        )
    return said


def _total(spec: MrpAnalysis, total: pd.DataFrame) -> str:
    number = _finer(spec, total)
    if has_answers(spec):
        parts = [
            f"'{row['answer']}' {in_full(spec, number, row)}, {number(row['raw'])} in the raw sample"
            + (f", known {number(row['truth'])}" if np.isfinite(row.get("truth", np.nan)) else "")
            for _, row in total.iterrows()
        ]
        return f"MrP puts the {value_name(spec)} at: {'; '.join(parts)}.{_above(spec, total)}"
    row = total.iloc[0]
    text = f"MrP puts the {value_name(spec)} at {in_full(spec, number, row)}."
    said = []
    for kind in ("raw", "weighted", "raked"):
        if np.isfinite(row.get(kind, np.nan)):
            one = f"{kind} {number(row[kind])}"
            if kind != "raw" and np.isfinite(row[f"{kind}_lower"]):
                ends = f"{number(row[f'{kind}_lower'])} to {number(row[f'{kind}_upper'])}"
                one += f" ({level(spec)} interval {ends})"
            said.append(one)
    if said:
        what = "Share of positive tests in the sample" if spec.outcome.test is not None else "In the sample"
        text += f" {what}: {joined(said)}."
    if np.isfinite(row.get("truth", np.nan)):
        inside = row["lower"] <= row["truth"] <= row["upper"]
        text += (
            f" The known {noun(spec)} is {number(row['truth'])}, {'inside' if inside else 'outside'} MrP's "
            "interval."
        )
    return text + _above(spec, total)


def _finer(spec: MrpAnalysis, table: pd.DataFrame):
    """Numbers of the total: shares with three decimals or more."""
    places = decimals(table["upper"] - table["lower"], 3 if is_share(spec) else 0)
    return lambda value: fixed(value, places)


def _test(spec: MrpAnalysis, result: ModelResult) -> list[Block]:
    table = result.estimates.get("parameters")
    said = []
    for name in ("sensitivity", "specificity"):
        rows = table[table["quantity"] == name] if table is not None else pd.DataFrame()
        if len(rows):
            said.append(f"{name} {in_full(spec, _finer(spec, rows), rows.iloc[0])}")
    return [f"The test's {joined(said)}, estimated together with the prevalence."] if said else []


def _groups(spec: MrpAnalysis, grouping: tuple[str, ...], table: pd.DataFrame) -> str:
    names, number = group_names(table, grouping), number_of(spec, table)
    by = by_words(grouping)
    answers = list(dict.fromkeys(table["answer"])) if has_answers(spec) else [""]
    parts = []
    for answer in answers:
        of = table[table["answer"] == answer] if answer else table
        low, high = of["mean"].idxmin(), of["mean"].idxmax()
        if low == high:
            what = f"{answer!r} " if answer else ""
            parts.append(f"{what}{in_full(spec, number, table.loc[low])} in {names[low]}")
            continue
        parts.append(
            f"{f'{answer!r} ' if answer else ''}from {in_full(spec, number, table.loc[low])} in "
            f"{names[low]} "
            f"to {in_full(spec, number, table.loc[high])} in {names[high]}"
        )
    alone = len(table) == len(answers)
    run = "the estimate is" if alone else "the estimates run"
    text = f"By {by}, {run}{':' if answers[0] else ''} {'; '.join(parts)}."
    return text + _above(spec, table)


def _above(spec: MrpAnalysis, table: pd.DataFrame) -> str:
    """How probable it is that groups are above the thresholds; of several groups, of how many it is so."""
    parts = {"": table}
    if has_answers(spec):
        parts = {f" for '{answer}'": rows for answer, rows in table.groupby("answer", sort=False)}
    groups, text = len(next(iter(parts.values()))), ""
    for threshold, column in exceedance(spec, table).items():
        above = {answer: int((rows[column] > CERTAIN).sum()) for answer, rows in parts.items()}
        if groups == 1:
            said = joined([f"{rows[column].iloc[0]:.2f}{answer}" for answer, rows in parts.items()])
            text += f" The posterior probability of more than {threshold} is {said}."
        elif has_answers(spec):
            some = {answer: count for answer, count in above.items() if count} or {"": "none"}
            of = [f" of {groups:,} groups", *[""] * (len(some) - 1)]
            counts = [f"{count}{end}{answer}" for (answer, count), end in zip(some.items(), of, strict=True)]
            text += (
                f" A share above {threshold} has a posterior probability of more than {CERTAIN:g} in "
                f"{joined(counts)}."
            )
        else:
            below = int((table[column] < UNLIKELY).sum())
            text += (
                f" The posterior probability of a {noun(spec)} above {threshold} is more than {CERTAIN:g} in "
                f"{above['']:,} of {groups:,} groups, and less than {UNLIKELY:g} in {below:,}."
            )
    return text


def alike_within(spec: MrpAnalysis, model: str) -> str:
    """A sentence on contrasts within groups that the model gives no difference of their own."""
    formula = parse_formula(spec.formula_of(model), spec.outcome.column)
    together = [set(part) for part in formula.common]
    together += [{*group.factor, *slope} for group in formula.groups for slope in ((), *group.slopes)]
    said = []
    for contrast in spec.contrasts:
        if contrast.within and not any(
            contrast.variable in part and part & set(contrast.within) for part in together
        ):
            term = ":".join([*contrast.within, contrast.variable])
            said.append(
                f" No term of the formula lets {contrast.variable} differ by "
                f"{' or '.join(contrast.within)}: on the scale of the linear predictor the model has one "
                "difference for all groups, and what groups show beside it follows from their composition "
                f"and level. (1 | {term}) would let them differ."
            )
    return "".join(dict.fromkeys(said))


def _contrasts(spec: MrpAnalysis, order: Order, result: ModelResult, alike: str) -> list[Block]:
    table = result.estimates.get("contrasts")
    if table is None or table.empty:
        return []
    rows = compared(spec, order, forms(spec, table)["difference"])
    names = labels(rows)
    clear = ((rows["lower"] > 0) | (rows["upper"] < 0)).sum()
    places = decimals(rows["upper"] - rows["lower"], 2 if is_share(spec) else 0)
    at = int(rows["mean"].abs().argmax())
    row = rows.iloc[at]
    mean, lower, upper = (fixed(row[name], places) for name in ("mean", "lower", "upper"))
    said = (
        f"{mean} ({level(spec)} interval {lower} to {upper}), with a posterior probability of "
        f"{row['p_first_higher']:.2f} that the first is higher"
    )
    if len(rows) == 1:
        text = f"Groups compared: the difference {names[0]} is {said}."
    else:
        text = (
            f"Groups compared: the {level(spec)} interval of {clear:,} of {len(rows):,} differences "
            "leaves out 0. "
            f"The largest is {names[at]}: {said}."
        )
    return [text + alike, contrast_table(spec, order, table, result.name)]


def _contributions(spec: MrpAnalysis, result: ModelResult) -> list[Block]:
    table = result.estimates.get("contributions")
    if table is None or table.empty:
        return []
    rows = table.sort_values("mean", ascending=False, kind="stable").head(3)
    places = decimals(rows["upper"] - rows["lower"], 1)
    several = "answer" in rows
    parts = [
        f"{term_words(row['term'])}{f' ({row.answer!r})' if several else ''} "
        f"{row['mean']:.{places}f} ({level(spec)} interval "
        f"{row['lower']:.{places}f} to {row['upper']:.{places}f})"
        for _, row in rows.iterrows()
    ]
    return [
        "The terms that make cells differ most, by the standard deviation of what they add to the linear "
        f"predictor ({SCALE[spec.outcome.kind]}): {'; '.join(parts)}."
    ]


def _accuracy(spec: MrpAnalysis, result: ModelResult) -> list[Block]:
    table = accuracy_table(spec, result)
    if table is None:
        return []
    judged = "the intervals are too narrow for those"
    if any("predicted_lower" in part for part in result.estimates.values()):
        judged = "the interval for the finite population is the one to compare with those"
    return [
        f"True values are known here, so the estimates can be scored. If they are of a finite population, "
        f"and not the expected {noun(spec)} behind it, {judged} of small groups.",
        table,
    ]


def _expected_error(spec: MrpAnalysis, result: ModelResult) -> list[Block]:
    table = result.companions.get("calibration")
    if table is None or table.empty:
        return []
    surveys = int(table["surveys"].max())
    if surveys == 0:
        return ["No simulated survey gave a fit that passed its checks, so expected errors are not known."]
    parts = []
    for grouping in spec.groupings():
        rows = table[table["grouping"] == spec.table_name(grouping)]
        if len(rows):
            places = decimals(rows["rmse"])
            what = f"by {by_words(grouping)}" if grouping else "of the total"
            low, middle, high = (f"{rows['rmse'].quantile(q):.{places}f}" for q in (0, 0.5, 1))
            size = f"{middle} (from {low} to {high})" if len(rows) > 1 else middle
            parts.append(
                f"{what} {size}, with {level(spec)} intervals that hold {rows['coverage'].mean():.0%} of "
                "the true values"
            )
    asked = (
        "" if surveys == spec.calibrate else f" (of {spec.calibrate}; the others' fits failed their checks)"
    )
    return [
        f"Expected error, from {surveys} surveys simulated from the fitted model{asked}: the median root "
        "mean "
        f"square error of the estimates is: {'; '.join(parts)}. This holds if the model is right."
    ]
