"""Studies without events in both arms: which models use them, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest
from meta_draws import analysed, posterior, words

from poolmap.config.load import parse_analysis
from poolmap.config.priors import Prior
from poolmap.dataset import read_dataset, write_dataset
from poolmap.errors import InputError
from poolmap.families.meta.checklists import checklists
from poolmap.families.meta.companions import companions
from poolmap.families.meta.design import design
from poolmap.families.meta.estimate import predictive
from poolmap.families.meta.figures import figures
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.left_out import left_out
from poolmap.families.meta.methods import describe, findings, methods
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.study_likelihood import study_likelihoods
from poolmap.families.meta.usable import used_by, used_by_any, uses
from poolmap.inference.predictive import compare, leave_one_out

ROWS = """trial,e1,n1,e2,n2,dose,year
A,3,100,9,100,1,2001
B,5,120,9,118,2,2002
None,0,150,0,140,3,2003
C,1,60,6,61,4,2004
D,9,200,16,210,5,2005
All,20,20,22,22,6,2006
"""
COUNTS = {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"}
TIMES = {"events_1": "e1", "time_1": "n1", "events_2": "e2", "time_2": "n2"}
MODELS = {
    "normal": {},
    "fixed": {"likelihood": "binomial"},
    "random": {"likelihood": "binomial", "baseline": "random"},
    "beta": {"likelihood": "beta_binomial"},
}


def section(tmp_path, models, measure="OR", rows=ROWS, **more):
    path = tmp_path / "trials.csv"
    path.write_text(rows)
    view = {"family": "meta", "data": str(path), "study": "trial", "measure": measure, "interval": 0.95}
    columns = TIMES if measure == "IRR" else COUNTS
    return parse_analysis(view | {"columns": columns, "models": models} | more)


def names(spec, model, data):
    return used_by(spec, model, data).tables["studies"]["study"].tolist()


ALL_SIX, BY_THEMSELVES = ["A", "B", "None", "C", "D", "All"], ["A", "B", "C", "D"]


def test_who_uses_a_study_without_events_or_with_events_only(tmp_path):
    spec = section(tmp_path, MODELS)
    data = ingest(spec)
    assert {model: names(spec, model, data) for model in MODELS} == {
        "normal": BY_THEMSELVES, "fixed": BY_THEMSELVES, "random": ALL_SIX, "beta": ALL_SIX,
    }  # fmt: skip
    spec = section(tmp_path, {name: MODELS[name] for name in ("normal", "fixed", "random")}, "RR")
    data = ingest(spec)
    assert {model: names(spec, model, data) for model in spec.models} == {
        "normal": BY_THEMSELVES, "fixed": ["A", "B", "C", "D", "All"], "random": ALL_SIX,
    }  # fmt: skip
    models = {"normal": {}, "fixed": {"likelihood": "poisson"}}
    models["random"] = {"likelihood": "poisson", "baseline": "random"}
    spec = section(tmp_path, models, "IRR")
    data = ingest(spec)
    assert names(spec, "fixed", data) == ["A", "B", "C", "D", "All"]  # people are person-time: no such thing
    assert names(spec, "random", data) == ALL_SIX


@pytest.mark.parametrize(("measure", "events"), [("OR", 0), ("OR", 80), ("RR", 0), ("IRR", 0)])
def test_with_baselines_of_their_own_such_a_study_speaks_by_its_prior_alone(measure, events):
    """Arms alike in all: what they say of a ratio must not depend on its sign, but for the prior it does."""
    said = {}
    for scale in (1, 10, 1000):
        counts = [np.array([events])] * 2, [np.array([80])] * 2
        (one,) = study_likelihoods(measure, *counts, Prior("normal", (-2, scale)))
        said[scale] = np.abs(one([-1.0, 1.0]) - one(0.0)).max()
    assert said[1] > 0.5
    assert said[10] < 0.1
    assert said[1000] < 0.001  # the vaguer the prior, the less: nothing comes from the counts


def test_events_in_everybody_are_information_on_a_risk_ratio():
    counts = [np.array([20]), np.array([22])], [np.array([20]), np.array([22])]
    for scale in (1, 10, 1000):
        (one,) = study_likelihoods("RR", *counts, Prior("normal", (-2, scale)))
        assert (one([-1.0, 1.0]) - one(0.0) < -19).all()


def test_every_step_has_the_studies_of_its_model(tmp_path):
    spec = section(tmp_path, MODELS | {"alone": {"likelihood": "binomial", "effects": "independent"}})
    data = ingest(spec)
    for model in spec.models:
        k = 6 if model in ("random", "beta") else 4
        given = stan_data(spec, model, data)
        assert given.data["K"] == k
        rng = np.random.default_rng(1)
        found = predictive(spec, model, data, posterior(spec, model, data, rng), rng)
        assert found.log_lik.shape[2] == k
        assert len(found.labels) == (k if model == "normal" else 2 * k)
        refit = left_out(spec, model, data)
        if refit is not None:
            assert refit(k - 1).data.data["K"] == k - 1
    assert stan_data(spec, "random", data).data["events_1"] == [3, 5, 0, 1, 9, 20]  # as they are


def test_models_of_different_studies_are_not_compared(tmp_path):
    spec = section(tmp_path, MODELS)
    data = ingest(spec)
    rng, loo = np.random.default_rng(1), {}
    for model in ("fixed", "random", "beta"):
        loo[model] = leave_one_out(predictive(spec, model, data, posterior(spec, model, data, rng), rng))
    table, notes = compare(loo)
    assert table["n"].tolist() == [4, 6, 6]
    assert table["elpd_diff"].isna().tolist() == [False, True, True]
    assert len(notes) >= 2
    assert "not comparable" in " ".join(notes)


def test_estimates_and_companions(tmp_path):
    spec = section(tmp_path, MODELS, cumulative="year")
    data, results = analysed(spec)
    assert len(data.tables["studies"]) == 6
    plain = ingest(section(tmp_path, MODELS, rows="".join(
        line + "\n" for line in ROWS.splitlines() if not line.startswith(("None", "All"))
    ), cumulative="year"))  # fmt: skip
    for model, result in results.items():
        studies = result.estimates["studies"]
        k = 6 if model in ("random", "beta") else 4
        assert len(studies) == 2 * k
        found = {c.name: c.frame for c in companions(spec, model, data, result.estimates)}
        again = companions(spec, model, plain, result.estimates) if k == 4 else []
        assert found["classical"]["k"].tolist() == [4] * 5  # classical methods have estimates of 4 studies
        assert found["leave_one_out_reml"]["study"].tolist() == BY_THEMSELVES
        assert found["cumulative"]["study"].tolist() == BY_THEMSELVES
        for companion in again:
            assert found[companion.name].equals(companion.frame), companion.name
    i2 = [results[m].estimates["pooled"].set_index("quantity").at["i2", "mean"] for m in ("fixed", "random")]
    assert i2[0] == pytest.approx(i2[1], rel=0.05)  # the typical variance is that of the four


def test_a_regression_and_subgroups_of_a_model_that_uses_more(tmp_path):
    prior = {"beta_prior": {"normal": [0, 1]}}
    random = MODELS["random"]
    models = {
        "plain": random,
        "slope": random | {"formula": "dose"} | prior,
        "groups": random | {"subgroups": "kind"},
    }
    kinds = dict(zip(ALL_SIX, "xyzxyz", strict=True))  # only studies without a contrast are of kind z
    lines = ROWS.splitlines()
    rows = f"{lines[0]},kind\n" + "".join(f"{line},{kinds[line.split(',')[0]]}\n" for line in lines[1:])
    spec = section(tmp_path, models, rows=rows, moderators=["dose", "kind"])
    data, results = analysed(spec)
    layout = design(spec, "slope", used_by(spec, "slope", data))
    assert layout.centres.tolist() == [3.5]
    found = {
        (model, c.name): c.frame
        for model in models
        for c in companions(spec, model, data, results[model].estimates)
    }
    assert found["slope", "meta_regression"]["term"].tolist() == ["intercept", "dose"]
    assert found["groups", "classical_subgroups"]["subgroup"].tolist() == ["x", "y"]
    assert results["groups"].estimates["subgroups"]["subgroup"].tolist()[:3] == ["x", "y", "z"]
    drawn = {figure.name for figure in figures(spec, data, results)}
    assert {"forest", "funnel", "bubble_slope_1", "forest_groups"} <= drawn
    for name in models:
        alone = {name: results[name]}
        assert {"forest", "funnel"} <= {figure.name for figure in figures(spec, data, alone)}


def test_figures_of_models_with_different_studies(tmp_path):
    models = MODELS | {"alone": {"likelihood": "binomial", "effects": "independent"}}
    models["together"] = {"likelihood": "binomial", "baseline": "random", "effects": "common"}
    spec = section(tmp_path, models)
    data, results = analysed(spec)
    made = {figure.name: figure for figure in figures(spec, data, results)}
    assert "Forest plot of 4 studies" in made["forest"].alt
    assert "pooling of 4 studies" in made["pooling"].alt
    assert "Studies that only some models use are not drawn." in made["pooling"].caption
    first = dict(sorted(results.items(), key=lambda pair: pair[0] != "random"))
    made = {figure.name: figure for figure in figures(spec, data, first)}
    assert "Forest plot of 6 studies" in made["forest"].alt
    assert "Funnel plot of 4 studies" in made["funnel"].alt
    assert "L'Abbé plot of 6 studies" in made["labbe"].alt


def test_what_is_said(tmp_path):
    spec = section(tmp_path, MODELS)
    data, results = analysed(spec)
    assert data.exclusions["id"].tolist() == ["None", "All"]
    assert set(data.exclusions["reason"]) == {
        f"{kind}: says nothing of a ratio by itself, and is left out of models with the normal likelihood or "
        "with a baseline of its own for each study"
        for kind in ("no events in either arm", "events only in both arms")
    }
    text = words(describe(spec, data))
    assert "6 studies are analysed, from 6 rows" in text
    assert (
        "None: no events in either arm. Used by models random and beta, which can tell from the other "
        "studies how many events were to be expected. Left out of models normal and fixed: the normal "
        "likelihood takes each study's own estimate, and such a study has none; where each study has a "
        "baseline of its own, all that such a study says of the odds ratio comes from the prior of its "
        "baseline." in text
    )
    assert "The pooled odds ratio over 4 studies is" in words(findings(spec, data, results))
    assert words(methods(spec, "random", data))
    items = words(checklists(spec, data, results, []))
    assert "6 studies entered, from 6 rows of " in items
    assert "2 studies entered some of the models only, as told under Data." in items
    assert "left out because" not in items


def test_what_is_said_where_no_model_uses_them(tmp_path):
    spec = section(tmp_path, {"normal": {}})
    data = ingest(spec)
    assert used_by_any(spec, data).facts["n_studies"] == 4
    text = words(describe(spec, data))
    assert "4 studies are analysed, from 6 rows" in text
    assert "None: no events in either arm. Left out of all models: the normal likelihood takes" in text
    assert "A model with `likelihood: binomial` and `baseline: random` can use such studies" in text
    spec = section(tmp_path, {"normal": {}}, "PETO")
    data = ingest(spec)
    assert data.tables["studies"]["study"].tolist() == BY_THEMSELVES
    assert data.exclusions["reason"].tolist()[0] == (
        "no events in either arm: says nothing of a ratio, and is left out of all models"
    )
    assert "None, All: without events in both arms, or with events only" in words(describe(spec, data))


def test_facts_are_those_of_the_studies_in_use(tmp_path):
    spec = section(tmp_path, MODELS, moderators=["dose"])
    data = ingest(spec)
    assert data.facts["n_studies"] == 6
    assert data.facts["corrected"] == ["None", "All"]
    normal = used_by(spec, "normal", data)
    assert normal.facts["totals"] == {"events_1": 18, "total_1": 480, "events_2": 40, "total_2": 489}
    assert (normal.facts["n_studies"], normal.facts["few_studies"]) == (4, True)
    assert normal.facts["moderators"]["dose"]["highest"] == 5
    assert normal.facts["corrected"] == []
    assert normal.tables["moderators"]["dose"].tolist() == [1, 2, 4, 5]
    folder = tmp_path / "data"
    folder.mkdir()
    write_dataset(data, {}, folder)
    assert names(spec, "normal", read_dataset(folder)) == BY_THEMSELVES


def test_two_studies_with_a_contrast_are_needed(tmp_path):
    rows = "trial,e1,n1,e2,n2\nA,3,100,9,100\nB,0,120,0,118\nC,0,9,0,8\n"
    with pytest.raises(InputError) as caught:
        ingest(section(tmp_path, {"random": MODELS["random"]}, rows=rows))
    assert "only 1 study can be used" in str(caught.value)


def test_a_kind_of_study_that_is_used_by_all():
    spec = parse_analysis(
        {"family": "meta", "data": "x", "study": "s", "measure": "OR", "columns": COUNTS, "models": MODELS}
    )
    assert all(uses(spec, model, "") for model in MODELS)
