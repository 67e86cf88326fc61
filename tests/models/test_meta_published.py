"""Published results, and those of other programs, against the exact posteriors that check every fit.

Bayesian programs print quantiles or shortest intervals of their own draws; each is held to the Monte Carlo
error of those draws, or to the accuracy that its source states.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray
from meta_fit import Fitted, agree
from scipy import optimize, special, stats

from poolmap.config.base import Prior, Sampling
from poolmap.config.load import parse_analysis
from poolmap.families.meta.classical import pool
from poolmap.families.meta.effects import SCALES, effect_sizes
from poolmap.families.meta.exact_counts import count_posterior
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.predictive import predictive
from poolmap.families.meta.quadrature import posterior
from poolmap.families.meta.study_likelihood import study_likelihoods

DATA = json.loads(Path(__file__).with_name("meta_exact_reference.json").read_text())["data"]
COUNTS = json.loads(Path(__file__).with_name("meta_counts_reference.json").read_text())["data"]


def exact(name, mu_prior, tau_prior):
    table = DATA[name]
    priors = Prior("normal", (0, mu_prior)), Prior(*tau_prior)
    return posterior(np.array(table["yi"]), np.array(table["se"]), *priors)


# ---- bayesmeta ---------------------------------------------------------------------------------------------

STEPS = 5e-3  # in posterior sds: bayesmeta mixes mu over steps of tau, one per cent of divergence apart


def shortest(one):
    """The shortest interval of 95 per cent: where its width is least over the share left below it."""
    found = optimize.minimize_scalar(
        lambda p: (one.quantile(p + 0.95) - one.quantile(p))[0],
        bounds=(1e-9, 0.05 - 1e-9),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return one.quantile(found.x)[0], one.quantile(found.x + 0.95)[0]


# Six trials of liver grafts (Crins et al. 2014), log odds ratios: Röver 2020, J Stat Softw 93(6), 3.3,
# mu ~ normal(0, 4), tau ~ half-normal(0.5)
CRINS = [
    *((14, 61, 15, 20), (16, 28, 19, 28), (3, 18, 8, 12)),
    *((9, 54, 29, 54), (4, 36, 11, 36), (0, 50, 3, 34)),
]


def test_shortest_intervals_of_liver_grafts_as_bayesmeta_prints_them():
    values = np.array(CRINS, dtype=float).T
    names = ["events_1", "total_1", "events_2", "total_2"]
    yi, vi, _ = effect_sizes("OR", dict(zip(names, values, strict=True)))
    found = posterior(yi, np.sqrt(vi), Prior("normal", (0, 4)), Prior("half_normal", (0.5,)))
    assert shortest(found.mu()) == pytest.approx((-2.2311251, -0.9263075), abs=STEPS * 0.33)
    assert shortest(found.theta_new()) == pytest.approx((-2.7661319, -0.407297), abs=STEPS * 0.57)
    assert found.theta_new().sd()[0] == pytest.approx(0.5671855, rel=STEPS)
    low, high = shortest(found.tau)
    assert low < 1e-4  # it begins at 0
    assert high == pytest.approx(0.8607193, abs=1e-5)


def test_eight_schools_of_1981_as_bayesmeta_prints_them():
    # bayesmeta 3.4, vignette: the unrounded effects, mu ~ normal(0, 50), tau ~ half-Cauchy(25)
    found = exact("eight_schools_unrounded", 50, ("half_cauchy", (25,)))
    assert found.mu().mean()[0] == pytest.approx(7.985729, abs=STEPS * 5)
    assert found.mu().sd()[0] == pytest.approx(4.995762, rel=STEPS)
    assert shortest(found.mu()) == pytest.approx((-1.823353, 17.824562), abs=STEPS * 5)
    tau = found.tau
    got = [tau.mean()[0], tau.quantile(0.5)[0], tau.sd()[0], shortest(tau)[1]]
    assert got == pytest.approx([5.884511, 4.758539, 4.869904, 15.165894], abs=2e-6)


# ---- posteriordb and brms ----------------------------------------------------------------------------------

# posteriordb (commit 28f8d3d), eight_schools: 2.5, 5, 50, 95 and 97.5 per cent points of 10,000 draws
POSTERIORDB = {
    "theta[1]": (-3.261847, -1.680687, 5.589011, 16.32936, 20.04411),
    "theta[2]": (-3.875658, -2.218035, 4.772916, 12.81678, 14.82352),
    "theta[3]": (-7.791829, -4.914318, 4.105384, 11.84448, 13.64042),
    "theta[4]": (-4.62038, -2.670282, 4.695256, 12.63905, 14.63274),
    "theta[5]": (-6.564477, -4.264654, 3.82043, 10.60268, 12.25724),
    "theta[6]": (-6.18054, -3.865221, 4.161817, 11.51608, 13.15591),
    "theta[7]": (-2.076931, -0.8546679, 5.795003, 15.30536, 18.06495),
    "theta[8]": (-5.489623, -3.317235, 4.785269, 13.54959, 15.81876),
    "mu": (-1.973899, -0.9361765, 4.363895, 9.832073, 10.92527),
    "tau": (0.1149136, 0.2566638, 2.747021, 9.732209, 11.98411),
}


def test_quantiles_of_eight_schools_in_posteriordb():
    found = exact("eight_schools", 5, ("half_cauchy", (5,)))
    known = {"mu": found.mu(), "tau": found.tau} | {f"theta[{i + 1}]": found.theta(i) for i in range(8)}
    for name, quantiles in POSTERIORDB.items():
        for probability, value in zip((0.025, 0.05, 0.5, 0.95, 0.975), quantiles, strict=True):
            error = np.sqrt(probability * (1 - probability) / 10_000)
            below = 1 - known[name].above(value)[0]
            assert abs(below - probability) < 4 * error, (name, probability)


def test_bcg_in_brms():
    # brms 2.18, 20,000 draws, log risk ratios, mu ~ normal(0, 1), tau ~ half-Cauchy(0.5): mean, sd, 2.5 and
    # 97.5 per cent points. Its effective draws are not stored: 4,000 of 20,000, as it usually has for a tau
    brms = {"mu": (-0.68586, 0.18779, -1.06062, -0.31369), "tau": (0.5862, 0.16243, 0.34543, 0.97659)}
    found = exact("bcg_RR", 1, ("half_cauchy", (0.5,)))
    for one, (mean, sd, lower, upper) in ((found.mu(), brms["mu"]), (found.tau, brms["tau"])):
        assert abs(one.mean()[0] - mean) < 4 * sd / np.sqrt(4000)
        assert abs(one.sd()[0] - sd) < 4 * sd / np.sqrt(4000)
        for probability, value in ((0.025, lower), (0.975, upper)):
            error = np.sqrt(0.025 * 0.975 / 4000)
            assert abs(1 - one.above(value)[0] - probability) < 4 * error


# ---- NICE DSU TSD 2: an informative prior of tau^2 ---------------------------------------------------------

# Granulocyte transfusion and deaths (Stanworth et al. 2005), as in R package multinma, dataset transfusion:
# events and people, transfusion then control
TRANSFUSION = {
    "Bow 1984": (5, 13, 4, 11),
    "Herzig 1977": (1, 13, 3, 14),
    "Higby 1975": (2, 17, 14, 19),
    "Scali 1978": (0, 13, 1, 12),
    "Vogler 1977": (7, 17, 9, 13),
    "Winston 1982a": (18, 48, 13, 47),
}
VAGUE = Prior("normal", (0, 100))


def test_transfusion_with_an_informative_prior(compiled, tmp_path):
    """tau^2 ~ log-normal(-3.93, 1.51): published median 0.18, 95 per cent interval 0.003 to 1.70."""
    rows = np.array(list(TRANSFUSION.values()), dtype=float).T
    likelihoods = study_likelihoods("OR", rows[::2], rows[1::2], VAGUE)
    found = count_posterior(likelihoods, VAGUE, Prior("lognormal_tau2", (-3.93, 1.51)))
    median, lower = (found.tau.quantile(p)[0] ** 2 for p in (0.5, 0.025))
    assert median == pytest.approx(0.18, abs=0.005)
    assert lower == pytest.approx(0.003, abs=5e-4)
    # a draw in 40 lies above it: of 5,000 effective draws of WinBUGS its share is known to 0.0022
    assert 1 - found.tau.above(1.70**0.5)[0] == pytest.approx(0.975, abs=4 * 0.0022)

    names = ["events_1", "total_1", "events_2", "total_2"]
    frame = pd.DataFrame(TRANSFUSION.values(), columns=names)
    frame.insert(0, "study", list(TRANSFUSION))
    frame.to_csv(tmp_path / "studies.csv", index=False)
    view = {
        "family": "meta", "data": str(tmp_path / "studies.csv"), "study": "study", "measure": "OR",
        "columns": {name: name for name in names}, "interval": 0.95,
        "models": {
            "m": {
                "likelihood": "binomial",
                "mu_prior": {"normal": [0, 100]},
                "baseline_prior": {"normal": [0, 100]},
                "tau_prior": {"lognormal_tau2": [-3.93, 1.51]},
            }
        },
    }  # fmt: skip
    fitted = Fitted(compiled, view, sampling=Sampling(chains=4, warmup=600, draws=2500, adapt_delta=0.975))
    agree(fitted["pooled", "tau"][:, :, 0], found.tau)
    agree(fitted["pooled", "log_or"][:, :, 0], found.mu())


# ---- proportions -------------------------------------------------------------------------------------------

PRITZ = pd.DataFrame(COUNTS["pritz1997"]["rows"], columns=COUNTS["pritz1997"]["columns"])


def test_pooled_proportions_go_back_as_in_metafor():
    yi, vi, _ = effect_sizes("PLO", {n: PRITZ[n].to_numpy(float) for n in ("events", "total")})
    for method, back in (
        ("REML", (0.757479298945, 0.660521964094, 0.833716207869)),
        ("DL", (0.757306614841, 0.660566937418, 0.833427630797)),
    ):
        found = pool(yi, vi, method)
        got = SCALES["PLO"].natural(np.array([found.mu, found.lower, found.upper]))
        # REML: as far as metafor's tau^2 goes; DL has no iterations
        assert got == pytest.approx(back, rel=1e-4 if method == "REML" else 1e-6)


def test_beta_binomial_likelihood_is_highest_where_it_should_be(tmp_path):
    """Maximum likelihood of the beta-binomial of the 14 series: alpha, beta and the log likelihood there."""
    alpha, beta, log_likelihood = 7.70462005702, 2.2400362142, -32.5096063009
    PRITZ.to_csv(tmp_path / "series.csv", index=False)
    view = {
        "family": "meta", "data": str(tmp_path / "series.csv"), "study": "study", "measure": "PLO",
        "columns": {"events": "events", "total": "total"}, "interval": 0.95,
        "models": {"m": {"likelihood": "beta_binomial", "mu_prior": {"normal": [0, 1.5]}}},
    }  # fmt: skip
    spec = parse_analysis(view)
    data = ingest(spec)
    mu, icc = np.log(alpha / beta), 1 / (alpha + beta + 1)
    points = [(mu, icc), (mu + 1e-3, icc), (mu - 1e-3, icc), (mu, icc * 1.003), (mu, icc / 1.003)]
    values = np.array(points)[None]
    draws = xarray.Dataset(
        {
            name: (("chain", "draw", f"{name}_dim"), values[:, :, [j]])
            for j, name in enumerate(("beta", "icc"))
        }
    )
    found = predictive(spec, "m", data, draws, np.random.default_rng(1)).log_lik.sum(axis=2)[0]
    assert found[0] == pytest.approx(log_likelihood, abs=1e-9)
    assert (found[1:] < found[0]).all()


# ---- I-squared of counts -----------------------------------------------------------------------------------


def test_i2_of_counts_is_its_mean_over_tau():
    """By sums over a grid of mu and tau, with the typical variance of Higgins and Thompson (2002)."""
    events, total = np.array([4, 9, 2]), np.array([20, 25, 12])
    yi = np.log(events / (total - events))
    vi = 1 / events + 1 / (total - events)
    w = 1 / vi
    typical = 2 * w.sum() / (w.sum() ** 2 - (w**2).sum())
    likelihoods = study_likelihoods("PLO", [events], [total])
    priors = Prior("normal", (0, 2)), Prior("half_normal", (1,))
    found = count_posterior(likelihoods, *priors, yi=yi, se=np.sqrt(vi), without=True)
    mu, tau = np.linspace(-12, 9, 211)[:, None, None], (np.arange(600)[:, None] + 0.5) / 100
    nodes = np.linspace(-8.5, 8.5, 137)
    each = [
        stats.binom.pmf(y, n, special.expit(mu + tau * nodes)) @ stats.norm.pdf(nodes)
        for y, n in zip(events, total, strict=True)
    ]
    t = tau[:, 0]
    prior = stats.norm.pdf(mu[:, :, 0], 0, 2) * stats.halfnorm.pdf(t)
    for left_out, got in zip((None, 0, 1, 2), found.i2(), strict=True):
        joint = prior * np.prod([one for i, one in enumerate(each) if i != left_out], axis=0)
        expected = 100 * (joint * t**2 / (t**2 + typical)).sum() / joint.sum()
        assert got == pytest.approx(expected, abs=1e-3), left_out
