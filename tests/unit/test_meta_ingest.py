"""Study tables: what is read, what is left out, and what a user is told."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families.meta.ingest import ingest

COUNTS = {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"}
GOOD = "A,1,10,2,10\nB,3,20,5,21\n"


def make(tmp_path, rows, *, measure="RR", header="trial,e1,n1,e2,n2", columns=None, study="trial"):
    path = tmp_path / "trials.csv"
    path.write_text(f"{header}\n{rows}")
    columns = columns or (COUNTS if measure != "GEN" else {"estimate": "y", "se": "s"})
    view = {"family": "meta", "data": str(path), "study": study, "measure": measure, "columns": columns}
    prior = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}}
    return parse_analysis({**view, "models": {"normal": prior}})


def refused(spec):
    with pytest.raises(InputError) as error:
        ingest(spec)
    return [str(problem) for problem in error.value.problems]


def test_counts(tmp_path):
    rows = "Ä 01,4,123,11,139,1948,x\nB,0,116,3,117,1950,\n"
    data = ingest(make(tmp_path, rows, header="trial,e1,n1,e2,n2,year,yi"))
    studies = data.tables["studies"]
    assert list(studies.columns) == [
        *("study", "events_1", "total_1", "events_2", "total_2", "yi", "vi", "se", "year", "yi_in_file")
    ]
    assert studies["study"].tolist() == ["Ä 01", "B"]
    assert studies["events_1"].dtype == np.int64
    assert studies["events_1"].tolist() == [4, 0]  # raw, though B's estimate is corrected
    assert studies["yi"].tolist() == pytest.approx([-0.88931133392, -1.93739945939], rel=1e-8)
    assert studies["se"].tolist() == pytest.approx(np.sqrt(studies["vi"]).tolist())
    assert studies["year"].tolist() == ["1948", "1950"]
    assert data.facts["corrected"] == ["B"]
    assert data.facts["extras"] == ["year", "yi_in_file"]
    assert data.facts["totals"] == {"events_1": 4, "total_1": 239, "events_2": 14, "total_2": 256}
    assert len(data.exclusions) == 0


def test_estimates(tmp_path):
    data = ingest(make(tmp_path, "A,0.5,0.1\nB,NA,0.2\nC,-1,.3\nD,1,\n", measure="GEN", header="trial,y,s"))
    studies = data.tables["studies"]
    assert studies["yi"].tolist() == [0.5, -1.0]
    assert studies["vi"].tolist() == pytest.approx([0.01, 0.09])
    assert data.exclusions[["row", "id"]].to_numpy().tolist() == [[3, "B"], [5, "D"]]
    assert data.exclusions["reason"].tolist() == ["no value in 'y'", "no value in 's'"]


@pytest.mark.parametrize("measure", ["RR", "OR"])
def test_no_information_on_a_ratio(tmp_path, measure):
    data = ingest(
        make(tmp_path, f"{GOOD}None,0,50,0,60\nAll,50,50,60,60\nHalf,0,50,60,60\n", measure=measure)
    )
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "Half"]
    assert data.exclusions["id"].tolist() == ["None", "All"]
    assert data.exclusions["row"].tolist() == [4, 5]
    assert "no events in either arm" in data.exclusions["reason"][0]
    assert "events only" in data.exclusions["reason"][1]
    assert data.facts["no_information"] == ["None", "All"]
    assert data.facts["corrected"] == ["Half"]


def test_no_events_is_information_on_a_difference(tmp_path):
    data = ingest(make(tmp_path, f"{GOOD}None,0,50,0,60\n", measure="RD"))
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "None"]
    assert data.tables["studies"]["yi"][2] == pytest.approx(0.00160720025715, rel=1e-8)
    assert data.facts["corrected"] == ["None"]
    assert data.facts["no_information"] == []


def test_missing_counts_are_excluded_with_line_and_reason(tmp_path):
    data = ingest(make(tmp_path, f"{GOOD}C,NA,10,1,\n\nD,1,9,2,10\n"))
    assert data.exclusions.to_numpy().tolist() == [
        [str(tmp_path / "trials.csv"), 4, "C", "no value in 'e1', 'n2'"]
    ]
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "D"]


@pytest.mark.parametrize(
    ("row", "place", "what", "remedy"),
    [
        ("C,11,10,1,10", "line 4, column 'e1'", "11 events among 10 people", "not the non-cases"),
        ("C,1,10,11,10", "line 4, column 'e2'", "11 events among 10 people", "not the non-cases"),
        ("C,-1,10,1,10", "line 4, column 'e1'", "-1 is not at least 0", "whole number"),
        ("C,one,10,1,10", "line 4, column 'e1'", "'one' is not a number", "whole number"),
        ("C,1,10.5,1,10", "line 4, column 'n1'", "10.5 is not a whole number", "whole number"),
        ("C,0,0,1,10", "line 4, column 'n1'", "no people", "leave the study out"),
        ("C,1,10,1,3000000000", "line 4, column 'n2'", "too large", ""),
        ("A,1,10,1,10", "line 4, column 'trial'", "stands already in line 2", "merge"),
        (",1,10,1,10", "line 4, column 'trial'", "study is empty", "give every row a study"),
    ],
)
def test_bad_counts(tmp_path, row, place, what, remedy):
    (problem,) = refused(make(tmp_path, f"{GOOD}{row}\n"))
    for part in (str(tmp_path / "trials.csv"), place, what, remedy):
        assert part in problem


@pytest.mark.parametrize(("se", "what"), [("0", "not above 0"), ("-1", "not above 0"), ("x", "not a number")])
def test_bad_standard_errors(tmp_path, se, what):
    spec = make(tmp_path, f"A,1,1\nB,2,1\nC,3,{se}\n", measure="GEN", header="trial,y,s")
    (problem,) = refused(spec)
    assert "line 4, column 's'" in problem
    assert what in problem


def test_all_problems_at_once(tmp_path):
    problems = refused(make(tmp_path, "A,5,4,1,10\nA,1,x,1,10\nB,1,10,-2,0\n"))
    assert len(problems) == 5


def test_missing_column_names_the_nearest(tmp_path):
    spec = make(tmp_path, GOOD, study="trail", columns={**COUNTS, "total_2": "m2"})
    problems = refused(spec)
    assert len(problems) == 2
    assert "did you mean 'trial'?" in problems[0]
    assert "no column 'm2'" in problems[1]


@pytest.mark.parametrize("rows", ["A,1,10,2,10\n", "A,1,10,2,10\nB,,10,1,10\n", "A,0,9,0,9\nB,0,9,0,8\n"])
def test_too_few_studies(tmp_path, rows):
    (problem,) = refused(make(tmp_path, rows))
    assert "at least 2" in problem
    if "B" in rows:
        assert "line 3 (B)" in problem
