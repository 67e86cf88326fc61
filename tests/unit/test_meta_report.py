"""Estimates, figures and report text of a meta-analysis, from draws that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from poolmap.config.load import parse_analysis
from poolmap.contracts import EVERY_MODEL, Equation, ModelResult, ReportTable
from poolmap.families.meta.estimate import estimate, predictive
from poolmap.families.meta.figures import figures
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.methods import describe, findings, methods
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.posterior import study_effects
from poolmap.families.meta.usable import used_by
from poolmap.inference.summary import dictionary, summarise

ROWS = """trial,e1,n1,e2,n2,year
Åberg 1990,4,123,11,139,1990
Zero 1995,0,116,3,117,1995
None 1996,0,50,0,60,1996
Lost 1997,,50,1,60,1997
<b>&Co $5 $x 2001,12,300,29,303,2001
"""


def section(tmp_path, **more):
    path = tmp_path / "trials.csv"
    path.write_text(ROWS, encoding="utf-8")
    view = {
        "family": "meta",
        "data": str(path),
        "study": "trial",
        "measure": "RR",
        "columns": {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"},
        "arms": ["Drug", "Placebo"],
        "interval": 0.9,
        "models": {
            "normal": {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}},
            "counts": {"likelihood": "binomial", "tau_prior": {"exponential": 2}},
        },
    }
    return parse_analysis(view | more)


def posterior(likelihood, k, rng):
    mu, tau = rng.normal(-0.7, 0.3, (2, 500)), abs(rng.normal(0, 0.4, (2, 500))) + 1e-3
    draws = {
        "beta": (("chain", "draw", "mean"), mu[..., None]),
        "tau": (("chain", "draw", "group"), tau[..., None]),
    }
    if likelihood == "binomial":
        theta = mu[..., None] + tau[..., None] * rng.standard_normal((2, 500, k))
        draws["theta"] = (("chain", "draw", "study"), theta)
        draws["baseline"] = (("chain", "draw", "study"), rng.normal(-2.5, 0.1, (2, 500, k)))
    return xarray.Dataset(draws)


def analysed(spec, *, passed=True):
    data = ingest(spec)
    results = {}
    for name, model in spec.models.items():
        rng = np.random.default_rng(1)
        draws = posterior(model.likelihood, len(used_by(spec, name, data).tables["studies"]), rng)
        quantities = estimate(spec, name, data, draws, rng)
        tables = summarise(quantities, spec.interval)
        results[name] = ModelResult(
            name, tables, dictionary(quantities, spec.interval), {"passed": passed}, None, None, ""
        )
    return data, results


def words(blocks):
    parts = []
    for block in blocks:
        if isinstance(block, ReportTable):
            parts += [block.caption, block.frame.to_string()]
        else:
            parts.append(block.words if isinstance(block, Equation) else block)
    return "\n".join(parts)


def test_quantities(tmp_path):
    _, results = analysed(section(tmp_path))
    pooled = results["normal"].estimates["pooled"].set_index("quantity")
    assert list(pooled.index) == ["log_rr", "rr", "log_rr_new", "rr_new", "tau", "i2"]
    for column in ("median", "lower", "upper"):
        assert pooled.at["rr", column] == pytest.approx(np.exp(pooled.at["log_rr", column]), rel=1e-3)
    assert pooled.at["log_rr_new", "sd"] > pooled.at["log_rr", "sd"]
    assert pooled.loc[["rr", "log_rr"], "p_lt_null"].nunique() == 1
    assert pooled.loc["log_rr", ["p_lt_null", "p_gt_null"]].sum() == pytest.approx(1)
    studies = results["normal"].estimates["studies"]
    assert studies["quantity"].tolist() == ["log_rr"] * 3 + ["rr"] * 3
    assert studies["study"].tolist() == ["Åberg 1990", "Zero 1995", "<b>&Co $5 $x 2001"] * 2
    own = studies[studies["quantity"] == "rr"].iloc[0]
    # 4/123 v 11/139 at 90 %: exp(-0.8893 -/+ 1.6449 x 0.5706)
    assert [own["raw"], own["raw_lower"], own["raw_upper"]] == pytest.approx(
        [0.4109, 0.1608, 1.0504], abs=1e-4
    )
    assert studies["weight"][:3].sum() == pytest.approx(100)
    assert "shrinkage" not in results["counts"].estimates["studies"]


@pytest.mark.parametrize(
    ("measure", "names"), [("OR", {"log_or", "or"}), ("RD", {"rd"}), ("RR", {"log_rr", "rr"})]
)
def test_names_by_measure(tmp_path, measure, names):
    spec = section(tmp_path, measure=measure, models={"m": {}})
    _, results = analysed(spec)
    found = set(results["m"].estimates["pooled"]["quantity"])
    assert found == names | {f"{name}_new" for name in names} | {"tau", "i2"}


def test_the_fit_step_does_not_know_the_level(tmp_path):
    spec = section(tmp_path)
    partial = parse_analysis(spec.view("fit", "normal"))
    data = ingest(spec)
    draws = posterior("normal", 3, np.random.default_rng(1))
    assert len(estimate(partial, "normal", data, draws, np.random.default_rng(1))) == 8


def test_study_effects_given_mu_and_tau(tmp_path):
    spec = section(tmp_path)
    data = ingest(spec)
    studies = used_by(spec, "normal", data).tables["studies"]
    shape = (4, 20000, 1)
    for tau in (1e-9, 0.4, 1e4):
        draws = xarray.Dataset(
            {
                "beta": (("chain", "draw", "mean"), np.full(shape, -0.5)),
                "tau": (("chain", "draw", "group"), np.full(shape, tau)),
            }
        )
        effects = study_effects(spec, "normal", data, draws, np.random.default_rng(1))
        theta = effects.theta.reshape(-1, 3)
        b = studies["vi"] / (studies["vi"] + tau**2)
        mean, sd = b * -0.5 + (1 - b) * studies["yi"], np.sqrt((1 - b) * studies["vi"])
        error = np.maximum(sd / np.sqrt(80000), 1e-12)
        assert (abs(theta.mean(axis=0) - mean) < 4 * error + 1e-9).all()
        assert theta.std(axis=0) == pytest.approx(sd, rel=0.02, abs=1e-8)


def test_predictive_of_the_normal_likelihood(tmp_path):
    from scipy import stats

    spec = section(tmp_path)
    data = ingest(spec)
    draws = posterior("normal", 3, np.random.default_rng(2))
    item = predictive(spec, "normal", data, draws, np.random.default_rng(3))
    studies = used_by(spec, "normal", data).tables["studies"]
    spread = np.sqrt(studies["vi"].to_numpy() + draws["tau"].values ** 2)
    expected = stats.norm.logpdf(studies["yi"].to_numpy(), draws["beta"].values, spread)
    assert item.log_lik == pytest.approx(expected)
    assert item.replicated.shape == expected.shape == (2, 500, 3)
    z = (item.replicated - draws["beta"].values) / spread
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))


@pytest.mark.parametrize("measure", ["RR", "OR"])
def test_predictive_counts(tmp_path, measure):
    spec = section(tmp_path, measure=measure)
    data = ingest(spec)
    item = predictive(
        spec, "counts", data, posterior("binomial", 3, np.random.default_rng(2)), np.random.default_rng(3)
    )
    assert item.labels[0] == "Åberg 1990, arm 1"
    assert item.labels[-1] == "<b>&Co $5 $x 2001, arm 2"
    assert item.observed.tolist() == [4, 0, 12, 11, 3, 29]
    assert item.log_lik.shape == (2, 500, 3)
    baseline = np.exp(-2.5) if measure == "RR" else 1 / (1 + np.exp(2.5))
    assert item.replicated[..., 5].mean() == pytest.approx(303 * baseline, rel=0.02)


def test_stan_data(tmp_path):
    spec = section(tmp_path)
    data = ingest(spec)
    normal, counts = (stan_data(spec, name, data) for name in ("normal", "counts"))
    assert normal.data["K"] == 3
    assert normal.data["y"][0] == pytest.approx(-0.88931133392)
    assert normal.data["mu_prior"] == [0, 1, 0]
    assert counts.data["events_1"] == [4, 0, 12]
    assert counts.data["tau_prior_family"] == 4
    assert counts.data["baseline_prior"] == [0, 10, 0]
    assert counts.data["link"] == 2


def test_describe_names_what_was_left_out_and_corrected(tmp_path):
    spec = section(tmp_path)
    text = words(describe(spec, ingest(spec)))
    assert "3 studies are analysed, from 5 rows" in text
    assert "Left out: 1 row (Lost 1997: no value in 'e1')" in text
    assert "Lost 1997: no value in 'e1'" in text
    assert "None 1996: no events in either arm. Left out of all models: the normal likelihood takes" in text
    assert "a baseline of its own, all that such a study says of the risk ratio comes from the prior" in text
    assert "A model with `likelihood: binomial` and `baseline: random` can use such studies" in text
    assert "0.5 was added to all four cells of Zero 1995" in text
    assert "The exact likelihoods use the counts as they are." in text
    assert "16 events among 539 people in the arm Drug" in text
    for part in ("year", "2001", "0 / 116", "0.41 (0.16 to 1.05)"):
        assert part in text


def test_methods_state_the_priors_in_force(tmp_path):
    spec = section(tmp_path)
    data = ingest(spec)
    normal, counts = (words(methods(spec, name, data)) for name in ("normal", "counts"))
    assert (
        "mu ~ normal(0, 1) on the log risk ratio (95% of its mass on a risk ratio of 0.14 to 7.10)" in normal
    )
    assert "tau ~ half-normal(0.5) (half its mass below 0.34, 95% below 0.98)" in normal
    assert "binomial" not in normal
    assert "mu ~ normal(0, 2.82)" in counts  # the default
    assert "tau ~ exponential(2) (half its mass below 0.35, 95% below 1.5)" in counts
    assert "each baseline ~ normal(0, 10)" in counts
    assert "Risks stay below 1" in counts
    assert "central 90% posterior intervals" in normal


def test_findings(tmp_path):
    spec = section(tmp_path)
    data, results = analysed(spec)
    blocks = findings(spec, data, results)
    rr = results["normal"].estimates["pooled"].set_index("quantity").loc["rr"]
    headline = f"{rr['median']:.2f} (90% interval {rr['lower']:.2f} to {rr['upper']:.2f})"
    assert blocks[0].startswith(f"The pooled risk ratio over 3 studies is {headline}.")
    assert "90% prediction interval" in blocks[1]
    tables = [block for block in blocks if isinstance(block, ReportTable)]
    assert list(tables[0].frame.columns) == ["Quantity", "normal", "counts"]
    rows = tables[0].frame.set_index("Quantity")
    assert rows.at["Pooled risk ratio", "normal"] == headline.replace("90% interval ", "")
    assert rows.loc["What it is"].tolist() == [
        "random effects, normal likelihood",
        "random effects, exact binomial likelihood",
    ]
    assert [table.model for table in tables] == [EVERY_MODEL, "normal", "counts"]
    assert [len(table.frame) for table in tables[1:]] == [3, 3]


def test_figures(tmp_path):
    spec = section(tmp_path, favours=["drug better", "placebo better"])
    forest, *of_studies, models = figures(spec, *analysed(spec))
    assert [figure.name for figure in of_studies] == ["funnel", "baujat", "galbraith", "labbe"]
    assert (forest.name, forest.model) == ("forest", "normal")
    shown = [text.get_text() for text in forest.figure.texts]
    for part in (
        "Drug\nevents / total",
        "4 / 123",
        "RR (90% interval)",
        "← drug better",
        "0.41 (0.16 to 1.05)",
    ):
        assert part in shown
    assert any(text.startswith("Heterogeneity (90% intervals): τ ") and "I² " in text for text in shown)
    assert "0.5 added" in forest.caption
    assert "3 studies" in forest.alt
    assert [axes.get_xscale() for axes in models.figure.axes] == ["log", "log", "linear"]
    assert [label.get_text() for label in models.figure.axes[0].get_yticklabels()] == [
        "normal\nnormal likelihood",
        "counts\nbinomial likelihood",
    ]
    assert "normal 0." in models.alt


def test_a_failed_model_is_named_in_the_comparison(tmp_path):
    spec = section(tmp_path)
    *_, models = figures(spec, *analysed(spec, passed=False))
    assert "Do not use: normal, counts" in models.caption


def test_one_model_and_a_difference(tmp_path):
    spec = section(tmp_path, measure="RD", models={"m": {}}, effect="difference in risk")
    data, results = analysed(spec)
    forest, *_ = figures(spec, data, results)
    assert forest.figure.axes[0].get_xscale() == "linear"
    assert forest.figure.axes[0].get_xlabel() == "difference in risk"
    assert len(data.tables["studies"]) == 4
    text = words(findings(spec, data, results))
    assert "The pooled difference in risk over 4 studies" in text
    assert "below 0 is" in text


def test_a_dollar_sign_is_no_formula(tmp_path):
    from poolmap.figures.style import save_figure

    spec = section(tmp_path, effect="saving in $ per $100 spent")
    for figure in figures(spec, *analysed(spec)):
        save_figure(figure.figure, tmp_path / figure.name)
        assert (tmp_path / f"{figure.name}.svg").stat().st_size > 1000
