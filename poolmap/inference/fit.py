"""One fit: sample, check every reported quantity, and sample once more where a check fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolmap.config.base import Sampling
from poolmap.contracts import Quantity, StanData
from poolmap.inference.checks import Check, as_dicts, check_fit, passed
from poolmap.stan.sample import Draws, sample

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("poolmap.fit")

BRIEF_WARMUP = 200
FAR = 1.05
"""R-hat from which chains are taken to differ, and not only to be short."""

Reported = Callable[["xarray.Dataset", np.random.Generator], Sequence[Quantity]]


@dataclass(frozen=True)
class Fit:
    """Draws and the gate's verdict on them.

    Attributes:
        draws: of the last attempt.
        verdict: plain data for checks.json: `passed`, `checks` (of the last attempt), `attempts`,
            `n_chains`, `n_draws`, `seed`, `sampler`.
        sampling: settings of the last attempt.
    """

    draws: Draws
    verdict: dict[str, Any]
    sampling: Sampling


def harder(sampling: Sampling) -> Sampling:
    """The settings of the second attempt: twice the iterations, a quarter of the distance to acceptance 1."""
    return sampling.model_copy(
        update={
            "warmup": 2 * sampling.warmup,
            "draws": 2 * sampling.draws,
            "adapt_delta": round(1 - (1 - sampling.adapt_delta) / 4, 4),
            "max_treedepth": min(sampling.max_treedepth + 2, 15),
        }
    )


def longer(sampling: Sampling) -> Sampling:
    """The settings of a second attempt that lacks nothing but length: twice the draws."""
    return sampling.model_copy(update={"draws": 2 * sampling.draws})


def is_short(checks: Sequence[Check]) -> bool:
    """Whether the chains went where they should, but not for long enough.

    R-hat of thousands of quantities is above its bound for one or other of them by chance; far above it, the
    chains differ, and more of the same does not help.
    """
    rhat = next(check.worst for check in checks if check.name == "rhat")
    failed = {check.name for check in checks if not check.passed}
    return failed <= {"rhat", "ess_bulk", "ess_tail"} and rhat is not None and rhat < FAR


def brief(sampling: Sampling, acceptance: float) -> Sampling:
    """The settings of a first attempt in whitened coordinates (`StanData.whitened`): a short warm-up."""
    return sampling.model_copy(
        update={"warmup": min(sampling.warmup, BRIEF_WARMUP), "adapt_delta": acceptance}
    )


def fit(
    executable: Path, data: StanData, reported: Reported, sampling: Sampling, *, seed: int, cores: int
) -> Fit:
    """Sample and check; where a check fails, sample once more, with `harder` settings.

    In whitened coordinates, where nothing but length is lacking, with `longer` ones.

    Args:
        executable: the compiled program; for `sampler: nutpie` its library.
        data: its data and the parameters to keep.
        reported: gives the reported quantities from the posterior draws and a random generator.
        sampling: settings of the first attempt.
        seed: of the first attempt; the second takes the next one.
        cores: chains run at the same time.
    """
    attempts: list[dict[str, Any]] = []
    checks: list[Check] = []
    whitened = bool(data.whitened)
    settings = brief(sampling, data.whitened) if whitened else sampling
    for attempt in range(2):
        if attempt:
            whitened = whitened and is_short(checks)
            settings = longer(settings) if whitened else harder(sampling)
        begin = time.monotonic()
        how = {"seed": seed + attempt, "cores": cores, "whitened": whitened}
        draws = sample(executable, data.data, data.parameters, settings, **how)
        quantities = reported(draws.posterior, np.random.default_rng(seed))
        checks = check_fit(quantities, draws.sample_stats, settings.max_treedepth)
        attempts.append(
            {
                "adapt_delta": settings.adapt_delta,
                "max_treedepth": settings.max_treedepth,
                "warmup": settings.warmup,
                "draws": settings.draws,
                "seconds": round(time.monotonic() - begin, 2),
                "chain_seconds": draws.seconds,
                "passed": passed(checks),
                "failed": [check.label for check in checks if not check.passed],
            }
        )
        for check in checks:
            state = "passed" if check.passed else "FAILED"
            log.info("%s: worst %s (%s), %s", check.label, check.worst, check.where, state)
        if passed(checks):
            break
        again = "; sampling once more" if attempt == 0 else ""
        log.warning("attempt %d failed: %s%s", attempt + 1, ", ".join(attempts[-1]["failed"]), again)
    verdict = {
        "passed": passed(checks),
        "checks": as_dicts(checks),
        "attempts": attempts,
        "n_chains": settings.chains,
        "n_draws": settings.draws,
        "seed": seed,
        "sampler": settings.sampler,
    }
    return Fit(draws=draws, verdict=verdict, sampling=settings)
