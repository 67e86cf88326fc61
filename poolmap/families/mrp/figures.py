"""Figures of multilevel regression and poststratification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.mrp.accuracy import KINDS, accuracy
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.style import BLUE, GOLD, INK, MUTED, ORANGE, RC, RULE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 120  # of one figure; beyond it the tables tell more than dots
TWO_COLUMNS = 30


def figures(spec: MrpAnalysis, data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """For every model: dots and whiskers of each grouping, the map, and the estimates against the truth.

    Args:
        spec: the analysis.
        data: from `ingest`, with the polygons where there is a map.
        results: the fitted models by name.
    """
    made = []
    for result in results.values():
        for grouping in spec.groupings()[1:]:
            table = share_table(result, spec.table_name(grouping))
            if table is None:
                continue
            made += _dots(spec, result, grouping, table)
            if spec.map is not None and grouping == (spec.map.variable,) and data.geometry is not None:
                made.append(_map(spec, data, result, table))
            if "truth" in table and table["truth"].notna().sum() >= 10:
                made.append(_against_truth(spec, result, grouping, table))
    return made


def share_table(result: ModelResult, name: str) -> pd.DataFrame | None:
    """The shares of one grouping, or None where no group has people."""
    table = result.estimates.get(name)
    return None if table is None else table[table["quantity"] == "share"].reset_index(drop=True)


def share_name(spec: MrpAnalysis) -> str:
    """What the share is a share of, in words."""
    return f"share of {spec.outcome_name or f'{spec.outcome.column}: {spec.outcome.positive}'}"


def group_names(table: pd.DataFrame, grouping: tuple[str, ...]) -> pd.Series:
    """A name for each group."""
    return table[list(grouping)].agg(" / ".join, axis=1)


def _series(table: pd.DataFrame) -> list[Series]:
    """The kinds of estimate that the table holds, MrP last so that it lies on top; the truth above it."""

    def column(name: str) -> np.ndarray:
        return table[name].to_numpy(dtype=float)

    series = []
    if table["raw"].notna().any():
        series.append(Series("raw share", column("raw"), marker="o", colour=MUTED, filled=False, size=4))
    if "weighted" in table and not np.allclose(column("weighted"), column("raw"), equal_nan=True):
        weighted = column("weighted")
        series.append(Series("weighted share", weighted, marker="s", colour=GOLD, filled=False, size=5.5))
    series.append(Series("MrP", column("mean"), column("lower"), column("upper"), "o", BLUE, size=4.5))
    if "truth" in table and table["truth"].notna().any():
        series.append(Series("truth", column("truth"), marker="x", colour=ORANGE, size=5))
    return series


def _dots(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> list[NamedFigure]:
    panels, same_rows = _panels(grouping, table)
    if sum(len(panel.labels) for panel in panels) > MOST_ROWS * len(panels):
        return []
    total = share_table(result, "total")
    figure = dot_whisker(
        panels,
        x_label=share_name(spec),
        x_limits=(-0.02, 1.02),
        same_rows=same_rows,
        reference=(float(total["mean"].iloc[0]), "MrP, total"),
    )
    names = group_names(table, grouping)
    by = table["mean"].to_numpy()
    low, high = int(by.argmin()), int(by.argmax())
    marks = "dot and line: MrP with its " + _level(spec) + " interval; hollow circle: raw sample share"
    if any(series.label == "weighted share" for series in panels[0].series):
        marks += "; hollow square: weighted share"
    if any(series.label == "truth" for series in panels[0].series):
        marks += "; cross: the known share"
    counts = " The size of the sample stands in brackets." if not same_rows else ""
    unseen = int((table["n_survey"] == 0).sum())
    who = "1 group is" if unseen == 1 else f"{unseen} groups are"
    alone = f" {who} not in the sample: only the model speaks there." if unseen else ""
    if any(series.label == "truth" for series in panels[0].series):
        alone += (
            " The interval is that of the expected share; the share in a small finite population varies more."
        )
    return [
        NamedFigure(
            name=f"share_{spec.table_name(grouping)}_{result.name}",
            figure=figure,
            title=f"By {_words(grouping)}",
            caption=f"{_capital(share_name(spec))} by {_words(grouping)}, sorted by the model's estimate. "
            f"{_capital(marks)}; dashed: MrP estimate of the total.{counts}{alone} Model {result.name}.",
            alt=f"Dot plot of {len(table)} groups. MrP estimates run from {_share(table, low)} in "
            f"{names[low]} to {_share(table, high)} in {names[high]}; the total is "
            f"{_share(total, 0)}.",
            model=result.name,
        )
    ]


def _panels(grouping: tuple[str, ...], table: pd.DataFrame) -> tuple[list[Panel], bool]:
    """One panel, two columns of a long list, or a panel for each level of the shortest variable."""
    levels = table[list(grouping)].nunique().sort_values()
    if len(grouping) == 2 and levels.iloc[0] <= 4 and len(table) > 12:
        across, down = levels.index
        order = table.groupby(down)["mean"].mean().sort_values(ascending=False).index
        panels = []
        for level, part in table.groupby(across):
            rows = part.set_index(down).reindex(order).reset_index()
            panels.append(Panel(list(order), _series(rows), str(level)))
        return panels, True
    table = table.sort_values("mean", ascending=False, ignore_index=True)
    labels = group_names(table, grouping)
    if table["n_survey"].notna().all():
        labels = labels + table["n_survey"].map(lambda n: f" ({n:.0f})")
    columns = 2 if len(table) > TWO_COLUMNS else 1
    size = -(-len(table) // columns)
    parts = [table.iloc[start : start + size] for start in range(0, len(table), size)]
    return [Panel(labels[part.index].tolist(), _series(part)) for part in parts], False


def _map(spec: MrpAnalysis, data: Dataset, result: ModelResult, table: pd.DataFrame) -> NamedFigure:
    """Estimates and the width of their intervals side by side on the polygons."""
    from poolmap.figures.choropleth import MapPanel, draw_maps
    from poolmap.figures.scales import sequential_scale

    variable = spec.map.variable
    rows = table.set_index(variable)
    mean = rows["mean"].reindex(data.geometry["area"]).to_numpy(dtype=float)
    width = (rows["upper"] - rows["lower"]).reindex(data.geometry["area"]).to_numpy(dtype=float)
    level = _level(spec)
    figure = draw_maps(
        data.geometry,
        [
            MapPanel("Estimate", mean, sequential_scale(share_name(spec), mean)),
            MapPanel("Uncertainty", width, sequential_scale(f"width of the {level} interval", width)),
        ],
        missing_label="not in the census",
    )
    low, high = int(table["mean"].argmin()), int(table["mean"].argmax())
    none = int(np.isnan(mean).sum())
    hatched = f" {none} areas of the map are not in the census and are hatched." if none > 1 else ""
    hatched = " One area of the map is not in the census and is hatched." if none == 1 else hatched
    return NamedFigure(
        name=f"map_{spec.table_name((variable,))}_{result.name}",
        figure=figure,
        title=f"Map by {_words((variable,))}",
        caption=f"MrP estimates of the {share_name(spec)} (posterior mean), and the width of their {level} "
        f"intervals: the wider, the less the data say.{hatched} Model {result.name}.",
        alt=f"Two maps of {len(mean)} areas. The estimated share runs from {_share(table, low)} in "
        f"{table[variable][low]} to {_share(table, high)} in {table[variable][high]}; intervals are "
        f"{np.nanmin(width):.2f} to {np.nanmax(width):.2f} wide.",
        model=result.name,
    )


def _against_truth(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure:
    """Each kind of estimate against the known share, with its interval."""
    import matplotlib

    kinds = [kind for kind in ("raw", "weighted", "model") if KINDS[kind][0] in table]
    looks = {"raw": ("o", MUTED), "weighted": ("s", GOLD), "model": ("o", BLUE)}
    with matplotlib.rc_context(RC):
        figure: Figure = new_figure(7.5, 3.1 if len(kinds) == 3 else 4)
        axes = figure.subplots(1, len(kinds), sharex=True, sharey=True)
        for axis, kind in zip(axes, kinds, strict=True):
            value, lower, upper, name = KINDS[kind]
            if kind == "model" and "predicted_lower" in table:
                _, lower, upper, _ = KINDS["predicted"]
            marker, colour = looks[kind]
            sampled = table["n_survey"].to_numpy() > 0
            axis.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=1)
            axis.vlines(table["truth"], table[lower], table[upper], color=RULE, lw=1.1, zorder=1.5)
            for rows, filled in ((sampled, True), (~sampled, False)):
                if table.loc[rows, value].notna().any():
                    axis.plot(
                        table.loc[rows, "truth"],
                        table.loc[rows, value],
                        ls="",
                        marker=marker,
                        markersize=3.8,
                        markeredgecolor=colour,
                        markerfacecolor=colour if filled else "white",
                        label="in the sample" if filled else "not in the sample",
                        zorder=2,
                    )
            axis.set_title(_capital(name), loc="left", fontweight="bold")
            axis.set_aspect("equal")
            axis.set_xlim(-0.04, 1.04)
            axis.set_ylim(-0.04, 1.04)
        handles, labels = axes[-1].get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(handles, labels, loc="outside upper right", ncols=2)
        axes[0].set_ylabel("estimate")
        figure.supxlabel("known share", fontsize=9, color=INK)
    words = _scores(table, _level(spec))
    drawn = (
        "the interval of MrP is that for the finite population, as the known shares are"
        if "predicted_lower" in table
        else "the interval of MrP is that of the expected share"
    )
    return NamedFigure(
        name=f"truth_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"Estimates against the truth, by {_words(grouping)}",
        caption=f"Estimate against known {share_name(spec)} of each group, with {_level(spec)} intervals; on "
        f"the dashed line they agree; {drawn}. {words} Model {result.name}.",
        alt=f"Scatter plots of estimates against the truth. {words}",
        model=result.name,
    )


def _scores(table: pd.DataFrame, level: str) -> str:
    """Errors and coverage in words; the table of the report has the rest."""
    scores = accuracy(table)
    sentences = []
    for where, rows in scores.groupby("where", sort=False):
        rows = rows.set_index("kind")
        model = "predicted" if "predicted" in rows.index else "model"
        kinds = [kind for kind in ("raw", "weighted", model) if kind in rows.index]
        names = {"raw": "raw", "weighted": "weighted", model: "MrP"}

        def listed(column: str, kinds=kinds, names=names, rows=rows) -> str:
            return ", ".join(f"{names[kind]} {rows.at[kind, column]:.3f}" for kind in kinds)

        covered = ", ".join(
            f"{names[kind]} {rows.at[kind, 'covered']} of {rows.at[kind, 'intervals']}" for kind in kinds
        )
        who = "in" if where == "sampled" else "not in"
        sentences.append(
            f"Over the {rows.at[model, 'groups']} groups {who} the sample the root mean square error is: "
            f"{listed('rmse')}; the mean absolute error: {listed('mae')}; {level} intervals that hold the "
            f"truth: {covered}."
        )
    return " ".join(sentences)


def _share(table: pd.DataFrame, row: int) -> str:
    at = table.iloc[row]
    return f"{at['mean']:.2f} ({at['lower']:.2f} to {at['upper']:.2f})"


def _words(grouping: tuple[str, ...]) -> str:
    return " and ".join(variable.replace("_", " ") for variable in grouping)


def _level(spec: MrpAnalysis) -> str:
    return f"{100 * spec.interval:g}%"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
