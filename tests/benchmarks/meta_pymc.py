"""The same fit in PyMC, by its own NUTS or by nutpie; prints JSON. Usage: meta_pymc.py pymc|nutpie SEED DATA

DATA is a JSON file with the log risk ratios `yi` and standard errors `se`. Runs in .venv-bench.
"""

import json
import resource
import sys
import time
from pathlib import Path

import arviz as az
import numpy as np
import pymc as pm
import xarray
from measure import cpu, settings

SETTINGS = settings("meta")
HOW = {"chains": SETTINGS["chains"], "tune": SETTINGS["warmup"], "draws": SETTINGS["draws"]}


def figures(of: xarray.Dataset) -> dict[str, float]:
    """A number for each parameter."""
    return {str(name): of[name].item() for name in of.data_vars}


def main(sampler: str, seed: int, data: dict) -> dict:
    """Sample once, after compiling; seconds are of sampling, warm-up included."""
    yi, variance = np.array(data["yi"]), np.square(data["se"])
    with pm.Model() as model:
        mu = pm.Normal("mu", *SETTINGS["mu_prior"]["normal"])
        tau = pm.HalfCauchy("tau", SETTINGS["tau_prior"]["half_cauchy"])
        pm.Normal("y", mu, pm.math.sqrt(variance + tau**2), observed=yi)
    if sampler == "nutpie":
        import nutpie

        start = time.perf_counter()
        compiled = nutpie.compile_pymc_model(model)
        compiling = time.perf_counter() - start
        before, start = cpu(resource.RUSAGE_SELF), time.perf_counter()
        draws = nutpie.sample(compiled, **HOW, cores=SETTINGS["cores"], seed=seed, progress_bar=False)
        wall, spent = time.perf_counter() - start, cpu(resource.RUSAGE_SELF) - before
    else:
        quiet = {"progressbar": False, "compute_convergence_checks": False, "cores": SETTINGS["cores"]}
        with model:
            start = time.perf_counter()
            pm.sample(draws=1, tune=1, chains=2, random_seed=seed, **quiet)  # the C code is now in the cache
            compiling = time.perf_counter() - start
            before = cpu(resource.RUSAGE_CHILDREN)
            draws = pm.sample(**HOW, random_seed=seed, **quiet)
        # of the chains alone: what PyMC does before and after them in its own process is not counted
        wall, spent = draws.posterior.attrs["sampling_time"], cpu(resource.RUSAGE_CHILDREN) - before
    found = {name: draws.posterior[name].values for name in ("mu", "tau")}
    return {
        "compile": compiling,
        "wall": wall,
        "cpu": spent,
        "ess": figures(az.ess(draws, var_names=list(found), method="bulk")),
        "mean": {name: float(x.mean()) for name, x in found.items()},
        "mcse": figures(az.mcse(draws, var_names=list(found), method="mean")),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()))))
