"""A value of a spreadsheet or data file as text."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

from poolmap.errors import InputError, Problem


def cell_text(value: Any, number_format: str = "") -> str:
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


def unreadable(path: str | Path, what: str) -> InputError:
    """The error that a file is absent, or not what its ending says."""
    if not Path(path).exists():
        problem = "the file does not exist", "check the path; it is relative to the project folder"
    else:
        problem = f"the file cannot be read as {what}", "save it again in that format, or as CSV UTF-8"
    return InputError([Problem(str(path), *problem)])
