"""A second look at a config with mistakes, so that one mistake does not hide the others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from poolmap.config.complaints import Schema
from poolmap.config.yaml_file import Location

FREE = (
    *("title", "question", "seed", "sampling", "interval", "on_failed_checks", "thresholds"),
    *("baseline_risks", "confidence", "arms", "effect", "favours", "exclude", "risk_of_bias", "cumulative"),
)
"""Keys of an analysis on which no other key rests: without them, the rest can be checked."""


def mend(
    content: dict[str, Any], error: ValidationError, schema: Schema
) -> tuple[dict[str, Any], list[Location], dict[Location, Location]]:
    """The config as it is probably meant, for the sake of finding further mistakes; it is never run.

    A misspelt key or value is replaced by the nearest valid one. A wrong value is taken out; of what it
    leaves behind in its section nothing more is said, since it may be a consequence.

    Returns:
        the config; the sections in which further mistakes may be consequences; where misspelt keys stand.
    """
    mended, silent, moved = deepcopy(content), [], {}
    for item in error.errors():
        at = schema.place(item["loc"])
        context, kind = item.get("ctx", {}), item["type"]
        if "conflicts" in context or "at" in context:
            silent.append(at)
            continue
        holder = _holder(mended, at)
        meant = schema.meant(mended, at, kind, item.get("input"), context)
        if kind == "union_tag_invalid" and meant is not None:
            holder[at[-1]]["family"] = meant
        elif kind == "literal_error" and meant is not None and isinstance(holder, dict):
            holder[at[-1]] = meant
        elif kind == "extra_forbidden" and meant is not None and meant not in holder:
            holder[meant] = holder.pop(at[-1])
            moved[*at[:-1], meant] = at
    for item in error.errors():
        at, kind = schema.place(item["loc"]), item["type"]
        if "conflicts" in item.get("ctx", {}) or "at" in item.get("ctx", {}):
            continue
        holder = _holder(mended, at)
        there = isinstance(holder, dict) and at[-1] in holder
        if kind == "missing" and there:
            continue
        if kind in ("literal_error", "union_tag_invalid") and there and holder[at[-1]] != item.get("input"):
            continue
        if kind == "extra_forbidden" and not there:
            continue
        silent += _take_out(mended, at, kind)
    return mended, silent, moved


def _holder(content: Any, at: Location) -> Any:
    for part in at[:-1]:
        inside = isinstance(content, dict) and part in content
        inside |= isinstance(content, list) and isinstance(part, int) and part < len(content)
        if not inside:
            return None
        content = content[part]
    return content


def _take_out(content: dict[str, Any], at: Location, kind: str) -> list[Location]:
    """Take out what is wrong; returns the sections of which nothing more can be said."""
    if at[0] != "analyses":
        content.pop(at[0], None)
        return []
    analyses = content.get("analyses")
    if not isinstance(analyses, dict) or len(at) < 2 or not isinstance(analyses.get(at[1]), dict):
        return [at[:2]]
    entry = analyses[at[1]]
    if len(at) > 2 and at[2] in FREE:
        entry.pop(at[2], None)
        return []
    model = at[:4] if len(at) > 4 and at[2] == "models" else None
    if model is not None and kind != "missing":
        _holder(content, (*model, "")).pop(at[4], None)
        return [model]
    return [at[:2]]
