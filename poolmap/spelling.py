"""Names and their nearest spelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def close_to(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that is nearest, if one is near.

    A name with other numbers is not near, however few its digits that differ: 2025 is another year than 2024,
    and "30-44" another band than "30-34".
    """
    numbers = numbers_in(name)
    valid = [str(v) for v in valid]
    lower = {v.lower(): v for v in valid if not numbers or numbers_in(v) in ([], numbers)}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[close[0]] if close else None


def numbers_in(name: str) -> list[float]:
    """The numbers in a name, without signs: 30 and 44 of "30-44"."""
    return [float(number) for number in _NUMBER.findall(name)]


def nearest(name: str, valid: Iterable[str]) -> str:
    """A sentence with the nearest valid name, or with all of them where none is near."""
    valid = [str(v) for v in valid]
    near = close_to(name, valid)
    if near is not None:
        return f"did you mean '{near}'?"
    listed = ", ".join(valid[:25]) + (" ..." if len(valid) > 25 else "")
    return f"valid names: {listed}"


def nearest_then(name: str, valid: Iterable[str], more: str) -> str:
    """`nearest`, and what else can be done, as sentences; only the latter where nothing is valid."""
    valid = list(valid)
    if not valid:
        return more[:1].lower() + more[1:]
    near = nearest(name, valid)
    return f"{near}{'' if near[-1] in '?.' else '.'} {more}".strip()


def article(noun: str) -> str:
    """The noun with a or an."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
