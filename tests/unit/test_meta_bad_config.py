"""Mistakes in the config of a meta-analysis: all told at once, in words of the config, with what to write."""

from __future__ import annotations

import re

import openpyxl
import pytest

from poolmap.config import load_config
from poolmap.errors import InputError
from poolmap.families import look

TRIALS = """study,e1,n1,e2,n2,dose,double,arm
A,1,10,2,10,1,2,x
B,2,20,3,20,2,4,y
C,1,30,1,30,3,6,x
D,1,30,1,30,5,10,y
E,1,30,1,30,4,8,z
"""
COUNTS = """title: bad
analyses:
  a:
    family: meta
    data: trials.csv
    study: study
    measure: OR
    columns: {events_1: e1, total_1: n1, events_2: e2, total_2: n2}
    moderators: [dose, double, arm]
"""
ESTIMATES = COUNTS.replace("OR", "GEN").replace(
    "{events_1: e1, total_1: n1, events_2: e2, total_2: n2}", "{estimate: e1, se: n1}"
)
PRIORS = "mu_prior: {normal: [0, 10]}, tau_prior: {half_normal: 5}"
MACHINE_WORDS = re.compile(
    r"\b(None|True|False|dict|tuple|str|int|float|bool|NoneType|[Ii]nput should|validation|pydantic|Errno|"
    r"scalar|token|mapping|stream|Traceback|Error)\b"
)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """`told(text)`: what a user is told of a config: a text for each problem."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials.csv").write_text(TRIALS)

    def problems(text):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(InputError) as caught:
            load_config("mine.yaml", look=look)
        assert not MACHINE_WORDS.search(str(caught.value)), caught.value
        return [str(problem) for problem in caught.value.problems]

    return problems


def one(problems, *words):
    """The only problem; it says all of these words."""
    (problem,) = problems
    for part in words:
        assert part in problem, f"no {part!r} in: {problem}"


SLOPE = "beta_prior: {normal: [0, 1]}"


def test_one_mistake_does_not_hide_the_others(told):
    text = COUNTS.replace("study: study", "studdy: stdy").replace("e1,", "x1,") + (
        "    thresholds: [-1]\n"
        "    baseline_risks: [3]\n"
        "    models:\n"
        "      m: {formula: 'dsoe', df: 3}\n"
        "      k: {likelihood: poisson}\n"
        "      l: {likelihod: poisson}\n"
        "      j: {tau_prior: 5, df: 4}\n"
        f"      i: {{formula: 'dose +', {SLOPE}}}\n"
    )
    found = told(text)
    for place, what in (
        ("line 3: analyses.a.study", "this key is needed and is not there"),
        ("line 6: analyses.a.studdy", "did you mean 'study'?"),
        ("line 6: analyses.a.study", "has no column 'stdy'"),
        ("line 8: analyses.a.columns.events_1", "has no column 'x1'"),
        ("line 10: analyses.a.thresholds", "ratios, above 0"),
        ("line 11: analyses.a.baseline_risks.0", "a number below 1 is expected (given: 3)"),
        ("line 13: analyses.a.models.m.df", "only `effects: student_t`"),
        ("line 13: analyses.a.models.m.formula", "did you mean 'dose'?"),
        ("line 13: analyses.a.models.m", "state beta_prior"),
        ("line 14: analyses.a.models.k.likelihood", "not for measure OR"),
        ("line 15: analyses.a.models.l.likelihod", "did you mean 'likelihood'?"),
        ("line 15: analyses.a.models.l.likelihood", "not for measure OR"),
        ("line 16: analyses.a.models.j.tau_prior", "a prior is written as"),
        ("line 17: analyses.a.models.i.formula", "is not complete"),
    ):
        assert [p for p in found if f"mine.yaml, {place}: " in p and what in p], (place, what, found)
    assert len(found) == 14, found  # j.df may be a consequence of j's other mistake, and is not told


def test_analyses_do_not_hide_each_other(told):
    second = COUNTS.partition("analyses:\n")[2]
    text = (
        COUNTS.replace("e1,", "ee,")
        + second.replace("  a:", "  b:").replace("study: study", "study: [study]")
        + second.replace("  a:", "  c:").replace("meta", "mta").replace("OR", "RRR").replace("e1,", "ex,")
    )
    found = "\n".join(told(text))
    for words in (
        "line 8: analyses.a.columns.events_1: 'trials.csv' has no column 'ee'",
        "line 13: analyses.b.study: a text is expected (given: ['study'])",
        "line 18: analyses.c.family: 'mta' is not a family\n    -> did you mean 'meta'?",
        "line 21: analyses.c.measure: 'RRR' is not one of",
        "line 22: analyses.c.columns.events_1: 'trials.csv' has no column 'ex'",
    ):
        assert words in found


def test_consequences_of_a_mistake_are_not_told(told):
    one(told(COUNTS + "    effect_id: [x]\n    models: {m: {levels: 2}}\n"), "effect_id: a text is expected")
    one(
        told(COUNTS + f"    models: {{m: {{formla: 'dose', {SLOPE}}}}}\n"),
        "models.m.formla: there is no such key",
        "did you mean 'formula'?",
    )


@pytest.mark.parametrize(
    ("measure", "remedy"),
    [
        ("or", "did you mean 'OR'?"),
        ("Odds ratio", "write OR"),
        ("relative risk", "write RR"),
        ("Hedges' g", "write SMD"),
        ("HR", "write GEN, with `estimate_scale: ratio`"),
        ("hazard ratio", "write GEN, with `estimate_scale: ratio`"),
        ("kappa", "valid names: OR, RR, RD, PETO"),
    ],
)
def test_measures_by_other_names(told, measure, remedy):
    where = "mine.yaml, line 7: analyses.a.measure: "
    (found,) = (p for p in told(COUNTS.replace("OR", f'"{measure}"')) if p.startswith(where))
    assert f"'{measure}' is not one of 'OR', 'RR'" in found
    assert remedy in found


@pytest.mark.parametrize(
    ("likelihood", "measure", "remedy"),
    [
        ("poisson", "OR", "for OR write normal, binomial or beta_binomial"),
        ("beta_binomial", "RR", "for RR write normal or binomial"),
        ("binomial", "RD", "for RD write normal"),
    ],
)
def test_likelihoods_that_fit(told, likelihood, measure, remedy):
    text = COUNTS.replace("OR", measure) + f"    models: {{m: {{likelihood: {likelihood}}}}}\n"
    one(told(text), "line 10: analyses.a.models.m.likelihood: ", f"not for measure {measure}", remedy)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ESTIMATES, f"models: {{normal: {{{PRIORS}}}}}"),
        (ESTIMATES + "    models: {main: {effects: student_t}}\n", PRIORS),
        (ESTIMATES + "    models: {main: {effects: common}}\n", "mu_prior: {normal: [0, 10]}"),
        (
            ESTIMATES + "    estimate_scale: log_ratio\n",
            "models: {normal: {mu_prior: {normal: [0, 1]}, tau_prior: {half_normal: 0.5}}}",
        ),
        (COUNTS + "    models: {main: {formula: dose}}\n", "beta_prior: {normal: [0, 0.5]}"),
    ],
)
def test_missing_priors_come_with_a_line_to_copy(told, tmp_path, text, line):
    problems = told(text)
    one(problems, "there is no default that could be defended", f"with numbers that suit your data: {line}")
    copied = problems[0].rpartition("your data: ")[2]
    if copied.startswith("models"):
        mended = f"{text}    {copied}\n"
    else:
        mended = text.replace("{main: {", f"{{main: {{{copied}, ")
    (tmp_path / "mine.yaml").write_text(mended)
    assert load_config("mine.yaml", look=look).analyses["a"].models


def test_columns_of_another_measure(told):
    text = COUNTS.replace("measure: OR", "measure: IRR")
    one(
        told(text),
        "line 8: analyses.a.columns: measure IRR takes exactly the columns events_1, events_2, time_1",
        "add time_1, time_2 and take out total_1, total_2",
        "or choose a measure that these columns are for: OR, RR, RD, PETO",
    )


def test_one_column_for_two_things(told):
    one(
        told(COUNTS.replace("total_2: n2", "total_2: e2")),
        "analyses.a.columns.total_2: the column 'e2' is named for events_2 already",
    )
    both = COUNTS.replace("total_2: n2", "total_2: n1").replace("trials.csv", "missing.csv")
    one(told(both), "'missing.csv' does not exist")  # arms of one size, in one column


@pytest.mark.parametrize(
    ("more", "where", "words"),
    [
        ("confidence: 95", "confidence", "write it as a share: 0.95 for 95%"),
        ("arms: [A]", "arms", "more entries are expected (given: ['A'])"),
        ("arms: [A, B, C]", "arms", "2 entries are expected (given: 3)"),
        ("seed: 1.5", "seed", "a whole number is expected (given: 1.5)"),
        ("layout: yes", "layout", "'yes' is not one of 'wide' or 'long'"),
        ("models: normal", "models", "models: {normal: {likelihood: normal}}"),
        ("models: {normal: }", "models.normal", "write {} behind it for a model with all keys left"),
        ("models: {m: {centre: maybe}}", "models.m.centre", "true or false is expected"),
        ("models: {m: {likelihood: true}}", "models.m.likelihood", "'true' is not one of 'normal'"),
        ("models: {m: {tau_prior: {half_norml: 1}}}", "models.m.tau_prior", "did you mean {half_normal: "),
        ("sheet: Trials", "sheet", "it has no sheets, but sheet 'Trials' is asked for"),
        ("moderators_: [dose]", "moderators_", "did you mean 'moderators'?"),
    ],
)  # fmt: skip
def test_wrong_values(told, more, where, words):
    one(told(f"{COUNTS}    {more}\n"), f"mine.yaml, line 10: analyses.a.{where}: ", words)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    data", "\tdata", 5, "begins with a tab"),
        ("study: study", "study:study", 7, "no colon with a blank behind it, here or in the line above"),
        ("title: bad", "title: A review: of all", 1, "put a text with a colon in quotes"),
        ("n2}", "n2", 9, "a bracket is not closed"),
        ("bad", '"bad', 10, "a quotation mark is not closed"),
        ("    study", "   study", 6, "begin all keys of a section in the same column"),
        ("e1,", "%e1,", 8, "a text cannot begin with %"),
    ],
)
def test_yaml_in_plain_words(told, old, new, line, words):
    one(told(COUNTS.replace(old, new, 1)), f"mine.yaml, line {line}, column ", "this is not YAML", words)


@pytest.mark.parametrize(
    ("formula", "what", "remedy"),
    [
        ("dose +", "the formula 'dose +' is not complete", "latitude + allocation"),
        ("dose + double", "the column 'double' follows from 'dose': they are collinear", "take one of them"),
        ("dsoe", "'dsoe' is not among `moderators`", "did you mean 'dose'?"),
        ("dose + n1", "'n1' is not among `moderators`", "write `moderators: [dose, double, arm, n1]`"),
        ("log(arm)", "'arm' is a category", "every value is a number"),
        ("foo(dose)", "uses the function 'foo'", "log, log2, log10"),
        ("dose + arm + poly(dose, 3)", "7 means and coefficients from 5 studies", "take moderators out"),
    ],
)
def test_formulas_are_told_before_the_run_with_their_line(told, formula, what, remedy):
    one(
        told(f"{COUNTS}    models:\n      fine: {{}}\n      m: {{formula: '{formula}', {SLOPE}}}\n"),
        "mine.yaml, line 12: analyses.a.models.m.formula: ",
        what,
        remedy,
    )


def test_subgroups_are_told_before_the_run_with_their_line(told):
    one(
        told(COUNTS + "    models: {m: {subgroups: dose}}\n"),
        "mine.yaml, line 10: analyses.a.models.m.subgroups: all studies differ in the column 'dose'",
    )


def test_formulas_are_read_without_a_table_that_can_be_read(told, tmp_path):
    """Mistakes in rows are told by the run, where other analyses go on; those in a formula at once."""
    (tmp_path / "trials.csv").write_text(TRIALS.replace("A,1,", "A,x,"))
    one(told(f"{COUNTS}    models: {{m: {{formula: 'dose +', {SLOPE}}}}}\n"), "is not complete")
    (tmp_path / "mine.yaml").write_text(f"{COUNTS}    models: {{m: {{formula: 'dose', {SLOPE}}}}}\n")
    assert load_config("mine.yaml", look=look).analyses["a"].models["m"].formula == "dose"


def test_files_that_are_none(told, tmp_path):
    one(
        told(COUNTS.replace("trials.csv", "trial.csv")),
        "mine.yaml, line 5: analyses.a.data: the file 'trial.csv' does not exist",
        "did you mean 'trials.csv'?",
    )
    (tmp_path / "tables").mkdir()
    one(
        told(COUNTS.replace("trials.csv", "tables")),
        "'tables' is a folder, not a file",
        "name the file in it",
    )
    (tmp_path / "empty.csv").write_text("")
    one(
        told(COUNTS.replace("trials.csv", "empty.csv")),
        "line 5: analyses.a.data: empty.csv: the file is empty",
    )
    book = openpyxl.Workbook()
    book.active.title = "Trials"
    book.active.append(["study", "e1"])
    book.save(tmp_path / "trials.xlsx")
    text = COUNTS.replace("trials.csv", "trials.xlsx") + "    sheet: trial\n"
    one(
        told(text),
        "line 10: analyses.a.sheet: trials.xlsx: there is no sheet 'trial'",
        "did you mean 'Trials'?",
    )


@pytest.mark.parametrize("name", [".", "none.yaml"])
def test_configs_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_config(name)
    assert "this is a folder" in str(caught.value) or "does not exist" in str(caught.value)
    assert not MACHINE_WORDS.search(str(caught.value))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("study|e1|n1|e2|n2", "the first line names a single column: 'study|e1|n1|e2|n2'"),
        ("study e1 n1 e2 n2", "the first line names a single column: 'study e1 n1 e2 n2'"),
        ("All my trials,,,,", "the first line names a single column: 'All my trials'"),
        ("All my trials,2024,,,x", "2 of 5 columns have no name (those named: 'All my trials', '2024', 'x')"),
    ],
)
def test_tables_without_a_header_that_can_be_read(told, tmp_path, header, words):
    (tmp_path / "trials.csv").write_text(f"{header}\nA,1,10,2,10\n")
    one(told(COUNTS), "line 5: analyses.a.data: trials.csv: ", words, "take a title above it away")
