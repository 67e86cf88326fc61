"""Estimates against known values: each kind of estimate, and the coverage of intervals of every level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.accuracy import KINDS, accuracy, calibration
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    has_answers,
    is_share,
    level,
    noun,
    value_name,
)
from poolmap.families.mrp.words import counted
from poolmap.figures.against import Against, beyond, draw_against, draw_coverage

FEWEST = 10
"""Known values below which errors and coverage are not drawn."""

SHOWN = ("raw", "weighted", "raked", "greg", "model")


def truth_figures(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> list[NamedFigure]:
    """Scatter plots and, for the model's intervals, coverage; none where too little is known."""
    if "truth" not in table or table["truth"].notna().sum() < FEWEST:
        return []
    made = [_against(spec, result, grouping, table)]
    curve = _coverage(spec, result, grouping, table)
    return made if curve is None else [*made, curve]


def _against(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    kinds = [kind for kind in SHOWN if KINDS[kind][0] in table and table[KINDS[kind][0]].notna().any()]
    asked = (table["n_survey"] > 0).to_numpy()
    panels = []
    for kind in kinds:
        value, lower, upper, name = KINDS[kind]
        if kind == "model" and "predicted_lower" in table:
            _, lower, upper, _ = KINDS["predicted"]
        columns = (table[c].to_numpy(dtype=float) for c in ("truth", value, lower, upper))
        panels.append(Against(kind, _title(spec, kind, name), *columns, asked))
    limits = _limits(spec, panels)
    figure = draw_against(
        panels, x_label=f"known {value_name(spec)}", y_label=f"estimated {value_name(spec)}", limits=limits
    )
    words = accuracy_words(spec, table)
    drawn = (
        "the interval of MrP is that for the finite population, as the known values are"
        if "predicted_lower" in table
        else f"the interval of MrP is that of the expected {noun(spec)}"
    )
    answers = "; a marker for each answer of a group" if has_answers(spec) else ""
    cut = _beyond_words(panels, limits)
    return NamedFigure(
        name=f"truth_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"Estimates against the truth, by {by_words(grouping)}",
        caption=f"Estimate against known {value_name(spec)} of each group, with {level(spec)} "
        f"intervals{answers}; "
        f"on the dashed line they agree; {drawn}.{cut} {words} Model {result.name}.",
        alt=f"Scatter plots of estimates against the truth. {words}",
        model=result.name,
    )


def _beyond_words(panels: Sequence[Against], limits: tuple[float, float]) -> str:
    """What the arrows at the ends of the scale stand for; nothing without arrows."""
    intervals, values = (sum(counts) for counts in zip(*(beyond(p, limits) for p in panels), strict=True))
    said = []
    if intervals:
        said.append(f"{counted(intervals, 'interval')} of direct estimates reach{'es' * (intervals == 1)}")
    if values:
        said.append(f"{counted(values, 'direct estimate')} lie{'s' * (values == 1)}")
    return f" Arrows: {' and '.join(said)} beyond the scale." if said else ""


def _limits(spec: MrpAnalysis, panels: Sequence[Against]) -> tuple[float, float]:
    """Ends of both axes: known values, estimates (of shares hardly beyond 0 and 1), MrP's intervals."""
    drawn = [values for panel in panels for values in (panel.across, panel.values)]
    drawn += [values for panel in panels if panel.kind == "model" for values in (panel.lower, panel.upper)]
    low, high = (float(end(np.concatenate(drawn))) for end in (np.nanmin, np.nanmax))
    if is_share(spec):
        low, high = max(low, 0.0), min(high, 1.0)
    room = 0.04 * (high - low) or 0.01
    return low - room, high + room


def _title(spec: MrpAnalysis, kind: str, name: str) -> str:
    return capital(name.replace("share", noun(spec)) if kind != "model" else name)


def _coverage(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure | None:
    found = calibration(table, spec.interval)
    if not found["kind"].isin(["model", "predicted"]).any():
        return None
    curves, words = {}, []
    for kind, rows in found.groupby("kind", sort=False):
        name = _title(spec, str(kind), KINDS[kind][3])
        curves[str(kind)] = (name, rows["level"].to_numpy(), rows["coverage"].to_numpy())
        if kind in ("model", "predicted"):
            at = [rows.iloc[(rows["level"] - q).abs().argmin()] for q in (0.5, 0.8, 0.95)]
            held = ", ".join(f"{row['coverage']:.0%} at level {row['level']:.0%}" for row in at)
            words.append(f"{KINDS[kind][3]}: {held}")
    groups = int(found["groups"].max())
    return NamedFigure(
        name=f"coverage_{spec.table_name(grouping)}_{result.name}",
        figure=draw_coverage(curves, groups),
        title=f"Do intervals hold the truth? By {by_words(grouping)}",
        caption=f"Share of the {groups:,} known values that intervals of each level hold. On the dashed "
        "line intervals hold what their level says; above it they are too wide, below too narrow. Grey: "
        "where 95% of such shares would lie by chance if the values were independent (they come from one "
        f"model, so they are not quite). Single markers: direct estimates, at their level {level(spec)}. "
        "An interval that ends on the known value counts in part, as the level asks. "
        f"Model {result.name}.",
        alt=f"Coverage against level. {'; '.join(words)}.",
        model=result.name,
    )


def accuracy_words(spec: MrpAnalysis, table: pd.DataFrame) -> str:
    """Errors and coverage in words; the table of the report has the rest."""
    scores = accuracy(table)
    sentences = []
    what = "shares of answers of groups" if has_answers(spec) else "groups"
    for where, part in scores.groupby("where", sort=False):
        rows = part.set_index("kind")
        model = "predicted" if "predicted" in rows.index else "model"
        kinds = [kind for kind in ("raw", "weighted", model) if kind in rows.index]
        names = {"raw": "raw", "weighted": "weighted", model: "MrP"}

        def listed(column: str, kinds=kinds, names=names, rows=rows) -> str:
            return ", ".join(f"{names[kind]} {rows.at[kind, column]:.3g}" for kind in kinds)

        covered = ", ".join(
            f"{names[kind]} {rows.at[kind, 'covered']} of {rows.at[kind, 'intervals']}" for kind in kinds
        )
        who = "in" if where == "sampled" else "not in"
        sentences.append(
            f"Over the {rows.at[model, 'groups']} {what} {who} the sample the root mean square error is: "
            f"{listed('rmse')}; the mean absolute error: {listed('mae')}; {level(spec)} intervals that "
            "hold the "
            f"truth: {covered}."
        )
    return " ".join(sentences)
