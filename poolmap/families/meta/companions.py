"""Tables beside the estimates of a meta-analysis: classical results from the same studies, refits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from poolmap.config.meta import COUNT_COLUMNS, MetaAnalysis
from poolmap.contracts import Companion, Dataset
from poolmap.families.meta.classical import classical_table, meta_regression, subgroups
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.exact import exact_leave_one_out, exact_posterior, has_one_tau, is_exact
from poolmap.families.meta.influence import cumulative as classical_cumulative
from poolmap.families.meta.influence import influence
from poolmap.families.meta.influence import leave_one_out as classical_leave_one_out
from poolmap.families.meta.mantel_haenszel import mantel_haenszel_table
from poolmap.families.meta.refits import compare_empirical_bayes, crosscheck, cumulative
from poolmap.families.meta.small_study import egger, peters
from poolmap.families.meta.usable import has_contrast, used_by, with_contrast

RATE_COLUMNS = ("events_1", "time_1", "events_2", "time_2")
FEWEST_FOR_TESTS = 3
FEWEST_FOR_INFLUENCE = 4


def companions(
    spec: MetaAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """Classical counterparts of the model, refits, small-study tests, and the cross-check of the draws.

    All on the scale of analysis, from the effect estimates and sampling variances of the table of studies
    (Mantel-Haenszel, Peto and Peters' test: from the counts), of those with an estimate of their own. Where
    the model has mu and tau alone the posterior is also worked out by deterministic quadrature, without
    sampling (`exact`): with all studies, as a check of the draws, and without each study in turn; with the
    normal likelihood also as the studies came in, and beside empirical Bayes.

    Args:
        spec, data: the analysis.
        model, tables: the model and its estimates tables.
    """
    data = used_by(spec, model, data)
    fitted, layout = data.tables["studies"], design(spec, model, data)
    if spec.effect_id:
        return _several_effects(spec, model, fitted, layout)
    studies = with_contrast(spec, data).tables["studies"]
    layout = layout.rows(has_contrast(fitted))
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    counts = (
        [studies[name].to_numpy() for name in COUNT_COLUMNS] if set(COUNT_COLUMNS) <= set(studies) else []
    )
    found = [
        Companion(
            "classical",
            classical_table(yi, vi, spec.interval),
            "classical pooling without moderators on the scale of analysis, a row an estimator of tau^2: CE "
            "common effect, DL DerSimonian-Laird, PM Paule-Mandel, REML, ML; mu with se, Wald limits and p; "
            "hksj_: Hartung-Knapp-Sidik-Jonkman, hksj_truncated_: the same with the ad hoc correction; tau2 "
            "with Q-profile limits; i2 from tau2, i2_q from Q; pi_: prediction intervals (z: normal "
            "quantile; hts: t with k - 2 degrees of freedom; t: with k - 1; hksj: with the HKSJ se)",
        )
    ]
    if counts:
        words = (
            "Mantel-Haenszel and Peto common effects from the counts; ratios on the log scale in `estimate`"
        )
        found.append(Companion("mantel_haenszel", mantel_haenszel_table(*counts, spec.interval), words))
    elif set(RATE_COLUMNS) <= set(studies):
        rates = [studies[name].to_numpy() for name in RATE_COLUMNS]
        words = "Mantel-Haenszel common rate ratio and difference; the ratio on the log scale in `estimate`"
        table = mantel_haenszel_table(*rates, spec.interval, person_time=True)
        found.append(Companion("mantel_haenszel", table, words))
    without = classical_leave_one_out(yi, vi, "REML", spec.interval)
    if "study" not in without:
        without.insert(0, "study", studies["study"].to_numpy())
    words = (
        "the classical random-effects model (tau^2 by REML, no moderators, whatever the Bayesian model has) "
        "without each study in turn, a row a study left out, on the scale of analysis: k studies left; mu, "
        "se, lower, upper, p: pooled effect with its Wald interval; hksj_lower, hksj_upper: "
        "Hartung-Knapp-Sidik-Jonkman interval; tau2, tau, with Q-profile limits tau2_lower, tau2_upper; i2 "
        "from tau2, i2_q from Q; q, q_p: Cochran's Q and its p-value"
    )
    found.append(Companion("leave_one_out_reml", without, words))
    found += _influence(yi, vi, studies, layout)
    if layout.terms and np.linalg.matrix_rank(layout.X) == layout.X.shape[1]:
        found += _regression(yi, vi, layout, spec.interval)
    if layout.subgroups:
        found.append(_subgroups(yi, vi, layout, spec.interval))
    if is_exact(spec, model, fitted):
        found += _exact(spec, model, fitted, tables)
    normal = spec.models[model].likelihood == "normal"
    if normal and has_one_tau(spec, model):
        found += _refits(spec, model, studies)
    elif spec.cumulative:
        found.append(_cumulative_reml(studies, spec.interval))
    tests = _small_study_tests(spec, yi, vi, counts)
    if tests:
        words = "tests of funnel plot asymmetry: the effect of small studies against that of large ones"
        found.append(Companion("small_study_tests", pd.DataFrame(tests), words))
    return found


def _exact(
    spec: MetaAnalysis, model: str, studies: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """The exact posterior beside the draws, and without each study in turn."""
    name, names = scale_of(spec).name, studies["study"].to_numpy()
    shown = tables["studies"].query("quantity == @name")
    check = crosscheck(tables["pooled"], shown, exact_posterior(spec, model, studies), effect=name)
    check["study"] = [names[int(i)] if pd.notna(i) else "" for i in check["study"]]
    return [
        Companion(
            "crosscheck",
            check,
            "posterior means from the draws beside those of a deterministic quadrature; z in Monte Carlo "
            "errors",
        ),
        Companion(
            "leave_one_out",
            exact_leave_one_out(spec, model, studies),
            "the posterior without each study in turn, by quadrature, on the scale of analysis; shifts in "
            "posterior standard deviations; elpd_loo: exact log predictive density of the study left out",
        ),
    ]


def _refits(spec: MetaAnalysis, model: str, studies: pd.DataFrame) -> list[Companion]:
    """The normal-normal model beside empirical Bayes, and as the studies came in."""
    priors, names = spec.priors(model), studies["study"].to_numpy()
    data = studies["yi"].to_numpy(), studies["se"].to_numpy(), priors["mu"], priors["tau"]
    plugin = compare_empirical_bayes(*data, spec.interval)
    plugin.insert(0, "study", [names[i] if i >= 0 else "" for i in plugin["i"]])
    found = [
        Companion(
            "empirical_bayes",
            plugin,
            "each study's effect and the pooled one (i = -1) by no pooling (none), empirical Bayes with tau "
            "by maximum likelihood (ml) and by moments (dl), and full Bayes (full): interval, its width and "
            "that over the width of full Bayes, shrinkage B",
        )
    ]
    if spec.cumulative:
        table = cumulative(*data, by=studies["cumulative"].to_numpy(), interval=spec.interval)
        words = "the posterior as studies are added, by quadrature, on the scale of analysis"
        found.append(Companion("cumulative", _named(table, studies), words))
    return found


def _named(table: pd.DataFrame, studies: pd.DataFrame) -> pd.DataFrame:
    """With the study added and what it is ordered by, in place of its position."""
    added = table.pop("added").to_numpy()
    table.insert(0, "study", studies["study"].to_numpy()[added])
    table.insert(1, "by", studies["cumulative"].to_numpy()[added])
    return table


def _cumulative_reml(studies: pd.DataFrame, interval: float) -> Companion:
    order = studies["cumulative"].argsort(kind="stable").to_numpy()
    table = classical_cumulative(studies["yi"].to_numpy(), studies["vi"].to_numpy(), order, "REML", interval)
    words = (
        "the classical random-effects model (REML, no moderators) as studies are added, on the scale of "
        "analysis; by: what they are ordered by; columns as in leave_one_out_reml"
    )
    return Companion("cumulative", _named(table, studies), words)


def _influence(yi: np.ndarray, vi: np.ndarray, studies: pd.DataFrame, layout: Design) -> list[Companion]:
    if len(yi) < max(FEWEST_FOR_INFLUENCE, layout.X.shape[1] + 2):
        return []
    X = layout.X if layout.X.shape[1] else np.ones((len(yi), 1))
    try:
        table = influence(yi, vi, "REML", X)
    except ValueError:  # the studies without one do not determine the design
        return []
    table.insert(0, "study", studies["study"].to_numpy())
    words = (
        "case-deletion statistics of each study (REML, with the moderators of the model; Viechtbauer & "
        "Cheung 2010); influential: whether by their rule"
    )
    return [Companion("influence", table, words)]


def _named_design(layout: Design) -> pd.DataFrame:
    means = list(layout.subgroups) or ["intercept"]
    return pd.DataFrame(layout.X, columns=[*means, *layout.terms])


def _regression(yi: np.ndarray, vi: np.ndarray, layout: Design, interval: float) -> list[Companion]:
    """Classical meta-regression: coefficients with Wald and Knapp-Hartung intervals, and fit."""
    X = _named_design(layout)
    wald = meta_regression(yi, vi, X, interval=interval)
    hartung = meta_regression(yi, vi, X, knapp_hartung=True, interval=interval)
    tests = ["se", "statistic", "p", "lower", "upper"]
    table = wald.coefficients.join(hartung.coefficients[tests].add_prefix("knha_"))
    fit = {name: value for name, value in asdict(wald).items() if name not in ("coefficients", "covariance")}
    return [
        Companion(
            "meta_regression",
            table,
            "classical meta-regression (REML): coefficients with Wald and Knapp-Hartung (knha_) tests",
        ),
        Companion(
            "meta_regression_fit",
            pd.DataFrame([fit]),
            "its residual tau2, R2 (per cent of tau2 without moderators), I2, H2, residual Q (qe), test of "
            "all coefficients (qm)",
        ),
    ]


def _subgroups(yi: np.ndarray, vi: np.ndarray, layout: Design, interval: float) -> Companion:
    names = np.array(layout.subgroups)[layout.subgroup]
    found = subgroups(yi, vi, names, common_tau=layout.G <= 1, interval=interval)
    table = found.table.assign(q_between=found.q_between, df_between=found.df, p_between=found.p)
    words = (
        "classical subgroup analysis (REML); q_between, df_between, p_between: chi-squared test that all "
        "have the same effect"
    )
    return Companion("classical_subgroups", table, words)


def _several_effects(
    spec: MetaAnalysis, model: str, studies: pd.DataFrame, layout: Design
) -> list[Companion]:
    """The classical multilevel model by REML and ML."""
    from poolmap.families.meta.classical_multilevel import multilevel

    chosen = spec.models[model]
    rho = (
        studies["correlation"].fillna(0.0).to_numpy()
        if "correlation" in studies
        else chosen.correlation or 0.0
    )
    coefficients, fits = [], []
    for method in ("REML", "ML") if layout.G else ("CE",):
        found = multilevel(
            studies["yi"].to_numpy(),
            studies["vi"].to_numpy(),
            studies["study"].tolist(),
            method,
            _named_design(layout),
            levels=3 if chosen.within(True) else 2,
            rho=rho,
            interval=spec.interval,
        )
        coefficients.append(found.coefficients.assign(method=method))
        fit = asdict(found)
        for name in ("tau2", "tau2_within"):
            fit[f"{name}_lower"], fit[f"{name}_upper"] = fit.pop(f"{name}_limits")
        fits.append({n: v for n, v in fit.items() if n not in ("coefficients", "covariance")})
    words = "classical multilevel meta-analysis by REML and ML on the scale of analysis"
    return [
        Companion(
            "classical_multilevel",
            pd.concat(coefficients, ignore_index=True),
            f"{words}: coefficients with Wald intervals",
        ),
        Companion(
            "classical_multilevel_fit",
            pd.DataFrame(fits),
            f"{words}: tau2 between and tau2_within within studies with profile-likelihood limits, icc, Q",
        ),
    ]


def _small_study_tests(spec: MetaAnalysis, yi, vi, counts) -> list:
    """Egger's test, and for odds ratios Peters'; none for fewer than 3 studies or equal precision."""
    if len(yi) < FEWEST_FOR_TESTS:
        return []
    tests = []
    for call in (
        lambda: egger(yi, vi, spec.interval),
        *([lambda: peters(yi, *counts, spec.interval)] if counts and spec.measure == "OR" else []),
    ):
        try:
            tests.append(call())
        except ValueError:  # all standard errors, or all totals, are equal: nothing to test
            continue
    return tests
