"""Direct estimates: intervals, weighted means and their standard errors under the design."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.calibration import calibrated_weights
from poolmap.families.mrp.direct import domain_ratio, logit_interval, poisson_interval, wilson_interval
from poolmap.families.mrp.side_by_side import SideBySide
from poolmap.families.mrp.survey_design import Design


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


def simple(weight, **columns) -> Design:
    return Design.of(pd.DataFrame({"weight": weight, **columns}))


def test_poisson_interval_published():
    """Exact limits of counts 0, 1, 10: Ulm K. American Journal of Epidemiology 1990;131:373-375."""
    lower, upper = poisson_interval(np.array([0, 1, 10]), np.ones(3), 0.95)
    np.testing.assert_allclose(lower, [0, 0.0253, 4.795], atol=5e-4)
    np.testing.assert_allclose(upper, [3.689, 5.572, 18.390], atol=5e-4)


def test_equal_weights_give_the_textbook_standard_error():
    yes = np.array([1.0, 1, 0, 1, 0, 0, 1, 1])
    share, se = domain_ratio(simple(np.full(8, 3.5)), yes, np.ones(8), np.zeros(8, int), 1)
    assert share[0] == pytest.approx(5 / 8)
    assert se[0] == pytest.approx(np.sqrt(5 / 8 * 3 / 8 / 7), rel=1e-12)


def test_weighted_share_against_the_definition():
    """The with-replacement variance of a ratio: n / (n - 1) sum (d_i - mean d)^2, domain scores 0 outside."""
    rng = np.random.default_rng(1)
    yes, weight = rng.integers(0, 2, 60).astype(float), rng.uniform(0.5, 4, 60)
    group = rng.integers(-1, 3, 60)
    share, se = domain_ratio(simple(weight), yes, np.ones(60), group, 3)
    for g in range(3):
        inside = group == g
        total = weight[inside].sum()
        p = (weight * yes)[inside].sum() / total
        score = np.where(inside, weight * (yes - p) / total, 0.0)
        assert share[g] == pytest.approx(p, rel=1e-12)
        assert se[g] == pytest.approx(np.sqrt(60 / 59 * ((score - score.mean()) ** 2).sum()), rel=1e-10)


def test_three_stages_against_loops():
    """Särndal, Swensson and Wretman 1992, 4.3: each stage's variance, times the fractions of those above."""
    rng = np.random.default_rng(4)
    rows = [
        {"stratum": h, "cluster_0": c, "cluster_1": s, "y": rng.normal() + c}
        for h in "AB"
        for c in range(4)
        for s in range(3)
        for _ in range(rng.integers(2, 5))
    ]
    frame = pd.DataFrame(rows).assign(weight=1.0, population_size_0=9, population_size_1=7)
    frame["population_size_2"] = 20
    expected = 0.0
    for _, stratum in frame.groupby("stratum"):
        totals = stratum.groupby("cluster_0")["y"].sum()
        expected += (1 - 4 / 9) * 4 * totals.var()
        for _, cluster in stratum.groupby("cluster_0"):
            totals = cluster.groupby("cluster_1")["y"].sum()
            expected += 4 / 9 * (1 - 3 / 7) * 3 * totals.var()
            for _, unit in cluster.groupby("cluster_1"):
                m = len(unit)
                expected += 4 / 9 * 3 / 7 * (1 - m / 20) * m * unit["y"].var()
    design = Design.of(frame)
    assert design.variance(frame[["y"]].to_numpy())[0] == pytest.approx(expected, rel=1e-12)
    assert design.freedom(np.zeros(len(frame), dtype=int), 1) == [6]


def test_degrees_of_freedom_are_those_of_the_group():
    """Stratum A has units 1 to 3, B 4 and 5; a group in 1, 2 and 4 has 3 - 2, one in unit 5 none."""
    frame = {"stratum": list("AAAABBB"), "cluster_0": [1, 1, 2, 3, 4, 4, 5]}
    design = simple(np.ones(7), **frame)
    group = np.array([0, 0, 0, -1, 0, 0, 1])
    np.testing.assert_array_equal(design.freedom(group, 3), [1, np.nan, np.nan])
    np.testing.assert_array_equal(design.freedom(np.zeros(7, dtype=int), 1), [3])
    np.testing.assert_array_equal(simple(np.ones(5)).freedom(np.array([0, 0, 0, 1, 1]), 2), [2, 1])


def test_unequal_probabilities_in_strata_and_stages_against_loops():
    """Brewer 2002, chapter 9: each unit's squared deviation from the unweighted mean times 1 - p; a unit that
    is certain brings the variance within it alone."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "stratum": h,
            "cluster_0": c,
            "inclusion_0": p,
            "inclusion_1": rng.uniform(0.1, 0.9),
            "y": rng.normal(),
        }
        for h in "AB"
        for c, p in enumerate([1.0, 0.6, 0.3, 0.1])
        for _ in range(rng.integers(2, 6))
    ]
    rows.append({"stratum": "C", "cluster_0": 0, "inclusion_0": 0.2, "inclusion_1": 0.5, "y": 2.0})
    frame = pd.DataFrame(rows).assign(weight=1.0, z=lambda table: rng.normal(size=len(table)))

    def spread(totals, p):
        m = len(totals)
        away = totals - (totals.mean(axis=0) if m > 1 else 0)
        return m / max(m - 1, 1) * (away * np.asarray(1 - p)[:, None]).T @ away

    expected = np.zeros((2, 2))
    for _, stratum in frame.groupby("stratum"):
        units = stratum.groupby("cluster_0")
        expected += spread(units[["y", "z"]].sum().to_numpy(), units["inclusion_0"].first())
        for _, unit in units:
            p = unit["inclusion_0"].iloc[0]
            expected += p * spread(unit[["y", "z"]].to_numpy(), unit["inclusion_1"])
    design = Design.of(frame)
    scores = frame[["y", "z"]].to_numpy()
    np.testing.assert_allclose(design.covariance(scores, scores), expected, rtol=1e-12)
    np.testing.assert_allclose(design.variance(scores), np.diag(expected), rtol=1e-12)
    assert design.freedom(np.zeros(len(frame), dtype=int), 1) == [6]


def test_a_stratum_with_one_unit_counts_its_square():
    design = simple(np.ones(3), stratum=["A", "A", "B"])
    assert design.variance(np.array([[1.0], [3.0], [5.0]]))[0] == pytest.approx(2 * 2 + 25)
    whole = simple(np.ones(3), stratum=["A", "A", "B"], population_size_0=[4, 4, 1])
    assert whole.variance(np.array([[1.0], [3.0], [5.0]]))[0] == pytest.approx(0.5 * 2 * 2)


def test_no_raked_estimates_where_raking_cannot_end(caplog):
    """Two margins that contradict each other: every respondent is young in A or old in B."""
    cells = pd.DataFrame({"area": ["A", "A", "B", "B"], "age": ["young", "old", "young", "old"]})
    census = cells.assign(count=[20.0, 10.0, 30.0, 40.0])
    survey = cells.iloc[np.repeat([0, 3], 5)].assign(yes=[1, 0, 1, 0, 0] * 2, weight=1.0)
    spec = MrpAnalysis(
        family="mrp", survey="s.csv", census="c.csv", count="n", outcome={"column": "y", "positive": "1"},
        formula="y ~ 1 + (1 | area) + (1 | age)", estimates=["area"], interval=0.95,
    )  # fmt: skip
    facts = {"terms": [["area"], ["age"]], "predictors": {}}
    tables = {"survey": survey.reset_index(drop=True), "census": census}
    found = SideBySide(spec, Dataset(tables, pd.DataFrame(), facts)).columns((), pd.DataFrame(index=[0]))
    assert "raked" not in found
    assert found["greg"].notna().all()
    assert "raking to area, age did not converge" in caplog.text


def test_calibrated_weights_meet_the_totals_with_collinear_columns():
    rng = np.random.default_rng(2)
    group = rng.integers(0, 3, 50)
    x = np.column_stack([np.ones(50), np.eye(3)[group], rng.normal(size=50)])
    totals = np.array([900.0, 200, 300, 400, 35])
    weight = calibrated_weights(rng.uniform(1, 20, 50), x, totals)
    np.testing.assert_allclose(weight @ x, totals, rtol=1e-9)


def test_one_respondent_has_no_standard_error():
    y, group = np.array([1.0, 0, 1]), np.array([0, 1, 1])
    share, se = domain_ratio(simple(np.ones(3)), y, np.ones(3), group, 3)
    assert share[0] == 1
    assert np.isnan(se[0])
    assert np.isfinite(se[1])
    assert np.isnan(share[2])


def test_no_interval_without_degrees_of_freedom():
    lower, upper = logit_interval(np.full(2, 0.3), np.full(2, 0.05), 0.95, np.array([np.nan, 4]))
    assert np.isnan(lower[0])
    assert np.isnan(upper[0])
    z = 2.776445 * 0.05 / (0.3 * 0.7)  # Student's quantile of a table
    assert np.log(lower[1] / (1 - lower[1])) == pytest.approx(np.log(3 / 7) - z, abs=1e-6)


def test_logit_interval():
    lower, upper = logit_interval(np.array([0.3, 0.0, 1.0]), np.array([0.05, 0.0, 0.0]), 0.95)
    z = norm.ppf(0.975) * 0.05 / (0.3 * 0.7)
    assert np.log(lower[0] / (1 - lower[0])) == pytest.approx(np.log(3 / 7) - z)
    assert np.log(upper[0] / (1 - upper[0])) == pytest.approx(np.log(3 / 7) + z)
    assert np.isnan(lower[1:]).all()
    assert np.isnan(upper[1:]).all()
