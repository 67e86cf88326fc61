"""The log densities of what was observed, and replicates of it, against scipy.stats."""

import numpy as np
import pytest
from scipy import special, stats

from poolmap.families.areas.likelihoods import CODES, Observed

E = np.array([0.4, 3.0, 20.0, 150.0])
N = np.array([5.0, 40.0, 300.0, 2000.0])
SE = np.array([0.05, 0.5, 2.0, 30.0])
DRAWS = np.array([-2.5, -0.4, 0.3, 1.1])[None, :, None]
ETA = DRAWS + np.linspace(-0.3, 0.3, 4)
PSI = np.array([0.02, 0.3, 0.1, 0.6])[None, :, None]
PI = np.array([0.01, 0.4, 0.2, 0.7])[None, :, None]


def _seen(likelihood, lower, upper=None):
    lower = np.asarray(lower, float)
    upper = lower if upper is None else np.asarray(upper, float)
    return Observed(likelihood, lower, upper, np.log(E), N, SE)


def _scipy(likelihood):
    """The distribution of each area at each draw, as scipy parameterises it."""
    mean, share = E * np.exp(ETA), special.expit(ETA)
    psi = PSI + 1e-9  # as areas.stan has it
    if likelihood == "negative_binomial":
        return stats.nbinom(1 / psi, 1 / (1 + psi * mean))
    if likelihood == "binomial":
        return stats.binom(N, share)
    if likelihood == "beta_binomial":
        return stats.betabinom(N, (1 / psi - 1) * share, (1 / psi - 1) * (1 - share))
    if likelihood == "normal":
        return stats.norm(ETA, SE)
    return stats.poisson(mean)


def _pmf(likelihood, y):
    if likelihood == "zero_inflated_poisson":
        return PI * (y == 0) + (1 - PI) * _scipy("poisson").pmf(y)
    return _scipy(likelihood).pmf(y)


def _own(likelihood):
    return (PSI, PI) if likelihood != "normal" else ()


COUNTS = [name for name in CODES if name != "normal"]


@pytest.mark.parametrize("likelihood", COUNTS)
@pytest.mark.parametrize("y", [[0, 0, 0, 0], [1, 7, 31, 170], [5, 0, 12, 1500]])
def test_counts(likelihood, y):
    got = _seen(likelihood, y).log_density(ETA, PSI, PI)
    assert got.shape == (1, 4, 4)
    with np.errstate(divide="ignore"):
        want = np.log(_pmf(likelihood, np.array(y)))
    assert np.isfinite(want).sum() >= 12
    assert got[np.isfinite(want)] == pytest.approx(want[np.isfinite(want)], rel=1e-9, abs=1e-9)


def test_direct_estimates():
    y = np.array([0.1, -1.0, 3.0, 40.0])
    got = _seen("normal", y).log_density(ETA)
    assert got == pytest.approx(stats.norm.logpdf(y, ETA, SE), rel=1e-12)


@pytest.mark.parametrize("likelihood", COUNTS)
def test_a_range_has_the_probability_of_all_its_counts(likelihood):
    low, high = np.array([0, 1, 3, 0]), np.array([4, 4, 3, 19])
    want = sum(np.where((low <= y) & (y <= high), _pmf(likelihood, np.full(4, y)), 0.0) for y in range(20))
    got = np.exp(_seen(likelihood, low, high).log_density(ETA, PSI, PI))
    assert got == pytest.approx(want, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("likelihood", ["binomial", "beta_binomial"])
def test_the_range_of_all_counts_is_certain(likelihood):
    everything = _seen(likelihood, np.zeros(4), N).log_density(ETA, PSI, PI)
    assert everything == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("likelihood", list(CODES))
def test_replicates_have_the_mean_and_the_variance_of_the_distribution(likelihood):
    rng = np.random.default_rng(5)
    draws = 40_000
    seen = _seen(likelihood, np.zeros(4))
    eta = np.broadcast_to(ETA[:, 2], (draws, 4))
    psi, pi = PSI[0, 2, 0], PI[0, 2, 0]
    got = seen.replicate(rng, eta, psi, pi)
    if likelihood == "zero_inflated_poisson":
        m = E * np.exp(ETA[0, 2])
        mean, variance = (1 - pi) * m, (1 - pi) * m * (1 + pi * m)
    else:
        frozen = _scipy(likelihood)
        mean, variance = frozen.mean()[0, 2], frozen.var()[0, 2]
    assert got.shape == (draws, 4)
    assert (np.abs(got.mean(axis=0) - mean) < 4 * np.sqrt(variance / draws)).all()
    fourth = ((got - got.mean(axis=0)) ** 4).mean(axis=0)
    error = np.sqrt((fourth - got.var(axis=0) ** 2) / draws)
    assert (np.abs(got.var(axis=0) - variance) < 4 * error).all()


@pytest.mark.parametrize(
    ("likelihood", "limit"), [("negative_binomial", "poisson"), ("beta_binomial", "binomial")]
)
@pytest.mark.parametrize("dispersion", [1e-7, 1e-12, 1e-30])
def test_without_overdispersion_the_limit_is_reached_without_noise(likelihood, limit, dispersion):
    """At 1e-19 gamma functions as they stand are wrong by a thousand, and a sampler stays there."""
    y = [0, 3, 31, 170]
    got, want = _seen(likelihood, y).log_density(ETA, dispersion), _seen(limit, y).log_density(ETA)
    assert got == pytest.approx(want, rel=2e-3, abs=1e-4)
