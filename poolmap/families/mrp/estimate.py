"""Poststratified estimates from the draws, beside what the sample says directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, Predictive, Quantity
from poolmap.families.mrp.accuracy import PLACE, place
from poolmap.families.mrp.contrasts import contrast_grouping, contrasts
from poolmap.families.mrp.effects import parts as parts_of
from poolmap.families.mrp.groups import groups
from poolmap.families.mrp.left_out import by_level
from poolmap.families.mrp.links import link_of
from poolmap.families.mrp.model import design_matrix
from poolmap.families.mrp.parameters import contributions, parameters
from poolmap.families.mrp.parts import Parts
from poolmap.families.mrp.poststratify import group_weights, poststratify
from poolmap.families.mrp.predictive import predictive as cell_predictive
from poolmap.families.mrp.side_by_side import SideBySide

if TYPE_CHECKING:
    import xarray

__all__ = ["estimate", "estimates_of", "predictive"]

WHAT = {
    "share": "share of {answers} in the group: the model's cell probabilities averaged over the cells of the "
    "census (0 to 1)",
    "mean": "mean of the outcome in the group: the model's cell means averaged over the cells of the census",
    "rate": "count per unit of exposure in the group: the model's cell rates averaged over the cells of the "
    "census",
}
BESIDE = (
    "n_survey: rows of the survey; n_census: people of the census (one without the time holds for each "
    "time); raw: unweighted, with {raw}; weighted: by the sampling weights, standard error linearised under"
    " the design of the config (with replacement where it gives neither population sizes nor inclusion "
    "probabilities), interval {how}, with the degrees of freedom of the group: its first-stage units less "
    "strata, no interval where there are none; raked: the same with weights raked to the census's margins "
    "of {margins}; greg: generalised regression estimator, a linear assisting model of those margins and "
    "the numeric predictors, interval plus and minus Student's t standard errors; truth: the known value; "
    "p_below_truth: posterior probability of being below it; p_..._gt_...: posterior probability of being "
    "above; predicted_lower, predicted_upper: interval of the {what} in a finite population of n_census "
    "people, wider than that of the expected {what} where small; predicted_p_below_truth, "
    "predicted_p_at_truth: probability that the {what} in it is below the known value, and equal to it."
)
RAW = {"continuous": "Student's t interval", "count": "exact Poisson interval"}
HOW = {"continuous": "Student's t", "count": "on the log scale"}

MOST_ANSWERS = 100_000_000  # cells times draws; beyond it predicted_lower and predicted_upper are left out


def quantity_of(spec: MrpAnalysis) -> str:
    """What is estimated of each group: `share`, `mean` (of a measurement, a count) or `rate`."""
    if spec.outcome.kind == "count":
        return "mean" if spec.outcome.exposure is None else "rate"
    return "mean" if spec.outcome.kind == "continuous" else "share"


def estimate(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> list[Quantity]:
    """Estimates of the total and of every grouping, contrasts, and the model's parameters.

    Args:
        spec: the analysis.
        model: the model's name.
        data: from `ingest`.
        draws: of the model's parameters, dimensions (chain, draw, ...).
        rng: draws the effects of levels that are in the census and not in the survey.

    Returns:
        `share`, `mean` or `rate` in the tables `total` and one per grouping, keys the grouping's variables
        and, of an ordered or categorical outcome, `answer`; the tables `contrasts`, `parameters` and
        `contributions`.
        Groups without people have no estimate and no row.
    """
    shape = draws.sizes["chain"], draws.sizes["draw"]
    given = parts_of(spec, model, data, draws, rng)
    x = design_matrix(spec, model, data, data.tables["census"])
    return estimates_of(spec, data, given, x, shape, rng)


def estimates_of(
    spec: MrpAnalysis,
    data: Dataset,
    given: Parts,
    x: np.ndarray,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> list[Quantity]:
    """The same from the parts of the linear predictor; x: design of the census; shape: chains and draws."""
    census, facts, kind = data.tables["census"], data.facts, spec.outcome.kind
    answers = list(facts["answers"]) if kind in ("ordered", "categorical") else [""]
    counts = census["count"].to_numpy()
    compared = [contrast_grouping(contrast) for contrast in spec.contrasts]
    groupings = list(dict.fromkeys([*spec.groupings(), *compared]))
    numbered = {grouping: groups(census, grouping, facts.get("order", {})) for grouping in groupings}
    found = poststratify(
        given,
        x,
        {batch.level: census[batch.level].to_numpy() for batch in given.batches},
        group_weights(counts, [numbered[grouping][0] for grouping in groupings]),
        link_of(kind, len(answers)),
        people=people_of(spec, counts, len(given.alpha)),
        rng=rng,
    )
    with_people = {g: np.bincount(index, counts, len(keys)) > 0 for g, (index, keys) in numbered.items()}
    starts = dict(zip(groupings, np.cumsum([0, *(len(numbered[g][1]) for g in groupings)]), strict=False))

    def of(grouping: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
        """Columns of the groups with people, their draws (answers, draws, groups) and their keys."""
        some = with_people[grouping]
        columns = starts[grouping] + np.flatnonzero(some)
        return columns, found.values[:, :, columns], numbered[grouping][1][some].reset_index(drop=True)

    beside, name, quantities = SideBySide(spec, data), quantity_of(spec), []
    about = _description(spec, beside)
    for grouping in spec.groupings():
        columns, values, keys = of(grouping)
        if not columns.size:
            continue
        extra = beside.columns(grouping, keys)
        rows = _rows(values)
        finite = None if found.realised is None else _rows(found.realised[:, :, columns])
        if finite is not None:
            tail = (1 - spec.interval) / 2
            limits = np.quantile(finite, [tail, 1 - tail], axis=0)
            extra[["predicted_lower", "predicted_upper"]] = limits.T
        if "truth" in extra:
            truth = extra["truth"].to_numpy(dtype=float)
            extra[PLACE["model"][0]] = place(rows, truth)[0]
            if finite is not None:
                extra[list(PLACE["predicted"])] = np.stack(place(finite, truth), axis=1)
        for threshold in spec.thresholds:
            extra[f"p_{name}_gt_{threshold:g}"] = (rows > threshold).mean(axis=0)
        if len(answers) > 1:
            keys = keys.loc[np.repeat(keys.index, len(answers))].reset_index(drop=True)
            keys["answer"] = answers * columns.size
        table, some = spec.table_name(grouping), keys if len(keys.columns) else None
        quantities.append(Quantity(table, name, about, rows.reshape(*shape, -1), some, extra))
    pairs = [of(grouping)[1:] for grouping in compared]
    return [
        *quantities,
        *contrasts(spec, name, pairs, answers, shape),
        *parameters(kind, given, answers, spec.outcome.column, shape),
        *contributions(kind, given, found.contributions, x, counts, answers, shape),
    ]


def _rows(values: np.ndarray) -> np.ndarray:
    """(answers, draws, groups) as (draws, groups x answers): the rows of a table."""
    return values.transpose(1, 2, 0).reshape(values.shape[1], -1)


def _description(spec: MrpAnalysis, beside: SideBySide) -> str:
    """What the estimates are, and the columns beside them."""
    kind = spec.outcome.kind
    what = WHAT[quantity_of(spec)].format(answers="yes" if kind == "binary" else "the answer")
    if spec.outcome.test is not None:
        what = (
            "prevalence: share of cases in the group, the test's errors taken out; the direct estimates are "
            "of the share that tests positive"
        )
    margins = beside.calibrated.margins if beside.calibrated else ()
    words = BESIDE.format(
        what=quantity_of(spec),
        raw=RAW.get(kind, "Wilson interval"),
        how=HOW.get(kind, "on the logit scale"),
        margins=", ".join(margins) or "no variable (none has 5 respondents in every level)",
    )
    return f"Posterior of the {what}. {words}"


def predictive(
    spec: MrpAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Predictive:
    """What the model says of the survey's cells, by factor too, and of each area where areas are left out."""
    return by_level(spec, data, cell_predictive(spec, model, data, draws, rng))


def people_of(spec: MrpAnalysis, counts: np.ndarray, draws: int) -> np.ndarray | None:
    """The counts where answers of single people can be drawn.

    They are whole numbers, not of too many cells, and the outcome is not a rate, of which the census does not
    tell the exposure.
    """
    rate = spec.outcome.kind == "count" and spec.outcome.exposure is not None
    if rate or counts.size * draws > MOST_ANSWERS or (counts != np.floor(counts)).any():
        return None
    return counts
