"""The whitened effects of a survey model: their derivatives against Stan's own."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mrp_data import analysis, dataset, numeric

from poolmap.families.mrp.model import stan_data
from poolmap.stan import toolchain as tools

ROOT = Path(__file__).parents[2]


def test_derivatives_as_by_automatic_differentiation(tmp_path):
    """Intercepts, correlated slopes and an interaction: a factor with an inner part that fills in."""
    rng = np.random.default_rng(5)
    survey = pd.DataFrame(
        {"g": rng.integers(0, 5, 80), "h": rng.integers(0, 3, 80), "x": rng.normal(size=80)}
    )
    survey["y"] = rng.integers(0, 2, 80)
    census = survey[["g", "h", "x"]].assign(count=1)
    spec = analysis("y ~ x + (1 + x | g) + (1 | h) + (1 | g:h)")
    data = stan_data(spec, "main", dataset(spec, survey, census, predictors={"x": numeric(census, "x")})).data
    toolchain = tools.find_toolchain()
    if toolchain.kind == "wheel":
        tools.prepare_toolchain()
    program = tmp_path / "gradient"
    arguments = [*tools.compiler_flags(0, threads=False), "-I", str(ROOT / "stan")]
    arguments += [
        *tools.include_flags(toolchain),
        str(ROOT / "tests/models/mrp_gradient.cpp"),
        "-o",
        str(program),
    ]
    arguments += tools.link_flags(toolchain)
    tools.run_compiler([*toolchain.compiler_command, *arguments], "the gradient test")
    n, m = data["N"], data["matrices"]
    problem = [n, data["nnz"], m, data["entries"]]
    for name in [
        "column_start",
        "row",
        "row_start",
        "row_place",
        "row_column",
        "column",
        "matrix_start",
        "place",
        "values",
    ]:
        problem += np.asarray(data[name]).tolist()
    # the inverse covariance of the slopes needs not be that of any draw: positive definite in every case
    scalars = [1.3, 0.7, *rng.uniform(2, 3, m - 2)]
    scalars[3] = -0.4
    problem += [*scalars, *rng.normal(size=2 * n), *rng.normal(size=n + 1 + m)]
    said = subprocess.run(
        [str(program)], input=" ".join(map(str, problem)), capture_output=True, text=True, check=True
    )
    ours, reference = np.array([line.split() for line in said.stdout.splitlines()], dtype=float).T
    assert len(ours) == 1 + m + 2 * n
    assert ours == pytest.approx(reference, rel=1e-8, abs=1e-8)
