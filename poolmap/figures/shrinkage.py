"""Shrinkage: each study alone, by empirical Bayes and by full Bayes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.figures.points import effect_axis, shorten
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
LANE = 0.105  # inches between the intervals of a study


def shrinkage(
    names: Sequence[str],
    table: pd.DataFrame,
    *,
    methods: Sequence[str] = ("none", "ml", "full"),
    log: bool = False,
    label: str = "effect",
) -> Figure:
    """Intervals of each study by each method, most precise study first, then the pooled effect.

    Args:
        names: of the studies (k,).
        table: of `families.meta.refits.compare_empirical_bayes`, on the scale of analysis.
        methods: which rows, keys of `STYLES`, from top to bottom within a study.
        log: whether the effects are logarithms of ratios: they are shown as ratios on a log axis.
        label: of the axis.
    """
    import matplotlib

    parts = {method: table[table["method"] == method].set_index("i") for method in methods}
    order = table[table["method"] == "none"].sort_values("width", kind="stable")["i"].tolist()
    order = [*order, -1]
    back = np.exp if log else np.asarray
    shown = table[table["method"].isin(methods)]
    low, high = _limits(shown)
    gap = len(methods) + 1.0
    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 1.35 + LANE * gap * len(order))
        axes = figure.add_subplot()
        for lane, method in enumerate(methods):
            _, colour, marker, line = STYLES[method]
            rows = parts[method].reindex(order)
            y = np.arange(len(order)) * gap + lane
            left, right = (back(np.clip(rows[end], low, high)) for end in ("lower", "upper"))
            axes.hlines(y, left, right, color=colour, linestyle=line, linewidth=1.2)
            inside = rows["centre"].between(low, high)
            axes.plot(
                back(rows["centre"][inside]), y[inside.to_numpy()], linestyle="none", color=colour,
                marker=marker, markersize=3.5, zorder=3,
                markerfacecolor=colour if method == "full" else "white",
            )  # fmt: skip
            for beyond, end, head in ((rows["lower"] < low, low, "<"), (rows["upper"] > high, high, ">")):
                at = y[beyond.to_numpy()]
                axes.plot(back(np.full(len(at), end)), at, head, color=colour, markersize=4, clip_on=False)
        pooled = float(back(parts["full" if "full" in parts else methods[-1]].loc[-1, "centre"]))
        axes.axvline(pooled, color=BLUE, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
        middle = np.arange(len(order)) * gap + (len(methods) - 1) / 2
        words = [shorten(names[int(i)]) if i >= 0 else "pooled effect" for i in order]
        axes.set_yticks(middle, words, parse_math=False)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
        for place in middle[:-1] + gap / 2:
            axes.axhline(place, color=RULE, linewidth=0.4)
        axes.set_ylim(middle[-1] + gap / 2, -1)
        axes.spines["left"].set_visible(False)
        edge = 0.02 * (high - low)
        axes.set_xlim(*(float(back(end)) for end in (low - edge, high + edge)))
        effect_axis(axes, "x", log=log)
        axes.set_xlabel(label)
        figure.legend(handles=_keys(methods), loc="outside upper center", ncols=min(len(methods), 3))
    return figure


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
