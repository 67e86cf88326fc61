"""Simulated surveys of the benchmarks of multilevel regression, and a fit of them by poolmap."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/models")]

from mrp_data import analysis, dataset  # noqa: E402

from poolmap.config.base import Sampling  # noqa: E402
from poolmap.config.mrp import MrpAnalysis  # noqa: E402
from poolmap.contracts import Dataset  # noqa: E402
from poolmap.families.mrp.model import stan_data  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.inference.summary import diagnostics  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

OPINION = {"state": 51, "age": 6, "sex": 2, "edu": 5, "eth": 4}
OPINION_FORMULA = (
    "y ~ 1 + (1 | state) + (1 | region) + (1 | age) + (1 | edu) + (1 | eth) + (1 | age:edu) + (1 | sex:eth) "
    "+ (1 | edu:eth)"
)
NATION = {"state": 50, "age": 6, "sex": 2, "edu": 5, "eth": 4, "time": 8}
NATION_FORMULA = (
    "y ~ 1 + (1 | state) + (1 | age) + (1 | sex) + (1 | edu) + (1 | eth) + (1 | time) + (1 | state:age) "
    "+ (1 | state:time)"
)


def opinion(rng: np.random.Generator, persons: int = 5000) -> tuple[MrpAnalysis, Dataset]:
    """5,000 answers in about 1,600 cells; 8 batches of varying intercepts with 128 levels."""
    shares = [rng.dirichlet(np.full(size, 1.3)) for size in OPINION.values()]
    people = pd.DataFrame(
        {
            name: rng.choice(size, persons, p=share)
            for (name, size), share in zip(OPINION.items(), shares, strict=True)
        }
    )
    people["region"] = people["state"] % 4
    return _answered(people, OPINION_FORMULA, rng)


def nation(rng: np.random.Generator, persons: int = 60_000) -> tuple[MrpAnalysis, Dataset]:
    """A national survey: 60,000 answers of 50 states, 6 ages, 2 sexes, 5 education, 4 ethnicity, 8 times."""
    shares = [rng.dirichlet(np.full(size, 3.0)) for size in NATION.values()]
    people = pd.DataFrame(
        {
            name: rng.choice(size, persons, p=share)
            for (name, size), share in zip(NATION.items(), shares, strict=True)
        }
    )
    return _answered(people, NATION_FORMULA, rng)


def _answered(people: pd.DataFrame, formula: str, rng: np.random.Generator) -> tuple[MrpAnalysis, Dataset]:
    spec = analysis(formula)
    eta = np.full(len(people), -0.3)
    for term in formula.split("(1 | ")[1:]:
        names = term.split(")")[0].split(":")
        code = people.groupby(names).ngroup().to_numpy()
        eta += (0.25 + 0.1 * rng.standard_normal()) * rng.standard_normal(code.max() + 1)[code]
    people["y"] = (rng.uniform(size=len(people)) < 1 / (1 + np.exp(-eta))).astype(int)
    return spec, dataset(spec, people, people.drop(columns="y").drop_duplicates().assign(count=1))


def cpu() -> float:
    """CPU seconds so far of this process and of those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def fit(
    spec: MrpAnalysis, data: Dataset, seed: int, chains: int, draws: int, warmup: int | None = None
) -> dict[str, Any]:
    """One fit, with its seconds and the effective samples of alpha, each sigma and each effect."""
    program = compile_program(ROOT / "stan/mrp/mrp.stan", include_paths=[ROOT / "stan"])
    import cmdstanpy  # noqa: F401  its import is not sampling

    before, start = cpu(), time.perf_counter()
    given = stan_data(spec, "main", data)
    approximation = cpu() - before
    settings = brief(Sampling(chains=chains, draws=draws), given.whitened)
    if warmup:
        settings = settings.model_copy(update={"warmup": warmup})
    found = sample(
        program.executable, given.data, given.parameters, settings, seed=seed, cores=2, whitened=True
    )
    wall, spent = time.perf_counter() - start, cpu() - before
    named = {name: found.posterior[name].to_numpy() for name in ("alpha", "sigma", "effect")}
    figures = {name: diagnostics(values) for name, values in named.items()}
    return {
        "cells": len(data.tables["cells"]),
        "effects": given.data["N"],
        "factor": given.data["nnz"],
        "approximation": approximation,
        "wall": wall,
        "cpu": spent,
        "chains": sum(sum(chain[k] for k in ("warmup", "sampling")) for chain in found.seconds),
        "leapfrogs": float(found.sample_stats["n_steps"].mean()),
        "divergences": int(found.sample_stats["diverging"].sum()),
        "ess": {name: float(f["ess_bulk"].min()) for name, f in figures.items()},
        "ess_tail": {name: float(f["ess_tail"].min()) for name, f in figures.items()},
        "rhat": max(float(f["rhat"].max()) for f in figures.values()),
        "mean": {name: np.mean(values, axis=(0, 1)).tolist() for name, values in named.items()},
        "sd": {name: np.std(values, axis=(0, 1)).tolist() for name, values in named.items()},
    }
