"""The gallery: its data are the published ones, its models can be fitted, its page shows the config."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolmap.config import load_config
from poolmap.families import door
from poolmap.families.meta.classical import pool
from poolmap.families.meta.classical_multilevel import multilevel
from poolmap.families.meta.model import stan_data
from poolmap.families.mrp.direct import domain_ratio
from poolmap.families.mrp.survey_design import Design
from poolmap.graph.adjacency import analysis_graph
from poolmap.graph.candidates import candidates

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config/gallery.yaml"
PAGE = ROOT / "docs/gallery.md"
LARGEST_FIGURE = 300_000  # bytes
LARGEST_EXAMPLE = 2_000_000  # bytes, of all files of an example
LARGEST_FILE = 1_000_000


@pytest.fixture(scope="module")
def everything():
    """The analyses of the gallery with their data, by name; paths in the config start at the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        analyses = load_config("config/gallery.yaml").analyses
        return {name: (spec, door(spec.family, "ingest")(spec)) for name, spec in analyses.items()}


@pytest.fixture(scope="module")
def gallery(everything):
    """The meta-analyses."""
    return {name: found for name, found in everything.items() if found[0].family == "meta"}


@pytest.fixture(scope="module")
def tokyo(everything):
    """The disease map, with its polygons and its graph."""
    spec, data = everything["tokyo_mortality"]
    geometry, data.graph = analysis_graph(spec, data.geometry)
    return spec, data, geometry


@pytest.fixture(scope="module")
def page() -> str:
    """The gallery's page."""
    return PAGE.read_text(encoding="utf-8")


# Effects in each published table, one a row.
ROWS = {
    "bcg_moderators": 13,
    "antibiotic_prophylaxis": 16,
    "stroke_stay": 9,
    "catheter_rates": 9,
    "standard_catheters": 9,
    "catheter_trials": 18,
    "vasospasm": 14,
    "school_calendar": 56,
    "periodontal": 10,
    "adherence": 16,
}


# A trial without an infection in either arm says nothing of an odds ratio by itself.
NO_CONTRAST = {"catheter_trials": 1}


def test_every_model_has_its_data(gallery):
    assert set(gallery) == set(ROWS)
    for name, (spec, data) in gallery.items():
        assert len(pd.read_csv(ROOT / spec.data)) == ROWS[name], name
        assert len(data.exclusions) == NO_CONTRAST.get(name, 0), name
        for model in spec.models:
            values = stan_data(spec, model, data).data
            assert ROWS[name] - NO_CONTRAST.get(name, 0) <= values["K"] <= ROWS[name], (name, model)
            assert len(values["X"]) == values["K"], (name, model)


# Estimator, pooled effect with standard error on the scale of analysis, and tau, from the same estimates.
CLASSICAL = {
    # Viechtbauer 2010, J Stat Softw 36(3)
    "bcg_moderators": ("REML", -0.7145, 0.1798, 0.5597),
    # Stijnen, Hamza & Ozdemir 2010, Stat Med 29:3046-3067, tables VIII (se printed as 0.223), VII (per 1000
    # days; tau^2 0.370) and III (17 trials; se printed as 0.244); digits as in metafor's tests of that paper
    "catheter_rates": ("REML", -0.396, 0.227, 0.31),
    "standard_catheters": ("REML", 1.468 - np.log(1000), 0.243, np.sqrt(0.370)),
    "catheter_trials": ("REML", -0.980, 0.243, 0.19),
    # metafor 3.8-1
    "stroke_stay": ("REML", -0.53711, 0.30866, 0.88929),
    "vasospasm": ("REML", 1.13891, 0.24148, 0.60381),
}


@pytest.mark.parametrize("name", CLASSICAL)
def test_data_give_the_published_pooled_effect(gallery, name):
    studies = gallery[name][1].tables["studies"]
    if name in NO_CONTRAST:
        studies = studies[studies["events_1"] + studies["events_2"] > 0]
    method, mu, se, tau = CLASSICAL[name]
    found = pool(studies["yi"].to_numpy(), studies["vi"].to_numpy(), method)
    assert found.mu == pytest.approx(mu, abs=6e-4)
    assert found.se == pytest.approx(se, abs=6e-4)
    assert found.tau == pytest.approx(tau, abs=6e-3)


# As printed in the abstracts: pooled effect as reported, with its 95% interval, by DerSimonian and Laird.
ABSTRACTS = {
    "bcg_moderators": (np.exp, 0.49, 0.34, 0.70),  # Colditz et al. 1994
    "antibiotic_prophylaxis": (np.exp, 0.28, 0.20, 0.38),  # D'Amico et al. 2009
    "adherence": (np.tanh, 0.15, 0.09, 0.21),  # Molloy et al. 2014
}


@pytest.mark.parametrize("name", ABSTRACTS)
def test_data_give_the_result_of_the_abstract(gallery, name):
    studies = gallery[name][1].tables["studies"]
    reported, *printed = ABSTRACTS[name]
    found = pool(studies["yi"].to_numpy(), studies["vi"].to_numpy(), "DL")
    assert [round(float(reported(x)), 2) for x in (found.mu, found.lower, found.upper)] == printed


def test_lengths_of_stay_give_the_published_difference_in_days():
    # Normand 1999, Stat Med 18:321-359, table IX (DerSimonian and Laird; variances with the pooled sd)
    table = pd.read_csv(ROOT / "resources/stroke_stay/trials.csv")
    n1, n2 = table["specialist_n"], table["routine_n"]
    pooled = (n1 - 1) * table["specialist_sd"] ** 2 + (n2 - 1) * table["routine_sd"] ** 2
    variance = pooled / (n1 + n2 - 2) * (1 / n1 + 1 / n2)
    found = pool((table["specialist_mean"] - table["routine_mean"]).to_numpy(), variance.to_numpy(), "DL")
    assert [round(x, 2) for x in (found.mu, found.lower, found.upper)] == [-14.10, -24.45, -3.75]


def test_schools_give_the_published_three_level_model(gallery):
    # Konstantopoulos 2011, Res Synth Methods 2:61-76, table 5 (maximum likelihood)
    studies = gallery["school_calendar"][1].tables["studies"]
    found = multilevel(studies["yi"].to_numpy(), studies["vi"].to_numpy(), studies["study"].tolist(), "ML")
    row = found.coefficients.iloc[0]
    assert [round(row["estimate"], 4), round(row["se"], 4)] == [0.1845, 0.0805]
    assert [round(found.tau2, 4), round(found.tau2_within, 4)] == [0.0577, 0.0329]


def test_outcomes_give_the_heterogeneity_of_the_bivariate_model(gallery):
    # Berkey et al. 1998, metafor 3.8-1: Q 128.2267; the correlations of the table have four digits
    studies = gallery["periodontal"][1].tables["studies"]
    depth = (studies["effect_id"] == "probing depth").to_numpy(float)
    found = multilevel(
        studies["yi"].to_numpy(),
        studies["vi"].to_numpy(),
        studies["study"].tolist(),
        "CE",
        np.column_stack([depth, 1 - depth]),
        rho=studies["correlation"].to_numpy(),
    )
    assert found.q == pytest.approx(128.2267, abs=0.02)


def test_every_likelihood_distribution_and_option_is_shown(gallery):
    specs = [spec for spec, _ in gallery.values()]
    models = [model for spec in specs for model in spec.models.values()]
    assert {model.likelihood for model in models} == {"normal", "binomial", "poisson", "beta_binomial"}
    assert {model.effects for model in models} == {"normal", "student_t", "common", "independent"}
    assert {model.subgroup_tau for model in models} >= {"common", "own"}
    assert {model.tau_prior.family for model in models if model.tau_prior} >= {"turner_2015", "rhodes_2015"}
    for key, value in {"levels": 3, "baseline": "random"}.items():
        assert any(getattr(model, key) == value for model in models), key
    assert any(model.formula for model in models)
    for key in ("risk_of_bias", "cumulative", "thresholds", "baseline_risks", "effect_id", "moderators"):
        assert any(getattr(spec, key) for spec in specs), key


def test_the_map_is_that_of_the_source(tokyo):
    """GWR4's sample data: 262 municipalities, 10 invalid polygons; 23 components by vertices (libpysal)."""
    spec, data, geometry = tokyo
    areas = data.tables["areas"]
    assert (len(areas), int(areas["cases"].sum())) == (262, 46_163)
    assert areas["expected"].sum() == pytest.approx(48_257.455)
    assert sum(finding["action"].startswith("repaired") for finding in data.facts["geometry"]) == 10
    assert (len(data.graph.edges), data.graph.n_components) == (695, 1)
    drawn = candidates(geometry.frame, data.graph, spec.graph)[0].graph
    assert (len(drawn.edges), drawn.n_components, len(drawn.islands)) == (473, 23, 10)
    for model in spec.models:
        assert door("areas", "stan_data")(spec, model, data).data["N"] == 262


def test_the_files_of_the_examples_are_small():
    for folder in ("tokyo", "california_schools", "santa_clara", "examplia"):
        sizes = [path.stat().st_size for path in (ROOT / "resources" / folder).iterdir()]
        assert sum(sizes) < LARGEST_EXAMPLE and max(sizes) < LARGEST_FILE, folder


@pytest.fixture(scope="module")
def surveys(everything):
    """The estimates from surveys."""
    return {name: found for name, found in everything.items() if found[0].family == "mrp"}


def test_the_cluster_sample_is_that_of_the_source(surveys):
    """R's survey 4.1-1, data(api), svymean(~api00, dclus2): 670.8118 with standard error 30.09903."""
    data = surveys["school_scores"][1]
    respondents = data.tables["survey"]
    assert len(respondents) == 126 and respondents["cluster_0"].nunique() == 40
    one = np.ones(len(respondents))
    mean, se = domain_ratio(
        Design.of(respondents), respondents["y"].to_numpy(), one, np.zeros(len(one), dtype=np.intp), 1
    )
    assert mean[0] == pytest.approx(670.8118081, abs=1e-5)
    assert se[0] == pytest.approx(30.09902738, abs=1e-5)
    truth = data.tables["truth"].set_index("table")["value"]
    assert truth["total"] == pytest.approx(664.7126251, abs=1e-5)


def test_the_totals_of_santa_clara_are_the_published_ones(surveys):
    """Bendavid et al. 2021, Int J Epidemiol 50:410-419; Gelman and Carpenter 2020, JRSS C 69:1269-1283."""
    spec, data = surveys["santa_clara"]
    assert data.facts["answer_counts"] == {"positive": 50, "negative": 3280}
    test = spec.outcome.test
    sums = [
        (sum(study.correct for study in studies), sum(study.of for study in studies))
        for studies in (test.sensitivity, test.specificity)
    ]
    assert sums == [(130, 157), (3308, 3324)]
    assert (len(test.sensitivity), len(test.specificity)) == (3, 13)


def test_the_made_survey_is_pooled_and_its_truth_adds_up(surveys):
    _, data = surveys["vaccination"]
    assert data.facts["surveys"] == {"household": 2000, "telephone": 1186}
    assert data.exclusions["reason"].value_counts().to_dict() == {"no 'age'": 14}
    truth = data.tables["truth"]
    sums = truth.groupby(["table", "region", "district", "age", "wave"])["value"].sum()
    assert np.allclose(sums, 1, atol=1e-5)


def test_what_surveys_can_do_is_shown(surveys):
    specs = [spec for spec, _ in surveys.values()]
    assert {spec.outcome.kind for spec in specs} >= {"binary", "continuous", "count", "ordered"}
    structures = {s for spec in specs for model in spec.models.values() for s in model.structure.values()}
    assert structures >= {"bym2", "rw1"}
    assert any(spec.outcome.test for spec in specs)
    for key in ("weight", "recode", "bands", "house", "time", "area_predictors", "microdata", "contrasts"):
        assert any(getattr(spec, key) for spec in specs), key
    for key in ("thresholds", "truth", "leave_out", "calibrate", "map"):
        assert any(getattr(spec, key) for spec in specs), key
    assert any(spec.design.clusters and spec.design.population_sizes for spec in specs)
    assert all(spec.map.credit for spec in specs if spec.map)
    assert any(model.formula for spec in specs for model in spec.models.values())


def test_survey_models_have_their_data(surveys):
    for name, (spec, data) in surveys.items():
        if spec.has_graph:
            _, data.graph = analysis_graph(spec, data.geometry)
        for model in spec.models:
            values = door("mrp", "stan_data")(spec, model, data).data
            assert values["C"] <= len(data.tables["survey"]), (name, model)


def _sections(page: str) -> dict[str, str]:
    """Text by heading of the second level."""
    parts = re.split(r"^## (.+)$", page, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_page_shows_the_config_word_for_word(page):
    text = CONFIG.read_text(encoding="utf-8").split("analyses:\n")[1]
    written = re.split(r"\n\n(?=  \w)", text.rstrip("\n"))
    expected = [re.sub(r"^  ", "", analysis, flags=re.M) for analysis in written]
    shown = [block.rstrip("\n") for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.S)]
    assert shown == expected


def test_page_says_how_to_repeat_the_run(page):
    assert "make run CONFIG=config/gallery.yaml" in page
    seed = re.search(r"^seed: (\d+)", CONFIG.read_text(encoding="utf-8"), flags=re.M)[1]
    assert seed in page


def test_table_of_the_page_is_that_of_the_config(gallery, surveys, page):
    table = _sections(page)["What shows what"]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("| [")
    ]
    of_surveys, rows = rows[len(gallery) :], rows[: len(gallery)]
    assert [row[0].split("`")[1] for row in of_surveys] == list(surveys)
    for (spec, _), row in zip(surveys.values(), of_surveys, strict=True):
        assert spec.outcome.kind in row[1], row[0]
    assert [row[0].split("`")[1] for row in rows] == list(gallery)
    for (spec, _), row in zip(gallery.values(), rows, strict=True):
        models = list(spec.models.values())
        assert row[1] == f"`{spec.measure}`"
        assert set(re.findall(r"`(\w+)`", row[2])) == {model.likelihood for model in models}, row[0]
        assert set(re.findall(r"`(\w+)`", row[3])) == {
            model.effects for model in models if model.likelihood != "beta_binomial"
        }, row[0]


def test_links_within_the_page_lead_to_its_headings(page):
    headings = {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in _sections(page)}
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links
    assert set(links) <= headings


def test_figures_of_the_page(page):
    figures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page)
    assert figures
    for alt, path in figures:
        assert len(alt) > 20, path
        file = PAGE.parent / path
        assert file.read_bytes().startswith(b"\x89PNG"), path
        assert file.stat().st_size < LARGEST_FIGURE, path
    stored = {f"gallery/{path.name}" for path in (PAGE.parent / "gallery").iterdir()}
    assert stored == {path for _, path in figures}
