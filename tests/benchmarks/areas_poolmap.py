"""Maps with known truth, and fits of them by poolmap. Usage: areas_poolmap.py AREAS OUTPUT

Writes the map to OUTPUT (`areas_pymc.py` reads it), then samples once for each line SEED DRAWS on its
standard input: the draws go to the file DRAWS, a line of JSON to the standard output.
"""

import json
import sys
import time

import numpy as np
from measure import ROOT, cpu, import_poolmap, settings

import_poolmap()

from poolmap.graph.elimination import laplacian  # noqa: E402
from poolmap.graph.graph import Graph  # noqa: E402
from poolmap.graph.scaling import factorise  # noqa: E402

SETTINGS = settings("areas")


def made_map(n: int) -> tuple[Graph, np.ndarray, np.ndarray]:
    """A planar graph (Delaunay's triangles of random points), expected counts, and counts of the BYM2 model.

    The ICAR field is drawn with one area held at 0, where its precision has a Cholesky factor, and then
    centred: it is the same field, since only differences between neighbours have a distribution.
    """
    from scipy.sparse.linalg import spsolve_triangular
    from scipy.spatial import Delaunay

    rng = np.random.default_rng([SETTINGS["seed"], n])
    corners = Delaunay(rng.uniform(size=(n, 2))).simplices
    edges = np.vstack([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    graph = Graph.from_edges([f"a{i}" for i in range(n)], edges, "corners of one triangle")
    factor = factorise(laplacian(n, graph.edges)[1:][:, 1:].tocsc())
    noise = rng.normal(size=n - 1) / np.sqrt(factor.U.diagonal())
    phi = np.zeros(n)
    phi[1:] = spsolve_triangular(factor.L.T.tocsr(), noise, lower=False)[factor.perm_c]
    phi = (phi - phi.mean()) / np.sqrt(graph.scaling[0])
    truth, of_expected = SETTINGS["truth"], SETTINGS["expected"]
    theta = rng.normal(size=n)
    expected = rng.lognormal(np.log(of_expected["median"]), of_expected["log_sd"], size=n)
    effects = np.sqrt(1 - truth["rho"]) * theta + np.sqrt(truth["rho"]) * phi
    return graph, expected, rng.poisson(expected * np.exp(truth["alpha"] + truth["sigma"] * effects))


def main(n: int, output: str) -> None:
    """Make the map, then fit it for each line of the standard input."""
    import pandas as pd

    from poolmap.config.areas import AreasAnalysis
    from poolmap.config.base import Sampling
    from poolmap.contracts import Dataset
    from poolmap.families.areas.model import stan_data
    from poolmap.inference.fit import brief
    from poolmap.stan.compile import compile_program
    from poolmap.stan.sample import sample
    from poolmap.tables import exclusions

    graph, expected, cases = made_map(n)
    np.savez(output, edges=graph.edges, scaling=graph.scaling[0], expected=expected, cases=cases)
    names = list(graph.areas)
    areas = pd.DataFrame({"area": names, "name": names, "cases": cases.astype(float), "expected": expected})
    areas["population"] = np.nan
    data = Dataset({"areas": areas, "covariates": areas[["area"]].copy()}, exclusions(), {}, None, graph)
    spec = AreasAnalysis.model_validate(
        {
            "family": "areas",
            "data": "-",
            "geometry": "-",
            "area": "area",
            "outcome": {"cases": "cases", "expected": "expected"},
            "interval": 0.95,
            "models": {"bym2": {f"{name}_prior": prior for name, prior in SETTINGS["priors"].items()}},
        }
    )
    program = compile_program(ROOT / "stan/areas/areas.stan", include_paths=[ROOT / "stan"])
    import cmdstanpy  # noqa: F401  its import is not sampling

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        seed, place = line.split()
        before, start = cpu(), time.perf_counter()
        given = stan_data(spec, "bym2", data)  # the coordinates found here stand in for a part of the warm-up
        prepared = cpu() - before
        sampling = brief(
            Sampling(chains=SETTINGS["chains"], draws=SETTINGS["sizes"][str(n)]["poolmap_draws"]),
            given.whitened,
        )
        fit = sample(
            program.executable,
            given.data,
            given.parameters,
            sampling,
            seed=int(seed),
            cores=SETTINGS["cores"],
            whitened=True,
        )
        wall, spent = time.perf_counter() - start, cpu() - before
        of = {name: fit.posterior[name].to_numpy() for name in ("alpha", "sigma", "rho", "re")}
        of = {name: x.reshape(*x.shape[:2], -1) for name, x in of.items()}
        np.save(place, np.concatenate([of["alpha"], of["sigma"], of["rho"], of["alpha"] + of["re"]], axis=2))
        told = {
            "wall": wall,
            "cpu": spent,
            "prepared": prepared,
            "divergences": int(fit.sample_stats["diverging"].sum()),
            "steps": float(fit.sample_stats["n_steps"].mean()),
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
