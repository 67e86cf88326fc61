"""Direct estimates: Wilson interval, weighted shares and their linearised standard error."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from poolmap.families.mrp.direct import logit_interval, weighted_share, wilson_interval


def test_wilson_interval_published():
    """Newcombe RG. Statistics in Medicine 1998;17:857-872, table I: 81/263, 15/148, 0/20, 1/29, method 3."""
    lower, upper = wilson_interval(np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29]), 0.95)
    np.testing.assert_allclose(lower, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(upper, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


def test_wilson_interval_inverts_the_score_test():
    lower, upper = wilson_interval(np.array([7]), np.array([20]), 0.9)
    z = norm.ppf(0.95)

    def score(p):
        return abs(7 / 20 - p) / np.sqrt(p * (1 - p) / 20) - z

    assert lower[0] == pytest.approx(brentq(score, 1e-6, 0.35), abs=1e-9)
    assert upper[0] == pytest.approx(brentq(score, 0.35, 1 - 1e-6), abs=1e-9)


def test_wilson_interval_of_nobody_is_unknown():
    assert np.isnan(wilson_interval(np.array([0]), np.array([0]), 0.95)).all()


def test_equal_weights_give_the_textbook_standard_error():
    yes = np.array([1, 1, 0, 1, 0, 0, 1, 1])
    share, se = weighted_share(yes, np.full(8, 3.5), np.zeros(8, int), 1)
    assert share[0] == pytest.approx(5 / 8)
    assert se[0] == pytest.approx(np.sqrt(5 / 8 * 3 / 8 / 7), rel=1e-12)


def test_weighted_share_against_the_definition():
    """The with-replacement variance of a ratio: n / (n - 1) sum (d_i - mean d)^2, domain scores 0 outside."""
    rng = np.random.default_rng(1)
    yes, weight = rng.integers(0, 2, 60), rng.uniform(0.5, 4, 60)
    group = rng.integers(-1, 3, 60)
    share, se = weighted_share(yes, weight, group, 3)
    for g in range(3):
        inside = group == g
        total = weight[inside].sum()
        p = (weight * yes)[inside].sum() / total
        score = np.where(inside, weight * (yes - p) / total, 0.0)
        assert share[g] == pytest.approx(p, rel=1e-12)
        assert se[g] == pytest.approx(np.sqrt(60 / 59 * ((score - score.mean()) ** 2).sum()), rel=1e-10)


def test_one_respondent_has_no_standard_error():
    share, se = weighted_share(np.array([1, 0, 1]), np.ones(3), np.array([0, 1, 1]), 3)
    assert share[0] == 1
    assert np.isnan(se[0])
    assert np.isfinite(se[1])
    assert np.isnan(share[2])


def test_logit_interval():
    lower, upper = logit_interval(np.array([0.3, 0.0, 1.0]), np.array([0.05, 0.0, 0.0]), 0.95)
    z = norm.ppf(0.975) * 0.05 / (0.3 * 0.7)
    assert np.log(lower[0] / (1 - lower[0])) == pytest.approx(np.log(3 / 7) - z)
    assert np.log(upper[0] / (1 - upper[0])) == pytest.approx(np.log(3 / 7) + z)
    assert np.isnan(lower[1:]).all()
    assert np.isnan(upper[1:]).all()
