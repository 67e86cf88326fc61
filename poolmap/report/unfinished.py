"""Where a run does not come to its end: no outdated page passes for its result, and no good one is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from poolmap.config.load import Config
from poolmap.files import read_json, write_text
from poolmap.terminal import Failure, last_words

PAGE = "report.html"


def withdraw(paths: Iterable[str]) -> None:
    """Delete pages and logs that a run is about to make anew, so that none outlives a run that fails."""
    for path in set(paths):
        Path(path).unlink(missing_ok=True)


def close(folder: Path, config: Config, failures: Sequence[Failure]) -> str:
    """End a run that did not do everything: its index, and what it says last.

    A page that is still there is up to date, since those that the run was to make anew were withdrawn when
    it began. Where the run's own index is there (all is finished, but a fit failed its checks), it is left.

    Args:
        folder: the results folder.
        config: the run's config.
        failures: the steps that failed.

    Returns:
        the last words for the terminal.
    """
    pages = {path.parent.name for path in folder.glob(f"*/{PAGE}")}
    finished = [name for name in config.analyses if name in pages]
    missing = [name for name in config.analyses if name not in pages]
    if pages and not (folder / PAGE).exists():
        _write_index(folder, config, finished, sorted(pages - set(finished)), failures)
    return last_words(failures, finished, missing)


def _write_index(
    folder: Path, config: Config, finished: list[str], earlier: list[str], failures: Sequence[Failure]
) -> None:
    from poolmap.report.assemble import assemble_index
    from poolmap.report.content import Unfinished

    unfinished = Unfinished(
        missing=[(s.title, s.family) for name, s in config.analyses.items() if name not in finished],
        failures=[(failure.step, failure.message) for failure in failures],
        earlier=[(name, f"{name}/{PAGE}") for name in earlier],
    )
    summaries = [read_json(folder / name / "summary.json") for name in finished]
    write_text(folder / PAGE, assemble_index(config.title, summaries, folder, unfinished))
