"""Study tables with one row an arm."""

from __future__ import annotations

import pytest

from poolmap.families.meta.ingest import ingest
from tests.unit.meta_tables import long, make, placed, refused


def test_one_row_an_arm(tmp_path):
    rows = (
        "01,placebo,11,139,0,1948\n01,drug,4,123,5,1948\n02,drug,1,10,7,1950\n02,placebo,2,10,0,1950\n"
        "03,drug,,10,7,1951\n03,placebo,2,10,0,1951\n"
    )
    data = ingest(long(tmp_path, rows))
    studies = data.tables["studies"]
    wide = ingest(make(tmp_path, "01,4,123,11,139\n02,1,10,2,10\n")).tables["studies"]
    assert studies[list(wide.columns)].equals(wide)
    assert studies["arm_1"].tolist() == ["drug", "drug"]
    assert studies[["dose_1", "dose_2", "year"]].to_numpy().tolist() == [
        ["5", "0", "1948"],
        ["7", "0", "1950"],
    ]
    assert data.facts["extras"] == ["dose_1", "dose_2", "year"]
    assert data.exclusions[["row", "id"]].to_numpy().tolist() == [[6, "03"]]
    assert data.exclusions["reason"][0] == "no value in 'x' (arm 'drug')"


@pytest.mark.parametrize(
    ("rows", "study", "arms"),
    [
        ("C,drug,1,10,,\n", "C", "only 'drug'"),
        ("C,placebo,1,10,,\n", "C", "only 'placebo'"),
        ("C,drug,1,10,,\nC,drug,1,10,,\n", "C", "'drug', 'drug'"),
        ("C,placebo,1,10,,\nC,placebo,1,10,,\n", "C", "'placebo', 'placebo'"),
        ("C,placebo,1,10,,\nC,drug,1,10,,\nC,other,1,10,,\n", "C", "'placebo', 'drug', 'other'"),
    ],
)
def test_arms_that_form_no_comparison(tmp_path, rows, study, arms):
    (problem,) = refused(long(tmp_path, "A,drug,1,9,,\nA,placebo,2,9,,\n" + rows))
    assert "line 4, column 'group'" in problem
    assert f"the arms of study '{study}' do not form a comparison: {arms}" in problem
    assert "one of the arm 'placebo'" in problem


def test_reference_that_is_no_arm(tmp_path):
    (problem,) = refused(long(tmp_path, "A,drug,1,9,,\nA,Placebo,2,9,,\n"))
    assert "no row is of the arm 'placebo'" in problem
    assert "did you mean 'Placebo'?" in problem


def test_long_table_checks_each_arm(tmp_path):
    problems = refused(long(tmp_path, "A,drug,10,9,,\nA,placebo,2,0,,\nB,,1,9,,\nB,placebo,1,9,,\n"))
    assert len(problems) == 3
    assert "line 2, column 'x'" in "".join(problems)
    assert "line 3, column 'n'" in "".join(problems)
    assert "line 4, column 'group': the arm is empty" in "".join(problems)


THREE_PAIRS = (
    "A,drug,1,9,5,1990\nA,placebo,2,9,0,1990\nB,drug,1,9,7,1991\nB,placebo,2,9,0,1991\n"
    "C,placebo,2,9,0,1992\nC,drug,1,9,9,1992\n"
)


def test_choices_in_a_table_of_arms(tmp_path):
    data = ingest(long(tmp_path, THREE_PAIRS, exclude={"year": [1992]}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B"]
    assert data.exclusions[["row", "id", "reason"]].to_numpy().tolist() == [
        [6, "C", "left out by choice: year is 1992"]
    ]
    (problem,) = refused(long(tmp_path, THREE_PAIRS, exclude={"dose": [9]}))
    placed(tmp_path, problem, "line 6, column 'dose'", "study 'C' have '0' and '9'", "the same value")


def test_a_third_arm_left_out_by_choice(tmp_path):
    rows = f"{THREE_PAIRS}C,other,3,9,1,1992\n"
    (problem,) = refused(long(tmp_path, rows))
    placed(
        tmp_path, problem, "line 6, column 'group'", "do not form a comparison", "`exclude` leaves out an arm"
    )
    data = ingest(long(tmp_path, rows, exclude={"group": ["other"]}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "C"]
    assert data.exclusions["reason"].tolist() == ["this arm left out by choice: group is other"]


def test_moderators_of_a_table_of_arms(tmp_path):
    rows = "A,drug,1,9,x,1990\nA,placebo,2,9,x,1990.0\nB,placebo,2,9,,\nB,drug,1,9,y,1991\n"
    more = "C,drug,1,9,,1992\nC,placebo,1,9,,1992\n"
    data = ingest(long(tmp_path, rows + more, moderators=["dose", "year"]))
    assert data.tables["moderators"].to_dict("list") == {"dose": ["x", "y"], "year": [1990.0, 1991.0]}
    assert data.exclusions[["row", "id", "reason"]].to_numpy().tolist() == [
        [6, "C", "no value in 'dose' (moderator)"]
    ]
    wrong = "C,drug,1,9,x,1992\nC,placebo,1,9,z,1992\n"
    (problem,) = refused(long(tmp_path, rows + wrong, moderators=["dose", "year"]))
    placed(
        tmp_path,
        problem,
        "line 6, column 'dose'",
        "study 'C' has 'x' and 'z' (key `moderators`)",
        "give all its rows the same value",
    )


def test_judgements_of_a_table_of_arms(tmp_path):
    options = {"risk_of_bias": {"Blinding": "dose"}}
    rows = "A,drug,1,9,low,\nA,placebo,2,9,,\nB,placebo,2,9,h,\nB,drug,1,9,High risk,\n"
    data = ingest(long(tmp_path, rows, **options))
    assert data.tables["risk_of_bias"]["Blinding"].tolist() == ["low", "high"]
    (problem,) = refused(long(tmp_path, rows.replace("2,9,h", "2,9,low"), **options))
    placed(
        tmp_path,
        problem,
        "line 4, column 'dose'",
        "study 'B' has 'low' and 'High risk' (key `risk_of_bias.Blinding`",
    )
