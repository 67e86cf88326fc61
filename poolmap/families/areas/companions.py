"""Tables beside the estimates of a map: spatial autocorrelation before and after, other graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Companion, Dataset
from poolmap.families.areas.autocorrelation import (
    AFTER,
    ESTIMATE,
    LOG_SIR,
    LOGIT,
    STANDARDISED,
    local_table,
    log_odds,
    log_ratio,
    moran_table,
    pearson_residual,
    standardised_ratio,
)
from poolmap.families.areas.certificate import certificate
from poolmap.families.areas.model import map_model
from poolmap.families.areas.scales import scale_of

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis


def companions(
    spec: AreasAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> list[Companion]:
    """Moran's I and its local parts before and after the model, and the graph certificate.

    Args:
        spec, data: the analysis, with its graph and its polygons.
        model, tables: the model and its estimates tables.
    """
    if data.graph is None:
        return []
    values = _values(spec, model, data, tables)
    moran = moran_table(values, data.graph)
    local = local_table(
        {name: of for name, of in values.items() if name not in (LOG_SIR, LOGIT)}, data.graph, spec.seed or 1
    )
    name_of = data.tables["areas"].set_index("area")["name"]
    local.insert(2, "name", name_of.reindex(local["area"]).to_numpy())
    found = [
        Companion(
            "moran",
            moran,
            "Moran's I with row-standardised weights on the graph, areas without neighbours left out. As "
            "observed: log_sir, log of (cases + 1/2) / (expected + 1/2); logit_proportion, logit of (cases + "
            "1/2) / (population + 1); estimate; eb_ratio, raw values standardised for what is at risk in the "
            "area (Assuncao & Reis 1999). residual: what was observed less what the model fits, in Poisson, "
            "binomial or sampling standard deviations (Pearson). expected, sd: where all orders of the "
            "values are equally likely; p: two-sided, normal",
        ),
        Companion(
            "local_moran",
            local,
            "local Moran statistics (Anselin 1995) of eb_ratio (or estimate) and residual: the value of the "
            "area in standard deviations, the mean of its neighbours', their product local_i, and the kind "
            "of pattern; p: two-sided, by 999 to 9,999 permutations; q: p adjusted for the false discovery "
            "rate (Benjamini & Hochberg 1995)",
        ),
    ]
    return found + certificate(spec, model, data, tables)


def _values(
    spec: AreasAnalysis, model: str, data: Dataset, tables: Mapping[str, pd.DataFrame]
) -> dict[str, NDArray[np.float64]]:
    """What Moran's I is worked out for, in the order of the areas."""
    scale, areas = scale_of(spec), data.tables["areas"]
    described = map_model(spec, model, data)
    rows = described.rows
    table = tables["areas"]
    fitted = table[table["quantity"] == scale.quantity].set_index("area")["mean"]
    after = fitted.loc[areas["area"]].to_numpy(dtype=np.float64)[rows]
    if scale.quantity == "mean":
        values = {ESTIMATE: areas["estimate"].to_numpy(dtype=np.float64)}
    else:
        at_risk = areas["expected" if scale.ratio else "population"]
        name, raw = (LOG_SIR, log_ratio) if scale.ratio else (LOGIT, log_odds)
        values = {name: raw(areas["cases"], at_risk)}
        values[STANDARDISED] = standardised_ratio(areas["cases"], at_risk)
    values[AFTER] = np.full(len(areas), np.nan)
    values[AFTER][rows] = pearson_residual(described.observed, after)
    return values
