"""Study tables with mistakes: what a user is told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families.meta.ingest import ingest
from tests.unit.meta_tables import (
    CORRELATED,
    COUNTS,
    EFFECTS,
    GEN,
    GOOD,
    columns,
    gen,
    ingested,
    make,
    placed,
    refused,
    several,
)


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


@pytest.mark.parametrize("rows", ["A,1,10,2,10\n", "A,1,10,2,10\nB,,10,1,10\n", "A,9,9,9,9\nB,8,8,9,9\n"])
def test_too_few_studies(tmp_path, rows):
    (problem,) = refused(make(tmp_path, rows))
    assert "at least 2" in problem
    if "B" in rows:
        assert "line 3 (B)" in problem


@pytest.mark.parametrize(
    ("measure", "names", "row", "place", "what"),
    [
        (
            "GEN",
            "estimate lower upper",
            "2,0.5,1.5",
            "'lower'",
            "limits 0.5 to 1.5 do not contain the estimate 2",
        ),
        ("GEN", "estimate lower upper", "1,2,0.5", "'lower'", "2 is not below the upper limit 0.5"),
        ("GEN", "estimate lower upper", "1,1,1", "'lower'", "1 is not below the upper limit 1"),
        ("GEN", "estimate variance", "1,0", "'variance'", "0 is not above 0"),
        ("GEN", "estimate p_value", "1,0", "'p_value'", "0 is not above 0"),
        ("GEN", "estimate p_value", "1,1.5", "'p_value'", "1.5 is more than 1"),
        ("GEN", "estimate p_value", "1,1", "'p_value'", "a p-value of 1"),
        ("GEN", "estimate p_value", "0,0.5", "'p_value'", "an estimate of no effect"),
        ("IRR", "events_1 time_1 events_2 time_2", "1,0,1,5", "'time_1'", "0 is not above 0"),
        ("MD", "mean_1 sd_1 n_1 mean_2 sd_2 n_2", "1,0,9,1,1,9", "'sd_1'", "0 is not above 0"),
        ("SMD", "mean_1 sd_1 n_1 mean_2 sd_2 n_2", "1,1,9,1,1,1", "'n_2'", "1 is not at least 2"),
        ("ROM", "mean_1 sd_1 n_1 mean_2 sd_2 n_2", "1,1,9,-1,1,9", "'mean_2'", "-1 is not above 0"),
        ("PLO", "events total", "5,4", "'events'", "5 events among 4 people"),
        ("PR", "events total", "0,0", "'total'", "the group has no people"),
        ("ZCOR", "r n", "1,9", "'r'", "infinite"),
        ("ZCOR", "r n", "1.2,9", "'r'", "1.2 is more than 1"),
        ("ZCOR", "r n", "0.2,3", "'n'", "3 is not at least 4"),
    ],
)
def test_bad_values(tmp_path, measure, names, row, place, what):
    with pytest.raises(InputError) as caught:
        ingested(tmp_path, measure, names.split(), f"A,{row}\n")
    (problem,) = caught.value.problems
    assert f"line 2, column {place}" in str(problem)
    assert what in str(problem)


def test_ratios_are_above_0(tmp_path):
    with pytest.raises(InputError) as caught:
        ingested(tmp_path, "GEN", GEN, "A,-0.2,-0.5,0.1\n", estimate_scale="ratio")
    problems = [str(problem) for problem in caught.value.problems]
    assert len(problems) == 2
    assert "a ratio above 0" in problems[0]


@pytest.mark.parametrize(
    ("measure", "names", "rows"),
    [
        ("OR", "events_1 total_1 events_2 total_2", "A,0,9,0,9\nB,0,9,0,8\n"),
        ("RD", "events_1 total_1 events_2 total_2", "A,0,9,0,9\nB,0,9,0,8\n"),
        ("IRR", "events_1 time_1 events_2 time_2", "A,0,9,0,9\nB,0,9,0,8\n"),
        ("PLO", "events total", "A,0,9\nB,0,9\n"),
    ],
)
def test_all_events_zero(tmp_path, measure, names, rows):
    with pytest.raises(InputError) as caught:
        ingested(tmp_path, measure, names.split(), rows)
    (problem,) = caught.value.problems
    assert "all events are zero: none of the 2 studies" in str(problem)
    assert "'events" in str(problem)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"measure": "IRR"}, "exactly the columns events_1, events_2, time_1, time_2"),
        ({"measure": "GEN", "columns": {"estimate": "y"}}, "se; variance; lower with upper; p_value"),
        ({"measure": "GEN", "columns": columns("estimate", "se", "p_value")}, "takes estimate and one of"),
        ({"layout": "long"}, "give both or neither"),
        ({"reference": "x"}, "give both or neither"),
        ({"measure": "ZCOR", "columns": columns("r", "n"), "layout": "long"}, "no two arms"),
        ({"measure": "PFT", "columns": columns("events", "total"), "add": {}}, "no cells of counts"),
        ({"add": {"to": "none"}, "models": {"m": {"likelihood": "binomial"}}}, "leave `add` away"),
    ],
)
def test_bad_config(change, words):
    view = {"family": "meta", "data": "x.csv", "study": "s", "measure": "RR", "columns": COUNTS}
    with pytest.raises(ValidationError) as caught:
        parse_analysis(view | change)
    assert words in str(caught.value)


def test_columns_of_the_options_must_exist(tmp_path):
    options = {
        "moderators": ["latitud"],
        "exclude": {"arms": ["x"]},
        "risk_of_bias": {"Blinding": "blind"},
        "cumulative": "years",
        "effect_id": "outcom",
        "columns": {**EFFECTS, "correlation": "rr"},
    }
    problems = refused(gen(tmp_path, "latitude,arm,blinding,year,outcome,r", "A,1,.1,,,,,,\n", **options))
    for key, column, near in (
        ("effect_id", "outcom", "outcome"),
        ("cumulative", "years", "year"),
        ("columns.correlation", "rr", ""),
        ("moderators", "latitud", "latitude"),
        ("exclude.arms", "arms", "arm"),
        ("risk_of_bias.Blinding", "blind", "blinding"),
    ):
        (problem,) = (p for p in problems if f"asked for by '{key}'" in p)
        assert f"no column '{column}'" in problem
        assert near in problem
    assert len(problems) == 6


def test_problems_of_all_options_at_once(tmp_path):
    rows = "A,1,0,pain,low,2\nA,2,.1,pain,low,.5\nB,x,.1,pain,lo,.5\nB,2,.1,mood,,.4\n"
    options = {"risk_of_bias": {"Blinding": "rob"}, "exclude": {"trial": ["Z"]}, **CORRELATED}
    problems = "\n".join(refused(several(tmp_path, rows, header="outcome,rob,r", **options)))
    for words in (
        "no row has the value 'Z'",
        "line 2, column 's': 0 is not above 0",
        "line 4, column 'y': 'x' is not a number",
        "line 3, column 'outcome'",
        "line 4, column 'rob': 'lo'",
        "line 2, column 'r': 2 is more than 1",
        "study 'B' has the correlations 0.5 and 0.4",
    ):
        assert words in problems


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("10%", "without the percent sign (0.1 for 10%, where it is a share)"),
        ('"0,5"', "with a decimal point, not a comma"),
        ("<0.1", "an exact value, not a bound"),
        ("\u22121.5", "with the minus sign of the keyboard (-), not a dash"),
        ("1.2 mg", "without units, signs or remarks behind the number"),
        ("0.3*", "without units, signs or remarks behind the number"),
        ("1.2 (0.4)", "without units, signs or remarks behind the number"),
    ],
)
def test_numbers_as_papers_print_them(tmp_path, value, hint):
    spec = make(tmp_path, f"A,{value},1\nB,2,1\nC,1,1\n", measure="GEN", header="trial,y,s")
    (problem,) = refused(spec)
    placed(
        tmp_path,
        problem,
        "line 2, column 'y'",
        "is not a number",
        f"write the study's effect estimate: {hint}",
    )


@pytest.mark.parametrize(
    ("value", "what", "remedy"),
    [
        ("10%", "'10%' is not a number", "how many, not a percentage"),
        ('"1,000"', "'1,000' is not a number", "without separators between thousands"),
        ("1 000", "'1 000' is not a number", "without separators between thousands"),
        ("1.000", "'1.000' may be a whole number with decimals, or with a point", "write it without a point"),
        ("1.500", "'1.500' may be a whole number with decimals, or with a point", "write it without a point"),
    ],
)
def test_counts_as_papers_print_them(tmp_path, value, what, remedy):
    (problem,) = refused(make(tmp_path, f"{GOOD}C,1,{value},1,10\n"))
    placed(tmp_path, problem, "line 4, column 'n1'", what, remedy)


def test_repeated_studies(tmp_path):
    rows = "".join(f"A,{i},50,{i + 1},60\n" for i in range(1, 10))
    problems = refused(make(tmp_path, rows))
    assert len(problems) == 6
    words = ("'A' stands already in line 2", "`effect_id: outcome`", "`layout: long`")
    placed(tmp_path, problems[0], "line 3, column 'trial'", *words)
    placed(tmp_path, problems[-1], "column 'trial'", "the same in 3 more rows")
    (problem,) = refused(gen(tmp_path, "x", "A,1,1,\nA,2,1,\n"))
    assert "`effect_id: outcome`" in problem
    assert "layout" not in problem


@pytest.mark.parametrize("name", ["Total", "TOTAL:", "Subtotal", "Overall", "All studies"])
def test_a_row_of_totals_is_no_study(tmp_path, name):
    (problem,) = refused(make(tmp_path, f"{GOOD}{name},4,30,7,31\n"))
    placed(
        tmp_path,
        problem,
        "line 4, column 'trial'",
        f"'{name}' is no study: its counts are the sums of those of the others",
        f"`exclude: {{trial: ['{name}']}}`",
    )
    data = ingest(make(tmp_path, f"{GOOD}{name},4,30,7,31\n", exclude={"trial": [name]}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B"]


def test_what_is_no_row_of_totals(tmp_path):
    for row in ("Total,4,30,7,32", "Tot 2001,4,30,7,31"):  # other counts; another name
        assert len(ingest(make(tmp_path, f"{GOOD}{row}\n")).tables["studies"]) == 3


def test_standard_errors_rounded_to_0(tmp_path):
    (problem,) = refused(make(tmp_path, "A,1,0.00\nB,2,1\n", measure="GEN", header="trial,y,s"))
    placed(tmp_path, problem, "line 2, column 's'", "0.00 is not above 0", "(not rounded to 0)")


def test_a_remedy_that_several_problems_share_is_told_once(tmp_path):
    spec = make(tmp_path, "A,1,0\nB,2,0\nC,x,1\n", measure="GEN", header="trial,y,s")
    with pytest.raises(InputError) as caught:
        ingest(spec)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 problems were found:"
    assert ["->" in line for line in lines[1:]] == [False, True, False, False, True]


def test_numbers_beyond_what_can_be_computed(tmp_path):
    rows = "A,1,1\nB,2,1\nHuge,1,1e300\nTiny,1,1e-300\n"
    data = ingest(make(tmp_path, rows, measure="GEN", header="trial,y,s"))
    assert data.exclusions["id"].tolist() == ["Huge", "Tiny"]
    assert set(data.exclusions["reason"]) == {
        "its estimate or variance is too large or too small to be computed with"
    }
