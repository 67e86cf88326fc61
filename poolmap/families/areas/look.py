"""Ids of areas in the config that the table does not have, told before anything is run."""

from __future__ import annotations

from poolmap.config.areas import AreasAnalysis
from poolmap.config.conflicts import Conflict
from poolmap.errors import InputError
from poolmap.tables import nearest, read_table


def look(spec: AreasAnalysis, files: bool) -> list[Conflict]:
    """With `files`: areas in `contrasts`, `graph.join` and `graph.cut` that are not in the table.

    A table with mistakes is not told of here, but by `ingest`, where other analyses can go on.
    """
    named = {"contrasts": spec.contrasts, "graph.join": spec.graph.join, "graph.cut": spec.graph.cut}
    if not files or not any(named.values()):
        return []
    try:
        frame = read_table(spec.data).frame
    except InputError:
        return []
    if spec.area not in frame:
        return []
    ids = dict.fromkeys(frame[spec.area])
    return [
        Conflict(key, f"'{area}' is not an area of the map", nearest(area, list(ids)))
        for key, pairs in named.items()
        for area in dict.fromkeys(area for pair in pairs for area in pair)
        if area not in ids
    ]
