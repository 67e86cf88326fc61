"""The estimates of one model in a folder: tables, their dictionary, predictive checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from poolmap.contracts import Companion, ModelResult, Predictive
from poolmap.files import DO_NOT_USE, read_json, write_json, write_text
from poolmap.inference.checks import failures
from poolmap.inference.predictive import (
    leave_one_out,
    predictive_statistics,
    summarise_predictive,
    validation_tables,
)
from poolmap.qgis import style

if TYPE_CHECKING:
    import geopandas

RATIOS = ("rr",)
"""Quantities that QGIS shows on a scale about 1."""
_OWN_FILES = ("predictive", "predictive_statistics")


def write_estimates(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    described: Mapping[str, Any],
    predictive: Predictive,
    verdict: Mapping[str, Any],
    interval: float,
    *,
    companions: Sequence[Companion] = (),
    refits: Sequence[Mapping[str, Any]] = (),
    polygons: geopandas.GeoDataFrame | None = None,
) -> None:
    """Write everything that the report and the user read of one model's results.

    Args:
        folder: an empty folder.
        tables: the estimates (`inference.summary.summarise`).
        described: the dictionary of the tables (`inference.summary.dictionary`).
        predictive, companions: from the family's doors; the validation tables are written before these.
        verdict: the gate's (checks.json); where it failed, a file says in the folder that the numbers
            must not be used.
        interval: level of the intervals.
        refits: leave-one-out densities by refitting (`inference.left_out`).
        polygons: with a column `area`; each table with the key `area` is also written as a GeoPackage,
            with a style for QGIS of its first quantity.
    """
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        if polygons is not None and "area" in table.columns:
            _write_geopackage(polygons, table, folder / f"{name}.gpkg", layer=name)
    companions = [*validation_tables(predictive, refits, interval), *companions]
    words = {
        "companions": {companion.name: companion.description for companion in companions},
        "text": {companion.name: _text_columns(companion.frame) for companion in companions},
    }
    write_json(folder / "dictionary.json", {**described, **words})
    for companion in companions:
        companion.frame.to_csv(folder / f"{companion.name}.csv", index=False)
    summarise_predictive(predictive, interval).to_csv(folder / "predictive.csv", index=False)
    predictive_statistics(predictive, interval).to_csv(folder / "predictive_statistics.csv", index=False)
    write_json(folder / "loo.json", {**leave_one_out(predictive, refits), "value": predictive.value})
    if not verdict["passed"]:
        failed = "\n".join(f"- {failure}" for failure in failures(verdict))
        (folder / DO_NOT_USE).write_text(
            f"The fit behind these tables failed its checks twice. Do not use the numbers.\n{failed}\n",
            "utf-8",
        )


def read_result(name: str, estimates: str | Path, checks: str | Path) -> ModelResult:
    """Read one model's results back; key columns, and columns of companions that hold text, as text."""
    folder = Path(estimates)
    words = read_json(folder / "dictionary.json")
    tables = {
        table: _read_table(folder / f"{table}.csv", content["keys"])
        for table, content in words["tables"].items()
    }
    predictive, statistics = (_read_table(folder / f"{part}.csv", ["label"]) for part in _OWN_FILES)
    return ModelResult(
        name=name,
        estimates=tables,
        dictionary=words,
        checks=read_json(checks),
        predictive=predictive,
        statistics=statistics,
        value=read_json(folder / "loo.json")["value"],
        companions={
            name: _read_table(folder / f"{name}.csv", words["text"][name]).fillna(
                dict.fromkeys(words["text"][name], "")
            )
            for name in words["companions"]
        },
    )


def write_companion(companion: Companion, folder: Path) -> None:
    """Write the table that a job of its own has made (`scripts/calibrate.py`)."""
    companion.frame.to_csv(folder / f"{companion.name}.csv", index=False)
    words = {"name": companion.name, "description": companion.description}
    write_json(folder / "words.json", {**words, "text": _text_columns(companion.frame)})


def read_companion(folder: str | Path) -> Companion:
    """Read it back; text as text."""
    words = read_json(Path(folder) / "words.json")
    frame = _read_table(Path(folder) / f"{words['name']}.csv", words["text"])
    return Companion(words["name"], frame, words["description"])


def _read_table(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """A table with these columns as text: a study may be called 1990, 01 or NA. Empty fields are missing."""
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), na_values=[""], keep_default_na=False)


def _text_columns(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if pd.api.types.infer_dtype(frame[name], skipna=True) == "string"]


def _write_geopackage(polygons: geopandas.GeoDataFrame, table: pd.DataFrame, path: Path, layer: str) -> None:
    """The table's quantities side by side, one row an area, joined to the polygons; with a style for QGIS."""
    import pyogrio

    keys = [c for c in table.columns[1 : table.columns.get_loc("mean")] if c != "area"]
    columns = [c for c in table.columns if c not in ("quantity", "area", *keys)]
    wide = table.drop_duplicates("area").set_index("area")[keys]
    for quantity, rows in table.groupby("quantity", sort=False):
        part = rows.set_index("area")[columns].dropna(axis=1, how="all")
        wide = wide.join(part.add_prefix(f"{quantity}_"))
    joined = polygons[["area", "geometry"]].merge(wide.reset_index(), on="area", how="left", validate="1:1")
    # GeoPackage stamps its tables with the date; a fixed one keeps reruns identical byte for byte
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    joined.to_file(path, layer=layer, driver="GPKG", engine="pyogrio")
    first = table["quantity"].iloc[0]
    shown = style(f"{first}_mean", joined[f"{first}_mean"], ratio=first in RATIOS)
    write_text(path.with_suffix(".qml"), shown)
