"""What is run again after a change: what depends on it, and nothing else."""

import os
import re

import pytest

from tests.workflow.projects import make_project

CONFIG = """
title: "two"
seed: 5
sampling: {chains: 4, warmup: 500, draws: 750, adapt_delta: 0.95}
analyses:
  schools:
    family: meta
    title: "Schools"
    data: resources/eight_schools/schools.csv
    study: school
    measure: GEN
    columns: {estimate: estimate, se: se}
    models: {normal: {mu_prior: {normal: [0, 5]}, tau_prior: {half_cauchy: 5}}}
  bcg:
    family: meta
    data: resources/bcg/trials.csv
    study: study
    measure: RR
    columns: {events_1: bcg_cases, total_1: bcg_total, events_2: control_cases, total_2: control_total}
    models: {normal: {}, wide: {tau_prior: {half_normal: 2}}}
"""
# what follows every change of an analysis
ENDS = {"index of all analyses", "the verdict on all fits"}


def short(message):
    """`bcg / wide: sampling; progress in ...` -> `bcg / wide: sampling`."""
    return (
        message.split(";")[0]
        .replace(" and predictive checks", "")
        .replace(" and checking the input files", "")
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("reruns") / "a project")
    project.write("config/config.yaml", CONFIG)
    code, output = project.run()
    assert code == 0, output
    return project


@pytest.fixture
def planned(finished):
    """Change one file, see which jobs Snakemake would run, and put the file back as it was."""
    old = {}

    def plan(path, before="", after=""):
        file = finished.folder / path
        stat = file.stat()
        old[file] = (file.read_bytes(), stat.st_atime_ns, stat.st_mtime_ns)
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1) if before else text)
        code, output = finished.run("--dry-run")
        assert code == 0, output
        return {short(message) for message in re.findall(r"^Job \d+: (.*)$", output, flags=re.M)}

    yield plan
    for file, (content, atime, mtime) in old.items():
        file.write_bytes(content)
        os.utime(file, ns=(atime, mtime))


def test_touching_a_file_reruns_nothing(planned):
    for path in ["resources/bcg/trials.csv", "poolmap/families/meta/estimate.py", "stan/meta/normal.stan"]:
        assert planned(path) == set()


def test_a_title_rewrites_one_report(planned):
    assert planned("config/config.yaml", "Schools", "Eight schools") == {"schools: figures and report"} | ENDS


def test_a_prior_refits_one_model(planned):
    assert planned("config/config.yaml", "half_normal: 2", "half_normal: 3") == ENDS | {
        "bcg / wide: sampling",
        "bcg / wide: estimates",
        "bcg: figures and report",
    }


def test_data_reruns_its_analysis_only(planned):
    jobs = planned("resources/eight_schools/schools.csv", "28", "27")
    assert jobs == ENDS | {
        "schools: reading",
        "schools / normal: sampling",
        "schools / normal: estimates",
        "schools: figures and report",
    }


def test_a_stan_program_is_compiled_anew_and_its_models_refitted(planned):
    jobs = planned("stan/meta/normal.stan", "parameters {", "parameters { // changed")
    assert "Stan: compiling meta/normal" in jobs
    assert {"schools / normal: sampling", "bcg / normal: sampling", "bcg / wide: sampling"} <= jobs
    assert "bcg: reading" not in jobs


def test_an_included_function_recompiles(planned):
    jobs = planned("stan/functions/priors.stanfunctions", "/**", "/** (changed)")
    assert "Stan: compiling meta/normal" in jobs


def test_library_code_reruns_what_uses_it(planned):
    jobs = planned("poolmap/families/meta/figures.py", '"""', '"""Changed. ')
    assert jobs == ENDS | {"schools: figures and report", "bcg: figures and report"}


def test_code_of_the_gate_refits(planned):
    jobs = planned("poolmap/inference/checks.py", "MIN_ESS = 400", "MIN_ESS = 500")
    assert {"schools / normal: sampling", "bcg / normal: sampling"} <= jobs
    assert "bcg: reading" not in jobs


def test_another_family_reruns_nothing(planned):
    assert planned("poolmap/families/areas/ingest.py", '"""', '"""Changed. ') == set()


def test_the_seed_refits_everything_but_reads_nothing(planned):
    jobs = planned("config/config.yaml", "seed: 5", "seed: 6")
    assert {j for j in jobs if j.endswith("sampling")} == {
        "schools / normal: sampling",
        "bcg / normal: sampling",
        "bcg / wide: sampling",
    }
    assert not any("reading" in j or "compiling" in j for j in jobs)


@pytest.fixture
def other_config(finished):
    """Write another config over the first; put the first back afterwards."""
    yield lambda text: finished.write("config/config.yaml", text)
    finished.write("config/config.yaml", CONFIG)


def test_a_model_of_another_program_is_fitted_at_once(finished, other_config):
    other_config(CONFIG.replace("wide: {tau_prior: {half_normal: 2}}", "exact: {likelihood: binomial}"))
    code, output = finished.run()
    assert code == 0, output
    assert "bcg/exact: passed" in finished.read("results/verdict.txt")
    assert "Model exact" in finished.read("results/bcg/report.html")
    assert "Nothing to be done" in finished.run()[1]


def test_the_same_model_with_another_program_is_fitted_at_once(finished, other_config):
    other_config(CONFIG.replace("wide: {tau_prior", "wide: {likelihood: binomial, tau_prior"))
    code, output = finished.run()
    assert code == 0, output
    assert "exact binomial likelihood" in finished.read("results/bcg/report.html")


def test_another_config_and_back(finished, other_config):
    """Other analyses, other programs, input files older than all results: everything is made, both ways."""
    areas = """
title: "a map"
sampling: {chains: 4, warmup: 500, draws: 750, adapt_delta: 0.95}
analyses:
  sids:
    family: areas
    data: resources/nc_sids/counts.csv
    geometry: resources/nc_sids/counties.gpkg
    area: fips
    outcome: {cases: sids_1979, population: births_1979}
    models: {iid: {prior: iid}}
"""
    for _ in range(2):
        other_config(areas)
        code, output = finished.run()
        assert code == 0, output
        assert "a map" in finished.read("results/report.html")
        assert finished.read("results/verdict.txt") == "results/sids/iid: passed\n"
        other_config(CONFIG)
        code, output = finished.run()
        assert code == 0, output
        assert "two" in finished.read("results/report.html")
        assert "results/bcg/wide: passed" in finished.read("results/verdict.txt")
        assert "Nothing to be done" in finished.run()[1]
