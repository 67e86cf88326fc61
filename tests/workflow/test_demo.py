"""The shipped demonstration with fewer draws: one command from nothing to the index report."""

import json
import re
import shutil

import geopandas
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from ruamel.yaml import YAML

from tests.workflow.projects import QUICK, differences, make_project

COLUMNS = ["mean", "sd", "median", "lower", "upper", "mcse", "ess_bulk", "ess_tail", "rhat"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The finished demonstration and what its run printed."""
    project = make_project(tmp_path_factory.mktemp("demo") / "a project")
    yaml = YAML()
    path = project.folder / "config" / "config.yaml"
    config = yaml.load(path)
    config.update(QUICK)
    yaml.dump(config, path)
    code, output = project.run()
    assert code == 0, output
    project.analyses = config["analyses"]
    return project, output


def test_it_ends_with_the_report_and_its_place(demo):
    project, output = demo
    report = project.folder / "results" / "report.html"
    assert f"Open the report: {report}" in output
    assert re.search(r"Done in \d+ s", output)
    index = BeautifulSoup(report.read_text(), "html.parser")
    for name, spec in project.analyses.items():
        assert index.find("a", href=f"{name}/report.html") is not None
        page = BeautifulSoup(project.read(f"results/{name}/report.html"), "html.parser")
        assert page.h1.get_text(strip=True) == spec["title"]


def test_progress_names_analysis_and_step(demo):
    project, output = demo
    for words in ["bcg: reading and checking", "sids_1974: building the graph", "awards / main: sampling"]:
        assert words in output
    log = project.read("results/awards/main/fit.log")
    assert re.search(r"Chain \[4\] Iteration: +\d+ / \d+ \[100%\]", log)


def test_pages_ask_nothing_of_the_network(demo):
    project, _ = demo
    for page in (project.folder / "results").rglob("report.html"):
        soup = BeautifulSoup(page.read_text(), "html.parser")
        for tag in soup.find_all(["img", "script", "link", "iframe", "source", "use", "image"]):
            for attribute in ("src", "href", "xlink:href", "srcset"):
                assert not str(tag.get(attribute, "")).startswith(("http", "//")), (page, tag.name)
        assert not re.search(r"url\(\s*['\"]?https?:|@import", page.read_text())


def test_every_fit_passed_the_gate_and_says_so(demo):
    project, _ = demo
    verdict = project.read("results/verdict.txt").splitlines()
    fits = [f"results/{a}/{m}" for a, spec in project.analyses.items() for m in spec["models"]]
    assert verdict == [f"{fit}: passed" for fit in fits]
    for fit in fits:
        checks = json.loads(project.read(f"{fit}/checks.json"))
        assert checks["passed"]
        assert all(check["passed"] for check in checks["checks"])


def test_estimates_have_one_schema(demo):
    project, _ = demo
    for folder in (project.folder / "results").glob("*/*/estimates"):
        words = json.loads((folder / "dictionary.json").read_text())
        assert words["interval"] == 0.95
        for name, content in words["tables"].items():
            table = pd.read_csv(folder / f"{name}.csv")
            assert list(table.columns[: 1 + len(content["keys"]) + len(COLUMNS)]) == [
                "quantity",
                *content["keys"],
                *COLUMNS,
            ]
            assert set(table["quantity"]) == set(content["quantities"])
            assert (table["lower"] <= table["median"]).all()
            assert (table["median"] <= table["upper"]).all()
            assert not table.duplicated(["quantity", *content["keys"]]).any()


def test_maps_come_as_geopackage_too(demo):
    project, _ = demo
    folder = project.folder / "results/sids_1974/bym2/estimates"
    table = pd.read_csv(folder / "areas.csv", dtype={"area": str}).query("quantity == 'rr'")
    polygons = geopandas.read_file(folder / "areas.gpkg").set_index("area")
    assert len(polygons) == 100
    assert polygons["rr_mean"].to_dict() == pytest.approx(table.set_index("area")["mean"].to_dict())


def test_second_run_does_nothing(demo):
    project, _ = demo
    code, output = project.run()
    assert code == 0
    assert "Nothing to be done" in output


def test_same_seed_gives_the_same_bytes(demo):
    project, _ = demo
    before = project.results()
    assert len(before) > 40
    kept = project.folder / "kept"
    (project.folder / "results").rename(kept)
    shutil.rmtree(project.folder / ".snakemake")
    code, output = project.run()
    assert code == 0, output
    assert differences(project.results(), before) == []
