"""The priors chosen by code in Stan against scipy, and by quadrature."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import arviz as az
import numpy as np
import pytest
from scipy import integrate, stats

from poolmap.config.priors import PositivePrior, Prior, TauPrior, UnitPrior
from poolmap.families.meta.prior_words import quantile
from poolmap.families.meta.quadrature import TAU_PRIORS, posterior

HERE = Path(__file__).parent
STAN = HERE.parents[1] / "stan"

TURNER = TauPrior.parse({"turner_2015": {"outcome": "pain", "comparison": "pharmacological vs placebo"}})
RHODES = TauPrior.parse(
    {"rhodes_2015": {"outcome": "mental health", "comparison": "non-pharmacological", "area": "cancer"}}
)


def of_log_square(log_density):
    """log density of x from that of log x^2, whose derivative is 2 / x."""
    return lambda x: log_density(2 * np.log(x)) + np.log(2 / x)


# the prior, log density by scipy of the whole family (a half-family: of its parent), points, lowest value
CASES = {
    "normal": (Prior("normal", (0.3, 2)), stats.norm(0.3, 2).logpdf, (-5, 0, 7), -np.inf),
    "student_t": (Prior("student_t", (3, 1, 2)), stats.t(3, 1, 2).logpdf, (-5, 0, 70), -np.inf),
    "cauchy": (Prior("cauchy", (-1, 2)), stats.cauchy(-1, 2).logpdf, (-5, 0, 70), -np.inf),
    "uniform": (Prior("uniform", (-1, 2)), stats.uniform(-1, 3).logpdf, (-1, 0, 2), -np.inf),
    "half_normal": (PositivePrior("half_normal", (0.5,)), stats.norm(0, 0.5).logpdf, (0, 0.1, 3), 0),
    "half_student_t": (PositivePrior("half_student_t", (4, 2)), stats.t(4, 0, 2).logpdf, (0, 1, 9), 0),
    "half_cauchy": (PositivePrior("half_cauchy", (5,)), stats.cauchy(0, 5).logpdf, (0, 1, 90), 0),
    "exponential": (PositivePrior("exponential", (2,)), stats.expon(scale=0.5).logpdf, (0, 1, 9), 0),
    "beta": (UnitPrior("beta", (0.5, 3)), stats.beta(0.5, 3).logpdf, (0.01, 0.5, 0.99), 0),
    "lognormal_tau2": (
        PositivePrior("lognormal_tau2", (-2.56, 1.74)),
        of_log_square(stats.norm(-2.56, 1.74).logpdf),
        (1e-4, 0.3, 9),
        0,
    ),
    "log_student_t_tau2": (
        PositivePrior("log_student_t_tau2", (5, -3.44, 2.59)),
        of_log_square(stats.t(5, -3.44, 2.59).logpdf),
        (1e-9, 0.3, 1e4),
        0,
    ),
    # Turner 2015, table IV: pain; Rhodes 2015, table A.3.2
    "turner_2015": (TURNER, of_log_square(stats.norm(-1.83, 1.52).logpdf), (1e-4, 0.3, 9), 0),
    "rhodes_2015": (RHODES, of_log_square(stats.t(5, -0.29, 2.08).logpdf), (1e-9, 0.3, 1e4), 0),
}
SCALES = [name for name, case in CASES.items() if case[3] == 0 and name != "beta"]


@pytest.fixture(scope="module")
def program(compiled):
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    return compiled(HERE / "priors.stan", [STAN])


def stan_data(prior, x=(), lowest=-np.inf):
    given = prior.stan_data("x")
    # cmdstanpy writes infinity as a text that Stan reads
    return {
        "N": len(x),
        "x": list(x),
        "code": given["x_prior_family"],
        "numbers": given["x_prior"],
        "lowest": lowest,
    }


def test_every_family_is_here():
    # pc is an exponential of a scale, and of rho it depends on the graph: test_areas.py has both; logistic is
    # of mrp.stan alone: test_mrp_kinds.py has exact posteriors under it
    assert set(CASES) | {"pc", "logistic"} == set(Prior.CODES)


@pytest.mark.parametrize("name", CASES)
def test_stan_densities_are_those_of_scipy(program, name):
    prior, log_density, x, lowest = CASES[name]
    fit = program.sample(
        data=stan_data(prior, x, lowest),
        inits={"y": quantile(prior, 0.4)},
        fixed_param=True,
        iter_sampling=1,
        chains=1,
        sig_figs=17,
        show_progress=False,
    )
    expected = log_density(np.array(x, dtype=float))
    assert fit.stan_variable("log_density")[0] == pytest.approx(expected, rel=1e-12, abs=1e-13)
    assert fit.stan_variable("together")[0] == pytest.approx(expected.sum(), rel=1e-12)
    assert fit.stan_variable("none")[0] == 0


@pytest.mark.parametrize("name", CASES)
def test_bounds_are_those_of_the_family(program, name):
    """Without bounds lp is the log density; with bounds the Jacobian of Stan's transform comes in."""
    prior, log_density, _, lowest = CASES[name]
    y = quantile(prior, 0.6)
    low, high = {"uniform": (-1, 2), "beta": (0, 1)}.get(name, (lowest, np.inf))
    jacobian = 0.0
    if np.isfinite(high):
        jacobian = np.log((y - low) * (high - y) / (high - low))
    elif np.isfinite(low):
        jacobian = np.log(y - low)
    row = program.log_prob({"y": y}, data=stan_data(prior, lowest=lowest), sig_figs=17).iloc[0]
    assert row["lp__"] == pytest.approx(log_density(y) + jacobian, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    "prior", [PositivePrior("uniform", (0.2, 0.6)), PositivePrior("uniform", (0, 5)), TURNER, RHODES], ids=str
)
def test_stan_draws_from_the_prior_follow_its_quantiles(program, prior):
    fit = program.sample(
        data=stan_data(prior, lowest=0),
        chains=4,
        parallel_chains=2,
        iter_sampling=2500,
        adapt_delta=0.95,
        seed=3,
        sig_figs=17,
        show_progress=False,
    )
    y = fit.stan_variable("y").reshape(4, -1)
    assert fit.divergences.sum() == 0
    for p in (0.01, 0.1, 0.5, 0.9, 0.99):
        below = (y < quantile(prior, p)).astype(float)
        assert abs(below.mean() - p) < 4 * az.mcse(below), p
    if prior.family == "uniform":
        lower, upper = prior.parameters
        assert y.min() > lower
        assert y.max() < upper
        assert y.min() - lower < 0.005 * (upper - lower) > upper - y.max()  # and reach the bounds


@pytest.mark.parametrize("name", [*SCALES, "uniform"])
def test_quadrature_of_tau_has_densities_that_integrate_to_one(name):
    prior, log_density, _, _ = CASES[name]
    if name == "uniform":
        prior, log_density = PositivePrior("uniform", (0.1, 2)), stats.uniform(0.1, 1.9).logpdf
    # over log tau, whose tails are exponential or, for the log-Student-t, end as the sixth power
    half = np.log(2) if name.startswith("half_") else 0
    tau = np.array([0.11, 0.4, 1.3])
    ours = TAU_PRIORS[name].log_density(prior.parameters, tau)
    assert ours == pytest.approx(log_density(tau) + half, rel=1e-12, abs=1e-13)
    low, high = TAU_PRIORS[name].support(prior.parameters)
    ends = np.log(max(low, 1e-300)), np.log(min(high, 1e75))

    def density(log_tau):
        values = TAU_PRIORS[name].log_density(prior.parameters, np.exp(np.atleast_1d(log_tau)))
        return float(np.exp(values[0] + log_tau))

    cuts = [c for c in (-200, -50, -20, -10, -5, -2, 0, 2, 5, 10, 20, 50) if ends[0] < c < ends[1]]
    edges = [ends[0], *cuts, ends[1]]
    mass = sum(
        integrate.quad(density, a, b, epsabs=1e-13, limit=200)[0] for a, b in itertools.pairwise(edges)
    )
    assert mass == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize(
    "prior",
    [
        TauPrior("lognormal_tau2", (-2.56, 1.74)),
        TauPrior("log_student_t_tau2", (5, -6.31, 2.14)),
        TauPrior("log_student_t_tau2", (12, -1, 0.4)),
        TURNER,
        RHODES,
    ],
    ids=str,
)
def test_quadrature_with_priors_of_tau2_against_scipy(prior, k):
    """The posterior by scipy over z = sinh(v), the standardised log tau^2, with mu integrated out exactly."""
    yi = np.array([0.1, 0.4, -0.2, 0.6, 0.3])[:k]
    se = np.array([0.2, 0.25, 0.3, 0.2, 0.15])[:k]
    log_t = Prior.CODES[prior.family][0] == 8
    *df, location, scale = prior.parameters
    unit = stats.t(*df) if log_t else stats.norm()

    def joint(v, power, below=np.inf):
        z = np.sinh(v)
        tau = np.exp(np.clip((location + scale * z) / 2, -300, 300))
        covariance = np.diag(se**2 + tau**2) + 1
        likelihood = np.exp(stats.multivariate_normal.logpdf(yi, np.zeros(k), covariance))
        return likelihood * unit.pdf(z) * np.cosh(v) * tau**power * (tau < below)

    def integral(power, end):
        edges = np.unique([*np.linspace(-9, 6, 16), end])
        pieces = [(a, b) for a, b in itertools.pairwise(edges) if b <= end]
        return sum(
            integrate.quad(joint, a, b, args=(power,), epsabs=0, epsrel=1e-11, limit=200)[0]
            for a, b in pieces
        )

    exact = posterior(yi, se, Prior("normal", (0, 1)), prior)
    mass = integral(0, 6)
    assert exact.log_marginal[0] == pytest.approx(np.log(mass), abs=1e-9)
    assert exact.tau.mean()[0] == pytest.approx(integral(1, 6) / mass, rel=1e-8 if k > 1 else 1e-6)
    for p in (0.025, 0.5, 0.975):
        value = exact.tau.quantile(p)[0]
        end = np.arcsinh((2 * np.log(value) - location) / scale)
        assert integral(0, end) / mass == pytest.approx(p, abs=1e-8)
        assert exact.tau.above(value)[0] == pytest.approx(1 - p, abs=1e-9)
