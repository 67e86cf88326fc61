"""Tables beside the estimates of a meta-analysis: classical results from the same studies."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poolmap.config.meta import COUNT_COLUMNS, MetaAnalysis
from poolmap.contracts import Companion, Dataset
from poolmap.families.meta.classical import classical_table
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.influence import leave_one_out as classical_leave_one_out
from poolmap.families.meta.mantel_haenszel import mantel_haenszel_table
from poolmap.families.meta.quadrature import posterior
from poolmap.families.meta.refits import crosscheck, leave_one_out
from poolmap.families.meta.small_study import egger, peters

FEWEST_FOR_TESTS = 3


def companions(
    spec: MetaAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """Classical pooling, Mantel-Haenszel and Peto for counts, leave-one-out, small-study tests, cross-check.

    All on the scale of analysis, from the effect estimates and sampling variances of the table of studies
    (Mantel-Haenszel, Peto and Peters' test: from the counts). For the normal likelihood the posterior is also
    worked out by deterministic quadrature, without sampling: with all studies, as a check of the draws, and
    without each study in turn.

    Args:
        spec, data: the analysis.
        model, tables: the model and its estimates tables.
    """
    studies = data.tables["studies"]
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    counts = (
        [studies[name].to_numpy() for name in COUNT_COLUMNS] if set(COUNT_COLUMNS) <= set(studies) else []
    )
    found = [
        Companion(
            "classical",
            classical_table(yi, vi, spec.interval),
            "classical pooling on the scale of analysis, a row an estimator of tau^2: CE common effect, DL "
            "DerSimonian-Laird, PM Paule-Mandel, REML, ML; columns as in poolmap/families/meta/classical.py",
        )
    ]
    if counts:
        words = (
            "Mantel-Haenszel and Peto common effects from the counts; ratios on the log scale in `estimate`"
        )
        found.append(Companion("mantel_haenszel", mantel_haenszel_table(*counts, spec.interval), words))
    without = classical_leave_one_out(yi, vi, "REML", spec.interval)
    if "study" not in without:
        without.insert(0, "study", studies["study"].to_numpy())
    words = "the classical pooled effect (REML) without each study in turn, on the scale of analysis"
    found.append(Companion("leave_one_out_reml", without, words))
    found += _by_quadrature(spec, model, studies, tables)
    tests = _small_study_tests(spec, yi, vi, counts)
    if tests:
        words = "tests of funnel plot asymmetry: the effect of small studies against that of large ones"
        found.append(Companion("small_study_tests", pd.DataFrame(tests), words))
    return found


def _by_quadrature(
    spec: MetaAnalysis, model: str, studies: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """The exact posterior of the normal-normal model beside the draws, and without each study in turn."""
    if spec.models[model].likelihood != "normal":
        return []
    priors, name = spec.priors(model), scale_of(spec).name
    data = studies["yi"].to_numpy(), studies["se"].to_numpy(), priors["mu"], priors["tau"]
    check = crosscheck(
        tables["pooled"], tables["studies"].query("quantity == @name"), posterior(*data), effect=name
    )
    check["study"] = [studies["study"][int(i)] if pd.notna(i) else "" for i in check["study"]]
    without = leave_one_out(*data, spec.interval)
    without.insert(0, "study", studies["study"].to_numpy())
    words = (
        "posterior means from the draws beside those of a deterministic quadrature; z in Monte Carlo errors"
    )
    return [
        Companion("crosscheck", check, words),
        Companion(
            "leave_one_out",
            without,
            "the posterior without each study in turn, by quadrature, on the scale of analysis; shifts in "
            "posterior standard deviations; elpd_loo: exact log predictive density of the study left out",
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
