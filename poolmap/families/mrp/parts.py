"""The parts of a linear predictor, draw by draw: what the model gives to poststratification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of varying intercepts and slopes: effects of every level of the census.

    Attributes:
        level: column of the tables `cells` and `census` with the code of the level, from 0; -1 where a row
            has no such effect (all rows: a house, whose levels are averaged over).
        columns: for each of the J effects of a level the column of the design that it multiplies; -1 is the
            intercept.
        name: the batch in words of the formula ("county", "county:school_type").
        effects: names of the J effects ("intercept", a column of the design).
        own: draws of the batch's parameters by their name: `sigma` (draws, J, E), `correlation`
            (draws, J, J, E) where J is above 1, `rho` (draws, E) of bym2 and ar1.
        draw: for a block of draws (called once a block, blocks in order) the effects,
            (draws in the block, levels, J, E), those of levels that the survey lacks drawn from their
            distribution.
    """

    level: str
    columns: tuple[int, ...]
    draw: Callable[[slice], np.ndarray]
    name: str = ""
    effects: tuple[str, ...] = ("intercept",)
    own: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Parts:
    """eta_e = alpha_e + x beta_e + sum over batches of the row's effects; E linear predictors, in general 1.

    All in units of the linear predictor; of a continuous outcome in those of the outcome.

    Attributes:
        alpha: (draws, E).
        beta: (draws, P, E), in the order of the columns of the design.
        batches: the varying effects.
        columns: names of the P columns of the design.
        own: draws of what the outcome's kind has besides: `cutpoints` (draws, C - 1) of an ordered outcome,
            `residual_sd` (draws,) in units of the outcome, `dispersion` (draws,), `sensitivity` and
            `specificity` (draws,) in the survey; where validation studies vary, `test_mean` and `test_sd`
            (draws, 2) of their logits, sensitivity first.
    """

    alpha: np.ndarray
    beta: np.ndarray
    batches: Sequence[Batch]
    own: Mapping[str, np.ndarray] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
