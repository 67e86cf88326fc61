"""Simulation-based calibration of multilevel regression: `make sbc` (method: sbc.py).

The simulation shares no code with the models: effects are drawn from dense covariance matrices, worked out
here. The map is that of sbc_areas.py: two components and two islands.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/models")]

from mrp_data import analysis, dataset  # noqa: E402
from sbc import ranks, run  # noqa: E402
from sbc_areas import effects as area_effects  # noqa: E402
from sbc_areas import graph  # noqa: E402

from poolmap.config.base import Sampling  # noqa: E402
from poolmap.families.mrp.effects import parts  # noqa: E402
from poolmap.families.mrp.model import design_matrix, stan_data  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

FORMULAS = {
    "interaction": "y ~ x + (1 | g) + (1 | h) + (1 | g:h)",
    "slopes": "y ~ x + z + (1 + x + z | g)",
    "structured": "y ~ 1 + (1 | age) + (1 | g)",
    "tested": "y ~ 1 + (1 | g)",
}
STRUCTURES = {"structured": {"age": "rw1", "g": "bym2"}}
SIGMA, ALPHA, BETA, LKJ = 0.7, 1.0, 0.5, 2.0
CHAINS, DRAWS = 2, 600
PERSONS = 300
VALIDATION = (40, 60)  # persons of known status: cases, others


def walk(levels: int, rng: np.random.Generator) -> np.ndarray:
    """A random walk that sums to zero, scaled so that the geometric mean of its variances is 1."""
    precision = np.zeros((levels, levels))
    for i in range(levels - 1):
        precision[[i, i + 1], [i, i + 1]] += 1
        precision[[i, i + 1], [i + 1, i]] -= 1
    covariance = np.linalg.pinv(precision)
    covariance /= np.exp(np.log(np.diag(covariance)).mean())
    return rng.multivariate_normal(np.zeros(levels), covariance, method="eigh")


def correlations(J: int, shape: float, rng: np.random.Generator) -> np.ndarray:
    """A correlation matrix from LKJ(shape), by the onion method (Lewandowski et al. 2009)."""
    b = shape + (J - 2) / 2
    r = 2 * rng.beta(b, b) - 1
    R = np.array([[1, r], [r, 1.0]])
    for k in range(2, J):
        b -= 0.5
        direction = rng.normal(size=k)
        w = np.sqrt(rng.beta(k / 2, b)) * direction / np.linalg.norm(direction)
        q = np.linalg.cholesky(R) @ w
        R = np.block([[R, q[:, None]], [q[None], np.ones((1, 1))]])
    return R


def simulate(name: str, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, float], np.ndarray]:
    """Respondents without answers, true values of the watched parameters, true linear predictors."""
    sigma = abs(rng.normal(0, SIGMA, 3))
    people = pd.DataFrame({"x": rng.normal(size=PERSONS), "z": rng.normal(size=PERSONS)})
    alpha, (beta_x, beta_z) = rng.normal(0, ALPHA), rng.normal(0, BETA, 2)
    truth = {"alpha": alpha}
    if name == "interaction":
        G, H = 8, 4
        people["g"], people["h"] = rng.integers(0, G, PERSONS), rng.integers(0, H, PERSONS)
        people["x"] = people["x"].round()  # cells of several respondents
        own = [sigma[i] * rng.normal(size=shape) for i, shape in enumerate([G, H, (G, H)])]
        eta = alpha + beta_x * people["x"] + own[0][people["g"]] + own[1][people["h"]]
        eta = eta + own[2][people["g"], people["h"]]
        truth |= {"beta x": beta_x, "sigma g": sigma[0], "sigma h": sigma[1], "sigma g:h": sigma[2]}
    elif name == "slopes":
        G, R = 12, correlations(3, LKJ, rng)
        people["g"] = rng.integers(0, G, PERSONS)
        own = rng.multivariate_normal(np.zeros(3), R * np.outer(sigma, sigma), size=G)[people["g"]]
        eta = alpha + own[:, 0] + (beta_x + own[:, 1]) * people["x"] + (beta_z + own[:, 2]) * people["z"]
        truth |= {"beta x": beta_x, "sigma 1": sigma[0], "sigma x": sigma[1]}
        truth |= {"correlation 1, x": R[0, 1], "correlation x, z": R[1, 2]}
    elif name == "structured":
        names, rho = graph().areas, rng.uniform()
        people["g"], people["age"] = rng.choice(names[:-2], PERSONS), rng.integers(0, 6, PERSONS)
        people.loc[:20, "g"] = names[-2]
        area = dict(zip(names, area_effects("bym2", sigma[1], rho, rng), strict=True))
        eta = alpha + (sigma[0] * walk(6, rng))[people["age"]] + people["g"].map(area)
        truth |= {"sigma age": sigma[0], "sigma area": sigma[1], "rho": rho, "island": area[names[-2]]}
    else:
        people["g"] = rng.integers(0, 10, PERSONS)
        eta = alpha + (sigma[0] * rng.normal(size=10))[people["g"]]
        truth |= {"sigma g": sigma[0]}
    return people, truth, np.asarray(eta, dtype=float)


def replicate(name: str, number: int, executable: Path) -> dict[str, int]:
    """Ranks of the true values in one replicate."""
    rng = np.random.default_rng([20261122, list(FORMULAS).index(name), number])
    people, truth, eta = simulate(name, rng)
    outcome, p = {"positive": 1}, expit(eta)
    if name == "tested":
        correct = np.zeros(2)
        # a test that tells nothing is refused; what depends on the data alone may be drawn again
        while (correct / VALIDATION).sum() <= 1:
            right = rng.uniform(size=2)
            correct = rng.binomial(VALIDATION, right)
        studies = [[{"correct": int(k), "of": n}] for k, n in zip(correct, VALIDATION, strict=True)]
        outcome["test"] = {"sensitivity": studies[0], "specificity": studies[1]}
        truth |= {"sensitivity": right[0], "specificity": right[1]}
        p = p * right[0] + (1 - p) * (1 - right[1])
    people["y"] = (rng.uniform(size=PERSONS) < p).astype(int)
    settings = {
        "alpha_prior": {"normal": [0, ALPHA]},
        "beta_prior": {"normal": [0, BETA]},
        "sigma_prior": {"half_normal": SIGMA},
        "rho_prior": {"beta": [1, 1]},
        "lkj": LKJ,
        "structure": STRUCTURES.get(name, {}),
    }
    spec = analysis(FORMULAS[name], {"main": settings}, outcome)
    numbers = [x for x in ("x", "z") if x in FORMULAS[name].split("(")[0]]
    unit = {"type": "numeric", "mean": 0.0, "sd": 1.0, "constant_within": [], "in_survey": True}
    census = people.drop(columns="y").assign(count=1)
    if name == "structured":  # all areas and ages
        every = pd.DataFrame({"g": graph().areas})
        census = every.merge(pd.DataFrame({"age": range(6)}), how="cross").assign(count=1)
    data = dataset(
        spec,
        people,
        census,
        predictors={x: unit for x in numbers},
        order={"age": [str(a) for a in range(6)]},
        graph=graph() if name == "structured" else None,
    )
    given = stan_data(spec, "main", data)
    how = brief(Sampling(chains=CHAINS, draws=DRAWS), given.whitened)
    fit = sample(executable, given.data, given.parameters, how, seed=number + 1, cores=2, whitened=True)
    drawn = parts(spec, "main", data, fit.posterior, np.random.default_rng(0))
    census, x = data.tables["census"], design_matrix(spec, "main", data, data.tables["census"])
    found = drawn.alpha + drawn.beta[:, :, 0] @ x.T
    for batch in drawn.batches:
        effect = batch.draw(slice(None))[..., 0][:, census[batch.level].to_numpy()]
        for j, column in enumerate(batch.columns):
            found = found + effect[:, :, j] * (1 if column < 0 else x[:, column])
    draws = {"alpha": drawn.alpha[:, 0], "sensitivity": drawn.own.get("sensitivity")}
    draws["specificity"] = drawn.own.get("specificity")
    if drawn.beta.shape[1]:
        draws["beta x"] = drawn.beta[:, 0, 0]
    for batch in drawn.batches:
        label = {"structured": {"age": "age", "g": "area"}}.get(name, {}).get(batch.name, batch.name)
        draws[f"sigma {label}"] = batch.own["sigma"][:, 0, 0]
        if "rho" in batch.own:
            draws["rho"] = batch.own["rho"][:, 0]
    if name == "slopes":
        sigma, R = (drawn.batches[0].own[k] for k in ("sigma", "correlation"))
        draws |= {"sigma 1": sigma[:, 0, 0], "sigma x": sigma[:, 1, 0]}
        draws |= {"correlation 1, x": R[:, 0, 1, 0], "correlation x, z": R[:, 1, 2, 0]}
    if name == "structured":
        levels = data.tables["levels"]
        code = levels.loc[(levels["term"] == "g") & (levels["level"] == graph().areas[-2]), "code"].iloc[0]
        draws["island"] = drawn.batches[1].draw(slice(None))[:, code, 0, 0]
        here = (census["g"] + census["age"]).to_numpy()
        rows = np.array(
            [np.flatnonzero(here == g + str(a))[0] for g, a in zip(people["g"], people["age"], strict=True)]
        )
        found = found[:, rows]
    watched = {key: (draws[key], value) for key, value in truth.items()}
    watched["eta, one respondent"] = (found[:, 0], eta[0])
    # a quantity that depends on the data finds faults that parameters alone hide (Modrak et al. 2023)
    errors = (drawn.own.get("sensitivity", 1.0), drawn.own.get("specificity", 1.0))
    true_errors = (truth.get("sensitivity", 1.0), truth.get("specificity", 1.0))
    y = people["y"].to_numpy()
    watched["log likelihood"] = (
        _log_likelihood(found, y, *errors),
        _log_likelihood(eta[None], y, *true_errors)[0],
    )
    return ranks(watched)


def _log_likelihood(eta: np.ndarray, y: np.ndarray, sensitivity, specificity) -> np.ndarray:
    p = expit(eta)
    p = p * np.reshape(sensitivity, (-1, 1)) + (1 - p) * (1 - np.reshape(specificity, (-1, 1)))
    return np.log(np.where(y == 1, p, 1 - p)).sum(axis=1)


def main() -> None:
    """All replicates of all models."""
    executable = compile_program(ROOT / "stan/mrp/mrp.stan", include_paths=[ROOT / "stan"]).executable
    run("mrp", list(FORMULAS), lambda name, number: replicate(name, number, executable))


if __name__ == "__main__":
    main()
