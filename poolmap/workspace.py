"""The folder a run works in: one run at a time, no orphans of a killed run, within the machine's memory."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from poolmap.errors import PoolmapError

try:
    import fcntl
except ImportError:  # a system without file locks: two runs at a time are then the user's care
    fcntl = None

LARGEST_JOB_MB = 3500
RUN_LOCK = ".run.lock"
JOBS_LOCK = ".jobs.lock"
LEADER = "POOLMAP_LEADER"
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_FOR_ORPHANS = 20

_held: list[IO[str]] = []  # open until the process ends, and locked as long


def lead(folder: str | Path) -> None:
    """Make this process the leader of the one run that may work in a results folder.

    The kernel frees the lock with the process, so a killed run leaves none behind (Snakemake's own lock
    files stay, and would have to be removed by hand). Jobs of a killed run end by themselves (`follow`);
    they are waited for.

    Raises:
        PoolmapError: another run is working in the folder.
    """
    os.environ[LEADER] = f"{socket.gethostname()}:{os.getpid()}:{Path(folder).absolute()}"
    _held.extend(_lock(Path(folder, RUN_LOCK), shared=False, seconds=0))
    for file in _lock(Path(folder, JOBS_LOCK), shared=False, seconds=SECONDS_FOR_ORPHANS):
        file.close()


def follow() -> None:
    """Let this process, which runs one job, end with the leader of its run, however that ends.

    The leader is named in the environment. On another machine than the leader's (a cluster's node) this does
    nothing: there the scheduler ends jobs.
    """
    host, _, rest = os.environ.get(LEADER, "").partition(":")
    pid, _, folder = rest.partition(":")
    if host != socket.gethostname():
        return
    threading.Thread(target=_end_with, args=(int(pid),), daemon=True).start()
    _held.extend(_lock(Path(folder, JOBS_LOCK), shared=True, seconds=SECONDS_FOR_ORPHANS))


def _end_with(leader: int) -> None:
    import psutil

    while psutil.pid_exists(leader):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    for process in reversed(psutil.Process().children(recursive=True)):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(1)


def _lock(path: Path, *, shared: bool, seconds: float) -> list[IO[str]]:
    """Take a file's lock, waiting for it for some seconds; nothing where the file system has no locks."""
    if fcntl is None:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return [file]
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                remedy = "wait for it to end, or end it"
                raise PoolmapError(
                    f"Another run is working in {path.parent.resolve()}.\n    -> {remedy}"
                ) from None
            time.sleep(SECONDS_BETWEEN_LOOKS / 5)
        except OSError:
            file.close()
            return []


def prepare_scripts(root: str | Path, programs: Sequence[str]) -> None:
    """Let the scripts that Snakemake starts find this library, with this Python.

    Snakemake does not quote the path of the Python that it runs scripts with: it is written without blanks.

    Args:
        root: the project folder.
        programs: the Stan programs of the run that become executables, told to the toolchain's script.

    Raises:
        PoolmapError: the path has blanks even when seen from the working folder.
    """
    os.environ["POOLMAP_PROGRAMS"] = " ".join(programs)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    if any(c.isspace() for c in sys.executable):
        relative = os.path.relpath(sys.executable)
        if any(c.isspace() for c in relative):
            raise PoolmapError(
                f"Snakemake cannot run scripts with the Python in {sys.executable}: the path has a blank.\n"
                "    -> use the virtual environment that `make` puts into this folder"
            )
        sys.executable = relative


def memory_mb() -> int:
    """The machine's memory in MB, at least what the largest single job asks for."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(pages // 2**20, LARGEST_JOB_MB)
