"""The formula of the mrp family: what is read, what is refused."""

import pytest

from poolmap.errors import InputError
from poolmap.families.mrp.formula import parse_formula


def test_predictors_and_varying_intercepts():
    formula = parse_formula("award ~ 1 + meals + (1 | county) + (1 | type) + (1 | county:type)", "award")
    assert formula.predictors == ("meals",)
    assert formula.terms == (("county",), ("type",), ("county", "type"))
    assert formula.variables == ("county", "type")


def test_implied_intercept_nesting_and_quoted_names():
    formula = parse_formula("y ~ `free meals` + (1 | a/b)", "y")
    assert formula.predictors == ("free meals",)
    assert formula.terms == (("a",), ("a", "b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ x + (x | g)", "varying slope"),
        ("y ~ x + (0 + x | g)", "varying slope"),
        ("y ~ log(x) + (1 | g)", "'log(x)' is not a column"),
        ("y ~ scale(x) + (1 | g)", "predictors are standardised in any case"),
        ("y ~ x*z + (1 | g)", "'x:z' is not a column"),
        ("y ~ x**2 + (1 | g)", "powers are not supported"),
        ("y ~ 0 + x + (1 | g)", "no intercept"),
        ("y ~ x", "no varying intercept"),
        ("y ~ x + (1 | log(g))", "not a varying intercept of columns"),
        ("y ~ x + (1 | a:b) + (1 | b:a)", "stands twice"),
        ("z ~ x + (1 | g)", "left-hand side is not the outcome column 'y'"),
        ("y['Yes'] ~ x + (1 | g)", "left-hand side"),
        ("y ~ x + (1 | g", "cannot be read"),
        ("~ x + (1 | g)", "cannot be read"),
    ],
)
def test_refused(text, message):
    with pytest.raises(InputError) as caught:
        parse_formula(text, "y")
    assert message in str(caught.value)


def test_all_problems_at_once():
    with pytest.raises(InputError) as caught:
        parse_formula("z ~ 0 + log(x) + (x | g)", "y")
    assert len(caught.value.problems) == 4
