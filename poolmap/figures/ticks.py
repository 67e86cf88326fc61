"""Ticks of axes of ratios, and how their values are written."""

from __future__ import annotations

import numpy as np

MOST_TICKS = 7


def ratio_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Ticks of a log axis at true values (0.1, 0.2, 0.5, 1, 2 ...), at most `most`."""
    from matplotlib.ticker import MaxNLocator

    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    found: list[float] = []
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(found) <= most and (len(found) >= 3 or steps == (1,)):
            break
    if len(found) > most:
        every = int(np.ceil(len(found) / (most - 1)))
        found = [t for t in found if round(np.log10(t)) % every == 0]
    if len(found) < 3:
        found = [float(t) for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high and t > 0]
    return [float(f"{t:.6g}") for t in found]


def minus(text: str) -> str:
    """Numbers with a true minus sign for the hyphen; hyphens of words and ranges stay."""
    return "".join(
        "\N{MINUS SIGN}"
        if letter == "-" and text[i + 1 : i + 2].isdigit() and (i == 0 or text[i - 1] in " (<")
        else letter
        for i, letter in enumerate(text)
    )


def plain(value: float) -> str:
    """A number to six digits, without powers of ten: 0.00001, 1000000."""
    places = max(0, 5 - int(np.floor(np.log10(abs(value))))) if value else 0
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\N{MINUS SIGN}")
