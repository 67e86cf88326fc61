"""The graph certificate: what other graphs of the same areas would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from poolmap.contracts import Companion, Dataset
from poolmap.errors import InputError
from poolmap.families.areas.approximation import Approximation, approximate
from poolmap.families.areas.marginals import Marginals, marginals
from poolmap.families.areas.model import map_model
from poolmap.families.areas.scales import CERTAIN, exceedance_column, scale_of, thresholds
from poolmap.graph.candidates import CHOSEN, Candidate, candidates

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis
    from poolmap.graph.graph import Graph

LINKS = {"rr": np.log, "prevalence": special.logit, "mean": lambda value: value}


def certificate(
    spec: AreasAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """The chosen graph beside other rules, and one model refitted on each of them.

    The refits are deterministic (`marginals`), that on the chosen graph too, so that they differ by the graph
    alone; the probabilities from the draws stand beside them.

    Returns:
        `graph_candidates`, a row a graph; `graph_edges`, a row a pair of areas that one has and the chosen
        one has not, or the reverse; `graph_conclusions`, a row an area and graph. Nothing for a model without
        neighbours, and where there is no other rule.
    """
    graph = data.graph
    if spec.models[model].prior == "iid" or graph is None or data.geometry is None:
        return []
    others = candidates(data.geometry, graph, spec.graph)
    if not others:
        return []
    threshold = thresholds(spec, data)[0]
    cut = float(LINKS[spec.scale](threshold))
    reached = {CHOSEN: _refit(spec, model, data, graph, None)}
    frame = reached[CHOSEN][1]
    for other in others:
        if other.graph is None:
            continue
        found = reached[CHOSEN] if not other.differs else _refit(spec, model, data, other.graph, frame)
        if found is not None:
            reached[other.name] = found
    by_graph = {name: found[0].exceedance(cut) for name, found in reached.items()}
    conclusions = _conclusions(spec, data, tables, threshold, by_graph)
    about = f"P({scale_of(spec).symbol} > {threshold:g})"
    return [
        Companion(
            "graph_candidates",
            _candidates_table(graph, others, {name: found[0] for name, found in reached.items()}, by_graph),
            "the chosen graph and other rules for the same areas: pairs of neighbours, gained and lost "
            "against the chosen graph, components, areas without neighbours; sigma and rho: posterior means "
            f"of the model {model} refitted on it by a deterministic approximation; above: areas with "
            f"{about} above {CERTAIN:g}; changed: areas for which that differs from the chosen graph; "
            f"largest_change of {about} in an area. Empty where the model cannot be fitted on it",
        ),
        Companion("graph_edges", _edges_table(graph, others), "pairs of areas in which the graphs differ"),
        Companion(
            "graph_conclusions",
            conclusions,
            f"{about} of each area by the graph: from the draws (drawn, chosen graph only) and by the "
            f"deterministic approximation (probability); above: beyond {CERTAIN:g}; changed: not the same as "
            "with the chosen graph",
        ),
    ]


def _refit(
    spec: AreasAnalysis, model: str, data: Dataset, graph: Graph, frame: Approximation | None
) -> tuple[Marginals, Approximation] | None:
    """The marginals on a graph; None where the priors of the model do not fit the graph."""
    try:
        described = map_model(spec, model, replace(data, graph=graph))
    except InputError:
        return None
    frame = frame or approximate(described)
    return marginals(described, frame), frame


def _candidates_table(
    graph: Graph,
    others: Sequence[Candidate],
    fits: Mapping[str, Marginals],
    by_graph: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    none = np.empty((0, 2), dtype=np.int64)
    own = Candidate(CHOSEN, graph.rule, graph, none, none)
    base = by_graph[CHOSEN]
    rows = []
    for candidate in (own, *others):
        of = candidate.graph
        row = {
            "graph": candidate.name,
            "rule": candidate.rule,
            "pairs": 0 if of is None else len(of.edges),
            "gained": len(candidate.gained),
            "lost": len(candidate.lost),
            "components": graph.n if of is None else of.n_components,
            "alone": graph.n if of is None else len(of.islands),
        }
        if candidate.name in fits:
            p = by_graph[candidate.name]
            fit = fits[candidate.name]
            row["sigma"] = fit.mean_hyper("sigma")
            row["rho"] = fit.mean_hyper("rho") if "rho" in fit.hyper else np.nan
            row["above"] = int((p > CERTAIN).sum())
            row["changed"] = int(((p > CERTAIN) != (base > CERTAIN)).sum())
            row["largest_change"] = float(np.abs(p - base).max())
        rows.append(row)
    columns = ["graph", "rule", "pairs", "gained", "lost", "components", "alone"]
    return pd.DataFrame(rows).reindex(
        columns=[*columns, "sigma", "rho", "above", "changed", "largest_change"]
    )


def _edges_table(graph: Graph, others: Sequence[Candidate]) -> pd.DataFrame:
    rows = [
        (other.name, graph.areas[i], graph.areas[j], change)
        for other in others
        for change, pairs in (("gained", other.gained), ("lost", other.lost))
        for i, j in pairs
    ]
    return pd.DataFrame(rows, columns=["graph", "area", "neighbour", "change"])


def _conclusions(
    spec: AreasAnalysis,
    data: Dataset,
    tables: Mapping[str, pd.DataFrame],
    threshold: float,
    by_graph: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    scale = scale_of(spec)
    table = tables["areas"]
    table = table[table["quantity"] == scale.quantity].set_index("area")
    drawn = table[exceedance_column(scale.quantity, threshold)]
    areas = data.tables["areas"]
    base = by_graph[CHOSEN] > CERTAIN
    parts = []
    for name, p in by_graph.items():
        part = areas[["area", "name"]].assign(graph=name)
        part["drawn"] = drawn.loc[areas["area"]].to_numpy() if name == CHOSEN else np.nan
        part["probability"], part["above"], part["changed"] = p, p > CERTAIN, (p > CERTAIN) != base
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
