"""The order in which groups stand: levels in an order keep it, areas go by their estimate."""

import pandas as pd
import pytest
from mrp_report_data import AGES, OUTCOMES, made

from poolmap.contracts import ReportTable
from poolmap.families.mrp.arrange import arranged, ordered_levels
from poolmap.families.mrp.figures import figures
from poolmap.families.mrp.findings import findings
from poolmap.families.mrp.report_words import estimates_of_grouping, term_words


def drawn(spec, data, results):
    return {figure.name: figure for figure in figures(spec, data, results)}


def tick_labels(axes):
    return [label.get_text().split(" (")[0] for label in axes.get_yticklabels()]


@pytest.mark.parametrize(
    ("levels", "in_order"),
    [
        (AGES, True),
        (["<5", "5-9", "10 to 14", "15 and over"], True),
        (["0-4 years", "5+ years"], True),
        (["1 Oslo", "2 Bergen"], False),
        (["001", "013", "075"], False),  # codes of areas, and nothing but numbers
        (["06-001", "06-013"], False),  # codes again: the spans do not follow one another
        (["1-10", "5-6"], False),
        (["north", "south"], False),
    ],
)
def test_bands_of_numbers_have_an_order(levels, in_order):
    spec, _, _ = made("binary", 3)
    assert (ordered_levels(spec, {"x": levels}, "x") == levels) is in_order
    assert ordered_levels(spec, {"x": [*levels, "missing"]}, "x")[: len(levels)] == levels * in_order


def test_what_else_tells_an_order():
    levels = {"health": ["poor", "fair", "good"], "area": ["b", "a"], "wave": ["spring", "autumn"]}
    spec, _, _ = made("binary", 3, waves=2, order={"health": levels["health"]})
    assert ordered_levels(spec, levels, "health") == levels["health"]
    assert ordered_levels(spec, levels, "wave") == levels["wave"]
    assert ordered_levels(spec, levels, "area") == []
    for structure, found in (("rw1", ["b", "a"]), ("ar1", ["b", "a"]), ("iid", [])):
        model = spec.models["main"].model_copy(update={"structure": {"area": structure}})
        assert ordered_levels(spec.model_copy(update={"models": {"main": model}}), levels, "area") == found


def test_rows_of_two_variables_keep_the_order_within_the_other():
    spec, _, _ = made("binary", 3)
    rows = pd.DataFrame(
        [("a", "65+", 0.1), ("a", "18-29", 0.2), ("b", "18-29", 0.5), ("b", "65+", 0.9)],
        columns=["area", "age", "mean"],
    )
    order = {"area": ["a", "b"], "age": ["18-29", "65+"]}
    shown, how = arranged(spec, order, rows, ("area", "age"))
    assert shown[["area", "age"]].apply(tuple, axis=1).tolist() == [
        ("b", "18-29"), ("b", "65+"), ("a", "18-29"), ("a", "65+"),
    ]  # fmt: skip
    assert how == "by area (sorted by mean estimate), then in the order of age"
    assert arranged(spec, order, rows, ("area",))[0]["mean"].is_monotonic_decreasing


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_ages_keep_their_order_and_areas_go_by_estimate(kind):
    spec, data, results = made(kind, 12)
    found = drawn(spec, data, results)
    noun = {"continuous": "mean", "count": "rate"}.get(kind, "share")
    ages = found[f"{noun}_age_main"]
    assert tick_labels(ages.figure.axes[0]) == AGES
    assert "in the order of age" in ages.caption
    table = estimates_of_grouping(spec, results["main"], ("area",))
    if "answer" in table:
        table = table[table["answer"] == OUTCOMES[kind]["levels"][-1]]
    by_estimate = table.sort_values("mean", ascending=False)["area"].tolist()
    assert tick_labels(found[f"{noun}_area_main"].figure.axes[0]) == by_estimate
    assert "sorted by" in found[f"{noun}_area_main"].caption
    tables = [b for b in findings(spec, data, results) if isinstance(b, ReportTable)]
    of_ages = next(t for t in tables if "Age" in t.frame)
    assert of_ages.frame["Age"].tolist() == AGES and "in the order of age" in of_ages.caption
    assert next(t for t in tables if "Area" in t.frame).frame["Area"].tolist() == by_estimate


def test_panels_and_their_rows_keep_an_order():
    spec, data, results = made("binary", 12, order={"area": [f"area {i:03d}" for i in range(11, -1, -1)]})
    data.facts["order"]["area"] = list(spec.order["area"])
    figure = drawn(spec, data, results)["share_area_age_main"]
    assert [axes.get_title(loc="left") for axes in figure.figure.axes] == AGES
    assert tick_labels(figure.figure.axes[0]) == data.facts["order"]["area"]
    assert "rows in the order of area" in figure.caption


def test_more_areas_than_have_room_have_ranks_in_a_panel_for_each_subgroup():
    spec, data, results = made("binary", 130)
    figure = drawn(spec, data, results)["share_area_age_main"]
    panels = figure.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == AGES
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert "520 groups, a panel for each age" in figure.caption
    table = estimates_of_grouping(spec, results["main"], ("area", "age"))
    by_area = table.groupby("area")["mean"].mean().sort_values().index
    of_old = table[table["age"] == "65+"].set_index("area").loc[by_area, "mean"]
    dots = max(panels[-1].lines, key=lambda line: line.get_zorder())
    assert list(dots.get_ydata()) == pytest.approx(of_old.tolist())


def test_groups_nobody_was_asked_in_are_hollow():
    spec, data, results = made("binary", 12)
    figure = drawn(spec, data, results)["share_area_main"]
    table = estimates_of_grouping(spec, results["main"], ("area",))
    legend = [text.get_text() for text in figure.figure.legends[0].get_texts()]
    assert "MrP, nobody asked" in legend and "(hollow dot)" in figure.caption
    (hollow,) = [
        line
        for line in figure.figure.axes[0].lines
        if line.get_marker() == "o" and line.get_markerfacecolor() == "none" and line.get_markersize() == 4.5
    ]
    shown = [x for x in hollow.get_xdata() if x == x]
    assert shown == pytest.approx(table.loc[table["n_survey"] == 0, "mean"].tolist())


def test_direct_estimates_that_are_not_drawn_are_told():
    spec, data, results = made("binary", 12)
    table = results["main"].estimates["age"]
    results["main"].estimates["age"] = table.assign(weighted=table["raw"], raked=table["raw"] + 0.05)
    caption = drawn(spec, data, results)["share_age_main"].caption
    assert "Weighted shares equal the raw ones and are not drawn again." in caption


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("county:age", "county by age"),
        ("sex[male]", "sex (male)"),
        ("sex[T.male]:income", "sex (male) by income"),
        ("county: income", "county: income"),
    ],
)
def test_terms_in_words(term, words):
    assert term_words(term) == words
