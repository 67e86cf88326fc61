"""What the model does: shrinkage by sample size, what each term contributes, models compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import EVERY_MODEL, ModelResult, NamedFigure
from poolmap.families.mrp.differences import model_differences
from poolmap.families.mrp.parameters import SCALE
from poolmap.families.mrp.report_words import (
    by_words,
    capital,
    decimals,
    estimates_of_grouping,
    has_answers,
    joined,
    level,
    noun,
    term_words,
    value_name,
)
from poolmap.figures.against import Against, draw_against
from poolmap.figures.by_size import LONGEST, Sized, draw_by_size
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.style import BLUE

FEWEST_GROUPS, MOST_GROUPS = 8, 500  # between which shrinkage is drawn
MOST_TERMS = 40
MOST_MODELS = 6


def shrinkage_figure(
    spec: MrpAnalysis, result: ModelResult, grouping: tuple[str, ...], table: pd.DataFrame
) -> NamedFigure | None:
    """Raw and MrP estimates against the size of the sample; None for few groups, or without raw ones."""
    answers = list(dict.fromkeys(table["answer"])) if has_answers(spec) else [""]
    groups = len(table) // len(answers)
    if (
        not FEWEST_GROUPS <= groups <= MOST_GROUPS
        or table["n_survey"].isna().any()
        or table["raw"].isna().all()
    ):
        return None
    total = estimates_of_grouping(spec, result, ())
    panels, pulled = [], []
    for i, answer in enumerate(answers):
        of = table[table["answer"] == answer] if answer else table
        panels.append(
            Sized(
                str(answer),
                *(of[name].to_numpy(dtype=float) for name in ("n_survey", "mean", "lower", "upper", "raw")),
                None if total is None else float(total["mean"].iloc[i]),
            )
        )
        asked = of[of["n_survey"] > 0]
        spread = asked["mean"].std() / asked["raw"].std() if asked["raw"].std() > 0 else np.nan
        if np.isfinite(spread):
            pulled.append((answer, spread))
    figure = draw_by_size(
        panels,
        x_label="respondents in the group (log axis)",
        y_label=value_name(spec),
        raw=f"raw {noun(spec)}",
    )
    lines = (
        f"; lines: {level(spec)} intervals"
        if groups <= LONGEST
        else ", without intervals, which would hide them"
    )
    unseen = (
        " Groups without respondents stand at the left, above 0." if (table["n_survey"] == 0).any() else ""
    )
    if len(np.unique(table["n_survey"])) < groups:
        unseen += " Groups with the same number stand side by side."
    spreads = "; ".join(
        f"{f'{answer!r}: ' if answer else ''}the standard deviation of the MrP estimates between the "
        "groups in "
        f"the sample is {spread:.0%} of that of the raw ones"
        for answer, spread in pulled
    )
    return NamedFigure(
        name=f"shrinkage_{spec.table_name(grouping)}_{result.name}",
        figure=figure,
        title=f"Shrinkage and sample size, by {by_words(grouping)}",
        caption=f"{capital(value_name(spec))} against the number of respondents. Rings: raw {noun(spec)} "
        "of the "
        f"sample; dots, joined to them: MrP (posterior mean){lines}; dashed line: MrP estimate of the total. "
        "The fewer respondents a group has, the more its estimate is drawn towards what the model predicts "
        f"from the rest.{unseen} Model {result.name}.",
        alt=f"Scatter plot of {groups:,} groups by respondents, {table['n_survey'].min():,.0f} to "
        f"{table['n_survey'].max():,.0f}. {capital(spreads)}.",
        model=result.name,
    )


def contribution_figure(spec: MrpAnalysis, result: ModelResult) -> NamedFigure | None:
    """The standard deviation of what each term adds to the linear predictor, largest first."""
    table = result.estimates.get("contributions")
    if table is None or table.empty:
        return None
    order = table.groupby("term", sort=False)["mean"].max().sort_values(ascending=False, kind="stable")
    terms = list(order.index[:MOST_TERMS])
    cut = f" The {MOST_TERMS} largest of {len(order)} terms." if len(order) > MOST_TERMS else ""
    answers = list(dict.fromkeys(table["answer"])) if "answer" in table else [""]
    panels = []
    for answer in answers:
        of = (table[table["answer"] == answer] if answer else table).set_index("term").reindex(terms)
        values = (of[name].to_numpy(dtype=float) for name in ("mean", "lower", "upper"))
        series = Series(f"posterior mean, {level(spec)} interval", *values, "o", BLUE)
        against = f"{answer} against {_reference(spec, result)}" if answer else ""
        panels.append(Panel([term_words(term) for term in terms], [series], against))
    figure = dot_whisker(
        panels,
        x_label=f"standard deviation, {SCALE[spec.outcome.kind]}",
        x_limits=(0.0, float(table["upper"].max()) * 1.04),
        same_rows=len(panels) > 1,
        across=3 if len(panels) > 3 else None,
    )
    places = decimals(table["upper"] - table["lower"], 1)
    row = table.loc[table["mean"].idxmax()]
    values = [f"{row[name]:.{places}f}" for name in ("mean", "lower", "upper")]
    of = f" (answer '{row['answer']}')" if "answer" in table else ""
    return NamedFigure(
        name=f"contributions_{result.name}",
        figure=figure,
        title="What each term contributes",
        caption="Standard deviation of what each term adds to the linear predictor "
        f"({SCALE[spec.outcome.kind]}): of varying effects over their levels in the census, of a predictor "
        "over the people (Gelman 2005). Dots: posterior means; lines: "
        f"{level(spec)} intervals.{cut} Model {result.name}.",
        alt=f"Dot plot of {len(terms)} terms. The largest is {term_words(row['term'])}{of}: {values[0]} "
        f"({values[1]} to {values[2]}).",
        model=result.name,
    )


def _reference(spec: MrpAnalysis, result: ModelResult) -> str:
    total = estimates_of_grouping(spec, result, ())
    return "the first answer" if total is None else f"'{total['answer'].iloc[0]}'"


def models_figure(
    spec: MrpAnalysis, results: Mapping[str, ModelResult], grouping: tuple[str, ...]
) -> NamedFigure | None:
    """The groups' estimates by each further model against the primary one's."""
    found = model_differences(spec, results)
    if found.empty:
        return None
    found = found[found["grouping"] == spec.table_name(grouping)]
    if len(found) < 3:
        return None
    primary = next(iter(results))
    panels, words = [], []
    for name in list(dict.fromkeys(found["model"]))[:MOST_MODELS]:
        of = found[found["model"] == name].reset_index(drop=True)
        asked = (
            (of["n_survey"] > 0).to_numpy() if of["n_survey"].notna().all() else np.ones(len(of), dtype=bool)
        )
        nothing = np.full(len(of), np.nan)
        values = of["primary"].to_numpy(dtype=float), of["other"].to_numpy(dtype=float)
        panels.append(Against("model", name, *values, nothing, nothing, asked))
        at = of.loc[of["difference"].abs().idxmax()]
        group = at["group"] + (f" ('{at['answer']}')" if "answer" in of else "")
        words.append(
            f"{name} differs by {of['difference'].abs().mean():.3g} on average, most in {group} "
            f"({at['difference']:+.3g})"
        )
    both = found[["primary", "other"]].to_numpy(dtype=float)
    room = 0.04 * (both.max() - both.min()) or 0.01
    limits = float(both.min() - room), float(both.max() + room)
    figure = draw_against(
        panels, x_label=f"{value_name(spec)}, model {primary}", y_label="other model", limits=limits
    )
    return NamedFigure(
        name=f"models_{spec.table_name(grouping)}",
        figure=figure,
        title=f"Models compared, by {by_words(grouping)}",
        caption=f"MrP estimates (posterior means) of the {value_name(spec)} by each other model against "
        "those of "
        f"the primary model {primary}, a dot a group; on the dashed line both say the same. Hollow: groups "
        "without respondents. No intervals are drawn.",
        alt=f"Scatter plots of {len(panels)} other models against {primary}. {capital(joined(words))}.",
        model=EVERY_MODEL,
    )
