"""The coordinates in which a survey model is sampled."""

import numpy as np
import pandas as pd
import pytest
from mrp_data import analysis, dataset
from scipy import stats

from poolmap.families.mrp.marginal import Bend, bend_of
from poolmap.families.mrp.model import describe_model
from poolmap.families.mrp.whitening import approximate
from poolmap.inference.spread import spread


def test_the_bend_and_its_inverse():
    bend = Bend(np.array([0.0, 3.0]), np.array([0.0, -1.0]))
    t = np.array([[-4.0, -3.0], [0.3, -1.0], [2.0, 4.0]])
    for row in t:
        assert bend.straight(bend.bent(row)) == pytest.approx(row, abs=1e-10)
        step = 1e-6
        slope = [(bend.bent(row + step * e) - bend.bent(row - step * e))[i] for i, e in enumerate(np.eye(2))]
        assert bend.log_jacobian(row) == pytest.approx(np.log(np.array(slope) / (2 * step)).sum(), abs=1e-7)


def test_log_sigma_under_its_prior_alone_becomes_nearly_normal():
    """Half-normal sigma: log sigma has skewness -1.5 and kurtosis 6.9 (of the log of a chi variable)."""

    def log_density(hyper):
        return float(hyper[0] - 0.5 * np.exp(2 * hyper[0]))

    bend = bend_of(log_density, np.zeros(1), np.array([True]))
    assert bend.strength[0] > 0
    sigma = np.abs(np.random.default_rng(1).normal(size=4000))
    t = np.array([bend.straight(np.log([s]))[0] for s in sigma])
    assert abs(stats.skew(t)) < 0.7
    assert abs(stats.kurtosis(t)) < 1.5
    at, scale = spread(lambda t: log_density(bend.bent(t)) + bend.log_jacobian(t), bend.straight(np.zeros(1)))
    assert at[0] == pytest.approx(t.mean(), abs=0.15)
    assert scale[0, 0] == pytest.approx(t.std(), rel=0.15)


def test_a_well_known_sigma_is_not_bent():
    bend = bend_of(lambda h: float(-50 * (h[0] + 1) ** 2), np.array([-1.0]), np.array([True]))
    assert bend.strength[0] == 0


def test_continuous_outcome_is_normal_given_the_hyperparameters():
    """Mode and precision are the mean and precision of the normal posterior, worked out here densely."""
    rng = np.random.default_rng(3)
    survey = pd.DataFrame({"g": rng.integers(0, 4, 60)})
    survey["y"] = survey["g"] + rng.normal(size=60)
    spec = analysis("y ~ 1 + (1 | g)", outcome={"kind": "continuous"})
    data = dataset(spec, survey, pd.DataFrame({"g": range(4), "count": 1}))
    model = describe_model(spec, "main", data).arrays
    found = approximate(model)
    y = (survey["y"] - survey["y"].mean()) / survey["y"].std()
    Z = np.column_stack([np.ones(60), pd.get_dummies(survey["g"]).to_numpy(dtype=float)])
    np.testing.assert_allclose(found.information.toarray(), Z.T @ Z, atol=1e-9)
    np.testing.assert_allclose(found.shift_data, Z.T @ y, atol=1e-9)
    assert found.precision_prior.tolist() == [1 / 2.5**2, 0, 0, 0, 0]
    # the hyperparameters' mean against a sum over a grid of the exact marginal likelihood
    grid_sigma, grid_sd = np.linspace(-4, 2.5, 60), np.linspace(-1.5, 0.5, 40)
    log_density = np.empty((60, 40))
    for i, log_sigma in enumerate(grid_sigma):
        for j, log_sd in enumerate(grid_sd):
            sigma, sd = np.exp([log_sigma, log_sd])
            V = 2.5**2 + sigma**2 * Z[:, 1:] @ Z[:, 1:].T + sd**2 * np.eye(60)
            prior = log_sigma - 0.5 * sigma**2 + log_sd - 0.5 * sd**2
            log_density[i, j] = stats.multivariate_normal.logpdf(y, np.zeros(60), V) + prior
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean, sd = weight.sum(axis=0) @ grid_sd, 0.0
    sd = np.sqrt(weight.sum(axis=0) @ (grid_sd - mean) ** 2)
    assert found.hyper_at[1] == pytest.approx(mean, abs=0.3 * sd)
    assert found.hyper_scale[1, 1] == pytest.approx(sd, rel=0.2)
    mean = weight.sum(axis=1) @ grid_sigma
    sd = np.sqrt(weight.sum(axis=1) @ (grid_sigma - mean) ** 2)
    assert found.bend[0] > 0 or abs(found.hyper_at[0] - mean) < 0.5 * sd


def test_an_entry_of_the_information_that_is_zero_only_at_the_start():
    """x is balanced within levels, so that its entries cancel where all have the same probability."""
    rng = np.random.default_rng(4)
    survey = pd.DataFrame({"g": np.repeat(range(6), 40), "x": np.tile([-1.0, 1.0], 120)})
    survey["y"] = (rng.uniform(size=240) < 0.2 + 0.1 * survey["g"] + 0.05 * survey["x"]).astype(int)
    spec = analysis("y ~ x + (1 | g)")
    unit = {"type": "numeric", "mean": 0.0, "sd": 1.0}
    data = dataset(spec, survey, survey.drop(columns="y").assign(count=1), predictors={"x": unit})
    model = describe_model(spec, "main", data).arrays
    found = approximate(model)
    scale = np.exp(-2 * np.log(0.5)) * np.r_[0, 0, np.ones(6)]  # at any sigma: here 0.5
    A = found.information.toarray() + np.diag(found.precision_prior + scale)
    assert abs(found.information[1, 2]) > 1e-3
    from poolmap.families.mrp.whitening import _Mode

    mode = _Mode(model)
    mode.settle(np.array([np.log(0.5)]))
    np.testing.assert_allclose(mode._solve(mode._scalars(np.array([np.log(0.5)]))[0])[1], np.linalg.slogdet(
        mode.information.toarray() + np.diag(mode.prior_weight + scale))[1])  # fmt: skip
    assert np.linalg.eigvalsh(A).min() > 0
