"""What a run says on the terminal, and what is left of it where it fails."""

import io
import logging
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from poolmap.files import write_json
from poolmap.report.unfinished import close, withdraw
from poolmap.terminal import Failure, last_words, not_to_be_used, watch


@pytest.fixture
def snakemake_logger():
    """A logger as Snakemake has it, with its handler for the terminal; and what that shows."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.name = "DefaultStreamHandler"
    logger = logging.Logger("like Snakemake's")
    logger.addHandler(handler)
    return logger, shown


def begin(logger, jobid, words, **wildcards):
    fields = {"event": "job_info", "jobid": jobid, "rule_msg": words, "rule_name": "fit"}
    logger.info("", extra=fields | {"wildcards": wildcards})


def fail(logger, jobid, *logs, said=None):
    fields = {"event": "job_error", "jobid": jobid, "rule_name": "fit", "rule_msg": said, "log": list(logs)}
    logger.error("Error in rule fit, jobid: 3", extra=fields)


def test_the_terminal_shows_a_line_a_step_and_no_machinery(snakemake_logger):
    logger, shown = snakemake_logger
    watch(logger, terse=True)
    logger.info("Building DAG of jobs...")
    logger.info("Job stats: ...", extra={"event": "run_info", "stats": {"total": 7}})
    logger.info("Select jobs to execute...")
    begin(logger, 3, "bcg / normal: sampling; progress in fit.log")
    logger.info("", extra={"event": "progress", "done": 1, "total": 7})
    begin(logger, 0, None)
    logger.error("RuleException:\nCalledProcessError in file ingest.smk, line 26", extra={"event": "error"})
    fail(logger, 3)
    logger.error("Exiting because a job execution failed. Look above for error messages")
    logger.error("WorkflowError:\nAt least one job did not complete successfully.", extra={"event": "error"})
    logger.error("MissingOutputException: what nobody foresaw", extra={"event": "error"})
    assert [line[8:] for line in shown.getvalue().splitlines()] == [
        "  0 of 7 done  bcg / normal: sampling; progress in fit.log",
        "  1 of 7 done  bcg / normal: sampling: FAILED",
        "MissingOutputException: what nobody foresaw"[8:],
    ]


def test_all_is_shown_where_it_is_asked_for(snakemake_logger):
    logger, shown = snakemake_logger
    watch(logger, terse=False)
    logger.info("Building DAG of jobs...")
    fail(logger, 3)
    assert "Building DAG" in shown.getvalue()
    assert "Error in rule fit" in shown.getvalue()


def test_a_failure_is_told_with_the_last_error_of_its_log(snakemake_logger, tmp_path):
    logger, _ = snakemake_logger
    watching = watch(logger, terse=True)
    log, foreign = tmp_path / "fit.log", tmp_path / "slurm.log"
    log.write_text(
        "2026-11-21 10:44:50,693 INFO begins\n2026-11-21 10:44:50,700 ERROR of a chain\n"
        "2026-11-21 10:44:50,854 ERROR 1 problem was found:\n  - here\n2026-11-21 10:44:51,000 INFO after\n"
    )
    foreign.write_text("srun: not one of our lines\n")
    begin(logger, 3, "bcg / normal: sampling; progress in fit.log")
    fail(logger, 3, str(log))
    begin(logger, 4, "bcg: reading")
    fail(logger, 4, str(tmp_path / "none.log"), str(foreign), said="SLURM job '12' failed: OUT_OF_MEMORY")
    begin(logger, 5, "sids: reading")
    fail(logger, 5, str(tmp_path / "none.log"))
    assert watching.failures == [
        Failure("bcg / normal: sampling", "1 problem was found:\n  - here"),
        Failure("bcg: reading", f"SLURM job '12' failed: OUT_OF_MEMORY\nIts log: {foreign}"),
        Failure("sids: reading", "It ended without a message: was it killed, or did the memory not suffice?"),
    ]


def test_the_last_words_end_with_the_messages():
    words = last_words(
        [Failure("b: reading", "no data"), Failure("c: reading", "no file")], ["a"], ["b", "c"]
    )
    assert words.startswith("\nThe run ended with an error.\n  finished:     a\n  not finished: b, c\n")
    assert "can be read: results/report.html\nThe same command goes on from here." in words
    assert words.endswith("\n\nb: reading\nno data\n\nc: reading\nno file")
    assert last_words([], [], ["a"]) == (
        "\nThe run was broken off.\n  not finished: a\nThe same command goes on from here."
    )
    gate = last_words([Failure("the verdict", "a fit failed")], ["a"], [])
    assert "not finished" not in gate
    assert "The report: results/report.html" in gate


def analysis(folder, name):
    """A finished analysis as the report step leaves it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "report.html").write_text("page")
    summary = {"name": name, "title": name.upper(), "family": "meta", "headline": "It halves the risk."}
    write_json(folder / name / "summary.json", summary | {"failed": {}, "primary": "m", "figure": None})


def config(*names):
    analyses = {name: SimpleNamespace(title=name.upper(), family="meta") for name in names}
    return SimpleNamespace(title="All", analyses=analyses)


def test_the_index_of_a_run_that_failed_tells_what_stands(tmp_path):
    for name in ("good", "old"):
        analysis(tmp_path, name)
    words = close(tmp_path, config("good", "bad"), [Failure("bad: reading", "line 3: <21> events")])
    assert "not finished: bad" in words
    page = BeautifulSoup((tmp_path / "report.html").read_text(), "html.parser")
    banner = page.select_one(".banner.failed").get_text(" ", strip=True)
    assert "The run did not come to its end : 1 of 2 analyses is finished" in banner
    assert "bad: reading line 3: <21> events" in banner
    assert "All checks of the fits passed in" not in page.get_text()
    rows = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in page.select("tbody tr")]
    assert rows[0][0] == "GOOD"
    assert rows[1] == ["BAD", "Meta-analysis", "✗Not finished"]
    assert page.find("a", string="GOOD")["href"] == "good/report.html"
    assert page.find("a", string="old")["href"] == "old/report.html"
    assert page.find("a", string="BAD") is None


def test_an_index_that_the_run_made_is_left_and_none_is_made_of_nothing(tmp_path):
    close(tmp_path, config("bad"), [])
    assert not (tmp_path / "report.html").exists()
    analysis(tmp_path, "good")
    (tmp_path / "report.html").write_text("whole")
    words = close(tmp_path, config("good"), [Failure("the verdict on all fits", "a fit failed its checks")])
    assert (tmp_path / "report.html").read_text() == "whole"
    assert words.endswith("the verdict on all fits\na fit failed its checks")


def test_pages_are_withdrawn(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("old")
    withdraw([str(page), str(page), str(tmp_path / "none.html")])
    assert not page.exists()


def test_fits_that_failed_are_named_at_the_end(tmp_path):
    (tmp_path / "vote/main/estimates").mkdir(parents=True)
    (tmp_path / "vote/main/estimates/DO_NOT_USE.txt").write_text("R-hat")
    (tmp_path / "vote/flat/estimates").mkdir(parents=True)
    found = not_to_be_used(tmp_path, {"vote": ["main", "flat"], "other": ["main"]})
    assert found == ["vote: DO NOT USE the results of main, whose fit failed its checks."]
