"""Tables of the findings: contrasts, accuracy, models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, ReportTable
from poolmap.families.mrp.accuracy import KINDS, accuracy
from poolmap.families.mrp.arrange import Order
from poolmap.families.mrp.contrast_rows import RATIO, VALUES, compared, forms, keys_of, labels
from poolmap.families.mrp.differences import model_differences
from poolmap.families.mrp.group_tables import ends_of
from poolmap.families.mrp.report_words import (
    by_words,
    decimals,
    estimates_of_grouping,
    fixed,
    has_answers,
    in_full,
    is_share,
    joined,
    level,
    noun,
    number_of,
    value_name,
)


def contrast_table(spec: MrpAnalysis, order: Order, table: pd.DataFrame, model: str) -> ReportTable:
    """Difference and ratio of each pair, and the probability that the first is higher."""
    keys, parts = keys_of(spec, table), forms(spec, table)
    # read back from a file, empty keys are missing on both sides alike
    difference, ratio = (part.fillna(dict.fromkeys(keys, "")) for part in parts.values())
    ratios = {name: f"ratio_{name}" for name in RATIO}
    rows = difference.merge(ratio[[*keys, *RATIO]].rename(columns=ratios), on=keys, how="left")
    shown = compared(spec, order, rows, (*VALUES, *(ratios.values() if len(ratio) else ())))
    least = 2 if is_share(spec) else 0
    once = " A contrast that is the same in every group stands once, with the number of groups."
    said = once if (shown["groups"] > 1).any() else ""
    alone = compared(spec, order, rows)
    fewer = alone[(alone["groups"] > 1) & ~alone["contrast"].isin(shown.loc[shown["groups"] > 1, "contrast"])]
    if len(fewer):
        pairs = joined(list(dict.fromkeys(fewer["pair"] + " in " + fewer["place"])))
        said += f" The model lets no group differ in the difference {pairs}; ratios differ with the level."
    shown, cut = ends_of(shown, sorted_down=False)
    columns = {"First \N{MINUS SIGN} second": labels(shown)}
    columns["Difference"] = _written(shown, VALUES, least)
    if len(ratio):
        columns["Ratio"] = _written(shown, list(ratios.values()), 2)
    columns["P(first higher)"] = shown["p_first_higher"].map("{:.2f}".format).tolist()
    frame = pd.DataFrame(columns)
    caption = (
        f"Groups compared: difference (mean) and ratio (median) of the {value_name(spec)} with {level(spec)} "
        "intervals, "
        f"and the posterior probability that the first is higher.{said}{cut} Model {model}."
    )
    return ReportTable(frame, caption, list(frame.columns[1:]), model)


def _written(rows: pd.DataFrame, names: Sequence[str], least: int) -> list[str]:
    """Estimates with their intervals, all with as many decimals; empty where there is none."""
    values = rows[list(names)].to_numpy(dtype=float)
    places = decimals(values[:, 2] - values[:, 1], least)
    return [
        f"{fixed(mean, places)} ({fixed(lower, places)} to {fixed(upper, places)})"
        if np.isfinite(mean)
        else ""
        for mean, lower, upper in values
    ]


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
                    "Known values": f"{row['groups']:,}",
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
            if table is None or table.empty:
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
            if "truth" in table and table["truth"].notna().any():
                row["RMSE"] = f"{np.sqrt(((table['mean'] - table['truth']) ** 2).mean()):.3g}"
            rows.append(row)
    frame = pd.DataFrame(rows)
    frame = frame[(frame.drop(columns=["Model", "Groups"]) != "").any(axis=1)]
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
