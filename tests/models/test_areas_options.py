"""Options of a map's model: region effects, covariates with errors, intercepts of components.

With direct estimates (normal likelihood) the posterior given the standard deviations is normal, so that what
Stan says is compared with exact answers: sums over a grid of the standard deviations of dense normal algebra,
made here without the library. Counts are simulated with known truth.
"""

from pathlib import Path

import arviz
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from areas_fit import fit, near
from scipy import stats
from shapely.geometry import box

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import Dataset
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.graph.graph import Graph
from poolmap.tables import exclusions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def program(compiled):
    return Path(compiled(ROOT / "stan/areas/areas.stan", [ROOT / "stan"]).exe_file)


def _spec(model, likelihood="normal", covariates=None):
    outcome = {
        "normal": {"estimate": "y", "se": "s"},
        "binomial": {"cases": "y", "population": "n"},
        "poisson": {"cases": "y", "expected": "E"},
    }[likelihood]
    return AreasAnalysis.model_validate(
        {
            "family": "areas",
            "data": "a.csv",
            "geometry": "a.gpkg",
            "area": "id",
            "interval": 0.9,
            "outcome": outcome,
            "covariates": covariates,
            "models": {"m": {"likelihood": likelihood} | model},
        }
    )


def _data(columns, graph, x=None, x_se=None, region=None):
    ids = list(graph.areas)
    areas = pd.DataFrame({"area": ids, "name": ids} | columns)
    tables = {"areas": areas, "covariates": areas[["area"]].copy()}
    facts = {"overall": 0.0}
    if x is not None:
        tables["covariates"]["x"] = x - np.mean(x)
    if x_se is not None:
        tables["covariate_errors"] = areas[["area"]].assign(x_se=x_se)
        facts["measured"] = {"x": "x"}
    if region is not None:
        tables["regions"] = areas[["area"]].assign(region=region)
    frame = gpd.GeoDataFrame({"area": ids}, geometry=[box(i, 0, i + 1, 1) for i in range(len(ids))], crs=3857)
    return Dataset(tables, exclusions(), facts, frame, graph)


def _mixes(quantities, least):
    for quantity in quantities:
        for draws in np.moveaxis(quantity.draws, 2, 0):
            assert float(arviz.rhat(draws)) < 1.02, quantity.quantity
            assert float(arviz.ess(draws)) > least, quantity.quantity


# A lattice of 4 x 3, a ring of four and an island.
def _pieces():
    number = np.arange(12).reshape(4, 3)
    edges = [np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])]
    edges += [np.column_stack([number[:-1].ravel(), number[1:].ravel()])]
    edges += [[[12, 13], [13, 14], [14, 15], [12, 15]]]
    order = np.random.default_rng(3).permutation(17)
    return Graph.from_edges([f"a{i:02}" for i in range(17)], order[np.concatenate(edges)], "rook")


def _covariance(effects, graph, rho):
    """Of the area effects over sigma^2, by dense inverses."""
    adjacency = np.zeros((graph.n, graph.n))
    adjacency[tuple(graph.edges.T)] = 1
    adjacency += adjacency.T
    degree = np.diag(adjacency.sum(axis=0))
    whole = np.eye(graph.n)
    for c in range(graph.n_components):
        at = np.ix_(graph.component == c, graph.component == c)
        size = int((graph.component == c).sum())
        if size == 1 or effects == "iid":
            continue
        if effects == "leroux":
            whole[at] = np.linalg.inv((rho * (degree - adjacency))[at] + (1 - rho) * np.eye(size))
        elif effects == "car":
            whole[at] = np.linalg.inv((degree - rho * adjacency)[at])
        else:
            structured = np.linalg.pinv((degree - adjacency)[at])
            structured /= np.exp(np.log(np.diag(structured)).mean())
            share = 1.0 if effects == "icar" else rho
            whole[at] = share * structured + (1 - share) * np.eye(size)
    return whole


def _nodes(low, high, n):
    """Nodes and weights of Gauss-Legendre quadrature between two ends."""
    x, w = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


@pytest.mark.parametrize("effects", ["iid", "icar", "bym2", "leroux", "car"])
def test_regions_and_component_intercepts_against_exact_bayes(program, effects):
    """Seventeen areas in two components and an island, two without an estimate, in four regions."""
    graph, rng = _pieces(), np.random.default_rng(5)
    n = graph.n
    number = rng.permutation(np.arange(n) % 4)
    names = np.array(["east", "north", "south", "west"])
    y = 2.0 * (graph.component == 1) + np.array([-1.0, 0.2, 0.6, 1.4])[number] + rng.normal(0, 0.8, n)
    se = rng.uniform(0.2, 0.9, n)
    y[[3, 8]] = se[[3, 8]] = np.nan
    prior = {"alpha_prior": {"normal": [0.5, 3]}, "sigma_prior": {"half_normal": 0.7}}
    prior |= {"sigma_region_prior": {"half_normal": 1}, "rho_prior": {"beta": [2, 2]}}
    spec = _spec({"prior": effects, "regions": "region", "component_intercepts": True} | prior)
    data = _data({"estimate": y, "se": se}, graph, region=names[number])
    posterior = fit(program, spec, data)
    found = {(q.table, q.quantity): q for q in estimate(spec, "m", data, posterior, None)}
    _mixes(found.values(), 700)

    seen = np.flatnonzero(np.isfinite(y))
    size = np.bincount(graph.component)
    X = np.column_stack([graph.component == c for c in (0, 1)]).astype(float)
    X[graph.component == 2] = size[:2] / size[:2].sum()
    Z = np.eye(4)[number]
    # areas, intercepts, regions: what is wanted of the normal vector of all of them
    whole = np.vstack([np.hstack([X, Z, np.eye(n)]), np.hstack([np.eye(6), np.zeros((6, n))])])
    means, log_weights, scales = [], [], []
    with_rho = effects in ("bym2", "leroux", "car")
    for sigma, w_sigma in zip(*_nodes(0, 3.5, 24), strict=True):
        for region, w_region in zip(*_nodes(0, 5, 24), strict=True):
            for rho, w_rho in zip(
                *(_nodes(0, 1, 16) if with_rho else (np.zeros(1), np.ones(1))), strict=True
            ):
                prior_mean = np.concatenate([[0.5, 0.5], np.zeros(4 + n)])
                block = np.zeros((6 + n, 6 + n))
                block[:6, :6] = np.diag([9.0] * 2 + [region**2] * 4)
                block[6:, 6:] = sigma**2 * _covariance(effects, graph, rho)
                covariance, mean = whole @ block @ whole.T, whole @ prior_mean
                marginal = covariance[np.ix_(seen, seen)] + np.diag(se[seen] ** 2)
                means.append(mean + covariance[:, seen] @ np.linalg.solve(marginal, y[seen] - mean[seen]))
                height = stats.multivariate_normal.logpdf(y[seen], mean[seen], marginal)
                height += stats.norm.logpdf(sigma, 0, 0.7) + stats.norm.logpdf(region)
                height += stats.beta.logpdf(rho, 2, 2) if with_rho else 0.0
                log_weights.append(height + np.log(w_sigma * w_region * w_rho))
                scales.append([sigma, region, rho])
    weight = np.exp(np.array(log_weights) - max(log_weights))
    weight /= weight.sum()
    exact, hyper = weight @ np.array(means), weight @ np.array(scales)
    near(found["parameters", "sigma"].draws, hyper[0])
    near(found["parameters", "sigma_region"].draws, hyper[1])
    if with_rho:
        near(found["parameters", "rho"].draws, hyper[2])
    for row, mean in enumerate(exact[:n]):
        near(found["areas", "mean"].draws[:, :, row], mean)
    for row in (0, 1):
        near(found["parameters", "component_intercept"].draws[:, :, row], exact[n + row])
    near(found["parameters", "alpha"].draws, (12 * exact[n] + 4 * exact[n + 1]) / 16)
    effect = found["region_effects", "effect"]
    assert effect.keys["region"].tolist() == names.tolist()
    for row in range(4):
        near(effect.draws[:, :, row], exact[n + 2 + row])


def _chain(n):
    """Areas in a row."""
    return Graph.from_edges([f"a{i:03}" for i in range(n)], [(i, i + 1) for i in range(n - 1)], "row")


def test_a_covariate_with_errors_against_exact_bayes(program):
    """Estimate and measured covariate of an area are together normal, given beta and the standard deviations;
    the means of both are integrated out exactly, the rest over a grid. Two covariates are known exactly."""
    n, rng = 16, np.random.default_rng(8)
    true = rng.normal(0, 1, n)
    x_se = rng.uniform(0.3, 1.2, n)
    x_se[[2, 9]] = 0
    x = rng.normal(true, x_se)
    x -= x.mean()
    se = rng.uniform(0.2, 0.6, n)
    y = 1 + 1.5 * true + rng.normal(0, 0.5, n) + rng.normal(0, se)
    prior = {"alpha_prior": {"normal": [0, 2]}, "beta_prior": {"normal": [0, 2]}}
    prior |= {"sigma_prior": {"half_normal": 0.8}, "covariate_errors": {"x": "x_se"}}
    spec = _spec({"prior": "iid"} | prior, covariates="~ x")
    data = _data({"estimate": y, "se": se}, _chain(n), x, x_se)
    posterior = fit(program, spec, data, draws=2000)
    found = {q.quantity: q.draws for q in estimate(spec, "m", data, posterior, None)}
    _mixes(estimate(spec, "m", data, posterior, None), 1000)

    scale = float(f"{2 * x.std(ddof=1):.2g}")
    beta, sigma, sigma_x = np.meshgrid(
        *(_nodes(*ends, 28)[0] for ends in ((-2, 6), (0, 3), (0, 4))), indexing="ij"
    )
    weights = [_nodes(*ends, 28)[1] for ends in ((-2, 6), (0, 3), (0, 4))]
    together = np.concatenate([y, x])
    both = np.zeros((*beta.shape, 2 * n, 2 * n))
    at = np.arange(n)
    both[..., at, at] = sigma[..., None] ** 2 + se**2 + (beta * sigma_x)[..., None] ** 2
    both[..., at, n + at] = both[..., n + at, at] = (beta * sigma_x**2)[..., None]
    both[..., n + at, n + at] = sigma_x[..., None] ** 2 + x_se**2
    of_alpha = np.concatenate([np.ones(n), np.zeros(n)])
    of_mu = beta[..., None] * of_alpha + np.concatenate([np.zeros(n), np.ones(n)])
    both += 4.0 * np.outer(of_alpha, of_alpha)
    both += scale**2 * of_mu[..., :, None] * of_mu[..., None, :]
    lower = np.linalg.cholesky(both)
    white = np.linalg.solve(lower, np.broadcast_to(together, both.shape[:-1])[..., None])[..., 0]
    height = -0.5 * (white**2).sum(axis=-1)
    height -= np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)
    height += stats.norm.logpdf(beta, 0, 2) + stats.norm.logpdf(sigma, 0, 0.8)
    height += stats.norm.logpdf(sigma_x, 0, scale)
    weight = np.exp(height - height.max()) * np.einsum("i,j,k->ijk", *weights)
    weight /= weight.sum()
    near(found["beta"], (weight * beta).sum())
    near(found["sigma"], (weight * sigma).sum())
    near(found["sigma_x"], (weight * sigma_x).sum())
    solved = np.linalg.solve(both, np.broadcast_to(together, both.shape[:-1])[..., None])[..., 0]
    alpha = 4.0 * solved[..., :n].sum(axis=-1)
    near(found["alpha"], (weight * alpha).sum())
    mu = scale**2 * (of_mu * solved).sum(axis=-1)
    near(found["mu_x"], (weight * mu).sum())
    # alpha + beta true x + area effect: the estimate less its own error
    mean = y - se**2 * solved[..., :n]
    for i in range(n):
        near(found["mean"][:, :, i], (weight * mean[..., i]).sum())


def _simulated(likelihood, rng, rows=10, columns=12, slope=0.5):
    """A lattice of areas, cut into two, with all three options; x is measured with a reliability of 0.5."""
    number = np.arange(rows * columns).reshape(rows, columns)
    across = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
    down = np.column_stack([number[:-1].ravel(), number[1:].ravel()])
    cut = number[rows - 3]
    edges = np.concatenate([across, down[~np.isin(down[:, 0], cut)]])
    n = number.size
    graph = Graph.from_edges([f"a{i:03}" for i in range(n)], edges, "rook")
    effects = rng.multivariate_normal(np.zeros(n), 0.2**2 * _covariance("bym2", graph, 0.6))
    region = rng.permutation(np.arange(n) % 8)
    v = rng.normal(0, 0.4, 8)
    true = rng.normal(0, 1, n)
    x_se = rng.uniform(0.7, 1.25, n)
    x = rng.normal(true, x_se)
    eta = np.where(graph.component == 0, 0.1, 0.9) + slope * true + v[region] + effects
    if likelihood == "poisson":
        expected = rng.uniform(20, 90, n)
        columns = {"expected": expected, "population": np.nan}
        columns["cases"] = rng.poisson(expected * np.exp(eta)).astype(float)
        columns["cases"][[4, 50]] = np.nan
        columns["sir"] = columns["cases"] / expected
    else:
        columns = {"population": rng.integers(80, 400, n).astype(float)}
        columns["cases"] = rng.binomial(columns["population"].astype(int), 1 / (1 + np.exp(-eta))) * 1.0
    names = np.array(list("ABCDEFGH"))[region]
    return _data(columns, graph, x, x_se, names), eta, v


OPTIONS = {"regions": "region", "component_intercepts": True, "covariate_errors": {"x": "x_se"}}


@pytest.mark.parametrize(("likelihood", "effects"), [("poisson", "bym2"), ("binomial", "leroux")])
def test_simulated_truth_and_attenuation(program, likelihood, effects):
    """The 90% intervals hold the areas' true values, regions and intercepts as often as they say; the
    coefficient is that of the true covariate, and twice what it is where the errors are not accounted for."""
    rng = np.random.default_rng({"poisson": 4, "binomial": 6}[likelihood])
    data, eta, v = _simulated(likelihood, rng)
    spec = _spec({"prior": effects} | OPTIONS, likelihood, "~ x")
    # as rho of a Leroux field comes near 1, its mean and the intercept trade places: they mix more slowly
    posterior = fit(program, spec, data, draws=2000 if effects == "leroux" else 1000)
    quantities = estimate(spec, "m", data, posterior, None)
    _mixes(quantities, 400)
    found = {(q.table, q.quantity): q.draws for q in quantities}
    value, truth = ("rr", np.exp(eta)) if likelihood == "poisson" else ("prevalence", 1 / (1 + np.exp(-eta)))
    low, high = np.quantile(found["areas", value], [0.05, 0.95], axis=(0, 1))
    bounds = stats.binom.ppf([0.001, 0.999], len(eta) // 2, 0.9) / (len(eta) // 2)
    assert bounds[0] <= ((truth > low) & (truth < high)).mean() <= bounds[1]
    low, high = np.quantile(found["region_effects", "effect"], [0.005, 0.995], axis=(0, 1))
    assert ((v > low) & (v < high)).all()
    for name, true in {"component_intercept": [0.1, 0.9], "sigma_region": [0.4], "sigma_x": [1.0]}.items():
        low, high = np.quantile(found["parameters", name], [0.001, 0.999], axis=(0, 1))
        assert ((np.array(true) > low) & (np.array(true) < high)).all(), name
    corrected = found["parameters", "beta"]
    assert np.quantile(corrected, 0.01) < 0.5 < np.quantile(corrected, 0.99)
    told = predictive(spec, "m", data, posterior, np.random.default_rng(1))
    low, high = np.quantile(told.replicated, [0.005, 0.995], axis=(0, 1))
    assert ((told.observed >= low) & (told.observed <= high)).mean() > 0.9

    plain = _spec({"prior": effects} | OPTIONS | {"covariate_errors": {}}, likelihood, "~ x")
    naive = fit(program, plain, data, draws=500)["beta"].to_numpy()
    assert np.quantile(naive, 0.999) < 0.5
    reliability = found["parameters", "reliability"].mean()
    assert naive.mean() / corrected.mean() == pytest.approx(reliability, rel=0.15)


@pytest.mark.parametrize("effects", ["iid", "icar", "car"])
def test_all_options_together_mix_with_every_prior(program, effects):
    data, eta, _ = _simulated("poisson", np.random.default_rng(4))
    spec = _spec({"prior": effects} | OPTIONS, "poisson", "~ x")
    quantities = estimate(spec, "m", data, fit(program, spec, data), None)
    _mixes(quantities, 400)
    found = next(q for q in quantities if q.quantity == "log_rr").draws
    assert np.corrcoef(found.mean(axis=(0, 1)), eta)[0, 1] > 0.9
