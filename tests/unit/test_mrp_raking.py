"""Raking: by hand, against R's survey package, and what stands in its way."""

import numpy as np
import pytest

from poolmap.families.mrp.raking import rake


def test_two_by_two_by_hand():
    """Seed with odds ratio 4, margins 60/40 and 50/50: x (x - 10) = 4 (60 - x)(50 - x), where x is the first
    cell, so 3 x^2 - 430 x + 12000 = 0."""
    seed = np.array([2.0, 1.0, 1.0, 2.0])
    raked = rake(
        seed, [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])], [np.array([60.0, 40]), np.array([50.0, 50])]
    )
    x = (430 - np.sqrt(430**2 - 4 * 3 * 12000)) / 6
    assert raked.converged
    np.testing.assert_allclose(raked.cells, [x, 60 - x, 50 - x, x - 10], rtol=1e-9)
    assert raked.cells[0] * raked.cells[3] / (raked.cells[1] * raked.cells[2]) == pytest.approx(4, rel=1e-8)


N = np.array([12, 132, 3, 11, 8, 17])  # schools of apiclus1: E No, E Yes, H No, H Yes, M No, M Yes
API00 = np.array([7156, 86281, 1978, 6682, 4851, 10935])  # sums
ENROLL = np.array([5243, 57088, 2237, 13587, 5983, 16460])


def california(**options):
    types, target = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
    totals = [np.array([4421.0, 755, 1018]), np.array([1072.0, 5122])]
    return rake(N * 33.84699631, [types, target], totals, **options)


def test_california_cluster_sample_against_r():
    """`rake` of R's survey 4.1-1 on `apiclus1` (data(api)), margins of school type and of the school-wide
    target. R stops after four rounds, when nothing changes by more than 1."""
    fourth = california(most=4)
    weights = fourth.cells / N
    assert (weights.min(), weights.max()) == pytest.approx((29.87046387, 67.12578263), rel=1e-9)
    assert (weights * API00).sum() / fourth.cells.sum() == pytest.approx(641.2302469, rel=1e-9)
    assert (weights * ENROLL).sum() == pytest.approx(3647300.031, rel=1e-9)


def test_california_cluster_sample_at_the_limit():
    raked = california()
    assert raked.converged
    cells = raked.cells.reshape(3, 2)
    np.testing.assert_allclose(cells.sum(axis=1), [4421, 755, 1018], rtol=1e-8)
    np.testing.assert_allclose(cells.sum(axis=0), [1072, 5122], rtol=1e-8)
    odds = N.reshape(3, 2)[:, 0] / N.reshape(3, 2)[:, 1]
    np.testing.assert_allclose(
        cells[:, 0] / cells[:, 1] / odds, (cells[0, 0] / cells[0, 1] / odds[0]), rtol=1e-8
    )


def test_zeros_stay_and_three_margins_agree():
    rng = np.random.default_rng(3)
    truth = rng.uniform(1, 9, (4, 3, 2))
    truth[0, 1, 1] = truth[2, 0, 0] = 0
    index = np.indices(truth.shape).reshape(3, -1)
    pairs = [
        np.ravel_multi_index(index[list(p)], np.array(truth.shape)[list(p)]) for p in ((0, 1), (1, 2), (0, 2))
    ]
    totals = [truth.sum(axis=axis).ravel() for axis in (2, 0, 1)]
    seed = (truth > 0).astype(float).ravel()
    raked = rake(seed, pairs, totals)
    assert raked.converged
    assert raked.gap <= 1e-10
    assert (raked.cells[seed == 0] == 0).all()
    for member, total in zip(pairs, totals, strict=True):
        np.testing.assert_allclose(np.bincount(member, raked.cells), total, atol=1e-7)


def test_margins_that_zeros_rule_out_do_not_converge():
    seed = np.array([1.0, 0.0, 0.0, 1.0])
    members = [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])]
    raked = rake(seed, members, [np.array([60.0, 40]), np.array([50.0, 50])], most=200)
    assert not raked.converged
    assert raked.iterations == 200
    assert raked.gap == pytest.approx(10 / 40)  # of the margin gone through first: 50 and 50
