"""Small words of the report on a map: lists, names of areas, numbers of things."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

_LISTED = 12


def names(areas: pd.DataFrame, ids: Iterable[str]) -> list[str]:
    """The names of these areas."""
    return areas.set_index("area").loc[list(ids), "name"].tolist()


def counted(number: int, word: str) -> str:
    """`1 area`, `2 areas`."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def listed(items: Iterable[str]) -> str:
    """The items in words, the first few where they are many."""
    items = list(items)
    if len(items) > _LISTED:
        return f"{', '.join(items[:_LISTED])} and {len(items) - _LISTED} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def probability(value: float) -> str:
    """Of an event, never quite 0 or 1."""
    return "> 0.999" if value > 0.999 else "< 0.001" if value < 0.001 else f"{value:.3f}"
