"""Refits by quadrature: what batches must have in common with single fits, and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from poolmap.config.base import Prior
from poolmap.families.meta.classical import tau_squared
from poolmap.families.meta.quadrature import FLAT, posterior
from poolmap.families.meta.refits import (
    compare_empirical_bayes,
    compare_psis,
    crosscheck,
    cumulative,
    leave_one_out,
)  # fmt: skip

Y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
SE = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
MU, TAU = Prior("normal", (0, 50)), Prior("half_cauchy", (25,))


def test_leave_one_out_is_each_fit_alone():
    table = leave_one_out(Y, SE, MU, TAU)
    whole = posterior(Y, SE, MU, TAU)
    for i in range(len(Y)):
        keep = np.arange(len(Y)) != i
        alone = posterior(Y[keep], SE[keep], MU, TAU)
        mu, tau = alone.mu(), alone.tau
        row = table.loc[i]
        assert row["mu"] == pytest.approx(mu.mean()[0], rel=1e-9)
        assert row["tau_upper"] == pytest.approx(tau.quantile(0.975)[0], rel=1e-8)
        assert row["mu_shift"] == pytest.approx((whole.mu().mean() - mu.mean())[0] / mu.sd()[0], rel=1e-8)
        # the predictive density integrated over the posterior without the study
        spread = np.sqrt(alone.covariance[0, :, 0, 0] + alone.tau_at[0] ** 2 + SE[i] ** 2)
        density = alone.weight[0] @ stats.norm.pdf(Y[i], alone.centre[0, :, 0], spread)
        assert row["elpd_loo"] == pytest.approx(np.log(density), abs=1e-8)


def test_cumulative_follows_the_order_and_ends_with_all():
    years = [1990, 1985, 2001, 1985, 1970, 1999, 1998, 2010]
    table = cumulative(Y, SE, MU, Prior("half_normal", (10,)), by=years)
    assert table["added"].tolist() == [4, 1, 3, 0, 6, 5, 2, 7]
    third = posterior(Y[[4, 1, 3]], SE[[4, 1, 3]], MU, Prior("half_normal", (10,)))
    assert table.loc[2, "tau_median"] == pytest.approx(third.tau.quantile(0.5)[0], rel=1e-8)
    whole = posterior(Y, SE, MU, Prior("half_normal", (10,)))
    assert table.loc[7, "mu_lower"] == pytest.approx(whole.mu().quantile(0.025)[0], rel=1e-8)
    with pytest.raises(ValueError, match="none missing"):
        cumulative(Y, SE, MU, TAU, by=[*years[:-1], np.nan])


def test_blocks_of_many_sets_are_joined_in_order(monkeypatch):
    whole = leave_one_out(Y, SE, MU, TAU)
    monkeypatch.setattr("poolmap.families.meta.quadrature.CELLS", 5000)
    pd.testing.assert_frame_equal(leave_one_out(Y, SE, MU, TAU), whole, rtol=1e-8)


def test_moments_that_do_not_exist_and_improper_posteriors():
    one = posterior(Y[:1], SE[:1], MU, TAU)  # tau falls as tau^-3
    assert np.isfinite(one.tau.mean()[0])
    assert np.isinf(one.tau.sd()[0])
    assert np.isinf(one.theta_new().sd()[0])
    assert np.isinf(one.tau.mean(2)[0])
    with pytest.raises(ValueError, match="improper"):
        posterior(Y[:2], SE[:2], FLAT, FLAT)
    with pytest.raises(ValueError, match="above 0"):
        posterior(Y, 0 * SE, MU, TAU)
    with pytest.raises(ValueError, match="two studies"):
        leave_one_out(Y[:1], SE[:1], MU, TAU)


def test_without_heterogeneity_the_plug_in_is_the_common_effect():
    y = np.array([1.0, 1.1, 0.9, 1.05])
    table = compare_empirical_bayes(y, np.ones(4), MU, Prior("half_normal", (1,))).set_index(["method", "i"])
    assert (table.loc[["ml", "dl"], "tau"] == 0).all()
    assert table.loc[("ml", -1), "centre"] == pytest.approx(y.mean())
    assert table.loc[("ml", 2), "width"] == pytest.approx(2 * stats.norm.ppf(0.975) / 2)
    assert table.loc[("ml", 2), "width_ratio"] < 1


def test_estimates_of_tau_of_equal_variances_have_closed_forms():
    y, v = np.array([-3.0, 0.5, 2.5, 6.0]), np.full(4, 0.25)
    assert tau_squared(y, v, "ML")[0] == pytest.approx(y.var() - 0.25, rel=1e-6)
    assert tau_squared(y, v, "DL")[0] == pytest.approx(y.var(ddof=1) - 0.25, rel=1e-12)


def test_plug_in_posteriors_of_equal_variances_have_closed_forms():
    y, se = np.array([-3.0, 0.5, 2.5, 6.0]), np.full(4, 0.5)
    table = compare_empirical_bayes(y, se, MU, Prior("half_normal", (5,))).set_index(["method", "i"])
    for method, tau2 in {"ml": y.var() - 0.25, "dl": y.var(ddof=1) - 0.25}.items():
        pull, variance = 0.25 / (0.25 + tau2), (0.25 + tau2) / 4
        assert table.loc[(method, 1), "tau"] == pytest.approx(np.sqrt(tau2))
        assert table.loc[(method, 1), "centre"] == pytest.approx(pull * y.mean() + (1 - pull) * 0.5)
        width = 2 * stats.norm.ppf(0.975) * np.sqrt((1 - pull) * 0.25 + pull**2 * variance)
        assert table.loc[(method, 1), "width"] == pytest.approx(width)
        assert table.loc[(method, -1), "width"] == pytest.approx(2 * stats.norm.ppf(0.975) * variance**0.5)


def test_crosscheck_finds_the_quantity_that_is_off():
    exact = posterior(Y, SE, MU, TAU)
    pooled = pd.DataFrame(
        {
            "quantity": ["effect", "effect_new", "tau", "i2"],
            "mean": [
                exact.mu().mean()[0],
                exact.theta_new().mean()[0],
                exact.tau.mean()[0] + 0.5,
                exact.i2()[0],
            ],
            "mcse": 0.1,
        }
    )
    studies = pd.DataFrame(
        {"quantity": "effect", "mean": [exact.theta(i).mean()[0] for i in range(8)], "mcse": 0.1}
    )
    table = crosscheck(pooled, studies, exact, effect="effect")
    assert len(table) == 12
    assert table.loc[table["z"].abs().idxmax(), "quantity"] == "tau"
    assert table["z"].abs().max() == pytest.approx(5)
    assert np.sort(table["z"].abs())[-2] < 1e-9
    with pytest.raises(ValueError, match="3 studies"):
        crosscheck(pooled, studies[:3], exact, effect="effect")


def test_psis_is_replaced_where_it_fails():
    table = compare_psis([-1.0, -2.0, -3.0], [-1.1, -2.1, -3.1], [0.2, 0.71, np.nan])
    assert table["elpd"].tolist() == [-1.1, -2.0, -3.0]


def test_tail_probabilities_and_quantiles_agree():
    exact = posterior(Y, SE, MU, TAU)
    for it in (exact.mu(), exact.theta_new(), exact.theta(0), exact.tau):
        assert it.above(float(it.quantile(0.9)[0]))[0] == pytest.approx(0.1, abs=1e-10)
