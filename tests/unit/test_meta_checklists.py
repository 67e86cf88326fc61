"""Reporting checklists: what they claim was done in a run, against what was done."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poolmap.contracts import NamedFigure
from poolmap.families.meta.checklists import checklists
from poolmap.families.meta.figures import figures
from tests.unit.meta_draws import analysed
from tests.unit.test_meta_words import section

PRISMA = ["13a", "13b", "13c", "13d", "13e", "13f", "14", "15", "19", "20a", "20b", "20c", "20d", "21", "22"]


def made(spec, drawn=None, companions=None, **more):
    """The two checklists, each by item (of BARG: by what it asks for)."""
    data, results = analysed(spec, **more)
    first = next(iter(results))
    if companions:
        results[first] = replace(results[first], companions=companions)
    if drawn is None:
        drawn = figures(spec, data, results)
    _, prisma, barg = checklists(spec, data, results, drawn)
    assert prisma.frame["Item"].tolist() == PRISMA
    assert set(barg.frame["Item"]) == {"Preamble", *(f"Step {i}" for i in range(1, 7))}
    assert (prisma.frame != "").all(axis=None)
    return prisma.frame.set_index("Item"), barg.frame.set_index("What it asks for"), results


def test_a_plain_run_claims_no_more_than_it_did(tmp_path):
    prisma, barg, results = made(section(tmp_path, moderators=[]))
    done = prisma["In this run"]
    for item in ("13e", "20c"):
        assert "None was explored in this run" in done[item]
    for item in ("13f", "20d"):
        assert done[item].startswith("None in this run")
        assert prisma.at[item, "Where"] == "–"
    for item in ("15", "22"):
        assert done[item].startswith("Not done by poolmap: state ")
    assert "no judgements are in the config" in done["20a"]
    assert "Egger" not in done["14"]
    assert "funnel plot" in done["14"]
    assert "tau, I-squared and prediction intervals" in done["13d"]
    row = results["main"].estimates["pooled"].set_index("quantity").loc["or"]
    said = f"Pooled odds ratio {row['median']:.2f} (95% interval {row['lower']:.2f} to {row['upper']:.2f})"
    assert said in done["20b"]
    assert barg.at["Prior predictive check", "In this run"].startswith("Not done by poolmap")
    assert barg.at["Sensitivity to the priors", "In this run"].startswith("Not done by poolmap")
    assert barg.at["Computation other than MCMC", "In this run"].startswith("None")
    assert barg.at["Priors, with reasons", "In this run"].startswith("All priors are the defaults")
    assert "DO NOT USE" not in barg.to_string() + prisma.to_string()


def test_every_figure_that_is_named_is_on_the_page(tmp_path):
    models = {"main": {}, "sub": {"subgroups": "allocation"}, "common": {"effects": "common"}}
    spec = section(tmp_path, exclude={"allocation": ["other"]}, models=models)
    data, results = analysed(spec)
    drawn = figures(spec, data, results)
    prisma, _, _ = made(spec, drawn)
    named = prisma["Where"].str.extractall("“([^”]*)”")[0]
    assert set(named) <= {figure.title for figure in drawn}
    assert {figure.title for figure in drawn} <= set(named)  # and each of them somewhere
    assert "“Models side by side”" in prisma.at["20d", "Where"]
    assert "Model comparison: figure" in prisma.at["20d", "Where"]
    none, _, _ = made(spec, [])
    assert "“" not in none.to_string()
    assert "Neither funnel plot nor test" in none.at["14", "In this run"]


def test_what_was_done_is_told(tmp_path):
    models = {
        "main": {},
        "wide": {"tau_prior": {"half_normal": 2}},
        "reg": {"formula": "latitude", "beta_prior": {"normal": [0, 1]}},
        "sub": {"subgroups": "allocation"},
        "counts": {"likelihood": "binomial"},
    }
    spec = section(
        tmp_path,
        models=models,
        exclude={"allocation": ["other"]},
        risk_of_bias={"Overall": "rob"},
        thresholds=[0.8],
    )
    tests = pd.DataFrame({"test": ["egger", "peters"], "p": [0.04, 0.31]})
    without = pd.DataFrame({"study": ["A", "B", "C"], "mu_median": np.log([0.7, 0.5, 0.6])})
    marked = pd.DataFrame({"study": ["A", "B"], "influential": [False, True]})
    more = {"leave_one_out": without, "influence": marked, "crosscheck": pd.DataFrame()}
    prisma, barg, results = made(spec, [], {"small_study_tests": tests, **more})
    done = prisma["In this run"]
    assert "1 row left out by choice" in done["13a"]
    assert "the same in all models" in done["13a"]
    assert "Meta-regression on latitude (model reg) and subgroups by allocation (model sub)" in done["13e"]
    against = "wide: random effects, normal likelihood, tau ~ half-normal(2); counts: random effects, exact"
    assert f"The primary model against {against} binomial likelihood." in done["13f"]
    assert "sub" not in done["13f"]  # subgroups are no sensitivity analysis
    assert "main/estimates/leave_one_out.csv" in prisma.at["13f", "Where"]
    assert "Egger's test and Peters' test" in done["14"]
    assert "fewer than 10 studies" in done["14"]
    assert "Egger's test (p = 0.04) and Peters' test (p = 0.31)" in done["21"]
    assert "Risk of bias as judged by you: Overall" in done["20a"]
    assert "Model counts used the counts as they are" in done["13b"]
    assert "0.5 was added where there were zero cells, in 1 study" in done["13b"]
    effects = {m: r.estimates["pooled"].set_index("quantity") for m, r in results.items()}

    def written(model, quantity, digits):
        row = effects[model].loc[quantity]
        ends = [f"{row[c]:.{digits}f}" for c in ("median", "lower", "upper")]
        return f"{ends[0]} ({ends[1]} to {ends[2]})"

    assert (
        f"by model: main {written('main', 'or', 2)}; wide {written('wide', 'or', 2)}; counts" in done["20d"]
    )
    assert "(exact posterior): from 0.50 (without B) to 0.70 (without A)" in done["20d"]
    assert "Influential by case deletion: B." in done["20d"]
    beta = results["reg"].estimates["coefficients"].query("quantity == 'beta'").iloc[0]
    slope = re.search(r"Model reg, change per unit: latitude (-\d\.\d+) \(", done["20c"])
    assert float(slope[1]) == pytest.approx(beta["median"], abs=0.00501)
    assert "Model sub, pooled odds ratio: random " in done["20c"]
    assert prisma.at["20c", "Where"] == "Model comparison: models reg and sub"
    told = barg["In this run"]
    priors = told["Sensitivity to the priors"]
    assert priors.startswith(
        f"Primary model with tau ~ half-normal(0.5): pooled odds ratio {written('main', 'or', 2)}, tau "
    )
    assert f"model wide with tau ~ half-normal(2): pooled odds ratio {written('wide', 'or', 2)}" in priors
    assert "counts" not in priors  # another likelihood too
    assert priors.endswith("Not done by poolmap: the prior of mu was not varied.")
    assert "thresholds 0.8" in told["Decisions and their criteria"]
    assert told["Computation other than MCMC"].startswith("A deterministic quadrature")
    assert "tau_prior of model wide; beta_prior of model reg; all others are the def" in " ".join(told)


def test_failed_models_are_marked_wherever_their_numbers_stand(tmp_path):
    models = {"main": {}, "wide": {"tau_prior": {"half_normal": 2}}, "sub": {"subgroups": "allocation"}}
    prisma, barg, _ = made(section(tmp_path, models=models), [], passed=False)
    done = prisma["In this run"]
    assert done["20d"].count("(DO NOT USE: the fit failed its checks)") == 2
    assert "Model sub (DO NOT USE" in done["20c"]
    assert barg.at["Sensitivity to the priors", "In this run"].count("DO NOT USE") == 2


def test_the_worst_diagnostics_are_told(tmp_path):
    spec = section(tmp_path, models={"main": {}, "other": {}})
    data, results = analysed(spec)
    for model, rhat, bulk in (("main", 1.0012, 2345.6), ("other", 1.0049, 812.3)):
        checks = [
            {"name": "rhat", "worst": rhat, "criterion": "< 1.01"},
            {"name": "ess_bulk", "worst": bulk, "criterion": "> 400"},
        ]
        results[model] = replace(results[model], checks={"passed": True, "checks": checks})
    told = checklists(spec, data, results, [])[2].frame.set_index("What it asks for")["In this run"]
    assert "(largest 1.005, needed < 1.01)" in told["Convergence of the chains"]
    assert "bulk (smallest 812, needed > 400) and tail." in told["Resolution of the chains"]


@pytest.mark.parametrize("effects", ["common", "student_t"])
def test_heterogeneity_is_claimed_where_there_is_a_measure_of_it(tmp_path, effects):
    prisma, _, _ = made(section(tmp_path, models={"main": {"effects": effects}}))
    assert ("Heterogeneity: tau" in prisma.at["13d", "In this run"]) == (effects == "student_t")
    assert ("prediction interval" in prisma.at["20b", "In this run"]) == (effects == "student_t")


def test_a_failed_fit_is_stamped(tmp_path):
    prisma, barg, _ = made(section(tmp_path), passed=False)
    assert prisma.at["20b", "In this run"].startswith("DO NOT USE: the fit failed its checks.")
    assert "DO NOT USE model main" in barg.at["Convergence of the chains", "In this run"]


def test_a_figure_of_another_model_stands_elsewhere(tmp_path):
    spec = section(tmp_path, models={"main": {}, "other": {}})
    drawn = [
        NamedFigure("funnel", None, "Funnel plot", "", "", "main"),
        NamedFigure("bubble_other_1", None, "Bubble plot: x", "", "", "other"),
        NamedFigure("labbe", None, "Plain", "", "", ""),
    ]
    prisma, _, _ = made(spec, drawn)
    assert prisma.at["13c", "Where"].endswith(
        "Results: figure “Funnel plot”; Model comparison: figure “Bubble plot: x”; Data: figure “Plain”"
    )


def test_the_page_has_them_after_the_checks(tmp_path):
    from bs4 import BeautifulSoup

    from poolmap.contracts import ReportTable
    from poolmap.report.content import AnalysisPage, ModelSection
    from poolmap.report.page import render_analysis

    spec = section(tmp_path)
    data, results = analysed(spec)
    blocks = checklists(spec, data, results, [])
    page = AnalysisPage(
        name="a",
        family="meta",
        title="A",
        question="",
        config_title="c",
        describe=["Data."],
        exclusions=data.exclusions,
        models=[ModelSection("main", True, ["Words."], {"passed": True, "checks": []})],
        findings=["Found."],
        figures=[],
        settings={},
        software={"poolmap": "0"},
        inputs=[],
        run_times=[],
        created="",
        files=[],
        config_yaml="a:",
        checklists=blocks,
    )
    soup = BeautifulSoup(render_analysis(page), "html.parser")
    titles = [heading.text for heading in soup.select("main h2")]
    assert titles[-3:] == ["Checks", "Reporting checklists", "Reproducibility"]
    shown = soup.find(id="checklists").find_parent("section")
    assert [link.text for link in soup.select('nav a[href="#checklists"]')] == ["Reporting checklists"]
    rows = [len(table.select("tbody tr")) for table in shown.select("table")]
    assert rows == [len(block.frame) for block in blocks if isinstance(block, ReportTable)]
    # every section that an item points to stands on the page
    for block in blocks[1:]:
        for where in block.frame["Where"]:
            for place in where.split("; "):
                first = place.split(":")[0].split(" and ")[0]
                assert first == "–" or first in titles or first in EXTRA_PLACES, place


EXTRA_PLACES = (
    "each table of estimates in the results folder",
    "software under Reproducibility",
    "top of the page",
)
