"""The normal program: regression, subgroups, and effects that are normal, Student-t, common or unrelated.

References: exact posteriors by quadrature (`poolmap.families.meta.quadrature`, itself tested against
bayesmeta and scipy), closed forms, published values, and draws of other samplers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from meta_fit import ROOT, Fitted, agree, agree_with_draws, agree_with_normal, distance, generic
from scipy import special, stats

from poolmap.config.base import Prior, Sampling
from poolmap.families.meta.quadrature import posterior

BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "measure": "RR",
    "columns": {
        "events_1": "bcg_cases",
        "total_1": "bcg_total",
        "events_2": "control_cases",
        "total_2": "control_total",
    },
    "moderators": ["latitude", "allocation"],
    "interval": 0.95,
}
LATITUDE = {"formula": "latitude", "mu_prior": {"normal": [0, 10]}, "beta_prior": {"normal": [0, 10]}}

# One-dimensional quadrature with scipy, independent of poolmap: log RR on latitude less its mean; both
# coefficients normal(0, 10), tau half-Cauchy(0.5). mean, sd, 2.5 %, 97.5 %
EXACT = {
    ("pooled", "log_rr"): (-0.7199892377, 0.1235925321, -0.9816416226, -0.4856443959),
    ("coefficients", "beta"): (-0.0288972007, 0.0082968298, -0.0452358238, -0.0115324864),
    ("pooled", "tau"): (0.3090661343, 0.1471798974, 0.0854949655, 0.6559789904),
}
# The same with improper uniform coefficients and tau half-normal(0.5); here normal(0, 1000) stands for them
EXACT_FLAT = {
    ("pooled", "log_rr"): (-0.7210196131, 0.1244430551, -0.9841112146, -0.4841793336),
    ("coefficients", "beta"): (-0.0288752371, 0.0083598701, -0.0453686701, -0.0113839709),
    ("pooled", "tau"): (0.3139940376, 0.1435045980, 0.0892993097, 0.6466322836),
}


def against(fitted, reference):
    for at, (mean, sd, lower, upper) in reference.items():
        draws = fitted[at][:, :, 0]
        assert distance(draws, mean) < 4, at
        assert distance(draws, sd, statistic="sd") < 4, at
        assert distance(draws, lower, statistic="quantile", prob=0.025) < 4, at
        assert distance(draws, upper, statistic="quantile", prob=0.975) < 4, at


def test_regression_on_latitude_against_the_exact_posterior(compiled):
    fitted = Fitted(compiled, {**BCG, "models": {"m": {**LATITUDE, "tau_prior": {"half_cauchy": 0.5}}}})
    against(fitted, EXACT)
    studies, layout = fitted.data.tables["studies"], fitted.data.tables["moderators"]["latitude"]
    design = np.column_stack([np.ones(13), layout - layout.mean()])
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    exact = posterior(yi, se, Prior("normal", (0, 10)), Prior("half_cauchy", (0.5,)), design=design)
    for i in range(13):
        agree(fitted["studies", "log_rr"][:, :, i], exact.theta(i))


def test_regression_with_flat_coefficients_against_the_exact_posterior(compiled):
    flat = {"mu_prior": {"normal": [0, 1000]}, "beta_prior": {"normal": [0, 1000]}}
    fitted = Fitted(
        compiled, {**BCG, "models": {"m": {**LATITUDE, **flat, "tau_prior": {"half_normal": 0.5}}}}
    )
    against(fitted, EXACT_FLAT)


def test_regression_uncentred_against_brms(compiled):
    # brms 2.18: yi | se(sei) ~ 1 + ablat + (1 | study), 20,000 draws; brms centres inside. mean, sd
    brms = {"beta": (-0.028971, 0.0082493), "mean": (0.2605, 0.2885), "tau": (0.30462, 0.1476)}
    model = {**LATITUDE, "centre": False, "tau_prior": {"half_cauchy": 0.5}}
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}})
    found = {"mean": fitted.parameter("beta", 0), "beta": fitted.parameter("beta", 1)}
    found["tau"] = fitted.parameter("tau")
    for name, (mean, sd) in brms.items():
        # effective draws of brms are not stored: 4,000 of 20,000, as it usually has for a tau
        assert distance(found[name], mean, reference_mcse=sd / np.sqrt(4000)) < 4, name
        assert distance(found[name], sd, statistic="sd", reference_mcse=sd / np.sqrt(4000)) < 4, name
    against(fitted, {at: EXACT[at] for at in (("coefficients", "beta"), ("pooled", "tau"))})
    # mu is the effect at the studies' average whether centred or not (priors of 10 are flat here)
    assert distance(fitted["pooled", "log_rr"][:, :, 0], EXACT["pooled", "log_rr"][0]) < 4


def test_moderators_of_any_unit_sample_alike(compiled, tmp_path):
    rng = np.random.default_rng(5)
    year, dose = 1950 + np.arange(30.0), 1e-5 * rng.uniform(1, 3, 30)
    se = rng.uniform(0.1, 0.3, 30)
    yi = 40 - 0.02 * year + 2e4 * dose + np.hypot(0.2, se) * rng.standard_normal(30)
    frame = {"study": [f"S{i}" for i in range(30)], "estimate": yi, "se": se, "year": year, "dose": dose}
    model = {"formula": "year + dose", "centre": False, "mu_prior": {"normal": [0, 1e6]}}
    model |= {"beta_prior": {"normal": [0, 1e6]}, "tau_prior": {"half_normal": 1}}
    fitted = Fitted(compiled, generic(tmp_path, frame, model, moderators=["year", "dose"]))
    assert fitted.draws.sample_stats["n_steps"].mean() < 15
    exact = posterior(
        yi,
        se,
        Prior("normal", (0, 1e6)),
        Prior("half_normal", (1,)),
        design=np.column_stack([np.ones(30), year, dose]),
    )
    for j in range(3):
        agree(fitted.parameter("beta", j), exact.coefficient(j))
    agree(fitted.parameter("tau"), exact.tau)


def groups(fitted):
    """Estimates, standard errors and subgroup of each study."""
    studies = fitted.data.tables["studies"]
    labels = fitted.data.tables["moderators"]["allocation"]
    return studies["yi"].to_numpy(), studies["se"].to_numpy(), *pd.factorize(labels)


def test_subgroups_with_a_common_tau_against_quadrature(compiled):
    model = {"subgroups": "allocation", "mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}})
    yi, se, index, names = groups(fitted)
    prior = Prior("normal", (0, 1)), Prior("half_normal", (0.5,))
    exact = posterior(yi, se, *prior, design=np.eye(3)[index])
    agree(fitted["pooled", "tau"][:, :, 0], exact.tau)
    assert len(names) == 3
    for j in range(3):
        agree(fitted["subgroups", "log_rr"][:, :, j], exact.coefficient(j))
    for i in (0, 5, 12):
        agree(fitted["studies", "log_rr"][:, :, i], exact.theta(i))


def test_subgroups_with_their_own_tau_are_separate_meta_analyses(compiled):
    model = {"subgroups": "allocation", "subgroup_tau": "own"}
    model |= {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}})
    yi, se, index, names = groups(fitted)
    for j in range(len(names)):
        one = index == j
        exact = posterior(yi[one], se[one], Prior("normal", (0, 1)), Prior("half_normal", (0.5,)))
        agree(fitted["subgroups", "log_rr"][:, :, j], exact.mu())
        agree(fitted["subgroups", "tau"][:, :, j], exact.tau)
        for at, i in enumerate(np.flatnonzero(one)):
            agree(fitted["studies", "log_rr"][:, :, i], exact.theta(at))


def test_common_effect_has_a_closed_form(compiled):
    fitted = Fitted(compiled, {**BCG, "models": {"m": {"effects": "common", "mu_prior": {"normal": [0, 1]}}}})
    studies = fitted.data.tables["studies"]
    precision = 1 + (1 / studies["vi"]).sum()
    mean = (studies["yi"] / studies["vi"]).sum() / precision
    agree_with_normal(fitted["pooled", "log_rr"][:, :, 0], mean, precision**-0.5)
    assert set(fitted.draws.posterior) == {"beta"}
    assert (fitted["studies", "log_rr"] == fitted["pooled", "log_rr"]).all()
    log_lik = stats.norm.logpdf(studies["yi"], fitted["pooled", "log_rr"], studies["se"])
    np.testing.assert_allclose(fitted.predictive().log_lik, log_lik)


def test_common_effect_regression_has_a_closed_form(compiled):
    fitted = Fitted(compiled, {**BCG, "models": {"m": {**LATITUDE, "effects": "common"}}})
    studies, latitude = fitted.data.tables["studies"], fitted.data.tables["moderators"]["latitude"]
    X = np.column_stack([np.ones(13), latitude - latitude.mean()])
    W = np.diag(1 / studies["vi"])
    covariance = np.linalg.inv(X.T @ W @ X + np.eye(2) / 100)
    mean = covariance @ X.T @ W @ studies["yi"]
    for j in range(2):
        agree_with_normal(fitted.parameter("beta", j), mean[j], covariance[j, j] ** 0.5)


def test_unrelated_effects_have_a_closed_form(compiled):
    pooled = {"effects": "independent", "mu_prior": {"normal": [0.3, 0.5]}}
    view = {**BCG, "models": {"first": {}, "m": pooled}}
    fitted = Fitted(compiled, view, model="m")
    studies = fitted.data.tables["studies"]
    precision = 4 + 1 / studies["vi"]
    mean = (0.3 * 4 + studies["yi"] / studies["vi"]) / precision
    for i in range(13):
        agree_with_normal(fitted["studies", "log_rr"][:, :, i], mean[i], precision[i] ** -0.5)
    assert set(fitted.draws.posterior) == {"theta"}
    assert fitted.tables() == {"studies"}


# ---- Student-t effects -----------------------------------------------------------------------------------

T4 = {
    "effects": "student_t",
    "df": 4,
    "mu_prior": {"normal": [0, 1]},
    "tau_prior": {"half_normal": 0.5},
}
# Stan via httpstan 4.13, 40,000 draws: theta ~ student_t(4, mu, tau), with the priors of T4
T4_STAN = {
    "log_rr": {
        "mean": -0.6662085118,
        "sd": 0.1942403871,
        "mcse": 0.0022679537,
        "q2_5": -1.0509781329,
        "q50": -0.6639084303,
        "q97_5": -0.2896169882,
    },
    "tau": {
        "mean": 0.5036862295,
        "sd": 0.1460238295,
        "mcse": 0.0015428767,
        "q2_5": 0.2709171666,
        "q50": 0.4865323300,
        "q97_5": 0.8403858609,
    },
    "log_rr_new": {
        "mean": -0.6686511928,
        "sd": 0.8034519077,
        "mcse": 0.0044664283,
        "q2_5": -2.2016333638,
        "q50": -0.6641134138,
        "q97_5": 0.8278018628,
    },
}


class ExactStudentT:
    """Student-t effects on grids: theta integrated out study by study, then mu and tau. No scale mixture."""

    def __init__(self, yi, se, df, mu_prior, tau_prior, *, mu, tau):
        x, w = np.polynomial.legendre.leggauss(120)
        self.mu, mu_weight = (np.sum(mu) + np.ptp(mu) * x) / 2, w
        self.tau, tau_weight = tau * (x + 1) / 2, w
        node, weight = np.polynomial.hermite.hermgauss(80)  # theta ~ the study's likelihood
        log_joint = mu_prior(self.mu)[:, None] + tau_prior(self.tau) + np.log(mu_weight[:, None] * tau_weight)
        first = []
        for y, s in zip(yi, se, strict=True):
            theta = y + np.sqrt(2) * s * node
            density = (
                stats.t.pdf((theta - self.mu[:, None, None]) / self.tau[:, None], df) / self.tau[:, None]
            )
            mass = density @ (weight / np.sqrt(np.pi))
            log_joint = log_joint + np.log(mass)
            first.append(density @ (weight / np.sqrt(np.pi) * theta) / mass)
        self.mass = np.exp(log_joint - special.logsumexp(log_joint))
        self.theta = [(self.mass * one).sum() for one in first]

    def moments(self, values):
        mean = (self.mass * values).sum()
        return mean, np.sqrt((self.mass * (values - mean) ** 2).sum())


@pytest.mark.parametrize("df", [4, 1.5])
def test_student_t_effects_by_two_dimensional_quadrature(compiled, df):
    # a narrow tau would be too sharp for the nodes of theta: tau's prior keeps away from 0 by its data
    fitted = Fitted(compiled, {**BCG, "models": {"m": {**T4, "df": df}}})
    studies = fitted.data.tables["studies"]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    exact = ExactStudentT(
        yi, se, df, stats.norm(0, 1).logpdf, stats.norm(0, 0.5).logpdf, mu=(-2.2, 0.8), tau=2.5
    )
    mean, sd = exact.moments(exact.mu[:, None])
    agree_with_normal(fitted["pooled", "log_rr"][:, :, 0], mean, sd)
    mean, sd = exact.moments(exact.tau)
    agree_with_normal(fitted["pooled", "tau"][:, :, 0], mean, sd)
    for i, value in enumerate(exact.theta):
        assert distance(fitted["studies", "log_rr"][:, :, i], value) < 4


def test_student_t_effects_against_stan_with_theta_sampled(compiled):
    fitted = Fitted(compiled, {**BCG, "models": {"m": T4}})
    for quantity, reference in T4_STAN.items():
        agree_with_draws(fitted["pooled", quantity][:, :, 0], reference)


def test_student_t_of_many_degrees_of_freedom_is_normal(compiled):
    model = {**T4, "df": 1e6}
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}})
    studies = fitted.data.tables["studies"]
    priors = Prior("normal", (0, 1)), Prior("half_normal", (0.5,))
    exact = posterior(studies["yi"].to_numpy(), studies["se"].to_numpy(), *priors)
    agree(fitted["pooled", "log_rr"][:, :, 0], exact.mu())
    agree(fitted["pooled", "tau"][:, :, 0], exact.tau)


# ---- priors with bounds, published values, known truth ---------------------------------------------------


def test_priors_with_bounds(compiled):
    # uniform on (-0.8, 0.4) for mu and on (0.2, 0.6) for tau: both cut the posterior
    bounds = {
        "mu_prior_family": 6,
        "mu_prior": [-0.8, 0.4, 0],
        "tau_prior_family": 6,
        "tau_prior": [0.2, 0.6, 0],
    }
    model = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}}
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}}, **bounds)
    studies = fitted.data.tables["studies"]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    x, w = np.polynomial.legendre.leggauss(60)
    mu, tau = -0.2 + 0.6 * x[:, None, None], 0.4 + 0.2 * x[:, None]
    log_joint = stats.norm.logpdf(yi, mu, np.hypot(se, tau)).sum(axis=2)
    mass = np.exp(log_joint - log_joint.max()) * w[:, None] * w
    mass /= mass.sum()
    for name, values in {"beta": mu[:, :, 0], "tau": tau[:, 0]}.items():
        mean = (mass * values).sum()
        agree_with_normal(fitted.parameter(name), mean, np.sqrt((mass * (values - mean) ** 2).sum()))


def test_published_acute_rejection_of_liver_grafts(compiled, tmp_path):
    # Crins et al. 2014, six studies of IL-2 receptor antagonists in children (events, total; control). Röver
    # 2020, J Stat Softw 93(6), section 3.3, prints with mu ~ normal(0, 4), tau ~ half-normal(0.5): mean,
    # median, sd; his mixtures are discretised, which moves mu by 2e-4
    counts = [
        *((14, 61, 15, 20), (16, 28, 19, 28), (3, 18, 8, 12)),
        *((9, 54, 29, 54), (4, 36, 11, 36), (0, 50, 3, 34)),
    ]
    names = ["events_1", "total_1", "events_2", "total_2"]
    frame = pd.DataFrame(counts, columns=names)
    frame["study"] = ["Heffron", "Gibelli", "Schuller", "Ganschow", "Spada", "Gras"]
    model = {"mu_prior": {"normal": [0, 4]}, "tau_prior": {"half_normal": 0.5}}
    view = generic(tmp_path, frame, model) | {"measure": "OR", "columns": {name: name for name in names}}
    fitted = Fitted(compiled, view)
    studies = fitted.data.tables["studies"]
    yi, se = studies["yi"].to_numpy(), studies["se"].to_numpy()
    exact = posterior(yi, se, Prior("normal", (0, 4)), Prior("half_normal", (0.5,)))
    published = {"mean": 0.3810562, "median": 0.3445023, "sd": 0.2593672}
    assert [exact.tau.mean()[0], exact.tau.quantile(0.5)[0], exact.tau.sd()[0]] == pytest.approx(
        list(published.values()), abs=6e-8
    )
    assert exact.mu().mean()[0] == pytest.approx(-1.5764365, abs=2e-4)
    assert exact.mu().quantile(0.5)[0] == pytest.approx(-1.5734819, abs=2e-4)
    assert exact.mu().sd()[0] == pytest.approx(0.3295301, abs=2e-4)
    agree(fitted["pooled", "tau"][:, :, 0], exact.tau)
    agree(fitted["pooled", "log_or"][:, :, 0], exact.mu())
    agree(fitted["pooled", "log_or_new"][:, :, 0], exact.theta_new())


def test_truth_is_anywhere_in_the_posterior(compiled, tmp_path):
    """Simulation-based calibration of Student-t effects in two subgroups with a regression and own taus."""
    rng = np.random.default_rng(20261121)
    sampling = Sampling(chains=2, warmup=300, draws=500, adapt_delta=0.9)
    group, x = np.repeat(["a", "b"], 8), np.tile(np.linspace(-1, 1, 8), 2)
    model = {"effects": "student_t", "df": 3, "formula": "x", "subgroups": "g", "subgroup_tau": "own"}
    model |= {
        "mu_prior": {"normal": [0, 1]},
        "beta_prior": {"normal": [0, 0.5]},
        "tau_prior": {"half_normal": 0.5},
    }
    runs, ranks = 60, {}
    for run in range(runs):
        means, slope, tau = rng.normal(0, 1, 2), rng.normal(0, 0.5), np.abs(rng.normal(0, 0.5, 2))
        se = rng.uniform(0.1, 0.6, 16)
        which = np.repeat([0, 1], 8)
        theta = means[which] + slope * x + tau[which] * rng.standard_t(3, 16)
        frame = {"study": [f"S{i}" for i in range(16)], "estimate": rng.normal(theta, se), "se": se}
        view = generic(tmp_path, {**frame, "g": group, "x": x}, model, moderators=["g", "x"])
        fitted = Fitted(compiled, view, sampling=sampling, seed=run + 1, gate=False)
        truth = {"mean": means[0], "slope": slope, "tau": tau[1], "theta": theta[3]}
        draws = {"mean": fitted.parameter("beta", 0), "slope": fitted.parameter("beta", 2)}
        draws |= {"tau": fitted.parameter("tau", 1), "theta": fitted["studies", "effect"][:, :, 3]}
        for name, value in truth.items():
            ranks.setdefault(name, []).append(int((draws[name][:, ::10] < value).sum()))
    for name, found in ranks.items():
        bins = np.bincount(np.minimum(np.array(found) * 6 // 101, 5), minlength=6)
        assert stats.chisquare(bins).pvalue > 0.001, (name, bins.tolist())
        # mean rank, uniform on 0..100: sd of the mean 29.15 / sqrt(runs)
        assert abs(np.mean(found) - 50) < 3.3 * 29.15 / np.sqrt(runs), name
