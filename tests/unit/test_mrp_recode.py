"""Recoding, bands, missing values, several surveys, house and time: survey and census alike."""

import pandas as pd
import pytest

from poolmap.config.mrp_survey import Bands
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.recode import band_labels
from poolmap.families.mrp.side_by_side import SideBySide
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of


def levels(data, term):
    table = data.tables["levels"]
    return table[table["term"] == term].set_index("level")


def test_recode_maps_both_sides_and_leaves_what_it_does_not_name(tmp_path):
    survey = SURVEY.replace(",f,", ",1,").replace(",m,", ",male,")
    census = CENSUS.replace(",f,", ",F,")
    data = ingest(
        spec_of(tmp_path, survey, census, recode={"sex": {"1": "female", "F": "female", "male": "m"}})
    )
    sex = levels(data, "sex")
    assert sex["survey_n"].to_dict() == {"female": 3, "m": 3}
    assert sex["census_n"].to_dict() == {"female": 1020, "m": 1080}


def test_recode_merges_cells(tmp_path):
    data = ingest(spec_of(tmp_path, recode={"state": {"C": "B"}}))
    assert levels(data, "state")["census_n"].to_dict() == {"A": 320, "B": 1780}
    assert len(data.tables["census"]) == 8
    assert (data.facts["census_rows"], data.facts["census_cells"]) == (12, 8)


def test_recode_of_the_outcome(tmp_path):
    data = ingest(
        spec_of(tmp_path, outcome={"column": "vote", "positive": "Y"}, recode={"vote": {"yes": "Y"}})
    )
    assert data.facts["answer_counts"] == {"Y": 3, "no": 3}


def test_recode_that_fits_nothing(tmp_path):
    found = refused(spec_of(tmp_path, recode={"sx": {"f": "female"}, "sex": {"fem": "female", "m": "male"}}))
    assert found == [
        "config: recode.sx: no table has a column 'sx'\n    -> did you mean 'sex'?",
        "config: recode.sex: no table has the level 'fem'\n    -> valid names: f, m",
    ]


@pytest.mark.parametrize(
    ("lower", "labels"),
    [
        ([18, 30, 75], ["18-29", "30-74", "75+"]),
        ([0, 1, 5], ["0", "1-4", "5+"]),
        ([0, 0.5, 2], ["0 to <0.5", "0.5 to <2", "2+"]),
    ],
)
def test_band_labels(lower, labels):
    assert band_labels(Bands(lower=lower)) == labels


YEARS = "vote,state,years,sex,w\nyes,A,18,f,1\nno,A,29,m,1\nyes,B,30,f,1\nno,B,29.9,f,1\nyes,B,101,m,1\n"


def test_bands_on_either_side(tmp_path):
    """Years in the survey, bands in the census."""
    bands = {"age": {"column": "years", "lower": [18, 30]}}
    data = ingest(spec_of(tmp_path, YEARS, bands=bands))
    assert levels(data, "age")["survey_n"].to_dict() == {"18-29": 3, "30+": 2}
    assert data.facts["order"]["age"] == ["18-29", "30+"]
    census = "state,years,sex,n\nA,20,f,10\nA,30,m,20\nB,40,f,30\nB,29,m,40\nB,28,m,5\n"
    data = ingest(spec_of(tmp_path, YEARS, census, bands=bands))
    assert levels(data, "age")["census_n"].to_dict() == {"18-29": 55, "30+": 50}
    assert len(data.tables["census"]) == 4


def test_numbers_below_the_first_band_are_left_out_and_listed(tmp_path):
    census = "state,age,sex,n\nA,20,f,10\nA,30,m,20\nB,40,f,30\nB,17,m,40\nB,19,m,4\n"
    survey = YEARS.replace("years", "age").replace("A,18,f", "A,17.5,f")
    data = ingest(
        spec_of(tmp_path, survey, census, bands={"age": {"lower": [18, 30], "labels": ["young", "old"]}})
    )
    assert data.facts["population"] == 64
    assert (data.facts["rows_excluded"], data.facts["census_rows_excluded"]) == (1, 1)
    rows = data.exclusions[["row", "reason"]].to_numpy().tolist()
    assert sorted(rows) == [
        [2, "'age' is below the first band of 'age', young"],
        [5, "'age' is below the first band of 'age', young"],
    ]
    assert data.facts["order"]["age"] == ["young", "old"]


def test_bands_of_what_is_no_number(tmp_path):
    survey = YEARS.replace("A,18,", "A,young,").replace("B,101,", "B,,")
    found = refused(spec_of(tmp_path, survey, bands={"age": {"column": "years", "lower": [18, 30]}}))
    assert len(found) == 1
    assert "survey.csv, line 2, column 'years': 'young' is not a number" in found[0]


def test_bands_that_hold_nobody(tmp_path):
    found = refused(spec_of(tmp_path, YEARS, bands={"age": {"column": "years", "lower": [180, 300]}}))
    assert any("every number is below the first band of 'age', 180" in text for text in found)
    found = refused(spec_of(tmp_path, YEARS, bands={"age": {"column": "jahre", "lower": [18, 30]}}))
    assert any("config: bands.age: no table has a column 'jahre'" in text for text in found)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ({"lower": [30, 18]}, "ascending"),
        ({"lower": [18, 18]}, "ascending"),
        ({"lower": [18, 30], "labels": ["a"]}, "1 labels for 2 bands"),
        ({"lower": []}, "at least 1"),
    ],
)
def test_bounds_of_bands(bands, message):
    with pytest.raises(ValueError, match=message):
        Bands(**bands)


def test_missing_values_are_dropped_or_a_level(tmp_path):
    survey = SURVEY + "no,A,,f,1\nyes,B,NA,f,1\nno,,30+,m,1\n"
    data = ingest(spec_of(tmp_path, survey))
    assert data.facts["rows_excluded"] == 3
    assert data.exclusions["reason"].tolist() == ["no 'age'", "no 'age'", "no 'state'"]
    data = ingest(spec_of(tmp_path, survey, missing={"age": "level"}))
    assert data.exclusions["reason"].tolist() == ["no 'state'"]
    age = levels(data, "age")
    assert age["survey_n"].to_dict() == {"18-29": 4, "30+": 2, "missing": 2}
    assert age["census_n"].to_dict() == {"18-29": 1630, "30+": 470, "missing": 0}
    assert data.facts["order"]["age"] == ["18-29", "30+", "missing"]


def test_a_variable_without_any_value(tmp_path):
    survey = "\n".join(line.replace(",f,", ",,").replace(",m,", ",NA,") for line in SURVEY.splitlines())
    found = refused(spec_of(tmp_path, survey))
    assert "survey.csv, column 'sex': every row is without a value" in found[0]


def test_several_surveys(tmp_path):
    second = "vote,state,age,sex,w,extra\nyes,C,30+,f,1,x\nno,A,,m,1,y\n"
    surveys = {"wave_1": str(tmp_path / "survey.csv"), "wave_2": str(tmp_path / "second.csv")}
    changes = {"surveys": surveys, "files": {"second.csv": second}, "house": ["survey"]}
    formula = "vote ~ 1 + (1 | state) + (1 | age) + (1 | survey) + (1 | survey:age)"
    data = ingest(spec_of(tmp_path, formula=formula, **changes))
    survey, census = data.tables["survey"], data.tables["census"]
    assert survey[["file", "line"]].to_numpy().tolist()[-2:] == [["wave_1", 7], ["wave_2", 2]]
    assert data.facts["surveys"] == {"wave_1": 6, "wave_2": 1}
    assert data.exclusions[["file", "row", "reason"]].to_numpy().tolist() == [
        [surveys["wave_2"], 3, "no 'age'"]
    ]
    assert data.facts["terms"] == [["state"], ["age"], ["survey"], ["survey", "age"]]
    assert (census[["level_2", "level_3"]] == -1).all(axis=None)
    assert (census[["level_0", "level_1"]] >= 0).all(axis=None)
    assert levels(data, "survey")["census_n"].eq(0).all()
    assert levels(data, "survey:age")["survey_n"].to_dict() == {
        "wave_1:18-29": 4,
        "wave_1:30+": 2,
        "wave_2:30+": 1,
    }
    assert "survey" not in census


def test_mistakes_of_several_surveys_name_file_and_line(tmp_path):
    second = "vote,state,age,sex,w\nyes,Z,30+,f,1\nno,A,30+,m,0\n"
    surveys = {"wave_1": str(tmp_path / "survey.csv"), "wave_2": str(tmp_path / "second.csv")}
    spec = spec_of(tmp_path, surveys=surveys, files={"second.csv": second}, weight="w")
    assert "second.csv, line 3, column 'w': the weight is 0" in refused(spec)[0]
    second = "vote,state,sex,w\nyes,Z,f,1\n"
    (tmp_path / "second.csv").write_text(second)
    assert refused(spec)[0].startswith("second.csv: there is no column 'age'")


WAVES = "\n".join(
    line + (",wave" if i == 0 else f",{2019 + i % 3}") for i, line in enumerate(SURVEY.splitlines())
)


def test_a_census_without_the_time_is_repeated(tmp_path):
    formula = "vote ~ 1 + (1 | state) + (1 | wave) + (1 | state:wave)"
    data = ingest(spec_of(tmp_path, WAVES, formula=formula, time="wave", estimates=["wave", "state:wave"]))
    census = data.tables["census"]
    assert data.facts["population"] == 2100
    assert data.facts["times"] == 3
    assert len(census) == 3 * 3
    assert census.groupby("wave")["count"].sum().to_dict() == {"2019": 2100, "2020": 2100, "2021": 2100}
    assert (census[["level_0", "level_1", "level_2"]] >= 0).all(axis=None)
    assert data.facts["time"] == "wave"
    assert levels(data, "state")["census_n"].to_dict() == {"A": 320, "B": 720, "C": 1060}
    assert levels(data, "state:wave")["census_n"].sum() == 3 * 2100
    report = data.tables["variables"].set_index(["variable", "level"])["census_n"]
    assert report["state"].to_dict() == {"A": 320, "B": 720, "C": 1060}
    assert report["wave"].to_dict() == {"2019": 2100, "2020": 2100, "2021": 2100}


def test_people_are_counted_once_where_the_census_is_repeated(tmp_path):
    """Of the total, of a state, of a wave and of a state in a wave; a census with the time is added up."""
    formula = "vote ~ 1 + (1 | state) + (1 | wave)"
    estimates = ["state", "wave", "state:wave"]
    spec = spec_of(tmp_path, WAVES, formula=formula, time="wave", estimates=estimates)
    data = ingest(spec)
    keys = {
        (): ({}, 2100),
        ("state",): ({"state": "B"}, 720),
        ("wave",): ({"wave": "2020"}, 2100),
        ("state", "wave"): ({"state": "B", "wave": "2020"}, 720),
    }
    for grouping, (key, people) in keys.items():
        found = SideBySide(spec, data).columns(grouping, pd.DataFrame(key, index=[0]))
        assert found["n_census"].tolist() == [people], grouping
    census = "state,wave,n\nA,2019,1\nA,2020,2\nA,2021,3\nB,2019,4\nB,2020,5\nB,2021,6\n"
    spec = spec_of(
        tmp_path, WAVES.replace("C,", "B,"), census, formula=formula, time="wave", estimates=estimates
    )
    found = SideBySide(spec, ingest(spec)).columns(("state",), pd.DataFrame({"state": ["A", "B"]}))
    assert found["n_census"].tolist() == [6, 15]


def test_the_time_may_have_coefficients(tmp_path):
    formula = "vote ~ 1 + C(wave) + (1 | state)"
    data = ingest(spec_of(tmp_path, WAVES, formula=formula, time="wave", estimates=["wave"]))
    assert data.facts["predictors"]["wave"]["levels"] == ["2019", "2020", "2021"]
    assert data.tables["census"].groupby("wave")["count"].sum().tolist() == [2100, 2100, 2100]
    (found,) = refused(spec_of(tmp_path, WAVES, formula=formula, time="wave"))
    assert "write it as a varying intercept, (1 | wave), or add it to the estimates" in found


def test_a_census_with_the_time_is_taken_as_it_is(tmp_path):
    census = "state,wave,n\nA,2019,1\nA,2020,2\nA,2021,3\nB,2019,4\nB,2020,5\nB,2021,6\nB,2022,7\n"
    formula = "vote ~ 1 + (1 | state) + (1 | wave)"
    data = ingest(spec_of(tmp_path, WAVES, census, formula=formula, time="wave"))
    assert data.facts["times"] == 1
    assert data.facts["order"]["wave"] == ["2019", "2020", "2021", "2022"]
    assert levels(data, "wave")["census_n"].to_dict() == {"2019": 5, "2020": 7, "2021": 9, "2022": 7}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"house": ["mode"]}, "config: house.0: 'mode' is none of the variables"),
        ({"house": ["state"]}, "'state' is estimated for"),
        ({"time": "wave"}, "config: time: 'wave' is none of the variables"),
        ({"order": {"agee": ["18-29"]}}, "config: order.agee: 'agee'"),
        ({"order": {"age": ["30+", "18-30"]}}, "has the level '18-30'"),
        ({"order": {"age": ["30+"]}}, "it lacks the level '18-29'"),
        ({"missing": {"agee": "level"}}, "config: missing.agee: 'agee'"),
        ({"leave_out": "region"}, "config: leave_out: 'region' is none of the variables"),
        (
            {"contrasts": [{"variable": "age", "levels": ["30+", "18-30"]}]},
            "config: contrasts.0.levels: the census has no age '18-30'\n    -> valid names: 18-29, 30+",
        ),
        ({"house": ["sex"]}, "the census has 'sex', so it is no house variable"),
    ],
)
def test_keys_that_do_not_fit(tmp_path, changes, message):
    assert any(message in text for text in refused(spec_of(tmp_path, **changes)))


def test_order_of_the_config_and_of_numbers(tmp_path):
    data = ingest(spec_of(tmp_path, order={"age": ["30+", "18-29"]}))
    assert data.facts["order"]["age"] == ["30+", "18-29"]
    swap = {"18-29": "5-9", "30+": "10-14"}
    data = ingest(spec_of(tmp_path, recode={"age": swap}))
    assert data.facts["order"]["age"] == ["5-9", "10-14"]
    data = ingest(spec_of(tmp_path, recode={"age": {"18-29": "100", "30+": "20"}}))
    assert data.facts["order"]["age"] == ["20", "100"]
    assert levels(data, "age")["code"].to_dict() == {"20": 0, "100": 1}
