"""The design: which column is what, and its values in a table."""

import numpy as np
import pandas as pd

from poolmap.families.mrp.design import INTERCEPT, design_of
from poolmap.families.mrp.formula import parse_formula

PREDICTORS = {
    "x": {"type": "numeric", "mean": 2.0, "sd": 4.0},
    "z": {"type": "numeric", "mean": 0.0, "sd": 1.0},
    "sex": {"type": "factor", "levels": ["female", "male"]},
    "year": {"type": "factor", "levels": ["2019", "2020", "2021"]},
}
FRAME = pd.DataFrame(
    {
        "x": [2.0, 6.0, -2.0],
        "z": [1.0, 2.0, 3.0],
        "sex": ["male", "female", "male"],
        "year": [2019, 2020, 2021],
    }
)


def test_columns_and_values():
    design = design_of(parse_formula("y ~ x * sex + C(year) + (1 | g)", "y"), PREDICTORS)
    assert design.names == ["x", "sex[male]", "x:sex[male]", "year[2020]", "year[2021]"]
    assert design.common == 5
    expected = [[0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [-1, 1, -1, 0, 1]]
    np.testing.assert_allclose(design.matrix(FRAME, PREDICTORS), expected)


def test_interactions_of_numbers_and_of_factors():
    design = design_of(parse_formula("y ~ x * z + sex * year + (1 | g)", "y"), PREDICTORS)
    assert design.names[-2:] == ["sex[male]:year[2020]", "sex[male]:year[2021]"]
    x = design.matrix(FRAME, PREDICTORS)
    np.testing.assert_allclose(x[:, design.names.index("x:z")], [0, 2, -3])
    np.testing.assert_allclose(x[:, -2:], [[0, 0], [0, 0], [0, 1]])


def test_slopes_use_the_common_columns_and_further_ones():
    formula = parse_formula("y ~ x + (1 + x + sex | g) + (0 + z | h) + (1 | k)", "y")
    design = design_of(formula, PREDICTORS)
    assert design.names == ["x", "sex[male]", "z"]
    assert design.common == 1
    assert design.batches == ((INTERCEPT, 0, 1), (2,), (INTERCEPT,))


def test_without_predictors():
    design = design_of(parse_formula("y ~ 1 + (1 | g)", "y"), {})
    assert design.matrix(FRAME, {}).shape == (3, 0)
