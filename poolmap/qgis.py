"""A style for QGIS beside a GeoPackage, so that the map is coloured when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import ArrayLike

VERSION = "3.16"
BORDER = "138,144,153,255"
MISSING = "255,255,255,255"


def style(column: str, values: ArrayLike, *, ratio: bool, classes: int = 7) -> str:
    """A graduated style of one column in the format of QGIS (.qml).

    QGIS takes it up by itself when it lies beside the layer's file under the same name.

    Args:
        column: of the layer.
        values: what stands in it; NaN is not drawn.
        ratio: whether values are ratios: classes are then even on the log scale and symmetric about 1, in
            colours from purple (below) to orange (above). Else they hold equal numbers, from light to dark.
        classes: how many; ratios need an odd number, for a neutral middle.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    edges = _ratio_edges(known, classes) if ratio else _quantile_edges(known, classes)
    root = ET.Element("qgis", version=VERSION, styleCategories="Symbology")
    renderer = ET.SubElement(
        root, "renderer-v2", type="graduatedSymbol", attr=column, graduatedMethod="GraduatedColor",
        symbollevels="0", enableorderby="0", forceraster="0",
    )  # fmt: skip
    ranges, symbols = ET.SubElement(renderer, "ranges"), ET.SubElement(renderer, "symbols")
    colours = _colours(len(edges) - 1, ratio)
    for number, (low, high) in enumerate(pairwise(edges)):
        ET.SubElement(
            ranges, "range", symbol=str(number), lower=f"{low:.15g}", upper=f"{high:.15g}",
            label=f"{low:.3g} to {high:.3g}", render="true",
        )  # fmt: skip
        _symbol(symbols, str(number), colours[number])
    _symbol(ET.SubElement(renderer, "source-symbol"), "0", MISSING)
    ET.SubElement(root, "layerGeometryType").text = "2"
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _ratio_edges(known: np.ndarray, classes: int) -> list[float]:
    reach = float(np.exp(np.abs(np.log(known[known > 0])).max())) if (known > 0).any() else 2.0
    reach = max(reach, 1.1) * (1 + 1e-9)  # the farthest value lies inside
    return np.geomspace(1 / reach, reach, classes + 1).tolist()


def _quantile_edges(known: np.ndarray, classes: int) -> list[float]:
    edges = np.unique(np.quantile(known, np.linspace(0, 1, classes + 1))) if known.size else np.zeros(1)
    if len(edges) > 1:
        return edges.tolist()
    return [float(edges[0]), float(edges[0] + 1e-9 * max(abs(edges[0]), 1))]


def _colours(count: int, ratio: bool) -> Sequence[str]:
    import matplotlib

    shades = matplotlib.colormaps["PuOr_r" if ratio else "cividis_r"](np.linspace(0.08, 0.92, count))
    return [",".join(str(round(255 * part)) for part in shade) for shade in shades]


def _symbol(parent: ET.Element, name: str, colour: str) -> None:
    symbol = ET.SubElement(
        parent, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    layer = ET.SubElement(
        symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"}
    )
    options = ET.SubElement(layer, "Option", type="Map")
    for key, value in {
        "color": colour,
        "style": "solid",
        "outline_color": BORDER,
        "outline_style": "solid",
        "outline_width": "0.1",
        "outline_width_unit": "MM",
    }.items():
        ET.SubElement(options, "Option", type="QString", name=key, value=value)
        ET.SubElement(layer, "prop", k=key, v=value)  # as versions before 3.26 read it
