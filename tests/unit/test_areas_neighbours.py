"""The companions of a map about its neighbours, and what the report makes of them."""

import numpy as np
import pandas as pd
import pytest
from test_areas_marginals import REFERENCE, sids

from poolmap.contracts import ModelResult, ReportTable
from poolmap.families.areas.companions import companions
from poolmap.families.areas.neighbour_figures import neighbour_figures
from poolmap.families.areas.neighbour_words import certified, neighbour_blocks
from poolmap.families.areas.scales import scale_of
from poolmap.graph.candidates import CHOSEN

MODELS = {"bym2": {"prior": "bym2"}, "iid": {"prior": "iid"}}


def result_of(spec, data, model):
    """As if Stan had given the reference's numbers."""
    reference = REFERENCE["ncsids74"]
    table = data.tables["areas"].assign(mean=reference["rr_mean"], p_rr_gt_1=reference["p_rr_gt_1"])
    table.insert(0, "quantity", "rr")
    tables = {"areas": table}
    found = {one.name: one.frame for one in companions(spec, model, data, tables)}
    nothing = pd.DataFrame()
    return ModelResult(model, tables, {}, {"passed": True}, nothing, nothing, "deaths", found)


@pytest.fixture(scope="module")
def carolina():
    spec, data = sids(models=MODELS)
    return spec, data, {"bym2": result_of(spec, data, "bym2")}


def test_moran_before_and_after(carolina):
    """Before: log SIR, and 0.24874621426 by EBImoran.mc of spdep 1.2-7. After: no pattern is left."""
    _, data, results = carolina
    moran = results["bym2"].companions["moran"].set_index("value")
    assert moran.index.tolist() == ["log_sir", "eb_ratio", "residual"]
    assert moran.at["eb_ratio", "moran_i"] == pytest.approx(0.24874621426, abs=1e-10)
    assert moran.at["log_sir", "p"] < 0.001 and abs(moran.at["residual", "z"]) < 1
    local = results["bym2"].companions["local_moran"]
    assert local["value"].value_counts().to_dict() == {"eb_ratio": 100, "residual": 100}
    assert local["name"].tolist()[:100] == data.tables["areas"]["name"].tolist()


def test_certificate_compares_the_graphs(carolina):
    _, data, results = carolina
    table = results["bym2"].companions["graph_candidates"].set_index("graph")
    assert table.index.tolist() == [CHOSEN, "queen, 300 m", "rook", "5 nearest"]
    assert table["pairs"].tolist()[:3] == [245, 245, 231]
    assert table.loc["rook", ["gained", "lost", "components", "alone"]].tolist() == [0, 14, 1, 0]
    same = ["sigma", "rho", "above", "changed", "largest_change"]
    assert table.loc["queen, 300 m", same].tolist() == table.loc[CHOSEN, same].tolist()
    assert (table["pairs"] == 245 + table["gained"] - table["lost"]).all()
    edges = results["bym2"].companions["graph_edges"]
    counts = edges.groupby(["graph", "change"]).size().to_dict()
    assert counts[("rook", "lost")] == 14 and ("rook", "gained") not in counts
    assert counts[("5 nearest", "gained")] == table.at["5 nearest", "gained"]
    pairs = {frozenset(pair) for pair in np.array(data.graph.areas)[data.graph.edges].tolist()}
    lost = edges[edges["change"] == "lost"]
    assert all(frozenset(pair) in pairs for pair in lost[["area", "neighbour"]].itertuples(index=False))


def test_certificate_says_whose_conclusion_changes(carolina):
    _, _, results = carolina
    conclusions = results["bym2"].companions["graph_conclusions"]
    table = results["bym2"].companions["graph_candidates"].set_index("graph")
    for graph, part in conclusions.groupby("graph"):
        base = conclusions[conclusions["graph"] == CHOSEN]["above"].to_numpy()
        assert (part["above"] == (part["probability"] > 0.95)).all()
        assert (part["changed"].to_numpy() == (part["above"].to_numpy() != base)).all()
        assert part["changed"].sum() == table.at[graph, "changed"]
    chosen = conclusions[conclusions["graph"] == CHOSEN]
    assert ((chosen["drawn"] > 0.95) == chosen["above"]).all()
    assert (chosen["drawn"] - chosen["probability"]).abs().max() < 0.02
    assert table.at["rook", "changed"] > 0


def test_report_on_neighbours(carolina):
    spec, _, results = carolina
    blocks = neighbour_blocks(scale_of(spec), 1.0, results)
    text = " ".join(block for block in blocks if isinstance(block, str))
    assert "Moran's I of the raw value is 0.25 (p < 0.001). Of the residuals of the model bym2 it is" in text
    assert "3 other rules (queen, 300 m; rook; 5 nearest)" in text
    assert "deterministic approximation (nested Laplace with a variational correction)" in text
    assert "by at most 0.014" in text and "no area lies on the other side of the bound" in text
    moran, candidates, changed = (block for block in blocks if isinstance(block, ReportTable))
    assert moran.frame["value"].iloc[-1] == "residual of the model"
    assert candidates.frame["lost"].tolist()[:3] == ["0", "0", "14"]
    names = changed.frame["area"].tolist()
    assert names and all(name in text for name in names)
    assert changed.frame.columns.tolist()[1:] == candidates.frame["graph"].tolist()


def test_figures_about_neighbours(carolina):
    from matplotlib.collections import LineCollection

    _, data, results = carolina
    clusters, differences = neighbour_figures(data, results)
    assert [clusters.name, differences.name] == ["local_moran", "graph_candidates"]
    labels = [text.get_text() for text in clusters.figure.legends[0].get_texts()]
    assert "high among high (HH)" in labels and "p of 0.05 or more" in labels
    letters = [text.get_text() for text in clusters.figure.axes[0].texts]
    assert {"HH", "LL"} <= set(letters)
    rook, _ = differences.figure.axes
    assert rook.get_title(loc="left") == "rook: 0 gained, 14 lost"
    drawn = [len(c.get_segments()) for c in rook.collections if isinstance(c, LineCollection)]
    assert drawn == [231, 14, 0]
    assert "only the other rule has" in " ".join(differences.caption.split())


def test_a_model_without_neighbours_has_no_certificate():
    spec, data = sids(models=MODELS)
    iid = result_of(spec, data, "iid")
    assert set(iid.companions) == {"moran", "local_moran"}
    assert certified({"iid": iid}) is None
    assert [figure.name for figure in neighbour_figures(data, {"iid": iid})] == ["local_moran"]


def test_nothing_to_compare_and_rules_without_neighbours():
    spec, data = sids(models=MODELS, graph={"compare": []})
    assert set(result_of(spec, data, "bym2").companions) == {"moran", "local_moran"}
    rule = {"method": "distance", "distance": 10.0}
    spec, data = sids(models=MODELS, graph={"compare": [rule]})
    result = result_of(spec, data, "bym2")
    row = result.companions["graph_candidates"].set_index("graph").loc["within 10 m"]
    assert (row["pairs"], row["lost"], row["alone"]) == (0, 245, 100) and np.isnan(row["sigma"])
    assert set(result.companions["graph_conclusions"]["graph"]) == {CHOSEN}
    text = " ".join(str(b) for b in neighbour_blocks(scale_of(spec), 1.0, {"bym2": result}))
    assert "By other rules no area has a neighbour, or the priors do not fit the graph: within 10 m." in text
    assert "With each of them" not in text
