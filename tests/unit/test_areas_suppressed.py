"""Counts of which only a range is published: read, standardised, shown."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

from poolmap.config.area_outcome import Suppressed
from poolmap.families.areas.expected import reference_rates
from poolmap.families.areas.suppressed import expected_within, read_counts
from poolmap.tables import Table


def _table(values):
    frame = pd.DataFrame({"y": values}, index=pd.Index(range(2, 2 + len(values)), name="line"), dtype=object)
    return Table("counts.csv", frame)


def test_marks_are_read_as_ranges():
    table = _table(["7", "<5", "<=3", "*", "", "0", "< 10", "<1"])
    got = read_counts(table, "y", Suppressed(mark="*", range=(1, 4)))
    assert not table.problems
    np.testing.assert_array_equal(got["cases"], [7, np.nan, np.nan, np.nan, np.nan, 0, np.nan, 0])
    np.testing.assert_array_equal(got["at_least"], [7, 0, 0, 1, np.nan, 0, 0, 0])
    np.testing.assert_array_equal(got["at_most"], [7, 4, 3, 4, np.nan, 0, 9, 0])
    assert got["mark"].tolist() == ["", "<5", "<=3", "*", "", "", "< 10", ""]


def test_the_config_says_what_a_mark_stands_for():
    got = read_counts(_table(["<5", "0"]), "y", Suppressed(mark="<5", range=(1, 4)))
    assert got["at_least"].tolist() == [1, 0] and got["at_most"].tolist() == [4, 0]


def test_an_unknown_mark_is_refused_and_the_remedy_told():
    table = _table(["*", "<0", "3"])
    read_counts(table, "y", None)
    text = "\n".join(map(str, table.problems))
    assert "'*' is not a number" in text and "outcome.suppressed" in text
    assert "line 3" in text and "'<0' is no range of counts" in text


def test_the_mean_of_a_count_within_a_range():
    y = np.arange(1, 5)
    for mean in (0.01, 0.8, 3.0, 60.0):
        p = poisson.pmf(y, mean)
        assert expected_within([mean], [1], [4])[0] == pytest.approx((y * p).sum() / p.sum())
    assert expected_within([2.0, 2.0], [3, 0], [3, 0]).tolist() == [3, 0]


def test_reference_rates_with_ranges_are_of_greatest_likelihood():
    rows = pd.DataFrame(
        {
            "low": [12, 0, 1, 30, 0.0],
            "high": [12, 4, 4, 30, 4],
            "n": [900, 250, 400, 2000, 100.0],
            "stratum": ["a", "a", "a", "a", "b"],
        }
    )
    known = pd.Series(True, index=rows.index)
    rates = reference_rates(rows["low"], rows["high"], rows["n"], rows["stratum"], known)
    a = rows[rows["stratum"] == "a"]

    def minus_log_likelihood(log_rate):
        mean = np.exp(log_rate) * a["n"]
        return -np.log(poisson.cdf(a["high"], mean) - poisson.cdf(a["low"] - 1, mean)).sum()

    best = minimize_scalar(minus_log_likelihood, bounds=(-8, -1), method="bounded", options={"xatol": 1e-10})
    assert rates["a"] == pytest.approx(np.exp(best.x), rel=1e-6)
    assert 45 / 3550 < rates["a"] < 50 / 3550


def test_without_ranges_the_rates_are_cases_over_population():
    y, n = pd.Series([3.0, 5.0]), pd.Series([100.0, 300.0])
    stratum, known = pd.Series(["", ""]), pd.Series([True, True])
    assert reference_rates(y, y, n, stratum, known)[""] == pytest.approx(8 / 400)
