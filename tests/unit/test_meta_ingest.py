"""Study tables: what is read, what is left out, and what a user is told."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families.meta.ingest import ingest

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
    data = ingested(tmp_path, "IRR", names, rows)
    assert data.facts["no_information"] == ["None"]
    assert data.facts["totals"] == {"events_1": 4, "time_1": 30.5, "events_2": 7, "time_2": 31.0}
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
