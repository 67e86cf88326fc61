"""Shrinkage: each study alone, by empirical Bayes and by full Bayes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.figures.points import effect_axis
from poolmap.figures.rows import furthest, in_lines, legend_above, stack, ticks_on_top
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = {
    # method: (words, colour, marker, line)
    "none": ("no pooling", MUTED, "s", (0, (1, 1))),
    "ml": ("empirical Bayes (tau by marginal likelihood)", ORANGE, "^", (0, (4, 1.5))),
    "dl": ("empirical Bayes (tau by moments)", ORANGE, "v", (0, (4, 1.5))),
    "full": ("full Bayes", BLUE, "o", "-"),
}
LANE = 0.1  # inches between the intervals of a study
MOST_STUDIES = 40
"""Studies with a row of their own."""


def shrinkage(
    names: Sequence[str],
    table: pd.DataFrame,
    *,
    methods: Sequence[str] = ("none", "ml", "full"),
    log: bool = False,
    label: str = "effect",
) -> Figure:
    """Intervals of each study by each method, most precise study first, then the pooled effect.

    Of more than 40 studies those whose estimate full Bayes moves farthest are drawn. An interval that
    leaves the axis ends in an arrow head.

    Args:
        names: of the studies (k,).
        table: of `families.meta.refits.compare_empirical_bayes`, on the scale of analysis.
        methods: which rows, keys of `STYLES`, from top to bottom within a study.
        log: whether the effects are logarithms of ratios: they are shown as ratios on a log axis.
        label: of the axis.
    """
    import matplotlib

    own = moved_most(table)
    parts = {method: table[table["method"] == method].set_index("i") for method in methods}
    alone = table[table["method"] == "none"].set_index("i")["width"]
    order = [*alone.loc[own].sort_values(kind="stable").index, -1]
    back = np.exp if log else np.asarray
    low, high = _limits(table[table["method"].isin(methods) & table["i"].isin(order)])
    words = [in_lines(names[int(i)]) if i >= 0 else "pooled effect" for i in order]
    tops = stack(words, (len(methods) + 1.0) * LANE)
    middle = (tops[:-1] + tops[1:]) / 2
    note = ""
    if len(own) < len(names):
        note = f"\nthe {len(own)} of {len(names)} studies whose estimate full Bayes moves most"
    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 0.95 + tops[-1] + (0.15 if note else 0))
        axes = figure.add_subplot()
        for lane, method in enumerate(methods):
            _, colour, marker, line = STYLES[method]
            rows = parts[method].reindex(order)
            y = middle + (lane - (len(methods) - 1) / 2) * LANE
            left, right = (back(np.clip(rows[end], low, high)) for end in ("lower", "upper"))
            axes.hlines(y, left, right, color=colour, linestyle=line, linewidth=1.2)
            inside = rows["centre"].between(low, high)
            axes.plot(
                back(rows["centre"][inside]), y[inside.to_numpy()], linestyle="none", color=colour,
                marker=marker, markersize=3.5, zorder=3,
                markerfacecolor=colour if method == "full" else "white",
            )  # fmt: skip
            for beyond, end, head in ((rows["lower"] < low, low, "<"), (rows["upper"] > high, high, ">")):
                if beyond.any():
                    at = y[beyond.to_numpy()]
                    ends = back(np.full(len(at), end))
                    axes.plot(ends, at, head, color=colour, markersize=4, clip_on=False)
        pooled = float(back(parts["full" if "full" in parts else methods[-1]].loc[-1, "centre"]))
        axes.axvline(pooled, color=BLUE, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
        axes.set_yticks(middle, words, parse_math=False)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
        axes.hlines(tops[1:-1], 0, 1, transform=axes.get_yaxis_transform(), color=RULE, linewidth=0.4)
        axes.set_ylim(tops[-1], -0.04)
        axes.spines["left"].set_visible(False)
        edge = 0.02 * (high - low)
        axes.set_xlim(*(float(back(end)) for end in (low - edge, high + edge)))
        effect_axis(axes, "x", log=log)
        axes.set_xlabel(in_lines(label, 62) + note, parse_math=False)
        ticks_on_top(axes, tops[-1])
        legend_above(figure, _keys(methods), min(len(methods), 3))
    return figure


def moved_most(table: pd.DataFrame, most: int = MOST_STUDIES) -> np.ndarray:
    """Numbers (`i`) of the `most` studies whose estimate full Bayes moves farthest."""
    alone, full = (
        table[(table["method"] == method) & (table["i"] >= 0)].set_index("i")["centre"]
        for method in ("none", "full")
    )
    moved = (full - alone).abs()
    return moved.index.to_numpy()[furthest(moved.to_numpy(), most)]


def _keys(methods: Sequence[str]) -> list:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [], [], color=colour, marker=marker, linestyle=line, markersize=4, label=words,
            markerfacecolor=colour if method == "full" else "white",
        )
        for method in methods
        for words, colour, marker, line in [STYLES[method]]
    ]  # fmt: skip


def _limits(shown: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis: every centre, and intervals as far as 2.5 times their usual length beyond them."""
    length = 1.25 * shown["width"].median()
    low = max(shown["lower"].min(), shown["centre"].min() - length)
    high = min(shown["upper"].max(), shown["centre"].max() + length)
    return float(low), float(high)
