"""Reading and checking users' tables; every message names the file, the line and the column."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from poolmap.errors import InputError, Problem

MISSING = frozenset({"", "NA", "NaN", "nan", "."})
EXCLUSION_COLUMNS = ["file", "row", "id", "reason"]
_SHOWN = 5


def nearest(name: str, valid: Iterable[str]) -> str:
    """A sentence with the nearest valid name, or with all of them where none is near."""
    valid = [str(v) for v in valid]
    lower = {v.lower(): v for v in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    if close:
        return f"did you mean '{lower[close[0]]}'?"
    listed = ", ".join(valid[:25]) + (" ..." if len(valid) > 25 else "")
    return f"valid names: {listed}"


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
    """

    path: str
    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)

    def where(self, line: int | None = None, column: str | None = None) -> str:
        """The place, in words: file, line, column."""
        parts = [self.path]
        if line is not None:
            parts.append(f"line {line}")
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

    def _report(self, column: str, lines: Sequence[int], what: str, remedy: str) -> None:
        for line in lines[:_SHOWN]:
            value = self.frame.at[line, column]
            self.problem(what.format(value=value), remedy, line=line, column=column)
        if len(lines) > _SHOWN:
            self.problem(f"the same in {len(lines) - _SHOWN} more rows", column=column)

    def ids(self, column: str, *, what: str, unique: bool = True) -> pd.Series:
        """An identifier column as text (so that 01 stays 01); empty and repeated ids are problems."""
        values = self.frame[column]
        empty = values.index[values == ""].tolist()
        self._report(column, empty, f"the {what} is empty", f"give every row a {what}")
        if unique:
            full = values[values != ""]
            first: dict[str, int] = {}
            for line, value in full.items():
                if value in first:
                    self.problem(
                        f"{what} '{value}' stands already in line {first[value]}",
                        f"each {what} may stand once: merge the rows or give them different names",
                        line=line,
                        column=column,
                    )
                else:
                    first[value] = line
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
        remedy = f"write {what}" + (
            " with a decimal point, not a comma" if text[bad].str.contains(",").any() else ""
        )
        self._report(column, text.index[bad].tolist(), "'{value}' is not a number", remedy)
        good = ~missing & ~bad
        if integer:
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


def read_header(path: str | Path) -> list[str]:
    """The column names of a table, without reading its rows.

    Raises:
        InputError: as `read_table`.
    """
    return next(csv.reader([line := _header_line(_read_text(path, 65536))], delimiter=_delimiter(line)), [])


def _header_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _delimiter(header_line: str) -> str:
    return max(",;\t", key=header_line.count)


def _read_text(path: str | Path, characters: int = -1) -> str:
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


def read_table(path: str | Path) -> Table:
    """Read a comma, semicolon or tab separated file as text.

    The separator is the one that the header line uses most. Lines are numbered as in the file, blank
    lines are skipped, fields are stripped of surrounding blanks.

    Raises:
        InputError: the file is absent, is not UTF-8 text, is empty, repeats a column name, or a line has
            another number of fields than the header.
    """
    name = str(path)

    text = _read_text(path)
    delimiter = _delimiter(_header_line(text))
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    problems: list[Problem] = []
    for fields in reader:
        fields = [f.strip() for f in fields]
        if not any(fields):
            continue
        if not header:
            header = fields
        elif len(fields) != len(header):
            problems.append(
                Problem(
                    f"{name}, line {reader.line_num}",
                    f"{len(fields)} fields, but the header names {len(header)} columns",
                    "look for a missing or extra separator, or an unquoted separator inside a text",
                )
            )
        else:
            rows.append(fields)
            lines.append(reader.line_num)
    if not header:
        raise InputError([Problem(name, "the file is empty", "it needs a header line and at least one row")])
    for column in sorted({c for c in header if header.count(c) > 1}):
        what = f"the column '{column}' stands twice" if column else "a column has no name"
        problems.append(Problem(name, what, "give each column a name of its own in the header"))
    if problems:
        raise InputError(problems[:20])
    if not rows:
        raise InputError(
            [Problem(name, "the table has a header but no rows", "add the data below the header")]
        )
    frame = pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=str).astype(object)
    return Table(path=name, frame=frame)
