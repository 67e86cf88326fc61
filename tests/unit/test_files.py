"""Results are written whole; steps know the library files they use; one run at a time."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from poolmap.errors import PoolmapError
from poolmap.files import whole_file, whole_folder, write_json
from poolmap.sources import source_files
from poolmap.workspace import follow, lead

ROOT = Path(__file__).resolve().parents[2]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "d") as part:
        (part / "x").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_whole_folder_takes_the_place_of_the_old(tmp_path):
    for content in "12":
        with whole_folder(tmp_path / "d") as part:
            (part / content).write_text(content)
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["2"]


def test_json_takes_numpy_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": np.arange(2), "y": np.float64(1.5), "p": Path("a")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [0, 1], "y": 1.5, "p": "a"}
    with pytest.raises(ValueError):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_source_files_follow_imports_also_inside_functions():
    files = source_files("poolmap.inference.fit")
    assert {"poolmap/inference/fit.py", "poolmap/inference/summary.py", "poolmap/stan/sample.py"} <= set(
        files
    )
    assert "poolmap/figures/style.py" not in files
    assert "poolmap/figures/style.py" in source_files("poolmap.figures.predictive")
    with pytest.raises(ModuleNotFoundError):
        source_files("poolmap.no_such_module")


def test_a_family_is_not_rerun_by_another():
    for family, other in [("meta", "areas"), ("areas", "mrp"), ("mrp", "meta")]:
        files = source_files(
            *(f"poolmap.families.{family}.{door}" for door in ("ingest", "model", "estimate"))
        )
        assert not any(f"families/{other}/" in file for file in files)


def test_the_library_knows_nothing_of_snakemake():
    for file in ROOT.glob("poolmap/**/*.py"):
        assert "import snakemake" not in file.read_text(), file


def process(call, folder, env=None):
    """Another process that calls a function of `workspace` and then waits."""
    code = (
        f"import sys; from poolmap.workspace import follow, lead; {call}; "
        "print('locked', flush=True); sys.stdin.read()"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert started.stdout.readline() == "locked\n"
    return started


@pytest.fixture
def restored_environment(monkeypatch):
    monkeypatch.setenv("POOLMAP_LEADER", "")


def test_one_run_at_a_time_and_a_dead_one_frees_the_lock(tmp_path, restored_environment):
    other = process("lead(sys.argv[1])", tmp_path)
    with pytest.raises(PoolmapError, match="Another run"):
        lead(tmp_path)
    other.kill()
    other.wait()
    lead(tmp_path)


def test_a_job_ends_with_its_leader_and_the_next_leader_waits_for_it(tmp_path, restored_environment):
    leader = process("lead(sys.argv[1])", tmp_path)
    named = f"{socket.gethostname()}:{leader.pid}:{tmp_path}"
    job = process("follow()", tmp_path, {"POOLMAP_LEADER": named})
    assert job.poll() is None
    leader.kill()
    leader.wait()
    lead(tmp_path)
    assert job.poll() == 1


def test_a_job_on_another_machine_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("POOLMAP_LEADER", f"elsewhere:1:{tmp_path}")
    follow()
    assert not (tmp_path / ".jobs.lock").exists()
