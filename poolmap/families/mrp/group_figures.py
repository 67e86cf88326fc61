"""Estimates of the groups of one grouping: dots and whiskers, subgroup panels, ranks of very many groups."""

from __future__ import annotations

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.answer_figures import answers_figure
from poolmap.families.mrp.arrange import BY_MEAN, Order, arranged, ordered_levels
from poolmap.families.mrp.group_series import limits_of, marks_of, sample_words, series_of, with_sizes
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
from poolmap.figures.dot_whisker import Panel, dot_whisker
from poolmap.figures.ranked import Ranked, draw_ranked

MOST_ROWS = 120  # with a name each; more are drawn by rank
TWO_COLUMNS = 30
MOST_PANEL_ROWS = 80
MOST_PANELS = 8
FEWEST_PANEL_GROUPS = 12


def group_figure(
    spec: MrpAnalysis, order: Order, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    """The groups of one grouping; with several answers a panel for each answer.

    Args:
        spec: the analysis; order: of the levels of the variables.
        result: the model.
        grouping: its variables.
        table: its estimates.
    """
    if has_answers(spec):
        return answers_figure(spec, order, result, grouping, table)
    split = _across_and_down(grouping, table)
    apart = split is not None and table[split[1]].nunique() <= MOST_PANEL_ROWS
    if split is not None and apart:
        panels, how = _subgroups(spec, order, table, *split)
    elif len(table) > MOST_ROWS:
        return _ranked(spec, order, result, grouping, table, split)
    else:
        panels, how = _list(spec, order, grouping, table)
    total = estimates_of_grouping(spec, result, ())
    figure = dot_whisker(
        panels,
        x_label=value_name(spec),
        x_limits=limits_of(spec, panels),
        same_rows=apart,
        reference=None if total is None else (float(total["mean"].iloc[0]), "MrP, total"),
        across=3 if apart and len(panels) > 4 else None,
    )
    marks = marks_of(spec, panels)
    if total is not None:
        marks.append("dashed line: MrP estimate of the total")
    text = (
        f"{capital(value_name(spec))} by {by_words(grouping)}, {how}. "
        f"Dot and line: MrP (posterior mean) with its {level(spec)} interval; {'; '.join(marks)}."
    )
    text += sample_words(spec, table, sizes=not apart)
    if is_share(spec) and "truth" in table and table["truth"].notna().any():
        text += (
            " The interval is that of the expected share; the share in a small finite population varies more."
        )
    return _named(spec, result, grouping, table, figure, text, "Dot plot")


def _named(spec, result, grouping, table, figure, text, form) -> NamedFigure:
    names, number = group_names(table, grouping), number_of(spec, table)
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


def _across_and_down(grouping: tuple[str, ...], table: pd.DataFrame) -> tuple[str, str] | None:
    """Of two variables with many groups the one with a panel for each level, and that of the rows."""
    if len(grouping) != 2 or len(table) <= FEWEST_PANEL_GROUPS:
        return None
    levels = table[list(grouping)].nunique().sort_values(kind="stable")
    return tuple(levels.index) if levels.iloc[0] <= MOST_PANELS else None


def _rows(
    spec: MrpAnalysis, order: Order, table: pd.DataFrame, across: str, down: str
) -> tuple[list[str], dict[str, pd.DataFrame], str]:
    """The levels of `down` in the order of the rows, the table of each level of `across`, and what order."""
    ranks, how = arranged(spec, order, table.groupby(down, as_index=False)["mean"].mean(), (down,))
    levels = [v for v in ordered_levels(spec, order, across) if v in set(table[across])]
    parts = {
        key: table[table[across] == key].set_index(down).reindex(ranks[down]).reset_index()
        for key in levels or dict.fromkeys(table[across])
    }
    how = how if ordered_levels(spec, order, down) else BY_MEAN
    return ranks[down].tolist(), parts, f"a panel for each {by_words((across,))}, rows {how}"


def _subgroups(
    spec: MrpAnalysis, order: Order, table: pd.DataFrame, across: str, down: str
) -> tuple[list[Panel], str]:
    names, parts, how = _rows(spec, order, table, across, down)
    kinds = series_of(table)
    panels = [Panel([str(v) for v in names], kinds(part), str(key)) for key, part in parts.items()]
    return panels, how


def _list(
    spec: MrpAnalysis, order: Order, grouping: tuple[str, ...], table: pd.DataFrame
) -> tuple[list[Panel], str]:
    """A row a group, in two columns where they are many."""
    table, how = arranged(spec, order, table, grouping)
    labels, kinds = with_sizes(group_names(table, grouping), table["n_survey"]), series_of(table)
    columns = 2 if len(table) > TWO_COLUMNS else 1
    size = -(-len(table) // columns)
    parts = [table.iloc[start : start + size] for start in range(0, len(table), size)]
    return [Panel([labels[i] for i in part.index], kinds(part)) for part in parts], f"rows {how}"


def _ranked(
    spec: MrpAnalysis,
    order: Order,
    result: ModelResult,
    grouping: tuple[str, ...],
    table: pd.DataFrame,
    split: tuple[str, str] | None,
) -> NamedFigure:
    """Too many groups to name: by rank, a panel for each level of the shorter variable."""
    total = estimates_of_grouping(spec, result, ())
    reference = None if total is None else float(total["mean"].iloc[0])
    if split is None:
        parts = {"": table.sort_values("mean", ignore_index=True, kind="stable")}
        names, x_label = group_names(parts[""], grouping).tolist(), "groups by rank of the estimate"
        how, shown = f"{len(table):,} groups, lowest first", "the ends are named, and all stand in"
    else:
        names, parts, _ = _rows(spec, order, table, *split)
        first = "in their order"
        if not ordered_levels(spec, order, split[1]):
            first = "lowest mean estimate first"
            names, parts = names[::-1], {key: part.iloc[::-1] for key, part in parts.items()}
        x_label = f"{by_words(split[1:])}, {first}, the same in all panels"
        how, shown = f"{len(table):,} groups, a panel for each {by_words(split[:1])}", "all stand in"
    panels = [
        Ranked(
            str(key),
            names,
            *(part[column].to_numpy(dtype=float) for column in ("mean", "lower", "upper")),
            part["raw"].to_numpy(dtype=float) if part["raw"].notna().any() else None,
            reference,
        )
        for key, part in parts.items()
    ]
    figure = draw_ranked(
        panels,
        x_label=f"{x_label} (n = {len(names):,})",
        y_label=value_name(spec),
        interval=level(spec),
        raw=f"raw {noun(spec)}",
    )
    text = (
        f"{capital(value_name(spec))} by {by_words(grouping)}. Dots and lines: MrP (posterior mean) with "
        f"{level(spec)} intervals of {how}; {shown} {spec.table_name(grouping)}.csv. Ranks of groups whose "
        f"intervals overlap are not certain.{sample_words(spec, table, sizes=False, hollow=False)}"
    )
    return _named(spec, result, grouping, table, figure, text, "Ranked plot")
