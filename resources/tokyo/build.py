"""Write counts.csv and municipalities.gpkg from the Tokyo example that ships with libpysal.

Run by maintainers, from this folder: `python build.py` (needs geopandas and libpysal).
"""

from pathlib import Path

import geopandas as gpd
import libpysal
import pandas as pd
import pyogrio
import shapely

HERE = Path(__file__).parent
PREFECTURES = {
    "08": "Ibaraki",
    "10": "Gumma",
    "11": "Saitama",
    "12": "Chiba",
    "13": "Tokyo",
    "14": "Kanagawa",
}
# The source keeps 16 characters of each name.
WHOLE_NAMES = {
    "Higashimatsuyama": "Higashimatsuyama-shi",
    "Tsurugashima-mac": "Tsurugashima-machi",
    "Higashichichibu-": "Higashichichibu-mura",
    "Minamikawara-mur": "Minamikawara-mura",
    "Oamishirasato-ma": "Oamishirasato-machi",
    "Higashimurayama-": "Higashimurayama-shi",
    "Higashiyamato-sh": "Higashiyamato-shi",
    "Higashikurume-sh": "Higashikurume-shi",
    "Musashimurayama-": "Musashimurayama-shi",
}


def main() -> None:
    """Write both files and check them against the totals and neighbour counts of the source."""
    source = gpd.read_file(libpysal.examples.get_path("tokyomet262.shp"))
    deaths = pd.read_csv(libpysal.examples.get_path("Tokyomortality.csv"))
    assert (deaths["IDnum0"] == source["AreaID"]).all()
    prefecture = source["GEOCODE"].str[:2].map(PREFECTURES)
    name = source["AREANAME"].replace(WHOLE_NAMES)
    repeated = name.duplicated(keep=False)
    counts = pd.DataFrame(
        {
            "code": source["GEOCODE"],
            "municipality": name.where(~repeated, name + " (" + prefecture + ")"),
            "prefecture": prefecture,
            "deaths": deaths["db2564"],
            "expected": deaths["eb2564"],
            "professionals": deaths["OCC_TEC"],
            "home_owners": deaths["OWNH"],
            "elderly": deaths["POP65"],
            "unemployment": deaths["UNEMP"],
        }
    )
    counts.to_csv(HERE / "counts.csv", index=False, lineterminator="\n")

    areas = source.rename(columns={"GEOCODE": "code"}).assign(municipality=counts["municipality"])
    areas = areas[["code", "municipality", "geometry"]]
    target = HERE / "municipalities.gpkg"
    target.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    areas.to_file(target, layer="municipalities", driver="GPKG")

    again = gpd.read_file(target)
    assert again.crs == source.crs
    assert (shapely.get_coordinates(again.geometry) == shapely.get_coordinates(source.geometry)).all()
    assert again["code"].tolist() == counts["code"].tolist()
    assert counts["code"].is_unique and counts["municipality"].is_unique
    assert (len(again), (~again.is_valid).sum()) == (262, 10)
    assert counts["municipality"].str.endswith(("-ku", "-shi", "-machi", "-mura", ")")).all()
    assert (counts["deaths"].sum(), round(counts["expected"].sum(), 3)) == (46_163, 48_257.455)
    queen = libpysal.graph.Graph.build_contiguity(again, rook=False)
    assert queen.n_components == 23


if __name__ == "__main__":
    main()
