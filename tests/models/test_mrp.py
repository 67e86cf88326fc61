"""Multilevel regression and poststratification: exact posteriors, known truth, the California schools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from poolmap.config.base import Sampling
from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.accuracy import accuracy
from poolmap.families.mrp.estimate import estimate, predictive
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.model import stan_data
from poolmap.families.mrp.survey_design import Design
from poolmap.inference.checks import check_fit, passed
from poolmap.inference.fit import brief
from poolmap.inference.predictive import leave_one_out
from poolmap.inference.summary import summarise
from poolmap.stan.sample import sample

ROOT = Path(__file__).resolve().parents[2]
SCHOOLS = ROOT / "resources/california_schools"
CALIFORNIA = {
    "family": "mrp",
    "survey": str(SCHOOLS / "survey.csv"),
    "census": str(SCHOOLS / "census.csv"),
    "count": "n",
    "weight": "weight",
    "outcome": {"column": "award", "positive": "Yes"},
    "formula": "award ~ 1 + meals_county + (1 | county) + (1 | school_type) + (1 | county:school_type)",
    "estimates": ["county", "school_type", "county:school_type"],
    "truth": {"data": str(SCHOOLS / "truth.csv"), "value": "award"},
    "interval": 0.95,
}


@pytest.fixture(scope="module")
def executable(compiled):
    return compiled(ROOT / "stan/mrp/mrp.stan", include_paths=[ROOT / "stan"]).exe_file


def fit(executable, spec, seed, **settings):
    """Data, draws, reported quantities, checks and tables of one fit."""
    data = ingest(spec)
    content = stan_data(spec, "main", data)
    sampling = brief(Sampling(**settings), content.whitened)
    draws = sample(
        Path(executable), content.data, content.parameters, sampling, seed=seed, cores=2, whitened=True
    )
    quantities = estimate(spec, "main", data, draws.posterior, np.random.default_rng(seed))
    checks = check_fit(quantities, draws.sample_stats, sampling.max_treedepth)
    return data, draws, quantities, checks, summarise(quantities, spec.interval)


@pytest.fixture(scope="module")
def california(executable):
    spec = MrpAnalysis(**CALIFORNIA)
    return spec, *fit(executable, spec, 20261120)


def test_posterior_against_quadrature(executable, tmp_path):
    """Three levels in the survey, a fourth only in the census: alpha and sigma on a grid, each effect by
    Gauss-Hermite quadrature. Means within 4 Monte Carlo standard errors."""
    yes, n = np.array([3, 12, 2]), np.array([10, 20, 3])
    rows = [
        f"{answer},{level}"
        for level, y, size in zip("ABC", yes, n, strict=True)
        for answer in ["1"] * y + ["0"] * (size - y)
    ]
    (tmp_path / "survey.csv").write_text("\n".join(["y,g", *rows]))
    (tmp_path / "census.csv").write_text("g,n\nA,100\nB,300\nC,50\nD,150\n")
    spec = MrpAnalysis(
        family="mrp",
        survey=str(tmp_path / "survey.csv"),
        census=str(tmp_path / "census.csv"),
        count="n",
        outcome={"column": "y", "positive": 1},
        formula="y ~ 1 + (1 | g)",
        estimates=["g"],
        interval=0.95,
    )
    _, _, _, checks, tables = fit(executable, spec, 7, draws=4000)
    assert passed(checks), checks

    alpha = np.linspace(-7, 7, 281)[:, None]
    sigma = ((np.arange(500) + 0.5) / 100)[None, :]  # half-normal(1): nothing is left beyond 5
    nodes, mass = np.polynomial.hermite_e.hermegauss(61)
    mass = mass / mass.sum()
    p = expit(alpha[..., None] + sigma[..., None] * nodes)
    likelihood = p[..., None] ** yes * (1 - p[..., None]) ** (n - yes)
    marginal = np.einsum("aszj,z->asj", likelihood, mass)
    share = np.einsum("aszj,asz,z->asj", likelihood, p, mass) / marginal
    unseen = p @ mass
    weight = np.exp(stats.norm.logpdf(alpha, 0, 2.5) + stats.norm.logpdf(sigma)) * marginal.prod(axis=2)
    weight /= weight.sum()

    def mean(value):
        return float((weight * value).sum())

    exact = pd.Series({level: mean(share[..., j]) for j, level in enumerate("ABC")} | {"D": mean(unseen)})
    groups = tables["g"].set_index("g")
    assert (abs(groups["mean"] - exact) < 4 * groups["mcse"]).all(), groups["mean"] - exact
    total = tables["total"].iloc[0]
    assert abs(total["mean"] - exact @ [1 / 6, 1 / 2, 1 / 12, 1 / 4]) < 4 * total["mcse"]
    parameters = tables["parameters"].set_index("quantity")
    for name, value in (("alpha", mean(alpha)), ("sigma", mean(sigma))):
        assert abs(parameters.at[name, "mean"] - value) < 4 * parameters.at[name, "mcse"], name
    spread = np.sqrt(mean(np.einsum("asz,z->as", p**2, mass)) - exact["D"] ** 2)
    assert groups.at["D", "sd"] == pytest.approx(spread, rel=0.05)


def test_recovers_known_truth(executable, tmp_path):
    """3,000 respondents of 24 areas and 4 ages, sampled far from the census; four areas are not sampled."""
    rng = np.random.default_rng(42)
    areas, ages = 24, 4
    truth = {"alpha": -0.3, "beta": 0.6, "area": 0.5, "age": 0.8}
    x = rng.normal(size=areas)
    counts = rng.integers(200, 5000, (areas, ages))
    mean = np.average(x, weights=counts.sum(1))
    z = (x - mean) / np.sqrt(np.average((x - mean) ** 2, weights=counts.sum(1)))
    effect, age = rng.normal(0, truth["area"], areas), np.array([-1.0, -0.3, 0.3, 1.0]) * truth["age"]
    p = expit(truth["alpha"] + truth["beta"] * z[:, None] + effect[:, None] + age)
    shares = (counts * p).sum(1) / counts.sum(1)

    names = [f"area {i:02d}" for i in range(areas)]
    census = [f"{names[i]},{k},{x[i]:.12g},{counts[i, k]}" for i in range(areas) for k in range(ages)]
    lean = np.array([4.0, 2.0, 1.0, 0.5])  # the young answer more often
    chance = counts[:20] * lean
    sampled = rng.choice(20 * ages, 3000, p=(chance / chance.sum()).ravel())
    answers = rng.random(3000) < p[:20].ravel()[sampled]
    survey = [f"{int(a)},{names[s // ages]},{s % ages}" for a, s in zip(answers, sampled, strict=True)]
    (tmp_path / "census.csv").write_text("\n".join(["area,age,x,n", *census]))
    (tmp_path / "survey.csv").write_text("\n".join(["y,area,age", *survey]))
    spec = MrpAnalysis(
        family="mrp",
        survey=str(tmp_path / "survey.csv"),
        census=str(tmp_path / "census.csv"),
        count="n",
        outcome={"column": "y", "positive": 1},
        formula="y ~ x + (1 | area) + (1 | age)",
        estimates=["area"],
        interval=0.9,
    )
    _, _, _, checks, tables = fit(executable, spec, 3)
    assert passed(checks), checks

    parameters = tables["parameters"].set_index("term")
    for term, value in (("x", truth["beta"]), ("area", effect[:20].std())):
        row = parameters.loc[term]
        assert abs(row["mean"] - value) < 3 * row["sd"], term
    table = tables["area"]
    inside = ((table["lower"] < shares) & (shares < table["upper"])).sum()
    assert stats.binom.ppf(0.001, areas, 0.9) <= inside  # 24 intervals of 90%
    assert (abs(table["mean"] - shares) < 4 * table["sd"]).all()
    mrp, raw = table["mean"][:20] - shares[:20], table["raw"][:20] - shares[:20]
    assert (mrp**2).mean() < (raw**2).mean() / 2
    total = tables["total"].iloc[0]
    assert abs(total["mean"] - (counts * p).sum() / counts.sum()) < 3 * total["sd"]
    assert table["sd"][20:].min() > table["sd"][:20].max()  # areas without respondents are less certain


def test_california_passes_the_gate(california):
    _, _, _, _, checks, _ = california
    assert passed(checks), checks


@pytest.mark.parametrize("seed", [1, 2])
def test_california_passes_the_gate_with_other_seeds(executable, seed):
    _, _, _, checks, _ = fit(executable, MrpAnalysis(**CALIFORNIA), seed)
    assert passed(checks), checks


def test_california_direct_estimates(california):
    """Weighted share and truth: R survey 4.1-1, svymean(~awards, dstrat) = 0.6389360641, population share
    0.6727478205. The standard error without strata is worked out here from the definition of the
    with-replacement estimator; with strata and finite population correction the same scores give R's
    0.034405918 of `dstrat`."""
    spec, data, _, _, _, tables = california
    total = tables["total"].iloc[0]
    assert total["weighted"] == pytest.approx(0.6389360641, abs=1e-8)
    assert total["truth"] == pytest.approx(0.6727478205, abs=1e-9)
    assert total["raw"] == pytest.approx(113 / 200)
    assert (total["n_survey"], total["n_census"]) == (200, 6194)

    survey = data.tables["survey"]
    y, w = survey["y"].to_numpy(), survey["weight"].to_numpy()
    score = w * (y - 0.6389360641) / w.sum()
    se = np.sqrt(Design.of(survey).variance(score[:, None]))[0]
    assert se == pytest.approx(np.sqrt(200 * score.var(ddof=1)), rel=1e-7)
    size = survey["school_type"].map({"elementary": 4421, "high": 755, "middle": 1018})
    stratified = Design.of(survey.assign(stratum=survey["school_type"], population_size_0=size))
    assert np.sqrt(stratified.variance(score[:, None]))[0] == pytest.approx(0.034405918, abs=1e-8)

    half = stats.t.ppf(0.975, 199) * se / (0.6389360641 * 0.3610639359)
    centre = np.log(0.6389360641 / 0.3610639359)
    assert total["weighted_lower"] == pytest.approx(expit(centre - half), abs=1e-7)
    assert total["weighted_upper"] == pytest.approx(expit(centre + half), abs=1e-7)
    assert spec.interval == 0.95


def test_california_estimates_are_nearer_to_the_truth_than_the_sample(california):
    _, _, _, _, _, tables = california
    total = tables["total"].iloc[0]
    assert total["lower"] < total["truth"] < total["upper"]
    for name in ("county", "county_school_type"):
        scores = accuracy(tables[name]).set_index(["kind", "where"])
        rmse = scores["rmse"]
        assert rmse["model", "sampled"] < 0.6 * rmse["raw", "sampled"]
        assert rmse["model", "sampled"] < 0.6 * rmse["weighted", "sampled"]
        for where in ("sampled", "unsampled"):
            row = scores.loc[("predicted", where)]
            assert stats.binom.ppf(0.001, row["intervals"], 0.95) <= row["covered"]
            assert row["width"] < 1


def test_california_tables(california):
    *_, tables = california
    assert set(tables) == {
        "total",
        "county",
        "school_type",
        "county_school_type",
        "parameters",
        "contributions",
    }
    county = tables["county"]
    assert len(county) == 57
    assert county["n_survey"].sum() == 200
    assert county["n_census"].sum() == 6194
    assert (county["n_survey"] == 0).sum() == 17
    assert county.loc[county["n_survey"] == 0, ["raw", "weighted", "raw_lower"]].isna().all(axis=None)
    width = county["upper"] - county["lower"]
    assert width[county["n_survey"] == 0].mean() > width[county["n_survey"] > 5].mean()
    wider = (county["predicted_upper"] - county["predicted_lower"]) / width
    assert wider[county["n_census"] < 10].min() > wider[county["n_census"] > 300].max()
    assert tables["parameters"]["term"].tolist() == [
        "intercept",
        "meals_county",
        "county",
        "school_type",
        "county:school_type",
    ]


def test_total_is_the_average_of_the_groups_in_every_draw(california):
    _, _, _, quantities, _, _ = california
    shares = {item.table: item for item in quantities if item.quantity == "share"}
    total = shares["total"].draws[..., 0]
    for name in ("county", "school_type", "county_school_type"):
        item = shares[name]
        weights = item.extra["n_census"].to_numpy() / 6194
        np.testing.assert_allclose(item.draws @ weights, total, rtol=1e-10)


def test_estimates_depend_on_the_generator_alone(california):
    spec, data, draws, quantities, _, _ = california
    again = estimate(spec, "main", data, draws.posterior, np.random.default_rng(20261120))
    for first, second in zip(quantities, again, strict=True):
        np.testing.assert_array_equal(first.draws, second.draws)
        if first.extra is not None:
            pd.testing.assert_frame_equal(first.extra, second.extra)


def test_predictive(california):
    spec, data, draws, _, _, _ = california
    check = predictive(spec, "main", data, draws.posterior, np.random.default_rng(1))
    cells, posterior = data.tables["cells"], draws.posterior
    assert check.log_lik.shape == check.replicated.shape == (4, 1000, 78)
    assert check.labels[0] == "Alameda / elementary"
    assert (check.replicated <= cells["n"].to_numpy()).all()

    chain, draw, cell = 2, 345, 40  # one value worked out by hand
    row, one = cells.iloc[cell], posterior.isel(chain=chain, draw=draw)
    scale = data.facts["predictors"]["meals_county"]
    logit = (
        float(one["alpha"][0]) + float(one["beta"][0]) * (row["meals_county"] - scale["mean"]) / scale["sd"]
    )
    place = row["level_0"], 40 + row["level_1"], 43 + row["level_2"]
    logit += sum(float(one["effect"][place[k]]) for k in range(3))
    expected = stats.binom.logpmf(row["yes"], row["n"], expit(logit))
    assert check.log_lik[chain, draw, cell] == pytest.approx(expected, rel=1e-9)
    mean = check.replicated.mean(axis=(0, 1))
    assert np.corrcoef(mean / cells["n"], check.observed / cells["n"])[0, 1] > 0.6
    assert abs(mean.sum() - check.observed.sum()) < 5
    scores = leave_one_out(check)
    assert scores["elpd_loo"] < check.log_lik.mean(axis=(0, 1)).sum() < 0
    assert 5 < scores["p_loo"] < 60  # 78 cells, 126 parameters under strong pooling
