"""What the report says of the polygons and the graph: what was found, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from poolmap.contracts import Block, Dataset, ReportTable
from poolmap.families.areas.words import counted, listed, names

if TYPE_CHECKING:
    from poolmap.graph.graph import Graph

_GRAPH = "What was found about the graph: pairs changed by hand, and parts of the map that lie apart."
_POLYGONS = "What was found about the polygons, area by area, and what was done."
_DECISIONS = {
    "repaired": ("polygon was invalid and is repaired", "polygons were invalid and are repaired"),
    "only the polygons kept": (
        "feature had points or lines, which are left out",
        "features had points or lines, which are left out",
    ),
    "left out of the map": (
        "feature has no ground and is left out of the map",
        "features have no ground and are left out of the map",
    ),
    "taken for the parts of one area": (
        "area was drawn as several features, which are joined",
        "areas were drawn as several features, which are joined",
    ),
    "kept; check the boundaries": (
        "pair of areas overlaps and is kept as it is",
        "pairs of areas overlap and are kept as they are",
    ),
}
"""What was decided, by the beginning of a finding's action, of one and of several."""


def map_blocks(data: Dataset) -> list[Block]:
    """The polygons with their repairs, area by area, and the graph with what was found about it."""
    blocks: list[Block] = _polygons(data)
    if data.graph is not None:
        blocks.append(_graph(data))
        if data.graph.findings:
            title = (
                "What was found about the graph: pairs changed by hand, and parts of the map that lie apart."
            )
            blocks.append(_table(data, [asdict(finding) for finding in data.graph.findings], title))
    return blocks


def _polygons(data: Dataset) -> list[Block]:
    findings = data.facts["geometry"]
    if not findings:
        return ["All polygons are valid: nothing in the map was changed."]
    parts = []
    for action, (one, several) in _DECISIONS.items():
        number = sum(finding["action"].startswith(action) for finding in findings)
        if number:
            parts.append(f"{number:,} {one if number == 1 else several}")
    rest = [finding for finding in findings if not finding["action"].startswith(tuple(_DECISIONS))]
    parts += [f"{finding['finding']}: {finding['action']}" for finding in rest]
    text = f"The polygons were checked: {'; '.join(parts)}. Counts are not touched by this."
    return [
        text,
        _table(data, findings, _POLYGONS),
    ]


def _table(data: Dataset, findings: Sequence[Mapping[str, Any]], caption: str) -> ReportTable:
    """The findings with the areas' names; one about the whole map says so."""
    areas = data.tables["areas"].set_index("area")["name"]

    def who(area: str) -> str:
        name = str(areas.get(area, area))
        return "the whole map" if not area else name if name == area else f"{name} ({area})"

    frame = pd.DataFrame(
        [[who(finding["area"]), finding["finding"], finding["action"]] for finding in findings],
        columns=["area", "found", "done"],
    )
    return ReportTable(frame, caption)


def _graph(data: Dataset) -> str:
    graph: Graph = data.graph
    sizes = graph.component_sizes
    neighbours = graph.n_neighbours
    text = (
        f"Neighbours are {graph.rule}: {len(graph.edges)} pairs, "
        f"{neighbours.min()} to {neighbours.max()} neighbours an area (mean {neighbours.mean():.1f}). "
    )
    connected = sizes[sizes > 1]
    factors = [f"{factor:.3f}" for factor in graph.scaling[sizes > 1]]
    if graph.n_components == 1:
        return f"{text}The graph is connected; its scaling factor is {factors[0]}."
    text += (
        f"The graph has {counted(len(connected), 'connected component')} of "
        f"{listed(map(str, connected))} areas (scaling factor {listed(factors)})"
    )
    if not graph.islands:
        return f"{text}."
    islands = names(data.tables["areas"], graph.islands)
    return f"{text} and {counted(len(islands), 'area')} without neighbours: {listed(islands)}."
