"""The polygons of the areas that are mapped, or whose neighbours a model needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.order import folded
from poolmap.tables import nearest_then

if TYPE_CHECKING:
    import geopandas


_SHOWN = 10


def read_polygons(spec: MrpAnalysis, areas: Sequence[str], facts: dict[str, Any]) -> geopandas.GeoDataFrame:
    """The polygons, by the column `area`; what was repaired is noted in the facts.

    Polygons of areas that the census lacks are kept for the map; where a model shares effects between
    neighbours they are left out and named in the facts (`polygons_left_out`).

    Args:
        areas: the levels of the mapped variable in the census, each of which must have a polygon.

    Raises:
        InputError: polygons that cannot be read, areas without one.
    """
    from poolmap.graph.geometry import read_geometry

    column = spec.geometry_area
    geometry = read_geometry(spec.map.geometry, column, spec.map.layer, spec.map.crs)
    drawn = list(geometry.frame["area"])
    absent = [area for area in areas if area not in set(drawn)]
    if absent:
        where = f"{spec.map.geometry}, column '{column}'"
        found = [
            Problem(
                where,
                f"there is no polygon for {spec.map.variable} '{area}' of the census",
                _near(area, [other for other in drawn if other not in set(areas)]),
            )
            for area in absent[:_SHOWN]
        ]
        if len(absent) > _SHOWN:
            found.append(Problem(where, f"the same for {len(absent) - _SHOWN:,} more areas", ""))
        raise InputError(found)
    facts["geometry_findings"] = [asdict(finding) for finding in geometry.findings]
    frame = geometry.frame[["area", "geometry"]]
    if spec.has_graph:
        lived = frame["area"].isin(list(areas))
        facts["polygons_left_out"] = frame.loc[~lived, "area"].tolist()
        frame = frame[lived]
    return frame.reset_index(drop=True)


def _near(area: str, drawn: Sequence[str]) -> str:
    alike = [other for other in drawn if folded(other) == folded(area)]
    remedy = "Spell it alike in both files, or add the polygon"
    return f"did you mean '{alike[0]}'? {remedy}" if alike else nearest_then(area, drawn, remedy)
