"""What to do about a text that is not a number: the slips that a table makes on its way here."""

from __future__ import annotations

import re

THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,'\u00a0\u202f\u2009 ]\d{3})+")


BEHIND = re.compile(r"[-+]?[\d.,]+\s*([^\W\d_]+|[*\u2020\u2021]+|[\[(].*[\])])")
BOUNDS = "<>=~\u2264\u2265\u2248"
DASHES = ("\u2212", "\u2013")  # minus sign, en dash


def how_to_write(what: str, text: str, *, integer: bool) -> str:
    """The remedy for a field that is no number.

    Args:
        what: what is to be written ("the standard error, above 0").
        text: the field.
        integer: whether whole numbers are wanted.
    """
    hint = ""
    if "%" in text and integer:
        hint = "how many, not a percentage"
    elif "%" in text:
        hint = "without the percent sign (0.1 for 10%, where it is a share)"
    elif integer and THOUSANDS.fullmatch(text):
        hint = "without separators between thousands"
    elif not integer and THOUSANDS.fullmatch(text) and "," in text:
        hint = "without separators between thousands, and with a point before decimals, if it has any"
    elif not integer and "," in text:
        hint = "with a decimal point, not a comma"
    elif text[:1] and text[:1] in BOUNDS:
        hint = "an exact value, not a bound or a guess"
    elif any(dash in text for dash in DASHES):
        hint = "with the minus sign of the keyboard (-), not a dash"
    elif BEHIND.fullmatch(text):
        hint = "without units, signs or remarks behind the number"
    return f"write {what}" + (f": {hint}" if hint else "")
