"""The survey of mrp_problems.opinion in PyMC with nutpie; prints JSON. usage: mrp_pymc.py SEED DATA

DATA is a JSON file with `yes`, `n` and, for each batch, `level` by cell. Runs in .venv-bench.
"""

import json
import resource
import sys
import time
from pathlib import Path

import arviz as az
import numpy as np
import nutpie
import pymc as pm

CHAINS, WARMUP, DRAWS = 2, 500, 500


def main(seed: int, data: dict) -> dict:
    """Sample once, after compiling; seconds are of sampling, warm-up included."""
    level = [np.array(codes) for codes in data["level"]]
    with pm.Model() as model:
        alpha = pm.Normal("alpha", 0, 2.5)
        sigma = pm.HalfNormal("sigma", 1, shape=len(level))
        eta, effects = alpha, []
        for k, codes in enumerate(level):
            z = pm.Normal(f"z_{k}", shape=int(codes.max()) + 1)
            effects.append(sigma[k] * z)
            eta = eta + effects[k][codes]
        pm.Deterministic("effect", pm.math.concatenate(effects))
        pm.Binomial("y", np.array(data["n"]), logit_p=eta, observed=np.array(data["yes"]))
    start = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model)
    compiling = time.perf_counter() - start

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    before, start = cpu(), time.perf_counter()
    draws = nutpie.sample(
        compiled, chains=CHAINS, tune=WARMUP, draws=DRAWS, cores=2, seed=seed, progress_bar=False
    )
    wall, spent = time.perf_counter() - start, cpu() - before
    found = {name: draws.posterior[name].values for name in ("alpha", "sigma", "effect")}
    figures = {how: az.ess(draws, var_names=list(found), method=how) for how in ("bulk", "tail")}
    return {
        "compile": compiling,
        "wall": wall,
        "cpu": spent,
        "leapfrogs": float(draws.sample_stats["n_steps"].mean()),
        "divergences": int(draws.sample_stats["diverging"].sum()),
        "ess": {name: float(figures["bulk"][name].min()) for name in found},
        "ess_tail": {name: float(figures["tail"][name].min()) for name in found},
        "mean": {name: values.mean(axis=(0, 1)).tolist() for name, values in found.items()},
        "sd": {name: values.std(axis=(0, 1)).tolist() for name, values in found.items()},
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))))
