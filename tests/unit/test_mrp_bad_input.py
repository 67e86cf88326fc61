"""Bad input of the mrp family: each slip has a message that names the place and what to do."""

import pytest

from poolmap.families.mrp.ingest import ingest
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of


def told(tmp_path, **changes):
    return refused(spec_of(tmp_path, **changes))


def test_counts_that_are_negative_or_missing(tmp_path):
    census = (
        CENSUS.replace("A,30+,f,50", "A,30+,f,-50")
        .replace("B,30+,m,160", "B,30+,m,")
        .replace("C,30+,m,30", "C,30+,m,3o")
    )
    assert told(tmp_path, census=census) == [
        "census.csv, line 13, column 'n': '3o' is not a number\n    -> write the number of people, 0 or more"
        ": without units, signs or remarks behind the number",
        "census.csv, line 4, column 'n': -50 is not at least 0\n    -> write the number of people, 0 or more",
        "census.csv, line 9, column 'n': no value for the cell state B, age 30+, sex m\n    -> every cell of "
        "the census needs one",
    ]


def test_counts_that_are_all_zero(tmp_path):
    census = "\n".join(
        [CENSUS.splitlines()[0], *(line.rpartition(",")[0] + ",0" for line in CENSUS.splitlines()[1:])]
    )
    assert "the counts add up to 0" in told(tmp_path, census=census)[0]


def test_a_level_of_the_census_that_is_empty(tmp_path):
    found = told(tmp_path, census=CENSUS.replace("A,30+,f", "A,,f"))
    assert "census.csv, line 4, column 'age': the age is empty" in found[0]
    assert "rows of totals must not stand in the table" in found[0]


def test_a_term_that_the_census_lacks(tmp_path):
    survey = "\n".join(line + (",edu" if i == 0 else ",low") for i, line in enumerate(SURVEY.splitlines()))
    found = told(tmp_path, survey=survey, formula="vote ~ 1 + (1 | state) + (1 | edu)")
    (text,) = found
    assert text.startswith(
        "census.csv: there is no column 'edu' (asked for by 'formula')\n    -> valid names: state,"
    )
    assert "name it in `house`; a trait of people can be put into the census by `extend`" in text


def test_a_term_that_the_survey_lacks(tmp_path):
    found = told(tmp_path, formula="vote ~ 1 + (1 | state) + (1 | sexe)", estimates=["age", "regio"])
    assert [text.split("\n")[0] for text in found] == [
        "survey.csv: there is no column 'sexe' (asked for by 'formula')",
        "census.csv: there is no column 'sexe' (asked for by 'formula')",
        "census.csv: there is no column 'regio' (asked for by 'estimates')",
    ]


@pytest.mark.parametrize(
    ("survey", "outcome", "message"),
    [
        (SURVEY.replace("no,", "yes,"), {}, "every answer used counts as yes ('yes' (6))"),
        (SURVEY.replace("yes,", "maybe,"), {}, "no row holds the positive answer 'yes'"),
        (
            SURVEY.replace("no,B", "perhaps,B"),
            {},
            "beside 'yes' there are 2 other answers: 'no' (2), 'perhaps' (1)",
        ),
        (
            SURVEY,
            {"negative": ["No"]},
            "no row holds the negative answer 'No'; the other answers are 'no' (3)",
        ),
        (
            SURVEY.replace("yes", "7").replace("no", "7"),
            {"kind": "continuous", "positive": None},
            "7 in all 6 rows used",
        ),
        (
            SURVEY.replace("yes", "0").replace("no", "0"),
            {"kind": "count", "positive": None},
            "0 in all 6 rows used",
        ),
        (
            SURVEY.replace("no,", "yes,"),
            {"kind": "categorical", "positive": None},
            "every answer used is 'yes'",
        ),
        (SURVEY, {"kind": "continuous", "positive": None}, "'yes' is not a number"),
        (
            SURVEY.replace("yes", "-1").replace("no", "2.5"),
            {"kind": "count", "positive": None},
            "-1 is not at least 0",
        ),
        (
            SURVEY.replace("yes", "-1").replace("no", "2.5"),
            {"kind": "count", "positive": None},
            "2.5 is not a whole",
        ),
        (
            SURVEY,
            {"kind": "ordered", "positive": None, "levels": ["no", "perhaps", "yes"]},
            "no row holds the answer 'perhaps', one of 'outcome: levels'",
        ),
        (SURVEY.replace("w", "vot"), {"column": "vote_"}, "did you mean 'vote'?"),
    ],
)
def test_outcomes(tmp_path, survey, outcome, message):
    outcome = {"column": "vote", "positive": "yes"} | outcome
    column = outcome["column"]
    formula = f"{column} ~ 1 + (1 | state) + (1 | age) + (1 | sex)"
    chosen = {key: value for key, value in outcome.items() if value is not None}
    found = told(tmp_path, survey=survey, outcome=chosen, formula=formula)
    assert any(message in text for text in found), found


def test_exposure_of_zero(tmp_path):
    survey = SURVEY.replace("yes", "1").replace("no", "2").replace(",1.5\n", ",0\n")
    outcome = {"column": "vote", "kind": "count", "exposure": "w"}
    found = told(tmp_path, survey=survey, outcome=outcome)
    assert found == [
        "survey.csv, line 2, column 'w': 0 is not above 0\n    -> write the time at risk, above 0"
    ]


def test_weights_of_zero_or_missing(tmp_path):
    survey = SURVEY.replace(",1.5\n", ",0\n").replace(",m,2\n", ",m,\n") + "no,,30+,m,0\nyes,A,30+,f,-1\n"
    found = told(tmp_path, survey=survey, weight="w")
    assert [text.split("\n")[0] for text in found] == [
        "survey.csv, line 9, column 'w': -1 is not at least 0",
        "survey.csv, line 3, column 'w': the weight is missing",
        "survey.csv, line 2, column 'w': the weight is 0",
    ]


def test_strata_that_are_missing(tmp_path):
    survey = SURVEY.replace("A,18-29,f,1.5", "A,18-29,f,")
    found = told(tmp_path, survey=survey, design={"strata": "w", "population_sizes": ["state"]})
    assert "survey.csv, line 2, column 'w': no value" in found[-1]
    assert any("'A' is not a number" in text for text in found)


PROBABILITIES = "vote,state,age,sex,w,p\n" + "\n".join(
    f"{row},{p}" for row, p in zip(SURVEY.split("\n")[1:-1], (0.5, 0.5, 0.2, 0.2, 0.2, 0.5), strict=True)
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("2,0.5", "2,1.5"), "line 3, column 'p': 1.5 is more than 1"),
        (("2,0.5", "2,0"), "line 3, column 'p': 0 is not above 0"),
        (("2,0.5", "2,"), "line 3, column 'p': no value\n    -> every row needs all that `design` names"),
        (
            ("m,1,0.5", "m,1,0.4"),
            "line 7, column 'p': 0.4, but 0.5 in an earlier row of the same unit (state 'A')",
        ),
        (("w,p", "w,q"), "there is no column 'p' (asked for by 'design: inclusion')"),
    ],
)
def test_inclusion_probabilities_that_cannot_be(tmp_path, change, message):
    survey = PROBABILITIES.replace(*change)
    design = {"clusters": ["state"], "inclusion": ["p"]}
    (found,) = told(tmp_path, survey=survey, weight="w", design=design)
    assert message in found


def test_inclusion_probabilities_reach_the_design(tmp_path):
    design = {"clusters": ["state"], "inclusion": ["p"]}
    survey = ingest(spec_of(tmp_path, PROBABILITIES, weight="w", design=design)).tables["survey"]
    assert survey["inclusion_0"].tolist() == [0.5, 0.5, 0.2, 0.2, 0.2, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"design": {"inclusion": ["p"]}}, "need the sampling weights"),
        (
            {"weight": "w", "design": {"inclusion": ["p"], "population_sizes": ["n"]}},
            "leave one of the two away",
        ),
        ({"weight": "w", "design": {"inclusion": ["p", "q"]}}, "2 columns for 1 stage"),
        ({"design": {"clusters": ["c"], "population_sizes": ["a", "b", "c"]}}, "3 columns for 2 stages"),
    ],
)
def test_designs_that_contradict_themselves(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        spec_of(tmp_path, **changes)


@pytest.mark.parametrize("slip", ["b", "B."])
def test_levels_spelt_otherwise(tmp_path, slip):
    survey = SURVEY.replace(",B,", f",{slip},")
    (found,) = told(tmp_path, survey=survey)
    assert f"'{slip}' (3 rows) is not a 'state' of the census" in found
    assert "did you mean 'B'? It differs only in how it is written." in found
    assert f"`recode: {{state: {{{slip}: B}}}}`" in found


def test_blanks_around_levels_do_not_matter(tmp_path):
    assert ingest(spec_of(tmp_path, SURVEY.replace(",B,", ", B ,"))).facts["respondents"] == 6


def test_accents_and_double_blanks(tmp_path):
    census = CENSUS.replace("B,", "San José,")
    (found,) = told(tmp_path, survey=SURVEY.replace(",B,", ",San  Jose,"), census=census)
    assert "did you mean 'San José'? It differs only in how it is written." in found


def test_a_factor_with_one_level_in_the_survey(tmp_path):
    survey = SURVEY.replace(",m,", ",f,")
    (found,) = told(tmp_path, survey=survey)
    assert "survey.csv, column 'sex': every row used has the same level, 'f', of the 2 of the census" in found
    assert "take the variable out of the formula" in found


def test_a_survey_of_which_nothing_can_be_used(tmp_path):
    survey = "vote,state,age,sex,w\nyes,A,,f,1\nno,,30+,m,1\n"
    assert any("no row can be used" in text for text in told(tmp_path, survey=survey))


def test_a_formula_is_told_with_all_others(tmp_path):
    models = {
        "one": {},
        "two": {"formula": "vote ~ log(w) + (1 | state)"},
        "three": {"formula": "vot ~ 1 + (1 | state)"},
    }
    found = told(tmp_path, models=models)
    assert any("'log(w)' is not a column" in text for text in found)
    assert any("left-hand side is not the outcome" in text for text in found)


def test_names_of_poolmap(tmp_path):
    census, survey = CENSUS.replace("sex", "cluster_1"), SURVEY.replace("sex", "cluster_1")
    found = told(tmp_path, census=census, survey=survey, formula="vote ~ 1 + (1 | state) + (1 | cluster_1)")
    assert "the name is one of poolmap's own columns" in found[0]


def test_files_that_are_not_there_are_told_together(tmp_path):
    spec = spec_of(tmp_path, truth={"data": str(tmp_path / "no.csv"), "value": "x"})
    (tmp_path / "census.csv").unlink()
    found = refused(spec)
    assert [text.split(":")[0] for text in found] == ["census.csv", "no.csv"]


def test_leading_zeros_that_were_lost(tmp_path):
    census = CENSUS.replace("A,", "01,").replace("B,", "02,").replace("C,", "13,")
    survey = SURVEY.replace(",A,", ",1,").replace(",B,", ",2,")
    (found,) = told(tmp_path, census=census, survey=survey)
    assert (
        "2 levels of the survey match the census, census.csv, only without leading zeros: '1' is '01' there"
        in found
    )


def test_many_unknown_levels_are_told_in_part(tmp_path):
    survey = SURVEY + "".join(f"no,area {i},30+,f,1\n" for i in range(50))
    found = told(tmp_path, survey=survey)
    assert len(found) == 21
    assert "the same for 30 more levels" in found[-1]


WALK = {"main": {"structure": {"age": "rw1"}}}


def test_a_walk_along_levels_whose_order_nothing_tells(tmp_path):
    """By the alphabet "old" would be the neighbour of "middle" and "young"."""
    census, survey = (t.replace("18-29", "young").replace("30+", "old") for t in (CENSUS, SURVEY))
    (found,) = told(tmp_path, census=census, survey=survey, models=WALK)
    assert "config: models.main.structure.age: rw1 goes from level to level" in found
    assert "their order is not known: 'old', 'young'" in found
    assert "order: {age: [old, young]}" in found
    spec = spec_of(tmp_path, survey, census, models=WALK, order={"age": ["young", "old"]})
    assert ingest(spec).facts["order"]["age"] == ["young", "old"]
    assert ingest(spec_of(tmp_path, models=WALK)).facts["order"]["age"] == ["18-29", "30+"]


def test_a_contrast_of_a_variable_that_is_not_there(tmp_path):
    (found,) = told(tmp_path, contrasts=[{"variable": "region", "levels": ["N", "S"]}])
    assert found.startswith("census.csv: there is no column 'region' (asked for by 'contrasts')")


def test_population_sizes_that_cannot_be(tmp_path):
    def sized(*sizes):
        lines = SURVEY.splitlines()
        rows = [f"{line},{size}" for line, size in zip(lines[1:], sizes, strict=True)]
        return "\n".join([f"{lines[0]},units", *rows])

    design = {"clusters": ["state"], "population_sizes": ["units"]}
    assert told(tmp_path, survey=sized(1, 1, 1, 1, 1, 1), design=design) == [
        "survey.csv, line 2, column 'units': the population size is 1, and 2 units are in the survey\n"
        "    -> write the number of units that one could have drawn from"
    ]
    (found,) = told(tmp_path, survey=sized(3, 3, 3, 3, 3, 4), design=design)
    assert "line 2, column 'units': rows have different population sizes, 3 and 4" in found
    within = design | {"strata": "age"}
    (found,) = told(tmp_path, survey=sized(2, 2, 2, 2, 2, 3), design=within)
    assert "line 4, column 'units': rows of the same age have different population sizes, 2 and 3" in found
    assert ingest(spec_of(tmp_path, sized(2, 2, 2, 2, 2, 2), design=within)).facts["respondents"] == 6


def test_areas_without_predictors_or_polygons_are_compared_with_those_that_are_left_over(tmp_path):
    areas = "state,income\nAa,1\nB,2\nC,3\n"
    joined = [{"data": str(tmp_path / "areas.csv"), "area": "state", "columns": ["income"]}]
    formula = "vote ~ 1 + income + (1 | state)"
    (found,) = told(tmp_path, files={"areas.csv": areas}, area_predictors=joined, formula=formula)
    assert "there is no row for state 'A' of the census\n    -> did you mean 'Aa'? Spell it alike" in found
    (found,) = told(
        tmp_path, files={"areas.csv": areas.replace("Aa,1\n", "")}, area_predictors=joined, formula=formula
    )
    assert found.endswith("-> spell it alike in both files, or add the row")


def test_a_second_row_of_truth(tmp_path):
    (tmp_path / "truth.csv").write_text("state,region,share\nA,,0.5\nA,N,0.4\n")
    (found,) = told(tmp_path, truth={"data": str(tmp_path / "truth.csv"), "value": "share"})
    assert "truth.csv, line 3: a second row about A" in found
    assert "a row about a variable that neither the formula nor the estimates have" in found
