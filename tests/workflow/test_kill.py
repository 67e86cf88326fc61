"""A run that is killed at any moment is completed by the same command, with the same numbers."""

import os
import signal
import time

import pytest

from tests.workflow.projects import differences, make_project

CONFIG = """
title: "killed"
seed: 5
sampling: {chains: 4, warmup: 500, draws: 750, adapt_delta: 0.95}
analyses:
  schools:
    family: meta
    data: resources/eight_schools/schools.csv
    study: school
    measure: GEN
    columns: {estimate: estimate, se: se}
    models: {normal: {mu_prior: {normal: [0, 5]}, tau_prior: {half_cauchy: 5}}}
  sids:
    family: areas
    data: resources/nc_sids/counts.csv
    geometry: resources/nc_sids/counties.gpkg
    area: fips
    outcome: {cases: sids_1979, population: births_1979}
    models: {iid: {prior: iid}}
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of a run that nobody killed, and how long it took."""
    project = make_project(tmp_path_factory.mktemp("whole") / "a project")
    project.write("config/config.yaml", CONFIG)
    code, output = project.run()  # compiles, so that the timed run below does not
    assert code == 0, output
    (project.folder / "results").rename(project.folder / "first")
    begin = time.monotonic()
    code, output = project.run("--forceall")
    assert code == 0, output
    return project.results(), time.monotonic() - begin


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        ("SIGKILL", 0.2),
        ("SIGKILL", 0.4),
        ("SIGKILL", 0.6),
        ("SIGKILL", 0.8),
        ("SIGKILL of the leader alone", 0.3),
        ("SIGKILL of the leader alone", 0.5),
        ("SIGINT", 0.4),
        ("SIGINT", 0.7),
        ("SIGTERM", 0.5),
        # one analysis is finished, so that the run leaves an index; the other one's page is being made
        ("SIGTERM", ("results/schools/report.html", "results/sids/report.log")),
        ("SIGINT", ("results/schools/report.html", "results/sids/report.log")),
    ],
)
def test_killed_and_started_again(project, undisturbed, how, moment):
    results, seconds = undisturbed
    project.write("config/config.yaml", CONFIG)
    process = project.start()
    if isinstance(moment, float):
        time.sleep(moment * seconds)
    else:
        until = time.monotonic() + 5 * seconds
        while not all((project.folder / file).exists() for file in moment) and time.monotonic() < until:
            time.sleep(0.05)
    number = getattr(signal, how.split()[0])
    if how.endswith("alone"):
        os.kill(process.pid, number)
    else:
        os.killpg(process.pid, number)
    process.communicate(timeout=120)
    code, output = project.run()
    assert code == 0, output
    assert differences(project.results(), results) == [], output
    assert not list((project.folder / "results").rglob("*.part"))
    assert all((project.folder / f"results/{name}/report.html").exists() for name in ("schools", "sids"))
    assert "did not come to its end" not in project.read("results/report.html")
    code, output = project.run()
    assert code == 0
    assert "Nothing to be done" in output


def test_a_second_run_in_the_same_folder_is_refused(project, undisturbed):
    results, _ = undisturbed
    project.write("config/config.yaml", CONFIG)
    first = project.start()
    until = time.monotonic() + 60
    while not (project.folder / "results/sids/data.log").exists() and time.monotonic() < until:
        time.sleep(0.1)
    code, output = project.run()
    assert code != 0
    assert output.splitlines()[-2].startswith("Another run is working in")
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output
    assert differences(project.results(), results) == [], output
