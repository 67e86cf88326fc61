"""Classical meta-analysis against metafor, by defining equations, and on simulated data.

Where metafor iterates, its stored numbers are those at its stopping rule, up to about 1e-5 off the solution
in tau^2 (1 per cent of tau^2 for risk differences). So three things are tested: the stopped iterations,
repeated here, give metafor's tau^2; the same iterations continued give ours; and everything that follows from
tau^2 agrees with metafor at metafor's tau^2.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from poolmap.families.meta.classical import (
    classical_table,
    empirical_bayes,
    meta_regression,
    pool,
    q_profile,
    subgroups,
    tau_squared,
    weighted_fit,
)
from poolmap.families.meta.influence import cumulative, influence, leave_one_out
from poolmap.families.meta.mantel_haenszel import (
    mantel_haenszel,
    mantel_haenszel_rates,
    mantel_haenszel_table,
    peto,
)
from poolmap.families.meta.small_study import begg, egger, egger_random, peters

REFERENCE = json.loads(Path(__file__).with_name("meta_classical_reference.json").read_text())
UNIROOT = np.finfo(float).eps ** 0.25  # metafor's tolerance for PM, PMM and Q-profile, absolute
CLOSED = {"EE", "DL", "HE", "HS", "SJ"}
SCORED = {"REML", "ML", "EB"}


def effects(name):
    entry = REFERENCE["entries"][name]
    if "ri" in entry:
        return np.arctanh(entry["ri"]), 1 / (np.array(entry["ni"]) - 3)
    return np.array(entry["yi"], dtype=float), np.array(entry["vi"], dtype=float)


def scoring(yi, vi, method, X=None, *, threshold=1e-5, step=1.0):
    """Fisher scoring from the Hedges estimate (Viechtbauer 2005), as metafor does it."""
    X = np.ones((len(yi), 1)) if X is None else X
    k, p = X.shape
    tau2, change = tau_squared(yi, vi, "HE", X)[0], np.inf
    while change > max(threshold, 1e-13 * tau2):
        W = np.diag(1 / (vi + tau2))
        P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
        if method == "REML":
            move = (yi @ P @ P @ yi - np.trace(P)) / (P * P).sum()
        elif method == "ML":
            move = (yi @ P @ P @ yi - np.trace(W)) / (W * W).sum()
        else:
            move = (yi @ P @ yi * k / (k - p) - k) / np.trace(W)
        new = max(0.0, tau2 + step * move)
        change, tau2 = abs(new - tau2), new
    return tau2


def results():
    for name, entry in REFERENCE["entries"].items():
        for label, result in entry["results"].items():
            yield pytest.param(name, label, result, id=f"{name}-{label}")


def compare(pooled, result, hksj, *, heterogeneity=True):
    """Every number of a result that follows from tau^2."""
    common = pooled.method == "CE"
    got = {
        "k": pooled.k,
        "estimate": pooled.mu,
        "se": pooled.hksj_se if hksj else pooled.se,
        "ci_lb": pooled.hksj_lower if hksj else pooled.lower,
        "ci_ub": pooled.hksj_upper if hksj else pooled.upper,
        "p": pooled.hksj_p if hksj else pooled.p,
        "tau": pooled.tau,
        "Q": pooled.q,
        "Q_df": pooled.q_df,
        "Q_p": pooled.q_p,
        "I2_pct": pooled.i2_q if common else pooled.i2,
        "H2": pooled.h2_q if common else pooled.h2,
        "loglik": pooled.log_likelihood,
    }
    if hksj:
        got["pi_lb"], got["pi_ub"] = pooled.pi_hksj
    elif not common:
        for form, name in (("pi_z", "pi"), ("pi_hts", "pi_hts"), ("pi_t", "pi_t_km1")):
            if result[f"{name}_lb"] is not None:
                got[f"{name}_lb"], got[f"{name}_ub"] = getattr(pooled, form)
    for key, value in got.items():
        # Q of the reference is to 12 digits; its tail probability magnifies them where Q is in the hundreds.
        assert_allclose(value, result[key], rtol=1e-6, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(("name", "label", "result"), results())
def test_pooled_as_metafor(name, label, result):
    yi, vi = effects(name)
    method, _, adjusted = label.partition("_")
    code = "CE" if method == "EE" else method
    ours = pool(yi, vi, code)
    if method in CLOSED:
        assert_allclose(ours.tau2, result["tau2"], rtol=1e-6)
    elif method in SCORED:
        assert_allclose(scoring(yi, vi, method, step=0.5), result["tau2"], rtol=1e-9)
        assert_allclose(ours.tau2, scoring(yi, vi, method, threshold=1e-15), rtol=1e-8)
    else:
        assert abs(ours.tau2 - result["tau2"]) <= UNIROOT
        target = stats.chi2.median(ours.q_df) if method == "PMM" else ours.q_df
        assert ours.tau2 == 0 or weighted_fit(yi, vi, ours.tau2).q == pytest.approx(target, rel=1e-9)
    if result["tau2_se"] is not None:
        # at most first order in the error of metafor's tau^2
        error = 2 * abs(ours.tau2 - result["tau2"]) + 1e-6 * result["tau2_se"]
        assert abs(ours.tau2_se - result["tau2_se"]) <= error
    compare(pool(yi, vi, code, tau2=result["tau2"]), result, adjusted == "HKSJ")


def test_two_level_konstantopoulos():
    entry = REFERENCE["konstantopoulos2011_two_level"]
    yi, vi, result = np.array(entry["yi"]), np.array(entry["vi"]), entry["REML"]
    assert_allclose(tau_squared(yi, vi)[0], result["tau2"], rtol=1e-6)
    assert_allclose(tau_squared(yi, vi)[1], result["tau2_se"], rtol=1e-6)
    compare(pool(yi, vi, tau2=result["tau2"]), result, False)


@pytest.mark.parametrize("measure", ["PR", "PLO", "PLN", "PAS", "PFT"])
def test_proportions_pritz(measure):
    x, n = (np.array(REFERENCE["counts"]["pritz1997"][key]) for key in ("xi", "ni"))
    full = 0.5 * ((x == 0) | (x == n))
    a, m = x + full, n + 2 * full
    yi, vi = {
        "PR": (a / m, a * (m - a) / m**3),
        "PLO": (np.log(a / (m - a)), 1 / a + 1 / (m - a)),
        "PLN": (np.log(a / m), 1 / a - 1 / m),
        "PAS": (np.arcsin(np.sqrt(x / n)), 1 / (4 * n)),
        "PFT": (
            (np.arcsin(np.sqrt(x / (n + 1))) + np.arcsin(np.sqrt((x + 1) / (n + 1)))) / 2,
            1 / (4 * n + 2),
        ),
    }[measure]
    result = REFERENCE["pritz1997_prop"][measure]
    assert_allclose(tau_squared(yi, vi, "DL"), [result["DL"]["tau2"], result["DL"]["tau2_se"]], rtol=1e-6)
    compare(pool(yi, vi, "DL"), result["DL"], False)
    assert_allclose(tau_squared(yi, vi)[0], result["REML"]["tau2"], rtol=1e-4)
    assert_allclose(scoring(yi, vi, "REML"), result["REML"]["tau2"], rtol=1e-9)
    compare(pool(yi, vi, tau2=result["REML"]["tau2"]), result["REML"], False)


@pytest.mark.parametrize("name", [n for n, e in REFERENCE["entries"].items() if "tau2_ci_REML" in e])
def test_q_profile(name):
    yi, vi = effects(name)
    limits = q_profile(yi, vi)
    reference = REFERENCE["entries"][name]["tau2_ci_REML"]
    assert_allclose(limits, [reference["tau2_lb"], reference["tau2_ub"]], rtol=0, atol=UNIROOT)
    for limit, tail in zip(limits, (0.975, 0.025), strict=True):
        assert weighted_fit(yi, vi, limit).q == pytest.approx(stats.chi2.ppf(tail, len(yi) - 1), rel=1e-9)


@pytest.mark.parametrize("label", list(REFERENCE["bcg_RR_metareg_ablat"]))
def test_meta_regression_on_latitude(label):
    check_meta_regression(REFERENCE["bcg_RR_metareg_ablat"][label], label, ["ablat"])


def test_meta_regression_on_latitude_and_year():
    check_meta_regression(REFERENCE["bcg_RR_metareg_ablat_year"]["REML"], "REML", ["ablat", "year"])


def check_meta_regression(result, label, moderators):
    yi, vi = effects("bcg_RR")
    X = pd.DataFrame({"intercept": 1.0} | {m: REFERENCE["counts"]["bcg"][m] for m in moderators})
    method, _, adjusted = label.partition("_")
    fit = meta_regression(yi, vi, X, method, knapp_hartung=adjusted == "KH")
    design = X.to_numpy()
    if method in SCORED:
        assert_allclose(scoring(yi, vi, method, design), result["tau2"], rtol=1e-9)
        assert_allclose(fit.tau2, scoring(yi, vi, method, design, threshold=1e-15), rtol=1e-8)
    elif method == "PM":
        assert abs(fit.tau2 - result["tau2"]) <= UNIROOT
        assert weighted_fit(yi, vi, fit.tau2, design).q == pytest.approx(fit.qe_df, rel=1e-9)
    else:
        assert_allclose(fit.tau2, result["tau2"], rtol=1e-6)
    if method == "DL":
        assert_allclose(fit.r2, result["R2_pct"], rtol=1e-6)
    else:
        # R2 and its two tau^2: each of metafor's is within its stopping rule
        assert abs(fit.r2 - result["R2_pct"]) <= 100 * 3 * UNIROOT / fit.tau2_total
    fit = meta_regression(yi, vi, X, method, knapp_hartung=adjusted == "KH", tau2=result["tau2"])
    table = fit.coefficients
    assert list(table["term"]) == list(X.columns)
    for column, key in (("estimate", "coef"), ("se", "se"), ("lower", "ci_lb"), ("upper", "ci_ub")):
        assert_allclose(table[column], result[key], rtol=1e-6)
    got = [fit.i2, fit.h2, fit.qe, fit.qe_p, fit.qm, fit.qm_p]
    assert_allclose(got, [result[k] for k in ("I2_pct", "H2", "QE", "QE_p", "QM", "QM_p")], rtol=1e-6)


def test_subgroups_by_allocation():
    yi, vi = effects("bcg_RR")
    alloc = REFERENCE["counts"]["bcg"]["alloc"]
    reference = REFERENCE["bcg_RR_subgroup_alloc"]
    X = pd.get_dummies(pd.Series(alloc), drop_first=True, dtype=float)
    X.insert(0, "intercept", 1.0)
    fit, mods = meta_regression(yi, vi, X), reference["mods"]
    assert_allclose(fit.coefficients["estimate"], mods["coef"], rtol=1e-4)
    assert_allclose(fit.coefficients["se"], mods["se"], rtol=1e-4)
    got = [fit.tau2, fit.i2, fit.h2, fit.qe, fit.qe_p, fit.qm, fit.qm_p]
    keys = ("tau2", "I2_pct", "H2", "QE", "QE_p", "QM", "QM_p")
    assert_allclose(got, [mods[key] for key in keys], rtol=1e-4)
    assert fit.r2 == mods["R2_pct"] == 0

    common = subgroups(yi, vi, alloc, common_tau=True)
    assert_allclose([common.q_between, common.df, common.p], [fit.qm, fit.qm_df, fit.qm_p], rtol=1e-9)
    separate = subgroups(yi, vi, alloc)
    for row in separate.table.itertuples():
        own = reference["separate"][row.subgroup]
        got = [row.k, row.mu, row.se, row.lower, row.upper, row.tau2, row.i2, row.q, row.q_p]
        keys = ("k", "estimate", "se", "ci_lb", "ci_ub", "tau2", "I2_pct", "Q", "Q_p")
        assert_allclose(got, [own[key] for key in keys], rtol=1e-4)
    # Cochran's Q of the three means, by hand
    means = [reference["separate"][g] for g in separate.table["subgroup"]]
    w = np.array([1 / g["se"] ** 2 for g in means])
    mu = np.array([g["estimate"] for g in means])
    assert_allclose(separate.q_between, w @ (mu - w @ mu / w.sum()) ** 2, rtol=1e-4)


def test_leave_one_out_and_cumulative():
    yi, vi = effects("bcg_RR")
    table = leave_one_out(yi, vi)
    reference = pd.DataFrame(REFERENCE["bcg_RR_leave1out_REML"])
    for ours, theirs in {"mu": "estimate", "se": "se", "tau2": "tau2", "i2": "I2", "q": "Q"}.items():
        assert_allclose(table[ours], reference[theirs], rtol=1e-5)
    year = REFERENCE["counts"]["bcg"]["year"]
    table = cumulative(yi, vi, np.argsort(year, kind="stable"))
    reference = pd.DataFrame(REFERENCE["bcg_RR_cumulative_by_year_REML"])
    for ours, theirs in {"mu": "estimate", "lower": "ci_lb", "upper": "ci_ub", "tau2": "tau2"}.items():
        assert_allclose(table[ours], reference[theirs], rtol=1e-4)
    with pytest.raises(ValueError, match="permutation"):
        cumulative(yi, vi, [0, 0, 1])


def test_influence():
    yi, vi = effects("bcg_RR")
    table, reference = influence(yi, vi), pd.DataFrame(REFERENCE["bcg_RR_influence_REML"])
    names = {
        "rstudent": "rstudent",
        "dffits": "dffits",
        "cook_d": "cook.d",
        "cov_ratio": "cov.r",
        "tau2_deleted": "tau2.del",
        "q_deleted": "QE.del",
        "hat": "hat",
        "weight": "weight",
    }
    for ours, theirs in names.items():
        assert_allclose(table[ours], reference[theirs], rtol=1e-5, err_msg=ours)
    far = influence(np.append(np.zeros(9), 5.0) + np.linspace(-0.1, 0.1, 10), np.full(10, 0.04))
    assert list(np.flatnonzero(far["influential"])) == [9]


def test_influence_with_a_moderator_that_one_study_carries():
    X = np.column_stack([np.ones(5), [0, 0, 0, 0, 1.0]])
    table = influence(np.array([0.1, 0.4, 0.2, 0.5, 1.0]), np.full(5, 0.1), X=X)
    assert table["rstudent"].isna().tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("name", ["bcg_RR", "molloy2014_ZCOR", "bangertdrowns2004_SMD"])
def test_small_study_tests(name):
    yi, vi = effects(name)
    reference = REFERENCE["entries"][name]["publication_bias"]
    test, classic = egger(yi, vi), reference["egger_classic_wls"]
    got = [test.statistic, test.df, test.p, test.limit, test.limit_lower, test.limit_upper, test.slope]
    keys = ["t", "df", "p", "intercept_at_se0"]
    assert_allclose(got, [*(classic[k] for k in keys), *classic["ci"], classic["slope_on_sei"]], rtol=1e-6)
    assert_allclose(test.limit_se, reference["PET_wls"]["se"], rtol=1e-6)

    X = np.column_stack([np.ones(len(yi)), np.sqrt(vi)])
    stopped = weighted_fit(yi, vi, scoring(yi, vi, "REML", X, step=0.5), X)
    random = reference["regtest_rma_sei"]
    assert_allclose(stopped.beta[0], random["limit_est"], rtol=1e-6)
    assert_allclose(stopped.beta[1] / np.sqrt(stopped.covariance[1, 1]), random["z"], rtol=1e-6)
    solved = weighted_fit(yi, vi, scoring(yi, vi, "REML", X, threshold=1e-15), X)
    test = egger_random(yi, vi)
    z = solved.beta[1] / np.sqrt(solved.covariance[1, 1])
    got = [test.limit, test.statistic, test.p]
    assert_allclose(got, [solved.beta[0], z, 2 * stats.norm.sf(abs(z))], rtol=1e-8)

    rank = begg(yi, vi)
    assert_allclose([rank.kendall_tau, rank.p], list(reference["begg_rank"].values()), rtol=1e-6)


def test_peters_is_weighted_least_squares_on_inverse_size():
    counts = [np.array(x, dtype=float) for x in REFERENCE["counts"]["nielweise2007"].values()]
    yi, _ = effects("nielweise2007_OR")
    all_studies = yi, *counts
    yi, a, n1, c, n2 = (x[counts[0] + counts[2] > 0] for x in all_studies)
    assert len(yi) == 17
    n, m = n1 + n2, a + c
    weights = 1 / (1 / m + 1 / (n - m))
    (slope, limit), covariance = np.polyfit(1 / n, yi, 1, w=np.sqrt(weights), cov=True)
    test = peters(yi, a, n1, c, n2)
    assert_allclose([test.slope, test.limit], [slope, limit], rtol=1e-9)
    assert_allclose([test.slope_se, test.limit_se], np.sqrt(np.diag(covariance)), rtol=1e-9)
    t = slope / np.sqrt(covariance[0, 0])
    assert_allclose([test.df, test.p], [15, 2 * stats.t.sf(abs(t), 15)], rtol=1e-9)
    assert peters(*all_studies) == test  # the study without events is left out


def test_blup_and_shrinkage():
    yi, vi = effects("bcg_RR")
    table, reference = empirical_bayes(yi, vi, "REML"), pd.DataFrame(REFERENCE["bcg_RR_blup_REML"])
    ours = ["theta", "sd_mu", "lower_mu", "upper_mu"]
    for name, theirs in zip(ours, ("pred", "se", "pi_lb", "pi_ub"), strict=True):
        assert_allclose(table[name], reference[theirs], rtol=1e-5)
    for method in ("DL", "PM", "ML"):
        table = empirical_bayes(yi, vi, method)
        assert_allclose(table["shrinkage"], vi / (vi + tau_squared(yi, vi, method)[0]), rtol=1e-12)
        assert (table["sd_plugin"] < table["sd_mu"]).all() and (table["sd_mu"] < table["sd"]).all()


def test_empirical_bayes_sd_is_the_delta_method():
    yi, vi = effects("bcg_OR")
    tau2, tau2_se = tau_squared(yi, vi, "ML")

    def theta(t):
        mu = weighted_fit(yi, vi, t).beta[0]
        return (vi * mu + t * yi) / (vi + t)

    slope = (theta(tau2 + 1e-5) - theta(tau2 - 1e-5)) / 2e-5
    table = empirical_bayes(yi, vi, "ML")
    assert_allclose(table["sd"] ** 2 - table["sd_mu"] ** 2, (slope * tau2_se) ** 2, rtol=1e-5)


def test_mantel_haenszel_and_peto():
    bcg = {key: np.array(x) for key, x in REFERENCE["counts"]["bcg"].items()}
    counts = bcg["tpos"], bcg["tpos"] + bcg["tneg"], bcg["cpos"], bcg["cpos"] + bcg["cneg"]
    reference = REFERENCE["mantel_haenszel"]
    keys = ("estimate", "se", "ci_lb", "ci_ub", "Q")
    effects_ = {measure: mantel_haenszel(*counts, measure) for measure in ("OR", "RR", "RD")}
    effects_["Peto"] = peto(*counts)
    for measure, ours in effects_.items():
        theirs = reference["bcg_OR_Peto" if measure == "Peto" else f"bcg_{measure}_MH"]
        got = [ours.estimate, ours.se, ours.lower, ours.upper, ours.q]
        assert_allclose(got, [theirs[key] for key in keys], rtol=1e-6)
    either = effects_["OR"]
    assert_allclose(
        [either.chi2_corrected, either.chi2_corrected_p],
        [reference["bcg_OR_MH"]["CMH"], reference["bcg_OR_MH"]["CMHp"]],
        rtol=1e-6,
    )
    assert_allclose(100 * (either.q - 12) / either.q, reference["bcg_OR_MH"]["I2_pct"], rtol=1e-6)
    assert_allclose(effects_["Peto"].q_p, reference["bcg_OR_Peto"]["Qp"], rtol=1e-6)

    rare = [np.array(x) for x in REFERENCE["counts"]["nielweise2007"].values()]
    for ours, name in ((mantel_haenszel(*rare), "MH"), (peto(*rare), "Peto")):
        theirs = reference[f"nielweise2007_OR_{name}"]
        got = [ours.estimate, ours.se, ours.lower, ours.upper]
        assert_allclose(got, [theirs["est"], theirs["se"], *theirs["ci"]], rtol=1e-6)
    rates = mantel_haenszel_rates(*(np.array(x) for x in REFERENCE["counts"]["nielweise2008"].values()))
    theirs = reference["nielweise2008_IRR_MH"]
    assert_allclose([rates.estimate, rates.se], [theirs["est"], theirs["se"]], rtol=1e-6)


def test_mantel_haenszel_of_one_study_is_its_own_effect():
    a, n1, c, n2 = (np.array([x]) for x in (12, 200, 30, 300))
    table = mantel_haenszel_table(a, n1, c, n2).set_index(["method", "measure"])
    assert_allclose(table.loc[("MH", "OR"), "ratio"], (12 * 270) / (188 * 30))
    assert_allclose(table.loc[("MH", "OR"), "se"], np.sqrt(1 / 12 + 1 / 188 + 1 / 30 + 1 / 270))
    assert_allclose(table.loc[("MH", "RR"), "ratio"], 0.6)
    assert_allclose(table.loc[("MH", "RR"), "se"], np.sqrt(1 / 12 - 1 / 200 + 1 / 30 - 1 / 300))
    assert_allclose(table.loc[("MH", "RD"), "estimate"], 0.06 - 0.1)
    assert np.isnan(table.loc[("MH", "RD"), "ratio"])
    rates = mantel_haenszel_table(a, n1, c, n2, person_time=True).set_index("measure")
    assert_allclose(rates.loc["IRR", ["ratio", "se"]].astype(float), [0.6, np.sqrt(1 / 12 + 1 / 30)])
    assert_allclose(
        rates.loc["IRD", ["estimate", "se"]].astype(float), [-0.04, np.sqrt(12 / 200**2 + 30 / 300**2)]
    )


def test_double_zero_studies_carry_no_ratio_and_one_empty_arm_gives_none():
    rare = [np.array(x) for x in REFERENCE["counts"]["nielweise2007"].values()]
    more = [np.append(x, extra) for x, extra in zip(rare, (0, 50, 0, 50), strict=True)]
    for measure in ("OR", "RR"):
        assert_allclose(
            mantel_haenszel(*more, measure).estimate, mantel_haenszel(*rare, measure).estimate, rtol=1e-12
        )
        assert mantel_haenszel(*more, measure).k == mantel_haenszel(*rare, measure).k == 17
    assert peto(*more).estimate == pytest.approx(peto(*rare).estimate, rel=1e-12)
    assert abs(mantel_haenszel(*more, "RD").estimate) < abs(mantel_haenszel(*rare, "RD").estimate)
    none = mantel_haenszel(np.zeros(2), [10, 20], [1, 2], [10, 20])
    assert np.isnan(none.estimate) and np.isnan(none.se)
    with pytest.raises(ValueError, match="more events"):
        peto([5], [4], [1], [4])


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_likelihood_is_highest_at_tau2(method):
    def log_likelihood(yi, vi, tau2):
        w = 1 / (vi + tau2[:, None])
        mu = (w * yi).sum(axis=1) / w.sum(axis=1)
        value = 0.5 * np.log(w).sum(axis=1) - 0.5 * (w * (yi - mu[:, None]) ** 2).sum(axis=1)
        return value - (0.5 * np.log(w.sum(axis=1)) if method == "REML" else 0)

    rng = np.random.default_rng(3)
    grid = np.concatenate([[0], np.geomspace(1e-8, 1000, 3000)])
    for _ in range(100):
        vi = 10 ** rng.uniform(-4, 1, rng.integers(3, 12))
        yi = rng.normal(0, np.sqrt(vi + 10 ** rng.uniform(-4, 1)))
        best = np.array([tau_squared(yi, vi, method)[0]])
        assert log_likelihood(yi, vi, best)[0] >= log_likelihood(yi, vi, grid).max() - 1e-12


def test_intervals_cover_as_they_say():
    # With equal variances HKSJ and the Q-profile interval are exact.
    rng = np.random.default_rng(5)
    n, mu, tau2, vi = 2000, 0.3, 0.2, np.full(8, 0.1)
    fits = [pool(mu + rng.normal(0, np.sqrt(tau2 + vi)), vi, "DL", 0.9) for _ in range(n)]
    error = 4 * np.sqrt(0.9 * 0.1 / n)
    assert abs(np.mean([f.hksj_lower < mu < f.hksj_upper for f in fits]) - 0.9) < error
    assert abs(np.mean([f.tau2_lower <= tau2 <= f.tau2_upper for f in fits]) - 0.9) < error
    assert np.mean([f.lower < mu < f.upper for f in fits]) < 0.9 - error


def test_truncation_of_hksj_bites_where_q_is_small():
    yi, vi = effects("eight_schools_freq")
    fit = pool(yi, vi)
    assert fit.hksj_se < fit.se
    assert fit.hksj_truncated_se == pytest.approx(fit.se)
    width = stats.t.ppf(0.975, 7) * fit.se
    assert_allclose([fit.hksj_truncated_lower, fit.hksj_truncated_upper], [fit.mu - width, fit.mu + width])


def test_table_has_a_row_for_each_estimator():
    yi, vi = effects("bcg_RR")
    table = classical_table(yi, vi).set_index("method")
    assert list(table.index) == ["CE", "DL", "PM", "REML", "ML"]
    dl = REFERENCE["entries"]["bcg_RR"]["results"]["DL"]
    assert_allclose(table.loc["DL", "pi_hts_lower"], dl["pi_hts_lb"], rtol=1e-6)
    assert_allclose(table.loc["DL", "i2"], table.loc["DL", "i2_q"], rtol=1e-9)
    assert table.loc["CE", ["i2", "tau2_lower", "hksj_lower", "pi_t_lower"]].isna().all()
    narrow = classical_table(yi, vi, 0.5).set_index("method")
    for kind in ("", "hksj_", "pi_z_", "pi_hts_", "pi_t_", "pi_hksj_", "tau2_"):
        assert narrow.loc["PM", f"{kind}upper"] < table.loc["PM", f"{kind}upper"]


def test_few_studies():
    one = pool([0.5], [0.04])
    assert (one.mu, one.se, one.tau2) == (0.5, 0.2, 0.0)
    assert np.isnan([one.i2, one.i2_q, one.hksj_lower, one.tau2_upper, one.pi_z[0]]).all()
    two = pool([0.5, 0.9], [0.04, 0.04])
    assert two.tau2 == pytest.approx(0.08 - 0.04)
    assert np.isnan(two.pi_hts[0]) and np.isfinite(two.pi_t[0])
    same = classical_table([0.2, 0.2, 0.2], [0.1, 0.2, 0.3], methods=["DL", "REML", "SJ", "PM"])
    assert (same["tau2"] == 0).all() and (same["i2"] == 0).all()
    assert (same["tau2_upper"] == 0).all()


def test_what_cannot_be_fitted():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="positive"):
        pool(ones, [1, 0, 1])
    with pytest.raises(ValueError, match="finite"):
        pool([1, np.nan, 1], ones)
    with pytest.raises(ValueError, match="one length"):
        pool(ones, [1, 1])
    with pytest.raises(ValueError, match="no studies"):
        pool([], [])
    with pytest.raises(ValueError, match="method 'XX'"):
        pool(ones, ones, "XX")
    with pytest.raises(ValueError, match="collinear"):
        meta_regression(ones, ones, np.column_stack([ones, 2 * ones]))
    with pytest.raises(ValueError, match="without a subgroup"):
        subgroups(ones, ones, ["a", None, "b"])
    with pytest.raises(ValueError, match="two studies"):
        leave_one_out([1.0], [1.0])
    with pytest.raises(ValueError, match="3 studies"):
        egger([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="all standard errors are equal"):
        egger(ones, ones)
