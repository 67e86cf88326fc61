"""Maps of kinds of areas: each kind has a colour, a hatch and a letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.figures.choropleth import frame_insets, outline
from poolmap.figures.geography import lay_out
from poolmap.figures.style import INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 7.4
_BORDER = "#b4bac2"
_REST = "#f3f4f6"
_MANY = 1500
_LETTERED = 80


@dataclass(frozen=True)
class Look:
    """How one kind of area is drawn.

    Attributes:
        label: in the legend.
        letters: on the map, where the areas are few.
        colour, hatch: of its fill.
    """

    label: str
    letters: str
    colour: str
    hatch: str = ""


HIGH_HIGH = Look("high among high (HH)", "HH", "#f0a882", "")
LOW_LOW = Look("low among low (LL)", "LL", "#9cc7e4", "....")
HIGH_LOW = Look("high among low (HL)", "HL", "#f8ddd0", "////")
LOW_HIGH = Look("low among high (LH)", "LH", "#dcebf6", "\\\\\\\\")


@dataclass(frozen=True, eq=False)
class PatternPanel:
    """One map: a kind for each row of the frame.

    Attributes:
        title: above the map.
        kinds: (n,) index into the looks; -1 for none of them.
        missing: (n,) areas that could not be judged.
        outlined: (n,) areas to outline heavily.
    """

    title: str
    kinds: NDArray[np.int64]
    missing: NDArray[np.bool_]
    outlined: NDArray[np.bool_]


def draw_patterns(
    frame: gpd.GeoDataFrame,
    looks: Sequence[Look],
    panels: Sequence[PatternPanel],
    *,
    rest_label: str,
    missing_label: str,
    outline_label: str,
) -> Figure:
    """Maps side by side, with one legend.

    Args:
        frame: one row an area, with `geometry`.
        looks: of the kinds.
        panels: one or two.
        rest_label, missing_label, outline_label: for the legend.
    """
    import matplotlib
    import shapely
    from matplotlib.patches import Patch

    layout = lay_out(frame, len(panels))
    polygons = layout.polygons
    outlines = [outline(polygon) for polygon in polygons]
    middle = shapely.get_coordinates(shapely.point_on_surface(polygons))
    west, south, east, north = layout.box
    unit = (east - west) / (72 * _WIDTH / len(panels))  # of the map in a point of the page
    tall = float(np.clip(_WIDTH / len(panels) * (north - south) / (east - west), 1.2, 5.0))
    with matplotlib.rc_context({**RC, "hatch.linewidth": 0.5}):
        figure = new_figure(_WIDTH, tall + 1.15)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            axes.set_axis_off()
            axes.set_aspect("equal")
            axes.set_title(panel.title, loc="left")
            _draw(axes, outlines, middle, unit, looks, panel)
            frame_insets(axes, layout)
            axes.set_xlim(west, east)
            axes.set_ylim(south, north)
            axes.margins(0.02)
        used = [i for i in range(len(looks)) if any((panel.kinds == i).any() for panel in panels)]
        handles = [
            Patch(facecolor=looks[i].colour, hatch=looks[i].hatch, edgecolor=MUTED, label=looks[i].label)
            for i in used
        ]
        handles.append(Patch(facecolor=_REST, edgecolor=_BORDER, label=rest_label))
        if any(panel.outlined.any() for panel in panels):
            handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=1.4, label=outline_label))
        if any(panel.missing.any() for panel in panels):
            handles.append(Patch(facecolor="white", edgecolor=_BORDER, hatch="xxxx", label=missing_label))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
    return figure


def _apart(areas: np.ndarray, at: np.ndarray) -> list[int]:
    """Those whose letters do not cover the letters of one before; `at` in points of the page."""
    kept: list[int] = []
    for i in areas:
        if all(abs(at[i, 0] - at[j, 0]) > 10 or abs(at[i, 1] - at[j, 1]) > 7 for j in kept):
            kept.append(i)
    return kept


def _draw(
    axes: Axes, outlines: list, middle: np.ndarray, unit: float, looks: Sequence[Look], panel: PatternPanel
) -> None:
    from matplotlib.collections import PathCollection

    many = len(outlines) > _MANY
    width = 0.1 if many else 0.4

    def fill(chosen: np.ndarray, **look) -> None:
        if chosen.any():
            paths = [outlines[i] for i in np.flatnonzero(chosen)]
            axes.add_collection(PathCollection(paths, **look), autolim=False)

    fill(panel.kinds == -1, facecolor=_REST, edgecolor=_BORDER, linewidth=width, rasterized=many)
    for i, look in enumerate(looks):
        fill(
            panel.kinds == i,
            facecolor=look.colour,
            edgecolor=MUTED,
            hatch=look.hatch or None,
            linewidth=width,
            rasterized=many,
        )
    fill(panel.missing, facecolor="white", edgecolor=_BORDER, hatch="xxxx", linewidth=width)
    fill(panel.outlined, facecolor="none", edgecolor=INK, linewidth=0.5 if many else 1.4, zorder=3)
    lettered = np.flatnonzero(panel.kinds >= 0)
    if len(outlines) <= 4 * _LETTERED and len(lettered) <= _LETTERED:
        for i in _apart(lettered, middle / unit):
            axes.annotate(
                looks[panel.kinds[i]].letters,
                middle[i],
                ha="center",
                va="center",
                fontsize=5.5,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.4},
                zorder=4,
            )
