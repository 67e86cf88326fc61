"""Reading and checking users' tables; every message names the file, the line and the column."""

from __future__ import annotations

import csv
import datetime
import difflib
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from poolmap.errors import InputError, Problem
from poolmap.number_words import THOUSANDS, how_to_write

MISSING = frozenset({"", "NA", "NaN", "nan", "."})
EXCLUSION_COLUMNS = ["file", "row", "id", "reason"]
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
MOST = 20  # mistakes of the form of a table that are shown
_SHOWN = 5
_NAMES_SEPARATOR = re.compile(r'"?sep=.?"?,*', re.IGNORECASE)


def close_to(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that is nearest, if one is near."""
    lower = {str(v).lower(): str(v) for v in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[close[0]] if close else None


def nearest(name: str, valid: Iterable[str]) -> str:
    """A sentence with the nearest valid name, or with all of them where none is near."""
    valid = [str(v) for v in valid]
    near = close_to(name, valid)
    if near is not None:
        return f"did you mean '{near}'?"
    listed = ", ".join(valid[:25]) + (" ..." if len(valid) > 25 else "")
    return f"valid names: {listed}"


def article(noun: str) -> str:
    """The noun with a or an."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def exclusions(rows: Sequence[tuple[str, int, str, str]] = ()) -> pd.DataFrame:
    """The table of what was left out: file, row (line in the file), id, reason."""
    return pd.DataFrame(list(rows), columns=EXCLUSION_COLUMNS)


@dataclass
class Table:
    """A user's table as text, with the line of the file that each row came from.

    Attributes:
        path: the file, as the user wrote it in the config.
        frame: one column of stripped text a field; the index is the line number in the file.
        problems: what was found wrong so far; `finish` raises them together.
        unit: what a row is called in messages: `line` of a text file, `row` of a sheet or of Parquet.
    """

    path: str
    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    unit: str = "line"

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

    def has(self, column: str, *, key: str = "") -> bool:
        """Whether the column exists; a missing one is noted with the nearest name that does."""
        if column in self.frame.columns:
            return True
        of = f" (asked for by '{key}')" if key else ""
        self.problem(f"there is no column '{column}'{of}", nearest(column, self.frame.columns))
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
        values = pd.to_numeric(text.where(~missing), errors="coerce").astype("float64")
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


def read_header(path: str | Path, sheet: str | None = None) -> list[str]:
    """The column names of a table, without reading its rows.

    Raises:
        InputError: as `read_table`.
    """
    kind = _format(path, sheet)
    if kind == "excel":
        header = next((fields for _, fields in _excel_rows(path, sheet)), [])
    elif kind == "parquet":
        header = list(_parquet(path, only_schema=True).names)
    else:
        line = _header_line(read_text(path, 65536))
        header = [field.strip() for field in next(csv.reader([line], delimiter=_delimiter(line)), [])]
    while header and not header[-1]:
        header.pop()
    _check_header(str(path), header)
    return header


def _is_empty(path: str | Path) -> InputError:
    remedy = "it needs a header line and at least one row"
    return InputError([Problem(str(path), "the file is empty", remedy)])


def _format(path: str | Path, sheet: str | None) -> str:
    """`text`, `excel` or `parquet`, by the ending.

    Raises:
        InputError: an Excel format that cannot be read, or a sheet of a file that has none.
    """
    ending = Path(path).suffix.lower()
    if ending in (".xls", ".xlsb", ".ods"):
        raise InputError(
            [
                Problem(
                    str(path), f"files ending in {ending} cannot be read", "save it as .xlsx or as CSV UTF-8"
                )
            ]
        )
    kind = {".xlsx": "excel", ".xlsm": "excel", ".parquet": "parquet", ".pq": "parquet"}.get(ending, "text")
    if sheet is not None and kind != "excel":
        raise InputError(
            [Problem(str(path), f"it has no sheets, but sheet '{sheet}' is asked for", "leave `sheet` away")]
        )
    return kind


def _header_line(text: str) -> str:
    """The first line that is not blank, after the one by which Excel names the separator (`sep=;`)."""
    lines = (line for line in text.splitlines() if line.strip(" ,;\t"))
    return next((line for line in lines if not _NAMES_SEPARATOR.fullmatch(line.strip())), "")


def _how_to_separate(fields: list[str], delimiter: str) -> str:
    other = _delimiter(fields[0]) if len(fields) == 1 else delimiter
    if other != delimiter and other in fields[0]:
        return f"the header is separated by {SEPARATORS[delimiter]}, this line by {SEPARATORS[other]}"
    remedy = "look for a missing or extra separator, or an unquoted separator inside a text"
    if delimiter == "," and sum(field.isdigit() for field in fields) >= 2:
        remedy += "; numbers have a decimal point, not a comma"
    return remedy


def _delimiter(header_line: str) -> str:
    return max(",;\t", key=header_line.count)


def read_text(path: str | Path, characters: int = -1) -> str:
    """The file's text, or its beginning.

    Raises:
        InputError: the file is absent, may not be read, or is not UTF-8 text.
    """

    def refuse(what: str, remedy: str) -> InputError:
        return InputError([Problem(str(path), what, remedy)])

    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            text = file.read(characters)
    except FileNotFoundError:
        raise refuse(
            "the file does not exist", "check the path; it is relative to the project folder"
        ) from None
    except UnicodeDecodeError:
        raise refuse(
            "the file is not text in UTF-8",
            "save it again as CSV UTF-8 (in Excel: 'CSV UTF-8 (comma delimited)')",
        ) from None
    except OSError as error:
        raise refuse(
            f"the file cannot be read ({error.strerror})", "check that it is a file you may read"
        ) from None
    if "\0" in text:
        raise refuse("the file is not a text table (it holds NUL bytes)", "export it as CSV UTF-8")
    return text


def read_table(path: str | Path, sheet: str | None = None) -> Table:
    """Read a table as text: text with separators, Excel (.xlsx) or Parquet, by the file's ending.

    Text: comma, semicolon or tab, whichever the header line uses most; lines are numbered as in the file.
    Excel: the first row that is not empty is the header; rows are numbered as in the sheet; a number that is
    shown with leading zeros keeps them. Parquet: rows are numbered from 1. Blank rows are skipped, fields
    are stripped of surrounding blanks.

    Args:
        path: the file.
        sheet: of an Excel workbook; the first one if None.

    Raises:
        InputError: the file is absent or cannot be read as what its ending says, is not UTF-8 text, is empty,
            repeats a column name, or a row has another number of fields than the header.
    """
    name = str(path)
    kind = _format(path, sheet)
    if kind == "parquet":
        return _parquet_table(path)
    problems: list[Problem] = []
    if kind == "excel":
        header, rows, lines = _excel_table(path, sheet, problems)
        name = f"{name}, sheet '{sheet}'" if sheet else name
    else:
        header, rows, lines = _text_table(path, problems)
    unit = "line" if kind == "text" else "row"
    _check_header(name, header, problems)
    if not rows:
        raise InputError(
            [Problem(name, "the table has a header but no rows", "add the data below the header")]
        )
    frame = pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=str).astype(object)
    return Table(path=name, frame=frame, unit=unit)


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


def _text_table(path: str | Path, problems: list[Problem]) -> tuple[list[str], list[list[str]], list[int]]:
    text = read_text(path)
    delimiter = _delimiter(_header_line(text))
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for fields in reader:
        fields = [f.strip() for f in fields]
        if not any(fields) or (not header and _NAMES_SEPARATOR.fullmatch(delimiter.join(fields))):
            continue
        if not header:
            header = fields
        elif len(fields) != len(header):
            problems.append(
                Problem(
                    f"{path}, line {reader.line_num}",
                    f"{'1 field' if len(fields) == 1 else f'{len(fields)} fields'}, but the header names "
                    f"{len(header)} columns",
                    _how_to_separate(fields, delimiter),
                )
            )
        else:
            rows.append(fields)
            lines.append(reader.line_num)
    while header and not header[-1] and not any(row[-1] for row in rows):  # empty columns behind the table
        header = header[:-1]
        rows = [row[:-1] for row in rows]
    return header, rows, lines


def _workbook(path: str | Path, **options: bool) -> Any:
    """An Excel workbook, opened by openpyxl.

    Raises:
        InputError: the file is absent or is no such workbook.
    """
    import openpyxl

    try:
        return openpyxl.load_workbook(path, read_only=True, **options)
    except (
        OSError,
        KeyError,
        ValueError,
        zipfile.BadZipFile,
        openpyxl.utils.exceptions.InvalidFileException,
    ):
        raise _unreadable(path, "an Excel workbook (.xlsx)") from None


def _unreadable(path: str | Path, what: str) -> InputError:
    if not Path(path).exists():
        problem = "the file does not exist", "check the path; it is relative to the project folder"
    else:
        problem = f"the file cannot be read as {what}", "save it again in that format, or as CSV UTF-8"
    return InputError([Problem(str(path), *problem)])


def _sheet(book: Any, path: str | Path, sheet: str | None) -> Any:
    names = [s.title for s in book.worksheets]
    if sheet is not None and sheet not in names:
        raise InputError([Problem(str(path), f"there is no sheet '{sheet}'", nearest(sheet, names))])
    found = book.worksheets[0 if sheet is None else names.index(sheet)]
    found.reset_dimensions()  # what the file says of its size may be wrong
    return found


def _excel_rows(path: str | Path, sheet: str | None) -> Iterator[tuple[int, list[str]]]:
    """Row number and text of each row that is not blank, without empty cells at its end."""
    book = _workbook(path, data_only=True)
    try:
        for number, cells in enumerate(_sheet(book, path, sheet).iter_rows(), start=1):
            fields = [_cell_text(cell.value, getattr(cell, "number_format", "")) for cell in cells]
            while fields and not fields[-1]:
                fields.pop()
            if fields:
                yield number, fields
    finally:
        book.close()


def _excel_table(
    path: str | Path, sheet: str | None, problems: list[Problem]
) -> tuple[list[str], list[list[str]], list[int]]:
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, fields in _excel_rows(path, sheet):
        if not header:
            header = fields
        elif len(fields) > len(header):
            problems.append(
                Problem(
                    f"{path}, row {number}",
                    f"there is a value in column {len(fields)}, but the header names {len(header)} columns",
                    "keep notes and totals off the sheet of the data, or name the column",
                )
            )
        else:
            rows.append(fields + [""] * (len(header) - len(fields)))
            lines.append(number)
    problems += _formulas_without_value(path, sheet)
    return header, rows, lines


def _formulas_without_value(path: str | Path, sheet: str | None) -> list[Problem]:
    """Cells that hold a formula whose result was never stored (the file was not written by Excel)."""
    formulas, values = _workbook(path), _workbook(path, data_only=True)
    found = []
    try:
        pairs = zip(
            _sheet(formulas, path, sheet).iter_rows(), _sheet(values, path, sheet).iter_rows(), strict=False
        )
        for written, stored in pairs:
            for cell, value in zip(written, stored, strict=False):
                if getattr(cell, "data_type", "") == "f" and value.value is None:
                    what = f"cell {cell.coordinate} holds a formula without a stored result"
                    found.append(
                        Problem(str(path), what, "open the file in Excel or LibreOffice and save it")
                    )
    finally:
        formulas.close()
        values.close()
    return found[:_SHOWN]


def _cell_text(value: Any, number_format: str = "") -> str:
    """A value as text: whole numbers without decimals, dates as 2001-12-31, zeros kept where shown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, int | float) and math.isfinite(value) and value == int(value):
        zeros = len(number_format) if number_format and set(number_format) == {"0"} else 0
        return f"{int(value):0{zeros}d}"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return str(value).strip()


def _parquet(path: str | Path, *, only_schema: bool = False) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_schema(path) if only_schema else parquet.read_table(path)
    except (OSError, pyarrow.ArrowException):
        raise _unreadable(path, "Parquet") from None


def _parquet_table(path: str | Path) -> Table:
    from pyarrow import types

    content = _parquet(path)
    header = [str(column) for column in content.column_names]
    _check_header(str(path), header)
    problems = [
        Problem(f"{path}, column '{part.name}'", f"it holds {part.type}", "a column holds one value a row")
        for part in content.schema
        if types.is_nested(part.type)
    ]
    if problems:
        raise InputError(problems)
    columns = []
    for part, column in zip(content.schema, content.columns, strict=True):
        values = column.to_pylist()
        if types.is_float32(part.type):
            values = [None if v is None else float(str(np.float32(v))) for v in values]
        columns.append([_cell_text(value) for value in values])
    frame = pd.DataFrame(dict(zip(header, columns, strict=True)), dtype=str).astype(object)
    frame.index = pd.Index(range(1, len(frame) + 1), name="line")
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty:
        raise InputError([Problem(str(path), "the table has columns but no rows", "add the data")])
    return Table(path=str(path), frame=frame, unit="row")
