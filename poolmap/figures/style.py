"""The one look of all figures: colour-blind safe colours (Okabe and Ito 2008), sizes, saving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1a1a1a"
MUTED = "#5f6670"
RULE = "#c9ced6"
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
GOLD = "#e69f00"

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "svg.fonttype": "path",
    "svg.hashsalt": "poolmap",
    "pdf.fonttype": 42,
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the house style, laid out by the constrained layout engine.

    Draw inside `with matplotlib.rc_context(RC):` so that axes take the style too.

    Args:
        width, height: in inches; reports show figures up to 7.5 inches wide.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem.svg`, `stem.png` and `stem.pdf`, the same bytes for the same figure.

    The PNG has 200 dots per inch; fewer where a figure of very many rows would pass the 65,535 dots that
    a side may have. The PDF holds its fonts as TrueType outlines, as journals ask, and no date.
    """
    import matplotlib

    svg, png, pdf = (stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "png", "pdf"))
    with matplotlib.rc_context(RC):
        figure.savefig(svg, metadata={"Date": None})
        figure.savefig(
            png, dpi=min(200.0, 65_000 / max(figure.get_size_inches())), metadata={"Software": None}
        )
        figure.savefig(pdf, metadata={"CreationDate": None, "Creator": "poolmap", "Producer": None})
    return [svg, png, pdf]
