"""Study tables: what is read, what is left out, and what a user is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset, write_dataset
from poolmap.errors import InputError
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.usable import used_by
from poolmap.figures import forest

COUNTS = {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"}
GOOD = "A,1,10,2,10\nB,3,20,5,21\n"


def make(tmp_path, rows, *, measure="RR", header="trial,e1,n1,e2,n2", columns=None, study="trial", **more):
    path = tmp_path / "trials.csv"
    path.write_text(f"{header}\n{rows}")
    columns = columns or (COUNTS if measure != "GEN" else {"estimate": "y", "se": "s"})
    view = {"family": "meta", "data": str(path), "study": study, "measure": measure, "columns": columns}
    prior = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}}
    return parse_analysis({**view, "models": {"normal": prior}, **more})


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
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "None", "All", "Half"]
    assert data.tables["studies"]["no_contrast"].tolist() == [
        *("", "", "no events in either arm", "events only in both arms", "")
    ]
    assert data.exclusions["id"].tolist() == ["None", "All"]
    assert data.exclusions["row"].tolist() == [4, 5]
    by = "says nothing of a ratio by itself, and is left out of models with the normal likelihood or with a"
    assert f"no events in either arm: {by} baseline of its own" in data.exclusions["reason"][0]
    what = "events only in both arms: "
    if measure == "OR":
        assert data.exclusions["reason"][1].startswith(what + by)
    else:
        assert data.exclusions["reason"][1] == (
            f"{what}has no estimate of its own, and is left out of models with the normal likelihood"
        )
    assert data.facts["no_information"] == ["None", "All"]
    assert data.facts["corrected"] == ["None", "All", "Half"]
    data = ingest(make(tmp_path, f"{GOOD}None,0,50,0,60\n", measure=measure, add={"to": "none"}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B"]
    assert "left out of all models" in data.exclusions["reason"][0]


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


@pytest.mark.parametrize("rows", ["A,1,10,2,10\n", "A,1,10,2,10\nB,,10,1,10\n", "A,9,9,9,9\nB,8,8,9,9\n"])
def test_too_few_studies(tmp_path, rows):
    (problem,) = refused(make(tmp_path, rows))
    assert "at least 2" in problem
    if "B" in rows:
        assert "line 3 (B)" in problem


def columns(*names):
    return {name: name for name in names}


def ingested(tmp_path, measure, names, rows, **more):
    header = ",".join(["trial", *names])
    return ingest(make(tmp_path, rows, measure=measure, header=header, columns=columns(*names), **more))


@pytest.mark.parametrize(
    ("measure", "names", "first", "yi", "vi"),
    [
        # metafor 3.8-1, escalc()
        ("PETO", "events_1 total_1 events_2 total_2", "4,123,11,139", -0.860383347316, 0.282836181928),
        ("IRR", "events_1 time_1 events_2 time_2", "9,413,19,398", -0.784209989507, 0.163742690058),
        ("IRD", "events_1 time_1 events_2 time_2", "9,413,19,398", -0.0259469259129, 0.000172711036348),
        ("MD", "mean_1 sd_1 n_1 mean_2 sd_2 n_2", "103,5.5,50,100,4.5,50", 3, 1.01),
        ("SMD", "mean_1 sd_1 n_1 mean_2 sd_2 n_2", "103,5.5,50,100,4.5,50", 0.592439623035, 0.0417549235347),
        (
            "ROM",
            "mean_1 sd_1 n_1 mean_2 sd_2 n_2",
            "103,5.5,50,100,4.5,50",
            0.0295588022415,
            9.75270525026e-05,
        ),
        ("PLO", "events total", "0,20", -3.7135720667, 2.0487804878),
        ("PFT", "events total", "0,20", 0.109993988698, 0.0121951219512),
        ("PR", "events total", "4,10", 0.4, 0.024),
        ("IRLN", "events time", "19,398", -3.04201302612, 0.0526315789474),
        ("IR", "events time", "19,398", 0.0477386934673, 0.000119946465998),
        ("MN", "mean sd n", "10,2,25", 10, 0.16),
        ("ZCOR", "r n", "0.3,50", 0.309519604203, 0.0212765957447),
    ],
)
def test_measures(tmp_path, measure, names, first, yi, vi):
    names = names.split()
    second = ",".join(
        {"r": "0.5", "events_1": "3", "events_2": "4", "events": "5"}.get(n, "12") for n in names
    )
    data = ingested(
        tmp_path, measure, names, f"A,{first}\nB,{second}\nC,{first.split(',')[0]}" + ",NA" * (len(names) - 1)
    )
    studies = data.tables["studies"]
    assert list(studies.columns) == ["study", *names, "yi", "vi", "se"]
    assert studies["yi"][0] == pytest.approx(yi, rel=1e-8)
    assert studies["vi"][0] == pytest.approx(vi, rel=1e-8)
    assert data.exclusions["id"].tolist() == ["C"]
    for name in names:
        assert (studies[name].dtype == np.int64) == name.startswith(("events", "total", "n"))


GEN = ("estimate", "lower", "upper")
Z95, Z90 = 1.959963984540054, 1.6448536269514722


def test_limits(tmp_path):
    rows = f"A,1,{1 - Z90 / 2},{1 + Z90 / 2}\nB,0,-0.1,0.9\nC,1,,2\n"
    data = ingested(tmp_path, "GEN", GEN, rows, confidence=0.9)
    assert data.tables["studies"]["se"].tolist() == pytest.approx([0.5, 1 / (2 * Z90)], rel=1e-9)
    assert data.facts["asymmetric"] == ["B"]
    assert data.exclusions["reason"].tolist() == ["no value in 'lower'"]


def test_ratios_are_analysed_as_logarithms(tmp_path):
    # NEJM style: HR 0.80 (95% CI 0.64 to 1.00)
    data = ingested(tmp_path, "GEN", GEN, "A,0.80,0.64,1.00\nB,1,0.5,2\n", estimate_scale="ratio")
    studies = data.tables["studies"]
    assert studies["yi"].tolist() == pytest.approx(np.log([0.8, 1.0]))
    assert studies["se"][0] == pytest.approx(np.log(1 / 0.64) / (2 * Z95), rel=1e-9)
    assert data.facts["asymmetric"] == []


def test_variance_and_p_value(tmp_path):
    data = ingested(tmp_path, "GEN", ("estimate", "variance"), "A,1,0.25\nB,2,1\n")
    assert data.tables["studies"]["se"].tolist() == [0.5, 1.0]
    data = ingested(tmp_path, "GEN", ("estimate", "p_value"), "A,-1,0.05\nB,2,0.1\n")
    studies = data.tables["studies"]
    assert studies["yi"].tolist() == [-1, 2]
    assert studies["se"].tolist() == pytest.approx([1 / Z95, 2 / Z90], rel=1e-9)


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


def test_nothing_added(tmp_path):
    rows = f"{GOOD}Zero,0,10,3,10\n"
    data = ingest(make(tmp_path, rows, measure="OR", add={"to": "none"}))
    assert data.tables["studies"]["study"].tolist() == ["A", "B"]
    assert "add.to: none" in data.exclusions["reason"][0]
    assert data.facts["corrected"] == []
    data = ingest(make(tmp_path, rows, measure="PETO"))  # defined as it is
    assert data.tables["studies"]["study"].tolist() == ["A", "B", "Zero"]
    assert data.facts["corrected"] == []
    data = ingest(make(tmp_path, rows, measure="OR", add={"value": 0.1, "to": "all"}))
    assert data.facts["corrected"] == ["A", "B", "Zero"]
    assert data.tables["studies"]["yi"][2] == pytest.approx(np.log(0.1 * 7.1 / (10.1 * 3.1)))
    assert data.tables["studies"]["events_1"].tolist() == [1, 3, 0]


def test_person_time_without_events_says_nothing_on_a_ratio(tmp_path):
    names = ("events_1", "time_1", "events_2", "time_2")
    rows = "A,1,10.5,2,10\nB,3,20,5,21\nNone,0,5,0,5\n"
    spec = make(tmp_path, rows, measure="IRR", header=",".join(["trial", *names]), columns=columns(*names))
    data = ingest(spec)
    assert data.facts["no_information"] == ["None"]
    normal = used_by(spec, "normal", data)
    assert normal.facts["totals"] == {"events_1": 4, "time_1": 30.5, "events_2": 7, "time_2": 31.0}
    assert len(ingested(tmp_path, "IRD", names, rows).tables["studies"]) == 3


LONG = {"events": "x", "total": "n", "arm": "group"}


def long(tmp_path, rows, **more):
    options = {
        "layout": "long",
        "reference": "placebo",
        "columns": LONG,
        "header": "trial,group,x,n,dose,year",
    }
    return make(tmp_path, rows, **(options | more))


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


EFFECTS = {"estimate": "y", "se": "s"}


def gen(tmp_path, header, rows, **more):
    """Estimates; further columns named in `header`."""
    return make(tmp_path, rows, measure="GEN", header=f"trial,y,s,{header}", **more)


def placed(tmp_path, problem, place, *words):
    """The message names the file and the place in it, and says all of these words."""
    assert problem.startswith(f"{tmp_path / 'trials.csv'}, {place}"), problem
    for part in words:
        assert part in problem, f"no {part!r} in: {problem}"


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


def several(tmp_path, rows, header="outcome,r,year", **more):
    return gen(tmp_path, header, rows, effect_id="outcome", **more)


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


CORRELATED = {"columns": {**EFFECTS, "correlation": "r"}}


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


def test_order_of_studies_with_several_rows(tmp_path):
    rows = "A,1,.1,pain,,1990\nA,2,.1,mood,,\nB,3,.1,pain,,1991\n"
    studies = ingest(several(tmp_path, rows, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == [1990, 1990, 1991]
    (problem,) = refused(several(tmp_path, rows.replace("mood,,", "mood,,1992"), cumulative="year"))
    placed(tmp_path, problem, "line 2, column 'year'", "study 'A' has '1990' and '1992' (key `cumulative`)")
    arms = "A,drug,1,9,5,1990\nA,placebo,2,9,0,1990\nB,drug,1,9,7,\nB,placebo,2,9,0,1991\n"
    studies = ingest(long(tmp_path, arms, cumulative="year")).tables["studies"]
    assert studies["cumulative"].tolist() == [1990, 1991]


@pytest.mark.parametrize(("studies", "few"), [(2, True), (4, True), (5, False)])
def test_few_studies(tmp_path, studies, few):
    rows = "".join(f"S{i},{i},.1\n" for i in range(studies))
    facts = ingest(make(tmp_path, rows, measure="GEN", header="trial,y,s")).facts
    assert facts["few_studies"] is few
    assert facts["n_studies"] == facts["n_effects"] == studies


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
