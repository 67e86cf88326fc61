"""From the draws of the program to the parts of the linear predictor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.model import seen_levels, terms
from poolmap.families.mrp.parts import Batch, Parts

if TYPE_CHECKING:
    import xarray


def parts(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Parts:
    """The parts of the linear predictor of `mrp/binomial.stan`, chains joined.

    Args:
        draws: `alpha`, `signed_sigma`, `z` and, with predictors, `beta`, dimensions (chain, draw, ...).
        rng: draws the effects of levels that are in the census and not in the survey; each batch has its own
            stream, so the numbers do not depend on the size of the blocks.
    """
    predictors, count = tuple(data.facts["predictors"]), draws["alpha"].size
    beta = draws["beta"].to_numpy().reshape(count, -1, 1) if predictors else np.zeros((count, 0, 1))
    sigma = draws["signed_sigma"].to_numpy().reshape(count, -1)
    seen, levels = seen_levels(data), data.tables["levels"]
    z = np.split(draws["z"].to_numpy().reshape(count, -1), np.cumsum(seen)[:-1], axis=1)
    batches = []
    for k, (name, stream) in enumerate(zip(terms(data), rng.spawn(len(seen)), strict=True)):
        unseen = int((levels["term"] == name).sum()) - seen[k]
        draw = effect_draws(sigma[:, k], z[k], unseen, stream)
        own = {"sigma": abs(sigma[:, k]).reshape(-1, 1, 1)}
        batches.append(Batch(f"level_{k}", (-1,), draw, name, own=own))
    return Parts(draws["alpha"].to_numpy().reshape(count, 1), beta, batches, columns=predictors)


def effect_draws(
    sigma: np.ndarray, z: np.ndarray, unseen: int, rng: np.random.Generator
) -> Callable[[slice], np.ndarray]:
    """The effects of every level of a batch of intercepts, block of draws by block.

    A level that the survey holds has the effect sigma z_l of the draw; one that it does not hold has an
    effect drawn from Normal(0, sigma^2), the population of levels.

    Args:
        sigma: (draws,), with its sign; z: (draws, seen levels).
        unseen: how many levels the survey does not hold.
        rng: draws their effects.
    """

    def block(some: slice) -> np.ndarray:
        new = rng.standard_normal((len(sigma[some]), unseen))
        return (sigma[some, None] * np.hstack([z[some], new]))[:, :, None, None]

    return block
