"""Forests of refits: the pooled effect without each study, and as studies are added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.points import effect_axis, plain, reach_null
from poolmap.figures.rows import furthest, in_lines, stack, ticks_on_top
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.19  # inches
MOST_ROWS = 60
"""Studies, or steps, that have a row of their own."""


@dataclass(frozen=True)
class _Rest:
    """What stands for the studies without a row: the range of their centres, and of all their intervals."""

    label: str
    centre: tuple[float, float]
    ends: tuple[float, float]


def own_rows(centre: np.ndarray, whole: float, *, log: bool, most: int = MOST_ROWS) -> np.ndarray:
    """Which refits have a row of their own: those farthest from the result of all studies, in their order.

    Args:
        centre: pooled effect of each refit, as it is shown (row,).
        whole: that of all studies.
        log: whether distances are those of logarithms.
    """
    to = np.log if log else np.asarray
    return furthest(np.abs(to(np.asarray(centre, dtype=float)) - to(whole)), most)


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

    Of more than 60 studies those without which the effect moves most have a row each; one row shows the
    range of all others.

    Args:
        names: of the study left out, one per row.
        centre, lower, upper: pooled effect and interval without it (row,), as they are shown (ratios where
            `log`).
        whole: the same three of all studies.
        log: whether to use a log axis with true values.
        null: value of no effect, drawn as a dotted line.
        label: of the axis.
    """
    values = np.column_stack([centre, lower, upper]).astype(float)
    own = own_rows(values[:, 0], whole[0], log=log)
    rest = None
    if len(own) < len(values):
        others = np.delete(values, own, axis=0)
        rest = _Rest(
            f"without any one of the\nother {len(others)} studies",
            (others[:, 0].min(), others[:, 0].max()),
            (others[:, 1].min(), others[:, 2].max()),
        )
    rows = [in_lines(f"without {names[i]}") for i in own]
    return _forest([*rows, "all studies"], np.vstack([values[own], whole]), whole, log, null, label, rest)


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

    More than 60 studies are added in steps: all of one value of `by` together, and several values where
    there are more than 60.

    Args:
        names: of the study added, in the order of entry.
        centre, lower, upper: pooled effect and interval of the studies so far (row,).
        by: value that ordered them (year), shown behind the name.
        log, null, label: as `leave_one_out_forest`.
    """
    values = np.column_stack([centre, lower, upper]).astype(float)
    steps = cumulative_steps(by if by is not None else range(len(names)))
    if len(steps) == len(names):
        rows = [f"+ {name}" for name in names]
        if by is not None:
            rows = [f"{row} ({value})" for row, value in zip(rows, by, strict=True)]
    else:
        added = np.diff(steps, prepend=-1)
        rows = [
            (f"to {by[i]}: " if by is not None else "") + f"+ {n} {'study' if n == 1 else 'studies'}"
            for i, n in zip(steps, added, strict=True)
        ]
        rows[-1] += f", all {len(names)}"
    values = values[steps]
    return _forest([in_lines(row) for row in rows], values, tuple(values[-1]), log, null, label)


def cumulative_steps(by: Sequence[object], most: int = MOST_ROWS) -> np.ndarray:
    """Positions after which a row is drawn, the last one among them: each, or the last of each value.

    Where there are more values than `most`, steps of about equally many studies.
    """
    if len(by) <= most:
        return np.arange(len(by))
    ends = np.array([i for i in range(len(by)) if i == len(by) - 1 or by[i] != by[i + 1]])
    if len(ends) > most:
        wanted = np.linspace(0, len(by) - 1, most + 1)[1:]
        ends = np.unique(ends[np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)])
    return ends


def _forest(
    rows: Sequence[str],
    values: np.ndarray,
    whole: tuple[float, float, float],
    log: bool,
    null: float | None,
    label: str,
    rest: _Rest | None = None,
) -> Figure:
    """Rows (label; centre, lower, upper) from the top, the last one of all studies, `rest` above it.

    What passes the axis ends in an arrow.
    """
    import matplotlib

    centre, lower, upper = values.T
    low, high = _limits(centre, lower, upper, rest, null, log)
    labels = [*rows[:-1], *([rest.label] if rest else []), rows[-1]]
    tops = stack(labels, ROW)
    middle = (tops[:-1] + tops[1:]) / 2
    y = np.delete(middle, -2) if rest else middle
    excludes = np.zeros(len(y), dtype=bool) if null is None else (lower > null) | (upper < null)
    differs = excludes != excludes[-1]
    with matplotlib.rc_context(RC):
        figure = new_figure(6.6, 0.9 + (0.15 if rest else 0) + tops[-1])
        axes = figure.add_subplot()
        axes.axvspan(max(whole[1], low), min(whole[2], high), color=BLUE, alpha=0.10, linewidth=0, zorder=0)
        axes.axvline(whole[0], color=BLUE, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        if null is not None:
            axes.axvline(null, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        looks = [BLUE if i == len(y) - 1 else ORANGE if differs[i] else INK for i in range(len(y))]
        axes.hlines(y, np.clip(lower, low, high), np.clip(upper, low, high), color=looks, zorder=2)
        axes.scatter(
            centre[:-1], y[:-1], s=20, color=looks[:-1], zorder=3,
            facecolor=["white" if differs[i] else looks[i] for i in range(len(y) - 1)],
        )  # fmt: skip
        axes.plot(centre[-1], y[-1], "D", markersize=4.5, color=BLUE, zorder=3)
        for beyond, end, head in ((lower < low, low, "<"), (upper > high, high, ">")):
            for i in np.flatnonzero(beyond):
                axes.plot(end, y[i], head, markersize=5, color=looks[i], clip_on=False, zorder=3)
        if rest:
            _draw_rest(axes, rest, float(middle[-2]), (low, high))
        axes.set_yticks(middle, labels, parse_math=False)
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=INK)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(tops[-1] + 0.02, -0.02)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(low, high)
        effect_axis(axes, "x", log=log)
        axes.grid(axis="x", color=RULE, linewidth=0.4, alpha=0.6)
        axes.set_axisbelow(True)
        notes = []
        if rest:
            notes.append("grey: from the lowest to the highest end of their intervals; black: their centres")
        if differs.any():
            side = "excludes" if not excludes[-1] else "includes"
            notes.append(f"hollow circle: the interval {side} {plain(null)}, unlike that of all studies")
        axes.set_xlabel("\n".join(in_lines(words, 62) for words in [label, *notes]), parse_math=False)
        ticks_on_top(axes, tops[-1])
    return figure


def _draw_rest(axes, rest: _Rest, y: float, ends: tuple[float, float]) -> None:
    """A bar over all intervals of the studies without a row, and a thick line over their estimates."""
    axes.hlines(y, *np.clip(rest.ends, *ends), color=RULE, linewidth=7, zorder=2)
    axes.hlines(y, *rest.centre, color=INK, linewidth=4, zorder=3, capstyle="projecting")


def _limits(
    centre: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    rest: _Rest | None,
    null: float | None,
    log: bool,
) -> tuple[float, float]:
    """Ends of the axis: all centres, and intervals up to 3 times the usual length (first steps are wide)."""
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    middle, left, right = to(centre), to(lower), to(upper)
    if rest:
        left, right = np.append(left, to(rest.ends[0])), np.append(right, to(rest.ends[1]))
    length = 3 * np.median(to(upper) - to(lower))
    low = max(left.min(), min(middle.min(), np.median(middle) - length))
    high = min(right.max(), max(middle.max(), np.median(middle) + length))
    low, high = reach_null(low, high, None if null is None else float(to(null)))
    edge = 0.04 * (high - low)
    return float(back(low - edge)), float(back(high + edge))
