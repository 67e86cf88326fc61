"""Sampling a compiled program: data in, draws out, progress to the log.

With Stan's own sampler through cmdstanpy, or, by `sampling.sampler`, with nutpie (`poolmap.stan.nutpie`).
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolmap.config.base import Sampling
from poolmap.errors import PoolmapError

if TYPE_CHECKING:
    import numpy as np
    import xarray

log = logging.getLogger("poolmap.stan")

SIGNIFICANT_DIGITS = 12
# cmdstanpy's column: the name that InferenceData gives it
SAMPLE_STATS = {
    "lp__": "lp",
    "accept_stat__": "acceptance_rate",
    "stepsize__": "step_size",
    "treedepth__": "tree_depth",
    "n_leapfrog__": "n_steps",
    "divergent__": "diverging",
    "energy__": "energy",
}


class SamplingError(PoolmapError):
    """The program refused the data, or the sampler stopped."""


@dataclass(frozen=True)
class Draws:
    """Draws of one fit.

    Attributes:
        posterior: the kept parameters, dimensions (chain, draw, ...).
        sample_stats: the sampler's own figures, arrays (chain, draw) by the names of `SAMPLE_STATS`.
        seconds: for each chain, seconds of warm-up and of sampling, as Stan reports them; empty where the
            sampler does not.
    """

    posterior: xarray.Dataset
    sample_stats: Mapping[str, np.ndarray]
    seconds: list[dict[str, float]]


class _Progress(io.TextIOBase):
    """Takes what the chains print and hands on to the log what tells of progress or trouble."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if "Iteration:" in line or "Exception" in line or "rejected" in line or "rror" in line:
                log.info("%s", " ".join(line.split()))
        return len(text)


def sample(
    executable: Path,
    data: Mapping[str, Any],
    parameters: Sequence[str],
    sampling: Sampling,
    *,
    seed: int,
    cores: int,
    whitened: bool = False,
) -> Draws:
    """Sample with NUTS, diagonal metric.

    Args:
        executable: the compiled program (`compile.CompiledProgram.executable`): for `sampler: nutpie` its
            library.
        data: the program's data block.
        parameters: the variables whose draws are kept.
        sampling: sampler, chains, iterations and target acceptance.
        seed: the same seed, data and executable give the same draws.
        cores: how many chains run at the same time.
        whitened: the metric stays the unit one, and warm-up finds the step size only (`StanData.whitened`);
            nutpie adapts its metric there too.

    Raises:
        SamplingError: the program refused the data, or the sampler stopped; the message holds its last
            words.
    """
    if sampling.sampler == "nutpie":
        from poolmap.stan import nutpie

        return nutpie.sample(executable, data, parameters, sampling, seed=seed, cores=cores)
    import cmdstanpy

    # its warnings repeat what Stan printed, of rejected proposals too; the checks judge the fit
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    total = sampling.warmup + sampling.draws
    # one window without an end: Stan estimates no variances in it
    windows = {"adapt_init_phase": 0, "adapt_metric_window": 0, "adapt_step_size": sampling.warmup}
    with tempfile.TemporaryDirectory(prefix="poolmap-") as folder:
        model = cmdstanpy.CmdStanModel(exe_file=str(executable))
        try:
            with redirect_stdout(_Progress()):
                fit = model.sample(
                    data=dict(data),
                    chains=sampling.chains,
                    parallel_chains=min(cores, sampling.chains),
                    force_one_process_per_chain=True,
                    seed=seed,
                    iter_warmup=sampling.warmup,
                    iter_sampling=sampling.draws,
                    adapt_delta=sampling.adapt_delta,
                    max_treedepth=sampling.max_treedepth,
                    **(windows if whitened else {}),
                    sig_figs=SIGNIFICANT_DIGITS,
                    output_dir=folder,
                    show_progress=False,
                    show_console=True,
                    refresh=max(total // 10, 1),
                )
        except (RuntimeError, ValueError) as error:
            raise SamplingError(f"Stan stopped while sampling:\n{error}") from None
        posterior = fit.draws_xr(list(parameters)).drop_attrs()
        stats = fit.method_variables()
        return Draws(
            posterior=posterior,
            sample_stats={name: stats[column].T for column, name in SAMPLE_STATS.items()},
            seconds=[{key: float(value) for key, value in chain.items()} for chain in fit.time],
        )
