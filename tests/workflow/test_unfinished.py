"""A run that fails: nothing outdated passes for its result, and what is finished can still be read."""

import pytest
from bs4 import BeautifulSoup

from tests.workflow.projects import told_last

ANALYSIS = """  {name}:
    family: meta
    title: "The {name}"
    data: {name}.csv
    study: study
    measure: RR
    columns: {{events_1: e1, total_1: n1, events_2: e2, total_2: n2}}
"""
TRIALS = "study,e1,n1,e2,n2\nA,4,100,12,100\nB,9,200,20,200\nC,5,150,16,150\n"


def config(*names):
    head = "title: two\nsampling: {chains: 4, warmup: 500, draws: 750, adapt_delta: 0.95}\nanalyses:\n"
    return head + "".join(ANALYSIS.format(name=name) for name in names)


@pytest.fixture
def finished(project):
    """A finished run of two analyses."""
    project.write("old.csv", TRIALS)
    project.write("new.csv", TRIALS)
    project.write("config/config.yaml", config("old", "new"))
    code, output = project.run()
    assert code == 0, output
    return project


def index(project):
    return BeautifulSoup(project.read("results/report.html"), "html.parser")


def pages(project):
    return sorted(p.parent.name for p in (project.folder / "results").glob("*/report.html"))


def test_what_is_finished_stands_and_nothing_else(finished):
    project = finished
    page_of_old = project.read("results/old/report.html")
    assert not index(project).select(".banner.failed")

    project.write("new.csv", TRIALS.replace("A,4,100", "A,400,100"))
    code, output = project.run()
    assert code != 0
    assert (
        "finished:     old\n  not finished: new\nWhat is finished can be read: results/report.html\n"
        in output
    )
    assert told_last(output).startswith(
        "new: reading and checking the input files\n1 problem was found:\n  - new.csv, line 2"
    )
    assert project.read("results/old/report.html") == page_of_old
    assert pages(project) == ["old"]
    assert not (project.folder / "results/verdict.txt").exists()
    banner = index(project).select_one(".banner.failed").get_text()
    assert "The run did not come to its end: 1 of 2 analyses is finished and up to date" in banner
    assert "new.csv, line 2" in banner
    assert [a["href"] for a in index(project).select("h2 a")] == ["old/report.html"]

    # without the analysis that failed, nothing but the index is to be made: it must not be taken for whole
    project.write("config/config.yaml", config("old"))
    code, output = project.run()
    assert code == 0, output
    assert "index of all analyses" in output
    assert not index(project).select(".banner.failed")
    assert project.read("results/verdict.txt") == "results/old/normal: passed\n"

    # a config of other analyses leaves the page of this one, and says whose it is
    project.write("config/config.yaml", config("new"))
    code, output = project.run()
    assert code != 0
    assert "finished:     " not in output.replace("not finished", "")
    assert pages(project) == ["old"]
    assert "0 of 1 analyses" in index(project).select_one(".banner.failed").get_text()
    assert index(project).select_one("#earlier").find_next("a")["href"] == "old/report.html"

    project.write("new.csv", TRIALS)
    project.write("config/config.yaml", config("old", "new"))
    code, output = project.run()
    assert code == 0, output
    assert not index(project).select(".banner.failed")
    assert pages(project) == ["new", "old"]
    assert "Nothing to be done" in project.run()[1]

    # what all rest on fails: no page of the earlier run stands
    path = project.folder / "stan/meta/normal.stan"
    path.write_text(path.read_text().replace("parameters {", "parameters { real oops", 1))
    code, output = project.run()
    assert code != 0
    assert "stan/meta/normal.stan does not compile" in told_last(output)
    assert pages(project) == []
    assert not (project.folder / "results/report.html").exists()
    assert not (project.folder / "results/verdict.txt").exists()
