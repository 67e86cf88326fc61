"""Study tables with several effects of a study."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.families.meta.ingest import ingest
from tests.unit.meta_tables import CORRELATED, long, make, placed, refused, several


def test_several_effects_of_a_study(tmp_path):
    rows = (
        "B,1,.1,pain,,1990\nA,2,.2,pain,,1991\nB,3,.3,function,,1990\nC,9,,pain,,1992\n"
        "C,5,.5,function,,1992\nA,6,.6,mood,,1991\nD,7,.7,pain,,1993\n"
    )
    data = ingest(several(tmp_path, rows, moderators=["year"], exclude={"trial": ["D"]}))
    studies = data.tables["studies"]
    assert list(studies.columns)[:2] == ["study", "effect_id"]
    assert studies["study"].tolist() == ["B", "B", "A", "A", "C"]
    assert studies["effect_id"].tolist() == ["pain", "function", "pain", "mood", "function"]
    assert studies["yi"].tolist() == [1, 3, 2, 6, 5]
    assert studies["se"].tolist() == pytest.approx([0.1, 0.3, 0.2, 0.6, 0.5])
    assert data.tables["moderators"]["year"].tolist() == [1990, 1990, 1991, 1991, 1992]
    assert data.exclusions[["row", "id", "reason"]].to_numpy().tolist() == [
        [5, "C, pain", "no value in 's'"],
        [8, "D, pain", "left out by choice: trial is D"],
    ]
    assert (data.facts["n_studies"], data.facts["n_effects"]) == (3, 5)
    assert data.facts["extras"] == ["r", "year"]
    assert "correlation" not in studies


def test_effects_of_counts_are_named_one_by_one(tmp_path):
    rows = "A,1,10,2,10,x\nB,0,10,2,10,x\nA,3,10,2,10,y\nB,0,9,0,9,y\nB,1,9,2,9,z\n"
    header = "trial,e1,n1,e2,n2,outcome"
    data = ingest(make(tmp_path, rows, measure="OR", header=header, effect_id="outcome"))
    assert data.facts["corrected"] == ["B, x"]
    assert data.facts["no_information"] == ["B, y"]
    assert data.tables["studies"]["effect_id"].tolist() == ["x", "y", "x", "z"]


def test_bad_effects(tmp_path):
    rows = "A,1,.1,pain,,\nA,2,.1,mood,,\nB,3,.1,pain,,\nA,4,.1,pain,,\nB,3,.1,,,\n"
    empty, twice = refused(several(tmp_path, rows))
    placed(tmp_path, empty, "line 6, column 'outcome'", "the effect is empty")
    what = "effect 'pain' of study 'A' stands already in line 2"
    placed(tmp_path, twice, "line 5, column 'outcome'", what, "different names")


def test_effects_of_one_study_only(tmp_path):
    (problem,) = refused(several(tmp_path, "A,1,.1,pain,,\nA,2,.1,mood,,\nB,3,,pain,,\n"))
    assert "only 1 study can be used" in problem
    assert "line 4 (B, pain): no value in 's'" in problem


def test_one_effect_in_every_study(tmp_path):
    (problem,) = refused(several(tmp_path, "A,1,.1,pain,,\nB,2,.1,mood,,\nC,3,.1,pain,,\n"))
    placed(tmp_path, problem, "column 'outcome'", "one effect only", "leave `effect_id` away")


def test_correlations(tmp_path):
    rows = "A,1,.1,pain,0.5,\nB,2,.1,pain,-0.2,\nA,3,.1,mood,.50,\nB,4,.1,mood,-0.2,\nC,5,.1,mood,,\n"
    data = ingest(several(tmp_path, rows, **CORRELATED))
    studies = data.tables["studies"]
    assert studies["correlation"].tolist()[:4] == [0.5, 0.5, -0.2, -0.2]
    assert np.isnan(studies["correlation"][4])
    assert data.facts["extras"] == ["year"]


@pytest.mark.parametrize(
    ("rho", "line", "what", "remedy"),
    [
        (("0.5", "0.6"), 2, "study 'A' has the correlations 0.5 and 0.6", "the same correlation in all rows"),
        (("1", "1"), 2, "cannot be correlated by 1", "above -1 and below 1"),
        (("-1", "-1"), 2, "-1 is not above -1", "above -1 and below 1"),
        (("50", "50"), 2, "50 is more than 1", "above -1 and below 1"),
        (("x", "0.5"), 2, "'x' is not a number", "above -1 and below 1"),
        (("0.5", ""), 3, "no correlation with the others of study 'A'", "give the model a `correlation`"),
    ],
)
def test_bad_correlations(tmp_path, rho, line, what, remedy):
    rows = f"A,1,.1,pain,{rho[0]},\nA,2,.1,mood,{rho[1]},\nB,3,.1,pain,,\n"
    problem = refused(several(tmp_path, rows, **CORRELATED))[0]
    placed(tmp_path, problem, f"line {line}, column 'r'", what, remedy)


def test_order_of_studies_with_several_rows(tmp_path):
    rows = "A,1,.1,pain,,1990\nA,2,.1,mood,,\nB,3,.1,pain,,1991\n"
    studies = ingest(several(tmp_path, rows, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == [1990, 1990, 1991]
    (problem,) = refused(several(tmp_path, rows.replace("mood,,", "mood,,1992"), cumulative="year"))
    placed(tmp_path, problem, "line 2, column 'year'", "study 'A' has '1990' and '1992' (key `cumulative`)")
    arms = "A,drug,1,9,5,1990\nA,placebo,2,9,0,1990\nB,drug,1,9,7,\nB,placebo,2,9,0,1991\n"
    studies = ingest(long(tmp_path, arms, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == [1990, 1991]
