"""The design matrix of a meta-analysis: its columns, and what a user is told of a formula that cannot be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from meta_draws import posterior, words

from poolmap.config.load import parse_analysis
from poolmap.contracts import Dataset
from poolmap.dataset import read_dataset, write_dataset
from poolmap.errors import InputError
from poolmap.estimates import read_result, write_estimates
from poolmap.families.meta.companions import companions
from poolmap.families.meta.design import design
from poolmap.families.meta.estimate import estimate, predictive
from poolmap.families.meta.figures import figures
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.methods import findings
from poolmap.files import write_json
from poolmap.inference.summary import dictionary, summarise
from poolmap.tables import exclusions

K = 12
LATITUDE = [44.0, 55, 42, 52, 13, 44, 19, 13, -27, 42, 18, 33]
HOW = ["random", "random", "random", "alternate", "other", "other"] * 2
MODERATORS = pd.DataFrame(
    {
        "latitude": LATITUDE,
        "how": HOW,
        "dose (mg)": np.arange(K) ** 2 / 4.0,
        "code": [1.0, 2, 3] * 4,
        "zero": [0.0, *range(1, K)],
        "same": "all",
        "flat": 0.1,
        "fahrenheit": [32 + 1.8 * x for x in LATITUDE],
        "how_too": [{"random": "R", "alternate": "A", "other": "O"}[x] for x in HOW],
        "name": [f"S{i}" for i in range(K)],
        "slip": [*map(str, range(K - 1)), "33,5"],
        "mean.age": np.sqrt(np.arange(K)),
        "größe": np.cos(np.arange(K)),
    }
)


def made(moderators=MODERATORS, *, effect_id=None, **model):
    view = {
        "family": "meta",
        "data": "x.csv",
        "study": "s",
        "measure": "GEN",
        "columns": {"estimate": "y", "se": "v"},
        "moderators": [*moderators.columns, "nothing"],
        "models": {"m": model},
    }
    if effect_id:
        view["effect_id"] = effect_id
    studies = pd.DataFrame({"study": range(len(moderators))})
    written = moderators.map(lambda x: f"{x:g}" if isinstance(x, float) else str(x))
    tables = {"studies": studies, "moderators": moderators, "categories": written}
    return design(parse_analysis(view), "m", Dataset(tables, exclusions()))


def refused(**model):
    with pytest.raises(InputError) as caught:
        made(**model)
    return [str(problem) for problem in caught.value.problems]


def test_no_formula():
    layout = made()
    assert layout.X.tolist() == [[1.0]] * K
    assert (layout.M, layout.G, layout.terms) == (1, 1, ())
    assert layout.average.tolist() == [1.0]


def test_columns_are_centred():
    layout = made(formula="latitude + how")
    assert layout.terms == ("latitude", "how[other]", "how[random]")
    assert layout.average == pytest.approx([1, 0, 0, 0])
    assert layout.X[:, 1] == pytest.approx(np.array(LATITUDE) - 29)  # 348 / 12
    assert layout.centres == pytest.approx([29, 1 / 3, 1 / 2])
    plain = made(formula="latitude + how", centre=False)
    assert plain.X[:, 1].tolist() == LATITUDE
    assert plain.X[:, 2].tolist() == [float(x == "other") for x in HOW]
    assert plain.centres.tolist() == [0, 0, 0]


def test_subgroups():
    layout = made(subgroups="how")
    assert layout.subgroups == ("random", "alternate", "other")
    assert layout.X.tolist() == [[float(x == name) for name in layout.subgroups] for x in HOW]
    assert (layout.M, layout.G) == (3, 1)
    assert set(layout.group) == {1}
    assert layout.average == pytest.approx([1 / 2, 1 / 6, 1 / 3])
    own = made(subgroups="how", subgroup_tau="own")
    assert own.G == 3
    assert own.group.tolist() == (layout.subgroup + 1).tolist()
    assert made(subgroups="code").subgroups == ("1", "2", "3")
    both = made(subgroups="how", formula="latitude")
    assert both.X.shape == (K, 4)
    assert both.terms == ("latitude",)


def test_effects_without_variation_and_without_pooling():
    assert made(effects="common").G == 0
    assert made(effects="common").X.shape == (K, 1)
    independent = made(effects="independent")
    assert (independent.X.shape, independent.M, independent.G) == ((K, 0), 0, 0)


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("~ latitude", ("latitude",)),
        ("`dose (mg)` + latitude", ("dose (mg)", "latitude")),
        ("C(code)", ("C(code)[2]", "C(code)[3]")),
        ("T(how, 'random')", ("T(how, 'random')[alternate]", "T(how, 'random')[other]")),
        ("C(how, Treatment('other'))",
         ("C(how, Treatment('other'))[alternate]", "C(how, Treatment('other'))[random]")),
        ("poly(latitude, degree=2)", ("poly(latitude, degree=2)[0]", "poly(latitude, degree=2)[1]")),
        ("latitude + I(latitude**2)", ("latitude", "I(latitude ** 2)")),
        ("log(zero + 1)", ("log(zero + 1)",)),
        ("np.log(zero + 1)", ("np.log(zero + 1)",)),
        ("latitude * I(code > 1)", ("latitude", "I(code > 1)", "latitude:I(code > 1)")),
        ("(latitude + code)**2", ("latitude", "code", "latitude:code")),
        ("mean.age + größe", ("mean.age", "größe")),
    ],
)  # fmt: skip
def test_formulas(formula, terms):
    layout = made(formula=formula)
    assert layout.terms == terms
    assert layout.X.dtype == np.float64
    assert np.isfinite(layout.X).all()


def test_values_of_functions():
    layout = made(formula="log(zero + 1) + I(latitude**2) + I(code > 1)", centre=False)
    expected = np.column_stack([np.log(np.arange(K) + 1), np.square(LATITUDE), MODERATORS["code"] > 1])
    assert layout.X[:, 1:] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "what", "remedy"),
    [
        ("latitude +", "is not complete", "latitude + allocation"),
        ("nothing", "names 'nothing', which is no moderator", "valid names: latitude, how"),
        ("foo(latitude)", "uses the function 'foo', which is not known", "log, log2, log10, exp, sqrt"),
        ("np.foo(latitude)", "uses a function, which is not known", "log, log2, log10, exp, sqrt"),
        ("log(zero)", "gives no number for some studies in 'log(zero)'", "the logarithm of 0"),
        ("np.log(zero)", "gives no number for some studies in 'np.log(zero)'", "the logarithm of 0"),
        ("sqrt(latitude)", "gives no number for some studies", "not defined for"),
        ("log(how)", "cannot be computed: 'how' is a category", "every value is a number"),
        ("latitude ** 2", "a power outside of I()", "write I(latitude**2)"),
        ("log(code) ** 2", "a power outside of I()", "write I(latitude**2)"),
        ("latitude^2", "a power outside of I()", "write I(latitude**2)"),
        ("latitude how", "cannot be read as far as 'how'", "join the terms by +"),
        ("latitude + (1 | how)", "has varying terms", "latitude + allocation"),
        ("latitude ~ how", "has a left-hand side", "latitude + allocation"),
        ("0 + how", "has no intercept", "Use `subgroups`"),
        ("how - 1", "has no intercept", "Use `subgroups`"),
        ("1", "names no moderator", "latitude + allocation"),
        ("offset(latitude)", "has an offset", "latitude + allocation"),
        ("C(how, levels=['random', 'other'])", "'[' cannot stand there", "T(allocation, 'random')"),
        ("C(how, 'random')", "a category that C() cannot use", "T(allocation, 'random')"),
        ("T(how, 'randm')", "a reference category that no study has", "as the table spells it"),
        ("how == 'random'", "compares outside of I()", "I(latitude > 30)"),
        ("latitude > 30", "compares outside of I()", "I(latitude > 30)"),
        ("T(how, 'random)", "a quotation mark that is not closed", "T(allocation, 'random')"),
        ("latitude & how", "'&' cannot stand there", "backticks"),
    ],
)
def test_formulas_that_cannot_be(formula, what, remedy):
    (problem,) = refused(formula=formula)
    assert problem.startswith(f"models.m.formula: the formula '{formula}' ")
    first, _, second = problem.partition("\n")
    assert what in first
    assert remedy in second


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ({"formula": "latitude + fahrenheit"}, "'fahrenheit' follows from 'latitude': they are collinear"),
        ({"formula": "how + how_too"}, "'how_too[O]' follows from 'how[other]', 'how[random]'"),
        ({"formula": "latitude + I(3 * latitude)"}, "'I(3 * latitude)' follows from 'latitude'"),
        ({"formula": "how_too", "subgroups": "how"}, "'how_too[O]' follows from the subgroups"),
        ({"formula": "latitude + flat"}, "'flat' does not vary between the studies"),
    ],
)
def test_collinear_moderators(model, what):
    problem = refused(**model)[0]
    assert problem.startswith("models.m.formula: the column ")
    assert what in problem
    assert "take" in problem.partition("->")[2]


def test_every_collinear_column_is_told():
    problems = refused(formula="latitude + fahrenheit + how + how_too + flat")
    assert len(problems) == 4


def test_near_collinear_moderators_are_let_through():
    year = pd.DataFrame({"year": 1990.0 + np.arange(K)})  # year and its square correlate by 0.999999
    assert made(year, formula="year + I(year**2)").terms == ("year", "I(year ** 2)")
    people = pd.DataFrame({"people": 1e9 * np.arange(1, K + 1.0), "share": 1e-9 * np.cos(np.arange(K))})
    assert made(people, formula="people + share").X.shape == (K, 3)


def test_more_coefficients_than_studies():
    (problem,) = refused(formula="name")
    assert f"{K} means and coefficients from {K} studies" in problem
    assert "take moderators out, or merge categories" in problem
    (problem,) = refused(formula="slip")
    assert "'slip' is read as a category because of values such as '33,5'" in problem
    nine = "poly(größe, 9)"
    assert made(formula=nine).X.shape == (K, 10)
    (problem,) = refused(formula=nine, subgroups="how")
    assert f"{K} means and coefficients" in problem


def test_more_coefficients_than_effects():
    with pytest.raises(InputError) as caught:
        made(formula="name", effect_id="e")
    assert f"from {K} effects" in str(caught.value)


def test_levels_with_one_study_each_among_others():
    moderators = pd.DataFrame({"how": ["a"] * 5 + ["b"] * 5 + ["c", "d"]})
    assert made(moderators, formula="how").terms == ("how[b]", "how[c]", "how[d]")
    assert made(moderators, subgroups="how").subgroups == ("a", "b", "c", "d")


def test_many_categories():
    moderators = pd.DataFrame({"country": [f"c{i % 15:02d}" for i in range(60)]})
    layout = made(moderators, formula="country")
    assert layout.terms == tuple(f"country[c{i:02d}]" for i in range(1, 15))
    assert np.linalg.matrix_rank(layout.X) == 15


def test_numbers_as_subgroups(tmp_path):
    """Subgroups of a dose bear the names that the table writes, also after the files of a run."""
    doses = ["10", "20.0", "10.0", "1e2", "20", "100", "10"]
    rows = "".join(f"0{i},{i / 10},0.1,{dose}\n" for i, dose in enumerate(doses))
    (tmp_path / "trials.csv").write_text(f"trial,y,s,dose\n{rows}")
    priors = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}}
    view = {
        "family": "meta", "data": str(tmp_path / "trials.csv"), "study": "trial", "measure": "GEN",
        "columns": {"estimate": "y", "se": "s"}, "moderators": ["dose"], "interval": 0.95,
        "models": {"by_dose": {"subgroups": "dose", **priors}},
    }  # fmt: skip
    spec = parse_analysis(view)
    data = ingest(spec)
    (tmp_path / "data").mkdir()
    write_dataset(data, {}, tmp_path / "data")
    data = read_dataset(tmp_path / "data")
    assert data.tables["moderators"]["dose"].tolist() == [10, 20, 10, 100, 20, 100, 10]
    assert design(spec, "by_dose", data).subgroups == ("10", "20.0", "1e2")
    rng = np.random.default_rng(1)
    draws = posterior(spec, "by_dose", data, rng)
    quantities = estimate(spec, "by_dose", data, draws, rng)
    tables = summarise(quantities, spec.interval)
    folder = tmp_path / "estimates"
    folder.mkdir()
    checks = {"passed": True}
    write_json(tmp_path / "checks.json", checks)
    found = companions(spec, "by_dose", data, tables)
    predicted = predictive(spec, "by_dose", data, draws, rng)
    described = dictionary(quantities, 0.95)
    write_estimates(folder, tables, described, predicted, checks, 0.95, companions=found)
    results = {"by_dose": read_result("by_dose", folder, tmp_path / "checks.json")}
    assert results["by_dose"].companions["classical_subgroups"]["subgroup"].tolist() == ["10", "20.0", "1e2"]
    assert results["by_dose"].companions["leave_one_out_reml"]["study"].tolist()[:2] == ["00", "01"]
    assert results["by_dose"].predictive["label"].tolist()[:2] == ["00", "01"]
    text = words(findings(spec, data, results))
    assert "By dose, the pooled effect is: 10 " in text
    assert "Classical subgroup analysis" in text
    assert "dose: 20.0" in str([t.get_text() for t in figures(spec, data, results)[0].figure.findobj(Text)])


@pytest.mark.parametrize(
    ("column", "what", "remedy"),
    [
        ("latitude", "the column 'latitude' holds 9 different numbers in 12 studies", "give the number to a"),
        ("same", "all studies have 'all' in the column 'same': there are no subgroups", "two categories"),
        ("flat", "all studies have '0.1' in the column 'flat'", "leave `subgroups` away"),
        ("name", "all studies differ in the column 'name': no subgroup has two", "a `formula`"),
    ],
)
def test_no_subgroups(column, what, remedy):
    (problem,) = refused(subgroups=column)
    assert problem.startswith("models.m.subgroups: ")
    assert what in problem
    assert remedy in problem
