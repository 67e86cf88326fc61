"""Input of the Stan program `areas/areas`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.config.priors import Prior, UnitPrior
from poolmap.contracts import Dataset, StanData
from poolmap.errors import InputError, Problem
from poolmap.families.areas.approximation import approximate
from poolmap.families.areas.arrays import WITH_RHO, Field, MapModel, MeasuredCovariate, codes
from poolmap.families.areas.components import Intercepts, component_intercepts, one_intercept
from poolmap.families.areas.hyperparameters import pc_rho_rate
from poolmap.families.areas.likelihoods import OF_PERSONS, WITH_DISPERSION, Observed
from poolmap.families.areas.priors import measured_scale, priors_in_force
from poolmap.graph.elimination import Elimination, elimination, laplacian

if TYPE_CHECKING:
    from poolmap.config.areas import AreaModel, AreasAnalysis
    from poolmap.graph.graph import Graph

PC = Prior.CODES["pc"][0]
IN_STAN = {"icc": "dispersion", "zero_inflation": "zero"}
"""Parameters that the program calls otherwise than the estimates."""
_UNUSED = UnitPrior("beta", (1.0, 1.0))


def observed_areas(data: Dataset) -> NDArray[np.int64]:
    """Rows of the table `areas` that inform the model: a count, at least its range, of persons at risk; or a
    direct estimate."""
    areas = data.tables["areas"]
    if "estimate" in areas:
        return np.flatnonzero(areas["estimate"].notna())
    at_risk = areas["expected"] if "expected" in areas else areas["population"]
    return np.flatnonzero(areas.get("at_least", areas["cases"]).notna() & (at_risk > 0))


def covariate_matrix(data: Dataset) -> NDArray[np.float64]:
    """(areas, covariates) the centred design matrix."""
    return data.tables["covariates"].drop(columns="area").to_numpy(dtype=np.float64)


def measured_covariates(
    spec: AreasAnalysis, model: str, data: Dataset, first: int = 1
) -> tuple[MeasuredCovariate, ...]:
    """The covariates with errors of one model.

    Args:
        first: the column of the design matrix where the covariates begin.
    """
    names = data.tables["covariates"].columns[1:].tolist()
    found = []
    for covariate, column in spec.models[model].covariate_errors.items():
        term = data.facts["measured"][covariate]
        se = data.tables["covariate_errors"][column].to_numpy(dtype=np.float64)
        found.append(MeasuredCovariate(first + names.index(term), se, measured_scale(data, term)))
    return tuple(found)


def region_of(spec: AreasAnalysis, model: str, data: Dataset) -> tuple[NDArray[np.int64] | None, list[str]]:
    """(n,) the number of each area's region, from 0, and the names of the regions; None without regions."""
    column = spec.models[model].regions
    if column is None:
        return None, []
    number, names = pd.factorize(data.tables["regions"][column], sort=True)
    return number.astype(np.int64), list(names)


def intercepts_of(spec: AreasAnalysis, model: str, data: Dataset) -> Intercepts:
    """The intercepts of one model on the graph of the data."""
    if spec.models[model].component_intercepts and data.graph is not None:
        return component_intercepts(data.graph, observed_areas(data))
    return one_intercept(len(data.tables["areas"]))


def observed(spec: AreasAnalysis, model: str, data: Dataset) -> Observed:
    """What was observed in the areas of `observed_areas`."""
    areas = data.tables["areas"].iloc[observed_areas(data)]
    likelihood = spec.likelihood(model)
    n = len(areas)

    def column(name: str, otherwise: float = 0.0) -> NDArray[np.float64]:
        return areas[name].to_numpy(dtype=np.float64) if name in areas else np.full(n, otherwise)

    lower = "estimate" if likelihood == "normal" else "at_least" if "at_least" in areas else "cases"
    return Observed(
        likelihood=likelihood,
        lower=column(lower),
        upper=column("at_most" if lower == "at_least" else lower),
        log_exposure=np.log(column("expected", 1.0)),
        trials=column("population") if likelihood in OF_PERSONS else np.zeros(n),
        se=column("se", 1.0),
    )


def map_model(spec: AreasAnalysis, model: str, data: Dataset) -> MapModel:
    """One model of the analysis in arrays.

    Raises:
        InputError: a structured model where no area has neighbours; a prior of rho that no graph allows.
        ValueError: a model with a structured part without a graph, or with one whose areas are in another
            order.
    """
    areas = data.tables["areas"]
    chosen = spec.models[model]
    X = covariate_matrix(data)
    graph = data.graph
    if chosen.prior != "iid" and (graph is None or list(graph.areas) != areas["area"].tolist()):
        raise ValueError("a model with neighbours needs the graph of the areas, in the order of the table")
    force = priors_in_force(spec, model, data)
    priors: dict[str, Any] = {}
    for name in ("alpha", "beta", "sigma", "rho", "dispersion", "zero", "sigma_region"):
        priors |= _UNUSED.stan_data(name)
    for name, prior in force.items():
        priors |= prior.stan_data(IN_STAN.get(name, name))
    if "beta" not in force:
        priors |= force["alpha"].stan_data("beta")
    inner = field(chosen, graph)
    if chosen.prior != "iid" and not len(inner.nodes):
        raise InputError(
            [
                Problem(
                    f"models.{model}.prior",
                    f"{chosen.prior} shares effects between neighbours, but no two areas are neighbours on "
                    "this graph",
                    "write prior: iid, or change 'graph' (contiguity: queen, a tolerance for borders that do "
                    "not quite meet, or method: knn)",
                )
            ]
        )
    if priors["rho_prior_family"] == PC:
        try:
            rate = pc_rho_rate(*chosen.rho_prior.parameters, inner.spectrum)
        except ValueError as error:
            where = f"models.{model}.rho_prior"
            raise InputError([Problem(where, str(error), "raise the probability, or the bound")]) from None
        priors["rho_prior"] = [rate, 0.0, 0.0]
    intercepts = intercepts_of(spec, model, data)
    return MapModel(
        effects=chosen.prior,
        field=inner,
        X=np.column_stack([intercepts.X, X]),
        rows=observed_areas(data),
        observed=observed(spec, model, data),
        priors=priors,
        intercepts=intercepts.weight,
        region=region_of(spec, model, data)[0],
        measured=measured_covariates(spec, model, data, len(intercepts.weight)),
    )


def field(chosen: AreaModel, graph: Graph | None) -> Field:
    """The structured part of a model's area effects on a graph; empty for `iid`."""
    from scipy import sparse

    effects = chosen.prior
    nodes = (
        np.flatnonzero(graph.n_neighbours > 0) if graph is not None and effects != "iid" else np.empty(0, int)
    )
    if not len(nodes):
        nothing = sparse.csc_array((0, 0), dtype=np.float64)
        return Field(nodes.astype(np.int64), nothing, np.empty(0), nodes.astype(np.int64), effects)
    number = np.full(graph.n, -1)
    number[nodes] = np.arange(len(nodes))
    matrix = laplacian(len(nodes), number[graph.edges])
    component = graph.component[nodes]
    degree = matrix.diagonal()
    if effects in ("icar", "bym2"):
        scale = sparse.diags_array(graph.scaling[component])
        matrix = (scale @ matrix).tocsc()
    wanted = "pc" if effects == "bym2" and chosen.rho_prior.family == "pc" else effects
    return Field(nodes, matrix, degree, component, wanted)


def stan_data(spec: AreasAnalysis, model: str, data: Dataset) -> StanData:
    """Arrays of the program's data block.

    Raises:
        InputError: intercepts for the components of a graph that has one only, or that the covariates cannot
            be told from; see also `map_model`.
        ValueError: see `map_model`.
    """
    described = map_model(spec, model, data)
    _check_intercepts(spec, model, described)
    several, J = len(described.intercepts) > 1, len(described.measured)
    parameters = ["alpha", "sigma", "re"]
    if described.X.shape[1] > len(described.intercepts):
        parameters.insert(1, "beta")
    if described.effects in WITH_RHO:
        parameters.insert(-1, "rho")
    parameters += [name for name in described.hyper_names if name in ("dispersion", "zero", "sigma_region")]
    parameters += ["region_effect"] if described.region is not None else []
    parameters += ["beta_all"] if several else []
    parameters += ["mu_x", "sigma_x", "from_measured"] if J else []
    return StanData(
        program_data(described),
        parameters,
        whitened=acceptance(len(described.X), described.observed.likelihood),
    )


def _check_intercepts(spec: AreasAnalysis, model: str, described: MapModel) -> None:
    """Refuse intercepts for components where there is one only, or where a covariate is as good as them."""
    if not spec.models[model].component_intercepts:
        return
    where, A = f"models.{model}.component_intercepts", len(described.intercepts)
    if A == 1:
        raise InputError(
            [
                Problem(
                    where,
                    "the map has one component of at least two areas with data, and one intercept already",
                    "leave it out",
                )
            ]
        )
    scaled = described.X / described.X.std(axis=0).clip(min=1e-300)
    if np.linalg.matrix_rank(scaled) < described.X.shape[1]:
        what = "a covariate, or several together, is the same within each component of the map"
        raise InputError(
            [Problem(where, what, "take it out of the formula, or leave the intercepts of components out")]
        )


def acceptance(areas: int, likelihood: str = "poisson") -> float:
    """Target acceptance in whitened coordinates.

    In many dimensions the best is about 0.65 (Beskos et al. 2013, Bernoulli 19:1501-1534). The same step on a
    small map is accepted nearly always, and a longer one would diverge where sigma or rho lies in its tails.
    A likelihood with overdispersion has more of them: either it or the area effects may all but vanish.
    """
    target = 0.95 if areas < 200 else 0.9 if areas < 500 else 0.85 if areas < 2000 else 0.7
    return 1 - (1 - target) / 2.5 if likelihood in WITH_DISPERSION else target


def program_data(model: MapModel) -> dict[str, Any]:
    """The data block of `areas/areas` for a model in arrays, with its normal approximation."""
    n = model.X.shape[0]
    inner, pattern = model.field, _pattern(model.field)
    order = np.concatenate([inner.nodes[pattern.order], np.setdiff1d(np.arange(n), inner.nodes)])
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    seen, rows = model.observed, place[model.rows]
    normal = seen.likelihood == "normal"
    exact, censored = np.flatnonzero(~seen.censored), np.flatnonzero(seen.censored)
    log_exposure, trials = np.zeros(n), np.zeros(n, dtype=np.int64)
    log_exposure[rows], trials[rows] = seen.log_exposure, seen.trials.astype(np.int64)
    guess = approximate(model)
    K, A, G, J = model.X.shape[1], len(model.intercepts), model.n_regions, len(model.measured)
    return {
        "N": n,
        "N_field": len(inner.nodes),
        "place": place + 1,
        **codes(model),
        "N_exact": len(exact),
        "exact": rows[exact] + 1,
        "cases": [] if normal else seen.lower[exact].astype(np.int64),
        "trials": trials if seen.likelihood in OF_PERSONS else [],
        "direct": seen.lower[exact] if normal else [],
        "se": seen.se[exact] if normal else [],
        "N_censored": len(censored),
        "censored": rows[censored] + 1,
        "at_least": seen.lower[censored].astype(np.int64),
        "at_most": seen.upper[censored].astype(np.int64),
        "log_exposure": log_exposure,
        "K": K,
        "X": model.X[order],
        "A": A,
        "alpha_weight": model.intercepts,
        "G": G,
        "region": model.region[order] + 1 if G else [],
        "J": J,
        "measured": [covariate.column + 1 for covariate in model.measured],
        "se_x": np.array([covariate.se[order] for covariate in model.measured]).reshape(J, n),
        "x_scale": [covariate.scale for covariate in model.measured],
        "nnz": len(pattern.row),
        "laplacian": pattern.on_pattern(inner.matrix),
        "column_start": pattern.column_start,
        "row": pattern.row,
        "row_start": pattern.row_start,
        "row_place": pattern.row_place,
        "row_column": pattern.row_column,
        "degree": inner.degree[pattern.order],
        "N_components": inner.n_components,
        "component": inner.component[pattern.order] + 1,
        "size": np.bincount(inner.component, minlength=inner.n_components).astype(float),
        "spectrum": inner.spectrum if model.effects in WITH_RHO else [],
        "W": guess.W[order],
        "r": guess.r[order],
        "mean_at": guess.mean_at,
        "mean_slope": guess.mean_slope,
        "mean_scale": guess.mean_scale,
        "linear_at": guess.linear_at,
        "beta_scale": np.empty((0, 0)) if G else np.linalg.cholesky(np.linalg.inv(guess.linear_precision)),
        "linear_precision": guess.linear_precision if G else np.empty((0, 0)),
        "linear_shift": guess.linear_shift if G else [],
        "H": len(guess.hyper_at),
        "hyper_at": guess.hyper_at,
        "hyper_scale": guess.hyper_scale,
        "measured_at": guess.measured_at,
        "measured_scale": guess.measured_scale,
        **_UNUSED.stan_data("sigma_region"),
        **model.priors,
    }


def _pattern(inner: Field) -> Elimination:
    pairs = np.column_stack(inner.matrix.tocoo().coords)
    return elimination(len(inner.nodes), pairs[pairs[:, 0] < pairs[:, 1]])
