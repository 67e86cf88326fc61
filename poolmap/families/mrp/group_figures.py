"""Estimates of the groups of one grouping: dots and whiskers, subgroup panels, ranks of very many groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    estimates_of_grouping,
    group_names,
    has_answers,
    is_share,
    level,
    noun,
    number_of,
    value_name,
    with_interval,
)
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.ranked import Ranked, draw_ranked
from poolmap.figures.style import BLUE, GOLD, GREEN, MUTED, ORANGE

MOST_ROWS = 120  # with a name each; more are drawn by rank
TWO_COLUMNS = 30
MOST_PANEL_ROWS = 60
MOST_PANELS = 8

DIRECT = (
    # kind, marker, colour, size; the largest first, so that smaller markers lie on top
    ("raked", "^", GREEN, 6.5),
    ("weighted", "s", GOLD, 5.5),
    ("raw", "o", MUTED, 4.0),
)
MARKS = {"raw": "hollow circle", "weighted": "hollow square", "raked": "hollow triangle"}


def group_figure(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    """The groups of one grouping; with several answers a panel for each answer.

    Args:
        spec: the analysis.
        result: the model.
        grouping: its variables.
        table: its estimates.
    """
    if has_answers(spec):
        return _answers(spec, result, grouping, table)
    panels, kind = _panels(grouping, table)
    if panels is None:
        return _ranked(spec, result, grouping, table)
    total = estimates_of_grouping(spec, result, ())
    number = number_of(spec, table)
    figure = dot_whisker(
        panels,
        x_label=value_name(spec),
        x_limits=_limits(spec, panels),
        same_rows=kind == "subgroups",
        reference=None if total is None else (float(total["mean"].iloc[0]), "MrP, total"),
        across=3 if kind == "subgroups" and len(panels) > 4 else None,
    )
    shown = [series.label for series in panels[0].series]
    marks = [f"{MARKS[label]}: {label} {noun(spec)} of the sample" for label in MARKS if label in shown]
    if "truth" in shown:
        marks.append(f"cross: the known {noun(spec)}")
    if total is not None:
        marks.append("dashed line: MrP estimate of the total")
    text = (
        f"{capital(value_name(spec))} by {by_words(grouping)}, "
        + (
            f"a panel for each {_panel_variable(grouping, table)}, rows sorted by their mean estimate. "
            if kind == "subgroups"
            else "sorted by the model's estimate. "
        )
        + f"Dot and line: MrP with its {level(spec)} interval; {'; '.join(marks)}."
    )
    if kind != "subgroups" and table["n_survey"].notna().all():
        text += " The size of the sample stands in brackets."
    text += _unseen(table)
    if "truth" in shown and is_share(spec):
        text += (
            " The interval is that of the expected share; the share in a small finite population varies more."
        )
    return _named(spec, result, grouping, table, figure, text, number, "Dot plot")


def _named(spec, result, grouping, table, figure, text, number, form) -> NamedFigure:
    names = group_names(table, grouping)
    low, high = int(table["mean"].argmin()), int(table["mean"].argmax())
    total = estimates_of_grouping(spec, result, ())
    whole = f"; the total is {with_interval(number, total.iloc[0])}" if total is not None else ""
    return NamedFigure(
        name=f"{noun(spec)}_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"By {by_words(grouping)}",
        caption=f"{text} Model {result.name}.",
        alt=f"{form} of {len(table)} groups. MrP estimates run from "
        f"{with_interval(number, table.iloc[low])} in {names[low]} to "
        f"{with_interval(number, table.iloc[high])} in {names[high]}{whole}.",
        model=result.name,
    )


def _unseen(table: pd.DataFrame) -> str:
    unseen = int((table["n_survey"] == 0).sum())
    if not unseen:
        return ""
    who = "1 group is" if unseen == 1 else f"{unseen} groups are"
    return f" {who} not in the sample: only the model speaks there."


def direct_kinds(table: pd.DataFrame) -> list[str]:
    """The direct estimates that the table holds; one that equals another is left out."""
    found: dict[str, np.ndarray] = {}
    for kind in ("raw", "weighted", "raked"):
        if kind not in table or table[kind].isna().all():
            continue
        values = table[kind].to_numpy(dtype=float)
        if not any(np.allclose(values, other, equal_nan=True) for other in found.values()):
            found[kind] = values
    return list(found)


def _series(table: pd.DataFrame, direct: list[str]) -> list[Series]:
    """The kinds of estimate, MrP on top of the direct ones; the truth above all."""

    def column(name: str) -> np.ndarray:
        return table[name].to_numpy(dtype=float)

    series = [
        Series(kind, column(kind), None, None, marker, colour, False, size)
        for kind, marker, colour, size in DIRECT
        if kind in direct
    ]
    series.append(Series("MrP", column("mean"), column("lower"), column("upper"), "o", BLUE, size=4.5))
    if "truth" in table and table["truth"].notna().any():
        series.append(Series("truth", column("truth"), marker="x", colour=ORANGE, size=5))
    return series


def _panel_variable(grouping: tuple[str, ...], table: pd.DataFrame) -> str:
    return table[list(grouping)].nunique().sort_values(kind="stable").index[0].replace("_", " ")


def _panels(grouping: tuple[str, ...], table: pd.DataFrame) -> tuple[list[Panel] | None, str]:
    """One panel, two columns of a long list, or a panel for each level of the shorter variable.

    None in place of the panels where there are too many groups to name them.
    """
    direct = direct_kinds(table)
    levels = table[list(grouping)].nunique().sort_values(kind="stable")
    if (
        len(grouping) == 2
        and levels.iloc[0] <= MOST_PANELS
        and levels.iloc[1] <= MOST_PANEL_ROWS
        and len(table) > 12
    ):
        across, down = levels.index
        order = table.groupby(down)["mean"].mean().sort_values(ascending=False, kind="stable").index
        panels = []
        for key in dict.fromkeys(table[across]):
            rows = table[table[across] == key].set_index(down).reindex(order).reset_index()
            panels.append(Panel([str(v) for v in order], _series(rows, direct), str(key)))
        return panels, "subgroups"
    if len(table) > MOST_ROWS:
        return None, "ranked"
    table = table.sort_values("mean", ascending=False, ignore_index=True, kind="stable")
    labels = group_names(table, grouping)
    if table["n_survey"].notna().all():
        labels = labels + table["n_survey"].map(lambda n: f" ({n:.0f})")
    columns = 2 if len(table) > TWO_COLUMNS else 1
    size = -(-len(table) // columns)
    parts = [table.iloc[start : start + size] for start in range(0, len(table), size)]
    return [Panel(labels[part.index].tolist(), _series(part, direct)) for part in parts], "list"


def _limits(spec: MrpAnalysis, panels: list[Panel]) -> tuple[float, float]:
    """Ends of the scale: everything that is drawn."""
    ends = [
        values
        for panel in panels
        for series in panel.series
        for values in (series.values, series.lower, series.upper)
        if values is not None
    ]
    low, high = np.nanmin(np.concatenate(ends)), np.nanmax(np.concatenate(ends))
    room = 0.03 * (high - low) or 0.01
    if is_share(spec):
        return max(low - room, -0.02), min(high + room, 1.02)
    return low - room, high + room


def _ranked(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    table = table.sort_values("mean", ignore_index=True, kind="stable")
    total = estimates_of_grouping(spec, result, ())
    raw = table["raw"].to_numpy(dtype=float) if table["raw"].notna().any() else None
    panel = Ranked(
        "",
        group_names(table, grouping).tolist(),
        *(table[column].to_numpy(dtype=float) for column in ("mean", "lower", "upper")),
        raw,
        None if total is None else float(total["mean"].iloc[0]),
    )
    figure = draw_ranked(
        [panel],
        x_label=f"groups by rank of the estimate (n = {len(table):,})",
        y_label=value_name(spec),
        interval=level(spec),
        raw=f"raw {noun(spec)}",
    )
    text = (
        f"{capital(value_name(spec))} by {by_words(grouping)}. Dots and lines: MrP with {level(spec)} "
        f"intervals of {len(table):,} groups, lowest first; the ends are named, and all stand in "
        f"{spec.table_name(grouping)}.csv. Ranks of groups whose intervals overlap are not certain."
        f"{_unseen(table)}"
    )
    return _named(spec, result, grouping, table, figure, text, number_of(spec, table), "Ranked plot")


def _answers(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    """A panel for each answer with the same rows, sorted by the share of the last answer."""
    answers = list(dict.fromkeys(table["answer"]))
    number = number_of(spec, table)
    table = table.assign(group=group_names(table, grouping))
    by_last = table[table["answer"] == answers[-1]].sort_values("mean", ascending=False, kind="stable")
    order = by_last["group"].tolist()
    parts = [table[table["answer"] == answer].set_index("group").loc[order] for answer in answers]
    total = estimates_of_grouping(spec, result, ())
    most = int(np.clip(len(answers), 1, 4))
    across = most if len(answers) <= 4 else 3
    if len(order) <= MOST_PANEL_ROWS:
        rows = [
            f"{name} ({n:.0f})" if np.isfinite(n) else name
            for name, n in zip(order, by_last["n_survey"], strict=True)
        ]
        direct = direct_kinds(table)
        panels = [
            Panel(rows, _series(part.reset_index(), direct), str(answer))
            for answer, part in zip(answers, parts, strict=True)
        ]
        figure = dot_whisker(
            panels,
            x_label=value_name(spec),
            x_limits=_limits(spec, panels),
            same_rows=True,
            across=across,
        )
        shown = [series.label for series in panels[0].series]
        marks = [f"{MARKS[label]}: {label} share of the sample" for label in MARKS if label in shown]
        marks += ["cross: the known share"] if "truth" in shown else []
        how = f"Dot and line: MrP with its {level(spec)} interval; {'; '.join(marks)}."
        if np.isfinite(by_last["n_survey"]).all():
            how += " The size of the sample stands in brackets."
    else:
        panels = [
            Ranked(
                str(answer),
                order,
                *(part[column].to_numpy(dtype=float) for column in ("mean", "lower", "upper")),
            )
            for answer, part in zip(answers, parts, strict=True)
        ]
        figure = draw_ranked(
            panels,
            x_label=f"groups by rank of the share of '{answers[-1]}' (n = {len(order):,})",
            y_label="share of the answer",
            interval=level(spec),
        )
        how = f"Dots and lines: MrP with {level(spec)} intervals; all groups stand in the CSV file."
    words = [
        f"'{answer}' from {with_interval(number, part.loc[part['mean'].idxmin()])} in "
        f"{part['mean'].idxmin()} to "
        f"{with_interval(number, part.loc[part['mean'].idxmax()])} in {part['mean'].idxmax()}"
        for answer, part in zip(answers, parts, strict=True)
    ]
    whole = ""
    if total is not None:
        of = [f"'{row['answer']}' {number(row['mean'])}" for _, row in total.iterrows()]
        whole = f" In total: {', '.join(of)}."
    return NamedFigure(
        name=f"share_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"By {by_words(grouping)}",
        caption=f"{capital(value_name(spec))} by {by_words(grouping)}, a panel for each answer with the same "
        f"groups, sorted by the share of '{answers[-1]}'. {how}{_unseen(by_last)} Model {result.name}.",
        alt=f"{len(answers)} panels of {len(order)} groups. MrP shares run, of {'; of '.join(words)}.{whole}",
        model=result.name,
    )
