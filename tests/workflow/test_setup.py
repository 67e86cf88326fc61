"""`make` as a new user types it, in a folder whose path has a space."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.workflow.projects import ROOT

CONFIG = """
title: "mine"
sampling: {chains: 4, warmup: 500, draws: 750, adapt_delta: 0.95}
analyses:
  schools:
    family: meta
    data: resources/eight_schools/schools.csv
    study: school
    measure: GEN
    columns: {estimate: estimate, se: se}
    models: {normal: {mu_prior: {normal: [0, 5]}, tau_prior: {half_cauchy: 5}}}
"""


def make(folder, *arguments, **environment):
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the `make test` that these tests run in
    own = {key: value for key, value in os.environ.items() if key not in outer}
    answer = subprocess.run(
        ["make", *arguments], cwd=folder, env={**own, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=600,
    )  # fmt: skip
    return answer.returncode, answer.stdout


def installed(project):
    """A virtual environment in the project that sees this one's packages, in place of an installation."""
    for part in ("Makefile", "requirements.lock"):
        shutil.copy2(ROOT / part, project.folder / part)
    (project.folder / ".venv").unlink()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.folder / ".venv"], check=True)
    (packages,) = (project.folder / ".venv/lib").glob("python*/site-packages")
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (project.folder / ".venv/installed").touch()
    return project.folder


def test_run_and_run_again(project):
    folder = installed(project)
    assert " " in str(folder)
    project.write("config/mine.yaml", CONFIG)
    code, output = make(folder, "dry-run", "CONFIG=config/mine.yaml")
    assert code == 0, output
    assert not (folder / "results").exists()
    code, output = make(folder, "run", "CONFIG=config/mine.yaml", "CORES=2")
    assert code == 0, output
    assert "The report: results/report.html" in output
    assert (folder / "results/schools/report.html").is_file()
    code, output = make(folder, "run", "CONFIG=config/mine.yaml", "CORES=2")
    assert code == 0, output
    assert "Nothing to be done" in output
    assert "The report: results/report.html" in output


def test_bare_snakemake_works_too(project):
    folder = installed(project)
    project.write("config/config.yaml", CONFIG)
    answer = subprocess.run(
        [".venv/bin/python", "-m", "snakemake", "results/schools/data"],
        cwd=folder, text=True, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert (folder / "results/schools/data/studies.parquet").is_file()


def test_snakemake_dry_run_on_a_fresh_clone(project):
    code, output = project.run("-n")
    assert code == 0, output
    assert re.search(r"^fit +8$", output, flags=re.M)
    assert not (project.folder / "results").exists()


def test_lint_has_nothing_to_say_that_matters(project):
    _, output = project.run("--lint")
    lints = [line.strip(" *:") for line in output.splitlines() if line.startswith("    * ")]
    # software comes from the one lock file, not from an environment a rule; scripts take paths from Snakemake
    ignored = ("Specify a conda environment or container for each rule",)
    assert [lint for lint in lints if not lint.startswith(ignored)] == []


def test_python_too_old_or_absent_is_told(project):
    for part in ("Makefile", "requirements.lock"):
        shutil.copy2(ROOT / part, project.folder / part)
    (project.folder / ".venv").unlink()
    code, output = make(project.folder, "demo", "PYTHON=python-of-nowhere")
    assert code != 0
    assert "there is no 'python-of-nowhere'" in output
    old = project.folder / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo Python 3.8.1; exit; }\nexit 1\n')
    old.chmod(0o755)
    code, output = make(project.folder, "demo", "PYTHON=./old")
    assert code != 0
    assert "Python 3.8.1 is too old" in output
    assert not Path(project.folder, ".venv").exists()


def test_a_config_that_is_no_yaml_is_told_in_our_words(project):
    folder = installed(project)
    project.write("config/tab.yaml", "analyses:\n\tmine: {}\n")
    for config, words in {
        "config/tab.yaml": "config/tab.yaml, line 2",
        "config/none.yaml": "does not exist",
    }.items():
        code, output = make(folder, "run", f"CONFIG={config}")
        assert code != 0
        *message, of_make = output.splitlines()
        assert message[0] == f"poolmap cannot run {config}."
        assert words in "\n".join(message)
        assert of_make.startswith("make: ***")
        assert "Traceback" not in output
