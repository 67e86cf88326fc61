"""Posterior predictive check: observed data beside what the fitted model says of such data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.figures.points import name_points
from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELLED = 8
PIT_BINS = 10


def plural(unit: str) -> str:
    """studies of study, areas of area."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def draw_predictive(table: pd.DataFrame, value: str, interval: float) -> Figure:
    """Two panels: each observation with its predictive interval; the histogram of predictive p-values.

    Args:
        table: from `inference.predictive.summarise_predictive`.
        value: what is observed, for the axis.
        interval: level of the predictive intervals.

    Returns:
        the figure. In the left panel observations are ordered by their predictive mean; those outside their
        interval are drawn as diamonds and, at most eight of them, named where there is room. The p-values of
        data that were used in the fit gather around one half where each observation has an effect of its own;
        those near 0 and 1 speak against the model.
    """
    import matplotlib
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    rows = table.sort_values("mean", kind="stable").reset_index(drop=True)
    place = np.arange(len(rows))
    inside = rows["inside"].to_numpy(dtype=bool)
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 3.3)
        left, right = figure.subplots(1, 2, width_ratios=[2.4, 1])
        left.vlines(
            place, rows["lower"], rows["upper"], color=RULE, linewidth=max(1.0, 120 / max(len(rows), 20))
        )
        left.plot(place, rows["mean"], "_", color=MUTED, markersize=4, label="predictive mean")
        outside = f"observed, outside its {100 * interval:g}% interval"
        for chosen, marker, colour, size, words in (
            (inside, "o", BLUE, 3.0, "observed"),
            (~inside, "D", ORANGE, 4.5, outside),
        ):
            # without points an unclipped line would reach to the corner of the page
            left.plot(
                place[chosen], rows["observed"][chosen], marker, color=colour, markersize=size, label=words,
                clip_on=not chosen.any(),
            )  # fmt: skip
        if rows["observed"].min() >= 0 and rows["observed"].max() > 50 * max(rows["observed"].median(), 1):
            left.set_yscale("symlog", linthresh=10)
            left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
            left.set_ylim(bottom=0)
        left.set_xticks([])
        left.set_xlabel(f"{plural(rows['unit'].iloc[0])}, by predictive mean")
        left.set_ylabel(in_lines(value, 44), parse_math=False)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        right.hist(rows["p_value"], bins=np.linspace(0, 1, PIT_BINS + 1), color=BLUE, edgecolor="white")
        right.set_xlabel("predictive p-value")
        right.set_ylabel("observations")
        right.set_xlim(0, 1)
        right.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        far = (rows["p_value"] - 0.5).abs().where(~inside).dropna().sort_values(ascending=False)
        name_points(
            figure, left, place, rows["observed"].to_numpy(dtype=float), rows["label"].astype(str).tolist(),
            order=far.index[:MAX_LABELLED].tolist(),
        )  # fmt: skip
    return figure
