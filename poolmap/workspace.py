"""The folder a run works in: one run at a time, within the machine's memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from poolmap.errors import PoolmapError

LARGEST_JOB_MB = 3500


def lock_workspace(folder: str | Path) -> IO[str] | None:
    """Take the lock of a results folder until this process ends, however it ends.

    The kernel frees the lock with the process, so a killed run leaves none behind (Snakemake's own lock
    files stay, and have to be removed by hand).

    Returns:
        the open lock file, to be kept; None on file systems without locks.

    Raises:
        PoolmapError: another run is working in the folder.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    file = Path(folder, ".lock").open("a+")  # noqa: SIM115 (kept open for as long as the run lasts)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PoolmapError(
            f"Another run is working in {Path(folder).resolve()}.\n    -> wait for it to end, or end it"
        ) from None
    except OSError:
        return None
    return file


def memory_mb() -> int:
    """The machine's memory in MB, at least what the largest single job asks for."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(pages // 2**20, LARGEST_JOB_MB)
