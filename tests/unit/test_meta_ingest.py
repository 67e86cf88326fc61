"""Study tables: what is read, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.usable import used_by
from tests.unit.meta_tables import GEN, GOOD, columns, ingested, make


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


@pytest.mark.parametrize(("studies", "few"), [(2, True), (4, True), (5, False)])
def test_few_studies(tmp_path, studies, few):
    rows = "".join(f"S{i},{i},.1\n" for i in range(studies))
    facts = ingest(make(tmp_path, rows, measure="GEN", header="trial,y,s")).facts
    assert facts["few_studies"] is few
    assert facts["n_studies"] == facts["n_effects"] == studies
