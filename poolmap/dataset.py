"""A `Dataset` in a folder: checked tables as parquet, exclusions as CSV, facts and provenance as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from poolmap.contracts import Dataset
from poolmap.files import read_json, sha256, write_json
from poolmap.tables import EXCLUSION_COLUMNS

if TYPE_CHECKING:
    from poolmap.graph.graph import Graph


def write_dataset(data: Dataset, inputs: Mapping[str, str], folder: Path) -> None:
    """Write the dataset and the SHA-256 of each input file (by the config key that names it)."""
    for name, table in data.tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    data.exclusions.to_csv(folder / "exclusions.csv", index=False)
    if data.geometry is not None:
        data.geometry.to_parquet(folder / "geometry.geoparquet", index=False)
    write_json(folder / "facts.json", data.facts)
    provenance = [
        {"key": key, "path": path, "sha256": sha256(path), "bytes": Path(path).stat().st_size}
        for key, path in inputs.items()
    ]
    write_json(folder / "provenance.json", provenance)


def write_graph(graph: Graph, folder: Path) -> None:
    """Write the graph."""
    write_json(folder / "graph.json", graph.as_dict())


def read_dataset(folder: str | Path, *, graph: str | Path | None = None, geometry: bool = False) -> Dataset:
    """Read a dataset back.

    Args:
        folder: where `write_dataset` put it.
        graph: where `write_graph` put the graph; falsy for an analysis without one.
        geometry: also read the polygons (imports geopandas).
    """
    folder = Path(folder)
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    excluded = pd.read_csv(
        folder / "exclusions.csv", dtype={"file": str, "id": str, "reason": str}, na_filter=False
    )
    polygons = None
    if geometry and (folder / "geometry.geoparquet").exists():
        import geopandas

        polygons = geopandas.read_parquet(folder / "geometry.geoparquet")
    facts = read_json(folder / "facts.json")
    attached = None
    if graph:
        from poolmap.graph.graph import Graph

        attached = Graph.from_dict(read_json(Path(graph) / "graph.json"))
    return Dataset(
        tables=tables,
        exclusions=excluded[EXCLUSION_COLUMNS],
        facts=facts,
        geometry=polygons,
        graph=attached,
    )
