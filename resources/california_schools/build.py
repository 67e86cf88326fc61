"""Write census.csv, truth.csv, survey.csv, population.csv, clusters.csv, truth_api00.csv and counties.gpkg.

Run by maintainers, from this folder: `python build.py API_RDA COUNTIES_JSON`, where API_RDA is data/api.rda
of the R package survey and COUNTIES_JSON is counties-10m.json of the npm package us-atlas. Needs geopandas
and, from PyPI, rdata.
"""

import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rdata
import shapely

HERE = Path(__file__).parent
MEALS = [0, 20, 40, 60, 80]
MEALS_BANDS = ["0-19", "20-39", "40-59", "60-79", "80+"]
SCHOOL_TYPES = {"E": "elementary", "M": "middle", "H": "high"}


def schools(source: pd.DataFrame) -> pd.DataFrame:
    """One row a school: cds, county, school_type, award and meals (percent)."""
    return pd.DataFrame(
        {
            "cds": source["cds"].astype(str),
            "county": source["cname"].astype(str),
            "school_type": source["stype"].astype(str).map(SCHOOL_TYPES),
            "award": source["awards"].astype(str),
            "meals": source["meals"].astype(float),
        }
    )


def true_shares(population: pd.DataFrame, keys: list[str], level: str) -> pd.DataFrame:
    """The share of schools with an award in each group of the population, with the group's size."""
    yes = population.assign(award=population["award"] == "Yes", level=level)
    table = yes.groupby(["level", *keys], as_index=False).agg(n=("award", "size"), award=("award", "mean"))
    return table.reindex(columns=["level", "county", "school_type", "n", "award"])


def write_tables(rda: str) -> set[str]:
    """Write the tables; returns the names of the counties that have schools."""
    data = rdata.read_rda(rda)
    population = schools(data["apipop"])
    meals = (population.groupby("county")["meals"].mean() / 100).round(6).rename("meals_county")

    cells = population.groupby(["county", "school_type"]).size().rename("n").reset_index()
    census = cells.join(meals, on="county")
    truth = pd.concat(
        [
            true_shares(population, [], "all"),
            true_shares(population, ["county"], "county"),
            true_shares(population, ["school_type"], "school_type"),
            true_shares(population, ["county", "school_type"], "county:school_type"),
        ]
    )
    truth["award"] = truth["award"].round(10)
    survey = schools(data["apistrat"]).drop(columns="meals")
    survey["weight"] = data["apistrat"]["pw"].astype(float).round(6).to_numpy()
    survey = survey.join(meals, on="county").sort_values("cds")
    for name, table in (("census", census), ("truth", truth), ("survey", survey)):
        table.to_csv(HERE / f"{name}.csv", index=False, lineterminator="\n")

    write_population(data["apipop"], population)
    write_clusters(data["apiclus2"], data["apipop"], population)

    assert (len(population), population["county"].nunique(), census["n"].sum()) == (6194, 57, 6194)
    assert np.isclose((population["award"] == "Yes").mean(), 0.6727478205, atol=1e-9)
    assert (len(survey), survey["cds"].nunique(), survey["county"].nunique()) == (200, 200, 40)
    assert np.isclose(np.average(survey["award"] == "Yes", weights=survey["weight"]), 0.6389360641, atol=1e-8)
    return set(population["county"])


def write_population(source: pd.DataFrame, population: pd.DataFrame) -> None:
    """Write the list of schools, from which samples are drawn again and again."""
    table = population.assign(
        district=source["dnum"].astype(int),
        api00=source["api00"].astype(int),
        enroll=source["enroll"].astype("Int64"),
        school_wide=source["sch.wide"].astype(str),
        meals=population["meals"].astype(int),
    )
    columns = [
        "cds", "county", "district", "school_type", "award", "school_wide", "api00", "enroll", "meals"
    ]  # fmt: skip
    table[columns].sort_values("cds").to_csv(HERE / "population.csv", index=False, lineterminator="\n")

    assert table["district"].nunique() == 757
    assert np.isclose(table["api00"].mean(), 664.7126251, atol=1e-7) and table["enroll"].sum() == 3811472


def write_clusters(sample: pd.DataFrame, source: pd.DataFrame, population: pd.DataFrame) -> None:
    """Write the two-stage cluster sample, and the mean scores of the population that it is to estimate."""
    table = schools(sample).drop(columns="award")
    table.insert(2, "district", sample["dnum"].astype(int).to_numpy())
    table["api00"] = sample["api00"].astype(int).to_numpy()
    table["meals"] = table["meals"].astype(int)
    table["weight"] = sample["pw"].astype(float).round(6).to_numpy()
    table["districts"] = sample["fpc1"].astype(int).to_numpy()
    table["schools"] = sample["fpc2"].astype(int).to_numpy()
    table.sort_values("cds").to_csv(HERE / "clusters.csv", index=False, lineterminator="\n")

    scores = population.assign(
        api00=source["api00"].astype(float),
        meals_band=pd.cut(population["meals"], [*MEALS, np.inf], right=False, labels=MEALS_BANDS).astype(str),
    )
    keys = ["county", "school_type", "meals_band"]
    truth = pd.concat(
        [
            scores.assign(all="")
            .groupby("all", as_index=False)
            .agg(n=("api00", "size"), api00=("api00", "mean")),
            *(
                scores.groupby(k, as_index=False).agg(n=("api00", "size"), api00=("api00", "mean"))
                for k in keys
            ),
        ]
    ).reindex(columns=[*keys, "n", "api00"])
    truth["api00"] = truth["api00"].round(6)
    truth.to_csv(HERE / "truth_api00.csv", index=False, lineterminator="\n")

    assert (len(table), table["district"].nunique()) == (126, 40)
    # svymean(~api00, dclus2) of R's survey: 670.8118
    assert np.isclose(np.average(table["api00"], weights=sample["pw"].astype(float)), 670.8118081, atol=1e-6)
    assert np.isclose(truth["api00"].iloc[0], 664.712625) and len(truth) == 1 + 57 + 3 + 5


def write_counties(topojson: str, with_schools: set[str]) -> None:
    """Write the county polygons of California, mended where the simplified outlines cross themselves."""
    states = gpd.read_file(topojson, layer="counties")
    counties = states[states["id"].str.startswith("06")].rename(columns={"id": "fips", "name": "county"})
    counties = counties[["fips", "county", "geometry"]].sort_values("fips", ignore_index=True)
    counties = counties.set_crs("EPSG:4326")
    counties["geometry"] = shapely.make_valid(counties.geometry.values, method="structure")
    target = HERE / "counties.gpkg"
    target.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    counties.to_file(target, layer="counties", driver="GPKG")

    again = gpd.read_file(target)
    assert again.is_valid.all() and len(again) == 58
    assert set(again["county"]) - with_schools == {"Alpine"} and with_schools <= set(again["county"])


if __name__ == "__main__":
    write_counties(sys.argv[2], write_tables(sys.argv[1]))
