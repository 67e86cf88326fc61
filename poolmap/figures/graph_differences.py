"""Maps of the pairs of neighbours in which graphs of the same areas differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.figures.choropleth import frame_insets, outline
from poolmap.figures.geography import lay_out
from poolmap.figures.style import BLUE, INK, ORANGE, RC, new_figure

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.figure import Figure

_WIDTH = 7.4
_FILL, _BORDER, _CHANGED = "#f3f4f6", "#c9ced6", "#f5d98b"
_KEPT = "#a3aab4"
_MANY = 1500


@dataclass(frozen=True, eq=False)
class Difference:
    """One map: another graph against the chosen one.

    Attributes:
        title: above the map.
        kept, gained, lost: (m, 2) pairs of rows of the frame: in both graphs, in the other only, in the
            chosen one only.
        changed: (n,) areas whose conclusion is another.
    """

    title: str
    kept: NDArray[np.int64]
    gained: NDArray[np.int64]
    lost: NDArray[np.int64]
    changed: NDArray[np.bool_]


def draw_differences(frame: gpd.GeoDataFrame, maps: Sequence[Difference], changed_label: str) -> Figure:
    """A map a graph, two in a row: pairs gained (solid), lost (dashed), kept (thin); changed areas hatched.

    Args:
        frame: one row an area, with `geometry`.
        maps: at least one.
        changed_label: what a hatched area is, for the legend.
    """
    import matplotlib
    import shapely
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    layout = lay_out(frame, len(maps))
    polygons = layout.polygons
    outlines = [outline(polygon) for polygon in polygons]
    points = shapely.get_coordinates(shapely.point_on_surface(polygons))
    west, south, east, north = layout.box
    columns = min(len(maps), 2)
    rows = math.ceil(len(maps) / columns)
    tall = float(np.clip(_WIDTH / columns * (north - south) / (east - west), 1.2, 5.0))
    many = len(polygons) > _MANY
    heavy, light = (0.8, 0.15) if many else (1.3, 0.5)
    with matplotlib.rc_context({**RC, "hatch.linewidth": 0.6}):
        figure = new_figure(_WIDTH, rows * (tall + 0.35) + 0.5)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, one in zip(grid, maps, strict=False):
            axes.set_aspect("equal")
            axes.set_title(one.title, loc="left", fontsize=8)
            areas = {"edgecolor": _BORDER, "linewidth": 0.1 if many else 0.4, "rasterized": many}
            axes.add_collection(PathCollection(outlines, facecolor=_FILL, **areas))
            changed = [outlines[i] for i in np.flatnonzero(one.changed)]
            hatch = None if many else "////"
            axes.add_collection(PathCollection(changed, facecolor=_CHANGED, hatch=hatch, edgecolor=INK))
            border = {"facecolor": "none", "edgecolor": INK, "linewidth": 0.9, "zorder": 5}
            axes.add_collection(PathCollection(changed, **border))
            for pairs, colour, style, width in (
                (one.kept, _KEPT, "-", light),
                (one.lost, ORANGE, (0, (2.5, 1.2)), heavy),
                (one.gained, BLUE, "-", heavy),
            ):
                lines = LineCollection(
                    points[pairs], colors=colour, linestyles=[style], linewidths=width, rasterized=many
                )
                axes.add_collection(lines)
            frame_insets(axes, layout)
            axes.set_xlim(west, east)
            axes.set_ylim(south, north)
            axes.margins(0.02)
        handles = [
            Line2D([], [], color=BLUE, linewidth=heavy, label="pair gained"),
            Line2D([], [], color=ORANGE, linewidth=heavy, linestyle=(0, (2.5, 1.2)), label="pair lost"),
            Line2D([], [], color=_KEPT, linewidth=max(light, 0.4), label="pair in both"),
        ]
        if any(one.changed.any() for one in maps):
            hatch = None if many else "////"
            handles.append(Patch(facecolor=_CHANGED, edgecolor=INK, hatch=hatch, label=changed_label))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=2.6)
    return figure
