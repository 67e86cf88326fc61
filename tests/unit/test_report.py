"""The report is self-contained, accessible, safe against hostile text, and stamped where a fit failed."""

import re
from dataclasses import replace
from itertools import pairwise

import matplotlib
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from poolmap.contracts import Equation, ModelResult, ReportTable
from poolmap.figures.style import RC, new_figure, save_figure
from poolmap.report.content import AnalysisPage, EmbeddedFigure, IndexEntry, ModelSection
from poolmap.report.equations import mathml
from poolmap.report.page import render_analysis, render_index
from poolmap.report.predictive_check import statistics_table
from poolmap.report.sections import COMPARISON_CAPTION
from poolmap.report.svg import SVG_LIMIT, inline_svg
from poolmap.report.views import duration, link, minus, number, relative_href

HOSTILE = "<script>alert('&\"x')</script><img src=https://evil.example/x onerror=alert(1)>"
EMPTY = pd.DataFrame(columns=["file", "row", "id", "reason"])
TINY = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt"><path id="p" d="M0 0L9 9"/></svg>'
PNG = b"\x89PNG not really"


def drawn(folder, name):
    """SVG text of a figure with markers, clip paths, text and an image, as matplotlib writes it."""
    with matplotlib.rc_context(RC):
        figure = new_figure(4, 3)
        left, right = figure.subplots(1, 2)
        left.plot([0, 1, 2], [2, 1, 3], marker="s")
        left.set_xlabel(f"value of {name} <b> & co")
        right.imshow([[0, 1], [2, 3]])
        return save_figure(figure, folder / name)[0].read_text("utf-8")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return {name: drawn(folder, name) for name in ("forest", "raw", "further", "predictive")}


def verdict(passed=True):
    gate = [
        ("rhat", "R-hat", "below 1.01", 1.002 if passed else 1.0534, "theta[Madras]", passed),
        ("divergences", "divergences", "none", 0.0, "", True),
        ("ebfmi", "E-BFMI", "above 0.3", None if not passed else 0.9, "chain 2", passed),
    ]
    keys = ("name", "label", "criterion", "worst", "where", "passed", "advice")
    checks = [dict(zip(keys, [*row, f"Advice on {row[0]}."], strict=True)) for row in gate]
    attempt = {"adapt_delta": 0.9, "warmup": 1000, "draws": 1000, "seconds": 3.2, "failed": ["R-hat"]}
    attempts = [{**attempt, "passed": passed}] * (1 if passed else 2)
    return {"passed": passed, "checks": checks, "attempts": attempts, "n_chains": 4, "n_draws": 1000}


def table(caption, rows=3, model="", text="cell"):
    frame = pd.DataFrame({"Study": [f"{text} {row}" for row in range(rows)], "RR": ["0.50"] * rows})
    return ReportTable(frame, caption, numeric=["RR"], model=model)


def page_of(pictures, failed=()):
    def figure(name, model):
        words = f"{name} title", f"{name} caption.", f"{name} alt."
        return EmbeddedFigure(name, *words, model=model, svg=pictures[name], png=PNG)

    def methods(model):
        return [
            f"Words on {model}, see https://doi.org/10.1000/x.",
            Equation(r"y_i \sim \mathrm{N}(\theta_i, s_i^2)", "y i is normal"),
            table(f"priors of {model}", model=model),
        ]

    return AnalysisPage(
        name="bcg",
        family="meta",
        title="BCG and tuberculosis",
        question="Does it work?",
        config_title="demonstration",
        describe=["Thirteen trials.", table("trials")],
        exclusions=EMPTY,
        models=[
            ModelSection(model, model == "normal", methods(model), verdict(model not in failed))
            for model in ("normal", "binomial")
        ],
        findings=[
            "The risk is halved.",
            table("pooled"),
            table("long", rows=31),
            table("own", model="binomial"),
        ],
        figures=[figure("forest", "normal"), figure("raw", ""), figure("further", "binomial")],
        check_figures=[figure("predictive", "normal")],
        settings={"seed": 1, "chains": 4, "interval": 0.95},
        software={"poolmap": "0.1.0"},
        inputs=[{"path": "trials.csv", "sha256": "ab" * 32, "bytes": 1234}],
        run_times=[
            {"step": "fit", "model": "normal", "seconds": 75.0, "max_rss_mb": 312.4},
            {"step": "ingest", "model": "", "seconds": 1.0, "max_rss_mb": None},
        ],
        created="2026-11-21 03:00 UTC",
        files=[{"path": "normal/estimates/pooled.csv", "description": "pooled effect"}],
        config_yaml="bcg:\n  family: meta\n",
        comparison=pd.DataFrame({"model": ["normal", "binomial"], "elpd_loo": [-12.3456, float("nan")]}),
        comparison_notes=["They agree."],
    )


@pytest.fixture(scope="module")
def page(pictures):
    return page_of(pictures)


@pytest.fixture(scope="module")
def soup(page):
    return BeautifulSoup(render_analysis(page), "html.parser")


def entry(**changes):
    picture = EmbeddedFigure("f", "Forest", "A caption.", "An alt.", model="normal", svg=TINY)
    given = IndexEntry(
        "bcg", "BCG", "meta", "bcg/report.html", "It halves the risk.", True, (), picture, "normal"
    )
    return replace(given, **changes)


def index_of(*entries):
    html = render_index("All", entries, software={"poolmap": "0.1.0"}, created="today", seconds=3725.0)
    return BeautifulSoup(html, "html.parser")


def foreign(soup):
    """Every reference that a browser would fetch from outside the page."""
    found = []
    for element in soup.find_all(True):
        for name, value in element.attrs.items():
            text = " ".join(value) if isinstance(value, list) else value
            if name in ("src", "srcset", "data", "poster", "action", "background"):
                found += [text] if not text.startswith("data:") else []
            elif name in ("href", "xlink:href") and element.name != "a":
                found += [text] if not text.startswith(("data:", "#")) else []
            found += re.findall(r"url\((?!#|['\"]?data:)[^)]*\)", text)
    for style in soup.find_all("style"):
        found += re.findall(r"@import|@font-face|url\((?!#|['\"]?data:)[^)]*\)", style.get_text())
    return found


def captions(soup, stamped):
    """Captions of the tables that are, or are not, stamped."""
    wanted = [box for box in soup.select("div.table") if ("stamped" in box["class"]) == stamped]
    return [" ".join(box.find("caption").get_text(" ").split()) for box in wanted]


def assert_well_formed(soup):
    headings = [int(heading.name[1]) for heading in soup.find_all(re.compile("^h[1-6]$"))]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = [element["id"] for element in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for element in soup.find_all("a", href=re.compile("^#")):
        assert element["href"][1:] in ids
    for element in soup.find_all(attrs={"aria-labelledby": True}):
        assert element["aria-labelledby"] in ids
    assert soup.html["lang"] == "en"
    assert len(soup.find_all("main")) == 1
    assert soup.select_one("body > a.skip")["href"] == "#main"


def test_nothing_is_fetched_and_nothing_runs(page, soup):
    for html in (soup, index_of(entry())):
        assert foreign(html) == []
        assert html.find_all(["script", "iframe", "object", "embed", "foreignobject"]) == []
        policy = html.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        assert "default-src 'none'" in policy
    assert soup.find("a", href="https://doi.org/10.1000/x") is not None


def test_structure_is_ordered_and_linked(soup):
    assert_well_formed(soup)
    titles = [heading.get_text() for heading in soup.select("main h2")]
    assert titles == ["Results", "Data", "Methods", "Model comparison", "Checks", "Reproducibility"]
    assert [link.get_text() for link in soup.select("nav a")] == titles
    assert_well_formed(index_of(entry(), entry(name="b", title="B")))


def test_tables_have_captions_and_headers(soup):
    tables = soup.find_all("table")
    assert tables
    for one in tables:
        assert one.find("caption", recursive=False).get_text(strip=True)
        assert one.select("thead th[scope=col]")
        assert all(header.get("scope") for header in one.find_all("th"))
    numbers = [int(re.match(r"Table (\d+)\.", text)[1]) for text in captions(soup, stamped=False)]
    assert numbers == list(range(1, len(tables) + 1))


def test_figures_have_alternatives(soup):
    pictures = soup.select("figure svg, figure img")
    assert [picture["aria-label"] for picture in pictures] == [
        "forest alt.", "raw alt.", "further alt.", "predictive alt."
    ]  # fmt: skip
    assert all(picture["role"] == "img" for picture in pictures)
    assert all(figure.find("figcaption") for figure in soup.find_all("figure"))


def test_figures_stand_in_their_sections(soup):
    where = {
        picture["aria-label"]: picture.find_parent("section").find(["h2", "h3"]).get_text()
        for picture in soup.select("figure svg")
    }
    assert where == {
        "forest alt.": "Results",
        "raw alt.": "Data",
        "further alt.": "Results of model binomial",
        "predictive alt.": "Model normal (primary)",
    }


def test_tables_of_another_model_stand_with_it(soup):
    where = {
        text.split()[2]: box.find_parent("section").find(["h2", "h3"]).get_text()
        for box in soup.select("div.table")
        for text in [" ".join(box.find("caption").get_text(" ").split())]
    }
    assert where["pooled"] == where["long"] == "Results"
    assert where["own"] == "Results of model binomial"


def test_the_first_figure_leads_and_the_others_follow_the_tables(page, pictures):
    figures = [
        EmbeddedFigure(name, name, "", f"{name}.", model="normal", svg=TINY) for name in ("first", "second")
    ]
    results = BeautifulSoup(render_analysis(replace(page, figures=figures)), "html.parser")
    section = results.find("h2", id="results").find_parent("section")
    order = [
        tag.get("aria-label") or tag.get("id") or tag.get_text()
        for tag in section.select("p, svg, div.table, h3")
    ]
    first, table_1, heading, second = (
        order.index(x) for x in ("first.", "table-1", "further-figures", "second.")
    )
    assert 0 < first < table_1 < heading < second


def test_the_comparison_has_one_decimal_and_no_difference_of_the_first_from_itself(page):
    frame = pd.DataFrame(
        {
            "model": ["normal", "binomial"], "unit": "study", "n": [13, 13], "elpd_loo": [-14.7412, -102.62],
            "se": [1.338, 46.25], "p_loo": [1.3, 36.6], "n_high_k": [0, 2],
            "elpd_diff": [0.0, -87.853], "se_diff": [0.0, float("nan")],
        }
    )  # fmt: skip
    shown = BeautifulSoup(render_analysis(replace(page, comparison=frame)), "html.parser")
    box = shown.find("h2", id="comparison").find_parent("section").find("table")
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in box.select("tbody tr")]
    assert rows == [
        ["normal", "study", "13", "−14.7", "1.3", "1.3", "0", "–", "–"],
        ["binomial", "study", "13", "−102.6", "46.2", "36.6", "2", "−87.9", "–"],
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-0.52 (-0.67 to -0.31)", "−0.52 (−0.67 to −0.31)"),
        ("from 1974-78, COVID-19, k - 2", "from 1974-78, COVID-19, k - 2"),
        ("half-normal(-1)", "half-normal(−1)"),
    ],
)
def test_hyphens_before_numbers_become_minus_signs(text, shown):
    assert minus(text) == shown
    assert link(f"{text} https://doi.org/10.1/-2") == f"{shown} " + link("https://doi.org/10.1/-2")
    assert "10.1/-2" in link("https://doi.org/10.1/-2")


def test_an_interval_may_stand_below_its_estimate_but_is_not_broken(page):
    frame = pd.DataFrame({"Study": ["A"], "RR": ["0.50 (0.34 to 0.73)"], "NNT": ["9 (" + "long " * 9 + ")"]})
    wide = replace(page, findings=[ReportTable(frame, "wide", numeric=["RR", "NNT"])])
    shown = BeautifulSoup(render_analysis(wide), "html.parser")
    _, ratio, needed = shown.find("h2", id="results").find_parent("section").select("tbody tr > *")
    assert [part.get_text() for part in ratio.select("span.whole")] == ["0.50", "(0.34 to 0.73)"]
    assert ratio.get_text() == "0.50 (0.34 to 0.73)"
    assert len(needed.select("span.whole")) == 1
    assert ".whole { white-space: nowrap; }" in shown.style.get_text()
    assert ".scroll {" in shown.style.get_text()


def test_ids_of_inline_svg_do_not_clash(pictures, soup):
    original = [set(re.findall(r'\bid="([^"]+)"', pictures[name])) for name in ("forest", "raw")]
    assert original[0] & original[1], "matplotlib no longer reuses ids: this test shows nothing"
    drawings = soup.select("figure svg")
    owned = [{element["id"] for element in [d, *d.find_all(id=True)]} for d in drawings]
    for place, drawing in enumerate(drawings):
        assert all(not owned[place] & other for other in owned[:place])
        used = set()
        for element in drawing.find_all(True):
            for name, value in element.attrs.items():
                used.update(re.findall(r"url\(#([^)]+)\)", str(value)))
                if name.endswith("href") and str(value).startswith("#"):
                    used.add(value[1:])
        assert used, "a figure with clip paths and markers refers to them"
        assert used <= owned[place]
        for style in drawing.find_all("style"):
            assert style.get_text().startswith(f"#{drawing['id']} ")


def test_svg_keeps_its_drawing_and_loses_what_reaches_out():
    hostile = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" height="36pt" onload="alert(1)">'
        "<metadata>http://purl.org</metadata><script>alert(1)</script>"
        '<style>@import url(https://evil.example/a.css); .a{fill: red} path, #p{fill: url("#g")}</style>'
        '<linearGradient id="g"/><g id="unused">'
        '<a xlink:href="https://evil.example"><path id="p" d="M0 0"/></a></g>'
        '<image xlink:href="https://evil.example/x.png"/><image href="data:image/png;base64,AA=="/>'
        '<use xlink:href="#p"/><rect style="fill: url(https://evil.example/y)"/></svg>'
    )
    soup = BeautifulSoup(inline_svg(hostile, "f7", 'A "quoted" <alt>'), "html.parser")
    assert "evil" not in str(soup)
    assert soup.find_all(["script", "metadata", "a"]) == []
    assert "onload" not in soup.svg.attrs
    assert soup.svg["viewbox"] == "0 0 72 36"
    assert soup.svg["style"] == "max-width: 96px; --natural: 96px"
    assert soup.svg["aria-label"] == 'A "quoted" <alt>'
    assert soup.find("use")["href"] == "#f7-p"
    assert soup.find("path")["id"] == "f7-p"
    assert "#f7 path, #f7 #f7-p {fill: url(#f7-g)}" in soup.style.get_text()
    assert soup.find(id="f7-unused") is None
    assert [image.get("href") for image in soup.find_all("image")] == [None, "data:image/png;base64,AA=="]
    with pytest.raises(ValueError, match="not an SVG"):
        inline_svg("<html></html>", "f1", "alt")
    with pytest.raises(ValueError, match="not an SVG"):
        inline_svg("no markup", "f1", "alt")


def test_large_svg_gives_way_to_png(page):
    large = TINY.replace("<path", f"<!--{'x' * SVG_LIMIT}--><path")
    for png, tag in ((PNG, "img"), (None, "svg")):
        one = EmbeddedFigure("map", "Map", "Caption", 'alt "text"', svg=large, png=png)
        picture = BeautifulSoup(render_analysis(replace(page, figures=[one])), "html.parser").select_one(
            "figure"
        )
        assert picture.find(["img", "svg"]).name == tag
    one = EmbeddedFigure("map", "Map", "Caption", 'alt "text"', png=PNG)
    picture = BeautifulSoup(render_analysis(replace(page, figures=[one])), "html.parser").select_one(
        "figure img"
    )
    assert picture["alt"] == 'alt "text"'
    assert picture["src"].startswith("data:image/png;base64,")
    with pytest.raises(ValueError, match="neither"):
        EmbeddedFigure("map", "Map", "Caption", "alt")
    with pytest.raises(ValueError, match="alt"):
        EmbeddedFigure("map", "Map", "Caption", " ", png=PNG)


def test_hostile_text_stays_text(page):
    bad = verdict(False)
    for check in bad["checks"]:
        check.update(label=HOSTILE, where=HOSTILE, advice=HOSTILE, criterion=HOSTILE)
    figure = EmbeddedFigure(HOSTILE, HOSTILE, HOSTILE, HOSTILE, model=HOSTILE, svg=TINY)
    blocks = [HOSTILE, Equation(rf"\text{{{HOSTILE}}}", HOSTILE), table(HOSTILE, text=HOSTILE)]
    hostile = replace(
        page,
        name=HOSTILE, title=HOSTILE, question=HOSTILE, config_title=HOSTILE, created=HOSTILE,
        describe=blocks, findings=blocks,
        exclusions=pd.DataFrame({"file": [HOSTILE], "row": [2], "id": [HOSTILE], "reason": [HOSTILE]}),
        models=[ModelSection(HOSTILE, True, blocks, bad)],
        figures=[figure], check_figures=[figure],
        settings={HOSTILE: HOSTILE}, software={HOSTILE: HOSTILE},
        inputs=[{"path": HOSTILE, "sha256": HOSTILE, "bytes": 1}],
        run_times=[{"step": HOSTILE, "model": HOSTILE, "seconds": 1.0, "max_rss_mb": HOSTILE}],
        files=[{"path": f"javascript:{HOSTILE}", "description": HOSTILE}],
        config_yaml=HOSTILE, comparison=pd.DataFrame({HOSTILE: [HOSTILE]}), comparison_notes=[HOSTILE],
        index_href="javascript:alert(1)",
    )  # fmt: skip
    html = render_analysis(hostile)
    entries = [
        entry(title=HOSTILE, name=HOSTILE, href="javascript:alert(1)", headline=HOSTILE, figure=figure)
    ]
    index = render_index(HOSTILE, entries, software={HOSTILE: HOSTILE}, created=HOSTILE)
    for text in (html, index):
        soup = BeautifulSoup(text, "html.parser")
        assert soup.find_all(["script", "img"]) == []
        assert not [e for e in soup.find_all(True) if any(name.startswith("on") for name in e.attrs)]
        assert foreign(soup) == []
        assert not [a for a in soup.find_all("a") if re.match(r"\s*javascript:", a["href"])]
        assert soup.h1.get_text() == HOSTILE
        assert_well_formed(soup)


def test_passing_page_bears_no_stamp(page, soup):
    assert "DO NOT USE" not in soup.get_text()
    assert soup.select(".stamped, .overlay, .banner.failed") == []
    assert "All checks of the fits passed for both models" in soup.select_one(".banner").get_text()
    one = BeautifulSoup(render_analysis(replace(page, models=page.models[:1])), "html.parser")
    assert "All checks of the fits passed for the fitted model" in one.select_one(".banner").get_text()
    three = replace(page, models=[*page.models, replace(page.models[1], name="third")])
    assert "passed for all 3 models" in BeautifulSoup(render_analysis(three), "html.parser").get_text()


@pytest.mark.parametrize(
    ("failed", "tables", "figures"),
    [
        ("normal", {"pooled", "long", "priors of normal"}, {"forest", "predictive"}),
        ("binomial", {"own", "priors of binomial"}, {"further"}),
    ],
)
def test_failed_model_is_stamped_and_nothing_else(pictures, failed, tables, figures):
    soup = BeautifulSoup(render_analysis(page_of(pictures, failed=[failed])), "html.parser")
    words = f"DO NOT USE: the fit of model {failed} failed R-hat and E-BFMI."
    marked = captions(soup, stamped=True)
    # The comparison rests on every model, so it is stamped with whichever failed.
    assert {text.split(words)[1].strip() for text in marked} == tables | {COMPARISON_CAPTION}
    assert not [text for text in captions(soup, stamped=False) if "DO NOT USE" in text]
    for box in soup.select("div.table.stamped"):
        assert box.select_one("thead .stamp").get_text() == "DO NOT USE"
        assert "DO NOT USE" in box.select_one(".overlay").get_text()
    for box in soup.find_all("figure"):
        name = box.find("b").get_text().split()[0]
        stamped = name in figures
        assert ("stamped" in box.get("class", [])) == stamped
        assert (words in box.figcaption.get_text()) == stamped
        assert box.svg["aria-label"].startswith(words) == stamped
        assert bool(box.select(".overlay")) == stamped
    banner = soup.select_one(".banner.failed").get_text(" ")
    assert "DO NOT USE" in banner
    assert "worst value 1.053 in theta[Madras], needed below 1.01" in banner
    assert "E-BFMI : could not be computed" in banner
    assert "Advice on rhat." in banner
    assert "Advice on divergences." not in banner
    assert ("the primary model, normal, passed" in banner) == (failed == "binomial")
    assert bool(soup.select("main > section > p.note.stamp")) == (failed == "normal")
    assert soup.title.get_text().startswith("DO NOT USE")
    assert any("Attempts to fit model" in text for text in captions(soup, stamped=False))


def test_checks_say_their_verdict_in_words(pictures):
    soup = BeautifulSoup(render_analysis(page_of(pictures, failed=["binomial"])), "html.parser")
    verdicts = {
        section.h3.get_text(): [row.find_all("td")[-1].get_text() for row in section.table.select("tbody tr")]
        for section in soup.find("h2", id="checks").parent.find_all("section")
    }
    assert verdicts == {
        "Model normal (primary)": ["✓ Passed", "✓ Passed", "✓ Passed"],
        "Model binomial": ["✗ Failed", "✓ Passed", "✗ Failed"],
    }
    assert "4 chains of 1,000 draws each" in soup.get_text()


def test_long_tables_fold_and_say_how_long(soup):
    folded = soup.find_all("details")
    assert [details.summary.select_one(".count").get_text() for details in folded] == ["(31 rows)"]
    assert len(folded[0].select("tbody tr")) == 31
    assert "long" in folded[0].summary.get_text()
    assert "details:not([open])::details-content" in soup.style.get_text()


def test_rows_left_out_are_told(page, soup):
    assert "No row of the input was left out." in soup.get_text()
    left = pd.DataFrame({"file": ["a.csv"], "row": [1207], "id": ["x"], "reason": ["no outcome"]})
    told = BeautifulSoup(render_analysis(replace(page, exclusions=left)), "html.parser")
    assert "One row of the input was left out" in told.get_text()
    cells = told.find("caption", string=re.compile("Rows left out")) or told.find(
        lambda tag: tag.name == "caption" and "Rows left out" in tag.get_text()
    )
    assert [c.get_text() for c in cells.parent.select("tbody tr > *")] == ["a.csv", "1207", "x", "no outcome"]


def test_reproducibility_lists_inputs_times_and_files(soup):
    text = " ".join(soup.find("h2", id="reproducibility").parent.get_text(" ").split())
    for part in (
        "ab" * 32,
        "1,234",
        "1 min 15 s",
        "1 min 16 s in all",
        "312",
        "Random seed 1",
        "family: meta",
    ):
        assert part in text
    assert soup.find("a", href="normal/estimates/pooled.csv") is not None


def test_index_says_what_failed():
    good = index_of(entry())
    assert "DO NOT USE" not in good.get_text()
    assert good.select_one("article a")["href"] == "bcg/report.html"
    assert "1 h 02 min" in good.get_text()
    for failed, primary_failed in ((["normal"], True), (["binomial"], False)):
        card = index_of(entry(passed=False, failed_models=failed)).article
        assert f"DO NOT USE: the fit of model {failed[0]} failed its checks." in card.get_text()
        headline = next(p for p in card.find_all("p") if "halves" in p.get_text())
        assert ("DO NOT USE" in headline.get_text()) == primary_failed
        assert card.svg["aria-label"].startswith("DO NOT USE") == primary_failed
    unknown = index_of(entry(passed=False, primary="")).article
    assert unknown.svg["aria-label"].startswith("DO NOT USE")
    assert unknown.find_all("p")[2].get_text() == "DO NOT USE: It halves the risk."
    assert index_of(entry(figure=None)).find("figure") is None


def test_unknown_family_is_refused(page):
    with pytest.raises(ValueError, match="unknown family 'metta'"):
        render_analysis(replace(page, family="metta"))


def test_equations_become_mathml(soup):
    math = soup.find("math")
    assert math["display"] == "block"
    assert math["aria-label"] == "y i is normal"
    assert math.find("mo", string="∼") is not None
    assert math.find("mtext", string="N") is not None
    assert "\\" not in math.get_text()


@pytest.mark.parametrize(
    ("latex", "parts"),
    [
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", ["<mtable", '<mtd style="text-align: right">']),
        (r"\operatorname{logit}(p)", ["<mi>logit</mi>"]),
        (r"\operatorname{E}[x]", ['<mi mathvariant="normal">E</mi>']),
        (r"\log x", ['<mi>log</mi><mspace width="0.167em" /><mi>x</mi>']),
        (r"\boldsymbol{\beta}\mathbf{1}", ["𝜷", "𝟏"]),
        (r"\text{a < b \& c}", ["&lt;", "&amp;"]),
    ],
)  # fmt: skip
def test_latex_is_mended_for_browsers(latex, parts):
    text = mathml(Equation(latex, "words"))
    assert BeautifulSoup(text, "html.parser").math["aria-label"] == "words"
    for part in parts:
        assert part in text
    assert 'mathvariant="bold' not in text


@pytest.mark.parametrize("latex", [r"a_{", r"\foo x", r"\frac{1}"])
def test_bad_latex_is_refused(latex):
    with pytest.raises(ValueError, match="equation"):
        mathml(Equation(latex, "words"))


def test_numbers_and_times_read_well():
    assert [number(x) for x in (1.00234, 1834.2, 0.0, -0.5, 2e-7, float("nan"), float("inf"))] == [
        "1.002", "1,834", "0", "−0.5", "2.00e−07", "–", "∞"
    ]  # fmt: skip
    assert [duration(x) for x in (3.21, 59.96, 125.0, 7380.0, None)] == [
        "3.2 s", "1 min 00 s", "2 min 05 s", "2 h 03 min", "–"
    ]  # fmt: skip
    assert relative_href("a b/c?d#e.csv") == "a%20b/c%3Fd%23e.csv"
    assert relative_href("//evil.example") == "evil.example"
    assert relative_href("../report.html") == "../report.html"


def test_the_statistics_of_the_check_are_explained():
    table = pd.DataFrame({"unit": "cell", "label": ["a", "b"], "observed": [0.0, 2.0]})
    rows = pd.DataFrame(
        {
            "statistic": ["mean", "smallest"], "observed": [1.0, 0.0], "mean": 1.1, "median": [1.1, 0.0],
            "lower": [0.5, 0.0], "upper": [1.8, 0.0], "p_value": 0.5, "replicates": 1200,
        }
    )  # fmt: skip
    result = ModelResult("main", {}, {}, {"passed": True}, table, rows, "yes answers")
    shown = statistics_table(result, 0.9)
    assert "mean, standard deviation, smallest and largest value over its 2 cells" in shown.caption
    assert "1,200 data sets replicated from model main" in shown.caption
    assert shown.caption.endswith("Smallest is the same in nearly all replicates, and checks nothing here.")
    assert "checks nothing" not in statistics_table(replace(result, statistics=rows[:1]), 0.9).caption
