"""Tables of the findings: groups, contrasts, accuracy, models side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, ReportTable
from poolmap.families.mrp.accuracy import KINDS, accuracy
from poolmap.families.mrp.differences import model_differences
from poolmap.families.mrp.model_figures import contrast_names
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    decimals,
    estimates_of_grouping,
    fixed,
    group_names,
    has_answers,
    in_full,
    is_share,
    level,
    noun,
    number_of,
    value_name,
    with_interval,
)

MOST_ROWS = 60  # of a table in the report; longer ones are cut to both ends
MOST_ANSWERS = 5
DIRECT = {"raw": "Raw", "weighted": "Weighted", "raked": "Raked", "greg": "GREG"}


def group_table(spec: MrpAnalysis, grouping: tuple[str, ...], table: pd.DataFrame, model: str) -> ReportTable:
    """All kinds of estimate of each group, highest first (in their order, where the time is among them)."""
    answers = list(dict.fromkeys(table["answer"])) if has_answers(spec) else []
    if 0 < len(answers) <= MOST_ANSWERS:
        return _answers(spec, grouping, table, answers, model)
    in_order = spec.time is not None and spec.time in grouping
    if not in_order:
        table = table.sort_values("mean", ascending=False, kind="stable")
    table = table.reset_index(drop=True)
    names, number = group_names(table, grouping), number_of(spec, table)
    if answers:
        names = names + ": " + table["answer"].astype(str)
    shown, cut = _ends(table, "rows" if in_order else "highest")
    columns = {capital(by_words(grouping)): names[shown.index]}
    if shown["n_survey"].notna().all():
        columns["Sample"] = shown["n_survey"].map("{:,.0f}".format)
    columns["Population"] = shown["n_census"].map("{:,.0f}".format)
    for kind, title in DIRECT.items():
        if kind in table and table[kind].notna().any():
            columns[title] = shown[kind].map(number)
    columns["MrP"] = shown["mean"].map(number)
    columns[f"{level(spec)} interval"] = [
        f"{number(lower)} to {number(upper)}"
        for lower, upper in zip(shown["lower"], shown["upper"], strict=True)
    ]
    for threshold in spec.thresholds:
        column = f"p_{noun(spec)}_gt_{threshold:g}"
        if column in shown:
            columns[f"P(> {threshold:g})"] = shown[column].map("{:.2f}".format)
    if "truth" in shown and table["truth"].notna().any():
        columns["Truth"] = shown["truth"].map(number)
    frame = pd.DataFrame(columns).reset_index(drop=True)
    order = "in their order" if in_order else "highest estimate first"
    caption = f"{capital(value_name(spec))} by {by_words(grouping)}, {order}.{cut} Model {model}."
    return ReportTable(frame, caption, list(frame.columns[1:]), model)


def _ends(table: pd.DataFrame, which: str) -> tuple[pd.DataFrame, str]:
    """Both ends of a long table, and what is said of it."""
    if len(table) <= MOST_ROWS:
        return table, ""
    ends = MOST_ROWS // 4
    first, last = (
        (f"{ends} highest", f"{ends} lowest") if which == "highest" else (f"first {ends}", f"last {ends}")
    )
    cut = f" The {first} and {last} of {len(table):,} rows; the others stand in the CSV file."
    return pd.concat([table.head(ends), table.tail(ends)]), cut


def _answers(
    spec: MrpAnalysis, grouping: tuple[str, ...], table: pd.DataFrame, answers: list[str], model: str
) -> ReportTable:
    """A row a group with a column an answer, sorted by the last answer."""
    number, keys = number_of(spec, table), list(grouping)
    table = table.assign(group=group_names(table, grouping))
    last = table[table["answer"] == answers[-1]].reset_index(drop=True)
    if not (spec.time is not None and spec.time in keys):
        last = last.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)
    shown, cut = _ends(last, "highest" if spec.time is None or spec.time not in keys else "rows")
    columns = {capital(by_words(grouping)): shown["group"]}
    if shown["n_survey"].notna().all():
        columns["Sample"] = shown["n_survey"].map("{:,.0f}".format)
    columns["Population"] = shown["n_census"].map("{:,.0f}".format)
    for answer in answers:
        of = table[table["answer"] == answer].set_index("group").loc[shown["group"]]
        columns[str(answer)] = [with_interval(number, row) for _, row in of.iterrows()]
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    caption = (
        f"{capital(value_name(spec))} by {by_words(grouping)}: MrP with {level(spec)} intervals (direct "
        f"estimates stand in the CSV file).{cut} Model {model}."
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), model)


def contrast_table(spec: MrpAnalysis, table: pd.DataFrame, model: str) -> ReportTable:
    """Difference and ratio of each pair, and the probability that the first is higher."""
    keys = [name for name in table if name in ("variable", "first", "second", "answer")]
    keys += [n for c in spec.contrasts for n in c.within if n in table and n not in keys]
    keys = list(dict.fromkeys(keys))
    parts = {
        form: table[table["quantity"] == f"{noun(spec)}_{form}"].reset_index(drop=True)
        for form in ("difference", "ratio")
    }
    rows = parts["difference"]
    shown, cut = _ends(rows, "rows")
    names = contrast_names(spec, shown, "difference")
    columns = {"First \N{MINUS SIGN} second": names}

    def written(of: pd.DataFrame, least: int) -> list[str]:
        places = decimals(of["upper"] - of["lower"], least)
        return [
            f"{fixed(row['mean'], places)} ({fixed(row['lower'], places)} to {fixed(row['upper'], places)})"
            if np.isfinite(row["mean"])
            else ""
            for _, row in of.iterrows()
        ]

    columns["Difference"] = written(shown, 2 if is_share(spec) else 0)
    if len(parts["ratio"]):
        # read back from a file, empty keys are missing on both sides alike
        both = shown[keys].fillna("").merge(parts["ratio"].fillna({k: "" for k in keys}), on=keys, how="left")
        columns["Ratio"] = written(both, 2)
    columns["P(first higher)"] = shown["p_first_higher"].map("{:.2f}".format).tolist()
    frame = pd.DataFrame(columns)
    caption = (
        f"Groups compared: difference and ratio of the {value_name(spec)} with {level(spec)} intervals, "
        "and the "
        f"posterior probability that the first is higher.{cut} Model {model}."
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), model)


def accuracy_table(spec: MrpAnalysis, result: ModelResult) -> ReportTable | None:
    """Errors and coverage of each kind of estimate by grouping; None where no truth is known."""
    rows = []
    for grouping in spec.groupings()[1:]:
        table = estimates_of_grouping(spec, result, grouping)
        if table is None:
            continue
        places = decimals(table["upper"] - table["lower"], 2 if is_share(spec) else 0) + 1
        for row in accuracy(table).to_dict("records"):
            width = f"{row['width']:.{places - 1}f}" if np.isfinite(row["width"]) else ""
            where = ", in the sample" if row["where"] == "sampled" else ", not in the sample"
            rows.append(
                {
                    "Groups": by_words(grouping) + where,
                    "Estimate": KINDS[row["kind"]][3].replace("share", noun(spec)),
                    "Number": f"{row['groups']}",
                    "RMSE": f"{row['rmse']:.{places}f}",
                    "MAE": f"{row['mae']:.{places}f}",
                    "Intervals holding the truth": f"{row['covered']} of {row['intervals']}",
                    "Mean width": width,
                }
            )
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return ReportTable(
        frame,
        f"Errors against the known {noun(spec)}s: root mean square error (RMSE), mean absolute error "
        "(MAE), and "
        f"how many {level(spec)} intervals hold the truth. Model {result.name}.",
        list(frame.columns[2:]),
        result.name,
    )


def models_table(spec: MrpAnalysis, results: Mapping[str, ModelResult]) -> ReportTable:
    """The models side by side: total and differences of the groups from the primary model."""
    differences = model_differences(spec, results)
    rows = []
    for name, result in results.items():
        for grouping in spec.groupings():
            table = estimates_of_grouping(spec, result, grouping)
            of = differences["model"].eq(name) & differences["grouping"].eq(spec.table_name(grouping))
            found = differences[of]
            if table is None or table.empty or (grouping and found.empty):
                continue
            row = dict.fromkeys(COMPARED, "")
            row |= {"Model": name, "Groups": by_words(grouping) or "total"}
            number = number_of(spec, table)
            if not grouping and not has_answers(spec):
                row["Estimate"] = in_full(spec, number, table.iloc[0])
            if len(found):
                largest = found.loc[found["difference"].abs().idxmax()]
                row["Mean difference"] = f"{found['difference'].abs().mean():.3g}"
                row["Largest"], row["SD"] = f"{largest['difference']:+.3g}", f"{abs(largest['in_sd']):.1f}"
                if grouping or has_answers(spec):
                    answer = f": {largest['answer']}" if "answer" in found else ""
                    row["Where"] = f"{largest['group']}{answer}"
                row["Width"] = f"{found['width_ratio'].median():.2f}"
                if "error_other" in found and found["error_other"].notna().any():
                    row["RMSE"] = f"{np.sqrt((found['error_other'] ** 2).mean()):.3g}"
            rows.append(row)
    frame = pd.DataFrame(rows)
    frame = frame[[column for column in frame if (frame[column] != "").any()]]
    error = " RMSE: error against the known values." if "RMSE" in frame else ""
    caption = (
        "Models side by side: the total, and how the groups' estimates differ from the primary model's: "
        "mean absolute difference; the largest one, also in posterior standard deviations of the primary "
        "model (SD), and where it is; width: median ratio of the widths of the intervals to the primary "
        "model's."
        f"{error} Leave-one-out scores do not rank models by the error of small areas (Kuh, Kennedy, Chen "
        "and Gelman 2022, arXiv:2209.01773): do not choose by them."
    )
    return ReportTable(
        frame, caption, [c for c in ("Mean difference", "Largest", "SD", "Width", "RMSE") if c in frame]
    )


COMPARED = ("Model", "Groups", "Estimate", "Mean difference", "Largest", "SD", "Where", "Width", "RMSE")
