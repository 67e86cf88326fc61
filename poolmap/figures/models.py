"""Models side by side: dots and whiskers of several quantities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis, plain, reach_null
from poolmap.figures.rows import in_lines, stack
from poolmap.figures.style import BLUE, INK, MUTED, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
Estimate = tuple[float, float, float]


def draw_models(
    models: Sequence[str],
    values: Sequence[Sequence[Estimate | None]],
    *,
    panels: Sequence[str],
    log: bool,
    notes: Sequence[str] = (),
    contrast: bool = True,
    spread_last: bool = True,
) -> Figure:
    """Dots and whiskers of several quantities (panels) by model (rows).

    An interval that is far longer than the others is cut, and ends in an arrow head.

    Args:
        models: names, the primary one first (drawn filled and solid).
        values: for each model, for each panel: estimate, lower and upper end; None for nothing.
        panels: what each panel shows.
        log: log axis for effects (no effect is 1), else linear (no effect is 0).
        notes: what each model is, in a few words below its name.
        contrast: whether there is such a value of no effect, to be marked with a line.
        spread_last: whether the last panel is a standard deviation.
    """
    import matplotlib
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    told = list(notes) or [""] * len(models)
    labels = [
        "\n".join(in_lines(words, 26) for words in (name, note) if words)
        for name, note in zip(models, told, strict=True)
    ]
    tops = stack(labels, 0.3, room=0.09)
    middle = (tops[:-1] + tops[1:]) / 2
    logged = [log and not (spread_last and j == len(panels) - 1) for j in range(len(panels))]
    heads = [
        in_lines(words, 28) + "\n(log axis)" * on_log for words, on_log in zip(panels, logged, strict=True)
    ]
    with matplotlib.rc_context(RC):
        figure = new_figure(7.5, 0.6 + 0.14 * max(head.count("\n") for head in heads) + tops[-1])
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for j, axes in enumerate(grid):
            spread = spread_last and j == len(panels) - 1
            null = (1.0 if log else 0.0) if contrast and not spread else None
            low, high = _limits([row[j] for row in values], null, log=logged[j], from_zero=spread)
            axes.set_xlim(low, high)
            for i, row in enumerate(values):
                if row[j] is not None:
                    _interval(axes, row[j], middle[i], i)
            axes.set_xlabel(heads[j], parse_math=False)
            axes.set_ylim(tops[-1], 0)
            axes.tick_params(axis="y", length=0)
            axes.hlines(
                tops[1:-1], 0, 1, transform=axes.get_yaxis_transform(), color=RULE, linewidth=0.4, zorder=0
            )
            if null is not None:
                axes.axvline(null, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
            if logged[j]:
                effect_axis(axes, "x", log=True, most=5)
            else:
                axes.xaxis.set_major_locator(MaxNLocator(4))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: plain(x)))
        grid[0].set_yticks(middle, labels, parse_math=False)
        grid[0].tick_params(axis="y", labelcolor=INK)
    return figure


def _interval(axes: Axes, value: Estimate, y: float, position: int) -> None:
    estimate, lower, upper = value
    low, high = axes.get_xlim()
    colour, first = (INK, True) if position == 0 else (BLUE, False)
    axes.plot(
        [max(lower, low), min(upper, high)], [y, y], color=colour, linewidth=1.5,
        linestyle="-" if first else "--",
    )  # fmt: skip
    axes.plot(
        [estimate], [y], marker=MARKERS[position % len(MARKERS)], color=colour, markersize=6,
        markerfacecolor=colour if first else "white", linestyle="none",
    )  # fmt: skip
    for beyond, end, head in ((lower < low, low, "<"), (upper > high, high, ">")):
        if beyond:
            axes.plot(end, y, head, color=colour, markersize=5, clip_on=False)


def _limits(
    values: Sequence[Estimate | None], null: float | None, *, log: bool, from_zero: bool
) -> tuple[float, float]:
    """Ends of an axis: all estimates, and of intervals what lies within twice their usual length of them."""
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    centre, lower, upper = to(np.array([value for value in values if value is not None], dtype=float)).T
    beyond = 2 * float(np.median(upper - lower))
    low = max(lower.min(), centre.min() - beyond)
    high = min(upper.max(), centre.max() + beyond)
    low, high = reach_null(low, high, None if null is None else float(to(null)))
    edge = 0.05 * (high - low) or 0.5
    if from_zero:
        return 0.0, float(high + edge)
    return float(back(low - edge)), float(back(high + edge))
