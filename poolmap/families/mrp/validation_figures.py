"""Checks by factor, areas left out, and the error to be expected of each group's estimate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import EVERY_MODEL, ModelResult, NamedFigure
from poolmap.families.mrp.arrange import Order, ordered_levels
from poolmap.families.mrp.report_words import by_words, decimals, has_answers, joined, level, noun, value_name
from poolmap.figures.against import Against, draw_against
from poolmap.figures.by_size import Sized, draw_by_size
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.style import BLUE, GREEN, ORANGE

MOST_PANELS = 6
FEWEST = 6  # groups of a panel
MOST_ROWS = 40
OTHERS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))


def factor_figure(spec: MrpAnalysis, result: ModelResult) -> NamedFigure | None:
    """Observed and replicated averages of the levels of each factor; None without the table."""
    table = result.companions.get("predictive_groups")
    if table is None or table.empty:
        return None
    names = list(dict.fromkeys(table["variable"]))
    panels, words = [], []
    for name in names[:MOST_PANELS]:
        of = table[table["variable"] == name]
        columns = [of[c].to_numpy(dtype=float) for c in ("observed", "mean", "lower", "upper")]
        inside = of["inside"].astype(bool).to_numpy()
        what = name.replace("_", " ")
        panels.append(Against("model", f"{what}: {inside.sum()} of {len(of)} inside", *columns, inside))
        words.append(f"{what} {inside.sum()} of {len(of)}")
    every = table[table["variable"].isin(names[:MOST_PANELS])][["observed", "lower", "upper"]]
    low, high = float(every.min().min()), float(every.max().max())
    room = 0.04 * (high - low) or 0.01
    cut = f" The first {MOST_PANELS} of {len(names)} factors." if len(names) > MOST_PANELS else ""
    each = ", an answer at a time" if has_answers(spec) else ""
    figure = draw_against(
        panels,
        x_label="observed, average of the respondents",
        y_label="replicated",
        limits=(low - room, high + room),
        words=("interval holds it", "it does not"),
    )
    return NamedFigure(
        name=f"factors_{result.name}",
        figure=figure,
        title="Observed and replicated, by the levels of each factor",
        caption="Posterior predictive check: the average over the respondents of each level of each factor "
        f"of the varying effects{each}, observed, and in data replicated from the model, with {level(spec)} "
        "intervals; hollow where the interval does not hold what was observed. Replicates are of the same "
        "respondents, so a factor of this model follows its data closely; one that only another model has "
        f"may not.{cut} Model {result.name}.",
        alt=f"Scatter plots of {len(panels)} factors. Levels whose interval holds what was observed: "
        f"{joined(words)}.",
        model=result.name,
    )


def left_out_figure(
    spec: MrpAnalysis, order: Order, results: Mapping[str, ModelResult]
) -> NamedFigure | None:
    """How much better or worse other models predict each area that is left out; None with a single model."""
    tables = {
        name: result.companions["left_out"].drop_duplicates(spec.leave_out).set_index(spec.leave_out)
        for name, result in results.items()
        if "left_out" in result.companions and spec.leave_out in result.companions["left_out"]
    }
    primary = next(iter(results))
    if primary not in tables or len(tables) < 2:
        return None
    others = [name for name in tables if name != primary][: len(OTHERS)]
    differences = pd.DataFrame({name: tables[name]["elpd"] - tables[primary]["elpd"] for name in others})
    away = differences.abs().max(axis=1).sort_values(ascending=False, kind="stable")
    rows = differences.loc[away.index[:MOST_ROWS]].sort_values(others[0], ascending=False, kind="stable")
    rows = rows.loc[
        [v for v in ordered_levels(spec, order, str(spec.leave_out)) if v in rows.index] or rows.index
    ]
    series = [
        Series(name, rows[name].to_numpy(dtype=float), marker=marker, colour=colour)
        for name, (colour, marker) in zip(others, OTHERS, strict=False)
    ]
    area = spec.leave_out.replace("_", " ")
    figure = dot_whisker(
        [Panel([str(v) for v in rows.index], series)],
        x_label=f"log predictive density of the answers of the {area}, less that of {primary}",
        reference=(0.0, primary),
    )
    words = [f"{name} {differences[name].sum():+.1f}" for name in others]
    cut = (
        f" Shown are the {MOST_ROWS} of {len(differences)} that differ most." if len(away) > MOST_ROWS else ""
    )
    return NamedFigure(
        name="left_out",
        figure=figure,
        title=f"Each {area} predicted from the others",
        caption=f"Log predictive density of all answers of a {area}, given the answers of all others "
        "(leave one "
        f"{area} out): other models less the primary model {primary}; to the right of the line the other "
        "model "
        f"predicts better.{cut} Over all together: {joined(words)}.",
        alt=f"Dot plot of {len(rows)} left-out levels of {area}. Sums of differences from {primary}: "
        f"{joined(words)}.",
        model=EVERY_MODEL,
    )


def expected_error_figure(spec: MrpAnalysis, result: ModelResult) -> NamedFigure | None:
    """Root mean square error of each group over simulated surveys, against its respondents."""
    table = result.companions.get("calibration")
    if table is None or table.empty or not (table["surveys"] > 0).any():
        return None
    table = table[table["n_survey"].notna() & table["rmse"].notna()]
    panels, words = [], []
    for grouping in spec.groupings()[1:]:
        of = table[table["grouping"] == spec.table_name(grouping)]
        if len(of) < FEWEST or len(panels) == MOST_PANELS:
            continue
        panels.append(Sized(by_words(grouping), *(of[c].to_numpy(dtype=float) for c in ("n_survey", "rmse"))))
        places = decimals(of["rmse"])
        words.append(
            f"by {by_words(grouping)} {of['rmse'].min():.{places}f} to {of['rmse'].max():.{places}f}, "
            f"median {of['rmse'].median():.{places}f}"
        )
    if not panels:
        return None
    surveys = int(table["surveys"].max())
    each = ", a dot for each answer" if has_answers(spec) else ""
    figure = draw_by_size(
        panels,
        x_label="respondents in the group (log axis)",
        y_label=f"expected error (RMSE) of the {noun(spec)}",
        name="expected error",
        from_zero=True,
    )
    return NamedFigure(
        name=f"expected_error_{result.name}",
        figure=figure,
        title="Expected error of each group's estimate",
        caption=f"Root mean square error of the MrP estimates of the {value_name(spec)} over {surveys} "
        f"surveys simulated from the fitted model and fitted again, against the respondents of the group"
        f"{each}: the error to be expected if the model is right. With {surveys} surveys an error is itself "
        f"known to about {100 / np.sqrt(2 * surveys):.0f}%. Model {result.name}.",
        alt=f"Scatter plots of the expected error against respondents: {'; '.join(words)}.",
        model=result.name,
    )
