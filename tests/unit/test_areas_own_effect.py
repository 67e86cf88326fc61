"""Leave-one-out with the area's own effect integrated out, against exact densities of normal models."""

import numpy as np
import pytest
from scipy import integrate, stats

from poolmap.config.areas import AreaModel
from poolmap.families.areas.likelihoods import Observed
from poolmap.families.areas.model import field
from poolmap.families.areas.own_effect import integrated_log_density
from poolmap.graph.graph import Graph

N = 9
EDGES = [
    (0, 1),
    (1, 2),
    (2, 3),
    (3, 4),
    (0, 4),
    (1, 3),
    (5, 6),
    (6, 7),
]  # a map of five, one of three, an island
GRAPH = Graph.from_edges([f"a{i}" for i in range(N)], EDGES, "made by hand")
SIGMA, ALPHA_SD, DRAWS = 0.8, 3.0, 6_000


def covariance(prior, rho):
    """Of the area effects, by dense linear algebra (the definitions at the head of areas.stan)."""
    adjacency = np.zeros((N, N))
    for i, j in EDGES:
        adjacency[i, j] = adjacency[j, i] = 1
    degree = np.diag(adjacency.sum(axis=0))
    found = np.eye(N)
    for piece in (slice(0, 5), slice(5, 8)):
        D, A = degree[piece, piece], adjacency[piece, piece]
        if prior == "leroux":
            found[piece, piece] = np.linalg.inv(rho * (D - A) + (1 - rho) * np.eye(len(D)))
        elif prior == "car":
            found[piece, piece] = np.linalg.inv(D - rho * A)
        elif prior in ("icar", "bym2"):
            structured = np.linalg.pinv(D - A)
            structured /= np.exp(np.log(np.diag(structured)).mean())
            share = rho if prior == "bym2" else 1.0
            found[piece, piece] = share * structured + (1 - share) * np.eye(len(D))
    return SIGMA**2 * found


@pytest.mark.parametrize(
    ("prior", "rho"),
    [("iid", 0.0), ("icar", 1.0), ("bym2", 0.7), ("bym2", 0.97), ("leroux", 0.8), ("car", 0.9)],
)
def test_density_of_an_area_given_the_others(prior, rho):
    rng = np.random.default_rng(3)
    re_prior = covariance(prior, rho)
    seen_rows = np.array([0, 1, 2, 3, 5, 6, 7, 8])  # area 4 was not observed
    se = rng.uniform(0.3, 0.6, len(seen_rows))
    y = rng.multivariate_normal(np.zeros(N), re_prior, method="eigh")[seen_rows] + rng.normal(0, se)
    # the state (alpha, re) and its exact posterior
    prior_of_state = np.zeros((N + 1, N + 1))
    prior_of_state[0, 0], prior_of_state[1:, 1:] = ALPHA_SD**2, re_prior
    H = np.zeros((len(seen_rows), N + 1))
    H[:, 0] = 1
    H[np.arange(len(seen_rows)), 1 + seen_rows] = 1
    total = H @ prior_of_state @ H.T + np.diag(se**2)
    gain = prior_of_state @ H.T @ np.linalg.inv(total)
    posterior = prior_of_state - gain @ H @ prior_of_state
    state = rng.multivariate_normal(gain @ y, posterior, DRAWS, method="eigh")
    exact = []
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        weights = total[i, rest] @ np.linalg.inv(total[np.ix_(rest, rest)])
        exact.append(
            stats.norm.logpdf(y[i], weights @ y[rest], np.sqrt(total[i, i] - weights @ total[rest, i]))
        )

    seen = Observed("normal", y, y, np.zeros(len(y)), np.zeros(len(y)), se)
    log_lik = integrated_log_density(
        prior,
        field(AreaModel(prior=prior), GRAPH),
        seen,
        seen_rows,
        state[:, :1] + state[:, 1 + seen_rows],
        state[:, 1:],
        np.full((DRAWS, 1), SIGMA),
        np.full((DRAWS, 1), rho),
        np.random.default_rng(4),
    )
    inverse = np.exp(-log_lik)
    found = -np.log(inverse.mean(axis=0))
    mcse = inverse.std(axis=0) / inverse.mean(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(found - exact) < 4 * mcse)
    assert mcse.max() < 0.1
    # integrating out is what makes the weights even
    plain = np.exp(-seen.log_density(state[:, :1] + state[:, 1 + seen_rows]))
    spread = plain.std(axis=0) / plain.mean(axis=0)
    assert (inverse.std(axis=0) / inverse.mean(axis=0)).mean() < 0.8 * spread.mean()


@pytest.mark.parametrize(
    ("likelihood", "lower", "upper", "own", "density"),
    [
        ("poisson", 3, 3, (), lambda eta: stats.poisson.pmf(3, 4 * np.exp(eta))),
        ("poisson", 800, 800, (), lambda eta: stats.poisson.pmf(800, 4 * np.exp(eta))),
        ("poisson", 1, 4, (), lambda eta: stats.poisson.pmf([1, 2, 3, 4], 4 * np.exp(eta)).sum()),
        ("binomial", 7, 7, (), lambda eta: stats.binom.pmf(7, 30, 1 / (1 + np.exp(-eta)))),
        ("negative_binomial", 6, 6, (0.4,), lambda x: stats.nbinom.pmf(6, 2.5, 1 / (1 + 1.6 * np.exp(x)))),
        (
            "zero_inflated_poisson",
            0,
            0,
            (0.0, 0.2),
            lambda eta: 0.2 + 0.8 * np.exp(-4 * np.exp(eta)),
        ),
    ],
)
def test_integral_over_the_effect(likelihood, lower, upper, own, density):
    """An island of an iid model: its effect is normal about 0, whatever the other areas say."""
    seen = Observed(
        likelihood,
        *(np.array([float(x)]) for x in (lower, upper, np.log(4.0), 30.0, 1.0)),
    )
    sigma, alpha = 0.9, 0.3
    found = integrated_log_density(
        "iid",
        field(AreaModel(prior="iid"), None),
        seen,
        np.array([0]),
        np.array([[alpha + 0.2]]),
        np.array([[0.2]]),
        np.array([[sigma]]),
        np.zeros((1, 1)),
        np.random.default_rng(1),
        *(np.array([[x]]) for x in own),
    )
    peak = np.log(max(lower, 1) / 4) if likelihood != "binomial" else np.log(7 / 23)
    exact, _ = integrate.quad(
        lambda eta: density(eta) * stats.norm.pdf(eta, alpha, sigma),
        alpha - 9,
        alpha + 9,
        points=[peak, alpha],
        epsabs=0,
        epsrel=1e-10,
        limit=400,
    )
    assert found[0, 0] == pytest.approx(np.log(exact), abs=2e-4)
