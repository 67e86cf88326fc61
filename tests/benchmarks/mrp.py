"""Multilevel regression: poolmap against PyMC and bambi with nutpie, and the time of a national survey.

Posteriors with enough effective samples must agree. Bambi is run once: it makes the same model as is written
by hand for PyMC, and is the slower of the two.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import poststratify
from measure import HERE, MANY, RUNS, cells, run, settings, with_range
from mrp_problems import NATION_FORMULA, OPINION_FORMULA, fit, nation, opinion, terms
from scipy import stats

SETTINGS = settings("mrp")
PEER = "pymc"
TIMED = ("prepare", "sample", "poststratify")
ROWS = (
    ("CPU s: prepare", lambda one: one["cpu_prepare"], 1),
    ("CPU s: sample", lambda one: one["cpu_sample"], 1),
    ("CPU s: poststratify", lambda one: one["cpu_poststratify"], 1),
    ("CPU s in all", lambda one: total(one, "cpu"), 1),
    ("s in all", lambda one: total(one, "wall"), 1),
    ("leapfrogs a draw", lambda one: one["leapfrogs"], 1),
    ("divergent draws", lambda one: one["divergences"], 0),
    ("largest R-hat", lambda one: one["rhat"], 3),
    ("fewest bulk ESS", lambda one: fewest(one, "ess"), 0),
    ("fewest tail ESS", lambda one: fewest(one, "ess_tail"), 0),
    ("bulk, shares of states", lambda one: one["ess"]["share"], 0),
    ("bulk ESS a sampling CPU s", lambda one: rate(one, "ess"), 1),
    ("tail ESS a sampling CPU s", lambda one: rate(one, "ess_tail"), 1),
    ("bulk ESS a CPU s in all", lambda one: fewest(one, "ess") / total(one, "cpu"), 1),
)


def total(one: dict, clock: str) -> float:
    """Seconds from the data to the estimates."""
    return sum(one[f"{clock}_{part}"] for part in TIMED)


def fewest(one: dict, kind: str) -> float:
    """The fewest effective samples of alpha, a sigma, an effect or a share."""
    return min(one[kind].values())


def rate(one: dict, kind: str) -> float:
    """The same a CPU second of sampling, with poolmap's search for the sampler's coordinates."""
    known = one["cpu_prepare"] if "effects" in one else 0.0  # of the peers that is compiling
    return fewest(one, kind) / (one["cpu_sample"] + known)


def apart(ours: list[dict], theirs: list[dict]) -> tuple[float, float]:
    """The largest distance of the means of alpha, the sigmas and the shares in Monte Carlo standard errors.

    And what it may be: `MANY` for one, as seldom surpassed by the largest of all.
    """
    distances = []
    for name in ("alpha", "sigma", "share"):
        means, errors = [], []
        for runs in (ours, theirs):
            means.append(np.mean([run["mean"][name] for run in runs], axis=0))
            errors.append(np.sum(np.square([run["mcse"][name] for run in runs]), axis=0) / len(runs) ** 2)
        distances.append(np.ravel(abs(means[0] - means[1]) / np.sqrt(sum(errors))))
    every = np.concatenate(distances)
    return float(every.max()), float(stats.norm.isf(stats.norm.sf(MANY) / len(every)))


def compared(name: str, ours: list[dict], theirs: list[dict]) -> bool:
    """Print how far the means are apart; whether that is too far."""
    enough = [one for one in theirs if fewest(one, "ess") > SETTINGS["fewest"]]
    if not enough:
        print(f"{name}: no run has {SETTINGS['fewest']} effective samples of all; means are not compared.")
        return False
    distance, most = apart(ours, enough)
    print(
        f"{name}: means of alpha, sigmas and shares at most {distance:.1f} Monte Carlo standard errors apart "
        f"({len(enough)} of {len(theirs)} runs; may be {most:.1f})."
    )
    return distance > most


def main(python: str) -> int:
    """Run, print the tables, compare the posteriors."""
    spec, data = opinion(np.random.default_rng(SETTINGS["seed"]))
    survey, census, batches = data.tables["cells"], data.tables["census"], terms(OPINION_FORMULA)
    names = list(dict.fromkeys(name for batch in batches for name in batch))
    content = {"batches": batches, "area": "state"}
    content["cells"] = {name: survey[name].astype(int).tolist() for name in names}
    content["cells"] |= {name: survey[name].tolist() for name in ("n", "yes")}
    content["census"] = {name: census[name].astype(int).tolist() for name in names}
    content["census"]["count"] = census["count"].tolist()
    chains, draws, long = SETTINGS["chains"], SETTINGS["draws"], SETTINGS["long"]
    runs: dict[str, list[dict]] = {"poolmap": [], PEER: []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.json"
        path.write_text(json.dumps(content))

        def peer(form: str, seed: int, chains: int, draws: int) -> dict:
            return run(python, str(HERE / "mrp_pymc.py"), form, *map(str, (seed, chains, draws)), str(path))

        for seed in range(1, RUNS + 1):
            runs["poolmap"].append(fit(spec, data, seed, chains, draws))
            runs[PEER].append(peer(PEER, seed, chains, draws))
        once = {
            "bambi": peer("bambi", 1, chains, draws),
            f"{PEER}, {long['draws']} draws": peer(PEER, RUNS + 1, long["chains"], long["draws"]),
        }
    levels = len(data.tables["levels"])
    print(f"{len(survey):,} cells of 5,000 respondents, {len(batches)} batches with {levels} levels;")
    print(f"poststratified to states over {len(census):,} cells. {chains} chains, {draws} draws each.")
    print(f"Median (range) of {RUNS} alternating runs.\n")
    print(cells("", list(runs), 28, 30))
    for label, value, digits in ROWS:
        columns = [with_range([value(one) for one in found], digits) for found in runs.values()]
        print(cells(label, columns, 28, 30))
    for kind in ("ess", "ess_tail"):
        both = zip(runs["poolmap"], runs[PEER], strict=True)
        ratio = with_range([rate(a, kind) / rate(b, kind) for a, b in both], 1)
        print(f"poolmap / {PEER}, {kind} a CPU second of sampling: {ratio}")
    verdicts = [one["failed"] for one in runs["poolmap"]]
    print(f"poolmap passes the gate in {sum(not failed for failed in verdicts)} of {RUNS}: {verdicts}")
    print("\nOnce:")
    print(cells("", list(once), 28, 30))
    for label, value, digits in ROWS:
        print(cells(label, [f"{value(one):.{digits}f}" for one in once.values()], 28, 30))
    differ = [compared(PEER, runs["poolmap"], runs[PEER])]
    differ += [compared(name, runs["poolmap"], [one]) for name, one in once.items()]

    spec, data = nation(np.random.default_rng(SETTINGS["seed"]))
    whole = fit(spec, data, 1, SETTINGS["national_chains"], draws)
    sizes = len(data.tables["cells"]), whole["effects"], len(data.tables["census"])
    print("\nNational survey: 60,000 respondents in {:,} cells, {} effects, a census of {:,}".format(*sizes))
    print(f"cells; {NATION_FORMULA}; {SETTINGS['national_chains']} chains of {draws} draws:")
    for label, value, digits in ROWS:
        print(cells(label, [f"{value(whole):.{digits}f}"], 28, 30))
    print(f"the gate: {'; '.join(whole['failed']) or 'passed'}\n")
    poststratify.main()
    return int(any(differ))
