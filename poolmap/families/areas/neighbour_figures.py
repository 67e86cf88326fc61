"""Figures about neighbours: local clusters before and after the model, and other graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from poolmap.contracts import Dataset, ModelResult, NamedFigure
from poolmap.families.areas.autocorrelation import AFTER, KINDS, LEVEL, STANDARDISED
from poolmap.families.areas.neighbour_words import before_of, certified
from poolmap.families.areas.scales import CERTAIN
from poolmap.families.areas.words import counted
from poolmap.graph.candidates import CHOSEN

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd


def neighbour_figures(data: Dataset, results: Mapping[str, ModelResult]) -> list[NamedFigure]:
    """The maps of local clusters (primary model) and of the pairs in which other graphs differ."""
    if data.graph is None or data.geometry is None:
        return []
    primary = next(iter(results.values()))
    named = []
    if len(primary.companions.get("local_moran", ())):
        named.append(_clusters(data, primary))
    result = certified(results)
    if result is not None and len(result.companions["graph_edges"]):
        named.append(_differences(data, result))
    return named


def _clusters(data: Dataset, result: ModelResult) -> NamedFigure:
    from poolmap.figures.pattern_map import (
        HIGH_HIGH,
        HIGH_LOW,
        LOW_HIGH,
        LOW_LOW,
        PatternPanel,
        draw_patterns,
    )

    looks = (HIGH_HIGH, LOW_HIGH, LOW_LOW, HIGH_LOW)
    local = result.companions["local_moran"]
    panels, counts = [], []
    before = before_of(local["value"])
    for title, value in (("A  Before: as observed", before), ("B  After: what the model leaves over", AFTER)):
        table = local[local["value"] == value].set_index("area").reindex(data.geometry["area"])
        kinds = np.array([KINDS.index(kind) - 1 if isinstance(kind, str) else -1 for kind in table["kind"]])
        kinds[~(table["p"] < LEVEL).to_numpy()] = -1
        firm = (table["q"] < LEVEL).to_numpy()
        panels.append(PatternPanel(title, kinds, table["p"].isna().to_numpy(), firm))
        counts.append(f"{(kinds >= 0).sum()} areas stand out ({firm.sum()} by the false discovery rate)")
    figure = draw_patterns(
        data.geometry,
        looks,
        panels,
        rest_label=f"p of {LEVEL:g} or more",
        missing_label="not judged: no data, or no neighbour with data",
        outline_label=f"false discovery rate below {LEVEL:g}",
    )
    return NamedFigure(
        "local_moran",
        figure,
        "Do high and low areas lie together?",
        "Local Moran statistics (Anselin 1995). High and low: the area's value is above or below the mean of "
        "all areas; among high, among low: so is the mean of its neighbours. A: values as observed"
        + (
            ", standardised for what is at risk (Assunção and Reis 1999). "
            if before == STANDARDISED
            else ". "
        )
        + f"B: residuals of the model {result.name} (Pearson). Filled: p below {LEVEL:g} by permutation, by "
        "which one area in twenty would stand out without any pattern; heavy outlines: at a false discovery "
        f"rate below {LEVEL:g}.",
        f"Two maps of {len(data.geometry)} areas. Before the model {counts[0]}; after it {counts[1]}.",
        result.name,
    )


def _differences(data: Dataset, result: ModelResult) -> NamedFigure:
    from poolmap.figures.graph_differences import draw_differences

    candidates, edges, conclusions = (
        result.companions[f"graph_{part}"] for part in ("candidates", "edges", "conclusions")
    )
    maps, words = [], []
    for _, row in candidates[candidates["graph"] != CHOSEN].iterrows():
        if row["gained"] + row["lost"] == 0:
            continue
        own = edges[edges["graph"] == row["graph"]]
        changed = conclusions[(conclusions["graph"] == row["graph"]) & _flags(conclusions["changed"])]
        maps.append(_difference(data, row, own, set(changed["area"])))
        words.append(f"{row['graph']}: {row['gained']:,} gained and {row['lost']:,} lost")
    return NamedFigure(
        "graph_candidates",
        draw_differences(data.geometry, maps, f"passes or leaves the bound of {CERTAIN:g}"),
        "What other rules for neighbours would change",
        "Each map compares the graph of another rule with the chosen one: pairs of neighbours that only the "
        "other rule has (blue, solid) and that only the chosen one has (orange, dashed). Yellow with a dark "
        "outline: areas whose conclusion is another when the model "
        f"{result.name} is refitted on that graph, by the deterministic approximation.",
        f"{counted(len(maps), 'map')}. Pairs against the chosen graph, by {'; by '.join(words)}.",
        result.name,
    )


def _difference(data: Dataset, row: pd.Series, own: pd.DataFrame, changed: set[str]):
    from poolmap.figures.graph_differences import Difference

    frame: gpd.GeoDataFrame = data.geometry
    place = {area: i for i, area in enumerate(frame["area"])}
    of_chosen = np.array([place[area] for area in data.graph.areas])[data.graph.edges]
    ends = own[["area", "neighbour"]].map(place.get).to_numpy(dtype=np.int64).reshape(-1, 2)
    gained = ends[(own["change"] == "gained").to_numpy()]
    lost = ends[(own["change"] == "lost").to_numpy()]
    n = len(frame)
    key = np.sort(of_chosen, axis=1) @ [n, 1]
    kept = of_chosen[~np.isin(key, np.sort(lost, axis=1) @ [n, 1])]
    title = f"{row['graph']}: {row['gained']:,} gained, {row['lost']:,} lost"
    return Difference(title, kept, gained, lost, frame["area"].isin(changed).to_numpy())


def _flags(column: pd.Series) -> pd.Series:
    return column.astype(str) == "True"
