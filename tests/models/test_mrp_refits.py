"""Areas left out and simulated surveys, through Stan."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logsumexp

from poolmap.config.base import Sampling
from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.calibrate import calibrate, thinned
from poolmap.families.mrp.estimate import estimate, predictive
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.left_out import left_out
from poolmap.families.mrp.model import stan_data
from poolmap.inference.fit import fit
from poolmap.inference.left_out import refit_left_out
from poolmap.inference.predictive import validation_tables
from poolmap.stan.sample import sample

ROOT = Path(__file__).resolve().parents[2]
YES, N = np.array([3, 12, 1, 6]), np.array([10, 20, 1, 9])


@pytest.fixture(scope="module")
def executable(compiled):
    return Path(compiled(ROOT / "stan/mrp/mrp.stan", include_paths=[ROOT / "stan"]).exe_file)


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


@pytest.fixture(scope="module")
def exact():
    """p(z yes of level i | the other levels), z = 0 ... n_i: intercept and sigma on a grid, effects by
    Gauss-Hermite quadrature; indexed by i, then z."""
    alpha = np.linspace(-8, 8, 321)[:, None]
    sigma = ((np.arange(500) + 0.5) / 100)[None, :]
    nodes, mass = np.polynomial.hermite_e.hermegauss(61)
    p = expit(alpha[..., None] + sigma[..., None] * nodes)[..., None]
    prior = np.exp(stats.norm.logpdf(alpha, 0, 2.5) + stats.norm.logpdf(sigma))

    def marginal(yes, n):
        return np.einsum("aszj,z->asj", stats.binom.pmf(yes, n, p), mass / mass.sum())

    observed, found = marginal(YES, N), []
    for i, size in enumerate(N):
        rest = prior * np.delete(observed, i, axis=2).prod(axis=2)
        answers = [marginal(np.array([z]), size)[..., 0] for z in range(size + 1)]
        found.append(np.array([(rest * share).sum() for share in answers]) / rest.sum())
    return found


def test_a_level_left_out_against_quadrature(executable, exact, tmp_path):
    """The density of the answers of D, and of B, which has more respondents, given all others; and how many
    yes its respondents are predicted to say. Within 4 Monte Carlo standard errors."""
    spec = analysis(tmp_path, leave_out="g")
    data = ingest(spec)
    without = left_out(spec, "main", data)
    for i in (1, 3):
        item = without(i)
        assert sum(item.data.data["n"]) == N.sum() - N[i]
        sampling = Sampling(draws=2000, adapt_delta=0.95)
        draws = sample(executable, item.data.data, item.data.parameters, sampling, seed=3 + i, cores=2)
        density = np.exp(item.log_lik(draws.posterior))
        se = density.mean(axis=1).std(ddof=1) / 2  # of the mean over four chains
        error = max(se, density.std() / np.sqrt(density.size))
        assert abs(density.mean() - exact[i][YES[i]]) < 4 * error, (i, exact[i][YES[i]])
        shares = item.replicated(draws.posterior, np.random.default_rng(i))
        assert shares.shape == (4, 2000, 1)
        count = np.rint(shares[..., 0] * N[i]).astype(int)
        np.testing.assert_allclose(count / N[i], shares[..., 0])
        for z, probability in enumerate(exact[i]):
            of_chains = (count == z).mean(axis=1)
            error = max(of_chains.std(ddof=1) / 2, np.sqrt(probability * (1 - probability) / count.size))
            assert abs(of_chains.mean() - probability) < 4 * error, (i, z, probability)


def test_observed_beside_predicted_by_refit_and_by_importance_sampling(executable, exact, tmp_path):
    """The table of levels left out against the exact predictive distribution: means within 4 standard errors,
    and limits that hold the level's probability but for as much. C, with 1 respondent, is left out by
    importance sampling; for the others its weights are too uneven."""
    spec = analysis(tmp_path, leave_out="g")
    data = ingest(spec)
    sampling = Sampling(draws=2000, adapt_delta=0.95)
    given = (spec, "main", data)
    whole = fit(
        executable, stan_data(*given), lambda d, r: estimate(*given, d, r), sampling, seed=21, cores=2
    )

    def predicted(draws, rng):
        return predictive(*given, draws, rng)

    refits = refit_left_out(executable, whole, predicted, left_out(spec, "main", data), seed=22, cores=2)
    item = predicted(whole.draws.posterior, np.random.default_rng(1))
    (table,) = [c for c in validation_tables(item, refits, spec.interval) if c.name == "left_out"]
    frame = table.frame
    assert frame["method"].tolist() == ["refit", "refit", "psis", "refit"]
    assert frame["pareto_k"][2] < 0.7
    effective = 1000  # draws of a refit that are kept
    assert frame["n"].tolist() == N.tolist()
    np.testing.assert_allclose(frame["observed"], YES / N)
    for i, row in frame.iterrows():
        z = np.arange(N[i] + 1) / N[i]
        mean = exact[i] @ z
        sd = np.sqrt(exact[i] @ (z - mean) ** 2)
        assert abs(row["mean"] - mean) < 4 * sd / np.sqrt(effective)
        outside = exact[i][z < row["lower"] - 1e-9].sum(), exact[i][z > row["upper"] + 1e-9].sum()
        error = 4 * np.sqrt(0.05 * 0.95 / effective)
        assert max(outside) < 0.05 + error
        one_in = exact[i][z < row["lower"] + 1e-9].sum(), exact[i][z > row["upper"] - 1e-9].sum()
        assert min(one_in) > 0.05 - error
        assert row["inside"] == (row["lower"] <= row["observed"] <= row["upper"])
    (table_of_none,) = [c for c in validation_tables(item, [], spec.interval) if c.name == "left_out"]
    assert table_of_none.frame["mean"].notna().tolist() == [False, False, True, False]
    assert table_of_none.frame["inside"].isna().tolist() == [True, True, False, True]
    assert f"in {int(frame['inside'][2])} of 1 (" in table_of_none.description
    held = int(frame["inside"].sum())
    assert f"in {held} of 4 ({held / 4:.0%}); the level of the interval is 90%" in table.description


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
    assert table["n_survey"].tolist() == [40, 10, 20, 1, 9, 0]
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
    assert few["effect"].shape == (1, 5, 4)
    whole = draws["effect"].to_numpy().reshape(400, 4)
    at = np.array([0, 100, 200, 299, 399])
    np.testing.assert_array_equal(few["effect"].to_numpy()[0], whole[at])
    np.testing.assert_array_equal(few["alpha"].to_numpy()[0], draws["alpha"].to_numpy().reshape(400, 1)[at])
