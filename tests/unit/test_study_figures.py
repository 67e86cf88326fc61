"""Funnel, Baujat, Galbraith, L'Abbé and bubble plots: coordinates against numbers computed apart."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from poolmap.figures.baujat import baujat, baujat_coordinates
from poolmap.figures.bubble import bubble
from poolmap.figures.funnel import SHADES, funnel, residual_funnel
from poolmap.figures.galbraith import common_effect, galbraith
from poolmap.figures.labbe import labbe, risk_given
from poolmap.figures.points import marker_areas, plain, shorten

# BCG vaccine trials, events and people, vaccinated and not (Colditz et al. 1994, as dat.bcg of metadat)
BCG = np.array(
    [
        (4, 123, 11, 139), (6, 306, 29, 303), (3, 231, 11, 220), (62, 13598, 248, 12867),
        (33, 5069, 47, 5808), (180, 1541, 372, 1451), (8, 2545, 10, 629), (505, 88391, 499, 88391),
        (29, 7499, 45, 7277), (17, 1716, 65, 1665), (186, 50634, 141, 27338), (5, 2498, 3, 2341),
        (27, 16913, 29, 17854),
    ],
    dtype=float,
)  # fmt: skip
A, N1, C, N2 = BCG.T
YI, VI = np.log(A / N1) - np.log(C / N2), 1 / A - 1 / N1 + 1 / C - 1 / N2
SE = np.sqrt(VI)
NAMES = [f"Trial {i}" for i in range(13)]


def studies(n):
    rng = np.random.default_rng(n)
    se = rng.uniform(0.05, 0.8, n)
    names = [
        f"Ferguson-Ramirez, de la Cruz and Oyelaran-Whitfield {1900 + i}" if i % 2 else f"Study {i}"
        for i in range(n)
    ]
    return rng.normal(-0.3, np.sqrt(se**2 + 0.04)), se, names


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def names_do_not_overlap(figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (axes,) = figure.axes
    frame = axes.get_window_extent(renderer)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in axes.texts]
    for i, (name, box) in enumerate(boxes):
        assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1, name
        assert frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1, name
        assert not any(box.overlaps(other) for _, other in boxes[i + 1 :]), name
    page = figure.bbox
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 < frame.y0
    for axis in (axes.xaxis, axes.yaxis):
        box = axis.label.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


@pytest.mark.parametrize("ratio", [True, False])
def test_funnel(ratio):
    show = np.exp if ratio else np.asarray
    mu = common_effect(YI, SE)
    figure = funnel(YI, SE, mu, ratio=ratio, axis_label="risk ratio")
    (axes,) = figure.axes
    assert axes.get_xscale() == ("log" if ratio else "linear")
    bottom, top = axes.get_ylim()
    assert (top, bottom) == (0, pytest.approx(1.08 * SE.max()))  # precise studies above
    points = axes.collections[-1].get_offsets()
    assert np.allclose(points, np.column_stack([show(YI), SE]))
    assert np.allclose(lines(axes)["pooled"].get_xdata(), show([mu, mu]))
    for k, z in enumerate([1.6449, 1.9600, 2.5758], 1):  # 90, 95, 99 per cent, about no effect
        ends = sorted(line.get_xdata()[-1] for line in axes.lines if line.get_label() == f"contour {k}")
        assert ends == pytest.approx(list(show(np.array([-z, z]) * bottom)), rel=1e-4)
        assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == f"contour {k}"] == (
            pytest.approx(list(show([0.0, 0.0])))
        )
    dashed = sorted(
        line.get_xdata()[-1] for line in axes.lines if line.is_dashed() and line.get_linewidth() == 1.1
    )
    assert dashed == pytest.approx(list(show(mu + np.array([-1.96, 1.96]) * bottom)), rel=1e-4)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"p > 0.1", "0.05 < p ≤ 0.1", "0.01 < p ≤ 0.05", "p ≤ 0.01"} <= set(legend)
    if ratio:
        shown = [label.get_text() for label in axes.get_xticklabels()]
        assert "1" in shown and "0.5" in shown


def test_shades_of_the_funnel_say_the_p_value():
    """At a third and at all of the depth, each side: the shade drawn is that of the Wald test there."""
    figure = funnel(np.array([-1.0, 0.2, 1.0]), np.array([0.1, 0.3, 0.4]), 0.1, ratio=False, axis_label="x")
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure)
    renderer.draw()
    pixels = np.asarray(renderer.buffer_rgba())
    looked_at = set()
    for se in (0.15, 0.35):
        for z, shade in ((1.1, 0), (1.8, 1), (2.3, 2), (2.75, 3)):
            for side in (-1, 1):
                if (
                    abs(side * z * se - 0.1) < 0.02
                    or not axes.get_xlim()[0] < side * z * se < axes.get_xlim()[1]
                ):
                    continue
                looked_at.add((shade, side))
                x, y = axes.transData.transform((side * z * se, se))
                found = to_hex(pixels[pixels.shape[0] - 1 - int(y), int(x)] / 255)
                assert found == to_hex(SHADES[shade]), (se, z, side)
    assert len(looked_at) == 8


@pytest.mark.parametrize("pooled", [-0.8, 0.4, 5.0])
def test_the_funnel_shows_both_regions_whole(pooled):
    yi, se = np.array([0.0, 0.3, -0.2]) + pooled, np.array([0.1, 0.2, 0.3])
    low, high = funnel(yi, se, pooled, ratio=False, axis_label="x").axes[0].get_xlim()
    reach = 1.959964 * 1.08 * 0.3
    assert low <= pooled - reach and pooled + reach <= high
    about_null = low <= -reach and reach <= high
    assert about_null == (abs(pooled) < reach)  # and not where no effect is far from all studies


@pytest.mark.parametrize("ratio", [True, False])
def test_residual_funnel(ratio):
    show = np.exp if ratio else np.asarray
    residual = YI - np.where(np.arange(13) < 6, -1.0, -0.3)
    groups = ["low dose"] * 6 + ["high $ dose"] * 7
    figure = residual_funnel(residual, SE, ratio=ratio, axis_label="RR over its mean", groups=groups)
    (axes,) = figure.axes
    assert lines(axes)["pooled"].get_xdata()[0] == show(0.0)
    low, high = axes.get_xlim()
    assert (low * high == pytest.approx(1)) if ratio else (low == pytest.approx(-high))
    drawn = {c.get_label(): c for c in axes.collections if c.get_label() in groups}
    for group, found in drawn.items():
        chosen = np.array(groups) == group
        assert np.allclose(found.get_offsets(), np.column_stack([show(residual[chosen]), SE[chosen]]))
    assert len({c.get_paths()[0].vertices.shape for c in drawn.values()}) == 2  # shapes, not colour
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["low dose", "high $ dose"]
    FigureCanvasAgg(figure).draw()


def test_baujat_coordinates():
    x, y = baujat_coordinates(YI, VI)
    mu = np.average(YI, weights=1 / VI)
    for i in range(13):
        keep = np.arange(13) != i
        without = np.average(YI[keep], weights=1 / VI[keep])
        assert x[i] == pytest.approx((YI[i] - mu) ** 2 / VI[i], rel=1e-10)
        assert y[i] == pytest.approx((mu - without) ** 2 * (1 / VI[keep]).sum(), rel=1e-8)
    assert x.sum() == pytest.approx(152.2330, abs=1e-4)  # Q of dat.bcg, metafor: rma(method = "DL")
    with pytest.raises(ValueError, match="two studies"):
        baujat_coordinates(YI[:1], VI[:1])


def test_baujat_names_the_studies_that_matter():
    figure = baujat(YI, VI, names=NAMES)
    (axes,) = figure.axes
    assert np.allclose(axes.collections[0].get_offsets(), np.column_stack(baujat_coordinates(YI, VI)))
    shown = [text.get_text() for text in axes.texts]
    assert shown[0] == "Trial 7"  # TPT Madras
    assert {"Trial 3", "Trial 5"} <= set(shown)


def test_galbraith():
    figure = galbraith(YI, SE, ratio=True, effect="risk ratio", names=NAMES)
    axes = figure.axes[0]
    points = np.asarray(axes.collections[0].get_offsets())
    assert np.allclose(points, np.column_stack([1 / SE, YI / SE]))
    line = lines(axes)["common effect"]
    slope = line.get_ydata()[1] / line.get_xdata()[1]
    least_squares = np.linalg.lstsq(points[:, :1], points[:, 1], rcond=None)[0][0]
    assert slope == pytest.approx(least_squares)
    assert slope == pytest.approx(-0.4303, abs=1e-4)  # metafor: rma(method = "EE") of dat.bcg
    upper = lines(axes)["95% of studies, if alike"]
    assert upper.get_ydata() - slope * upper.get_xdata() == pytest.approx([1.959964] * 2)
    end = axes.get_xlim()[1]
    (beside,) = axes.child_axes
    ticks = dict(zip([t.get_text() for t in beside.get_yticklabels()], beside.get_yticks(), strict=True))
    assert len(ticks) >= 3
    for text, height in ticks.items():  # a ray of that ratio ends there
        assert height == pytest.approx(np.log(float(text)) * end)
    shown = {text.get_text() for text in axes.texts}
    outside = {NAMES[i] for i in np.flatnonzero(abs(YI - slope) / SE > 1.959964)}
    assert "Trial 7" in shown and shown <= outside


@pytest.mark.parametrize(
    ("measure", "effect", "expected"),
    [("RR", 0.5, [0.05, 0.2, 0.4]), ("OR", 0.5, [1 / 19, 0.25, 2 / 3]), ("RD", -0.1, [0.0, 0.3, 0.7])],
)
def test_risk_given(measure, effect, expected):
    assert risk_given(np.array([0.1, 0.4, 0.8]), effect, measure) == pytest.approx(expected)


def test_risk_given_stays_between_0_and_1():
    assert np.isnan(risk_given(np.array([0.6]), 2.0, "RR")).all()
    assert np.isnan(risk_given(np.array([0.05]), -0.1, "RD")).all()
    with pytest.raises(ValueError, match="GEN"):
        risk_given(np.array([0.1]), 1.0, "GEN")


@pytest.mark.parametrize(("measure", "pooled"), [("RR", 0.49), ("OR", 0.47), ("RD", -0.01)])
def test_labbe(measure, pooled):
    figure = labbe(
        A, N1, C, N2, weights=1 / (VI + 0.3), pooled=pooled, measure=measure, arms=("vaccine", "none")
    )
    (axes,) = figure.axes
    circles = axes.collections[0]
    assert np.allclose(circles.get_offsets(), np.column_stack([C / N2, A / N1]))
    sizes, weights = circles.get_sizes(), 1 / (VI + 0.3)
    large = sizes > 8
    assert np.allclose((sizes / weights)[large], (sizes / weights)[large][0])
    same, line = lines(axes)["no effect"], lines(axes)["pooled effect"]
    assert np.array_equal(same.get_xdata(), same.get_ydata())
    x, y = line.get_xdata()[1:], line.get_ydata()[1:]
    found = {"RR": y / x, "OR": y / (1 - y) / (x / (1 - x)), "RD": y - x}[measure]
    assert found[np.isfinite(found)] == pytest.approx(pooled)
    assert axes.get_xlim() == axes.get_ylim()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("risk, none", "risk, vaccine")


def test_bubble():
    latitude = np.array([44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33.0])
    at = np.linspace(13, 55, 20)
    line = 0.25 - 0.029 * at
    figure = bubble(
        latitude, YI, 1 / VI, at=at, line=line, lower=line - 0.2, upper=line + 0.2, ratio=True,
        moderator_label="latitude", axis_label="risk ratio", names=NAMES,
    )  # fmt: skip
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert np.allclose(axes.collections[-1].get_offsets(), np.column_stack([latitude, np.exp(YI)]))
    assert np.allclose(lines(axes)["regression line"].get_ydata(), np.exp(line))
    assert lines(axes)["no effect"].get_ydata()[0] == 1
    assert "1" in [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize("n", [13, 60, 200])
def test_studies_of_the_same_value_are_set_side_by_side(n):
    yi, se, names = studies(n)
    dose = np.arange(n) % 4.0
    at = np.linspace(0, 3, 10)
    figure = bubble(
        dose, yi, 1 / se**2, at=at, line=-0.1 * at, lower=-0.1 * at - 0.3, upper=-0.1 * at + 0.3, ratio=True,
        moderator_label="dose", axis_label="odds ratio", names=names,
    )  # fmt: skip
    names_do_not_overlap(figure)
    (axes,) = figure.axes
    circles = axes.collections[-1]
    places = np.asarray(circles.get_offsets())
    assert np.allclose(places[:, 1], np.exp(yi))  # only across
    assert (np.abs(places[:, 0] - dose) <= 0.4 + 1e-9).all()
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2", "3"]
    assert "side by side" in axes.get_xlabel()
    low, high = axes.get_xlim()
    assert low < places[:, 0].min() and places[:, 0].max() < high
    if n < 200:
        points = axes.transData.transform(places) * 72 / figure.dpi
        radius = np.sqrt(circles.get_sizes() / np.pi)
        for i in range(n):
            for j in range(i):
                assert np.hypot(*(points[i] - points[j])) > 0.8 * (radius[i] + radius[j]), (i, j)


@pytest.mark.parametrize("n", [3, 13, 60, 200])
def test_names_are_readable_at_any_number_of_studies(n):
    yi, se, names = studies(n)
    rng = np.random.default_rng(1)
    control = rng.uniform(0.05, 0.5, n)
    figures = [
        funnel(yi, se, -0.3, ratio=True, axis_label="odds ratio", names=names),
        baujat(yi, se**2, names=names),
        galbraith(yi, se, ratio=False, effect="effect", names=names),
        labbe(
            100 * control * 0.7, np.full(n, 100), 100 * control, np.full(n, 100), weights=1 / se**2,
            pooled=0.7, measure="RR", arms=("a", "b"), names=names,
        ),
        bubble(
            rng.uniform(0, 1, n), yi, 1 / se, at=np.array([0, 1]), line=np.array([-0.3, -0.3]),
            lower=np.array([-0.4, -0.4]), upper=np.array([-0.2, -0.2]), ratio=True, moderator_label="x",
            axis_label="y", names=names,
        ),
    ]  # fmt: skip
    for figure in figures:
        names_do_not_overlap(figure)
    assert figures[1].axes[0].texts


def test_names_keep_off_the_lines_of_the_plot():
    """Studies on the line of the pooled effect: no name lies across a line, each is joined or beside."""
    risk, total = np.array([0.2, 0.5, 0.8]), np.full(3, 1000.0)
    figure = labbe(
        risk * total, total, risk * total, total, weights=np.ones(3), pooled=1.0, measure="RR",
        arms=("a", "b"), names=["Aronson 1948", "Ferguson-Ramirez and others 1949", "Rosenthal 1960"],
    )  # fmt: skip
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (axes,) = figure.axes
    assert len(axes.texts) == 3
    line = axes.transData.transform(np.repeat(np.linspace(0, 1, 400)[:, None], 2, axis=1))
    for text in axes.texts:
        box = text.get_window_extent(renderer)
        assert not any(box.contains(*point) for point in line), text.get_text()


def test_long_names_keep_their_year():
    short = shorten("Ferguson-Ramirez, de la Cruz and Oyelaran-Whitfield 1951")
    assert short.endswith("… 1951") and short.startswith("Ferguson-Ramirez")
    assert [len(line) <= 26 for line in short.split("\n")] == [True, True]
    assert shorten("Aronson 1948") == "Aronson 1948"


def test_markers_of_many_studies_are_smaller():
    assert marker_areas(np.ones(30)).max() == 160
    assert 30 < marker_areas(np.ones(200)).max() < 80
    weights = np.array([8.0, 4.0, 2.0])
    assert list(marker_areas(weights)) == pytest.approx([160, 80, 40])


def test_numbers_on_axes_have_no_powers_of_ten():
    assert [plain(x) for x in (1e-6, 0.05, 1, 2.5, 1e7, 0)] == [
        "0.000001",
        "0.05",
        "1",
        "2.5",
        "10000000",
        "0",
    ]
    assert plain(-0.3) == "\N{MINUS SIGN}0.3"


def test_the_band_of_a_bubble_plot_does_not_hide_the_studies():
    """Three studies: a band of e^-9 to e^9 is cut, so that the studies take a third of the plot or more."""
    at = np.linspace(0, 1, 5)
    figure = bubble(
        np.array([0, 0.4, 1.0]), np.array([-0.5, 0.0, 0.2]), np.ones(3), at=at, line=0.1 * at,
        lower=0.1 * at - 9, upper=0.1 * at + 9, ratio=True, moderator_label="dose", axis_label="OR",
    )  # fmt: skip
    low, high = np.log(figure.axes[0].get_ylim())
    assert low < -0.5 and high > 0.2 and high - low < 3.4 * 0.7


def test_figures_of_the_studies(tmp_path):
    from test_meta_report import analysed, section

    from poolmap.families.meta.study_figures import study_figures
    from poolmap.families.meta.usable import used_by

    spec = section(tmp_path)
    data, results = analysed(spec)
    seen, weighed, radial, risks_of = study_figures(spec, data, results["normal"])
    studies = used_by(spec, "normal", data).tables["studies"]
    rr = results["normal"].estimates["pooled"].set_index("quantity").at["rr", "median"]
    axes = seen.figure.axes[0]
    assert np.allclose(
        axes.collections[-1].get_offsets(), np.column_stack([np.exp(studies["yi"]), studies["se"]])
    )
    (line,) = [line for line in axes.lines if line.get_label() == "pooled"]
    assert line.get_xdata()[0] == pytest.approx(rr, rel=1e-3)
    assert "With 3 studies, fewer than 10" in seen.caption
    assert f"pooled risk ratio of {rr:.2f}" in seen.alt
    assert "common-effect" in weighed.caption and "contributes most" in weighed.alt
    assert "90% band" in radial.alt
    assert risks_of.figure.axes[0].get_ylabel() == "risk, Drug"
    risks = studies["events_1"] / studies["total_1"]  # as counted: no correction of the zero
    assert list(risks_of.figure.axes[0].collections[0].get_offsets()[:, 1]) == pytest.approx(list(risks))
    assert [figure.name for figure in (seen, weighed, radial, risks_of)] == [
        "funnel",
        "baujat",
        "galbraith",
        "labbe",
    ]
    for figure in (seen, weighed, radial, risks_of):
        assert figure.model == "normal"
        assert "3 studies" in figure.alt


LONG_FORM = """study,outcome,est,v,dose
A,pain,-0.5,0.04,1
A,function,0.4,0.05,1
B,pain,-0.6,0.03,2
B,function,0.3,0.02,2
C,pain,-0.4,0.06,4
C,function,0.5,0.05,4
"""


def several(tmp_path, **model):
    from meta_draws import analysed

    from poolmap.config.load import parse_analysis

    path = tmp_path / "effects.csv"
    path.write_text(LONG_FORM, encoding="utf-8")
    priors = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}
    priors |= {"tau_within_prior": {"half_normal": 0.5}, "levels": 3}
    spec = parse_analysis(
        {
            "family": "meta", "data": str(path), "study": "study", "effect_id": "outcome", "measure": "GEN",
            "columns": {"estimate": "est", "variance": "v"}, "moderators": ["outcome", "dose"],
            "interval": 0.9, "effect": "difference, mm", "models": {"m": priors | model},
        }
    )  # fmt: skip
    return spec, *analysed(spec)


def test_points_of_several_effects_are_called_effects(tmp_path):
    from poolmap.families.meta.figures import figures

    spec, data, results = several(tmp_path)
    (drawn,) = [one for one in figures(spec, data, results) if one.name == "funnel"]
    assert drawn.caption.startswith("Each point is one effect of a study: its own difference, mm")
    assert "Effects of one study are not independent" in drawn.caption and "With 3 studies" in drawn.caption
    assert "6 effects of 3 studies" in drawn.alt
    assert "90% of effects, if alike" in [t.get_text() for t in drawn.figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"subgroups": "outcome"}, "from the mean of its subgroup (outcome) in model m"),
        ({"formula": "dose", "beta_prior": {"normal": [0, 1]}}, "what the regression (dose) expects of it"),
        (
            {"subgroups": "outcome", "formula": "dose", "centre": False, "beta_prior": {"normal": [0, 1]}},
            "from the mean of its subgroup (outcome) and what the regression (dose) expects",
        ),
    ],
)
def test_the_funnel_of_a_model_with_moderators_shows_residuals(tmp_path, model, words):
    """What is expected of each effect is the mean over the draws of beta X', as drawn."""
    from meta_draws import posterior

    from poolmap.families.meta.design import design
    from poolmap.families.meta.study_figures import study_figures

    spec, data, results = several(tmp_path, **model)
    (drawn,) = study_figures(spec, data, results["m"])
    beta = posterior(spec, "m", data, np.random.default_rng(1))["beta"].values.mean(axis=(0, 1))
    residual = data.tables["studies"]["yi"].to_numpy() - design(spec, "m", data).X @ beta
    (axes,) = drawn.figure.axes
    points = np.concatenate([c.get_offsets() for c in axes.collections if len(c.get_offsets()) > 2])
    assert sorted(points[:, 0]) == pytest.approx(sorted(residual))
    assert drawn.title == "Funnel plot of residuals" and words in drawn.caption
    groups = {"pain", "function"} & {text.get_text() for text in drawn.figure.legends[0].get_texts()}
    assert len(groups) == (2 if "subgroups" in model else 0)


def test_circles_of_a_regression_say_what_their_area_is(tmp_path):
    from poolmap.families.meta.figures import figures

    spec, data, results = several(tmp_path, formula="dose", beta_prior={"normal": [0, 1]})
    (drawn,) = [one for one in figures(spec, data, results) if one.name == "bubble_1"]
    assert "Each circle is one effect of a study" in drawn.caption
    assert "area by precision (1 / variance)" in drawn.caption
    areas = drawn.figure.axes[0].collections[-1].get_sizes()
    weights = 1 / data.tables["studies"]["vi"].to_numpy()
    assert areas / areas.max() == pytest.approx(weights / weights.max())
