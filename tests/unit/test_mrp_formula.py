"""The formula of the mrp family: what is read, what is refused."""

import pytest

from poolmap.errors import InputError
from poolmap.families.mrp.formula import Group, parse_formula
from poolmap.families.mrp.look import look


def test_predictors_and_varying_intercepts():
    formula = parse_formula("award ~ 1 + meals + (1 | county) + (1 | type) + (1 | county:type)", "award")
    assert formula.predictors == ("meals",)
    assert formula.terms == (("county",), ("type",), ("county", "type"))
    assert formula.variables == ("county", "type")


def test_implied_intercept_nesting_and_quoted_names():
    formula = parse_formula("y ~ `free meals` + (1 | a/b)", "y")
    assert formula.predictors == ("free meals",)
    assert formula.terms == (("a",), ("a", "b"))


def test_interactions_and_factors():
    formula = parse_formula("y ~ x*sex + C(year) + (1 | g)", "y")
    assert formula.common == (("x",), ("sex",), ("x", "sex"), ("year",))
    assert formula.factors == {"year"}
    assert formula.predictors == ("x", "sex", "year")


@pytest.mark.parametrize(
    ("term", "groups"),
    [
        ("(1 + x | g)", [Group(("g",), True, (("x",),))]),
        ("(x | g)", [Group(("g",), True, (("x",),))]),
        ("(0 + x | g)", [Group(("g",), False, (("x",),))]),
        ("(x | g:h)", [Group(("g", "h"), True, (("x",),))]),
        ("(1 + x + z | g)", [Group(("g",), True, (("x",), ("z",)))]),
        ("(1 | g) + (0 + x | g)", [Group(("g",), True), Group(("g",), False, (("x",),))]),
        ("(1 + x || g)", [Group(("g",), True), Group(("g",), False, (("x",),))]),
        (
            "(x * z || g)",
            [Group(("g",), True), *(Group(("g",), False, (c,)) for c in [("x",), ("z",), ("x", "z")])],
        ),
        ("(x | g/h)", [Group(("g",), True, (("x",),)), Group(("g", "h"), True, (("x",),))]),
        ("(1 + C(x) | g)", [Group(("g",), True, (("x",),))]),
    ],
)  # fmt: skip
def test_varying_effects(term, groups):
    formula = parse_formula(f"y ~ 1 + (1 | k) + {term}", "y")
    assert list(formula.groups) == [Group(("k",), True), *groups]
    assert formula.terms == (("k",), *dict.fromkeys(group.factor for group in groups))


def test_names_of_batches():
    formula = parse_formula("y ~ x + (1 + x | g) + (1 | a:b)", "y")
    assert [group.name for group in formula.groups] == ["(1 + x | g)", "a:b"]


def test_without_varying_effects_where_allowed():
    assert parse_formula("y ~ 1", "y", pooled=False).groups == ()
    with pytest.raises(InputError, match="no varying intercept"):
        parse_formula("y ~ 1", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ log(x) + (1 | g)", "'log(x)' is not a column"),
        ("y ~ x + (log(x) | g)", "'log(x)' is not a column"),
        ("y ~ scale(x) + (1 | g)", "predictors are standardised in any case"),
        ("y ~ x:z + (1 | g)", "interaction 'x:z' stands without x and z"),
        ("y ~ x + z + (x:z | g)", "interaction 'x:z' stands without x and z"),
        ("y ~ x**2 + (1 | g)", "powers are not supported"),
        ("y ~ 0 + x + (1 | g)", "no intercept"),
        ("y ~ x", "no varying intercept"),
        ("y ~ x + (1 | log(g))", "does not vary over columns"),
        ("y ~ x + (1 | a:b) + (1 | b:a)", "'(1 | b:a)' stands twice"),
        ("y ~ x + (1 | a) + (1 + x | a)", "'(1 | a)' stands twice"),
        ("z ~ x + (1 | g)", "left-hand side is not the outcome column 'y'"),
        ("y['Yes'] ~ x + (1 | g)", "left-hand side"),
        ("y ~ x + (1 | g", "cannot be read"),
        ("y ~ x + (1 | g) ) + (z", "cannot be read"),
        ("~ x + (1 | g)", "cannot be read: something is missing before '~'"),
        ("y ~ x z + (1 | g)", "cannot be read: a + is missing before 'z'"),
        ("y ~ (1 | g) x", "cannot be read: a + is missing before 'x'"),
        ("y ~ (1 | g h)", "in a parenthesis a sign, such as + or |, or the closing one is missing"),
        ("y ~ (1 g)", "in a parenthesis a sign, such as + or |, or the closing one is missing"),
        ("y ~ x^2 + (1 | g)", "cannot be read: '^' cannot stand in a formula"),
        ("y ~ . + (1 | g)", "cannot be read: '.' cannot stand where it does"),
        ("y ~ x ~ z + (1 | g)", "cannot be read: it has more than one ~"),
        ("y ~", "cannot be read: something is missing at its end"),
    ],
)
def test_refused(text, message):
    with pytest.raises(InputError) as caught:
        parse_formula(text, "y")
    assert message in str(caught.value)


def test_all_problems_at_once():
    with pytest.raises(InputError) as caught:
        parse_formula("z ~ 0 + log(x) + (log(x) | g)", "y")
    assert len(caught.value.problems) == 4


def spec_of(**models):
    from poolmap.config.mrp import MrpAnalysis

    return MrpAnalysis(
        family="mrp",
        survey="-",
        census="-",
        count="n",
        interval=0.95,
        outcome={"column": "y", "positive": 1},
        formula="y ~ 1 + x + (1 | area) + (1 | age) + (1 + x | week)",
        estimates=["area"],
        map={"geometry": "-", "variable": "area"},
        models=models,
    )


def test_structures_that_fit():
    structure = {"area": "bym2", "age": "rw1"}
    split = "y ~ x + (1 | area) + (1 | age) + (1 + x || week)"
    spec = spec_of(a={"structure": structure}, b={"structure": structure | {"week": "ar1"}, "formula": split})
    assert look(spec, False) == []


def test_what_cannot_be_is_told_of_every_model_with_its_key():
    spec = spec_of(
        a={"structure": {"sex": "rw1", "week": "ar1", "age": "icar"}},
        b={"formula": "y ~ 1 + log(x) + (1 | area)"},
    )
    found = {(conflict.at, conflict.what) for conflict in look(spec, False)}
    assert found == {
        ("models.a.structure.sex", "the formula has no varying intercept '(1 | sex)'"),
        (
            "models.a.structure.week",
            "the intercepts of '(1 + x | week)' are correlated with slopes, and have no structure",
        ),
        ("models.a.structure.age", "the polygons are those of 'area', so 'age' has no neighbours"),
        ("models.b.formula", "'log(x)' is not a column"),
    }
