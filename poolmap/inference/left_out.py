"""Leave-one-out by refitting, for the parts that importance sampling cannot leave out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from poolmap.contracts import LeftOut, Predictive, Quantity
from poolmap.inference.checks import check_fit, passed
from poolmap.inference.fit import Fit
from poolmap.inference.predictive import unreliable
from poolmap.stan.sample import sample

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("poolmap.left_out")

MIN_EFFECTIVE = 100.0  # draws that carry the mean of the density
REPLICATES = 1_000  # draws of the part's replicates that are kept


def refit_left_out(
    executable: Path,
    whole: Fit,
    predictive: Callable[[xarray.Dataset, np.random.Generator], Predictive],
    without: Callable[[int], LeftOut] | None,
    *,
    seed: int,
    cores: int,
) -> list[dict[str, Any]]:
    """Fit once without each part whose Pareto k is high: log p(y_i | the others) is the mean over its draws.

    Args:
        executable: the compiled program.
        whole: the fit with all parts; nothing is refitted where it did not pass its checks.
        predictive: gives what a fit predicts, from its draws and a random generator.
        without: data without a part, and its likelihood (a family's door `left_out`); None where the family
            or the model has none.
        seed: of the first fit; each further one takes the next.
        cores: chains run at the same time.

    Returns:
        for each part `i`, `converged`: whether the fit passed the checks, with the part's likelihood as the
        reported quantity; `elpd` and `passed`: whether, besides, enough draws carry the mean (Kish's
        effective number), which they do not for a part so unlikely that only the tails of the posterior reach
        it. An `elpd` that did not pass is not to be used. Where the part has replicates also `replicated`
        (observations, draws), to be used where the fit converged.
    """
    found: list[dict[str, Any]] = []
    if without is None or not whole.verdict["passed"]:
        return found
    sampling = whole.sampling
    predicted = predictive(whole.draws.posterior, np.random.default_rng(seed))
    for number, i in enumerate(unreliable(predicted)):
        item = without(i)
        how = {"seed": seed + number, "cores": cores, "whitened": bool(item.data.whitened)}
        draws = sample(executable, item.data.data, item.data.parameters, sampling, **how)
        log_lik = item.log_lik(draws.posterior)
        reported = [Quantity("left_out", "log_lik", "", log_lik[:, :, None])]
        converged = passed(check_fit(reported, draws.sample_stats, sampling.max_treedepth))
        share = special.softmax(log_lik.ravel())
        good = converged and bool(1 / (share**2).sum() > MIN_EFFECTIVE)
        elpd = float(special.logsumexp(log_lik) - np.log(log_lik.size))
        log.info("without part %d: elpd %.3f, %s", i + 1, elpd, "passed" if good else "FAILED its checks")
        entry = {"i": int(i), "elpd": elpd, "passed": good, "converged": converged}
        if item.replicated is not None:
            values = item.replicated(draws.posterior, np.random.default_rng(seed + number))
            values = values.reshape(-1, values.shape[2])
            at = np.linspace(0, len(values) - 1, min(len(values), REPLICATES)).round().astype(int)
            entry["replicated"] = values[at].T.tolist()
        found.append(entry)
    return found
