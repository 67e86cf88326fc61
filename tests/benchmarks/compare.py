"""poolmap against PyMC and nutpie: effective samples a second, in alternating runs. usage: compare.py PYTHON

PYTHON is that of the environment with PyMC. Ends with an error where the posteriors do not agree.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = 5
OTHERS = ("pymc", "nutpie")


def run(*command: str, **variables: str) -> dict:
    """The JSON that a command prints last; with further environment variables."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    return json.loads(done.stdout.strip().splitlines()[-1])


def rate(result: dict, seconds: str) -> float:
    """Effective samples a second of mu or tau, whichever has fewer."""
    return min(result["ess"].values()) / result[seconds]


def with_range(values: list[float], digits: int = 2) -> str:
    """Median and range in words."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main(python: str) -> int:
    """Run, print the table, compare the posteriors."""
    results: dict[str, list[dict]] = {"poolmap": [], **{name: [] for name in OTHERS}}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        for seed in range(1, RUNS + 1):
            ours = run(sys.executable, str(HERE / "fit_poolmap.py"), str(seed))
            data.write_text(json.dumps({name: ours[name] for name in ("yi", "se")}))
            results["poolmap"].append(ours)
            for name in OTHERS:
                results[name].append(run(python, str(HERE / "fit_pymc.py"), name, str(seed), str(data)))
        first = {
            "poolmap": run(sys.executable, str(HERE / "fit_poolmap.py"), "1", POOLMAP_CACHE=f"{folder}/stan"),
            "pymc": run(
                *(python, str(HERE / "fit_pymc.py"), "pymc", "1", str(data)),
                PYTENSOR_FLAGS=f"base_compiledir={folder}/pytensor",
            ),
        }
    print("Marginal normal-normal model of the 13 BCG trials (log risk ratio), 4 chains of 1000 + 1000.")
    print(
        f"Median (range) of {RUNS} alternating runs; effective samples are those of mu or tau, the fewer.\n"
    )
    print(f"{'':22}" + "".join(f"{name:>29}" for name in results))
    for label, key in {
        "compiling or cache, s": "compile",
        "sampling, s": "wall",
        "sampling, CPU s": "cpu",
    }.items():
        print(f"{label:22}" + "".join(f"{with_range([r[key] for r in rs]):>29}" for rs in results.values()))
    for name in ("mu", "tau"):
        cells = [with_range([r["ess"][name] for r in rs], 0) for rs in results.values()]
        print(f"{'bulk ESS of ' + name:22}" + "".join(f"{cell:>29}" for cell in cells))
        cells = [with_range([r["mean"][name] for r in rs], 4) for rs in results.values()]
        print(f"{'mean of ' + name:22}" + "".join(f"{cell:>29}" for cell in cells))
    for label, key in {"ESS a second": "wall", "ESS a CPU second": "cpu"}.items():
        cells = [with_range([rate(r, key) for r in rs], 0) for rs in results.values()]
        print(f"{label:22}" + "".join(f"{cell:>29}" for cell in cells))
    print()
    for name, result in first.items():
        print(f"{name}, compiling with an empty cache (once): {result['compile']:.0f} s")
    chains = with_range([r["chains"] for r in results["poolmap"]], 3)
    print(
        f"\npoolmap: the four chains themselves, warm-up and sampling, take {chains} s of computing together."
    )
    differ = False
    for name in OTHERS:
        pairs = list(zip(results["poolmap"], results[name], strict=True))
        for key, unit in {"wall": "second", "cpu": "CPU second"}.items():
            ratios = [rate(a, key) / rate(b, key) for a, b in pairs]
            print(f"poolmap / {name}, effective samples a {unit}: {with_range(ratios, 1)}")
        for at in ("mu", "tau"):
            gap = statistics.mean(a["mean"][at] - b["mean"][at] for a, b in pairs)
            error = sum(a["mcse"][at] ** 2 + b["mcse"][at] ** 2 for a, b in pairs) ** 0.5 / RUNS
            print(f"  mean of {at}: {abs(gap) / error:.1f} Monte Carlo standard errors apart")
            differ |= abs(gap) > 4 * error
    if differ:
        print("The posteriors differ by more than 4 Monte Carlo standard errors: not the same model.")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
