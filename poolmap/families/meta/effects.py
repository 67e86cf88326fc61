"""Effect measures: names, estimates and sampling variances, and the way back to the natural scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from poolmap.config.meta import MEASURES, MetaAnalysis

CORRECTION = 0.5
"""What is added to the cells of a study with a zero cell, unless the config says otherwise."""

INVERSES = {
    "": "the value",
    "exp": "exponential",
    "expit": "inverse logit",
    "tanh": "hyperbolic tangent",
    "sin2": "squared sine (the large-sample inverse)",
}

Add = Literal["only0", "all", "none"]


@dataclass(frozen=True)
class Scale:
    """How an effect measure is named, and how it is carried to its natural scale.

    Attributes:
        name: quantity on the scale of analysis (`log_rr`).
        words: the same in words.
        short: heading of a table or figure (`RR`).
        back: quantity on the natural scale (`rr`), "" where the scale of analysis is the one to report.
        back_words: the same in words.
        inverse: how `natural` gets there: `exp`, `expit`, `tanh`, `sin2` (Freeman-Tukey), or "".
        contrast: whether the measure compares, so that a value of no effect exists.
    """

    name: str
    words: str
    short: str
    back: str = ""
    back_words: str = ""
    inverse: str = ""
    contrast: bool = True

    @property
    def ratio(self) -> str:
        """The natural quantity where it is an exponential (drawn on a log axis), else ""."""
        return self.back if self.inverse == "exp" else ""

    @property
    def inverse_words(self) -> str:
        """How the natural quantity comes from the one of analysis, in words."""
        return INVERSES[self.inverse]

    @property
    def ratio_words(self) -> str:
        """The same in words."""
        return self.back_words if self.ratio else ""

    @property
    def report(self) -> str:
        """The quantity that is reported first: the natural one where there is one."""
        return self.back or self.name

    @property
    def report_words(self) -> str:
        """Its name in words."""
        return self.back_words or self.words

    @property
    def null(self) -> float:
        """No effect, on the scale that is reported first; NaN where the measure compares nothing."""
        if not self.contrast:
            return float("nan")
        return 1.0 if self.ratio else 0.0

    def natural(self, value: np.ndarray | float) -> np.ndarray:
        """From the scale of analysis to the one that is reported first.

        The Freeman-Tukey scale is left by sin^2, the inverse for large samples. Miller's exact inverse
        (1978, American Statistician 32:138) depends on a sample size, which a pooled proportion does not
        have; the harmonic mean of the studies' sizes can mislead badly in its place (Schwarzer et al. 2019,
        Research Synthesis Methods 10:476).
        """
        value = np.asarray(value, dtype=float)
        if self.inverse == "exp":
            return np.exp(value)
        if self.inverse == "expit":
            return special.expit(value)
        if self.inverse == "tanh":
            return np.tanh(value)
        if self.inverse == "sin2":
            return np.sin(np.clip(value, 0.0, np.pi / 2)) ** 2
        return value


SCALES = {
    "RR": Scale("log_rr", "log risk ratio", "RR", "rr", "risk ratio", "exp"),
    "OR": Scale("log_or", "log odds ratio", "OR", "or", "odds ratio", "exp"),
    "RD": Scale("rd", "risk difference", "RD"),
    "PETO": Scale(
        "log_peto_or", "log odds ratio (Peto)", "Peto OR", "peto_or", "odds ratio (Peto's method)", "exp"
    ),
    "IRR": Scale("log_irr", "log incidence rate ratio", "IRR", "irr", "incidence rate ratio", "exp"),
    "IRD": Scale("ird", "incidence rate difference", "IRD"),
    "MD": Scale("md", "mean difference", "MD"),
    "SMD": Scale("smd", "standardised mean difference (Hedges' g)", "SMD"),
    "ROM": Scale("log_rom", "log ratio of means", "RoM", "rom", "ratio of means", "exp"),
    "PLO": Scale("logit_p", "log odds", "Proportion", "proportion", "proportion", "expit", False),
    "PFT": Scale(
        *("double_arcsine_p", "Freeman-Tukey double arcsine of the proportion", "Proportion"),
        *("proportion", "proportion", "sin2", False),
    ),
    "PR": Scale("proportion", "proportion", "Proportion", contrast=False),
    "IRLN": Scale("log_rate", "log incidence rate", "Rate", "rate", "incidence rate", "exp", False),
    "IR": Scale("rate", "incidence rate", "Rate", contrast=False),
    "MN": Scale("mean", "mean", "Mean", contrast=False),
    "ZCOR": Scale("fisher_z", "Fisher's z of the correlation", "r", "correlation", "correlation", "tanh"),
    "GEN": Scale("effect", "effect", "Effect"),
}
"""By measure; `scale_of` gives the one of an analysis."""

GENERIC_RATIO = Scale("log_ratio", "log ratio", "Ratio", "ratio", "ratio", "exp")


def scale_of(spec: MetaAnalysis) -> Scale:
    """The scale of an analysis: by its measure, and for GEN by whether its estimates are of ratios."""
    if spec.measure == "GEN" and spec.estimate_scale != "plain":
        return GENERIC_RATIO
    return SCALES[spec.measure]


def effect_sizes(
    measure: str,
    columns: Mapping[str, np.ndarray],
    *,
    add: float = CORRECTION,
    to: Add = "only0",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates and large-sample variances of an effect measure from the data of the studies.

    Two arms, with a, b events and non-events in arm 1 and c, d in arm 2, N = a + b + c + d:

        OR    log(ad / bc)                    1/a + 1/b + 1/c + 1/d
        RR    log(a/(a+b)) - log(c/(c+d))     1/a - 1/(a+b) + 1/c - 1/(c+d)
        RD    a/(a+b) - c/(c+d)               ab/(a+b)^3 + cd/(c+d)^3
        PETO  (a - E) / V                     1 / V,   E = (a+b)(a+c)/N,
                                              V = (a+b)(c+d)(a+c)(b+d) / (N^2 (N-1))

    a and c events in person-time s and t:

        IRR   log(a/s) - log(c/t)             1/a + 1/c
        IRD   a/s - c/t                       a/s^2 + c/t^2

    means m, standard deviations s and sizes n, with N = n1 + n2 and s_p the pooled standard deviation:

        MD    m1 - m2                         s1^2/n1 + s2^2/n2
        SMD   g = J (m1 - m2) / s_p           1/n1 + 1/n2 + g^2 / (2 N),
                                              J = Gamma(f/2) / (sqrt(f/2) Gamma((f-1)/2)), f = N - 2
        ROM   log(m1 / m2)                    s1^2/(n1 m1^2) + s2^2/(n2 m2^2)

    One group, with x events among n people or in person-time t; correlation r of n pairs:

        PLO   log(x / (n-x))                  1/x + 1/(n-x)
        PFT   (asin sqrt(x/(n+1)) + asin sqrt((x+1)/(n+1))) / 2     1 / (4n + 2)
        PR    p = x/n                         p (1-p) / n
        IRLN  log(x/t)                        1/x
        IR    x/t                             x/t^2
        MN    m                               s^2/n
        ZCOR  atanh(r)                        1/(n-3)

    Args:
        measure: one of `poolmap.config.meta.MEASURES` but GEN.
        columns: the measure's columns under their names in `MEASURES` (`events_1` ...), arrays (study,).
        add: what is added to every cell of a table of counts (Gart & Zweifel 1967): events and non-events,
            or events in person-time. Nothing is ever added for PFT or for means and correlations.
        to: `only0`: in studies with a zero cell; `all`: in every study; `none`.

    Returns:
        estimates and variances (infinite or NaN where undefined without addition), and to which studies
        something was added.

    Source: Higgins et al., Cochrane Handbook, version 6.4, sections 6.4-6.5 and 10.4; Yusuf et al. 1985
    (Peto); Hedges 1981 and Hedges & Olkin 1985 (SMD); Hedges, Gurevitch & Curtis 1999 (ROM); Freeman & Tukey
    1950. All as metafor's `escalc`, version 3.8 (in which ROM has no second-order correction).
    """
    x = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure in ("OR", "RR", "RD", "PETO"):
            a, c = x["events_1"], x["events_2"]
            (a, b, c, d), added = _cells(a, x["total_1"] - a, c, x["total_2"] - c, add=add, to=to)
            return *_two_by_two(measure, a, b, c, d), added
        if measure in ("IRR", "IRD"):
            (a, c), added = _cells(x["events_1"], x["events_2"], add=add, to=to)
            s, t = x["time_1"], x["time_2"]
            if measure == "IRR":
                return np.log(a / s) - np.log(c / t), 1 / a + 1 / c, added
            return a / s - c / t, a / s**2 + c / t**2, added
        if measure in ("PLO", "PR"):
            (e, f), added = _cells(x["events"], x["total"] - x["events"], add=add, to=to)
            if measure == "PLO":
                return np.log(e / f), 1 / e + 1 / f, added
            return e / (e + f), e * f / (e + f) ** 3, added
        if measure in ("IRLN", "IR"):
            (e,), added = _cells(x["events"], add=add, to=to)
            if measure == "IRLN":
                return np.log(e / x["time"]), 1 / e, added
            return e / x["time"], e / x["time"] ** 2, added
        untouched = np.zeros(next(iter(x.values())).shape, dtype=bool)
        if measure == "PFT":
            e, n = x["events"], x["total"]
            yi = (np.arcsin(np.sqrt(e / (n + 1))) + np.arcsin(np.sqrt((e + 1) / (n + 1)))) / 2
            return yi, 1 / (4 * n + 2), untouched
        if measure in ("MD", "SMD", "ROM"):
            means = (x[f"{name}_{arm}"] for arm in (1, 2) for name in ("mean", "sd", "n"))
            return *_means(measure, *means), untouched
        if measure == "MN":
            return x["mean"], x["sd"] ** 2 / x["n"], untouched
        if measure == "ZCOR":
            return np.arctanh(x["r"]), 1 / (x["n"] - 3), untouched
    raise ValueError(f"no effect size from raw data for measure {measure}; there are {', '.join(MEASURES)}")


def _cells(*cells: np.ndarray, add: float, to: Add) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    if to == "all":
        touched = np.ones(cells[0].shape, dtype=bool)
    elif to == "only0":
        touched = np.any([cell == 0 for cell in cells], axis=0)
    else:
        touched = np.zeros(cells[0].shape, dtype=bool)
    return tuple(cell + np.where(touched, add, 0.0) for cell in cells), touched


def _two_by_two(
    measure: str, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n1, n2 = a + b, c + d
    if measure == "OR":
        return np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d
    if measure == "RR":
        return np.log(a / n1) - np.log(c / n2), 1 / a - 1 / n1 + 1 / c - 1 / n2
    if measure == "RD":
        return a / n1 - c / n2, a * b / n1**3 + c * d / n2**3
    n = n1 + n2
    variance = n1 * n2 * ((a + c) / n) * ((b + d) / n) / (n - 1)
    return (a - n1 * (a + c) / n) / variance, 1 / variance


def hedges_correction(df: np.ndarray) -> np.ndarray:
    """The exact factor J that takes the bias off a standardised mean difference (Hedges 1981, equation 6e).

    Args:
        df: degrees of freedom of the standard deviation, above 1.
    """
    df = np.asarray(df, dtype=float)
    return np.exp(special.gammaln(df / 2) - np.log(np.sqrt(df / 2)) - special.gammaln((df - 1) / 2))


def _means(
    measure: str,
    m1: np.ndarray, s1: np.ndarray, n1: np.ndarray,
    m2: np.ndarray, s2: np.ndarray, n2: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    if measure == "MD":
        return m1 - m2, s1**2 / n1 + s2**2 / n2
    if measure == "ROM":
        return np.log(m1 / m2), s1**2 / (n1 * m1**2) + s2**2 / (n2 * m2**2)
    df = n1 + n2 - 2
    pooled = np.sqrt(((n1 - 1) * s1**2 + (n2 - 1) * s2**2) / df)
    g = hedges_correction(df) * (m1 - m2) / pooled
    return g, 1 / n1 + 1 / n2 + g**2 / (2 * (n1 + n2))


def standard_error_from_limits(lower: np.ndarray, upper: np.ndarray, level: float) -> np.ndarray:
    """Standard error from the limits of a normal (Wald) confidence interval: (upper - lower) / (2 z).

    Args:
        lower, upper: limits, on the scale of analysis.
        level: of the interval, above 0 and below 1.

    Source: Cochrane Handbook, version 6.4, section 6.3.1.
    """
    return (np.asarray(upper, float) - np.asarray(lower, float)) / (2 * special.ndtri(0.5 + level / 2))


def standard_error_from_p(estimate: np.ndarray, p_value: np.ndarray) -> np.ndarray:
    """Standard error |estimate| / z from the two-sided p-value of a z-test of no effect (estimate 0).

    Source: Cochrane Handbook, version 6.4, section 6.3.2.
    """
    return np.abs(np.asarray(estimate, float)) / -special.ndtri(np.asarray(p_value, float) / 2)
