"""Estimates over time: a line with its band for each answer, a panel a group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.rows import in_lines
from poolmap.figures.style import BLUE, GOLD, GREEN, INK, MUTED, ORANGE, RC, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER = 0.065
"""Inches, of a letter of a time's name that is turned upwards."""
LOOKS = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (GOLD, "D", ":"), (INK, "v", (0, (5, 1))))
"""Colour, marker and line of each of several series; they differ in all three."""


@dataclass(frozen=True)
class Line:
    """One series over the times.

    Attributes:
        label: in the legend; "" for none.
        values, lower, upper: (times,) NaN where there is none.
        raw: (times,) direct estimates, or None.
        direct: (times,) direct estimates with their lower and upper limits, or None.
    """

    label: str
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    raw: np.ndarray | None = None
    direct: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


def draw_over_time(
    panels: Sequence[tuple[str, Sequence[Line]]],
    times: Sequence[str],
    *,
    x_label: str,
    y_label: str,
    raw: str = "raw",
    direct: str = "direct",
) -> Figure:
    """Small multiples on one scale; whiskers that would make it more than twice as long are cut at its ends.

    Args:
        panels: a title and its lines each.
        times: names of the times, in order.
        x_label, y_label: of the axes.
        raw, direct: what direct estimates without and with limits are called.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    many = len(panels)
    across = _across(many)
    down = math.ceil(many / across)
    tall = {1: 3.2, 2: 2.2, 3: 1.8, 4: 1.5}.get(across, 1.15)
    crowded = max(sum(line.direct is not None for line in lines) for _, lines in panels) > 1
    shown = _some(len(times), {1: 12, 2: 6, 3: 5, 4: 4}.get(across, 3))
    names = [str(times[i]) for i in shown]
    slanted = max(map(len, names)) > {1: 9, 2: 8, 3: 7}.get(across, 5)
    room = LETTER * max(map(len, names)) if slanted else 0.0
    with matplotlib.rc_context(RC):
        height = 0.9 + room + tall * (1.4 if crowded else 1) * down
        figure = new_figure(7.5, height)
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes in grid.ravel()[many:]:
            axes.set_axis_off()
        handles: dict[str, Line2D] = {}
        for number, (axes, (title, lines)) in enumerate(zip(grid.ravel(), panels, strict=False)):
            for look, line in enumerate(lines):
                handle = _draw(axes, line, LOOKS[look % len(LOOKS)], small=across > 2)
                _draw_direct(axes, line, look, len(lines), small=across > 2)
                if line.label:
                    handles[line.label] = handle
            axes.set_title(
                in_lines(title, 100 // across), loc="left", fontweight="bold", parse_math=False,
                fontsize=9 if across < 5 else 7,
            )  # fmt: skip
            if number + across >= many:
                axes.tick_params(axis="x", labelbottom=True)
        grid[0, 0].set_xticks(shown, names, parse_math=False)
        for axes in grid.ravel():
            axes.tick_params(axis="x", rotation=90 if slanted else 0)
        aside = max((len(lines) for _, lines in panels if any(line.direct for line in lines)), default=0)
        grid[0, 0].set_xlim(-0.4, len(times) - 1 + max(0.4, 0.25 + 0.1 * aside))
        _make_room(grid[0, 0], [line for _, lines in panels for line in lines])
        figure.supxlabel(x_label, fontsize=9, color=INK, parse_math=False)
        figure.supylabel(
            in_lines(y_label, max(24, int(13 * (height - 0.9)))), fontsize=9, color=INK, parse_math=False
        )
        if any(line.raw is not None for _, lines in panels for line in lines):
            handles[raw] = Line2D([], [], ls="", marker="o", ms=3.5, mfc="none", mec=MUTED)
        if any(line.direct is not None for _, lines in panels for line in lines):
            alone = all(len(lines) == 1 for _, lines in panels)
            look = {"marker": "s", "color": GOLD} if alone else {"marker": "o", "color": MUTED}
            handles[direct] = Line2D([], [], lw=0.9, ms=3.5, mfc="white", **look)
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside upper center", ncols=min(6, len(handles))
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _draw(axes: Axes, line: Line, look: tuple, small: bool):
    from matplotlib.lines import Line2D

    colour, marker, style = look
    at = np.arange(len(line.values))
    shape = {"color": colour, "ls": style, "marker": marker, "ms": 2.2 if small else 3.6, "lw": 1.0}
    axes.fill_between(at, line.lower, line.upper, color=colour, alpha=0.2, lw=0)
    axes.plot(at, line.values, **shape)
    if line.raw is not None:
        hollow = {"mfc": "none", "mec": colour if colour != BLUE else MUTED, "mew": 0.7}
        axes.plot(at, line.raw, ls="", marker=marker, ms=2.6 if small else 4, zorder=1, **hollow)
    return Line2D([], [], **shape)


def _draw_direct(axes: Axes, line: Line, look: int, lines: int, small: bool) -> None:
    """Beside the line: squares with whiskers, or the markers of the lines where there are several.

    The whiskers do not set the ends of the scale by themselves (`_make_room`).
    """
    if line.direct is None:
        return
    from matplotlib.collections import LineCollection

    colour, marker, _ = LOOKS[look % len(LOOKS)] if lines > 1 else (GOLD, "s", "")
    values, lower, upper = line.direct
    at = np.arange(len(values)) + (0.22 if small else 0.14) + 0.1 * look
    known = np.isfinite(lower) & np.isfinite(upper)
    ends = np.stack([np.stack([at, lower], axis=1), np.stack([at, upper], axis=1)], axis=1)[known]
    width = 0.7 if small else 0.9
    axes.add_collection(LineCollection(list(ends), colors=colour, lw=width, zorder=2.9), autolim=False)
    shape = {"ms": 2.4 if small else 3.6, "mfc": "white", "mec": colour, "mew": 0.8}
    axes.plot(at, values, ls="", marker=marker, zorder=3, **shape)


def _make_room(axes: Axes, lines: Sequence[Line]) -> None:
    """Lengthen the scale for whiskers by at most a half at either end: few respondents have long ones."""
    ends = [np.stack(line.direct[1:]) for line in lines if line.direct is not None]
    ends = np.concatenate([part.ravel() for part in ends]) if ends else np.empty(0)
    ends = ends[np.isfinite(ends)]
    if ends.size:
        low, high = axes.get_ylim()
        most, rim = (high - low) / 2, 0.02 * (high - low)
        lowest = max(min(low, ends.min() - rim), low - most)
        axes.set_ylim(lowest, min(max(high, ends.max() + rim), high + most))


def _across(many: int) -> int:
    """Panels in a line: as few places as possible stay empty."""
    choices = (1,) if many == 1 else (3, 2) if many <= 4 else (4, 3) if many <= 20 else (6, 5, 4)
    return min(choices, key=lambda across: (-many % across, choices.index(across)))


def _some(count: int, most: int) -> list[int]:
    """Positions of at most `most` of `count` ticks, evenly spaced from the first."""
    return list(range(0, count, max(1, math.ceil(count / most))))
