"""Indirect standardisation and exact Poisson intervals."""

import numpy as np
import pandas as pd
import pytest

from poolmap.families.areas.expected import expected_counts, ratio_interval, reference_rates


def _stratified():
    rows = pd.DataFrame(
        [
            ("A", "young", 1000, 10),
            ("A", "old", 500, 30),
            ("B", "young", 2000, 14),
            ("B", "old", 250, 15),
        ],
        columns=["area", "stratum", "population", "cases"],
    )
    return rows


def test_indirect_standardisation_by_hand():
    """Rates 24/3000 and 45/750; E_A = 1000 * 0.008 + 500 * 0.06 = 38, E_B = 16 + 15 = 31 (method: Breslow and
    Day 1987, chapter 2)."""
    rows = _stratified()
    known = pd.Series(True, index=rows.index)
    rates = reference_rates(rows["cases"], rows["cases"], rows["population"], rows["stratum"], known)
    assert rates.to_dict() == pytest.approx({"young": 0.008, "old": 0.06})
    expected = expected_counts(rows["area"], rows["population"], rows["stratum"], rates)
    assert expected.to_dict() == pytest.approx({"A": 38.0, "B": 31.0})
    assert expected.sum() == pytest.approx(rows["cases"].sum())


def test_an_area_without_counts_does_not_enter_the_rates_but_gets_an_expected_count():
    rows = _stratified()
    known = rows["area"] == "A"
    rates = reference_rates(rows["cases"], rows["cases"], rows["population"], rows["stratum"], known)
    expected = expected_counts(rows["area"], rows["population"], rows["stratum"], rates)
    assert expected["A"] == pytest.approx(40)
    assert expected["B"] == pytest.approx(2000 * 0.01 + 250 * 0.06)


def test_an_empty_stratum_has_no_rate_and_harms_nobody():
    rows = pd.concat(
        [_stratified(), pd.DataFrame([("A", "oldest", 0, 0)], columns=_stratified().columns)],
        ignore_index=True,
    )
    known = pd.Series(True, index=rows.index)
    rates = reference_rates(rows["cases"], rows["cases"], rows["population"], rows["stratum"], known)
    assert np.isnan(rates["oldest"])
    expected = expected_counts(rows["area"], rows["population"], rows["stratum"], rates)
    assert expected["A"] == pytest.approx(38)


@pytest.mark.parametrize(
    ("cases", "lower", "upper"),
    [(0, 0, 3.69), (1, 0.0253, 5.57), (5, 1.62, 11.67), (10, 4.80, 18.39), (50, 37.11, 65.92)],
)
def test_garwood_limits_as_tabulated(cases, lower, upper):
    """95% limits of a Poisson count, Breslow and Day 1987, table 2.11 (after Garwood 1936)."""
    got = ratio_interval([cases], [1.0], 0.95)
    assert [got[0][0], got[1][0]] == pytest.approx([lower, upper], abs=0.006)


def test_garwood_limits_cut_off_the_tails_and_scale_with_the_expected_count():
    from scipy.stats import poisson

    lower, upper = ratio_interval([7], [3.5], 0.9)
    assert poisson.sf(6, lower[0] * 3.5) == pytest.approx(0.05)
    assert poisson.cdf(7, upper[0] * 3.5) == pytest.approx(0.05)


def test_no_interval_without_cases_known_or_expected():
    lower, upper = ratio_interval([np.nan, 0], [2.0, 0.0], 0.95)
    assert np.isnan(lower).all() and np.isnan(upper).all()
