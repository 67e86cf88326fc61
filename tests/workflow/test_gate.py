"""A fit that fails its checks: never reported as if it had passed."""

import json

from bs4 import BeautifulSoup

from tests.workflow.projects import told_last

CONFIG = """
title: "too few draws"
sampling: {chains: 2, warmup: 100, draws: 100}
on_failed_checks: stop
analyses:
  schools:
    family: meta
    data: resources/eight_schools/schools.csv
    study: school
    measure: GEN
    columns: {estimate: estimate, se: se}
    models: {normal: {mu_prior: {normal: [0, 5]}, tau_prior: {half_cauchy: 5}}}
"""


def test_a_failed_fit_is_stamped_and_ends_the_run_with_an_error(project):
    project.write("config/config.yaml", CONFIG)
    code, output = project.run()
    assert code != 0
    report, last = told_last(output).split("\n\n")[-2:]
    assert last.startswith(
        "the verdict on all fits\nA fit failed its checks; its results are stamped DO NOT USE"
    )
    assert "effective sample size" in last
    assert report.endswith("The report: results/report.html")

    checks = json.loads(project.read("results/schools/normal/checks.json"))
    assert not checks["passed"]
    assert [(a["warmup"], a["draws"], a["adapt_delta"]) for a in checks["attempts"]] == [
        (100, 100, 0.9),
        (200, 200, 0.975),
    ]
    told = project.read("results/schools/normal/estimates/DO_NOT_USE.txt")
    assert "needed > 400" in told

    page = BeautifulSoup(project.read("results/schools/report.html"), "html.parser")
    for figure in page.find_all("figure"):
        assert "DO NOT USE" in figure.get_text()
    assert "sample longer" in page.get_text()
    assert "DO NOT USE" in project.read("results/report.html")
    assert not (project.folder / "results/verdict.txt").exists()

    project.write("config/config.yaml", CONFIG.replace("on_failed_checks: stop", "on_failed_checks: report"))
    code, output = project.run()
    assert code == 0, output
    assert "sampling; progress" not in output, "nothing is fitted again"
    assert "effective sample size" in project.read("results/verdict.txt")
