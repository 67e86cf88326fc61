"""Forest plots: each study's own estimate, its estimate given all studies, and the pooled effect."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from poolmap.figures.forest_marks import Interval, Marks
from poolmap.figures.style import BLUE, INK, MUTED, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

JUDGEMENTS = {
    # letter, marker, face, colour of the letter
    "low": ("L", "o", "white", INK),
    "some concerns": ("S", "h", "#d5d9df", INK),
    "high": ("H", "s", INK, "white"),
    "unclear": ("U", "D", "white", INK),
}
"""Judgements of the risk of bias, told apart by letter, shape and shade."""

WIDTH = 7.5
LINE = 0.125  # inches, of a line of text
ROW = 0.31  # two lines of text
SINGLE = 0.21  # one
TEXT = 7.5  # points
GAP = 0.12
PLOT = 2.0  # narrowest plot
MOST_LABEL = 1.75
MOST_LINES = 5
MOST_TICKS = 7
PART = "#a9b0ba"  # a subgroup's diamond
JUDGEMENT = 0.21  # column of the risk of bias


@dataclass(frozen=True)
class ForestRow:
    """One study.

    Attributes:
        label: its name.
        cells: text of the columns between name and plot (`events_text`, `mean_text`).
        raw: the study's own estimate and interval.
        shrunken: the same given all studies; None draws the study's own alone.
        weight: per cent; None for no weight.
        bias: its risk of bias in each domain: `low`, `some concerns`, `high`, `unclear`, or "" for none.
    """

    label: str
    cells: Sequence[str]
    raw: Interval
    shrunken: Interval | None
    weight: float | None
    bias: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """A row below the studies.

    Attributes:
        label: its name.
        value: estimate and interval.
        shape: `diamond` (pooled effect) or `line` (prediction for a new study).
        cells: totals, in the columns of `ForestRow.cells`.
        weight: per cent.
    """

    label: str
    value: Interval
    shape: str
    cells: Sequence[str] = ()
    weight: float | None = None


@dataclass(frozen=True)
class Subgroup:
    """A block of studies under a heading, with a summary of its own.

    Attributes:
        label: its heading.
        rows: its studies.
        summaries: its pooled effect and prediction.
        note: a line below them (heterogeneity).
    """

    label: str
    rows: Sequence[ForestRow]
    summaries: Sequence[Summary] = ()
    note: str = ""


@dataclass(frozen=True)
class _Item:
    """A row of the plot: what it is, its text and its place, inches from the top of the table."""

    kind: str  # study, summary, subgroup, note, rule
    of: object
    label: str
    top: float
    height: float

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def events_text(events: int, total: int) -> str:
    """Events and people of an arm: `4 / 1,230`."""
    return f"{events:,} / {total:,}"


def mean_text(mean: float, sd: float, n: int, places: int = 1) -> str:
    """Mean, standard deviation and people of an arm: `12.3 (4.5), 40`."""
    return f"{mean:.{places}f} ({sd:.{places}f}), {n:,}".replace("-", "\N{MINUS SIGN}")


def forest(
    rows: Sequence[ForestRow] | Sequence[Subgroup],
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
    bias_domains: Sequence[str] = (),
    null: float | Literal["by axis"] | None = "by axis",
    bounds: tuple[float, float] | None = None,
) -> Figure:
    """A forest plot.

    Each study has a row with two lines: above, a filled square (area by weight) with the study's own estimate
    and interval; below, an open circle with the estimate given all studies, where there is one. An
    interval that leaves the axis ends in an arrow. The height grows with the number of studies and the
    lines of their names, so that rows never overlap and text keeps its size; names longer than five
    lines are cut. Diamonds of subgroups are grey, those of all studies black.

    Args:
        rows: the studies, drawn from the top, or blocks of them (all of one kind).
        summaries: pooled effect and prediction over all studies, below them.
        headings: of the columns of `ForestRow.cells`; one column for single groups, two for two arms.
        effect: heading of the column of estimates ("RR").
        interval_heading: what follows it in the second line ("95% interval").
        axis_label: name of the effect, below the axis.
        write: estimate and interval as text.
        log: log axis (ratios), else linear.
        favours: labels below the axis for effects left and right of no effect.
        note: a line at the foot (heterogeneity).
        bias_domains: names of the domains of `ForestRow.bias`: columns D1, D2 ... with a key at the foot.
        null: no effect, drawn as a line: 1 on a log axis, else 0; None for single groups, which have none.
        bounds: the axis never passes these (0 and 1 for a proportion).

    Raises:
        ValueError: a study without as many cells as headings or judgements as domains, or with a
            judgement that is not one of `JUDGEMENTS`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    if null == "by axis":
        null = 1.0 if log else 0.0
    blocks = [b if isinstance(b, Subgroup) else Subgroup("", [b]) for b in rows]
    studies = [row for block in blocks for row in block.rows]
    every_summary = [*(s for block in blocks for s in block.summaries), *summaries]
    _check(studies, every_summary, headings, bias_domains)
    weighted = any(row.weight is not None for row in studies)
    doubled = any(row.shrunken is not None for row in studies)

    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH, 1)
        figure.set_layout_engine("none")
        renderer = FigureCanvasAgg(figure).get_renderer()
        fonts = {weight: FontProperties(size=TEXT, weight=weight) for weight in ("normal", "bold")}

        @cache
        def line_width(line: str, weight: str) -> float:
            return renderer.get_text_width_height_descent(line, fonts[weight], False)[0] / figure.dpi

        def width(text: str, weight: str = "normal") -> float:
            """Width of a text in inches; of the longest line where there are several."""
            return max(line_width(line, weight) for line in text.split("\n"))

        def bold_width(text: str) -> float:
            return width(text, "bold")

        title = f"{effect} ({interval_heading})"
        values = [value for row in studies for value in (row.raw, row.shrunken) if value is not None]
        texts = [write(value) for value in values]
        effect_width = max([0.3, bold_width(title), *(width(text) for text in texts)])
        effect_width = max([effect_width, *(bold_width(write(s.value)) for s in every_summary)])
        names = {row.label: _wrap(row.label, width) for row in studies}
        names |= {s.label: _wrap(s.label, bold_width) for s in every_summary}
        study_width = max([bold_width("Study"), *(width(names[row.label]) for row in studies)])
        study_width = max([study_width, *(bold_width(names[s.label]) for s in every_summary)])
        cells = [
            max(
                bold_width(heading),
                *(width(row.cells[j]) for row in studies),
                *(bold_width(s.cells[j]) for s in every_summary if s.cells),
            )
            for j, heading in enumerate(headings)
        ]
        weight_width = bold_width("Weight") + GAP if weighted else 0.0
        bias_width = len(bias_domains) * JUDGEMENT + (GAP if bias_domains else 0.0)
        study_width += GAP if any(block.label for block in blocks) else 0.0  # indent
        plot_left = 2 * GAP + study_width + sum(w + GAP for w in cells) + GAP
        beside = 1.5 * GAP + effect_width + GAP + weight_width + bias_width
        total = max(WIDTH, plot_left + PLOT + beside)
        plot_width = total - plot_left - beside

        items = _items(blocks, summaries, names, doubled, plot_left - 2.5 * GAP, width)
        body = items[-1].top + items[-1].height
        foot_notes = [_fit(note, total - 2 * GAP, width)] if note else []
        if bias_domains:
            key = "; ".join(f"D{j} {name}" for j, name in enumerate(bias_domains, 1))
            shown = [name for name in JUDGEMENTS if any(name in row.bias for row in studies)]
            letters = ", ".join(f"{JUDGEMENTS[name][0]} {name}" for name in shown)
            foot_notes.append(_fit(f"Risk of bias: {letters}. {key}", total - 2 * GAP, width))
        foot_lines = sum(text.count("\n") + 1 for text in foot_notes)
        sides = []
        if favours:
            half = plot_width / 2 - 0.05
            sides = [_fit(f"← {favours[0]}", half, width), _fit(f"{favours[1]} →", half, width)]
        side_lines = max((text.count("\n") + 1 for text in sides), default=0)
        side_height = 0.0 if not sides else 0.06 + LINE * max(side_lines, 1.6)
        head = 0.23 + LINE * max([1, *(heading.count("\n") + 1 for heading in headings)])
        foot = 0.76 + side_height + (0.12 + LINE * foot_lines if foot_lines else 0.0)
        height = head + body + foot
        figure.set_size_inches(total, height)

        axes = figure.add_axes(
            (plot_left / total, foot / height, plot_width / total, body / height), label="forest"
        )
        axes.set_ylim(body, 0)
        low, high = _limits(studies, every_summary, log=log, null=null, bounds=bounds)
        if log:
            axes.set_xscale("log")
        axes.set_xlim(low, high)
        _axis(axes, low, high, log=log, width=plot_width)
        axes.set_xlabel(axis_label, fontsize=TEXT + 0.5, labelpad=2, parse_math=False)
        if null is not None:
            axes.axvline(null, color=INK, linewidth=0.9, zorder=1)
        pooled = next((s.value[0] for s in summaries if s.shape == "diamond"), None)
        if pooled is not None and low < pooled < high:
            axes.axvline(pooled, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)

        def put(x: float, y: float, text: str, *, align: str = "left", **style: object) -> None:
            """Write a text x inches from the left, y inches below the top of the rows."""
            style = {"fontsize": TEXT, "parse_math": False, "va": "center", "linespacing": 1.0, **style}
            figure.text(x / total, (foot + body - y) / height, text, ha=align, **style)

        ends = np.cumsum([2 * GAP + study_width, *(w + GAP for w in cells)])[1:] - GAP / 2
        right = total - GAP
        weight_end = right - bias_width
        effect_end = weight_end - weight_width
        places = right - JUDGEMENT * (len(bias_domains) - np.arange(len(bias_domains)) - 0.5)
        bold = {"fontweight": "bold"}
        heading_at = -(head - 0.12) / 2 - 0.02
        put(GAP, heading_at, "Study", **bold)
        for end, heading in zip(ends, headings, strict=True):
            put(end, heading_at, heading, align="right", **bold)
        put(effect_end, heading_at, title, align="right", **bold)
        if weighted:
            put(weight_end, heading_at, "Weight", align="right", **bold)
        for j, x in enumerate(places, 1):
            put(x, heading_at, f"D{j}", align="center", **bold)

        def rule(y: float) -> None:
            at = (foot + body - y) / height
            figure.add_artist(Line2D([GAP / total, right / total], [at, at], color=RULE, linewidth=0.8))

        def judge(x: float, y: float, judgement: str) -> None:
            letter, _, _, ink = JUDGEMENTS[judgement]
            judged.setdefault(judgement, []).append((x / total, (foot + body - y) / height))
            put(x, y, letter, align="center", va="center_baseline", color=ink, fontsize=6, zorder=5)

        marks = Marks(axes)
        judged: dict[str, list[tuple[float, float]]] = {}
        rule(0.0)
        indent = 2 * GAP if any(block.label for block in blocks) else GAP
        heaviest = max((row.weight for row in studies if row.weight is not None), default=1.0)
        of_all = [id(summary) for summary in summaries]
        for item in items:
            y = item.middle
            if item.kind == "rule":
                rule(y)
            elif item.kind == "subgroup":
                put(GAP, y, item.label, **bold)
            elif item.kind == "note":
                put(2 * GAP, y, item.label, fontstyle="italic")
            elif item.kind == "study":
                row = item.of
                put(indent, y, item.label)
                for end, text in zip(ends, row.cells, strict=True):
                    put(end, y, text, align="right")
                size = 9 + 40 * (heaviest if row.weight is None else row.weight) / heaviest
                apart = 0.065 if row.shrunken is not None else 0.0
                put(effect_end, y - apart, write(row.raw), align="right")
                marks.whisker(row.raw, y - apart, INK, 1.1, "-")
                marks.marker(row.raw[0], y - apart, "s", size, INK, INK)
                if row.shrunken is not None:
                    put(
                        effect_end,
                        y + apart,
                        write(row.shrunken),
                        align="right",
                        color=BLUE,
                        fontstyle="italic",
                    )
                    marks.whisker(row.shrunken, y + apart, BLUE, 1.0, (0, (3, 1.2)))
                    marks.marker(row.shrunken[0], y + apart, "o", 18, "white", BLUE)
                if row.weight is not None:
                    put(weight_end, y, f"{row.weight:.1f}%", align="right")
                for x, judgement in zip(places, row.bias, strict=False):
                    if judgement:
                        judge(x, y, judgement)
            else:
                summary = item.of
                put(GAP, y, item.label, **bold)
                for end, text in zip(ends, summary.cells, strict=False):
                    put(end, y, text, align="right", **bold)
                put(effect_end, y, write(summary.value), align="right", **bold)
                if summary.weight is not None and weighted:
                    put(weight_end, y, f"{summary.weight:.1f}%", align="right", **bold)
                if summary.shape == "diamond":
                    _diamond(axes, summary.value, y, INK if id(summary) in of_all else PART)
                else:
                    marks.whisker(summary.value, y, INK, 1.8, "-", caps=True)

        marks.draw()
        for judgement, points in judged.items():
            _, marker, face, _ = JUDGEMENTS[judgement]
            size = {"o": 10.0, "h": 10.5, "s": 8.5, "D": 7.5}[marker]
            symbols = Line2D(
                *zip(*points, strict=True), marker=marker, markersize=size, markerfacecolor=face,
                markeredgecolor=INK, markeredgewidth=0.7, linestyle="none", label=f"bias {judgement}",
            )  # fmt: skip
            figure.add_artist(symbols)

        below = body + 0.4  # to the foot of the axis label
        if sides:
            middle = below + side_height / 2
            put(plot_left, middle, sides[0])
            put(plot_left + plot_width, middle, sides[1], align="right")
            below += side_height
        _legend(figure, (foot - (below - body) - 0.08) / height, every_summary, doubled, of_all)
        at = body + foot - 0.06 - LINE * foot_lines
        for text in foot_notes:
            put(GAP, at, text, va="top")
            at += LINE * (text.count("\n") + 1)
    return figure


def _check(
    studies: Sequence[ForestRow],
    summaries: Sequence[Summary],
    headings: Sequence[str],
    domains: Sequence[str],
) -> None:
    if not studies:
        raise ValueError("no studies to draw")
    for row in studies:
        if len(row.cells) != len(headings):
            raise ValueError(f"study {row.label!r}: {len(row.cells)} cells, {len(headings)} headings")
        if len(row.bias) not in ({len(domains)} if domains else {0}) and not (domains and not row.bias):
            raise ValueError(f"study {row.label!r}: {len(row.bias)} judgements, {len(domains)} domains")
        for judgement in row.bias:
            if judgement and judgement not in JUDGEMENTS:
                known = ", ".join(JUDGEMENTS)
                raise ValueError(f"study {row.label!r}: unknown judgement {judgement!r}; known: {known}")
    for summary in summaries:
        if summary.cells and len(summary.cells) != len(headings):
            raise ValueError(f"{summary.label!r}: {len(summary.cells)} cells, {len(headings)} headings")


def _items(
    blocks: Sequence[Subgroup],
    summaries: Sequence[Summary],
    names: dict[str, str],
    doubled: bool,
    left: float,
    width: Callable[[str], float],
) -> list[_Item]:
    """The rows from the top, each as high as its text; notes broken to `left` inches, beside the plot."""
    items: list[_Item] = []

    def add(kind: str, of: object, label: str, least: float) -> None:
        top = items[-1].top + items[-1].height if items else 0.0
        lines = label.count("\n") + 1
        items.append(_Item(kind, of, label, top, max(least, LINE * lines + 0.06)))

    for block in blocks:
        if block.label:
            add("subgroup", block, _fit(block.label, left, width), 0.27)
        for row in block.rows:
            add("study", row, names[row.label], ROW if doubled else SINGLE)
        for summary in block.summaries:
            add("summary", summary, names[summary.label], 0.27)
        if block.note:
            add("note", block, _fit(block.note, left, width), SINGLE)
        if block.label:
            add("rule", None, "", 0.14)
    if not any(block.label for block in blocks):
        add("rule", None, "", 0.16)
    for summary in summaries:
        add("summary", summary, names[summary.label], ROW)
    return items


def _wrap(label: str, width: Callable[[str], float]) -> str:
    """A study's name on at most five lines; what does not fit is cut with an ellipsis."""
    if width(label) <= MOST_LABEL:
        return label
    for characters in range(len(label), 0, -1):
        lines = textwrap.wrap(label, characters)
        if len(lines) > MOST_LINES:
            break
        if max(width(line) for line in lines) <= MOST_LABEL:
            return "\n".join(lines)
    lines = []
    for characters in range(len(label), 0, -1):
        lines = textwrap.wrap(label, characters)[:MOST_LINES]
        lines[-1] = lines[-1][:-1].rstrip() + "…"
        if max(width(line) for line in lines) <= MOST_LABEL:
            break
    return "\n".join(lines)


def _fit(text: str, most: float, width: Callable[[str], float]) -> str:
    """A text broken over lines no wider than `most` inches, as far as its words allow."""
    for characters in range(len(text), 5, -1):
        broken = "\n".join(textwrap.wrap(text, characters, break_long_words=False))
        if width(broken) <= most:
            return broken
    return text


def _limits(
    rows: Sequence[ForestRow],
    summaries: Sequence[Summary],
    *,
    log: bool,
    null: float | None,
    bounds: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Ends of the axis: estimates and shrunken intervals, and wider intervals as far as they leave room.

    Where no study has a shrunken interval, nine in ten of the studies' own take their place.
    """
    to, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    diamonds = [x for s in summaries if s.shape == "diamond" for x in s.value]
    core = [*diamonds, *(row.raw[0] for row in rows)]
    core += [x for row in rows if row.shrunken is not None for x in row.shrunken]
    if null is not None:
        core.append(null)
    if all(row.shrunken is None for row in rows):
        core.append(float(np.quantile([row.raw[1] for row in rows], 0.1, method="higher")))
        core.append(float(np.quantile([row.raw[2] for row in rows], 0.9, method="lower")))
    wide = [*core, *(x for row in rows for x in row.raw), *(x for s in summaries for x in s.value)]
    with np.errstate(divide="ignore"):
        core, wide = to(np.array(core, dtype=float)), to(np.array(wide, dtype=float))
    core = core[np.isfinite(core)]
    span = core.max() - core.min()
    low = max(wide.min(), core.min() - 0.35 * span)
    high = min(wide.max(), core.max() + 0.35 * span)
    pad = 0.04 * (high - low)
    low, high = float(back(low - pad)), float(back(high + pad))
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


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


def _diamond(axes: Axes, value: Interval, y: float, face: str) -> None:
    from matplotlib.patches import Polygon

    estimate, lower, upper = value
    corners = [(lower, y), (estimate, y - 0.1), (upper, y), (estimate, y + 0.1)]
    axes.add_patch(
        Polygon(corners, closed=True, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=4, label="pooled")
    )


def _legend(
    figure: Figure, y: float, summaries: Sequence[Summary], doubled: bool, of_all: Sequence[int]
) -> None:
    """The legend, its upper edge at y (share of the figure's height)."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=INK, marker="s", markersize=5, linewidth=1.1, label="study's own estimate")
    ]
    if doubled:
        entries.append(
            Line2D(
                [], [], color=BLUE, marker="o", markersize=4.5, markerfacecolor="white", linewidth=1.0,
                linestyle=(0, (3, 1.2)), label="given all studies",
            )
        )  # fmt: skip
    diamonds = [id(s) in of_all for s in summaries if s.shape == "diamond"]
    if False in diamonds:
        label = "pooled, subgroup"
        entries.append(
            Line2D(
                [], [], color=INK, marker="D", markersize=5, markerfacecolor=PART, linewidth=0, label=label
            )
        )
    if True in diamonds:
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
