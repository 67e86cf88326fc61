"""Files that hold a table by columns (Parquet, Stata, SPSS): each distinct value made text once."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poolmap.cell_text import cell_text, unreadable
from poolmap.errors import InputError, Problem

FORMATS = {".parquet": "Parquet", ".pq": "Parquet", ".dta": "Stata", ".sav": "SPSS", ".zsav": "SPSS"}


@dataclass
class Columns:
    """The columns of a file, coded.

    Attributes:
        names: of the columns.
        codes: of each column, (rows,) integers into `texts`.
        texts: of each column, its distinct values as text, none twice.
        notes: what a reader must know of how values were read.
        others: names of columns that were not read.
    """

    names: list[str]
    codes: list[np.ndarray] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def add(self, codes: np.ndarray, texts: list[str]) -> None:
        """Add a column; texts that are equal (after stripping) become one."""
        unique = list(dict.fromkeys(texts))
        if len(unique) < len(texts):
            place = {text: i for i, text in enumerate(unique)}
            codes = np.array([place[text] for text in texts], dtype=np.int64)[codes]
        self.codes.append(codes)
        self.texts.append(unique)


def column_names(path: str | Path) -> list[str]:
    """The names of the columns, without reading the values.

    Raises:
        InputError: the file is absent or is not what its ending says.
    """
    if _format(path) == "Parquet":
        return [str(name) for name in _parquet(path, only_schema=True).names]
    return list(_readstat(path, metadataonly=True)[1].column_names)


def read_columns(path: str | Path, only: Container[str] | None = None) -> Columns:
    """Read the file, or some of its columns.

    Stata, SPSS: a value with a label is its label; missing values (Stata's ., .a to .z, the user-missing
    values of SPSS) are empty text, their numbers stated in the notes.

    Args:
        only: the columns to read; all if None.

    Raises:
        InputError: the file is absent, is not what its ending says, or a column holds lists.
    """
    names = column_names(path)
    chosen = names if only is None else [name for name in names if name in only] or names[:1]
    columns = (
        _parquet_columns(path, chosen) if _format(path) == "Parquet" else _labelled_columns(path, chosen)
    )
    columns.others = [name for name in names if name not in chosen]
    return columns


def _format(path: str | Path) -> str:
    return FORMATS[Path(path).suffix.lower()]


def _parquet(path: str | Path, *, only_schema: bool = False, columns: Sequence[str] | None = None) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_schema(path) if only_schema else parquet.read_table(path, columns=columns)
    except (OSError, pyarrow.ArrowException):
        raise unreadable(path, "Parquet") from None


def _parquet_columns(path: str | Path, names: list[str]) -> Columns:
    from pyarrow import types

    content = _parquet(path, columns=names)
    problems = [
        Problem(f"{path}, column '{part.name}'", f"it holds {part.type}", "a column holds one value a row")
        for part in content.schema
        if types.is_nested(part.type)
    ]
    if problems:
        raise InputError(problems)
    columns = Columns([str(name) for name in content.column_names])
    for part, column in zip(content.schema, content.columns, strict=True):
        coded = column.combine_chunks()
        if not types.is_dictionary(part.type):
            coded = coded.dictionary_encode()
        values = coded.dictionary.to_pylist()
        if types.is_float32(part.type):
            values = [None if v is None else float(str(np.float32(v))) for v in values]
        codes = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int64)
        columns.add(codes, [*(cell_text(value) for value in values), ""])
    return columns


def _readstat(path: str | Path, **options: Any) -> Any:
    import pyreadstat

    read: Callable[..., Any] = pyreadstat.read_dta if _format(path) == "Stata" else pyreadstat.read_sav
    try:
        return read(str(path), output_format="dict", user_missing=True, **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeDecodeError, OSError):
        raise unreadable(path, f"{_format(path)} ({Path(path).suffix})") from None


def _labelled_columns(path: str | Path, names: list[str]) -> Columns:
    content, about = _readstat(path, usecols=names)
    columns = Columns(list(about.column_names))
    for name in columns.names:
        values = content[name]
        single = about.readstat_variable_types[name] == "float"
        labels = about.variable_value_labels.get(name, {})
        distinct: dict[Any, int] = {}
        codes = np.array([distinct.setdefault(value, len(distinct)) for value in values], dtype=np.int64)
        missing = [
            value
            for value in distinct
            if value in about.missing_user_values.get(name, ())
            or _is_in(value, about.missing_ranges.get(name))
        ]
        texts = ["" if value in missing else _labelled(value, labels, single) for value in distinct]
        columns.add(codes, texts)
        columns.notes += _notes(name, np.bincount(codes, minlength=len(distinct)), distinct, missing, labels)
    return columns


def _labelled(value: Any, labels: Mapping[Any, str], single: bool) -> str:
    label = str(labels.get(value, "")).strip() if value is not None else ""
    if label:
        return label
    return cell_text(float(str(np.float32(value))) if single and isinstance(value, float) else value)


def _is_in(value: Any, ranges: list[Mapping[str, Any]] | None) -> bool:
    """Whether SPSS calls the value missing."""
    for part in ranges or ():
        low, high = part["lo"], part["hi"]
        if isinstance(value, str) == isinstance(low, str) and value is not None and low <= value <= high:
            return True
    return False


def _notes(
    name: str, counts: np.ndarray, distinct: Mapping[Any, int], missing: list[Any], labels: Mapping[Any, str]
) -> list[str]:
    """Which values of the column were read as missing, and which codes share a label."""
    notes = []
    if missing:
        named = {v: f"{cell_text(v)} ({labels[v]})" if v in labels else cell_text(v) for v in missing}
        shown = [f"{named[v]}: {counts[distinct[v]]:,}" for v in missing]
        notes.append(f"missing by declaration in '{name}': {', '.join(shown)}")
    for label in dict.fromkeys(labels.values()):
        codes = [cell_text(v) for v in distinct if v is not None and labels.get(v) == label]
        if len(codes) > 1:
            notes.append(f"the codes {', '.join(codes)} of '{name}' share the label '{label}': one level")
    return notes
