"""Maps and report text: what they hold, not how they look."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch
from shapely.geometry import box

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import Dataset, Equation, ModelResult, ReportTable
from poolmap.families.areas.checklists import checklists
from poolmap.families.areas.figures import figures
from poolmap.families.areas.methods import describe, findings, methods
from poolmap.graph.graph import Graph
from poolmap.tables import exclusions

N = 6


def _spec():
    return AreasAnalysis.model_validate(
        {
            "family": "areas",
            "data": "counts.csv",
            "geometry": "map.gpkg",
            "area": "id",
            "interval": 0.95,
            "outcome": {"cases": "cases", "population": "pop"},
            "models": {
                "bym2": {"prior": "bym2", "sigma_prior": {"half_normal": 0.3}},
                "iid": {"prior": "iid"},
            },
        }
    )


def _data():
    names = [f"area {k}" for k in "ABCDEF"]
    areas = pd.DataFrame({"area": list("abcdef"), "name": names, "expected": np.arange(1.0, 7)})
    areas["cases"] = [0, 2, np.nan, 8, 5, 3]
    areas["population"] = 100 * areas["expected"]
    areas["sir"] = areas["cases"] / areas["expected"]
    frame = gpd.GeoDataFrame(
        {"area": areas["area"]}, geometry=[box(i, 50, i + 1, 51) for i in range(N)], crs="EPSG:4326"
    )
    facts = {
        "areas": N,
        "cases": 18.0,
        "expected": 18.0,
        "population": 2100.0,
        "strata": [],
        "reference_rates": [{"stratum": "", "rate": 0.01}],
        "without_cases": ["c"],
        "without_population": [],
        "geometry": [],
        "covariates": [],
    }
    graph = Graph.from_edges("abcdef", [(i, i + 1) for i in range(N - 2)], "queen")
    return Dataset({"areas": areas, "covariates": areas[["area"]].copy()}, exclusions(), facts, frame, graph)


def _result(data, name, shift=1.0):
    rr = data.tables["areas"].drop(columns="population").copy()
    rr["mean"] = np.array([0.6, 0.9, 1.0, 1.8, 1.2, 0.7]) ** shift
    rr["sir_lower"], rr["sir_upper"] = rr["sir"] / 2, rr["sir"] * 2
    rr["lower"], rr["upper"] = rr["mean"] / 1.5, rr["mean"] * 1.5
    rr["p_rr_gt_1"] = [0.02, 0.3, 0.5, 0.99 if shift == 1 else 0.9, 0.85, 0.05]
    rr["hot_spot"] = rr["p_rr_gt_1"] > 0.9
    rr["rank"] = rr["mean"].rank(ascending=False)
    rr["rank_lower"], rr["rank_upper"] = rr["rank"] - 1, rr["rank"] + 1
    rr["p_highest_fifth"], rr["p_lowest_fifth"] = rr["p_rr_gt_1"], 1 - rr["p_rr_gt_1"]
    rr["from_own"], rr["from_neighbours"], rr["from_others"] = np.linspace(0.2, 0.7, N), 0.2, 0.1
    rr.insert(0, "quantity", "rr")
    excess = rr.assign(quantity="excess", mean=(rr["mean"] - 1) * rr["expected"], lower=-1.0, upper=9.0)
    rr = pd.concat([rr, excess], ignore_index=True)
    rows = [("alpha", "intercept", -0.1, -0.2, 0.0), ("sigma", "area effects", 0.4, 0.2, 0.6)]
    if name == "bym2":
        rows.append(("rho", "area effects", 0.5, 0.1, 0.9))
    parameters = pd.DataFrame(rows, columns=["quantity", "term", "mean", "lower", "upper"])
    empty = pd.DataFrame()
    tables = {"areas": rr, "parameters": parameters}
    return ModelResult(name, tables, {}, {"passed": True}, empty, empty, "cases")


@pytest.fixture
def analysis():
    data = _data()
    return _spec(), data, {"bym2": _result(data, "bym2"), "iid": _result(data, "iid", 0.5)}


def test_the_figures(analysis):
    named = {figure.name: figure for figure in figures(*analysis)}
    assert list(named) == ["maps", "map_certainty", "ranked", "models", "graph"]
    assert "from 0.60 in area A to 1.80 in area D; in 1 areas" in named["maps"].alt
    assert named["maps"].model == "bym2" and named["graph"].model == ""
    assert "area A" in named["models"].alt or "area D" in named["models"].alt
    assert "1 areas have no neighbours" in named["graph"].alt


def _areas(shapes):
    """How many areas are in shapes: each begins with one move of the pen."""
    return sum(int((shape.get_path().codes == shape.get_path().MOVETO).sum()) for shape in shapes)


def test_the_maps_share_a_scale_hatch_the_unknown_and_outline_the_sure(analysis):
    maps = next(f.figure for f in figures(*analysis) if f.name == "maps")
    panels = [a for a in maps.axes if a.get_title(loc="left")]
    assert len(panels) == 4 and len(maps.axes) == 4 + 3
    shapes = [a.findobj(PathPatch) for a in panels]
    hatched = [[s for s in here if s.get_hatch()] for here in shapes]
    assert [_areas(h) for h in hatched] == [1, 0, 0, 0]
    heavy = [[s for s in here if s.get_linewidth() == 1.5] for here in shapes]
    assert [_areas(h) for h in heavy] == [0, 1, 0, 1]
    filled = [[s for s in here if s.get_facecolor()[3] and not s.get_hatch()] for here in shapes]
    assert [_areas(f) for f in filled] == [N - 1, N, N, N]
    legend = [text.get_text() for text in maps.legends[0].get_texts()]
    assert legend == ["P(RR > 1) > 0.95", "no case count, or nobody at risk"]
    # orange (more red than blue) above 1, purple below, and the same value has the same colour in A and B
    left = {shape.get_path().get_extents().x0: shape.get_facecolor() for shape in filled[1]}
    colours = [left[x] for x in sorted(left)]
    assert colours[3][0] > colours[3][2] and colours[0][2] > colours[0][0]
    assert any("km" in text.get_text() for text in panels[0].texts)


def test_findings_name_the_raised_area_the_extremes_and_what_another_model_changes(analysis):
    blocks = findings(*analysis)
    text = " ".join(b for b in blocks if isinstance(b, str))
    assert "In 1 of 6 areas" in text and "area D (0.990)" in text
    assert "highest in area D, 1.80 (95% interval 1.20 to 2.70)" in text
    assert "lowest in area A, 0.60 (95% interval 0.40 to 0.90)" in text
    assert "area D crosses the bound of 0.95" in text
    tables = [b for b in blocks if isinstance(b, ReportTable)]
    assert tables[0].frame["area"].tolist() == [f"area {k}" for k in "DECBFA"]
    assert tables[0].frame["SIR"].tolist()[2] == ""
    of_models = next(t.frame for t in tables if "model" in t.frame)
    assert of_models["model"].tolist() == ["bym2"] * 3 + ["iid"] * 2


def test_hot_spots_excess_ranks_and_borrowing_are_told(analysis):
    blocks = findings(*analysis)
    text = " ".join(b for b in blocks if isinstance(b, str))
    assert "Hot spots (relative risk above 1; false discovery rate 5%" in text
    assert "1 area, with an expected share of wrong ones of 1.0%: area D." in text
    # area D: 4 expected, relative risk 1.8
    assert "largest in area D: 3.2 (95% interval -1.0 to 9.0). The hot spots have 3 cases more" in text
    assert "45% in the median area; 20% comes from its neighbours" in text
    assert "Most rests on its own in area F (70%), least in area A (20%)" in text
    frame = next(b.frame for b in blocks if isinstance(b, ReportTable) and "rank" in b.frame)
    assert frame["area"].tolist()[0] == "area D"
    assert frame["rank"].tolist()[0] == "1.0"
    assert frame["rank, 95% interval"].tolist()[0] == "0 to 2"
    assert frame["hot spot"].tolist() == ["yes"] + [""] * (N - 1)


def test_regions_and_contrasts_are_told():
    data = _data()
    spec = _spec().model_copy(update={"aggregate": ("state",), "contrasts": (("d", "a"),)})
    result = _result(data, "bym2")
    regions = {"quantity": "rr", "grouping": "state", "region": ["X", "Y"], "n_areas": [2, 4]}
    regions |= {"cases": [2.0, 16.0], "expected": [3.0, 18.0], "mean": [0.8, 1.1], "lower": 0.5, "upper": 1.5}
    tables = result.estimates | {
        "regions": pd.DataFrame(regions).assign(p_rr_gt_1=[0.1, 0.7]),
        "contrasts": pd.DataFrame(
            {"first_name": ["area D"], "second_name": ["area A"], "mean": 3.0, "lower": 1.4, "upper": 5.5}
        ).assign(p_first_higher=0.995),
    }
    blocks = findings(spec, data, {"bym2": replace(result, estimates=tables)})
    frames = [b.frame for b in blocks if isinstance(b, ReportTable)]
    (of_regions,) = (frame for frame in frames if "region" in frame)
    assert of_regions["RR"].tolist() == ["0.80", "1.10"]
    assert of_regions["P(RR > 1)"].tolist() == ["0.100", "0.700"]
    (pairs,) = (frame for frame in frames if "ratio" in frame)
    assert pairs.iloc[0].tolist() == ["area D", "area A", "3.00", "1.40 to 5.50", "0.995"]


def test_gather_has_its_18_items(analysis):
    spec, data, results = analysis
    results = {
        name: replace(r, checks=r.checks | {"n_chains": 4, "n_draws": 1000}) for name, r in results.items()
    }
    drawn = figures(spec, data, results)
    _, table = checklists(spec, data, results, drawn)
    rows = table.frame.set_index("Item")
    assert rows.index.tolist() == [str(number) for number in range(1, 19)]
    assert "6 areas" in rows.at["1", "In this run"]
    assert "counts.csv and map.gpkg" in rows.at["5", "In this run"]
    assert "Models bym2 and iid" in rows.at["11", "In this run"]
    assert "4,000 draws" in rows.at["13", "In this run"]
    assert "DO NOT USE" not in rows.at["12", "In this run"]
    assert all(figure.title in rows.at["16", "Where"] for figure in drawn if figure.model == "bym2")
    failed = results | {"iid": replace(results["iid"], checks=results["iid"].checks | {"passed": False})}
    rows = checklists(spec, data, failed, drawn)[1].frame.set_index("Item")
    assert "DO NOT USE model iid" in rows.at["12", "In this run"]


def test_description_and_methods_say_what_was_done(analysis):
    spec, data, _ = analysis
    text = " ".join(b for b in describe(spec, data) if isinstance(b, str))
    assert "No case count: area C." in text and "1,000 per 100,000" in text
    assert "1 area without neighbours: area F" in text
    told = methods(spec, "bym2", data)
    assert "sigma ~ half-normal(0.3); rho ~ beta(0.5, 0.5)" in told[-1]
    assert sum(isinstance(b, Equation) for b in told) == 3
    assert "rho" not in methods(spec, "iid", data)[-1]
