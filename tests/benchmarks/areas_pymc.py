"""The same maps by PyMC and nutpie. Usage: areas_pymc.py AREAS DATA

DATA is what `areas_poolmap.py` wrote; the standard input and output are as there. Runs in .venv-bench.
"""

import json
import resource
import sys
import time

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
from measure import cpu, settings

SETTINGS = settings("areas")


def bym2(data: dict[str, np.ndarray]) -> pm.Model:
    """BYM2 of Riebler et al. 2016, non-centred; the field sums to zero exactly and has one density for each
    pair of neighbours.

    Of the forms tried the one that gives nutpie most effective samples a CPU second (docs/benchmarks.md).
    """
    first, second = data["edges"].T
    priors, n = SETTINGS["priors"], len(data["cases"])
    with pm.Model() as model:
        alpha = pm.Normal("alpha", *priors["alpha"]["normal"])
        sigma = pm.HalfNormal("sigma", priors["sigma"]["half_normal"])
        rho = pm.Beta("rho", *priors["rho"]["beta"])
        theta = pm.Normal("theta", 0, 1, shape=n)
        phi = pm.ZeroSumNormal("phi", 1, shape=n)
        differences = pt.sum(pt.square(phi[first] - phi[second]))
        pm.Potential(
            "icar", -0.5 * differences + 0.5 * pt.sum(pt.square(phi))
        )  # in place of the normal density
        effects = pt.sqrt(1 - rho) * theta + pt.sqrt(rho / float(data["scaling"])) * phi
        eta = pm.Deterministic("log_rr", alpha + sigma * effects)
        pm.Poisson("cases", data["expected"] * pt.exp(eta), observed=data["cases"])
    return model


def main(n: int, data: str) -> None:
    """Compile, then sample for each line of the standard input."""
    size = SETTINGS["sizes"][str(n)]
    how = {"chains": SETTINGS["chains"], "cores": SETTINGS["cores"], "progress_bar": False}
    start = time.perf_counter()
    compiled = nutpie.compile_pymc_model(bym2(dict(np.load(data))))
    print(json.dumps({"ready": True, "compile": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        seed, place = line.split()
        before, start = cpu(resource.RUSAGE_SELF), time.perf_counter()
        fit = nutpie.sample(
            compiled,
            tune=size["pymc_tune"],
            draws=size["pymc_draws"],
            seed=int(seed),
            save_warmup=False,
            **how,
        )
        wall, spent = time.perf_counter() - start, cpu(resource.RUSAGE_SELF) - before
        of = {name: fit.posterior[name].to_numpy() for name in ("alpha", "sigma", "rho", "log_rr")}
        np.save(place, np.concatenate([x.reshape(*x.shape[:2], -1) for x in of.values()], axis=2))
        told = {
            "wall": wall,
            "cpu": spent,
            "prepared": 0.0,
            "divergences": int(fit.sample_stats["diverging"].sum()),
            "steps": float(fit.sample_stats["n_steps"].mean()),
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
