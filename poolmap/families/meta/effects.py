"""Effect measures of two-arm studies: names, estimates and sampling variances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CORRECTION = 0.5
"""What is added to all four cells of a study with a zero cell."""


@dataclass(frozen=True)
class Scale:
    """How an effect measure is named.

    Attributes:
        name: quantity on the scale of analysis (`log_rr`).
        words: the same in words.
        ratio: its exponential (`rr`), "" where the scale of analysis is the one to report.
        ratio_words: the ratio in words.
        short: heading of a table or figure (`RR`).
    """

    name: str
    words: str
    ratio: str
    ratio_words: str
    short: str

    @property
    def report(self) -> str:
        """The quantity that is reported first: the ratio where there is one."""
        return self.ratio or self.name

    @property
    def report_words(self) -> str:
        """Its name in words."""
        return self.ratio_words or self.words

    @property
    def null(self) -> float:
        """No effect, on the scale that is reported first."""
        return 1.0 if self.ratio else 0.0

    def natural(self, value: np.ndarray) -> np.ndarray:
        """From the scale of analysis to the one that is reported first."""
        return np.exp(value) if self.ratio else np.asarray(value)


SCALES = {
    "RR": Scale("log_rr", "log risk ratio", "rr", "risk ratio", "RR"),
    "OR": Scale("log_or", "log odds ratio", "or", "odds ratio", "OR"),
    "RD": Scale("rd", "risk difference", "", "", "RD"),
    "GEN": Scale("effect", "effect", "", "", "Effect"),
}


def effect_sizes(
    measure: str,
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    *,
    correction: float = CORRECTION,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate and large-sample variance of an effect measure from the counts of two arms.

    With a, b events and non-events in arm 1 and c, d in arm 2, `correction` being added to all four
    cells of a study where one of them is 0 (Gart & Zweifel 1967; as metafor's `escalc`, `to = "only0"`):

        OR  log(ad / bc)                    1/a + 1/b + 1/c + 1/d
        RR  log(a/(a+b)) - log(c/(c+d))     1/a - 1/(a+b) + 1/c - 1/(c+d)
        RD  a/(a+b) - c/(c+d)               ab/(a+b)^3 + cd/(c+d)^3

    Args:
        measure: `OR`, `RR` or `RD`.
        events_1, total_1, events_2, total_2: counts, arrays (study,).
        correction: what is added in a study with a zero cell.

    Returns:
        estimates and variances (on the log scale for OR and RR), and which studies were corrected.

    Source: Higgins et al., Cochrane Handbook, version 6.4, sections 6.4.1 and 10.4.
    """
    a, c = np.asarray(events_1, dtype=float), np.asarray(events_2, dtype=float)
    b, d = np.asarray(total_1, dtype=float) - a, np.asarray(total_2, dtype=float) - c
    corrected = (a == 0) | (b == 0) | (c == 0) | (d == 0)
    a, b, c, d = (cell + np.where(corrected, correction, 0.0) for cell in (a, b, c, d))
    n1, n2 = a + b, c + d
    if measure == "OR":
        return np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d, corrected
    if measure == "RR":
        return np.log(a / n1) - np.log(c / n2), 1 / a - 1 / n1 + 1 / c - 1 / n2, corrected
    if measure == "RD":
        return a / n1 - c / n2, a * b / n1**3 + c * d / n2**3, corrected
    raise ValueError(f"no effect size from counts for measure {measure}")


def typical_variance(vi: np.ndarray) -> float:
    """The typical within-study variance, s^2 of Higgins & Thompson 2002 (Stat Med 21:1539), equation 9.

    Args:
        vi: sampling variances of at least two studies.
    """
    weight = 1 / np.asarray(vi, dtype=float)
    return float((weight.size - 1) * weight.sum() / (weight.sum() ** 2 - (weight**2).sum()))
