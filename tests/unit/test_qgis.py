"""The style for QGIS: classes, colours, and that it is the XML that QGIS 3 reads."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from poolmap.qgis import style


def classes(text):
    root = ET.fromstring(text)
    ranges = [(float(r.get("lower")), float(r.get("upper"))) for r in root.iter("range")]
    colours = [
        [int(part) for part in option.get("value").split(",")][:3]
        for option in root.findall("./renderer-v2/symbols/symbol/layer/Option/Option[@name='color']")
    ]
    return root, ranges, colours


def test_ratios_are_symmetric_about_one():
    values = np.array([0.5, 0.9, 1.0, 1.2, 3.0, np.nan])
    root, ranges, colours = classes(style("rr_mean", values, ratio=True))
    assert root.find("renderer-v2").get("attr") == "rr_mean"
    assert len(ranges) == len(colours) == 7
    lower, upper = np.array(ranges).T
    assert lower[1:] == pytest.approx(upper[:-1])
    assert np.log(lower) == pytest.approx(-np.log(upper[::-1]))
    assert lower[0] <= 0.5 and upper[-1] >= 3.0
    assert ranges[3][0] < 1 < ranges[3][1]
    red, _, blue = np.array(colours).T
    assert (red[4:] > blue[4:]).all() and (blue[:3] > red[:3]).all()


def test_other_values_are_in_classes_of_equal_numbers():
    values = np.arange(1.0, 71.0)
    _, ranges, colours = classes(style("prevalence_mean", values, ratio=False))
    counts = [((values >= low) & (values < high)).sum() for low, high in ranges]
    assert counts[:-1] == [10] * 6 and counts[-1] == 9  # the last value is the upper end
    brightness = np.array(colours).sum(axis=1)
    assert (np.diff(brightness) < 0).all()


@pytest.mark.parametrize("values", [np.ones(3), np.full(3, np.nan)])
@pytest.mark.parametrize("ratio", [True, False])
def test_values_that_do_not_differ(values, ratio):
    _, ranges, _ = classes(style("x", values, ratio=ratio))
    assert all(low < high for low, high in ranges)
