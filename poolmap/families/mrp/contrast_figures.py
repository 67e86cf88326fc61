"""Figures of the groups that the config compares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import ModelResult, NamedFigure
from poolmap.families.mrp.arrange import Order
from poolmap.families.mrp.contrast_rows import RATIO, VALUES, compared, forms, labels
from poolmap.families.mrp.report_words import capital, decimals, fixed, is_share, level, noun, value_name
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.style import BLUE

MINUS = "\N{MINUS SIGN}"
MOST_ROWS = 80
MOST_ACROSS = 4  # panels in a line


def contrast_figures(spec: MrpAnalysis, order: Order, result: ModelResult) -> list[NamedFigure]:
    """Differences, and ratios, of the groups that the config compares; a panel for each answer."""
    table = result.estimates.get("contrasts")
    if table is None:
        return []
    return [
        _contrasts(spec, result, compared(spec, order, rows, RATIO if form == "ratio" else VALUES), form)
        for form, rows in forms(spec, table).items()
        if len(rows)
    ]


def _contrasts(spec: MrpAnalysis, result: ModelResult, rows: pd.DataFrame, form: str) -> NamedFigure:
    ratio = form == "ratio"
    null, middle = (1.0, "median") if ratio else (0.0, "mean")
    answers = list(dict.fromkeys(rows["answer"])) if "answer" in rows else [""]
    parts = [rows[rows["answer"] == answer] if answer else rows for answer in answers]
    cut, shown = "", np.arange(len(parts[0]))
    if len(shown) > MOST_ROWS:
        means = np.stack([part[middle].to_numpy(dtype=float) for part in parts])
        away = np.nanmax(np.abs(np.log(means) if ratio else means), axis=0)
        shown = np.sort(np.argsort(-away, kind="stable")[:MOST_ROWS])
        cut = (
            f" Shown are the {MOST_ROWS} of {len(away):,} that are farthest from no difference; all stand in "
            "contrasts.csv."
        )
    parts = [part.iloc[shown].reset_index(drop=True) for part in parts]
    names = labels(parts[0], answers=False, ratio=ratio)
    pairs = [
        f"{a} {'/' if ratio else MINUS} {b}"
        for a, b in rows[["first", "second"]].drop_duplicates().itertuples(index=False)
    ]
    about = f" ({pairs[0]})" if len(pairs) == 1 else ""
    several = len(answers) > 1
    figure = dot_whisker(
        [
            Panel(names, _series(part, null, middle), str(answer))
            for part, answer in zip(parts, answers, strict=True)
        ],
        x_label=f"{form}{about} of the {value_name(spec)}" + (", log axis" if ratio else ""),
        reference=(null, "no difference"),
        same_rows=several,
        across=(len(answers) if len(answers) <= MOST_ACROSS else 3) if several else None,
        log=ratio,
    )
    drawn = pd.concat(parts, ignore_index=True).dropna(subset=middle)
    clear = ((drawn["lower"] > null) | (drawn["upper"] < null)).sum()
    places = decimals(drawn["upper"] - drawn["lower"], 2 if is_share(spec) or ratio else 0)
    at = int((drawn[middle] - null).abs().argmax())
    mean, lower, upper = (fixed(drawn[column].iloc[at], places) for column in (middle, "lower", "upper"))
    once = (
        f" Where the model lets no group differ in the {form}, it stands once, with the number of groups."
        if (rows["groups"] > 1).any()
        else ""
    )
    words = about.strip(" ()") or ("first over second" if ratio else "first less second")
    panels = ", a panel for each answer" if several else ""
    return NamedFigure(
        name=f"contrasts_{form}_{result.name}",
        figure=figure,
        title="Groups compared: " + ("ratios" if ratio else "differences"),
        caption=f"{capital(form)} of the {value_name(spec)}, {words}{panels}, each group with its own "
        f"composition. Dots: posterior {middle}s; lines: {level(spec)} intervals, hollow where they hold no "
        f"difference; dashed line: no difference.{once}{cut} Model {result.name}.",
        alt=f"Dot plot of {len(drawn)} {form}s of {noun(spec)}s; the interval of {int(clear)} leaves out no "
        f"difference. The farthest from it is {labels(drawn, ratio=ratio)[at]}: {mean} ({lower} to {upper}).",
        model=result.name,
    )


def _series(rows: pd.DataFrame, null: float, middle: str) -> list[Series]:
    """Filled where the interval leaves out no difference, else hollow."""
    every = rows[[middle, "lower", "upper"]].to_numpy(dtype=float)
    clear = ((rows["lower"] > null) | (rows["upper"] < null)).to_numpy()
    return [
        Series(label, *np.where(chosen[:, None], every, np.nan).T, "o", BLUE, filled=filled, size=5.5)
        for label, chosen, filled in (
            ("MrP", clear, True),
            ("MrP, interval holds no difference", ~clear, False),
        )
        if chosen.any()
    ]
