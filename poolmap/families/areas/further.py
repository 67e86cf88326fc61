"""Columns and tables of the estimates beyond each area's own value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.contracts import Dataset, Quantity
from poolmap.errors import InputError, Problem
from poolmap.families.areas.estimands import aggregated, borrowed, contrasts, hot_spots, ranks
from poolmap.families.areas.model import observed, observed_areas
from poolmap.families.areas.scales import exceedance_column, scale_of, thresholds
from poolmap.tables import nearest

if TYPE_CHECKING:
    from poolmap.config.areas import AreasAnalysis

CONTRAST = {"rr": "rr_ratio", "prevalence": "prevalence_difference", "mean": "mean_difference"}
"""What two areas are compared by, by the scale of the map."""


def further_columns(
    spec: AreasAnalysis,
    model: str,
    data: Dataset,
    eta: NDArray[np.float64],
    value: NDArray[np.float64],
    **own: float,
) -> pd.DataFrame:
    """Columns of the table `areas` that stand beside its first quantity.

    Args:
        eta, value: (chain, draw, area) linear predictor, and the quantity of the map's scale.
        own: what the likelihood has of its own, at its posterior mean (`borrowed`).

    Returns:
        The exceedance probabilities; `hot_spot`, whether the area is in the set whose false discovery rate
        for the first threshold is the config's; the columns of `ranks`; and `from_own`, `from_neighbours`
        and `from_others`, the shares of `borrowed`.
    """
    scale, bounds = scale_of(spec), thresholds(spec, data)
    columns: dict[str, NDArray] = {
        exceedance_column(scale.quantity, bound): (value > bound).mean(axis=(0, 1)) for bound in bounds
    }
    first = columns[exceedance_column(scale.quantity, bounds[0])]
    columns["hot_spot"] = hot_spots(first, spec.false_discovery_rate)
    edges = data.graph.edges if data.graph is not None else np.empty((0, 2), dtype=np.int64)
    shares = borrowed(eta, observed(spec, model, data), observed_areas(data), edges, **own)
    columns |= {f"from_{name}": getattr(shares, name) for name in ("own", "neighbours", "others")}
    return ranks(value, spec.interval).assign(**columns)


def regions(spec: AreasAnalysis, data: Dataset, value: NDArray[np.float64]) -> list[Quantity]:
    """The table `regions`: what the areas of each larger region have together.

    Relative risks are weighted by expected cases, so that the region's is its own expected number of cases
    by the model over that by the reference; prevalences by persons.
    """
    if not spec.aggregate:
        return []
    scale, areas, member = scale_of(spec), data.tables["areas"], data.tables["regions"]
    by = "expected" if scale.quantity == "rr" else "population"
    weights = areas[by].fillna(0).to_numpy(dtype=np.float64)
    quantities = []
    for column in spec.aggregate:
        group, names = pd.factorize(member[column], sort=True)
        found = aggregated(value, weights, group, len(names))
        seen = areas["cases"].notna().to_numpy()
        keys = pd.DataFrame({"grouping": column, "region": names})
        extra = pd.DataFrame({"n_areas": np.bincount(group, minlength=len(names))})
        extra["cases"] = np.bincount(group[seen], areas["cases"][seen], len(names))
        extra["expected" if scale.quantity == "rr" else "population"] = np.bincount(
            group, weights, len(names)
        )
        for bound in thresholds(spec, data):
            extra[exceedance_column(scale.quantity, bound)] = (found > bound).mean(axis=(0, 1))
        some = ~np.isnan(found[0, 0])
        about = f"{scale.noun} of all areas of the region together"
        parts = (frame[some].reset_index(drop=True) for frame in (keys, extra))
        quantities.append(Quantity("regions", scale.quantity, about, found[:, :, some], *parts))
    return quantities


def compared(spec: AreasAnalysis, data: Dataset, value: NDArray[np.float64]) -> list[Quantity]:
    """The table `contrasts`: pairs of areas, draw by draw.

    Raises:
        InputError: the config names an area that the map does not have.
    """
    if not spec.contrasts:
        return []
    scale, ids = scale_of(spec), data.tables["areas"]["area"].tolist()
    unknown = [area for pair in spec.contrasts for area in pair if area not in ids]
    if unknown:
        raise InputError(
            [
                Problem("contrasts", f"the map has no area '{area}'", nearest(area, ids))
                for area in dict.fromkeys(unknown)
            ]
        )
    place = {area: i for i, area in enumerate(ids)}
    pairs = [(place[first], place[second]) for first, second in spec.contrasts]
    draws = contrasts(value, pairs, ratio=scale.ratio)
    names = data.tables["areas"]["name"].to_numpy()
    keys = pd.DataFrame(spec.contrasts, columns=["first", "second"])
    extra = pd.DataFrame(
        {
            "first_name": [names[i] for i, _ in pairs],
            "second_name": [names[j] for _, j in pairs],
            "p_first_higher": (draws > (1 if scale.ratio else 0)).mean(axis=(0, 1)),
        }
    )
    what = "ratio of the relative risks" if scale.ratio else f"difference of the {scale.noun}s"
    about = f"{what} of the first area and the second"
    return [Quantity("contrasts", CONTRAST[scale.quantity], about, draws, keys, extra)]
