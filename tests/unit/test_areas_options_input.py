"""Region effects, covariates with errors and component intercepts: config, input, approximation and words."""

import geopandas as gpd
import numpy as np
import pytest
import xarray
from pydantic import ValidationError
from scipy import stats
from shapely.geometry import box
from test_areas_marginals import covariance, direct_estimates

from poolmap.config.areas import AreasAnalysis
from poolmap.contracts import Equation, ModelResult, ReportTable
from poolmap.errors import InputError
from poolmap.families.areas.approximation import approximate, calibrated, of_measured
from poolmap.families.areas.arrays import MapModel, MeasuredCovariate
from poolmap.families.areas.certificate import certificate
from poolmap.families.areas.components import component_intercepts
from poolmap.families.areas.estimate import estimate, predictive
from poolmap.families.areas.ingest import ingest
from poolmap.families.areas.marginals import _closest, _Fit, marginals
from poolmap.families.areas.methods import describe, findings, methods
from poolmap.families.areas.mode import Mode
from poolmap.families.areas.model import map_model, stan_data
from poolmap.graph.graph import Graph
from poolmap.inference.predictive import predictive_statistics, summarise_predictive
from poolmap.inference.summary import dictionary, summarise

HEADER = "id,cases,pop,x,z,u,x_se,region"
ROWS = [
    "a,3,100,1.0,5,yes,0.2,north",
    "b,5,200,2.5,3,no,0,north",
    "c,0,50,0.5,4,no,0.3,south",
    "d,4,120,1.5,9,yes,0.1,south",
    "e,7,180,3.5,2,no,0.4,south",
]
OPTIONS = {"regions": "region", "covariate_errors": {"x": "x_se"}}


def _spec(tmp_path=None, model=OPTIONS, **keys):
    folder = tmp_path or "."
    section = {
        "family": "areas",
        "data": f"{folder}/counts.csv",
        "geometry": f"{folder}/map.gpkg",
        "area": "id",
        "interval": 0.95,
        "outcome": {"cases": "cases", "population": "pop"},
        "covariates": "~ scale(x) + z",
        "models": {"m": model},
    }
    return AreasAnalysis.model_validate(section | keys)


def _ingest(tmp_path, rows=ROWS, header=HEADER, **keys):
    (tmp_path / "counts.csv").write_text("\n".join([header, *rows]) + "\n")
    shapes = [box(i, 0, i + 1, 1) for i in range(5)]
    gpd.GeoDataFrame({"id": list("edcba")}, geometry=shapes, crs="EPSG:3857").to_file(tmp_path / "map.gpkg")
    return ingest(_spec(tmp_path, **keys))


def _message(*args, **keys):
    with pytest.raises(InputError) as caught:
        _ingest(*args, **keys)
    return str(caught.value)


def test_regions_and_standard_errors_in_the_order_of_the_polygons(tmp_path):
    data = _ingest(tmp_path)
    assert data.tables["regions"]["region"].tolist() == ["south"] * 3 + ["north"] * 2
    x = np.array([3.5, 1.5, 0.5, 2.5, 1.0])
    per_unit = np.ptp(data.tables["covariates"]["scale(x)"]) / np.ptp(x)
    se = data.tables["covariate_errors"]["x_se"].to_numpy()
    assert se == pytest.approx(np.array([0.4, 0.1, 0.3, 0, 0.2]) * per_unit)
    assert data.facts["measured"] == {"x": "scale(x)"}
    assert per_unit == pytest.approx(1 / x.std(ddof=0), rel=1e-9) or per_unit == pytest.approx(
        1 / x.std(ddof=1), rel=1e-9
    )


def test_what_ingest_reads_of_the_models():
    spec = _spec(model={"likelihood": "binomial"} | OPTIONS)
    seen = AreasAnalysis.model_validate(spec.view("ingest"))
    assert (seen.region_columns, seen.measured_columns) == (["region"], [("x", "x_se")])
    assert seen.scale == "prevalence"
    named = {".".join(place): column for place, _, column in spec.column_references()}
    assert named["models.m.regions"] == "region" and named["models.m.covariate_errors.x"] == "x_se"
    # a model's other options are no reason to read the tables again
    other = _spec(model={"likelihood": "binomial", "component_intercepts": True} | OPTIONS)
    assert other.view("ingest") == spec.view("ingest")
    assert "models" not in _spec(model={}).view("ingest")


@pytest.mark.parametrize(
    ("keys", "says", "at"),
    [
        ({"model": {"sigma_region_prior": {"half_normal": 1}}}, "goes with 'regions'", "sigma_region_prior"),
        ({"covariates": None}, "there is no covariate", "models.m.covariate_errors"),
    ],
)
def test_options_that_do_not_go_together(keys, says, at):
    with pytest.raises(ValidationError) as caught:
        _spec(**keys)
    error = caught.value.errors()[0]
    assert says in error["msg"] and error["ctx"]["at"] == at


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [r.replace("south", "north") for r in rows], "all areas are in one region"),
        (
            lambda rows: [f"{r.rsplit(',', 1)[0]},{k}" for k, r in enumerate(rows)],
            "each area is a region of its own",
        ),
        (
            lambda rows: [rows[0].replace("north", ""), *rows[1:]],
            "line 2, column 'region': the region is empty",
        ),
        (lambda rows: [rows[0].replace("0.2", ""), *rows[1:]], "missing in 1 area(s): a"),
        (lambda rows: [rows[0].replace("0.2", "-0.2"), *rows[1:]], "line 2, column 'x_se'"),
        (
            lambda rows: [",".join([*r.split(",")[:6], "0", r.split(",")[7]]) for r in rows],
            "all standard errors are 0",
        ),
    ],
)
def test_bad_values(tmp_path, change, says):
    assert says in _message(tmp_path, change(ROWS))


@pytest.mark.parametrize(
    "formula", ["~ log(x) + z", "~ x + x:z", "~ x*z", "~ x + scale(x)", "~ poly(x, 2)", "~ bs(x, df=4)"]
)
def test_a_covariate_with_errors_stands_by_itself(tmp_path, formula):
    text = _message(tmp_path, covariates=formula)
    assert "'x' has errors and does not stand by itself in the formula" in text
    assert "write it once, as x or scale(x)" in text


def test_further_mistakes(tmp_path):
    assert "names 'x', which the formula '~ z' does not have" in _message(tmp_path, covariates="~ z")
    keys = {"covariates": "~ x + u", "model": {"covariate_errors": {"u": "x_se"}}}
    assert "'u' has errors and is no column of numbers" in _message(tmp_path, **keys)
    text = _message(tmp_path, model={"regions": "regoin", "covariate_errors": {"x": "se_x"}})
    assert "no column 'regoin' (asked for by 'regions')" in text and "did you mean 'region'?" in text
    assert "no column 'se_x' (asked for by 'covariate_errors')" in text
    strata = {"cases": "cases", "population": "pop", "strata": ["age"]}
    rows = [f"{row},{age}" for row in ROWS for age in ("young", "old")]
    rows[1] = rows[1].replace("north", "south").replace("0.2", "0.3")
    text = _message(tmp_path, rows, f"{HEADER},age", outcome=strata)
    for column in ("region", "x_se"):
        assert f"column '{column}': area 'a' has different values in its rows" in text


def test_which_components_have_intercepts():
    """A path of three, a pair, a pair without data and an island."""
    graph = Graph.from_edges("abcdefgh", [(0, 1), (1, 2), (3, 4), (5, 6)], "made")
    found = component_intercepts(graph, np.array([0, 2, 3, 7]))
    assert found.several and found.component.tolist() == [0, 1]
    assert found.weight == pytest.approx([0.6, 0.4])
    assert found.X.tolist() == [[1, 0]] * 3 + [[0, 1]] * 2 + [[0.6, 0.4]] * 3
    assert not component_intercepts(graph, np.array([0, 1])).several


def test_component_intercepts_that_cannot_be(tmp_path):
    data = _ingest(tmp_path)
    spec = _spec(tmp_path, {"prior": "iid", "component_intercepts": True})
    for edges, says in (
        ([(0, 1), (1, 2), (2, 3)], "one component of at least two areas with data"),
        ([(0, 1), (2, 3), (3, 4)], "the same within each component"),
    ):
        data.graph = Graph.from_edges("edcba", edges, "made")
        data.tables["covariates"]["z"] = [3.0, 3, -2, -2, -2]
        with pytest.raises(InputError) as caught:
            stan_data(spec, "m", data)
        assert says in str(caught.value) and "models.m.component_intercepts" in str(caught.value)


def _with_options(effects):
    """The Fay-Herriot model of `test_areas_marginals` with three regions, own intercepts and known noise."""
    model, data = direct_estimates(effects)
    intercepts = component_intercepts(data.graph, model.rows)
    noise = np.linspace(0, 0.4, 12)
    X = np.column_stack([intercepts.X, model.X[:, 1:]])
    priors = model.priors | {"sigma_region_prior_family": 1, "sigma_region_prior": [0, 1.0, 0]}
    region = np.arange(12) % 3
    rest = (model.rows, model.observed, priors, intercepts.weight, region, (), noise)
    return MapModel(effects, model.field, X, *rest), data


@pytest.mark.parametrize("effects", ["iid", "icar", "bym2", "leroux", "car"])
def test_normal_data_are_fitted_exactly(effects):
    """As without options: the posterior given the standard deviations by dense algebra."""
    model, data = _with_options(effects)
    assert model.hyper_names[-1] == "sigma_region"
    y, se, rows, X = model.observed.lower, model.observed.se, model.rows, model.X
    A = len(model.intercepts)
    of = [model.priors["alpha_prior"]] * A + [model.priors["beta_prior"]]
    prior_mean, prior_sd = np.array([p[0] for p in of]), np.array([p[1] for p in of])
    same = (model.region[:, None] == model.region).astype(float)
    mode, densities = Mode(model), []
    for sigma, rho, of_region in ((0.4, 0.3, 0.2), (1.1, 0.8, 0.9)):
        shares = [np.log(rho / (1 - rho))] if "rho" in model.hyper_names else []
        hyper = np.array([np.log(sigma), *shares, np.log(of_region)])
        height = mode.log_density(hyper)
        fit = _Fit(mode, hyper, mode.eta)
        _closest([fit])
        prior = X @ np.diag(prior_sd**2) @ X.T + of_region**2 * same + np.diag(model.noise)
        prior += covariance(effects, data.graph, sigma, rho)
        marginal = prior[np.ix_(rows, rows)] + np.diag(se**2)
        gain = prior[:, rows] @ np.linalg.inv(marginal)
        assert fit.mean == pytest.approx(X @ prior_mean + gain @ (y - (X @ prior_mean)[rows]), abs=1e-6)
        assert fit.variance == pytest.approx(np.diag(prior - gain @ prior[rows]), rel=1e-6)
        exact = stats.multivariate_normal.logpdf(y, (X @ prior_mean)[rows], marginal)
        exact += stats.halfnorm.logpdf(sigma, scale=model.priors["sigma_prior"][1]) + np.log(sigma)
        exact += stats.halfnorm.logpdf(of_region) + np.log(of_region)
        if shares:
            exact += stats.beta.logpdf(rho, 0.5, 0.5) + np.log(rho * (1 - rho))
        densities.append(height - exact)
    assert densities[0] == pytest.approx(densities[1], abs=1e-5)


def test_a_covariate_with_errors_is_calibrated():
    """mu_x and sigma_x from the observed values by quadrature; the covariate at its conditional mean."""
    model, _ = direct_estimates("iid")
    se = np.linspace(0, 1.2, 12)
    measured = MeasuredCovariate(1, se, 2.0)
    at, scale = of_measured(model, measured)
    mu, log_sigma = np.meshgrid(np.linspace(-3, 3, 201), np.linspace(-6, 2, 401), indexing="ij")
    variance = np.exp(2 * log_sigma)[..., None] + se**2
    height = stats.norm.logpdf(model.X[:, 1], mu[..., None], np.sqrt(variance)).sum(axis=-1)
    height += stats.norm.logpdf(mu, 0, 2) + stats.norm.logpdf(np.exp(log_sigma), 0, 2) + log_sigma
    weight = np.exp(height - height.max())
    weight /= weight.sum()
    mean = np.array([(weight * mu).sum(), (weight * log_sigma).sum()])
    sd = np.sqrt([(weight * (mu - mean[0]) ** 2).sum(), (weight * (log_sigma - mean[1]) ** 2).sum()])
    assert np.abs(at - mean) == pytest.approx([0, 0], abs=0.3 * sd.max())
    assert np.sqrt(np.diag(scale @ scale.T)) == pytest.approx(sd, rel=0.3)
    x, sigma2 = model.X[:, 1], np.exp(2 * at[1])
    assert measured.given(x, at[0], np.exp(at[1]))[0] == pytest.approx(
        at[0] + sigma2 / (sigma2 + se**2) * (x - at[0])
    )
    rest = (model.rows, model.observed, model.priors, np.ones(1), None, (measured,))
    found = calibrated(MapModel("iid", model.field, model.X, *rest))
    assert found.X[0, 1] == x[0] and found.noise[0] == 0 and (found.noise[1:] > 0).all()
    assert not found.measured
    assert np.isfinite(marginals(MapModel("iid", model.field, model.X, *rest), approximate(found)).mean).all()


def _draws(data, rng):
    shape = (2, 60)

    def of(*last, middle=0.0, scale=0.2):
        return rng.normal(middle, scale, (*shape, *last))

    both = of(4)
    values = {
        "alpha": both[..., :2] @ [0.6, 0.4],
        "beta_all": both,
        "beta": both[..., 2:],
        "sigma": np.abs(of()),
        "rho": rng.uniform(size=(*shape, 1)),
        "sigma_region": np.abs(of(1)),
        "region_effect": of(2),
        "mu_x": of(1),
        "sigma_x": np.abs(of(1, middle=1.0)),
        "from_measured": of(5),
        "re": of(5),
    }
    return xarray.Dataset(
        {
            name: (("chain", "draw", *([f"{name}_i"] if value.ndim == 3 else [])), value)
            for name, value in values.items()
        }
    )


def test_from_draws_to_words(tmp_path):
    options = OPTIONS | {"component_intercepts": True}
    data = _ingest(tmp_path, model=options)
    data.graph = Graph.from_edges("edcba", [(0, 1), (1, 2), (3, 4)], "made")
    spec = _spec(tmp_path, options)
    wanted = stan_data(spec, "m", data).parameters
    draws = _draws(data, np.random.default_rng(1))
    assert set(wanted) == set(draws.data_vars)
    quantities = estimate(spec, "m", data, draws, None)
    found = {(q.table, q.quantity): q for q in quantities}
    own = np.array([0, 0, 0, 1, 1])
    eta = draws["beta_all"].to_numpy()[..., own] + draws["from_measured"].to_numpy() + draws["re"].to_numpy()
    eta = eta + draws["beta"].to_numpy() @ data.tables["covariates"].iloc[:, 1:].to_numpy().T
    eta = eta + draws["region_effect"].to_numpy()[..., [1, 1, 1, 0, 0]]  # north, south
    assert found["areas", "log_rr"].draws == pytest.approx(eta)
    effects = found["region_effects", "rate_ratio"]
    assert effects.keys["region"].tolist() == ["north", "south"]
    assert effects.extra["n_areas"].tolist() == [2, 3]
    assert effects.draws == pytest.approx(np.exp(draws["region_effect"].to_numpy()))
    se = data.tables["covariate_errors"]["x_se"].to_numpy()
    sigma = draws["sigma_x"].to_numpy()
    assert found["parameters", "reliability"].draws == pytest.approx(sigma**2 / (sigma**2 + np.mean(se**2)))
    names = ["component 1 (e and 2 others)", "component 2 (b and 1 other)"]
    assert found["parameters", "component_intercept"].keys["term"].tolist() == names

    told = predictive(spec, "m", data, draws, np.random.default_rng(1))
    tables = summarise(quantities, 0.95)
    result = ModelResult(
        "m", tables, dictionary(quantities, 0.95), {"passed": True}, summarise_predictive(told, 0.95),
        predictive_statistics(told, 0.95), told.value,
    )  # fmt: skip
    blocks = [*describe(spec, data), *methods(spec, "m", data), *findings(spec, data, {"m": result})]
    text = " ".join(
        block if isinstance(block, str) else block.words if isinstance(block, Equation) else block.caption
        for block in blocks
    )
    for words in (
        "puts the areas into 2 regions of 2 to 3 areas",
        "(0, known exactly, in 1 area)",
        "alpha of the component of i plus x i transposed beta plus v of the region of i plus b i",
        "v g is normal with mean zero and standard deviation sigma region",
        "component 1 (e and 2 others) and component 2 (b and 1 other)",
        "Measured with errors of known standard deviation: scale(x) (standard errors in 'x_se')",
        "sigma_region ~ half-normal(1)",
        "left when the covariates and regions are accounted for",
        "The standard deviation of the region effects is",
        "The reliability of scale(x)",
        "Effects of the regions (column 'region'): ratio of relative risks",
        "sigma_region, standard deviation of the region effects",
    ):
        assert words in text, words
    table = next(b for b in blocks if isinstance(b, ReportTable) and b.caption.startswith("Effects of the"))
    assert sorted(table.frame["region"]) == ["north", "south"]


def test_other_graphs_may_have_one_component(tmp_path):
    """The graph certificate refits with the components of each graph; on one of them there is one."""
    options = {"component_intercepts": True, "regions": "region"}
    data = _ingest(tmp_path, model=options, covariates=None)
    data.graph = Graph.from_edges("edcba", [(0, 1), (1, 2), (3, 4)], "made")
    spec = _spec(tmp_path, options, covariates=None, graph={"compare": [{"method": "knn", "k": 3}]})
    assert len(map_model(spec, "m", data).intercepts) == 2
    tables = summarise(estimate(spec, "m", data, _without_covariates(data), None), 0.95)
    found = {c.name: c.frame for c in certificate(spec, "m", data, tables)}
    assert found["graph_candidates"]["sigma"].notna().all()
    assert found["graph_candidates"]["components"].tolist() == [2, 1]


def _without_covariates(data):
    draws = _draws(data, np.random.default_rng(2))
    kept = ["alpha", "sigma", "rho", "sigma_region", "region_effect", "re"]
    both = draws["beta_all"][..., :2]
    return draws[kept].assign(beta_all=(("chain", "draw", "two"), both.to_numpy()))
