"""Simulation-based calibration of disease maps: `make sbc` (method: sbc.py).

The simulation shares no code with the models: areas' effects are drawn from dense covariance matrices, worked
out here. The map has two components (a grid of 4 x 4 areas and a chain of 5) and two islands.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sbc import ranks, run  # noqa: E402

from poolmap.config.areas import AreasAnalysis  # noqa: E402
from poolmap.config.base import Sampling  # noqa: E402
from poolmap.contracts import Dataset  # noqa: E402
from poolmap.families.areas.model import stan_data  # noqa: E402
from poolmap.graph.graph import Graph  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402
from poolmap.tables import exclusions  # noqa: E402

SIDE, CHAIN, ISLANDS = 4, 5, 2
N = SIDE * SIDE + CHAIN + ISLANDS
EXPECTED = np.geomspace(2, 40, N)[np.random.default_rng(0).permutation(N)]
MODELS = {"bym2": "bym2", "leroux": "leroux", "censored": "bym2"}
BELOW = 5  # counts from 1 to 4 are told as a range in the model `censored`


def graph() -> Graph:
    """The neighbours of the map."""
    edges = [(SIDE * i + j, SIDE * i + j + 1) for i in range(SIDE) for j in range(SIDE - 1)]
    edges += [(SIDE * i + j, SIDE * (i + 1) + j) for i in range(SIDE - 1) for j in range(SIDE)]
    first = SIDE * SIDE
    edges += [(first + i, first + i + 1) for i in range(CHAIN - 1)]
    return Graph.from_edges([f"a{i}" for i in range(N)], edges, "made by hand")


def effects(kind: str, sigma: float, rho: float, rng: np.random.Generator) -> np.ndarray:
    """Area effects drawn from the prior by dense linear algebra; islands have an unstructured effect."""
    laplacian = np.zeros((N, N))
    edges = np.asarray(graph().edges)
    for i, j in edges:
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    covariance = np.eye(N)
    for piece in (slice(0, SIDE * SIDE), slice(SIDE * SIDE, SIDE * SIDE + CHAIN)):
        part = laplacian[piece, piece]
        if kind == "leroux":  # Leroux, Lei & Breslow 2000
            covariance[piece, piece] = np.linalg.inv(rho * part + (1 - rho) * np.eye(len(part)))
        else:  # Riebler et al. 2016, each component scaled so that the geometric mean of its variances is 1
            structured = np.linalg.pinv(part)
            structured /= np.exp(np.log(np.diag(structured)).mean())
            covariance[piece, piece] = rho * structured + (1 - rho) * np.eye(len(part))
    return sigma * rng.multivariate_normal(np.zeros(N), covariance, method="eigh")


def analysis(name: str) -> AreasAnalysis:
    """The config of a model, with priors from which data can be simulated."""
    model = {
        "prior": MODELS[name],
        "alpha_prior": {"normal": [0, 0.5]},
        "sigma_prior": {"half_normal": 0.7},
        "rho_prior": {"beta": [1, 1]},
    }
    outcome = {"cases": "cases", "expected": "expected"}
    return AreasAnalysis.model_validate(
        {"family": "areas", "data": "-", "geometry": "-", "area": "area", "outcome": outcome,
         "interval": 0.95, "models": {name: model}}
    )  # fmt: skip


def replicate(name: str, number: int, executable: Path) -> dict[str, int]:
    """Ranks of the true values in one replicate."""
    rng = np.random.default_rng([20261121, list(MODELS).index(name), number])
    alpha, sigma, rho = rng.normal(0, 0.5), abs(rng.normal(0, 0.7)), rng.uniform()
    re = effects(MODELS[name], sigma, rho, rng)
    cases = rng.poisson(EXPECTED * np.exp(alpha + re)).astype(float)
    areas = pd.DataFrame({"area": [f"a{i}" for i in range(N)], "name": [f"a{i}" for i in range(N)]})
    areas["cases"], areas["expected"], areas["population"] = cases, EXPECTED, np.nan
    if name == "censored":
        hidden = (cases > 0) & (cases < BELOW)
        areas["at_least"], areas["at_most"] = np.where(hidden, 1, cases), np.where(hidden, BELOW - 1, cases)
        areas["cases"] = np.where(hidden, np.nan, cases)
    data = Dataset({"areas": areas, "covariates": areas[["area"]].copy()}, exclusions(), {}, None, graph())
    spec = analysis(name)
    given = stan_data(spec, name, data)
    settings = brief(Sampling(chains=4, draws=500), given.whitened)
    fit = sample(executable, given.data, given.parameters, settings, seed=number + 1, cores=2, whitened=True)
    posterior = {
        key: fit.posterior[key].to_numpy().reshape(4 * 500, -1) for key in ("alpha", "sigma", "rho", "re")
    }
    eta = posterior["alpha"] + posterior["re"]
    watched = {
        "alpha": (posterior["alpha"][:, 0], alpha),
        "sigma": (posterior["sigma"][:, 0], sigma),
        "rho": (posterior["rho"][:, 0], rho),
        "log RR, middle of the grid": (eta[:, 5], alpha + re[5]),
        "log RR, end of the chain": (eta[:, SIDE * SIDE], alpha + re[SIDE * SIDE]),
        "log RR, island": (eta[:, -1], alpha + re[-1]),
        # a quantity that depends on the data finds faults that parameters alone hide (Modrak et al. 2023)
        "log likelihood": (_log_likelihood(eta, areas), _log_likelihood((alpha + re)[None], areas)[0]),
    }
    return ranks(watched)


def _log_likelihood(eta: np.ndarray, areas: pd.DataFrame) -> np.ndarray:
    mean = EXPECTED * np.exp(eta)
    if "at_least" not in areas:
        return stats.poisson.logpmf(areas["cases"].to_numpy(), mean).sum(axis=1)
    low, high = areas["at_least"].to_numpy(), areas["at_most"].to_numpy()
    known = low == high
    exact = np.where(known, stats.poisson.logpmf(low, mean), 0.0)
    return (
        exact + np.where(known, 0, np.log(stats.poisson.cdf(high, mean) - stats.poisson.cdf(low - 1, mean)))
    ).sum(axis=1)


def main() -> None:
    """All replicates of all models."""
    executable = compile_program(ROOT / "stan/areas/areas.stan", include_paths=[ROOT / "stan"]).executable
    run("areas", list(MODELS), lambda name, number: replicate(name, number, executable))


if __name__ == "__main__":
    main()
