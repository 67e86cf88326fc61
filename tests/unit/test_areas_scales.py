"""Prevalences, means and overdispersed counts: models in arrays, priors, words and figures."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import binom
from shapely.geometry import box

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import Dataset, Equation, ModelResult, ReportTable
from poolmap.errors import InputError
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.families.areas.expected import mean_interval, proportion_interval
from poolmap.families.areas.figures import figures
from poolmap.families.areas.methods import describe, findings, methods
from poolmap.families.areas.model import map_model, stan_data
from poolmap.families.areas.priors import priors_in_force
from poolmap.families.areas.scales import SCALES, form, thresholds
from poolmap.graph.graph import Graph
from poolmap.inference.predictive import leave_one_out, predictive_statistics, summarise_predictive
from poolmap.inference.summary import dictionary, summarise
from poolmap.tables import exclusions

N = 6
KEPT = {"poisson": [], "negative_binomial": ["dispersion"], "zero_inflated_poisson": ["zero"]}
KEPT |= {"binomial": [], "beta_binomial": ["dispersion"], "normal": []}


def _spec(likelihood, prior="iid", model=None, **keys):
    outcome = {"cases": "y", "population": "n"}
    if likelihood == "normal":
        outcome = {"estimate": "y", "se": "s"}
    section = {
        "family": "areas",
        "data": "a.csv",
        "geometry": "a.gpkg",
        "area": "id",
        "interval": 0.95,
        "outcome": outcome,
        "cases_name": "sick children",
        "estimate_name": "income",
        "models": {"m": {"likelihood": likelihood, "prior": prior} | (model or {})},
    }
    return AreasAnalysis.model_validate(section | keys)


def _data(likelihood, suppressed=False, covariate=False):
    areas = pd.DataFrame({"area": list("abcdef"), "name": [f"area {k}" for k in "ABCDEF"]})
    facts = {"areas": N, "geometry": [], "strata": [], "suppressed": [], "zeros": 1}
    if likelihood == "normal":
        areas["estimate"], areas["se"] = [210.0, 250, np.nan, 265, 240, 235], [9.0, 4, np.nan, 12, 7, 8]
        facts |= {"overall": 240.0, "without_estimate": ["c"]}
    else:
        areas["cases"] = [0, 2, np.nan, 8, 5, 3]
        if suppressed:
            areas.loc[1, "cases"] = np.nan
            areas["at_least"], areas["at_most"] = areas["cases"], areas["cases"]
            areas.loc[1, ["at_least", "at_most"]] = [1, 4]
            facts |= {
                "suppressed": ["b"],
                "suppressed_rows": [{"mark": "<5", "at_least": 0, "at_most": 4, "rows": 1}],
            }
        areas["population"] = [10.0, 30, 20, 60, 40, 50]
        facts |= {"cases": 18.0, "without_cases": ["c"], "without_population": [], "overall": 0.09}
        if likelihood in ("binomial", "beta_binomial"):
            areas["proportion"] = areas["cases"] / areas["population"]
        else:
            areas["expected"] = areas["population"] / 10
            areas["sir"] = areas["cases"] / areas["expected"]
            facts |= {"expected": 19.0, "reference_rates": [{"stratum": "", "rate": 0.1}]}
    covariates = areas[["area"]].copy()
    if covariate:
        covariates["x"] = np.linspace(-1, 1, N)
    frame = gpd.GeoDataFrame(
        {"area": areas["area"]}, geometry=[box(i, 50, i + 1, 51) for i in range(N)], crs="EPSG:4326"
    )
    graph = Graph.from_edges("abcdef", [(i, i + 1) for i in range(N - 2)], "queen")
    return Dataset({"areas": areas, "covariates": covariates}, exclusions(), facts, frame, graph)


def _draws(likelihood, covariate=False, seed=1):
    import xarray

    rng = np.random.default_rng(seed)
    middle, scale = (240, 8) if likelihood == "normal" else (0, 0.3)
    if likelihood in ("binomial", "beta_binomial"):
        middle = -2
    values = {
        "alpha": (("chain", "draw"), rng.normal(middle, scale / 3, (2, 50))),
        "sigma": (("chain", "draw"), scale * rng.uniform(0.5, 1.5, (2, 50))),
        "re": (("chain", "draw", "i"), rng.normal(0, scale, (2, 50, N))),
    }
    for name in KEPT[likelihood]:
        values[name] = (("chain", "draw", "one"), rng.uniform(0.05, 0.2, (2, 50, 1)))
    if covariate:
        values["beta"] = (("chain", "draw", "k"), rng.normal(0, scale, (2, 50, 1)))
    return xarray.Dataset(values)


def _result(spec, data, draws):
    quantities = estimate(spec, "m", data, draws, None)
    told = predictive(spec, "m", data, draws, np.random.default_rng(1))
    return ModelResult(
        "m",
        summarise(quantities, 0.95),
        dictionary(quantities, 0.95),
        {"passed": True},
        summarise_predictive(told, 0.95),
        predictive_statistics(told, 0.95),
        told.value,
    )


@pytest.mark.parametrize("likelihood", list(KEPT))
def test_every_likelihood_from_draws_to_words_and_figures(likelihood):
    spec = _spec(likelihood)
    data = _data(likelihood, covariate=True)
    draws = _draws(likelihood, covariate=True)
    result = _result(spec, data, draws)
    scale = SCALES[spec.scale]
    table = result.estimates["areas"]
    assert (table["quantity"] == scale.quantity).sum() == N
    eta = draws["re"].to_numpy() + draws["alpha"].to_numpy()[..., None]
    eta = eta + draws["beta"].to_numpy() * np.linspace(-1, 1, N)
    value = {"rr": np.exp(eta), "prevalence": 1 / (1 + np.exp(-eta)), "mean": eta}[spec.scale]
    first = table[table["quantity"] == scale.quantity]
    assert first["mean"].to_numpy() == pytest.approx(value.mean(axis=(0, 1)))
    threshold = thresholds(spec, data)[0]
    column = f"p_{scale.quantity}_gt_{threshold:g}"
    assert first[column].to_numpy() == pytest.approx((value > threshold).mean(axis=(0, 1)))
    names = result.estimates["parameters"]["quantity"].tolist()
    ratio = {"rr": ["rate_ratio"], "prevalence": ["odds_ratio"], "mean": []}[spec.scale]
    own = {
        "negative_binomial": ["dispersion"],
        "beta_binomial": ["icc"],
        "zero_inflated_poisson": ["zero_inflation"],
    }
    assert names == ["alpha", "beta", *ratio, "sigma", *own.get(likelihood, [])]
    assert set(result.dictionary["tables"]["areas"]["quantities"]) == set(table["quantity"])

    told = methods(spec, "m", data)
    assert any(isinstance(block, Equation) for block in told) and "Priors: alpha ~ " in told[-1]
    text = " ".join(
        b for b in describe(spec, data) + findings(spec, data, {"m": result}) if isinstance(b, str)
    )
    assert f"The {scale.noun} is highest in" in text and "area C" in text
    assert "{" not in text and "nan" not in text
    about = {
        "rr": "A relative risk of 1 is",
        "prevalence": "9% is the prevalence",
        "mean": "240 is the median",
    }
    assert about[spec.scale] in text
    listed = next(b for b in findings(spec, data, {"m": result}) if isinstance(b, ReportTable))
    assert len(listed.frame) == N and (listed.frame[scale.raw_symbol] == "").sum() == 1
    drawn = figures(spec, data, {"m": result})
    assert [f.name for f in drawn] == ["maps", "ranked", "graph"]
    for figure in drawn:
        figure.figure.draw_without_rendering()
        assert "nan" not in figure.alt + figure.caption


def test_the_rate_is_that_of_the_population_and_takes_structural_zeros_in():
    for likelihood in ("poisson", "zero_inflated_poisson"):
        spec, data, draws = _spec(likelihood), _data(likelihood), _draws(likelihood)
        data.tables["areas"].loc[5, ["population", "expected"]] = 0.0
        found = {q.quantity: q for q in estimate(spec, "m", data, draws, None) if q.table == "areas"}
        assert list(found) == ["rr", "log_rr", "rate"]
        assert found["rate"].keys["area"].tolist() == list("abcde")
        zero = draws["zero"].to_numpy() if "zero" in draws else 0.0
        want = found["rr"].draws[:, :, :5] * (1 - zero) * 0.1 * 100_000
        assert found["rate"].draws == pytest.approx(want)
        assert np.exp(found["log_rr"].draws) == pytest.approx(found["rr"].draws)


def test_directly_standardised_rates_stand_beside_the_ratios():
    spec, data = _spec("poisson"), _data("poisson")
    areas = data.tables["areas"]
    areas["direct_rate"] = [0.0, 0.07, np.nan, 0.13, 0.12, 0.06]
    areas["direct_variance"] = areas["direct_rate"] / areas["population"]
    areas["direct_largest"] = 1 / areas["population"]
    result = _result(spec, data, _draws("poisson"))
    table = result.estimates["areas"].query("quantity == 'rr'").set_index("area")
    assert table["direct_rate"]["b"] == pytest.approx(7000)
    low, high = table.loc["b", ["direct_rate_lower", "direct_rate_upper"]]
    assert 0 < low < 7000 < high and table["direct_rate_lower"]["a"] == 0
    shown = next(b for b in findings(spec, data, {"m": result}) if isinstance(b, ReportTable))
    assert shown.frame.set_index("area").at["area B", "direct rate"] == "7,000"
    assert shown.frame.set_index("area").at["area C", "direct rate"] == ""
    assert "Fay and Feuer" in shown.caption


@pytest.mark.parametrize("likelihood", [name for name in KEPT if name != "normal"])
def test_a_suppressed_count_is_in_the_likelihood_but_not_among_the_replicates(likelihood):
    spec, draws = _spec(likelihood), _draws(likelihood)
    data = _data(likelihood, suppressed=True)
    told = predictive(spec, "m", data, draws, np.random.default_rng(1))
    assert told.labels == ["area A", "area D", "area E", "area F"]
    assert told.observed.tolist() == [0, 8, 5, 3] and told.replicated.shape == (2, 50, 4)
    assert told.log_lik.shape == (2, 50, 5)
    probability = 0
    for y in range(1, 5):
        exact = _data(likelihood, suppressed=True)
        exact.tables["areas"].loc[1, ["at_least", "at_most"]] = y
        known = predictive(spec, "m", exact, draws, np.random.default_rng(1))
        probability = probability + np.exp(known.log_lik[:, :, 1])
    assert np.exp(told.log_lik[:, :, 1]) == pytest.approx(probability)
    assert len(leave_one_out(told)["elpd"]) == 5
    values = stan_data(spec, "m", data).data
    assert (values["N_exact"], values["N_censored"]) == (4, 1)
    assert values["at_least"].tolist() == [1] and values["at_most"].tolist() == [4]


@pytest.mark.parametrize("likelihood", ["poisson", "binomial"])
def test_where_all_counts_are_ranges_there_is_nothing_to_replicate(likelihood):
    spec, data = _spec(likelihood), _data(likelihood, suppressed=True)
    areas = data.tables["areas"]
    areas["at_most"] += 2
    areas[["cases", SCALES[spec.scale].raw]] = np.nan
    draws = _draws(likelihood)
    told = predictive(spec, "m", data, draws, np.random.default_rng(1))
    assert told.replicated.shape == (2, 50, 0) and told.log_lik.shape == (2, 50, 5)
    assert summarise_predictive(told, 0.95).empty and predictive_statistics(told, 0.95).empty
    assert len(leave_one_out(told)["elpd"]) == 5
    result = _result(spec, data, draws)
    text = " ".join(b for b in describe(spec, data) if isinstance(b, str))
    assert "nan" not in text + figures(spec, data, {"m": result})[0].alt


def test_suppressed_counts_are_told_and_listed():
    spec, data = _spec("poisson"), _data("poisson", suppressed=True)
    text = " ".join(b for b in describe(spec, data) if isinstance(b, str))
    assert "The count of 1 area is suppressed: area B." in text and "'<5' (1 count) for 0 to 4" in text
    assert "range: [1, 4]" in text
    assert "interval censoring" in " ".join(b for b in methods(spec, "m", data) if isinstance(b, str))
    result = _result(spec, data, _draws("poisson"))
    table = next(b for b in findings(spec, data, {"m": result}) if isinstance(b, ReportTable))
    assert table.frame.set_index("area").at["area B", "cases"] == "1 to 4 (suppressed)"
    maps = figures(spec, data, {"m": result})[0].figure
    assert [t.get_text() for t in maps.legends[0].get_texts()][-1].startswith("no or suppressed")


@pytest.mark.parametrize("prior", ["bym2", "icar", "leroux", "car"])
def test_a_structured_model_of_islands_only_is_refused(prior):
    spec, data = _spec("poisson", prior), _data("poisson")
    data.graph = Graph.from_edges("abcdef", [], "queen")
    with pytest.raises(InputError) as caught:
        stan_data(spec, "m", data)
    text = str(caught.value)
    assert "models.m.prior" in text and "no two areas are neighbours" in text and "write prior: iid" in text
    assert stan_data(_spec("poisson"), "m", data).data["N_field"] == 0


def test_default_priors_of_direct_estimates_follow_their_unit():
    data = _data("normal", covariate=True)
    priors = priors_in_force(_spec("normal"), "m", data)
    sd = data.tables["areas"]["estimate"].std()
    assert priors["sigma"].parameters == (float(f"{sd:.2g}"),)
    assert priors["alpha"].parameters[0] == pytest.approx(240, abs=0.1 * sd)
    assert priors["alpha"].parameters[1] == pytest.approx(10 * sd, rel=0.05)
    assert priors["beta"].parameters[1] == pytest.approx(10 * sd / np.linspace(-1, 1, N).std(), rel=0.05)
    own = _spec("normal", model={"alpha_prior": {"normal": [0, 1]}, "sigma_prior": {"half_normal": 2}})
    priors = priors_in_force(own, "m", data)
    assert priors["alpha"].parameters == (0, 1) and priors["sigma"].parameters == (2,)
    told = methods(own, "m", data)[-1]
    assert "Those of beta were not given" in told
    thousand = _data("normal")
    thousand.tables["areas"][["estimate", "se"]] *= 1000
    assert priors_in_force(_spec("normal"), "m", thousand)["sigma"].parameters[0] == pytest.approx(
        1000 * priors_in_force(_spec("normal"), "m", _data("normal"))["sigma"].parameters[0]
    )


def test_priors_reach_the_program():
    own = {"likelihood": "negative_binomial", "dispersion_prior": {"exponential": 3}}
    values = map_model(_spec("negative_binomial", model=own), "m", _data("negative_binomial")).priors
    assert values["dispersion_prior_family"] == 4 and values["dispersion_prior"][0] == 3
    values = map_model(_spec("beta_binomial"), "m", _data("beta_binomial")).priors
    assert (values["dispersion_prior_family"], values["dispersion_prior"][:2]) == (5, [1, 9])
    own = {"zero_inflation_prior": {"beta": [2, 7]}}
    values = map_model(_spec("zero_inflated_poisson", model=own), "m", _data("poisson")).priors
    assert values["zero_prior"][:2] == [2, 7]


def test_numbers_show_two_digits_of_their_interval():
    assert form(SCALES["rr"], [0.1], [0.2])(1.23456) == "1.23"
    assert form(SCALES["prevalence"], [0.1], [0.3])(0.1234) == "12.3%"
    assert form(SCALES["prevalence"], [0.00012], [0.00015])(0.0001234) == "0.0123%"
    assert form(SCALES["mean"], [210], [250])(234.56) == "235"
    assert form(SCALES["mean"], [0.12], [0.34])(0.23456) == "0.23"


def test_the_legend_of_rare_cases_has_digits():
    spec, data, draws = _spec("binomial"), _data("binomial"), _draws("binomial")
    draws["alpha"] = draws["alpha"] - 4
    named = {f.name: f.figure for f in figures(spec, data, {"m": _result(spec, data, draws)})}
    bars = [axes for axes in named["maps"].axes if axes.get_xlabel().startswith(("share of", "width of"))]
    assert len(bars) == 2
    for bar in bars:
        labels = [tick.get_text() for tick in bar.get_xticklabels()]
        assert len(set(labels)) == len(labels) == 4 and all(label.endswith("%") for label in labels)
    assert min(named["ranked"].axes[0].get_yticks()) >= 0


def test_a_small_parameter_is_not_written_as_zero():
    spec, data, draws = _spec("beta_binomial"), _data("beta_binomial"), _draws("beta_binomial")
    draws["dispersion"] = draws["dispersion"] / 1000
    blocks = findings(spec, data, {"m": _result(spec, data, draws)})
    rows = next(b for b in blocks if isinstance(b, ReportTable) and "parameter" in b.frame).frame
    shown = rows.set_index("parameter").loc["icc"]
    assert float(shown["mean"]) == pytest.approx(float(draws["dispersion"].mean()), rel=0.05)
    assert rows.set_index("parameter").at["alpha", "mean"].count(".") == 1


def test_clopper_pearson_cuts_off_the_tails():
    lower, upper = proportion_interval([3, 0, 10, np.nan, 0], [10, 10, 10, 10, 0], 0.95)
    assert binom.sf(2, 10, lower[0]) == pytest.approx(0.025)
    assert binom.cdf(3, 10, upper[0]) == pytest.approx(0.025)
    assert lower[1] == 0 and upper[1] == pytest.approx(1 - 0.025**0.1)
    assert lower[2] == pytest.approx(beta_distribution.ppf(0.025, 10, 1)) and upper[2] == 1
    assert np.isnan(lower[3:]).all() and np.isnan(upper[3:]).all()
    assert mean_interval([2.0], [1.0], 0.95)[1][0] == pytest.approx(3.959964)
