"""From draws to the effects of every level of the census."""

import numpy as np
import pandas as pd
import pytest
import xarray
from mrp_data import analysis, dataset, numeric

from poolmap.families.mrp.effects import parts
from poolmap.families.mrp.model import describe_model, stan_data
from poolmap.graph.graph import Graph


def problem(formula, structure=None, graph=None, order=None):
    """Levels g0, g2, g3 of g in the survey; the census has g0 to g4."""
    rng = np.random.default_rng(1)
    survey = pd.DataFrame({"g": rng.choice(["g0", "g2", "g3"], 60), "h": rng.choice(["a", "b"], 60)})
    survey["x"], survey["y"] = rng.normal(size=60), rng.integers(0, 2, 60)
    census = pd.DataFrame([(f"g{i}", h, 0.1 * i) for i in range(5) for h in "ab"], columns=["g", "h", "x"])
    census["count"] = 10
    spec = analysis(formula, {"main": {"structure": structure or {}}})
    data = dataset(spec, survey, census, predictors={"x": numeric(census, "x")}, graph=graph, order=order)
    return spec, data


def draws_of(spec, data, count, seed=2, **given):
    """Draws of every parameter that the program gives, of the right shape."""
    rng, layout = np.random.default_rng(seed), describe_model(spec, "main", data).arrays.layout
    J = [b.effects for b in layout.batches]
    sizes = {
        "alpha": 1,
        "beta": layout.P,
        "effect": layout.effects,
        "sigma": sum(J),
        "rho": sum(b.type > 1 for b in layout.batches),
        "correlation": sum(j * (j - 1) // 2 for j in J),
    }
    return xarray.Dataset(
        {
            name: (("chain", "draw", name + "_i"), given.get(name, rng.uniform(0.2, 0.8, (1, count, size))))
            for name, size in sizes.items()
            if size
        }
    )


def test_seen_levels_have_the_effects_of_the_draws():
    spec, data = problem("y ~ x + (1 + x | g) + (1 | h)")
    draws = draws_of(spec, data, 30)
    found = parts(spec, "main", data, draws, np.random.default_rng(3))
    effect = draws["effect"].to_numpy()[0]
    assert [b.name for b in found.batches] == ["g", "h"]
    assert found.batches[0].columns == (-1, 0)
    assert found.batches[0].effects == ("intercept", "x")
    first = found.batches[0].draw(slice(0, 30))
    assert first.shape == (30, 5, 2, 1)
    np.testing.assert_array_equal(first[:, :3, :, 0], effect[:, :6].reshape(30, 3, 2))
    np.testing.assert_array_equal(found.batches[1].draw(slice(0, 30))[:, :, 0, 0], effect[:, 6:])
    np.testing.assert_allclose(found.batches[0].own["sigma"][:, :, 0], draws["sigma"].to_numpy()[0, :, :2])
    np.testing.assert_allclose(
        found.batches[0].own["correlation"][:, 1, 0, 0], draws["correlation"].to_numpy()[0, :, 0]
    )


def test_unseen_levels_have_the_covariance_of_the_population():
    """N(0, S) with S from sigma (0.7, 1.2) and correlation -0.6; tolerance 4 standard errors."""
    count = 20_000
    spec, data = problem("y ~ x + (1 + x | g)")
    sigma, correlation = np.tile([0.7, 1.2], (1, count, 1)), np.full((1, count, 1), -0.6)
    draws = draws_of(spec, data, count, sigma=sigma, correlation=correlation)
    (batch,) = parts(spec, "main", data, draws, np.random.default_rng(3)).batches
    new = batch.draw(slice(0, count))[:, 3:, :, 0]
    expected = np.array([[0.49, -0.6 * 0.84], [-0.6 * 0.84, 1.44]])
    for level in range(2):
        assert np.abs(new[:, level].mean(0) / np.sqrt(np.diag(expected))).max() < 4 / np.sqrt(count)
        scale = np.sqrt((np.outer(*[np.diag(expected)] * 2) + expected**2) / count)
        assert (np.abs(np.cov(new[:, level].T) - expected) < 4 * scale).all()
    assert abs(np.corrcoef(new[:, 0, 0], new[:, 1, 0])[0, 1]) < 4 / np.sqrt(count)


def test_effects_do_not_depend_on_the_blocks():
    spec, data = problem("y ~ x + (1 + x | g)")
    draws = draws_of(spec, data, 30)
    whole = parts(spec, "main", data, draws, np.random.default_rng(3)).batches[0].draw(slice(0, 30))
    (batch,) = parts(spec, "main", data, draws, np.random.default_rng(3)).batches
    blocks = [batch.draw(slice(start, min(start + 7, 30))) for start in range(0, 30, 7)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_random_walk_sums_to_zero_in_its_order():
    """The levels by code (seen first) are not in their order; increments are those of the coordinates."""
    order = ["g3", "g1", "g0", "g4", "g2"]
    spec, data = problem("y ~ x + (1 | g)", {"g": "rw1"}, order={"g": order})
    draws = draws_of(spec, data, 6)
    (batch,) = parts(spec, "main", data, draws, np.random.default_rng(3)).batches
    levels = data.tables["levels"].sort_values("code")["level"].tolist()
    assert levels == ["g0", "g2", "g3", "g1", "g4"]
    walk = batch.draw(slice(0, 6))[:, [levels.index(name) for name in order], 0, 0]
    np.testing.assert_allclose(walk.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_array_equal(walk[:, :4], draws["effect"].to_numpy()[0])


@pytest.mark.parametrize("structure", ["rw1", "icar", "bym2", "ar1"])
def test_prior_precision_is_the_inverse_of_the_covariance(structure):
    """Covariance of the effects of the levels, in their order, from dense matrices written down here."""
    from poolmap.families.mrp.hyper import prior_precision
    from poolmap.families.mrp.whitening import SurveyModel

    names = [f"g{i}" for i in range(5)]
    edges = [(0, 1), (1, 2), (2, 3), (3, 4)] if structure in ("rw1", "ar1") else [(0, 1), (1, 2), (0, 2)]
    graph = Graph.from_edges(names, edges, "made by hand") if structure in ("icar", "bym2") else None
    spec, data = problem("y ~ x + (1 | g)", {"g": structure}, graph, {"g": names})
    model: SurveyModel = describe_model(spec, "main", data).arrays
    (batch,) = model.layout.batches
    sigma, rho = 0.7, 0.35
    hyper = np.array([np.log(sigma), np.log(rho / (1 - rho))])[: batch.hyperparameters]
    prior = prior_precision(batch, hyper, model.priors)
    P = sum(c * M.toarray() for c, M in zip(prior.scalars, batch.matrices, strict=True))
    assert 0.5 * np.linalg.slogdet(P)[1] - prior.half_log_det == pytest.approx(
        0.5 * np.linalg.slogdet(sum(M.toarray() for M in batch.matrices))[1] if structure != "ar1" else 0
    )
    levels = data.tables["levels"].sort_values("code")["level"].tolist()
    at = [levels.index(name) for name in names]
    found = (batch.to_levels @ np.linalg.inv(P) @ batch.to_levels.T)[np.ix_(at, at)]
    Q = np.zeros((5, 5))
    for i, j in edges:
        Q[[i, j], [i, j]] += 1
        Q[[i, j], [j, i]] -= 1
    field = np.linalg.pinv(Q)
    joined = np.diag(Q) > 0
    field[np.ix_(joined, joined)] /= np.exp(np.log(np.diag(field)[joined]).mean())
    alone = np.diag(~joined).astype(float)
    expected = {
        "rw1": field,
        "icar": field + alone,
        "bym2": rho * field + (1 - rho) * np.diag(joined).astype(float) + alone,
        "ar1": rho ** np.abs(np.subtract.outer(np.arange(5), np.arange(5))),
    }[structure]
    np.testing.assert_allclose(found, sigma**2 * expected, atol=1e-10)


def test_stan_data_asks_for_what_the_model_has():
    spec, data = problem("y ~ x + (1 + x | g) + (1 | h)")
    assert stan_data(spec, "main", data).parameters == ["alpha", "beta", "effect", "sigma", "correlation"]
    spec, data = problem("y ~ 1 + (1 | g)")
    assert stan_data(spec, "main", data).parameters == ["alpha", "effect", "sigma"]
