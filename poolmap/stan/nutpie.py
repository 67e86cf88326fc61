"""Sampling a Stan program with nutpie: the same density, another adaptation of the no-U-turn sampler.

nutpie takes the library that `poolmap.stan.library` builds, runs the chains as threads of this process, and
tunes its diagonal metric on draws and gradients together. Its own functions for Stan models would download
BridgeStan and convert every draw of warm-up too: what is used here lies one layer below, in ``nutpie._lib``,
and the version of nutpie is pinned for that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolmap.config.base import Sampling
from poolmap.stan.sample import Draws, SamplingError

if TYPE_CHECKING:
    import numpy as np
    import xarray

log = logging.getLogger("poolmap.stan")

# nutpie's column: the name that InferenceData gives it
SAMPLE_STATS = {
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "step_size": "step_size",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "diverging": "diverging",
    "energy": "energy",
}
_PROGRESS = "{{ total_finished_draws }} {{ total_draws }} {{ finished_chains }} {{ num_chains }}"
_LOOK_EVERY = 200  # milliseconds between two looks at the progress


def sample(
    library: Path,
    data: Mapping[str, Any],
    parameters: Sequence[str],
    sampling: Sampling,
    *,
    seed: int,
    cores: int,
) -> Draws:
    """Sample with nutpie's NUTS, diagonal metric.

    Args:
        library: the compiled program (`compile.compile_program(..., library=True).executable`).
        data: the program's data block.
        parameters: the variables whose draws are kept, also in memory.
        sampling: chains, iterations and target acceptance.
        seed: the same seed, data and library give the same draws, whatever `cores`.
        cores: how many chains run at the same time.

    Returns:
        the draws, named and shaped as those of Stan's own sampler; nutpie does not tell the seconds of each
        chain.

    Raises:
        SamplingError: the program refused the data, or nutpie stopped; the message holds its last words.
    """
    import stanio
    from nutpie import _lib

    settings = _lib.PyNutsSettings.Diag(seed)
    settings.num_chains = sampling.chains
    settings.num_tune = sampling.warmup
    settings.num_draws = sampling.draws
    settings.target_accept = sampling.adapt_delta
    settings.maxdepth = sampling.max_treedepth
    text = f"{','.join(parameters)}\n{stanio.dump_stan_json(dict(data))}"
    threads = min(cores, sampling.chains)
    start = time.monotonic()
    try:
        model = _lib.StanModel(_lib.StanLibrary(str(library)), {}, {}, {}, seed, text, None)
        progress = _lib.ProgressType.template_callback(_LOOK_EVERY, _PROGRESS, threads, _reporter())
        sampler = _lib.PySampler.from_stan(settings, threads, model, progress, _lib.PyStorage.arrow())
        try:
            sampler.wait(None)
        except BaseException:
            sampler.abort()  # an interrupted run ends its chains
            # its thread that tells of the progress must not outlive Python
            time.sleep(3 * _LOOK_EVERY / 1000)
            raise
        draws, stats = sampler.take_results().get_arrow_trace()
    except (RuntimeError, ValueError) as error:
        raise SamplingError(f"nutpie stopped while sampling:\n{_last_words(error)}") from None
    log.info("nutpie: %d chains in %.1f s", sampling.chains, time.monotonic() - start)
    short = [chain.num_rows for chain in draws if chain.num_rows != sampling.warmup + sampling.draws]
    if short or len(draws) != sampling.chains:
        raise SamplingError(f"nutpie stopped while sampling:\na chain ended after {short} iterations")
    return Draws(
        posterior=_posterior(draws, parameters, sampling.warmup),
        sample_stats={
            name: _values(stats, column, sampling.warmup).astype(float)
            for column, name in SAMPLE_STATS.items()
        },
        seconds=[],
    )


def _reporter() -> Callable[[str], None]:
    """Takes what nutpie tells of its progress, and tells the log of every tenth part."""
    told = 0

    def report(text: str) -> None:
        nonlocal told
        done, total, chains, of = map(int, text.split())
        if (tenths := 10 * done // max(total, 1)) > told:
            told = tenths
            log.info("nutpie: %d of %d iterations, %d of %d chains finished", done, total, chains, of)

    return report


def _last_words(error: Exception) -> str:
    return str(error).split("\n\nStack backtrace")[0].strip()


def _posterior(chains: Sequence[Any], parameters: Sequence[str], warmup: int) -> xarray.Dataset:
    """The draws as cmdstanpy gives them: dimensions (chain, draw, <name>_dim_0, ...)."""
    import numpy as np
    import xarray

    variables = {}
    for name in parameters:
        values = _values(chains, name, warmup)
        inner = [f"{name}_dim_{i}" for i in range(values.ndim - 2)]
        variables[name] = (("chain", "draw", *inner), values)
    n_draws = chains[0].num_rows - warmup
    coordinates = {"chain": np.arange(len(chains)) + 1, "draw": np.arange(n_draws)}
    return xarray.Dataset(variables, coords=coordinates)


def _values(chains: Sequence[Any], name: str, warmup: int) -> np.ndarray:
    """A column of the tables of all chains, without warm-up: (chain, draw, ...)."""
    import numpy as np
    import pyarrow

    found = []
    for chain in chains:
        column = chain.slice(warmup, chain.num_rows - warmup).column(name)
        shape = column.field.metadata.get(b"shape", b"").decode()
        values = pyarrow.array(column)
        flat = values.flatten() if hasattr(values, "flatten") and shape else values
        sizes = [int(size) for size in shape.split(",")] if shape else []
        found.append(flat.to_numpy(zero_copy_only=False).reshape(-1, *sizes))
    return np.stack(found)
