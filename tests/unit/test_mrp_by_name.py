"""From files to tables of estimates, against sums over the census in which every effect is found by its name.

What meets here: recoded levels and census cells that become one by it, bands, rows left out, waves in a
census without or with the time, a house variable, interactions, correlated slopes of a predictor of areas and
of a factor, levels that the survey lacks, an interval of 80%, contrasts within areas.
"""

import numpy as np
import pandas as pd
import pytest
import xarray

from poolmap.config.mrp import MrpAnalysis
from poolmap.families.mrp.estimate import estimate
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.model import describe_model
from poolmap.inference.summary import summarise

COUNTIES = {"north": 3.0, "south": 5.0, "Sth": 5.0, "east": 9.0, "west": 1.5}
AGES, WAVES = ["18-39", "40-59", "60+"], ["2019", "2021", "2022"]
DRAWS = 60
GROUPINGS = {"total": [], "county": ["county"], "age_sex": ["age", "sex"], "wave_county": ["wave", "county"]}
BATCHES = [
    ("age", (None, "inc")),
    ("county", (None, "sex[m]")),
    ("county:age", (None,)),
    ("wave", (None,)),
    ("mode", (None,)),
]


def files(folder, timed: bool):
    rng = np.random.default_rng(4)
    n = 300
    survey = pd.DataFrame(
        {
            "y": rng.choice(["ja", "nein"], n),
            "county": rng.choice(["north", "South", "east"], n),
            "years": rng.integers(18, 80, n),
            "sex": rng.choice(["f", "m"], n),
            "wave": rng.choice(WAVES, n),
            "mode": rng.choice(["web", "phone"], n),
            "w": rng.uniform(0.5, 3, n).round(3),
        }
    )
    survey.loc[:6, "years"], survey.loc[7:11, "sex"] = 17, ""
    index = pd.MultiIndex.from_product([[*WAVES, "2023"], COUNTIES, AGES, ["f", "m"]])
    census = index.to_frame(index=False, name=["wave", "county", "age", "sex"])
    census["n"], census["inc"] = rng.integers(1, 50, len(census)), census["county"].map(COUNTIES)
    if not timed:
        census = census[census["wave"] == "2019"].drop(columns="wave")
    survey.to_csv(folder / "survey.csv", index=False)
    census.to_csv(folder / "census.csv", index=False)
    return survey, census


@pytest.mark.parametrize("timed", [False, True])
def test_every_estimate_is_the_sum_over_the_census(tmp_path, timed):
    survey, census = files(tmp_path, timed)
    spec = MrpAnalysis(
        family="mrp",
        survey=str(tmp_path / "survey.csv"),
        census=str(tmp_path / "census.csv"),
        count="n",
        weight="w",
        outcome={"column": "y", "positive": "ja"},
        formula="y ~ inc * sex + (1 + inc | age) + (1 + sex | county) + (1 | county:age) + (1 | wave) "
        "+ (1 | mode)",
        time="wave",
        house=["mode"],
        estimates=["county", "age:sex", "wave:county"],
        recode={"county": {"South": "south", "Sth": "south"}},
        bands={"age": {"column": "years", "lower": [18, 40, 60]}},
        interval=0.8,
        contrasts=[{"variable": "wave", "levels": ["2022", "2019"], "within": ["county"]}],
        thresholds=[0.4],
    )
    data = ingest(spec)
    known, rng = describe_model(spec, "main", data), np.random.default_rng(5)
    layout = known.arrays.layout
    draws = {"alpha": 1, "beta": layout.P, "effect": layout.effects}
    draws = {name: rng.normal(0, 0.5, (2, DRAWS // 2, size)) for name, size in draws.items()}
    flat = {name: values.reshape(DRAWS, -1) for name, values in draws.items()}
    draws |= {"sigma": np.full((2, DRAWS // 2, 7), 1e-12), "correlation": np.zeros((2, DRAWS // 2, 2))}
    posterior = xarray.Dataset({k: (("chain", "draw", f"{k}_at"), v) for k, v in draws.items()})
    tables = summarise(estimate(spec, "main", data, posterior, np.random.default_rng(1)), spec.interval)

    people = census.assign(county=census["county"].replace("Sth", "south"))
    if not timed:
        people = pd.concat([people.assign(wave=wave) for wave in WAVES])
    count, inc = people["n"].to_numpy(dtype=float), people["inc"].to_numpy()
    mean = np.average(inc, weights=count)
    z, male = (
        (inc - mean) / np.sqrt(np.average((inc - mean) ** 2, weights=count)),
        people["sex"].eq("m").to_numpy(),
    )
    columns = {None: 1.0, "inc": z, "sex[m]": male, "inc:sex[m]": z * male}
    eta = flat["alpha"] + sum(
        flat["beta"][:, [p]] * columns[name] for p, name in enumerate(known.design.names)
    )
    levels, at = data.tables["levels"], 0
    for term, effects in BATCHES:
        own = people.get(term.split(":"), people[["county"]].replace(".*", "", regex=True)).agg(
            ":".join, axis=1
        )
        for level in levels[(levels["term"] == term) & levels["seen"]].sort_values("code")["level"]:
            for column in effects:  # of levels that the survey lacks sigma is 0
                # the two modes are averaged over
                inside = 0.5 if term == "mode" else (own == level).to_numpy() * columns[column]
                eta = eta + flat["effect"][:, [at]] * inside
                at += 1
    assert at == layout.effects
    share = 1 / (1 + np.exp(-eta))

    def expected(keys: dict[str, str]) -> np.ndarray:
        inside = np.all([people[name] == level for name, level in keys.items()] or [count > -1], axis=0)
        return share[:, inside] @ count[inside] / count[inside].sum()

    used = survey[(survey["years"] >= 18) & (survey["sex"] != "")].assign(county=survey["county"].str.lower())
    used["age"] = pd.cut(used["years"], [17, 39, 59, 99], labels=AGES).astype(str)
    for table, names in GROUPINGS.items():
        for _, row in tables[table].iterrows():
            exact = expected(row[names].to_dict())
            limits = np.quantile(exact, [0.1, 0.9])
            np.testing.assert_allclose(
                [row["mean"], row["lower"], row["upper"]], [exact.mean(), *limits], rtol=1e-9
            )
            assert row["p_share_gt_0.4"] == (exact > 0.4).mean()
            of = used[np.all([used[name] == row[name] for name in names] or [used["w"] > 0], axis=0)]
            direct = [
                len(of),
                *(
                    [(of["y"] == "ja").mean(), np.average(of["y"] == "ja", weights=of["w"])]
                    if len(of)
                    else []
                ),
            ]
            np.testing.assert_allclose(
                row[["n_survey", "raw", "weighted"][: len(direct)]].tolist(), direct, rtol=1e-9
            )
    assert len(tables["contrasts"]) == 8
    for _, row in tables["contrasts"].iterrows():
        first, second = (expected({"wave": row[k], "county": row["county"]}) for k in ("first", "second"))
        exact = first - second if row["quantity"] == "share_difference" else first / second
        np.testing.assert_allclose(
            [row["mean"], row["lower"]], [exact.mean(), np.quantile(exact, 0.1)], rtol=1e-9
        )
        assert row["p_first_higher"] == (first > second).mean()
