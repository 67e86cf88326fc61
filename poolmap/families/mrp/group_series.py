"""What is drawn of a group: the kinds of estimate with their marks, and the words on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.report_words import capital, is_share, joined, noun
from poolmap.figures.dot_whisker import Panel, Series
from poolmap.figures.style import BLUE, GOLD, GREEN, MUTED, ORANGE

DIRECT = (
    # kind, marker, colour, size; the largest first, so that smaller markers lie on top
    ("raked", "^", GREEN, 6.5),
    ("weighted", "s", GOLD, 5.5),
    ("raw", "o", MUTED, 4.0),
)
MARKS = {"raw": "small hollow circle", "weighted": "hollow square", "raked": "hollow triangle"}
NOBODY = "MrP, nobody asked"


def direct_kinds(table: pd.DataFrame) -> list[str]:
    """The direct estimates that the table holds; one that equals another is left out."""
    return [kind for kind, twin in _twins(table).items() if twin is None]


def _twins(table: pd.DataFrame) -> dict[str, str | None]:
    """The direct estimates that the table holds, each with an earlier one that it equals."""
    found: dict[str, str | None] = {}
    for kind in ("raw", "weighted", "raked"):
        if kind not in table or table[kind].isna().all():
            continue
        values = table[kind].to_numpy(dtype=float)
        alike = (
            k for k, twin in found.items() if twin is None and np.allclose(values, table[k], equal_nan=True)
        )
        found[kind] = next(alike, None)
    return found


def series_of(whole: pd.DataFrame) -> Callable[[pd.DataFrame], list[Series]]:
    """How rows of this table are drawn: MrP on top of the direct estimates, the truth above all.

    Groups without respondents have a hollow dot.
    """
    direct = direct_kinds(whole)
    some = bool((whole["n_survey"] == 0).any())
    known = "truth" in whole and bool(whole["truth"].notna().any())

    def drawn(part: pd.DataFrame) -> list[Series]:
        def column(name: str) -> np.ndarray:
            return part[name].to_numpy(dtype=float)

        series = [
            Series(kind, column(kind), None, None, marker, colour, False, size)
            for kind, marker, colour, size in DIRECT
            if kind in direct
        ]
        every, nobody = (
            np.stack([column(name) for name in ("mean", "lower", "upper")]),
            column("n_survey") == 0,
        )
        series.append(Series("MrP", *np.where(nobody, np.nan, every), "o", BLUE, size=4.5))
        if some:
            series.append(Series(NOBODY, *np.where(nobody, every, np.nan), "o", BLUE, filled=False, size=4.5))
        if known:
            series.append(Series("truth", column("truth"), marker="x", colour=ORANGE, size=5))
        return series

    return drawn


def marks_of(spec: MrpAnalysis, panels: Sequence[Panel]) -> list[str]:
    """What the marks other than MrP's are."""
    shown = [series.label for series in panels[0].series]
    marks = [f"{MARKS[kind]}: {kind} {noun(spec)} of the sample" for kind in MARKS if kind in shown]
    return [*marks, *([f"cross: the known {noun(spec)}"] if "truth" in shown else [])]


def sample_words(spec: MrpAnalysis, table: pd.DataFrame, *, sizes: bool, hollow: bool = True) -> str:
    """Sentences on the sample: its sizes, groups without respondents, estimates that are drawn once.

    Args:
        table: a row a group (of one answer).
        sizes: whether they stand in brackets; hollow: whether groups without respondents have hollow dots.
    """
    text = ""
    if sizes and table["n_survey"].notna().all():
        text += " In brackets the number of respondents."
    unseen = int((table["n_survey"] == 0).sum())
    if unseen:
        who = "1 group is" if unseen == 1 else f"{unseen} groups are"
        text += f" {who} not in the sample{' (hollow dot)' * hollow}: only the model speaks there."
    for twin in dict.fromkeys(_twins(table).values() if hollow else ()):
        if twin is not None:
            same = [kind for kind, other in _twins(table).items() if other == twin]
            text += f" {capital(joined(same))} {noun(spec)}s equal the {twin} ones and are not drawn again."
    return text


def with_sizes(names: Sequence[str], sizes: pd.Series) -> list[str]:
    """Names of groups with their number of respondents in brackets, where it is known."""
    return [
        f"{name} ({size:,.0f})" if np.isfinite(size) else str(name)
        for name, size in zip(names, sizes, strict=True)
    ]


def limits_of(spec: MrpAnalysis, panels: Sequence[Panel]) -> tuple[float, float]:
    """Ends of the scale: everything that is drawn."""
    ends = [
        values
        for panel in panels
        for series in panel.series
        for values in (series.values, series.lower, series.upper)
        if values is not None
    ]
    low, high = np.nanmin(np.concatenate(ends)), np.nanmax(np.concatenate(ends))
    room = 0.03 * (high - low) or 0.01
    if is_share(spec):
        return max(low - room, -0.02), min(high + room, 1.02)
    return low - room, high + room
