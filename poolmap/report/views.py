"""What the templates show: numbered tables and figures, paragraphs and equations, stamped where need be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup, escape

from poolmap.contracts import Block, Equation, ReportTable
from poolmap.report.equations import mathml
from poolmap.report.svg import SVG_LIMIT, inline_svg, png_uri

if TYPE_CHECKING:
    from poolmap.report.content import EmbeddedFigure

LONG_TABLE = 30
"""Rows above which a table is folded away on the screen (never in print)."""

ROWS_PER_OVERLAY = 10
MINUS = re.compile(r"(?<![\w.\-–)])-(?=\d)")
WHOLE = 26
"""Characters up to which a part of a number's cell (the estimate, its interval) is kept on one line."""
LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}]")


@dataclass(frozen=True)
class Stamp:
    """DO NOT USE, and why: what a failed fit puts on each of its tables and figures."""

    why: str

    @property
    def words(self) -> str:
        """The whole stamp in words."""
        return f"DO NOT USE: {self.why}"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    markup: Markup
    kind: str = "text"


@dataclass(frozen=True)
class Displayed:
    """A displayed equation."""

    markup: Markup
    kind: str = "equation"


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, and what it is."""

    text: str
    numeric: bool = False
    header: bool = False
    code: bool = False
    href: str = ""
    verdict: str = ""

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """A number and its interval, which may stand below it; with each, whether it stays on one line."""
        first, mark, rest = self.text.partition(" (")
        return [(part, len(part) <= WHOLE) for part in ([first, f"({rest}"] if mark else [first])]


@dataclass(frozen=True)
class TableView:
    """A table ready to be written."""

    anchor: str
    label: str
    caption: str
    headings: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    stamp: Stamp | None = None
    kind: str = "table"

    @property
    def long(self) -> bool:
        """Whether it is folded away on the screen."""
        return len(self.rows) > LONG_TABLE

    @property
    def short(self) -> bool:
        """Whether it can stay on one printed page."""
        return len(self.rows) <= 12

    @property
    def wide(self) -> bool:
        """Whether it needs smaller type on paper."""
        return len(self.headings) > 7

    @property
    def overlays(self) -> int:
        """How often the stamp is repeated over it."""
        return max(1, math.ceil(len(self.rows) / ROWS_PER_OVERLAY))


@dataclass(frozen=True)
class FigureView:
    """A figure ready to be written; `markup` is its picture."""

    anchor: str
    label: str
    title: str
    caption: str
    markup: Markup
    stamp: Stamp | None = None
    kind: str = "figure"


@dataclass
class Views:
    """Builds what one page shows, numbering tables and figures in the order they are asked for.

    Attributes:
        stamps: the stamp of each failed model, by its name.
    """

    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    n_tables: int = 0
    n_figures: int = 0

    def blocks(self, blocks: Iterable[Block], model: str = "") -> list:
        """Views of report blocks.

        Args:
            blocks: paragraphs, equations and tables.
            model: the model that tables without a model of their own belong to.
        """
        views = []
        for block in blocks:
            if isinstance(block, Equation):
                views.append(Displayed(Markup(mathml(block))))
            elif isinstance(block, ReportTable):
                views.append(self.report_table(block, model))
            else:
                views.append(Text(link(block)))
        return views

    def report_table(self, table: ReportTable, model: str = "") -> TableView:
        """View of a table of the report; its cells are text already."""
        return self.frame(
            table.frame, table.caption, numeric=table.numeric, stamp=self.stamps.get(table.model or model)
        )

    def frame(
        self,
        frame: pd.DataFrame,
        caption: str,
        numeric: Sequence[str] | None = None,
        stamp: Stamp | None = None,
    ) -> TableView:
        """View of a data frame; columns of numbers are found where `numeric` is None."""
        if numeric is None:
            numeric = [name for name in frame.columns if _holds_numbers(frame[name])]
        headings = [Cell(str(name), numeric=name in numeric) for name in frame.columns]
        columns = [
            [
                Cell(
                    minus(cell_text(value)),
                    numeric=heading.numeric,
                    header=place == 0 and not heading.numeric,
                )
                for value in frame.iloc[:, place]
            ]
            for place, heading in enumerate(headings)
        ]
        return self.table(headings, list(zip(*columns, strict=True)), caption, stamp)

    def table(
        self,
        headings: Sequence[Cell],
        rows: Sequence[Sequence[Cell]],
        caption: str,
        stamp: Stamp | None = None,
    ) -> TableView:
        """View of a table from its cells."""
        self.n_tables += 1
        return TableView(
            f"table-{self.n_tables}", f"Table {self.n_tables}", minus(caption), headings, rows, stamp=stamp
        )

    def figure(self, figure: EmbeddedFigure) -> FigureView:
        """View of a figure, its ids made its own."""
        self.n_figures += 1
        stamp = self.stamps.get(figure.model) if figure.model else None
        alt = f"{stamp.words}. {figure.alt}" if stamp else figure.alt
        anchor = f"figure-{self.n_figures}"
        if figure.svg is not None and (figure.png is None or len(figure.svg.encode()) <= SVG_LIMIT):
            picture = Markup(inline_svg(figure.svg, f"f{self.n_figures}", alt))
        else:
            picture = Markup('<img src="{}" alt="{}">').format(png_uri(figure.png or b""), alt)
        return FigureView(
            anchor, f"Figure {self.n_figures}", figure.title, minus(figure.caption), picture, stamp=stamp
        )


def minus(text: str) -> str:
    """Hyphens before numbers as minus signs."""
    return MINUS.sub("−", text)


def link(text: str) -> Markup:
    """Plain text with its web addresses made links, all else escaped."""
    parts, place = [], 0
    for found in LINK.finditer(text):
        parts.append(escape(minus(text[place : found.start()])))
        parts.append(Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(found[0]))
        place = found.end()
    parts.append(escape(minus(text[place:])))
    return Markup("").join(parts)


def relative_href(path: str) -> str:
    """A path beside the page as a link: never another site, never a script."""
    return quote(path.lstrip("/"), safe="/.-_~")


def cell_text(value: Any) -> str:
    """A value as a table cell: numbers to four digits, sequences with commas, nothing as a dash."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return number(float(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell_text(item)}" for key, item in value.items()) or "–"
    if isinstance(value, Iterable):
        return ", ".join(cell_text(item) for item in value) or "–"
    return str(value)


def number(value: float) -> str:
    """A number to four significant digits, without an exponent where it can be read without."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif value == 0 or abs(value) >= 1e-4:
        text = f"{value:.4g}"
    else:
        text = f"{value:.2e}"
    return text.replace("-", "−")


def duration(seconds: float | None) -> str:
    """A time in words: `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def _holds_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
