"""Reading a study table: raw data of arms or groups, or estimates with their precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.meta import COUNT_COLUMNS, MEASURES, MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.meta.effects import effect_sizes
from poolmap.families.meta.study_columns import (
    check_effects,
    check_given_correlations,
    correlations,
    effect_order,
    judgements,
    leave_out_by_choice,
    moderators,
    numbers_or_text,
    per_study,
)
from poolmap.families.meta.study_values import estimates, pairs, raw_data, side_by_side
from poolmap.families.meta.total_row import check_total_row
from poolmap.families.meta.usable import COLUMN, no_contrast, reason, some_model_could, table_facts
from poolmap.tables import Table, exclusions, read_table

RESERVED = (
    *("study", "effect_id", *COUNT_COLUMNS, *MEASURES["IRR"]),
    *("yi", "vi", "se", COLUMN, "correlation", "cumulative"),
)
"""Names in the table of studies that the file's other columns cannot have."""


def ingest(spec: MetaAnalysis) -> Dataset:
    """Read and check the study table.

    A study left out by choice (`exclude`) is not looked at any further. A study with a missing value, of its
    data or of a moderator, is left out. A study that says nothing of a ratio by itself, without events (OR,
    RR, PETO also: with events only) in both arms, is left out where no model could use it; else it stays,
    marked in `no_contrast`, for the models that can (`usable`). All are listed in `exclusions`. Raw counts
    are kept as they are; only `yi` and `vi` of a study with a zero cell come from counts to which
    `spec.zero_cells` is added.

    Returns:
        table `studies`, a row a study (with `effect_id`: an effect; those of a study stand together):
        `study`, `effect_id`, the raw data under their names in `poolmap.config.meta.MEASURES` (none for
        GEN; counts as integers), `yi` (estimate, on the scale of analysis), `vi`, `se`, `no_contrast` (where
        a study has none: `usable.no_contrast`), `correlation` (`columns.correlation`), `cumulative`
        (numbers, or text), with `layout: long` `arm_1` (what the compared arm is called), and the file's
        other columns as text;
        table `moderators`, where there are some: a column each, in the same order, numbers or text;
        table `categories`: the same columns as text, spelt as in the file, the names of subgroups;
        table `risk_of_bias`, likewise: a column a domain, with low, some concerns, high, unclear or "".

    Raises:
        InputError: everything that is wrong, each with file, line, column and remedy; arms that form no
            comparison; no event in any study; fewer than two studies that can be used.
    """
    table = read_table(spec.data, spec.sheet)
    wanted = {name: getattr(spec.columns, name) for name in spec.needed_columns}
    asked = [(".".join(key), column) for key, _, column in spec.column_references()]
    if not all([table.has(column, key=key) for key, column in asked]):
        table.finish()

    facts: dict[str, Any] = {"n_rows": len(table.frame)}
    label = table.frame[spec.study]
    if spec.effect_id is not None:
        label = label + ", " + table.frame[spec.effect_id]
    left_out = leave_out_by_choice(spec, table)
    if table.frame.empty:
        table.finish()
        raise InputError([_too_few(spec, table, 0, left_out, label)])

    long = spec.layout == "long"
    single = not long and spec.effect_id is None
    study = table.ids(spec.study, what="study", unique=single, remedy=_repeated(spec))
    effect = check_effects(spec, table, study) if spec.effect_id is not None else None
    if spec.measure == "GEN":
        values, facts["asymmetric"] = estimates(spec, table, wanted, label)
    else:
        values = raw_data(spec.measure, table, {k: v for k, v in wanted.items() if k != "arm"})
        if single:
            check_total_row(table, study, values, spec.study)
    if effect is not None:
        values = values.loc[effect_order(study)]
    rows = values.index.to_frame(index=False, name="row").set_index(values.index)
    if long:
        rows = pairs(table, study, wanted["arm"], str(spec.reference))
    covariates, categories, without = moderators(spec, table, rows, study)
    judged = judgements(spec.risk_of_bias, table, rows, study)
    by = study[rows.index] if effect is not None else None
    order = (
        per_study(table, spec.cumulative, rows, study, key="cumulative", by=by) if spec.cumulative else None
    )
    rho = correlations(table, spec.columns.correlation, study) if spec.columns.correlation else None
    table.finish()

    missing = _missing(table, wanted)
    if long:
        missing = _missing_in_pair(rows, missing, table.frame[wanted["arm"]])
        values = side_by_side(rows, values)
    for line, names in without.items():
        said = "no value in " + ", ".join(f"'{name}'" for name in names)
        said += " (moderator)" if len(names) == 1 else " (moderators)"
        missing[line] = f"{missing[line]}; {said}" if line in missing else said
    known = values.drop(index=list(missing))
    events = [name for name in values if name.startswith("events")]
    if events and len(known) and known[events].to_numpy().sum() == 0:
        raise InputError([_no_events(spec, table, len(known), wanted)])
    kinds = no_contrast(spec, known)
    told = {line: reason(spec, kind) for line, kind in kinds.items() if kind}
    if not some_model_could(spec):
        known = known.drop(index=list(told))
    with np.errstate(over="ignore", under="ignore"):  # what overflows is left out below, and listed
        yi, vi, corrected = _effects(spec, known)
    undefined = ~(np.isfinite(yi) & np.isfinite(vi) & (vi > 0))
    left_out |= missing | told
    why = "its estimate or variance is too large or too small to be computed with"
    if spec.has_cells and spec.zero_cells.to == "none":
        why = "a zero cell leaves its estimate or variance undefined, and nothing is added (add.to: none)"
    left_out |= dict.fromkeys(known.index[undefined], why)
    known, yi, vi, corrected = (part[~undefined] for part in (known, yi, vi, corrected))
    keep, by_itself = known.index.tolist(), known.index.difference(list(told))
    if study[by_itself].nunique() < 2:
        raise InputError([_too_few(spec, table, study[by_itself].nunique(), left_out, label)])
    _check_kept(spec, table, study[keep], order, rho)

    studies = known.reset_index(drop=True)
    for name in studies:
        if _is_count(name):
            studies[name] = studies[name].astype("int64")
    names = [name for name in studies if name not in ("yi", "vi")]
    studies = studies[names].assign(yi=yi, vi=vi, se=np.sqrt(vi))
    studies.insert(0, "study", study[keep].to_numpy())
    if effect is not None:
        studies.insert(1, "effect_id", effect[keep].to_numpy())
    if rho is not None:
        studies["correlation"] = rho[keep].to_numpy()
    if order is not None:
        studies["cumulative"] = numbers_or_text(order[keep]).to_numpy()
    if told and some_model_could(spec):
        studies[COLUMN] = kinds[keep].to_numpy()
    facts |= table_facts(spec, studies, covariates.loc[keep]) | {"n_excluded": len(left_out)}
    facts["no_information"] = [label[line] for line in sorted(told)]
    facts["corrected"] = label[keep][corrected].tolist()
    facts["correction"] = spec.zero_cells.value if spec.has_cells else 0.0
    facts["extras"] = []
    if long:
        arms = table.frame.loc[keep, wanted["arm"]]
        studies["arm_1"] = arms.to_numpy()
        facts["arms"] = sorted(set(arms))
        facts["extras"] = ["arm_1"] if arms.nunique() > 1 else []
    used = [spec.study, *wanted.values(), spec.effect_id, spec.columns.correlation]
    extras = _extras(table, [column for column in used if column], rows.loc[keep], studies.columns)
    facts["extras"] += list(extras)
    tables = {"studies": studies.assign(**extras)}
    beside = {"moderators": covariates, "categories": categories, "risk_of_bias": judged}
    for name, frame in beside.items():
        if len(frame.columns):
            tables[name] = frame.loc[keep].reset_index(drop=True)
    excluded = exclusions([(spec.data, line, label[line], left_out[line]) for line in sorted(left_out)])
    return Dataset(tables=tables, exclusions=excluded, facts=facts)


def _check_kept(
    spec: MetaAnalysis, table: Table, study: pd.Series, order: pd.Series | None, rho: pd.Series | None
) -> None:
    """What the studies that stay must have, whatever those left out have.

    Raises:
        InputError: a study without its place in the cumulative order; an effect without its correlation
            with the study's others; no study with several effects.
    """
    if order is not None:
        for line in study.index[order[study.index] == ""]:
            table.problem(
                f"study '{study[line]}' has no place in the order of the cumulative meta-analysis",
                "fill the field in, name another column in `cumulative`, or leave `cumulative` away",
                line=line,
                column=spec.cumulative,
            )
    if rho is not None:
        check_given_correlations(table, str(spec.columns.correlation), rho[study.index], study)
    if spec.effect_id is not None and not study.duplicated().any():
        table.problem(
            "each study has one effect only",
            "several effects a study (`effect_id`) need a study with two or more: leave `effect_id` away",
            column=spec.effect_id,
        )
    table.finish()


def _is_count(name: str) -> bool:
    return name.split("_")[0] in ("events", "total", "n")


def _effects(spec: MetaAnalysis, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if spec.measure == "GEN":
        return values["yi"].to_numpy(), values["vi"].to_numpy(), np.zeros(len(values), dtype=bool)
    columns = {name: values[name].to_numpy() for name in MEASURES[spec.measure]}
    return effect_sizes(spec.measure, columns, add=spec.zero_cells.value, to=spec.zero_cells.to)


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


def _no_events(spec: MetaAnalysis, table: Table, studies: int, wanted: dict[str, str]) -> Problem:
    columns = ", ".join(f"'{column}'" for name, column in wanted.items() if name.startswith("events"))
    return Problem(
        table.where(),
        f"all events are zero: none of the {studies} studies with data counts a single one "
        f"(columns of events: {columns})",
        f"{spec.measure} cannot be estimated without events; check that the columns are the right ones, or "
        "add studies with events",
    )


def _repeated(spec: MetaAnalysis) -> str:
    """What to do about the name of a study that stands twice."""
    remedy = (
        "each study may stand once: merge the rows, give different studies different names, or, where a "
        "study has several effects, name the column that tells them apart: `effect_id: outcome`"
    )
    if spec.compares_arms:
        remedy += "; where each row is an arm, write `layout: long`"
    return remedy


def _too_few(
    spec: MetaAnalysis, table: Table, studies: int, left_out: dict[int, str], label: pd.Series
) -> Problem:
    count = "no study" if not studies else "only 1 study"
    reasons = "; ".join(
        f"{table.unit} {line} ({label[line]}): {left_out[line]}" for line in sorted(left_out)[:10]
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
    reserved = {*taken, *RESERVED}
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
