"""The parts of the linear predictor from the draws: what the model gives to poststratification."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.design import INTERCEPT
from poolmap.families.mrp.formula import term_name
from poolmap.families.mrp.layout import Layout
from poolmap.families.mrp.model import Described, describe_model
from poolmap.families.mrp.parts import Batch as DrawnBatch
from poolmap.families.mrp.parts import Parts

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]

PARAMETERS = (
    *("alpha", "beta", "effect", "sigma", "rho", "correlation", "residual_sd", "dispersion", "cutpoints"),
    *("sensitivity", "specificity", "test_mean", "test_sd"),
)


def parts(
    spec: MrpAnalysis,
    model: str,
    data: Dataset,
    draws: xarray.Dataset,
    rng: np.random.Generator,
    described: Described | None = None,
) -> Parts:
    """Intercepts, coefficients and effects of every level of the census, chains joined.

    All in units of the linear predictor; of a continuous outcome in its own units. A level that the survey
    lacks has effects drawn from N(0, S) of the draw, the population of levels; of a structured factor all
    levels are sampled. Each batch has its own stream, so that the numbers do not depend on the size of the
    blocks.

    Args:
        spec, model, data: the analysis, the model's name and the data.
        draws: `alpha`, `beta`, `effect`, `sigma`, `rho`, `correlation` and the outcome's own parameters, as
            far as the model has them; dimensions (chain, draw, ...).
        rng: parent of the streams.
        described: of the model, where the caller has it.
    """
    known = described or describe_model(spec, model, data)
    layout, flat = known.arrays.layout, joined(draws)
    scale = data.facts["outcome_scale"] if known.arrays.outcome.kind == "continuous" else None
    unit, zero = (scale["sd"], scale["mean"]) if scale else (1.0, 0.0)
    count, E = flat["alpha"].shape
    beta = np.zeros((count, len(known.design.columns), E))
    beta[:, : layout.P] = flat["beta"].reshape(count, E, layout.P).transpose(0, 2, 1)
    several = ("cutpoints", "test_mean", "test_sd")
    own = {
        name: flat[name] if name in several else flat[name][:, 0]
        for name in (*several, "residual_sd", "dispersion", "sensitivity", "specificity")
        if flat[name].shape[1]
    }
    if "residual_sd" in own:
        own["residual_sd"] = own["residual_sd"] * unit
    sizes = data.tables["levels"]["term"].value_counts()
    names = {f"level_{k}": term_name(tuple(term)) for k, term in enumerate(data.facts["terms"])}
    columns = tuple(known.design.names)
    batches = []
    for i, (b, stream) in enumerate(zip(layout.batches, rng.spawn(len(layout.batches)), strict=True)):
        factor = names[b.level]
        draw = _drawing(layout, i, int(sizes[factor]), flat, unit, stream)
        effects = tuple("intercept" if c == INTERCEPT else columns[c] for c in b.columns)
        batches.append(DrawnBatch(b.level, b.columns, draw, factor, effects, _own(layout, i, flat, unit)))
    return Parts(unit * flat["alpha"] + zero, unit * beta, batches, own, columns)


def _own(layout: Layout, which: int, flat: dict[str, Array], unit: float) -> dict[str, Array]:
    """Draws of the parameters of a batch, as `parts.Batch.own`."""
    factors = np.stack([spread_factor(layout, which, e, flat) for e in range(layout.E)], axis=-1)
    covariance = np.einsum("dabe,dcbe->dace", factors, factors)
    sigma = np.sqrt(np.einsum("daae->dae", covariance))
    own = {"sigma": unit * sigma}
    batch = layout.batches[which]
    if batch.effects > 1:
        own["correlation"] = covariance / (sigma[:, :, None] * sigma[:, None])
    if batch.type > 1:
        with_rho = [i for i, b in enumerate(layout.batches) if b.type > 1]
        at = [e * len(with_rho) + with_rho.index(which) for e in range(layout.E)]
        own["rho"] = flat["rho"][:, at]
    return own


def _drawing(
    layout: Layout, which: int, levels: int, flat: dict[str, Array], unit: float, rng: np.random.Generator
) -> Callable[[slice], Array]:
    """Effects (draws, levels, J, E) of one batch for blocks of draws, blocks in order."""
    batch = layout.batches[which]
    unseen = np.setdiff1d(np.arange(levels), batch.codes)
    first = layout.E * (1 + layout.P)
    starts = [layout.starts(e)[which] - first for e in range(layout.E)]
    factors = [spread_factor(layout, which, e, flat) for e in range(layout.E)]

    def draw(some: slice) -> Array:
        rows = flat["effect"][some]
        found = np.empty((len(rows), levels, batch.effects, layout.E))
        z = rng.standard_normal((len(rows), len(unseen), batch.effects, layout.E))
        for e, (start, factor) in enumerate(zip(starts, factors, strict=True)):
            coordinates = rows[:, start : start + batch.coordinates]
            seen = (batch.to_levels @ coordinates.T).T
            found[..., e][:, batch.codes] = seen.reshape(len(rows), -1, batch.effects)
            found[..., e][:, unseen] = np.einsum("dab,dlb->dla", factor[some], z[..., e])
        return unit * found

    return draw


def spread_factor(layout: Layout, which: int, e: int, flat: dict[str, Array]) -> Array:
    """(draws, J, J) Cholesky factor of the covariance S of the effects of a level, by draw."""
    batch = layout.batches[which]
    J = batch.effects
    every = [b for _ in range(layout.E) for b in layout.batches]
    before = every[: e * len(layout.batches) + which]
    at = sum(b.effects for b in before)
    pairs = sum(b.effects * (b.effects - 1) // 2 for b in before)
    sigma = flat["sigma"][:, at : at + J]
    R = np.tile(np.eye(J), (len(sigma), 1, 1))
    below = np.tril_indices(J, -1)
    R[:, below[0], below[1]] = flat["correlation"][:, pairs : pairs + len(below[0])]
    R[:, below[1], below[0]] = R[:, below[0], below[1]]
    return sigma[:, :, None] * np.linalg.cholesky(R)


def joined(draws: xarray.Dataset) -> dict[str, Array]:
    """All parameters with the chains joined, (draws, size); those that the model lacks have size 0."""
    count = draws.sizes["chain"] * draws.sizes["draw"]
    return {
        name: draws[name].to_numpy().reshape(count, -1) if name in draws else np.zeros((count, 0))
        for name in PARAMETERS
    }
