"""Forests of refits: the pooled effect without each study, and as studies are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis, shorten
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.19  # inches


def leave_one_out_forest(
    names: Sequence[str],
    centre: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    whole: tuple[float, float, float],
    *,
    log: bool = False,
    null: float | None = None,
    label: str = "pooled effect",
) -> Figure:
    """The pooled effect without each study, in the order given; the band is that of all studies.

    Args:
        names: of the study left out, one per row.
        centre, lower, upper: pooled effect and interval without it (row,), as they are shown (ratios where
            `log`).
        whole: the same three of all studies.
        log: whether to use a log axis with true values.
        null: value of no effect, drawn as a dotted line.
        label: of the axis.
    """
    rows = [f"without {shorten(name)}" for name in names]
    return _forest([*rows, "all studies"], *_append(centre, lower, upper, whole), whole, log, null, label)


def cumulative_forest(
    names: Sequence[str],
    centre: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    by: Sequence[object] | None = None,
    log: bool = False,
    null: float | None = None,
    label: str = "pooled effect",
) -> Figure:
    """The pooled effect as studies are added from the top; the last row holds all.

    Args:
        names: of the study added, in the order of entry.
        centre, lower, upper: pooled effect and interval of the studies so far (row,).
        by: value that ordered them (year), shown behind the name.
        log, null, label: as `leave_one_out_forest`.
    """
    rows = [f"+ {shorten(name)}" for name in names]
    if by is not None:
        rows = [f"{row} ({value})" for row, value in zip(rows, by, strict=True)]
    whole = (float(centre[-1]), float(lower[-1]), float(upper[-1]))
    return _forest(rows, centre, lower, upper, whole, log, null, label)


def _append(
    centre: np.ndarray, lower: np.ndarray, upper: np.ndarray, whole: tuple[float, float, float]
) -> tuple[np.ndarray, ...]:
    return tuple(np.append(values, end) for values, end in zip((centre, lower, upper), whole, strict=True))


def _forest(
    rows: Sequence[str],
    centre: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    whole: tuple[float, float, float],
    log: bool,
    null: float | None,
    label: str,
) -> Figure:
    """Rows from top to bottom, the last one of all studies; what passes the axis ends in an arrow."""
    import matplotlib

    centre, lower, upper = (np.asarray(values, dtype=float) for values in (centre, lower, upper))
    low, high = _limits(centre, lower, upper, null, log)
    y = np.arange(len(rows))
    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 0.9 + ROW * len(rows))
        axes = figure.add_subplot()
        axes.axvspan(whole[1], whole[2], color=BLUE, alpha=0.10, linewidth=0, zorder=0)
        axes.axvline(whole[0], color=BLUE, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        if null is not None:
            axes.axvline(null, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        excludes = np.zeros(len(rows), dtype=bool) if null is None else (lower > null) | (upper < null)
        differs = excludes != excludes[-1]
        for i in y:
            last = i == len(rows) - 1
            colour = BLUE if last else ORANGE if differs[i] else INK
            axes.plot([max(lower[i], low), min(upper[i], high)], [i, i], color=colour, zorder=2)
            axes.plot(
                centre[i], i, marker="D" if last else "o", markersize=4.5, color=colour,
                markerfacecolor="white" if differs[i] else colour, zorder=3,
            )  # fmt: skip
            for beyond, end, marker in ((lower[i] < low, low, "<"), (upper[i] > high, high, ">")):
                if beyond:
                    axes.plot(end, i, marker=marker, markersize=5, color=colour, clip_on=False, zorder=3)
        axes.set_yticks(y, rows, parse_math=False)
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(low, high)
        effect_axis(axes, "x", log=log)
        axes.grid(axis="x", color=RULE, linewidth=0.4, alpha=0.6)
        axes.set_axisbelow(True)
        words = label
        if differs.any():
            side = "excludes" if not excludes[-1] else "includes"
            words += f"\nhollow circle: the interval {side} {null:g}, unlike that of all studies"
        axes.set_xlabel(words)
    return figure


def _limits(
    centre: np.ndarray, lower: np.ndarray, upper: np.ndarray, null: float | None, log: bool
) -> tuple[float, float]:
    """Ends of the axis: all centres, and intervals up to 3 times the usual length (first steps are wide)."""
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    middle, left, right = to(centre), to(lower), to(upper)
    length = 3 * np.median(right - left)
    low = max(left.min(), min(middle.min(), np.median(middle) - length))
    high = min(right.max(), max(middle.max(), np.median(middle) + length))
    if null is not None:
        low, high = min(low, float(to(null))), max(high, float(to(null)))
    edge = 0.04 * (high - low)
    return float(back(low - edge)), float(back(high + edge))
