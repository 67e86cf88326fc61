"""What both parts of `make bench` share; imports nothing that one of the two environments lacks."""

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNS = max(int(os.environ.get("RUNS", "5")), 2)
MANY = 4
"""By how many Monte Carlo standard errors two samplers of one posterior may differ."""


def settings(part: str) -> dict:
    """The model, its priors and the number of iterations, which both programs read."""
    return json.loads((HERE / f"{part}.json").read_text())


def environment(**variables: str) -> dict[str, str]:
    """That of this process and further variables; a chain has one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", **variables}


def run(*command: str, **variables: str) -> dict:
    """The JSON that a command prints last; with further environment variables."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment(**variables)
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu(*whose: int) -> float:
    """CPU seconds so far of this process and of those that it started and that have ended, or of one of the
    two (`resource.RUSAGE_SELF`, `resource.RUSAGE_CHILDREN`)."""
    used = [resource.getrusage(who) for who in whose or (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def with_range(values: list[float], digits: int = 2) -> str:
    """Median and range in words."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def cells(label: str, values: list[str], first: int = 24, width: int = 28) -> str:
    """A line of a table."""
    return f"{label:{first}}" + "".join(f"{value:>{width}}" for value in values)


def import_poolmap() -> None:
    """Let the programs of poolmap's own environment import it."""
    sys.path.insert(0, str(ROOT))
