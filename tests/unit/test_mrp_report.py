"""From draws to tables, words and figures, on a small survey whose draws are made up."""

import numpy as np
import pandas as pd
import pytest
import xarray

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Equation, ModelResult, ReportTable
from poolmap.families.mrp.accuracy import accuracy
from poolmap.families.mrp.estimate import estimate, predictive
from poolmap.families.mrp.figures import figures
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.methods import describe, findings, methods
from poolmap.inference.summary import summarise

STATES = [f"state {i:02d}" for i in range(12)]


@pytest.fixture
def made(tmp_path):
    """(spec, data, results): twelve states, two ages, a region that only the census knows; two states and
    most cells without respondents."""

    def make(**changes):
        rng = np.random.default_rng(4)
        census = [
            f"{state},{age},{'north' if i < 5 else 'south'},{100 + 10 * i},{i / 10}"
            for i, state in enumerate(STATES)
            for age in ("old", "young")
        ]
        survey = [
            f"{rng.choice(['yes', 'no'])},{STATES[rng.integers(10)]},{age},{rng.uniform(1, 3):.3f}"
            for age in rng.choice(["old", "young"], 80)
        ]
        truth = [f"{state},,,{0.3 + i / 50:.3f}" for i, state in enumerate(STATES)]
        (tmp_path / "census.csv").write_text("\n".join(["state,age,region,n,x", *census]))
        (tmp_path / "survey.csv").write_text("\n".join(["y,state,age,w", *survey, ",state 01,old,1"]))
        (tmp_path / "truth.csv").write_text("\n".join(["state,age,region,share", *truth]))
        spec = MrpAnalysis(
            **{
                "family": "mrp",
                "survey": str(tmp_path / "survey.csv"),
                "census": str(tmp_path / "census.csv"),
                "count": "n",
                "weight": "w",
                "outcome": {"column": "y", "positive": "yes"},
                "formula": "y ~ x + (1 | state) + (1 | age) + (1 | state:age)",
                "estimates": ["state", "state:age", "region"],
                "truth": {"data": str(tmp_path / "truth.csv"), "value": "share"},
                "interval": 0.9,
                "outcome_name": "people who say yes",
            }
            | changes
        )
        data = ingest(spec)
        seen = int(data.tables["levels"]["seen"].sum())
        posterior = xarray.Dataset(
            {
                "alpha": (("chain", "draw", "e"), rng.normal(-0.4, 0.1, (2, 100, 1))),
                "sigma": (("chain", "draw", "k"), abs(rng.normal(0, 0.5, (2, 100, 3)))),
                "effect": (("chain", "draw", "l"), rng.normal(0, 0.5, (2, 100, seen))),
                "beta": (("chain", "draw", "p"), rng.normal(0.2, 0.1, (2, 100, 1))),
            }
        )
        tables = summarise(estimate(spec, "main", data, posterior, rng), spec.interval)
        result = ModelResult("main", tables, {}, {"passed": True}, pd.DataFrame(), pd.DataFrame(), "")
        return spec, data, {"main": result}, posterior

    return make


def text_of(blocks):
    parts = []
    for block in blocks:
        if isinstance(block, ReportTable):
            parts += [block.caption, *block.frame.columns, *block.frame.astype(str).to_numpy().ravel()]
        else:
            parts.append(block.words if isinstance(block, Equation) else block)
    return "\n".join(parts)


def test_accuracy_by_hand():
    table = pd.DataFrame(
        {
            "truth": [0.5, 0.2, 0.4, np.nan],
            "raw": [0.7, 0.1, np.nan, 0.5],
            "raw_lower": [0.6, 0.0, np.nan, 0.1],
            "raw_upper": [0.8, 0.3, np.nan, 0.9],
            "mean": [0.6, 0.2, 0.5, 0.5],
            "lower": [0.4, 0.1, 0.45, 0.1],
            "upper": [0.7, 0.3, 0.6, 0.9],
        }
    )
    scores = accuracy(table).set_index(["kind", "where"])
    assert scores["rmse"].to_dict() == pytest.approx(
        {
            ("raw", "sampled"): np.sqrt((0.2**2 + 0.1**2) / 2),
            ("model", "sampled"): np.sqrt(0.1**2 / 2),
            ("model", "unsampled"): 0.1,
        }
    )
    assert scores["mae"].tolist() == pytest.approx([0.15, 0.05, 0.1])
    assert scores["covered"].tolist() == [1, 2, 0]
    assert scores["intervals"].tolist() == [2, 2, 1]
    assert scores["width"].tolist() == pytest.approx([0.25, 0.25, 0.15])


def test_accuracy_without_truth():
    assert accuracy(pd.DataFrame({"mean": [0.5], "raw": [0.5]})).empty


def test_words(made):
    spec, data, results, _ = made()
    total = results["main"].estimates["total"].iloc[0]
    said = text_of(findings(spec, data, results))
    assert f"{total['mean']:.3f} (90% interval {total['lower']:.3f} to {total['upper']:.3f})" in said
    assert "share of people who say yes" in said
    state = results["main"].estimates["state"].set_index("state")
    score = accuracy(state.reset_index()).set_index(["kind", "where"]).loc[("model", "unsampled")]
    assert f"{score['rmse']:.3f}" in said
    said = text_of(describe(spec, data))
    assert "80 usable rows" in said
    assert "no answer in 'y': 1" in said
    assert "fixed by 'state' in the census" in said
    said = text_of(methods(spec, "main", data))
    assert "intercept normal(0, 2.5); coefficients normal(0, 1)" in said
    assert "half-normal(1)" in said
    assert "Weighted: the share weighted by 'w'" in said


def test_a_variable_that_the_survey_lacks_has_no_direct_estimates(made):
    _, _, results, _ = made()
    region = results["main"].estimates["region"]
    assert region["region"].tolist() == ["north", "south"]
    assert region[["n_survey", "raw", "weighted"]].isna().all(axis=None)
    assert region["mean"].between(0, 1).all()


def test_without_weight_and_truth(made):
    spec, data, results, _ = made(weight=None, truth=None)
    assert "weighted" not in results["main"].estimates["state"]
    assert "eighted:" not in text_of(methods(spec, "main", data))
    assert "known" not in text_of(findings(spec, data, results))
    assert {figure.name for figure in figures(spec, data, results)} == {
        "share_state_main",
        "share_state_age_main",
        "share_region_main",
        "shrinkage_state_main",
        "shrinkage_state_age_main",
        "composition",
        "contributions_main",
    }


def test_figures(made):
    spec, data, results, _ = made()
    drawn = {figure.name: figure for figure in figures(spec, data, results)}
    assert {"share_state_main", "share_state_age_main", "share_region_main", "truth_state_main"} < set(drawn)
    assert "coverage_state_main" in drawn
    assert len(drawn["share_state_age_main"].figure.axes) == 2  # a panel an age
    assert len(drawn["truth_state_main"].figure.axes) == 6  # five kinds of estimate, in two lines
    labels = [label.get_text() for label in drawn["share_state_main"].figure.axes[0].get_yticklabels()]
    order = results["main"].estimates["state"].sort_values("mean", ascending=False)
    assert labels == [f"{row.state} ({row.n_survey:.0f})" for row in order.itertuples()]
    assert "2 groups are not in the sample" in drawn["share_state_main"].caption
    assert all(figure.alt and figure.caption for figure in drawn.values())


def test_several_models_are_compared(made):
    spec, data, results, _ = made()
    said = text_of(findings(spec, data, results | {"second": results["main"]}))
    assert "Models side by side" in said


def test_fractional_census_counts_have_no_predicted_interval(made, tmp_path):
    spec, _, _, posterior = made()
    path = tmp_path / "census.csv"
    path.write_text(path.read_text().replace(",100,", ",100.5,"))
    data = ingest(spec)
    (total, *_) = estimate(spec, "main", data, posterior, np.random.default_rng(1))
    assert "predicted_lower" not in total.extra
    assert "predicted_lower" not in text_of(methods(spec, "main", data))


def test_replicates_follow_the_cells(made):
    spec, data, _, posterior = made()
    check = predictive(spec, "main", data, posterior, np.random.default_rng(1))
    assert check.observed.sum() == data.tables["survey"]["y"].sum()
    assert len(set(check.labels)) == len(data.tables["cells"])
    assert (check.replicated <= data.tables["cells"]["n"].to_numpy()).all()
