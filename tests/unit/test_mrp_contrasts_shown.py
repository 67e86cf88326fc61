"""Contrasts in tables and figures: in order, a panel an answer, and once where all groups have the same."""

import numpy as np
import pandas as pd
from mrp_report_data import AGES, OUTCOMES, made

from poolmap.contracts import ReportTable
from poolmap.families.mrp.contrast_rows import compared, forms
from poolmap.families.mrp.figures import figures
from poolmap.families.mrp.findings import findings

TIMES = [{"variable": "wave", "levels": ["wave 2", "wave 1"], "within": ["area"]}]


def drawn(spec, data, results):
    return {figure.name: figure for figure in figures(spec, data, results)}


def tables_of(spec, data, results):
    return [
        b for b in findings(spec, data, results) if isinstance(b, ReportTable) and "Difference" in b.frame
    ]


def tick_labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_a_main_effect_within_groups_stands_once():
    # without an interaction and with one census for all times the mean changes alike in every area; its
    # ratio does not
    spec, data, results = made("continuous", 12, waves=2, contrasts=TIMES)
    table = results["main"].estimates["contrasts"]
    of = table["quantity"] == "mean_difference"
    table.loc[of, ["mean", "lower", "upper"]] = table.loc[of, ["mean", "lower", "upper"]].iloc[0].to_numpy()
    found = drawn(spec, data, results)
    every = "every area (12)"
    assert tick_labels(found["contrasts_difference_main"].figure.axes[0]) == [every]
    assert "it stands once, with the number of groups" in found["contrasts_difference_main"].caption
    assert len(tick_labels(found["contrasts_ratio_main"].figure.axes[0])) == 12
    (table,) = tables_of(spec, data, results)
    assert len(table.frame) == 12 and table.frame["Difference"].nunique() == 1
    assert f"no group differ in the difference wave 2 − wave 1 in {every}" in table.caption


def test_where_difference_and_ratio_are_one_the_table_has_one_row():
    spec, data, results = made("continuous", 12, waves=2, contrasts=TIMES)
    contrasts = results["main"].estimates["contrasts"]
    first = contrasts.groupby("quantity")[["mean", "median", "lower", "upper"]].transform("first")
    results["main"].estimates["contrasts"] = contrasts.assign(**first)
    (table,) = tables_of(spec, data, results)
    assert table.frame.iloc[:, 0].tolist() == ["wave 2 − wave 1, every area (12)"]
    said = " ".join(b for b in findings(spec, data, results) if isinstance(b, str))
    assert "Groups compared: the difference wave 2 − wave 1, every area (12) is" in said


def test_differences_that_differ_all_stand():
    spec, data, results = made("binary", 12, waves=2, contrasts=TIMES)
    (table,) = tables_of(spec, data, results)
    assert len(table.frame) == 12 and "stands once" not in table.caption
    rows = forms(spec, results["main"].estimates["contrasts"])["difference"]
    shown = compared(spec, data.facts["order"], rows)
    assert shown["mean"].is_monotonic_decreasing and set(shown["groups"]) == {1}


def test_answers_have_panels_with_the_same_rows():
    spec, data, results = made("ordered", 12)
    figure = drawn(spec, data, results)["contrasts_difference_main"]
    panels = figure.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == OUTCOMES["ordered"]["levels"]
    assert tick_labels(panels[0]) == AGES
    table = results["main"].estimates["contrasts"].query("quantity == 'share_difference'")
    for axes, answer in zip(panels, OUTCOMES["ordered"]["levels"], strict=True):
        known = table[table["answer"] == answer].set_index("age").loc[AGES, "mean"]
        dots = np.nanmax(
            [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == len(AGES)], axis=0
        )
        np.testing.assert_allclose(dots, known)


def test_empty_keys_read_back_from_a_file_are_the_same():
    contrasts = [
        {"variable": "sex", "levels": ["female", "male"]},
        {"variable": "sex", "levels": ["female", "male"], "within": ["age"]},
    ]
    spec, data, results = made("binary", 12, contrasts=contrasts)
    told = tables_of(spec, data, results)[0].frame
    table = results["main"].estimates["contrasts"]
    results["main"].estimates["contrasts"] = table.replace({"age": {"": np.nan}})
    assert results["main"].estimates["contrasts"]["age"].isna().any()
    pd.testing.assert_frame_equal(tables_of(spec, data, results)[0].frame, told)
    assert told.iloc[:, 0].tolist() == ["female − male", *(f"female − male, {age}" for age in AGES)]
    assert (told["Ratio"] != "").all()
