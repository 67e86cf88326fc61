"""Maps of areas coloured by a value: small multiples with shared, labelled scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poolmap.figures.style import INK, MUTED, RC, new_figure

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Outline

_BORDER = "#8a9099"
_BELOW = 0.12  # room for the scale bar, as a share of the height of the map
_MANY = 1500
_WIDTH = 7.4
_RATIO_LIMITS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours; panels that hold the same object share one legend.

    Attributes:
        label: what the colours show, with the unit.
        norm, cmap: of matplotlib.
        ticks: values to label.
        labels: the text of each tick.
        extend: as in `Figure.colorbar`: which ends hold values beyond the scale.
    """

    label: str
    norm: Any
    cmap: Any
    ticks: Sequence[float]
    labels: Sequence[str]
    extend: str = "neither"

    def colours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 4) red, green, blue, alpha; values beyond the scale get the colour of its end."""
        rgba = np.ones((len(values), 4))
        known = ~np.isnan(values)
        rgba[known] = self.cmap(self.norm(np.clip(values[known], self.norm.vmin, self.norm.vmax)))
        return rgba


@dataclass(frozen=True)
class MapPanel:
    """One map: a value for each row of the frame.

    Attributes:
        title: above the map.
        values: (n,) NaN is hatched as missing.
        scale: its colours.
        outlined: (n,) areas to outline heavily, or None.
    """

    title: str
    values: NDArray[np.float64]
    scale: Scale
    outlined: NDArray[np.bool_] | None = None


def ratio_scale(label: str, reference: NDArray[np.float64], shown: NDArray[np.float64]) -> Scale:
    """A diverging scale for ratios, symmetric about 1 on the log scale; orange is above 1, purple below.

    Args:
        label: what the ratio is.
        reference: values that the scale must hold.
        shown: all values that will be drawn on it; the scale ends in arrows where some lie beyond.
    """
    import matplotlib
    from matplotlib.colors import LogNorm

    reference = np.asarray(reference, dtype=np.float64)
    shown = np.asarray(shown, dtype=np.float64)
    reference = reference[np.isfinite(reference) & (reference > 0)]
    reach = float(np.exp(np.abs(np.log(reference)).max())) if reference.size else 2.0
    limit = next((end for end in _RATIO_LIMITS if end >= reach), 10.0)
    ticks = [1 / limit, 1 / math.sqrt(limit), 1, math.sqrt(limit), limit]
    below, above = np.nanmin(shown) < 1 / limit, np.nanmax(shown) > limit
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[int(below), int(above)]
    return Scale(
        label,
        LogNorm(1 / limit, limit),
        matplotlib.colormaps["PuOr_r"],
        ticks,
        [f"{tick:.2g}" for tick in ticks],
        extend,
    )


def sequential_scale(
    label: str, values: NDArray[np.float64], *, log: bool = False, percent: bool = False
) -> Scale:
    """A scale from light (low) to dark (high) between the ends of the values."""
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high <= low:
        high = low * 1.01 + 0.01
    ticks = np.geomspace(low, high, 4) if log else np.linspace(low, high, 4)
    norm = LogNorm(low, high) if log else Normalize(low, high)
    text = [f"{tick:.0%}" if percent else f"{tick:.3g}" for tick in ticks]
    return Scale(label, norm, matplotlib.colormaps["cividis_r"], ticks.tolist(), text)


def class_scale(label: str, labels: Sequence[str]) -> Scale:
    """Classes in diverging colours, the middle one neutral; values are class numbers from 0.

    Args:
        label: what the classes are of.
        labels: of the classes, lowest first.
    """
    import matplotlib
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = len(labels)
    colours = matplotlib.colormaps["PuOr_r"](np.linspace(0.12, 0.88, count))
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    return Scale(label, norm, ListedColormap(colours), range(count), labels)


def draw_maps(
    frame: gpd.GeoDataFrame, panels: Sequence[MapPanel], *, outline_label: str = "", missing_label: str = ""
) -> Figure:
    """Maps side by side, two in a row.

    The map is drawn in the file's own projection, or, where that is longitude and latitude or Web Mercator,
    in an equal-area one around its middle. The first map has a scale bar.

    Args:
        frame: one row an area, with `geometry`.
        panels: at least one.
        outline_label: what a heavy outline means, for the legend.
        missing_label: what hatching means, for the legend.
    """
    import matplotlib
    import shapely
    from matplotlib.patches import Patch

    frame, metres = in_plane(frame)
    polygons = np.asarray(frame.geometry.values)
    outlines = [outline(polygon) for polygon in polygons]
    west, south, east, north = shapely.total_bounds(polygons)
    columns = 1 if len(panels) == 1 else 2
    rows = math.ceil(len(panels) / columns)
    tall = _WIDTH / columns * (north - south) / (east - west)
    tall = float(np.clip(tall, 0.8, 6.5 if columns == 1 else 4.2))

    with matplotlib.rc_context(RC):
        figure = new_figure(_WIDTH, rows * ((1 + _BELOW) * tall + 0.85) + 0.3)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        for axes, panel in zip(grid.ravel(), panels, strict=False):
            axes.set_aspect("equal")
            axes.set_xlim(west, east)
            axes.set_ylim(south - _BELOW * (north - south), north)
            axes.margins(0.02)
            axes.set_title(panel.title, loc="left")
            _draw(axes, outlines, panel)
        _scale_bar(grid[0, 0], (east - west) * metres, metres, west, south, east, north)
        for row in range(rows):
            _row_legends(figure, grid[row], panels[row * columns : (row + 1) * columns])
        handles = []
        if outline_label and any(p.outlined is not None and p.outlined.any() for p in panels):
            handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=1.5, label=outline_label))
        if missing_label and any(np.isnan(p.values).any() for p in panels):
            handles.append(Patch(facecolor="white", edgecolor=_BORDER, hatch="//////", label=missing_label))
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def in_plane(frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, float]:
    """The frame in a plane fit for a map, and the metres in one of its units."""
    if frame.crs is None:
        return frame, 1.0
    if frame.crs.is_geographic or frame.crs.to_epsg() == 3857:
        west, south, east, north = frame.to_crs("EPSG:4326").total_bounds
        middle = f"+proj=laea +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +datum=WGS84 +units=m"
        return frame.to_crs(middle), 1.0
    return frame, float(frame.crs.axis_info[0].unit_conversion_factor)


def outline(polygon: Any) -> Outline:
    """All rings of a polygon or multipolygon as one path; holes stay empty."""
    import shapely
    from matplotlib.path import Path as Outline

    rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(polygon)))
    return Outline.make_compound_path(
        *[Outline(shapely.get_coordinates(ring), closed=True) for ring in rings]
    )


def _draw(axes: Axes, outlines: list[Outline], panel: MapPanel) -> None:
    from matplotlib.collections import PathCollection

    values = np.asarray(panel.values, dtype=np.float64)
    many = len(outlines) > _MANY
    width = 0.1 if many else 0.4
    axes.add_collection(
        PathCollection(
            outlines,
            facecolors=panel.scale.colours(values),
            edgecolors=_BORDER,
            linewidths=width,
            rasterized=many,
        ),
        autolim=False,
    )
    missing = [outlines[i] for i in np.flatnonzero(np.isnan(values))]
    if missing:
        axes.add_collection(
            PathCollection(missing, facecolors="white", edgecolors=_BORDER, linewidths=width, hatch="//////"),
            autolim=False,
        )
    if panel.outlined is not None:
        chosen = [outlines[i] for i in np.flatnonzero(panel.outlined)]
        axes.add_collection(
            PathCollection(
                chosen, facecolors="none", edgecolors=INK, linewidths=0.5 if many else 1.5, zorder=3
            ),
            autolim=False,
        )


def _row_legends(figure: Figure, axes: Sequence[Axes], panels: Sequence[MapPanel]) -> None:
    """A legend below each map of a row, or one below both where they share a scale."""
    groups: list[tuple[Scale, list[Axes]]] = []
    for here, panel in zip(axes, panels, strict=False):
        if groups and groups[-1][0] is panel.scale:
            groups[-1][1].append(here)
        else:
            groups.append((panel.scale, [here]))
    for scale, below in groups:
        _legend(figure, below, scale)


def _legend(figure: Figure, axes: list[Axes], scale: Scale) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.cmap),
        ax=axes,
        location="bottom",
        extend=scale.extend,
        shrink=0.8 if len(axes) == 1 else 0.5,
        aspect=24 if len(axes) == 1 else 32,
        pad=0.03,
    )
    bar.set_ticks(list(scale.ticks), labels=list(scale.labels))
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(length=2)
    bar.set_label(scale.label)


def _scale_bar(
    axes: Axes, width: float, metres: float, west: float, south: float, east: float, north: float
) -> None:
    """A bar of about a fifth of the map's width, a round number of kilometres long, below its left end."""
    kilometres = width / 5000
    power = 10 ** math.floor(math.log10(kilometres))
    length = max(step * power for step in (1, 2, 5) if step * power <= kilometres)
    ends = np.array([west, west + length * 1000 / metres])
    y = south - 0.8 * _BELOW * (north - south)
    axes.plot(ends, [y, y], color=INK, linewidth=1.5, solid_capstyle="butt", zorder=4)
    axes.annotate(
        f"{length:g} km",
        (ends.mean(), y),
        (0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=MUTED,
        fontsize=7,
    )
