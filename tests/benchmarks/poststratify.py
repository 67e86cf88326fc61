"""Poststratification of a large census: time and memory, by blocks and all at once.

`python tests/benchmarks/poststratify.py` measures 1,000,000 cells x 4,000 draws into 3,000 groups, and, at a
size where it fits, the same by blocks, in single precision, against the matrix of all cells and draws. Each
measurement is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
AREAS, SUBGROUPS = 500, 6
LEVELS = {"area": AREAS, "group": SUBGROUPS, "age": 10, "education": 6, "sex": 2}
CROSSED = [("age", "group"), ("group", "education"), ("sex", "education")]
WHOLE = {"cells": 1_000_000, "draws": 4_000}
FITTING = {"cells": 100_000, "draws": 400}


def problem(cells: int, draws: int):
    """A census sorted by area, and parts of a model of 8 batches, one predictor and a varying slope."""
    from poolmap.families.mrp.parts import Batch, Parts
    from poolmap.families.mrp.poststratify import group_weights

    rng = np.random.default_rng(1)
    code = {name: rng.integers(0, size, cells, dtype=np.int32) for name, size in LEVELS.items()}
    code["area"].sort()
    sizes = dict(LEVELS)
    for first, second in CROSSED:
        name = f"{first}:{second}"
        code[name], sizes[name] = code[first] * LEVELS[second] + code[second], LEVELS[first] * LEVELS[second]

    def batch(name: str) -> Batch:
        columns = (-1, 0) if name == "group" else (-1,)
        effects = rng.normal(0, 0.3, (draws, sizes[name], len(columns), 1)).astype(np.float32)
        return Batch(name, columns, lambda some: effects[some])

    parts = Parts(rng.normal(size=(draws, 1)), rng.normal(size=(draws, 1, 1)), [batch(n) for n in sizes])
    x = rng.normal(size=(cells, 1)).astype(np.float32)
    count = rng.integers(1, 500, cells)
    groups = code["area"].astype(np.int64) * SUBGROUPS + code["group"]
    return parts, x, code, group_weights(count, [np.zeros(cells, np.int64), code["area"], groups])


def streamed(cells: int, draws: int) -> np.ndarray:
    """By blocks: the estimates (draws, groups)."""
    from poolmap.families.mrp.links import binary
    from poolmap.families.mrp.poststratify import poststratify

    return poststratify(*problem(cells, draws), binary(), small=0).values[0]


def at_once(cells: int, draws: int) -> np.ndarray:
    """The matrix of all cells and draws."""
    parts, x, code, weights = problem(cells, draws)
    eta = parts.alpha.T + x @ parts.beta[:, :, 0].T
    for batch in parts.batches:
        effects = batch.draw(slice(0, draws))[..., 0]
        for j, column in enumerate(batch.columns):
            eta += effects[:, :, j].T[code[batch.level]] * (x[:, [column]] if column >= 0 else 1)
    return (weights @ (1 / (1 + np.exp(-eta)))).T


def measure(how: str, sizes: dict[str, int]) -> dict[str, float]:
    """Wall and CPU seconds and peak memory (GB) of one way, in its own process, with making the data."""
    code = (
        "import sys, json; sys.path[:0] = sys.argv[1:3]; import poststratify as here; "
        "print(json.dumps(here.measured(sys.argv[3], json.loads(sys.argv[4]))))"
    )
    here = str(Path(__file__).parent)
    found = subprocess.run(
        [sys.executable, "-c", code, here, str(ROOT), how, json.dumps(sizes)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(found.stdout)


def measured(how: str, sizes: dict[str, int]) -> dict[str, float]:
    """The same in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    total = {"streamed": streamed, "at_once": at_once}[how](**sizes)[:, 0]
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "total": float(total.mean()),
    }


def main() -> None:
    """Measure and print."""
    whole = measure("streamed", WHOLE)
    print(f"1,000,000 cells x 4,000 draws into 3,000 groups: {told(whole)}")
    blocks, matrix = measure("streamed", FITTING), measure("at_once", FITTING)
    print(f"100,000 cells x 400 draws, by blocks: {told(blocks)}")
    print(f"the same, all at once: {told(matrix)}")
    print(
        f"all at once against by blocks: {matrix['cpu'] / blocks['cpu']:.1f} times the CPU time, "
        f"{matrix['memory'] / blocks['memory']:.1f} times the memory; "
        f"the totals differ by {abs(matrix['total'] - blocks['total']):.1g}"
    )


def told(found: dict[str, float]) -> str:
    """Time and memory in words."""
    return f"{found['wall']:.1f} s, {found['cpu']:.1f} CPU s, {found['memory']:.2f} GB"


if __name__ == "__main__":
    main()
