"""Simulated surveys of the benchmarks of multilevel regression, and a fit of them by poolmap."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from measure import ROOT, cpu, import_poolmap, settings

import_poolmap()
sys.path.insert(0, str(ROOT / "tests/models"))

from mrp_data import analysis, dataset  # noqa: E402

from poolmap.config.base import Sampling  # noqa: E402
from poolmap.config.mrp import MrpAnalysis  # noqa: E402
from poolmap.contracts import Dataset, Quantity  # noqa: E402
from poolmap.families.mrp.effects import parts  # noqa: E402
from poolmap.families.mrp.links import binary  # noqa: E402
from poolmap.families.mrp.model import design_matrix, stan_data  # noqa: E402
from poolmap.families.mrp.parameters import contributions, parameters  # noqa: E402
from poolmap.families.mrp.poststratify import group_weights, poststratify  # noqa: E402
from poolmap.inference.checks import as_dicts, check_fit, failures  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.inference.summary import diagnostics  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

SETTINGS = settings("mrp")
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
    return _survey(OPINION, 1.3, OPINION_FORMULA, rng, persons)


def nation(rng: np.random.Generator, persons: int = 60_000) -> tuple[MrpAnalysis, Dataset]:
    """A national survey: 60,000 answers of 50 states, 6 ages, 2 sexes, 5 education, 4 ethnicity, 8 times."""
    return _survey(NATION, 3.0, NATION_FORMULA, rng, persons)


def terms(formula: str) -> list[list[str]]:
    """The variables of each batch of varying intercepts."""
    return [term.split(")")[0].split(":") for term in formula.split("(1 | ")[1:]]


def _survey(
    sizes: dict[str, int], evenness: float, formula: str, rng: np.random.Generator, persons: int
) -> tuple[MrpAnalysis, Dataset]:
    """Persons whose variables are independent, and a census of all combinations, of a hundred times as many.

    Cells with a level that the survey lacks are not in it.
    """
    shares = [rng.dirichlet(np.full(size, evenness)) for size in sizes.values()]
    people = pd.DataFrame(
        {
            name: rng.choice(size, persons, p=share)
            for (name, size), share in zip(sizes.items(), shares, strict=True)
        }
    )
    grid = np.meshgrid(*map(np.arange, sizes.values()), indexing="ij")
    census = pd.DataFrame({name: codes.ravel() for name, codes in zip(sizes, grid, strict=True)})
    expected = np.array([1.0])
    for share in shares:
        expected = np.multiply.outer(expected, share).ravel()
    census["count"] = rng.poisson(100 * persons * expected)
    census = census[census["count"] > 0].reset_index(drop=True)
    for frame in (people, census):
        frame["region"] = frame["state"] % 4
    spec = analysis(formula)
    eta = np.full(len(people), -0.3)
    for names in terms(formula):
        code = people.groupby(names).ngroup().to_numpy()
        eta += (0.25 + 0.1 * rng.standard_normal()) * rng.standard_normal(code.max() + 1)[code]
        seen = people[names].drop_duplicates()
        census = census.merge(seen, on=names)
    people["y"] = (rng.uniform(size=len(people)) < 1 / (1 + np.exp(-eta))).astype(int)
    return spec, dataset(spec, people, census.sort_values(list(sizes)).reset_index(drop=True))


def fit(spec: MrpAnalysis, data: Dataset, seed: int, chains: int, draws: int) -> dict[str, Any]:
    """One fit from the data to poststratified shares of the states and of all.

    Returns:
        Seconds of each part, the fewest effective samples, means with their Monte Carlo errors, and what of
        the parameters and these shares fails the gate.
    """
    program = compile_program(ROOT / "stan/mrp/mrp.stan", include_paths=[ROOT / "stan"])
    import cmdstanpy  # noqa: F401  its import is not sampling

    marks = [(cpu(), time.perf_counter())]
    given = stan_data(spec, "main", data)
    marks.append((cpu(), time.perf_counter()))
    how = brief(Sampling(chains=chains, draws=draws), given.whitened)
    cores = SETTINGS["cores"]
    found = sample(
        program.executable, given.data, given.parameters, how, seed=seed, cores=cores, whitened=True
    )
    marks.append((cpu(), time.perf_counter()))
    drawn = parts(spec, "main", data, found.posterior, np.random.default_rng(seed))
    census = data.tables["census"]
    x, counts = design_matrix(spec, "main", data, census), census["count"].to_numpy()
    groupings = [np.zeros(len(census), np.int64), census["state"].astype(int).to_numpy()]
    codes = {batch.level: census[batch.level].to_numpy() for batch in drawn.batches}
    estimates = poststratify(drawn, x, codes, group_weights(counts, groupings), binary())
    marks.append((cpu(), time.perf_counter()))
    seconds = np.diff(np.array(marks), axis=0)
    shape = (chains, draws)
    named = {name: found.posterior[name].to_numpy() for name in ("alpha", "sigma", "effect")}
    named["share"] = estimates.values[0].reshape(*shape, -1)
    keys = pd.DataFrame({"state": ["all", *range(named["share"].shape[2] - 1)]})
    quantities = [
        Quantity("state", "share", "share", named["share"], keys),
        *parameters("binary", drawn, [""], "y", shape),
        *contributions("binary", drawn, estimates.contributions, x, counts, [""], shape),
    ]
    checks = check_fit(quantities, found.sample_stats, how.max_treedepth)
    figures = {name: diagnostics(values) for name, values in named.items()}
    timed = ("prepare", "sample", "poststratify")
    return {
        **{f"cpu_{part}": float(seconds[i, 0]) for i, part in enumerate(timed)},
        **{f"wall_{part}": float(seconds[i, 1]) for i, part in enumerate(timed)},
        "effects": given.data["N"],
        "leapfrogs": float(found.sample_stats["n_steps"].mean()),
        "divergences": int(found.sample_stats["diverging"].sum()),
        "ess": {name: float(f["ess_bulk"].min()) for name, f in figures.items()},
        "ess_tail": {name: float(f["ess_tail"].min()) for name, f in figures.items()},
        "rhat": max(float(f["rhat"].max()) for f in figures.values()),
        "failed": failures({"checks": as_dicts(checks)}),
        "mean": {name: np.mean(values, axis=(0, 1)).tolist() for name, values in named.items()},
        "mcse": {
            name: (values.std(axis=(0, 1)) / np.sqrt(figures[name]["ess_bulk"])).tolist()
            for name, values in named.items()
        },
    }
