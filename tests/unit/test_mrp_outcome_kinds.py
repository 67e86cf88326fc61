"""Outcomes of every kind, several formulas, factors with coefficients: what the model is given."""

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.ingest import ingest
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of


def asked(values, column="score", extra=""):
    """A survey whose answers are the values, three states, two ages and sexes."""
    rows = [f"{column},state,age,sex{',t' if extra else ''}"]
    for i, value in enumerate(values):
        more = f",{extra[i]}" if extra else ""
        rows.append(f"{value},{'ABB'[i % 3]},{('18-29', '30+')[i % 2]},{'fm'[i // 2 % 2]}{more}")
    return "\n".join(rows) + "\n"


def kind_spec(tmp_path, survey, kind, **outcome):
    column = survey.partition(",")[0]
    truth = outcome.pop("truth", {})
    formula = outcome.pop("formula", f"{column} ~ 1 + (1 | state) + (1 | age)")
    return spec_of(
        tmp_path, survey, outcome={"column": column, "kind": kind, **outcome}, formula=formula, **truth
    )


def test_continuous(tmp_path):
    values = [2.5, 3.5, -1, 4, 4.25, 0, 7]
    data = ingest(kind_spec(tmp_path, asked([*values, ""]), "continuous"))
    scale = data.facts["outcome_scale"]
    assert (scale["mean"], scale["sd"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    survey, cells = data.tables["survey"], data.tables["cells"]
    assert survey["y"].tolist() == values
    for _, cell in cells.iterrows():
        own = survey.loc[(survey["state"] == cell["state"]) & (survey["age"] == cell["age"]), "y"]
        assert cell["n"] == len(own)
        assert cell["mean"] == pytest.approx(own.mean())
        assert cell["within_ss"] == pytest.approx(((own - own.mean()) ** 2).sum())
    assert data.exclusions["reason"].tolist() == ["no answer in 'score'"]
    assert data.facts["kind"] == "continuous"


def test_count_with_exposure(tmp_path):
    survey = asked([0, 2, 5, 0, 3, 2, 2], "visits", [1, 2, 0.5, 1, 1, 2, ""])
    data = ingest(kind_spec(tmp_path, survey, "count", exposure="t"))
    cells = data.tables["cells"].set_index(["state", "age"])
    assert cells.loc[("A", "18-29"), ["n", "total", "exposure"]].tolist() == [1, 0, 1]
    assert cells.loc[("B", "30+"), ["n", "total", "exposure"]].tolist() == [2, 4, 4]
    rows = data.tables["rows"]
    assert rows["n"].sum() == 6
    same = rows[(rows["y"] == 2) & (rows["exposure"] == 2)]
    assert same["n"].tolist() == [2]
    assert data.tables["cells"].loc[same["cell"].item(), "state"] == "B"
    assert data.exclusions["reason"].tolist() == ["no 't'"]
    alone = ingest(kind_spec(tmp_path, survey, "count"))
    assert alone.tables["cells"]["exposure"].tolist() == alone.tables["cells"]["n"].tolist()


def test_ordered(tmp_path):
    survey = asked(["good", "bad", "fair", "fair", "good", "do not know", ""], "health")
    data = ingest(kind_spec(tmp_path, survey, "ordered", levels=["bad", "fair", "good"]))
    assert data.facts["answers"] == ["bad", "fair", "good"]
    assert data.facts["answer_counts"] == {"good": 2, "fair": 2, "bad": 1}
    assert data.tables["survey"]["y"].tolist() == [2, 0, 1, 1, 2]
    cells = data.tables["cells"]
    assert cells[["n_0", "n_1", "n_2"]].sum().tolist() == [1, 2, 2]
    assert (cells[["n_0", "n_1", "n_2"]].sum(axis=1) == cells["n"]).all()
    assert data.exclusions["reason"].tolist() == [
        "the answer 'do not know' is none of 'outcome: levels'",
        "no answer in 'health'",
    ]


def test_categorical_takes_all_answers_by_default(tmp_path):
    survey = asked(["red", "green", "blue", "red", "red"], "party")
    data = ingest(kind_spec(tmp_path, survey, "categorical"))
    assert data.facts["answers"] == ["blue", "green", "red"]
    assert data.tables["survey"]["y"].tolist() == [2, 1, 0, 2, 2]
    first = ingest(kind_spec(tmp_path, survey, "categorical", levels=["red", "green"]))
    assert first.facts["answers"] == ["red", "green"]
    assert first.facts["rows_excluded"] == 1


def test_truth_of_answers(tmp_path):
    survey = asked(["red", "green", "blue", "red", "red"], "party")
    truth = "state,answer,share\n,red,0.5\n,green,0.3\n,blue,0.2\nA,red,0.6\nA,red,0.7\nA,gren,0.1\n"
    files = {
        "truth": {"data": str(tmp_path / "t.csv"), "value": "share", "level": "answer"},
        "files": {"t.csv": truth},
    }
    found = refused(kind_spec(tmp_path, survey, "categorical", truth=files))
    assert any("a second row about A" in text for text in found)
    assert any(
        "'gren' is not an answer of the survey\n    -> did you mean 'green'?" in text for text in found
    )
    files["files"]["t.csv"] = truth.replace("A,red,0.7\nA,gren,0.1\n", "")
    table = ingest(kind_spec(tmp_path, survey, "categorical", truth=files)).tables["truth"]
    assert table.to_dict("list") == {
        "table": ["total", "total", "total", "state"],
        "state": ["", "", "", "A"],
        "answer": ["red", "green", "blue", "red"],
        "value": [0.5, 0.3, 0.2, 0.6],
    }
    files["truth"].pop("level")
    assert (
        "name it as `level` in `truth`" in refused(kind_spec(tmp_path, survey, "categorical", truth=files))[0]
    )


def test_truth_of_means_may_be_any_number(tmp_path):
    files = {
        "truth": {"data": str(tmp_path / "t.csv"), "value": "m"},
        "files": {"t.csv": "state,m\nA,-12.5\n"},
    }
    data = ingest(kind_spec(tmp_path, asked([1, 2, 3.5, 4]), "continuous", truth=files))
    assert data.tables["truth"]["value"].tolist() == [-12.5]


def test_binary_with_a_test_needs_no_batch(tmp_path):
    test = {"sensitivity": [{"correct": 8, "of": 10}], "specificity": [{"correct": 99, "of": 100}]}
    spec = spec_of(tmp_path, outcome={"column": "vote", "positive": "yes", "test": test}, formula="vote ~ 1")
    data = ingest(spec)
    assert data.facts["terms"] == []
    assert data.tables["cells"][["n", "yes"]].to_numpy().tolist() == [[6, 3]]
    assert data.tables["levels"].empty
    assert len(data.tables["census"]) == 3


def test_several_formulas_give_one_dataset(tmp_path):
    models = {
        "main": {},
        "more": {"formula": "vote ~ C(sex) + (1 | state) + (1 | state:age)"},
        "less": {"formula": "vote ~ 1 + (1 | age)"},
    }
    spec = spec_of(tmp_path, formula="vote ~ 1 + (1 | state)", models=models)
    data = ingest(spec)
    assert data.facts["terms"] == [["state"], ["state", "age"], ["age"]]
    assert data.facts["predictors"] == {"sex": {"type": "factor", "levels": ["f", "m"]}}
    assert [c for c in data.tables["census"] if c.startswith("level")] == ["level_0", "level_1", "level_2"]
    assert set(spec.view("ingest")["models"]) == {"main", "more", "less"}
    assert spec.view("ingest")["models"]["more"] == {"formula": models["more"]["formula"]}


def test_factors_with_coefficients(tmp_path):
    """Text is a factor; numbers are one where the formula says C(x)."""
    census = CENSUS.replace("18-29", "1").replace("30+", "2")
    survey = SURVEY.replace("18-29", "1").replace("30+", "2")
    data = ingest(spec_of(tmp_path, survey, census, formula="vote ~ sex + C(age) + (1 | state)"))
    assert data.facts["predictors"]["sex"] == {"type": "factor", "levels": ["f", "m"]}
    assert data.facts["predictors"]["age"] == {"type": "factor", "levels": ["1", "2"]}
    assert len(data.tables["cells"]) == 6
    data = ingest(spec_of(tmp_path, survey, census, formula="vote ~ age + (1 + age | state)"))
    age = data.facts["predictors"]["age"]
    assert age["type"] == "numeric"
    assert age["mean"] == pytest.approx((1630 + 2 * 470) / 2100)
    assert age["constant_within"] == []
    assert data.tables["cells"]["age"].tolist() == [1, 2, 1, 2]


def test_a_number_and_a_factor_at_once(tmp_path):
    census = CENSUS.replace("18-29", "1").replace("30+", "2")
    survey = SURVEY.replace("18-29", "1").replace("30+", "2")
    found = refused(spec_of(tmp_path, survey, census, formula="vote ~ age + (1 | age)"))
    assert "'age' is a number in the formula and a factor" in found[0]
    spec = spec_of(tmp_path, survey, census, formula="vote ~ age + (1 | state)", missing={"age": "level"})
    assert "'age' is a number in the formula, and numbers have no levels" in refused(spec)[0]
    data = ingest(spec_of(tmp_path, survey, census, formula="vote ~ C(age) + (1 | state:age)"))
    assert data.facts["order"]["age"] == ["1", "2"]


def test_survey_levels_of_a_factor_must_be_in_the_census(tmp_path):
    survey = SURVEY.replace(",m,", ",x,")
    found = refused(spec_of(tmp_path, survey, formula="vote ~ sex + (1 | state)"))
    assert "'x' (3 rows) is not a 'sex' of the census" in found[0]


def test_design_and_labelled_formats(tmp_path):
    """A Stata survey with labels, a Parquet census, strata and clusters."""
    lines = [line.split(",") for line in SURVEY.splitlines()]
    frame = pd.DataFrame(lines[1:], columns=lines[0])
    frame["sex"] = frame["sex"].map({"f": 1, "m": 2})
    frame["w"] = frame["w"].astype(float)
    frame["psu"], frame["fpc"] = [11, 11, 12, 12, 13, 13], 40.0
    labels = {"sex": {1: "f", 2: "m"}}
    pyreadstat.write_dta(frame, str(tmp_path / "s.dta"), variable_value_labels=labels)
    rows = [line.split(",") for line in CENSUS.splitlines()]
    census = pd.DataFrame(rows[1:], columns=rows[0]).astype({"n": int})
    census.to_parquet(tmp_path / "c.parquet")
    design = {"strata": "age", "clusters": ["psu"], "population_sizes": ["fpc"]}
    spec = MrpAnalysis(
        family="mrp",
        survey=str(tmp_path / "s.dta"),
        census=str(tmp_path / "c.parquet"),
        count="n",
        weight="w",
        design=design,
        outcome={"column": "vote", "positive": "yes"},
        formula="vote ~ 1 + (1 | state) + (1 | sex)",
        estimates=["state"],
    )
    table = ingest(spec).tables["survey"]
    assert table["cluster_0"].tolist() == ["11", "11", "12", "12", "13", "13"]
    assert table["stratum"].tolist() == frame["age"].tolist()
    assert table["population_size_0"].tolist() == [40.0] * 6
    assert table["sex"].tolist() == ["f", "m", "f", "f", "m", "m"]
