"""Classical results beside the Bayesian ones: the right numbers reach the table of the report."""

from pathlib import Path

import pandas as pd
import pytest

from poolmap.config.load import parse_analysis
from poolmap.contracts import ModelResult
from poolmap.families.meta.classical_report import classical_blocks
from poolmap.families.meta.companions import companions
from poolmap.families.meta.ingest import ingest

ROOT = Path(__file__).resolve().parents[2]
BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "columns": {
        "events_1": "bcg_cases",
        "total_1": "bcg_total",
        "events_2": "control_cases",
        "total_2": "control_total",
    },
}


def of(measure):
    spec = parse_analysis({**BCG, "measure": measure, "title": "BCG"})
    found = {c.name: c.frame for c in companions(spec, "normal", ingest(spec), {})}
    name = {"RR": "rr", "OR": "or", "RD": "rd"}[measure]
    rows = [
        (name, 0.5, 0.09, 0.35, 0.72),
        (f"{name}_new", 0.5, 0.5, 0.15, 1.8),
        ("tau", 0.56, 0.16, 0.3, 0.9),
        ("i2", 92.0, 4.0, 81.0, 97.0),
    ]
    pooled = pd.DataFrame(rows, columns=["quantity", "median", "sd", "lower", "upper"])
    result = ModelResult("normal", {"pooled": pooled}, {}, {"passed": True}, pooled, pooled, "", found)
    return spec, found, result


def test_numbers_are_those_of_metafor():
    """metafor 3.8-1 on dat.bcg, log RR: REML mu -0.7145, tau2 0.3132, Q 152.2330; MH log OR -0.4734."""
    _, found, _ = of("RR")
    reml = found["classical"].set_index("method").loc["REML"]
    assert reml["mu"] == pytest.approx(-0.7145, abs=5e-5)
    assert reml["tau2"] == pytest.approx(0.3132, abs=5e-5)
    assert reml["q"] == pytest.approx(152.2330, abs=5e-5)
    common = found["mantel_haenszel"].set_index(["method", "measure"])
    assert common.loc[("MH", "OR"), "estimate"] == pytest.approx(-0.4734, abs=5e-5)
    assert found["leave_one_out"]["study"].tolist()[0] == "Aronson 1948"
    assert len(found["leave_one_out"]) == 13


def test_the_report_shows_them_on_the_scale_of_the_ratio():
    spec, _, result = of("RR")
    pooling, common, tests = classical_blocks(spec, result)
    table = pooling.frame.set_index("Method")
    assert table.loc["Bayesian, model normal", "Pooled RR"] == "0.50 (0.35 to 0.72)"
    assert table.loc["restricted maximum likelihood", "Pooled RR"] == "0.49 (0.34 to 0.70)"
    assert table.loc["common effect (inverse variance)", "HKSJ interval"] == ""
    assert "Q = 152.2 on 12 degrees of freedom, p < 0.001" in pooling.caption
    assert common.frame["Common effect"][0] == "0.62 (0.57 to 0.68)"
    assert "Egger's test: t = -1.40 on 11 degrees of freedom, p = 0.189" in tests
    assert pooling.model == "normal"


def test_peters_test_is_for_odds_ratios_only():
    assert of("OR")[1]["small_study_tests"]["test"].tolist() == ["egger", "peters"]
    assert of("RD")[1]["small_study_tests"]["test"].tolist() == ["egger"]


def test_two_studies_have_no_small_study_test(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("study,bcg_cases,bcg_total,control_cases,control_total\nA,1,10,2,10\nB,3,30,6,30\n")
    spec = parse_analysis({**BCG, "measure": "OR", "data": str(path)})
    names = {c.name for c in companions(spec, "normal", ingest(spec), {})}
    assert names == {"classical", "mantel_haenszel", "leave_one_out"}
