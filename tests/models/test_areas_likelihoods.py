"""The likelihoods of a map in Stan: against quadrature, exact Fay-Herriot results and simulated truth."""

import json
from pathlib import Path

import arviz
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from areas_fit import fit, near
from scipy import special, stats
from shapely.geometry import box

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import Dataset
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.graph.graph import Graph
from poolmap.tables import exclusions

ROOT = Path(__file__).parents[2]
MILK = json.loads(Path(__file__).with_name("areas_milk.json").read_text())


@pytest.fixture(scope="session")
def program(compiled):
    return Path(compiled(ROOT / "stan/areas/areas.stan", [ROOT / "stan"]).exe_file)


def _spec(likelihood, outcome=None, **model):
    outcome = outcome or {"cases": "y", "population": "n"}
    return AreasAnalysis.model_validate(
        {
            "family": "areas",
            "data": "a.csv",
            "geometry": "a.gpkg",
            "area": "id",
            "interval": 0.9,
            "outcome": outcome,
            "models": {"m": {"likelihood": likelihood} | model},
        }
    )


def _data(columns, covariates=None, graph=None, **facts):
    n = len(next(iter(columns.values())))
    ids = [f"a{i:02}" for i in range(n)]
    areas = pd.DataFrame({"area": ids, "name": ids} | columns)
    design = areas[["area"]].copy()
    for name, values in (covariates or {}).items():
        design[name] = np.asarray(values, float) - np.mean(values)
    frame = gpd.GeoDataFrame({"area": ids}, geometry=[box(i, 0, i + 1, 1) for i in range(n)], crs=3857)
    return Dataset({"areas": areas, "covariates": design}, exclusions(), facts, frame, graph)


E = np.array([4.0, 9.0, 1.5, 6.0, 12.0, 2.5, 5.0, 8.0])
PERSONS = np.array([12, 30, 6, 25, 60, 9, 18, 40])
LOW = np.array([1, 6, 0, 1, 11, 0, 9, 3])
HIGH = np.array([1, 6, 0, 4, 11, 4, 9, 3])
OWN = {
    "poisson": ("", None, None),
    "negative_binomial": ("dispersion", {"half_normal": 0.5}, (0, 2.5)),
    "zero_inflated_poisson": ("zero_inflation", {"beta": [2, 5]}, (0, 1)),
    "binomial": ("", None, None),
    "beta_binomial": ("icc", {"beta": [2, 8]}, (0, 1)),
}


def _probability(likelihood, y, eta, own, at):
    """Of the counts y in the areas `at` (last axis)."""
    share, mean, persons = special.expit(eta), E[at] * np.exp(eta), PERSONS[at]
    if likelihood == "binomial":
        return stats.binom.pmf(y, persons, share)
    if likelihood == "beta_binomial":
        a, b = (1 / own - 1) * share, (1 / own - 1) * (1 - share)
        log_ratio = special.betaln(y + a, persons - y + b) - special.betaln(a, b)
        return special.comb(persons, y) * np.exp(log_ratio)
    if likelihood == "negative_binomial":
        return stats.nbinom.pmf(y, 1 / own, 1 / (1 + own * mean))
    poisson = stats.poisson.pmf(y, mean)
    return own * (y == 0) + (1 - own) * poisson if likelihood == "zero_inflated_poisson" else poisson


def _nodes(low, high, n):
    """Nodes and weights of Gauss-Legendre quadrature between two ends."""
    x, w = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def _posterior_means(likelihood):
    """Means of alpha, sigma and the likelihood's own parameter by quadrature, effects by Gauss-Hermite."""
    z, w_z = np.polynomial.hermite_e.hermegauss(24)
    (alpha, w_alpha), (sigma, w_sigma) = _nodes(-3, 2, 32), _nodes(0, 2.5, 32)
    _, prior, ends = OWN[likelihood]
    values, w_values = _nodes(*ends, 24) if ends else (np.zeros(1), np.ones(1))
    total = np.empty((len(alpha), len(sigma), len(values)))
    eta = alpha[:, None, None, None] + (sigma[:, None] * z)[None, :, :, None] + np.zeros(len(E))
    for k, own in enumerate(values):
        inside = 0.0
        for above in range(int((HIGH - LOW).max()) + 1):
            at = np.flatnonzero(LOW + above <= HIGH)
            inside = inside + _on(at, _probability(likelihood, (LOW + above)[at], eta[..., at], own, at))
        total[:, :, k] = np.log(np.einsum("asqi,q->asi", inside, w_z / w_z.sum())).sum(axis=-1)
    total += stats.norm.logpdf(alpha, 0, 1)[:, None, None] + stats.norm.logpdf(sigma, 0, 0.5)[:, None]
    if ends and "half_normal" in prior:
        total += stats.norm.logpdf(values, 0, prior["half_normal"])
    elif ends:
        total += stats.beta.logpdf(values, *prior["beta"])
    weight = np.exp(total - total.max()) * w_alpha[:, None, None] * w_sigma[:, None] * w_values
    grids = np.meshgrid(alpha, sigma, values, indexing="ij")
    return [float((grid * weight).sum() / weight.sum()) for grid in grids]


def _on(at, values):
    """Values of some areas among all, 0 elsewhere."""
    whole = np.zeros((*values.shape[:-1], len(E)))
    whole[..., at] = values
    return whole


@pytest.mark.parametrize("likelihood", list(OWN))
def test_counts_and_ranges_against_quadrature(program, likelihood):
    """Eight areas without covariates or neighbours, two of them with a count from 0 or 1 to 4."""
    name, prior, _ = OWN[likelihood]
    priors = {"alpha_prior": {"normal": [0, 1]}, "sigma_prior": {"half_normal": 0.5}}
    priors |= {f"{name}_prior": prior} if name else {}
    spec = _spec(likelihood, prior="iid", **priors)
    columns = {"cases": np.where(LOW == HIGH, LOW, np.nan), "at_least": LOW * 1.0, "at_most": HIGH * 1.0}
    columns |= {"population": PERSONS * 1.0}
    if spec.scale == "rr":
        columns["expected"] = E
    posterior = fit(program, spec, _data(columns, overall=0.3), draws=1000)
    alpha, sigma, own = _posterior_means(likelihood)
    near(posterior["alpha"], alpha)
    near(posterior["sigma"], sigma)
    if name:
        near(posterior["zero" if name == "zero_inflation" else "dispersion"], own)


def test_fay_herriot_against_exact_bayes(program):
    """Milk expenditure in 43 areas; the coefficients' flat priors are normal(0, 100) here."""
    major = np.array(MILK["major_area"])
    covariates = {f"area {k}": (major == k).astype(float) for k in (2, 3, 4)}
    columns = {"estimate": np.array(MILK["estimate"]), "se": np.array(MILK["se"])}
    wide = {"normal": [0, 100]}
    spec = _spec(
        "normal",
        {"estimate": "y", "se": "s"},
        prior="iid",
        alpha_prior=wide,
        beta_prior=wide,
        sigma_prior={"half_normal": 1},
    )
    data = _data(columns, covariates, overall=0.9)
    posterior = fit(program, spec, data, draws=2000)
    near(posterior["sigma"], MILK["sigma_v_mean"])
    sigma = posterior["sigma"].to_numpy()
    assert sigma.std() == pytest.approx(MILK["sigma_v_sd"], rel=0.06)
    first, *rest = MILK["beta_mean"]
    shares = [np.mean(values) for values in covariates.values()]
    near(posterior["alpha"], first + np.dot(rest, shares))
    for k, mean in enumerate(rest):
        near(posterior["beta"][:, :, k], mean)
    found = estimate(spec, "m", data, posterior, None)[0]
    assert found.quantity == "mean"
    for i, mean in enumerate(MILK["theta_mean"]):
        draws = found.draws[:, :, i]
        error = float(arviz.mcse(draws))
        assert abs(draws.mean() - mean) < 4 * error, (i, draws.mean(), mean, error)
    assert found.draws.std(axis=(0, 1)) == pytest.approx(MILK["theta_sd"], rel=0.08)


def _lattice(rows, columns):
    number = np.arange(rows * columns).reshape(rows, columns)
    across = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
    down = np.column_stack([number[:-1].ravel(), number[1:].ravel()])
    return Graph.from_edges([f"a{i:02}" for i in range(number.size)], np.concatenate([across, down]), "rook")


TRUE = {
    "poisson": {},
    "negative_binomial": {"dispersion": 0.3},
    "zero_inflated_poisson": {"zero_inflation": 0.25},
    "binomial": {},
    "beta_binomial": {"icc": 0.08},
    "normal": {},
}


@pytest.mark.parametrize("likelihood", list(TRUE))
def test_simulated_truth(program, likelihood):
    """40 areas with structured effects and a covariate: the 90% intervals hold the truth as often as they say
    (effects are correlated: the bounds are those of half as many areas), the parameters are in their 99.8%
    intervals, and what is reported mixes.

    Overdispersion is simulated beside effects that are structured only: from unstructured ones it is hardly
    told apart. It mixes more slowly, as the weights of the whitening are those of its mode."""
    prior = "icar" if likelihood in ("negative_binomial", "beta_binomial") else "bym2"
    rng = np.random.default_rng(list(TRUE).index(likelihood) + 11)
    graph = _lattice(5, 8)
    n = graph.n
    laplacian = np.diag(graph.n_neighbours.astype(float))
    laplacian[graph.edges[:, 0], graph.edges[:, 1]] = laplacian[graph.edges[:, 1], graph.edges[:, 0]] = -1
    structured = np.linalg.pinv(laplacian)
    structured /= np.exp(np.log(np.diag(structured)).mean())
    rho = 1.0 if prior == "icar" else 0.7
    effects = rng.multivariate_normal(np.zeros(n), 0.5**2 * (rho * structured + (1 - rho) * np.eye(n)))
    x = rng.normal(size=n)
    x -= x.mean()
    eta = 0.4 * x + effects
    own = TRUE[likelihood]
    outcome, columns = None, {}
    if likelihood == "normal":
        eta = 100 + 20 * eta
        columns["se"] = rng.uniform(3, 15, n)
        columns["estimate"] = rng.normal(eta, columns["se"])
        outcome = {"estimate": "y", "se": "s"}
    elif likelihood in ("binomial", "beta_binomial"):
        eta = eta - 1
        columns["population"] = rng.integers(30, 200, n).astype(float)
        share = special.expit(eta)
        if own:
            size = 1 / own["icc"] - 1
            share = rng.beta(size * share, size * (1 - share))
        columns["cases"] = rng.binomial(columns["population"].astype(int), share).astype(float)
    else:
        columns["expected"] = rng.uniform(3, 40, n)
        columns["population"] = columns["expected"] * 200
        mean = columns["expected"] * np.exp(eta)
        if likelihood == "negative_binomial":
            mean = mean * rng.gamma(1 / 0.3, 0.3, n)
        zeros = rng.random(n) < own.get("zero_inflation", 0)
        columns["cases"] = np.where(zeros, 0, rng.poisson(mean)).astype(float)
        columns |= {"at_least": columns["cases"].copy(), "at_most": columns["cases"].copy()}
        hidden = (columns["cases"] > 0) & (columns["cases"] < 5)
        columns["at_least"][hidden], columns["at_most"][hidden] = 1, 4
        columns["cases"][hidden] = np.nan
        columns["sir"] = columns["cases"] / columns["expected"]
    if "population" in columns and "expected" not in columns:
        columns["proportion"] = columns["cases"] / columns["population"]
    spec = _spec(likelihood, outcome, prior=prior)
    data = _data(columns, {"x": x}, graph, overall=0.3)
    posterior = fit(program, spec, data, draws=1000 if prior == "icar" else 500)
    found = {q.quantity: q for q in estimate(spec, "m", data, posterior, None)}
    truth = {"rr": np.exp(eta), "prevalence": special.expit(eta), "mean": eta}[spec.scale]
    low, high = np.quantile(found[spec.scale].draws, [0.05, 0.95], axis=(0, 1))
    bounds = stats.binom.ppf([0.001, 0.999], n // 2, 0.9) / (n // 2)
    assert bounds[0] <= ((truth > low) & (truth < high)).mean() <= bounds[1]
    slope = 8.0 if likelihood == "normal" else 0.4
    for name, value in {"beta": slope, **own}.items():
        low, high = np.quantile(found[name].draws, [0.001, 0.999])
        assert low < value < high, (name, low, high)
    for quantity in found.values():
        for draws in np.moveaxis(quantity.draws, 2, 0):
            assert float(arviz.rhat(draws)) < 1.03, quantity.quantity
            assert float(arviz.ess(draws)) > 150, quantity.quantity
    told = predictive(spec, "m", data, posterior, np.random.default_rng(1))
    inside = (told.observed >= np.quantile(told.replicated, 0.005, axis=(0, 1))) & (
        told.observed <= np.quantile(told.replicated, 0.995, axis=(0, 1))
    )
    assert inside.mean() > 0.9 and np.isfinite(told.log_lik).all()
