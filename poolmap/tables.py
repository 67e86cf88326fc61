"""Reading and checking users' tables; every message names the file, the line and the column."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from poolmap.errors import InputError, Problem
from poolmap.number_words import THOUSANDS, how_to_write
from poolmap.spelling import article as article
from poolmap.spelling import close_to as close_to
from poolmap.spelling import nearest as nearest
from poolmap.spelling import nearest_then as nearest_then
from poolmap.table_columns import FORMATS, column_names, read_columns
from poolmap.table_excel import excel_rows, excel_table
from poolmap.table_text import delimiter_of, header_line, read_text, regular_columns, text_table

MISSING = frozenset({"", "NA", "NaN", "nan", "."})
EXCLUSION_COLUMNS = ["file", "row", "id", "reason"]
MOST = 20  # mistakes of the form of a table that are shown
_SHOWN = 5


def exclusions(rows: Sequence[tuple[str, int, str, str]] = ()) -> pd.DataFrame:
    """The table of what was left out: file, row (line in the file), id, reason."""
    return pd.DataFrame(list(rows), columns=EXCLUSION_COLUMNS)


@dataclass
class Table:
    """A user's table as text, with the line of the file that each row came from.

    Attributes:
        path: the file, as the user wrote it in the config.
        frame: one column of stripped text a field (pandas categories with `read_table(categories=True)`);
            the index is the line number in the file.
        problems: what was found wrong so far; `finish` raises them together.
        unit: what a row is called in messages: `line` of a text file, `row` of any other.
        notes: what a reader must know of how values were read (declared missing values).
        others: names of columns of the file that were not read.
    """

    path: str
    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    unit: str = "line"
    notes: list[str] = field(default_factory=list)
    others: Sequence[str] = ()

    def where(self, line: int | None = None, column: str | None = None) -> str:
        """The place, in words: file, line, column."""
        parts = [self.path]
        if line is not None:
            parts.append(f"{self.unit} {line}")
        if column is not None:
            parts.append(f"column '{column}'")
        return ", ".join(parts)

    def problem(
        self, what: str, remedy: str = "", *, line: int | None = None, column: str | None = None
    ) -> None:
        """Note a problem; the check goes on so that all are shown at once."""
        self.problems.append(Problem(self.where(line, column), what, remedy))

    @property
    def names(self) -> list[str]:
        """The names of all columns of the file."""
        return [*self.frame.columns, *self.others]

    def has(self, column: str, *, key: str = "") -> bool:
        """Whether the column exists; a missing one is noted with the nearest name that does."""
        if column in self.frame.columns:
            return True
        of = f" (asked for by '{key}')" if key else ""
        self.problem(f"there is no column '{column}'{of}", nearest(column, self.names))
        return False

    def is_missing(self, column: str) -> pd.Series:
        """Which rows hold no value in the column (empty, NA, NaN or a single dot)."""
        return self.frame[column].isin(MISSING)

    def _report(
        self, column: str, lines: Sequence[int], what: str, remedy: str | Callable[[str], str]
    ) -> None:
        for line in lines[:_SHOWN]:
            value = self.frame.at[line, column]
            said = remedy if isinstance(remedy, str) else remedy(value)
            self.problem(what.format(value=value), said, line=line, column=column)
        if len(lines) > _SHOWN:
            self.problem(f"the same in {len(lines) - _SHOWN} more rows", column=column)

    def ids(self, column: str, *, what: str, unique: bool = True, remedy: str = "") -> pd.Series:
        """An identifier column as text (so that 01 stays 01); empty and repeated ids are problems.

        Args:
            remedy: what to do about a repeated one; left out: merge the rows or rename them.
        """
        values = self.frame[column]
        empty = values.index[values == ""].tolist()
        self._report(column, empty, f"the {what} is empty", f"give every row {article(what)}")
        if unique:
            full = values[values != ""]
            first = dict(zip(full[::-1], full.index[::-1], strict=True))
            lines = full.index[full.duplicated()].tolist()
            remedy = remedy or f"each {what} may stand once: merge the rows or give them different names"
            for line in lines[:_SHOWN]:
                said = f"{what} '{full[line]}' stands already in {self.unit} {first[full[line]]}"
                self.problem(said, remedy, line=line, column=column)
            if len(lines) > _SHOWN:
                self.problem(f"the same in {len(lines) - _SHOWN} more rows", column=column)
        return values

    def numbers(
        self,
        column: str,
        *,
        lower: float = -math.inf,
        upper: float = math.inf,
        strict_lower: bool = False,
        integer: bool = False,
        what: str = "a number",
    ) -> pd.Series:
        """A numeric column as float64; NaN where the field is missing.

        Values that are not numbers, not finite, not whole (with `integer`) or outside [lower, upper]
        (or <= lower with `strict_lower`) are problems, each with its line.
        """
        text = self.frame[column]
        missing = self.is_missing(column)
        values = _as_numbers(text, missing)
        bad = ~missing & ~np.isfinite(values)
        self._report(
            column,
            text.index[bad].tolist(),
            "'{value}' is not a number",
            lambda value: how_to_write(what, value, integer=integer),
        )
        good = ~missing & ~bad
        if integer:
            two_ways = good & text.str.fullmatch(THOUSANDS) & text.str.contains(".", regex=False)
            what_it_may_be = (
                "'{value}' may be a whole number with decimals, or with a point between thousands"
            )
            remedy = "write it without a point"
            self._report(column, text.index[two_ways].tolist(), what_it_may_be, remedy)
            good &= ~two_ways
            whole = good & (values != np.floor(values))
            self._report(column, text.index[whole].tolist(), "{value} is not a whole number", f"write {what}")
            good &= ~whole
        low = good & ((values <= lower) if strict_lower else (values < lower))
        bound = f"{'above' if strict_lower else 'at least'} {lower:g}"
        self._report(column, text.index[low].tolist(), f"{{value}} is not {bound}", f"write {what}")
        high = good & (values > upper)
        self._report(column, text.index[high].tolist(), f"{{value}} is more than {upper:g}", f"write {what}")
        return values.where(good & ~low & ~high)

    def counts(self, column: str, *, what: str = "a whole number, 0 or more") -> pd.Series:
        """A column of counts as float64 (whole numbers, NaN where missing)."""
        return self.numbers(column, lower=0, integer=True, what=what)

    def finish(self) -> None:
        """Raise all problems found so far, together.

        Raises:
            InputError: where there is at least one.
        """
        if self.problems:
            raise InputError(self.problems)


def _as_numbers(text: pd.Series, missing: pd.Series) -> pd.Series:
    if isinstance(text.dtype, pd.CategoricalDtype):
        levels = pd.Series(text.cat.categories.astype(object))
        numbers = pd.to_numeric(levels.where(~levels.isin(MISSING)), errors="coerce").to_numpy(dtype=float)
        return pd.Series(numbers[text.cat.codes], index=text.index)
    return pd.to_numeric(text.where(~missing), errors="coerce").astype("float64")


def read_header(path: str | Path, sheet: str | None = None) -> list[str]:
    """The column names of a table, without reading its rows.

    Raises:
        InputError: as `read_table`.
    """
    kind = _format(path, sheet)
    if kind == "excel":
        header = next((fields for _, fields in excel_rows(path, sheet)), [])
    elif kind == "columns":
        header = column_names(path)
    else:
        line = header_line(read_text(path, 65536))
        header = [field.strip() for field in next(csv.reader([line], delimiter=delimiter_of(line)), [])]
    while header and not header[-1]:
        header.pop()
    _check_header(str(path), header)
    return header


def _is_empty(path: str | Path) -> InputError:
    remedy = "it needs a header line and at least one row"
    return InputError([Problem(str(path), "the file is empty", remedy)])


def _format(path: str | Path, sheet: str | None) -> str:
    """`text`, `excel` or `columns` (a file that holds its table by columns), by the ending.

    Raises:
        InputError: a format that cannot be read, or a sheet of a file that has none.
    """
    ending = Path(path).suffix.lower()
    if ending in (".xls", ".xlsb", ".ods"):
        remedy = "save it as .xlsx or as CSV UTF-8"
    elif ending in (".por", ".sas7bdat", ".xpt", ".rds", ".rdata"):
        remedy = "save it as Stata (.dta), SPSS (.sav), Parquet or CSV UTF-8"
    else:
        remedy = ""
    if remedy:
        raise InputError([Problem(str(path), f"files ending in {ending} cannot be read", remedy)])
    kind = "columns" if ending in FORMATS else "excel" if ending in (".xlsx", ".xlsm") else "text"
    if sheet is not None and kind != "excel":
        raise InputError(
            [Problem(str(path), f"it has no sheets, but sheet '{sheet}' is asked for", "leave `sheet` away")]
        )
    return kind


def read_table(
    path: str | Path,
    sheet: str | None = None,
    *,
    categories: bool = False,
    only: Container[str] | None = None,
) -> Table:
    """Read a table as text: text with separators, Excel, Parquet, Stata or SPSS, by the file's ending.

    Text: comma, semicolon or tab, whichever the header line uses most; lines are numbered as in the file.
    Excel (.xlsx): the first row that is not empty is the header; rows are numbered as in the sheet; a number
    that is shown with leading zeros keeps them. Parquet, Stata (.dta) and SPSS (.sav, .zsav): rows are
    numbered from 1; values with a label are read as their label, missing codes as empty, and the table's
    notes tell which. Blank rows are skipped, fields are stripped of surrounding blanks.

    Args:
        path: the file.
        sheet: of an Excel workbook; the first one if None.
        categories: give columns of pandas categories, each distinct text once: for files of many rows.
        only: the columns to read, for files of many columns; all if None. Rows that are blank in these are
            kept.

    Raises:
        InputError: the file is absent or cannot be read as what its ending says, is not UTF-8 text, is empty,
            repeats a column name, or a row has another number of fields than the header.
    """
    name = str(path)
    kind = _format(path, sheet)
    if kind == "columns":
        return _coded_table(path, categories, only)
    problems: list[Problem] = []
    if kind == "excel":
        header, rows, lines = excel_table(path, sheet, problems)
        name = f"{name}, sheet '{sheet}'" if sheet else name
    else:
        regular = regular_columns(path, only) if categories else None
        if regular is not None:
            found = Table(name, regular if only is not None else regular[_any_value(regular)])
            if only is not None:
                found.others = [column for column in read_header(path) if column not in regular]
            return found
        header, rows, lines = text_table(path, problems)
    unit = "line" if kind == "text" else "row"
    _check_header(name, header, problems)
    if not rows:
        raise InputError(
            [Problem(name, "the table has a header but no rows", "add the data below the header")]
        )
    frame = pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=str).astype(object)
    chosen = [column for column in header if only is None or column in only] or header[:1]
    others = [column for column in header if column not in chosen]
    frame = frame[chosen]
    return Table(name, frame.astype("category") if categories else frame, unit=unit, others=others)


def _coded_table(path: str | Path, categories: bool, only: Container[str] | None) -> Table:
    _check_header(str(path), column_names(path))
    content = read_columns(path, only)
    columns = [
        pd.Categorical.from_codes(codes, pd.Index(texts, dtype=object))
        for codes, texts in zip(content.codes, content.texts, strict=True)
    ]
    frame = pd.DataFrame(dict(zip(content.names, columns, strict=True)))
    frame.index = pd.Index(range(1, len(frame) + 1), name="line")
    if only is None:
        frame = frame[_any_value(frame)]
        if frame.empty:
            raise InputError([Problem(str(path), "the table has columns but no rows", "add the data")])
    frame = frame if categories else frame.astype(object)
    return Table(str(path), frame, unit="row", notes=content.notes, others=content.others)


def _any_value(frame: pd.DataFrame) -> np.ndarray:
    """Which rows are not blank."""
    found = np.zeros(len(frame), dtype=bool)
    for column in frame.columns:
        found |= (frame[column] != "").to_numpy()
        if found.all():
            break
    return found


def _check_header(name: str, header: list[str], problems: Sequence[Problem] = ()) -> None:
    """Raise what is wrong with the header, and the problems found in the rows, together."""
    if not header:
        raise _is_empty(name)
    found = []
    if len(header) == 1 and re.search(r"[|\s]", header[0]):
        raise InputError(
            [
                Problem(
                    name,
                    f"the first line names a single column: '{header[0]}'",
                    "the first line is the header, with columns separated by comma, semicolon or tab: take a "
                    "title above it away, or save the table as CSV UTF-8",
                )
            ]
        )
    if header.count("") > 1:
        shown = ", ".join(f"'{column}'" for column in header if column)
        what = f"{header.count('')} of {len(header)} columns have no name (those named: {shown})"
        remedy = (
            "the first line that is not empty is the header: take a title above it away, and give each "
            "column a name of its own"
        )
        found.append(Problem(name, what, remedy))
    for column in sorted({c for c in header if c and header.count(c) > 1}):
        what = f"the column '{column}' stands twice"
        found.append(Problem(name, what, "give each column a name of its own in the header"))
    found += problems
    if len(found) > MOST:
        found = [*found[:MOST], Problem(name, f"and {len(found) - MOST} more rows or columns with mistakes")]
    if found:
        raise InputError(found)
