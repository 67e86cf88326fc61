"""Figures of a map: maps, ranked areas with what was observed, models compared, the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import EVERY_MODEL, Dataset, ModelResult, NamedFigure
from poolmap.families.areas.findings import estimates_table
from poolmap.families.areas.map_figure import fading_map, map_figure
from poolmap.families.areas.neighbour_figures import neighbour_figures
from poolmap.families.areas.scales import Form, Scale, form, scale_of, thresholds
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from poolmap.config.areas import AreasAnalysis

_SIZED_BY = {"rr": "expected cases", "prevalence": "persons examined", "mean": "precision"}
_NAMED = 6
_MANY = 400


def figures(spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """Maps and ranked areas of the primary model, the models compared, the graph, clusters, other graphs."""
    from poolmap.figures.graph_map import draw_graph

    primary, *others = results.values()
    named = [map_figure(spec, data, primary), fading_map(spec, data, primary), _ranked(spec, data, primary)]
    if others:
        named.append(_compared(spec, primary, others))
    if data.graph is not None and data.geometry is not None:
        graph = data.graph
        shape = "one connected component" if graph.n_components == 1 else f"{graph.n_components} components"
        named.append(
            NamedFigure(
                "graph",
                draw_graph(data.geometry, graph),
                "Which areas are neighbours",
                f"Areas joined by a line are neighbours: {len(graph.edges)} pairs among {graph.n} areas, in "
                f"{shape}. Neighbours are {graph.rule}. The structured part of the area effects follows "
                "these lines.",
                f"Map of {graph.n} areas with {len(graph.edges)} lines between neighbours, in {shape}; "
                f"{len(graph.islands)} areas have no neighbours.",
            )
        )
    return named + neighbour_figures(data, results)


def _ranked(spec: AreasAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    """Areas by rank of what is estimated, with intervals and what was observed."""
    import matplotlib
    from matplotlib.lines import Line2D

    scale = scale_of(spec)
    table = estimates_table(scale, result).sort_values("mean", kind="stable").reset_index(drop=True)
    number = form(scale, table["lower"], table["upper"])
    n = len(table)
    rank = np.arange(1, n + 1)
    many = n > _MANY
    raw, mean = table[scale.raw].to_numpy(), table["mean"].to_numpy()
    drawn = raw > 0 if scale.ratio else ~np.isnan(raw)
    floor = min(table["lower"].min(), raw[drawn].min() if drawn.any() else 1) / 1.25
    size = _sizes(scale, table)
    with matplotlib.rc_context(RC):
        figure = new_figure(7.4, 4.4)
        axes = figure.add_subplot()
        _set_axes(axes, scale, number, "y")
        axes.axhline(thresholds(spec, data)[0], color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
        axes.vlines(
            rank, table["lower"], table["upper"], color=BLUE, linewidth=0.4 if many else 0.9, alpha=0.7
        )
        if not many:
            axes.vlines(rank[drawn], raw[drawn], mean[drawn], color=RULE, linewidth=0.8, zorder=0)
            axes.scatter(
                rank[drawn], raw[drawn], s=size[drawn], facecolors="none", edgecolors=ORANGE, linewidths=0.9
            )
            zero = (raw == 0) & ~drawn
            axes.scatter(
                rank[zero], np.full(zero.sum(), floor), s=16, marker="v", facecolors="none", edgecolors=ORANGE
            )
        axes.plot(rank, mean, linestyle="none", marker="o", markersize=1.5 if many else 3.2, color=BLUE)
        _name_ends(axes, scale, table, rank)
        axes.set_xlim(0, n + 1)
        axes.set_xlabel(f"areas by rank of the {scale.noun}, lowest to highest (n = {n})")
        axes.set_ylabel("relative risk (log scale)" if scale.ratio else _axis_label(spec, scale))
        handles = [
            Line2D(
                [],
                [],
                color=BLUE,
                marker="o",
                markersize=3.5,
                label=f"smoothed {scale.symbol}, {spec.interval:.0%} interval",
            )
        ]
        if not many:
            ring = {"color": "none", "markeredgecolor": ORANGE, "markerfacecolor": "none"}
            shown = "raw SIR" if scale.ratio else scale.raw_symbol
            by = f"{shown}, area of the ring by {_SIZED_BY[scale.quantity]}"
            handles.append(Line2D([], [], marker="o", markersize=6, label=by, **ring))
            if zero.any():
                handles.append(
                    Line2D([], [], marker="v", markersize=4.5, label="raw SIR of 0 (no case)", **ring)
                )
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    threshold = thresholds(spec, data)[0]
    line = f"{threshold * 100:g}%" if number.percent else f"{threshold:g}"
    above = int((table["lower"] > threshold).sum())
    below = int((table["upper"] < threshold).sum())
    plural = {"rr": "raw ratios", "prevalence": "raw proportions", "mean": "direct estimates"}
    pulled = {
        "rr": "the fewer cases are expected",
        "prevalence": "the fewer persons were examined",
        "mean": "the less precise they are",
    }
    rings = (
        ""
        if many
        else f" Rings: {plural[scale.quantity]}; they are pulled towards the rest the more, "
        f"{pulled[scale.quantity]}."
    )
    return NamedFigure(
        "ranked",
        figure,
        f"Areas ranked, with their {plural[scale.quantity]}",
        f"Dots: posterior mean of the {scale.noun} from the model {result.name}, lines its "
        f"{spec.interval:.0%} posterior "
        f"intervals; the broken line is at {line}.{rings} Ranks of areas whose intervals overlap are not "
        "certain.",
        f"{n} areas by rank, from {table['name'].iloc[0]} ({number(mean[0])}) to {table['name'].iloc[-1]} "
        f"({number(mean[-1])}). The interval lies above {line} in {above} areas and below {line} in {below}.",
        result.name,
    )


def _sizes(scale: Scale, table: pd.DataFrame) -> np.ndarray:
    """Areas of the rings, by how much is known of each area before smoothing; smallest where nothing is."""
    if scale.quantity == "mean":
        known = (1 / table["se"] ** 2).fillna(0.0).to_numpy()
    else:
        known = table["expected" if scale.ratio else "population"].fillna(0.0).to_numpy()
    return 6 + 60 * known / known.max()


def _axis_label(spec: AreasAnalysis, scale: Scale) -> str:
    return f"prevalence of {spec.cases_name}" if scale.quantity == "prevalence" else spec.value_name


def _name_ends(axes: Axes, scale: Scale, table: pd.DataFrame, rank: np.ndarray) -> None:
    """Names of the lowest areas above them and of the highest below them, in steps, with leaders."""
    n = len(table)
    count = min(_NAMED, n // 2)
    quarter = max(n // 4, count)
    to, back = (np.log, np.exp) if scale.ratio else (np.asarray, np.asarray)
    raw = table[scale.raw].where(table[scale.raw] > 0) if scale.ratio else table[scale.raw]
    top, bottom = to(np.fmax(table["upper"], raw)), to(np.fmin(table["lower"], raw))
    low, high = to(axes.get_ylim())
    margin = 0.05 if scale.ratio else 0.03 * (top.max() - bottom.min())
    low = min(low, to(table["lower"].min()) - margin)
    high = max(high, top.max() + margin)
    room = 0.05 * count + 0.04
    ceiling, ground = np.max(top[:quarter]), np.min(bottom[-quarter:])
    high = max(high, low + (ceiling - low) / (1 - room))
    low = min(low, high - (high - ground) / (1 - room))
    axes.set_ylim(back(low), back(high))
    if scale.quantity == "prevalence":  # below 0 there is room for names only
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= high])
    across = axes.get_xaxis_transform()
    for step in range(count):
        for i, height, end, side in (
            (step, 0.98 - 0.05 * step, table["upper"][step], "left"),
            (n - 1 - step, 0.02 + 0.05 * step, table["lower"][n - 1 - step], "right"),
        ):
            at = (to(end) - low) / (high - low)
            axes.plot([rank[i]] * 2, [at, height], transform=across, color=RULE, linewidth=0.6, zorder=0)
            axes.annotate(
                table["name"][i],
                (rank[i], height),
                (2 if side == "left" else -2, 0),
                xycoords=across,
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=7,
                color=INK,
            )


def _compared(spec: AreasAnalysis, primary: ModelResult, others: list[ModelResult]) -> NamedFigure:
    """The estimates of each other model against those of the primary one."""
    import matplotlib

    scale = scale_of(spec)
    first = estimates_table(scale, primary)
    words = []
    with matplotlib.rc_context(RC):
        columns = min(len(others), 2)
        rows = -(-len(others) // columns)
        figure = new_figure(7.4 if columns == 2 else 4.2, 3.8 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel()[len(others) :]:
            axes.set_axis_off()
        for axes, other in zip(grid.ravel(), others, strict=False):
            second = estimates_table(scale, other).set_index("area").loc[first["area"]].reset_index()
            words.append(_compare(axes, scale, primary.name, first, other.name, second))
    return NamedFigure(
        "models",
        figure,
        f"{scale.noun.capitalize()}s by model",
        f"Posterior means of the {scale.noun}, one dot an area; size by {_SIZED_BY[scale.quantity]}. On the "
        f"line both models say the same. {primary.name} is the primary model; the areas that differ most are "
        "named.",
        " ".join(words),
        EVERY_MODEL,
    )


def _compare(
    axes: Axes, scale: Scale, name: str, first: pd.DataFrame, other: str, second: pd.DataFrame
) -> str:
    x, y = first["mean"].to_numpy(), second["mean"].to_numpy()
    number = form(scale, first["lower"], first["upper"])
    _set_axes(axes, scale, number, "both")
    to = np.log if scale.ratio else np.asarray
    least, most = min(x.min(), y.min()), max(x.max(), y.max())
    room = 0.08 * (most - least)
    ends = np.array([least / 1.4, most * 1.2] if scale.ratio else [least - room, most + room])
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    axes.scatter(x, y, s=_sizes(scale, first) * 0.85, facecolors="none", edgecolors=BLUE, linewidths=0.9)
    gap = scale.change(x, y)
    named: list[int] = []
    reach = to(ends[1]) - to(ends[0])
    for i in np.argsort(-gap)[: 3 * _NAMED]:
        if len(named) < 4 and all(abs(to(y[i]) - to(y[j])) > 0.06 * reach for j in named):
            named.append(i)
            across = (to(x[i]) - to(ends[0])) / reach
            right = across < 0.3 or (y[i] < x[i] and across < 0.7)  # a name stays within the axes
            axes.annotate(
                first["name"][i],
                (x[i], y[i]),
                (4 if right else -4, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
                zorder=3,
            )
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel(f"{scale.symbol}, {name}")
    axes.set_ylabel(f"{scale.symbol}, {other}")
    i = int(np.argmax(gap))
    logs = "log relative risks" if scale.ratio else f"{scale.noun}s"
    return (
        f"{name} and {other} differ most in {first['name'][i]}: {number(x[i])} against {number(y[i])}; the "
        f"correlation of their {logs} is {np.corrcoef(to(x), to(y))[0, 1]:.2f}."
    )


def _set_axes(axes: Axes, scale: Scale, number: Form, which: str) -> None:
    """Plain numbers; ratios on a log scale, shares in per cent."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

    ticks = np.outer(10.0 ** np.arange(-4, 5), [1, 1.5, 2, 3, 5, 7]).ravel()
    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if which not in (letter, "both"):
            continue
        if scale.ratio:
            getattr(axes, f"set_{letter}scale")("log")
            axis.set_major_locator(FixedLocator(ticks))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        elif number.percent:
            axis.set_major_formatter(PercentFormatter(1.0))
