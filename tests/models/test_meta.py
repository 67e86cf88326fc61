"""Meta-analysis fits against exact posteriors, published reference draws, JAGS, and known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from poolmap.config.base import Sampling
from poolmap.config.load import parse_analysis
from poolmap.config.meta import COUNT_COLUMNS
from poolmap.contracts import Dataset
from poolmap.families.meta.effects import effect_sizes
from poolmap.families.meta.estimate import estimate, predictive
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.model import stan_data
from poolmap.inference.checks import check_fit, passed
from poolmap.inference.predictive import leave_one_out
from poolmap.inference.summary import import_arviz
from poolmap.stan.sample import sample
from poolmap.tables import exclusions

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ["events_1", "total_1", "events_2", "total_2"]
BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "columns": dict(zip(COUNTS, ["bcg_cases", "bcg_total", "control_cases", "control_total"], strict=True)),
    "interval": 0.95,
}
SCHOOLS = {
    "family": "meta",
    "data": str(ROOT / "resources/eight_schools/schools.csv"),
    "study": "school",
    "measure": "GEN",
    "columns": {"estimate": "estimate", "se": "se"},
    "interval": 0.95,
    "models": {"m": {"mu_prior": {"normal": [0, 5]}, "tau_prior": {"half_cauchy": 5}}},
}
SAMPLING = Sampling(chains=4, warmup=1000, draws=2500, adapt_delta=0.9)
# A cell of 0 makes a cliff in its study's likelihood: about 1 transition in 5,000 diverges at 0.9, none at
# this setting, which is that of the spine's second attempt
SPARSE = Sampling(chains=4, warmup=1000, draws=2500, adapt_delta=0.975)


@pytest.fixture(scope="module")
def programs(compiled):
    stan = ROOT / "stan"
    return {name: compiled(stan / f"meta/{name}.stan", [stan]).exe_file for name in ("normal", "binomial")}


class Fitted:
    """One fit by the family's own doors, with the draws of each reported quantity at hand."""

    def __init__(self, programs, view, data=None, sampling=SAMPLING, seed=1):
        self.spec = parse_analysis(view)
        self.model = next(iter(self.spec.models))
        self.data = ingest(self.spec) if data is None else data
        likelihood = self.spec.models[self.model].likelihood
        given = stan_data(self.spec, self.model, self.data)
        self.draws = sample(programs[likelihood], given.data, given.parameters, sampling, seed=seed, cores=2)
        self.rng = np.random.default_rng(seed)
        self.quantities = estimate(self.spec, self.model, self.data, self.draws.posterior, self.rng)
        self.checks = check_fit(self.quantities, self.draws.sample_stats, sampling.max_treedepth)

    def of(self, table, quantity):
        (found,) = (q for q in self.quantities if (q.table, q.quantity) == (table, quantity))
        return found

    def __getitem__(self, at):
        return self.of(*at).draws

    def predictive(self):
        return predictive(self.spec, self.model, self.data, self.draws.posterior, self.rng)


def distance(draws, reference, *, statistic="mean", prob=None, reference_mcse=0.0):
    """Distance of an estimate from its reference, in Monte Carlo standard errors."""
    arviz = import_arviz()
    value = {
        "mean": lambda x: x.mean(),
        "sd": lambda x: x.std(ddof=1),
        "quantile": lambda x: np.quantile(x, prob),
    }[statistic](draws)
    mcse = float(arviz.mcse(draws, method=statistic, **({"prob": prob} if prob else {})))
    return abs(value - reference) / np.hypot(mcse, reference_mcse)


def half_cauchy(scale):
    return lambda tau: stats.halfcauchy.logpdf(tau, scale=scale)


def half_normal(scale):
    return lambda tau: stats.halfnorm.logpdf(tau, scale=scale)


class Exact:
    """Normal-normal model by quadrature over tau; given tau everything else is normal."""

    def __init__(self, y, se, mu_prior, tau_prior, nodes=2000):
        x, weight = np.polynomial.legendre.leggauss(nodes)
        x, weight = (x + 1) / 2, weight / 2
        scale = np.median(se)
        self.tau = scale * x / (1 - x)
        m, s = mu_prior
        w = 1 / (se**2 + self.tau[:, None] ** 2)
        precision = 1 / s**2 + w.sum(axis=1)
        self.mean = (m / s**2 + (w * y).sum(axis=1)) / precision
        self.sd = precision**-0.5
        log_density = 0.5 * np.log(w).sum(axis=1) - 0.5 * np.log(precision)
        log_density -= 0.5 * ((w * y**2).sum(axis=1) - precision * self.mean**2)
        log_density += tau_prior(self.tau) + np.log(weight * scale / (1 - x) ** 2)
        self.mass = np.exp(log_density - special.logsumexp(log_density))
        shrink = se**2 * w
        self.theta = shrink * self.mean[:, None] + (1 - shrink) * y
        self.theta_sd = np.sqrt((1 - shrink) * se**2 + (shrink * self.sd[:, None]) ** 2)
        self.shrinkage = self.mass @ shrink

    def moments(self, mean, sd):
        first = self.mass @ mean
        return first, np.sqrt(self.mass @ (sd**2 + mean**2) - first**2)

    def cdf(self, at, mean, sd):
        return self.mass @ stats.norm.cdf(at, mean, sd)


def schools():
    table = pd.read_csv(SCHOOLS["data"])
    return table["estimate"].to_numpy(float), table["se"].to_numpy(float)


# Posterior of the BCG log risk ratios, mu ~ normal(0, 1), tau ~ half-Cauchy(0.5), by adaptive quadrature
# (scipy; the method agrees with the R package bayesmeta 3.4 to 7 digits in the mean of tau).
BCG_EXACT = {
    "mu": {"mean": -0.6874368984, "sd": 0.1874098606, 0.025: -1.0614510387, 0.975: -0.3162264423},
    "tau": {"mean": 0.5859946856, "sd": 0.1611856386, 0.025: 0.3445968473, 0.975: 0.9690832284},
    "new": {"mean": -0.6874368984, "sd": 0.6359976711, 0.025: -1.9631850956, 0.975: 0.5850611116},
}
BCG_THETA = [
    *(
        -0.7871021956,
        -1.2387875779,
        -0.9769116222,
        -1.3919150239,
        -0.2874573157,
        -0.7836918563,
        -1.2318273891,
    ),
    *(0.0022593217, -0.5043684218, -1.2354325996, -0.3538761909, -0.2539247712, -0.1475244730),
]


def test_quadrature_agrees_with_the_published_values():
    studies = ingest(parse_analysis({**BCG, "measure": "RR"})).tables["studies"]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    exact = Exact(yi, np.sqrt(vi), (0, 1), half_cauchy(0.5))
    mean, sd = exact.moments(exact.mean, exact.sd)
    assert (mean, sd) == pytest.approx((BCG_EXACT["mu"]["mean"], BCG_EXACT["mu"]["sd"]), abs=1e-7)
    assert exact.cdf(BCG_EXACT["mu"][0.025], exact.mean, exact.sd) == pytest.approx(0.025, abs=1e-6)
    assert exact.mass @ exact.tau == pytest.approx(BCG_EXACT["tau"]["mean"], abs=1e-7)
    assert exact.mass @ exact.theta == pytest.approx(BCG_THETA, abs=1e-7)
    new_sd = np.hypot(exact.sd, exact.tau)
    assert exact.moments(exact.mean, new_sd)[1] == pytest.approx(BCG_EXACT["new"]["sd"], abs=1e-7)
    assert exact.cdf(BCG_EXACT["new"][0.975], exact.mean, new_sd) == pytest.approx(0.975, abs=1e-6)


@pytest.fixture(scope="module")
def bcg(programs):
    model = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_cauchy": 0.5}}
    return Fitted(programs, {**BCG, "measure": "RR", "models": {"m": model}})


def test_bcg_risk_ratio_against_the_exact_posterior(bcg):
    for quantity, name in (("log_rr", "mu"), ("tau", "tau"), ("log_rr_new", "new")):
        draws, exact = bcg["pooled", quantity][:, :, 0], BCG_EXACT[name]
        assert distance(draws, exact["mean"]) < 4
        assert distance(draws, exact["sd"], statistic="sd") < 4
        for prob in (0.025, 0.975):
            assert distance(draws, exact[prob], statistic="quantile", prob=prob) < 4
    theta = bcg["studies", "log_rr"]
    assert max(distance(theta[:, :, i], x) for i, x in enumerate(BCG_THETA)) < 4
    assert passed(bcg.checks), [c for c in bcg.checks if not c.passed]


def test_bcg_study_columns_against_quadrature(bcg):
    studies = bcg.data.tables["studies"]
    exact = Exact(studies["yi"].to_numpy(), studies["se"].to_numpy(), (0, 1), half_cauchy(0.5))
    extra = bcg.of("studies", "log_rr").extra
    tau = bcg.draws.posterior["tau"].values[:, :, 0]
    for i, se2 in enumerate(studies["vi"]):
        assert distance(se2 / (se2 + tau**2), exact.shrinkage[i]) < 4
        assert extra["shrinkage"][i] == pytest.approx((se2 / (se2 + tau**2)).mean())
    weight = exact.mass @ (1 / (studies["vi"].to_numpy() + exact.tau[:, None] ** 2))
    assert extra["weight"].sum() == pytest.approx(100)
    assert extra["weight"].to_numpy() == pytest.approx(100 * weight / weight.sum(), rel=0.02)
    p = bcg.of("pooled", "log_rr").extra
    assert p["p_lt_null"][0] + p["p_gt_null"][0] == 1
    above = bcg["pooled", "log_rr"][:, :, 0] > 0
    assert p["p_gt_null"][0] == above.mean()
    assert above.mean() == pytest.approx(
        0.0008016317, abs=4 * np.sqrt(0.0008 / 2000)
    )  # exact; 2,000 effective
    assert bcg["pooled", "rr"] == pytest.approx(np.exp(bcg["pooled", "log_rr"]))


def test_bcg_leave_one_out_against_the_exact_one(bcg):
    # by quadrature, log p(y_i | y_-i) with the study's effect integrated out, summed over the 13 trials
    loo = leave_one_out(bcg.predictive())
    assert loo["elpd_loo"] == pytest.approx(-14.427672231605847, abs=0.15)
    assert loo["n_high_k"] == 0


def test_eight_schools_against_posteriordb(programs):
    # posteriordb (commit 28f8d3d), eight_schools-eight_schools_noncentered: mean and sd of 10,000 draws
    reference = {"mu": (4.4105183, 3.3092965), "tau": (3.6020595, 3.1984777)}
    theta = [
        *((6.1505023, 5.6158634), (4.9395811, 4.6455781), (3.9059061, 5.2807120), (4.7960168, 4.7709380)),
        *((3.6144363, 4.6147207), (4.0511476, 4.7962485), (6.3171698, 5.0028554), (4.8839969, 5.3176921)),
    ]
    fitted = Fitted(programs, SCHOOLS)
    assert int(fitted.draws.sample_stats["diverging"].sum()) == 0
    assert passed(fitted.checks), [c for c in fitted.checks if not c.passed]
    found = {"mu": fitted["pooled", "effect"][:, :, 0], "tau": fitted["pooled", "tau"][:, :, 0]}
    effects = fitted["studies", "effect"]
    pairs = [(found[name], *reference[name]) for name in reference]
    pairs += [(effects[:, :, i], *values) for i, values in enumerate(theta)]
    for draws, mean, sd in pairs:
        assert distance(draws, mean, reference_mcse=sd / 100) < 4
        # error of the sd of 10,000 near-independent draws: sqrt((kurtosis - 1) / 4 / n) sd, kurtosis < 12
        assert distance(draws, sd, statistic="sd", reference_mcse=sd * np.sqrt(11 / 4 / 10000)) < 4
    exact = Exact(*schools(), (0, 5), half_cauchy(5))
    assert distance(found["mu"], exact.mass @ exact.mean) < 4
    assert distance(found["tau"], exact.mass @ exact.tau) < 4
    assert distance(found["tau"] < 1, exact.mass @ (exact.tau < 1)) < 4


def test_bcg_odds_ratio_binomial_against_jags_and_stan(programs):
    # JAGS 4.3, 80,000 draws: baselines and pooled effect normal(0, 100), tau ~ half-normal(1):
    # mean, sd, 2.5 %, 97.5 %, MCSE of the mean
    jags = {
        "log_or": (-0.75927281, 0.21057731, -1.186529, -0.34840229, 0.0007491971),
        "tau": (0.65311183, 0.18007201, 0.38164464, 1.0802367, 0.00066018653),
        "log_or_new": (-0.76071229, 0.70992405, -2.1989626, 0.64324525, 0.0025191142),
    }
    # Stan via httpstan 4.13, 40,000 draws, the same model
    stan = {"log_or": (-0.757550329, 0.0019521), "tau": (0.655125368, 0.0015602)}
    model = {
        "likelihood": "binomial",
        "mu_prior": {"normal": [0, 100]},
        "tau_prior": {"half_normal": 1},
        "baseline_prior": {"normal": [0, 100]},
    }
    fitted = Fitted(programs, {**BCG, "measure": "OR", "models": {"m": model}})
    assert passed(fitted.checks), [c for c in fitted.checks if not c.passed]
    for quantity, (mean, sd, lower, upper, mcse) in jags.items():
        draws = fitted["pooled", quantity][:, :, 0]
        assert distance(draws, mean, reference_mcse=mcse) < 4
        assert distance(draws, sd, statistic="sd", reference_mcse=mcse) < 4
        # a tail quantile of a near-normal has about 2.7 times the error of the mean
        assert distance(draws, lower, statistic="quantile", prob=0.025, reference_mcse=2.7 * mcse) < 4
        assert distance(draws, upper, statistic="quantile", prob=0.975, reference_mcse=2.7 * mcse) < 4
    for quantity, (mean, mcse) in stan.items():
        assert distance(fitted["pooled", quantity][:, :, 0], mean, reference_mcse=mcse) < 4


# Niel-Weise et al. 2007 (Crit Care Med), catheter infections: small counts with seven zero cells
NIEL_WEISE = [
    *(
        (0, 116, 3, 117),
        (1, 44, 3, 35),
        (2, 208, 9, 195),
        (0, 130, 7, 136),
        (5, 151, 6, 157),
        (1, 98, 4, 139),
    ),
    *((1, 174, 3, 177), (1, 74, 2, 39), (1, 97, 19, 103), (1, 113, 2, 122), (0, 66, 7, 64), (0, 70, 1, 58)),
    *(
        (3, 188, 5, 175),
        (6, 187, 11, 180),
        (0, 118, 0, 105),
        (0, 252, 1, 262),
        (1, 345, 3, 362),
        (4, 64, 1, 69),
    ),
]
# Made up: risks near 1 in both arms, where the bound of the risk ratio decides (in SMALL with a baseline
# near 0, forgetting the mass of the truncated prior moves mu by 0.9 posterior sd)
SMALL = [(4, 5, 3, 5), (6, 6, 5, 6), (3, 4, 4, 4), (5, 6, 4, 7), (2, 3, 3, 4)]
HIGH_RISK = [(18, 20, 17, 20), (30, 30, 26, 30), (9, 10, 10, 10), (45, 50, 41, 50), (11, 12, 7, 12)]


def counted(rows, measure):
    """A dataset from counts, for what no file holds."""
    counts = np.array(rows)
    yi, vi, _ = effect_sizes(measure, dict(zip(COUNT_COLUMNS, counts.T, strict=True)))
    table = pd.DataFrame(counts, columns=COUNTS).assign(yi=yi, vi=vi, se=np.sqrt(vi))
    table.insert(0, "study", [f"S{i}" for i in range(len(rows))])
    return Dataset(tables={"studies": table}, exclusions=exclusions())


class ExactBinomial:
    """Binomial model on grids: each study's likelihood of theta (baseline integrated out), then mu and tau.

    Independent of the Stan program: it integrates over the baseline itself, on the log risk (RR, truncated
    normal) or log odds (OR, normal) scale, with no change of variables.
    """

    def __init__(self, rows, measure, *, baseline, mu_sd, tau_prior):
        theta = np.linspace(-8, 8, 801)
        likelihood = [self.of_theta(theta[:, None], row, measure, baseline) for row in rows]
        likelihood = np.exp(np.array(likelihood) - np.max(likelihood, axis=1, keepdims=True))
        self.mu, self.tau = theta[200:601], 4 * np.linspace(0, 1, 201)[1:] ** 2
        log_joint = np.empty((len(self.mu), len(self.tau)))
        for j, tau in enumerate(self.tau):
            kernel = np.exp(-0.5 * ((theta - self.mu[:, None]) / tau) ** 2)
            kernel /= kernel.sum(axis=1, keepdims=True)
            log_joint[:, j] = np.log(kernel @ likelihood.T).sum(axis=1) + tau_prior(tau)
        log_joint += stats.norm.logpdf(self.mu, 0, mu_sd)[:, None]
        density = np.exp(log_joint - log_joint.max())
        self.by_tau = density.sum(axis=0)
        self.by_mu = np.trapezoid(density, self.tau, axis=1)
        self.by_mu /= self.by_mu.sum()

    @staticmethod
    def of_theta(theta, row, measure, baseline):
        """Log likelihood of one study at each theta, up to a constant."""
        y1, n1, y2, n2 = row
        x = (np.arange(1200) + 0.5) / 1200
        if measure == "RR":
            bound = -np.maximum(theta, 0)
            a, width = bound - 20 * x**3, 60 * x**2  # fine where a risk comes near 1
            log_prior = stats.norm.logpdf(a, *baseline) - stats.norm.logcdf(bound, *baseline)
            risks = [(a + theta, np.log(-np.expm1(a + theta))), (a, np.log(-np.expm1(a)))]
        else:
            a, width = 40 * (x - 0.5)[None, :], np.ones(1200)
            log_prior = stats.norm.logpdf(a, *baseline)
            risks = [(special.log_expit(b), special.log_expit(-b)) for b in (a + theta, a)]
        log_density = log_prior + y1 * risks[0][0] + (n1 - y1) * risks[0][1]
        log_density = log_density + y2 * risks[1][0] + (n2 - y2) * risks[1][1]
        return special.logsumexp(log_density, axis=1, b=width)

    def mean_sd(self, name):
        if name == "mu":
            mean = self.mu @ self.by_mu
            return mean, np.sqrt((self.mu - mean) ** 2 @ self.by_mu)
        mass = np.trapezoid(self.by_tau, self.tau)
        mean = np.trapezoid(self.by_tau * self.tau, self.tau) / mass
        return mean, np.sqrt(np.trapezoid(self.by_tau * (self.tau - mean) ** 2, self.tau) / mass)


@pytest.mark.parametrize(
    ("measure", "rows", "baseline"),
    [
        ("RR", HIGH_RISK, (0, 10)),
        ("RR", HIGH_RISK, (-1, 0.5)),
        ("RR", SMALL, (0, 0.3)),
        ("RR", NIEL_WEISE[:8], (0, 10)),
        ("OR", NIEL_WEISE[:8], (-3, 2)),
    ],
)
def test_binomial_against_a_grid(programs, measure, rows, baseline):
    exact = ExactBinomial(rows, measure, baseline=baseline, mu_sd=1, tau_prior=half_normal(0.5))
    model = {
        "likelihood": "binomial",
        "mu_prior": {"normal": [0, 1]},
        "tau_prior": {"half_normal": 0.5},
        "baseline_prior": {"normal": list(baseline)},
    }
    view = {**BCG, "measure": measure, "models": {"m": model}}
    fitted = Fitted(programs, view, counted(rows, measure), SPARSE)
    assert passed(fitted.checks), [c for c in fitted.checks if not c.passed]
    for quantity, name in ((f"log_{measure.lower()}", "mu"), ("tau", "tau")):
        draws = fitted["pooled", quantity][:, :, 0]
        mean, sd = exact.mean_sd(name)
        assert distance(draws, mean) < 4
        assert distance(draws, sd, statistic="sd") < 4


def test_a_study_without_events_in_both_arms_says_next_to_nothing_about_a_ratio():
    # why ingest leaves such studies out of the binomial likelihood too
    for measure in ("OR", "RR"):
        found = [
            ExactBinomial(rows, measure, baseline=(0, 10), mu_sd=1, tau_prior=half_normal(0.5))
            for rows in (HIGH_RISK, [*HIGH_RISK, (0, 118, 0, 105)])
        ]
        for name in ("mu", "tau"):
            one, other = (exact.mean_sd(name) for exact in found)
            assert one == pytest.approx(other, abs=0.05 * one[1]), (measure, name)


def test_catheter_infections_against_jags(programs):
    # JAGS 4.3: odds ratio, baselines and pooled effect normal(0, 100), tau ~ half-normal(1); mean, sd, MCSE
    jags = {"log_or": (-1.3940169, 0.37315112, 0.0016803), "tau": (0.87097568, 0.39577747, 0.0032401)}
    model = {
        "likelihood": "binomial",
        "mu_prior": {"normal": [0, 100]},
        "tau_prior": {"half_normal": 1},
        "baseline_prior": {"normal": [0, 100]},
    }
    view = {**BCG, "measure": "OR", "models": {"m": model}}
    # JAGS had the study without events in both arms too, ingest leaves it out: by quadrature at these priors
    # it moves the mean of mu by 0.0002 and that of tau by 0.0001
    rows = [row for row in NIEL_WEISE if row[0] + row[2] > 0]
    fitted = Fitted(programs, view, counted(rows, "OR"), SPARSE)
    assert passed(fitted.checks), [c for c in fitted.checks if not c.passed]
    for quantity, (mean, sd, mcse) in jags.items():
        draws = fitted["pooled", quantity][:, :, 0]
        assert distance(draws, mean, reference_mcse=mcse) < 4
        assert distance(draws, sd, statistic="sd", reference_mcse=mcse) < 4


def on_a_grid(mu, tau, rows, risk, *, bounded):
    """log p(counts | mu, tau) of each study: effect and baseline ~ normal(0, 10) summed over a fine grid."""
    theta = mu + tau * (np.arange(-6, 6, 0.02) + 0.01)
    weight = stats.norm.pdf(theta, mu, tau) * tau * 0.02
    found = []
    for y1, n1, y2, n2 in rows:
        bound = -np.maximum(theta, 0)[:, None] if bounded else np.full((len(theta), 1), 12.0)
        step = 0.002 if bounded else 0.005
        baseline = bound - (np.arange(0, 12 if bounded else 24, step) + step / 2)
        prior = stats.norm.pdf(baseline, 0, 10) * step
        if bounded:  # the prior's mass below the bound is divided out
            prior = prior / stats.norm.cdf(bound, 0, 10)
        inner = stats.binom.pmf(y1, n1, risk(baseline + theta[:, None]))
        inner = (inner * stats.binom.pmf(y2, n2, risk(baseline)) * prior).sum(axis=1)
        found.append(np.log(inner @ weight))
    return np.array(found)


def test_log_likelihood_of_counts(programs):
    model = {"likelihood": "binomial", "mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
    for measure, risk in (("RR", np.exp), ("OR", special.expit)):
        view = {**BCG, "measure": measure, "models": {"m": model}}
        sampling = Sampling(chains=2, warmup=200, draws=100)
        fitted = Fitted(programs, view, counted(HIGH_RISK, measure), sampling)
        item, posterior = fitted.predictive(), fitted.draws.posterior
        y1, n1, y2, n2 = np.array(HIGH_RISK).T
        for chain, draw in ((0, 0), (1, 99)):
            mu, tau = (float(posterior[name].values[chain, draw, 0]) for name in ("beta", "tau"))
            expected = on_a_grid(mu, tau, np.array(HIGH_RISK), risk, bounded=measure == "RR")
            assert item.log_lik[chain, draw] == pytest.approx(expected, abs=2e-4)
        assert item.replicated.shape == (2, 100, 10)
        assert item.observed.tolist() == [*y1, *y2]
        assert (item.replicated <= np.concatenate([n1, n2])).all()


def simulate(rng, measure, k):
    """Parameters drawn from their priors and data drawn from the model."""
    mu, tau = rng.normal(0, 1), abs(rng.normal(0, 0.5))
    theta = rng.normal(mu, tau, k)
    truth = {"mu": mu, "tau": tau, "theta": theta[0], "new": rng.normal(mu, tau)}
    if measure == "GEN":
        se = rng.uniform(0.1, 0.8, k)
        yi = rng.normal(theta, se)
        studies = pd.DataFrame({"study": [f"S{i}" for i in range(k)], "yi": yi, "vi": se**2, "se": se})
        return truth, Dataset(tables={"studies": studies}, exclusions=exclusions())
    upper = -np.maximum(theta, 0)
    baseline = stats.truncnorm.rvs(-np.inf, upper + 1, loc=-1, scale=1, random_state=rng)
    n1, n2 = rng.integers(10, 60, k), rng.integers(10, 60, k)
    y1, y2 = rng.binomial(n1, np.exp(baseline + theta)), rng.binomial(n2, np.exp(baseline))
    return truth, counted(np.column_stack([y1, n1, y2, n2]), measure)


@pytest.mark.parametrize(("measure", "runs"), [("GEN", 100), ("RR", 100)])
def test_truth_ranks_uniformly_among_the_draws(programs, measure, runs):
    # simulation-based calibration (Talts et al. 2018, arXiv:1804.06788): 100 thinned draws a run
    model = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
    if measure == "GEN":
        view = {**SCHOOLS, "models": {"m": model}}
        name = "effect"
    else:
        model |= {"likelihood": "binomial", "baseline_prior": {"normal": [-1, 1]}}
        view = {**BCG, "measure": measure, "models": {"m": model}}
        name = "log_rr"
    rng = np.random.default_rng(20261120)
    sampling = Sampling(chains=2, warmup=300, draws=500, adapt_delta=0.9)
    ranks = {key: [] for key in ("mu", "tau", "theta", "new")}
    for run in range(runs):
        truth, data = simulate(rng, measure, 5)
        fitted = Fitted(programs, view, data, sampling, seed=run + 1)
        draws = {
            "mu": fitted["pooled", name],
            "tau": fitted["pooled", "tau"],
            "theta": fitted["studies", name],
            "new": fitted["pooled", f"{name}_new"],
        }
        for key, found in ranks.items():
            found.append(int((draws[key][:, ::10, 0] < truth[key]).sum()))
    for key, found in ranks.items():
        bins = np.bincount(np.minimum(np.array(found) * 10 // 101, 9), minlength=10)
        assert stats.chisquare(bins).pvalue > 0.001, (key, bins.tolist())
        # mean rank, uniform on 0..100: sd of the mean 29.15 / sqrt(runs)
        assert abs(np.mean(found) - 50) < 3.3 * 29.15 / np.sqrt(runs), key
