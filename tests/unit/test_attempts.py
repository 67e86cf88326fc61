"""The second attempt of a fit: longer where only length is lacking, else more careful too."""

import numpy as np
import pytest
import xarray

from poolmap.config.base import Sampling
from poolmap.contracts import Quantity, StanData
from poolmap.inference import fit as module
from poolmap.stan.sample import Draws

SETTINGS = Sampling(chains=4, warmup=1000, draws=500)


def attempts(monkeypatch, apart: float, diverging: int, whitened: float | None):
    """The settings of each attempt, and whether it was in whitened coordinates; chains lie `apart`."""
    asked = []

    def drawn(executable, data, parameters, settings, *, seed, cores, whitened):
        asked.append((settings.warmup, settings.draws, settings.adapt_delta, whitened))
        shape = settings.chains, settings.draws
        rng = np.random.default_rng(seed)
        far = apart if len(asked) == 1 else 0.0
        mu = rng.normal(size=shape) + far * np.arange(settings.chains)[:, None]
        stats = {
            "diverging": np.zeros(shape, dtype=int),
            "tree_depth": np.full(shape, 3),
            "energy": rng.normal(size=shape),
        }
        stats["diverging"][0, :diverging] = 1 if len(asked) == 1 else 0
        posterior = xarray.Dataset({"mu": (("chain", "draw"), mu)})
        return Draws(posterior, stats, [])

    monkeypatch.setattr(module, "sample", drawn)

    def reported(posterior, rng):
        return [Quantity("parameters", "mu", "", posterior["mu"].to_numpy()[:, :, None])]

    found = module.fit("", StanData({}, ["mu"], whitened), reported, SETTINGS, seed=1, cores=1)
    assert len(found.verdict["attempts"]) == len(asked)
    assert (found.verdict["passed"], found.verdict["n_draws"]) == (True, asked[-1][1])
    assert found.sampling.draws == asked[-1][1]
    return asked


WHITENED = (200, 500, 0.8, True)


def test_a_good_fit_is_sampled_once(monkeypatch):
    assert attempts(monkeypatch, 0, 0, 0.8) == [WHITENED]


def test_where_only_length_is_lacking_the_second_is_longer(monkeypatch):
    assert attempts(monkeypatch, 0.15, 0, 0.8) == [WHITENED, (200, 1000, 0.8, True)]


@pytest.mark.parametrize(("apart", "diverging"), [(3, 0), (0, 2), (0.15, 2)])
def test_where_chains_differ_or_diverge_it_is_more_careful_too(monkeypatch, apart, diverging):
    assert attempts(monkeypatch, apart, diverging, 0.8) == [WHITENED, (2000, 1000, 0.975, False)]


def test_coordinates_that_are_not_whitened_need_their_warm_up(monkeypatch):
    assert attempts(monkeypatch, 0.15, 0, None) == [(1000, 500, 0.9, False), (2000, 1000, 0.975, False)]
