"""Disease maps: against independent posteriors, on simulated maps, on graphs in several pieces."""

import json
from pathlib import Path

import arviz
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import binom, halfnorm, kstest, norm, poisson

from poolmap.config.areas import AreasAnalysis
from poolmap.config.base import Sampling
from poolmap.config.graph import GraphSpec
from poolmap.contracts import Dataset
from poolmap.families.areas.arrays import MapModel
from poolmap.families.areas.covariates import design_matrix
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.families.areas.ingest import ingest
from poolmap.families.areas.likelihoods import Observed
from poolmap.families.areas.model import acceptance, field, observed_areas, program_data, stan_data
from poolmap.graph.adjacency import build_graph
from poolmap.graph.geometry import read_geometry
from poolmap.graph.graph import Graph
from poolmap.inference.fit import brief
from poolmap.inference.fit import fit as fit_and_check
from poolmap.inference.predictive import leave_one_out
from poolmap.stan.sample import sample
from poolmap.tables import exclusions, read_table

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads(Path(__file__).with_name("areas_reference.json").read_text())
SIDS = ROOT / "resources" / "nc_sids"


@pytest.fixture(scope="session")
def program(compiled):
    return Path(compiled(ROOT / "stan/areas/areas.stan", [ROOT / "stan"]).exe_file)


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
    data.graph = build_graph(read_geometry(spec.geometry, spec.area), spec.graph)
    return data


def _sample(program, values, parameters, seed=1, draws=1000):
    settings = brief(Sampling(chains=4, draws=draws), acceptance(len(values["X"])))
    return sample(program, values, parameters, settings, seed=seed, cores=2, whitened=True)


def _fit(program, spec, data, model="bym2", seed=1, draws=1000):
    values = stan_data(spec, model, data)
    return _sample(program, values.data, values.parameters, seed, draws)


def _near(draws, mean, mcse):
    """Within 4 combined Monte Carlo standard errors."""
    error = np.hypot(float(arviz.mcse(draws)), mcse)
    assert abs(draws.mean() - mean) < 4 * error, (draws.mean(), mean, error)


PC = {"sigma_prior": {"pc": [1, 0.01]}, "rho_prior": {"pc": [0.5, 2 / 3]}}


def _agrees(reference, spec, data, fit):
    """Parameters, relative risks and exceedance probabilities, each within 4 combined Monte Carlo errors."""
    assert fit.sample_stats["diverging"].sum() == 0
    for term, (mean, mcse) in reference["parameters"].items():
        name, _, number = term.partition(".")
        draws = fit.posterior[name].to_numpy()
        _near(draws[..., int(number) - 1] if number else draws.reshape(4, -1), mean, mcse)
    rr = next(q for q in estimate(spec, "bym2", data, fit.posterior, None) if q.quantity == "rr")
    assert rr.draws.shape[2] == len(reference["rr_mean"])
    ess = reference["rr_ess_min"]
    mcse = np.array(reference["rr_sd"]) / np.sqrt(ess)
    for area in range(rr.draws.shape[2]):
        draws = rr.draws[:, :, area]
        _near(draws, reference["rr_mean"][area], mcse[area])
        p = reference["p_rr_gt_1"][area]
        above = draws > 1
        own = float(arviz.mcse(above.astype(float))) if 0 < above.mean() < 1 else 0.0
        # of a rare event few draws tell its own error: that of as many independent draws at least
        own = max(own, np.sqrt(max(p * (1 - p), 1 / above.size) / above.size))
        error = np.hypot(own, np.sqrt(max(p * (1 - p), 1 / ess) / ess))
        assert abs(above.mean() - p) < 4 * error
    assert (rr.extra["p_rr_gt_1"].to_numpy() == (rr.draws > 1).mean(axis=(0, 1))).all()


@pytest.mark.parametrize("name", ["ncsids74", "ncsids74_nw", "ncsids74_nw_pc"])
def test_bym2_against_an_independent_program(program, name):
    priors = PC if name.endswith("pc") else {}
    spec = _spec(
        covariates="~ nonwhite_share_1974" if "nw" in name else None,
        models={"bym2": {"prior": "bym2"} | priors},
    )
    data = _sids(spec)
    _agrees(REFERENCE[name], spec, data, _fit(program, spec, data))


def _example(name, table, geometry, area, cases, expected, covariates=(), tolerance=0.0, exact=False):
    """A map that comes with libpysal: counts joined to polygons, covariates centred."""
    import libpysal

    files = {Path(file).name: file for file in libpysal.examples.load_example(name).get_file_list()}
    polygons = gpd.read_file(files[geometry])
    counts = pd.read_csv(files[table]) if table else polygons.drop(columns="geometry")
    assert len(counts) == len(polygons)
    ids = polygons[area].astype(str)
    areas = pd.DataFrame({"area": ids, "name": ids, "population": np.nan})
    areas["cases"] = counts[cases].to_numpy(dtype=float)
    areas["expected"] = expected(counts)
    areas["sir"] = areas["cases"] / areas["expected"]
    design = counts[list(covariates)] - counts[list(covariates)].mean()
    design.insert(0, "area", ids.to_numpy())
    # In the reference, polygons that touch without a common vertex are no neighbours.
    rule = GraphSpec(match="vertices") if exact else GraphSpec(tolerance=tolerance)
    graph = build_graph(read_geometry(files[geometry], area), rule).subset(ids.tolist())
    return Dataset({"areas": areas, "covariates": design}, exclusions(), {}, polygons, graph)


TOKYO = (
    "tokyo",
    "Tokyomortality.csv",
    "tokyomet262.shp",
    "AreaID",
    "db2564",
    lambda t: t["eb2564"].to_numpy(),
)


@pytest.mark.parametrize("name", [name for name in REFERENCE if name.startswith("tokyo")])
def test_tokyo_against_an_independent_program(program, name):
    """262 areas, 10 invalid polygons: 23 components where only shared vertices count, one with a tolerance of
    a metre; the share rho that is structured is 0.52 on the one, 0.97 on the other."""
    covariates = () if "null" in name else ("OCC_TEC", "OWNH", "POP65", "UNEMP")
    broken = "broken" in name
    data = _example(*TOKYO, covariates, tolerance=1.0, exact=broken)
    assert (len(data.graph.edges), data.graph.n_components) == ((473, 23) if broken else (695, 1))
    spec = _spec(models={"bym2": {"prior": "bym2"} | (PC if name.endswith("pc") else {})})
    _agrees(REFERENCE[name], spec, data, _fit(program, spec, data))


def test_st_louis_against_an_independent_program(program):
    def expected(table):
        people = table["PO8893"].to_numpy(dtype=float)
        return people * table["HC8893"].sum() / people.sum()

    data = _example("stl", None, "stl_hom.shp", "FIPSNO", "HC8893", expected)
    spec = _spec()
    _agrees(REFERENCE["stl8893"], spec, data, _fit(program, spec, data))


@pytest.mark.parametrize("period", [1974, 1979])
@pytest.mark.parametrize("model", ["bym2", "iid"])
def test_reported_quantities_mix(program, period, model):
    spec = _spec(period)
    data = _sids(spec)
    fit = _fit(program, spec, data, model, seed=period)
    assert fit.sample_stats["diverging"].sum() == 0
    for quantity in estimate(spec, model, data, fit.posterior, None):
        for row in range(quantity.draws.shape[2]):
            draws = quantity.draws[:, :, row]
            assert float(arviz.rhat(draws)) < 1.01, quantity.quantity
            assert float(arviz.ess(draws)) > 400, quantity.quantity
            assert float(arviz.ess(draws, method="tail")) > 400, quantity.quantity


def _mean(data, post):
    """Expected cases (chain, draw, area)."""
    rr = np.exp(post["re"].to_numpy() + post["alpha"].to_numpy()[..., None])
    return rr * data.tables["areas"]["expected"].to_numpy()


def test_replicates(program):
    spec = _spec()
    data = _sids(spec)
    fit = _fit(program, spec, data, draws=100)
    told = predictive(spec, "bym2", data, fit.posterior, np.random.default_rng(1))
    mean = _mean(data, fit.posterior)
    z = (told.replicated - mean) / np.sqrt(mean)
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and abs(z.var() - 1) < 0.1


@pytest.mark.parametrize("model", ["bym2", "iid"])
def test_leave_one_out_is_what_a_fit_without_the_area_says(program, model):
    spec = _spec()
    data = _sids(spec)
    told = predictive(spec, model, data, _fit(program, spec, data, model).posterior, np.random.default_rng(1))
    loo = leave_one_out(told)
    assert loo["n_high_k"] == 0
    # the areas that surprise most, but for the first, which lies beyond the draws of a fit without it
    for i in np.argsort(loo["elpd"])[1:4]:
        without = _sids(spec)
        cases = without.tables["areas"]["cases"].astype(float)
        without.tables["areas"]["cases"] = cases.where(cases.index != i)
        mean = _mean(without, _fit(program, spec, without, model, seed=2).posterior)[:, :, i]
        density = poisson.pmf(cases[i], mean)
        weights = np.exp(-told.log_lik[:, :, i])
        error = np.hypot(*(float(arviz.mcse(x)) / x.mean() for x in (density, weights)))
        assert abs(np.log(density.mean()) - loo["elpd"][i]) < 4 * error
        assert error < 0.1


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


def _covariance(effects: str, graph: Graph, nodes: np.ndarray, rho: float) -> np.ndarray:
    """Covariance of the effects of a component over sigma^2, worked out densely."""
    at, eye = np.ix_(nodes, nodes), np.eye(len(nodes))
    adjacency = np.zeros((graph.n, graph.n))
    adjacency[tuple(graph.edges.T)] = 1
    adjacency = (adjacency + adjacency.T)[at]
    degree = np.diag(adjacency.sum(axis=0))
    if len(nodes) == 1 or effects == "iid":
        return eye
    if effects == "leroux":
        return np.linalg.inv(rho * (degree - adjacency) + (1 - rho) * eye)
    if effects == "car":
        return np.linalg.inv(degree - rho * adjacency)
    structured = _structured_covariance(graph)[at]
    return structured if effects == "icar" else (1 - rho) * eye + rho * structured


@pytest.mark.parametrize("effects", ["iid", "icar", "bym2", "leroux", "car"])
def test_the_prior_on_several_components_and_an_island(program, effects):
    """Without counts re is drawn from its prior: whitened with a covariance worked out independently it is
    standard normal in each component, and the sum of an intrinsic field is zero."""
    graph = _pieces()
    given = {"sigma_prior": {"half_normal": 0.5}, "rho_prior": {"beta": [4, 4]}}
    given |= {"alpha_prior": {"normal": [0, 5]}, "beta_prior": {"normal": [0, 5]}}
    chosen = _spec(models={"m": {"prior": effects} | given}).models["m"]
    priors = {}
    for name in ("alpha", "beta", "sigma", "rho"):
        priors |= getattr(chosen, f"{name}_prior").stan_data(name)
    for name in ("dispersion", "zero"):
        priors |= chosen.rho_prior.stan_data(name)
    none = np.empty(0)
    nothing = Observed("poisson", none, none, none, none, none)
    model = MapModel(effects, field(chosen, graph), np.ones((graph.n, 1)), np.empty(0, int), nothing, priors)
    kept = ["alpha", "sigma", "re"] + (["rho"] if "rho" in model.hyper_names else [])
    fit = _sample(program, program_data(model), kept, seed=4, draws=2000)
    assert fit.sample_stats["diverging"].sum() == 0
    post = fit.posterior.isel(draw=slice(None, None, 4))
    re = post["re"].to_numpy().reshape(-1, graph.n)
    sigma = post["sigma"].to_numpy().ravel()
    rho = post["rho"].to_numpy().ravel() if "rho" in post else np.zeros(len(sigma))
    assert kstest(sigma, halfnorm(scale=0.5).cdf).pvalue > 0.001
    assert kstest(post["alpha"].to_numpy().ravel(), norm(0, 5).cdf).pvalue > 0.001
    if "rho" in post:
        assert kstest(rho, beta_distribution(4, 4).cdf).pvalue > 0.001
    for c in range(graph.n_components):
        nodes = np.flatnonzero(graph.component == c)
        alone = len(nodes) == 1
        white = []
        for r, s, x in zip(rho, sigma, re[:, nodes], strict=True):
            covariance = _covariance(effects, graph, nodes, r)
            values, vectors = np.linalg.eigh(covariance)
            identified = values > 1e-9
            assert identified.sum() == len(nodes) - (effects == "icar" and not alone)
            white.append(vectors[:, identified].T @ x / np.sqrt(values[identified]) / s)
            if effects == "icar" and not alone:
                assert x.sum() == pytest.approx(0, abs=1e-9)
        white = np.array(white)
        assert kstest(white.ravel(), norm.cdf).pvalue > 0.001
        assert kstest((white**2).sum(axis=1), "chi2", args=(white.shape[1],)).pvalue > 0.001


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


def test_true_risks_are_covered(program):
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
        fit = _fit(program, spec, data, seed=map_number + 1, draws=500)
        assert fit.sample_stats["diverging"].sum() <= 2
        rr = estimate(spec, "bym2", data, fit.posterior, None)[0].draws.reshape(-1, graph.n)
        lower, upper = np.quantile(rr, [0.05, 0.95], axis=0)
        held += int(((truth > lower) & (truth < upper)).sum())
        total += graph.n
    low, high = binom.ppf([0.001, 0.999], total // 2, 0.9) / (total // 2)
    assert low <= held / total <= high


def test_large_counts_mix_as_well(program):
    """Where thousands are expected in each area, effects are all but known and sampled centred."""
    spec = _spec()
    data, truth = _simulated(_pieces(), np.random.default_rng(7), expected=(2000, 20000))
    for model in ("bym2", "iid"):
        # as a user gets it: of bym2's first attempts one draw in 16,000 diverges, and is sampled again
        found = fit_and_check(
            program,
            stan_data(spec, model, data),
            lambda posterior, rng, model=model: estimate(spec, model, data, posterior, rng),
            Sampling(chains=4, draws=1000),
            seed=1,
            cores=2,
        )
        assert found.verdict["passed"], found.verdict["checks"]
        assert found.draws.sample_stats["diverging"].sum() == 0
        posterior = found.draws.posterior
        for name in ("alpha", "sigma"):
            draws = posterior[name].to_numpy()
            assert float(arviz.ess(draws)) > 400 and float(arviz.rhat(draws)) < 1.01
        rr = estimate(spec, model, data, posterior, None)[0].draws
        assert rr.mean(axis=(0, 1)) == pytest.approx(truth, rel=0.1)


def test_the_covariate_of_the_reference_is_centred_but_not_scaled():
    table = read_table(SIDS / "counts.csv")
    lines = table.frame.index.to_series()
    design = design_matrix(table, "~ nonwhite_share_1974", lines, table.frame["fips"].tolist())
    assert design.mean().item() == pytest.approx(0, abs=1e-12)
    share = table.numbers("nonwhite_share_1974")
    assert np.ptp(design.to_numpy()) == pytest.approx(np.ptp(share))
