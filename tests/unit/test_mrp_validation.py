"""Validation of survey estimates: calibration, checks by factor, simulated surveys, models compared."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult, Predictive
from poolmap.families.mrp.accuracy import calibration, held, place
from poolmap.families.mrp.differences import model_differences
from poolmap.families.mrp.left_out import by_level, emptied
from poolmap.families.mrp.simulate import simulated
from poolmap.inference.predictive import predictive_groups, validation_tables

OUTCOMES = {
    "binary": {"positive": "Yes"},
    "continuous": {},
    "count": {},
    "ordered": {"levels": ["low", "middle", "high"]},
}


def spec_of(kind: str = "binary", **more) -> MrpAnalysis:
    return MrpAnalysis(
        family="mrp",
        survey="survey.csv",
        census="census.csv",
        count="n",
        outcome={"column": "y", "kind": kind, **OUTCOMES[kind]},
        formula="y ~ 1 + (1 | area) + (1 | sex)",
        estimates=["area"],
        interval=0.9,
        **more,
    )


def data_of(**columns) -> Dataset:
    cells = pd.DataFrame(
        {"area": ["A", "A", "B", "B"], "sex": ["f", "m", "f", "m"], "n": [40_000, 10_000, 20_000, 30_000]}
    )
    facts = {"terms": [["area"], ["sex"]], "predictors": {}, "answers": ["low", "middle", "high"]}
    return Dataset({"cells": cells.assign(**columns)}, pd.DataFrame(), facts)


def test_place_of_the_truth_and_what_intervals_hold_of_it():
    draws = (np.arange(1000)[:, None] + 0.5) / 1000
    truth = np.array([0.5, 0.9, 0.05, 2.0, np.nan])
    below, at = place(np.tile(draws, (1, 5)), truth)
    np.testing.assert_allclose(below, [0.5, 0.9, 0.05, 1, np.nan])
    np.testing.assert_allclose(at[:4], 0)
    assert held(below[:4], at[:4], 0.7).tolist() == [1, 0, 0, 0]
    assert held(below[:4], at[:4], 0.8).tolist() == [1, 1, 0, 0]
    # values 0 and 1 with 5% and 95%: the 80% interval is all at 1, of which it holds 80/95
    discrete = np.repeat([0.0, 1.0], [50, 950])[:, None]
    below, at = place(np.tile(discrete, (1, 2)), np.array([1.0, 0.0]))
    np.testing.assert_allclose([below, at], [[0.05, 0], [0.95, 0.05]], atol=1e-12)
    np.testing.assert_allclose(held(below, at, 0.8), [0.8 / 0.95, 0])
    np.testing.assert_allclose(held(below, at, 0.98), [0.94 / 0.95, 0.04 / 0.05])


def test_shares_of_few_people_are_held_as_often_as_the_level_says():
    """Binomial(4, p) with known p: closed intervals hold more than their level, `held` the level itself."""
    rng = np.random.default_rng(4)
    p = rng.uniform(size=20_000)
    truth = rng.binomial(4, p) / 4
    draws = rng.binomial(4, p, (1000, p.size)) / 4
    below, at = place(draws, truth)
    for level in (0.5, 0.9):
        assert held(below, at, level).mean() == pytest.approx(level, abs=4 * 0.5 / np.sqrt(p.size))
    closed = (below < 0.95) & (below + at > 0.05)
    assert closed.mean() > 0.94


def test_a_calibrated_model_covers_as_it_says():
    rng = np.random.default_rng(1)
    groups = 4000
    mean = rng.normal(size=groups)
    truth = mean + rng.normal(size=groups)
    table = pd.DataFrame(
        {
            "truth": truth,
            "mean": mean,
            "lower": mean - 1.645,
            "upper": mean + 1.645,
            "raw": mean,
            "raw_lower": mean - 1,
            "raw_upper": mean + 1,
            "p_below_truth": place(mean + rng.normal(size=(2000, groups)), truth)[0],
        }
    )
    found = calibration(table, 0.9).set_index(["kind", "level"])["coverage"]
    levels = found["model"].index.to_numpy()
    np.testing.assert_allclose(found["model"], levels, atol=4 * 0.5 / np.sqrt(groups) + 0.002)
    assert found["raw", 0.9] == pytest.approx(0.6827, abs=4 * 0.47 / np.sqrt(groups))


def predicted(observed, replicated, **more) -> Predictive:
    groups = pd.DataFrame({"area": ["A", "A", "B"], "sex": ["f", "m", "f"]})
    log_lik = -np.arange(1.0, 7).reshape(1, 2, 3)
    return Predictive(
        "cell", ["1", "2", "3"], np.array(observed, dtype=float), np.array(replicated, dtype=float)[None],
        log_lik, "yes answers", groups=groups, size=np.array([10.0, 30, 20]), **more,
    )  # fmt: skip


def test_a_formula_without_factors_has_no_check_by_factor():
    """A prevalence with a test that errs may do with an intercept alone: "result ~ 1"."""
    item = replace(predicted([5, 15, 10], [[5, 15, 8], [3, 9, 12]]), groups=pd.DataFrame(index=range(3)))
    assert predictive_groups(item, 0.5).empty
    assert validation_tables(item, [], 0.5) == []


def test_checks_by_factor_are_shares_of_totals():
    found = predictive_groups(predicted([5, 15, 10], [[5, 15, 8], [3, 9, 12]]), 0.5)
    assert found[["variable", "level"]].to_numpy().tolist() == [
        ["area", "A"],
        ["area", "B"],
        ["sex", "f"],
        ["sex", "m"],
    ]
    np.testing.assert_allclose(found["observed"], [20 / 40, 10 / 20, 15 / 30, 15 / 30])
    np.testing.assert_allclose(found["mean"], [16 / 40, 0.5, 14 / 30, 12 / 30])
    np.testing.assert_allclose(found["p_value"], [0.75, 0.5, 0.75, 0.75])
    assert found["n"].tolist() == [40, 20, 30, 30]


def test_checks_by_factor_of_means_are_weighted_by_persons():
    item = predicted([5, 15, 10], [[5, 15, 8], [3, 9, 12]], is_mean=True)
    found = predictive_groups(item, 0.5)
    np.testing.assert_allclose(found["observed"][:2], [(50 + 450) / 40, 10])
    np.testing.assert_allclose(found["mean"][:2], [(500 + 300) / 2 / 40, 10])


def test_whole_areas_are_left_out():
    data = data_of(yes=[1, 2, 3, 4])
    log_lik = np.arange(24.0).reshape(2, 3, 4)
    item = Predictive("cell", list("abcd"), np.ones(4), np.ones((2, 3, 4)), log_lik, "yes answers")
    found = by_level(spec_of(leave_out="sex"), data, item)
    np.testing.assert_allclose(found.log_lik[..., 0], log_lik[..., 0] + log_lik[..., 2])
    np.testing.assert_allclose(found.log_lik[..., 1], log_lik[..., 1] + log_lik[..., 3])
    assert (found.left_out, found.parts) == ("sex", ["f", "m"])
    assert by_level(spec_of(), data, item).log_lik is log_lik
    assert "left_out" not in [
        table.name for table in validation_tables(by_level(spec_of(), data, item), [], 0.9)
    ]


def test_left_out_areas_are_told_with_how():
    rng = np.random.default_rng(4)
    item = predicted([5, 15, 10], rng.poisson(9, (400, 3)), left_out="area", parts=["A", "B"])
    item = Predictive(**{**item.__dict__, "log_lik": rng.normal(-2, 0.1, (1, 400, 2))})
    tables = {
        t.name: t.frame
        for t in validation_tables(item, [{"i": 1, "elpd": -3.5, "passed": True, "converged": True}], 0.9)
    }
    assert tables["left_out"]["area"].tolist() == ["A", "B"]
    assert tables["left_out"]["method"].tolist() == ["psis", "refit"]
    assert tables["left_out"]["elpd"][1] == -3.5
    assert len(tables["predictive_groups"]) == 4


@pytest.mark.parametrize("converged", [True, False])
def test_a_fit_that_converged_predicts_also_where_the_density_is_too_far_out(converged):
    rng = np.random.default_rng(4)
    item = predicted([5, 15, 10], rng.poisson(9, (400, 3)), left_out="area", parts=["A", "B"])
    item = Predictive(**{**item.__dict__, "log_lik": rng.normal(-2, 0.1, (1, 400, 2))})
    refit = {"i": 1, "elpd": -60.0, "passed": False, "converged": converged}
    refit["replicated"] = [np.linspace(0.2, 0.4, 201).tolist()]
    tables = {t.name: t.frame for t in validation_tables(item, [refit], 0.9)}
    row = tables["left_out"].iloc[1]
    if converged:
        assert (row["mean"], row["lower"], row["upper"]) == pytest.approx((0.3, 0.21, 0.39))
    else:
        assert row["mean"] == pytest.approx(0.3, abs=0.15) and row["mean"] != pytest.approx(0.3, abs=1e-6)


def test_emptied_cells_keep_their_levels():
    rows = pd.DataFrame({"cell": [0, 1, 3], "n": [5, 6, 7]})
    data = data_of(total=[5, 6, 7, 8], exposure=[1.0, 2, 3, 4], level_0=[0, 0, 1, 1])
    data.tables["rows"] = rows
    found = emptied(data, np.array([False, True, False, True]))
    cells = found.tables["cells"]
    assert cells["n"].tolist() == [40_000, 0, 20_000, 0]
    assert cells["total"].tolist() == [5, 0, 7, 0]
    assert cells["level_0"].tolist() == [0, 0, 1, 1]
    assert (cells["exposure"] > 0).all()
    assert found.tables["rows"]["n"].tolist() == [5, 0, 0]
    assert data.tables["cells"]["total"].tolist() == [5, 6, 7, 8]


def test_surveys_are_simulated_from_the_primary_model_only():
    spec = spec_of(models={"main": {}, "other": {}}, calibrate=20)
    assert [spec.is_calibrated(model) for model in spec.models] == [True, False]
    assert not spec_of(models={"main": {}}).is_calibrated("main")


def near(found, expected, se):
    assert (np.abs(np.asarray(found) - expected) < 4 * np.asarray(se)).all(), (found, expected)


def test_simulated_answers_have_the_model_s_distribution():
    """Means and variances of the cells, within 4 standard errors."""
    rng = np.random.default_rng(6)
    n = data_of().tables["cells"]["n"].to_numpy()
    p = np.array([0.1, 0.3, 0.6, 0.9])

    cells = simulated(spec_of(), data_of(yes=0), p[None], {}, rng).tables["cells"]
    near(cells["yes"] / n, p, np.sqrt(p * (1 - p) / n))
    tested = {"sensitivity": 0.8, "specificity": 0.95}
    cells = simulated(spec_of(), data_of(yes=0), p[None], tested, rng).tables["cells"]
    near(cells["yes"] / n, 0.8 * p + 0.05 * (1 - p), 0.5 / np.sqrt(n))

    given = data_of(mean=0.0, within_ss=0.0)
    cells = simulated(spec_of("continuous"), given, p[None], {"residual_sd": 2.0}, rng).tables["cells"]
    near(cells["mean"], p, 2 / np.sqrt(n))
    near(cells["within_ss"] / (n - 1), 4, 4 * np.sqrt(2 / n))

    given = data_of(n_0=0, n_1=0, n_2=0)
    shares = np.stack([p, (1 - p) / 3, 2 * (1 - p) / 3])
    cells = simulated(spec_of("ordered"), given, shares, {}, rng).tables["cells"]
    found = cells[["n_0", "n_1", "n_2"]].to_numpy()
    assert (found.sum(axis=1) == n).all()
    near(found / n[:, None], shares.T, 0.5 / np.sqrt(n)[:, None])

    exposure = np.array([1e4, 2e4, 3e4, 4e4])
    cells = simulated(spec_of("count"), data_of(total=0, exposure=exposure), p[None], {}, rng).tables["cells"]
    near(cells["total"] / exposure, p, np.sqrt(p / exposure))


def test_simulated_overdispersed_counts():
    """Variance m + dispersion m^2 of the respondents' counts, as Stan's neg_binomial_2."""
    rng = np.random.default_rng(7)
    rows = pd.DataFrame(
        {"cell": [0, 1, 2, 3], "y": 1, "exposure": 2.0, "n": [40_000, 10_000, 20_000, 30_000]}
    )
    data = data_of(total=0, exposure=1.0)
    data.tables["rows"] = rows
    rate = np.array([0.5, 1.0, 2.0, 3.0])
    found = simulated(spec_of("count"), data, rate[None], {"dispersion": np.float64(0.4)}, rng)
    new = found.tables["rows"]
    for cell, m in enumerate(2 * rate):
        part = new[new["cell"] == cell]
        y = np.repeat(part["y"].to_numpy(), part["n"])
        assert len(y) == rows["n"][cell]
        variance = m + 0.4 * m**2
        near(y.mean(), m, np.sqrt(variance / len(y)))
        fourth = ((y - y.mean()) ** 4).mean()
        near(y.var(), variance, np.sqrt((fourth - variance**2) / len(y)))
        assert found.tables["cells"]["total"][cell] == y.sum()


def result(name: str, mean: list[float]) -> ModelResult:
    mean = np.array(mean)
    table = pd.DataFrame(
        {
            "quantity": "share", "area": ["A", "B"], "mean": mean, "sd": 0.1, "lower": mean - 0.2,
            "upper": mean + 0.2 + 0.1 * (name == "other"), "n_survey": [5, 0], "truth": [0.4, 0.6],
        }
    )  # fmt: skip
    total = table.drop(columns="area").iloc[:1]
    estimates = {"area": table, "total": total}
    return ModelResult(name, estimates, {}, {"passed": True}, pd.DataFrame(), pd.DataFrame(), "yes answers")


def test_models_are_compared_group_by_group():
    given = {"first": result("first", [0.3, 0.6]), "other": result("other", [0.35, 0.5])}
    spec = spec_of(models={"first": {}, "other": {}})
    found = model_differences(spec, given)
    areas = found[found["grouping"] == "area"]
    assert areas["group"].tolist() == ["A", "B"]
    np.testing.assert_allclose(areas["difference"], [0.05, -0.1])
    np.testing.assert_allclose(areas["in_sd"], [0.5, -1])
    np.testing.assert_allclose(areas["width_ratio"], 1.25)
    np.testing.assert_allclose(areas["error_other"], [-0.05, -0.1])
    assert found["grouping"].tolist() == ["total", "area", "area"]
    assert model_differences(spec, {"first": given["first"]}).empty
