"""Maps of areas coloured by a value: small multiples with shared, labelled scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poolmap.figures.geography import Layout, lay_out
from poolmap.figures.scales import Scale
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
_HATCHES = ("//////", "|||", "xxx")
WEIGHTS = (0.25, 0.6, 1.0)
"""How much of its colour an area keeps, by class of certainty; the rest is white."""


@dataclass(frozen=True)
class MapPanel:
    """One map: a value for each row of the frame.

    Attributes:
        title: above the map.
        values: (n,) NaN is hatched as missing.
        scale: its colours.
        outlined: (n,) areas to outline heavily, or None.
        certainty: (n,) class of certainty, 0 to 2, by which colours fade (value by alpha), or None.
    """

    title: str
    values: NDArray[np.float64]
    scale: Scale
    outlined: NDArray[np.bool_] | None = None
    certainty: NDArray[np.intp] | None = None


def draw_maps(
    frame: gpd.GeoDataFrame,
    panels: Sequence[MapPanel],
    *,
    outline_label: str = "",
    missing_label: str = "",
    hatched: Mapping[str, NDArray[np.bool_]] | None = None,
    credit: str = "",
) -> Figure:
    """Maps side by side, two in a row.

    The map is drawn as `geography.lay_out` arranges it. The first map has a scale bar and, where the
    coordinates lie on the earth, an arrow to the north; neither is of the insets, whose scales differ.

    Args:
        frame: one row an area, with `geometry`.
        panels: at least one.
        outline_label: what a heavy outline means, for the legend.
        missing_label: what hatching means, for the legend.
        hatched: (n,) areas hatched over their colour, or in place of the hatching of missing values, by what
            it means; two at most.
        credit: where the data come from, in small print.
    """
    import matplotlib
    from matplotlib.patches import Patch

    hatched = hatched or {}
    if len(hatched) >= len(_HATCHES):
        raise ValueError(f"{len(hatched)} kinds of hatching, at most {len(_HATCHES) - 1}")
    layout = lay_out(frame, len(panels))
    outlines = [outline(polygon) for polygon in layout.polygons]
    west, south, east, north = layout.box
    columns = 1 if len(panels) == 1 else 2
    rows = math.ceil(len(panels) / columns)
    tall = _WIDTH / columns * (north - south) / (east - west)
    tall = float(np.clip(tall, 0.8, 6.5 if columns == 1 else 4.2))

    with matplotlib.rc_context(RC):
        figure = new_figure(_WIDTH, rows * ((1 + _BELOW) * tall + 0.85) + 0.3)
        figure.set_layout_engine("compressed", h_pad=0.08)  # for axes of one aspect
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        for axes, panel in zip(grid.ravel(), panels, strict=False):
            axes.set_aspect("equal")
            axes.set_xlim(west, east)
            axes.set_ylim(south - _BELOW * (north - south), north)
            axes.margins(0.02)
            axes.set_title(panel.title, loc="left")
            _draw(axes, outlines, panel, layout, hatched)
        _scale_bar(grid[0, 0], layout)
        for row in range(rows):
            _row_legends(figure, grid[row], panels[row * columns : (row + 1) * columns])
        handles = []
        if outline_label and any(p.outlined is not None and p.outlined.any() for p in panels):
            handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=1.5, label=outline_label))
        unmarked = ~np.any(list(hatched.values()), axis=0) if hatched else np.True_
        if missing_label and any((np.isnan(p.values) & unmarked).any() for p in panels):
            handles.append(_hatch_patch(missing_label, 0))
        handles += [_hatch_patch(label, i) for i, label in enumerate(hatched, 1) if hatched[label].any()]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2))
        if credit:
            grid[-1, -1].annotate(
                credit, (1, 0), (0, -2), xycoords="axes fraction", textcoords="offset points",
                ha="right", va="bottom", fontsize=6, color=MUTED,
            )  # fmt: skip
    return figure


def outline(polygon: Any) -> Outline:
    """All rings of a polygon or multipolygon as one path; holes stay empty."""
    import shapely
    from matplotlib.path import Path as Outline

    rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(polygon)))
    return Outline.make_compound_path(
        *[Outline(shapely.get_coordinates(ring), closed=True) for ring in rings]
    )


def _draw(
    axes: Axes,
    outlines: list[Outline],
    panel: MapPanel,
    layout: Layout,
    hatched: Mapping[str, NDArray[np.bool_]],
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    values = np.asarray(panel.values, dtype=np.float64)
    many = len(outlines) > _MANY
    width = 0.1 if many else 0.4

    def shape(chosen: NDArray[np.bool_], **look: Any) -> None:
        """One shape of all chosen areas: a tenth of the bytes of one shape each."""
        parts = [outlines[i] for i in np.flatnonzero(chosen) if len(outlines[i].vertices)]
        if parts:
            whole = Outline.make_compound_path(*parts)
            axes.add_artist(PathPatch(whole, rasterized=layout.coarse, **look))

    colours = panel.scale.colours(values)
    if panel.certainty is not None:
        weight = np.take(WEIGHTS, panel.certainty)[:, None]
        colours[:, :3] = weight * colours[:, :3] + (1 - weight)
    missing = np.isnan(values)
    kinds, of = np.unique(colours[~missing], axis=0, return_inverse=True)
    kind = np.full(len(values), -1)
    kind[~missing] = of.ravel()
    for number, colour in enumerate(kinds):
        shape(kind == number, facecolor=colour, edgecolor=_BORDER, linewidth=width)
    marked = np.any(list(hatched.values()), axis=0) if hatched else np.zeros(len(values), dtype=bool)
    shape(missing & marked, facecolor="white", edgecolor=_BORDER, linewidth=width)
    shape(missing & ~marked, facecolor="white", edgecolor=_BORDER, linewidth=width, hatch=_HATCHES[0])
    for i, mask in enumerate(hatched.values(), 1):
        for colour, wide in (("white", 1.6), (INK, 0.7)):  # seen on light and on dark colours
            shape(
                mask, facecolor="none", edgecolor=colour, linewidth=0, hatch=_HATCHES[i], hatch_linewidth=wide
            )
        shape(mask, facecolor="none", edgecolor=_BORDER, linewidth=width)
    if panel.outlined is not None:
        shape(panel.outlined, facecolor="none", edgecolor=INK, linewidth=0.5 if many else 1.5, zorder=3)
    frame_insets(axes, layout)


def frame_insets(axes: Axes, layout: Layout) -> None:
    """A thin frame around each inset."""
    from matplotlib.patches import Rectangle

    for west, south, east, north in layout.insets:
        look = {"facecolor": "none", "edgecolor": MUTED, "linewidth": 0.6}
        axes.add_artist(Rectangle((west, south), east - west, north - south, **look))


def _hatch_patch(label: str, number: int) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor="white", edgecolor=INK if number else _BORDER, hatch=_HATCHES[number], label=label)


def _row_legends(figure: Figure, axes: Sequence[Axes], panels: Sequence[MapPanel]) -> None:
    """A legend below each map of a row, or one below both where they share a scale."""
    groups: list[tuple[MapPanel, list[Axes]]] = []
    for here, panel in zip(axes, panels, strict=False):
        alike = groups and groups[-1][0].scale is panel.scale
        if alike and (groups[-1][0].certainty is None) == (panel.certainty is None):
            groups[-1][1].append(here)
        else:
            groups.append((panel, [here]))
    for panel, below in groups:
        _legend(figure, below, panel)


def _legend(figure: Figure, axes: list[Axes], panel: MapPanel) -> None:
    from matplotlib.cm import ScalarMappable

    scale = panel.scale
    faded = panel.certainty is not None
    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.cmap),
        ax=axes,
        location="bottom",
        extend="neither" if faded else scale.extend,
        shrink=0.8 if len(axes) == 1 else 0.5,
        aspect=(14 if faded else 24) if len(axes) == 1 else 18 if faded else 32,
        pad=0.03,
    )
    if faded:
        _fade(bar.ax, scale)
    bar.set_ticks(list(scale.ticks), labels=list(scale.labels))
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(length=2)
    bar.set_label(scale.label)


def _fade(axes: Axes, scale: Scale) -> None:
    """The legend in three rows, from faint (uncertain, below) to full colour (certain, on top)."""
    steps = 256
    low, high = axes.get_xlim()
    across = (np.arange(steps) + 0.5) / steps
    colours = scale.cmap(across)[:, :3]
    rows = [weight * colours + (1 - weight) for weight in WEIGHTS]
    for number, row in enumerate(rows):
        axes.imshow(
            row[None], extent=(0, 1, number / 3, (number + 1) / 3), transform=axes.transAxes,
            aspect="auto", origin="lower", zorder=2,
        )  # fmt: skip
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1)
    for height, text in ((1, "certain"), (0, "uncertain")):
        axes.annotate(
            text, (1, height), (3, 0), xycoords="axes fraction", textcoords="offset points",
            ha="left", va="top" if height else "bottom", fontsize=6, color=MUTED, annotation_clip=False,
        )  # fmt: skip


def _scale_bar(axes: Axes, layout: Layout) -> None:
    """A bar of about a fifth of the map's width, a round number of kilometres long, and the north."""
    west, _, east, _ = layout.main
    base, top = layout.box[1], layout.box[3]
    kilometres = (east - west) * layout.metres / 5000
    power = 10 ** math.floor(math.log10(kilometres))
    length = max(step * power for step in (1, 2, 5) if step * power <= kilometres)
    ends = np.array([west, west + length * 1000 / layout.metres])
    y = base - 0.8 * _BELOW * (top - base)
    axes.plot(ends, [y, y], color=INK, linewidth=1.5, solid_capstyle="butt", zorder=4)
    note = f"{length:g} km" + (" (not in the insets)" if layout.insets else "")
    axes.annotate(
        note, (west if layout.insets else ends.mean(), y), (0, 2), textcoords="offset points",
        ha="left" if layout.insets else "center", va="bottom", color=MUTED, fontsize=7,
    )  # fmt: skip
    if math.isnan(layout.north):
        return
    ahead = 13 * np.array([math.sin(layout.north), math.cos(layout.north)])
    foot = (ends[1] + 0.06 * (east - west) + (0.26 * (east - west) if layout.insets else 0), y)
    axes.annotate(
        "", foot, tuple(ahead), textcoords="offset points",
        arrowprops={"arrowstyle": "<|-", "color": INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    axes.annotate("N", foot, (5, 1), textcoords="offset points", fontsize=7, color=INK, va="bottom")
