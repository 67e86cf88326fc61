"""Estimates over time, of the whole and of groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    group_names,
    has_answers,
    level,
    noun,
    number_of,
    value_name,
    with_interval,
)
from poolmap.figures.over_time import LOOKS, Line, draw_over_time

MOST_PANELS = 60


def time_figure(
    spec: MrpAnalysis, data: Dataset, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure | None:
    """The estimates of a grouping with the time in it; None where there is a single time.

    Args:
        spec: with a `time`.
        data: whose order of the times is kept; result, grouping, table: the model and its estimates.
    """
    found = list(dict.fromkeys(table[spec.time]))
    order = [time for time in data.facts.get("order", {}).get(spec.time, found) if time in found]
    times = order if len(order) == len(found) else found
    if len(times) < 2:
        return None
    others = tuple(name for name in grouping if name != spec.time)
    table = table.assign(panel=group_names(table, others) if others else "")
    groups = list(dict.fromkeys(table["panel"]))
    shown, cut = groups, ""
    if len(groups) > MOST_PANELS:
        size = (
            table.groupby("panel", sort=False)["n_census"].max().sort_values(ascending=False, kind="stable")
        )
        kept = set(size.index[:MOST_PANELS])
        shown = [group for group in groups if group in kept]
        cut = (
            f" Shown are the {MOST_PANELS} groups with the largest population, of {len(groups):,}; all stand "
            "in the CSV file."
        )
    by_answer = has_answers(spec)
    answers = list(dict.fromkeys(table["answer"])) if by_answer else [""]
    panels = []
    if by_answer and (not others or len(answers) > len(LOOKS)):
        for group in shown:
            for answer in answers:
                part = table[(table["panel"] == group) & (table["answer"] == answer)]
                title = f"{group}: {answer}" if group else str(answer)
                panels.append((title, [_line(spec, part, times, "MrP")]))
        panels = panels[:MOST_PANELS]
    else:
        for group in shown:
            of = table[table["panel"] == group]
            lines = [
                _line(spec, of if not by_answer else of[of["answer"] == answer], times, str(answer) or "MrP")
                for answer in answers
            ]
            panels.append((group, lines))
    figure = draw_over_time(
        panels,
        times,
        x_label=spec.time.replace("_", " "),
        y_label=value_name(spec),
        raw=f"raw {noun(spec)}",
        direct=f"weighted {noun(spec)}, {level(spec)} interval",
    )
    drawn = [line for _, lines in panels for line in lines]
    return NamedFigure(
        name=f"time_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"Over time{f', by {by_words(others)}' if others else ''}",
        caption=f"{capital(value_name(spec))} by {by_words((spec.time,))}"
        f"{f', a panel for each {by_words(others)}' if others else ''}. Lines and filled markers: MrP "
        f"(posterior mean); bands: {level(spec)} intervals; {_direct_words(spec, drawn)}.{cut} "
        f"Model {result.name}.",
        alt=_alt(spec, table, times, groups, answers),
        model=result.name,
    )


def _line(spec: MrpAnalysis, part: pd.DataFrame, times: Sequence[str], label: str) -> Line:
    """The model's estimates of one group and answer, the raw and the weighted ones.

    Answers have the weighted estimates alone, where there are some; so has a design without weights, under
    which raw and weighted are the same.
    """
    rows = part.set_index(spec.time).reindex(times)

    def columns(*names: str) -> tuple[np.ndarray, ...]:
        return tuple(
            (rows[name] if name in rows else pd.Series(np.nan, rows.index)).to_numpy(dtype=float)
            for name in names
        )

    (raw,), direct = columns("raw"), columns("weighted", "weighted_lower", "weighted_upper")
    weighted = bool(np.isfinite(direct[0]).any())
    if weighted and (has_answers(spec) or np.allclose(raw, direct[0], equal_nan=True)):
        raw = np.full_like(raw, np.nan)
    return Line(
        label,
        *columns("mean", "lower", "upper"),
        raw if np.isfinite(raw).any() else None,
        direct if weighted else None,
    )


def _direct_words(spec: MrpAnalysis, lines: Sequence[Line]) -> str:
    """What the hollow markers are."""
    raw = any(line.raw is not None for line in lines)
    if all(line.direct is None for line in lines):
        return f"hollow markers: raw {noun(spec)} of the sample"
    kind = "hollow markers" if has_answers(spec) else "squares"
    words = (
        f"{kind} with whiskers, set off to the right: weighted {noun(spec)}s with {level(spec)} intervals, "
        "long ones cut at the ends of the scale"
    )
    return f"circles: raw {noun(spec)}s of the sample; {words}" if raw else words


def _alt(
    spec: MrpAnalysis,
    table: pd.DataFrame,
    times: Sequence[str],
    groups: Sequence[str],
    answers: Sequence[str],
) -> str:
    number = number_of(spec, table)
    first, last = str(times[0]), str(times[-1])
    if len(groups) == 1:
        parts = []
        for answer in answers:
            rows = table if not answer else table[table["answer"] == answer]
            rows = rows.set_index(spec.time)
            start, end = (with_interval(number, rows.loc[time]) for time in (times[0], times[-1]))
            parts.append(f"{f'{answer!r}: ' if answer else ''}{start} in {first}, {end} in {last}")
        return f"Lines over {len(times)} times. MrP estimates: {'; '.join(parts)}."
    rows = table if not answers[0] else table[table["answer"] == answers[-1]]
    wide = rows.pivot(index="panel", columns=spec.time, values="mean")
    change = (wide[times[-1]] - wide[times[0]]).dropna()
    if change.empty:
        return f"Lines over {len(times)} times of {len(groups)} groups."
    of = f" of '{answers[-1]}'" if answers[0] else ""
    return (
        f"Lines over {len(times)} times of {len(groups)} groups. From {first} to {last} the change of the "
        f"estimate{of} runs from {change.min():+.3g} in {change.idxmin()} to {change.max():+.3g} in "
        f"{change.idxmax()}."
    )
