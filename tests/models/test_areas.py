"""Disease maps: against independent posteriors, on simulated maps, on graphs in several pieces."""

import json
from pathlib import Path

import arviz
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, kstest, norm

from poolmap.config.areas import AreasAnalysis
from poolmap.config.base import Sampling
from poolmap.contracts import Dataset
from poolmap.families.areas.covariates import design_matrix
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.families.areas.ingest import ingest
from poolmap.families.areas.model import graph_data, observed_areas, stan_data
from poolmap.graph.adjacency import build_adjacency
from poolmap.graph.geometry import read_geometry
from poolmap.graph.graph import Graph
from poolmap.stan.sample import sample
from poolmap.tables import exclusions, read_table

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads(Path(__file__).with_name("areas_reference.json").read_text())
SIDS = ROOT / "resources" / "nc_sids"


@pytest.fixture(scope="session")
def programs(compiled):
    return {
        prior: Path(compiled(ROOT / f"stan/areas/{prior}.stan", [ROOT / "stan"]).exe_file)
        for prior in ("bym2", "iid")
    }


def _spec(period=1974, **keys):
    section = {
        "family": "areas",
        "data": str(SIDS / "counts.csv"),
        "geometry": str(SIDS / "counties.gpkg"),
        "area": "fips",
        "name": "county",
        "outcome": {"cases": f"sids_{period}", "population": f"births_{period}"},
        "interval": 0.95,
        "models": {"bym2": {"prior": "bym2"}, "iid": {"prior": "iid"}},
    }
    return AreasAnalysis.model_validate(section | keys)


def _sids(spec) -> Dataset:
    data = ingest(spec)
    data.graph = build_adjacency(read_geometry(spec.geometry, spec.area), spec.graph.contiguity)
    return data


def _fit(programs, spec, data, model="bym2", seed=1, draws=1000):
    values = stan_data(spec, model, data)
    sampling = Sampling(chains=4, warmup=1000, draws=draws, adapt_delta=0.9)
    executable = programs[spec.models[model].prior]
    return sample(executable, values.data, values.parameters, sampling, seed=seed, cores=2)


def _near(draws, mean, mcse):
    """Within 4 combined Monte Carlo standard errors."""
    error = np.hypot(float(arviz.mcse(draws)), mcse)
    assert abs(draws.mean() - mean) < 4 * error, (draws.mean(), mean, error)


@pytest.mark.parametrize("name", ["ncsids74", "ncsids74_nw"])
def test_bym2_against_an_independent_program(programs, name):
    reference = REFERENCE[name]
    spec = _spec(covariates="~ nonwhite_share_1974" if name.endswith("nw") else None)
    data = _sids(spec)
    fit = _fit(programs, spec, data)
    assert fit.sample_stats["diverging"].sum() == 0
    for term, (mean, mcse) in reference["parameters"].items():
        draws = fit.posterior[term].to_numpy()
        _near(draws[..., 0] if term == "beta" else draws, mean, mcse)
    rr = next(q for q in estimate(spec, "bym2", data, fit.posterior, None) if q.quantity == "rr")
    ess = reference["rr_ess_min"]
    mcse = np.array(reference["rr_sd"]) / np.sqrt(ess)
    for area in range(100):
        draws = rr.draws[:, :, area]
        _near(draws, reference["rr_mean"][area], mcse[area])
        p = reference["p_rr_gt_1"][area]
        above = draws > 1
        own = max(float(arviz.mcse(above.astype(float))), 1 / above.size) if 0 < above.mean() < 1 else 0
        error = np.hypot(own, np.sqrt(max(p * (1 - p), 1 / ess) / ess))
        assert abs(above.mean() - p) < 4 * error
    assert (rr.extra["p_rr_gt_1"].to_numpy() == (rr.draws > 1).mean(axis=(0, 1))).all()


@pytest.mark.parametrize("period", [1974, 1979])
@pytest.mark.parametrize("model", ["bym2", "iid"])
def test_reported_quantities_mix(programs, period, model):
    spec = _spec(period)
    data = _sids(spec)
    fit = _fit(programs, spec, data, model, seed=period)
    assert fit.sample_stats["diverging"].sum() == 0
    for quantity in estimate(spec, model, data, fit.posterior, None):
        for row in range(quantity.draws.shape[2]):
            draws = quantity.draws[:, :, row]
            assert float(arviz.rhat(draws)) < 1.01, quantity.quantity
            assert float(arviz.ess(draws)) > 400, quantity.quantity
            assert float(arviz.ess(draws, method="tail")) > 400, quantity.quantity


def test_log_likelihood_and_replicates(programs):
    from scipy.stats import poisson

    spec = _spec()
    data = _sids(spec)
    fit = _fit(programs, spec, data, draws=100)
    told = predictive(spec, "bym2", data, fit.posterior, np.random.default_rng(1))
    post = fit.posterior
    mean = np.exp(post["re"].to_numpy() + post["alpha"].to_numpy()[..., None])
    mean = mean * data.tables["areas"]["expected"].to_numpy()
    assert told.log_lik == pytest.approx(poisson.logpmf(told.observed, mean))
    z = (told.replicated - mean) / np.sqrt(mean)
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and abs(z.var() - 1) < 0.1


# A 6 x 6 lattice, a lattice of 3 x 2, a pair and an island.
def _pieces() -> Graph:
    def lattice(rows, columns, start):
        number = start + np.arange(rows * columns).reshape(rows, columns)
        across = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
        down = np.column_stack([number[:-1].ravel(), number[1:].ravel()])
        return np.concatenate([across, down])

    edges = np.concatenate([lattice(6, 6, 0), lattice(3, 2, 36), [[42, 43]]])
    order = np.random.default_rng(3).permutation(45)
    return Graph.from_edges([f"a{i:02}" for i in range(45)], order[edges], "rook")


def _structured_covariance(graph: Graph) -> np.ndarray:
    """Covariance of phi, from the pseudo-inverse of each component's Laplacian, scaled."""
    covariance = np.zeros((graph.n, graph.n))
    laplacian = np.zeros((graph.n, graph.n))
    for i, j in graph.edges:
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    for c in range(graph.n_components):
        nodes = np.flatnonzero(graph.component == c)
        at = np.ix_(nodes, nodes)
        if len(nodes) == 1:
            covariance[at] = np.nan
            continue
        inverse = np.linalg.pinv(laplacian[at])
        covariance[at] = inverse / np.exp(np.log(np.diag(inverse)).mean())
    return covariance


def test_the_prior_on_several_components_and_an_island(programs):
    """Without counts re is drawn from its prior: whitened with the covariance worked out independently it is
    standard normal, its structured part sums to zero in each component, the island has the whole variance."""
    graph = _pieces()
    n = graph.n
    values = graph_data(graph) | {
        "N": n,
        "N_observed": 0,
        "observed": [],
        "cases": [],
        "log_expected": [],
        "K": 0,
        "X": np.empty((n, 0)),
    }
    model = _spec(
        models={"bym2": {"sigma_prior": {"half_normal": 0.5}, "rho_prior": {"beta": [4, 4]}}}
    ).models["bym2"]
    for name in ("alpha", "beta", "sigma", "rho"):
        values |= getattr(model, f"{name}_prior").stan_data(name)
    fit = sample(
        programs["bym2"], values, ["sigma", "rho", "re"], Sampling(adapt_delta=0.95), seed=4, cores=2
    )
    post = fit.posterior.isel(draw=slice(None, None, 4))
    re = post["re"].to_numpy().reshape(-1, n)
    sigma, rho = post["sigma"].to_numpy().ravel(), post["rho"].to_numpy().ravel()
    covariance = _structured_covariance(graph)
    island = np.flatnonzero(graph.n_neighbours == 0)
    assert len(island) == 1
    whole = re[:, island[0]] / sigma
    assert kstest(whole, norm.cdf).pvalue > 0.001
    for c in range(graph.n_components - 1):
        nodes = np.flatnonzero(graph.component == c)
        # the mean of a component holds nothing structured
        mean = re[:, nodes].mean(axis=1) * np.sqrt(len(nodes)) / (sigma * np.sqrt(1 - rho))
        assert kstest(mean, norm.cdf).pvalue > 0.001
        part = covariance[np.ix_(nodes, nodes)]
        assert part.sum() == pytest.approx(0, abs=1e-9)
        eye = np.eye(len(nodes))
        white = np.stack(
            [
                np.linalg.solve(np.linalg.cholesky((1 - r) * eye + r * part), x) / s
                for r, s, x in zip(rho, sigma, re[:, nodes], strict=True)
            ]
        )
        assert kstest(white.ravel(), norm.cdf).pvalue > 0.001
        assert kstest((white**2).sum(axis=1), "chi2", args=(len(nodes),)).pvalue > 0.001


def _simulated(graph: Graph, rng, *, sigma=0.5, rho=0.7, expected=(3, 40)):
    from shapely.geometry import box

    n = graph.n
    covariance = np.nan_to_num(_structured_covariance(graph), nan=1.0)
    covariance = sigma**2 * ((1 - rho) * np.eye(n) + rho * covariance)
    log_rr = rng.multivariate_normal(np.zeros(n), covariance)
    e = rng.uniform(*expected, n)
    areas = pd.DataFrame({"area": graph.areas, "name": graph.areas, "expected": e, "population": np.nan})
    areas["cases"] = rng.poisson(e * np.exp(log_rr)).astype(float)
    areas["sir"] = areas["cases"] / e
    geometry = gpd.GeoDataFrame(
        {"area": list(graph.areas)}, geometry=[box(i, 0, i + 1, 1) for i in range(n)], crs="EPSG:3857"
    )
    data = Dataset({"areas": areas, "covariates": areas[["area"]].copy()}, exclusions(), {}, geometry, graph)
    return data, np.exp(log_rr)


def test_true_risks_are_covered(programs):
    """8 simulated maps of 45 areas: the 90% intervals hold the true relative risk as often as they say.

    Effects within a map are correlated; the bounds are those of a binomial of half as many areas."""
    graph = _pieces()
    spec = _spec(interval=0.9)
    rng = np.random.default_rng(20261120)
    held, total = 0, 0
    for map_number in range(8):
        data, truth = _simulated(graph, rng)
        if map_number == 0:
            data.tables["areas"].loc[[0, 5], ["cases", "sir"]] = np.nan
            assert len(observed_areas(data)) == 43
        fit = _fit(programs, spec, data, seed=map_number + 1, draws=500)
        assert fit.sample_stats["diverging"].sum() <= 2
        rr = estimate(spec, "bym2", data, fit.posterior, None)[0].draws.reshape(-1, graph.n)
        lower, upper = np.quantile(rr, [0.05, 0.95], axis=0)
        held += int(((truth > lower) & (truth < upper)).sum())
        total += graph.n
    low, high = binom.ppf([0.001, 0.999], total // 2, 0.9) / (total // 2)
    assert low <= held / total <= high


def test_large_counts_mix_as_well(programs):
    """Where thousands are expected in each area, effects are all but known and sampled centred."""
    spec = _spec()
    data, truth = _simulated(_pieces(), np.random.default_rng(7), expected=(2000, 20000))
    for model in ("bym2", "iid"):
        fit = _fit(programs, spec, data, model)
        assert fit.sample_stats["diverging"].sum() == 0
        for name in ("alpha", "sigma"):
            draws = fit.posterior[name].to_numpy()
            assert float(arviz.ess(draws)) > 400 and float(arviz.rhat(draws)) < 1.01
        rr = estimate(spec, model, data, fit.posterior, None)[0].draws
        assert rr.mean(axis=(0, 1)) == pytest.approx(truth, rel=0.1)


def test_the_covariate_of_the_reference_is_centred_but_not_scaled():
    table = read_table(SIDS / "counts.csv")
    design = design_matrix(table, "~ nonwhite_share_1974", table.frame.index.to_series())
    assert design.mean().item() == pytest.approx(0, abs=1e-12)
    share = table.numbers("nonwhite_share_1974")
    assert np.ptp(design.to_numpy()) == pytest.approx(np.ptp(share))
