"""Forest plots: each study's own estimate, its estimate given all studies, and the pooled effect."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.figures.style import BLUE, INK, MUTED, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float, float, float]
"""Estimate, lower and upper end of its interval, on the scale that is drawn."""

WIDTH = 7.5
ROW = 0.31  # inches; two lines of text
TEXT = 7.5  # points
GAP = 0.12
PLOT = 2.0  # narrowest plot
MOST_LABEL = 1.75
MOST_TICKS = 7


@dataclass(frozen=True)
class ForestRow:
    """One study.

    Attributes:
        label: its name.
        cells: text of the columns between name and plot.
        raw: the study's own estimate and interval.
        shrunken: the same given all studies.
        weight: per cent.
    """

    label: str
    cells: Sequence[str]
    raw: Interval
    shrunken: Interval
    weight: float


@dataclass(frozen=True)
class Summary:
    """A row below the studies.

    Attributes:
        label: its name.
        value: estimate and interval.
        shape: `diamond` (pooled effect) or `line` (prediction for a new study).
    """

    label: str
    value: Interval
    shape: str


def forest(
    rows: Sequence[ForestRow],
    summaries: Sequence[Summary],
    *,
    headings: Sequence[str],
    effect: str,
    interval_heading: str,
    axis_label: str,
    write: Callable[[Interval], str],
    log: bool,
    favours: tuple[str, str] | None = None,
    note: str = "",
) -> Figure:
    """A forest plot.

    Each study has a row with two lines: above, a filled square (area by weight) with the study's own estimate
    and interval; below, an open circle with the estimate given all studies. An interval that leaves the
    axis ends in an arrow. The height grows with the number of studies, so that rows never overlap.

    Args:
        rows: the studies, drawn from the top.
        summaries: pooled effect and prediction, below the studies.
        headings: of the columns of `ForestRow.cells`.
        effect: heading of the column of estimates ("RR").
        interval_heading: what follows it in the second line ("95% interval").
        axis_label: name of the effect, below the axis.
        write: estimate and interval as text.
        log: log axis (ratios; no effect is 1), else linear (no effect is 0).
        favours: labels below the axis for effects left and right of no effect.
        note: a line at the foot (heterogeneity).
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.lines import Line2D

    with matplotlib.rc_context(RC):
        head, foot = 0.48, 0.76 + (0.26 if favours else 0.0) + (0.24 if note else 0.0)
        n = len(rows) + len(summaries) + 0.5  # half a row between studies and summaries
        height = head + n * ROW + foot
        figure = new_figure(WIDTH, height)
        figure.set_layout_engine("none")
        renderer = FigureCanvasAgg(figure).get_renderer()

        def width(text: str, weight: str = "normal") -> float:
            """Width of a text in inches; of the longest line where there are several."""
            drawn = figure.text(0, 0, text, fontsize=TEXT, fontweight=weight, parse_math=False)
            inches = drawn.get_window_extent(renderer).width / figure.dpi
            drawn.remove()
            return inches

        labels = [_wrap(row.label, width) for row in rows]
        effects = [(write(row.raw), write(row.shrunken)) for row in rows]
        widths = {
            "label": max(width(text) for text in [*labels, *(s.label for s in summaries)]),
            "effect": max(width(f"{effect} ({interval_heading})", "bold"), 0.3),
            "weight": width("Weight", "bold"),
        }
        widths["effect"] = max([widths["effect"], *(width(text) for pair in effects for text in pair)])
        widths["effect"] = max([widths["effect"], *(width(write(s.value), "bold") for s in summaries)])
        cells = [
            max(width(heading, "bold"), *(width(row.cells[j]) for row in rows))
            for j, heading in enumerate(headings)
        ]
        fixed = widths["label"] + sum(cells) + widths["effect"] + widths["weight"] + (len(cells) + 6) * GAP
        total = max(WIDTH, fixed + PLOT)
        figure.set_size_inches(total, height)
        plot_left = 2 * GAP + widths["label"] + sum(w + GAP for w in cells) + GAP
        plot_width = total - plot_left - widths["effect"] - widths["weight"] - 3.5 * GAP

        axes = figure.add_axes(
            (plot_left / total, foot / height, plot_width / total, n * ROW / height), label="forest"
        )
        axes.set_ylim(n, 0)
        low, high = _limits(rows, summaries, log=log)
        if log:
            axes.set_xscale("log")
        axes.set_xlim(low, high)
        _axis(axes, low, high, log=log, width=plot_width)
        axes.set_xlabel(axis_label, fontsize=TEXT + 0.5, labelpad=2, parse_math=False)
        null = 1.0 if log else 0.0
        axes.axvline(null, color=INK, linewidth=0.9, zorder=1)
        pooled = next((s.value[0] for s in summaries if s.shape == "diamond"), None)
        if pooled is not None and low < pooled < high:
            axes.axvline(pooled, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)

        def put(x: float, y: float, text: str, *, right: bool = False, **style: object) -> None:
            """Write a text x inches from the left at row y."""
            figure.text(
                x / total,
                (foot + (n - y) * ROW) / height,
                text,
                ha="right" if right else "left",
                va="center",
                **{"fontsize": TEXT, "parse_math": False, **style},
            )

        ends = np.cumsum([2 * GAP + widths["label"], *(w + GAP for w in cells)])[1:] - GAP / 2
        right = total - GAP
        effect_end = right - widths["weight"] - GAP
        bold = {"fontweight": "bold"}
        put(GAP, -0.55, "Study", **bold)
        for end, heading in zip(ends, headings, strict=True):
            put(end, -0.55, heading, right=True, **bold)
        put(effect_end, -0.55, f"{effect} ({interval_heading})", right=True, **bold)
        put(right, -0.55, "Weight", right=True, **bold)
        for y in (0.0, len(rows) + 0.25):
            height_of = (foot + (n - y) * ROW) / height
            figure.add_artist(
                Line2D([GAP / total, right / total], [height_of, height_of], color=RULE, linewidth=0.8)
            )

        heaviest = max(row.weight for row in rows)
        for i, row in enumerate(rows):
            middle = i + 0.5
            put(GAP, middle, labels[i], linespacing=1.0)
            for end, text in zip(ends, row.cells, strict=True):
                put(end, middle, text, right=True)
            put(effect_end, middle - 0.21, effects[i][0], right=True)
            put(effect_end, middle + 0.21, effects[i][1], right=True, color=BLUE, fontstyle="italic")
            put(right, middle, f"{row.weight:.1f}%", right=True)
            size = 9 + 40 * row.weight / heaviest
            _whisker(axes, row.raw, middle - 0.21, INK, 1.1, "-")
            _marker(axes, row.raw[0], middle - 0.21, "s", size, INK, INK)
            _whisker(axes, row.shrunken, middle + 0.21, BLUE, 1.0, (0, (3, 1.2)))
            _marker(axes, row.shrunken[0], middle + 0.21, "o", 18, "white", BLUE)

        for i, summary in enumerate(summaries):
            middle = len(rows) + 0.5 + i + 0.5
            put(GAP, middle, summary.label, **bold)
            put(effect_end, middle, write(summary.value), right=True, **bold)
            if summary.shape == "diamond":
                _diamond(axes, summary.value, middle)
            else:
                _whisker(axes, summary.value, middle, INK, 1.8, "-", caps=True)

        below = n + 0.4 / ROW  # rows, to the foot of the axis label
        if favours:
            half = plot_width / 2 - 0.05
            texts = [_fit(f"← {favours[0]}", half, width), _fit(f"{favours[1]} →", half, width)]
            for text, x, to_right in ((texts[0], plot_left, False), (texts[1], plot_left + plot_width, True)):
                put(x, below + 0.12 / ROW, text, right=to_right, linespacing=1.0)
            below += 0.26 / ROW
        _legend(figure, (foot - (below - n) * ROW - 0.08) / height, summaries)
        if note:
            put(GAP, n + (foot - 0.12) / ROW, note)
    return figure


def _wrap(label: str, width: Callable[[str], float]) -> str:
    """A study's name on at most two lines; what does not fit is cut with an ellipsis."""
    text = label
    for characters in range(len(label), 0, -1):
        lines = textwrap.wrap(label, characters)
        text = "\n".join(lines[:2]) if len(lines) <= 2 else "\n".join(lines[:2])[:-1].rstrip() + "…"
        if width(text) <= MOST_LABEL:
            break
    return text


def _fit(text: str, most: float, width: Callable[[str], float]) -> str:
    """A text broken over lines no wider than `most` inches, as far as its words allow."""
    for characters in range(len(text), 5, -1):
        broken = "\n".join(textwrap.wrap(text, characters, break_long_words=False))
        if width(broken) <= most:
            return broken
    return text


def _limits(rows: Sequence[ForestRow], summaries: Sequence[Summary], *, log: bool) -> tuple[float, float]:
    """Ends of the axis: estimates and shrunken intervals, and wider intervals as far as they leave room."""
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    null = 1.0 if log else 0.0
    diamonds = [x for s in summaries if s.shape == "diamond" for x in s.value]
    core = [null, *diamonds, *(row.raw[0] for row in rows), *(x for row in rows for x in row.shrunken)]
    wide = [*core, *(x for row in rows for x in row.raw), *(x for s in summaries for x in s.value)]
    with np.errstate(divide="ignore"):
        core, wide = to(np.array(core, dtype=float)), to(np.array(wide, dtype=float))
    span = core.max() - core.min()
    low = max(wide.min(), core.min() - 0.35 * span)
    high = min(wide.max(), core.max() + 0.35 * span)
    pad = 0.04 * (high - low)
    return float(back(low - pad)), float(back(high + pad))


def ratio_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Ticks of a log axis at true values (0.1, 0.2, 0.5, 1, 2 ...), at most `most`."""
    from matplotlib.ticker import MaxNLocator

    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    found: list[float] = []
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(found) <= most and (len(found) >= 3 or steps == (1,)):
            break
    if len(found) > most:
        every = int(np.ceil(len(found) / (most - 1)))
        found = [t for t in found if round(np.log10(t)) % every == 0]
    if len(found) < 3:
        found = [float(t) for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high and t > 0]
    return [float(f"{t:.6g}") for t in found]


def _axis(axes: Axes, low: float, high: float, *, log: bool, width: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if log:
        axes.xaxis.set_major_locator(FixedLocator(ratio_ticks(low, high, int(min(MOST_TICKS, width / 0.28)))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.tick_params(axis="x", labelsize=TEXT, length=3)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(low, high)


def _marker(axes: Axes, x: float, y: float, shape: str, size: float, face: str, edge: str) -> None:
    axes.scatter([x], [y], marker=shape, s=size, facecolor=face, edgecolor=edge, linewidth=1.0, zorder=4)


def _whisker(
    axes: Axes, value: Interval, y: float, color: str, width: float, style: object, *, caps: bool = False
) -> None:
    """An interval; an end beyond the axis becomes an arrow head, else (with `caps`) a tick."""
    low, high = axes.get_xlim()
    _, lower, upper = value
    axes.plot(
        [max(lower, low), min(upper, high)], [y, y], color=color, linewidth=width, linestyle=style, zorder=3,
        solid_capstyle="butt",
    )  # fmt: skip
    for end, edge, beyond, arrow in ((lower, low, lower < low, "<"), (upper, high, upper > high, ">")):
        if beyond:
            axes.plot([edge], [y], marker=arrow, markersize=4, color=color, clip_on=False, zorder=4)
        elif caps:
            axes.plot([end], [y], marker="|", markersize=7, markeredgewidth=width, color=color, zorder=4)


def _diamond(axes: Axes, value: Interval, y: float) -> None:
    from matplotlib.patches import Polygon

    estimate, lower, upper = value
    corners = [(lower, y), (estimate, y - 0.33), (upper, y), (estimate, y + 0.33)]
    axes.add_patch(Polygon(corners, closed=True, facecolor=INK, edgecolor=INK, zorder=4, label="pooled"))


def _legend(figure: Figure, y: float, summaries: Sequence[Summary]) -> None:
    """The legend, its upper edge at y (share of the figure's height)."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=INK, marker="s", markersize=5, linewidth=1.1, label="study's own estimate"),
        Line2D(
            [], [], color=BLUE, marker="o", markersize=4.5, markerfacecolor="white", linewidth=1.0,
            linestyle=(0, (3, 1.2)), label="given all studies",
        ),
    ]  # fmt: skip
    if any(s.shape == "diamond" for s in summaries):
        entries.append(Line2D([], [], color=INK, marker="D", markersize=5, linewidth=0, label="pooled"))
    if any(s.shape == "line" for s in summaries):
        entries.append(
            Line2D([], [], color=INK, marker="|", markersize=7, linewidth=1.8, label="prediction, new study")
        )
    figure.legend(
        handles=entries,
        loc="upper center",
        bbox_to_anchor=(0.5, y),
        bbox_transform=figure.transFigure,
        ncol=len(entries),
        fontsize=TEXT,
        borderaxespad=0,
        handlelength=2.4,
        columnspacing=1.6,
    )
