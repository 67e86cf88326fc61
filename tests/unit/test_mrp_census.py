"""The cells of the population: from cells, persons, margins; extended; with predictors of areas."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from poolmap.families.mrp.extend import fit_shares
from poolmap.families.mrp.ingest import ingest
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of

BY_STATE_AGE = "state,age,people\nA,18-29,210\nA,30+,110\nB,18-29,410\nB,30+,310\nC,18-29,1010\nC,30+,50\n"
BY_SEX = "sex,people\nf,1020\nm,1080\n"


def margins(tmp_path, *texts, **changes):
    names = [f"margin_{i}.csv" for i in range(len(texts))]
    listed = [{"data": str(tmp_path / name), "count": "people"} for name in names]
    files = dict(zip(names, texts, strict=True)) | changes.pop("files", {})
    return spec_of(tmp_path, changes.pop("survey", SURVEY), None, margins=listed, files=files, **changes)


def counts(data, *names):
    return data.tables["census"].groupby(list(names))["count"].sum()


def test_duplicated_cells_name_both_lines(tmp_path):
    found = refused(spec_of(tmp_path, census=CENSUS + "B,30+,f,7\n"))
    assert found == [
        "census.csv, line 14: duplicated cell: state B, age 30+, sex f stands already in line 8\n    -> give "
        "each cell one row; where the counts belong to different groups, add the column that tells them "
        "apart; where each row is a person, write `microdata: true`"
    ]


def test_cells_that_differ_in_an_unused_column_are_added_up(tmp_path):
    data = ingest(spec_of(tmp_path, formula="vote ~ 1 + (1 | state) + (1 | age)"))
    assert counts(data, "state", "age")["A", "18-29"] == 210
    assert (data.facts["census_rows"], data.facts["census_cells"]) == (12, 6)


def test_persons(tmp_path):
    rows = [
        "state,age,sex,weight",
        "A,18-29,f,2.5",
        "A,18-29,f,1",
        "B,30+,m,3",
        "B,,m,4",
        "B,30+,f,0",
        "A,30+,m,1",
    ]
    census = "\n".join(rows) + "\n"
    data = ingest(spec_of(tmp_path, census=census, count="weight", microdata=True))
    assert counts(data, "state", "age", "sex").to_dict() == {
        ("A", "18-29", "f"): 3.5,
        ("A", "30+", "m"): 1,
        ("B", "30+", "f"): 0,
        ("B", "30+", "m"): 3,
    }
    assert data.exclusions[["row", "reason"]].to_numpy().tolist() == [[5, "no 'age'"]]
    assert data.facts["census_rows_excluded"] == 1
    assert data.facts["rows_excluded"] == 0
    alone = ingest(spec_of(tmp_path, census=census, count=None, microdata=True))
    assert alone.facts["population"] == 5


def test_persons_need_their_weight(tmp_path):
    census = "state,age,sex,weight\nA,18-29,f,2.5\nA,30+,f,\nB,30+,m,-3\nB,18-29,m,3\n"
    found = refused(spec_of(tmp_path, census=census, count="weight", microdata=True))
    assert "line 4, column 'weight': -3 is not at least 0" in found[0]
    assert "line 3, column 'weight': the person's weight is missing" in found[1]


def test_margins_from_uniform_cells_are_independent(tmp_path):
    data = ingest(margins(tmp_path, BY_STATE_AGE, BY_SEX))
    table = counts(data, "state", "age", "sex")
    assert len(table) == 12
    for state, age, people in [("A", "18-29", 210), ("C", "30+", 50)]:
        assert table[state, age, "f"] == pytest.approx(people * 1020 / 2100)
    assert data.facts["population"] == pytest.approx(2100)
    raking = data.facts["raking"]
    assert raking["margins"] == [["state", "age"], ["sex"]]
    assert raking["zeros"] == 0
    assert raking["cells"] == 12
    assert raking["gap"] < 1e-10


def test_margins_whose_totals_differ_by_rounding(tmp_path):
    """The totals of the first margin are kept: a difference below one in a million is no contradiction."""
    data = ingest(margins(tmp_path, BY_STATE_AGE, BY_SEX.replace("1020", "1020.001")))
    assert data.facts["population"] == pytest.approx(2100, rel=1e-9)
    assert data.facts["raking"]["gap"] < 1e-10


def test_margins_keep_the_associations_of_a_seed_table(tmp_path):
    """Seed: the true cells of another year; its odds ratios are kept."""
    seed = CENSUS.replace("C,30+,f,20", "C,30+,f,0")
    spec = margins(
        tmp_path,
        BY_STATE_AGE,
        BY_SEX,
        seed_table=str(tmp_path / "seed.csv"),
        count="n",
        files={"seed.csv": seed},
    )
    data = ingest(spec)
    table = counts(data, "state", "age", "sex")
    assert table["C", "30+", "f"] == 0
    assert data.facts["raking"]["zeros"] == 1

    def odds(t):
        return t["A", "18-29", "f"] * t["B", "30+", "m"] / (t["A", "18-29", "m"] * t["B", "30+", "f"])

    assert odds(table) == pytest.approx(100 * 160 / (110 * 150), rel=1e-6)
    assert counts(data, "sex").to_dict() == pytest.approx({"f": 1020, "m": 1080})
    assert counts(data, "state", "age").to_dict() == pytest.approx(
        {
            ("A", "18-29"): 210,
            ("A", "30+"): 110,
            ("B", "18-29"): 410,
            ("B", "30+"): 310,
            ("C", "18-29"): 1010,
            ("C", "30+"): 50,
        }
    )


def test_margins_from_the_weighted_survey(tmp_path):
    """Two by two: seed of summed weights 1.5, 2 / 4, 1 (odds ratio 0.375); worked out as a quadratic."""
    survey = "vote,state,sex,w\nyes,A,f,1\nno,A,f,0.5\nyes,A,m,2\nno,B,f,4\nyes,B,m,1\nyes,B,.,9\n"
    spec = margins(
        tmp_path,
        "state,people\nA,60\nB,40\n",
        "sex,people\nf,50\nm,50\n",
        survey=survey,
        weight="w",
        seed_table="survey",
        formula="vote ~ 1 + (1 | state) + (1 | sex)",
    )
    data = ingest(spec)
    ratio = 1.5 * 1 / (2 * 4)
    roots = np.roots([1 - ratio, 110 * ratio - 10, -3000 * ratio])
    (x,) = [root for root in roots if 10 < root < 50]
    assert counts(data, "state", "sex")["A", "f"] == pytest.approx(x)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            (BY_STATE_AGE, "sex,people\nf,1000\nm,1080\n"),
            "the margins do not sum to the same total (TMP/margin_0.csv: 2,100; TMP/margin_1.csv: 2,080)",
        ),
        (
            (BY_STATE_AGE, "state,sex,people\nA,f,160\nA,m,160\nB,f,360\nB,m,370\nC,f,500\nC,m,550\n"),
            "TMP/margin_0.csv: B: 720 people, but 730 in TMP/margin_1.csv",
        ),
        (
            (BY_STATE_AGE, "state,sex,people\na,f,160\na,m,160\nB,f,360\nB,m,360\nC,f,500\nC,m,560\n"),
            "it has 'a' and lacks 'A', unlike TMP/margin_0.csv",
        ),
        (
            (BY_STATE_AGE, BY_SEX + "f,3\n"),
            "margin_1.csv, line 4: duplicated cell: sex f stands already in line 2",
        ),
        (
            (BY_STATE_AGE, BY_SEX.replace("f,1020", "f,")),
            "margin_1.csv, line 2, column 'people': no number of people",
        ),
        ((BY_STATE_AGE, BY_SEX.replace("f,1020", "f,-4")), "-4 is not at least 0"),
        ((BY_STATE_AGE, BY_SEX.replace("f,1020", ",1020")), "the sex is empty"),
        ((BY_STATE_AGE, "people\n2100\n"), "the margin has no variable"),
        ((BY_STATE_AGE, BY_SEX.replace("people", "persons")), "there is no column 'people'"),
        ((BY_STATE_AGE,), "no margin has a column 'sex' (asked for by 'formula')"),
    ],
)
def test_bad_margins(tmp_path, texts, message):
    found = refused(margins(tmp_path, *texts))
    assert any(message.replace("TMP/", "") in text for text in found), found


def test_a_seed_without_cells_for_people(tmp_path):
    (found,) = refused(margins(tmp_path, BY_STATE_AGE, BY_SEX, seed_table="survey"))
    assert found.startswith("margin_0.csv, column 'state': the survey, where the cells start from, has no")
    assert "has no 'state' 'C'; its levels are 'A', 'B'\n    -> spell levels alike in all files" in found
    survey = SURVEY + "no,C,30+,m,1\n"
    (found,) = refused(margins(tmp_path, BY_STATE_AGE, BY_SEX, survey=survey, seed_table="survey"))
    assert "C, 18-29: 1,010 people, but no cell of the seed (survey) holds it" in found


def test_zeros_that_rule_the_margins_out(tmp_path):
    seed = "state,sex,n\nA,f,1\nA,m,0\nB,f,0\nB,m,1\n"
    spec = margins(
        tmp_path,
        "state,people\nA,60\nB,40\n",
        "sex,people\nf,50\nm,50\n",
        seed_table=str(tmp_path / "seed.csv"),
        count="n",
        files={"seed.csv": seed},
        formula="vote ~ 1 + (1 | state) + (1 | sex)",
    )
    assert "raking does not converge: after 10,000 rounds" in refused(spec)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margins": [{"data": "m.csv", "count": "n"}]}, "not both and not neither"),
        ({"census": None, "count": None}, "not both and not neither"),
        ({"count": None}, "name the column with the number of people"),
        ({"seed_table": "survey"}, "it goes with `margins`"),
        ({"census": None, "count": "n", "margins": [{"data": "m.csv", "count": "n"}]}, "leave this one away"),
        (
            {
                "census": None,
                "count": None,
                "seed_table": "t.csv",
                "margins": [{"data": "m.csv", "count": "n"}],
            },
            "name the column of the `seed_table`",
        ),
        ({"extend": [{"variable": "edu", "known": "k.csv"}]}, "give both, or neither"),
        ({"extend": [{"variable": "edu"}, {"variable": "edu"}]}, "put into the census twice"),
        ({"extend": [{"variable": "mode"}], "house": ["mode"]}, "which the census need not have"),
        ({"time": "mode", "house": ["mode"]}, "stands in `house` too"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path, changes, message):
    with pytest.raises(ValidationError) as caught:
        spec_of(tmp_path, **({"census": CENSUS} | changes))
    assert message in str(caught.value)


AREAS = "state,income,region\nA,1.5,north\nB,2.5,north\nC,4,south\n"


def with_areas(
    tmp_path, text=AREAS, columns=("income",), formula="vote ~ 1 + income + (1 | state)", **changes
):
    source = {"data": str(tmp_path / "areas.csv"), "area": "state", "columns": list(columns)}
    return spec_of(tmp_path, area_predictors=[source], files={"areas.csv": text}, formula=formula, **changes)


def test_area_predictors_are_joined_and_standardised_over_people(tmp_path):
    data = ingest(with_areas(tmp_path))
    people = np.repeat([1.5, 2.5, 4], [320, 720, 1060])
    scale = data.facts["predictors"]["income"]
    assert scale["type"] == "numeric"
    assert (scale["mean"], scale["sd"]) == pytest.approx((people.mean(), people.std()))
    assert scale["constant_within"] == ["state"]
    assert not scale["in_survey"]
    assert data.tables["survey"].groupby("state")["income"].first().to_dict() == {"A": 1.5, "B": 2.5}
    assert data.tables["census"].groupby("state")["income"].first().to_dict() == {"A": 1.5, "B": 2.5, "C": 4}


def test_area_predictors_without_the_area_in_the_formula(tmp_path):
    data = ingest(with_areas(tmp_path, formula="vote ~ 1 + income + (1 | age)", estimates=["age"]))
    assert data.facts["predictors"]["income"]["constant_within"] == []
    assert data.tables["survey"]["income"].tolist() == [1.5, 1.5, 2.5, 2.5, 2.5, 1.5]
    assert len(data.tables["census"]) == 6


def test_a_factor_of_areas_is_joined(tmp_path):
    text = AREAS.replace("B,2.5,north", "B,2.5,south")
    data = ingest(with_areas(tmp_path, text, ["region"], "vote ~ 1 + region + (1 | state)"))
    assert data.facts["predictors"]["region"] == {"type": "factor", "levels": ["north", "south"]}
    assert data.tables["cells"]["region"].tolist() == ["north", "south"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (AREAS.replace("B,2.5,north\n", ""), "there is no row for state 'B' of the census"),
        (AREAS.replace("B,", "b ,"), "there is no row for state 'B' of the census\n    -> did you mean 'b'?"),
        (AREAS.replace("2.5", "NA"), "no 'income' of state 'B'"),
        (
            AREAS + "A,1.7,north\n",
            "state 'A' stands already in row 1, and 'income' varies within it (1.5 and 1.7)",
        ),
        (AREAS + "A,1.5,north\n", "state 'A' stands already in row 1"),
        (AREAS.replace("income", "incom"), "did you mean 'incom'?"),
        (AREAS.replace("2.5", "two"), "'two' is not a number"),
    ],
)
def test_bad_area_predictors(tmp_path, text, message):
    found = refused(with_areas(tmp_path, text))
    assert any(message.replace("row 1", "line 2") in text for text in found), found


def test_a_predictor_of_areas_that_the_census_has_too(tmp_path):
    census = CENSUS.replace(",n\n", ",n,income\n").replace("0\n", "0,1\n")
    assert "has a column 'income' of its own" in refused(with_areas(tmp_path, census=census))[0]


def test_a_predictor_that_varies_within_an_area(tmp_path):
    """The survey lacks it, so the census must fix it."""
    lines = CENSUS.splitlines()
    income = {"A": 1.0, "B": 3.0, "C": 2.0}
    census = "\n".join([f"{lines[0]},income", *(f"{line},{income[line[0]]}" for line in lines[1:])])
    spec = spec_of(tmp_path, census=census, formula="vote ~ income + (1 | state)")
    assert ingest(spec).facts["predictors"]["income"]["constant_within"] == ["state"]
    spec = spec_of(
        tmp_path,
        census=census.replace("A,30+,f,50,1.0", "A,30+,f,50,1.1"),
        formula="vote ~ income + (1 | state)",
    )
    found = refused(spec)
    assert "the census does not fix its value by state: it varies within 'state', e.g. in 'A'" in found[0]


def test_a_slip_in_one_area_is_not_taken_for_a_predictor_of_respondents(tmp_path):
    states = [f"s{i:02d}" for i in range(20)]
    census = ["state,sex,n,x", *(f"{s},{sex},10,{i}" for i, s in enumerate(states) for sex in "fm")]
    census[5] = "s02,f,10,2.5"
    survey = [
        "vote,state,sex,x",
        *(f"{'yes' if i % 3 else 'no'},{s},{'fm'[i % 2]},{i}" for i, s in enumerate(states)),
    ]
    found = refused(
        spec_of(tmp_path, "\n".join(survey), "\n".join(census), formula="vote ~ x + (1 | state) + (1 | sex)")
    )
    assert "the census fixes 'x' by 'state', except in 's02', where it varies" in found[0]


EDU = "vote,state,sex,edu\n" + "".join(
    f"{'yes' if i % 3 else 'no'},{'AB'[i % 2]},{'fm'[(i // 2) % 2]},{'low' if i % 5 < 3 else 'high'}\n"
    for i in range(200)
)


def extended(tmp_path, **extension):
    files = extension.pop("files", {})
    formula = "vote ~ 1 + (1 | state) + (1 | sex) + (1 | edu)"
    return spec_of(
        tmp_path,
        EDU,
        formula=formula,
        extend=[{"variable": "edu", **extension}],
        estimates=["state", "edu"],
        files=files,
    )


def test_a_variable_that_the_census_lacks_is_put_into_it(tmp_path):
    data = ingest(extended(tmp_path))
    table = counts(data, "state", "sex", "edu").unstack()
    assert counts(data, "state").to_dict() == pytest.approx({"A": 320, "B": 720, "C": 1060})
    assert (table["low"] / table.sum(axis=1)).to_numpy() == pytest.approx(0.6, abs=0.02)
    about = data.facts["extensions"][0]
    assert about["terms"] == ["state", "sex"]
    assert about["levels"] == 2
    notes = data.tables["variables"].set_index(["variable", "level"])["note"]
    assert "put into the census by extend" in notes["edu", "low"]


def test_missing_answers_are_no_level_of_the_extended_census(tmp_path):
    spec = extended(tmp_path)
    (tmp_path / "survey.csv").write_text(EDU + "yes,A,f,\nno,B,m,NA\n")
    data = ingest(spec.model_copy(update={"missing": "level"}))
    assert set(data.tables["survey"]["edu"]) == {"low", "high", "missing"}
    assert set(data.tables["census"]["edu"]) == {"low", "high"}


def test_the_extended_census_agrees_with_known_shares(tmp_path):
    known = "state,edu,share\nA,low,30\nA,high,70\nB,low,0.5\nB,high,0.5\nC,low,2\nC,high,6\n"
    spec = extended(tmp_path, known=str(tmp_path / "known.csv"), count="share", files={"known.csv": known})
    data = ingest(spec)
    shares = counts(data, "state", "edu").unstack()["low"] / counts(data, "state")
    assert shares.to_dict() == pytest.approx({"A": 0.3, "B": 0.5, "C": 0.25})
    assert counts(data, "state", "sex")["A", "f"] == pytest.approx(150)
    whole = extended(
        tmp_path, known=str(tmp_path / "known.csv"), count="n", files={"known.csv": "edu,n\nlow,1\nhigh,3\n"}
    )
    assert counts(ingest(whole), "edu").to_dict() == pytest.approx({"low": 525, "high": 1575})


def by_weight(tmp_path, survey, **changes):
    """The strata of the weights in the model: the census has them from the weighted survey."""
    return spec_of(
        tmp_path,
        survey,
        "state,n\nA,600\nB,400\n",
        formula="vote ~ 1 + (1 | state) + (1 | wclass)",
        weight="w",
        bands={"wclass": {"column": "w", "lower": [0, 2]}},
        extend=[{"variable": "wclass"}],
        **changes,
    )


def test_bands_by_a_name_of_poolmap(tmp_path):
    spec = spec_of(
        tmp_path,
        formula="vote ~ 1 + (1 | state) + (1 | stratum)",
        bands={"stratum": {"column": "w", "lower": [0, 2]}},
        extend=[{"variable": "stratum"}],
    )
    assert refused(spec)[0].startswith("config: bands.stratum: the name is one of poolmap's own columns")


def test_strata_of_the_weights_have_their_weighted_shares(tmp_path):
    """30 respondents of weight 1 and 10 of weight 9: strata of 25% and 75% of the people (30 to 90)."""
    rows = [f"{'yes' if i % 3 else 'no'},{'AB'[i % 2]},{1 if i < 30 else 9}" for i in range(40)]
    data = ingest(by_weight(tmp_path, "vote,state,w\n" + "\n".join(rows)))
    assert counts(data, "wclass").to_dict() == pytest.approx({"0-1": 250, "2+": 750}, rel=1e-4)
    assert counts(data, "state").to_dict() == pytest.approx({"A": 600, "B": 400})
    assert data.facts["extensions"][0]["weighted"]


def test_each_survey_counts_by_its_respondents_whatever_the_scale_of_its_weights(tmp_path):
    """Weighted shares of 'low' are 5/6 and 1/2; the surveys have 40 and 20 respondents."""
    rows = {"one": [1, 1, 1, 3] * 10, "two": [500] * 20}
    for name, weights in rows.items():
        text = [
            f"{'yes' if i % 3 else 'no'},{'AB'[(i // 4) % 2]},{'low' if w == 3 or i % 4 < 2 else 'high'},{w}"
            for i, w in enumerate(weights)
        ]
        (tmp_path / f"{name}.csv").write_text("vote,state,edu,w\n" + "\n".join(text) + "\n")
    spec = spec_of(
        tmp_path,
        census="state,n\nA,600\nB,400\n",
        surveys={name: str(tmp_path / f"{name}.csv") for name in rows},
        formula="vote ~ 1 + (1 | state) + (1 | edu)",
        weight="w",
        extend=[{"variable": "edu"}],
    )
    share = counts(ingest(spec), "edu")["low"] / 1000
    assert share == pytest.approx((40 * 5 / 6 + 20 / 2) / 60, abs=1e-4)


@pytest.mark.parametrize(
    ("extension", "known", "message"),
    [
        ({"formula": "~ 1 + x + (1 | state)"}, None, "it has coefficients or slopes (x)"),
        ({"formula": "~ 1 + (1 | county)"}, None, "'county' is no variable that both survey and census have"),
        ({}, "edu,share\nlow,1\n", "there is no row for edu 'high'"),
        ({}, "edu,share\nlow,1\nhigh,2\nmiddle,3\n", "middle is in neither census nor survey"),
        ({}, "edu,share\nlow,0\nhigh,0\n", "the numbers add up to 0"),
        ({}, "edu,share\nlow,\nhigh,1\n", "no number"),
        ({}, "edu,share\nlow,-1\nhigh,1\n", "-1 is not at least 0"),
        ({}, "edu,parts\nlow,1\nhigh,1\n", "there is no column 'share'"),
        ({}, "edu,county,share\nlow,a,1\nhigh,a,1\n", "the census has no variable 'county'"),
    ],
)
def test_bad_extensions(tmp_path, extension, known, message):
    if known is not None:
        extension = extension | {
            "known": str(tmp_path / "k.csv"),
            "count": "share",
            "files": {"k.csv": known},
        }
    found = refused(extended(tmp_path, **extension))
    assert any(message in text for text in found), found


def test_an_extension_that_the_census_has(tmp_path):
    spec = spec_of(tmp_path, extend=[{"variable": "sex"}])
    assert "the census has 'sex' already" in refused(spec)[0]


def test_shares_without_batches_are_those_of_the_survey():
    fitted = fit_shares(np.array([[30.0, 50, 20]]), [], [])
    np.testing.assert_allclose(fitted.predict([]), [[0.3, 0.5, 0.2]], atol=1e-4)


def test_shares_are_the_mode_given_the_standard_deviations():
    """The gradient of the log posterior, written out anew, is 0 at the fit."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 12, (15, 3)).astype(float)
    area, group = np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)
    fitted = fit_shares(counts, [area, group], [5, 3])
    residual = counts - counts.sum(axis=1, keepdims=True) * fitted.predict([area, group])
    for effect, sigma, code in zip(fitted.effects, fitted.sigma, (area, group), strict=True):
        score = np.array([residual[code == level].sum(axis=0) for level in range(len(effect))])
        np.testing.assert_allclose(score, effect / sigma**2, atol=1e-4)


def test_shares_recover_known_truth():
    """400 areas of 40 respondents, 3 levels: the standard deviation, and smaller errors than raw shares."""
    rng = np.random.default_rng(8)
    effects = rng.normal(0, 0.7, (400, 3))
    eta = np.array([0.5, 0.0, -0.5]) + effects
    truth = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    counts = np.array([rng.multinomial(40, p) for p in truth]).astype(float)
    fitted = fit_shares(counts, [np.arange(400)], [400])
    assert fitted.sigma[0] == pytest.approx(0.7, rel=0.1)
    smoothed = fitted.predict([np.arange(400)])
    assert ((smoothed - truth) ** 2).mean() < 0.95 * ((counts / 40 - truth) ** 2).mean()
    average = fitted.predict([np.array([-1])])
    np.testing.assert_allclose(average.sum(), 1)


def test_levels_report(tmp_path):
    data = ingest(spec_of(tmp_path, weight="w"))
    report = data.tables["variables"].set_index(["variable", "level"])
    assert isinstance(report, pd.DataFrame)
    assert report.loc[("state", "B")].tolist() == [3, 3, 720, ""]
    assert report.loc[("state", "C"), "note"] == "nobody in the survey"
    assert report.loc[("age", "30+"), ["survey_n", "survey_weight", "census_n"]].tolist() == [2, 2, 470]


def test_levels_that_are_nearly_alike_are_remarked(tmp_path):
    report = ingest(spec_of(tmp_path, recode={"state": {"C": " b"}})).tables["variables"]
    notes = report.set_index(["variable", "level"])["note"]
    assert notes["state", "b"] == "spelt nearly as 'B'; nobody in the survey"
