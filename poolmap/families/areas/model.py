"""Input of the Stan programs `areas/bym2` and `areas/iid`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poolmap.contracts import Dataset, StanData

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis
    from poolmap.graph.graph import Graph


def observed_areas(data: Dataset) -> NDArray[np.int64]:
    """Rows of the table `areas` that inform the model: a known count, and cases expected."""
    areas = data.tables["areas"]
    return np.flatnonzero(areas["cases"].notna() & (areas["expected"] > 0))


def covariate_matrix(data: Dataset) -> NDArray[np.float64]:
    """(areas, covariates) the centred design matrix."""
    return data.tables["covariates"].drop(columns="area").to_numpy(dtype=np.float64)


def stan_data(spec: AreasAnalysis, model: str, data: Dataset) -> StanData:
    """Arrays of the program's data block; areas are in the order of the table `areas`.

    Raises:
        ValueError: a bym2 model without a graph, or with one whose areas are in another order.
    """
    areas = data.tables["areas"]
    chosen = spec.models[model]
    observed = observed_areas(data)
    X = covariate_matrix(data)
    values: dict[str, Any] = {
        "N": len(areas),
        "N_observed": len(observed),
        "observed": observed + 1,
        "cases": areas["cases"].to_numpy()[observed].astype(np.int64),
        "log_expected": np.log(areas["expected"].to_numpy(dtype=np.float64)[observed]),
        "K": X.shape[1],
        "X": X,
    }
    parameters = ["alpha", "sigma", "re"]
    priors = ["alpha", "beta", "sigma"]
    if X.shape[1]:
        parameters.insert(1, "beta")
    if chosen.prior == "bym2":
        if data.graph is None or list(data.graph.areas) != areas["area"].tolist():
            raise ValueError("a bym2 model needs the graph of the areas, in the order of the table")
        values |= graph_data(data.graph)
        parameters.insert(-1, "rho")
        priors.append("rho")
    for name in priors:
        values |= getattr(chosen, f"{name}_prior").stan_data(name)
    return StanData(values, parameters)


def graph_data(graph: Graph) -> dict[str, Any]:
    """The part of the data block of `areas/bym2` that describes the graph."""
    scaling = graph.scaling[graph.component]
    return {
        "N_edges": len(graph.edges),
        "node_1": graph.edges[:, 0] + 1,
        "node_2": graph.edges[:, 1] + 1,
        "scaling": np.where(np.isnan(scaling), 0.0, scaling),
        "N_components": int((graph.component_sizes > 1).sum()),
    }
