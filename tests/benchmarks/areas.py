"""Disease maps: poolmap against PyMC with nutpie on the same BYM2 model, by the number of areas."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import HERE, MANY, RUNS, cells, environment, import_poolmap, settings, with_range
from scipy import stats

import_poolmap()

from poolmap.inference.checks import MAX_RHAT, MIN_ESS  # noqa: E402
from poolmap.inference.convergence import convergence  # noqa: E402

SETTINGS = settings("areas")
PARAMETERS = ("alpha", "sigma", "rho")
RATES = {
    "bulk ESS a CPU second": ("bulk", "cpu"),
    "tail ESS a CPU second": ("tail", "cpu"),
    "bulk ESS a second": ("bulk", "wall"),
    "tail ESS a second": ("tail", "wall"),
}


class Worker:
    """A program that stays: it compiles once and samples whenever it is told to."""

    def __init__(self, *command: str) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, **pipes, text=True, env=environment())
        self.started = self._answer()

    def sample(self, seed: int, place: Path) -> dict:
        """Figures of one run, with those of its draws."""
        self._process.stdin.write(f"{seed} {place}\n")
        self._process.stdin.flush()
        result = self._answer()
        draws = np.load(place)
        place.unlink()
        return result | figures(draws)

    def end(self) -> None:
        """Let the program end."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self._process.args} ended with code {self._process.wait()}")


def figures(draws: np.ndarray) -> dict:
    """Of draws (chain, draw, quantity) of alpha, sigma, rho and the log relative risks: what the slowest
    quantity gives, and means with their errors."""
    found = convergence(draws)
    names = [*PARAMETERS, *("log RR" for _ in range(draws.shape[2] - len(PARAMETERS)))]
    return {
        "bulk": float(found["ess_bulk"].min()),
        "tail": float(found["ess_tail"].min()),
        "slowest": names[int(np.minimum(found["ess_bulk"], found["ess_tail"]).argmin())],
        "rhat": float(found["rhat"].max()),
        "mean": draws.mean(axis=(0, 1)),
        "mcse": found["mcse"],
    }


def passes(result: dict) -> bool:
    """The criteria of poolmap's gate."""
    ess = min(result["bulk"], result["tail"])
    return result["rhat"] <= MAX_RHAT and ess >= MIN_ESS and not result["divergences"]


def apart(ours: list[dict], theirs: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Differences of the posterior means in Monte Carlo standard errors, and how large each may be.

    The error is the larger of that worked out from the draws and that seen between the runs: chains that have
    not found the whole posterior do not know their own. Of many areas one lies further out by chance, and the
    bound for them is that which all keep as often as one quantity keeps to 4.
    """
    errors = []
    for runs in (ours, theirs):
        within = np.square([r["mcse"] for r in runs]).sum(axis=0) / len(runs) ** 2
        errors.append(np.maximum(within, np.var([r["mean"] for r in runs], axis=0, ddof=1) / len(runs)))
    gap = np.mean([r["mean"] for r in ours], axis=0) - np.mean([r["mean"] for r in theirs], axis=0)
    areas = len(gap) - len(PARAMETERS)
    bound = np.full(len(gap), float(MANY))
    bound[len(PARAMETERS) :] = stats.norm.isf(stats.norm.sf(MANY) / areas)
    return np.abs(gap) / np.sqrt(sum(errors)), bound


def table(n: str, ours: list[dict], theirs: list[dict]) -> None:
    """Print what was found at one size."""
    size = SETTINGS["sizes"][n]
    print(f"\n{n} areas: poolmap 200 + {size['poolmap_draws']},", end=" ")
    print(f"nutpie {size['pymc_tune']} + {size['pymc_draws']} iterations in each of four chains")
    print(cells("", ["poolmap", "PyMC and nutpie"]))
    both = (ours, theirs)
    lines = {
        "sampling, CPU s": ("cpu", 1),
        "  of it preparation": ("prepared", 1),
        "sampling, s": ("wall", 1),
        "leapfrog steps a draw": ("steps", 0),
        "lowest bulk ESS": ("bulk", 0),
        "lowest tail ESS": ("tail", 0),
        "largest R-hat": ("rhat", 3),
        "divergences": ("divergences", 0),
    }
    for label, (key, digits) in lines.items():
        print(cells(label, [with_range([r[key] for r in runs], digits) for runs in both]))
    print(cells("slowest quantity", ["/".join(sorted({r["slowest"] for r in runs})) for runs in both]))
    print(cells("runs that pass the gate", [f"{sum(map(passes, runs))} of {len(runs)}" for runs in both]))
    for label, (ess, seconds) in RATES.items():
        rates = [[r[ess] / r[seconds] for r in runs] for runs in both]
        ratio = [a / b for a, b in zip(*rates, strict=True)]
        print(cells(label, [with_range(x, 1) for x in rates]), f"  ratio {with_range(ratio, 1)}")


def main(python: str, *sizes: str) -> int:
    """Run the sizes (all by default), alternating; print tables; 1 where the posteriors differ."""
    differ = False
    print(f"BYM2, four chains, two at a time; median (range) of {RUNS} alternating runs.")
    for n in sizes or SETTINGS["sizes"]:
        with tempfile.TemporaryDirectory() as folder:
            data, place = f"{folder}/map.npz", Path(folder) / "draws.npy"
            workers = [Worker(sys.executable, str(HERE / "areas_poolmap.py"), n, data)]
            workers.append(Worker(python, str(HERE / "areas_pymc.py"), n, data))
            found: list[list[dict]] = [[], []]
            for seed in range(1, RUNS + 1):
                for runs, worker in zip(found, workers, strict=True):
                    runs.append(worker.sample(seed, place))
                    told = {key: value for key, value in runs[-1].items() if np.ndim(value) == 0}
                    print(f"{n} areas, run {seed}: {told}", file=sys.stderr, flush=True)
            for worker in workers:
                worker.end()
        table(n, *found)
        print(f"nutpie compiles its model in {workers[1].started['compile']:.0f} s")
        errors, bound = apart(*found)
        for at, name in enumerate(PARAMETERS):
            means = [np.mean([r["mean"][at] for r in runs]) for runs in found]
            print(
                f"mean of {name}: {means[0]:.4f} and {means[1]:.4f}, {errors[at]:.1f} standard errors apart"
            )
        print(f"log relative risks: at most {errors[len(PARAMETERS) :].max():.1f} apart", flush=True)
        if (errors > bound).any():
            differ = True
            print("The posteriors differ by more than their Monte Carlo errors: not the same model.")
    return int(differ)
