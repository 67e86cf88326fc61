"""Levels that were left out: what their respondents answered, beside what all others predict."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.arrange import Order, ordered_levels
from poolmap.families.mrp.report_words import is_share, joined, level
from poolmap.families.mrp.words import counted
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.style import BLUE, INK, ORANGE

MOST_ROWS = 40
MOST_PANELS = 6


def _predicted(spec: MrpAnalysis, result: ModelResult) -> pd.DataFrame | None:
    """The levels with a prediction; None where none was asked for."""
    table = result.companions.get("left_out")
    if table is None or "inside" not in table:
        return None
    told = table.dropna(subset="mean")
    return told.assign(inside=told["inside"].astype(bool))


def left_out_words(spec: MrpAnalysis, result: ModelResult) -> list[str]:
    """In how many of the levels left out the interval holds what was observed; nothing without the table."""
    table = _predicted(spec, result)
    if table is None:
        return []
    area, inside = _name(spec), table["inside"]
    text = f"Each {area} predicted from the others: "
    if len(table):
        each = ", each answer by itself" if "answer" in table else ""
        text += (
            f"the {level(spec)} interval of what its respondents answer, from the fit that did not see them, "
            f"holds what they did answer in {inside.sum():,} of {len(table):,} ({inside.mean():.0%}){each}."
        )
    untold = result.companions["left_out"]["mean"].isna().sum()
    if untold:
        text += (
            f"{' ' if len(table) else ''}{counted(untold, 'prediction')} cannot be told: importance sampling "
            f"could not give it, and no fit without the {area} passed its checks."
        )
    return [text]


def left_out_levels_figure(spec: MrpAnalysis, order: Order, result: ModelResult) -> NamedFigure | None:
    """Observed and predicted averages of each level left out, sorted or in their order; None without any."""
    table = _predicted(spec, result)
    if table is None or table.empty:
        return None
    area = _name(spec)
    answers = list(dict.fromkeys(table["answer"])) if "answer" in table else [""]
    answers = [answer for answer in spec.outcome.levels if answer in answers] or answers
    table = table.assign(level=table[spec.leave_out].astype(str))
    width = (table["upper"] - table["lower"]).replace(0, np.nan)
    far = ((table["observed"] - table["mean"]).abs() / width).groupby(table["level"]).max()
    kept = set(far.sort_values(ascending=False, kind="stable").index[:MOST_ROWS])
    first = table[table["level"].isin(kept) & (table.get("answer", "") == answers[-1])]
    levels = ordered_levels(spec, order, str(spec.leave_out))
    there = set(first["level"])
    rows = [level for level in levels if level in there]
    how = "in their order"
    if not rows:
        rows = first.sort_values("observed", ascending=False, kind="stable")["level"].tolist()
        how = f"sorted by what its respondents answered{f' ({answers[-1]!r})' if answers[-1] else ''}"
    panels, words = [], []
    for answer in answers[:MOST_PANELS]:
        of = table if not answer else table[table["answer"] == answer]
        inside = of["inside"]
        words.append(f"{f'{answer!r} ' if answer else ''}{inside.sum()} of {len(of)}")
        panels.append(Panel(_labels(of, rows), _series(of, rows), title=str(answer)))
    cut = f" The {MOST_ROWS} that are predicted worst, of {len(far):,}." if len(far) > MOST_ROWS else ""
    figure = dot_whisker(
        panels,
        x_label=f"{'share' if is_share(spec) else 'average'} of the respondents",
        same_rows=len(panels) > 1,
        across=2 if len(panels) == 4 else min(len(panels), 3),
    )
    return NamedFigure(
        name=f"left_out_levels_{result.name}",
        figure=figure,
        title=f"Each {area} as its respondents answered, and as the others predict",
        caption=f"The answers of each {area} left out in turn, {how}: observed, and predicted for the same "
        f"respondents by the fit that did not see them, with {level(spec)} predictive intervals; triangles "
        f"where the interval does not hold what was observed. It holds it in {joined(words)}.{cut} In "
        f"brackets the number of respondents. Model {result.name}.",
        alt=f"Dot plot of {len(rows)} left-out levels of {area}. Intervals that hold what was observed: "
        f"{joined(words)}.",
        model=result.name,
    )


def _name(spec: MrpAnalysis) -> str:
    return str(spec.leave_out).replace("_", " ")


def _labels(table: pd.DataFrame, order: list[str]) -> list[str]:
    sizes = table.set_index("level")["n"]
    return [f"{name} ({sizes[name]:,.0f})" for name in order]


def _series(table: pd.DataFrame, order: list[str]) -> list[Series]:
    rows = table.set_index("level").loc[order]
    mean, lower, upper, observed = (
        rows[name].to_numpy(dtype=float) for name in ("mean", "lower", "upper", "observed")
    )
    inside = rows["inside"].to_numpy()
    found = [Series("predicted from the others", mean, lower, upper, colour=BLUE)]
    for label, marker, colour, chosen in (
        ("observed", "D", INK, inside),
        ("observed, outside the interval", "^", ORANGE, ~inside),
    ):
        if chosen.any():
            found.append(
                Series(label, np.where(chosen, observed, np.nan), marker=marker, colour=colour, filled=False)
            )
    return found
