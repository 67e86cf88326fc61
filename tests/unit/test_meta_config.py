"""The config of a meta-analysis: keys that do not go together, and what a user is told."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from poolmap.config import load_config
from poolmap.config.load import parse_analysis
from poolmap.config.meta_model import MetaModel
from poolmap.errors import InputError

COUNTS = {"events_1": "a", "total_1": "b", "events_2": "c", "total_2": "d"}
TIMES = {"events_1": "a", "time_1": "b", "events_2": "c", "time_2": "d"}
SLOPE = {"beta_prior": {"normal": [0, 1]}}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """`read(model, measure=..., more keys)`: the analysis that the config file gives, of model `main`."""
    monkeypatch.chdir(tmp_path)
    header = "study,a,b,c,d,year,how,outcome,r,bias\n"
    (tmp_path / "trials.csv").write_text(header + "x,1,2,3,4,5,6,7,0.5,low\n")

    def from_file(model, *, before=None, **keys):
        names = {"OR": COUNTS, "RR": COUNTS, "RD": COUNTS, "IRR": TIMES, "PLO": {"events": "a", "total": "b"}}
        entry = {"family": "meta", "data": "trials.csv", "study": "study", "measure": "OR"} | keys
        entry.setdefault("columns", names.get(entry["measure"]))
        entry["models"] = {**(before or {}), "main": model}
        with (tmp_path / "config.yaml").open("w") as file:
            YAML(typ="safe").dump({"analyses": {"bcg": entry}}, file)
        return load_config("config.yaml").analyses["bcg"]

    return from_file


def refused(read, *args, **keys):
    with pytest.raises(InputError) as caught:
        read(*args, **keys)
    (problem,) = caught.value.problems
    return str(problem)


EFFECTS = {"effect_id": "outcome"}
INDEPENDENT = {"before": {"first": {}}, "moderators": ["how"]}


@pytest.mark.parametrize(
    ("model", "keys", "key", "words"),
    [
        (
            {"likelihood": "poisson"},
            {},
            "likelihood",
            "the poisson likelihood is available for IRR and IRLN, not for measure OR",
        ),
        (
            {"likelihood": "binomial"},
            {"measure": "IRR"},
            "likelihood",
            "the binomial likelihood is available for OR, RR and PLO, not for measure IRR",
        ),
        (
            {"likelihood": "beta_binomial"},
            {"measure": "RR"},
            "likelihood",
            "the beta-binomial likelihood is available for OR and PLO, not for measure RR",
        ),
        (
            {"likelihood": "beta_binomial", "effects": "common"},
            {},
            "effects",
            "beta_binomial has its own variation between arms: leave `effects` away",
        ),
        (
            {"effects": "student_t"},
            EFFECTS,
            "effects",
            "several effects of a study (`effect_id`) take normal or common effects",
        ),
        (
            {"likelihood": "binomial"},
            EFFECTS,
            "likelihood",
            "several effects of a study (`effect_id`) take the normal likelihood",
        ),
        ({"df": 5}, {}, "df", "only `effects: student_t` has degrees of freedom: leave `df` away"),
        (
            {"effects": "independent", "formula": "how", **SLOPE},
            INDEPENDENT,
            "formula",
            "unrelated effects (`independent`) have no regression: leave `formula` away",
        ),
        (
            {"effects": "independent", "subgroups": "how"},
            INDEPENDENT,
            "subgroups",
            "unrelated effects (`independent`) have no subgroups: leave `subgroups` away",
        ),
        ({"centre": False}, {}, "centre", "it belongs to `formula`: leave `centre` away"),
        ({"subgroup_tau": "own"}, {}, "subgroup_tau", "it belongs to `subgroups`"),
        (
            {"subgroups": "how", "subgroup_tau": "own", "effects": "common"},
            {"moderators": ["how"]},
            "subgroup_tau",
            "effects that vary between studies",
        ),
        (
            {"subgroups": "how", "subgroup_tau": "own"},
            EFFECTS | {"moderators": ["how"]},
            "subgroup_tau",
            "studies of one effect each: leave `subgroup_tau` away",
        ),
        ({"levels": 2}, {}, "levels", "it belongs to `effect_id`"),
        ({"levels": 2, "effects": "common"}, EFFECTS, "levels", "with varying effects: leave `levels` away"),
        ({"correlation": 0.5}, {}, "correlation", "several effects of a study: see `effect_id`"),
        (
            {"correlation": 0.5},
            EFFECTS | {"columns": {**COUNTS, "correlation": "r"}},
            "correlation",
            "the column `columns.correlation` gives it: leave one of the two away",
        ),
        ({"baseline": "random"}, {}, "baseline", "the binomial and Poisson likelihood of two arms"),
        (
            {"baseline": "fixed", "likelihood": "binomial", "mu_prior": {"normal": [0, 1]},
             "tau_prior": {"half_normal": 1}},
            {"measure": "PLO"},
            "baseline",
            "the binomial and Poisson likelihood of two arms: leave `baseline` away",
        ),
        ({"baseline": "fixed", "likelihood": "beta_binomial"}, {}, "baseline", "binomial and Poisson"),
        (SLOPE, {}, "beta_prior", "it belongs to `formula`: leave `beta_prior` away"),
        (
            {"effects": "common", "tau_prior": {"half_normal": 1}},
            {},
            "tau_prior",
            "this model has no between-study standard deviation: leave `tau_prior` away",
        ),
        (
            {"likelihood": "beta_binomial", "tau_prior": {"half_normal": 1}},
            {},
            "tau_prior",
            "no between-study standard deviation",
        ),
        ({"tau_within_prior": {"half_normal": 1}}, {}, "tau_within_prior", "`effect_id` with 3 levels"),
        (
            {"tau_within_prior": {"half_normal": 1}, "levels": 2},
            EFFECTS,
            "tau_within_prior",
            "`effect_id` with 3 levels: leave `tau_within_prior` away",
        ),
        ({"baseline_prior": {"normal": [0, 1]}}, {}, "baseline_prior", "exact likelihoods of two arms"),
        (
            {"likelihood": "binomial", "baseline_sd_prior": {"half_normal": 1}},
            {},
            "baseline_sd_prior",
            "it belongs to `baseline: random`: leave `baseline_sd_prior` away",
        ),
        ({"icc_prior": {"beta": [1, 1]}}, {}, "icc_prior", "it belongs to `likelihood: beta_binomial`"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together(read, model, keys, key, words):
    problem = refused(read, model, **keys)
    assert problem.startswith("config.yaml, line ")
    assert f": analyses.bcg.models.main.{key}: " in problem
    assert words in problem


@pytest.mark.parametrize(
    ("model", "keys", "program"),
    [
        ({"effects": "student_t", "df": 5}, {}, "meta/normal"),
        ({"likelihood": "binomial", "baseline": "random", "baseline_prior": {"normal": [0, 1]},
          "baseline_sd_prior": {"half_normal": 1}}, {}, "meta/binomial"),
        ({"likelihood": "poisson", "baseline": "fixed"}, {"measure": "IRR"}, "meta/poisson"),
        ({"likelihood": "beta_binomial", "icc_prior": {"beta": [1, 9]}, "baseline_prior": {"normal": [0, 1]}},
         {}, "meta/beta_binomial"),
        ({"likelihood": "binomial", "mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}},
         {"measure": "PLO"}, "meta/group"),
        ({"levels": 2, "correlation": 0.5}, EFFECTS, "meta/multilevel"),
        ({"tau_within_prior": {"half_normal": 1}}, EFFECTS | {"columns": {**COUNTS, "correlation": "r"}},
         "meta/multilevel"),
        ({"formula": "year", "centre": False, "subgroups": "how", "subgroup_tau": "own", **SLOPE},
         {"moderators": ["year", "how"]}, "meta/normal"),
        ({"effects": "independent"}, {"before": {"first": {}}}, "meta/normal"),
    ],
)  # fmt: skip
def test_keys_that_go_together(read, model, keys, program):
    spec = read(model, **keys)
    assert spec.program("main") == program
    assert parse_analysis(spec.view("fit", "main")).models["main"] == spec.models["main"]


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"exclude": {"how": []}}, "exclude.how", "no value is given: name those to leave out"),
        ({"exclude": {"how": [True]}}, "exclude.how.0", "put it in quotes, spelt as in the table"),
        ({"exclude": {"how": [None]}}, "exclude.how.0", "a text or a number is expected"),
        ({"exclude": {"how": "x"}}, "exclude.how", "write it in brackets, also one entry"),
        ({"exclude": {"hw": ["x"]}}, "exclude.hw", "did you mean 'how'?"),
        ({"moderators": ["yaer"]}, "moderators", "did you mean 'year'?"),
        ({"risk_of_bias": {"Blinding": "bia"}}, "risk_of_bias.Blinding", "did you mean 'bias'?"),
        ({"risk_of_bias": ["bias"]}, "risk_of_bias", "a section with keys below it is expected"),
        ({"cumulative": "yaer"}, "cumulative", "did you mean 'year'?"),
        ({"effect_id": "outcomes"}, "effect_id", "did you mean 'outcome'?"),
        ({"columns": {**COUNTS, "correlation": "r"}}, "columns.correlation", "them apart in `effect_id`"),
        (
            {"effect_id": "outcome", "layout": "long", "reference": "x",
             "columns": {"events": "a", "total": "b", "arm": "how"}},
            "effect_id",
            "give the effects in wide rows",
        ),
        ({"thresholds": [0.9, 0]}, "thresholds", "ratios, above 0 (not their logarithms)"),
        ({"thresholds": ["high"]}, "thresholds.0", "a number is expected"),
        ({"baseline_risks": [1.2]}, "baseline_risks.0", "a number below 1 is expected (given: 1.2)"),
        ({"measure": "IRR", "baseline_risks": [0.1]}, "baseline_risks", "not from measure IRR"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(read, keys, key, words):
    problem = refused(read, {}, **keys)
    assert problem.startswith("config.yaml, line ")
    assert f": analyses.bcg.{key}: " in problem
    assert words in problem


def test_the_first_model_pools(read):
    problem = refused(read, {"effects": "independent"})
    assert "analyses.bcg.models.main.effects" in problem
    assert "must pool: put another one before it" in problem


def test_priors_without_a_default(read):
    problem = refused(read, {"formula": "year"}, moderators=["year"])
    assert "analyses.bcg.models.main: state beta_prior" in problem
    assert "for a coefficient whatever its unit" in problem
    gen = {"measure": "GEN", "columns": {"estimate": "a", "se": "b"}}
    assert "state mu_prior and tau_prior" in refused(read, {}, **gen)
    assert "state mu_prior:" in refused(read, {"effects": "common"}, **gen)


@pytest.mark.parametrize(
    ("model", "key", "column"),
    [
        ({"formula": "year + how", **SLOPE}, "formula", "how"),
        ({"formula": "C(`how`)", **SLOPE}, "formula", "how"),
        ({"subgroups": "how"}, "subgroups", "how"),
    ],
)
def test_columns_that_are_no_moderators(read, model, key, column):
    problem = refused(read, model, moderators=["year"])
    assert f"analyses.bcg.models.main.{key}: '{column}' is not among `moderators`" in problem
    assert "name the columns to be read there" in problem


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("latitude", ["latitude"]),
        ("~ latitude + year", ["latitude", "year"]),
        ("`dose (mg)` + year", ["dose (mg)", "year"]),
        ("`dose (mg)`:year + `dose (mg)`", ["dose (mg)", "year"]),
        ("a*b + a:c", ["a", "b", "c"]),
        ("C(how)", ["how"]),
        ("np.log(latitude + 1)", ["latitude"]),
        ("log (latitude)", ["latitude"]),
        ("poly(year, degree=2)", ["year"]),
        ("poly(year, degree = 2, raw=True)", ["year"]),
        ("bs(year, df=4)", ["year"]),
        ("C(how, levels=['random', \"other\"])", ["how"]),
        ("C(how, Treatment('random'))", ["how"]),
        ("C(how, Treatment)", ["how"]),
        ("T(how, 'random allocation')", ["how"]),
        ("T(how, 'random)", ["how"]),
        ("I(how == 'random') + I(year >= limit)", ["how", "year", "limit"]),
        ("mean.age + x_1 + größe", ["mean.age", "x_1", "größe"]),
        ("{year * 2} + 1.5e3", ["year"]),
        ("1", []),
        ("x ~ y + (1 | z)", ["x", "y", "z"]),
    ],
)
def test_names_in_a_formula(formula, names):
    model = MetaModel(formula=formula)
    assert sorted(model.formula_names) == sorted(names)
    assert MetaModel().formula_names == []


def test_what_ingest_reads(read):
    keys = {
        "moderators": ["year", "how"],
        "exclude": {"how": ["x", 1, 2.5]},
        "risk_of_bias": {"Blinding": "bias"},
        "cumulative": "year",
    }
    spec = read({}, **keys, thresholds=[0.9], baseline_risks=[0.1])
    view = spec.view("ingest")
    assert {key: view[key] for key in keys} == {**keys}
    assert "thresholds" not in view
    again = parse_analysis(view)
    assert again.exclude == {"how": ("x", 1, 2.5)}
    assert [type(value) for value in again.exclude["how"]] == [str, int, float]
