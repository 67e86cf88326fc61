"""Multilevel regression: poolmap against PyMC with nutpie, and the time of a national survey.

Posteriors with enough effective samples must agree.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import poststratify
from measure import HERE, RUNS, run, with_range
from mrp_problems import fit, nation, opinion

CHAINS, DRAWS = 2, 500
SEED = 20261121
FEWEST = 100  # effective samples; the means of a run with fewer are not compared


def rate(result: dict) -> float:
    """Effective samples a CPU second of the slowest parameter: alpha, a sigma or an effect."""
    return min(result["ess"].values()) / result["cpu"]


def apart(ours: list[dict], theirs: list[dict]) -> float:
    """The largest distance of the means of alpha and the sigmas, in Monte Carlo standard errors."""
    largest = 0.0
    for name in ("alpha", "sigma"):
        means, errors = [], []
        for runs in (ours, theirs):
            means.append(np.mean([run["mean"][name] for run in runs], axis=0))
            squares = [np.square(run["sd"][name]) / run["ess"][name] for run in runs]
            errors.append(np.sum(squares, axis=0) / len(runs) ** 2)
        largest = max(largest, float(np.max(abs(means[0] - means[1]) / np.sqrt(sum(errors)))))
    return largest


def main(python: str) -> int:
    """Run, print the tables, compare the posteriors."""
    spec, data = opinion(np.random.default_rng(SEED))
    cells = data.tables["cells"]
    batches = len(data.facts["terms"])
    content = {"yes": cells["yes"].tolist(), "n": cells["n"].tolist()}
    content["level"] = [cells[f"level_{k}"].tolist() for k in range(batches)]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.json"
        path.write_text(json.dumps(content))
        for seed in range(1, RUNS + 1):
            ours.append(fit(spec, data, seed, CHAINS, DRAWS))
            theirs.append(run(python, str(HERE / "mrp_pymc.py"), str(seed), str(path)))
    levels = len(data.tables["levels"])
    print(f"{len(cells):,} cells of 5,000 respondents, {batches} batches with {levels} levels;")
    print(f"{CHAINS} chains, {DRAWS} draws each. Median (range) of {RUNS} alternating runs.\n")
    print(f"{'':34}{'poolmap':>26}{'PyMC with nutpie':>26}")
    for label, key, digits in (
        ("CPU seconds, all included", "cpu", 1),
        ("seconds", "wall", 1),
        ("leapfrog steps a draw", "leapfrogs", 1),
        ("divergent draws", "divergences", 0),
    ):
        columns = [with_range([one[key] for one in runs], digits) for runs in (ours, theirs)]
        print(f"{label:34}{columns[0]:>26}{columns[1]:>26}")
    for name in ("alpha", "sigma", "effect"):
        columns = [with_range([one["ess"][name] for one in runs], 0) for runs in (ours, theirs)]
        print(f"{'fewest effective samples, ' + name:34}{columns[0]:>26}{columns[1]:>26}")
    columns = [with_range([rate(one) for one in runs], 1) for runs in (ours, theirs)]
    print(f"{'the fewest a CPU second':34}{columns[0]:>26}{columns[1]:>26}")
    ratio = [rate(a) / rate(b) for a, b in zip(ours, theirs, strict=True)]
    approximation = with_range([one["approximation"] for one in ours])
    compiling = with_range([one["compile"] for one in theirs], 0)
    print(f"poolmap / PyMC: {with_range(ratio, 1)}; of poolmap's CPU seconds the approximation takes")
    print(f"{approximation}. Compiling the model takes PyMC {compiling} s each time.")
    differ = False
    converged = [one for one in theirs if min(one["ess"].values()) > FEWEST]
    if converged:
        distance = apart(ours, converged)
        print(f"Largest distance of means of alpha and sigma: {distance:.1f} Monte Carlo standard errors.")
        differ = distance > 4.5  # the largest of nine
    else:
        print(f"No run of PyMC has {FEWEST} effective samples of every parameter: means are not compared.")

    spec, data = nation(np.random.default_rng(SEED))
    whole = fit(spec, data, 1, 4, 1000)
    fewest, tails = (min(whole[key].values()) for key in ("ess", "ess_tail"))
    print(
        f"\nNational survey: 60,000 respondents in {whole['cells']:,} cells, {whole['effects']} effects;\n"
        f"4 chains of 1,000 draws on two cores: {whole['wall']:.0f} s ({whole['cpu']:.0f} CPU s, the\n"
        f"approximation {whole['approximation']:.1f}); {whole['leapfrogs']:.0f} leapfrog steps; fewest\n"
        f"effective samples {fewest:.0f} (tails {tails:.0f}); R-hat {whole['rhat']:.3f}; "
        f"{whole['divergences']} divergent."
    )
    print()
    poststratify.main()
    return int(differ)
