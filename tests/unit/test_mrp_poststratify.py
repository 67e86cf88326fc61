"""Poststratification against brute force, and the effects of levels that the survey does not hold."""

import numpy as np
import pytest

from poolmap.families.mrp.estimate import effect_draws
from poolmap.families.mrp.poststratify import group_weights, inverse_logit, poststratify

DRAWS, CELLS, SEEN, LEVELS = 40, 300, [4, 7], [6, 12]


@pytest.fixture
def problem():
    rng = np.random.default_rng(11)
    return {
        "alpha": rng.normal(size=DRAWS),
        "beta": rng.normal(size=(DRAWS, 2)),
        "sigma": rng.uniform(0.2, 1.5, (DRAWS, 2)),
        "z": rng.normal(size=(DRAWS, sum(SEEN))),
        "x": rng.normal(size=(CELLS, 2)),
        "levels": np.column_stack([rng.integers(0, size, CELLS) for size in LEVELS]),
        "count": rng.integers(0, 500, CELLS),
        "region": rng.integers(0, 5, CELLS),
    }


def shares(problem, **blocks):
    effects = effect_draws(problem["sigma"], problem["z"], SEEN, LEVELS, np.random.default_rng(3))
    weights = group_weights(problem["count"], [np.zeros(CELLS, int), problem["region"]])
    return poststratify(
        alpha=problem["alpha"],
        beta=problem["beta"],
        predictors=problem["x"],
        effects=effects,
        levels=problem["levels"],
        weights=weights,
        **blocks,
    )[0]


def test_against_brute_force(problem):
    effects = effect_draws(problem["sigma"], problem["z"], SEEN, LEVELS, np.random.default_rng(3))
    batches = effects(slice(0, DRAWS))
    expected = np.zeros((DRAWS, 6))
    for d in range(DRAWS):
        people, yes = np.zeros(6), np.zeros(6)
        for j in range(CELLS):
            logit = problem["alpha"][d] + problem["x"][j] @ problem["beta"][d]
            logit += sum(batches[k][d, problem["levels"][j, k]] for k in range(2))
            for group in (0, 1 + problem["region"][j]):
                people[group] += problem["count"][j]
                yes[group] += problem["count"][j] / (1 + np.exp(-logit))
        expected[d] = yes / people
    np.testing.assert_allclose(shares(problem), expected, rtol=1e-12)


@pytest.mark.parametrize(("cells", "draws"), [(1, 1), (7, 3), (299, 39), (10_000, 10_000)])
def test_block_sizes_do_not_matter(problem, cells, draws):
    blocked = shares(problem, cells_per_block=cells, draws_per_block=draws)
    np.testing.assert_allclose(blocked, shares(problem), rtol=1e-12)


def test_same_generator_same_numbers(problem):
    np.testing.assert_array_equal(shares(problem), shares(problem))


def test_seen_levels_have_the_effects_of_the_draws(problem):
    first, second = effect_draws(problem["sigma"], problem["z"], SEEN, LEVELS, np.random.default_rng(3))(
        slice(0, DRAWS)
    )
    np.testing.assert_allclose(first[:, :4], problem["sigma"][:, :1] * problem["z"][:, :4])
    np.testing.assert_allclose(second[:, :7], problem["sigma"][:, 1:] * problem["z"][:, 4:])


def test_unseen_levels_have_the_variance_of_the_population():
    """Each unseen effect is Normal(0, sigma^2), independent of the others; tolerance 4 standard errors."""
    draws = 20_000
    sigma, z = np.full((draws, 1), 0.7), np.zeros((draws, 1))
    (effects,) = effect_draws(sigma, z, [1], [3], np.random.default_rng(5))(slice(0, draws))
    assert (effects[:, 0] == 0).all()
    unseen = effects[:, 1:]
    assert np.abs(unseen.mean(0)).max() < 4 * 0.7 / np.sqrt(draws)
    assert np.abs(unseen.var(0) - 0.49).max() < 4 * 0.49 * np.sqrt(2 / draws)
    assert abs(np.corrcoef(unseen.T)[0, 1]) < 4 / np.sqrt(draws)


def test_share_among_few_people_scatters_as_the_binomial():
    """Two cells of 3 and 5 people, p = 0.5: variance (3 + 5) / 4 / 8^2; tolerance 4 standard errors."""
    draws = 20_000
    none = np.zeros((draws, 0))
    shares, realised = poststratify(
        alpha=np.zeros(draws),
        beta=none,
        predictors=np.zeros((2, 0)),
        effects=lambda some: [],
        levels=np.zeros((2, 0), int),
        weights=group_weights(np.array([3, 5]), [np.zeros(2, int)]),
        people=np.array([3, 5]),
        rng=np.random.default_rng(8),
    )
    assert (shares == 0.5).all()
    assert set(np.unique(np.round(realised * 8, 9))) == set(range(9))
    assert abs(realised.mean() - 0.5) < 4 * np.sqrt(1 / 32 / draws)
    assert abs(realised.var() * 32 - 1) < 4 * np.sqrt(2 / draws)


def test_groups_without_people_have_an_empty_row():
    weights = group_weights(np.array([3.0, 1.0, 0.0]), [np.array([0, 0, 1])]).toarray()
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0], [0, 0, 0]])


def test_memory_is_set_by_the_blocks_not_by_the_cells():
    import tracemalloc

    cells, draws = 200_000, 200
    rng = np.random.default_rng(2)
    levels = rng.integers(0, 50, (cells, 1))
    weights = group_weights(np.ones(cells), [levels[:, 0]])
    effects = effect_draws(np.ones((draws, 1)), rng.normal(size=(draws, 50)), [50], [50], rng)
    tracemalloc.start()
    poststratify(
        alpha=np.zeros(draws),
        beta=np.zeros((draws, 0)),
        predictors=np.zeros((cells, 0)),
        effects=effects,
        levels=levels,
        weights=weights,
        cells_per_block=10_000,
        draws_per_block=50,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # all at once: 200,000 x 200 x 8 bytes = 320 MB


def test_inverse_logit_is_safe_at_the_ends():
    np.testing.assert_allclose(inverse_logit(np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])
