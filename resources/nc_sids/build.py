"""Write counts.csv and counties.gpkg from the North Carolina example that ships with libpysal.

Run by maintainers, from this folder: `python build.py` (needs geopandas and libpysal).
"""

from pathlib import Path

import geopandas as gpd
import libpysal
import pandas as pd
import pyogrio
import shapely

HERE = Path(__file__).parent


def main() -> None:
    """Write both files and check them against the published totals and neighbour counts."""
    source = gpd.read_file(libpysal.examples.get_path("sids2.shp")).set_crs("EPSG:4267")
    counts = pd.DataFrame({"fips": source["FIPS"], "county": source["NAME"]})
    for period in ("74", "79"):
        for name, column in (("births", "BIR"), ("sids", "SID"), ("nonwhite_births", "NWBIR")):
            counts[f"{name}_19{period}"] = source[column + period].astype("int64")
        share = counts[f"nonwhite_births_19{period}"] / counts[f"births_19{period}"]
        counts[f"nonwhite_share_19{period}"] = share.round(10)
    counts.to_csv(HERE / "counts.csv", index=False, lineterminator="\n")

    counties = source.rename(columns={"FIPS": "fips", "NAME": "county"})[["fips", "county", "geometry"]]
    target = HERE / "counties.gpkg"
    target.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    counties.to_file(target, layer="counties", driver="GPKG")

    again = gpd.read_file(target)
    assert (shapely.get_coordinates(again.geometry) == shapely.get_coordinates(counties.geometry)).all()
    assert again["fips"].tolist() == counts["fips"].tolist()
    queen = libpysal.graph.Graph.build_contiguity(again, rook=False)
    assert (queen.n_edges, queen.n_components) == (2 * 245, 1)
    totals = counts[["births_1974", "sids_1974", "births_1979", "sids_1979"]].sum()
    assert totals.tolist() == [329_962, 667, 422_392, 836]


if __name__ == "__main__":
    main()
