"""Numbers where features of an analysis meet: truth, groups without people, contrasts, missing levels."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mrp_files import CENSUS, SURVEY, refused, spec_of

from poolmap.contracts import Companion, Dataset
from poolmap.estimates import read_companion, write_companion
from poolmap.families.mrp.accuracy import accuracy, place
from poolmap.families.mrp.contrasts import contrasts
from poolmap.families.mrp.direct import domain_ratio, logit_interval
from poolmap.families.mrp.groups import groups
from poolmap.families.mrp.ingest import ingest
from poolmap.families.mrp.order import ordered, unordered
from poolmap.families.mrp.side_by_side import SideBySide
from poolmap.families.mrp.survey_design import Design


def beside(spec, data: Dataset, grouping: tuple[str, ...]) -> pd.DataFrame:
    """The direct estimates and the truth of the groups with people, as the table of estimates has them."""
    census = data.tables["census"]
    index, keys = groups(census, grouping, data.facts["order"])
    keys = keys[np.bincount(index, census["count"], len(keys)) > 0].reset_index(drop=True)
    return pd.concat([keys, SideBySide(spec, data).columns(grouping, keys)], axis=1)


def with_truth(folder, text, *tables, **changes):
    truth = {"data": str(folder / "truth.csv"), "value": "value"}
    return spec_of(folder, *tables, files={"truth.csv": text}, truth=truth, **changes)


def test_the_truth_of_a_group_without_people_is_not_another_group_s(tmp_path):
    """Of B, 18-29 the census has nobody; its known value stands last, as that of the last group once did."""
    census = CENSUS.replace("B,18-29,f,200\nB,18-29,m,210\n", "B,18-29,f,0\nB,18-29,m,0\n")
    survey = SURVEY.replace("no,B,18-29,f,1\n", "").replace("yes,B,18-29,m,1", "yes,C,30+,m,1")
    known = {
        ("A", "18-29"): 0.1,
        ("A", "30+"): 0.2,
        ("B", "30+"): 0.4,
        ("C", "18-29"): 0.3,
        ("C", "30+"): 0.5,
    }
    rows = "".join(f"{state},{age},{value}\n" for (state, age), value in known.items())
    text = f"state,age,value\n{rows}B,18-29,0.99\n"
    spec = with_truth(tmp_path, text, survey, census, estimates=["state:age"])
    found = beside(spec, ingest(spec), ("state", "age"))
    assert dict(zip(zip(found["state"], found["age"], strict=True), found["truth"], strict=True)) == known


def test_a_blank_of_the_truth_may_be_na(tmp_path):
    spec = with_truth(tmp_path, "state,age,value\nA,NA,0.1\nB,.,0.2\nNA,30+,0.7\n")
    found = ingest(spec).tables["truth"]
    assert found[["state", "value"]].to_numpy().tolist() == [["A", 0.1], ["B", 0.2]]


def test_a_truth_about_nothing_that_is_estimated(tmp_path):
    (problem,) = refused(with_truth(tmp_path, "state,age,value\nA,18-29,0.1\nB,30+,0.2\n"))
    assert "no row is about the total or about a group of 'estimates'" in problem


def test_a_truth_of_a_factor_with_coefficients_is_not_that_of_the_total(tmp_path):
    text = "state,sex,wave,value\nA,,,0.1\n,f,,0.9\n,,1,0.8\n"
    spec = with_truth(
        tmp_path,
        text,
        SURVEY.replace("vote,", "wave,vote,", 1).replace("\nyes", "\n1,yes").replace("\nno", "\n2,no"),
        formula="vote ~ 1 + sex + (1 | state)",
        time="wave",
        contrasts=[{"variable": "wave", "levels": ["2", "1"]}],
    )
    assert ingest(spec).tables["truth"]["table"].tolist() == ["state"]


def test_a_contrast_with_a_level_without_people(tmp_path):
    people = "C,18-29,f,500\nC,18-29,m,510\nC,30+,f,20\nC,30+,m,30\n"
    census = CENSUS.replace(people, "C,18-29,f,0\nC,18-29,m,0\nC,30+,f,0\nC,30+,m,0\n")
    compared = [{"variable": "state", "levels": levels} for levels in (["A", "B"], ["C", "B"])]
    (problem,) = refused(spec_of(tmp_path, SURVEY, census, contrasts=compared))
    assert problem.startswith("config: contrasts.1.levels: the census has no state 'C'")
    spec = spec_of(tmp_path, SURVEY, census, contrasts=compared)
    draws, keys = np.array([[[0.2, 0.1], [0.5, 0.1]]]), pd.DataFrame({"state": ["A", "B"]})
    difference, _ = contrasts(spec, "share", [(draws, keys)] * 2, [""], (1, 2))
    assert difference.keys["first"].tolist() == ["A"]
    np.testing.assert_allclose(difference.draws, [[[0.1], [0.4]]])


def test_missing_values_have_no_neighbours(tmp_path):
    """As the last level of a walk they would be drawn towards the oldest."""
    survey = SURVEY.replace("no,A,30+,m,1", "no,A,,m,1")
    walk = {"missing": {"age": "level"}, "models": {"main": {"structure": {"age": "rw1"}}}}
    (problem,) = refused(spec_of(tmp_path, survey, **walk))
    assert problem.startswith("config: models.main.structure.age: rw1 ties each level to its neighbours")
    ingest(spec_of(tmp_path, survey, **walk, order={"age": ["missing", "18-29", "30+"]}))


def test_units_of_different_surveys_are_not_one_another_s(tmp_path):
    """Both surveys number their clusters 1, 2, 3: independent samples are strata. By the definition."""
    rng = np.random.default_rng(5)
    lines = {}
    for name, size in (("first", 3), ("second", 9)):
        rows = [
            f"{rng.choice(['yes', 'no'])},{s},{a},{x},{rng.uniform(0.5, 2):.3f},{c + 1},{size}"
            for c, (s, a, x) in enumerate([("A", "18-29", "f"), ("B", "18-29", "m"), ("C", "30+", "f")])
            for _ in range(4)
        ]
        lines[name] = rows
        (tmp_path / f"{name}.csv").write_text("vote,state,age,sex,w,psu,units\n" + "\n".join(rows))
    spec = spec_of(
        tmp_path,
        surveys={name: str(tmp_path / f"{name}.csv") for name in lines},
        weight="w",
        design={"clusters": ["psu"], "population_sizes": ["units"]},
    )
    data = ingest(spec)
    design = Design.of(data.tables["survey"])
    yes, weight, psu = (
        np.concatenate([[of(r.split(",")) for r in rows] for rows in lines.values()])
        for of in (lambda r: float(r[0] == "yes"), lambda r: float(r[4]), lambda r: int(r[5]))
    )
    share = (weight * yes).sum() / weight.sum()
    score = weight * (yes - share) / weight.sum()
    variance = 0.0
    for which, units in ((slice(0, 12), 3), (slice(12, 24), 9)):
        totals = np.bincount(psu[which], score[which])[1:]
        variance += (1 - 3 / units) * 3 / 2 * ((totals - totals.mean()) ** 2).sum()
    found = domain_ratio(design, yes, np.ones(24), np.zeros(24, int), 1)
    np.testing.assert_allclose([found[0][0], found[1][0] ** 2], [share, variance], rtol=1e-9)
    assert design.freedom(np.zeros(24, int), 1) == [4]


def test_small_rates_are_not_equal_within_rounding():
    """Three cases in a million person-years: half of the draws below it, and no interval holds four."""
    draws, truth = np.linspace(2e-6, 4e-6, 1001)[:, None], np.array([3.0001e-6])
    below, at = place(draws, truth)
    np.testing.assert_allclose([below[0], at[0]], [500 / 1001, 2 / 1001], atol=2e-3)
    table = pd.DataFrame({"mean": [3e-6], "lower": [2e-6], "upper": [3.5e-6], "truth": [4e-6], "raw": [1.0]})
    table[["raw_lower", "raw_upper"]] = np.nan
    assert accuracy(table).set_index("kind").loc["model", "covered"] == 0


def test_known_shares_of_areas_that_are_recoded_to_one(tmp_path):
    """Their average without their sizes would be a wrong share; numbers of people are added up."""
    survey = (
        SURVEY.replace("vote,", "edu,vote,", 1).replace("\nyes", "\nlow,yes").replace("\nno", "\nhigh,no")
    ).replace("B,30+", "C,30+")
    known = {"share": (0.1, 0.9, 0.9, 0.1, 0.5, 0.5), "people": (10, 90, 810, 90, 50, 50)}

    def spec(column):
        cells = [f"{state},{edu}" for state in "ABC" for edu in ("low", "high")]
        rows = [f"{cell},{value}" for cell, value in zip(cells, known[column], strict=True)]
        return spec_of(
            tmp_path,
            survey,
            formula="vote ~ 1 + (1 | state) + (1 | edu)",
            extend=[{"variable": "edu", "known": str(tmp_path / "known.csv"), "count": column}],
            recode={"state": {"B": "A"}},
            files={"known.csv": "\n".join([f"state,edu,{column}", *rows])},
        )

    (problem,) = refused(spec("share"))
    assert "A has several rows a level after recoding, and shares cannot be added up" in problem
    census = ingest(spec("people")).tables["census"]
    people = census[census["state"] == "A"].groupby("edu")["count"].sum()
    assert people["low"] / people.sum() == pytest.approx(0.82)


@pytest.mark.parametrize(
    "formula", ["vote ~ 1 + C(size) + (1 | state)", "vote ~ 1 + size + (1 + C(size) | state)"]
)
def test_a_number_is_not_made_a_factor_by_another_model(tmp_path, formula):
    """Each model would silently be fitted with `size` as a factor, and the comparison be of equals."""
    survey = "vote,state,size\n" + "".join(
        f"{v},{s},{x}\n" for v in ("yes", "no") for s in "AB" for x in (1, 2, 3)
    )
    census = "state,size,n\n" + "".join(f"{s},{x},50\n" for s in "AB" for x in (1, 2, 3))
    models = {"line": {"formula": "vote ~ 1 + size + (1 | state)"}, "steps": {"formula": formula}}
    (problem,) = refused(spec_of(tmp_path, survey, census, models=models))
    assert "'size' is a number in one place, and a factor, C(size), in another" in problem


def test_cells_that_the_seed_lacks_are_counted(tmp_path):
    """Nobody of A, 30+ and of C was asked: the raked census has no people there, and that is told."""
    files = {
        "state.csv": "state,n\nA,200\nB,300\n",
        "age.csv": "age,sex,n\n18-29,f,100\n18-29,m,150\n30+,f,250\n30+,m,0\n",
    }
    survey = SURVEY.replace("no,A,30+,m,1", "no,B,18-29,m,1")
    margins = [{"data": str(tmp_path / name), "count": "n"} for name in files]
    data = ingest(spec_of(tmp_path, survey, None, files=files, margins=margins, seed_table="survey"))
    held = data.tables["census"].query("count > 0")[["state", "age", "sex"]].agg(" ".join, axis=1)
    assert sorted(held) == ["A 18-29 f", "A 18-29 m", "B 18-29 f", "B 18-29 m", "B 30+ f"]
    assert data.facts["raking"]["zeros"] == 1  # A 30+ f; of men 30+ the margin has nobody


def test_rows_left_out_are_still_part_of_the_sample(tmp_path):
    """A cluster without any answer: the estimate is of a domain, as `svymean(na.rm = TRUE)` of R's survey."""
    rng = np.random.default_rng(8)
    cells = [("A", "18-29", "f"), ("B", "18-29", "m"), ("C", "30+", "f"), ("A", "30+", "m")]
    frame = pd.DataFrame([(*cells[c % 4], h, c) for h in "xy" for c in range(4) for _ in range(5)])
    frame.columns = ["state", "age", "sex", "stratum", "cluster_0"]
    frame = frame.assign(vote=rng.choice(["yes", "no"], 40), weight=rng.uniform(1, 3, 40).round(3))
    frame["population_size_0"] = frame["stratum"].map({"x": 10, "y": 20})
    frame.loc[15:21, "vote"] = ""
    design = {"strata": "stratum", "clusters": ["cluster_0"], "population_sizes": ["population_size_0"]}
    names = {"stratum": "h", "cluster_0": "psu", "population_size_0": "units", "weight": "w"}
    design = {key: names[v] if key == "strata" else [names[u] for u in v] for key, v in design.items()}
    survey = frame.rename(columns=names).to_csv(index=False)
    spec = spec_of(tmp_path, survey, weight="w", design=design)
    found = SideBySide(spec, ingest(spec)).columns((), pd.DataFrame(index=[0])).iloc[0]
    group = np.where(frame["vote"] == "", -1, 0)
    yes = (frame["vote"] == "yes").to_numpy(dtype=float)
    share, se = domain_ratio(Design.of(frame), yes, np.ones(40), group, 1)
    lower, upper = logit_interval(share, se, 0.95, 5)
    expected = [share[0], lower[0], upper[0]]
    np.testing.assert_allclose(found[["weighted", "weighted_lower", "weighted_upper"]].tolist(), expected)


@pytest.mark.parametrize(
    "levels",
    [
        ["<5", "5-9", "10-14", "15+"],
        ["2020-W9", "2020-W10", "2021-W1"],
        ["2020.9", "2020.10", "2021.1"],
        ["11/2020", "12/2020", "1/2021", "2/2021"],
        ["1Q2020", "3Q2020", "2Q2021"],
        ["500-999", "1,000-1,999", "10,000+"],
        ["2019", "2020", "2021"],
        ["1.5-1.9", "2-2.25", "2-2.5", "10"],
        ["2020-11-30", "2020-12-01", "2021-01-15"],
    ],
)
def test_the_order_of_times_and_bands(levels):
    """A walk goes along this order: week 10 is no neighbour of week 1."""
    assert ordered(sorted(levels)) == levels
    walk = {"main": {"structure": {"week": "rw1"}}}
    spec = SimpleNamespace(models={k: SimpleNamespace(**v) for k, v in walk.items()}, order={}, bands={})
    assert not unordered(spec, {"week": levels})
    (problem,) = unordered(spec, {"week": ["1/12/2020", "2/11/2020", "3/1/2021"]})
    assert "their order is not known" in str(problem)


def test_groups_of_expected_errors_keep_their_names(tmp_path):
    """Area 01 was written back as 1, and NA as missing."""
    frame = pd.DataFrame({"grouping": "area", "group": ["01", "NA"], "rmse": [0.1, 0.2]})
    write_companion(Companion("calibration", frame, "words"), tmp_path)
    found = read_companion(tmp_path)
    assert found.frame["group"].tolist() == ["01", "NA"]
    assert (found.description, found.frame["rmse"].tolist()) == ("words", [0.1, 0.2])


def test_more_respondents_than_people_are_remarked(tmp_path):
    """A's cells may hold shares or thousands while the total, of all areas, is large enough."""
    census = CENSUS.replace("A,18-29,f,100\nA,18-29,m,110\nA,30+,f,50\nA,30+,m,60", "A,18-29,f,1\nA,30+,m,1")
    found = ingest(spec_of(tmp_path, SURVEY, census)).tables["variables"]
    notes = found.set_index(["variable", "level"])["note"]
    assert notes["state", "A"] == "more respondents than people"
    assert not notes["age"].any()
