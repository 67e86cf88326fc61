"""A project of its own for each test: the repository's files, linked or copied, in a folder with a space."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["Snakefile", "workflow", "scripts", "poolmap", "stan", "profiles", "resources", "config"]
# enough for the gate, few enough to be quick
QUICK = {"sampling": {"chains": 4, "warmup": 500, "draws": 750, "adapt_delta": 0.95}}


def told_last(output: str) -> str:
    """What a run that failed says after its machinery: the messages of what went wrong, and nothing else."""
    noise = [
        "Traceback",
        "Error in rule",
        "RuleException",
        "CalledProcessError",
        "WorkflowError",
        "Snakefile",
    ]
    assert not [word for word in noise if word in output], output
    return output.rpartition("The same command goes on from here.\n\n")[2]


class Project:
    """A project folder and the command that a user types in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        command = [".venv/bin/python", "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **(env or {})}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit code and all output of one run."""
        process = self.start(*arguments, env=env)
        output, _ = process.communicate(timeout=1200)
        return process.returncode, output

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def results(self, pattern: str = "**/estimates/*") -> dict[str, bytes]:
        """The content of result files, by path."""
        found = sorted((self.folder / "results").glob(pattern))
        return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in found if p.is_file()}


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """What tells the result files of two runs apart, a line a file."""
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    both = sorted(found.keys() & expected.keys())
    return lines + [f"{path}: other content" for path in both if found[path] != expected[path]]


def make_project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    return Project(folder)
