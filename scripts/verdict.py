"""The verdict on all fits: an error where one failed its checks and the config says to stop."""

from pathlib import Path

from poolmap.errors import PoolmapError
from poolmap.files import read_json, write_text
from poolmap.inference.checks import failures
from poolmap.logs import job

with job(snakemake.log[0], "checks"):
    failed = {path: failures(read_json(path)) for path in snakemake.input.checks}
    lines = [f"{Path(path).parent}: {'; '.join(f) or 'passed'}" for path, f in failed.items()]
    stop = [failed[path] for path, s in zip(snakemake.input.checks, snakemake.params.stop, strict=True) if s]
    if any(stop):
        raise PoolmapError(
            "A fit failed its checks; its results are stamped DO NOT USE in the report.\n"
            + "\n".join(lines)
            + "\n    -> follow the advice in the report, or set on_failed_checks: report"
        )
    write_text(snakemake.output[0], "\n".join(lines) + "\n")
