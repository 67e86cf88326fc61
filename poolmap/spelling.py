"""Names and their nearest spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def close_to(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that is nearest, if one is near."""
    lower = {str(v).lower(): str(v) for v in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[close[0]] if close else None


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
