"""Simulation-based calibration: what the families' own scripts share (Talts et al. 2018, arXiv:1804.06788).

Parameters are drawn from the prior, data from the parameters, and the model is fitted to them. Over many
replicates the rank of the true value among the posterior draws is uniform if program, transformations and
sampler are right.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
RANKS = 100  # a rank lies between 0 and this number less one
BINS = 20


def ranks(watched: Mapping[str, tuple[np.ndarray, float]]) -> dict[str, int]:
    """Rank of the true value of each quantity among its thinned draws.

    Args:
        watched: draws (draws,) and true value by quantity.
    """
    found = {}
    for name, (draws, truth) in watched.items():
        keep = np.linspace(0, len(draws) - 1, RANKS - 1).round().astype(int)
        found[name] = int((draws[keep] < truth).sum())
    return found


def verdicts(ranks: pd.DataFrame) -> pd.DataFrame:
    """Is each quantity's rank uniform? Chi-squared over `BINS` bins, p by the reference distribution."""
    rows = []
    for quantity in ranks.columns:
        counts = np.histogram(ranks[quantity], bins=np.linspace(0, RANKS, BINS + 1))[0]
        found = stats.chisquare(counts)
        rows.append(
            (quantity, len(ranks), ranks[quantity].mean() / (RANKS - 1), found.statistic, found.pvalue)
        )
    return pd.DataFrame(rows, columns=["quantity", "replicates", "mean_rank", "chi_squared", "p"])


def draw(ranks: dict[str, pd.DataFrame], path: Path) -> None:
    """The empirical distribution of the ranks less the uniform one, with 99% limits over all points."""
    import matplotlib

    from poolmap.figures.style import BLUE, MUTED, RC, new_figure

    with matplotlib.rc_context(RC):
        figure = new_figure(9, 2.4 * len(ranks))
        widest = max(len(table.columns) for table in ranks.values())
        grid = figure.subplots(len(ranks), widest, sharex=True, sharey=True, squeeze=False)
        for row, (name, table) in zip(grid, ranks.items(), strict=True):
            at = np.arange(RANKS) / RANKS
            limit = _limit(len(table))
            for axes in row[len(table.columns) :]:
                axes.set_visible(False)
            for axes, quantity in zip(row, table.columns, strict=False):
                share = (table[quantity].to_numpy()[:, None] <= np.arange(RANKS)).mean(axis=0)
                axes.fill_between(at, -limit, limit, color="#e3e6ea", linewidth=0)
                axes.axhline(0, color=MUTED, linewidth=0.6)
                axes.step(at, share - (at + 1 / RANKS), color=BLUE, linewidth=1)
                axes.set_title(quantity.replace(", ", ",\n"), fontsize=7)
            row[0].set_ylabel(f"{name}\nECDF - uniform", fontsize=8)
        for column in grid.T:
            lowest = [axes for axes in column if axes.get_visible()][-1]
            lowest.set_xlabel("rank", fontsize=8)
            lowest.tick_params(labelbottom=True)
        figure.savefig(path, dpi=110, bbox_inches="tight")


def _limit(replicates: int) -> float:
    """The largest distance from uniform that 99% of samples of uniform ranks stay below."""
    rng = np.random.default_rng(1)
    ranks = rng.integers(0, RANKS, (4000, replicates))
    share = np.stack([(ranks <= r).mean(axis=1) for r in range(RANKS)], axis=1)
    return float(np.quantile(np.abs(share - np.arange(1, RANKS + 1) / RANKS).max(axis=1), 0.99))


def run(family: str, models: Sequence[str], replicate: Callable[[str, int], dict[str, int]]) -> None:
    """Runs the replicates, then writes the ranks, their verdicts and the figure.

    Args:
        family: of the files `docs/sbc/<family>_<model>.csv` and `docs/sbc/<family>.png`.
        models: all that there are; the command line may choose among them.
        replicate: gives the ranks of a model's replicate by its number.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("replicates", type=int, nargs="?", default=200)
    parser.add_argument("--models", nargs="*", default=list(models), choices=list(models))
    parser.add_argument("--resume", action="store_true", help="take up the replicates in docs/sbc")
    arguments = parser.parse_args()
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    out = ROOT / "docs/sbc"
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in arguments.models:
        path = out / f"{family}_{name}.csv"
        done = pd.read_csv(path) if arguments.resume and path.exists() else pd.DataFrame()
        for number in range(len(done), arguments.replicates):
            done = pd.concat([done, pd.DataFrame([replicate(name, number)])], ignore_index=True)
            if number % 10 == 9:
                done.to_csv(path, index=False)
        done.to_csv(path, index=False)
        found[name] = done
        table = verdicts(done)
        print(f"\n{name}\n{table.to_string(index=False, float_format='{:.3f}'.format)}", flush=True)
    tests = pd.concat([verdicts(table).assign(model=name) for name, table in found.items()])
    smallest = float(tests["p"].min())
    print(json.dumps({"tests": len(tests), "smallest_p": smallest, "bound": 0.01 / len(tests)}))
    draw(found, out / f"{family}.png")
    if smallest < 0.01 / len(tests):
        sys.exit("the ranks are not uniform")
