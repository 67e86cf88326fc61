"""The neighbourhood graph drawn on its map."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from poolmap.figures.choropleth import frame_insets, outline
from poolmap.figures.geography import lay_out
from poolmap.figures.style import BLUE, GOLD, GREEN, INK, MUTED, ORANGE, RC, new_figure

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from poolmap.graph.graph import Graph

_WIDTH = 7.0
_TALLEST = 8.5
_FILL = "#ebedf0"
_BORDER = "#c3c8cf"
_STYLES = [(BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (GOLD, "D", ":")]
_REST = (MUTED, "v", (0, (1, 2)))
_NAMED_ISLANDS = 8
_MANY = 1500


def draw_graph(frame: gpd.GeoDataFrame, graph: Graph) -> Figure:
    """Areas in light grey, neighbours joined by lines between points inside them.

    Components differ in marker and line as well as colour; areas without neighbours are ringed crosses. Where
    the graph has more than one component there is a legend, which names the areas without neighbours if they
    are few.

    Args:
        frame: columns `area` (text) and `geometry`; a map in longitude and latitude is drawn in an equal-area
            plane, in one piece where it crosses the date line; far islands come into insets.
        graph: its areas are among those of the frame.

    Raises:
        KeyError: an area of the graph is not in the frame.
    """
    import matplotlib
    import shapely
    from matplotlib.collections import LineCollection, PathCollection

    layout = lay_out(frame)
    polygons = layout.polygons
    row = {area: i for i, area in enumerate(frame["area"])}
    inside = shapely.point_on_surface(polygons[[row[area] for area in graph.areas]])
    points = shapely.get_coordinates(inside).reshape(-1, 2)
    west, south, east, north = layout.box
    tall = _WIDTH * (north - south) / (east - west)
    many = graph.n > _MANY

    with matplotlib.rc_context(RC):
        wide = _WIDTH * float(np.clip(_TALLEST / tall, 0.45, 1.0))
        figure = new_figure(wide, float(np.clip(tall, 2.0, _TALLEST)))
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.add_collection(
            PathCollection(
                [outline(polygon) for polygon in polygons],
                facecolor=_FILL,
                edgecolor=_BORDER,
                linewidth=0.2 if many else 0.6,
                rasterized=many,
            )
        )
        size = _marker_size(points, graph, 72 * wide / (east - west))
        handles = []
        for members, label, (colour, marker, line) in _groups(graph):
            here = members[graph.edges[:, 0]]
            axes.add_collection(
                LineCollection(
                    points[graph.edges[here]],
                    colors=colour,
                    linestyles=[line],
                    linewidths=0.3 if many else 0.9,
                    rasterized=many,
                )
            )
            axes.plot(*points[members].T, linestyle="none", marker=marker, color=colour, markersize=size)
            handles.append(_handle(label, color=colour, marker=marker, linestyle=line, markersize=4.5))
        if graph.islands:
            handles.append(_draw_islands(axes, graph, points))
        frame_insets(axes, layout)
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.margins(0.02)
        if graph.n_components > 1:
            figure.legend(
                handles=handles,
                loc="outside lower center",
                ncols=2 if len(handles) > 3 else 1,
                handlelength=3.2,
            )
    return figure


def _marker_size(points: np.ndarray, graph: Graph, scale: float) -> float:
    """A fifth of the typical line, in points, within reason.

    Args:
        points: (n, 2) where the areas are marked.
        graph: the lines between them.
        scale: points of the page per unit of the map.
    """
    lengths = np.hypot(*(points[graph.edges[:, 0]] - points[graph.edges[:, 1]]).T)
    typical = float(np.median(lengths)) * scale if len(lengths) else math.inf
    return float(np.clip(min(typical / 5, 40 / math.sqrt(graph.n)), 0.4, 4.0))


def _groups(graph: Graph) -> list[tuple[np.ndarray, str, tuple[Any, str, Any]]]:
    """Members (n, bool), label and style of each component with neighbours; the smallest share one style."""
    sizes = graph.component_sizes
    connected = int((sizes > 1).sum())
    shown = connected if connected <= len(_STYLES) else len(_STYLES) - 1
    groups = []
    for number in range(shown):
        label = f"component {number + 1}: {sizes[number]} areas"
        groups.append((graph.component == number, label, _STYLES[number]))
    if connected > shown:
        rest = sizes[shown:connected]
        label = f"{len(rest)} smaller components: {rest.sum()} areas"
        groups.append(((graph.component >= shown) & (graph.component < connected), label, _REST))
    return groups


def _draw_islands(axes: Axes, graph: Graph, points: np.ndarray) -> Any:
    """Mark the areas without neighbours, name them where they are few; returns the legend's handle."""
    alone = np.flatnonzero(graph.n_neighbours == 0)
    mark = {"linestyle": "none", "color": INK, "markersize": 7, "markeredgewidth": 1.1}
    axes.plot(*points[alone].T, marker="o", fillstyle="none", **mark)
    axes.plot(*points[alone].T, marker="x", **{**mark, "markersize": 4})
    label = f"no neighbours: {len(alone)} areas"
    if len(alone) <= _NAMED_ISLANDS:
        label = textwrap.fill(f"no neighbours: {', '.join(graph.islands)}", 48)
    return _handle(label, marker="$\\otimes$", linestyle="none", color=INK, markersize=8, markeredgewidth=0.3)


def _handle(label: str, **look: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **look)
