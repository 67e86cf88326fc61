"""Estimates of more groups than there is room for names: by rank, the ends named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 5
MANY = 400
"""Groups beyond which direct estimates would only be a cloud."""


@dataclass(frozen=True)
class Ranked:
    """Groups in the order in which they stand on the axis.

    Attributes:
        title: of the panel.
        names: (n,) of the groups; those at both ends are written.
        mean, lower, upper: (n,) estimates and intervals.
        raw: (n,) direct estimates, NaN where there is none; None draws none.
        reference: the total.
    """

    title: str
    names: Sequence[str]
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    raw: np.ndarray | None = None
    reference: float | None = None


def draw_ranked(
    panels: Sequence[Ranked],
    *,
    x_label: str,
    y_label: str,
    interval: str,
    raw: str = "raw",
    name: str = "MrP",
) -> Figure:
    """Panels one below the other on one scale, groups from left to right.

    Args:
        panels: at least one.
        x_label, y_label: of the axes.
        interval: level of the intervals ("95%"), for the legend.
        raw, name: what the direct estimates and the estimates are called in the legend.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 0.9 + (3.6 if len(panels) == 1 else 2.3 * len(panels)))
        grid = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        drawn_raw = False
        for axes, panel in zip(grid, panels, strict=True):
            n = len(panel.names)
            rank = np.arange(1, n + 1)
            many = n > MANY
            if panel.reference is not None:
                axes.axhline(panel.reference, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
            axes.vlines(rank, panel.lower, panel.upper, color=BLUE, lw=0.4 if many else 0.8, alpha=0.6)
            if panel.raw is not None and not many:
                axes.plot(
                    rank, panel.raw, ls="", marker="o", ms=2.6, mfc="none", mec=ORANGE, mew=0.6, zorder=1
                )
                drawn_raw = True
            axes.plot(rank, panel.mean, ls="", marker="o", ms=1.2 if many else 2.2, color=BLUE, zorder=3)
            axes.set_xlim(0, n + 1)
            axes.set_title(panel.title, loc="left", fontweight="bold", parse_math=False)
            if len(panels) == 1:
                _name_ends(axes, panel)
        grid[-1].set_xlabel(in_lines(x_label, 100), parse_math=False)
        figure.supylabel(in_lines(y_label, 48), fontsize=9, color=INK, parse_math=False)
        handles = [Line2D([], [], color=BLUE, marker="o", ms=3, label=f"{name}, {interval} interval")]
        if drawn_raw:
            handles.append(Line2D([], [], ls="", marker="o", ms=3.5, mfc="none", mec=ORANGE, label=raw))
        if any(panel.reference is not None for panel in panels):
            handles.append(Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)), label=f"{name}, total"))
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _name_ends(axes: Axes, panel: Ranked) -> None:
    """Names of the first groups above and of the last below, in steps, with leaders."""
    n, count = len(panel.names), min(NAMED, len(panel.names) // 4)
    low, high = axes.get_ylim()
    room = 0.05 * count + 0.03
    quarter = max(n // 3, 1)
    known = panel.raw if panel.raw is not None and n <= MANY else panel.mean
    rising = panel.mean[0] <= panel.mean[-1]
    left_top = np.nanmax(np.fmax(panel.upper, known)[:quarter])
    left_low = np.nanmin(np.fmin(panel.lower, known)[:quarter])
    right_top = np.nanmax(np.fmax(panel.upper, known)[-quarter:])
    right_low = np.nanmin(np.fmin(panel.lower, known)[-quarter:])
    if rising:  # free are the left above and the right below
        high = max(high, low + (left_top - low) / (1 - room))
        low = min(low, high - (high - right_low) / (1 - room))
    else:
        low = min(low, high - (high - left_low) / (1 - room))
        high = max(high, low + (right_top - low) / (1 - room))
    ticks = axes.get_yticks()
    drawn = np.concatenate([panel.lower, panel.upper, known])
    step = ticks[1] - ticks[0]
    inside = (ticks > np.nanmin(drawn) - step) & (ticks < np.nanmax(drawn) + step)
    if np.nanmin(drawn) >= 0:
        inside &= ticks >= 0
    axes.set_yticks(ticks[inside])  # beyond there is room for names only
    axes.set_ylim(low, high)
    across = axes.get_xaxis_transform()
    for step in range(count):
        for i, side in ((step, "left"), (n - 1 - step, "right")):
            top = (side == "left") == rising
            height = 0.98 - 0.05 * step if top else 0.02 + 0.05 * step
            end = (panel.upper[i] if top else panel.lower[i]) - low
            axes.plot(
                [i + 1] * 2, [end / (high - low), height], transform=across, color=RULE, lw=0.6, zorder=0
            )
            axes.annotate(
                str(panel.names[i])[:48], (i + 1, height), (2 if side == "left" else -2, 0),
                xycoords=across, textcoords="offset points", ha=side, va="center", fontsize=6.5, color=INK,
                parse_math=False,
            )  # fmt: skip
