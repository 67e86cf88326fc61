"""Figures of survey models at 3, 50 and 400 areas, of every kind of outcome."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from mrp_report_data import AGES, OUTCOMES, made
from shapely.geometry import box

from poolmap.families.mrp.figures import figures
from poolmap.families.mrp.group_series import direct_kinds
from poolmap.families.mrp.left_out_figures import left_out_levels_figure, left_out_words
from poolmap.families.mrp.report_words import decimals, estimates_of_grouping, fixed
from poolmap.figures.by_size import side_by_side
from poolmap.figures.dot_whisker import Panel, Series, dot_whisker
from poolmap.figures.over_time import Line, _across, draw_over_time


def drawn(spec, data, results):
    return {figure.name: figure for figure in figures(spec, data, results)}


def tick_labels(axes, which="y"):
    return [label.get_text() for label in getattr(axes, f"get_{which}ticklabels")()]


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_every_kind_has_its_figures(kind):
    spec, data, results = made(kind, 12, waves=3)
    found = drawn(spec, data, results)
    noun = {"continuous": "mean", "count": "rate"}.get(kind, "share")
    expected = {
        f"{noun}_area_main", f"{noun}_age_main", f"{noun}_area_age_main", "time_wave_main",
        "time_area_wave_main", "shrinkage_area_main", "truth_area_main", "coverage_area_main",
        "contrasts_difference_main", "composition", "contributions_main",
    }  # fmt: skip
    assert expected <= set(found)
    for figure in found.values():
        assert figure.caption.endswith(".") and figure.alt.endswith(".")
        assert "nan" not in figure.caption + figure.alt and "{" not in figure.caption + figure.alt
        if figure.model:
            assert "Model main." in figure.caption
            assert "interval" in figure.caption


def test_alt_texts_have_the_extremes():
    spec, data, results = made("binary", 12)
    table = estimates_of_grouping(spec, results["main"], ("area",))
    high = table.loc[table["mean"].idxmax()]
    places = decimals(table["upper"] - table["lower"], 2)
    mean, lower, upper = (f"{high[name]:.{places}f}" for name in ("mean", "lower", "upper"))
    assert (
        f"{mean} ({lower} to {upper}) in {high['area']}" in drawn(spec, data, results)["share_area_main"].alt
    )


@pytest.mark.parametrize(("areas", "named"), [(3, 3), (50, 50), (400, 0)])
def test_rows_have_names_as_long_as_there_is_room(areas, named):
    spec, data, results = made("binary", areas)
    figure = drawn(spec, data, results)["share_area_main"]
    labels = [label for axes in figure.figure.axes for label in tick_labels(axes) if label.startswith("area")]
    assert len(labels) == named
    if not named:
        assert "400 groups" in figure.caption and "area.csv" in figure.caption
        texts = {text.get_text() for axes in figure.figure.axes for text in axes.texts}
        order = results["main"].estimates["area"].sort_values("mean")["area"]
        assert {order.iloc[0], order.iloc[-1]} <= texts


def test_groups_that_nobody_was_asked_in_are_told():
    spec, data, results = made("binary", 12)
    assert "1 group is not in the sample" in drawn(spec, data, results)["share_area_main"].caption


def test_a_panel_for_each_level_of_the_shorter_variable():
    spec, data, results = made("binary", 50)
    figure = drawn(spec, data, results)["share_area_age_main"].figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == AGES
    assert len(tick_labels(figure.axes[0])) == 50


def test_a_panel_for_each_answer():
    spec, data, results = made("ordered", 12)
    found = drawn(spec, data, results)["share_area_main"]
    titles = [axes.get_title(loc="left") for axes in found.figure.axes]
    assert titles == OUTCOMES["ordered"]["levels"]
    order = results["main"].estimates["area"].query("answer == 'always'").sort_values("mean", ascending=False)
    assert [name.split(" (")[0] for name in tick_labels(found.figure.axes[0])] == order["area"].tolist()
    assert all(f"'{answer}'" in found.alt for answer in titles)


def test_very_many_groups_of_several_answers():
    spec, data, results = made("categorical", 130)
    found = drawn(spec, data, results)["share_area_main"]
    assert len(found.figure.axes) == 3 and "all groups stand in area.csv" in found.caption


def test_rows_are_as_high_as_their_names():
    def height(name):
        series = [Series("MrP", np.arange(3.0), np.arange(3.0) - 1, np.arange(3.0) + 1)]
        return dot_whisker([Panel([name] * 3, series)], x_label="share").get_size_inches()[1]

    assert height("long " * 30) > height("short")


def test_direct_estimates_that_are_alike_are_drawn_once():
    table = pd.DataFrame({"raw": [0.1, np.nan], "weighted": [0.1, np.nan], "raked": [0.2, np.nan]})
    assert direct_kinds(table) == ["raw", "raked"]


def test_weighted_estimates_over_time():
    spec, data, results = made("binary", 12, waves=4)
    found = drawn(spec, data, results)["time_wave_main"]
    table = estimates_of_grouping(spec, results["main"], ("wave",))
    axes = found.figure.axes[0]
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    assert list(squares[0].get_ydata()) == pytest.approx(table["weighted"].tolist())
    (whiskers,) = axes.collections[1:]
    ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
    np.testing.assert_allclose(ends, table[["weighted_lower", "weighted_upper"]])
    assert "circles: raw shares of the sample; squares with whiskers" in found.caption
    legend = [text.get_text() for text in found.figure.legends[0].get_texts()]
    assert legend == ["MrP", "raw share", "weighted share, 90% interval"]


def test_without_weights_or_with_their_like_over_time():
    spec, data, results = made("binary", 12, waves=4, weight=None)
    assert "hollow markers: raw share of" in drawn(spec, data, results)["time_wave_main"].caption
    spec, data, results = made("ordered", 12, waves=4)
    found = drawn(spec, data, results)["time_wave_main"]
    assert "intervals; hollow markers with whiskers" in found.caption and "raw" not in found.caption


def test_long_whiskers_do_not_set_the_scale():
    values = np.array([0.4, 0.5, 0.6])
    line = Line("MrP", values, values - 0.05, values + 0.05, None, (values, values - 30, values + 0.07))
    low, high = draw_over_time([("", [line])], ["1", "2", "3"], x_label="t", y_label="y").axes[0].get_ylim()
    assert 0.1 < low < 0.3 and 0.67 < high < 0.8


def test_many_groups_over_time_are_cut_and_told():
    spec, data, results = made("binary", 70, waves=2)
    found = drawn(spec, data, results)["time_area_wave_main"]
    assert sum(axes.axison for axes in found.figure.axes) == 60
    assert "60 groups with the largest population, of 70" in found.caption
    wide = results["main"].estimates["area_wave"].pivot(index="area", columns="wave", values="mean")
    change = wide["wave 2"] - wide["wave 1"]
    assert f"{change.max():+.3g} in {change.idxmax()}" in found.alt


@pytest.mark.parametrize(("panels", "across"), [(1, 1), (3, 3), (4, 2), (12, 4), (50, 5), (60, 6)])
def test_few_places_stay_empty(panels, across):
    assert _across(panels) == across


def test_composition_is_that_of_sample_and_census():
    spec, data, results = made("binary", 12)
    found = drawn(spec, data, results)["composition"]
    axes = {a.get_title(loc="left"): a for a in found.figure.axes if a.get_title(loc="left")}
    census = data.tables["census"].groupby("age")["count"].sum()
    bars = [bar.get_width() for bar in axes["age"].patches]
    assert bars == pytest.approx((census / census.sum()).loc[AGES].tolist())
    sample = data.tables["survey"]["age"].value_counts(normalize=True).loc[AGES]
    dots = axes["age"].lines[-1].get_xdata()
    assert list(dots) == pytest.approx(sample.tolist())
    assert found.model == ""


def test_composition_of_many_levels_is_cut_and_told():
    spec, data, results = made("binary", 50)
    found = drawn(spec, data, results)["composition"]
    assert "area (50) the 15 levels" in found.caption


def test_contrasts_that_hold_no_difference_are_hollow():
    spec, data, results = made("binary", 12)
    found = drawn(spec, data, results)["contrasts_difference_main"]
    table = results["main"].estimates["contrasts"].query("quantity == 'share_difference'")
    clear = ((table["lower"] > 0) | (table["upper"] < 0)).sum()
    assert f"the interval of {clear} leaves out no difference" in found.alt
    assert tick_labels(found.figure.axes[0]) == AGES
    assert found.figure.get_supxlabel() == "difference (female − male) of the share of people who smoke"


def squares(areas, extra=0):
    shapes = [box(i % 8, i // 8, i % 8 + 1, i // 8 + 1) for i in range(areas + extra)]
    names = [f"area {i:03d}" for i in range(areas)] + [f"sea {i}" for i in range(extra)]
    return gpd.GeoDataFrame({"area": names}, geometry=[s for s in shapes], crs="EPSG:3857")


@pytest.mark.parametrize(("kind", "names"), [
    ("binary", {"map_area_main", "map_certainty_area_main"}), ("ordered", {"map_area_main"}),
])  # fmt: skip
def test_maps(kind, names):
    spec, data, results = made(kind, 12, map={"geometry": "areas.gpkg", "variable": "area"}, thresholds=[0.4])
    data = replace(data, geometry=squares(12, extra=2))
    found = drawn(spec, data, results)
    assert names <= set(found)
    assert "2 areas of the map are not in the census and hatched" in found["map_area_main"].caption
    if kind == "binary":
        assert "above 0.4" in found["map_area_main"].caption


def with_companions(results, tables):
    return {
        name: replace(result, companions={key: make(i) for key, make in tables.items()})
        for i, (name, result) in enumerate(results.items())
    }


def test_validation_figures():
    spec, data, results = made("binary", 12, models=["main", "other"], leave_out="area", calibrate=20)
    table = estimates_of_grouping(spec, results["main"], ("area",))
    groups = pd.DataFrame(
        {
            "variable": ["age"] * 4, "level": AGES, "n": 50, "observed": [0.2, 0.3, 0.4, 0.5], "mean": 0.35,
            "lower": 0.25, "upper": 0.45, "p_value": 0.5, "inside": [False, True, True, False],
        }
    )  # fmt: skip
    areas = table["area"].tolist()

    def left_out(i):
        elpd = np.arange(12.0) * (1 + i)
        mean, away = np.linspace(0.2, 0.6, 12), np.array([0.25, *[0.05] * 10, -0.3])
        known = {"n": 40, "observed": mean + away, "mean": mean, "lower": mean - 0.15, "upper": mean + 0.15}
        inside = {"inside": np.abs(away) < 0.15}
        scores = {"elpd": elpd, "pareto_k": 0.1, "method": "psis"}
        table = pd.DataFrame({"area": areas, **known, **inside, **scores}).astype({"inside": object})
        table.loc[4, ["mean", "lower", "upper", "inside"]] = np.nan
        return table

    calibration = pd.DataFrame(
        {
            "grouping": "area", "group": areas, "n_survey": table["n_survey"], "surveys": 20,
            "true_mean": 0.3, "bias": 0.0, "rmse": np.linspace(0.02, 0.13, 12), "coverage": 0.9, "width": 0.2,
        }
    )  # fmt: skip
    makes = {
        "predictive_groups": lambda _: groups,
        "left_out": left_out,
        "calibration": lambda _: calibration,
    }
    found = drawn(spec, data, with_companions(results, makes))
    assert "2 of 4" in found["factors_main"].alt
    assert "other +66.0" in found["left_out"].alt
    levels = found["left_out_levels_main"]
    assert "It holds it in 9 of 11." in levels.caption
    axes = levels.figure.axes[0]
    assert tick_labels(axes)[0] == "area 010 (40)"  # 0.56 + 0.05 is the highest
    assert tick_labels(axes)[-1] == "area 001 (40)"
    said = left_out_words(spec, with_companions(results, makes)["main"])[0]
    assert "holds what they did answer in 9 of 11 (82%)" in said
    assert "1 prediction cannot be told" in said
    assert "0.020 to 0.130, median 0.075" in found["expected_error_main"].alt
    assert "20 surveys" in found["expected_error_main"].caption


def test_answers_of_levels_left_out_have_panels():
    spec, _, results = made("ordered", 3, leave_out="area")
    areas, answers = [f"area {i:03d}" for i in range(60)], OUTCOMES["ordered"]["levels"]
    keys = pd.MultiIndex.from_product([areas, sorted(answers)], names=["area", "answer"]).to_frame(
        index=False
    )
    away = np.repeat(np.linspace(0, 0.2, 60), 4)
    table = keys.assign(
        n=30, observed=0.25 + away, mean=0.25, lower=0.15, upper=0.35, inside=away < 0.1, elpd=-9.0,
        pareto_k=0.1, method="refit",
    )  # fmt: skip
    result = replace(results["main"], companions={"left_out": table})
    figure = left_out_levels_figure(spec, {}, result)
    assert "The 40 that are predicted worst, of 60." in figure.caption
    axes = [a for a in figure.figure.axes if a.get_title(loc="left")]
    assert [a.get_title(loc="left") for a in axes] == answers
    assert len(tick_labels(axes[0])) == 40
    assert ", each answer by itself." in left_out_words(spec, result)[0]
    shown = spec.model_copy(update={"order": {"area": areas}})
    in_order = left_out_levels_figure(shown, {"area": areas}, result).figure.axes[0]
    assert tick_labels(in_order) == [f"{area} (30)" for area in areas[20:]]
    assert left_out_levels_figure(spec, {}, replace(result, companions={})) is None


def test_without_truth_and_weight():
    spec, data, results = made("binary", 12, truth=False, weight=None)
    found = drawn(spec, data, results)
    assert not [name for name in found if name.startswith(("truth", "coverage"))]
    assert "weighted" not in found["composition"].caption


@pytest.mark.parametrize(
    ("lengths", "least", "places"),
    [([0.2, 0.3], 2, 2), ([0.02], 2, 3), ([5.0], 0, 1), ([80.0], 0, 0), ([np.nan, 0], 0, 2)],
)
def test_decimals(lengths, least, places):
    assert decimals(lengths, least) == places


def test_no_minus_before_zero():
    assert (fixed(-0.0001, 2), fixed(-1234.5, 1), fixed(np.nan, 2)) == ("0.00", "-1,234.5", "")


def test_intervals_and_values_beyond_the_scale_have_arrows():
    spec, data, results = made("binary", 12)
    table = results["main"].estimates["area"]
    table.loc[0, ["raw_lower", "raw_upper"]] = -0.9, 1.9
    table.loc[1, ["greg", "greg_lower", "greg_upper"]] = 1.8, 1.7, 1.9
    found = drawn(spec, data, results)["truth_area_main"]
    axes = {a.get_title(loc="left"): a for a in found.figure.axes}
    raw, greg = axes["Raw sample share"], axes["GREG"]
    low, high = raw.get_ylim()
    assert (table["predicted_lower"] >= low).all() and (table["predicted_upper"] <= high).all()

    def arrows(panel):
        return {
            (line.get_marker(), x, y)
            for line in panel.lines
            for x, y in line.get_xydata()
            if line.get_marker() in ("^", "v") and y in (low, high)
        }

    assert {("v", table["truth"][0], low), ("^", table["truth"][0], high)} <= arrows(raw)
    assert ("^", table["truth"][1], high) in arrows(greg)
    assert not arrows(axes["MrP"])
    assert " reach" in found.caption and "1 direct estimate lies beyond the scale" in found.caption
    assert "goes on beyond the scale" in [t.get_text() for t in found.figure.legends[0].get_texts()]


def test_without_anything_beyond_the_scale_there_are_no_arrows():
    spec, data, results = made("binary", 12)
    table = results["main"].estimates["area"]
    for kind in ("raw", "weighted", "raked", "greg"):
        table[f"{kind}_lower"] = table[f"{kind}_upper"] = table[kind]
    found = drawn(spec, data, results)["truth_area_main"]
    assert "Arrows" not in found.caption
    words = [t.get_text() for legend in found.figure.legends for t in legend.get_texts()]
    assert "goes on beyond the scale" not in words


def test_groups_with_the_same_number_stand_side_by_side():
    n, estimate = np.array([1.0, 1.0, 1.0, 2.0, 40.0]), np.array([0.3, 0.1, 0.2, 0.5, 0.4])
    x = side_by_side(n, estimate)
    assert list(x[3:]) == [2.0, 40.0]
    assert x[1] < x[2] < x[0] and x[2] == 1.0
    many = side_by_side(np.repeat([3.0, 4.0], 100), np.arange(200.0))
    assert many[:100].max() < many[100:].min()


def test_names_of_times_have_room():
    values = np.array([0.4, 0.5, 0.6])
    line = Line("MrP", values, values - 0.05, values + 0.05)

    def height(times):
        figure = draw_over_time([(g, [line]) for g in "abc"], times, x_label="wave", y_label="share")
        figure.canvas.draw()
        return figure.axes[0].get_position().height * figure.get_size_inches()[1]

    assert height(["the spring of 2021", "the summer of 2021", "autumn"]) > 0.9 * height(["1", "2", "3"])
