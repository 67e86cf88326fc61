"""Poststratified shares from the draws, beside what the sample says directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, Predictive, Quantity
from poolmap.families.mrp.direct import logit_interval, weighted_share, wilson_interval
from poolmap.families.mrp.model import design, level_codes, seen_levels, terms
from poolmap.families.mrp.poststratify import EffectDraws, group_weights, inverse_logit, poststratify

if TYPE_CHECKING:
    import xarray

SHARE = (
    "Posterior of the share of yes in the group: the model's cell probabilities averaged over the cells of "
    "the census (0 to 1). n_survey: rows of the survey; n_census: population; raw: share in the sample with "
    "Wilson interval; weighted: weighted share, its interval on the logit scale from the linearised standard "
    "error with replacement, weights alone (no strata or clusters), as svydesign(ids = ~1) of R's survey; "
    "truth: the known share; predicted_lower, predicted_upper: interval of the share in a finite "
    "population of n_census with these probabilities, wider than that of the expected share where small."
)

MOST_ANSWERS = 100_000_000  # cells times draws; beyond it predicted_lower and predicted_upper are left out


def estimate(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """Shares of the total and of every grouping, and the model's parameters.

    Args:
        spec: the analysis.
        model: the model's name; all models share the design.
        data: from `ingest`.
        draws: `alpha`, `signed_sigma`, `z` and, with predictors, `beta`, dimensions (chain, draw, ...).
        rng: draws the effects of levels that are in the census and not in the survey.

    Returns:
        `share` in the tables `total` and one per grouping, keys the grouping's variables; `alpha`, `beta`
        (per standard deviation of the predictor) and `sigma` in the table `parameters`, key `term`.
        Groups without people have no share and no row.
    """
    census, facts = data.tables["census"], data.facts
    groupings = [_groups(census, grouping) for grouping in spec.groupings()]
    weights = group_weights(census["count"].to_numpy(), [index for index, _ in groupings])
    flat = _flat(draws, len(facts["predictors"]))
    shares, realised = poststratify(
        alpha=flat["alpha"],
        beta=flat["beta"],
        predictors=design(census, facts["predictors"]),
        effects=effect_draws(flat["sigma"], flat["z"], seen_levels(data), _all_levels(data), rng),
        levels=level_codes(census, len(terms(data))),
        weights=weights,
        people=countable(census["count"].to_numpy(), flat["alpha"].size),
        rng=rng,
    )
    tail = (1 - spec.interval) / 2
    shape = draws["alpha"].shape
    quantities, start = [], 0
    for grouping, (_, keys) in zip(spec.groupings(), groupings, strict=True):
        table = spec.table_name(grouping)
        extra = _direct(spec, data, grouping, keys)
        people = extra["n_census"].to_numpy() > 0
        columns = start + np.flatnonzero(people)
        start += len(keys)
        extra = extra[people].reset_index(drop=True)
        if realised is not None:
            limits = np.quantile(realised[:, columns], [tail, 1 - tail], axis=0)
            extra[["predicted_lower", "predicted_upper"]] = limits.T
        if columns.size:
            quantities.append(
                Quantity(
                    table,
                    "share",
                    SHARE,
                    shares[:, columns].reshape(*shape, -1),
                    keys[people].reset_index(drop=True) if grouping else None,
                    extra,
                )
            )
    return quantities + _parameters(data, draws)


def predictive(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """Replicated yes counts and the log likelihood of each cell of the survey."""
    from scipy.special import gammaln

    cells, facts = data.tables["cells"], data.facts
    flat = _flat(draws, len(facts["predictors"]))
    logit = flat["alpha"][:, None] + flat["beta"] @ design(cells, facts["predictors"]).T
    codes = level_codes(cells, len(terms(data)))
    for k, effect in enumerate(_seen_effects(flat["sigma"], flat["z"], seen_levels(data), slice(None))):
        logit += effect[:, codes[:, k]]
    yes, n = cells["yes"].to_numpy(), cells["n"].to_numpy()
    ways = gammaln(n + 1) - gammaln(yes + 1) - gammaln(n - yes + 1)
    log_lik = ways + yes * logit - n * np.logaddexp(0, logit)
    replicated = rng.binomial(n, inverse_logit(logit))
    variables = list(dict.fromkeys(v for term in facts["terms"] for v in term))
    shape = (*draws["alpha"].shape, len(cells))
    return Predictive(
        unit="cell",
        labels=_labels(cells, variables, list(facts["predictors"])),
        observed=yes,
        replicated=replicated.reshape(shape),
        log_lik=log_lik.reshape(shape),
        value=f"yes answers ({spec.outcome.column}: {spec.outcome.positive})",
    )


def effect_draws(
    sigma: np.ndarray, z: np.ndarray, seen: Sequence[int], levels: Sequence[int], rng: np.random.Generator
) -> EffectDraws:
    """The effects of every level of the census, block of draws by block.

    A level that the survey holds has the effect sigma_k z_l of the draw (sigma_k with its sign); one that it
    does not hold has an effect drawn from Normal(0, sigma_k^2), the population of levels. Each batch has its
    own stream, so the numbers do not depend on the size of the blocks.

    Args:
        sigma: (draws, K); z: (draws, seen levels of all batches).
        seen: levels of each batch in the survey (the first codes); levels: all levels of each batch.
        rng: parent of the streams.
    """
    streams = rng.spawn(len(seen))

    def block(some: slice) -> list[np.ndarray]:
        effects = _seen_effects(sigma, z, seen, some)
        for k, stream in enumerate(streams):
            unseen = stream.standard_normal((effects[k].shape[0], levels[k] - seen[k]))
            effects[k] = np.hstack([effects[k], sigma[some, k, None] * unseen])
        return effects

    return block


def _seen_effects(sigma: np.ndarray, z: np.ndarray, seen: Sequence[int], some: slice) -> list[np.ndarray]:
    parts = np.split(z[some], np.cumsum(seen)[:-1], axis=1)
    return [sigma[some, k, None] * part for k, part in enumerate(parts)]


def _flat(draws: xarray.Dataset, predictors: int) -> dict[str, np.ndarray]:
    """The parameters with chains joined: alpha (draws,), the others (draws, ...); sigma with its sign."""
    count = draws["alpha"].size
    flat = {"sigma": draws["signed_sigma"], "z": draws["z"]}
    flat = {name: values.to_numpy().reshape(count, -1) for name, values in flat.items()}
    flat["alpha"] = draws["alpha"].to_numpy().reshape(count)
    flat["beta"] = draws["beta"].to_numpy().reshape(count, -1) if predictors else np.zeros((count, 0))
    return flat


def countable(counts: np.ndarray, draws: int) -> np.ndarray | None:
    """The counts where answers of single people can be drawn: whole numbers, and not too many cells."""
    if counts.size * draws > MOST_ANSWERS or (counts != np.floor(counts)).any():
        return None
    return counts


def _all_levels(data: Dataset) -> list[int]:
    levels = data.tables["levels"]
    return [int((levels["term"] == term).sum()) for term in terms(data)]


def _groups(census: pd.DataFrame, grouping: tuple[str, ...]) -> tuple[np.ndarray, pd.DataFrame]:
    """The group of each cell of the census, and the groups' keys in order."""
    if not grouping:
        return np.zeros(len(census), dtype=np.int64), pd.DataFrame(index=[0])
    grouped = census.groupby(list(grouping), sort=True)
    keys = grouped.size().reset_index()[list(grouping)]
    return grouped.ngroup().to_numpy(), keys


def _direct(spec: MrpAnalysis, data: Dataset, grouping: tuple[str, ...], keys: pd.DataFrame) -> pd.DataFrame:
    """Numbers of people, direct estimates and the truth of each group; NaN where they are not known.

    The direct estimates of a grouping by a variable that the survey lacks are not known.
    """
    survey, census, level = data.tables["survey"], data.tables["census"], spec.interval
    groups, names = len(keys), list(grouping)

    def index(frame: pd.DataFrame) -> np.ndarray:
        if not names:
            return np.zeros(len(frame), dtype=np.int64)
        numbered = frame[names].merge(keys.assign(group=np.arange(groups)), on=names, how="left")
        return numbered["group"].fillna(-1).to_numpy(dtype=np.int64)

    extra = pd.DataFrame({"n_survey": np.nan, "n_census": 0.0}, index=range(groups))
    extra["n_census"] = np.bincount(index(census), census["count"], groups)
    columns = ["raw", "raw_lower", "raw_upper"]
    if spec.weight is not None:
        columns += ["weighted", "weighted_lower", "weighted_upper"]
    extra[columns] = np.nan
    if set(names) <= set(survey.columns):
        member = index(survey)
        inside = member >= 0
        n = np.bincount(member[inside], minlength=groups)
        yes = np.bincount(member[inside], survey["y"][inside], groups)
        extra["n_survey"] = n
        extra["raw"] = np.divide(yes, n, out=np.full(groups, np.nan), where=n > 0)
        extra["raw_lower"], extra["raw_upper"] = wilson_interval(yes, n, level)
        if spec.weight is not None:
            share, se = weighted_share(survey["y"], survey["weight"], member, groups)
            extra["weighted"] = share
            extra["weighted_lower"], extra["weighted_upper"] = logit_interval(share, se, level)
    if "truth" in data.tables:
        truth = data.tables["truth"]
        truth = truth[truth["table"] == spec.table_name(grouping)]
        extra["truth"] = np.nan
        extra.loc[index(truth), "truth"] = truth["value"].to_numpy()
    return extra


def _parameters(data: Dataset, draws: xarray.Dataset) -> list[Quantity]:
    def quantity(name: str, values: xarray.DataArray, description: str, names: Sequence[str]) -> Quantity:
        rows = values.to_numpy().reshape(*draws["alpha"].shape, -1)
        return Quantity("parameters", name, description, rows, pd.DataFrame({"term": list(names)}))

    what = "Intercept: logit of the share where predictors have their mean."
    rows = [quantity("alpha", draws["alpha"], what, ["intercept"])]
    predictors = list(data.facts["predictors"])
    if predictors:
        what = "Change of the logit of the share per standard deviation of the predictor in the census."
        rows.append(quantity("beta", draws["beta"], what, predictors))
    what = "Standard deviation of the varying intercepts, on the logit scale."
    return [*rows, quantity("sigma", abs(draws["signed_sigma"]), what, terms(data))]


def _labels(cells: pd.DataFrame, variables: Sequence[str], predictors: Sequence[str]) -> list[str]:
    """The levels of each cell, with its predictors where those alone do not tell the cells apart."""
    labels = cells[list(variables)].agg(" / ".join, axis=1)
    if labels.duplicated().any():
        for name in predictors:
            labels = labels + cells[name].map(lambda value, name=name: f" / {name} {value:g}")
    return labels.tolist()
