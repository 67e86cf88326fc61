"""Summaries, the gate, predictive checks: on draws whose answer is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray
from scipy import stats

from poolmap.contracts import Predictive, Quantity
from poolmap.inference.checks import as_dicts, check_fit, ebfmi, failures, passed
from poolmap.inference.predictive import compare, leave_one_out, predictive_statistics, summarise_predictive
from poolmap.inference.summary import dictionary, import_arviz, summarise

RNG = np.random.default_rng(1)
GOOD_STATS = {
    "diverging": np.zeros((4, 1000), dtype=int),
    "tree_depth": np.full((4, 1000), 3),
    "energy": RNG.normal(size=(4, 1000)),
}


def quantity(draws, name="rr", keys=None, extra=None, known=None):
    return Quantity("areas", name, "words", draws, keys, extra, known)


def areas(n):
    return pd.DataFrame({"area": [f"{i:02d}" for i in range(n)]})


def failed(checks):
    return {check.name for check in checks if not check.passed}


def test_summary_of_known_draws():
    draws = RNG.normal([1.0, -2.0], [1.0, 3.0], size=(4, 5000, 2))
    item = quantity(draws, keys=areas(2), extra=pd.DataFrame({"sir": [0.5, 2.0]}))
    table = summarise([item], 0.9)["areas"]
    assert list(table.columns[:3]) == ["quantity", "area", "mean"]
    assert table["area"].tolist() == ["00", "01"]
    flat = draws.reshape(-1, 2)
    np.testing.assert_allclose(table["mean"], flat.mean(axis=0))
    np.testing.assert_allclose(table["sd"], flat.std(axis=0, ddof=1))
    np.testing.assert_allclose(table["lower"], np.quantile(flat, 0.05, axis=0))
    np.testing.assert_allclose(table["upper"], np.quantile(flat, 0.95, axis=0))
    np.testing.assert_allclose(table["mcse"], flat.std(axis=0, ddof=1) / np.sqrt(20_000), rtol=0.1)
    assert table["sir"].tolist() == [0.5, 2.0]
    assert dictionary([item], 0.9)["tables"]["areas"] == {"keys": ["area"], "quantities": {"rr": "words"}}


def test_quantity_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="draws must be"):
        quantity(np.zeros((4, 10)))
    with pytest.raises(ValueError, match="keys has 3 rows"):
        quantity(np.zeros((4, 10, 2)), keys=areas(3))
    with pytest.raises(ValueError, match="need keys"):
        quantity(np.zeros((4, 10, 2)))


def test_good_draws_pass_the_gate():
    checks = check_fit([quantity(RNG.normal(size=(4, 1000, 3)), keys=areas(3))], GOOD_STATS, 10)
    assert passed(checks)
    assert [check["name"] for check in as_dicts(checks)] == [
        "rhat", "ess_bulk", "ess_tail", "divergences", "treedepth", "ebfmi", "varying",
    ]  # fmt: skip


def test_chains_that_disagree_fail_and_the_worst_is_named():
    draws = RNG.normal(size=(4, 1000, 3))
    draws[0, :, 1] += 2
    checks = check_fit([quantity(draws, keys=areas(3))], GOOD_STATS, 10)
    assert {"rhat", "ess_bulk"} <= failed(checks)
    assert checks[0].where == "rr[01]"
    assert "rr[01]" in failures({"checks": as_dicts(checks)})[0]


def test_chains_that_differ_in_spread_alone_fail():
    """Plain R-hat is blind to it; the folded, rank-normalised one is not (Vehtari et al. 2021, fig. 1)."""
    draws = RNG.normal(size=(4, 1000, 1))
    draws[0] *= 4
    assert "rhat" in failed(check_fit([quantity(draws)], GOOD_STATS, 10))


def test_slow_mixing_fails_by_effective_sample_size():
    steps = RNG.normal(size=(4, 1000, 1))
    draws = np.empty_like(steps)
    draws[:, 0] = steps[:, 0]
    for t in range(1, 1000):
        draws[:, t] = 0.95 * draws[:, t - 1] + np.sqrt(1 - 0.95**2) * steps[:, t]
    assert "ess_bulk" in failed(check_fit([quantity(draws)], GOOD_STATS, 10))


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("diverging", np.pad([[1]], ((0, 3), (0, 999))), "divergences"),
        ("tree_depth", np.full((4, 1000), 10), "treedepth"),
        ("energy", np.cumsum(RNG.normal(size=(4, 1000)), axis=1), "ebfmi"),
    ],
)
def test_sampler_trouble_fails(name, values, check):
    item = quantity(RNG.normal(size=(4, 1000, 1)))
    assert failed(check_fit([item], {**GOOD_STATS, name: values}, 10)) == {check}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_constant_or_not_finite_quantities_fail_by_name(bad):
    draws = RNG.normal(size=(4, 1000, 3))
    draws[:, :, 0] = 1.0
    draws[2, 5, 2] = bad
    checks = check_fit([quantity(draws, keys=areas(3))], GOOD_STATS, 10)
    assert failed(checks) == {"varying"}
    assert checks[-1].where == "rr[00], rr[02]"


def test_a_known_quantity_passes_and_must_be_constant():
    draws = RNG.normal(size=(4, 1000, 3))
    draws[:, :, 1] = 0.0
    known = np.array([False, True, False])
    checks = check_fit([quantity(draws, keys=areas(3), known=known)], GOOD_STATS, 10)
    assert passed(checks)
    assert checks[-1].worst == 0
    draws[2, 7, 1] = 1e-9
    checks = check_fit([quantity(draws, keys=areas(3), known=known)], GOOD_STATS, 10)
    assert failed(checks) == {"varying"}
    assert checks[-1].where == "rr[01]"
    with pytest.raises(ValueError, match="known has 2 rows, the draws 3"):
        quantity(draws, keys=areas(3), known=known[:2])


def test_chains_that_are_stuck_fail():
    stuck = RNG.normal(size=(4, 1000, 2))
    stuck[:, :, 0] = np.arange(4)[:, None]
    assert {"rhat", "ess_bulk"} <= failed(check_fit([quantity(stuck, keys=areas(2))], GOOD_STATS, 10))
    one = RNG.normal(size=(4, 1000, 1))
    one[3] = one[3, 0]
    assert "rhat" in failed(check_fit([quantity(one)], GOOD_STATS, 10))
    known = np.array([True, False])
    checks = check_fit([quantity(stuck, keys=areas(2), known=known)], GOOD_STATS, 10)
    assert "varying" in failed(checks), "of a known quantity all chains have the same value"


def test_ebfmi_of_independent_and_of_sticky_energy():
    assert ebfmi(RNG.normal(size=(1, 20_000)))[0] == pytest.approx(2, abs=0.1)
    assert ebfmi(np.cumsum(RNG.normal(size=(1, 20_000)), axis=1))[0] < 0.05


def conjugate(n=40, draws=4000):
    """y ~ N(mu, 1) with a flat prior: posterior and leave-one-out density are known exactly."""
    y = np.random.default_rng(3).normal(size=n)
    mu = np.random.default_rng(4).normal(y.mean(), 1 / np.sqrt(n), size=(4, draws // 4, 1))
    return y, Predictive(
        unit="area", labels=[str(i) for i in range(n)], observed=y,
        replicated=np.random.default_rng(5).normal(mu, 1, size=(4, draws // 4, n)),
        log_lik=stats.norm.logpdf(y, mu, 1), value="y",
    )  # fmt: skip


def test_leave_one_out_matches_the_exact_value():
    y, item = conjugate()
    n = y.size
    rest = (y.sum() - y) / (n - 1)
    exact = stats.norm.logpdf(y, rest, np.sqrt(1 + 1 / (n - 1))).sum()
    loo = leave_one_out(item)
    assert loo["elpd_loo"] == pytest.approx(exact, abs=0.05)
    assert loo["n_high_k"] == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_leave_one_out_in_blocks_is_arviz_s(monkeypatch, dtype):
    _, item = conjugate()
    log_lik = xarray.Dataset({"y": (("chain", "draw", "row"), item.log_lik)})
    expected = import_arviz().loo(
        import_arviz().InferenceData(log_likelihood=log_lik, posterior=log_lik), pointwise=True
    )
    monkeypatch.setattr("poolmap.inference.psis.AT_ONCE", 3 * item.log_lik[:, :, 0].size)
    found = leave_one_out(dataclasses.replace(item, log_lik=item.log_lik.astype(dtype)))
    rtol = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(found["elpd"], expected.loo_i, rtol=rtol)
    np.testing.assert_allclose(found["pareto_k"], expected.pareto_k, rtol=0, atol=1e4 * rtol)
    assert found["p_loo"] == pytest.approx(expected.p_loo, rel=1e5 * rtol)


def test_models_of_different_data_are_not_compared():
    _, item = conjugate()
    other = Predictive("arm", item.labels, item.observed + 1, item.replicated, item.log_lik - 0.1, "y")
    worse = Predictive("area", item.labels, item.observed, item.replicated, item.log_lik - 0.1, "y")
    table, notes = compare(
        {name: leave_one_out(i) for name, i in {"a": item, "b": worse, "c": other}.items()}
    )
    assert table["elpd_diff"].tolist()[:2] == pytest.approx([0, -4.0], abs=1e-6)
    assert np.isnan(table["elpd_diff"][2])
    assert len(notes) == 1
    assert "model c" in notes[0]


def test_predictive_summary_finds_the_outlier():
    _, item = conjugate()
    observed = item.observed.copy()
    observed[7] = 6.0
    item = Predictive(item.unit, item.labels, observed, item.replicated, item.log_lik, item.value)
    table = summarise_predictive(item, 0.95)
    assert not table["inside"][7]
    assert table["p_value"][7] == 1.0
    assert 0.8 < table["inside"].mean() < 1
    worst = predictive_statistics(item, 0.95).set_index("statistic")
    assert worst.loc["largest", "p_value"] > 0.99
    assert worst.loc["largest", "observed"] == 6.0
