"""What is allowed and most likely a slip: said in the report, in the table of levels and on the terminal."""

import io

import numpy as np
import pandas as pd
import pytest

from poolmap.families.mrp.codes import missing_codes
from poolmap.families.mrp.describe import describe
from poolmap.families.mrp.doubts import odd_levels
from poolmap.families.mrp.ingest import ingest
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of

PEOPLE = 240


def survey(**columns):
    """Respondents spread evenly over the census's cells, with further columns of text."""
    i = np.arange(PEOPLE)
    frame = pd.DataFrame(
        {
            "vote": np.where(i % 5 < 2, "yes", "no"),
            "state": np.array(["A", "B", "C"])[i % 3],
            "age": np.array(["18-29", "30+"])[i // 3 % 2],
            "sex": np.array(["f", "m"])[i // 6 % 2],
            "w": "1",
        }
    ).assign(**columns)
    return frame.to_csv(index=False)


def waves(*slips):
    """Three waves of 80, the first rows of which are others."""
    wave = np.array(["2021", "2023", "2025"])[np.arange(PEOPLE) // 80].astype(object)
    wave[: len(slips)] = slips
    return wave


def doubts(tmp_path, **changes):
    spec = spec_of(tmp_path, **changes)
    data = ingest(spec)
    return [doubt.replace(f"{tmp_path}/", "") for doubt in data.facts["doubts"]], data


TIMED = {"time": "wave", "formula": "vote ~ 1 + (1 | state) + (1 | wave)", "estimates": ["wave"]}


def test_a_wave_that_is_a_slip_is_told(tmp_path):
    (said,), data = doubts(tmp_path, survey=survey(wave=waves("2205")), **TIMED)
    assert said == (
        "'wave' has the level '2205' with 1 respondent (the others: 79 to 80): hardly any respondents and "
        "far from the other times (2021 to 2025). It counts as a level like the others; if it is a slip, "
        'mend the file or write `recode: {wave: {"2205": ...}}`.'
    )
    notes = data.tables["variables"].set_index(["variable", "level"])["note"]
    assert notes["wave", "2205"] == "hardly any respondents; far from the other times (2021 to 2025)"
    (said,), _ = doubts(tmp_path, survey=survey(wave=waves("2024", "2024")), **TIMED)
    assert "'2024' with 2 respondents (the others: 78 to 80): hardly any respondents." in said
    assert doubts(tmp_path, survey=survey(wave=waves()), **TIMED)[0] == []


def test_a_whole_wave_with_a_slip_is_told(tmp_path):
    wave = np.where(waves() == "2025", "2205", waves())
    (said,), _ = doubts(tmp_path, survey=survey(wave=wave), **TIMED)
    assert "'2205' with 80 respondents (the others: 80): not a year as the others are." in said


def test_dates_as_times_are_told(tmp_path):
    dates = pd.date_range("2025-01-01", periods=PEOPLE // 2).strftime("%Y-%m-%d").repeat(2)
    (said,), _ = doubts(tmp_path, survey=survey(wave=dates), **TIMED)
    assert "The time 'wave' has 120 levels, half of them with 2 respondents or fewer ('2025-01-01'" in said


def test_slips_of_house_variables_and_small_surveys_are_told(tmp_path):
    mode = np.array(["phone"] * 120 + ["web"] * 118 + ["wbe", "Phone"])
    changes = {"house": ["mode"], "formula": "vote ~ 1 + (1 | state) + (1 | mode)"}
    said, _ = doubts(tmp_path, survey=survey(mode=mode), **changes)
    assert ["'wbe' with 1 respondent" in said[0], "recode: {mode: {Phone: phone}}" in said[1]] == [True, True]
    small = "\n".join(survey().splitlines()[:3])
    surveys = {"one": str(tmp_path / "survey.csv"), "two": str(tmp_path / "two.csv")}
    (said,), _ = doubts(tmp_path, survey=survey(), surveys=surveys, files={"two.csv": small})
    assert said == (
        "the survey 'two' has 2 respondents (the others: 240): hardly any respondents. Is it the right file, "
        "and whole?"
    )


@pytest.mark.parametrize(
    "sizes",
    [
        [300, 290, 310],
        [2000, 40],
        [400, 160, 64, 26, 10, 4, 2],  # one that thins out
        [30, 28, 31, 12, 6, 3, 1],  # the last days of field work
        [19, 1],
    ],
)
def test_ordinary_small_levels_are_no_slips(sizes):
    wave = pd.Categorical(np.repeat([str(2001 + i) for i in range(len(sizes))], sizes))
    assert odd_levels(pd.DataFrame({"wave": wave}), "wave") == []


def test_a_far_time_with_many_respondents_is_no_slip():
    wave = pd.Categorical(np.repeat(["1990", "2019", "2020", "2021"], [200, 300, 300, 300]))
    assert odd_levels(pd.DataFrame({"wave": wave}), "wave") == []
    few = pd.Categorical(np.repeat(["1990", "2019", "2020", "2021"], [20, 300, 300, 300]))
    (odd,) = odd_levels(pd.DataFrame({"wave": few}), "wave")
    assert (odd.level, odd.note) == ("1990", "far from the other times (2019 to 2021)")


PRESSURE = {"outcome": {"column": "bp", "kind": "continuous"}, "formula": "bp ~ 1 + (1 | state)"}


@pytest.mark.parametrize(("code", "number"), [("999", 15), ("-9", 2), ("99999", 3), ("999.9", 4)])
def test_codes_for_missing_measurements_are_told(tmp_path, code, number):
    bp = (100 + np.arange(PEOPLE) * 7 % 80).astype(str).astype(object)
    bp[:number] = code
    (said,), _ = doubts(tmp_path, survey=survey(bp=bp), **PRESSURE)
    assert said == (
        f"survey.csv, column 'bp': {code} stands in {number} rows, far from all other values (100 to 179). A "
        "code for a missing value? It counts as a number; to have it read as missing, write "
        f'`recode: {{bp: {{"{code}": NA}}}}`.'
    )
    said, data = doubts(tmp_path, survey=survey(bp=bp), recode={"bp": {code: "NA"}}, **PRESSURE)
    assert said == [] and data.facts["respondents"] == PEOPLE - number
    assert set(data.exclusions["reason"]) == {"no answer in 'bp'"}


def test_codes_in_counts_weights_and_numbers_that_are_cut_are_told(tmp_path):
    visits, years = np.arange(PEOPLE) % 4, 18 + np.arange(PEOPLE) % 60
    visits[:3], years[3:5] = 99, 999
    text = survey(visits=visits, years=years, w=np.where(np.arange(PEOPLE) < 2, "-9", "1.5"))
    said, _ = doubts(
        tmp_path,
        survey=text.replace(",age,", ",band,"),
        outcome={"column": "visits", "kind": "count"},
        formula="visits ~ 1 + (1 | state) + (1 | age)",
        bands={"age": {"column": "years", "lower": [18, 30]}},
    )
    assert "column 'years': 999 stands in 2 rows, far from all other values (18 to 77)" in said[0]
    assert "column 'visits': 99 stands in 3 rows, far from all other values (0 to 3)" in said[1]


def test_codes_among_the_predictors_of_areas_are_told_at_their_table(tmp_path):
    states = [f"S{i}" for i in range(12)]
    rows = "".join(f"{'yes' if i % 3 else 'no'},{states[i % 12]}\n" for i in range(60))
    areas = "state,income\n" + "".join(f"{s},{-99 if i < 2 else 20 + i}\n" for i, s in enumerate(states))
    (said,), _ = doubts(
        tmp_path,
        survey=f"vote,state\n{rows}",
        census="state,n\n" + "".join(f"{state},900\n" for state in states),
        files={"areas.csv": areas},
        area_predictors=[{"data": str(tmp_path / "areas.csv"), "area": "state", "columns": ["income"]}],
        formula="vote ~ 1 + income + (1 | state)",
    )
    assert said == (
        "areas.csv, column 'income': -99 stands in 2 rows, far from all other values (22 to 31). A code for "
        "a missing value? It counts as a number; if it is one, mend the file."
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(130, 18, n).round(),
        lambda rng, n: rng.normal(5, 6, n).round(),  # temperatures, some of them -7 to -9
        lambda rng, n: rng.integers(18, 100, n),
        lambda rng, n: rng.poisson(2, n),
        lambda rng, n: rng.negative_binomial(0.2, 0.01, n),
        lambda rng, n: rng.lognormal(6, 1.5, n).round(),
        lambda rng, n: (10 * rng.standard_t(1, n)).round(),
        lambda rng, n: (10 * rng.pareto(1.2, n)).round(),
        lambda rng, n: rng.lognormal(3, 1, n).round() - 0.01,  # prices
    ],
)
def test_ordinary_numbers_are_no_codes(draw):
    rng = np.random.default_rng(1)
    for n in (50, 2000):
        assert [missing_codes(pd.Series(draw(rng, n), dtype=float)) for _ in range(40)] == [None] * 40


def test_several_codes_of_one_column():
    values = pd.Series([1.0, 2.0, 3.0, 4.0] * 10 + [99.0] * 5 + [98.0] * 7 + [97.0])
    codes = missing_codes(values)
    assert (codes.values, codes.counts, codes.lowest, codes.highest) == ((98, 99, 97), (7, 5, 1), 1, 4)
    assert missing_codes(values[:41]) is None  # 99 once


def test_a_table_of_cells_is_no_table_of_persons(tmp_path):
    (found,) = refused(spec_of(tmp_path, microdata=True, count=None))
    assert found == (
        "census.csv: by `microdata: true` each row is one person, but no two of its 12 rows are alike, and "
        "'n' looks like the number of people: this seems to be a table of cells\n    -> take `microdata` out "
        "and write `count: n`. If each row is a person, rename that column; if it is the person's weight, "
        "write `count: n` beside `microdata: true`"
    )


def test_a_weight_of_persons_that_is_not_used_is_told(tmp_path):
    rows = [line.rpartition(",")[0] for line in CENSUS.splitlines()[1:]]
    census = "\n".join(["state,age,sex,PERWT", *(f"{row},120" for row in [*rows, *rows])])
    (said,), _ = doubts(tmp_path, census=census, microdata=True, count=None)
    assert said.startswith("census.csv has a column 'PERWT', which looks like the weight of a person")
    assert "write `count: PERWT`" in said
    assert doubts(tmp_path, census=census, microdata=True, count="PERWT")[0] == []


def test_a_weight_that_outweighs_all_is_told(tmp_path):
    weights = np.where(np.arange(PEOPLE) == 3, "1000", "2")
    (said,), _ = doubts(tmp_path, survey=survey(w=weights), weight="w")
    assert said == (
        "survey.csv, column 'w': one of 240 respondents, with the weight 1,000 (the median is 2), stands for "
        "68% of all. Is the weight a slip?"
    )
    rng = np.random.default_rng(2)
    for spread in (0.3, 1, 1.5):
        weights = rng.lognormal(0, spread, PEOPLE).round(3).astype(str)
        assert doubts(tmp_path, survey=survey(w=weights), weight="w")[0] == []


def test_rows_of_persons_taken_for_cells_are_pointed_at_microdata(tmp_path):
    found = refused(spec_of(tmp_path, census=CENSUS + "A,18-29,f,100\n"))
    assert "line 14: duplicated cell" in found[0] and "where each row is a person, write `micr" in found[0]


def test_a_census_of_several_years_is_told(tmp_path):
    head, *rows = CENSUS.splitlines()
    census = "\n".join([f"{head},year", *(f"{row},{year}" for year in (2020, 2021) for row in rows)])
    (said,), _ = doubts(tmp_path, census=census)
    assert said.startswith("census.csv has a column 'year' ('2020', '2021') that the analysis does not use")


def test_bands_of_the_census_that_no_number_falls_into_are_told(tmp_path):
    text = survey(years=30 + np.arange(PEOPLE) % 50).replace(",age,", ",band,")
    bands = {"age": {"column": "years", "lower": [30]}}
    (said,), _ = doubts(
        tmp_path, survey=text, bands=bands, formula="vote ~ 1 + (1 | state)", estimates=["age"]
    )
    assert "the bands '30+' of 'age', and the census has '18-29' besides (77.6% of the people)" in said


def test_a_cell_with_nearly_all_people_is_told(tmp_path):
    (said,), _ = doubts(tmp_path, census=CENSUS.replace("A,30+,f,50", "A,30+,f,5000000"))
    assert (
        "the cell state A, age 30+, sex f has 5,000,000 people, the next largest of the 12 cells 510" in said
    )


def test_combinations_that_the_census_lacks_are_named(tmp_path):
    census = "".join(line for line in CENSUS.splitlines(True) if not line.startswith(("B,18-29,f", "C,30+")))
    spec = spec_of(tmp_path, survey=survey(), census=census)
    text = "\n".join(block for block in describe(spec, ingest(spec)) if isinstance(block, str))
    assert (
        "60 rows of the survey belong to 3 combinations of levels that the census does not list: they "
        "inform the model, but no population is there. The combinations: B / 18-29 / f (20 respondents); "
        "C / 30+ / f (20 respondents); C / 30+ / m (20 respondents)."
    ) in text
    timed = {"formula": "vote ~ 1 + (1 | state) + (1 | age) + (1 | wave)", "time": "wave"}
    wide = "state,age,n\n" + "".join(f"{s},{a},99\n" for s in "ABC" for a in ("18-29", "30+"))
    wide = wide.replace("C,30+,99\n", "")
    facts = ingest(spec_of(tmp_path, survey=survey(wave=waves()), census=wide, count="n", **timed)).facts
    assert facts["combinations_outside_census"] == 1  # not one for each wave
    assert facts["first_outside_census"] == ["C / 30+ (40 respondents)"]


def test_nothing_is_doubted_of_sound_data(tmp_path):
    assert doubts(tmp_path, survey=SURVEY)[0] == []
    assert doubts(tmp_path, survey=survey(), weight="w")[0] == []


def test_more_respondents_than_people_are_told(tmp_path):
    cells = pd.read_csv(io.StringIO(CENSUS))
    thousandth = cells.assign(n=cells["n"].where(cells["state"] != "A", cells["n"] // 10)).to_csv(index=False)
    said, _ = doubts(tmp_path, survey=survey(), census=thousandth)
    assert any(
        "more respondents than the census has people in 'state' A (80 respondents, 32 people)" in text
        for text in said
    )
    assert not any("more respondents" in text for text in doubts(tmp_path, survey=survey())[0])


@pytest.mark.parametrize(
    ("counts", "refused_for"), [("1.521", "1.521"), ("1.521.304", None), ("0.521", None), ("1.52", None)]
)
def test_points_between_thousands(tmp_path, counts, refused_for):
    """Numbers with three digits after the point, all of them, beside whole numbers."""
    census = CENSUS.replace("A,18-29,f,100", f"A,18-29,f,{counts}")
    spec = spec_of(tmp_path, census=census)
    if refused_for:
        found = refused(spec)
        assert found[0].startswith(
            "census.csv, line 2, column 'n': 1 row has a point with three digits after it"
        )
        assert f"is '{refused_for}' a fraction, or written with a point between thousands?" in found[0]
    elif counts.count(".") == 1:
        ingest(spec)
    else:
        assert "census.csv, line 2" in refused(spec)[0]
