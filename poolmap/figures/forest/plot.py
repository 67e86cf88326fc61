"""Forest plots: each study's own estimate, its estimate given all studies, and the pooled effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from poolmap.figures.forest.axis import dress, limits, place, ticks
from poolmap.figures.forest.foot import directions, key_and_notes, legend, put_directions
from poolmap.figures.forest.layout import (
    DENSE,
    GAP,
    MANY,
    ROOMY,
    TALL,
    Headings,
    across,
    down,
    fitted,
)
from poolmap.figures.forest.marks import Marks
from poolmap.figures.forest.page import Page
from poolmap.figures.forest.rows import ForestRow, Interval, Subgroup, Summary, check
from poolmap.figures.forest.ruler import Ruler
from poolmap.figures.forest.table import Table
from poolmap.figures.style import INK, MUTED, RC, new_figure
from poolmap.figures.ticks import minus

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

    Each study has a filled square (area in proportion to its weight) with its own estimate and interval
    and, below it, an open circle with the estimate given all studies, where there is one. An interval that
    leaves the axis ends in an arrow; one that its square hides is white. Diamonds of subgroups are grey,
    those of all studies black.

    The height grows with the studies and the lines of their names, so that rows never overlap and text
    keeps its size. Up to 30 studies the texts of both estimates stand one below the other; of more studies
    side by side, on rows half as high with every other one shaded. Very long names are cut after five
    lines (four of many studies).

    Args:
        rows: the studies, drawn from the top, or blocks of them (all of one kind).
        summaries: pooled effect and prediction over all studies, below them.
        headings: of the columns of `ForestRow.cells`; one column for single groups, two for two arms.
        effect: heading of the column of estimates ("RR").
        interval_heading: what follows it ("95% interval").
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

    if null == "by axis":
        null = 1.0 if log else 0.0
    blocks = [b if isinstance(b, Subgroup) else Subgroup("", [b]) for b in rows]
    studies = [row for block in blocks for row in block.rows]
    every_summary = [*(s for block in blocks for s in block.summaries), *summaries]
    check(studies, every_summary, headings, bias_domains)
    doubled = any(row.shrunken is not None for row in studies)
    weights = [row.weight for row in studies if row.weight is not None]
    pitch = DENSE if len(studies) > MANY else ROOMY
    titles = _headings(headings, effect, interval_heading, doubled and pitch.beside, bool(weights))

    def written(value: Interval) -> str:
        return minus(write(value))

    with matplotlib.rc_context(RC):
        figure = new_figure(1, 1)
        figure.set_layout_engine("none")
        ruler = Ruler(figure, pitch.text)
        items = down(ruler, pitch, blocks, summaries, doubled)
        columns = across(ruler, items, titles, len(bias_domains), written)
        left, right = columns.plot
        items = fitted(ruler, pitch, items, left - 1.5 * GAP)
        body = items[-1].top + items[-1].height

        low, high = limits(studies, every_summary, log=log, null=null, bounds=bounds)
        at, labels = ticks(low, high, log=log, width=right - left, measure=ruler.width)
        middle = (left + right) / 2
        title = ruler.wrap(axis_label, 2 * min(middle - GAP, columns.width - GAP - middle))
        if null is not None:
            middle = left + (right - left) * place(null, low, high, log=log)
        sides = directions(ruler, columns, favours, middle)
        notes = key_and_notes(ruler, columns, note, bias_domains, studies)

        lines = sum(text.count("\n") + 1 for text in notes)
        axis_height = 0.16 + pitch.line * (title.count("\n") + 2)
        sides_height = 0.06 + pitch.line * max(text.count("\n") + 1 for text in sides) if sides else 0.0
        legend_height = 0.16 + pitch.line
        raised = 0.06 + pitch.line if body > TALL else 0.0  # by the ticks on top
        head = 0.23 + pitch.line * titles.lines + raised
        foot = axis_height + sides_height + legend_height + (0.12 + pitch.line * lines if notes else 0.06)
        page = Page(figure, width=columns.width, head=head, body=body, foot=foot, size=pitch.text)

        axes = page.axes(left, right)
        if log:
            axes.set_xscale("log")
        axes.set_xlim(low, high)
        dress(axes, at, labels, title=title, size=pitch.text, top=bool(raised))
        if null is not None:
            axes.axvline(null, color=INK, linewidth=0.9, zorder=1)
        pooled = next((s.value[0] for s in summaries if s.shape == "diamond"), None)
        if pooled is not None and low < pooled < high:
            axes.axvline(pooled, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)

        marks = Marks(axes, log=log, width=right - left)
        table = Table(page, marks, pitch, columns, written, max(weights, default=1.0), summaries)
        table.head(titles, len(bias_domains), -(head - 0.12 + raised) / 2 - 0.02)
        table.draw(items)

        y = body + axis_height
        if sides:
            put_directions(page, sides, middle, y)
        y += sides_height
        legend(page, y + 0.05, every_summary, summaries, doubled)
        y += legend_height + 0.06
        for text in notes:
            page.put(GAP, y, text, va="top")
            y += pitch.line * (text.count("\n") + 1)
    return figure


def _headings(cells: Sequence[str], effect: str, interval: str, beside: bool, weighted: bool) -> Headings:
    if beside:
        return Headings(
            cells, f"{effect}\n({interval})", f"Given all studies\n({interval})", "Weight" if weighted else ""
        )
    return Headings(cells, f"{effect} ({interval})", "", "Weight" if weighted else "")
