"""The raw data of the studies in figures, tables and sentences, whatever the measure."""

from __future__ import annotations

import pandas as pd

from poolmap.config.meta import MEASURES, MetaAnalysis
from poolmap.contracts import Dataset

_HEADINGS = {
    ("events", "total"): "events / total",
    ("events", "time"): "events / person-time",
    ("mean", "sd", "n"): "mean (SD), n",
    ("r", "n"): "pairs",
}


def arm_cells(spec: MetaAnalysis, studies: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and columns of text with each arm's (or the group's) raw data; none for GEN.

    The headings have two lines where there are two arms: the arm's name, and what the numbers are.
    """
    names = MEASURES.get(spec.measure)
    if names is None:
        return [], []
    if not spec.compares_arms:
        return [_HEADINGS[names]], [_column(names, studies)]
    headings, columns = [], []
    for arm, called in enumerate(spec.arms, start=1):
        own = tuple(name for name in names if name.endswith(f"_{arm}"))
        kinds = tuple(name.removesuffix(f"_{arm}") for name in own)
        headings.append(f"{called}\n{_HEADINGS[kinds]}")
        columns.append(_column(own, studies))
    return headings, columns


def _column(names: tuple[str, ...], studies: pd.DataFrame) -> list[str]:
    values = [studies[name] for name in names]
    if len(names) == 3:
        return [f"{mean:,.4g} ({sd:,.4g}), {n:,}" for mean, sd, n in zip(*values, strict=True)]
    if names == ("r", "n"):
        return [f"{n:,}" for n in values[1]]
    return [f"{events:,} / {_amount(size)}" for events, size in zip(*values, strict=True)]


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.4g}"


def totals_in_words(spec: MetaAnalysis, data: Dataset) -> str:
    """A sentence on how much data the studies hold together; "" for GEN."""
    totals = data.facts["totals"]
    if spec.measure not in MEASURES:
        return ""
    if spec.measure == "ZCOR":
        return f" Together they hold {totals['n']:,} pairs of values."
    if not spec.compares_arms:
        return f" Together they count {_total(totals, '')}."
    kind = "count" if "events_1" in totals else "hold"
    return (
        f" Together they {kind} {_total(totals, '_1')} in the arm {spec.arms[0]} and "
        f"{_total(totals, '_2', again=True)} in the arm {spec.arms[1]}."
    )


def _total(totals: dict[str, float], arm: str, *, again: bool = False) -> str:
    if f"n{arm}" in totals:
        return f"{totals[f'n{arm}']:,}" + ("" if again else " people")
    events = f"{totals[f'events{arm}']:,}" + ("" if again else " events")
    if f"total{arm}" in totals:
        return f"{events} among {totals[f'total{arm}']:,}" + ("" if again else " people")
    return f"{events} in {_amount(totals[f'time{arm}'])}" + ("" if again else " units of person-time")


def cells_in_words(spec: MetaAnalysis) -> str:
    """The cells of a study to which something is added where one of them is 0."""
    names = MEASURES[spec.measure]
    if "total_1" in names:
        return "all four cells"
    if "time_1" in names:
        return "the events of both arms"
    return "the events" if "time" in names else "events and non-events"
