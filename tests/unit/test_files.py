"""Results are written whole; steps know the library files they use; one run at a time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from poolmap.errors import PoolmapError
from poolmap.files import whole_file, whole_folder, write_json
from poolmap.sources import source_files
from poolmap.workspace import lock_workspace


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
    root = Path(__file__).resolve().parents[2]
    for file in root.glob("poolmap/**/*.py"):
        assert "import snakemake" not in file.read_text(), file


def test_one_run_at_a_time_and_a_dead_one_frees_the_lock(tmp_path):
    code = (
        "import sys; from poolmap.workspace import lock_workspace; lock = lock_workspace(sys.argv[1]); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).resolve().parents[2]
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(PoolmapError, match="Another run"):
        lock_workspace(tmp_path)
    other.kill()
    other.wait()
    assert lock_workspace(tmp_path) is not None
