"""Counts and polygons: matched, standardised, refused with a reason."""

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from poolmap.config.areas import AreasAnalysis
from poolmap.errors import InputError
from poolmap.families.areas.ingest import ingest

ROWS = ["01,Ash,2,100,1.5", "02,Birch,5,200,2.5", "03,Cedar,0,50,0.5"]


def _files(tmp_path, rows, ids=("03", "01", "02"), header="id,name,cases,pop,x"):
    counts, polygons = tmp_path / "counts.csv", tmp_path / "map.gpkg"
    counts.write_text("\n".join([header, *rows]) + "\n")
    shapes = [box(i, 0, i + 1, 1) for i in range(len(ids))]
    gpd.GeoDataFrame({"id": list(ids)}, geometry=shapes, crs="EPSG:4326").to_file(polygons)
    return counts, polygons


def _ingest(tmp_path, rows=ROWS, ids=("03", "01", "02"), header="id,name,cases,pop,x", **keys):
    counts, polygons = _files(tmp_path, rows, ids, header)
    section = {
        "family": "areas",
        "data": str(counts),
        "geometry": str(polygons),
        "area": "id",
        "name": "name",
        "outcome": {"cases": "cases", "population": "pop"},
    }
    return ingest(AreasAnalysis.model_validate(section | keys))


def _message(*args, **keys):
    with pytest.raises(InputError) as caught:
        _ingest(*args, **keys)
    return str(caught.value)


def test_rows_come_in_the_order_of_the_polygons(tmp_path):
    data = _ingest(tmp_path)
    areas = data.tables["areas"]
    assert areas["area"].tolist() == data.geometry["area"].tolist() == ["03", "01", "02"]
    assert areas["name"].tolist() == ["Cedar", "Ash", "Birch"]
    assert areas["expected"].tolist() == pytest.approx([1, 2, 4])
    assert areas["sir"].tolist() == pytest.approx([0, 1, 1.25])
    assert data.exclusions.empty


def test_strata(tmp_path):
    rows = ["A,A,10,1000,young", "A,A,30,500,old", "B,B,14,2000,young", "B,B,15,250,old"]
    outcome = {"cases": "cases", "population": "pop", "strata": ["age"]}
    data = _ingest(tmp_path, rows, ("A", "B"), "id,name,cases,pop,age", outcome=outcome)
    assert data.tables["areas"]["expected"].tolist() == pytest.approx([38, 31])
    assert data.tables["areas"]["cases"].tolist() == [40, 29]
    rows[1] = rows[1].replace("old", "young")
    text = _message(tmp_path, rows, ("A", "B"), "id,name,cases,pop,age", outcome=outcome)
    assert "line 3" in text and "area 'A' and stratum 'young' stand already in line 2" in text


def test_every_area_needs_every_stratum(tmp_path):
    """A misspelt stratum would be its own reference, a missing one would lower the expected count."""
    header, outcome = "id,name,cases,pop,age", {"cases": "cases", "population": "pop", "strata": ["age"]}
    areas = ("A", "B", "C")
    rows = [f"{a},{a},1,{n},{s}" for a in areas for s, n in (("0-64", 900), ("65+", 100))]
    assert len(_ingest(tmp_path, rows, areas, header, outcome=outcome).tables["areas"]) == 3
    text = _message(tmp_path, [*rows[:-1], "C,C,1,100,65 +"], areas, header, outcome=outcome)
    assert "stratum '65 +' stands in 1 of 3 areas only (line 7)" in text
    assert "did you mean '65+'?" in text
    assert "area 'C' has no row for stratum '65+'" in text
    text = _message(tmp_path, rows[:-1], areas, header, outcome=outcome)
    assert "area 'C' has no row for stratum '65+'" in text


@pytest.mark.parametrize("likelihood", ["poisson", "binomial"])
def test_an_area_of_which_nothing_is_known_stays_in_the_map(tmp_path, likelihood):
    models = {"iid": {"prior": "iid", "likelihood": likelihood}}
    data = _ingest(tmp_path, ["01,Ash,,,1", "02,Birch,5,200,2", "03,Cedar,1,50,3"], models=models)
    areas = data.tables["areas"].set_index("area")
    size = "expected" if likelihood == "poisson" else "population"
    assert areas[size].isna().to_dict() == {"03": False, "01": True, "02": False}
    assert areas[size].sum() == pytest.approx({"expected": 6, "population": 250}[size])
    assert data.facts["without_cases"] == data.facts["without_either"] == ["01"]
    (reason,) = data.exclusions["reason"]
    assert reason == "no case count and no population: estimated from the other areas"


@pytest.mark.parametrize("rows", [["01,Ash,4,,1"], ["01,Ash,<5,,1"]])
def test_a_count_needs_its_population(tmp_path, rows):
    assert "line 2, column 'pop': the population is missing" in _message(tmp_path, [*rows, *ROWS[1:]])


def test_an_area_known_in_part_needs_every_population(tmp_path):
    rows = ["A,A,10,1000,young", "A,A,,,old", "B,B,14,2000,young", "B,B,15,250,old"]
    outcome = {"cases": "cases", "population": "pop", "strata": ["age"]}
    text = _message(tmp_path, rows, ("A", "B"), "id,name,cases,pop,age", outcome=outcome)
    assert "line 3, column 'pop': the population is missing" in text


def test_an_area_with_an_empty_polygon_is_told_apart_from_one_without(tmp_path):
    counts, polygons = _files(tmp_path, ROWS)
    frame = gpd.read_file(polygons)
    frame.loc[frame["id"] == "02", "geometry"] = None
    frame.to_file(polygons)
    section = {"family": "areas", "data": str(counts), "geometry": str(polygons), "area": "id"}
    section["outcome"] = {"cases": "cases", "population": "pop"}
    with pytest.raises(InputError, match=r"1 area\(s\) have an empty polygon in .*: '02'"):
        ingest(AreasAnalysis.model_validate(section))


def test_given_expected_counts(tmp_path):
    rows = ["01,Ash,2,1.0,0", "02,Birch,5,2.5,0", "03,Cedar,0,0.5,0"]
    data = _ingest(tmp_path, rows, outcome={"cases": "cases", "expected": "pop"})
    assert data.tables["areas"]["sir"].tolist() == pytest.approx([0, 2, 2])


def test_ids_that_do_not_match_are_all_named_both_ways(tmp_path):
    text = _message(
        tmp_path,
        ["Ash,a,2,100,1", "Birhc,b,5,200,1", "Elm,c,1,10,1"],
        ("Ash", "Birch", "Zelkova"),
    )
    assert "2 area(s) have no polygon" in text and "'Birhc' (did you mean 'Birch'?)" in text
    assert "'Elm'" in text and "'Zelkova'" in text and "2 polygon(s) have no row" in text
    assert "counts.csv" in text and "map.gpkg" in text


def test_lost_leading_zeros_are_recognised(tmp_path):
    rows = [row.removeprefix("0") for row in ROWS]
    text = _message(tmp_path, rows)
    assert "3 ids match only with leading zeros: '1' in the counts is '01' in the polygons" in text
    assert "leading zeros were lost in" in text and "counts.csv (a spreadsheet" in text
    assert "have no polygon" not in text


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("01,Ash,-1,100,1", ["line 2, column 'cases'", "-1 is not at least 0"]),
        ("01,Ash,1.5,100,1", ["line 2, column 'cases'", "1.5 is not a whole number"]),
        ("01,Ash,two,100,1", ["line 2, column 'cases'", "'two' is not a number"]),
        ("01,Ash,2,,1", ["line 2, column 'pop'", "the population is missing"]),
        ("01,Ash,2,0,1", ["line 2, column 'pop'", "2 cases, but the population is 0"]),
        ("01,Ash,101,100,1", ["line 2, column 'cases'", "101 cases in a population of 100", "exchanged"]),
        ("02,Ash,2,100,1", ["line 3, column 'id'", "area '02' stands already in line 2"]),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path, row, parts):
    text = _message(tmp_path, [row, *ROWS[1:]])
    for part in parts:
        assert part in text


def test_more_cases_than_person_time_in_fractions_is_allowed(tmp_path):
    data = _ingest(tmp_path, ["01,Ash,2,0.5,1", *ROWS[1:]])
    assert data.tables["areas"]["cases"].sum() == 7


def test_an_area_without_a_count_or_without_people_stays(tmp_path):
    rows = ["01,Ash,,100,1", ROWS[1], "03,Cedar,0,0,1", "04,Dogwood,3,200,1"]
    data = _ingest(tmp_path, rows, ("03", "01", "02", "04"))
    areas = data.tables["areas"].set_index("area")
    assert len(areas) == 4 and np.isnan(areas.at["01", "cases"])
    assert areas["expected"].tolist() == pytest.approx([0, 2, 4, 4])
    assert data.exclusions[["row", "id"]].values.tolist() == [[2, "01"]]
    assert "estimated" in data.exclusions["reason"][0]
    assert data.facts["without_population"] == ["03"]
    assert data.facts["without_cases"] == ["01"]


def test_covariates_are_centred_and_without_intercept(tmp_path):
    data = _ingest(tmp_path, covariates="~ x + scale(pop)")
    table = data.tables["covariates"]
    assert table.columns.tolist() == ["area", "x", "scale(pop)"]
    assert table["x"].tolist() == pytest.approx([-1, 0, 1])
    assert table.set_index("area").loc["02", "x"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "formula", "parts"),
    [
        (["01,A,2,100,", *ROWS[1:]], "~ x", ["line 2, column 'x'", "the covariate is missing"]),
        (["01,A,2,100,1;5", *ROWS[1:]], "~ x", ["line 2, column 'x'", "'1;5' is not a number"]),
        (ROWS, "~ scale(xx)", ["there is no column 'xx'", "did you mean 'x'"]),
        (ROWS, "~ scale(x", ["the formula '~ scale(x' cannot be read"]),
        (ROWS, "~ x x2", ["the formula '~ x x2' cannot be read: a + is missing before 'x2'"]),
        (ROWS, "~ x + I(2 * x)", ["depend on each other"]),
        (["01,A,2,100,1", "02,B,5,200,1", "03,C,0,50,1"], "~ x", ["'x' is the same in all areas"]),
    ],
)
def test_bad_covariates_are_refused(tmp_path, rows, formula, parts):
    text = _message(tmp_path, rows, covariates=formula)
    for part in parts:
        assert part in text


def test_problems_of_both_files_come_together(tmp_path):
    text = _message(tmp_path, geometry_area="code", outcome={"cases": "case", "population": "pop"})
    assert "there is no column 'case'" in text and "there is no column 'code'" in text


def test_no_cases_at_all(tmp_path):
    assert "no cases at all" in _message(tmp_path, ["01,A,0,10,1", "02,B,0,10,1", "03,C,0,10,1"])


COUNTS = {"cases": "cases", "population": "pop"}
PREVALENCE = {"models": {"m": {"likelihood": "binomial"}}}
ESTIMATES = {"outcome": {"estimate": "cases", "se": "pop"}}


def test_suppressed_counts_stay_as_ranges(tmp_path):
    rows = ["01,Ash,<5,400,1", "02,Birch,9,900,2", "03,Cedar,*,300,3"]
    outcome = COUNTS | {"suppressed": {"mark": "*", "range": [1, 9]}}
    data = _ingest(tmp_path, rows, outcome=outcome)
    areas = data.tables["areas"].set_index("area").loc[["01", "02", "03"]]
    np.testing.assert_array_equal(areas["cases"], [np.nan, 9, np.nan])
    assert areas["at_least"].tolist() == [0, 9, 1] and areas["at_most"].tolist() == [4, 9, 9]
    assert np.isnan(areas.at["01", "sir"])
    assert data.exclusions.empty and data.facts["suppressed"] == ["01", "03"]
    assert data.facts["suppressed_rows"] == [
        {"mark": "*", "at_least": 1, "at_most": 9, "rows": 1},
        {"mark": "<5", "at_least": 0, "at_most": 4, "rows": 1},
    ]
    rate = data.facts["reference_rates"][0]["rate"]
    assert 10 / 1600 < rate < 22 / 1600 and data.facts["cases"] == 9


def test_suppressed_strata_add_up_to_the_range_of_the_area(tmp_path):
    header, outcome = "id,name,cases,pop,age", COUNTS | {"strata": ["age"]}
    rows = [
        "A,A,<5,100,young",
        "A,A,12,100,old",
        "B,B,3,100,young",
        "B,B,<3,100,old",
        "C,C,,100,young",
        "C,C,<3,100,old",
    ]
    data = _ingest(tmp_path, rows, ("A", "B", "C"), header, outcome=outcome)
    areas = data.tables["areas"]
    np.testing.assert_array_equal(areas["at_least"], [12, 3, np.nan])
    np.testing.assert_array_equal(areas["at_most"], [16, 5, np.nan])
    assert data.facts["without_cases"] == ["C"] and data.facts["suppressed"] == ["A", "B"]


def test_without_suppressed_counts_the_table_has_no_bounds(tmp_path):
    assert "at_least" not in _ingest(tmp_path).tables["areas"]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["01,A,<5,0,1", *ROWS[1:]], None),
        (["01,A,*,0,1", *ROWS[1:]], ["line 2, column 'pop'", "'*' cases, but the population is 0"]),
        (["01,A,<5,10,1", "02,B,<5,10,1", "03,C,<5,10,1"], ["there are no cases at all"]),
    ],
)
def test_suppressed_counts_without_people_or_without_a_sure_case(tmp_path, rows, parts):
    outcome = COUNTS | {"suppressed": {"mark": "*", "range": [1, 4]}}
    if parts is None:
        assert _ingest(tmp_path, rows, outcome=outcome).facts["without_population"] == ["01"]
        return
    text = _message(tmp_path, rows, outcome=outcome)
    for part in parts:
        assert part in text


def test_prevalence(tmp_path):
    rows = ["01,Ash,2,10,1", "02,Birch,5,50,2", "03,Cedar,0,0,3"]
    data = _ingest(tmp_path, rows, **PREVALENCE)
    areas = data.tables["areas"].set_index("area")
    assert "expected" not in areas and "sir" not in areas
    assert areas.loc[["01", "02"], "proportion"].tolist() == pytest.approx([0.2, 0.1])
    assert np.isnan(areas.at["03", "proportion"]) and data.facts["without_population"] == ["03"]
    assert data.facts["overall"] == 0.12


def test_a_suppressed_count_is_no_more_than_the_persons_examined(tmp_path):
    rows = ["01,Ash,<5,3,1", "02,Birch,5,50,2", "03,Cedar,<2,1,3"]
    areas = _ingest(tmp_path, rows, **PREVALENCE).tables["areas"].set_index("area")
    assert areas.loc[["01", "02", "03"], "at_most"].tolist() == [3, 5, 1]


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("01,Ash,2,10.5,1", ["line 2, column 'pop'", "10.5 is not a whole number", "persons examined"]),
        ("01,Ash,11,10,1", ["line 2, column 'cases'", "11 cases in a population of 10"]),
    ],
)
def test_a_prevalence_needs_persons(tmp_path, row, parts):
    text = _message(tmp_path, [row, *ROWS[1:]], **PREVALENCE)
    for part in parts:
        assert part in text


def test_direct_estimates(tmp_path):
    rows = ["01,Ash,-2.5,1.5,1", "02,Birch,4.1,0.5,2", "03,Cedar,,,3"]
    data = _ingest(tmp_path, rows, **ESTIMATES)
    areas = data.tables["areas"]
    assert areas.columns.tolist() == ["area", "name", "estimate", "se"]
    np.testing.assert_array_equal(areas["estimate"], [np.nan, -2.5, 4.1])
    assert data.exclusions[["row", "id"]].values.tolist() == [[4, "03"]]
    assert data.facts["without_estimate"] == ["03"] and data.facts["overall"] == 0.8


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("01,Ash,1,0,1", ["line 2, column 'pop'", "0 is not above 0", "the standard error"]),
        ("01,Ash,1,,1", ["line 2, column 'pop'", "the estimate has no standard error"]),
        ("01,Ash,x,1,1", ["line 2, column 'cases'", "'x' is not a number"]),
        ("02,Ash,1,1,1", ["line 3, column 'id'", "area '02' stands already in line 2"]),
    ],
)
def test_bad_direct_estimates(tmp_path, row, parts):
    text = _message(tmp_path, [row, *ROWS[1:]], **ESTIMATES)
    for part in parts:
        assert part in text


def test_one_area_is_no_map(tmp_path):
    assert "1 area(s) have a case count" in _message(tmp_path, ROWS[:1], ("01",))
    assert "1 area(s) have an estimate" in _message(tmp_path, ROWS[:1], ("01",), **ESTIMATES)
    rows = [ROWS[0], "02,Birch,0,0,2.5", "03,Cedar,,50,0.5"]
    assert "at least two areas" in _message(tmp_path, rows)


def test_cases_where_none_are_expected_are_an_error(tmp_path):
    outcome = {"cases": "cases", "expected": "pop"}
    text = _message(tmp_path, ["01,Ash,2,0,1", *ROWS[1:]], outcome=outcome)
    assert "line 2, column 'pop'" in text and "2 cases, but the expected count is 0" in text
    data = _ingest(tmp_path, ["01,Ash,0,0,1", *ROWS[1:]], outcome=outcome)
    assert data.facts["without_population"] == ["01"]


def test_missing_covariates_are_told_area_by_area(tmp_path):
    text = _message(tmp_path, ["01,A,2,100,", "02,B,5,200,2", "03,C,0,50,NA"], covariates="~ x")
    assert "the covariate is missing in 2 area(s): 01, 03" in text and "line 2, column 'x'" in text
    assert "fill it in" in text


def test_collinear_covariates_are_named(tmp_path):
    header = "id,name,cases,pop,x,young,old,rain"
    rows = [
        f"{i:02},A,2,100,{i % 3},{a},{100 - a},{r}"
        for i, (a, r) in enumerate([(10, 1), (20, 5), (35, 2), (50, 9), (61, 4)])
    ]
    ids = [f"{i:02}" for i in range(5)]
    text = _message(tmp_path, rows, ids, header, covariates="~ x + young + rain + old")
    assert "depend on each other linearly: young, old" in text
    assert len(_ingest(tmp_path, rows, ids, header, covariates="~ x + young").tables["covariates"]) == 5
