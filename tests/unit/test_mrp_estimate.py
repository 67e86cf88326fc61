"""Tables of estimates of every kind of outcome, contrasts and parameters, from hand-made parts."""

import numpy as np
import pandas as pd
import pytest

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.contrasts import unknown_levels
from poolmap.families.mrp.estimate import estimates_of
from poolmap.families.mrp.left_out import not_in_formula
from poolmap.families.mrp.parameters import contributions, parameters
from poolmap.families.mrp.parts import Batch, Parts
from poolmap.inference.summary import summarise

CHAINS, DRAWS = 2, 30
OUTCOMES = {
    "binary": {"positive": "Yes"},
    "continuous": {},
    "count": {"exposure": "years"},
    "ordered": {"levels": ["low", "middle", "high"]},
    "categorical": {"levels": ["bus", "car", "foot"]},
}


def spec_of(kind: str, **more) -> MrpAnalysis:
    return MrpAnalysis(
        family="mrp",
        survey="survey.csv",
        census="census.csv",
        count="n",
        weight="w",
        outcome={"column": "answer_given", "kind": kind, **OUTCOMES[kind]},
        formula="y ~ 1 + x + (1 + x | area) + (1 | age)",
        estimates=["area", "age", "area:age"],
        interval=0.9,
        **more,
    )


def data_of(kind: str) -> Dataset:
    """Two areas by three ages, the young of area B without people; twenty respondents a cell."""
    rng = np.random.default_rng(3)
    cells = pd.DataFrame([(a, g) for a in "AB" for g in ("young", "middle", "old")], columns=["area", "age"])
    census = cells.assign(
        x=[0.0, 1, 2, 0, 1, 2],
        count=[100.0, 200, 300, 0, 50, 25],
        level_0=[0, 0, 0, 1, 1, 1],
        level_1=[0, 1, 2, 0, 1, 2],
    )
    survey = census.loc[np.repeat([0, 1, 2, 4, 5], 20), ["area", "age", "x"]].reset_index(drop=True)
    n = len(survey)
    y = {
        "binary": rng.integers(0, 2, n),
        "continuous": rng.normal(50, 9, n),
        "count": rng.poisson(3, n),
        "ordered": rng.integers(0, 3, n),
        "categorical": rng.integers(0, 3, n),
    }[kind]
    survey = survey.assign(y=y, weight=rng.uniform(1, 3, n))
    if kind == "count":
        survey["exposure"] = rng.uniform(1, 2, n)
    levels = pd.DataFrame({"term": ["area"] * 2 + ["age"] * 3, "level": ["A", "B", "young", "middle", "old"]})
    facts = {
        "terms": [["area"], ["age"]],
        "predictors": {"x": {"type": "numeric", "mean": 1.0, "sd": 0.5, "in_survey": True}},
        "answers": OUTCOMES[kind].get("levels", []),
        "order": {"age": ["young", "middle", "old"]},
    }
    return Dataset({"survey": survey, "census": census, "levels": levels}, pd.DataFrame(), facts)


def parts_of(kind: str) -> Parts:
    rng = np.random.default_rng(5)
    count, predictors = CHAINS * DRAWS, 2 if kind == "categorical" else 1
    area, age = rng.normal(size=(count, 2, 2, predictors)), rng.normal(size=(count, 3, 1, predictors))
    own = {
        "ordered": {"cutpoints": np.sort(rng.normal(size=(count, 2)), axis=1)},
        "continuous": {"residual_sd": rng.uniform(size=count)},
    }.get(kind, {})
    correlation = np.tile(np.eye(2)[None, :, :, None], (count, 1, 1, predictors)) + 0.3
    return Parts(
        rng.normal(size=(count, predictors)),
        rng.normal(size=(count, 1, predictors)),
        [
            Batch(
                "level_0",
                (-1, 0),
                lambda some: area[some],
                "area",
                ("intercept", "x"),
                {"sigma": rng.uniform(size=(count, 2, predictors)), "correlation": correlation},
            ),
            Batch("level_1", (-1,), lambda some: age[some], "age"),
        ],
        own,
        ("x",),
    )


def x_of(data: Dataset) -> np.ndarray:
    return ((data.tables["census"]["x"].to_numpy() - 1.0) / 0.5)[:, None]


def tables_of(kind: str, **more):
    data = data_of(kind)
    quantities = estimates_of(
        spec_of(kind, **more), data, parts_of(kind), x_of(data), (CHAINS, DRAWS), np.random.default_rng(1)
    )
    return quantities, summarise(quantities, 0.9)


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_groups_in_order_without_those_without_people(kind):
    _, tables = tables_of(kind)
    several = kind in ("ordered", "categorical")
    answers = OUTCOMES[kind]["levels"] if several else [None]
    table = tables["area_age"]
    expected = [
        (a, g)
        for a, g in zip("AAABB", ["young", "middle", "old", "middle", "old"], strict=True)
        for _ in answers
    ]
    assert list(zip(table["area"], table["age"], strict=True)) == expected
    assert set(table["quantity"]) == {{"continuous": "mean", "count": "rate"}.get(kind, "share")}
    assert table["n_census"].tolist() == list(np.repeat([100, 200, 300, 50, 25], len(answers)))
    assert (table["n_survey"] == 20).all()
    if several:
        assert table["answer"].tolist() == answers * 5
        for name in ("mean", "raw", "weighted", "raked", "greg"):
            np.testing.assert_allclose(table.groupby(["area", "age"])[name].sum(), 1, rtol=1e-9)
    direct = ["raw", "weighted", "raked"] + ["greg"] * (kind != "count")
    for name in direct:
        assert (table[f"{name}_lower"] < table[name]).all()
        assert (table[name] < table[f"{name}_upper"]).all()


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_total_is_the_average_of_the_groups_in_every_draw(kind):
    quantities, _ = tables_of(kind)
    found = {item.table: item for item in quantities if item.quantity in ("share", "mean", "rate")}
    answers = 3 if kind in ("ordered", "categorical") else 1
    for table in ("area", "age", "area_age"):
        draws = found[table].draws.reshape(CHAINS, DRAWS, -1, answers)
        people = found[table].extra["n_census"].to_numpy()[::answers]
        total = np.einsum("cdga,g->cda", draws, people / people.sum())
        np.testing.assert_allclose(total, found["total"].draws, rtol=1e-10)


def test_direct_estimates_of_one_group_by_hand():
    data = data_of("categorical")
    _, tables = tables_of("categorical")
    survey = data.tables["survey"].query("area == 'B' and age == 'old'")
    row = tables["area_age"].query("area == 'B' and age == 'old' and answer == 'car'").iloc[0]
    car = (survey["y"] == 1).to_numpy()
    assert row["raw"] == pytest.approx(car.mean())
    assert row["weighted"] == pytest.approx(np.average(car, weights=survey["weight"]))
    total = tables["total"].query("answer == 'car'").iloc[0]
    whole = data.tables["survey"]
    raked = whole["weight"].to_numpy(copy=True)
    for _ in range(200):
        for name in ("area", "age"):
            people = data.tables["census"].groupby(name)["count"].sum()
            raked *= whole[name].map(people / pd.Series(raked).groupby(whole[name]).sum()).to_numpy()
    assert total["raked"] == pytest.approx(np.average(whole["y"] == 1, weights=raked), rel=1e-8)


def test_greg_of_an_outcome_that_the_assisting_model_fits_is_the_truth():
    """y is linear in area, age and x: every group's GREG estimate is its mean over the census."""
    data = data_of("continuous")

    def linear(frame):
        return 3 + 2 * frame["x"] + 4 * (frame["area"] == "B") - (frame["age"] == "old")

    data.tables["survey"]["y"] = linear(data.tables["survey"])
    census = data.tables["census"]
    given = (parts_of("continuous"), x_of(data), (CHAINS, DRAWS), np.random.default_rng(1))
    tables = summarise(estimates_of(spec_of("continuous"), data, *given), 0.9)
    known = census.assign(t=linear(census) * census["count"]).groupby("area")[["t", "count"]].sum()
    np.testing.assert_allclose(tables["area"]["greg"], known["t"] / known["count"], rtol=1e-9)


def test_contrasts_and_thresholds():
    asked = [
        {"variable": "age", "levels": ["old", "young"], "within": ["area"]},
        {"variable": "area", "levels": ["B", "A"]},
    ]
    quantities, tables = tables_of("binary", contrasts=asked, thresholds=[0.5, 0.25])
    found = {item.table: item for item in quantities if item.quantity == "share"}
    draws = {item.quantity: item for item in quantities if item.table == "contrasts"}
    cells, areas = found["area_age"], found["area"].draws
    place = {tuple(row): i for i, row in enumerate(cells.keys.to_numpy())}
    old, young = cells.draws[..., place["A", "old"]], cells.draws[..., place["A", "young"]]
    expected = np.stack([old - young, areas[..., 1] - areas[..., 0]], axis=-1)
    np.testing.assert_allclose(draws["share_difference"].draws, expected)
    ratios = np.stack([old / young, areas[..., 1] / areas[..., 0]], axis=-1)
    np.testing.assert_allclose(draws["share_ratio"].draws, ratios)
    table = tables["contrasts"].query("quantity == 'share_difference'")
    assert table[["variable", "first", "second", "area"]].to_numpy().tolist() == [
        ["age", "old", "young", "A"],
        ["area", "B", "A", ""],
    ]
    np.testing.assert_allclose(table["p_first_higher"], (expected > 0).mean(axis=(0, 1)))
    for bound in (0.5, 0.25):
        np.testing.assert_allclose(tables["area"][f"p_share_gt_{bound:g}"], (areas > bound).mean(axis=(0, 1)))


def test_a_mean_below_zero_has_no_ratio():
    _, tables = tables_of("continuous", contrasts=[{"variable": "area", "levels": ["B", "A"]}])
    assert set(tables["contrasts"]["quantity"]) == {"mean_difference"}


def test_contrasts_and_areas_that_the_census_lacks():
    asked = [{"variable": "area", "levels": ["C", "A"]}, {"variable": "age", "levels": ["old", "yong"]}]
    problems = unknown_levels(spec_of("binary", contrasts=asked), data_of("binary").tables["census"])
    assert [problem.what for problem in problems] == [
        "the census has no level 'C'",
        "the census has no level 'yong'",
    ]
    assert "young" in problems[1].remedy
    problem = not_in_formula(spec_of("binary", leave_out="county"), ["area", "age"])[0]
    assert "'county'" in problem.what
    assert not not_in_formula(spec_of("binary", leave_out="area"), ["area", "age"])


def test_parameters_and_contributions():
    _, tables = tables_of("ordered")
    found = tables["parameters"].set_index(["quantity", "term"])
    assert list(found.index) == [
        ("beta", "x"),
        ("sigma", "area: intercept"),
        ("sigma", "area: x"),
        ("correlation", "area: intercept, x"),
        ("cutpoint", "low | middle"),
        ("cutpoint", "middle | high"),
    ]
    given = parts_of("ordered")
    assert found.at[("cutpoint", "middle | high"), "mean"] == pytest.approx(
        given.own["cutpoints"][:, 1].mean()
    )
    assert found.at[("sigma", "area: x"), "mean"] == pytest.approx(
        given.batches[0].own["sigma"][:, 1, 0].mean()
    )
    spread = tables["contributions"].set_index("term")["mean"]
    assert list(spread.index) == ["x", "area: intercept", "area: x", "age"]
    effects = given.batches[0].draw(slice(None))[:, :, 1, 0]
    assert spread["area: x"] == pytest.approx((abs(effects[:, 0] - effects[:, 1]) / np.sqrt(2)).mean())
    census = data_of("ordered").tables["census"]
    x, n = (census["x"] - 1) / 0.5, census["count"]
    sd = np.sqrt(np.average((x - np.average(x, weights=n)) ** 2, weights=n))
    assert spread["x"] == pytest.approx((abs(given.beta[:, 0, 0]) * sd).mean())


def test_a_predictor_that_the_census_does_not_vary_contributes_nothing_and_that_is_known():
    given = parts_of("ordered")
    same, counts = np.full((3, 1), 0.1), np.array([5, 3, 0])
    same[2] = 7  # nobody lives there
    spreads = [np.full((CHAINS * DRAWS, len(batch.columns), 1), np.nan) for batch in given.batches]
    answers = ["low", "middle", "high"]
    (found,) = contributions("ordered", given, spreads, same, counts, answers, (CHAINS, DRAWS))
    assert found.keys["term"].tolist() == ["x"]
    assert found.known.tolist() == [True]
    assert (found.draws == 0).all()
    (found,) = contributions("ordered", given, spreads, same, counts + 1, answers, (CHAINS, DRAWS))
    assert found.known.tolist() == [False]


def test_parameters_of_a_test_with_errors():
    rng = np.random.default_rng(8)
    own = {"sensitivity": rng.uniform(size=60), "specificity": rng.uniform(size=60)}
    own |= {"test_mean": rng.normal(size=(60, 2)), "test_sd": rng.uniform(size=(60, 2))}
    given = Parts(np.zeros((60, 1)), np.zeros((60, 0, 1)), [], own)
    table = summarise(parameters("binary", given, [""], "igg", (CHAINS, DRAWS)), 0.9)["parameters"]
    assert list(zip(table["quantity"], table["term"], strict=True)) == [
        ("alpha", "intercept"),
        ("sensitivity", "igg"),
        ("specificity", "igg"),
        ("accuracy_mean", "sensitivity"),
        ("accuracy_mean", "specificity"),
        ("accuracy_sd", "sensitivity"),
        ("accuracy_sd", "specificity"),
    ]
    expected = [0, own["sensitivity"].mean(), own["specificity"].mean()]
    expected += [*own["test_mean"].mean(axis=0), *own["test_sd"].mean(axis=0)]
    np.testing.assert_allclose(table["mean"], expected)


def test_parameters_of_each_answer():
    _, tables = tables_of("categorical")
    table = tables["parameters"]
    assert table.query("quantity == 'alpha'")["answer"].tolist() == ["car", "foot"]
    given = parts_of("categorical")
    row = table.query("quantity == 'sigma' and term == 'area: x' and answer == 'foot'").iloc[0]
    assert row["mean"] == pytest.approx(given.batches[0].own["sigma"][:, 1, 1].mean())
