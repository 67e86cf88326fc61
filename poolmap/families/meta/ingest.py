"""Reading a study table: counts of two arms, or estimates with standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from poolmap.config.meta import COUNT_COLUMNS, ESTIMATE_COLUMNS, MetaAnalysis
from poolmap.contracts import Dataset
from poolmap.errors import InputError, Problem
from poolmap.families.meta.effects import CORRECTION, effect_sizes
from poolmap.tables import Table, exclusions, read_table

LARGEST = 2**31 - 1  # of an integer in Stan


def ingest(spec: MetaAnalysis) -> Dataset:
    """Read and check the study table.

    A row with a missing count, estimate or standard error is left out. So is, for RR and OR, a study
    without events (or with events only) in both arms: with a baseline of its own for each study it says
    nothing about a ratio (Cochrane Handbook 10.4.4.1). All are listed in `exclusions`. Studies with a
    zero cell keep their raw counts; their estimate and variance come from counts with 1/2 added to all four
    cells.

    Returns:
        table `studies`: `study`, the counts (`events_1, total_1, events_2, total_2`) where there are any,
        `yi` (estimate, on the log scale for RR and OR), `vi`, `se`, and the file's other columns as text.

    Raises:
        InputError: everything that is wrong, each with file, line, column and remedy; fewer than two
            studies that can be used.
    """
    table = read_table(spec.data)
    names = ESTIMATE_COLUMNS if spec.measure == "GEN" else COUNT_COLUMNS
    wanted = {name: getattr(spec.columns, name) for name in names}
    present = [table.has(spec.study, key="study")]
    present += [table.has(column, key=f"columns.{name}") for name, column in wanted.items()]
    if not all(present):
        table.finish()

    study = table.ids(spec.study, what="study")
    values = _estimates(table, wanted) if spec.measure == "GEN" else _counts(table, wanted)
    table.finish()

    left_out = _missing(table, wanted)
    uninformative: dict[int, str] = {}
    if spec.measure in ("RR", "OR"):
        uninformative = _uninformative(values.drop(index=list(left_out)))
        left_out |= uninformative
    keep = [line for line in table.frame.index if line not in left_out]
    excluded = exclusions([(spec.data, line, study[line], left_out[line]) for line in sorted(left_out)])
    if len(keep) < 2:
        raise InputError([_too_few(spec, table, keep, left_out, study)])

    studies = pd.DataFrame({"study": study[keep], **values.loc[keep]}).reset_index(drop=True)
    facts: dict[str, Any] = {"n_rows": len(table.frame), "n_studies": len(keep), "n_excluded": len(left_out)}
    facts["no_information"] = [study[line] for line in sorted(uninformative)]
    facts["corrected"] = []
    if spec.measure == "GEN":
        studies["yi"], studies["vi"] = studies["estimate"], studies["se"] ** 2
        studies = studies[["study", "yi", "vi", "se"]]
    else:
        counts = {name: studies[name].astype("int64") for name in COUNT_COLUMNS}
        studies = studies.assign(**counts)
        yi, vi, corrected = effect_sizes(spec.measure, *(counts[name].to_numpy() for name in COUNT_COLUMNS))
        studies = studies.assign(yi=yi, vi=vi, se=np.sqrt(vi))
        facts["corrected"] = studies["study"][corrected].tolist()
        facts["correction"] = CORRECTION
        facts["totals"] = {name: int(column.sum()) for name, column in counts.items()}
    extras = _extras(table, [spec.study, *wanted.values()], studies.columns)
    facts["extras"] = list(extras)
    for name, column in extras.items():
        studies[name] = table.frame.loc[keep, column].to_numpy()
    return Dataset(tables={"studies": studies}, exclusions=excluded, facts=facts)


def _estimates(table: Table, wanted: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "estimate": table.numbers(wanted["estimate"], what="the study's effect estimate"),
            "se": table.numbers(
                wanted["se"], lower=0, strict_lower=True, what="the estimate's standard error, above 0"
            ),
        }
    )


def _counts(table: Table, wanted: dict[str, str]) -> pd.DataFrame:
    values = pd.DataFrame({name: table.counts(column) for name, column in wanted.items()})
    for name, column in wanted.items():
        for line in values.index[values[name] > LARGEST]:
            table.problem(f"{values.at[line, name]:.0f} is too large for a count", line=line, column=column)
    for arm in ("1", "2"):
        events, total = wanted[f"events_{arm}"], wanted[f"total_{arm}"]
        for line in values.index[values[f"total_{arm}"] == 0]:
            table.problem(
                "the arm has no people",
                "give the number of people in the arm, or leave the field empty to leave the study out",
                line=line,
                column=total,
            )
        over = (values[f"events_{arm}"] > values[f"total_{arm}"]) & (values[f"total_{arm}"] > 0)
        for line in values.index[over]:
            table.problem(
                f"{values.at[line, f'events_{arm}']:.0f} events among {values.at[line, f'total_{arm}']:.0f} "
                f"people (column '{total}')",
                "events are counted among the total: give the total with the cases, not the non-cases",
                line=line,
                column=events,
            )
    return values


def _missing(table: Table, wanted: dict[str, str]) -> dict[int, str]:
    missing = pd.DataFrame({column: table.is_missing(column) for column in wanted.values()})
    return {
        line: "no value in " + ", ".join(f"'{column}'" for column in missing.columns[missing.loc[line]])
        for line in missing.index[missing.any(axis=1)]
    }


def _uninformative(counts: pd.DataFrame) -> dict[int, str]:
    none = (counts["events_1"] == 0) & (counts["events_2"] == 0)
    every = (counts["events_1"] == counts["total_1"]) & (counts["events_2"] == counts["total_2"])
    reasons = {line: "no events in either arm: no information on a ratio" for line in counts.index[none]}
    return reasons | {
        line: "events only in both arms: no information on a ratio" for line in counts.index[every]
    }


def _too_few(
    spec: MetaAnalysis, table: Table, keep: list[int], left_out: dict[int, str], study: pd.Series
) -> Problem:
    count = "no study" if not keep else "only 1 study"
    reasons = "; ".join(f"line {line} ({study[line]}): {left_out[line]}" for line in sorted(left_out)[:10])
    return Problem(
        table.where(),
        f"{count} can be used; a meta-analysis needs at least 2"
        + (f" (left out: {reasons})" if reasons else ""),
        f"add studies, or fill in their {'estimates' if spec.measure == 'GEN' else 'counts'}",
    )


def _extras(table: Table, used: list[str], taken: pd.Index) -> dict[str, str]:
    """The file's other columns: name in the table of studies -> name in the file."""
    reserved = {*taken, "study", *COUNT_COLUMNS, "yi", "vi", "se"}
    extras: dict[str, str] = {}
    for column in table.frame.columns:
        if column in used:
            continue
        name = column
        while name in reserved:
            name += "_in_file"
        reserved.add(name)
        extras[name] = column
    return extras
