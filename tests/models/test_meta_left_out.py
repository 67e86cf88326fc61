"""Fits without one study: how well the others predict it, against exact values."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from poolmap.config.base import Prior, Sampling
from poolmap.config.load import parse_analysis
from poolmap.families.meta.design import design
from poolmap.families.meta.estimate import estimate, predictive
from poolmap.families.meta.exact import common_effect_elpd
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.left_out import left_out
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.quadrature import posterior
from poolmap.inference.fit import fit
from poolmap.inference.left_out import refit_left_out
from poolmap.inference.predictive import leave_one_out
from poolmap.inference.summary import import_arviz
from poolmap.stan.sample import sample

ROOT = Path(__file__).resolve().parents[2]
BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "measure": "RR",
    "columns": {
        "events_1": "bcg_cases", "total_1": "bcg_total",
        "events_2": "control_cases", "total_2": "control_total",
    },
    "moderators": ["latitude"],
    "interval": 0.95,
}  # fmt: skip
SAMPLING = Sampling(chains=4, warmup=1000, draws=1000)
NORMAL = {"mu_prior": {"normal": [0, 1]}}
LATITUDE = NORMAL | {
    "formula": "latitude",
    "beta_prior": {"normal": [0, 1]},
    "tau_prior": {"half_cauchy": 0.5},
}


@pytest.fixture(scope="module")
def executable(compiled):
    return compiled(ROOT / "stan/meta/normal.stan", [ROOT / "stan"]).exe_file


def analysis(model):
    spec = parse_analysis(BCG | {"models": {"m": model}})
    return spec, ingest(spec)


def test_a_regression_without_a_study_predicts_it_as_the_exact_posterior_does(executable):
    spec, data = analysis(LATITUDE)
    studies, X = data.tables["studies"], design(spec, "m", data).X
    item = left_out(spec, "m", data)(5)
    assert item.data.data["K"] == 12
    assert np.array(item.data.data["X"]) == pytest.approx(np.delete(X, 5, axis=0))  # the centre stays
    draws = sample(executable, item.data.data, item.data.parameters, SAMPLING, seed=1, cores=2)
    log_lik = item.log_lik(draws.posterior)
    used = np.array([[True] * 13, [i != 5 for i in range(13)]])
    exact = posterior(
        studies["yi"].to_numpy(), studies["se"].to_numpy(), Prior("normal", (0, 1)),
        spec.priors("m")["tau"], used=used, design=X,
    )  # fmt: skip
    expected = float(np.diff(exact.log_marginal[::-1])[0])
    density = np.exp(log_lik)
    error = float(import_arviz().mcse(density, method="mean")) / density.mean()
    assert np.log(density.mean()) == pytest.approx(expected, abs=4 * error)


def test_studies_that_importance_sampling_cannot_leave_out_are_refitted(executable):
    """A regression whose studies scatter more than tau's prior lets them: k is above 0.7 in some."""
    spec, data = analysis(LATITUDE | {"tau_prior": {"half_normal": 0.1}})
    studies, X = data.tables["studies"], design(spec, "m", data).X
    given = stan_data(spec, "m", data)
    fitted = fit(
        executable, given, lambda draws, rng: estimate(spec, "m", data, draws, rng), SAMPLING, seed=1, cores=2
    )
    refits = refit_left_out(
        executable,
        fitted,
        lambda draws, rng: predictive(spec, "m", data, draws, rng),
        left_out(spec, "m", data),
        seed=1,
        cores=2,
    )
    assert refits
    assert any(refit["passed"] for refit in refits)
    predicted = predictive(spec, "m", data, fitted.draws.posterior, np.random.default_rng(1))
    alone, scored = leave_one_out(predicted), leave_one_out(predicted, refits)
    used = np.vstack([np.ones(13, dtype=bool), ~np.eye(13, dtype=bool)])
    log_marginal = posterior(
        studies["yi"].to_numpy(), studies["se"].to_numpy(), Prior("normal", (0, 1)),
        spec.priors("m")["tau"], used=used, design=X,
    ).log_marginal  # fmt: skip
    exact = log_marginal[0] - log_marginal[1:]
    by_refit = [refit["i"] for refit in refits if refit["passed"]]
    assert scored["n_high_k"] == alone["n_high_k"] - len(by_refit)
    for i, how in enumerate(scored["method"]):
        assert how == ("refit" if i in by_refit else "psis")
        if how == "refit":  # 100 effective draws or more carry the mean: 4 of its errors
            assert scored["elpd"][i] == pytest.approx(exact[i], abs=0.4)


def test_a_common_effect_is_left_out_exactly():
    """By the normal posterior of mu given the other studies."""
    spec, data = analysis(NORMAL | {"effects": "common"})
    studies = data.tables["studies"]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    assert left_out(spec, "m", data) is None
    found = common_effect_elpd(spec, "m", design(spec, "m", data), studies)
    for i in range(13):
        w = np.delete(1 / vi, i)
        precision = 1 + w.sum()
        mean = w @ np.delete(yi, i) / precision
        assert found[i] == pytest.approx(stats.norm.logpdf(yi[i], mean, np.sqrt(vi[i] + 1 / precision)))


def test_nothing_is_refitted_where_it_is_known_or_cannot_be(executable):
    for model in (
        NORMAL | {"tau_prior": {"half_cauchy": 0.5}},  # exact by quadrature
        NORMAL | {"effects": "independent"},
        {"likelihood": "binomial", "baseline_prior": {"uniform": [-8, 0]}},  # not integrated
    ):
        spec = parse_analysis(BCG | {"models": {"first": {}, "m": model}})
        assert left_out(spec, "m", ingest(spec)) is None
