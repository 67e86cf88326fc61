"""Survey and census: what is checked, what is left out, how levels are numbered."""

import numpy as np
import pandas as pd
import pytest

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.model import design_matrix

CENSUS = """state,age,n,income
A,young,100,1.0
A,old,50,1.0
B,young,200,3.0
B,old,150,3.0
C,young,500,2.0
C,old,0,2.0
"""
SURVEY = """id,vote,state,age,w,income
1,yes,A,young,1.5,1.0
2,no,A,young,2,1.0
3,yes,B,old,1,3.0
4,no,B,young,1,3.0
5,yes,B,young,1,3.0
"""


@pytest.fixture
def write(tmp_path):
    def make(survey=SURVEY, census=CENSUS, truth=None, **changes):
        (tmp_path / "survey.csv").write_text(survey)
        (tmp_path / "census.csv").write_text(census)
        content = {
            "family": "mrp",
            "survey": str(tmp_path / "survey.csv"),
            "census": str(tmp_path / "census.csv"),
            "count": "n",
            "weight": "w",
            "outcome": {"column": "vote", "positive": "yes"},
            "formula": "vote ~ 1 + income + (1 | state) + (1 | age) + (1 | state:age)",
            "estimates": ["state", "state:age"],
            "interval": 0.95,
        }
        if truth is not None:
            (tmp_path / "truth.csv").write_text(truth)
            content["truth"] = {"data": str(tmp_path / "truth.csv"), "value": "share"}
        return MrpAnalysis(**(content | changes))

    return make


def problems(spec):
    with pytest.raises(InputError) as caught:
        ingest(spec)
    return [str(problem) for problem in caught.value.problems]


def test_cells_and_levels(write):
    data = ingest(write())
    cells = data.tables["cells"].set_index(["state", "age"])
    assert cells["yes"].to_dict() == {("A", "young"): 1, ("B", "old"): 1, ("B", "young"): 1}
    assert cells["n"].to_dict() == {("A", "young"): 2, ("B", "old"): 1, ("B", "young"): 2}
    levels = data.tables["levels"].set_index(["term", "level"])
    assert not levels.loc[("state", "C"), "seen"]
    assert levels.loc[("state", "C"), "code"] == 2
    assert levels.loc["state:age", "seen"].sum() == 3
    assert levels.loc[("state", "B"), ["survey_n", "census_n"]].tolist() == [3, 350]
    assert data.facts["population"] == 1000
    assert data.facts["answer_counts"] == {"yes": 3, "no": 2}
    census = data.tables["census"]
    both = census.merge(data.tables["cells"], on=["state", "age"], suffixes=("", "_survey"))
    for k in range(3):
        assert (both[f"level_{k}"] == both[f"level_{k}_survey"]).all()


def test_predictors_are_standardised_over_the_people_of_the_census(write):
    spec = write()
    data = ingest(spec)
    people = np.repeat([1.0, 3.0, 2.0], [150, 350, 500])
    scale = data.facts["predictors"]["income"]
    assert scale["mean"] == pytest.approx(people.mean())
    assert scale["sd"] == pytest.approx(people.std())
    assert scale["constant_within"] == ["state"]
    x = design_matrix(spec, "main", data, data.tables["census"])[:, 0]
    assert np.average(x, weights=data.tables["census"]["count"]) == pytest.approx(0)


def test_unusable_rows_are_listed(write):
    survey = SURVEY + "6,,A,old,1,1.0\n7,yes,NA,old,1,1.0\n8,yes,A,.,1,1.0\n"
    data = ingest(write(survey))
    assert data.facts["respondents"] == 5
    assert data.exclusions["row"].tolist() == [7, 8, 9]
    assert data.exclusions["reason"].tolist() == ["no answer in 'vote'", "no 'state'", "no 'age'"]


def test_na_is_a_level_where_the_census_has_it(write):
    census = CENSUS.replace("C,", "NA,")
    data = ingest(write(SURVEY + "6,yes,NA,old,1,2.0\n", census))
    assert data.facts["respondents"] == 6
    assert "NA" in set(data.tables["cells"]["state"])


def test_levels_absent_from_the_census_are_listed_together(write):
    survey = SURVEY.replace("A,young", "a,young") + "6,yes,Z,middle,1,1.0\n"
    found = problems(write(survey))
    assert len(found) == 3
    assert "'a' (2 rows) is not a 'state' of the census" in found[0]
    assert "did you mean 'A'?" in found[0]
    assert "'Z' (1 row)" in found[1]
    assert "'middle' (1 row) is not an 'age'" in found[2]
    assert "valid names: young, old" in found[2]


def test_missing_columns_of_both_files_are_listed_together(write):
    found = problems(write(SURVEY.replace("state", "State"), CENSUS.replace("income", "incom")))
    assert any("survey.csv" in text and "did you mean 'State'" in text for text in found)
    assert any("census.csv" in text and "did you mean 'incom'" in text for text in found)


def test_bad_numbers_are_listed_together(write):
    census = CENSUS.replace("A,old,50,1.0", "A,old,-5,1.0").replace("B,old,150,3.0", "B,old,,x")
    found = problems(write(SURVEY.replace("A,young,2,", "A,young,-2,"), census))
    assert any("-5 is not at least 0" in text for text in found)
    assert any("no value for the cell state B, age old" in text for text in found)
    assert any("'x' is not a number" in text for text in found)
    assert any("-2 is not at least 0" in text for text in found)


def test_repeated_cells_are_added_up(write):
    census = CENSUS.replace("state,age,n,income", "state,age,sex,n,income")
    census = "\n".join(
        line if i == 0 else line.replace(",young,", ",young,f,").replace(",old,", ",old,f,")
        for i, line in enumerate(census.splitlines())
    )
    data = ingest(write(census=census + "\nA,young,m,70,1.0\n"))
    cells = data.tables["census"].set_index(["state", "age"])["count"]
    assert cells["A", "young"] == 170
    assert (data.facts["census_rows"], data.facts["census_cells"]) == (7, 6)


def test_survey_predictor_must_agree_with_the_census(write):
    found = problems(write(SURVEY.replace("B,old,1,3.0", "B,old,1,3.2")))
    assert len(found) == 1
    assert "line 4, column 'income': 3.2 is not the census's value 3 for B" in found[0]


def test_area_predictor_is_taken_from_the_census_where_the_survey_lacks_it(write):
    survey = "\n".join(line.rpartition(",")[0] for line in SURVEY.splitlines())
    assert ingest(write(survey)).tables["cells"].equals(ingest(write()).tables["cells"])


def test_individual_predictor_comes_from_the_survey(write):
    census = "state,n,years\nA,10,20\nA,30,60\nB,20,20\nB,20,60\nC,5,60\n"
    survey = "vote,state,w,years\nyes,A,1,33\nno,A,1,33\nyes,B,1,\nno,B,1,60\n"
    formula, estimates = "vote ~ years + (1 | state)", ["state"]
    data = ingest(write(survey, census, formula=formula, estimates=estimates))
    assert data.tables["cells"][["years", "n"]].to_numpy().tolist() == [[33, 2], [60, 1]]
    assert len(data.tables["census"]) == 5
    assert data.exclusions["reason"].tolist() == ["no value of 'years'"]
    survey = survey.replace("years", "year")
    assert (
        "the census does not fix its value"
        in problems(write(survey, census, formula=formula, estimates=estimates))[0]
    )


def test_rows_of_a_total_are_refused(write):
    both = "".join(
        f"{state},{age},{n},{x}\n"
        for state, n, x in (("A", 150, 1.0), ("B", 350, 3.0), ("C", 500, 2.0))
        for age in ("all",)
    )
    (message,) = problems(write(census=CENSUS + both))
    assert "column 'age': 'all' has no respondents, and as many people (1,000) as all other levels" in message
    assert "take the rows of a total out of the census" in message


def test_a_census_in_thousands_or_of_shares_is_refused(write):
    small = CENSUS
    for n in (100, 50, 200, 150, 500):
        small = small.replace(f",{n},", f",{n / 1000:g},")
    (message,) = problems(write(census=small))
    assert "column 'n': the census holds 1 people, and the survey has 5 respondents" in message
    assert "not shares, and not in thousands" in message


def test_constant_predictor_is_refused(write):
    census = CENSUS.replace("3.0", "1.0").replace("2.0", "1.0")
    assert "same value for everyone" in problems(write(SURVEY.replace("3.0", "1.0"), census))[0]


def test_positive_answer_must_occur(write):
    found = problems(write(outcome={"column": "vote", "positive": "Yes"}))
    assert "no row holds the positive answer 'Yes'; the answers are 'yes' (3), 'no' (2)" in found[0]


def test_numeric_positive_answer(write):
    survey = SURVEY.replace("yes", "1").replace("no", "0.0")
    assert ingest(write(survey, outcome={"column": "vote", "positive": 1})).tables["cells"]["yes"].sum() == 3


def test_own_column_names_are_reserved(write):
    found = problems(
        write(
            census=CENSUS.replace("age", "mean"),
            survey=SURVEY.replace("age", "mean"),
            formula="vote ~ (1 | state) + (1 | mean)",
            estimates=["state"],
        )
    )
    assert "rename the column" in found[0]


def test_truth_is_matched_by_the_columns_filled_in(write):
    truth = "state,age,share\n,,0.4\nA,,0.1\nA,old,0.2\n,old,0.3\n"
    table = ingest(write(truth=truth)).tables["truth"]
    assert table.to_dict("list") == {
        "table": ["total", "state", "state_age"],
        "state": ["", "A", "A"],
        "age": ["", "", "old"],
        "value": [0.4, 0.1, 0.2],
    }


def test_bad_truth(write):
    found = problems(write(truth="state,age,share\nD,,0.1\nA,,0.2\nA,,1.2\nA,,0.3\n"))
    assert any("'D' is not in the census" in text for text in found)
    assert any("1.2 is more than 1" in text for text in found)
    assert any("a second row about A" in text for text in found)


def test_map_needs_every_area(write, tmp_path):
    import geopandas
    from shapely.geometry import box

    path = tmp_path / "map.gpkg"
    squares = [box(0, 0, 1, 1), box(1, 0, 2, 1), box(2, 0, 3, 1)]
    geopandas.GeoDataFrame({"state": ["A", "B", "Ç"]}, geometry=squares, crs="EPSG:4326").to_file(path)
    found = problems(write(map={"geometry": str(path), "variable": "state"}))
    assert len(found) == 1
    assert "there is no polygon for state 'C' of the census" in found[0]


@pytest.mark.parametrize(
    ("estimates", "message"),
    [
        (["state", "state"], "estimates.1: 'state' stands twice"),
        (["state:state"], "estimates.0: 'state:state' has 'state' twice"),
        (["total"], "the table of 'total' would be called 'total', as that of the total is"),
        (["a b", "a-b"], "estimates.1: the table of 'a-b' would be called 'a_b', as that of 'a b' is"),
        (["state:"], "estimates.0: 'state:' lacks a variable"),
    ],
)
def test_estimates_that_cannot_be(write, estimates, message):
    with pytest.raises(ValueError, match=message):
        write(estimates=estimates)


def test_respondents_of_a_cell_that_the_census_lacks_are_counted(write):
    census = CENSUS.replace("B,old,150,3.0\n", "")
    data = ingest(write(census=census))
    assert data.facts["respondents_outside_census_cells"] == 1
    assert isinstance(data.tables["levels"], pd.DataFrame)


def test_more_than_one_other_answer_needs_a_word(write):
    """`YES` or "don't know" must not become a no in silence."""
    survey = SURVEY + "6,YES,A,young,1,1.0\n7,don't know,B,old,1,3.0\n"
    (found,) = problems(write(survey))
    assert "beside 'yes' there are 3 other answers: 'no' (2), 'YES' (1), 'don't know' (1)" in found
    assert "negative: [No]" in found


def test_answers_that_are_neither_yes_nor_no_are_left_out_and_listed(write):
    survey = SURVEY + "6,don't know,A,young,1,1.0\n"
    data = ingest(write(survey, outcome={"column": "vote", "positive": "yes", "negative": ["no"]}))
    assert data.tables["cells"]["n"].sum() == 5
    assert data.exclusions["row"].tolist() == [7]
    assert "the answer 'don't know' is neither yes nor no" in data.exclusions["reason"][0]


def test_others_count_as_no_where_the_config_says_so(write):
    survey = SURVEY + "6,don't know,A,young,1,1.0\n"
    data = ingest(write(survey, outcome={"column": "vote", "positive": "yes", "negative": "others"}))
    assert (data.tables["cells"]["n"].sum(), data.tables["cells"]["yes"].sum()) == (6, 3)
    assert data.exclusions.empty


def test_negative_answer_must_occur(write):
    found = problems(write(outcome={"column": "vote", "positive": "yes", "negative": ["No"]}))
    assert "no row holds the negative answer 'No'; the other answers are 'no' (2)" in found[0]
