"""The survey of mrp_problems.opinion by PyMC or bambi, with nutpie.

Usage: mrp_pymc.py FORM SEED CHAINS DRAWS DATA

FORM is `pymc`, a model written by hand, or `bambi`, by its formula. DATA is JSON: `cells` and `census`,
columns by name; `batches`, the variables of each batch of varying intercepts; `area`. Prints JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm
from measure import cpu, settings

SETTINGS = settings("mrp")
AT_ONCE = 1000


class ByHand:
    """Varying intercepts, non-centred, in PyMC; poststratified by numpy."""

    def __init__(self, data: dict) -> None:
        self.cells, self.census = pd.DataFrame(data["cells"]), pd.DataFrame(data["census"])
        self.batches = [":".join(batch) for batch in data["batches"]]
        both = pd.concat([self.cells, self.census], keys=["cells", "census"])
        self.level = {}
        for name, batch in zip(self.batches, data["batches"], strict=True):
            code = both.groupby(batch).ngroup()
            self.level[name] = {part: code[part].to_numpy() for part in ("cells", "census")}
        with pm.Model() as self.model:
            alpha = pm.Normal("alpha", 0, 2.5)
            sigma = pm.HalfNormal("sigma", 1, shape=len(self.batches))
            eta = alpha
            for k, (name, codes) in enumerate(self.level.items()):
                z = pm.Normal(f"z_{name}", shape=int(codes["census"].max()) + 1)
                effect = pm.Deterministic(name, sigma[k] * z)
                eta = eta + effect[codes["cells"]]
            pm.Binomial("y", self.cells["n"].to_numpy(), logit_p=eta, observed=self.cells["yes"].to_numpy())

    def named(self, posterior) -> dict[str, np.ndarray]:
        effects = [posterior[name].values for name in self.batches]
        return {
            "alpha": posterior["alpha"].values,
            "sigma": posterior["sigma"].values,
            "effect": np.concatenate(effects, axis=-1),
        }

    def shares(self, draws) -> np.ndarray:
        """(chain, draw, cells of the census)"""
        posterior = draws.posterior
        eta = posterior["alpha"].values[..., None]
        for name in self.batches:
            eta = eta + posterior[name].values[..., self.level[name]["census"]]
        return 1 / (1 + np.exp(-eta))


class ByFormula(ByHand):
    """The same by bambi: its formula and its predictions."""

    def __init__(self, data: dict) -> None:
        import bambi as bmb

        self.cells, self.census = pd.DataFrame(data["cells"]), pd.DataFrame(data["census"])
        self.batches = [f"1|{':'.join(batch)}" for batch in data["batches"]]
        varying = bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=1))
        priors = {"Intercept": bmb.Prior("Normal", mu=0, sigma=2.5)} | dict.fromkeys(self.batches, varying)
        factors = sorted({name for batch in data["batches"] for name in batch})
        self.cells[factors] = self.cells[factors].astype(str)
        self.census[factors] = self.census[factors].astype(str)
        formula = f"p(yes, n) ~ 1 + {' + '.join(f'({batch})' for batch in self.batches)}"
        self.bambi = bmb.Model(formula, self.cells, family="binomial", priors=priors)
        self.bambi.build()
        self.model = self.bambi.backend.model

    def named(self, posterior) -> dict[str, np.ndarray]:
        sigmas = [posterior[f"{name}_sigma"].values for name in self.batches]
        return {
            "alpha": posterior["Intercept"].values,
            "sigma": np.stack(sigmas, axis=-1),
            "effect": np.concatenate([posterior[name].values for name in self.batches], axis=-1),
        }

    def shares(self, draws) -> np.ndarray:
        given, found = self.census.assign(n=1, yes=0), []
        for start in range(0, len(given), AT_ONCE):  # all at once they did not fit into memory
            block = given.iloc[start : start + AT_ONCE]
            predicted = self.bambi.predict(draws, kind="response_params", data=block, inplace=False)
            found.append(predicted.posterior["p"].values)
        return np.concatenate(found, axis=-1)


def main(form: str, seed: int, chains: int, draws: int, data: dict) -> dict:
    """Build, compile, sample and poststratify once, each with its seconds; imports are not counted."""
    marks = [(cpu(resource.RUSAGE_SELF), time.perf_counter())]

    def mark() -> None:
        marks.append((cpu(resource.RUSAGE_SELF), time.perf_counter()))

    peer = {"pymc": ByHand, "bambi": ByFormula}[form](data)
    compiled = nutpie.compile_pymc_model(peer.model)
    mark()
    how = {"chains": chains, "cores": SETTINGS["cores"], "progress_bar": False, "save_warmup": False}
    found = nutpie.sample(compiled, tune=SETTINGS["tune"], draws=draws, seed=seed, **how)
    mark()
    shares = peer.shares(found)
    area, count = peer.census[data["area"]].astype(int), peer.census["count"].to_numpy(dtype=float)
    weights = np.zeros((len(count), area.max() + 2))
    weights[:, 0] = count
    weights[np.arange(len(count)), area + 1] = count
    estimates = shares @ (weights / weights.sum(axis=0))
    mark()
    seconds = np.diff(np.array(marks), axis=0)
    named = peer.named(found.posterior) | {"share": estimates}
    arrays = az.convert_to_dataset(named)
    ess, tail = (az.ess(arrays, method=method) for method in ("bulk", "tail"))
    rhat = az.rhat(arrays)
    return {
        **{f"cpu_{part}": seconds[i, 0] for i, part in enumerate(("prepare", "sample", "poststratify"))},
        **{f"wall_{part}": seconds[i, 1] for i, part in enumerate(("prepare", "sample", "poststratify"))},
        "leapfrogs": float(found.sample_stats["n_steps"].mean()),
        "divergences": int(found.sample_stats["diverging"].sum()),
        "ess": {name: float(ess[name].min()) for name in named},
        "ess_tail": {name: float(tail[name].min()) for name in named},
        "rhat": max(float(rhat[name].max()) for name in named),
        "mean": {name: values.mean(axis=(0, 1)).tolist() for name, values in named.items()},
        "mcse": {
            name: (values.std(axis=(0, 1)) / np.sqrt(ess[name].values)).tolist()
            for name, values in named.items()
        },
    }


if __name__ == "__main__":
    form, seed, chains, draws, path = sys.argv[1:]
    print(json.dumps(main(form, int(seed), int(chains), int(draws), json.loads(Path(path).read_text()))))
