"""Mantel-Haenszel and Peto: common effects straight from counts, with no correction of zero cells.

2x2 tables are given as events and totals of two arms (1: treated or exposed, 2: control), person-time as
events and time at risk. Ratios are pooled on the log scale. `k` is the number of studies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class CommonEffect:
    """A common effect from counts.

    Attributes:
        method: `MH` or `Peto`.
        measure: `OR`, `RR`, `RD`, `IRR` or `IRD`.
        k: studies with a comparison: with events in one arm or the other (and, for 2x2 tables, non-events);
            for differences, all.
        estimate, se, lower, upper, p: on the log scale for ratios, with Wald interval and two-sided p. NaN
            where one arm has no events in any study, and so no ratio.
        q, q_df, q_p: heterogeneity of the studies' own effects about `estimate` with weights 1 / v_i. For
            Mantel-Haenszel, studies with a zero cell get 0.5 on each cell (events of each arm for
            person-time), and studies without events, or with nothing else, are left out. For Peto's method
            from O - E and its variance.
        chi2, chi2_p: test of no effect given the margins (Cochran-Mantel-Haenszel for 2x2 tables, 1 degree of
            freedom), and with continuity correction, `chi2_corrected`, `chi2_corrected_p`.
    """

    method: str
    measure: str
    k: int
    estimate: float
    se: float
    lower: float
    upper: float
    p: float
    q: float
    q_df: int
    q_p: float
    chi2: float
    chi2_p: float
    chi2_corrected: float
    chi2_corrected_p: float


def mantel_haenszel(
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    measure: str = "OR",
    interval: float = 0.95,
) -> CommonEffect:
    """Mantel-Haenszel odds ratio, risk ratio or risk difference.

    OR: Mantel & Haenszel 1959, variance of Robins, Breslow & Greenland 1986; RR: Greenland & Robins 1985; RD:
    weights of Cochran 1954, variance of Sato et al. 1989. Test: Cochran 1954, Mantel & Haenszel 1959.

    Args:
        events_1, total_1, events_2, total_2: counts of the arms, shape (k,).
        measure: `OR`, `RR` or `RD`.
        interval: level, as 0.95.

    Raises:
        ValueError: shapes differ, counts are negative or not finite, events exceed totals, an arm is empty,
            or an unknown measure.
    """
    a, n1, c, n2 = _tables(events_1, total_1, events_2, total_2)
    if measure not in ("OR", "RR", "RD"):
        raise ValueError(f"measure {measure!r} is not one of OR, RR, RD")
    b, d, n = n1 - a, n2 - c, n1 + n2
    if measure == "OR":
        p, q, r, s = (a + d) / n, (b + c) / n, a * d / n, b * c / n
        R, S = r.sum(), s.sum()
        estimate = _log_ratio(R, S)
        with np.errstate(all="ignore"):
            variance = 0.5 * ((p * r).sum() / R**2 + (p * s + q * r).sum() / (R * S) + (q * s).sum() / S**2)
    elif measure == "RR":
        R, S = (a * n2 / n).sum(), (c * n1 / n).sum()
        estimate = _log_ratio(R, S)
        with np.errstate(all="ignore"):
            variance = (n1 * n2 * (a + c) / n**2 - a * c / n).sum() / (R * S)
    else:
        W = (n1 * n2 / n).sum()
        estimate = ((a * n2 - c * n1) / n).sum() / W
        between = (c * (n1 / n) ** 2 - a * (n2 / n) ** 2 + n1 * n2 * (n2 - n1) / (2 * n**2)).sum()
        variance = (estimate * between + ((a * d + c * b) / n).sum() / 2) / W**2

    informative = (a + c > 0) & (b + d > 0)
    zero = 0.5 * np.any([a == 0, b == 0, c == 0, d == 0], axis=0)
    a, b, c, d = (cell[informative] + zero[informative] for cell in (a, b, c, d))
    m1, m2 = a + b, c + d
    if measure == "OR":
        yi, vi = np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d
    elif measure == "RR":
        yi, vi = np.log(a * m2 / (c * m1)), 1 / a - 1 / m1 + 1 / c - 1 / m2
    else:
        yi, vi = a / m1 - c / m2, a * b / m1**3 + c * d / m2**3
    k = len(n) if measure == "RD" else int(informative.sum())
    excess, spread = _hypergeometric(*_tables(events_1, total_1, events_2, total_2))
    q = _about(yi, vi, estimate)
    return _common_effect("MH", measure, k, estimate, variance, q, excess, spread, interval)


def peto(
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    interval: float = 0.95,
) -> CommonEffect:
    """Peto's one-step odds ratio (Yusuf et al. 1985): log OR = sum(O - E) / sum(V), variance 1 / sum(V).

    Args:
        events_1, total_1, events_2, total_2: counts of the arms, shape (k,).
        interval: level, as 0.95.

    Raises:
        ValueError: as `mantel_haenszel`.
    """
    excess, spread = _hypergeometric(*_tables(events_1, total_1, events_2, total_2))
    V = spread.sum()
    estimate, variance = (excess.sum() / V, 1 / V) if V > 0 else (np.nan, np.nan)
    some = spread > 0
    q = _about(excess[some] / spread[some], 1 / spread[some], estimate)
    return _common_effect("Peto", "OR", int(some.sum()), estimate, variance, q, excess, spread, interval)


def mantel_haenszel_rates(
    events_1: np.ndarray,
    time_1: np.ndarray,
    events_2: np.ndarray,
    time_2: np.ndarray,
    measure: str = "IRR",
    interval: float = 0.95,
) -> CommonEffect:
    """Mantel-Haenszel ratio or difference of incidence rates (Greenland & Robins 1985).

    Args:
        events_1, time_1, events_2, time_2: events and time at risk of the arms, shape (k,).
        measure: `IRR` or `IRD`; the difference is per unit of time.
        interval: level, as 0.95.

    Raises:
        ValueError: shapes differ, counts are negative or not finite, a time is not positive, or an unknown
            measure.
    """
    x1, t1, x2, t2 = _columns(events_1, time_1, events_2, time_2)
    if measure not in ("IRR", "IRD"):
        raise ValueError(f"measure {measure!r} is not one of IRR, IRD")
    if (t1 <= 0).any() or (t2 <= 0).any():
        raise ValueError("times at risk must be positive")
    x, t = x1 + x2, t1 + t2
    excess, spread = x1 - x * t1 / t, x * t1 * t2 / t**2
    if measure == "IRR":
        R, S = (x1 * t2 / t).sum(), (x2 * t1 / t).sum()
        estimate = _log_ratio(R, S)
        with np.errstate(all="ignore"):
            variance = spread.sum() / (R * S)
    else:
        weights = t1 * t2 / t
        estimate = ((x1 * t2 - x2 * t1) / t).sum() / weights.sum()
        variance = (weights**2 * (x1 / t1**2 + x2 / t2**2)).sum() / weights.sum() ** 2
    some = x > 0
    zero = 0.5 * ((x1 == 0) | (x2 == 0))
    x1, x2, t1, t2 = (x1 + zero)[some], (x2 + zero)[some], t1[some], t2[some]
    if measure == "IRR":
        yi, vi = np.log(x1 * t2 / (x2 * t1)), 1 / x1 + 1 / x2
    else:
        yi, vi = x1 / t1 - x2 / t2, x1 / t1**2 + x2 / t2**2
    k = len(x) if measure == "IRD" else int(some.sum())
    q = _about(yi, vi, estimate)
    return _common_effect("MH", measure, k, estimate, variance, q, excess, spread, interval)


def mantel_haenszel_table(
    events_1: np.ndarray,
    total_1: np.ndarray,
    events_2: np.ndarray,
    total_2: np.ndarray,
    interval: float = 0.95,
    *,
    person_time: bool = False,
) -> pd.DataFrame:
    """The common effects from counts, one row per method and measure, for printing.

    Args:
        events_1, total_1, events_2, total_2: counts of the arms, shape (k,).
        interval: level, as 0.95.
        person_time: whether the totals are time at risk (then IRR and IRD) or people (OR, RR, RD, Peto OR).

    Returns:
        Columns as the attributes of `CommonEffect`, with `ratio`, `ratio_lower`, `ratio_upper`: exponentials
        of the estimate and its interval, NaN for differences.
    """
    counts = events_1, total_1, events_2, total_2
    if person_time:
        effects = [mantel_haenszel_rates(*counts, measure, interval) for measure in ("IRR", "IRD")]
    else:
        effects = [mantel_haenszel(*counts, measure, interval) for measure in ("OR", "RR", "RD")]
        effects.append(peto(*counts, interval))
    table = pd.DataFrame(effects)
    ratios = table["measure"].isin(["OR", "RR", "IRR"])
    for name, column in (("ratio", "estimate"), ("ratio_lower", "lower"), ("ratio_upper", "upper")):
        table[name] = np.exp(table[column].where(ratios))
    return table


def _columns(*columns: np.ndarray) -> list[np.ndarray]:
    arrays = [np.asarray(column, dtype=float) for column in columns]
    if arrays[0].ndim != 1 or len({array.shape for array in arrays}) > 1:
        raise ValueError("counts must be vectors of one length")
    if not len(arrays[0]):
        raise ValueError("no studies")
    if not all(np.isfinite(array).all() and (array >= 0).all() for array in arrays):
        raise ValueError("counts must be finite and not negative")
    return arrays


def _tables(*columns: np.ndarray) -> list[np.ndarray]:
    a, n1, c, n2 = arrays = _columns(*columns)
    if (n1 <= 0).any() or (n2 <= 0).any():
        raise ValueError("an arm is empty")
    if (a > n1).any() or (c > n2).any():
        raise ValueError("more events than people")
    return arrays


def _hypergeometric(
    a: np.ndarray, n1: np.ndarray, c: np.ndarray, n2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Observed less expected events of arm 1 given the margins, and their variance."""
    m, n = a + c, n1 + n2
    with np.errstate(invalid="ignore"):
        variance = np.where(n > 1, n1 * n2 * m * (n - m) / (n**2 * np.maximum(n - 1, 1)), 0.0)
    return a - m * n1 / n, variance


def _log_ratio(R: float, S: float) -> float:
    return float(np.log(R / S)) if R > 0 and S > 0 else np.nan


def _about(yi: np.ndarray, vi: np.ndarray, estimate: float) -> tuple[float, int]:
    """Weighted squares about the estimate, and their degrees of freedom."""
    return (float(((yi - estimate) ** 2 / vi).sum()), len(yi) - 1) if len(yi) else (np.nan, 0)


def _common_effect(
    method: str,
    measure: str,
    k: int,
    estimate: float,
    variance: float,
    heterogeneity: tuple[float, int],
    excess: np.ndarray,
    spread: np.ndarray,
    interval: float,
) -> CommonEffect:
    se = float(np.sqrt(variance)) if np.isfinite(estimate) and variance > 0 else np.nan
    width = stats.norm.ppf((1 + interval) / 2) * se
    q, q_df = heterogeneity
    difference, total = abs(excess.sum()), spread.sum()
    chi2, corrected = (
        (difference**2 / total, max(0.0, difference - 0.5) ** 2 / total) if total > 0 else (np.nan, np.nan)
    )
    return CommonEffect(
        method=method,
        measure=measure,
        k=k,
        estimate=float(estimate),
        se=se,
        lower=float(estimate - width),
        upper=float(estimate + width),
        p=float(2 * stats.norm.sf(abs(estimate / se))),
        q=q,
        q_df=q_df,
        q_p=float(stats.chi2.sf(q, q_df)) if q_df > 0 else np.nan,
        chi2=float(chi2),
        chi2_p=float(stats.chi2.sf(chi2, 1)),
        chi2_corrected=float(corrected),
        chi2_corrected_p=float(stats.chi2.sf(corrected, 1)),
    )
