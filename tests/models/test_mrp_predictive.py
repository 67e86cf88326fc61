"""Replicates and log likelihoods of many cells: in blocks, thinned, of some cells; every kind of outcome."""

import numpy as np
import pandas as pd
import pytest
import xarray
from mrp_data import analysis, dataset
from scipy import stats

from poolmap.families.mrp.left_out import by_level
from poolmap.families.mrp.model import describe_model, kind_of
from poolmap.families.mrp.predictive import predictive
from poolmap.inference.predictive import predicted_without

LEVELS = ["x", "y", "z"]
KINDS = {
    "binary": ({"positive": 1}, {}),
    "continuous": ({"kind": "continuous"}, {}),
    "count": ({"kind": "count"}, {"likelihood": "poisson"}),
    "negative_binomial": ({"kind": "count"}, {"likelihood": "negative_binomial"}),
    "ordered": ({"kind": "ordered", "levels": LEVELS}, {}),
    "categorical": ({"kind": "categorical", "levels": LEVELS}, {}),
}
CHAINS, DRAWS = 4, 50


def made(kind):
    """Twelve groups of about ten respondents in two ages, and draws as they may be."""
    rng = np.random.default_rng(7)
    outcome, settings = KINDS[kind]
    spec = analysis("y ~ 1 + (1 | g) + (1 | age)", {"main": settings}, outcome, leave_out="g")
    n = 120
    survey = pd.DataFrame({"g": rng.choice(list("abcdefghijkl"), n), "age": rng.choice(["old", "young"], n)})
    high = {"binary": 2, "ordered": 3, "categorical": 3}.get(kind, 6)
    survey["y"] = rng.normal(50, 9, n) if kind == "continuous" else rng.integers(0, high, n)
    census = survey[["g", "age"]].drop_duplicates().assign(count=10.0)
    data = dataset(spec, survey, census, answers=3 if high == 3 else 0)
    assert kind_of(spec, "main") == kind
    layout = describe_model(spec, "main", data).arrays.layout

    def normal(*size):
        return rng.normal(0, 0.4, (CHAINS, DRAWS, *size))

    draws = {"alpha": normal(layout.E), "effect": normal(layout.E * layout.effects)}
    draws |= {"residual_sd": 1 + normal(1) ** 2, "dispersion": 0.1 + normal(1) ** 2}
    draws["cutpoints"] = np.sort(normal(2), axis=-1)
    names = {name: ("chain", "draw", name + "_at") for name in draws}
    return spec, data, xarray.Dataset({name: (names[name], values) for name, values in draws.items()})


@pytest.mark.parametrize("kind", list(KINDS))
def test_many_cells_are_told_from_fewer_draws(kind, monkeypatch):
    spec, data, draws = made(kind)
    whole = predictive(spec, "main", data, draws, np.random.default_rng(1))
    assert whole.replicated_draws is None
    monkeypatch.setattr("poolmap.families.mrp.predictive.LARGE", 0)
    monkeypatch.setattr("poolmap.families.mrp.predictive.REPLICATES", 40)
    # gamma and Poisson numbers follow each other block by block
    monkeypatch.setattr("poolmap.families.mrp.predictive.AT_ONCE", 10**6 if "neg" in kind else 333)
    found = predictive(spec, "main", data, draws, np.random.default_rng(1))
    assert found.log_lik.dtype == np.float32
    np.testing.assert_allclose(found.log_lik, whole.log_lik, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.observed, whole.observed)
    assert found.replicated_draws.tolist() == [0, 5, 11, 16, 22, 27, 33, 38, 44, 49]
    assert found.replicated.shape == (CHAINS, 10, len(found.observed))
    monkeypatch.setattr("poolmap.families.mrp.predictive.LARGE", 10**9)
    chosen = draws.isel(draw=found.replicated_draws)
    again = predictive(spec, "main", data, chosen, np.random.default_rng(1))
    np.testing.assert_allclose(found.replicated, again.replicated, rtol=1e-6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_some_cells_only(kind):
    spec, data, draws = made(kind)
    whole = predictive(spec, "main", data, draws, np.random.default_rng(1))
    out = (data.tables["cells"]["g"] == "c").to_numpy()
    found = predictive(spec, "main", data, draws, np.random.default_rng(1), only=out)
    np.testing.assert_allclose(found.log_lik, whole.log_lik[:, :, out], rtol=1e-12)
    times = len(whole.observed) // len(out)
    of_both = np.repeat(out, times)
    np.testing.assert_allclose(found.observed, whole.observed[of_both])
    assert found.labels == [label for label, inside in zip(whole.labels, of_both, strict=True) if inside]
    assert found.replicated.shape == (CHAINS, DRAWS, of_both.sum())


@pytest.mark.parametrize("kind", list(KINDS))
def test_levels_left_out_average_over_their_respondents(kind, monkeypatch):
    spec, data, draws = made(kind)
    item = by_level(spec, data, predictive(spec, "main", data, draws, np.random.default_rng(1)))
    monkeypatch.setattr("poolmap.inference.predictive.MAX_PARETO_K", np.inf)  # the draws are not of a fit
    monkeypatch.setattr("poolmap.inference.predictive.MIN_EFFECTIVE_SHARE", 0)
    table = predicted_without(item, [], 0.9)
    cells = data.tables["cells"]
    assert item.parts == sorted(set(cells["g"]))
    times = 3 if kind in ("ordered", "categorical") else 1
    assert len(table) == times * len(item.parts)
    sizes = cells.groupby("g")["n"].sum()
    assert table["n"].tolist() == np.repeat(sizes.to_numpy(), times).tolist()
    if kind == "continuous":
        known = (cells["mean"] * cells["n"]).groupby(cells["g"]).sum() / sizes
        np.testing.assert_allclose(table["observed"], known)
    elif times == 1:
        total = cells["yes" if kind == "binary" else "total"].groupby(cells["g"]).sum()
        np.testing.assert_allclose(table["observed"], total / sizes)
    else:
        np.testing.assert_allclose(table.groupby("g")["observed"].sum(), 1)
        np.testing.assert_allclose(table.groupby("g")["mean"].sum(), 1)
    assert (table["lower"] <= table["upper"]).all()


def test_likelihoods_of_counts_are_compared_on_the_same_data():
    """A negative binomial without overdispersion is Poisson; the density of a cell is that of each count."""
    rng = np.random.default_rng(3)
    survey = pd.DataFrame({"g": rng.choice(list("abc"), 60), "y": rng.poisson(2, 60)})
    survey["exposure"] = rng.choice([0.5, 2.0], 60)
    models = {"poisson": {}, "wide": {"likelihood": "negative_binomial"}}
    spec = analysis("y ~ 1 + (1 | g)", models, {"kind": "count", "exposure": "exposure"})
    data = dataset(spec, survey, pd.DataFrame({"g": list("abc"), "count": 10.0}))
    draws = {"alpha": [0.3], "effect": [-0.2, 0.0, 0.4], "dispersion": [1e-6]}
    at = xarray.Dataset({k: (("chain", "draw", k + "_at"), [[v]]) for k, v in draws.items()})
    one, other = (predictive(spec, model, data, at, rng).log_lik[0, 0] for model in models)
    rate = np.exp(0.3 + np.array([-0.2, 0.0, 0.4])[survey["g"].map({"a": 0, "b": 1, "c": 2})])
    of_each = stats.poisson.logpmf(survey["y"], rate * survey["exposure"])
    np.testing.assert_allclose(one, pd.Series(of_each).groupby(survey["g"]).sum(), rtol=1e-12)
    np.testing.assert_allclose(other, one, rtol=1e-4)
