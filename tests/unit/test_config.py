"""The config: what is refused, with which words, and what each step sees of it."""

import json
from pathlib import Path

import pytest

from poolmap.config import derive_seed, load_config
from poolmap.config.base import PositivePrior, Prior
from poolmap.config.load import json_schema, parse_analysis
from poolmap.errors import InputError

ROOT = Path(__file__).resolve().parents[2]

MINIMAL = """
analyses:
  bcg:
    family: meta
    data: trials.csv
    study: study
    measure: RR
    columns: {events_1: a, total_1: b, events_2: c, total_2: d}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trials.csv").write_text("study,a,b,c,d\nx,1,2,3,4\n")

    def to_file(text):
        Path("config.yaml").write_text(text)
        return "config.yaml"

    return to_file


def problems(path, **options):
    with pytest.raises(InputError) as caught:
        load_config(path, **options)
    return caught.value.problems


def test_demonstration_config_is_valid_and_its_files_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_config("config/config.yaml")
    assert {spec.family for spec in config.analyses.values()} == {"meta", "areas", "mrp"}


def test_schema_in_the_repository_is_the_one_generated():
    written = json.loads((ROOT / "config/config.schema.json").read_text())
    assert written == json.loads(json.dumps(json_schema())), "run `make schema`"


def test_defaults_at_the_top_reach_each_analysis(write):
    config = load_config(write("seed: 7\ninterval: 0.9\nsampling: {draws: 500}\n" + MINIMAL))
    spec = config.analyses["bcg"]
    assert (spec.seed, spec.interval, spec.sampling.draws, spec.sampling.chains) == (7, 0.9, 500, 4)
    assert spec.on_failed_checks == "stop"


def test_an_analysis_overrides_only_the_keys_it_names(write):
    text = "sampling: {draws: 500, warmup: 300}\n" + MINIMAL + "    sampling: {draws: 800}\n"
    sampling = load_config(write(text)).analyses["bcg"].sampling
    assert (sampling.draws, sampling.warmup) == (800, 300)


def test_all_errors_come_at_once_with_line_and_nearest_name(write):
    text = MINIMAL.replace("study: study", "studdy: study").replace("measure: RR", "measure: RRR")
    found = {p.where: p for p in problems(write("titel: x\n" + text))}
    assert found["config.yaml, line 1: titel"].remedy == "did you mean 'title'?"
    assert found["config.yaml, line 7: analyses.bcg.studdy"].remedy == "did you mean 'study'?"
    assert "did you mean 'RR'?" in found["config.yaml, line 8: analyses.bcg.measure"].remedy
    assert "is needed" in found["config.yaml, line 4: analyses.bcg.study"].what


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("family: meta", "family: mta", "analyses.bcg.family", "not a family"),
        ("  bcg:", "  BCG trials:", "analyses.BCG trials", "cannot be a name"),
        ("  bcg:", "  stan:", "analyses.stan", "cannot be the name"),
        ("total_2: d}", "se: d}", "analyses.bcg.columns", "takes exactly the columns"),
        (
            "measure: RR",
            "measure: RR\n    seed: 0",
            "analyses.bcg.seed",
            "a number of at least 1 is expected (given: 0)",
        ),
        (
            "measure: RR",
            "measure: RR\n    models: {m: {tau_prior: {normal: [0, 1]}}}",
            "analyses.bcg.models.m.tau_prior",
            "not a prior for this parameter",
        ),
        (
            "measure: RR",
            "measure: RR\n    models: {m: {tau_prior: {half_normal: -1}}}",
            "analyses.bcg.models.m.tau_prior",
            "above 0",
        ),
        (
            "measure: RR",
            "measure: RD\n    models: {m: {likelihood: binomial}}",
            "analyses.bcg.models.m.likelihood",
            "not for measure RD",
        ),
        ("measure: RR", "measure: RR\n    models: {data: {}}", "analyses.bcg.models", "cannot be the name"),
    ],
)
def test_what_is_refused(write, old, new, where, what):
    found = problems(write(MINIMAL.replace(old, new)))
    assert any(p.where.endswith(where) and what in p.what for p in found), [str(p) for p in found]


def test_missing_file_and_column_are_found_before_anything_runs(write):
    two = MINIMAL + MINIMAL.replace("analyses:\n", "").replace("bcg", "other").replace("trials", "nothing")
    found = problems(write(two.replace("events_1: a", "events_1: aa", 1)))
    assert [("has no column 'aa'" in p.what, "does not exist" in p.what) for p in found] == [
        (True, False),
        (False, True),
    ]
    assert found[0].remedy == "did you mean 'a'?" or "valid names" in found[0].remedy


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\na: 2\n", "stands twice"),
        ("a: [1\nb: 2\n", "not YAML"),
        ("- 1\n- 2\n", "holds no keys"),
        ("", "holds no keys"),
    ],
)
def test_broken_yaml_is_named_with_its_place(write, text, what):
    (problem,) = problems(write(text))
    assert what in problem.what
    assert problem.where.startswith("config.yaml")


def test_yaml_traps(write):
    """NO is Norway, 1e-3 a number, 012 no octal: YAML 1.2."""
    text = (
        MINIMAL.replace("events_1: a", "events_1: NO") + "    models: {m: {tau_prior: {half_normal: 1e-3}}}\n"
    )
    spec = load_config(write(text), check_files=False).analyses["bcg"]
    assert spec.columns.events_1 == "NO"
    assert spec.models["m"].tau_prior.parameters == (0.001,)


def test_values_from_the_command_line_win(write):
    config = load_config(write(MINIMAL), overrides={"seed": 3, "sampling": {"draws": 200}})
    assert (config.seed, config.sampling.draws, config.sampling.warmup) == (3, 200, 1000)


def test_a_step_sees_only_what_it_reads(write):
    path = write(MINIMAL + "    title: A\n    models: {m: {}, n: {}}\n")
    before = load_config(path).analyses["bcg"]
    after = load_config(
        write(MINIMAL + "    title: B\n    interval: 0.5001\n    models: {m: {}}\n")
    ).analyses["bcg"]
    assert before.view("ingest") == after.view("ingest")
    assert before.view("fit", "m") == after.view("fit", "m")
    assert before.view("estimate", "m") != after.view("estimate", "m")
    assert before.view("report") != after.view("report")
    assert "models" not in before.view("ingest")
    assert parse_analysis(before.view("fit", "m")).sampling == before.sampling


def test_view_of_gen_can_be_read_back_without_models(write):
    text = MINIMAL.replace("measure: RR", "measure: GEN").replace(
        "{events_1: a, total_1: b, events_2: c, total_2: d}", "{estimate: a, se: b}"
    )
    assert any("mu_prior and tau_prior" in p.what for p in problems(write(text)))
    good = text + "    models: {m: {mu_prior: {normal: [0, 5]}, tau_prior: {half_cauchy: 5}}}\n"
    assert parse_analysis(load_config(write(good)).analyses["bcg"].view("ingest")).measure == "GEN"


def test_derived_seeds_differ_and_are_stable():
    assert derive_seed(1, "fit", "a", "b") == derive_seed(1, "fit", "a", "b")
    seeds = {derive_seed(1, "fit", a, b) for a in "abc" for b in "xyz"} | {derive_seed(2, "fit", "a", "x")}
    assert len(seeds) == 10
    assert all(0 < seed < 2**31 for seed in seeds)


def test_priors_reach_stan_by_code():
    assert Prior("student_t", (3, 0, 2.5)).stan_data("mu") == {
        "mu_prior_family": 2,
        "mu_prior": [0.0, 2.5, 3],
    }
    assert PositivePrior("half_cauchy", (0.5,)).stan_data("tau") == {
        "tau_prior_family": 3,
        "tau_prior": [0.0, 0.5, 0.0],
    }
    assert PositivePrior("exponential", (2.0,)).stan_data("tau")["tau_prior"] == [2.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("old", "new", "what", "remedy"),
    [
        (MINIMAL, "analyses:\n", "a section with keys below it is expected (given: nothing)", "indent"),
        ("measure: RR", "measure: RR\n    arms: BCG", "a list is expected (given: 'BCG')", "in brackets"),
        ("measure: RR", "measure: RR\n    interval: 95%", "a number is expected (given: '95%')", "not 95%"),
        ("measure: RR", "measure: RR\n    seed: abc", "a whole number is expected", "without quotes"),
    ],
)
def test_wrong_kinds_of_values_are_told_in_the_words_of_the_config(write, old, new, what, remedy):
    (problem,) = problems(write(MINIMAL.replace(old, new)))
    assert what in problem.what
    assert remedy in problem.remedy
