"""Excel workbooks: the fields of every row as text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poolmap.cell_text import cell_text, unreadable
from poolmap.errors import InputError, Problem
from poolmap.spelling import nearest

_SHOWN = 5


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
        raise unreadable(path, "an Excel workbook (.xlsx)") from None


def _sheet(book: Any, path: str | Path, sheet: str | None) -> Any:
    names = [s.title for s in book.worksheets]
    if sheet is not None and sheet not in names:
        raise InputError([Problem(str(path), f"there is no sheet '{sheet}'", nearest(sheet, names))])
    found = book.worksheets[0 if sheet is None else names.index(sheet)]
    found.reset_dimensions()  # what the file says of its size may be wrong
    return found


def excel_rows(path: str | Path, sheet: str | None) -> Iterator[tuple[int, list[str]]]:
    """Row number and text of each row that is not blank, without empty cells at its end."""
    book = _workbook(path, data_only=True)
    try:
        for number, cells in enumerate(_sheet(book, path, sheet).iter_rows(), start=1):
            fields = [cell_text(cell.value, getattr(cell, "number_format", "")) for cell in cells]
            while fields and not fields[-1]:
                fields.pop()
            if fields:
                yield number, fields
    finally:
        book.close()


def excel_table(
    path: str | Path, sheet: str | None, problems: list[Problem]
) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and their numbers in the sheet; what is wrong with rows goes to `problems`."""
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, fields in excel_rows(path, sheet):
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
