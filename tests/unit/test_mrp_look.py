"""What is told of an mrp config before anything is run, with its line."""

import pytest
import yaml

from poolmap.config import load_config
from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families import look
from tests.unit.mrp_files import CENSUS, SURVEY


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "survey.csv").write_text(SURVEY)
    (tmp_path / "second.csv").write_text(SURVEY)
    (tmp_path / "census.csv").write_text(CENSUS)
    (tmp_path / "margin.csv").write_text("state,people\nA,1\n")

    def tell(**changes):
        content = {
            "family": "mrp",
            "survey": "survey.csv",
            "census": "census.csv",
            "count": "n",
            "outcome": {"column": "vote", "positive": "yes"},
            "formula": "vote ~ 1 + (1 | state) + (1 | age)",
            "estimates": ["state"],
        }
        content = {key: value for key, value in (content | changes).items() if value is not None}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump({"analyses": {"a": content}}, sort_keys=False))
        try:
            load_config("c.yaml", look=look)
        except InputError as error:
            return [str(problem) for problem in error.problems]
        return []

    return tell


def test_nothing_is_wrong(told):
    assert told() == []
    assert (
        told(bands={"band": {"column": "age", "lower": [1]}}, formula="vote ~ 1 + (1 | state) + (1 | band)")
        == []
    )


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        (
            {"outcome": {"column": "vot", "positive": "yes"}},
            "analyses.a.outcome.column",
            "did you mean 'vote'?",
        ),
        ({"weight": "wt"}, "analyses.a.weight", "'survey.csv' has no column 'wt'"),
        ({"count": "m"}, "analyses.a.count", "'census.csv' has no column 'm'"),
        ({"estimates": ["state", "region"]}, "analyses.a.estimates.1", "'census.csv' has no column 'region'"),
        (
            {"design": {"clusters": ["psu"]}},
            "analyses.a.design.clusters.0",
            "'survey.csv' has no column 'psu'",
        ),
        ({"formula": "vote ~ log(x) + (1 | state)"}, "analyses.a.formula", "'log(x)' is not a column"),
        ({"formula": "vote ~ 1 + (1 | stat)"}, "analyses.a.formula", "did you mean 'state'?"),
        (
            {"models": {"b": {"formula": "vote ~ x + (1 | state)"}}},
            "a.models.b.formula",
            "'census.csv' has no column 'x'",
        ),
        ({"time": "wave"}, "analyses.a.time", "'wave' is none of the variables"),
        ({"house": ["mode"]}, "analyses.a.house", "'survey.csv' has no column 'mode'"),
        (
            {"extend": [{"variable": "edu"}]},
            "analyses.a.extend.0.variable",
            "'survey.csv' has no column 'edu'",
        ),
        (
            {"area_predictors": [{"data": "margin.csv", "area": "stat", "columns": ["x"]}]},
            "analyses.a.area_predictors.0.area",
            "did you mean 'state'?",
        ),
        (
            {"census": None, "count": None, "margins": [{"data": "margin.csv", "count": "n"}]},
            "analyses.a.margins.0.count",
            "'margin.csv' has no column 'n'",
        ),
        (
            {"survey": {"w_1": "survey.csv", "w_2": "margin.csv"}},
            "a.outcome.column",
            "'margin.csv' has no column 'vote'",
        ),
        (
            {
                "survey": {"a": "survey.csv", "b": "second.csv"},
                "formula": "vote ~ 1 + (1 | state) + (1 | survey)",
            },
            "analyses.a.formula",
            "name it in `house`: [survey]",
        ),
        ({"survey": "survey.por"}, "analyses.a.survey", "does not exist"),
        (
            {"survey": {"a": "survey.csv", "b": "survey.csv"}},
            "analyses.a.survey.b",
            "the file 'survey.csv' stands twice",
        ),
        (
            {"contrasts": [{"variable": "age", "levels": ["30+", "30+"]}]},
            "analyses.a.contrasts.0.levels",
            "'30+' is compared with itself",
        ),
        (
            {"contrasts": [{"variable": "age", "levels": ["30+", "18-29"], "within": ["age"]}]},
            "analyses.a.contrasts.0.within",
            "'age' is compared within its own levels",
        ),
        ({"thresholds": [0.5, 50]}, "analyses.a.thresholds.1", "write 0.5 for 50%"),
        (
            {"formula": "vote = 1 + (1 | state)"},
            "analyses.a.formula",
            'such as "vote ~ 1 + (1 | state)"',
        ),
    ],
)
def test_slips(told, changes, where, what):
    found = told(**changes)
    assert any(where in text and what in text for text in found), found
    assert all("line" in text for text in found)


def test_what_a_step_reads_is_read_back(told, tmp_path):
    """Each step gets its view of the section; the first sees the formulas and structures of all models."""
    models = {"b": {"structure": {"age": "rw1"}}, "c": {"formula": "vote ~ 1 + (1 | age)", "lkj": 3.0}}
    assert told(models=models) == []
    spec = load_config(tmp_path / "c.yaml").analyses["a"]
    view = spec.view("ingest")
    assert view["models"] == {"b": {"structure": {"age": "rw1"}}, "c": {"formula": "vote ~ 1 + (1 | age)"}}
    again = parse_analysis(view)
    assert [again.formula_of(name) for name in again.models] == [spec.formula, "vote ~ 1 + (1 | age)"]
    fitted = parse_analysis(spec.view("fit", "c"))
    assert list(fitted.models) == ["c"]
    assert fitted.models["c"].lkj == 3


def test_a_test_that_tells_nothing(told):
    test = {"sensitivity": [{"correct": 5, "of": 10}], "specificity": [{"correct": 3, "of": 10}]}
    (found,) = told(outcome={"column": "vote", "positive": "yes", "test": test})
    assert "outcome.test.specificity: by these studies the test tells nothing, or the opposite" in found
    assert "sensitivity 0.50, specificity 0.30" in found


def test_a_study_that_cannot_be_is_the_only_complaint(told):
    """pydantic calls the list empty, too, of which all entries are wrong."""
    test = {"sensitivity": [{"correct": 5, "of": 3}], "specificity": [{"correct": 3, "of": 3}]}
    (found,) = told(outcome={"column": "vote", "positive": "yes", "test": test})
    assert "sensitivity.0.correct: 5 of 3 cannot be right" in found
