"""Ranks, hot spots, regions, contrasts and borrowing, against what can be worked out by hand."""

import numpy as np
import pytest

from poolmap.families.areas.estimands import (
    aggregated,
    borrowed,
    contrasts,
    false_discovery_rate,
    hot_spots,
    ranks,
)
from poolmap.families.areas.likelihoods import Observed


def test_ranks_of_known_draws():
    value = np.array([[[3.0, 2.0, 1.0, 0.5, 0.1]] * 3 + [[2.0, 3.0, 1.0, 0.5, 0.1]]])
    table = ranks(value, 0.5)
    assert table["rank"].tolist() == [1.25, 1.75, 3, 4, 5]
    assert table["p_highest_fifth"].tolist() == [0.75, 0.25, 0, 0, 0]
    assert table["p_lowest_fifth"].tolist() == [0, 0, 0, 0, 1]
    assert table["rank_lower"].tolist() == [1, 1, 3, 4, 5]
    assert table["rank_upper"].tolist() == [1, 2, 3, 4, 5]


def test_ranks_agree_with_sorting_each_draw():
    rng = np.random.default_rng(1)
    value = rng.normal(size=(2, 50, 40))
    slow = np.array([[1 + (row > x).sum() for x in row] for row in value.reshape(-1, 40)])
    assert ranks(value, 0.9)["rank"].to_numpy() == pytest.approx(slow.mean(axis=0))


def test_hot_spots_keep_the_false_discovery_rate():
    probability = np.array([0.99, 0.5, 0.97, 0.9, 0.97, 0.1])
    # 1 - P: 0.01, 0.03, 0.03 (mean 0.0233), 0.1 (0.0425), 0.5 (0.134)
    assert hot_spots(probability, 0.05).tolist() == [True, False, True, True, True, False]
    assert hot_spots(probability, 0.03).tolist() == [True, False, True, False, True, False]
    assert hot_spots(probability, 0.005).sum() == 0
    # those with 0.97 come together: with both the rate is 0.0233
    assert hot_spots(probability, 0.02).tolist() == [True, False, False, False, False, False]
    assert false_discovery_rate(probability, hot_spots(probability, 0.05)) == pytest.approx(0.0425)
    assert false_discovery_rate(probability, np.zeros(6, dtype=bool)) == 0


def test_the_stated_false_discovery_rate_is_the_true_one():
    rng = np.random.default_rng(3)
    probability = rng.beta(1, 1, 20_000)
    truly = rng.random(20_000) < probability
    chosen = hot_spots(probability, 0.1)
    wrong = (~truly)[chosen].mean()
    stated = false_discovery_rate(probability, chosen)
    assert stated == pytest.approx(0.1, abs=0.001)
    assert abs(wrong - stated) < 4 * np.sqrt(stated * (1 - stated) / chosen.sum())


def test_regions_are_means_weighted_by_expected_cases():
    value = np.array([[[1.0, 2.0, 4.0, 7.0], [2.0, 2.0, 2.0, 2.0]]])
    weight, group = np.array([1.0, 3.0, 5.0, 0.0]), np.array([0, 0, 1, 2])
    found = aggregated(value, weight, group, 3)
    assert found[0, :, :2].tolist() == [[1.75, 4.0], [2.0, 2.0]]
    assert np.isnan(found[0, :, 2]).all()


def test_contrasts_are_taken_draw_by_draw():
    value = np.array([[[1.0, 2.0, 4.0], [2.0, 2.0, 2.0]]])
    assert contrasts(value, [(2, 0), (1, 2)], ratio=True)[0].tolist() == [[4.0, 0.5], [1.0, 1.0]]
    assert contrasts(value, [(2, 0)], ratio=False)[0].tolist() == [[3.0], [0.0]]


def normal_map(se, edges, tau=0.7, rho=0.8, n=6, draws=200_000):
    """Draws of a normal posterior that is known: y ~ N(eta, se), eta ~ N(0, Q^-1)."""
    rng = np.random.default_rng(5)
    laplacian = np.zeros((n, n))
    for i, j in edges:
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    prior = (rho * laplacian + (1 - rho) * np.eye(n)) / tau**2
    covariance = np.linalg.inv(prior + np.diag(1 / se**2))
    y = rng.normal(size=n)
    eta = rng.multivariate_normal(covariance @ (y / se**2), covariance, draws)
    return y, eta[None], covariance @ np.diag(1 / se**2)


def test_borrowing_is_the_weight_of_each_observation_in_a_normal_model():
    """In a normal model E[eta] = S y with S = (Q + W)^-1 W: the shares are sums over the rows of S."""
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    se = np.array([0.2, 0.5, 2.0, 0.5, 1.0, 0.7])
    y, eta, smoother = normal_map(se, edges)
    n = len(y)
    zeros = np.zeros(n)
    found = borrowed(eta, Observed("normal", y, y, zeros, zeros, se), np.arange(n), edges)
    near = np.zeros((n, n))
    near[edges[:, 0], edges[:, 1]] = near[edges[:, 1], edges[:, 0]] = 1
    # a covariance from 200,000 draws is off by about 1 part in 450
    assert found.own == pytest.approx(np.diag(smoother), rel=0.015)
    assert found.neighbours == pytest.approx((smoother * near).sum(axis=1), abs=0.01)
    assert found.own + found.neighbours + found.others == pytest.approx(np.ones(n))
    # the precise area rests on itself, the vague one on its neighbours, the island on itself and the prior
    assert found.own[0] > 0.9 and found.neighbours[2] > found.own[2]
    assert found.neighbours[5] == 0


def test_information_of_counts():
    """Of a Poisson count the information on its log mean is the mean; of a binomial n p (1 - p)."""
    rng = np.random.default_rng(2)
    eta = rng.normal(0.3, 0.1, size=(1, 400_000, 2))
    y, rows, none = np.array([12.0, 3.0]), np.arange(2), np.empty((0, 2), dtype=int)
    exposure = np.array([10.0, 2.5])
    zeros, ones = np.zeros(2), np.ones(2)
    poisson = borrowed(eta, Observed("poisson", y, y, np.log(exposure), zeros, ones), rows, none)
    assert poisson.own == pytest.approx(0.1**2 * exposure * np.exp(0.3), rel=0.02)
    trials = np.array([40.0, 9.0])
    binomial = borrowed(eta, Observed("binomial", y, y, zeros, trials, ones), rows, none)
    p = 1 / (1 + np.exp(-0.3))
    assert binomial.own == pytest.approx(0.1**2 * trials * p * (1 - p), rel=0.02)


def test_an_area_without_an_observation_lends_and_keeps_nothing():
    eta = np.random.default_rng(4).normal(size=(1, 1000, 3))
    y = np.array([2.0, 1.0])
    seen = Observed("poisson", y, y, np.zeros(2), np.zeros(2), np.ones(2))
    found = borrowed(eta, seen, np.array([0, 2]), np.array([[0, 1], [1, 2]]))
    assert found.own[1] == 0
    assert found.neighbours[1] != 0
