"""Exact likelihoods of counts by quadrature, against JAGS, Stan and brute force with scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, special, stats

from poolmap.config.base import Prior
from poolmap.families.meta.exact_counts import count_posterior, leave_one_out_counts
from poolmap.families.meta.study_likelihood import marginal, marginal_log_lik, study_likelihoods

VAGUE = Prior("normal", (0, 100))
# events and size of arm 1, then of arm 2. Colditz et al. 1994 (BCG), Niel-Weise et al. 2007 and 2008
BCG = [
    *((4, 123, 11, 139), (6, 306, 29, 303), (3, 231, 11, 220), (62, 13598, 248, 12867)),
    *((33, 5069, 47, 5808), (180, 1541, 372, 1451), (8, 2545, 10, 629), (505, 88391, 499, 88391)),
    *((29, 7499, 45, 7277), (17, 1716, 65, 1665), (186, 50634, 141, 27338), (5, 2498, 3, 2341)),
    (27, 16913, 29, 17854),
]
CATHETERS = [
    *((0, 116, 3, 117), (1, 44, 3, 35), (2, 208, 9, 195), (0, 130, 7, 136), (5, 151, 6, 157)),
    *((1, 98, 4, 139), (1, 174, 3, 177), (1, 74, 2, 39), (1, 97, 19, 103), (1, 113, 2, 122)),
    *((0, 66, 7, 64), (0, 70, 1, 58), (3, 188, 5, 175), (6, 187, 11, 180), (0, 118, 0, 105)),
    *((0, 252, 1, 262), (1, 345, 3, 362), (4, 64, 1, 69)),
]
CATHETER_DAYS = [
    *((7, 1344, 11, 1988), (8, 1600, 8, 1461), (3, 12012, 14, 10962), (6, 1536, 10, 1503), (1, 370, 1, 483)),
    *((1, 729, 8, 913), (17, 6760, 15, 6840), (3, 1107, 7, 1015), (2, 320, 3, 440)),
]
HN1, HN05 = Prior("half_normal", (1,)), Prior("half_normal", (0.5,))


def of(measure, rows, baseline=VAGUE):
    columns = np.array(rows, dtype=float).T
    return study_likelihoods(measure, columns[::2], columns[1::2], baseline)


# JAGS 4.3, 80,000 draws, baselines and mean normal(0, 100): mean and its MCSE. Last: Stan, 40,000 draws
@pytest.mark.parametrize(
    ("measure", "rows", "tau_prior", "expected"),
    [
        (
            *("OR", BCG, Prior("uniform", (0, 5))),
            {
                "mu": (-0.76176746, 0.00077517),
                "tau": (0.68184732, 0.00075257),
                "new": (-0.7596023, 0.0026397),
            },
        ),
        (
            *("OR", BCG, Prior("half_normal", (5,))),
            {
                "mu": (-0.76118484, 0.00077623),
                "tau": (0.68078146, 0.00074341),
                "new": (-0.7625971, 0.0026351),
            },
        ),
        (
            *("OR", BCG, HN1),
            {
                "mu": (-0.75927281, 0.0007492),
                "tau": (0.65311183, 0.00066019),
                "new": (-0.76071229, 0.0025191),
            },
        ),
        ("OR", BCG, HN1, {"mu": (-0.75755033, 0.0019521), "tau": (0.65512537, 0.0015602)}),
        (
            *("OR", CATHETERS, HN1),
            {"mu": (-1.3940169, 0.0016803), "tau": (0.87097568, 0.0032401), "new": (-1.3832978, 0.0037468)},
        ),
        ("OR", CATHETERS, HN05, {"mu": (-1.3267428, 0.0015301), "tau": (0.60409685, 0.0027708)}),
        ("IRR", CATHETER_DAYS, HN1, {"mu": (-0.49904681, 0.0012282), "tau": (0.4881134, 0.0021008)}),
    ],
)
def test_posterior_agrees_with_jags_and_stan(measure, rows, tau_prior, expected):
    exact = count_posterior(of(measure, rows), VAGUE, tau_prior)
    for name, (mean, mcse) in expected.items():
        it = {"mu": exact.mu, "tau": lambda: exact.tau, "new": exact.theta_new}[name]()
        assert abs(it.mean()[0] - mean) < 4 * mcse, name


def brute_force(measure, row, baseline, mu, tau):
    """p(y | mu, tau) by scipy's double integral over the effect and the baseline, as the model is written."""
    y1, n1, y2, n2 = row
    prior = stats.norm(*baseline.parameters)
    risk = {"OR": special.expit, "RR": np.exp, "IRR": np.exp}[measure]
    pmf = stats.poisson.pmf if measure == "IRR" else stats.binom.pmf

    def arms(a, theta):
        p1, p2 = risk(a + theta), risk(a)
        if measure == "IRR":
            p1, p2 = n1 * p1, n2 * p2
            value = pmf(y1, p1) * pmf(y2, p2)
        else:
            value = pmf(y1, n1, min(p1, 1.0)) * pmf(y2, n2, min(p2, 1.0))
        mass = prior.cdf(-max(theta, 0)) if measure == "RR" else 1.0
        return value * prior.pdf(a) * stats.norm.pdf(theta, mu, tau) / mass

    def top(theta):
        return -max(theta, 0.0) if measure == "RR" else prior.mean() + 9 * prior.std()

    ends = sorted({mu - 8 * tau, min(max(0.0, mu - 8 * tau), mu + 8 * tau), mu + 8 * tau})
    low = prior.mean() - 9 * prior.std()
    return sum(
        integrate.dblquad(arms, a, b, lambda _: low, top, epsabs=0, epsrel=1e-8)[0]
        for a, b in itertools.pairwise(ends)
    )


@pytest.mark.parametrize(
    ("measure", "row", "mu", "tau"),
    [
        ("OR", (1, 12, 4, 10), -0.5, 0.7),
        ("OR", (0, 9, 3, 11), -0.5, 0.3),
        ("OR", (0, 9, 0, 7), 0.2, 1.0),
        ("RR", (4, 5, 3, 5), 0.1, 0.4),
        ("RR", (6, 6, 5, 6), -0.3, 0.8),
        ("RR", (0, 9, 3, 11), -0.5, 0.6),
        ("IRR", (0, 12.5, 3, 20), -0.4, 0.5),
    ],
)
def test_marginal_likelihood_agrees_with_a_double_integral(measure, row, mu, tau):
    baseline = Prior("normal", (-1, 1.2))
    expected = brute_force(measure, row, baseline, mu, tau)
    found = marginal_log_lik(of(measure, [row], baseline), np.array([[[mu]]]), np.array([[[tau]]]))
    assert np.exp(found[0, 0, 0]) == pytest.approx(expected, rel=1e-6)


def test_single_groups_and_limits():
    (one,) = study_likelihoods("PLO", [[3]], [[20]])
    theta = np.linspace(-6, 3, 50)
    assert one(theta) == pytest.approx(stats.binom.logpmf(3, 20, special.expit(theta)), abs=1e-8)
    (rate,) = study_likelihoods("IRLN", [[3]], [[20.5]])
    theta = np.linspace(-6, 0, 50)  # within 35 of the peak
    assert rate(theta) == pytest.approx(stats.poisson.logpmf(3, 20.5 * np.exp(theta)), abs=1e-8)
    # tau of 0 and a tau next to 0, in a study of 100,000 people and one of 20
    (large,) = study_likelihoods("PLO", [[5000]], [[100_000]])
    for item, mu in ((one, -1.2), (large, -2.94)):
        at = np.array([mu])
        assert marginal(item, at, np.zeros(1))[0] == pytest.approx(item(at), abs=1e-12)
        assert marginal(item, at, np.array([1e-7]))[0] == pytest.approx(item(at), abs=1e-7)
    theta = np.linspace(large.centre - 0.5, large.centre + 0.5, 200_001)  # 34 standard errors
    for df, tau in itertools.product((None, 4.0), (0.01, 0.5, 5.0)):
        density = stats.norm(-2.9, tau) if df is None else stats.t(df, -2.9, tau)
        expected = special.logsumexp(large(theta) + density.logpdf(theta)) + np.log(theta[1] - theta[0])
        found = marginal(large, np.array([-2.9]), np.array([tau]), df)[0]
        assert found[0] == pytest.approx(expected, abs=1e-7), (df, tau)


def test_posterior_agrees_with_a_dense_grid():
    y, n = np.array([4, 9, 0]), np.array([20, 25, 12])
    exact = count_posterior(study_likelihoods("PLO", [y], [n]), Prior("normal", (0, 2)), HN1)
    x, w = np.polynomial.legendre.leggauss(100)
    mu, tau, w = np.linspace(-12, 9, 211), 3.25 * (1 + x), 3.25 * w
    nodes = np.linspace(-8.5, 8.5, 137)  # the trapezoidal rule; Gauss-Hermite is slow to converge at tau of 3
    weights = np.sqrt(2 * np.pi) * stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
    theta = mu[:, None, None] + tau[:, None] * nodes
    like = np.stack([stats.binom.pmf(a, b, special.expit(theta)) for a, b in zip(y, n, strict=True)])
    each = like @ weights / np.sqrt(2 * np.pi)
    joint = each.prod(axis=0) * stats.norm.pdf(mu, 0, 2)[:, None] * stats.halfnorm.pdf(tau)
    joint *= (mu[1] - mu[0]) * w
    assert exact.log_marginal[0] == pytest.approx(np.log(joint.sum()), abs=2e-5)
    joint /= joint.sum()
    assert exact.mu().mean()[0] == pytest.approx((joint * mu[:, None]).sum(), abs=1e-5)
    assert exact.tau.mean()[0] == pytest.approx((joint * tau).sum(), abs=2e-5)
    below = (joint * special.ndtr((-1 - mu[:, None]) / tau)).sum()
    assert np.interp(-1, exact.theta_new().at, exact.theta_new().cdf[0]) == pytest.approx(below, abs=2e-4)
    for i in range(3):
        mean = (like[i] * theta) @ weights / np.sqrt(2 * np.pi) / each[i]
        assert exact.theta(i).mean()[0] == pytest.approx((joint * mean).sum(), abs=2e-5)


@pytest.mark.parametrize(
    ("measure", "rows"), [("OR", CATHETERS[:6]), ("RR", [(18, 20, 17, 20), *CATHETERS[1:5]])]
)
def test_leaving_out_agrees_with_a_refit(measure, rows):
    prior = Prior("normal", (0, 1))
    items = of(measure, rows, Prior("normal", (0, 10)))
    table, whole = leave_one_out_counts(items, prior, Prior("half_cauchy", (0.5,)))
    for i in (0, 3):
        refit = count_posterior(items[:i] + items[i + 1 :], prior, Prior("half_cauchy", (0.5,)))
        assert table["elpd_loo"][i] == pytest.approx(whole.log_marginal[0] - refit.log_marginal[0], abs=1e-6)
        for name, it in (("mu", refit.mu()), ("tau", refit.tau), ("theta_new", refit.theta_new())):
            assert table[name][i] == pytest.approx(it.mean()[0], abs=1e-5)
            assert table[f"{name}_lower"][i] == pytest.approx(it.quantile(0.025)[0], rel=1e-4)
            assert table[f"{name}_upper"][i] == pytest.approx(it.quantile(0.975)[0], rel=1e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="more events"):
        of("OR", [(5, 4, 1, 3)])
    with pytest.raises(ValueError, match="prior of the baselines"):
        study_likelihoods("OR", [[1], [2]], [[3], [4]])
    with pytest.raises(ValueError, match="no likelihood"):
        of("RD", [(1, 4, 1, 3)])
    with pytest.raises(ValueError, match="at least two"):
        leave_one_out_counts(of("OR", CATHETERS[:1]), VAGUE, HN1)
