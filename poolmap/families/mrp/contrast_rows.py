"""Contrasts as they are shown: in order, and once where groups do not differ in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.arrange import Order, arranged
from poolmap.families.mrp.report_words import by_words, noun

VALUES = ("mean", "lower", "upper")
RATIO = ("median", "lower", "upper")
"""Of a ratio the median is shown: its mean is drawn up by the upper tail."""
ALIKE = 1e-4
"""Share of an interval's width by which numbers that are the same may differ, from sums in another order."""


def forms(spec: MrpAnalysis, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of the table `contrasts` by what they are, `difference` or `ratio`."""
    return {
        form: table[table["quantity"] == f"{noun(spec)}_{form}"].reset_index(drop=True)
        for form in ("difference", "ratio")
    }


def keys_of(spec: MrpAnalysis, table: pd.DataFrame) -> list[str]:
    """The columns that say what a row compares."""
    within = [name for contrast in spec.contrasts for name in contrast.within]
    return [
        name for name in dict.fromkeys(["variable", "first", "second", *within, "answer"]) if name in table
    ]


def compared(
    spec: MrpAnalysis, order: Order, rows: pd.DataFrame, values: Sequence[str] = VALUES
) -> pd.DataFrame:
    """The pairs of each contrast in the order of the groups within which they are, else from high to low.

    A contrast whose numbers are the same in all groups (no interaction lets them differ) has one row.

    Args:
        spec: the analysis; order: of the levels of the variables.
        rows: differences, or ratios, of the table `contrasts`.
        values: columns that must be the same for rows to be one.

    Returns:
        the rows with `contrast` (its number), `pair` (first and second), `place` (the group; "" for all
        people) and `groups` (how many the row stands for). Answers follow each other with the same rows.
    """
    keys = keys_of(spec, rows)
    rows = rows.assign(**{name: rows[name].fillna("").astype(str) for name in keys})
    within = [name for name in keys if name not in ("variable", "first", "second", "answer")]
    own = pd.Series([tuple(n for n in within if row[n]) for row in rows.to_dict("records")], rows.index)
    answers = list(dict.fromkeys(rows["answer"])) if "answer" in rows else [""]
    found = []
    by = [rows["variable"], rows["first"], rows["second"], own.map(":".join)]
    for number, (_, block) in enumerate(rows.groupby(by, sort=False)):
        names = list(own[block.index[0]])
        parts = [block[block["answer"] == answer] if answer else block for answer in answers]
        groups = 1
        if len(parts[-1]) > 1 and all(_is_one(part, values) for part in parts):
            groups = len(parts[-1])
            place = [f"every {by_words(names)} ({groups:,})"]
            parts = [part.head(1) for part in parts]
        else:
            if names:
                last, _ = arranged(spec, order, parts[-1], names)
                parts = [part.set_index(names).reindex(_index(last, names)).reset_index() for part in parts]
            place = parts[-1][names].agg(" / ".join, axis=1).tolist() if names else [""]
        found += [
            part.assign(
                contrast=number,
                place=place,
                groups=groups,
                **{name: block[name].iloc[0] for name in ("variable", "first", "second")},
                **({"answer": answer} if answer else {}),
            )
            for part, answer in zip(parts, answers, strict=True)
        ]
    shown = pd.concat(found, ignore_index=True)
    return shown.assign(pair=shown["first"] + " \N{MINUS SIGN} " + shown["second"])


def labels(rows: pd.DataFrame, *, answers: bool = True, ratio: bool = False) -> list[str]:
    """What each row compares: "female − male, county A, 'yes'"; without the pair where all are of one."""
    alone = not answers and rows["contrast"].nunique() == 1 and (rows["place"] != "").all()
    named = []
    for row in rows.to_dict("records"):
        pair = f"{row['first']} / {row['second']}" if ratio else row["pair"]
        parts = [] if alone else [pair]
        parts += [row["place"]] if row["place"] else []
        parts += [f"'{row['answer']}'"] if answers and "answer" in row else []
        named.append(", ".join(parts))
    return named


def _index(table: pd.DataFrame, names: list[str]) -> pd.Index:
    return pd.Index(table[names[0]]) if len(names) == 1 else pd.MultiIndex.from_frame(table[names])


def _is_one(rows: pd.DataFrame, values: Sequence[str]) -> bool:
    numbers = rows[list(values)].to_numpy(dtype=float)
    width = (rows["upper"] - rows["lower"]).mean()
    return bool(np.isfinite(numbers).all() and (np.ptp(numbers, axis=0) <= ALIKE * width).all())
