"""Studies with several effects each: the program, what is drawn from it, and the classical companion.

meta_multilevel_reference.json says where its numbers come from. The rest is compared with dense covariance
matrices, which know nothing of the program's Woodbury formulae.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray
from meta_fit import Fitted, agree_with_draws, agree_with_normal, distance, generic
from numpy.testing import assert_allclose
from scipy import linalg, stats

from poolmap.config.base import Sampling
from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families.meta.classical import pool
from poolmap.families.meta.classical_multilevel import multilevel
from poolmap.families.meta.design import design
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.multilevel import multilevel_effects, multilevel_predictive

REFERENCE = json.loads(Path(__file__).with_name("meta_multilevel_reference.json").read_text())
METAFOR = REFERENCE["metafor"]
SCHOOLS = pd.DataFrame(REFERENCE["konstantopoulos2011"])
BERKEY = pd.DataFrame(REFERENCE["berkey1998"])
PRIORS = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}


def schools(folder, model, **keys):
    """The analysis of the school calendar, its rows in another order than by district."""
    frame = pd.DataFrame({"study": SCHOOLS["district"], "school": SCHOOLS["school"], "year": SCHOOLS["year"]})
    frame = frame.assign(estimate=SCHOOLS["yi"], se=np.sqrt(SCHOOLS["vi"])).iloc[::-1]
    rho = keys.pop("rho", None)
    if rho is not None:
        frame["rho"] = frame["study"].map(rho)
        keys["columns"] = {"correlation": "rho"}
    return generic(folder, frame, {**PRIORS, **model}, effect_id="school", **keys)


def dense(studies, tau, within, rho):
    """Sampling covariance and whole covariance, and which rows belong together; rho by study or one."""
    same = studies["study"].to_numpy()[:, None] == studies["study"].to_numpy()
    se = studies["se"].to_numpy()
    by_row = (
        studies["study"].astype(int).map(rho).to_numpy() if isinstance(rho, dict) else np.full(len(se), rho)
    )
    S = np.where(same, by_row * np.outer(se, se), 0.0)
    np.fill_diagonal(S, se**2)
    return S, S + tau**2 * same + within**2 * np.eye(len(se)), same


class Exact:
    """Posterior of mu, tau and tau_within on a grid of the last two, by dense matrices; mu ~ normal(0, 1)."""

    def __init__(self, studies, rho, *, levels=3, prior_sd=0.5, nodes=48):
        x, w = np.polynomial.legendre.leggauss(nodes)
        self.tau, wt = 0.6 * (x + 1), w  # nothing beyond 1.2
        self.within, ww = (0.3 * (x + 1), w) if levels == 3 else (np.zeros(1), np.ones(1))
        y = studies["yi"].to_numpy()
        log_joint = np.empty((len(self.tau), len(self.within)))
        mean, variance = np.empty_like(log_joint), np.empty_like(log_joint)
        for a, tau in enumerate(self.tau):
            for b, within in enumerate(self.within):
                V = dense(studies, tau, within, rho)[1] + 1.0  # with mu ~ normal(0, 1) integrated out
                factor = linalg.cho_factor(V, lower=True)
                solved = linalg.cho_solve(factor, np.column_stack([y, np.ones(len(y))]))
                log_joint[a, b] = -np.log(np.diag(factor[0])).sum() - 0.5 * y @ solved[:, 0]
                mean[a, b], variance[a, b] = y @ solved[:, 1], 1 - solved[:, 1].sum()
        log_joint += stats.norm.logpdf(self.tau, 0, prior_sd)[:, None]
        log_joint += stats.norm.logpdf(self.within, 0, prior_sd)
        self.mass = np.exp(log_joint - log_joint.max()) * wt[:, None] * ww
        self.mass /= self.mass.sum()
        self.mean, self.variance = mean, variance

    def moments(self, values, variance=0.0):
        mean = (self.mass * values).sum()
        return mean, np.sqrt((self.mass * (variance + (values - mean) ** 2)).sum())


def test_three_levels_against_stan_with_effects_sampled(compiled, tmp_path):
    fitted = Fitted(compiled, schools(tmp_path, {}))
    for name, quantity in {"mu": "effect", "tau": "tau", "tau_within": "tau_within"}.items():
        agree_with_draws(fitted["pooled", quantity][:, :, 0], REFERENCE["stan"][name])


@pytest.mark.parametrize(("levels", "correlation"), [(3, None), (3, 0.6), (3, -0.09), (2, None), (2, 0.4)])
def test_variances_against_quadrature(compiled, tmp_path, levels, correlation):
    model = {"levels": levels} | ({} if correlation is None else {"correlation": correlation})
    fitted = Fitted(compiled, schools(tmp_path, model))
    exact = Exact(fitted.data.tables["studies"], correlation or 0.0, levels=levels)
    agree_with_normal(fitted["pooled", "effect"][:, :, 0], *exact.moments(exact.mean, exact.variance))
    agree_with_normal(fitted["pooled", "tau"][:, :, 0], *exact.moments(exact.tau[:, None]))
    if levels == 3:
        agree_with_normal(fitted["pooled", "tau_within"][:, :, 0], *exact.moments(exact.within))
    else:
        assert "tau_within" not in fitted.draws.posterior


def test_common_effects_with_correlations_of_their_own_have_a_closed_form(compiled, tmp_path):
    # two outcomes with the sampling covariance of each trial, and a mean of each outcome
    rho = BERKEY["covariance"] / np.sqrt(BERKEY.groupby("trial")["vi"].transform("prod"))
    frame = pd.DataFrame({"study": BERKEY["trial"], "outcome": BERKEY["outcome"], "rho": rho})
    frame = frame.assign(estimate=BERKEY["yi"], se=np.sqrt(BERKEY["vi"]))
    model = {"effects": "common", "mu_prior": {"normal": [0, 1]}, "subgroups": "outcome"}
    keys = {"effect_id": "outcome", "moderators": ["outcome"], "columns": {"correlation": "rho"}}
    fitted = Fitted(compiled, generic(tmp_path, frame, model, **keys))
    X = np.column_stack([BERKEY["outcome"] == name for name in ("PD", "AL")]).astype(float)
    inverse = np.linalg.inv(berkey_covariance())
    covariance = np.linalg.inv(X.T @ inverse @ X + np.eye(2))
    mean = covariance @ X.T @ inverse @ BERKEY["yi"]
    for j in range(2):
        agree_with_normal(fitted.parameter("beta", j), mean[j], covariance[j, j] ** 0.5)
    assert set(fitted.draws.posterior) == {"beta"}
    assert_allclose(fitted["studies", "effect"], fitted.draws.posterior["beta"].values @ X.T)


RHO = {district: 0.9 - 0.095 * i for i, district in enumerate(SCHOOLS["district"].unique())}  # 0.9 to -0.05


def given_draws(folder, beta, tau, within, count, **keys):
    """Spec, design, studies and the same draw `count` times."""
    spec = parse_analysis(schools(folder, {}, **keys))
    data = ingest(spec)
    one = np.ones((1, count, 1))
    names = ("chain", "draw", "size")
    values = {"beta": beta, "tau": tau, "tau_within": within}
    draws = xarray.Dataset({name: (names, value * one) for name, value in values.items()})
    studies = data.tables["studies"].sample(frac=1, random_state=1, ignore_index=True)  # any order will do
    return spec, design(spec, "m", data), studies, draws


def test_effects_are_drawn_from_their_exact_distribution(tmp_path):
    count = 40_000
    spec, layout, studies, draws = given_draws(tmp_path, 0.2, 0.3, 0.2, count, rho=RHO)
    theta = multilevel_effects(spec, "m", layout, studies, draws, np.random.default_rng(1))[0]
    S, V, _ = dense(studies, 0.3, 0.2, RHO)
    T = V - S
    mean = 0.2 + T @ np.linalg.solve(V, studies["yi"].to_numpy() - 0.2)
    covariance = T - T @ np.linalg.solve(V, T)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(theta.mean(axis=0) - mean) < 4.5 * sd / np.sqrt(count)).all()  # 56 effects
    found = np.cov(theta.T)
    # error of a covariance of n draws: sqrt((s_ii s_jj + s_ij^2) / n)
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / count)
    assert (np.abs(found - covariance) < 5 * error).all()


def test_likelihood_and_replicates_are_those_of_the_dense_covariance(tmp_path, monkeypatch):
    count = 40_000
    spec, layout, studies, draws = given_draws(tmp_path, 0.1, 0.25, 0.15, count, rho=RHO)
    monkeypatch.setattr("poolmap.families.meta.multilevel.CELLS", 700_000)  # several chunks
    found = multilevel_predictive(spec, "m", layout, studies, draws, np.random.default_rng(2))
    _, V, _ = dense(studies, 0.25, 0.15, RHO)
    for j, district in enumerate(studies["study"].unique()):
        at = np.flatnonzero(studies["study"] == district)
        law = stats.multivariate_normal(np.full(len(at), 0.1), V[np.ix_(at, at)])
        assert_allclose(found.log_lik[0, [0, -1], j], law.logpdf(studies["yi"].to_numpy()[at]), rtol=1e-10)
    assert (found.unit, found.left_out, found.log_lik.shape[2]) == ("effect", "study", 11)
    assert found.labels[0] == f"{studies['study'][0]}, {studies['effect_id'][0]}"
    sd = np.sqrt(np.diag(V))
    error = np.sqrt((np.outer(sd, sd) ** 2 + V**2) / count)
    assert (np.abs(np.cov(found.replicated[0].T) - V) < 5 * error).all()
    assert (np.abs(found.replicated[0].mean(axis=0) - 0.1) < 4.5 * sd / np.sqrt(count)).all()


def test_impossible_correlations_are_refused_with_their_studies(tmp_path):
    spec = parse_analysis(schools(tmp_path, {"correlation": -0.2}))
    with pytest.raises(InputError) as caught:
        stan_data(spec, "m", ingest(spec))
    text = str(caught.value)
    # the districts with 6 schools or more: above -1 / 5
    sizes = SCHOOLS["district"].value_counts()
    assert text.count("cannot all have sampling errors correlated by -0.2") == (sizes >= 6).sum() >= 2
    assert "study '644': 11" not in text
    assert "models.m.correlation" in text
    assert f"must lie above {-1 / (sizes.max() - 1):.3g}" in text


def test_truth_is_anywhere_in_the_posterior(compiled, tmp_path):
    """Simulation-based calibration: 12 studies of 1 to 4 effects, correlated by 0.5, with a moderator."""
    rng = np.random.default_rng(20261122)
    sampling = Sampling(chains=2, warmup=300, draws=500, adapt_delta=0.9)
    study = np.repeat(np.arange(12), [1, 2, 3, 4] * 3)
    k = len(study)
    x = rng.uniform(-1, 1, k)
    model = {
        **PRIORS,
        "formula": "x",
        "beta_prior": {"normal": [0, 0.5]},
        "centre": False,
        "correlation": 0.5,
    }
    runs, ranks = 60, {}
    for run in range(runs):
        mu, slope, tau, within = rng.normal(), rng.normal(0, 0.5), *np.abs(rng.normal(0, 0.5, 2))
        se = rng.uniform(0.1, 0.5, k)
        theta = mu + slope * x + (tau * rng.normal(size=12))[study] + within * rng.normal(size=k)
        errors = se * (np.sqrt(0.5) * rng.normal(size=12)[study] + np.sqrt(0.5) * rng.normal(size=k))
        frame = {"study": study, "e": np.arange(k), "estimate": theta + errors, "se": se, "x": x}
        view = generic(tmp_path, frame, model, effect_id="e", moderators=["x"])
        fitted = Fitted(compiled, view, sampling=sampling, seed=run + 1, gate=False)
        truth = {"mu": mu, "slope": slope, "tau": tau, "within": within, "theta": theta[5]}
        draws = {"mu": fitted.parameter("beta", 0), "slope": fitted.parameter("beta", 1)}
        draws |= {"tau": fitted.parameter("tau"), "within": fitted.parameter("tau_within")}
        draws["theta"] = fitted["studies", "effect"][:, :, 5]
        for name, value in truth.items():
            ranks.setdefault(name, []).append(int((draws[name][:, ::10] < value).sum()))
    for name, found in ranks.items():
        bins = np.bincount(np.minimum(np.array(found) * 6 // 101, 5), minlength=6)
        assert stats.chisquare(bins).pvalue > 0.001, (name, bins.tolist())
        # mean rank, uniform on 0..100: sd of the mean 29.15 / sqrt(runs)
        assert abs(np.mean(found) - 50) < 3.3 * 29.15 / np.sqrt(runs), name


def test_many_studies_find_the_truth(compiled, tmp_path):
    rng = np.random.default_rng(7)
    study, k = np.repeat(np.arange(100), 5), 500
    se = rng.uniform(0.1, 0.3, k)
    theta = 0.2 + (0.3 * rng.normal(size=100))[study] + 0.2 * rng.normal(size=k)
    frame = {"study": study, "e": np.arange(k), "estimate": theta + se * rng.normal(size=k), "se": se}
    sampling = Sampling(chains=2, warmup=500, draws=1000, adapt_delta=0.9)
    fitted = Fitted(compiled, generic(tmp_path, frame, PRIORS, effect_id="e"), sampling=sampling)
    for name, value in {"effect": 0.2, "tau": 0.3, "tau_within": 0.2}.items():
        draws = fitted["pooled", name]
        assert abs(draws.mean() - value) < 3.3 * draws.std()
    found = fitted["studies", "effect"]
    z = (theta - found.mean(axis=(0, 1))) / found.std(axis=(0, 1))
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * k))
    classical = multilevel(frame["estimate"], se**2, study)
    assert fitted["pooled", "tau"].mean() == pytest.approx(classical.tau2**0.5, abs=0.02)
    assert distance(fitted["pooled", "effect"][:, :, 0], classical.coefficients["estimate"][0]) < 5


# ---- the classical companion -----------------------------------------------------------------------------


def berkey_covariance():
    """The sampling covariance of all outcomes (10, 10)."""
    same = BERKEY["trial"].to_numpy()[:, None] == BERKEY["trial"].to_numpy()
    V = np.where(same, BERKEY["covariance"].to_numpy(), 0.0)
    np.fill_diagonal(V, BERKEY["vi"])
    return V


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_three_levels_as_metafor(method):
    ours = multilevel(SCHOOLS["yi"], SCHOOLS["vi"], SCHOOLS["district"], method)
    theirs = METAFOR[f"three_level_{method}"]
    sigma2 = theirs.get("sigma2") or [theirs["sigma2_district"], theirs["sigma2_school"]]
    row = ours.coefficients.iloc[0]
    assert_allclose([ours.tau2, ours.tau2_within], sigma2, rtol=1e-6)
    assert_allclose([row["estimate"], row["se"]], [theirs["estimate"], theirs["se"]], rtol=1e-6)
    assert ours.log_likelihood == pytest.approx(theirs["loglik"], abs=1e-8)
    if method == "REML":
        assert_allclose([row["lower"], row["upper"]], [theirs["ci_lb"], theirs["ci_ub"]], rtol=1e-6)
        assert_allclose([ours.icc, ours.q], [theirs["ICC"], theirs["Q"]], rtol=1e-6)
        # metafor's limits are roots to .Machine$double.eps^0.25 = 1.2e-4
        assert_allclose(ours.tau2_limits, theirs["profile_district"], atol=1.2e-4)
        assert_allclose(ours.tau2_within_limits, theirs["profile_school"], atol=1.2e-4)
    assert (ours.k, ours.studies, ours.q_df) == (56, 11, 55)


def test_two_levels_of_one_effect_each_are_a_pooled_effect():
    yi, vi = SCHOOLS["yi"].to_numpy(), SCHOOLS["vi"].to_numpy()
    theirs = METAFOR["two_level_REML"]
    ours = multilevel(yi, vi, np.arange(56), levels=2)
    row = ours.coefficients.iloc[0]
    got = [ours.tau2, row["estimate"], row["se"], row["lower"], row["upper"], ours.q]
    wanted = [theirs[name] for name in ("tau2", "estimate", "se", "ci_lb", "ci_ub", "Q")]
    assert_allclose(got, wanted, rtol=1e-6)
    assert ours.log_likelihood == pytest.approx(theirs["loglik"], abs=1e-8)
    assert ours.tau2 == pytest.approx(pool(yi, vi).tau2, rel=1e-6)
    assert np.isnan(ours.icc)


def test_residual_heterogeneity_of_correlated_outcomes_as_metafor():
    # metafor's random effects are unstructured (a tau of each outcome), not ours; its Q does not involve them
    outcome = np.column_stack([BERKEY["outcome"] == name for name in ("AL", "PD")]).astype(float)
    year = outcome * (BERKEY["year"].to_numpy() - 1983)[:, None]
    for X, q in ((outcome, "berkey_Q"), (np.hstack([outcome, year]), "berkey_Q_year")):
        ours = multilevel(
            BERKEY["yi"], BERKEY["vi"], BERKEY["trial"], "CE", X, covariance=berkey_covariance()
        )
        assert ours.q == pytest.approx(METAFOR[q], rel=1e-9)
        assert (ours.q_df, ours.tau2, ours.tau2_within) == (10 - X.shape[1], 0, 0)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_likelihood_and_its_maximum_with_correlated_errors_and_a_moderator(method):
    yi, vi, rho = SCHOOLS["yi"].to_numpy(), SCHOOLS["vi"].to_numpy(), 0.4
    X = np.column_stack([np.ones(56), SCHOOLS["year"] - 1990])
    studies = pd.DataFrame({"study": SCHOOLS["district"], "yi": yi, "se": np.sqrt(vi)})
    ours = multilevel(yi, vi, SCHOOLS["district"], method, X, rho=rho)

    def log_likelihood(tau2, within2):
        V = dense(studies, tau2**0.5, within2**0.5, rho)[1]
        inverse = np.linalg.inv(V)
        normal = X.T @ inverse @ X
        r = yi - X @ np.linalg.solve(normal, X.T @ inverse @ yi)
        value = stats.multivariate_normal.logpdf(r, np.zeros(56), V)
        if method == "REML":
            value += np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(X.T @ X)[1]
            value -= 0.5 * np.linalg.slogdet(normal)[1]
        return value

    top = log_likelihood(ours.tau2, ours.tau2_within)
    assert ours.log_likelihood == pytest.approx(top, abs=1e-9)
    for a, b in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99), (1.005, 0.995), (0.3, 3)):
        assert log_likelihood(a * ours.tau2, b * ours.tau2_within) < top
    # the profile limits lie on the contour, wherever the other variance is
    drop = stats.chi2.ppf(0.95, 1) / 2
    others = np.geomspace(0.2, 5, 2001) * ours.tau2_within
    for limit in ours.tau2_limits:
        best = max(log_likelihood(limit, other) for other in others[::20])
        assert best == pytest.approx(top - drop, abs=2e-3)


def test_variances_of_zero_stay_at_their_bound():
    yi, study = np.array([0.1, 0.12, 0.09, 0.11, 0.1, 0.1]), [1, 1, 2, 2, 3, 3]
    ours = multilevel(yi, np.full(6, 0.04), study)
    assert (ours.tau2, ours.tau2_within) == (0, 0)
    assert ours.coefficients["se"][0] == pytest.approx(np.sqrt(0.04 / 6))
    assert ours.tau2_limits[0] == ours.tau2_within_limits[0] == 0
    assert ours.tau2_limits[1] > 0
    assert np.isnan(ours.icc)


def test_what_cannot_be_fitted():
    yi, vi, study = np.arange(6.0), np.full(6, 0.1), ["a", "a", "a", "b", "b", "c"]
    with pytest.raises(ValueError, match=r"study a.*not positive definite"):
        multilevel(yi, vi, study, rho=-0.5)
    with pytest.raises(ValueError, match="several correlations"):
        multilevel(yi, vi, study, rho=np.linspace(0, 0.5, 6))
    with pytest.raises(ValueError, match="every study has one effect"):
        multilevel(yi, vi, list("abcdef"))
    with pytest.raises(ValueError, match="one study"):
        multilevel(yi, vi, ["a"] * 6)
    with pytest.raises(ValueError, match="0 between studies"):
        multilevel(yi, vi, study, covariance=np.full((6, 6), 0.01) + 0.09 * np.eye(6))
    with pytest.raises(ValueError, match="is not one of"):
        multilevel(yi, vi, study, "DL")
