"""Classical results beside the Bayesian ones: the right numbers reach the table of the report."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolmap.config.load import parse_analysis
from poolmap.contracts import ModelResult, ReportTable
from poolmap.families.meta.classical_models import classical_model_blocks
from poolmap.families.meta.classical_report import classical_blocks
from poolmap.families.meta.companions import companions
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.quadrature import posterior
from tests.unit.meta_draws import analysed, words

ROOT = Path(__file__).resolve().parents[2]
BCG = {
    "family": "meta",
    "data": str(ROOT / "resources/bcg/trials.csv"),
    "study": "study",
    "columns": {
        "events_1": "bcg_cases",
        "total_1": "bcg_total",
        "events_2": "control_cases",
        "total_2": "control_total",
    },
}


def tables_of(spec, data):
    """Estimates tables with the exact means, each off by one Monte Carlo error."""
    studies, priors, name = data.tables["studies"], spec.priors("normal"), scale_of(spec).name
    exact = posterior(studies["yi"].to_numpy(), studies["se"].to_numpy(), priors["mu"], priors["tau"])
    pooled = [(name, exact.mu().mean()[0]), ("tau", exact.tau.mean()[0]), ("i2", exact.i2()[0])]
    effects = [(name, mean) for mean in exact.studies()["mean"]]
    return {
        table: pd.DataFrame(rows, columns=["quantity", "mean"]).assign(
            mcse=0.01, mean=lambda t: t["mean"] + 0.01
        )
        for table, rows in {"pooled": pooled, "studies": effects}.items()
    }


def of(measure):
    spec = parse_analysis({**BCG, "measure": measure, "title": "BCG"})
    name = {"RR": "rr", "OR": "or", "RD": "rd"}[measure]
    rows = [
        (name, 0.5, 0.09, 0.35, 0.72),
        (f"{name}_new", 0.5, 0.5, 0.15, 1.8),
        ("tau", 0.56, 0.16, 0.3, 0.9),
        ("i2", 92.0, 4.0, 81.0, 97.0),
    ]
    pooled = pd.DataFrame(rows, columns=["quantity", "median", "sd", "lower", "upper"])
    data = ingest(spec)
    found = {c.name: c.frame for c in companions(spec, "normal", data, tables_of(spec, data))}
    result = ModelResult("normal", {"pooled": pooled}, {}, {"passed": True}, pooled, pooled, "", found)
    return spec, found, result


def test_numbers_are_those_of_metafor():
    """metafor 3.8-1 on dat.bcg, log RR: REML mu -0.7145, tau2 0.3132, Q 152.2330; MH log OR -0.4734."""
    _, found, _ = of("RR")
    reml = found["classical"].set_index("method").loc["REML"]
    assert reml["mu"] == pytest.approx(-0.7145, abs=5e-5)
    assert reml["tau2"] == pytest.approx(0.3132, abs=5e-5)
    assert reml["q"] == pytest.approx(152.2330, abs=5e-5)
    common = found["mantel_haenszel"].set_index(["method", "measure"])
    assert common.loc[("MH", "OR"), "estimate"] == pytest.approx(-0.4734, abs=5e-5)
    for without in (found["leave_one_out"], found["leave_one_out_reml"]):
        assert without["study"].tolist()[0] == "Aronson 1948"
        assert len(without) == 13


def test_the_report_shows_them_on_the_scale_of_the_ratio():
    spec, _, result = of("RR")
    pooling, check, common, cases, tests = classical_blocks(spec, result)
    assert "agree. Over 16 posterior means the largest difference is 1.0 Monte Carlo standard errors" in check
    table = pooling.frame.set_index("Method")
    assert table.loc["Bayesian, model normal", "Pooled RR"] == "0.50 (0.35 to 0.72)"
    assert table.loc["restricted maximum likelihood", "Pooled RR"] == "0.49 (0.34 to 0.70)"
    assert table.loc["common effect (inverse variance)", "HKSJ interval"] == "–"
    assert "Q = 152.2 on 12 degrees of freedom, p < 0.001" in pooling.caption
    assert common.frame["Common effect"][0] == "0.62 (0.57 to 0.68)"
    assert "Egger's test: t = -1.40 on 11 degrees of freedom, p = 0.189" in tests
    assert pooling.model == "normal"
    assert cases.endswith("by the rule of Viechtbauer & Cheung (2010): no study.")


def test_rates_have_the_common_effects_of_person_time(tmp_path):
    """metafor 3.8-1, rma.mh of log IRR on dat.nielweise2008 (Niel-Weise et al. 2008): -0.4152 (0.1834)."""
    rows = [
        *((7, 1344, 11, 1988), (8, 1600, 8, 1461), (3, 12012, 14, 10962), (6, 1536, 10, 1503)),
        *((1, 370, 1, 483), (1, 729, 8, 913), (17, 6760, 15, 6840), (3, 1107, 7, 1015), (2, 320, 3, 440)),
    ]
    names = ["events_1", "time_1", "events_2", "time_2"]
    frame = pd.DataFrame(rows, columns=names).assign(study=[f"s{i}" for i in range(len(rows))])
    frame.to_csv(tmp_path / "rates.csv", index=False)
    view = {
        "family": "meta",
        "data": str(tmp_path / "rates.csv"),
        "study": "study",
        "measure": "IRR",
        "columns": {name: name for name in names},
    }
    spec = parse_analysis(view)
    data = ingest(spec)
    studies, priors = data.tables["studies"], spec.priors("normal")
    exact = posterior(studies["yi"].to_numpy(), studies["se"].to_numpy(), priors["mu"], priors["tau"])
    pooled = [("log_irr", exact.mu().mean()[0]), ("tau", exact.tau.mean()[0]), ("i2", exact.i2()[0])]
    not_asked = dict.fromkeys(["sd", "median", "lower", "upper"], 0.5)
    tables = {
        "pooled": pd.DataFrame([*pooled, ("irr", 0.66)], columns=["quantity", "mean"]).assign(
            mcse=0.01, **not_asked
        ),
        "studies": pd.DataFrame({"quantity": "log_irr", "mean": exact.studies()["mean"], "mcse": 0.01}),
    }
    found = {c.name: c.frame for c in companions(spec, "normal", data, tables)}
    common = found["mantel_haenszel"].set_index("measure")
    assert common.loc["IRR", ["estimate", "se"]].tolist() == pytest.approx([-0.415175, 0.183439], abs=1e-6)
    # by hand, sum of a n2 / (n1 + n2) over that of c n1 / (n1 + n2), and the difference weighted by n1 n2 / n
    a, n1, c, n2 = (frame[name].to_numpy() for name in names)
    w = n1 * n2 / (n1 + n2)
    assert common.loc["IRD", "estimate"] == pytest.approx((w * (a / n1 - c / n2)).sum() / w.sum())
    (block,) = [
        b
        for b in classical_blocks(spec, ModelResult("normal", tables, {}, {}, studies, studies, "", found))
        if isinstance(b, ReportTable) and "Measure" in b.frame
    ]
    assert block.frame["Common effect"][0] == "0.66 (0.46 to 0.95)"
    assert block.frame["Measure"].tolist() == ["IRR", "IRD"]


def printed(text):
    """The numbers in a cell of a table."""
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def near(values):
    return pytest.approx(values, abs=0.00501)  # two decimals are printed at least


def hksj(yi):
    """The report of five trials with the same standard error of 0.3."""
    rows = [{"study": f"T{i}", "yi": y, "se": 0.3} for i, y in enumerate(yi)]
    view = {
        "family": "meta", "data": "t.csv", "study": "study", "measure": "GEN", "interval": 0.95,
        "columns": {"estimate": "yi", "se": "se"},
        "models": {"normal": {"mu_prior": {"normal": [0, 2]}, "tau_prior": {"half_normal": 1}}},
    }  # fmt: skip
    return view, pd.DataFrame(rows)


def test_hksj_narrower_than_wald_is_told(tmp_path):
    """Five trials alike, standard errors 0.3: Q = sum (y - mean)^2 / 0.09, tau = 0.

    Wald: mean -+ 1.96 x 0.3 / sqrt(5); HKSJ: t(4) x sd / sqrt(5), which for sd 0.0158 is far narrower.
    """
    for yi, said in (
        ([0.1, 0.12, 0.08, 0.11, 0.09], "HKSJ interval is narrower than the Wald interval"),
        ([0.1, 0.4, -0.2, 0.3, -0.1], "only the t distribution makes it wider"),
        ([0.1, 1.4, -1.2, 0.8, -0.9], ""),
    ):
        view, rows = hksj(yi)
        path = tmp_path / "t.csv"
        rows.to_csv(path, index=False)
        spec = parse_analysis(view | {"data": str(path)})
        data, results = analysed(spec)
        tables = results["normal"].estimates
        found = {c.name: c.frame for c in companions(spec, "normal", data, tables)}
        result = replace(results["normal"], companions={"classical": found["classical"]})
        pooling, *notes = classical_blocks(spec, result)
        reml = pooling.frame.set_index("Method").loc["restricted maximum likelihood"]
        mean, sd = np.mean(yi), np.std(yi, ddof=1)
        if said.startswith("HKSJ"):
            wald, half = 1.959964 * 0.3 / 5**0.5, 2.776445 * sd / 5**0.5
            assert printed(reml["Pooled effect"]) == near([mean, mean - wald, mean + wald])
            assert printed(reml["HKSJ interval"]) == near([mean - half, mean + half])
            adhoc = 2.776445 * 0.3 / 5**0.5
            assert printed(reml["HKSJ, ad hoc"]) == near([mean - adhoc, mean + adhoc])
        assert ("HKSJ, ad hoc" in reml) == said.startswith("HKSJ")
        assert len(notes) == bool(said)
        if said:
            assert (
                f"Q ({np.sum((yi - mean) ** 2) / 0.09:.2f}) is below its degrees of freedom (4)" in notes[0]
            )
            assert said in notes[0]
            assert "Röver, Knapp & Friede 2015" in notes[0]


@pytest.mark.parametrize("name", ["latitude", "own", "normal"])
def test_an_adjusted_result_beside_unadjusted_ones_is_told(name):
    models = MODELS | {"normal": {}}
    view = BCG | {"measure": "RR", "interval": 0.95, "moderators": ["latitude", "allocation"]}
    spec = parse_analysis(view | {"models": {name: models[name]}})
    data, results = analysed(spec)
    tables = results[name].estimates
    found = {c.name: c.frame for c in companions(spec, name, data, tables)}
    text = words(classical_blocks(spec, replace(results[name], companions=found)))
    assert ("Do not compare the rows of this table as like with like" in text) == (name != "normal")
    assert ("Its counterpart is the classical meta-regression" in text) == (name == "latitude")
    assert ("Its counterpart is the classical subgroup analysis" in text) == (name == "own")


def test_peters_test_is_for_odds_ratios_only():
    assert of("OR")[1]["small_study_tests"]["test"].tolist() == ["egger", "peters"]
    assert of("RD")[1]["small_study_tests"]["test"].tolist() == ["egger"]


def test_two_studies_have_no_small_study_test(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("study,bcg_cases,bcg_total,control_cases,control_total\nA,1,10,2,10\nB,3,30,6,30\n")
    spec = parse_analysis({**BCG, "measure": "OR", "data": str(path)})
    data = ingest(spec)
    names = {c.name for c in companions(spec, "normal", data, tables_of(spec, data))}
    always = {"classical", "mantel_haenszel", "leave_one_out_reml"}
    assert names == always | {"leave_one_out", "crosscheck", "empirical_bayes"}


def test_draws_that_disagree_with_the_exact_posterior_are_told():
    spec, found, result = of("RR")
    found["crosscheck"].loc[3, "z"] = -7.5
    check = classical_blocks(spec, result)[1]
    assert "DO NOT agree" in check
    assert "7.5 Monte Carlo standard errors (log_rr of" in check


MODELS = {
    "latitude": {
        "formula": "latitude",
        "centre": False,
        "mu_prior": {"normal": [0, 1]},
        "beta_prior": {"normal": [0, 0.1]},
    },
    "own": {"subgroups": "allocation", "subgroup_tau": "own"},
    "shared": {"subgroups": "allocation"},
}


def blocks_of(name):
    """The classical counterpart of a model, as the report shows it, and its companion tables."""
    view = BCG | {"measure": "RR", "interval": 0.95, "moderators": ["latitude", "allocation"]}
    spec = parse_analysis(view | {"models": {name: MODELS[name]}})
    data, results = analysed(spec)
    tables = results[name].estimates
    found = {c.name: c.frame for c in companions(spec, name, data, tables)}
    (block,) = classical_model_blocks(spec, replace(results[name], companions=found))
    return block, found


def test_regression_stands_beside_that_of_metafor():
    """metafor 3.8-1, rma(yi, vi, mods = ~ ablat), REML: slope -0.0291 (se 0.0072), R2 75.62%, QM 16.3571."""
    block, found = blocks_of("latitude")
    slope = found["meta_regression"].set_index("term").loc["latitude"]
    assert slope["estimate"] == pytest.approx(-0.0291, abs=5e-5)
    assert slope["se"] == pytest.approx(0.0072, abs=5e-5)
    fit = found["meta_regression_fit"].iloc[0]
    assert (fit["r2"], fit["qm"]) == (pytest.approx(75.62, abs=0.02), pytest.approx(16.358, abs=2e-3))
    row = block.frame.set_index("Term").loc["latitude"]
    assert row["REML (Wald interval)"] == "-0.0291 (-0.0432 to -0.0150)"
    assert "it explains 76% of tau2 (R2, against the model without moderators" in block.caption
    assert "Q = 30.7 on 11 degrees of freedom, p = 0.001" in block.caption
    assert "as they are" in block.caption


def test_subgroups_stand_beside_those_of_metafor():
    """metafor 3.8-1, REML: alternate -0.5408, tau2 0.1326; moderator model: QM 1.7675, p 0.4132."""
    block, _ = blocks_of("own")
    row = block.frame.set_index("Subgroup").loc["alternate"]
    assert row["REML"] == "0.58 (0.34 to 1.01)"
    assert (row["tau"], row["I2"], row["Studies"]) == ("0.364", "82%", "2")
    assert "a tau of its own in each" in block.caption
    block, _ = blocks_of("shared")
    assert "one tau in all" in block.caption
    assert "Q = 1.77 on 2 degrees of freedom, p = 0.413" in block.caption


PRIORS = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}


def of_several_effects(path, effect_id, models, **more):
    """An analysis of estimates `y` with standard errors `se`, several of a study."""
    view = {
        "family": "meta", "data": str(path), "study": "study", "effect_id": effect_id, "measure": "GEN",
        "columns": {"estimate": "y", "se": "se"}, "interval": 0.95, "models": models,
    }  # fmt: skip
    return parse_analysis(view | more)


def test_effects_of_studies_stand_beside_the_classical_multilevel_model(tmp_path):
    path = tmp_path / "effects.csv"
    rows = [f"s{i // 2},{i},{0.1 * (i % 3) + 0.2 * (i // 2 % 2):.2f},0.1" for i in range(12)]
    path.write_text("study,effect,y,se\n" + "\n".join(rows) + "\n")
    spec = of_several_effects(path, "effect", {"three": PRIORS, "two": PRIORS | {"levels": 2}})
    data, results = analysed(spec)
    for name, columns in (("three", 5), ("two", 4)):
        tables = results[name].estimates
        found = {c.name: c.frame for c in companions(spec, name, data, tables)}
        (block,) = classical_model_blocks(spec, replace(results[name], companions=found))
        assert block.frame["Method"].tolist()[1:] == ["restricted maximum likelihood", "maximum likelihood"]
        assert block.frame.shape[1] == columns


def test_coefficients_of_several_effects_stand_beside_the_bayesian_ones(tmp_path):
    path = tmp_path / "effects.csv"
    rows = [f"s{i // 2},{'ab'[i % 2]},{0.1 * (i % 3) + 0.2 * (i % 2):.2f},0.1" for i in range(12)]
    path.write_text("study,outcome,y,se\n" + "\n".join(rows) + "\n")
    models = {"by": PRIORS | {"subgroups": "outcome"}}
    spec = of_several_effects(path, "outcome", models, moderators=["outcome"])
    data, results = analysed(spec)
    tables = results["by"].estimates
    found = {c.name: c.frame for c in companions(spec, "by", data, tables)}
    (block,) = classical_model_blocks(spec, replace(results["by"], companions=found))
    assert block.frame["Method"].tolist()[:3] == [
        *["Bayesian, model by"] * 2,
        "restricted maximum likelihood",
    ]
    assert block.frame["Term"].tolist() == ["a", "b"] * 3
    first = tables["subgroups"].query("quantity == 'effect'").iloc[0]
    assert block.frame["Estimate"][0].startswith(f"{first['median']:.3f} (")


def test_companion_tables_say_what_they_are():
    told = {}
    for measure in ("OR", "RR"):
        view = BCG | {"measure": measure, "interval": 0.95, "cumulative": "year", "models": {"normal": {}}}
        spec = parse_analysis(view)
        data = ingest(spec)
        told |= {c.name: c.description for c in companions(spec, "normal", data, tables_of(spec, data))}
    assert "REML" in told["leave_one_out_reml"]
    assert "no moderators" in told["leave_one_out_reml"]
    for column in ("hksj_lower", "tau2_lower", "i2_q"):
        assert column in told["leave_one_out_reml"]
    assert not [words for words in told.values() if ".py" in words]
