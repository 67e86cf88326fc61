"""Absolute risks and the number needed to treat, at stated risks without the intervention."""

from __future__ import annotations

import numpy as np
from scipy import special


def treated_risk(measure: str, effect: np.ndarray, baseline_risk: float) -> np.ndarray:
    """The risk in arm 1, given that in arm 2 (Cochrane Handbook, version 6.5, section 15.4).

    Args:
        measure: `OR`, `PETO` (log odds ratio), `RR` (log risk ratio) or `RD`.
        effect: draws on the scale of analysis, any shape.
        baseline_risk: between 0 and 1.

    Returns:
        risks of the same shape; where a risk ratio or difference would carry them past 0 or 1, that bound.
    """
    if measure == "RR":
        risk = baseline_risk * np.exp(effect)
    elif measure == "RD":
        risk = baseline_risk + effect
    elif measure in ("OR", "PETO"):
        risk = special.expit(special.logit(baseline_risk) + effect)
    else:
        raise ValueError(f"no risk follows from measure {measure}")
    return np.clip(risk, 0.0, 1.0)


def number_needed(rd: np.ndarray, interval: float) -> tuple[float, float, float]:
    """Number needed to treat, one over the absolute risk difference: by the median and the interval's ends.

    The ends are NaN where the interval of the difference holds 0: then the numbers run from one end through
    infinity to the other (Altman 1998, BMJ 317:1309).

    Args:
        rd: draws of the risk difference.
        interval: level of the central interval.
    """
    tail = (1 - interval) / 2
    lower, median, upper = np.quantile(rd, [tail, 0.5, 1 - tail])
    with np.errstate(divide="ignore"):
        middle = float(1 / np.abs(median))
        if lower <= 0 <= upper:
            return middle, float("nan"), float("nan")
        least, most = sorted((1 / abs(lower), 1 / abs(upper)))
    return middle, float(least), float(most)
