"""The approximation that refits a map on other graphs, against dense algebra, quadrature and Stan."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from poolmap.config.areas import AreasAnalysis
from poolmap.families.areas.approximation import approximate
from poolmap.families.areas.ingest import ingest
from poolmap.families.areas.marginals import _closest, _Fit, marginals
from poolmap.families.areas.mode import Mode
from poolmap.families.areas.model import map_model
from poolmap.graph.adjacency import build_graph
from poolmap.graph.geometry import read_geometry
from poolmap.graph.graph import Graph

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads((ROOT / "tests" / "models" / "areas_reference.json").read_text())
PC = {"sigma_prior": {"pc": [1, 0.01]}, "rho_prior": {"pc": [0.5, 2 / 3]}}
SIDS = {
    "family": "areas",
    "data": str(ROOT / "resources/nc_sids/counts.csv"),
    "geometry": str(ROOT / "resources/nc_sids/counties.gpkg"),
    "area": "fips",
    "name": "county",
    "outcome": {"cases": "sids_1974", "population": "births_1974"},
    "interval": 0.95,
}


def sids(**keys):
    spec = AreasAnalysis.model_validate(SIDS | keys)
    data = ingest(spec)
    data.graph = build_graph(read_geometry(spec.geometry, spec.area), spec.graph)
    return spec, data


@pytest.mark.parametrize("name", ["ncsids74", "ncsids74_nw", "ncsids74_nw_pc"])
def test_exceedance_is_that_of_stan(name):
    """20,000 draws of an independent Stan program, Monte Carlo error up to 0.0045: no probability is further
    away than 0.02, and the areas above 0.95 are the same but for those that lie within 0.02 of it."""
    spec, data = sids(
        covariates="~ nonwhite_share_1974" if "nw" in name else None,
        models={"bym2": {"prior": "bym2"} | (PC if name.endswith("pc") else {})},
    )
    model = map_model(spec, "bym2", data)
    found = marginals(model, approximate(model))
    p, drawn = found.exceedance(0.0), np.array(REFERENCE[name]["p_rr_gt_1"])
    assert np.abs(p - drawn).max() < 0.02 and abs((p - drawn).mean()) < 0.003
    sure = np.abs(drawn - 0.95) > 0.02
    assert ((p > 0.95) == (drawn > 0.95))[sure].all() and (drawn[sure] > 0.95).sum() >= 5
    assert found.mean_exp() == pytest.approx(REFERENCE[name]["rr_mean"], rel=0.015)
    for term in ("sigma", "rho"):
        assert found.mean_hyper(term) == pytest.approx(REFERENCE[name]["parameters"][term][0], rel=0.07)


def pieces():
    """Twelve areas: a ring of six with a chord, a path of three, a pair and an island, in mixed order."""
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3), (6, 7), (7, 8), (9, 10)]
    order = np.random.default_rng(2).permutation(12)
    return Graph.from_edges([f"a{i:02}" for i in range(12)], order[np.array(edges)], "pieces")


def direct_estimates(effects):
    """A Fay-Herriot model of twelve areas with one covariate, two areas without an estimate."""
    import pandas as pd

    from poolmap.contracts import Dataset
    from poolmap.tables import exclusions

    graph = pieces()
    rng = np.random.default_rng(7)
    y, x = rng.normal(0, 1, 12), rng.normal(0, 1, 12)
    y[[3, 8]] = np.nan
    areas = pd.DataFrame({"area": graph.areas, "name": graph.areas, "estimate": y})
    areas["se"] = np.where(np.isnan(y), np.nan, rng.uniform(0.2, 0.9, 12))
    covariates = pd.DataFrame({"area": graph.areas, "x": x - x.mean()})
    facts = {"overall": 0.0}
    data = Dataset({"areas": areas, "covariates": covariates}, exclusions(), facts, None, graph)
    outcome = {"outcome": {"estimate": "y", "se": "se"}}
    spec = AreasAnalysis.model_validate(
        SIDS | outcome | {"models": {"m": {"prior": effects, "alpha_prior": {"normal": [1, 2]}}}}
    )
    return map_model(spec, "m", data), data


def covariance(effects, graph, sigma, rho):
    """Of the area effects, by dense pseudo-inverses."""
    n = graph.n
    adjacency = np.zeros((n, n))
    adjacency[tuple(graph.edges.T)] = 1
    adjacency += adjacency.T
    degree = np.diag(adjacency.sum(axis=0))
    alone = graph.n_neighbours == 0
    if effects in ("leroux", "car"):
        precision = rho * (degree - adjacency) + (1 - rho) * (np.eye(n) if effects == "leroux" else degree)
        precision[alone, alone] = 1
        return sigma**2 * np.linalg.inv(precision)
    structured = np.zeros((n, n))
    for c in range(graph.n_components):
        at = np.ix_(graph.component == c, graph.component == c)
        if (graph.component == c).sum() > 1:
            inverse = np.linalg.pinv((degree - adjacency)[at])
            structured[at] = inverse / np.exp(np.log(np.diag(inverse)).mean())
    share = {"iid": 0.0, "icar": 1.0, "bym2": rho}[effects]
    whole = share * structured + (1 - share) * np.eye(n)
    whole[alone, alone] = 1
    return sigma**2 * whole


@pytest.mark.parametrize("effects", ["iid", "icar", "bym2", "leroux", "car"])
def test_normal_data_are_fitted_exactly(effects):
    """With direct estimates the posterior given sigma and rho is normal: mean and variance by dense algebra,
    and the density of sigma and rho up to a constant."""
    model, data = direct_estimates(effects)
    prior_mean = np.array([model.priors["alpha_prior"][0], model.priors["beta_prior"][0]])
    prior_sd = np.array([model.priors["alpha_prior"][1], model.priors["beta_prior"][1]])
    y, se, rows = model.observed.lower, model.observed.se, model.rows
    mode = Mode(model)
    densities = []
    for sigma, rho in ((0.4, 0.3), (1.1, 0.8)):
        hyper = np.array([np.log(sigma), np.log(rho / (1 - rho))])[: len(model.hyper_names)]
        height = mode.log_density(hyper)
        fit = _Fit(mode, hyper, mode.eta)
        _closest([fit])
        X = model.X
        prior = X @ np.diag(prior_sd**2) @ X.T + covariance(effects, data.graph, sigma, rho)
        marginal = prior[np.ix_(rows, rows)] + np.diag(se**2)
        gain = prior[:, rows] @ np.linalg.inv(marginal)
        mean = X @ prior_mean + gain @ (y - (X @ prior_mean)[rows])
        variance = np.diag(prior - gain @ prior[rows])
        assert fit.mean == pytest.approx(mean, abs=1e-6)
        assert fit.variance == pytest.approx(variance, rel=1e-6)
        exact = stats.multivariate_normal.logpdf(y, (X @ prior_mean)[rows], marginal)
        exact += stats.halfnorm.logpdf(sigma, scale=model.priors["sigma_prior"][1]) + np.log(sigma)
        if len(hyper) > 1:
            exact += stats.beta.logpdf(rho, 0.5, 0.5) + np.log(rho * (1 - rho))
        densities.append(height - exact)
    assert densities[0] == pytest.approx(densities[1], abs=1e-5)


def test_counts_of_one_area_against_quadrature():
    """Areas without neighbours and sigma known: the posterior of each is that of a Poisson-lognormal mean."""
    spec, data = sids(models={"m": {"prior": "iid", "alpha_prior": {"normal": [0, 0.01]}}})
    model = map_model(spec, "m", data)
    mode = Mode(model)
    hyper = np.array([np.log(0.5)])
    assert np.isfinite(mode.log_density(hyper))
    fit = _Fit(mode, hyper, mode.eta)
    _closest([fit])
    eta = np.linspace(-4, 3, 4001)
    log_posterior = stats.norm.logpdf(eta, 0, np.hypot(0.5, 0.01))[:, None]
    mean = np.exp(model.observed.log_exposure) * np.exp(eta)[:, None]
    log_posterior = log_posterior + stats.poisson.logpmf(model.observed.lower, mean)
    weight = np.exp(log_posterior - log_posterior.max(axis=0))
    weight /= weight.sum(axis=0)
    exact_mean = eta @ weight
    exact_sd = np.sqrt(eta**2 @ weight - exact_mean**2)
    assert fit.mean[model.rows] == pytest.approx(exact_mean, abs=0.01)
    assert np.sqrt(fit.variance[model.rows]) == pytest.approx(exact_sd, rel=0.02)
