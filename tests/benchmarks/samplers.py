"""Effective draws per CPU second of Stan's own sampler and of nutpie, on poolmap's programs.

    .venv/bin/python tests/benchmarks/samplers.py [rounds] [case ...]

Alternating runs, each with the settings and the data that the pipeline would use; the median of the rounds.
CPU time is that of the whole call: warm-up, sampling and reading the draws. The figure is of the slowest of
all reported quantities.
"""

from __future__ import annotations

import resource
import statistics
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from poolmap.config import load_config  # noqa: E402
from poolmap.config.base import Sampling  # noqa: E402
from poolmap.families import door  # noqa: E402
from poolmap.graph.adjacency import build_graph  # noqa: E402
from poolmap.graph.geometry import read_geometry  # noqa: E402
from poolmap.inference.checks import check_fit  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

CASES = ("eight_schools", "bcg", "sids_1974", "awards")  # of config/config.yaml, with the first model of each


def cpu() -> float:
    """CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def ready(name):
    """A case's Stan data, its reported quantities given draws, and its compiled programs."""
    spec = load_config(ROOT / "config/config.yaml", check_files=False).analyses[name]
    model = next(iter(spec.models))
    data = door(spec.family, "ingest")(spec)
    if spec.has_graph:
        data.graph = build_graph(read_geometry(spec.geometry, spec.geometry_area or spec.area), spec.graph)
    given = door(spec.family, "stan_data")(spec, model, data)
    program = ROOT / f"stan/{spec.program(model)}.stan"
    files = {
        sampler: compile_program(program, include_paths=[ROOT / "stan"], library=sampler == "nutpie")
        for sampler in ("stan", "nutpie")
    }

    def reported(posterior):
        return door(spec.family, "estimate")(spec, model, data, posterior, np.random.default_rng(1))

    return given, reported, {sampler: compiled.executable for sampler, compiled in files.items()}


def run(given, reported, executable, sampler, seed):
    """Effective draws (bulk, tail) per CPU second, CPU seconds, divergences, leapfrog steps a draw."""
    settings = Sampling(sampler=sampler)
    if given.whitened:
        settings = brief(settings, given.whitened)
    before = cpu()
    how = {"seed": seed, "cores": 2, "whitened": bool(given.whitened)}
    draws = sample(executable, given.data, given.parameters, settings, **how)
    seconds = cpu() - before
    stats = draws.sample_stats
    checks = check_fit(reported(draws.posterior), stats, settings.max_treedepth)
    worst = {check.name: check.worst for check in checks}
    return (
        worst["ess_bulk"] / seconds,
        worst["ess_tail"] / seconds,
        seconds,
        stats["diverging"].sum(),
        stats["n_steps"].mean(),
    )


def main() -> None:
    """Prints a line for each case and sampler."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("case  sampler  bulk/s  tail/s  cpu_s  divergent  steps")
    for name in sys.argv[2:] or CASES:
        given, reported, executables = ready(name)
        for sampler, file in executables.items():
            run(given, reported, file, sampler, 1)  # imports, and files from the disk
        found = {sampler: [] for sampler in executables}
        for number in range(rounds):
            for sampler, file in executables.items():
                found[sampler].append(run(given, reported, file, sampler, 100 + number))
        for sampler, runs in found.items():
            middle = [statistics.median(column) for column in zip(*runs, strict=True)]
            print(name, sampler, *(f"{value:.4g}" for value in middle), flush=True)


if __name__ == "__main__":
    main()
