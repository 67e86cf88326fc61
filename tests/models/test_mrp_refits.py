"""Areas left out and simulated surveys, through Stan."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logsumexp

from poolmap.config.base import Sampling
from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.calibrate import calibrate, thinned
from poolmap.families.mrp.estimate import predictive
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.left_out import left_out
from poolmap.families.mrp.model import stan_data
from poolmap.stan.sample import sample

ROOT = Path(__file__).resolve().parents[2]
YES, N = np.array([3, 12, 2, 6]), np.array([10, 20, 3, 9])


@pytest.fixture(scope="module")
def executable(compiled):
    return Path(compiled(ROOT / "stan/mrp/binomial.stan", include_paths=[ROOT / "stan"]).exe_file)


def analysis(folder: Path, **more) -> MrpAnalysis:
    """Four levels in the survey, a fifth only in the census."""
    rows = [
        f"{answer},{level}"
        for level, y, size in zip("ABCD", YES, N, strict=True)
        for answer in ["1"] * y + ["0"] * (size - y)
    ]
    (folder / "survey.csv").write_text("\n".join(["y,g", *rows]))
    (folder / "census.csv").write_text("g,n\nA,100\nB,300\nC,50\nD,150\nE,40\n")
    return MrpAnalysis(
        family="mrp",
        survey=str(folder / "survey.csv"),
        census=str(folder / "census.csv"),
        count="n",
        outcome={"column": "y", "positive": 1},
        formula="y ~ 1 + (1 | g)",
        estimates=["g"],
        interval=0.9,
        **more,
    )


def test_density_of_an_area_left_out_against_quadrature(executable, tmp_path):
    """p(y of D | A, B, C), intercept and sigma on a grid, effects by Gauss-Hermite quadrature; and B's, which
    has more respondents. Within 4 Monte Carlo standard errors of the mean of the density."""
    spec = analysis(tmp_path, leave_out="g")
    data = ingest(spec)
    without = left_out(spec, "main", data)
    alpha = np.linspace(-8, 8, 321)[:, None]
    sigma = ((np.arange(500) + 0.5) / 100)[None, :]
    nodes, mass = np.polynomial.hermite_e.hermegauss(61)
    p = expit(alpha[..., None] + sigma[..., None] * nodes)[..., None]
    marginal = np.einsum("aszj,z->asj", stats.binom.pmf(YES, N, p), mass / mass.sum())
    prior = np.exp(stats.norm.logpdf(alpha, 0, 2.5) + stats.norm.logpdf(sigma))
    for i in (1, 3):
        rest = prior * np.delete(marginal, i, axis=2).prod(axis=2)
        exact = (rest * marginal[..., i]).sum() / rest.sum()
        item = without(i)
        assert sum(item.data.data["n"]) == N.sum() - N[i]
        sampling = Sampling(draws=2000, adapt_delta=0.95)
        draws = sample(executable, item.data.data, item.data.parameters, sampling, seed=3 + i, cores=2)
        density = np.exp(item.log_lik(draws.posterior))
        se = density.mean(axis=1).std(ddof=1) / 2  # of the mean over four chains
        assert abs(density.mean() - exact) < 4 * max(se, density.std() / np.sqrt(density.size)), (i, exact)


def test_predictive_of_areas(executable, tmp_path):
    spec = analysis(tmp_path, leave_out="g")
    data = ingest(spec)
    given = stan_data(spec, "main", data)
    draws = sample(executable, given.data, given.parameters, Sampling(draws=500), seed=1, cores=2)
    found = predictive(spec, "main", data, draws.posterior, np.random.default_rng(1))
    assert found.parts == ["A", "B", "C", "D"]
    assert found.log_lik.shape == (4, 500, 4)
    assert (logsumexp(found.log_lik, axis=(0, 1)) - np.log(2000) < 0).all()
    assert found.groups["g"].tolist() == ["A", "B", "C", "D"]
    assert left_out(analysis(tmp_path), "main", data) is None


def test_simulated_surveys_tell_the_expected_error(executable, tmp_path):
    """Where the model is right, 90% intervals cover 90% of the true values: 12 surveys of 5 areas are few,
    so the bound is wide; intervals are widest where there are no respondents."""
    spec = analysis(tmp_path, calibrate=12, sampling={"chains": 4, "draws": 1000, "adapt_delta": 0.98})
    data = ingest(spec)
    given = stan_data(spec, "main", data)
    draws = sample(executable, given.data, given.parameters, spec.sampling, seed=5, cores=2).posterior
    found = calibrate(spec, "main", data, draws, executable, seed=11, cores=2)
    table = found.frame
    assert found.name == "calibration"
    assert table["grouping"].tolist() == ["total"] + ["g"] * 5
    assert table["group"].tolist() == ["all", "A", "B", "C", "D", "E"]
    assert table["n_survey"].tolist() == [42, 10, 20, 3, 9, 0]
    surveys = table["surveys"].iloc[0]
    assert surveys >= 8
    groups = table.iloc[1:]
    covered = (groups["coverage"] * surveys).sum()
    low, high = stats.binom.ppf([0.0005, 0.9995], surveys, 0.9)  # as if areas of a survey moved together
    assert low <= covered / 5 <= high
    by_group = table.set_index("group")
    assert by_group.at["E", "width"] > by_group.at["B", "width"]
    assert (table["rmse"] >= table["bias"].abs() - 1e-12).all()
    assert (groups["rmse"] < groups["width"]).all()


def test_true_values_are_those_of_the_draws(executable, tmp_path):
    """Thinned draws are the posterior's own, and evenly spaced."""
    spec = analysis(tmp_path)
    data = ingest(spec)
    given = stan_data(spec, "main", data)
    draws = sample(executable, given.data, given.parameters, Sampling(draws=100), seed=5, cores=2).posterior
    few = thinned(draws, 5)
    assert few["z"].shape == (1, 5, 4)
    whole = draws["z"].to_numpy().reshape(400, 4)
    at = np.array([0, 100, 200, 299, 399])
    np.testing.assert_array_equal(few["z"].to_numpy()[0], whole[at])
    np.testing.assert_array_equal(few["alpha"].to_numpy()[0], draws["alpha"].to_numpy().ravel()[at])
