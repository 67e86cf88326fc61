"""Which likelihoods fit which outcomes, and what the config says where they do not."""

import pytest
from pydantic import ValidationError

from poolmap.config.areas import AreasAnalysis
from poolmap.config.load import parse_analysis

COUNTS = {"cases": "y", "population": "n"}
ESTIMATES = {"estimate": "y", "se": "s"}


def _spec(outcome, models=None, **keys):
    section = {"family": "areas", "data": "a.csv", "geometry": "a.gpkg", "area": "id", "outcome": outcome}
    section |= {"models": models} if models else {}
    return AreasAnalysis.model_validate(section | keys)


def _error(*args, **keys):
    with pytest.raises(ValidationError) as caught:
        _spec(*args, **keys)
    error = caught.value.errors()[0]
    return error["msg"], error.get("ctx", {}).get("at")


def test_the_likelihood_follows_the_outcome():
    assert _spec(COUNTS).likelihood("bym2") == "poisson" and _spec(COUNTS).scale == "rr"
    assert _spec(ESTIMATES).likelihood("bym2") == "normal" and _spec(ESTIMATES).scale == "mean"
    spec = _spec(COUNTS, {"a": {"likelihood": "binomial"}, "b": {"likelihood": "beta_binomial"}})
    assert spec.scale == "prevalence"
    assert _spec(ESTIMATES).value_name == "y"
    assert _spec(ESTIMATES, estimate_name="litres a week").value_name == "litres a week"
    assert _spec(COUNTS, cases_name="deaths").value_name == "deaths"


@pytest.mark.parametrize(
    ("outcome", "likelihood", "says"),
    [
        (COUNTS, "normal", "describes direct estimates: give 'outcome' an 'estimate' and a 'se'"),
        (ESTIMATES, "poisson", "'outcome' names direct estimates: write normal"),
        (ESTIMATES, "binomial", "'outcome' names direct estimates: write normal"),
        ({"cases": "y", "expected": "e"}, "binomial", "needs the persons examined"),
        (COUNTS | {"strata": ["age"]}, "beta_binomial", "is not standardised: take 'strata' out"),
    ],
)
def test_a_likelihood_that_does_not_fit_its_outcome(outcome, likelihood, says):
    message, at = _error(outcome, {"m": {"likelihood": likelihood}})
    assert says in message and message.startswith(likelihood) and at == "models.m.likelihood"


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"population": "n"}, "give either 'cases'"),
        (COUNTS | ESTIMATES, "give either 'cases'"),
        ({"estimate": "y"}, "'estimate' and 'se' go together"),
        (COUNTS | {"se": "s"}, "'estimate' and 'se' go together"),
        (ESTIMATES | {"population": "n"}, "'population' goes with 'cases'"),
        ({"cases": "y"}, "either 'population' or 'expected'"),
        (COUNTS | {"suppressed": {"mark": "*", "range": [4, 1]}}, "the smallest and the largest count"),
    ],
)
def test_outcomes_that_are_refused(outcome, says):
    assert says in _error(outcome)[0]


def test_relative_risks_and_prevalences_are_not_mixed():
    message, at = _error(COUNTS, {"a": {}, "b": {"likelihood": "binomial"}})
    assert "binomial cannot be compared with poisson of the model a" in message
    assert at == "models.b.likelihood"


@pytest.mark.parametrize(
    ("key", "prior", "likelihood"),
    [
        ("dispersion_prior", {"half_normal": 1}, "negative_binomial"),
        ("icc_prior", {"beta": [1, 5]}, "beta_binomial"),
        ("zero_inflation_prior", {"beta": [1, 5]}, "zero_inflated_poisson"),
    ],
)
def test_priors_of_a_likelihood_go_with_it_only(key, prior, likelihood):
    message, at = _error(COUNTS, {"m": {key: prior}})
    assert f"goes with likelihood: {likelihood} only" in message and at == key
    assert _spec(COUNTS, {"m": {"likelihood": likelihood, key: prior}}).likelihood("m") == likelihood


def test_thresholds_lie_where_the_estimates_do():
    assert "above 0" in _error(COUNTS, exceedance=[0])[0]
    models = {"m": {"likelihood": "binomial"}}
    assert "between 0 and 1" in _error(COUNTS, models, exceedance=[1.0])[0]
    assert _spec(ESTIMATES, exceedance=[-3]).exceedance == (-3,)


def test_the_steps_read_what_they_need():
    """Ingest learns that the cases are a share, and nothing else of the models; a view can be read back."""
    spec = _spec(COUNTS, {"a": {"likelihood": "beta_binomial"}, "b": {"likelihood": "binomial"}})
    assert parse_analysis(spec.view("ingest")).scale == "prevalence"
    one = parse_analysis(spec.view("fit", "b"))
    assert list(one.models) == ["b"] and one.likelihood("b") == "binomial"
    assert "models" not in _spec(COUNTS, {"a": {"likelihood": "negative_binomial"}}).view("ingest")
    assert parse_analysis(_spec(ESTIMATES).view("ingest")).scale == "mean"
