"""Write the made national health survey of Examplia: two surveys, census, districts, map and truth.

Run by maintainers, from this folder: `python build.py` (needs geopandas). Nobody was asked: everything is
drawn from the model below with a fixed seed, so that the truth is known.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

HERE = Path(__file__).parent
SEED = 20261121
REGIONS = ["North", "East", "South", "West"]
FIRST = ["Ash", "Birch", "Cedar", "Elm", "Fern", "Hazel", "Linden", "Maple", "Oak", "Willow"]
LAST = ["field", "ford", "ton", "wick"]
AGES = {"18-29": 18, "30-39": 30, "40-49": 40, "50-59": 50, "60-69": 60, "70-79": 70, "80+": 80}
SEXES = ["female", "male"]
WAVES = ["2021", "2022", "2023", "2024", "2025"]
ANSWERS = ["none", "partly", "fully"]
ASKED = {"household": dict.fromkeys(WAVES, 400), "telephone": dict.fromkeys(WAVES[2:], 400)}

# The truth. Vaccination: P(answer <= c) = inverse logit(CUT[c] - eta). Visits: Poisson, mean
# years * exp(eta), the same in all waves. HOUSE: what the agencies that asked shift eta of vaccination by.
CUT = np.array([-0.9, 0.0])
AGE_VACCINATION = np.array([-0.65, -0.55, -0.35, 0.0, 0.4, 0.7, 0.75])
AGE_VISITS = np.array([-0.25, -0.2, -0.1, 0.0, 0.15, 0.3, 0.35])
WAVE_VACCINATION = np.array([-0.5, -0.1, 0.1, 0.25, 0.3])
HOUSE = {
    "household": {"Albatross": -0.12, "Bittern": 0.1, "Curlew": -0.1, "Dunlin": 0.12},
    "telephone": {"Egret": 0.14, "Fulmar": -0.08, "Gannet": 0.1, "Heron": -0.16},
}


def island(rng: np.random.Generator) -> gpd.GeoDataFrame:
    """40 districts: the parts of an island of some 200 km that are nearest to each of 40 points."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 1 + 0.12 * np.cos(2 * angle + 0.4) + 0.08 * np.sin(3 * angle) + 0.04 * np.cos(7 * angle)
    coast = shapely.Polygon(np.column_stack([95e3 * radius * np.cos(angle), 80e3 * radius * np.sin(angle)]))
    points = rng.uniform(-1, 1, (4000, 2)) * np.array([110e3, 95e3])
    points = points[shapely.contains_xy(coast, points)]
    centres = points[:40]
    for _ in range(12):  # Lloyd's algorithm, for districts of like size
        nearest = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.array([points[nearest == k].mean(axis=0) for k in range(len(centres))])
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.MultiPoint(centres), extend_to=coast.envelope.buffer(1e5))
    )
    cells = [next(cell for cell in cells if cell.contains(shapely.Point(c))) for c in centres]
    borders = shapely.set_precision(shapely.intersection(cells, coast), 1.0)
    x, y = centres.T
    region = np.where(np.abs(x) * 80 > np.abs(y) * 95, np.where(x > 0, 1, 3), np.where(y > 0, 0, 2))
    table = gpd.GeoDataFrame({"x": x, "y": y, "region": np.take(REGIONS, region)}, geometry=borders)
    table = table.sort_values(["region", "y"], ignore_index=True)
    table.insert(0, "district", [first + last for last in LAST for first in FIRST])
    return table


def districts(rng: np.random.Generator, places: gpd.GeoDataFrame) -> pd.DataFrame:
    """Size, deprivation and true effects of each district."""
    x, y = places["x"] / 95e3, places["y"] / 80e3
    deprivation = 20 + 6 * np.sin(2.2 * x + 0.5) - 4 * y + rng.normal(0, 3, len(places))
    standard = (deprivation - deprivation.mean()) / deprivation.std()
    smooth = 0.35 * np.cos(2.5 * y - 1) + 0.3 * np.sin(2 * x - y)
    smooth -= smooth.mean()
    return pd.DataFrame(
        {
            "district": places["district"],
            "region": places["region"],
            "deprivation": deprivation.round(1),
            "people": np.round(np.exp(rng.normal(10.6, 0.7, len(places))), -2),
            "vaccination": -0.3 * standard + smooth + rng.normal(0, 0.15, len(places)),
            "visits": 0.1 * standard + 0.35 * smooth + rng.normal(0, 0.08, len(places)),
        }
    )


def census_of(rng: np.random.Generator, places: pd.DataFrame) -> pd.DataFrame:
    """The cells: district, age and sex, with their people."""
    rows = []
    for _, place in places.iterrows():
        share = np.array([0.19, 0.18, 0.17, 0.16, 0.14, 0.10, 0.06]) * np.exp(rng.normal(0, 0.15, len(AGES)))
        for a, age in enumerate(AGES):
            for s, sex in enumerate(SEXES):
                part = (0.5 + (0.008 * (a - 1) + 0.01) * (1 - 2 * s)) * share[a] / share.sum()
                people = round(place["people"] * part)
                rows.append((place["region"], place["district"], age, sex, people))
    return pd.DataFrame(rows, columns=["region", "district", "age", "sex", "people"])


def linear(cells: pd.DataFrame, places: pd.DataFrame, what: str, wave: np.ndarray) -> np.ndarray:
    """eta of the cells at the waves (codes), for the average of the agencies."""
    ages = {"vaccination": AGE_VACCINATION, "visits": AGE_VISITS}[what]
    start, female = {"vaccination": (0.1, 0.1), "visits": (np.log(3.5), 0.22)}[what]
    a = pd.Index(list(AGES)).get_indexer(cells["age"])
    d = pd.Index(places["district"]).get_indexer(cells["district"])
    time = WAVE_VACCINATION[wave] + 0.12 * (wave - 2) * (a < 2)  # the young catch up
    woman = female * (cells["sex"] == "female").to_numpy()
    of_wave = time if what == "vaccination" else 0.0
    return start + ages[a] + of_wave + woman + places[what].to_numpy()[d]


def shares(eta: np.ndarray) -> np.ndarray:
    """(cells, 3) probabilities of the answers."""
    below = np.column_stack([1 / (1 + np.exp(eta - cut)) for cut in CUT] + [np.ones(len(eta))])
    return np.diff(below, axis=1, prepend=0)


def asked(rng: np.random.Generator, name: str, census: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """One survey. The telephone reaches the old more often, the household survey people in the North."""
    age = pd.Index(list(AGES)).get_indexer(census["age"])
    north = (census["region"] == "North").to_numpy()
    chance = np.where(north, 2.0, 1.0) if name == "household" else 0.5 + 0.15 * age
    p = (chance * census["people"]).to_numpy()
    time = 1.0 if name == "household" else 0.5
    parts = []
    for wave, size in ASKED[name].items():
        cell = rng.choice(len(census), size, p=p / p.sum())
        rows = census.iloc[cell][["region", "district", "age", "sex"]].reset_index(drop=True)
        span = np.where(rows["age"] == "18-29", 12, 10)
        at = np.full(size, WAVES.index(wave))
        agency = rng.choice(list(HOUSE[name]), size)
        house = np.array([HOUSE[name][own] for own in agency])
        below = shares(linear(rows, places, "vaccination", at) + house).cumsum(axis=1)[:, :2]
        mean = time * np.exp(linear(rows, places, "visits", at))
        rows["wave"] = wave
        rows["agency"] = agency
        rows["age_years"] = rows.pop("age").map(AGES) + (span * rng.uniform(size=size)).astype(int)
        rows["vaccinated"] = np.take(ANSWERS, (rng.uniform(size=(size, 1)) > below).sum(axis=1))
        rows["visits"] = rng.poisson(mean)
        rows["years"] = time
        rows["weight"] = (census["people"].sum() / p.sum() * chance.mean() / chance[cell]).round(4)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def truth_of(census: pd.DataFrame, places: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Expected shares of the answers, and visits a year, of the people of each group, all waves alike."""
    cells = pd.concat([census.assign(wave=wave) for wave in WAVES], ignore_index=True)
    at = pd.Index(WAVES).get_indexer(cells["wave"])
    probability = shares(linear(cells, places, "vaccination", at))
    groupings = [[], ["district"], ["age"], ["wave"], ["region", "wave"]]
    vaccination = pd.concat(
        [means(cells, probability[:, k], groupings).assign(answer=name) for k, name in enumerate(ANSWERS)]
    ).rename(columns={"value": "share"})
    visits = means(cells, np.exp(linear(cells, places, "visits", at)), [[], ["district"], ["age", "sex"]])
    keys = ["region", "district", "age", "wave", "answer", "share"]
    return vaccination[keys], visits.rename(columns={"value": "visits_a_year"})


def means(cells: pd.DataFrame, value: np.ndarray, groupings: list[list[str]]) -> pd.DataFrame:
    """The mean over the people of each group; keys that a row is not about are empty."""
    parts = []
    for grouping in groupings:
        of = [cells[key] for key in grouping] or [pd.Series("", index=cells.index, name="all")]
        total = (cells["people"] * value).groupby(of).sum()
        parts.append((total / cells["people"].groupby(of).sum()).rename("value").round(6).reset_index())
    return pd.concat(parts).drop(columns="all")


def main() -> None:
    """Write the files, and check them."""
    rng = np.random.default_rng(SEED)
    places_on_map = island(rng)
    places = districts(rng, places_on_map)
    census = census_of(rng, places)
    surveys = {name: asked(rng, name, census, places) for name in ASKED}
    surveys["household"]["sex"] = surveys["household"]["sex"].map({"female": "F", "male": "M"})
    surveys["telephone"].loc[rng.random(len(surveys["telephone"])) < 0.01, "age_years"] = np.nan
    surveys["telephone"]["age_years"] = surveys["telephone"]["age_years"].astype("Int64")
    vaccination, visits = truth_of(census, places)
    tables = {
        **surveys,
        "census": census,
        "districts": places[["district", "region", "deprivation"]],
        "truth_vaccination": vaccination,
        "truth_visits": visits,
    }
    for name, table in tables.items():
        table.to_csv(HERE / f"{name}.csv", index=False, lineterminator="\n")

    target = HERE / "districts.gpkg"
    target.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    # on the equator off West Africa, where no land is
    drawn = places_on_map.geometry.translate(400e3, 0)
    polygons = gpd.GeoDataFrame(places_on_map[["district"]], geometry=drawn, crs="EPSG:32630")
    polygons.to_file(target, layer="districts", driver="GPKG")

    assert polygons.is_valid.all() and polygons["district"].is_unique and len(polygons) == 40
    assert (len(surveys["household"]), len(surveys["telephone"]), len(census)) == (2000, 1200, 560)
    assert census["people"].min() > 0
    assert all(abs(sum(effects.values())) < 1e-12 for effects in HOUSE.values())
    keys = ["region", "district", "age", "wave"]
    assert np.allclose(vaccination.groupby(keys, dropna=False)["share"].sum(), 1, atol=1e-5)


if __name__ == "__main__":
    main()
