"""Reading a study table: raw data of arms or groups, or estimates with their precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.meta import COUNT_COLUMNS, MEASURES, MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.meta.effects import effect_sizes, standard_error_from_limits, standard_error_from_p
from poolmap.tables import Table, exclusions, nearest, read_table

LARGEST = 2**31 - 1  # of an integer in Stan
NEEDS_EVENTS = ("OR", "RR", "PETO", "IRR")
"""Measures on which a study without events in both arms says nothing."""
ASYMMETRY = 0.1
"""Limits are named in the report where their middle is off the estimate by more than this share of their
distance: they may stand on another scale than the estimate."""


def ingest(spec: MetaAnalysis) -> Dataset:
    """Read and check the study table.

    A study with a missing value is left out. So is, for ratios of events, one without events (OR, RR, PETO
    also: with events only) in both arms: with a baseline of its own for each study it says nothing about
    a ratio (Cochrane Handbook 10.4.4.1). All are listed in `exclusions`. Raw counts are kept as they are;
    only `yi` and `vi` of a study with a zero cell come from counts to which `spec.zero_cells` is added.

    Returns:
        table `studies`: `study`, the raw data under their names in `poolmap.config.meta.MEASURES` (none for
        GEN; counts as integers), `yi` (estimate, on the scale of analysis), `vi`, `se`, with `layout: long`
        `arm_1` (what the compared arm is called), and the file's other columns as text.

    Raises:
        InputError: everything that is wrong, each with file, line, column and remedy; arms that form no
            comparison; no event in any study; fewer than two studies that can be used.
    """
    table = read_table(spec.data, spec.sheet)
    wanted = {name: getattr(spec.columns, name) for name in spec.needed_columns}
    present = [table.has(spec.study, key="study")]
    present += [table.has(column, key=f"columns.{name}") for name, column in wanted.items()]
    if not all(present):
        table.finish()

    long = spec.layout == "long"
    study = table.ids(spec.study, what="study", unique=not long)
    facts: dict[str, Any] = {"n_rows": len(table.frame)}
    if spec.measure == "GEN":
        values, facts["asymmetric"] = _estimates(spec, table, wanted, study)
    else:
        values = _raw(spec.measure, table, {k: v for k, v in wanted.items() if k != "arm"})
    left_out = _missing(table, wanted)
    rows = values.index.to_frame(index=False, name="row").set_index(values.index)
    if long:
        rows = _pairs(table, study, wanted["arm"], str(spec.reference))
    table.finish()
    if long:
        left_out = _missing_in_pair(rows, left_out, table.frame[wanted["arm"]])
        values = _side_by_side(rows, values)

    known = values.drop(index=list(left_out))
    events = [name for name in values if name.startswith("events")]
    if events and len(known) and known[events].to_numpy().sum() == 0:
        raise InputError([_no_events(spec, table, len(known), wanted)])
    uninformative = _uninformative(known) if spec.measure in NEEDS_EVENTS else {}
    left_out |= uninformative
    known = known.drop(index=list(uninformative))
    yi, vi, corrected = _effects(spec, known)
    undefined = ~(np.isfinite(yi) & np.isfinite(vi) & (vi > 0))
    left_out |= {
        line: "a zero cell leaves its estimate or variance undefined, and nothing is added (add.to: none)"
        for line in known.index[undefined]
    }
    known, yi, vi, corrected = (part[~undefined] for part in (known, yi, vi, corrected))
    keep = known.index.tolist()
    excluded = exclusions([(spec.data, line, study[line], left_out[line]) for line in sorted(left_out)])
    if len(keep) < 2:
        raise InputError([_too_few(spec, table, keep, left_out, study)])

    studies = known.reset_index(drop=True)
    for name in studies:
        if _is_count(name):
            studies[name] = studies[name].astype("int64")
    names = [name for name in studies if name not in ("yi", "vi")]
    facts["totals"] = {
        name: studies[name].sum().item()
        for name in names
        if name.split("_")[0] in ("events", "total", "time", "n")
    }
    studies = studies[names].assign(yi=yi, vi=vi, se=np.sqrt(vi))
    studies.insert(0, "study", study[keep].to_numpy())
    facts |= {"n_studies": len(keep), "n_excluded": len(left_out)}
    facts["no_information"] = [study[line] for line in sorted(uninformative)]
    facts["corrected"] = studies["study"][corrected].tolist()
    facts["correction"] = spec.zero_cells.value if spec.has_cells else 0.0
    facts["extras"] = []
    if long:
        arms = table.frame.loc[keep, wanted["arm"]]
        studies["arm_1"] = arms.to_numpy()
        facts["arms"] = sorted(set(arms))
        facts["extras"] = ["arm_1"] if arms.nunique() > 1 else []
    extras = _extras(table, [spec.study, *wanted.values()], rows.loc[keep], studies.columns)
    facts["extras"] += list(extras)
    return Dataset(tables={"studies": studies.assign(**extras)}, exclusions=excluded, facts=facts)


def _is_count(name: str) -> bool:
    return name.split("_")[0] in ("events", "total", "n")


def _effects(spec: MetaAnalysis, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if spec.measure == "GEN":
        return values["yi"].to_numpy(), values["vi"].to_numpy(), np.zeros(len(values), dtype=bool)
    columns = {name: values[name].to_numpy() for name in MEASURES[spec.measure]}
    return effect_sizes(spec.measure, columns, add=spec.zero_cells.value, to=spec.zero_cells.to)


def _estimates(
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
            wanted["se"], lower=0, strict_lower=True, what="the estimate's standard error, above 0"
        )
        vi = se**2
    elif "variance" in wanted:
        vi = table.numbers(wanted["variance"], lower=0, strict_lower=True, what="its variance, above 0")
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


def _raw(measure: str, table: Table, wanted: dict[str, str]) -> pd.DataFrame:
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


def _pairs(table: Table, study: pd.Series, column: str, reference: str) -> pd.DataFrame:
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
                + ("; of more arms keep or merge those to compare" if len(others) > 1 else ""),
                line=lines[0],
                column=column,
            )
    return pd.DataFrame({"row": list(found), "row_2": list(found.values())}, index=list(found))


def _side_by_side(rows: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    one = values.loc[rows["row"]].add_suffix("_1").set_index(rows.index)
    two = values.loc[rows["row_2"]].add_suffix("_2").set_index(rows.index)
    return one.join(two)


def _missing(table: Table, wanted: dict[str, str]) -> dict[int, str]:
    missing = pd.DataFrame({column: table.is_missing(column) for column in wanted.values()})
    return {
        line: "no value in " + ", ".join(f"'{column}'" for column in missing.columns[missing.loc[line]])
        for line in missing.index[missing.any(axis=1)]
    }


def _missing_in_pair(rows: pd.DataFrame, reasons: dict[int, str], arms: pd.Series) -> dict[int, str]:
    found = {}
    for line, pair in zip(rows.index, rows.to_numpy(), strict=True):
        said = [f"{reasons[part]} (arm '{arms[part]}')" for part in pair if part in reasons]
        if said:
            found[line] = "; ".join(said)
    return found


def _uninformative(counts: pd.DataFrame) -> dict[int, str]:
    none = (counts["events_1"] == 0) & (counts["events_2"] == 0)
    reasons = {line: "no events in either arm: no information on a ratio" for line in counts.index[none]}
    if "total_1" not in counts:
        return reasons
    every = (counts["events_1"] == counts["total_1"]) & (counts["events_2"] == counts["total_2"])
    return reasons | {
        line: "events only in both arms: no information on a ratio" for line in counts.index[every]
    }


def _no_events(spec: MetaAnalysis, table: Table, studies: int, wanted: dict[str, str]) -> Problem:
    columns = ", ".join(f"'{column}'" for name, column in wanted.items() if name.startswith("events"))
    return Problem(
        table.where(),
        f"all events are zero: none of the {studies} studies with data counts a single one "
        f"(columns of events: {columns})",
        f"a {spec.measure} cannot be estimated without events; check that the columns are the right ones, or "
        "add studies with events",
    )


def _too_few(
    spec: MetaAnalysis, table: Table, keep: list[int], left_out: dict[int, str], study: pd.Series
) -> Problem:
    count = "no study" if not keep else "only 1 study"
    reasons = "; ".join(
        f"{table.unit} {line} ({study[line]}): {left_out[line]}" for line in sorted(left_out)[:10]
    )
    return Problem(
        table.where(),
        f"{count} can be used; a meta-analysis needs at least 2"
        + (f" (left out: {reasons})" if reasons else ""),
        f"add studies, or fill in their {'estimates' if spec.measure == 'GEN' else 'data'}",
    )


def _extras(table: Table, used: list[str], rows: pd.DataFrame, taken: pd.Index) -> dict[str, np.ndarray]:
    """The file's other columns as text, by their name in the table of studies.

    With one row an arm, a column that differs within a study gives two: `<name>_1` and `<name>_2`.
    """
    reserved = {*taken, "study", *COUNT_COLUMNS, *MEASURES["IRR"], "yi", "vi", "se"}
    extras: dict[str, np.ndarray] = {}
    for column in table.frame.columns:
        if column in used:
            continue
        parts = {column: table.frame.loc[rows["row"], column].to_numpy()}
        if "row_2" in rows:
            other = table.frame.loc[rows["row_2"], column].to_numpy()
            if (other != parts[column]).any():
                parts = {f"{column}_1": parts[column], f"{column}_2": other}
        for name, content in parts.items():
            while name in reserved:
                name += "_in_file"
            reserved.add(name)
            extras[name] = content
    return extras
