"""Hints at what is probably meant, and the cause of a problem before what follows from it."""

import numpy as np
import pandas as pd
import pytest
import yaml

from poolmap.config import load_config
from poolmap.config.places import places
from poolmap.errors import InputError
from poolmap.families import look
from poolmap.families.mrp.order import close_level, initials
from poolmap.spelling import close_to, nearest
from poolmap.terminal import Failure
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of
from tests.unit.test_mrp_recode import WAVES


@pytest.mark.parametrize(
    ("name", "valid", "meant"),
    [
        ("30-34", ["18-29", "30-44"], None),
        ("2024", ["2022", "2025"], None),
        ("2205", ["2022", "2025"], None),
        ("D33", ["D3"], None),
        ("q12", ["q13", "q21"], None),
        ("30–44", ["18-29", "30-44"], "30-44"),
        ("30 - 44", ["18-29", "30-44"], "30-44"),
        ("incme_2019", ["income_2018", "income_2019"], "income_2019"),
        ("weight1", ["weight", "w"], "weight"),
        ("Bristl", ["Bristol", "Bath"], "Bristol"),
    ],
)
def test_other_numbers_are_never_meant(name, valid, meant):
    assert close_to(name, valid) == meant
    assert nearest(name, valid) == (
        f"did you mean '{meant}'?" if meant else f"valid names: {', '.join(valid)}"
    )


@pytest.mark.parametrize(
    ("level", "meant"),
    [
        ("65 and over", "65+"),
        ("45 to 64", "45-64"),
        ("30-34", None),
        ("1.0", "1"),
        ("10", None),
        ("14", None),
    ],
)
def test_levels_with_the_same_numbers_are_meant(level, meant):
    assert close_level(level, ["18-29", "30-44", "45-64", "65+", "1", "1-4"]) == meant


def test_initials_are_meant_only_where_all_fit():
    assert initials(["Female", "Male"], ["f", "m"]) == {"Female": "f", "Male": "m"}
    assert initials(["True", "False"], ["f", "m"]) == {}
    assert initials(["Mar", "Ma"], ["Maryland", "Maine"]) == {}


def test_misspelt_waves_and_bands_name_no_other_one(tmp_path):
    survey = SURVEY.replace("30+", "30-34")
    census = CENSUS.replace("30+", "30-44")
    (found,) = refused(spec_of(tmp_path, survey, census))
    assert "'30-34' (2 rows) is not an 'age' of the census" in found
    assert (
        '-> valid names: 18-29, 30-44. Spell it alike in both files, or recode it: `recode: {age: {"30'
        in found
    )
    timed = {"time": "wave", "formula": "vote ~ 1 + (1 | state) + (1 | wave)"}
    contrasts = [{"variable": "wave", "levels": ["2018", "2021"]}]
    (found,) = refused(spec_of(tmp_path, WAVES, contrasts=contrasts, **timed))
    assert "has no wave '2018'\n    -> valid names: 2019, 2020, 2021" in found
    (found,) = refused(spec_of(tmp_path, WAVES, recode={"wave": {"2018": "2019"}}, **timed))
    assert "no table has the level '2018'\n    -> valid names: 2019, 2020, 2021" in found


def test_many_levels_spelt_otherwise_are_told_once(tmp_path):
    survey = SURVEY + "yes,C,30+,f,1\nyes,D,30+,f,1\n"
    census = CENSUS + "D,30+,f,40\n"
    lower = survey.replace(",A,", ",a,").replace(",B,", ",b,").replace(",C,", ",c,").replace(",D,", ",d,")
    (found,) = refused(spec_of(tmp_path, lower, census))
    assert "4 levels are written otherwise than in the census, census.csv" in found
    assert "'a' is 'A' there, 'b' is 'B' there, 'c' is 'C' there and 1 more" in found
    assert "`recode: {state: {a: A, ...}}`" in found


def test_codes_on_one_side_and_names_on_the_other_are_told_once(tmp_path):
    coded = SURVEY.replace(",A,", ",1,").replace(",B,", ",2,")
    (found,) = refused(spec_of(tmp_path, coded))
    assert "the survey has codes ('1', '2'), and the census, census.csv, has names ('A', 'B', 'C')" in found
    assert (
        "Stata and SPSS: give the values their labels" in found and '{state: {"1": ..., "2": ...}}' in found
    )
    census = CENSUS.replace("A,", "1,").replace("B,", "2,").replace("C,", "3,")
    (found,) = refused(spec_of(tmp_path, SURVEY, census))
    assert "the census, census.csv, has codes ('1', '2', '3'), and the survey has names ('A', 'B')" in found


def test_numbers_beside_bands_are_pointed_at_bands(tmp_path):
    years = iter(range(20, 90, 7))
    head, *rows = SURVEY.replace("30+", "18-29").splitlines()
    survey = "\n".join([head, *(row.replace("18-29", str(next(years))) for row in rows)])
    (found,) = refused(spec_of(tmp_path, survey))
    assert (
        "the survey has numbers ('20', '27', '34' and 3 more), and the census, census.csv, has bands" in found
    )
    assert found.endswith("`bands: {age: {lower: [18, 30]}}`")
    named = CENSUS.replace("18-29", "under 30").replace("30+", "30 and over")
    (found,) = refused(spec_of(tmp_path, survey, named))
    assert found.endswith('`bands: {age: {lower: [0, 30], labels: ["under 30", "30 and over"]}}`')
    rows = "".join(f"{state},{age},{sex},9\n" for state in "ABC" for age in range(18, 60) for sex in "fm")
    (found,) = refused(spec_of(tmp_path, SURVEY, f"state,age,sex,n\n{rows}"))
    assert (
        "the census, census.csv, has numbers ('18', '19', '20' and 39 more), and the survey has bands"
        in found
    )


def test_area_codes_are_no_bands(tmp_path):
    census = CENSUS.replace("A,", "E06000001,").replace("B,", "E06000002,").replace("C,", "E06000003,")
    survey = SURVEY.replace(",A,", ",1,").replace(",B,", ",2,") + "yes,3,30+,f,1\n"
    (found,) = refused(spec_of(tmp_path, survey, census))
    assert "has codes ('1', '2', '3')" in found


@pytest.mark.parametrize(("level", "said"), [("Unknown", "recode it to NA"), ("-9", "recode it to NA")])
def test_levels_that_stand_for_missing_values(tmp_path, level, said):
    (found,) = refused(spec_of(tmp_path, SURVEY + f"yes,{level},30+,f,1\n"))
    assert said in found and ": NA}}`" in found


def test_bands_that_a_spreadsheet_made_dates(tmp_path):
    (found,) = refused(spec_of(tmp_path, SURVEY.replace("18-29", "18-Sep")))
    assert "a spreadsheet may have taken a band for a date. Valid names: 18-29, 30+." in found


def margins(tmp_path, *texts, **changes):
    tables = {f"m{i}.csv": text for i, text in enumerate(texts, 1)}
    changes = {"formula": "vote ~ 1 + (1 | state) + (1 | age)", "files": tables} | changes
    listed = [{"data": str(tmp_path / name), "count": "n"} for name in tables]
    return [
        t.replace(f"{tmp_path}/", "")
        for t in refused(spec_of(tmp_path, census=None, margins=listed, **changes))
    ]


def by(*names, **replaced):
    frame = pd.read_csv(pd.io.common.StringIO(CENSUS)).groupby(list(names))["n"].sum().reset_index()
    text = frame.to_csv(index=False)
    for old, new in replaced.items():
        text = text.replace(f"{old},", f"{new},")
    return text


def test_misspelt_levels_of_margins_are_told_once_and_first(tmp_path):
    """Not a problem for each level and pair of margins, nor that the numbers differ, which follows."""
    good = by("state", "age"), by("state", "sex")
    (found,) = margins(tmp_path, *good, by("state", A="a", B="b", C="c"))
    assert found.startswith(
        "m3.csv, column 'state': it has 'a', 'b', 'c' and lacks 'A', 'B', 'C', unlike m1.csv"
    )
    assert found.endswith("`recode: {state: {a: A, b: B, c: C}}`")
    (found,) = margins(tmp_path, by("state", C="Cc"), *good)
    assert found.startswith("m1.csv, column 'state': it has 'Cc' and lacks 'C', unlike m2.csv")
    lost = "\n".join(line for line in by("state").splitlines() if not line.startswith("C"))
    (found,) = margins(tmp_path, *good, lost)
    assert "m3.csv, column 'state': it lacks 'C', unlike m1.csv" in found  # and not that the totals differ
    one_row = by("state", "age").replace("A,18-29", "AA,18-29")
    (found,) = margins(tmp_path, one_row, by("state", "sex"))
    assert found.startswith("m1.csv, column 'state': it has 'AA', unlike m2.csv")


def test_levels_of_margins_that_the_seed_lacks_are_told_once(tmp_path):
    texts, formula = (by("age").replace("30+", "31+"), by("sex")), "vote ~ 1 + (1 | age) + (1 | sex)"
    (found,) = margins(tmp_path, *texts, formula=formula, estimates=["age"], seed_table="survey")
    assert "m1.csv, column 'age': the survey, where the cells start from, has no 'age' '31+'" in found


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wave = "\n".join(f"{line},{w}" for line, w in zip(SURVEY.splitlines(), ["wave", *"112233"], strict=True))
    files = {"survey.csv": wave, "census.csv": CENSUS, "areas.csv": "state,income\nA,1\nB,2\nC,3\n"}
    files |= {"m1.csv": by("state", "age"), "years.csv": CENSUS.replace("age", "years")}
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def tell(**changes):
        content = {
            "family": "mrp",
            "survey": "survey.csv",
            "census": "census.csv",
            "count": "n",
            "outcome": {"column": "vote", "positive": "yes"},
            "formula": "vote ~ 1 + income + (1 | state) + (1 | age)",
            "estimates": ["state"],
            "area_predictors": [{"data": "areas.csv", "area": "state", "columns": ["income"]}],
        }
        content = {key: value for key, value in (content | changes).items() if value is not None}
        text = yaml.safe_dump({"analyses": {"a": content}}, sort_keys=False)
        (tmp_path / "c.yaml").write_text(text)
        try:
            load_config("c.yaml", look=look)
        except InputError as error:
            lines = text.splitlines()
            found = [
                (problem, int(problem.where.split("line ")[1].split(":")[0])) for problem in error.problems
            ]
            return [
                (str(problem).partition("analyses.a.")[2], lines[at - 1].strip()) for problem, at in found
            ]
        return []

    return tell


def test_typos_in_formulas_are_compared_with_all_that_can_stand_there(told):
    assert told() == []
    for formula, said in {
        "vote ~ 1 + incme + (1 | state)": "'census.csv' has no column 'incme'\n    -> did you mean 'income'?",
        "vote ~ 1 + (1 + incmoe | state)": "has no column 'incmoe'\n    -> did you mean 'income'?",
        "vote ~ 1 + (1 | stat)": "nor census has a column 'stat'\n    -> did you mean 'state'?",
        "vote ~ 1 + (1 | state:agge)": "survey nor census has a column 'agge'\n    -> did you mean 'age'?",
    }.items():
        ((found, line),) = told(formula=formula)
        assert said in found and line.startswith("formula:")
    ((found, _),) = told(
        bands={"group": {"column": "w", "lower": [0, 2]}}, formula="vote ~ 1 + (1 | state) + (1 | gruop)"
    )
    assert found.endswith("has a column 'gruop'\n    -> did you mean 'group'?")
    changes = {"census": None, "count": None, "margins": [{"data": "m1.csv", "count": "n"}]}
    ((found, _),) = told(**changes, formula="vote ~ 1 + (1 | state) + (1 | agge)")
    assert "neither survey nor margins has a column 'agge'\n    -> did you mean 'age'?" in found


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"formula": "vote ~ 1 + (1 | state) + (1 | wave)"}, "formula: "),
        ({"formula": "vote ~ 1 + C(wave) + (1 | state)"}, "formula: "),
        ({"estimates": ["state", "wave"]}, "- wave"),
        ({"contrasts": [{"variable": "wave", "levels": ["1", "2"]}]}, "- variable: wave"),
    ],
)
def test_a_variable_of_the_survey_alone_is_pointed_at_time(told, changes, line):
    ((found, at),) = told(**changes)
    assert "'census.csv' has no column 'wave'" in found
    assert "If it says when the survey was taken, write `time: wave`" in found
    assert at.startswith(line)
    if "contrasts" not in changes:
        wanted = (
            changes if "formula" in changes else changes | {"formula": "vote ~ 1 + (1 | state) + (1 | wave)"}
        )
        assert told(**wanted | {"time": "wave", "estimates": ["state", "wave"]}) == []


def test_a_time_that_is_misspelt_or_not_in_the_survey(told):
    ((found, line),) = told(time="wav", formula="vote ~ 1 + (1 | state) + (1 | wave)")[-1:]
    assert "did you mean 'wave'? Else leave it away" in found and line == "time: wav"
    found = told(time="year", estimates=["year"])
    assert found == [("time: 'survey.csv' has no column 'year'\n    -> " + VALID, "time: year")]


VALID = "valid names: vote, state, age, sex, w, wave"


def test_a_number_under_another_name_is_pointed_at_bands(told):
    ((found, _),) = told(census="years.csv")
    assert "'years.csv' has no column 'age'" in found
    assert (
        "if it holds numbers, have them cut by `bands: {age: {column: years, lower: [18, 30, 45, 65]}}`"
        in found
    )


def test_a_census_with_a_column_for_each_band(told, tmp_path):
    (tmp_path / "wide.csv").write_text("state,18-29,30+,n\nA,1,2,3\nB,3,4,7\n")
    ((found, _),) = told(census="wide.csv")
    assert (
        "its levels seem to stand side by side, a column each ('18-29', '30+'): give every cell a row"
        in found
    )


def test_measurements_taken_for_yes_and_no(tmp_path):
    rows = "".join(f"{i},A,18-29,f,1\n{i},B,30+,m,1\n" for i in range(20))
    outcome = {"column": "vote", "positive": 1}
    (found,) = refused(spec_of(tmp_path, f"vote,state,age,sex,w\n{rows}", outcome=outcome))
    assert "beside '1' there are 19 other answers" in found
    assert "these seem to be measurements or counts: write `kind: continuous` or `kind: count`" in found


BLOCK = {
    "outcome.negative": (
        {"outcome": {"column": "vote", "positive": "yes", "negative": "no"}},
        "negative: 'no'",
    ),
    "missing": ({"missing": "keep"}, "missing: keep"),
    "missing.sex": ({"missing": {"sex": "keep"}}, "sex: keep"),
    "estimates.1": ({"estimates": ["state", "state"]}, "- state"),
    "estimates.0": ({"estimates": ["state*age"]}, "- state*age"),
    "thresholds.1": ({"thresholds": [0.5, 50]}, "- 50"),
    "bands.age": ({"bands": {"age": [18, 30]}}, "age:"),
    "bands.age.lower.1": ({"bands": {"age": {"lower": [18, "30"]}}}, "- '30'"),
    "recode.sex.f": ({"recode": {"sex": {"f": None}}}, "f: null"),
    "survey.A B": ({"survey": {"A B": "survey.csv"}}, "A B: survey.csv"),
    "census": ({"census": "survey.csv", "count": "w"}, "census: survey.csv"),
    "map.geometry": ({"map": {"variable": "state", "geometry": "x.gpkg"}}, "geometry: x.gpkg"),
    "truth.data": ({"truth": {"value": "x", "data": "x.csv"}}, "data: x.csv"),
    "order.region": ({"order": {"age": ["18-29", "30+"], "region": ["N"]}}, "region:"),
    "contrasts.1.levels": (
        {"contrasts": [{"variable": "age", "levels": [a, "30+"]} for a in ("18-29", "30+")]},
        "levels:",
    ),
    "area_predictors.0.columns.1": (
        {"area_predictors": [{"data": "areas.csv", "area": "state", "columns": ["income", "x"]}]},
        "- x",
    ),
    "extend.1": ({"extend": [{"variable": "sex"}, {"variable": "sex"}]}, "- variable: sex"),
    "extend.0.formula": (
        {"extend": [{"variable": "sex", "formula": "~ 1 + log(w)"}], "formula": "vote ~ 1 + (1 | sex)"},
        "formula: ~ 1 + log(w)",
    ),
    "formula": ({"formula": "vote ~ 1 + vote + (1 | state)"}, "formula: "),
}


@pytest.mark.parametrize("key", BLOCK)
def test_each_complaint_has_its_key_and_its_line(told, key):
    changes, line = BLOCK[key]
    found = told(**changes)
    assert any(text.startswith(f"{key}: ") and at.startswith(line) for text, at in found), found
    assert not any("literal[" in text or "tuple[" in text or "dict[" in text for text, _ in found)


def test_a_value_of_several_kinds_has_one_complaint(told):
    for key in ("outcome.negative", "missing", "missing.sex", "survey.A B", "bands.age"):
        assert len(told(**BLOCK[key][0])) == 1
    assert "-> write it in brackets, [no]; or others" in told(**BLOCK["outcome.negative"][0])[0][0]
    ((found, line),) = told(survey=["survey.csv", "m1.csv"])
    assert "give each of several a name: {first: a.csv" in found and line == "survey:"
    ((found, _),) = told(missing=["sex"])
    assert found.endswith("-> write drop or level, for all or by variable: {income: level}")
    assert "'A B' cannot be a name" in told(**BLOCK["survey.A B"][0])[0][0]
    assert "-> write {lower: [18, 30]}" in told(**BLOCK["bands.age"][0])[0][0]
    assert "a number is expected (given: '30')" in told(**BLOCK["bands.age.lower.1"][0])[0][0]


def test_what_a_later_step_finds_gets_the_line_of_the_config(told, tmp_path):
    told(
        contrasts=[
            {"variable": "age", "levels": ["30+", "18-29"]},
            {"variable": "age", "levels": ["30+", "x"]},
        ]
    )
    lines = (tmp_path / "c.yaml").read_text().splitlines()
    line = max(i for i, text in enumerate(lines, 1) if "levels:" in text)
    text = (
        "1 problem was found:\n  - config: contrasts.1.levels: the census has no age 'x'\n    -> valid names"
    )
    failure = Failure("a: reading and checking the input files", text).at(places("c.yaml"))
    assert (
        f"  - c.yaml, line {line}: analyses.a.contrasts.1.levels: the census has no age 'x'\n"
        in failure.message
    )
    assert places(tmp_path / "c.yaml")("config: recode.sex", "a").startswith("c.yaml, line ")
    assert places("no.yaml")("config: recode.sex", "a") == "config: recode.sex"


def test_truth_without_the_columns_of_the_estimates(tmp_path):
    truth = {"data": str(tmp_path / "truth.csv"), "value": "share"}
    changes = {"truth": truth, "estimates": ["state", "age"], "files": {"truth.csv": "State_,share\nA,0.5\n"}}
    assert refused(spec_of(tmp_path, **changes)) == [
        "truth.csv: the file has the columns 'State_', 'share', and lacks 'state', 'age': the estimates "
        "(state, age) need a column for each of their variables\n    -> rename 'State_' to 'state'; add the "
        "columns, empty in rows that are not about them, or estimate less"
    ]


def test_numbers_of_areas_with_a_decimal_comma(tmp_path):
    source = [{"data": str(tmp_path / "areas.csv"), "area": "state", "columns": ["income"]}]
    changes = {"area_predictors": source, "formula": "vote ~ 1 + income + (1 | state)"}
    found = refused(spec_of(tmp_path, **changes, files={"areas.csv": "state;income\nA;1,5\nB;2,5\nC;3,1\n"}))
    assert found[0].startswith("areas.csv, line 2, column 'income': '1,5' is not a number")
    (found,) = refused(spec_of(tmp_path, **changes, files={"areas.csv": "state,income\nA,1\nB,1\nC,1\n"}))
    assert found.startswith("areas.csv, column 'income': the predictor has the same value for everyone")


def test_the_total_of_a_census_has_no_predictors(tmp_path):
    source = [{"data": str(tmp_path / "areas.csv"), "area": "state", "columns": ["income"]}]
    census = CENSUS + "Total,30+,f,900\n"
    files = {"areas.csv": "state,income\nA,1\nB,2\nC,3\n"}
    spec = spec_of(tmp_path, census=census, area_predictors=source, files=files)
    (found,) = refused(spec)
    assert (
        "no row for state 'Total' of the census\n    -> take the rows of a total out of the census" in found
    )


def test_weights_that_are_all_missing_are_told_in_part(tmp_path):
    rows = [line.rpartition(",")[0] for line in SURVEY.splitlines()[1:]]
    survey = "\n".join(["vote,state,age,sex,w", *(f"{row}," for row in rows * 3)])
    found = refused(spec_of(tmp_path, survey, weight="w"))
    assert len(found) == 6 and "the same in 13 more rows" in found[-1]


def test_codes_of_a_level_and_numbers_are_not_confused():
    assert close_level("2", ["1", "3"]) is None
    assert np.all([close_level(level, ["01001", "01003"]) is None for level in ("01002", "1002")])


def test_bands_that_are_not_those_of_the_census(tmp_path):
    """The bands are to be changed: recoding a band would put people into another one."""
    years = SURVEY.replace("18-29", "22").replace("30+", "47").replace(",age", ",years")
    bands = {"age": {"column": "years", "lower": [18, 45]}}
    found = refused(spec_of(tmp_path, years, bands=bands))
    assert found == [
        "survey.csv, column 'age': `bands` cuts 'age' into '18-44', '45+', and the census, census.csv, has "
        "'18-29', '30+'\n    -> cut the numbers as the census is cut: `bands: {age: {lower: [18, 30]}}`"
    ]
