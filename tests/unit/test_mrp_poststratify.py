"""Poststratification against brute force for every kind of outcome; effects of unseen levels."""

import logging
import tracemalloc

import numpy as np
import pytest
from scipy.special import expit, softmax

from poolmap.families.mrp.gathers import GatherPlan
from poolmap.families.mrp.links import inverse_logit, link_of
from poolmap.families.mrp.parts import Batch, Parts
from poolmap.families.mrp.poststratify import group_weights, poststratify

DRAWS, CELLS, ANSWERS = 40, 300, 4
SIZES = {"area": 12, "age": 5, "sex": 2, "house": 3}


@pytest.fixture
def census():
    rng = np.random.default_rng(11)
    codes = {name: rng.integers(0, size, CELLS) for name, size in SIZES.items()}
    codes["house"][:] = -1  # averaged over
    codes["sex"][::7] = -1
    return {
        "x": rng.normal(size=(CELLS, 2)),
        "codes": codes,
        "count": rng.integers(0, 500, CELLS),
        "region": rng.integers(0, 5, CELLS),
    }


def made(predictors: int = 1) -> tuple[Parts, dict[str, np.ndarray]]:
    """Parts with an intercept-only, a varying-slope, and further batches; and their effects."""
    rng = np.random.default_rng(3)
    columns = {"area": (-1, 1), "age": (-1,), "sex": (-1,), "house": (-1,)}
    effects = {n: rng.normal(size=(DRAWS, SIZES[n], len(columns[n]), predictors)) for n in SIZES}
    batches = [Batch(n, columns[n], lambda some, n=n: effects[n][some]) for n in SIZES]
    own = {"cutpoints": np.sort(rng.normal(size=(DRAWS, ANSWERS - 1)), axis=1)}
    alpha, beta = rng.normal(size=(DRAWS, predictors)), rng.normal(size=(DRAWS, 2, predictors))
    return Parts(alpha, beta, batches, own), effects


def brute(census, kind: str) -> np.ndarray:
    """(answers, draws, groups) by loops over draws, cells and batches."""
    predictors = ANSWERS - 1 if kind == "categorical" else 1
    parts, effects = made(predictors)
    answers = ANSWERS if kind in ("ordered", "categorical") else 1
    found = np.zeros((answers, DRAWS, 6))
    people = np.zeros(6)
    for j in range(CELLS):
        groups, count = [0, 1 + census["region"][j]], census["count"][j]
        people[groups] += count
        x = census["x"][j]
        for d in range(DRAWS):
            eta = parts.alpha[d] + x @ parts.beta[d]
            for name, effect in effects.items():
                level = census["codes"][name][j]
                if level >= 0:
                    eta = eta + effect[d, level, 0]
                    if name == "area":
                        eta = eta + x[1] * effect[d, level, 1]
                elif name == "house":
                    eta = eta + sum(effect[d, house, 0] for house in range(SIZES["house"])) / SIZES["house"]
            if kind == "binary":
                value = expit(eta)
            elif kind == "continuous":
                value = eta
            elif kind == "count":
                value = np.exp(eta)
            elif kind == "ordered":
                value = np.diff(np.concatenate([[0], expit(parts.own["cutpoints"][d] - eta), [1]]))
            else:
                value = softmax(np.concatenate([[0], eta]))
            for group in groups:
                found[:, d, group] += count * value
    return found / people


def streamed(census, kind: str, **blocks):
    parts, _ = made(ANSWERS - 1 if kind == "categorical" else 1)
    weights = group_weights(census["count"], [np.zeros(CELLS, int), census["region"]])
    link = link_of(kind, ANSWERS)
    return poststratify(parts, census["x"], census["codes"], weights, link, **blocks).values


@pytest.mark.parametrize("kind", ["binary", "continuous", "count", "ordered", "categorical"])
def test_against_brute_force(census, kind):
    expected = brute(census, kind)
    np.testing.assert_allclose(streamed(census, kind), expected, rtol=1e-11)
    for cells, draws in ((1, 1), (7, 3)):
        found = streamed(census, kind, cells_per_block=cells, draws_per_block=draws)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("kind", ["binary", "continuous", "count", "ordered", "categorical"])
def test_single_precision_is_near_enough(census, kind):
    found, expected = streamed(census, kind, small=0), brute(census, kind)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    if kind in ("ordered", "categorical"):
        np.testing.assert_allclose(found.sum(axis=0), 1, atol=2e-6)
        assert found.min() >= 0


def test_softmax_and_cutpoints_are_safe_at_the_ends():
    eta = np.array([800.0, -800.0, 0.0]).reshape(1, 3, 1)
    link = link_of("categorical", 2)
    shares = [link.values(k, eta, {}).copy() if k else link.values(k, eta, {}) for k in range(2)]
    np.testing.assert_allclose(np.array(shares)[:, :, 0], [[0, 1, 0.5], [1, 0, 0.5]])
    np.testing.assert_allclose(inverse_logit(np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])


def test_small_batches_are_looked_up_together(census):
    parts, _ = made()
    looks = GatherPlan.of(parts, census["codes"], 1_000_000).looks
    assert sorted(len(look.batches) for look in looks) == [1, 4]  # the slope, and the four intercepts
    looks = GatherPlan.of(parts, census["codes"], 10).looks
    assert sum(len(look.batches) for look in looks) == 5


def test_contributions_are_the_spread_of_a_batch_over_its_levels(census):
    parts, effects = made()
    weights = group_weights(census["count"], [np.zeros(CELLS, int)])
    found = poststratify(
        parts, census["x"], census["codes"], weights, link_of("binary"), draws_per_block=9
    ).contributions
    for spread, effect in zip(found, effects.values(), strict=True):
        expected = np.sqrt(((effect - effect.mean(1, keepdims=True)) ** 2).sum(1) / (effect.shape[1] - 1))
        np.testing.assert_allclose(spread, expected, rtol=1e-12)


def test_a_level_of_the_survey_alone_contributes_nothing():
    """Its effect is no part of any estimate: missing values, combinations that the census does not list."""
    effect = np.random.default_rng(2).normal(size=(40, 4, 1, 1))
    parts = Parts(np.zeros((40, 1)), np.zeros((40, 0, 1)), [Batch("area", (-1,), lambda some: effect[some])])
    weights = group_weights(np.ones(3), [np.zeros(3, int)])
    for codes, levels in (([0, 2, 3], [0, 2, 3]), ([-1, -1, -1], [0, 1, 2, 3])):
        found = poststratify(parts, np.zeros((3, 0)), {"area": np.array(codes)}, weights, link_of("binary"))
        expected = effect[:, levels, 0, 0].std(axis=1, ddof=1)
        np.testing.assert_allclose(found.contributions[0][:, 0, 0], expected, rtol=1e-12)


def test_blocks_of_draws_are_asked_for_once_and_in_order(census):
    asked = []

    def draw(some: slice) -> np.ndarray:
        asked.append((some.start, some.stop))
        return np.zeros((some.stop - some.start, 12, 1, 1))

    parts = Parts(np.zeros((DRAWS, 1)), np.zeros((DRAWS, 2, 1)), [Batch("area", (-1,), draw)])
    weights = group_weights(census["count"], [census["region"]])
    arguments = (parts, census["x"], census["codes"], weights, link_of("binary"))
    poststratify(*arguments, draws_per_block=15, cells_per_block=50)
    assert asked == [(0, 15), (15, 30), (30, 40)]


def test_progress_of_a_large_census_is_logged(census, caplog):
    with caplog.at_level(logging.INFO, logger="poolmap.poststratify"):
        streamed(census, "binary", draws_per_block=1, small=0)
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 11
        assert told[1] == "poststratified 10% of the draws"
        assert told[-1] == "poststratified 100% of the draws"
        caplog.clear()
        streamed(census, "binary")
        assert not caplog.records


def among_eight(kind, alpha, own=None, answers=0):
    """Realised estimates of two cells of 3 and 5 people with the same linear predictor, in 20,000 draws."""
    draws = 20_000
    alpha = np.tile(np.asarray(alpha, dtype=float), (draws, 1))
    return poststratify(
        Parts(alpha, np.zeros((draws, 0, alpha.shape[1])), [], own(draws) if own else {}),
        np.zeros((2, 0)),
        {},
        group_weights(np.array([3, 5]), [np.zeros(2, int)]),
        link_of(kind, answers),
        people=np.array([3, 5]),
        rng=np.random.default_rng(8),
    )


def assert_moments(found, mean, variance):
    """Within 4 standard errors of both; those of the variance by the fourth moment."""
    assert abs(found.mean() - mean) < 4 * np.sqrt(variance / found.size)
    fourth = ((found - found.mean()) ** 4).mean()
    assert abs(found.var() - variance) < 4 * np.sqrt((fourth - variance**2) / found.size)


def test_share_among_few_people_scatters_as_the_binomial():
    found = among_eight("binary", [0.0])
    assert (found.values == 0.5).all()
    assert set(np.unique(np.round(found.realised * 8, 9))) == set(range(9))
    assert_moments(found.realised, 0.5, 1 / 32)


def test_mean_of_few_people_scatters_by_the_residual():
    found = among_eight("continuous", [2.0], lambda draws: {"residual_sd": np.full(draws, 3.0)})
    assert_moments(found.realised, 2.0, 9 / 8)


@pytest.mark.parametrize("dispersion", [None, 0.5])
def test_mean_count_of_few_people_scatters_as_the_counts(dispersion):
    """Mean m, variance (m + dispersion m^2) / 8."""
    own = None if dispersion is None else lambda draws: {"dispersion": np.full(draws, dispersion)}
    found = among_eight("count", [np.log(2.5)], own)
    assert_moments(found.realised, 2.5, (2.5 + (dispersion or 0) * 2.5**2) / 8)


@pytest.mark.parametrize("kind", ["ordered", "categorical"])
def test_answers_of_few_people_are_multinomial(kind):
    """Covariance of two answers' shares: -p q / 8."""
    p = np.array([0.2, 0.5, 0.3])
    if kind == "ordered":
        cutpoints = np.log(np.cumsum(p)[:2] / (1 - np.cumsum(p)[:2]))
        found = among_eight(kind, [0.0], lambda draws: {"cutpoints": np.tile(cutpoints, (draws, 1))}, 3)
    else:
        found = among_eight(kind, np.log(p[1:] / p[0]), None, 3)
    shares = found.realised[:, :, 0]
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    for share, probability in zip(shares, p, strict=True):
        assert_moments(share, probability, probability * (1 - probability) / 8)
    product = (shares[0] - p[0]) * (shares[1] - p[1])
    assert abs(product.mean() + p[0] * p[1] / 8) < 4 * product.std() / np.sqrt(product.size)


def test_groups_without_people_have_an_empty_row():
    weights = group_weights(np.array([3.0, 1.0, 0.0]), [np.array([0, 0, 1])]).toarray()
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0], [0, 0, 0]])


def test_memory_is_set_by_the_blocks_not_by_the_cells():
    cells, draws = 200_000, 200
    rng = np.random.default_rng(2)
    level = rng.integers(0, 50, cells)
    weights = group_weights(np.ones(cells), [level])
    effects = rng.normal(size=(draws, 50, 1, 1))
    parts = Parts(
        np.zeros((draws, 1)), np.zeros((draws, 0, 1)), [Batch("area", (-1,), lambda some: effects[some])]
    )
    tracemalloc.start()
    poststratify(parts, np.zeros((cells, 0)), {"area": level}, weights, link_of("binary"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # all at once: 200,000 x 200 x 8 bytes = 320 MB
