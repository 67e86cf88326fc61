"""Reported quantities from known draws: what each follows from, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from poolmap.config.load import parse_analysis
from poolmap.families.meta.estimate import estimate
from poolmap.families.meta.ingest import ingest

SHAPE = (2, 20_000)
# Unequal numbers of effects: the mean age of the effects is not that of the studies
ROWS = """study,outcome,kind,age,y,v
L1,a,x,30,-0.52,0.04
L1,b,y,30,-0.31,0.05
L1,c,x,30,-0.75,0.09
L2,a,x,41,-0.05,0.03
L3,a,y,55,-0.61,0.12
L3,b,y,55,0.14,0.07
L4,b,y,38,-0.22,0.02
"""
PRIORS = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}


def quantities(tmp_path, model, **values):
    """Quantities by (table, quantity), every draw the same."""
    path = tmp_path / "effects.csv"
    path.write_text(ROWS)
    view = {
        "family": "meta", "data": str(path), "study": "study", "effect_id": "outcome", "measure": "GEN",
        "columns": {"estimate": "y", "variance": "v"}, "moderators": ["kind", "age"], "interval": 0.95,
        "models": {"m": PRIORS | model},
    }  # fmt: skip
    spec = parse_analysis(view)
    draws = xarray.Dataset(
        {
            name: (("chain", "draw", f"{name}_dim"), np.broadcast_to(value, (*SHAPE, len(value))))
            for name, value in values.items()
        }
    )
    found = estimate(spec, "m", ingest(spec), draws, np.random.default_rng(1))
    return {(q.table, q.quantity): q for q in found}


def test_subgroups_of_effects_within_studies(tmp_path):
    model = {"subgroups": "kind", "formula": "age", "beta_prior": {"normal": [0, 1]}, "centre": False}
    beta, tau, within = [0.4, -0.3, 0.01], [0.3], [0.4]
    found = quantities(tmp_path, model, beta=beta, tau=tau, tau_within=within)
    average = (3 * 30 + 41 + 2 * 55 + 38) / 7  # of the effects
    means = np.array([0.4, -0.3]) + 0.01 * average
    pooled = found["subgroups", "effect"]
    assert pooled.keys["subgroup"].tolist() == ["x", "y"]
    assert pooled.draws[0, 0] == pytest.approx(means)
    assert pooled.extra["n_studies"].tolist() == [2, 3]  # L1, L2; L1, L3, L4
    assert pooled.extra["n_effects"].tolist() == [3, 4]
    assert found["pooled", "effect"].draws[0, 0, 0] == pytest.approx(means @ [3 / 7, 4 / 7])
    n = SHAPE[0] * SHAPE[1]
    # a new effect of a new study of the subgroup: normal with variance tau^2 + tau_within^2
    new = found["subgroups", "effect_new"].draws.reshape(n, 2)
    assert np.abs(new.mean(axis=0) - means).max() < 4 * 0.5 / np.sqrt(n)
    assert new.std(axis=0) == pytest.approx([0.5, 0.5], abs=4 * 0.5 / np.sqrt(2 * n))
    # any new effect: of a subgroup as often as the effects here are
    share, new = np.array([3 / 7, 4 / 7]), found["pooled", "effect_new"].draws.ravel()
    spread = np.sqrt(0.25 + share @ (means - share @ means) ** 2)
    assert abs(new.mean() - share @ means) < 4 * spread / np.sqrt(n)
    assert new.std() == pytest.approx(spread, abs=4 * spread / np.sqrt(2 * n))
    difference = found["subgroup_differences", "difference"]
    assert difference.draws[0, 0, 0] == pytest.approx(-0.7)


def test_heterogeneity_of_a_regression_by_hand(tmp_path):
    model = {"formula": "age", "beta_prior": {"normal": [0, 1]}}
    found = quantities(tmp_path, model, beta=[-0.2, 0.02], tau=[0.3], tau_within=[0.1])
    age = np.array([30, 30, 30, 41, 55, 55, 38.0])
    variance = np.array([0.04, 0.05, 0.09, 0.03, 0.12, 0.07, 0.02])
    # typical variance with moderators: (k - p) over the trace of P (Viechtbauer 2010, J Stat Softw 36:3)
    X, W = np.column_stack([np.ones(7), age]), np.diag(1 / variance)
    typical = 5 / np.trace(W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W))
    assert found["pooled", "i2"].draws[0, 0, 0] == pytest.approx(9 / (0.1 + typical))
    assert found["pooled", "i2_within"].draws[0, 0, 0] == pytest.approx(1 / (0.1 + typical))
    explained = 0.02**2 * age.var()
    assert found["pooled", "r2"].draws[0, 0, 0] == pytest.approx(100 * explained / (explained + 0.1))
    assert found["pooled", "effect"].draws[0, 0, 0] == pytest.approx(-0.2)  # centred on the mean
    line = found["regression_lines", "effect"]
    assert line.keys["value"].iloc[[0, -1]].tolist() == [30, 55]
    assert line.draws[0, 0, [0, -1]] == pytest.approx(-0.2 + 0.02 * (np.array([30, 55]) - age.mean()))
