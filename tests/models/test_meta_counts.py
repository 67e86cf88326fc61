"""The programs for counts: binomial, Poisson, single groups, beta-binomial.

References: draws of JAGS, published values (NICE DSU TSD 2 and 3), posteriors on grids computed here without
the programs' changes of variables, and known truth.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from meta_fit import ROOT, Fitted, agree_with_draws, distance
from scipy import integrate, special, stats

from poolmap.config.base import Sampling
from poolmap.families.meta.beta_binomial import beta_binomial_effects, beta_binomial_predictive
from poolmap.families.meta.design import design
from poolmap.inference.summary import import_arviz

REFERENCE = json.loads((Path(__file__).parent / "meta_counts_reference.json").read_text())
JAGS = REFERENCE["jags"]
SAMPLING = Sampling(chains=4, warmup=600, draws=1500, adapt_delta=0.9)
SPARSE = Sampling(chains=4, warmup=600, draws=2500, adapt_delta=0.975)  # that of the second attempt
BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "measure": "OR",
    "columns": {
        "events_1": "bcg_cases",
        "total_1": "bcg_total",
        "events_2": "control_cases",
        "total_2": "control_total",
    },
    "moderators": ["latitude"],
    "interval": 0.95,
}
FLAT = {"mu_prior": {"normal": [0, 100]}, "baseline_prior": {"normal": [0, 100]}}
NAMES = {"OR": "log_or", "RR": "log_rr", "IRR": "log_irr", "PLO": "logit_p", "IRLN": "log_rate"}


def published(name):
    found = REFERENCE["data"][name]
    return pd.DataFrame(found["rows"], columns=found["columns"])


def counts(folder, frame, measure, model, **keys):
    """An analysis of counts: the table is written to the folder."""
    path = folder / "studies.csv"
    frame.to_csv(path, index=False)
    columns = {name: name for name in frame if name.split("_")[0] in ("events", "total", "time")}
    view = {"family": "meta", "data": str(path), "study": "study", "measure": measure, "interval": 0.95}
    return {**view, "columns": columns, "models": {"m": model}, **keys}


def effect(fitted):
    return fitted["pooled", NAMES[fitted.spec.measure]][:, :, 0]


def against_jags(fitted, reference):
    found = {"mu": effect(fitted), "tau": fitted["pooled", "tau"][:, :, 0]}
    for name in reference:
        if name == "new":
            found[name] = fitted["pooled", NAMES[fitted.spec.measure] + "_new"][:, :, 0]
        if name == "beta":
            found[name] = fitted["coefficients", "beta"][:, :, 0]
        agree_with_draws(found[name], reference[name])


def at_probability(draws, value, prob, n):
    """Distance of the share of draws below a quantile of n other draws from its probability, in errors."""
    below = draws < value
    mcse = float(import_arviz().mcse(below.astype(float), method="mean"))
    return abs(below.mean() - prob) / np.hypot(mcse, np.sqrt(prob * (1 - prob) / n))


def against(draws, mean, sd):
    assert distance(draws, mean) < 4
    assert distance(draws, sd, statistic="sd") < 4


class Grid:
    """Posterior of mu (and tau) with each study's likelihood of theta on a grid, baselines integrated out.

    Sums over plain grids of theta, baseline, mu and tau: no change of variables, none of the program's code.
    Priors: mu normal(0, 1), tau half-normal(0.5), baselines normal(m, s).
    """

    def __init__(self, frame, measure, *, baseline=(-2, 2), df=None):
        self.theta = np.linspace(-24, 12, 901)  # a Student-t effect of a study without events goes far
        logs = [self.of_theta(self.theta[:, None], row, measure, baseline) for _, row in frame.iterrows()]
        self.likelihood = np.exp(np.array(logs) - np.max(logs, axis=1, keepdims=True))
        self.mu, self.tau = self.theta[500:701], 3 * np.linspace(0, 1, 121)[1:] ** 2
        unit = stats.norm if df is None else stats.t(df)
        log_joint, own = [], []
        for tau in self.tau:
            kernel = unit.pdf((self.theta - self.mu[:, None]) / tau)
            kernel /= kernel.sum(axis=1, keepdims=True)
            marginal = kernel @ self.likelihood.T
            log_joint.append(np.log(marginal).sum(axis=1) + stats.halfnorm.logpdf(tau, scale=0.5))
            own.append((kernel @ (self.theta * self.likelihood).T) / marginal)
        log_joint = np.array(log_joint) + stats.norm.logpdf(self.mu)
        self.density = np.exp(log_joint - log_joint.max()) * np.gradient(self.tau)[:, None]
        self.density /= self.density.sum()
        self.own = np.tensordot(self.density, np.array(own), 2)  # posterior mean of each theta

    @staticmethod
    def of_theta(theta, row, measure, baseline):
        """Log likelihood of one study at each theta, up to a constant."""
        time = measure in ("IRR", "IRLN")

        def arm(events, size, x):
            if time:
                return events * x - size * np.exp(x)
            return events * special.log_expit(x) + (size - events) * special.log_expit(-x)

        size = "time" if time else "total"
        if "events" in row:
            return arm(row["events"], row[size], theta[:, 0])
        a = np.linspace(-16, 16, 801)[None, :]
        log_density = stats.norm.logpdf(a, *baseline) + arm(row["events_2"], row[f"{size}_2"], a)
        return special.logsumexp(log_density + arm(row["events_1"], row[f"{size}_1"], a + theta), axis=1)

    def mean_sd(self, name):
        values, mass = {
            "mu": (self.mu, self.density.sum(axis=0)),
            "tau": (self.tau, self.density.sum(axis=1)),
        }[name]
        mean = values @ mass
        return mean, np.sqrt((values - mean) ** 2 @ mass)

    def common(self):
        """Mean and sd of mu where all studies have the same effect."""
        mass = self.likelihood.prod(axis=0) * stats.norm.pdf(self.theta)
        mean = self.theta @ mass / mass.sum()
        return mean, np.sqrt((self.theta - mean) ** 2 @ mass / mass.sum())

    def independent(self, prior):
        """Mean and sd of each theta under its own prior."""
        mass = self.likelihood * prior(self.theta)
        mass /= mass.sum(axis=1, keepdims=True)
        mean = mass @ self.theta
        return mean, np.sqrt(mass @ self.theta**2 - mean**2)


# Made up, sparse: cells of 0, groups with nothing but events
GROUPS = {"study": list("abcdef"), "events": [0, 2, 5, 9, 3, 7]}
ARMS = {"study": list("abcdef"), "events_1": [0, 2, 5, 9, 3, 7], "events_2": [3, 4, 5, 7, 3, 2]}
SMALL = {
    "PLO": pd.DataFrame({**GROUPS, "total": [12, 9, 20, 9, 8, 11]}),
    "IRLN": pd.DataFrame({**GROUPS, "time": [4.0, 3, 6, 2, 9, 2.5]}),
    "OR": pd.DataFrame({**ARMS, "total_1": [12, 9, 20, 12, 8, 11], "total_2": [12, 10, 25, 12, 9, 10]}),
    "IRR": pd.DataFrame({**ARMS, "time_1": [12.0, 9, 20, 12, 8, 11], "time_2": [12.0, 10, 25, 12, 9, 10]}),
}
LIKELIHOODS = {"PLO": "binomial", "OR": "binomial", "IRR": "poisson", "IRLN": "poisson"}


def exact_model(measure, **keys):
    model = {"likelihood": LIKELIHOODS[measure], "mu_prior": {"normal": [0, 1]}, **keys}
    if keys.get("effects", "normal") in ("normal", "student_t"):
        model["tau_prior"] = {"half_normal": 0.5}
    if measure in ("OR", "IRR"):
        model["baseline_prior"] = {"normal": [-2, 2]}
    return model


@pytest.mark.parametrize("measure", list(SMALL))
@pytest.mark.parametrize("df", [None, 4])
def test_heterogeneous_effects_against_a_grid(compiled, tmp_path, measure, df):
    keys = {} if df is None else {"effects": "student_t", "df": df}
    view = counts(tmp_path, SMALL[measure], measure, exact_model(measure, **keys))
    fitted = Fitted(compiled, view, sampling=SPARSE)
    exact = Grid(SMALL[measure], measure, df=df)
    against(effect(fitted), *exact.mean_sd("mu"))
    against(fitted["pooled", "tau"][:, :, 0], *exact.mean_sd("tau"))
    for i, mean in enumerate(exact.own):
        assert distance(fitted.parameter("theta", i), mean) < 4


@pytest.mark.parametrize("measure", list(SMALL))
def test_common_and_unrelated_effects_against_a_grid(compiled, tmp_path, measure):
    exact = Grid(SMALL[measure], measure)
    view = counts(tmp_path, SMALL[measure], measure, exact_model(measure, effects="common"))
    against(effect(Fitted(compiled, view, sampling=SAMPLING)), *exact.common())
    view = counts(tmp_path, SMALL[measure], measure, exact_model(measure, effects="independent"))
    uniform = {"mu_prior_family": 6, "mu_prior": [-3, 3, 0]}
    for prior, replaced in ((stats.norm(0, 1).pdf, {}), (stats.uniform(-3, 6).pdf, uniform)):
        fitted = Fitted(compiled, view, sampling=SAMPLING, **replaced)
        for i, (mean, sd) in enumerate(zip(*exact.independent(prior), strict=True)):
            against(fitted.parameter("theta", i), mean, sd)


# JAGS 4.3, 77,000 effective draws or more: the risk at the mean of the log odds, and that of a new series
PRITZ_PROPORTIONS = {
    "proportion": {
        "mean": 0.78973876,
        "sd": 0.04935869,
        "mcse": 0.00017791398,
        "q2_5": 0.68650255,
        "q50": 0.79165476,
        "q97_5": 0.88064408,
    },
    "proportion_new": {
        "mean": 0.75880163,
        "sd": 0.15555303,
        "mcse": 0.00054996302,
        "q2_5": 0.35797965,
        "q50": 0.79001149,
        "q97_5": 0.96672278,
    },
}


def test_proportions_against_jags(compiled, tmp_path):
    # the reference file does not state JAGS's prior of mu: sums over a grid of mu and tau give its means and
    # sds with normal(0, 1.5), and not with normal(0, 1), (0, 2) or (0, 100)
    model = {"likelihood": "binomial", "mu_prior": {"normal": [0, 1.5]}, "tau_prior": {"half_normal": 1}}
    fitted = Fitted(compiled, counts(tmp_path, published("pritz1997"), "PLO", model), sampling=SPARSE)
    against_jags(fitted, JAGS["pritz1997_prop_binomial_HN1"])
    for quantity, reference in PRITZ_PROPORTIONS.items():
        draws, mcse = fitted["pooled", quantity][:, :, 0], reference["mcse"]
        assert distance(draws, reference["mean"], reference_mcse=mcse) < 4
        assert distance(draws, reference["sd"], statistic="sd", reference_mcse=mcse) < 4
        for name, prob in (("q2_5", 0.025), ("q50", 0.5), ("q97_5", 0.975)):
            assert at_probability(draws, reference[name], prob, 70_000) < 4, (quantity, name)


def test_rates_against_jags(compiled, tmp_path):
    model = {"likelihood": "poisson", **FLAT, "tau_prior": {"half_normal": 1}}
    fitted = Fitted(compiled, counts(tmp_path, published("nielweise2008"), "IRR", model), sampling=SPARSE)
    against_jags(fitted, JAGS["nielweise2008_IRR_poisson_HN1"])


# ---- binomial --------------------------------------------------------------------------------------------


UNIFORM = {"tau_prior_family": 6, "tau_prior": [0, 5, 0]}  # uniform(0, 5)


# NICE DSU TSD 3, table of the BCG trials (WinBUGS, tau uniform(0, 5)), and its decimals
TSD3 = {
    "bcg_OR_binomial_U05": {
        "mu": (3, {"mean": -0.762, "sd": 0.22}, 2, {"lower": -1.21, "upper": -0.34}),
        "tau": (3, {"median": 0.649, "sd": 0.202}, 2, {"lower": 0.39, "upper": 1.17}),
    },
    "bcg_OR_binomial_reg_latitude_U05": {
        "mu": (3, {"mean": -0.763, "sd": 0.126}, 2, {"lower": -1.04, "upper": -0.52}),
        "beta": (3, {"mean": -0.032, "sd": 0.009}, 2, {"lower": -0.05, "upper": -0.01}),
        "tau": (3, {"median": 0.272, "sd": 0.188}, 2, {"lower": 0.03, "upper": 0.75}),
    },
}
# Stan via httpstan 4.13, 40,000 draws of the model of bcg_OR_binomial_HN1
STAN_HN1 = {
    "mu": {
        "mean": -0.7575503291,
        "sd": 0.2102077458,
        "mcse": 0.0019521024,
        "q2_5": -1.1823666592,
        "q50": -0.7555496288,
        "q97_5": -0.3478898284,
    },
    "tau": {
        "mean": 0.6551253676,
        "sd": 0.1805482742,
        "mcse": 0.0015602155,
        "q2_5": 0.3835055822,
        "q50": 0.6281461255,
        "q97_5": 1.0770366297,
    },
}


@pytest.mark.parametrize("name", [name for name in JAGS if name.startswith("bcg_OR")])
def test_odds_ratio_against_jags_and_published_values(compiled, name):
    scale = {"HN5": 5, "HN1": 1}.get(name.split("_")[-1])
    model = {"likelihood": "binomial", **FLAT, "tau_prior": {"half_normal": scale or 1}}
    if "latitude" in name:
        model |= {"formula": "latitude", "beta_prior": {"normal": [0, 100]}}
    replaced = {} if scale else UNIFORM
    fitted = Fitted(compiled, {**BCG, "models": {"m": model}}, sampling=SPARSE, **replaced)
    against_jags(fitted, JAGS[name])
    if name == "bcg_OR_binomial_HN1":
        against_jags(fitted, STAN_HN1)
    draws = {"mu": effect(fitted), "tau": fitted.parameter("tau")}
    for quantity, (digits, values, fewer, limits) in TSD3.get(name, {}).items():
        found = fitted["coefficients", "beta"][:, :, 0] if quantity == "beta" else draws[quantity]
        near_all(found, digits, **values)
        near_all(found, fewer, **limits)


@pytest.mark.parametrize("scale", [1, 0.5])
def test_catheter_infections_against_jags(compiled, tmp_path, scale):
    # JAGS had the study without events in both arms too, ingest leaves it out: by quadrature at these priors
    # it moves the mean of mu by 0.0002 and that of tau by 0.0001
    model = {"likelihood": "binomial", **FLAT, "tau_prior": {"half_normal": scale}}
    view = counts(tmp_path, published("nielweise2007"), "OR", model)
    fitted = Fitted(compiled, view, sampling=SPARSE)
    against_jags(fitted, JAGS["nielweise2007_OR_binomial_HN" + {1: "1", 0.5: "05"}[scale]])


# ---- published values --------------------------------------------------------------------------------------


def near(draws, value, digits, *, statistic="mean", factor=1.0):
    """A value printed with `digits` decimals, from WinBUGS draws of unknown number.

    Its own Monte Carlo error is taken for that of 5,000 independent draws (the TSDs ran 50,000 and more
    correlated ones); `factor` as in `meta_fit.agree_with_draws`.
    """
    mcse = factor * draws.std() / np.sqrt(5000)
    prob = {"median": 0.5, "lower": 0.025, "upper": 0.975}.get(statistic)
    keys = {"statistic": "quantile", "prob": prob} if prob else {"statistic": statistic}
    found = np.quantile(draws, prob) if prob else {"mean": draws.mean(), "sd": draws.std()}[statistic]
    assert (
        distance(draws, value, reference_mcse=mcse, **keys) < 4 or abs(found - value) <= 0.5 * 10.0**-digits
    )


def near_all(draws, digits, **values):
    factors = {"mean": 1, "sd": 1, "median": 1.25, "lower": 2.7, "upper": 2.7}
    for statistic, value in values.items():
        near(draws, value, digits, statistic=statistic, factor=factors[statistic])


def test_blocker_against_technical_support_document_2(compiled, tmp_path):
    model = {"likelihood": "binomial", **FLAT, "effects": "common"}
    view = counts(tmp_path, published("blocker"), "OR", model)
    near_all(
        effect(Fitted(compiled, view, sampling=SAMPLING)), 2, mean=-0.26, sd=0.05, lower=-0.36, upper=-0.16
    )
    model = {"likelihood": "binomial", **FLAT, "tau_prior": {"half_normal": 1}}
    view = counts(tmp_path, published("blocker"), "OR", model)
    fitted = Fitted(compiled, view, sampling=SPARSE, **UNIFORM)
    near_all(effect(fitted), 2, mean=-0.25, lower=-0.38, upper=-0.12)
    near_all(effect(fitted), 3, sd=0.066)
    near_all(fitted.parameter("tau"), 2, mean=0.14, lower=0.01, median=0.13, upper=0.32)


def test_dietary_fat_against_technical_support_document_2(compiled, tmp_path):
    # London Corn/Olive has two arms of reduced fat, 8 events together. With a common effect their events and
    # person-years simply add up; with random effects the TSD gives each arm an effect of its own (correlated
    # 1/2), a pairwise model gives the two together one. The likelihood of that one trial is all that differs
    model = {"likelihood": "poisson", **FLAT, "effects": "common"}
    view = counts(tmp_path, published("dietary_fat"), "IRR", model)
    near_all(effect(Fitted(compiled, view, sampling=SAMPLING)), 2, mean=-0.01, lower=-0.11, upper=0.10)
    model = {"likelihood": "poisson", **FLAT, "tau_prior": {"half_normal": 5}}
    view = counts(tmp_path, published("dietary_fat"), "IRR", model)
    against_jags(Fitted(compiled, view, sampling=SPARSE), JAGS["dietary_fat_rate_poisson_HN5"])


# ---- random baselines ------------------------------------------------------------------------------------


def random_baselines(frame, measure):
    """Mean and sd of mu, m and s by sums over a grid: common effects, baseline ~ normal(m, s).

    Priors: mu normal(0, 1), m normal(-2, 2), s half-normal(1).
    """
    mu, m, s = np.linspace(-2.4, 2.4, 61), np.linspace(-4, 2, 61), np.linspace(0, 3.2, 42)[1:]
    a = np.linspace(-14, 8, 1101) if measure != "RR" else -14 * np.linspace(0, 1, 1402)[1:-1] ** 2
    width = np.abs(np.gradient(a))
    log_posterior = stats.norm.logpdf(mu)[:, None, None] + stats.norm.logpdf(m, -2, 2)[:, None]
    log_posterior = log_posterior + stats.halfnorm.logpdf(s)
    prior = stats.norm.logpdf(a, m[:, None, None], s[:, None])
    kernel = np.exp(prior).reshape(-1, len(a)) * width
    time = measure == "IRR"
    size = "time" if time else "total"

    def arm(events, people, x):
        if time:
            return events * x - people * np.exp(x)
        if measure == "RR":
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = np.where(
                    x < 0, events * x + (people - events) * np.log(-np.expm1(np.minimum(x, 0))), 0
                )
            return np.where(x < 0, inside, -np.inf)
        return events * special.log_expit(x) + (people - events) * special.log_expit(-x)

    bound = -np.maximum(mu, 0)[:, None, None]
    for _, row in frame.iterrows():
        logs = arm(row["events_1"], row[f"{size}_1"], a + mu[:, None]) + arm(
            row["events_2"], row[f"{size}_2"], a
        )
        marginal = np.exp(logs - logs.max()) @ kernel.T
        log_posterior = log_posterior + np.log(marginal).reshape(len(mu), len(m), len(s))
        if measure == "RR":
            log_posterior = log_posterior - stats.norm.logcdf((bound - m[:, None]) / s)
    density = np.exp(log_posterior - log_posterior.max())
    density /= density.sum()
    found = {}
    for name, values, axes in (("mu", mu, (1, 2)), ("m", m, (0, 2)), ("s", s, (0, 1))):
        mass = density.sum(axis=axes)
        mean = values @ mass
        found[name] = mean, np.sqrt((values - mean) ** 2 @ mass)
    return found


HIGH_RISK = pd.DataFrame(
    {
        "study": list("abcdef"),
        "events_1": [4, 6, 3, 5, 2, 9],
        "total_1": [7, 7, 5, 9, 6, 15],
        "events_2": [3, 4, 3, 4, 3, 6],
        "total_2": [6, 8, 5, 9, 7, 15],
    }
)


@pytest.mark.parametrize("measure", ["OR", "RR", "IRR"])
def test_random_baselines_against_a_grid(compiled, tmp_path, measure):
    frame = HIGH_RISK if measure == "RR" else SMALL[measure]
    model = {"mu_prior": {"normal": [0, 1]}, "effects": "common", "baseline": "random"}
    model |= {"baseline_prior": {"normal": [-2, 2]}, "baseline_sd_prior": {"half_normal": 1}}
    model["likelihood"] = "poisson" if measure == "IRR" else "binomial"
    fitted = Fitted(compiled, counts(tmp_path, frame, measure, model), sampling=SPARSE)
    with np.errstate(divide="ignore"):  # far corners of the grid
        exact = random_baselines(frame, measure)
    against(effect(fitted), *exact["mu"])
    against(fitted.parameter("baseline_mean"), *exact["m"])
    against(fitted.parameter("baseline_sd"), *exact["s"])


def uniform_baselines(frame, measure, lower, upper):
    """Mean and sd of mu, common effects, mu ~ normal(0, 1): each study's baseline by adaptive quadrature."""
    mu = np.linspace(-3, 3, 121)
    log_posterior = stats.norm.logpdf(mu)
    time = measure == "IRR"
    size = "time" if time else "total"

    def probability(events, people, x):
        if time:
            return stats.poisson.pmf(events, people * np.exp(x))
        return stats.binom.pmf(events, people, np.exp(x) if measure == "RR" else special.expit(x))

    for _, row in frame.iterrows():
        for j, theta in enumerate(mu):
            top = min(upper, -max(theta, 0)) if measure == "RR" else upper

            def joint(a, row=row, theta=theta):
                first = probability(row["events_1"], row[f"{size}_1"], a + theta)
                return first * probability(row["events_2"], row[f"{size}_2"], a)

            log_posterior[j] += np.log(integrate.quad(joint, lower, top)[0] / (top - lower))
    mass = np.exp(log_posterior - log_posterior.max())
    mean = mu @ mass / mass.sum()
    return mean, np.sqrt((mu - mean) ** 2 @ mass / mass.sum())


@pytest.mark.parametrize(("measure", "lower", "upper"), [("OR", -2, 0), ("RR", -4, -0.2), ("IRR", -2, -0.5)])
def test_uniform_baselines_against_quadrature(compiled, tmp_path, measure, lower, upper):
    frame = HIGH_RISK if measure == "RR" else SMALL[measure]
    model = {"mu_prior": {"normal": [0, 1]}, "effects": "common"}
    model["likelihood"] = "poisson" if measure == "IRR" else "binomial"
    uniform = {"baseline_prior_family": 6, "baseline_prior": [lower, upper, 0]}
    view = counts(tmp_path, frame, measure, model)
    fitted = Fitted(compiled, view, sampling=SPARSE, **uniform)
    against(effect(fitted), *uniform_baselines(frame, measure, lower, upper))


# ---- beta-binomial ---------------------------------------------------------------------------------------


def beta_binomial_grid(axes, log_density):
    """Mean and sd along each axis of a density on a grid."""
    mesh = np.meshgrid(*axes, indexing="ij")
    logs = log_density(*mesh)
    density = np.exp(logs - logs.max())
    density /= density.sum()
    found = []
    for values in mesh:
        mean = (values * density).sum()
        found.append((mean, np.sqrt(((values - mean) ** 2 * density).sum())))
    return found


def arm_log_lik(events, total, eta, icc):
    spread = (1 - icc) / icc
    shapes = special.expit(eta) * spread, special.expit(-eta) * spread
    return sum(stats.betabinom.logpmf(y, n, *shapes) for y, n in zip(events, total, strict=True))


BETA_BINOMIAL = {"likelihood": "beta_binomial", "mu_prior": {"normal": [0, 1]}, "icc_prior": {"beta": [1, 4]}}


def test_beta_binomial_of_two_arms_against_a_grid(compiled, tmp_path):
    frame = SMALL["OR"]
    model = {**BETA_BINOMIAL, "baseline_prior": {"normal": [-1, 2]}}
    fitted = Fitted(compiled, counts(tmp_path, frame, "OR", model), sampling=SAMPLING)
    axes = np.linspace(-2.6, 2.8, 61), np.linspace(-3, 2, 61), (np.arange(80) + 0.5) / 80 * 0.9

    def log_density(mu, baseline, icc):
        prior = stats.norm.logpdf(mu) + stats.norm.logpdf(baseline, -1, 2) + stats.beta.logpdf(icc, 1, 4)
        first = arm_log_lik(frame["events_1"], frame["total_1"], baseline + mu, icc)
        return prior + first + arm_log_lik(frame["events_2"], frame["total_2"], baseline, icc)

    exact = beta_binomial_grid(axes, log_density)
    for draws, moments in zip(
        (effect(fitted), fitted.parameter("baseline_mean"), fitted["pooled", "icc"][:, :, 0]),
        exact,
        strict=True,
    ):
        against(draws, *moments)


def test_beta_binomial_regression_of_proportions_against_a_grid(compiled, tmp_path):
    frame = SMALL["PLO"].assign(x=[-2.0, 1, 0, 2, -1, 0])
    model = {**BETA_BINOMIAL, "formula": "x", "beta_prior": {"normal": [0, 1]}}
    view = counts(tmp_path, frame, "PLO", model, moderators=["x"])
    fitted = Fitted(compiled, view, sampling=SAMPLING)
    x = frame["x"].to_numpy()
    axes = np.linspace(-3, 4, 61), np.linspace(-2, 4, 61), (np.arange(80) + 0.5) / 80 * 0.9

    def log_density(mu, slope, icc):
        total = stats.norm.logpdf(mu) + stats.norm.logpdf(slope) + stats.beta.logpdf(icc, 1, 4)
        for i in range(len(x)):
            total = total + arm_log_lik(frame["events"][[i]], frame["total"][[i]], mu + slope * x[i], icc)
        return total

    exact = beta_binomial_grid(axes, log_density)
    for draws, moments in zip(
        (effect(fitted), fitted["coefficients", "beta"][:, :, 0], fitted["pooled", "icc"][:, :, 0]),
        exact,
        strict=True,
    ):
        against(draws, *moments)


def test_beta_binomial_effects_and_likelihood(compiled, tmp_path):
    frame = SMALL["OR"]
    view = counts(tmp_path, frame, "OR", {**BETA_BINOMIAL, "baseline_prior": {"normal": [-1, 2]}})
    fitted = Fitted(compiled, view, sampling=Sampling(chains=2, warmup=200, draws=100), gate=False)
    posterior = fitted.draws.posterior
    found = fitted.predictive()
    for draw in (0, 57):
        mu, baseline, icc = (float(posterior[n][1, draw, 0]) for n in ("beta", "baseline_mean", "icc"))
        for i, row in frame.iterrows():
            expected = arm_log_lik([row["events_1"]], [row["total_1"]], baseline + mu, icc)
            expected += arm_log_lik([row["events_2"]], [row["total_2"]], baseline, icc)
            assert found.log_lik[1, draw, i] == pytest.approx(expected, rel=1e-9)
    # the studies' effects, their mean known by digamma functions: one draw of the parameters repeated
    one = posterior.isel(chain=[0], draw=[3] * 40_000)
    mu, baseline, icc = (float(posterior[n][0, 3, 0]) for n in ("beta", "baseline_mean", "icc"))
    spread = (1 - icc) / icc
    layout, studies = design(fitted.spec, "m", fitted.data), fitted.data.tables["studies"]
    rng = np.random.default_rng(7)
    theta, new = beta_binomial_effects(fitted.spec, layout, studies, one, rng)
    assert theta.shape == (1, 40_000, 6)
    assert new.shape == (1, 40_000)

    def log_odds(eta, events=0, total=0):
        a, b = special.expit(eta) * spread + events, special.expit(-eta) * spread + total - events
        return special.digamma(a) - special.digamma(b), special.polygamma(1, a) + special.polygamma(1, b)

    for i, row in frame.iterrows():
        first = log_odds(baseline + mu, row["events_1"], row["total_1"])
        second = log_odds(baseline, row["events_2"], row["total_2"])
        mean, sd = first[0] - second[0], np.sqrt(first[1] + second[1])
        assert abs(theta[0, :, i].mean() - mean) < 4 * sd / 200
        assert theta[0, :, i].std() == pytest.approx(sd, rel=0.04)
    first, second = log_odds(baseline + mu), log_odds(baseline)
    assert abs(new.mean() - first[0] + second[0]) < 4 * np.sqrt(first[1] + second[1]) / 200
    # replicates: beta-binomial mean and variance
    replicated = beta_binomial_predictive(fitted.spec, layout, studies, one, rng).replicated[0]
    for i, row in frame.iterrows():
        for column, eta in ((i, baseline + mu), (i + 6, baseline)):
            total = row["total_1" if column == i else "total_2"]
            law = stats.betabinom(total, special.expit(eta) * spread, special.expit(-eta) * spread)
            assert abs(replicated[:, column].mean() - law.mean()) < 4 * law.std() / 200
            assert replicated[:, column].std() == pytest.approx(law.std(), rel=0.04)


# ---- known truth -----------------------------------------------------------------------------------------


def within(draws, truth):
    """Truth within 3.5 posterior sds (1 in 2,000 by chance)."""
    assert abs(draws.mean() - truth) < 3.5 * draws.std()


def test_simulated_rates_with_a_slope_and_subgroups(compiled, tmp_path):
    rng = np.random.default_rng(11)
    k = 90
    group, x = rng.integers(2, size=k), rng.uniform(0, 10, k)
    x = x - x.mean()
    theta = np.array([-0.5, 0.3])[group] + 0.08 * x + np.array([0.15, 0.6])[group] * rng.standard_normal(k)
    baseline = -3 + 0.7 * rng.standard_normal(k)
    time = rng.uniform(100, 900, (2, k)).round(1)
    frame = pd.DataFrame({"study": [f"S{i}" for i in range(k)], "x": x, "kind": np.array(["a", "b"])[group]})
    frame["events_1"] = rng.poisson(time[0] * np.exp(baseline + theta))
    frame["events_2"] = rng.poisson(time[1] * np.exp(baseline))
    frame["time_1"], frame["time_2"] = time
    model = {"likelihood": "poisson", "mu_prior": {"normal": [0, 2]}, "tau_prior": {"half_normal": 1}}
    model |= {"formula": "x", "beta_prior": {"normal": [0, 1]}, "subgroups": "kind", "subgroup_tau": "own"}
    model |= {"baseline": "random", "baseline_prior": {"normal": [0, 5]}}
    view = counts(tmp_path, frame, "IRR", model, moderators=["x", "kind"])
    fitted = Fitted(compiled, view, sampling=Sampling(chains=4, warmup=500, draws=1000))
    subgroups = next(q for q in fitted.quantities if q.table == "subgroups").keys["subgroup"]
    for j, name in enumerate(subgroups):
        within(fitted.parameter("beta", j), {"a": -0.5, "b": 0.3}[name])
        within(fitted.parameter("tau", j), {"a": 0.15, "b": 0.6}[name])
    within(fitted.parameter("beta", 2), 0.08)
    within(fitted.parameter("baseline_mean"), -3)
    within(fitted.parameter("baseline_sd"), 0.7)


def test_simulated_risk_ratios_of_student_t_effects_with_random_baselines(compiled, tmp_path):
    rng = np.random.default_rng(3)
    k = 90
    theta = -0.4 + 0.25 * rng.standard_t(4, k)
    bound = -np.maximum(theta, 0)
    uniform = rng.random(k) * stats.norm.cdf((bound + 1.2) / 0.6)
    baseline = -1.2 + 0.6 * stats.norm.ppf(uniform)  # normal, truncated at the bound
    frame = pd.DataFrame({"study": [f"S{i}" for i in range(k)]})
    frame["total_1"], frame["total_2"] = rng.integers(60, 300, (2, k))
    frame["events_1"] = rng.binomial(frame["total_1"], np.exp(baseline + theta))
    frame["events_2"] = rng.binomial(frame["total_2"], np.exp(baseline))
    model = {"likelihood": "binomial", "effects": "student_t", "df": 4, "baseline": "random"}
    model |= {
        "mu_prior": {"normal": [0, 2]},
        "tau_prior": {"half_normal": 1},
        "baseline_prior": {"normal": [0, 5]},
    }
    view = counts(tmp_path, frame, "RR", model)
    fitted = Fitted(compiled, view, sampling=Sampling(chains=4, warmup=500, draws=500))
    within(effect(fitted), -0.4)
    within(fitted.parameter("tau"), 0.25)
    within(fitted.parameter("baseline_mean"), -1.2)
    within(fitted.parameter("baseline_sd"), 0.6)
