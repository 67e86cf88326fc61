"""What a run says on the terminal: one line a step, and at its end what could not be done, and why.

Snakemake tells far more; its own log (`.snakemake/log`) keeps all of it, and `--verbose` shows it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poolmap.files import DO_NOT_USE

QUIET_EVENTS = {"job_started", "job_finished", "resources_info", "run_info", "progress"}
QUIET_WORDS = (
    "Building DAG of jobs",
    "Using shell:",
    "Provided remote nodes:",
    "Select jobs to execute",
    "Shutting down",
    "Touching output file",
    "Complete log(s):",
    "Elapsed time:",
    "Exiting because a job execution failed",
    "RuleException:\nCalledProcessError",
    "WorkflowError:\nAt least one job did not complete",
)
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """A step of a run that failed.

    Attributes:
        step: what it was to do, as its rule words it.
        message: why it could not.
    """

    step: str
    message: str

    def __str__(self) -> str:
        return f"{self.step}\n{self.message}"

    def at(self, placed: Callable[[str, str], str]) -> Failure:
        """The same with lines of the config, by `poolmap.config.places`; a step begins with its analysis."""
        return replace(self, message=placed(self.message, self.step.partition(":")[0]))


class Watch(logging.Handler):
    """Listens to Snakemake's logger and keeps which steps failed."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[int, logging.LogRecord] = {}
        self._failed: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a step that begins or fails."""
        if _event(record) == "job_info":
            self._begun[record.jobid] = record
        elif _event(record) == "job_error":
            self._failed.append(record)

    @property
    def failures(self) -> list[Failure]:
        """The steps that failed, in their order."""
        found = []
        for record in self._failed:
            begun = self._begun.get(record.jobid)
            step = _step(begun) if begun else record.rule_name
            found.append(Failure(step.split(";")[0], _message(record.log, record.rule_msg)))
        return found


class Terse(logging.Formatter):
    """Snakemake's messages for the terminal: a line a step; of the rest, what a user can act on.

    It is the filter of the handler as well as its formatter.
    """

    def __init__(self) -> None:
        super().__init__()
        self._done = ""
        self._steps: dict[int, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is shown."""
        event = _event(record)
        if event == "run_info":
            self._done = f"0 of {record.stats['total']} done"
        elif event == "progress":
            self._done = f"{record.done} of {record.total} done"
        elif event == "job_info":
            return bool(record.rule_msg)  # only the rule `all` has none
        return event not in QUIET_EVENTS and not str(record.msg).startswith(QUIET_WORDS)

    def format(self, record: logging.LogRecord) -> str:
        """The text of one message."""
        event = _event(record)
        if event == "job_info":
            words = self._steps[record.jobid] = _step(record)
        elif event == "job_error":
            words = f"{self._steps.get(record.jobid, record.rule_name).split(';')[0]}: FAILED"
        else:
            return str(record.msg or "")
        return f"{time.strftime('%H:%M:%S')}  {self._done}  {words}"


def watch(logger: logging.Logger, *, terse: bool) -> Watch:
    """Listen to Snakemake's logger.

    Args:
        logger: Snakemake's.
        terse: whether its messages on the terminal are to be cut down to what a user needs.
    """
    watching = Watch()
    for handler in logger.handlers:
        if terse and handler.name == "DefaultStreamHandler":
            terminal = Terse()
            handler.addFilter(terminal)
            handler.setFormatter(terminal)
    logger.addHandler(watching)
    return watching


def last_words(failures: Sequence[Failure], finished: Sequence[str], missing: Sequence[str]) -> str:
    """What a run that did not come to its end says last: what stands, what does not, and why.

    Args:
        failures: the steps that failed; none where the user broke the run off.
        finished: the analyses whose pages are there and up to date.
        missing: the others.
    """
    opening = "The run ended with an error." if failures else "The run was broken off."
    lines = ["", opening]
    if finished:
        lines.append(f"  finished:     {', '.join(finished)}")
    if missing:
        lines.append(f"  not finished: {', '.join(missing)}")
    if finished:
        lines.append(f"{'What is finished can be read' if missing else 'The report'}: results/report.html")
    if missing:
        lines.append("The same command goes on from here.")
    return "\n\n".join(["\n".join(lines), *map(str, failures)])


def not_to_be_used(folder: Path, models: Mapping[str, Collection[str]]) -> list[str]:
    """What a run that has come to its end says of fits that failed their checks.

    Args:
        folder: with the results.
        models: of each analysis.
    """
    found = []
    for analysis, names in models.items():
        failed = [name for name in names if (folder / analysis / name / "estimates" / DO_NOT_USE).is_file()]
        if failed:
            found.append(
                f"{analysis}: DO NOT USE the results of {', '.join(failed)}, whose fit failed its checks."
            )
    return found


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", None) or "")


def _step(record: logging.LogRecord) -> str:
    return record.rule_msg or record.rule_name


def _message(logs: Sequence[str], said: str | None) -> str:
    """The last error in a step's log; where there is none, what Snakemake said, and where the log is."""
    for log in map(Path, logs):
        text = log.read_text("utf-8", errors="replace") if log.is_file() else ""
        heads = list(LOG_LINE.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        errors = [text[h.end() : end] for h, end in zip(heads, ends, strict=False) if h[1] == "ERROR"]
        if errors:
            return errors[-1].strip()
    there = [log for log in logs if Path(log).is_file()]
    where = f"\nIts log: {', '.join(there)}" if there else ""
    return (said or "It ended without a message: was it killed, or did the memory not suffice?") + where
