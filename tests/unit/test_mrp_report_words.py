"""Words of survey models of every kind and structure, and findings with their numbers."""

from dataclasses import replace

import pandas as pd
import pytest
from mrp_report_data import OUTCOMES, SEXES, made

from poolmap.contracts import Equation, ReportTable
from poolmap.families.mrp.checklists import checklists
from poolmap.families.mrp.methods import findings, methods
from poolmap.families.mrp.report_words import decimals
from poolmap.report.equations import mathml


def text_of(blocks):
    parts = []
    for block in blocks:
        if isinstance(block, ReportTable):
            parts += [block.caption, *block.frame.columns, *block.frame.astype(str).to_numpy().ravel()]
        else:
            parts.append(block.words if isinstance(block, Equation) else block)
    said = "\n".join(parts)
    assert "{" not in said and "nan" not in said.split()
    return said


def said_by_methods(kind="binary", model=None, factors=(), **changes):
    spec, data, _ = made(kind, 6, models=["main"], **changes)
    spec = spec.model_copy(update={"models": {"main": spec.models["main"].model_copy(update=model or {})}})
    for name, levels in factors:
        data.facts["predictors"][name] = {"type": "factor", "levels": levels}
    blocks = methods(spec, "main", data)
    for block in blocks:
        if isinstance(block, Equation):
            assert mathml(block).startswith("<math")
    return text_of(blocks)


KINDS = {
    "binary": ("logistic regression", "is binomial with size n i", "intercept normal(0, 2.5)"),
    "test": (
        "78 of 85 and 27 of 37", "368 of 371", "sensitivity", "Gelman and Carpenter 2020",
        "between studies half-normal(1)", "the test's errors stay in them",
    ),
    "continuous": (
        "linear regression", "standard deviations of the outcome", "standard deviation within cells",
    ),
    "count": ("Poisson", "'years'", "on the log scale"),
    "ordered": (
        "'never', 'sometimes', 'often', 'always'", "each cutpoint normal(0, 2.5)", "proportional odds",
    ),
    "categorical": ("multinomial", "against the first as reference", "log odds against the first answer"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_each_kind(kind):
    said = said_by_methods(kind)
    for words in KINDS[kind]:
        assert words in said
    assert ("half-normal(1)" in said) and ("LKJ" not in said) and ("autoregression" not in said)
    assert ("dispersion" in said) is False


def test_negative_binomial():
    said = said_by_methods("count", {"likelihood": "negative_binomial"})
    assert "negative binomial" in said and "dispersion half-normal(1)" in said


def test_equal_tests_are_uniform():
    test = OUTCOMES["test"]["test"] | {"between_studies": "equal"}
    outcome = {"column": "answer", **OUTCOMES["test"], "test": test}
    said = said_by_methods("test", outcome=outcome)
    assert "uniform between 0 and 1" in said and "mean logits" not in said


STRUCTURES = {
    "rw1": ("Random walk of first order", "geometric mean", "rho"),
    "ar1": (
        "Autoregression of first order",
        "correlation of neighbouring levels beta(2, 1)",
        "geometric mean",
    ),
    "icar": ("Besag, York and Mollié", "each connected component", "share of the variance"),
    "bym2": ("Riebler", "share of the variance that neighbours share beta(0.5, 0.5)", "random walk"),
}


@pytest.mark.parametrize("structure", list(STRUCTURES))
def test_each_structure(structure):
    said = said_by_methods(model={"structure": {"area": structure}})
    *there, absent = STRUCTURES[structure]
    for words in there:
        assert words in said
    assert absent not in said
    assert "Exchangeable effects: age, sex." in said


@pytest.mark.parametrize("seen", [True, False])
def test_levels_without_respondents_are_told_where_there_are_some(seen):
    spec, data, _ = made("binary", 6, models=["main"])
    model = spec.models["main"].model_copy(update={"structure": {"area": "rw1"}})
    spec = spec.model_copy(update={"models": {"main": model}})
    data.tables["levels"] = data.tables["levels"].assign(
        seen=[seen, *[True] * (len(data.tables["levels"]) - 1)]
    )
    said = text_of(methods(spec, "main", data))
    assert ("of a factor with a structure it follows from its neighbours" in said) is not seen


def test_slopes_and_factors():
    formula = "answer ~ 1 + income * sex + (1 + income + sex | area) + (1 + income || age)"
    said = said_by_methods(formula=formula, factors=[("sex", SEXES)])
    assert "Correlated effects of each level: area (intercepts and slopes of income and sex)." in said
    assert "Exchangeable effects: age, age (slopes of income)." in said
    assert "LKJ(2)" in said
    assert "sex (against 'female')" in said
    assert "Interactions, products of their columns: income:sex." in said


def test_what_is_asked_for_is_told():
    said = said_by_methods(
        house=["mode"],
        waves=3,
        leave_out="area",
        calibrate=25,
        design={"strata": "region", "clusters": ["psu"]},
    )
    assert "How the survey was taken (mode)" in said
    assert "Estimates by 'wave'" in said
    assert "Validation. The answers of each 'area'" in said
    assert "25 surveys are simulated" in said
    assert "strata 'region' and sampling units 'psu', with replacement" in said


def test_unequal_probabilities_are_told():
    said = said_by_methods(weight="w", design={"clusters": ["psu"], "inclusion": ["p"]})
    assert "sampling units 'psu', drawn without replacement with the probabilities in 'p'" in said
    said = said_by_methods(weight="w", design={"inclusion": ["p"]})
    assert "respondents as sampling units, drawn without replacement" in said


def test_expected_errors_are_those_of_the_primary_model():
    spec, data, _ = made("binary", 6, models=["main", "other"], calibrate=25)
    assert "simulated from the fitted primary model" in text_of(methods(spec, "main", data))
    assert "simulated" not in text_of(methods(spec, "other", data))


def test_a_census_of_no_time_is_told():
    spec, data, _ = made("binary", 6, waves=2)
    data.facts["times"] = 2
    assert "taken to hold for all of them" in text_of(methods(spec, "main", data))


def test_what_is_not_there_is_not_told():
    said = said_by_methods(weight=None, contrasts=[])
    for words in ("Weighted:", "Validation", "Expected error", "Groups are compared", "Estimates by"):
        assert words not in said


def test_the_models_own_formula():
    spec, data, _ = made("binary", 6, models=["main", "small"])
    small = spec.models["small"].model_copy(update={"formula": "answer ~ 1 + (1 | age)"})
    spec = spec.model_copy(update={"models": spec.models | {"small": small}})
    said = text_of(methods(spec, "small", data))
    assert "Poststratification, direct estimates and validation are as for model main." in said
    assert "answer ~ 1 + (1 | age)" in said and "coefficients" not in said and "(1 | area)" not in said


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_findings_have_the_total_and_contrasts(kind):
    spec, data, results = made(kind, 12)
    said = text_of(findings(spec, data, results))
    noun = {"continuous": "mean", "count": "rate"}.get(kind, "share")
    total = results["main"].estimates["total"]
    rows = total[total["quantity"] == noun]
    places = decimals(rows["upper"] - rows["lower"], 3 if noun == "share" else 0)
    for row in rows.itertuples():
        ends = f"{row.lower:,.{places}f} to {row.upper:,.{places}f}"
        assert f"{row.mean:,.{places}f} (90% interval {ends})" in said
    assert "female − male" in said and "leaves out 0" in said
    assert "nan" not in said and "-0.00 " not in said
    assert "The terms that make cells differ most" in said
    assert "root mean square error (RMSE)" in said


def test_the_total_in_numbers():
    spec, data, results = made("binary", 12)
    total = results["main"].estimates["total"].iloc[0]
    said = text_of(findings(spec, data, results))
    assert f"{total['mean']:.3f} (90% interval {total['lower']:.3f} to {total['upper']:.3f})" in said
    assert f"raw {total['raw']:.3f}" in said and f"raked {total['raked']:.3f}" in said
    spec, data, results = made("continuous", 12)
    total = results["main"].estimates["total"].iloc[0]
    assert f"{total['mean']:.1f} (90% interval" in text_of(findings(spec, data, results))


def test_the_answers_of_each_group_stand_in_columns():
    spec, data, results = made("ordered", 12)
    table = next(b for b in findings(spec, data, results) if isinstance(b, ReportTable))
    assert table.frame.columns[-4:].tolist() == OUTCOMES["ordered"]["levels"]
    by = results["main"].estimates["area"].query("answer == 'always'").sort_values("mean", ascending=False)
    assert table.frame["Area"].tolist() == by["area"].tolist()


def test_sensitivity_and_specificity():
    spec, data, results = made("test", 12)
    rows = results["main"].estimates["parameters"].query("quantity == 'sensitivity'")
    said = text_of(findings(spec, data, results))
    assert f"sensitivity {rows['mean'].iloc[0]:.3f} (90% interval" in said
    assert "Share of positive tests in the sample" in said


def test_what_the_total_is_an_average_of_and_who_is_left_out():
    spec, data, results = made("binary", waves=3)
    said = text_of(findings(spec, data, results))
    assert (
        "every other that does not tell 'wave' apart, is the average over its values, by the people" in said
    )
    assert "were left out" not in said
    data.facts.update(times=3, rows_excluded=data.facts["respondents"])
    said = text_of(findings(spec, data, results))
    assert "is the average over its values, each with the same weight; raw and weighted ones" in said
    assert f"{2 * data.facts['respondents']:,} rows of the survey (50%) were left out" in said


def test_weights_of_other_scales_are_told():
    spec, data, results = made("binary")
    survey = data.tables["survey"]
    assert "By its weight" not in text_of(findings(spec, data, results))
    survey.loc[survey.index[::2], "file"] = "second"
    survey["weight"] = (survey["file"] == "second") * 399 + 1.0
    said = text_of(findings(spec, data, results))
    assert "a respondent of the survey 'second' counts 400.0 times as much as one of 'survey' in" in said


def test_doubts_stand_before_all_results():
    spec, data, results = made("binary")
    data.facts["doubts"] = ["'wave' has the level '2205' with 1 respondent: write `recode: ...`."]
    said = findings(spec, data, results)
    assert said[0] == "To look at first: 'wave' has the level '2205' with 1 respondent: write recode: ...."
    assert "To look at first" not in text_of(said[1:])


def test_contrasts_that_no_term_lets_differ_are_told():
    """Women and men are compared within age groups."""
    spec, data, results = made("binary")
    apart = f"{spec.outcome.column} ~ 1 + (1 | area) + (1 | sex)"
    said = text_of(findings(spec.model_copy(update={"formula": apart}), data, results))
    assert "No term of the formula lets sex differ by age: on the scale" in said
    assert "(1 | age:sex) would let them differ." in said
    for term in ("(1 | age:sex)", "(1 | area:age:sex)", "age * sex", "(1 + sex | age)"):
        joint = spec.model_copy(update={"formula": f"{apart} + {term}"})
        assert "No term of the formula" not in text_of(findings(joint, data, results))


def test_thresholds_are_counted():
    spec, data, results = made("binary", 12, thresholds=[0.3])
    table = results["main"].estimates["area"]
    above = (table["p_share_gt_0.3"] > 0.95).sum()
    said = text_of(findings(spec, data, results))
    assert f"above 0.3 is more than 0.95 in {above} of 12 groups" in said
    assert "P(>\N{NO-BREAK SPACE}0.3)" in said


def test_long_tables_are_cut_and_told():
    spec, data, results = made("binary", 70)
    table = next(b for b in findings(spec, data, results) if isinstance(b, ReportTable))
    assert len(table.frame) == 30 and "The 15 highest and 15 lowest of 70 rows" in table.caption


def test_contrasts_keep_difference_and_ratio_together():
    spec, data, results = made("binary", 12)
    found = results["main"].estimates["contrasts"]
    blocks = findings(spec, data, results)
    table = next(b for b in blocks if isinstance(b, ReportTable) and "Ratio" in b.frame)
    ratios = found[found["quantity"] == "share_ratio"]
    assert [cell.split(" ")[0] for cell in table.frame["Ratio"]] == [f"{v:.2f}" for v in ratios["median"]]


def test_expected_errors():
    spec, data, results = made("binary", 12, calibrate=10)
    calibration = pd.DataFrame(
        {
            "grouping": ["total", "area", "area"], "group": ["all", "a", "b"], "n_survey": [9, 4, 5],
            "surveys": 8, "true_mean": 0.3, "bias": 0.0, "rmse": [0.01, 0.02, 0.04],
            "coverage": [0.9, 1.0, 0.8], "width": 0.1,
        }
    )  # fmt: skip
    results = {"main": replace(results["main"], companions={"calibration": calibration})}
    said = text_of(findings(spec, data, results))
    assert "8 surveys simulated from the fitted model (of 10; the others' fits failed their checks)" in said
    assert "by area 0.030 (from 0.020 to 0.040), with 90% intervals that hold 90%" in said


def test_models_side_by_side():
    spec, data, results = made("binary", 12, models=["main", "other"])
    one, other = (results[m].estimates["area"].set_index("area")["mean"] for m in ("main", "other"))
    said = text_of(findings(spec, data, results))
    assert f"{(other - one).abs().mean():.3g}" in said
    assert (other - one).abs().idxmax() in said
    table = next(
        b
        for b in findings(spec, data, results)
        if isinstance(b, ReportTable) and "RMSE" in b.frame and "Model" in b.frame
    )
    errors = table.frame[table.frame["Groups"] == "area"].set_index("Model")["RMSE"]
    truth = results["main"].estimates["area"].set_index("area")["truth"]
    for model, values in (("main", one), ("other", other)):
        assert errors[model] == f"{((values - truth) ** 2).mean() ** 0.5:.3g}"


def test_a_model_of_answers_without_a_total_has_no_empty_row():
    spec, data, results = made("ordered", 12, models=["main", "other"], truth=False)
    table = next(
        b for b in findings(spec, data, results) if isinstance(b, ReportTable) and "Model" in b.frame
    )
    assert set(table.frame["Model"]) == {"other"}
    assert "arXiv:2209.01773" in table.caption


def test_gather_is_filled_in():
    spec, data, results = made("test", 12, models=["main", "other"], leave_out="area", thresholds=[0.3])
    data.facts["respondents"] = len(data.tables["survey"])
    data.tables["levels"].loc[0, "seen"] = False
    (_, table) = checklists(spec, data, results, [])
    assert "{" not in text_of([table])
    items = table.frame.set_index("Item")["In this run"]
    assert items.index.tolist() == [str(i) for i in range(1, 19)]
    assert "share of people who had the infection, in all and by area, age" in items["1"]
    assert "No row of the input was left out." in items["4"]
    assert "1 level without respondents" in items["6"] and "errors of the test" in items["6"]
    assert "Models main, other" in items["11"] and "each area predicted from the others" in items["12"]
    assert "above each threshold" in items["16"]


def test_gather_tells_of_failed_fits():
    spec, data, results = made("binary", 6)
    data.facts["respondents"] = 5
    failed = {"main": replace(results["main"], checks={"passed": False})}
    (_, table) = checklists(spec, data, failed, [])
    assert "DO NOT USE model main" in table.frame.set_index("Item").at["12", "In this run"]


def test_a_single_group_does_not_run_from_itself_to_itself():
    spec, data, results = made("binary", 6, models=["main"], thresholds=[0.5])
    main = results["main"]
    table = main.estimates["area"]
    only = table[table["area"] == table["area"].iloc[0]].reset_index(drop=True)
    results["main"] = replace(main, estimates=main.estimates | {"area": only})
    said = text_of(findings(spec, data, results))
    assert "By area, the estimate is" in said
    assert f"The posterior probability of more than 0.5 is {only['p_share_gt_0.5'].iloc[0]:.2f}." in said
    assert "of 1 groups" not in said


def test_thresholds_of_answers_stand_in_tables_and_words():
    spec, data, results = made("ordered", 12, thresholds=[0.3, 0.9])
    blocks = findings(spec, data, results)
    tables = [b for b in blocks if isinstance(b, ReportTable) and "Posterior probability" in b.caption]
    of_areas = next(t for t in tables if "Area" in t.frame)
    assert "more than 0.3 and more than 0.9" in of_areas.caption
    shares = next(b for b in blocks if isinstance(b, ReportTable) and "Area" in b.frame)
    assert of_areas.frame["Area"].tolist() == shares.frame["Area"].tolist()
    table = results["main"].estimates["area"]
    for answer in OUTCOMES["ordered"]["levels"]:
        known = table[table["answer"] == answer].set_index("area")["p_share_gt_0.3"]
        cells = of_areas.frame.set_index("Area")[f"{answer}: P(>\N{NO-BREAK SPACE}0.3)"]
        assert cells.tolist() == [f"{known[area]:.2f}" for area in cells.index]
    said = text_of(blocks)
    often = table.query("answer == 'often'")["p_share_gt_0.3"]
    never = table.query("answer == 'never'")["p_share_gt_0.3"]
    assert f"in {(never > 0.95).sum()} of 12 groups for 'never'" in said
    assert (f" {(often > 0.95).sum()} for 'often'" in said) is bool((often > 0.95).any())
    assert "A share above 0.9 has a posterior probability of more than 0.95 in none of 12 groups." in said
    total = results["main"].estimates["total"].set_index("answer")["p_share_gt_0.3"]
    assert f"The posterior probability of more than 0.3 is {total['never']:.2f} for 'never', " in said
    assert f" and {total['always']:.2f} for 'always'." in said


def test_many_probabilities_have_a_table_for_each_threshold():
    spec, data, results = made("ordered", 12, thresholds=[0.2, 0.3, 0.5])
    blocks = [b for b in findings(spec, data, results) if isinstance(b, ReportTable)]
    tables = [t for t in blocks if "Posterior probability" in t.caption and "Area" in t.frame]
    assert [len(t.frame.columns) for t in tables] == [7, 7, 7]


def test_the_totals_probability_of_being_above_a_threshold():
    spec, data, results = made("binary", 12, thresholds=[0.4])
    total = results["main"].estimates["total"].iloc[0]
    first = findings(spec, data, results)[0]
    assert f"The posterior probability of more than 0.4 is {total['p_share_gt_0.4']:.2f}." in first


def test_errors_of_answers_are_counted_as_shares():
    spec, data, results = made("ordered", 12)
    table = next(b for b in findings(spec, data, results) if isinstance(b, ReportTable) and "RMSE" in b.frame)
    assert table.frame["Known values"].iloc[0] == "44"  # eleven areas with respondents, four answers
