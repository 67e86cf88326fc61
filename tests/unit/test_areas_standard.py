"""Direct standardisation and supplied reference rates."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import ReportTable
from poolmap.families.areas.describe import describe
from poolmap.families.areas.expected import ratio_interval
from poolmap.families.areas.standard import (
    STANDARDS,
    age_range,
    age_weights,
    direct_rates,
    gamma_interval,
)
from tests.unit.test_areas_ingest import _ingest, _message

BIRTHS = [327, 30666, 123419, 149919, 104088, 34392]
CASES = [0, 8, 63, 112, 262, 295]
ALL_BIRTHS = [319933, 931318, 786511, 488235, 237863, 61313]


def test_down_syndrome_by_age_of_the_mother():
    """Fay and Feuer 1997, Statistics in Medicine 16:791-801, data of Fleiss 1981, table 14.4: fifth and later
    births in Michigan 1950-64, standardised to all births. Digits beyond theirs: vignette of the R package
    dsrTest 1.0.0, 75.52901 (67.70212 to 188.30017) per 100,000."""
    ages = list("abcdef")
    rows = pd.DataFrame({"area": "x", "stratum": ages, "cases": CASES, "size": BIRTHS})
    found = direct_rates(rows, dict(zip(ages, ALL_BIRTHS, strict=True)))
    lower, upper = gamma_interval(*(found[c] for c in found), 0.95)
    got = 1e5 * np.array([found["direct_rate"]["x"], lower[0], upper[0]])
    assert got == pytest.approx([75.52901, 67.70212, 188.30017], abs=5e-5)


def test_with_one_stratum_the_interval_is_the_exact_one_of_a_count():
    """With a single weight the gamma interval is Garwood's (Fay and Feuer 1997, section 2)."""
    for y in (0, 3, 40):
        rows = pd.DataFrame({"area": ["x"], "stratum": ["s"], "cases": [y], "size": [500.0]})
        found = direct_rates(rows, {"s": 7.0})
        lower, upper = gamma_interval(*(found[c] for c in found), 0.95)
        want = ratio_interval([y], [500.0], 0.95)
        assert (lower[0], upper[0]) == pytest.approx((want[0][0], want[1][0]))
    assert upper[0] == pytest.approx(chi2.ppf(0.975, 82) / 1000)


def test_rates_are_weighted_and_unknown_where_a_stratum_is():
    rows = pd.DataFrame(
        {
            "area": list("aabbccdd"),
            "stratum": ["young", "old"] * 4,
            "cases": [1, 20, 3, np.nan, 2, 0, 5, np.nan],
            "size": [100, 400, 100, 100, 50, 0, 100, 100.0],
        }
    )
    found = direct_rates(rows, {"young": 3, "old": 1})
    assert found["direct_rate"]["a"] == pytest.approx(0.75 * 0.01 + 0.25 * 0.05)
    assert found["direct_variance"]["a"] == pytest.approx((0.75 / 100) ** 2 + 20 * (0.25 / 400) ** 2)
    assert found["direct_largest"]["a"] == pytest.approx(0.75 / 100)
    assert found.loc[["b", "c", "d"]].isna().all(axis=None)
    young = direct_rates(rows, {"young": 3, "old": 0})
    assert young["direct_rate"].tolist() == pytest.approx([0.01, 0.03, 0.04, 0.05])


def test_the_standards_are_those_published():
    """WHO: Ahmad et al. 2001, table 4, sums to 100.035 by rounding; 85 and over 0.63, 90 and over 0.195.
    Europe: Eurostat 2013, sums to 100,000; 90 and over 1,000."""
    who, europe = STANDARDS["who_world"], STANDARDS["european_2013"]
    assert sum(who.weights) == pytest.approx(100.035) and len(who.weights) == len(who.starts) == 21
    assert age_weights(["80-84", "85+"], "who_world")[0]["85+"] == pytest.approx(0.635)
    assert age_weights(["85-89", "90+"], "who_world")[0]["90+"] == pytest.approx(0.195)
    assert sum(europe.weights) == 100_000 and len(europe.weights) == len(europe.starts) == 21
    weights, problems = age_weights(["<1", "1-4", "5-14", "15-64", "65-89", "90 and over"], "european_2013")
    assert list(weights.values()) == [1000, 4000, 11000, 64500, 18500, 1000] and not problems
    assert who.groups.startswith("0-4, 5-9") and europe.groups.startswith("0, 1-4") and "95+" in europe.groups


@pytest.mark.parametrize(
    ("label", "ends"),
    [
        ("0-4", (0, 4)),
        ("85+", (85, np.inf)),
        ("5 to 9 years", (5, 9)),
        ("Under 1", (0, 0)),
        ("<5", (0, 4)),
        ("90 and over", (90, np.inf)),
        ("aged 10–14", (10, 14)),
        ("≥85", (85, np.inf)),
        ("0", (0, 0)),
        ("unknown", None),
    ],
)
def test_age_groups_as_they_are_written(label, ends):
    assert age_range(label) == ends


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["0-4", "unknown"], "'unknown' names no ages"),
        (["<1", "1-4"], "'<1' cuts a group of the WHO World Standard 2000-2025 in two"),
        (["0-9", "5-14"], "'0-9' and '5-14' overlap"),
        (["0-4", "10-14"], "between '0-4' and '10-14' ages are missing"),
        (["0-4", "5-12"], "'5-12' cuts a group"),
    ],
)
def test_age_groups_that_do_not_fit(labels, says):
    assert any(says in problem for problem in age_weights(labels, "who_world")[1])


HEADER = "id,name,cases,pop,age,sex,ref,w"
ROWS = [
    f"{area},{area},{cases},{pop},{age},{sex},{ref},{w}"
    for area, counts in {"A": (2, 30, 3, 28), "B": (1, 9, 0, 14)}.items()
    for cases, pop, (age, sex, ref, w) in zip(
        counts,
        (1000, 500, 800, 900),
        (("0-64", "m", 0.001, 5), ("65+", "m", 0.04, 2), ("0-64", "f", 0.002, 5), ("65+", "f", 0.02, 3)),
        strict=True,
    )
]
OUTCOME = {"cases": "cases", "population": "pop", "strata": ["age", "sex"]}


def test_strata_of_the_same_ages_share_the_weight_of_the_standard(tmp_path):
    outcome = OUTCOME | {"standard": "european_2013", "age": "age"}
    data = _ingest(tmp_path, ROWS, ("A", "B"), HEADER, outcome=outcome)
    areas = data.tables["areas"].set_index("area")
    want = 0.5 * (0.805 * (2 / 1000 + 3 / 800) + 0.195 * (30 / 500 + 28 / 900))
    assert areas["direct_rate"]["A"] == pytest.approx(want)
    assert data.facts["without_direct_rate"] == []


def test_weights_from_a_column(tmp_path):
    outcome = OUTCOME | {"standard": {"weights": "w"}}
    areas = _ingest(tmp_path, ROWS, ("A", "B"), HEADER, outcome=outcome).tables["areas"].set_index("area")
    want = (5 * 1 / 1000 + 2 * 9 / 500 + 5 * 0 + 3 * 14 / 900) / 15
    assert areas["direct_rate"]["B"] == pytest.approx(want)
    bad = [*ROWS[:-1], ROWS[-1].removesuffix("3") + "4"]
    text = _message(tmp_path, bad, ("A", "B"), HEADER, outcome=outcome)
    assert "the weight of stratum '65+, f' differs between areas" in text


def test_the_report_says_by_what_was_standardised(tmp_path):
    rows = [row.replace("A,A,30,500", "A,A,<5,500") for row in ROWS]
    outcome = OUTCOME | {"standard": "who_world", "age": "age", "reference": "ref"}
    data = _ingest(tmp_path, rows, ("A", "B"), HEADER, outcome=outcome)
    spec = AreasAnalysis.model_validate(
        {"family": "areas", "data": "a", "geometry": "b", "area": "id", "outcome": outcome}
    )
    blocks = describe(spec, data)
    text = " ".join(block for block in blocks if isinstance(block, str))
    assert "external indirect standardisation: the reference rates by age and sex in the column 'ref'" in text
    assert "the WHO World Standard 2000-2025 (Ahmad et al. 2001" in text and "gamma distribution" in text
    assert "There is none in A, where a count is missing or suppressed" in text
    assert "Ranges are added up over the strata" in text
    captions = [block.caption for block in blocks if isinstance(block, ReportTable)]
    assert captions[:2] == ["Reference rates by stratum.", "Weights of direct standardisation."]
    plain = describe(spec, _ingest(tmp_path, ROWS, ("A", "B"), HEADER, outcome=outcome))
    assert "There is none in" not in " ".join(block for block in plain if isinstance(block, str))


def test_supplied_reference_rates(tmp_path):
    data = _ingest(tmp_path, ROWS, ("A", "B"), HEADER, outcome=OUTCOME | {"reference": "ref"})
    areas = data.tables["areas"].set_index("area")
    expected = 1000 * 0.001 + 500 * 0.04 + 800 * 0.002 + 900 * 0.02
    assert areas["expected"].tolist() == pytest.approx([expected] * 2)
    assert areas["sir"].tolist() == pytest.approx([63 / expected, 24 / expected])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("0.04", "0", ["the reference rate is 0: no cases are expected", "line 3, column 'ref'"]),
        ("0.04", "40", ["a reference rate of 40 cases a person", "0.0012, not 120 per 100,000"]),
        ("0.04", "", ["the reference rate is missing"]),
    ],
)
def test_bad_reference_rates(tmp_path, old, new, says):
    rows = [row.replace(f",{old},", f",{new},") for row in ROWS]
    text = _message(tmp_path, rows, ("A", "B"), HEADER, outcome=OUTCOME | {"reference": "ref"})
    for part in says:
        assert part in text


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"standard": "who_world", "strata": []}, "direct standardisation needs 'strata'"),
        ({"standard": "who_world"}, "say which of 'strata' has the age groups"),
        ({"standard": "who_world", "age": "agegroup"}, "'agegroup' is not one of 'strata'"),
        ({"standard": "world"}, "'world' is not a standard population: write who_world, european_2013 or"),
        ({"standard": {"weight": "w"}}, "is not a standard population"),
    ],
)
def test_standards_that_are_refused(outcome, says):
    section = {"family": "areas", "data": "a", "geometry": "b", "area": "id", "outcome": OUTCOME | outcome}
    with pytest.raises(ValueError, match=says) as caught:
        AreasAnalysis.model_validate(section)
    assert len(caught.value.errors()) == 1
