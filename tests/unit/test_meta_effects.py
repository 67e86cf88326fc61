"""Effect sizes against metafor's escalc, and the typical within-study variance."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.families.meta.effects import effect_sizes, typical_variance

# R package metafor 3.8-1, escalc(measure, ai, bi, ci, di), defaults (add = 1/2, to = "only0"):
# measure, events and non-events in arm 1, in arm 2, yi, vi, whether corrected
ESCALC = [
    ("OR", 4, 119, 11, 128, -0.93869414087, 0.357124952254, False),
    ("RR", 4, 119, 11, 128, -0.88931133392, 0.325584765004, False),
    ("RD", 4, 119, 11, 128, -0.0466163654442, 0.000780068664856, False),
    ("OR", 0, 116, 3, 114, -1.96322659907, 2.30303160116, True),
    ("RR", 0, 116, 3, 114, -1.93739945939, 2.2686927009, True),
    ("RD", 0, 116, 3, 114, -0.0253875126756, 0.000280278407138, True),
    ("OR", 0, 50, 0, 60, 0.180670028755, 4.03633090582, True),
    ("RD", 0, 50, 0, 60, 0.00160720025715, 0.00032362017832, True),
]


BCG_VI = """0.325584765004 0.194581121398 0.415367965368 0.0200100319022 0.0512101721696 0.00690561845591
0.223017247572 0.00396157929782 0.0564342104632 0.073024793613 0.0124122139716 0.5325058452 0.071404659684"""


@pytest.mark.parametrize(("measure", "a", "b", "c", "d", "yi", "vi", "corrected"), ESCALC)
def test_escalc(measure, a, b, c, d, yi, vi, corrected):
    got = effect_sizes(measure, *(np.array([x]) for x in (a, a + b, c, c + d)))
    assert got[0][0] == pytest.approx(yi, rel=1e-8, abs=1e-12)
    assert got[1][0] == pytest.approx(vi, rel=1e-8, abs=1e-12)
    assert got[2][0] == corrected


def test_correction_touches_only_the_study_with_a_zero_cell():
    arguments = (np.array([4, 0]), np.array([123, 116]), np.array([11, 3]), np.array([139, 117]))
    yi, vi, corrected = effect_sizes("OR", *arguments)
    assert yi == pytest.approx([-0.93869414087, -1.96322659907], rel=1e-8)
    assert vi == pytest.approx([0.357124952254, 2.30303160116], rel=1e-8)
    assert corrected.tolist() == [False, True]


@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
def test_swapping_the_arms_turns_the_sign(measure):
    rng = np.random.default_rng(1)
    n1, n2 = rng.integers(5, 200, 50), rng.integers(5, 200, 50)
    y1, y2 = rng.binomial(n1, 0.1), rng.binomial(n2, 0.9)
    one, other = effect_sizes(measure, y1, n1, y2, n2), effect_sizes(measure, y2, n2, y1, n1)
    assert one[0] == pytest.approx(-other[0], abs=1e-12)
    assert one[1] == pytest.approx(other[1], rel=1e-12)


def test_variance_is_that_of_simulated_log_ratios():
    rng = np.random.default_rng(2)
    n = 4000
    y1, y2 = rng.binomial(n, 0.3, 20000), rng.binomial(n, 0.2, 20000)
    total = np.full(20000, n)
    for measure in ("OR", "RR", "RD"):
        yi, vi, _ = effect_sizes(measure, y1, total, y2, total)
        # relative error of a sample variance: sqrt(2 / 20000) = 1 %; 4 standard errors
        assert yi.var() == pytest.approx(vi.mean(), rel=0.04)


def test_unknown_measure():
    with pytest.raises(ValueError, match="XX"):
        effect_sizes("XX", *(np.array([1]),) * 4)


def test_typical_variance_gives_metafors_i2():
    # metafor 3.8-1, rma(measure = "RR", method = "DL") on the BCG trials: tau2, I2
    vi = np.fromstring(BCG_VI, sep=" ")
    tau2 = 0.308760262862
    assert 100 * tau2 / (tau2 + typical_variance(vi)) == pytest.approx(92.1173468546, rel=1e-9)
    assert typical_variance(np.full(5, 0.3)) == pytest.approx(0.3)
