"""Columns beside the data: choices, moderators, judgements, the order of the cumulative analysis."""

from __future__ import annotations

import json

import numpy as np
import pytest

from poolmap.dataset import read_dataset, write_dataset
from poolmap.families.meta.ingest import ingest
from poolmap.figures import forest
from tests.unit.meta_tables import GOOD, gen, make, placed, refused

FIVE = "A,1,.1,3,x\nB,2,.1,3.0,y\nC,3,.1,4,y\nD,4,.1,03,\nE,5,.1,,x\n"


@pytest.mark.parametrize(
    ("exclude", "left_out"),
    [
        ({"dose": [3]}, {"A": "dose is 3", "B": "dose is 3.0", "D": "dose is 03"}),
        ({"dose": [3.0]}, {"A": "dose is 3", "B": "dose is 3.0", "D": "dose is 03"}),
        ({"dose": ["03"]}, {"D": "dose is 03"}),
        ({"dose": ["4.0"]}, {"C": "dose is 4"}),
        ({"arm": ["x"]}, {"A": "arm is x", "E": "arm is x"}),
        ({"dose": [4], "arm": ["x"]}, {"A": "arm is x", "C": "dose is 4", "E": "arm is x"}),
        ({"trial": ["B", "C"], "dose": [4]}, {"B": "trial is B", "C": "trial is C"}),
        ({"arm": [""]}, {"D": "arm is "}),
    ],
)
def test_left_out_by_choice(tmp_path, exclude, left_out):
    data = ingest(gen(tmp_path, "dose,arm", FIVE, exclude=exclude))
    found = dict(zip(data.exclusions["id"], data.exclusions["reason"], strict=True))
    assert found == {study: f"left out by choice: {reason}" for study, reason in left_out.items()}
    assert data.exclusions["row"].tolist() == [2 + "ABCDE".index(study) for study in left_out]
    assert data.tables["studies"]["study"].tolist() == [x for x in "ABCDE" if x not in left_out]
    assert data.facts["n_rows"] == 5
    assert data.facts["n_excluded"] == len(left_out)


def test_what_is_left_out_by_choice_is_not_looked_at(tmp_path):
    rows = "A,1,.1,ok\nB,2,.1,ok\nB,9,.1,again\n,x,-1,again\nC,,,again\n"
    data = ingest(gen(tmp_path, "note", rows, exclude={"note": ["again"]}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B"]
    assert data.exclusions["reason"].tolist() == ["left out by choice: note is again"] * 3


@pytest.mark.parametrize(
    ("value", "hint"), [("X", "did you mean 'x'?"), (5, "valid names: x, y"), ("zzz", "valid names: x, y")]
)
def test_a_choice_that_no_row_has(tmp_path, value, hint):
    (problem,) = refused(gen(tmp_path, "dose,arm", FIVE, exclude={"arm": ["x", value]}))
    placed(tmp_path, problem, "column 'arm'", f"no row has the value '{value}'", "key `exclude`", hint)


def test_everything_left_out_by_choice(tmp_path):
    (problem,) = refused(gen(tmp_path, "dose,arm", FIVE, exclude={"trial": list("ABCDE")}))
    assert "no study can be used; a meta-analysis needs at least 2" in problem
    assert "line 2 (A): left out by choice: trial is A" in problem
    (problem,) = refused(gen(tmp_path, "dose,arm", FIVE, exclude={"trial": list("ABCD")}))
    assert "only 1 study can be used" in problem


def test_moderators(tmp_path):
    rows = "A,1,.1,44,random,1\nB,2,.1,,random,2\nC,3,.1,-5.5,other,x\nD,4,.1,1e1,NA,\nE,,.1,.,other,3\n"
    spec = gen(
        tmp_path, "latitude,how (a),dose", f"{rows}F,1,.1,0,other,2\n", moderators=["latitude", "how (a)"]
    )
    data = ingest(spec)
    table = data.tables["moderators"]
    assert list(table.columns) == ["latitude", "how (a)"]
    assert table["latitude"].dtype == np.float64
    assert table["latitude"].tolist() == [44, -5.5, 0]
    assert table["how (a)"].tolist() == ["random", "other", "other"]
    assert table.index.tolist() == [0, 1, 2]
    assert data.tables["studies"]["study"].tolist() == ["A", "C", "F"]
    assert data.exclusions[["row", "id", "reason"]].to_numpy().tolist() == [
        [3, "B", "no value in 'latitude' (moderator)"],
        [5, "D", "no value in 'how (a)' (moderator)"],
        [6, "E", "no value in 'y'; no value in 'latitude' (moderator)"],
    ]
    both = ingest(gen(tmp_path, "a,b", "A,1,.1,1,1\nB,1,.1,,NA\nC,1,.1,1,1\n", moderators=["a", "b"]))
    assert both.exclusions["reason"].tolist() == ["no value in 'a', 'b' (moderators)"]
    assert data.facts["moderators"] == {
        "latitude": {"kind": "number", "lowest": -5.5, "highest": 44.0},
        "how (a)": {"kind": "category", "levels": {"other": 2, "random": 1}},
    }
    assert json.loads(json.dumps(data.facts)) == data.facts


def test_no_options_no_tables(tmp_path):
    data = ingest(make(tmp_path, GOOD))
    assert list(data.tables) == ["studies"]
    assert data.facts["moderators"] == {}


def test_a_moderator_with_one_text_is_a_category(tmp_path):
    data = ingest(gen(tmp_path, "dose", "A,1,.1,1\nB,1,.1,2\nC,1,.1,high\n", moderators=["dose"]))
    assert data.tables["moderators"]["dose"].tolist() == ["1", "2", "high"]
    levels = {"1": 1, "2": 1, "high": 1}
    expected = {"dose": {"kind": "category", "levels": levels, "not_numbers": ["high"]}}
    assert data.facts["moderators"] == expected


def test_moderators_survive_the_files(tmp_path):
    options = {"moderators": ["dose", "how"], "risk_of_bias": {"Blinding": "rob"}, "cumulative": "dose"}
    data = ingest(gen(tmp_path, "dose,how,rob", "A,1,.1,1,x,low\nB,1,.1,2,y,\nC,1,.1,3,y,h\n", **options))
    folder = tmp_path / "data"
    folder.mkdir()
    write_dataset(data, {}, folder)
    back = read_dataset(folder)
    assert set(back.tables) == {"studies", "moderators", "categories", "risk_of_bias"}
    for name, table in data.tables.items():
        assert back.tables[name].to_dict("list") == table.to_dict("list")
    assert back.tables["moderators"]["dose"].dtype == np.float64
    assert back.facts == data.facts


WORDS = [
    ("low", "low"),
    ("LOW risk of bias", "low"),
    ("L", "low"),
    ("Some  concerns", "some concerns"),
    ("moderate risk", "some concerns"),
    ("Some_concerns", "some concerns"),
    ("S", "some concerns"),
    ("High-risk", "high"),
    ("serious", "high"),
    ("Critical RoB", "high"),
    ("h", "high"),
    ("Unclear risk of bias", "unclear"),
    ("No information", "unclear"),
    ("u", "unclear"),
    ("", ""),
    ("NA", ""),
]


def test_judgements(tmp_path):
    rows = "".join(f"S{i},1,.1,{word},low\n" for i, (word, _) in enumerate(WORDS))
    data = ingest(gen(tmp_path, "d1,d2", rows, risk_of_bias={"Blinding": "d1", "Randomisation": "d2"}))
    table = data.tables["risk_of_bias"]
    assert list(table.columns) == ["Blinding", "Randomisation"]
    assert table["Blinding"].tolist() == [judgement for _, judgement in WORDS]
    assert set(table["Randomisation"]) == {"low"}
    assert set(table["Blinding"]) == {*forest.JUDGEMENTS, ""}  # what the forest plot can draw
    assert len(data.exclusions) == 0


def test_no_judgement_at_all(tmp_path):
    data = ingest(gen(tmp_path, "d1", "A,1,.1,\nB,2,.1,NA\n", risk_of_bias={"Blinding": "d1"}))
    assert data.tables["risk_of_bias"]["Blinding"].tolist() == ["", ""]


def test_bad_judgements(tmp_path):
    rows = "A,1,.1,low\nB,2,.1,probably low\nC,3,.1,1\n"
    first, second = refused(gen(tmp_path, "d1", rows, risk_of_bias={"Blinding": "d1"}))
    words = [
        "'probably low' is not a judgement of the risk of bias",
        "write low, some concerns (or moderate)",
    ]
    placed(tmp_path, first, "line 3, column 'd1'", *words, "or leave the field empty")
    placed(tmp_path, second, "line 4, column 'd1'", "'1' is not a judgement")


def test_the_letter_s_beside_letters_of_another_tool(tmp_path):
    rows = "A,1,.1,L\nB,2,.1,M\nC,3,.1,S\n"  # ROBINS-I: low, moderate, serious
    (problem,) = refused(gen(tmp_path, "d1", rows, risk_of_bias={"Confounding": "d1"}))
    placed(tmp_path, problem, "line 4, column 'd1'", "as beside 'M', serious", "as words")


def test_order_of_the_cumulative_analysis(tmp_path):
    rows = "A,1,.1,1990\nB,2,.1,0980\nC,3,,\nD,4,.1,1985.5\n"
    studies = ingest(gen(tmp_path, "year", rows, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == [1990, 980, 1985.5]
    assert studies["year"].tolist() == ["1990", "0980", "1985.5"]
    rows = rows.replace("1985.5", "1985-07")
    studies = ingest(gen(tmp_path, "year", rows, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == ["1990", "0980", "1985-07"]


def test_no_place_in_the_order(tmp_path):
    rows = "A,1,.1,1990\nB,2,.1,\nC,3,,NA\nD,4,.1,NA\n"
    first, second = refused(gen(tmp_path, "year", rows, cumulative="year"))
    placed(
        tmp_path, first, "line 3, column 'year'", "study 'B' has no place in the order", "leave `cumulative`"
    )
    placed(tmp_path, second, "line 5, column 'year'", "study 'D'")
