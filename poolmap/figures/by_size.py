"""What happens with the size of the sample: shrinkage towards the whole, expected errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 40
"""Groups up to which intervals are drawn."""


@dataclass(frozen=True)
class Sized:
    """Groups of one panel.

    Attributes:
        title: of the panel.
        n: (groups,) respondents.
        estimate: (groups,).
        lower, upper: (groups,) interval, or None.
        raw: (groups,) direct estimates, NaN where nobody was asked; None for none.
        reference: the total, or None.
    """

    title: str
    n: np.ndarray
    estimate: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    raw: np.ndarray | None = None
    reference: float | None = None


def draw_by_size(
    panels: Sequence[Sized],
    *,
    x_label: str,
    y_label: str,
    name: str = "MrP",
    raw: str = "raw",
    share_y: bool = True,
    from_zero: bool = False,
) -> Figure:
    """Estimates (dots) and direct estimates (rings, joined to them) against respondents on a log axis.

    Groups without respondents stand at the left, behind a rule.

    Args:
        panels: at least one.
        x_label, y_label: of the axes; name, raw: what dots and rings are called.
        share_y: whether panels have one scale; from_zero: whether the scale begins at 0.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 0.9 + (3.4 if across == 1 else 2.7 if across == 2 else 2.3) * down)
        grid = figure.subplots(down, across, sharey=share_y, squeeze=False)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid.ravel(), panels, strict=False):
            _panel(axes, panel)
            axes.set_title(
                in_lines(panel.title, 80 // across), loc="left", fontweight="bold", parse_math=False
            )
            if from_zero:
                axes.set_ylim(bottom=0)
        handles = []
        if any(panel.raw is not None for panel in panels):
            handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=ORANGE, ms=4.5, label=raw))
        handles.append(Line2D([], [], ls="", marker="o", color=BLUE, ms=3.6, label=name))
        if any(panel.reference is not None for panel in panels):
            handles.append(Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)), label=f"{name}, total"))
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        figure.supxlabel(x_label, fontsize=9, color=INK, parse_math=False)
        figure.supylabel(in_lines(y_label, 44), fontsize=9, color=INK, parse_math=False)
    return figure


def _panel(axes: Axes, panel: Sized) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    n = np.asarray(panel.n, dtype=float)
    asked = n > 0
    most = max(n.max(), 2.0)
    least = n[asked].min() if asked.any() else 1.0
    aside = least / (most / least) ** 0.12 / 1.3
    x = side_by_side(np.where(asked, n, aside), panel.estimate)
    small = len(n) > 150
    if panel.reference is not None:
        axes.axhline(panel.reference, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
    if panel.lower is not None and len(n) <= LONGEST:
        axes.vlines(x, panel.lower, panel.upper, color=BLUE, lw=0.8, alpha=0.6, zorder=1)
    if panel.raw is not None:
        axes.vlines(x, panel.raw, panel.estimate, color=RULE, lw=0.6, zorder=0)
        axes.plot(
            x, panel.raw, ls="", marker="o", mfc="none", mec=ORANGE, mew=0.7, ms=2.6 if small else 4, zorder=2
        )
    axes.plot(x, panel.estimate, ls="", marker="o", color=BLUE, ms=1.8 if small else 3.2, zorder=3)
    axes.set_xscale("log")
    ticks = [t * 10.0**p for p in range(0, 8) for t in (1, 2, 5) if least <= t * 10.0**p <= most]
    while len(ticks) > 5:
        ticks = ticks[::2]
    if len(ticks) < 2:
        ticks = sorted({least, most})
    if not asked.all():
        axes.axvline(np.sqrt(aside * least), color=RULE, lw=0.8)
        ticks = [aside, *ticks]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: "0" if t < least * 0.999 else f"{t:,.0f}"))
    axes.set_xlim(x.min() / (most / least) ** 0.05 / 1.1, most * (most / least) ** 0.05 * 1.1)


def side_by_side(n: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Places on a log axis where groups with the same number stand beside each other, by their estimate.

    They keep within a third of the way to the neighbouring numbers, and closer where they are few.

    Args:
        n: (groups,) above 0; estimate: (groups,).
    """
    x = np.asarray(n, dtype=float).copy()
    for number in np.unique(x):
        same = np.flatnonzero(x == number)
        reach = min(np.log1p(1 / max(number, 1)) / 3, 0.02 * (len(same) - 1), 0.15)
        apart = np.linspace(-reach, reach, len(same)) if len(same) > 1 else 0.0
        x[same[np.argsort(estimate[same], kind="stable")]] = number * np.exp(apart)
    return x
