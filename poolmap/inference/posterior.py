"""The posterior in a file: NetCDF with the groups of InferenceData, as `arviz.from_netcdf` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poolmap.stan.sample import Draws

if TYPE_CHECKING:
    import xarray


def write_posterior(draws: Draws, path: Path) -> None:
    """Write the groups `posterior` and `sample_stats`."""
    import xarray

    stats = xarray.Dataset({name: (("chain", "draw"), values) for name, values in draws.sample_stats.items()})
    draws.posterior.to_netcdf(path, mode="w", group="posterior", engine="h5netcdf")
    stats.to_netcdf(path, mode="a", group="sample_stats", engine="h5netcdf")


def read_posterior(path: str | Path) -> xarray.Dataset:
    """The draws of the parameters, dimensions (chain, draw, ...)."""
    import xarray

    return xarray.load_dataset(path, group="posterior", engine="h5netcdf")
