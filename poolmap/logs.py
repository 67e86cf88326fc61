"""Logging of one job: everything to its log, trouble also to the terminal, clean messages for users."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolmap.errors import PoolmapError
from poolmap.workspace import LEADER, follow

FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def job(log_file: str | Path, title: str) -> Iterator[logging.Logger]:
    """Run a job's body with logging set up; it ends with its run, and with status 1 where it fails.

    A `PoolmapError` is logged as its message alone. Anything else is a fault of poolmap: the traceback goes
    to the log, and the message says where the log is. The last error in the log is what the run tells at its
    end (`poolmap.terminal`); only a job that is no part of a run shows it itself.

    Args:
        log_file: the job's log; it is written anew.
        title: what the job is, for messages ("sids / bym2, fit").
    """
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(log_file, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter(FORMAT))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    to_terminal.setFormatter(logging.Formatter(f"[{title}] %(message)s"))
    if LEADER in os.environ:
        to_terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal], force=True)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of each font in a PDF
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(to_file)
    logging.getLogger("py.warnings").propagate = False
    log = logging.getLogger("poolmap")
    try:
        follow()
        log.info("%s: begins", title)
        yield log
        log.info("%s: done", title)
    except PoolmapError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        logging.getLogger("poolmap.traceback").propagate = False
        to_file.stream.write(traceback.format_exc())
        last = traceback.format_exc().strip().splitlines()[-1]
        log.error("poolmap met an error that it did not foresee: %s\nThe details are in %s", last, log_file)
        sys.exit(1)
