"""What each row of a study table gives: the raw data of arms or groups, or an estimate with its precision."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.families.meta.effects import standard_error_from_limits, standard_error_from_p
from poolmap.tables import Table, nearest

LARGEST = 2**31 - 1  # of an integer in Stan
ASYMMETRY = 0.1
"""Limits are named in the report where their middle is off the estimate by more than this share of their
distance: they may stand on another scale than the estimate."""


def estimates(
    spec: MetaAnalysis, table: Table, wanted: dict[str, str], study: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    """Estimate and variance on the scale of analysis, and the studies whose limits lie unevenly about it."""
    ratio = spec.estimate_scale == "ratio"
    bound = {"lower": 0.0, "strict_lower": True} if ratio else {}
    ratios = ", a ratio above 0" if ratio else ""
    what = {
        "estimate": f"the study's effect estimate{ratios}",
        "lower": f"the lower confidence limit{ratios}",
        "upper": f"the upper confidence limit{ratios}",
    }
    given = {name: table.numbers(wanted[name], what=what[name], **bound) for name in what if name in wanted}
    scaled = {name: np.log(values) if ratio else values for name, values in given.items()}
    estimate = scaled["estimate"]
    uneven: list[str] = []
    if "se" in wanted:
        se = table.numbers(
            wanted["se"],
            lower=0,
            strict_lower=True,
            what="the estimate's standard error, above 0 (not rounded to 0)",
        )
        vi = se**2
    elif "variance" in wanted:
        vi = table.numbers(
            wanted["variance"], lower=0, strict_lower=True, what="its variance, above 0 (not rounded to 0)"
        )
    elif "p_value" in wanted:
        vi = _variance_from_p(table, wanted, estimate)
    else:
        lower, upper = scaled["lower"], scaled["upper"]
        _check_limits(table, wanted, given)
        vi = standard_error_from_limits(lower, upper, spec.confidence) ** 2
        off = ((lower + upper) / 2 - estimate).abs() > ASYMMETRY * (upper - lower)
        uneven = study[off].tolist()
    return pd.DataFrame({"yi": estimate, "vi": vi}, index=table.frame.index), uneven


def _variance_from_p(table: Table, wanted: dict[str, str], estimate: pd.Series) -> pd.Series:
    column = wanted["p_value"]
    p = table.numbers(
        column, lower=0, upper=1, strict_lower=True, what="a two-sided p-value above 0, below 1"
    )
    for line in p.index[(p == 1) | ((estimate == 0) & p.notna())]:
        table.problem(
            "no standard error follows from "
            + ("a p-value of 1" if p[line] == 1 else "the p-value of an estimate of no effect"),
            "give its standard error or confidence limits, or leave the field empty to leave the study out",
            line=line,
            column=column,
        )
    return pd.Series(standard_error_from_p(estimate, p.where(p < 1)) ** 2, index=p.index)


def _check_limits(table: Table, wanted: dict[str, str], given: dict[str, pd.Series]) -> None:
    estimate, lower, upper = (given[name] for name in ("estimate", "lower", "upper"))
    remedy = "give estimate and limits on one scale, the one that `estimate_scale` says"
    for line in table.frame.index:
        values = lower[line], upper[line], estimate[line]
        place = {"line": line, "column": wanted["lower"]}
        if values[0] >= values[1]:
            what = f"the lower limit {values[0]:g} is not below the upper limit {values[1]:g}"
            table.problem(what, "a confidence interval has a width; check both limits", **place)
        elif values[2] < values[0] or values[2] > values[1]:
            what = f"the limits {values[0]:g} to {values[1]:g} do not contain the estimate {values[2]:g}"
            table.problem(what, remedy, **place)


def raw_data(measure: str, table: Table, wanted: dict[str, str]) -> pd.DataFrame:
    """The raw columns, checked row by row; the same for one row a study and one row an arm."""
    values = pd.DataFrame({name: _column(measure, table, name, wanted[name]) for name in wanted})
    for name, column in wanted.items():
        if name.startswith(("events", "total")):
            for line in values.index[values[name] > LARGEST]:
                table.problem(
                    f"{values.at[line, name]:.0f} is too large for a count", line=line, column=column
                )
        if name.startswith("total"):
            _check_total(table, values, name, wanted)
    return values


def _column(measure: str, table: Table, name: str, column: str) -> pd.Series:
    kind = name.split("_")[0]
    above_0 = {"lower": 0.0, "strict_lower": True}
    if kind in ("events", "total"):
        return table.counts(column)
    if kind == "time":
        return table.numbers(column, what="the person-time at risk, above 0", **above_0)
    if kind == "sd":
        return table.numbers(column, what="the standard deviation, above 0", **above_0)
    if kind == "n":
        least = 4 if measure == "ZCOR" else 2
        return table.numbers(column, lower=least, integer=True, what=f"a whole number, {least} or more")
    if kind == "mean":
        if measure == "ROM":
            return table.numbers(
                column, what="a mean above 0 (a ratio of means needs a true zero)", **above_0
            )
        return table.numbers(column, what="the mean")
    r = table.numbers(column, lower=-1, upper=1, what="a correlation between -1 and 1")
    for line in r.index[r.abs() == 1]:
        table.problem(f"Fisher's z of a correlation of {r[line]:g} is infinite", line=line, column=column)
    return r


def _check_total(table: Table, values: pd.DataFrame, name: str, wanted: dict[str, str]) -> None:
    events, total = name.replace("total", "events"), wanted[name]
    arm = "arm" if name != "total" or "arm" in wanted else "group"
    for line in values.index[values[name] == 0]:
        table.problem(
            f"the {arm} has no people",
            f"give the number of people in the {arm}, or leave the field empty to leave the study out",
            line=line,
            column=total,
        )
    for line in values.index[(values[events] > values[name]) & (values[name] > 0)]:
        table.problem(
            f"{values.at[line, events]:.0f} events among {values.at[line, name]:.0f} people "
            f"(column '{total}')",
            "events are counted among the total: give the total with the cases, not the non-cases",
            line=line,
            column=wanted[events],
        )


def pairs(table: Table, study: pd.Series, column: str, reference: str) -> pd.DataFrame:
    """The lines of the compared arm (index and `row`) and of the reference arm (`row_2`) of each study."""
    arms = table.ids(column, what="arm", unique=False)
    if reference not in set(arms):
        remedy = nearest(reference, sorted(set(arms) - {""}))
        table.problem(f"no row is of the arm '{reference}' (key `reference`)", remedy, column=column)
        return pd.DataFrame({"row": [], "row_2": []})
    found: dict[int, int] = {}
    for name, rows in study[study != ""].groupby(study, sort=False):
        lines = rows.index.tolist()
        with_reference = [line for line in lines if arms[line] == reference]
        others = [line for line in lines if arms[line] not in (reference, "")]
        if len(lines) == 2 and len(with_reference) == len(others) == 1:
            found[others[0]] = with_reference[0]
        elif all(arms[lines] != ""):
            listed = ", ".join(f"'{arms[line]}'" for line in lines)
            table.problem(
                f"the arms of study '{name}' do not form a comparison: "
                f"{'only ' if len(lines) == 1 else ''}{listed}",
                f"each study needs two rows: one of the arm '{reference}' and one of the arm compared with it"
                + ("; of more arms merge those to compare" if len(others) > 1 else "")
                + "; `exclude` leaves out an arm, or a whole study",
                line=lines[0],
                column=column,
            )
    return pd.DataFrame({"row": list(found), "row_2": list(found.values())}, index=list(found))


def side_by_side(rows: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Values of one row an arm as values of a study: `<name>_1` and `<name>_2`, index as `rows`."""
    one = values.loc[rows["row"]].add_suffix("_1").set_index(rows.index)
    two = values.loc[rows["row_2"]].add_suffix("_2").set_index(rows.index)
    return one.join(two)
