"""L'Abbé plots: the event risks of both arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import marker_areas, name_points
from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMES = 12


def risk_given(control: np.ndarray, effect: float, measure: str) -> np.ndarray:
    """Risk in arm 1 where arm 2 has the risk `control`; NaN where it would leave 0 to 1.

    Args:
        control: risks.
        effect: RR or OR (the ratio itself, not its log) or RD.
        measure: `RR`, `OR` or `RD`.
    """
    control = np.asarray(control, dtype=float)
    if measure == "RR":
        risk = control * effect
    elif measure == "OR":
        risk = effect * control / (1 - control + effect * control)
    elif measure == "RD":
        risk = control + effect
    else:
        raise ValueError(f"no L'Abbé plot for measure {measure!r}; it shows RR, OR or RD")
    return np.where((risk >= 0) & (risk <= 1), risk, np.nan)


def labbe(
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    *,
    weights: np.ndarray,
    pooled: float,
    measure: str,
    arms: tuple[str, str],
    pooled_label: str = "pooled effect",
    circle_label: str = "study, area by weight",
    names: Sequence[str] | None = None,
) -> Figure:
    """A L'Abbé plot: risk in arm 1 against risk in arm 2, area of a circle by weight.

    Args:
        events_1, total_1, events_2, total_2: counts (study,), as observed (no correction of zeros).
        weights: of the studies, on any scale.
        pooled: the pooled RR, OR (ratios, not logs) or RD.
        measure: `RR`, `OR` or `RD`.
        arms: names of arm 1 and arm 2.
        pooled_label, circle_label: what the line and a circle are called in the legend.
        names: of the studies; the 12 farthest from the pooled line are named where there is room.

    Source: L'Abbé, Detsky & O'Rourke 1987 (Ann Intern Med 107:224).
    """
    import matplotlib

    y = np.asarray(events_1, dtype=float) / np.asarray(total_1, dtype=float)
    x = np.asarray(events_2, dtype=float) / np.asarray(total_2, dtype=float)
    with matplotlib.rc_context(RC):
        figure = new_figure(5.4, 5.4)
        axes = figure.add_subplot()
        top = min(1.08 * max(x.max(), y.max(), 1e-6), 1.03)
        grid = np.linspace(0, min(top, 1.0), 501)
        axes.plot(grid, grid, color=INK, linewidth=0.9, linestyle=":", zorder=1, label="no effect")
        line = risk_given(grid, pooled, measure)
        axes.plot(grid, line, color=BLUE, linewidth=1.4, zorder=2, label=pooled_label)
        axes.scatter(
            x, y, s=marker_areas(weights), facecolor="#9aa1ab88", edgecolor=INK, linewidth=0.8, zorder=3,
            clip_on=False,
        )  # fmt: skip
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_aspect("equal")
        axes.set_xlabel(in_lines(f"risk, {arms[1]}", 60), parse_math=False)
        axes.set_ylabel(in_lines(f"risk, {arms[0]}", 60), parse_math=False)
        handles, _ = axes.get_legend_handles_labels()
        study = matplotlib.lines.Line2D(
            [], [], marker="o", markersize=6, markerfacecolor="#9aa1ab88", markeredgecolor=INK,
            linestyle="none", label=circle_label,
        )  # fmt: skip
        figure.legend(handles=[study, *handles], loc="outside lower center", ncol=3)
        if names is not None:
            away = np.abs(y - np.nan_to_num(risk_given(x, pooled, measure), nan=1.0))
            order = np.argsort(-away, kind="stable")[:MOST_NAMES]
            name_points(figure, axes, x, y, names, order=order, areas=marker_areas(weights))
    return figure
