"""Figures of a disease map: maps, ranked areas with their raw ratios, models compared, the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.contracts import EVERY_MODEL, Dataset, ModelResult, NamedFigure
from poolmap.families.areas.estimate import exceedance_column
from poolmap.figures.choropleth import MapPanel, draw_maps
from poolmap.figures.scales import class_scale, ratio_scale, sequential_scale
from poolmap.figures.style import BLUE, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from poolmap.config.areas import AreasAnalysis

CERTAIN = 0.95
CLASSES = (0.05, 0.2, 0.8, CERTAIN)
_NAMED = 6
_MANY = 400


def figures(spec: AreasAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """The maps and ranked areas of the primary model, the models compared, and the graph."""
    from poolmap.figures.graph_map import draw_graph

    primary, *others = results.values()
    named = [_maps(spec, data, primary), _ranked(spec, primary)]
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
    return named


def rr_table(result: ModelResult) -> pd.DataFrame:
    """The rows of the relative risk in a model's table `areas`, index from 0, in the order of the areas."""
    table = result.estimates["areas"]
    return table[table["quantity"] == "rr"].reset_index(drop=True)


def _maps(spec: AreasAnalysis, data: Dataset, result: ModelResult) -> NamedFigure:
    rr = rr_table(result).set_index("area").loc[data.geometry["area"].tolist()]
    threshold = spec.exceedance[0]
    probability = rr[exceedance_column(threshold)].to_numpy()
    sure = probability > CERTAIN
    ratios = ratio_scale(
        "ratio to the expected count (log scale)",
        rr["mean"].to_numpy(),
        np.concatenate([rr["mean"], rr["sir"]]),
    )
    width = rr["upper"].to_numpy() / rr["lower"].to_numpy()
    classes = class_scale(
        f"posterior probability that RR > {threshold:g}",
        ["to 0.05", "to 0.2", "to 0.8", "to 0.95", "> 0.95"],
    )
    level = f"{spec.interval:.0%}"
    figure = draw_maps(
        data.geometry,
        [
            MapPanel("A  Raw ratio, observed / expected (SIR)", rr["sir"].to_numpy(), ratios),
            MapPanel("B  Smoothed relative risk (RR)", rr["mean"].to_numpy(), ratios, sure),
            MapPanel(
                "C  Uncertainty of the RR",
                width,
                sequential_scale(f"upper / lower end of the {level} interval", width, log=True),
            ),
            MapPanel(
                f"D  Is the RR above {threshold:g}?",
                np.digitize(probability, CLASSES, right=True),
                classes,
                sure,
            ),
        ],
        outline_label=f"P(RR > {threshold:g}) > {CERTAIN:g}",
        missing_label="no case count, or nobody at risk",
    )
    low, high = rr["mean"].idxmin(), rr["mean"].idxmax()
    return NamedFigure(
        "maps",
        figure,
        f"Where the risk of {spec.cases_name} is raised",
        "A: observed over expected cases. B: posterior mean of the relative risk from the model "
        f"{result.name}, on the colours of A; colours end where the arrows are. C: how uncertain B is, as "
        f"the ratio of the ends of its {level} posterior interval. D: posterior probability that the "
        f"relative risk is above {threshold:g}. Heavy outlines in B and D: that probability is above "
        f"{CERTAIN:g}.",
        f"Four maps of {len(rr)} areas. The smoothed relative risk runs from {rr.at[low, 'mean']:.2f} in "
        f"{rr.at[low, 'name']} to {rr.at[high, 'mean']:.2f} in {rr.at[high, 'name']}; in {sure.sum()} areas "
        f"the probability of a relative risk above {threshold:g} is more than {CERTAIN:g}.",
        result.name,
    )


def _ranked(spec: AreasAnalysis, result: ModelResult) -> NamedFigure:
    """Areas by rank of the relative risk, with intervals and the raw ratios they were smoothed from."""
    import matplotlib
    from matplotlib.lines import Line2D

    rr = rr_table(result).sort_values("mean", kind="stable").reset_index(drop=True)
    n = len(rr)
    rank = np.arange(1, n + 1)
    many = n > _MANY
    sir, expected = rr["sir"].to_numpy(), rr["expected"].to_numpy()
    drawn = sir > 0
    floor = min(rr["lower"].min(), sir[drawn].min() if drawn.any() else 1) / 1.25
    size = 6 + 60 * expected / expected.max()
    with matplotlib.rc_context(RC):
        figure = new_figure(7.4, 4.4)
        axes = figure.add_subplot()
        _log_axis(axes, "y")
        axes.axhline(1, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
        axes.vlines(rank, rr["lower"], rr["upper"], color=BLUE, linewidth=0.4 if many else 0.9, alpha=0.7)
        if not many:
            axes.vlines(rank[drawn], sir[drawn], rr["mean"][drawn], color=RULE, linewidth=0.8, zorder=0)
            axes.scatter(
                rank[drawn], sir[drawn], s=size[drawn], facecolors="none", edgecolors=ORANGE, linewidths=0.9
            )
            zero = sir == 0
            axes.scatter(
                rank[zero], np.full(zero.sum(), floor), s=16, marker="v", facecolors="none", edgecolors=ORANGE
            )
        axes.plot(rank, rr["mean"], linestyle="none", marker="o", markersize=1.5 if many else 3.2, color=BLUE)
        _name_ends(axes, rr, rank)
        axes.set_xlim(0, n + 1)
        axes.set_xlabel(f"areas by rank of the relative risk, lowest to highest (n = {n})")
        axes.set_ylabel("relative risk (log scale)")
        handles = [
            Line2D(
                [],
                [],
                color=BLUE,
                marker="o",
                markersize=3.5,
                label=f"smoothed RR, {spec.interval:.0%} interval",
            )
        ]
        if not many:
            ring = {"color": "none", "markeredgecolor": ORANGE, "markerfacecolor": "none"}
            handles.append(
                Line2D(
                    [],
                    [],
                    marker="o",
                    markersize=6,
                    label="raw SIR, area of the ring by expected cases",
                    **ring,
                )
            )
            if (sir == 0).any():
                handles.append(
                    Line2D([], [], marker="v", markersize=4.5, label="raw SIR of 0 (no case)", **ring)
                )
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    above = int((rr["lower"] > 1).sum())
    below = int((rr["upper"] < 1).sum())
    raw = (
        ""
        if many
        else " Rings: raw ratios; they are pulled towards the rest the more, the fewer cases are expected."
    )
    return NamedFigure(
        "ranked",
        figure,
        "Areas ranked, with their raw ratios",
        f"Dots: posterior mean of the relative risk from the model {result.name}, lines its "
        f"{spec.interval:.0%} posterior "
        f"intervals.{raw} Ranks of areas whose intervals overlap are not certain.",
        f"{n} areas by rank, from {rr['name'].iloc[0]} ({rr['mean'].iloc[0]:.2f}) to {rr['name'].iloc[-1]} "
        f"({rr['mean'].iloc[-1]:.2f}). The interval lies above 1 in {above} areas and below 1 in {below}.",
        result.name,
    )


def _name_ends(axes: Axes, rr: pd.DataFrame, rank: np.ndarray) -> None:
    """Names of the lowest areas above them and of the highest below them, in steps, with leaders."""
    n = len(rr)
    count = min(_NAMED, n // 2)
    quarter = max(n // 4, count)
    low, high = np.log(axes.get_ylim())
    low = min(low, np.log(rr["lower"].min()) - 0.05)
    high = max(high, np.log(np.fmax(rr["upper"], rr["sir"]).max()) + 0.05)
    room = 0.05 * count + 0.04
    ceiling = np.log(np.fmax(rr["upper"], rr["sir"])[:quarter].max())
    ground = np.log(np.fmin(rr["lower"], rr["sir"].where(rr["sir"] > 0))[-quarter:].min())
    high = max(high, low + (ceiling - low) / (1 - room))
    low = min(low, high - (high - ground) / (1 - room))
    axes.set_ylim(np.exp(low), np.exp(high))
    across = axes.get_xaxis_transform()
    for step in range(count):
        for i, height, end, side in (
            (step, 0.98 - 0.05 * step, rr["upper"][step], "left"),
            (n - 1 - step, 0.02 + 0.05 * step, rr["lower"][n - 1 - step], "right"),
        ):
            at = (np.log(end) - low) / (high - low)
            axes.plot([rank[i]] * 2, [at, height], transform=across, color=RULE, linewidth=0.6, zorder=0)
            axes.annotate(
                rr["name"][i],
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
    """Relative risks of each other model against those of the primary one."""
    import matplotlib

    first = rr_table(primary)
    words = []
    with matplotlib.rc_context(RC):
        columns = min(len(others), 2)
        rows = -(-len(others) // columns)
        figure = new_figure(7.4 if columns == 2 else 4.2, 3.8 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel()[len(others) :]:
            axes.set_axis_off()
        for axes, other in zip(grid.ravel(), others, strict=False):
            second = rr_table(other).set_index("area").loc[first["area"]].reset_index()
            words.append(_compare(axes, primary.name, first, other.name, second))
    return NamedFigure(
        "models",
        figure,
        "Relative risks by model",
        "Posterior means of the relative risk, one dot an area; size by expected cases. On the line both "
        f"models say the same. {primary.name} is the primary model; the areas that differ most are named.",
        " ".join(words),
        EVERY_MODEL,
    )


def _compare(axes: Axes, name: str, first: pd.DataFrame, other: str, second: pd.DataFrame) -> str:
    x, y = first["mean"].to_numpy(), second["mean"].to_numpy()
    _log_axis(axes, "both")
    ends = np.array([min(x.min(), y.min()) / 1.4, max(x.max(), y.max()) * 1.2])
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    expected = first["expected"].to_numpy()
    axes.scatter(
        x, y, s=6 + 50 * expected / expected.max(), facecolors="none", edgecolors=BLUE, linewidths=0.9
    )
    gap = np.abs(np.log(y / x))
    named: list[int] = []
    reach = np.log(ends[1] / ends[0])
    for i in np.argsort(-gap)[: 3 * _NAMED]:
        if len(named) < 4 and all(abs(np.log(y[i] / y[j])) > 0.06 * reach for j in named):
            named.append(i)
            right = y[i] < x[i]
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
    axes.set_xlabel(f"RR, {name}")
    axes.set_ylabel(f"RR, {other}")
    most = int(np.argmax(gap))
    return (
        f"{name} and {other} differ most in {first['name'][most]}: {x[most]:.2f} against {y[most]:.2f}; the "
        f"correlation of their log relative risks is {np.corrcoef(np.log(x), np.log(y))[0, 1]:.2f}."
    )


def _log_axis(axes: Axes, which: str) -> None:
    """Logarithmic, labelled with plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ticks = np.outer(10.0 ** np.arange(-4, 5), [1, 1.5, 2, 3, 5, 7]).ravel()
    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if which in (letter, "both"):
            getattr(axes, f"set_{letter}scale")("log")
            axis.set_major_locator(FixedLocator(ticks))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
