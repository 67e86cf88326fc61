"""Text tables with separators: the fields of every row, and the line that each stands in."""

from __future__ import annotations

import csv
import re
from collections.abc import Container
from pathlib import Path

import numpy as np
import pandas as pd

from poolmap.errors import InputError, Problem

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NAMES_SEPARATOR = re.compile(r'"?sep=.?"?,*', re.IGNORECASE)


def text_table(path: str | Path, problems: list[Problem]) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and their lines in the file; what is wrong with rows goes to `problems`."""
    text = read_text(path)
    delimiter = delimiter_of(header_line(text))
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


def regular_columns(path: str | Path, only: Container[str] | None = None) -> pd.DataFrame | None:
    """A file without irregularities, read quickly into columns of categories; None where it has some.

    Irregular are files that are not UTF-8, that do not begin with their header, whose rows differ in their
    number of fields, are blank or run over several lines: `text_table` reads those, or says what is wrong.

    Args:
        only: the columns to read; all if None.

    Returns:
        columns of categories of stripped text; the index is the line.
    """
    import pyarrow
    from pyarrow import csv as arrow

    try:
        first = read_text(path, 65536)
        content = Path(path).read_bytes().rstrip(b"\r\n")
    except (InputError, OSError):
        return None
    line = header_line(first)
    delimiter = delimiter_of(line)
    header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    rows = content.count(b"\n")
    if (
        not rows
        or not all(header)
        or len(set(header)) < len(header)
        or not first.startswith(line)
        or b"\0" in content
    ):
        return None
    coded = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    names = [str(i) for i in range(len(header))]
    chosen = [i for i, name in enumerate(header) if only is None or name in only] or [0]
    try:
        table = arrow.read_csv(
            pyarrow.BufferReader(content),
            read_options=arrow.ReadOptions(column_names=names, skip_rows=1),
            parse_options=arrow.ParseOptions(delimiter=delimiter),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, coded),
                strings_can_be_null=False,
                include_columns=[names[i] for i in chosen],
            ),
        )
    except pyarrow.ArrowException:
        return None
    if table.num_rows != rows:
        return None
    columns = {}
    for i, column in zip(chosen, table.unify_dictionaries().columns, strict=True):
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])
        texts = [text.strip() for text in column.chunk(0).dictionary.to_pylist()]
        unique = pd.Index(dict.fromkeys(texts), dtype=object)
        columns[i] = pd.Categorical.from_codes(unique.get_indexer(texts)[codes], unique)
    index = pd.RangeIndex(2, rows + 2, name="line")
    return pd.DataFrame(columns, index=index).set_axis([header[i] for i in chosen], axis=1)


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


def header_line(text: str) -> str:
    """The first line that is not blank, after the one by which Excel names the separator (`sep=;`)."""
    lines = (line for line in text.splitlines() if line.strip(" ,;\t"))
    return next((line for line in lines if not _NAMES_SEPARATOR.fullmatch(line.strip())), "")


def _how_to_separate(fields: list[str], delimiter: str) -> str:
    other = delimiter_of(fields[0]) if len(fields) == 1 else delimiter
    if other != delimiter and other in fields[0]:
        return f"the header is separated by {SEPARATORS[delimiter]}, this line by {SEPARATORS[other]}"
    remedy = "look for a missing or extra separator, or an unquoted separator inside a text"
    if delimiter == "," and sum(field.isdigit() for field in fields) >= 2:
        remedy += "; numbers have a decimal point, not a comma"
    return remedy


def delimiter_of(line: str) -> str:
    """The separator that a header line uses most."""
    return max(",;\t", key=line.count)
