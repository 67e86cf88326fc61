"""Estimates of the groups of one grouping where there are several answers: a panel for each answer."""

from __future__ import annotations

import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.arrange import BY_ESTIMATE, BY_MEAN, Order, arranged
from poolmap.families.mrp.group_series import limits_of, marks_of, sample_words, series_of, with_sizes
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    estimates_of_grouping,
    group_names,
    level,
    number_of,
    value_name,
    with_interval,
)
from poolmap.figures.dot_whisker import Panel, dot_whisker
from poolmap.figures.ranked import Ranked, draw_ranked

MOST_PANEL_ROWS = 60


def answers_figure(
    spec: MrpAnalysis, order: Order, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    """A panel for each answer with the same rows, in their order or by the share of the last answer."""
    answers = list(dict.fromkeys(table["answer"]))
    number = number_of(spec, table)
    table = table.assign(group=group_names(table, grouping))
    by_last, how = arranged(spec, order, table[table["answer"] == answers[-1]], grouping)
    if len(by_last) > MOST_PANEL_ROWS:
        by_last, how = by_last.sort_values("mean", ascending=False, kind="stable"), BY_ESTIMATE
    how = how.replace(BY_ESTIMATE, f"sorted by the share of '{answers[-1]}'").replace(
        BY_MEAN, f"sorted by mean share of '{answers[-1]}'"
    )
    names = by_last["group"].tolist()
    parts = [table[table["answer"] == answer].set_index("group").loc[names] for answer in answers]
    total = estimates_of_grouping(spec, result, ())
    if len(names) <= MOST_PANEL_ROWS:
        rows, kinds = with_sizes(names, by_last["n_survey"]), series_of(table)
        panels = [
            Panel(rows, kinds(part.reset_index()), str(answer))
            for answer, part in zip(answers, parts, strict=True)
        ]
        figure = dot_whisker(
            panels,
            x_label=value_name(spec),
            x_limits=limits_of(spec, panels),
            same_rows=True,
            across=len(answers) if len(answers) <= 4 else 3,
        )
        marks = "; ".join(
            [f"Dot and line: MrP (posterior mean) with its {level(spec)} interval", *marks_of(spec, panels)]
        )
        shown = f"{marks}.{sample_words(spec, by_last, sizes=True)}"
    else:
        panels = [
            Ranked(
                str(answer),
                names,
                *(part[column].to_numpy(dtype=float) for column in ("mean", "lower", "upper")),
            )
            for answer, part in zip(answers, parts, strict=True)
        ]
        figure = draw_ranked(
            panels,
            x_label=f"groups by rank of the share of '{answers[-1]}' (n = {len(names):,})",
            y_label="share of the answer",
            interval=level(spec),
        )
        shown = (
            f"Dots and lines: MrP (posterior mean) with {level(spec)} intervals; all groups stand in "
            f"{spec.table_name(grouping)}.csv.{sample_words(spec, by_last, sizes=False, hollow=False)}"
        )
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
        f"groups, {how}. {shown} Model {result.name}.",
        alt=f"{len(answers)} panels of {len(names)} groups. MrP shares run, of {'; of '.join(words)}.{whole}",
        model=result.name,
    )
