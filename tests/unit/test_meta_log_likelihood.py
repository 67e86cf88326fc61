"""Likelihood of a study with its own effect and baseline integrated out, against other integrations."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray
from scipy import integrate, special, stats

from poolmap.config.load import parse_analysis
from poolmap.contracts import Dataset
from poolmap.families.meta.design import design
from poolmap.families.meta.exact import exact_leave_one_out, is_exact
from poolmap.families.meta.log_likelihood import alone_log_likelihood, integrated, log_likelihood
from poolmap.tables import exclusions

COLUMNS = {
    "GEN": {"estimate": "y", "se": "s"},
    "OR": {"events_1": "a", "total_1": "b", "events_2": "c", "total_2": "d"},
    "RR": {"events_1": "a", "total_1": "b", "events_2": "c", "total_2": "d"},
    "IRR": {"events_1": "a", "time_1": "b", "events_2": "c", "time_2": "d"},
    "PLO": {"events": "a", "total": "b"},
}
COUNTS = pd.DataFrame(
    {
        "events_1": [4, 0, 62, 9], "total_1": [123, 30, 13598, 10],
        "events_2": [11, 3, 248, 7], "total_2": [139, 29, 12867, 10],
    }
)  # fmt: skip


def section(measure, **model):
    view = {
        "family": "meta", "data": "trials.csv", "study": "trial", "measure": measure,
        "columns": COLUMNS[measure], "interval": 0.95,
        "models": {"pooled": {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}, "m": model},
    }  # fmt: skip
    return parse_analysis(view)


def analysed(measure, studies, draws, **model):
    """Log likelihood by study of one model, at draws (name: array (chain, draw, size))."""
    spec = section(measure, **model)
    studies = studies.assign(study=[f"s{i}" for i in range(len(studies))])
    data = Dataset({"studies": studies}, exclusions([]))
    posterior = xarray.Dataset({n: (("chain", "draw", f"{n}_dim"), np.array(x)) for n, x in draws.items()})
    return log_likelihood(spec, "m", design(spec, "m", data), studies, posterior)


def estimates(yi, se):
    yi, se = np.array(yi, dtype=float), np.array(se, dtype=float)
    return pd.DataFrame({"yi": yi, "se": se, "vi": se**2})


PRIORS = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
DRAWS = {"beta": [[[-0.7], [0.2]]], "tau": [[[0.5], [0.01]]]}


@pytest.mark.parametrize("df", [1.0, 4.0, 30.0, 5000.0])
def test_student_t_effects_with_normal_errors(df):
    studies = estimates([-0.7, 0.4, 6.0], [0.3, 0.05, 1.2])
    found = analysed("GEN", studies, DRAWS | {"w": np.ones((1, 2, 3))}, effects="student_t", df=df, **PRIORS)
    for draw in range(2):
        mu, tau = DRAWS["beta"][0][draw][0], DRAWS["tau"][0][draw][0]
        for i, (y, s) in enumerate(zip(studies["yi"], studies["se"], strict=True)):
            edges = sorted({0.0, (y - mu) / tau - 8 * s / tau, (y - mu) / tau, (y - mu) / tau + 8 * s / tau})
            parts = [-1e4, *edges, 1e4]
            value = sum(
                integrate.quad(
                    lambda x, y=y, s=s, mu=mu, tau=tau: (
                        stats.norm.pdf(y, mu + tau * x, s) * stats.t.pdf(x, df)
                    ),
                    low, high, limit=500, epsabs=0, epsrel=1e-9,
                )[0]
                for low, high in pairwise(parts)
            )  # fmt: skip
            assert found[0, draw, i] == pytest.approx(np.log(value), abs=1e-6)


def test_unrelated_effects_are_told_by_the_prior_alone():
    studies = estimates([-0.7, 0.4], [0.3, 0.05])
    spec = section("GEN", effects="independent", mu_prior={"normal": [0.1, 2]})
    expected = stats.norm.logpdf(studies["yi"], 0.1, np.hypot(2, studies["se"]))
    assert alone_log_likelihood(spec, "m", studies) == pytest.approx(expected, abs=1e-9)
    spec = section("GEN", effects="independent", mu_prior={"uniform": [-0.5, 3]})
    inside = stats.norm.cdf(3, studies["yi"], studies["se"]) - stats.norm.cdf(
        -0.5, studies["yi"], studies["se"]
    )
    assert alone_log_likelihood(spec, "m", studies) == pytest.approx(np.log(inside / 3.5))
    groups = pd.DataFrame({"events": [3, 0], "total": [20, 11]})
    spec = section("PLO", likelihood="binomial", effects="independent", mu_prior={"normal": [-1, 1.5]})
    expected = [
        np.log(
            integrate.quad(
                lambda x, y=y, n=n: stats.binom.pmf(y, n, special.expit(x)) * stats.norm.pdf(x, -1, 1.5),
                -12, 10, epsabs=0, epsrel=1e-10,
            )[0]
        )
        for y, n in zip(groups["events"], groups["total"], strict=True)
    ]  # fmt: skip
    assert alone_log_likelihood(spec, "m", groups) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("measure", ["OR", "IRR"])
def test_random_baselines_and_effects_are_integrated_out(measure):
    binomial = measure == "OR"
    studies = COUNTS if binomial else COUNTS.rename(columns=lambda x: x.replace("total", "time"))
    draws = DRAWS | {"baseline_mean": [[[-2.5], [-3.0]]], "baseline_sd": [[[1.2], [0.4]]]}
    likelihood = "binomial" if binomial else "poisson"
    found = analysed(measure, studies, draws, likelihood=likelihood, baseline="random", **PRIORS)
    z = np.arange(-8, 8, 0.02) + 0.01
    weight = stats.norm.pdf(z) * 0.02
    for draw in range(2):
        mu, tau, m, s = (np.array(draws[name])[0, draw, 0] for name in
                         ("beta", "tau", "baseline_mean", "baseline_sd"))  # fmt: skip
        baseline, effect = m + s * z[:, None], mu + tau * z[None, :]
        for i, (y1, n1, y2, n2) in enumerate(COUNTS.to_numpy()):
            if binomial:
                one = stats.binom.pmf(y1, n1, special.expit(baseline + effect))
                two = stats.binom.pmf(y2, n2, special.expit(baseline))
            else:
                one = stats.poisson.pmf(y1, n1 * np.exp(baseline + effect))
                two = stats.poisson.pmf(y2, n2 * np.exp(baseline))
            assert found[0, draw, i] == pytest.approx(np.log(weight @ (one * two) @ weight), abs=0.005)


RISKS = pd.DataFrame(
    {
        "events_1": [0, 30, 18, 30, 19, 5, 62], "total_1": [25, 70, 20, 30, 20, 14, 13598],
        "events_2": [4, 41, 17, 26, 20, 2, 248], "total_2": [60, 72, 20, 30, 20, 33, 12867],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("mu", "tau", "m", "s"),
    [(-0.3, 0.7, 0.2, 2.0), (0.4, 1.5, -1.0, 0.3), (0.0, 0.3, 1.0, 0.8), (0.0, 0.01, -0.5, 0.5)],
)
def test_random_baselines_of_risk_ratios_are_truncated_where_a_risk_comes_to_1(mu, tau, m, s):
    draws = {"beta": mu, "tau": tau, "baseline_mean": m, "baseline_sd": s}
    draws = {name: [[[value]]] for name, value in draws.items()}
    found = analysed("RR", RISKS, draws, likelihood="binomial", baseline="random", **PRIORS)
    z = np.arange(-8, 8, 0.02) + 0.01
    theta = mu + tau * z[:, None]
    bound = -np.maximum(theta, 0)
    x = (np.arange(3000) + 0.5) / 3000
    baseline, width = bound - 40 * x**3, 120 * x**2 / 3000  # fine below the bound
    prior = np.exp(stats.norm.logpdf(baseline, m, s) - stats.norm.logcdf(bound, m, s)) * width
    for i, (y1, n1, y2, n2) in enumerate(RISKS.to_numpy()):
        one = stats.binom.pmf(y1, n1, np.minimum(np.exp(baseline + theta), 1))
        inner = (one * stats.binom.pmf(y2, n2, np.exp(baseline)) * prior).sum(axis=1)
        expected = np.log((inner * stats.norm.pdf(z)).sum() * 0.02)
        assert found[0, 0, i] == pytest.approx(expected, abs=0.005)


def test_random_baselines_with_student_t_effects_of_many_degrees_are_those_of_normal_ones():
    draws = DRAWS | {"baseline_mean": [[[-2.5], [-3.0]]], "baseline_sd": [[[1.2], [0.4]]]}
    model = {"likelihood": "binomial", "baseline": "random"} | PRIORS
    normal = analysed("OR", COUNTS, draws, **model)
    heavy = analysed("OR", COUNTS, draws | {"w": np.ones((1, 2, 4))}, effects="student_t", df=60, **model)
    assert heavy == pytest.approx(normal, abs=0.05)
    heavy = analysed("OR", COUNTS, draws | {"w": np.ones((1, 2, 4))}, effects="student_t", df=2, **model)
    assert abs(heavy - normal).max() > 0.05


def test_what_is_exact_and_what_is_integrated():
    assert is_exact(section("OR", likelihood="binomial", **PRIORS), "m", COUNTS)
    assert not is_exact(section("OR", likelihood="binomial", baseline="random", **PRIORS), "m", COUNTS)
    log_normal = PRIORS | {"tau_prior": {"lognormal_tau2": [-2.5, 1.7]}}
    assert not is_exact(section("OR", likelihood="binomial", **log_normal), "m", COUNTS)
    assert is_exact(section("OR", **log_normal), "m", COUNTS)
    uniform = section("OR", likelihood="binomial", baseline_prior={"uniform": [-5, 5]}, **PRIORS)
    assert not is_exact(uniform, "m", COUNTS)
    assert not integrated(uniform, "m")
    assert integrated(section("RR", likelihood="binomial", baseline="random", **PRIORS), "m")


def test_exact_leave_one_out_of_counts_and_of_estimates_agree_where_arms_are_large():
    counts = COUNTS * 40
    odds = counts["events_1"] + 0.5, counts["total_1"] - counts["events_1"] + 0.5
    other = counts["events_2"] + 0.5, counts["total_2"] - counts["events_2"] + 0.5
    studies = counts.assign(
        study=list("abcd"),
        yi=np.log(odds[0] / odds[1] * other[1] / other[0]),
        vi=sum(1 / x for x in (*odds, *other)),
    )
    studies["se"] = np.sqrt(studies["vi"])
    keep = studies.drop(index=1).reset_index(drop=True)
    exact = exact_leave_one_out(section("OR", likelihood="binomial", **PRIORS), "m", keep)
    normal = exact_leave_one_out(section("OR", **PRIORS), "m", keep)
    assert exact["study"].tolist() == ["a", "c", "d"]
    for name in ("mu", "mu_lower", "mu_upper", "tau"):
        assert exact[name].to_numpy() == pytest.approx(normal[name].to_numpy(), abs=0.03)
