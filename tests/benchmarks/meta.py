"""Meta-analysis: poolmap against PyMC's own NUTS and nutpie on the model of the BCG trials."""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from measure import HERE, MANY, RUNS, cells, run, with_range

OTHERS = ("pymc", "nutpie")


def rate(result: dict, seconds: str) -> float:
    """Effective samples a second of mu or tau, whichever has fewer."""
    return min(result["ess"].values()) / result[seconds]


def main(python: str) -> int:
    """Run, print the table; 1 where the posteriors differ."""
    results: dict[str, list[dict]] = {"poolmap": [], **{name: [] for name in OTHERS}}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        for seed in range(1, RUNS + 1):
            ours = run(sys.executable, str(HERE / "meta_poolmap.py"), str(seed))
            data.write_text(json.dumps({name: ours[name] for name in ("yi", "se")}))
            results["poolmap"].append(ours)
            for name in OTHERS:
                results[name].append(run(python, str(HERE / "meta_pymc.py"), name, str(seed), str(data)))
        first = {
            "poolmap": run(
                sys.executable, str(HERE / "meta_poolmap.py"), "1", POOLMAP_CACHE=f"{folder}/stan"
            ),
            "pymc": run(
                *(python, str(HERE / "meta_pymc.py"), "pymc", "1", str(data)),
                PYTENSOR_FLAGS=f"base_compiledir={folder}/pytensor",
            ),
        }
    print("Marginal normal-normal model of the 13 BCG trials (log risk ratio), 4 chains of 1000 + 1000.")
    print(
        f"Median (range) of {RUNS} alternating runs; effective samples are those of mu or tau, the fewer.\n"
    )
    print(cells("", list(results)))
    for label, key in {
        "compiling or cache, s": "compile",
        "sampling, s": "wall",
        "sampling, CPU s": "cpu",
    }.items():
        print(cells(label, [with_range([r[key] for r in rs]) for rs in results.values()]))
    for name in ("mu", "tau"):
        ess = [with_range([r["ess"][name] for r in rs], 0) for rs in results.values()]
        print(cells(f"bulk ESS of {name}", ess))
        means = [with_range([r["mean"][name] for r in rs], 4) for rs in results.values()]
        print(cells(f"mean of {name}", means))
    for label, key in {"ESS a second": "wall", "ESS a CPU second": "cpu"}.items():
        print(cells(label, [with_range([rate(r, key) for r in rs], 0) for rs in results.values()]))
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
            differ |= abs(gap) > MANY * error
    if differ:
        print(f"The posteriors differ by more than {MANY} Monte Carlo standard errors: not the same model.")
    return int(differ)
