"""Moran's I and its local parts, against spdep and esda."""

import warnings

import numpy as np
import pytest
from maps import example, graph_of

from poolmap.families.areas.autocorrelation import (
    KINDS,
    false_discovery_rate,
    local_table,
    log_odds,
    log_ratio,
    moran_table,
    pearson_residual,
    standardised_ratio,
    usable,
    weights,
)
from poolmap.families.areas.likelihoods import Observed
from poolmap.graph.graph import Graph


@pytest.fixture(scope="module")
def sids():
    geometry = example("sids2.shp", "FIPS")
    return geometry.frame, graph_of(geometry)


def test_north_carolina_against_spdep(sids):
    """Freeman-Tukey transformed rates and EBImoran.mc of spdep 1.2-7, 1974, queen contiguity, row weights."""
    frame, graph = sids
    deaths, births = frame["SID74"].to_numpy(float), frame["BIR74"].to_numpy(float)
    values = {
        "freeman_tukey": np.sqrt(1000) * (np.sqrt(deaths / births) + np.sqrt((deaths + 1) / births)),
        "eb_ratio": standardised_ratio(deaths, births),
        "expected": standardised_ratio(deaths, births * deaths.sum() / births.sum()),
    }
    table = moran_table(values, graph).set_index("value")
    assert table.at["freeman_tukey", "moran_i"] == pytest.approx(0.23149466791, abs=1e-10)
    assert table.at["eb_ratio", "moran_i"] == pytest.approx(0.24874621426, abs=1e-10)
    assert table.at["expected", "moran_i"] == pytest.approx(0.24874621426, abs=1e-10)  # whatever the unit
    assert (table["areas"] == 100).all() and table["expected"].to_numpy() == pytest.approx(-1 / 99)


def test_columbus_against_spdep():
    """moran.test(columbus$CRIME), queen contiguity, row weights, as printed in courses on spdep: statistic
    0.500188557, expectation -0.020833333, variance 0.008689289, deviate 5.5894, one-sided p 1.139e-08."""
    geometry = example("columbus.shp", "POLYID")
    graph = graph_of(geometry)
    (row,) = moran_table({"crime": geometry.frame["CRIME"].to_numpy()}, graph).to_dict("records")
    assert row["moran_i"] == pytest.approx(0.500188557, abs=5e-10)
    assert row["expected"] == pytest.approx(-0.020833333, abs=5e-10)
    assert row["sd"] ** 2 == pytest.approx(0.008689289, abs=5e-10)
    assert row["z"] == pytest.approx(5.5894, abs=5e-5)
    assert row["p"] == pytest.approx(2 * 1.139e-08, rel=5e-4)


def test_areas_without_value_or_neighbour_are_left_out(sids):
    frame, graph = sids
    values = frame["NWBIR74"].to_numpy(float).copy()
    values[[3, 40]] = np.nan
    alone = int(np.argmin(graph.n_neighbours))  # loses its neighbours
    values[graph.edges[(graph.edges == alone).any(axis=1)].ravel()] = np.nan
    values[alone] = 1.0
    used = usable(values, graph)
    assert alone not in used and not np.isnan(values[used]).any()
    part = graph.subset([graph.areas[i] for i in used])
    (row,) = moran_table({"x": values}, graph).to_dict("records")
    (again,) = moran_table({"x": values[used]}, part).to_dict("records")
    assert row == again and row["areas"] == len(used)


def test_nothing_to_test():
    graph = Graph.from_edges("abcde", [(0, 1), (1, 2), (2, 3), (3, 4)], "a line")
    table = moran_table({"equal": np.ones(5), "few": np.array([1, 2, 3, np.nan, np.nan])}, graph)
    assert table["areas"].tolist() == [5, 3] and table["moran_i"].isna().all()
    assert local_table({"equal": np.ones(5)}, graph, 1).empty


def test_local_statistics_add_up_to_the_global_one(sids):
    """Anselin 1995: the mean of z_i times the mean z of the neighbours is Moran's I."""
    frame, graph = sids
    values = {"x": log_ratio(frame["SID74"], frame["BIR74"] * 0.002)}
    local = local_table(values, graph, seed=3)
    (row,) = moran_table(values, graph).to_dict("records")
    assert (local["standardised"] * local["neighbours"]).mean() == pytest.approx(row["moran_i"], rel=1e-10)
    assert local["area"].tolist() == list(graph.areas)
    high, around = local["standardised"] > 0, local["neighbours"] > 0
    kinds = {
        (True, True): KINDS[1],
        (False, True): KINDS[2],
        (False, False): KINDS[3],
        (True, False): KINDS[4],
    }
    assert local["kind"].tolist() == [kinds[pair] for pair in zip(high, around, strict=True)]
    assert local.equals(local_table(values, graph, seed=3))


def test_local_p_values_against_esda(sids):
    """esda's are one-sided: twice theirs, and 1 at most."""
    from esda import Moran_Local

    frame, graph = sids
    x = standardised_ratio(frame["SID74"], frame["BIR74"])
    local = local_table({"x": x}, graph, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Moran_Local(x, weights(graph, np.arange(100)), permutations=9999, seed=5)
    assert local["p"].to_numpy() == pytest.approx(np.minimum(2 * theirs.p_sim, 1), abs=1e-12)
    assert local["local_i"].to_numpy() == pytest.approx(theirs.Is)


def test_false_discovery_rate_of_the_published_example():
    """Benjamini and Hochberg 1995, section 4.2: of 15 hypotheses the first four are rejected at 0.05."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (false_discovery_rate(np.array(p)) <= 0.05).tolist() == [True] * 4 + [False] * 11


def test_raw_values():
    assert log_ratio([0, 3, np.nan, 1], [1.5, 2.5, 1, 0]) == pytest.approx(
        [np.log(0.25), np.log(3.5 / 3), np.nan, np.nan], nan_ok=True
    )
    assert log_odds([0, 2, 1], [4, 4, 0]) == pytest.approx([np.log(0.5 / 4.5), 0, np.nan], nan_ok=True)
    known = np.isfinite(standardised_ratio([np.nan, 2, 3, 5], [1, 0, 2, 6]))
    assert known.tolist() == [False, False, True, True]


def _seen(likelihood, lower, upper=None, exposure=1.0, trials=0.0, se=1.0):
    lower = np.array(lower, dtype=float)
    full = np.ones_like(lower)
    upper = lower if upper is None else np.array(upper, dtype=float)
    return Observed(likelihood, lower, upper, np.log(exposure * full), trials * full, se * full)


def test_pearson_residuals():
    assert pearson_residual(_seen("poisson", [6, 2], exposure=2), [2, 1]) == pytest.approx([1, 0])
    assert pearson_residual(_seen("binomial", [30, 50], trials=100), 0.5) == pytest.approx([-4, 0])
    assert pearson_residual(_seen("normal", [3, 5], se=2), [4, 1]) == pytest.approx([-0.5, 2])
    suppressed = pearson_residual(_seen("poisson", [0, 4], upper=[4, 4], exposure=4), 1)
    assert np.isnan(suppressed[0]) and suppressed[1] == 0
