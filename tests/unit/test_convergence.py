"""R-hat, effective sample sizes and Monte Carlo errors, all rows at once, against ArviZ row by row."""

import numpy as np
import pytest

from poolmap.inference.convergence import convergence
from poolmap.inference.summary import import_arviz


def _chains(draws, chains=4, rows=60, seed=1):
    """Autoregressive chains from antithetic to sticky, some apart, some of few values."""
    rng = np.random.default_rng(seed)
    phi = np.linspace(-0.9, 0.995, rows)
    x = np.empty((chains, draws, rows))
    x[:, 0] = rng.normal(size=(chains, rows))
    for t in range(1, draws):
        x[:, t] = phi * x[:, t - 1] + rng.normal(size=(chains, rows))
    x[0, :, ::7] += 3
    x[1, :, ::11] *= 4
    x[:, :, 3] = np.round(x[:, :, 3])
    x[:, :, 5] = x[:, :, 5] > 1
    x[:, :, 6] = rng.random((chains, draws)) < 0.02
    x[:, :, 8] = np.exp(3 * x[:, :, 8])
    x[:, :, 9] = rng.standard_cauchy((chains, draws))
    return x


@pytest.mark.parametrize(("draws", "chains"), [(200, 4), (101, 2), (1000, 4), (12, 3)])
def test_as_arviz_has_them(draws, chains):
    arviz = import_arviz()
    x = _chains(draws, chains)
    got = convergence(x)
    for row in range(x.shape[2]):
        one = x[:, :, row]
        if np.ptp(one) == 0:
            continue
        want = {
            "mcse": arviz.mcse(one),
            "ess_bulk": arviz.ess(one, method="bulk"),
            "ess_tail": arviz.ess(one, method="tail"),
            "rhat": arviz.rhat(one),
        }
        for name, value in want.items():
            assert got[name][row] == pytest.approx(float(value), rel=1e-8), (name, row)


def test_in_pieces_as_in_one(monkeypatch):
    x = _chains(200)
    whole = convergence(x)
    monkeypatch.setattr("poolmap.inference.convergence._AT_ONCE", 5 * 200 * 4)
    for name, values in convergence(x).items():
        assert values == pytest.approx(whole[name], rel=1e-12)
