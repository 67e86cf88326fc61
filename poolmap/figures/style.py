"""The one look of all figures: colour-blind safe colours (Okabe and Ito 2008), sizes, saving."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
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
    "font.family": ["DejaVu Sans"],
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


FALLBACKS = (
    # TrueType first: matplotlib embeds it in PDF without fault
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAexGothic", "NanumGothic"),
    *("Arial Unicode MS", "Microsoft YaHei", "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "Unifont"),
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Source Han Sans SC"),
    *("Hiragino Sans GB", "PingFang SC", "Apple SD Gothic Neo"),
)
"""Fonts for letters that DejaVu Sans lacks (Chinese, Japanese, Korean): the installed ones are used."""


@cache
def font_families() -> tuple[str, ...]:
    """DejaVu Sans, which comes with matplotlib, and the installed ones of `FALLBACKS`."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return ("DejaVu Sans", *(family for family in FALLBACKS if family in installed))


@cache
def _drawable() -> frozenset[int]:
    """Code points that one of the fonts has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset().union(
        *(get_font(findfont(FontProperties(family=family))).get_charmap() for family in font_families())
    )


def not_drawn(figure: Figure) -> str:
    """A sentence on what a figure's texts have that it cannot show; empty where it shows all.

    Letters that no font has are drawn as boxes; writing from right to left is drawn letter by letter from
    left to right.
    """
    from matplotlib.text import Text

    letters = {letter for text in figure.findobj(Text) for letter in text.get_text() if letter > "~"}
    missing = sorted(letter for letter in letters if ord(letter) not in _drawable())
    told = ""
    if missing:
        told = (
            f"Drawn as boxes, since no font on the computer that drew the figure has them: "
            f"{' '.join(missing[:20])}{' ...' if len(missing) > 20 else ''}; installing Noto Sans CJK or "
            "another font that has them mends it."
        )
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in letters):
        told += " Names in right-to-left writing stand from left to right in the figure."
    return told.strip()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the house style, laid out by the constrained layout engine.

    Draw inside `with matplotlib.rc_context(RC):` so that axes take the style too; the fonts that stand in
    where DejaVu Sans lacks a letter are added to that context here, since only matplotlib knows them.

    Args:
        width, height: in inches; reports show figures up to 7.5 inches wide.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["font.family"] = list(font_families())
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def slim(svg: str) -> str:
    """matplotlib's SVG in half the bytes, the same picture.

    Each letter of a text is an element, and a forest plot of 60 studies has 6,000 of them. Here glyphs are
    called g0, g1 ..., letters are placed by `x` (to a thousandth of their size), and blanks are left out.
    """
    glyph = r'<path id="([^"]+)"( d="[^"]*")? transform="scale\(0\.015625\)"/>'
    names = {name: f"g{i}" if shape else "" for i, (name, shape) in enumerate(re.findall(glyph, svg))}

    def placed(letter: re.Match[str]) -> str:
        name, *moved = letter.groups("0")
        if name not in names:
            return letter[0]
        x, y = (
            f'{axis}="{float(by):.1f}"' if float(by) else "" for axis, by in zip("xy", moved, strict=True)
        )
        use = " ".join(part for part in (f'<use xlink:href="#{names[name]}"', x, y) if part)
        return f"{use}/>" if names[name] else ""

    svg = re.sub(glyph, lambda found: found[0].replace(found[1], names[found[1]], 1) if found[2] else "", svg)
    moved = r'<use xlink:href="#([^"]+)"(?: transform="translate\(([-\d.]+) ([-\d.]+)\)")?/>'
    return re.sub(r"\n\s*<", "\n<", re.sub(moved, placed, svg))


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem.svg`, `stem.png` and `stem.pdf`, the same bytes for the same figure.

    The PNG has 200 dots per inch; fewer where a figure of very many rows would pass the 65,535 dots that
    a side may have. The PDF holds its fonts as TrueType outlines, as journals ask, and no date.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    svg, png, pdf = (stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "png", "pdf"))
    dpi = figure.dpi
    # the canvases themselves: `figure.savefig` draws everything twice
    with matplotlib.rc_context({**RC, "font.family": list(font_families())}):
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
        svg.write_text(slim(svg.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
        figure.dpi = min(200.0, 65_000 / max(figure.get_size_inches()))
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        figure.dpi = dpi
        information = {"CreationDate": None, "Creator": "poolmap", "Producer": None}
        FigureCanvasPdf(figure).print_pdf(pdf, metadata=information)
    return [svg, png, pdf]
