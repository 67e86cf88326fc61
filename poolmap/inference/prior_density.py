"""Log densities of the priors that the Stan programs take by code, for approximations outside Stan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def log_prior(code: int, numbers: Sequence[float], x: float) -> float:
    """Log density of a prior at x, up to a constant; codes as in `stan/functions/priors.stanfunctions`.

    Raises:
        ValueError: a prior that these approximations do not know.
    """
    p, q, df = numbers
    if code == 1:
        return -0.5 * ((x - p) / q) ** 2
    if code in (2, 3):
        df = df if code == 2 else 1.0
        return -(df + 1) / 2 * float(np.log1p(((x - p) / q) ** 2 / df))
    if code == 4:
        return -p * x
    if code == 5:
        return (p - 1) * float(np.log(x)) + (q - 1) * float(np.log1p(-x))
    if code == 10:
        return -(x - p) / q - 2 * float(np.logaddexp(0, -(x - p) / q))
    raise ValueError(f"no prior with code {code} here")
