"""Effect sizes against metafor's escalc, the ways back, and the typical within-study variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from poolmap.config.meta import COUNT_COLUMNS, MEASURES
from poolmap.families.meta.effects import (
    SCALES,
    effect_sizes,
    hedges_correction,
    standard_error_from_limits,
    standard_error_from_p,
)

# R package metafor 3.8-1, escalc(), defaults (add = 1/2, to = "only0"; PFT: nothing is added):
# measure, the columns of the measure, yi, vi, whether corrected
BCG_1 = (4, 123, 11, 139)  # Aronson 1948
ZERO = (0, 116, 3, 117)
BOTH_ZERO = (0, 50, 0, 60)
LARGE = (103, 5.5, 50, 100, 4.5, 50)
SMALL = (30.2, 9, 8, 24, 7, 7)
ESCALC = [
    ("OR", BCG_1, -0.93869414087, 0.357124952254, False),
    ("RR", BCG_1, -0.88931133392, 0.325584765004, False),
    ("RD", BCG_1, -0.0466163654442, 0.000780068664856, False),
    ("PETO", BCG_1, -0.860383347316, 0.282836181928, False),
    ("OR", ZERO, -1.96322659907, 2.30303160116, True),
    ("RR", ZERO, -1.93739945939, 2.2686927009, True),
    ("RD", ZERO, -0.0253875126756, 0.000280278407138, True),
    ("PETO", ZERO, -1.51088671216, 1.01300535623, True),
    ("OR", BOTH_ZERO, 0.180670028755, 4.03633090582, True),
    ("RD", BOTH_ZERO, 0.00160720025715, 0.00032362017832, True),
    ("MD", LARGE, 3, 1.01, False),
    ("SMD", LARGE, 0.592439623035, 0.0417549235347, False),
    ("ROM", LARGE, 0.0295588022415, 9.75270525026e-05, False),
    ("SMD", SMALL, 0.716874812387, 0.284987459412, False),
    ("MD", SMALL, 6.2, 17.125, False),
    ("ROM", SMALL, 0.229788094033, 0.0232542645547, False),
    ("PR", (4, 10), 0.4, 0.024, False),
    ("PLO", (4, 10), -0.405465108108, 0.416666666667, False),
    ("PFT", (4, 10), 0.693582811197, 0.0238095238095, False),
    ("PR", (0, 20), 0.0238095238095, 0.00110679192312, True),
    ("PLO", (0, 20), -3.7135720667, 2.0487804878, True),
    ("PFT", (0, 20), 0.109993988698, 0.0121951219512, False),
    ("PLO", (20, 20), 3.7135720667, 2.0487804878, True),
    ("IRR", (9, 413, 19, 398), -0.784209989507, 0.163742690058, False),  # hart1999, AFASAK
    ("IRD", (9, 413, 19, 398), -0.0259469259129, 0.000172711036348, False),
    ("IRR", (0, 100, 3, 120), -1.76358859226, 2.28571428571, True),
    ("IR", (19, 398), 0.0477386934673, 0.000119946465998, False),
    ("IRLN", (19, 398), -3.04201302612, 0.0526315789474, False),
    ("ZCOR", (0.3, 50), 0.309519604203, 0.0212765957447, False),
    ("MN", (10, 2, 25), 10, 0.16, False),
]


def columns(measure, *values):
    """Arrays under the measure's column names, from one value or array for each."""
    return {name: np.atleast_1d(value) for name, value in zip(MEASURES[measure], values, strict=True)}


@pytest.mark.parametrize(("measure", "values", "yi", "vi", "corrected"), ESCALC)
def test_escalc(measure, values, yi, vi, corrected):
    got = effect_sizes(measure, columns(measure, *values))
    assert got[0][0] == pytest.approx(yi, rel=1e-8, abs=1e-12)
    assert got[1][0] == pytest.approx(vi, rel=1e-8, abs=1e-12)
    assert got[2][0] == corrected


def test_every_measure_has_a_vector():
    assert {measure for measure, *_ in ESCALC} == set(MEASURES)
    assert set(SCALES) == {*MEASURES, "GEN"}


def test_correction_touches_only_the_study_with_a_zero_cell():
    values = columns("OR", [4, 0], [123, 116], [11, 3], [139, 117])
    yi, vi, corrected = effect_sizes("OR", values)
    assert yi == pytest.approx([-0.93869414087, -1.96322659907], rel=1e-8)
    assert vi == pytest.approx([0.357124952254, 2.30303160116], rel=1e-8)
    assert corrected.tolist() == [False, True]


def test_nothing_added_leaves_a_zero_cell_undefined():
    values = columns("OR", [4, 0], [123, 116], [11, 3], [139, 117])
    yi, vi, corrected = effect_sizes("OR", values, to="none")  # metafor: NA
    assert np.isfinite(yi).tolist() == [True, False]
    assert np.isfinite(vi).tolist() == [True, False]
    assert not corrected.any()


def test_added_to_every_study():
    # by hand: 4.5, 119.5, 11.5, 128.5
    yi, vi, corrected = effect_sizes("OR", columns("OR", *BCG_1), add=0.5, to="all")
    assert yi[0] == pytest.approx(math.log(4.5 * 128.5 / (119.5 * 11.5)))
    assert vi[0] == pytest.approx(1 / 4.5 + 1 / 119.5 + 1 / 11.5 + 1 / 128.5)
    assert corrected[0]
    smaller = effect_sizes("OR", columns("OR", *ZERO), add=0.1)
    assert smaller[0][0] == pytest.approx(math.log(0.1 * 114.1 / (116.1 * 3.1)))


def test_peto_needs_no_addition():
    # by hand: E = 116 x 3 / 233, V = 116 x 117 x 3 x 230 / (233^2 x 232)
    yi, vi, _ = effect_sizes("PETO", columns("PETO", *ZERO), to="none")
    expected, variance = 116 * 3 / 233, 116 * 117 * 3 * 230 / (233**2 * 232)
    assert yi[0] == pytest.approx(-expected / variance)
    assert vi[0] == pytest.approx(1 / variance)


@pytest.mark.parametrize("measure", ["OR", "RR", "RD", "PETO"])
def test_swapping_the_arms_turns_the_sign(measure):
    rng = np.random.default_rng(1)
    n1, n2 = rng.integers(5, 200, 50), rng.integers(5, 200, 50)
    y1, y2 = rng.binomial(n1, 0.1), rng.binomial(n2, 0.9)
    one = effect_sizes(measure, columns(measure, y1, n1, y2, n2))
    other = effect_sizes(measure, columns(measure, y2, n2, y1, n1))
    assert one[0] == pytest.approx(-other[0], abs=1e-12)
    assert one[1] == pytest.approx(other[1], rel=1e-12)


REPEATS = 20000  # relative error of a sample variance: sqrt(2 / 20000) = 1 %; 4 standard errors


def simulated(measure, rng):
    def full(value):
        return np.full(REPEATS, float(value))

    if MEASURES[measure] == COUNT_COLUMNS:
        # Peto's estimate is good for effects near none
        risks = (0.21, 0.2) if measure == "PETO" else (0.3, 0.2)
        return [x for p in risks for x in (rng.binomial(4000, p, REPEATS), full(4000))]
    if measure in ("IRR", "IRD"):
        return [x for m in (900, 500) for x in (rng.poisson(m, REPEATS), full(1000))]
    if measure in ("MD", "SMD", "ROM"):
        return [
            x
            for m in (21.0, 20.0)
            for x in (
                rng.normal(m, 3 / np.sqrt(500), REPEATS),
                3 * np.sqrt(rng.chisquare(499, REPEATS) / 499),
                full(500),
            )
        ]
    if measure in ("PLO", "PFT", "PR"):
        return [rng.binomial(4000, 0.3, REPEATS), full(4000)]
    if measure in ("IRLN", "IR"):
        return [rng.poisson(900, REPEATS), full(1000)]
    if measure == "MN":
        sd = 3 * np.sqrt(rng.chisquare(499, REPEATS) / 499)
        return [rng.normal(20, 3 / np.sqrt(500), REPEATS), sd, full(500)]
    x, noise = rng.standard_normal((2, REPEATS, 100))
    y = 0.5 * x + np.sqrt(0.75) * noise
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    r = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return [r, full(100)]


@pytest.mark.parametrize("measure", list(MEASURES))
def test_variance_is_that_of_simulated_studies(measure):
    yi, vi, _ = effect_sizes(measure, columns(measure, *simulated(measure, np.random.default_rng(2))))
    assert yi.var() == pytest.approx(vi.mean(), rel=0.04)


def test_hedges_factor_is_the_mean_of_the_inverse_standard_deviation():
    # E[1 / s] = 1 / J for sigma = 1: s^2 is chi-squared with f degrees of freedom, over f
    for df in (2, 5, 13):
        mean, _ = integrate.quad(lambda q, df=df: math.sqrt(df / q) * stats.chi2.pdf(q, df), 0, np.inf)
        assert hedges_correction(np.array([df]))[0] == pytest.approx(1 / mean, rel=1e-7)


def test_unknown_measure():
    with pytest.raises(ValueError, match="XX"):
        effect_sizes("XX", {"r": np.array([0.1])})


@pytest.mark.parametrize(
    ("measure", "values", "natural"),
    [
        ("RR", BCG_1, (4 / 123) / (11 / 139)),
        ("ROM", LARGE, 1.03),
        ("PLO", (4, 10), 0.4),
        ("PR", (4, 10), 0.4),
        ("IRLN", (19, 398), 19 / 398),
        ("ZCOR", (0.3, 50), 0.3),
        ("MD", LARGE, 3.0),
    ],
)
def test_natural_scale(measure, values, natural):
    yi, _, _ = effect_sizes(measure, columns(measure, *values))
    assert SCALES[measure].natural(yi)[0] == pytest.approx(natural, rel=1e-12)


def test_freeman_tukey_goes_back_by_the_large_sample_inverse():
    yi, _, _ = effect_sizes("PFT", columns("PFT", [400_000], [1_000_000]))
    assert SCALES["PFT"].natural(yi)[0] == pytest.approx(0.4, abs=1e-6)
    assert SCALES["PFT"].natural(np.array([-0.1, 2.0])).tolist() == [0.0, 1.0]


def test_null():
    assert SCALES["OR"].null == 1
    assert SCALES["SMD"].null == SCALES["ZCOR"].null == 0
    assert math.isnan(SCALES["PLO"].null)


def test_standard_error_from_limits_and_p():
    z95, z90 = 1.959963984540054, 1.6448536269514722  # standard normal quantiles
    assert standard_error_from_limits(-z95, z95, 0.95) == pytest.approx(1, rel=1e-12)
    assert standard_error_from_limits(1.0, 1.0 + 2 * z90, 0.9) == pytest.approx(1, rel=1e-12)
    # by its definition: z = estimate / standard error
    got = standard_error_from_p(np.array([-z95, 2 * z90]), np.array([0.05, 0.1]))
    assert got == pytest.approx([1, 2], rel=1e-12)
