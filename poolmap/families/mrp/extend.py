"""A variable that the census lacks, put into it by a model of the survey (the first of two stages)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import softmax

from poolmap.config.mrp import MrpAnalysis
from poolmap.config.mrp_frame import Extension
from poolmap.errors import InputError, Problem
from poolmap.families.mrp.formula import parse_formula, term_name
from poolmap.families.mrp.order import MISSING_LEVEL, ordered
from poolmap.families.mrp.raking import rake
from poolmap.tables import Table, nearest, nearest_then

_ROUNDS = 100
_ENOUGH = 2e-3  # change of a standard deviation, on the logit scale
_LEAST = 0.02  # standard deviation of a batch that does not matter
_RIDGE = 1e-4  # only fixes the level of the intercepts, which the shares do not depend on
_EXACT = {"ftol": 1e-12, "gtol": 1e-6, "maxiter": 1000, "maxfun": 2000}


@dataclass(frozen=True, eq=False)
class Shares:
    """A multinomial logistic regression with varying intercepts, at its mode.

    Attributes:
        alpha: (L,) intercepts of the levels.
        effects: of each batch, (levels, L).
        sigma: of each batch, the standard deviation of its effects.
    """

    alpha: np.ndarray
    effects: list[np.ndarray]
    sigma: np.ndarray

    def predict(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """The shares (rows, L) in cells with these levels of each batch; -1: a level without effect."""
        eta = self.alpha + np.zeros((len(codes[0]) if codes else 1, 1))
        for effect, code in zip(self.effects, codes, strict=True):
            eta = eta + np.where(code[:, None] >= 0, effect[np.maximum(code, 0)], 0.0)
        return softmax(eta, axis=1)


def fit_shares(counts: np.ndarray, codes: Sequence[np.ndarray], sizes: Sequence[int]) -> Shares:
    """Smoothed shares of levels in cells.

    Multinomial logistic regression, each batch of varying intercepts normal(0, sigma): the posterior mode of
    the effects given the sigmas by L-BFGS; each sigma from the curvature at the mode, batch by batch
    (approximate empirical Bayes: Schall 1991, Biometrika 78:719-727).

    Args:
        counts: (cells, L) respondents of each level.
        codes: of each batch, (cells,) the level of the cell.
        sizes: of each batch, the number of levels.
    """
    answers, batches = counts.shape[1], len(sizes)
    n = counts.sum(axis=1, keepdims=True)
    starts = np.concatenate([[0, 1], 1 + np.cumsum(sizes)]).astype(int)  # the intercept, then the batches
    column = np.column_stack([np.zeros(len(counts), dtype=np.int64), *codes]) + starts[: batches + 1]
    ends = np.arange(0, column.size + 1, batches + 1)
    design = sparse.csr_array((np.ones(column.size), column.ravel(), ends), (len(counts), starts[-1]))
    transposed = design.T.tocsr()
    parts = [slice(*pair) for pair in pairwise(starts)][1:]
    x = np.zeros((starts[-1], answers))
    x[0] = np.log((counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * answers))
    x[0] -= x[0].mean()
    sigma = np.ones(batches)

    def negative_log_posterior(
        flat: np.ndarray, scale: np.ndarray, penalty: np.ndarray
    ) -> tuple[float, np.ndarray]:
        x = flat.reshape(scale.shape) * scale
        eta = design @ x
        eta -= eta.max(axis=1, keepdims=True)
        share = np.exp(eta)
        total = share.sum(axis=1, keepdims=True)
        value = -(counts * (eta - np.log(total))).sum() + 0.5 * (penalty * x**2).sum()
        gradient = transposed @ (n * (share / total) - counts) + penalty * x
        return float(value), (gradient * scale).ravel()

    for _ in range(_ROUNDS):
        share = softmax(design @ x, axis=1)
        penalty = np.concatenate([[_RIDGE], np.repeat(1 / sigma**2, sizes)])[:, None]
        scale = 1 / np.sqrt(transposed @ (n * share * (1 - share)) + penalty)
        begin, arguments = (x / scale).ravel(), (scale, penalty)
        found = minimize(
            negative_log_posterior, begin, arguments, jac=True, method="L-BFGS-B", options=_EXACT
        )
        x, before = found.x.reshape(x.shape) * scale, sigma
        share = softmax(design @ x, axis=1)
        blocks = (n * share)[:, :, None] * (np.eye(answers) - share[:, None, :])
        curvature = (transposed @ blocks.reshape(len(counts), -1)).reshape(-1, answers, answers)
        sigma = np.array(
            [_spread(x[part], curvature[part], own) for part, own in zip(parts, before, strict=True)]
        )
        if np.abs(sigma - before).max(initial=0) < _ENOUGH:
            break
    return Shares(x[0], [x[part] for part in parts], before)


def _spread(effects: np.ndarray, curvature: np.ndarray, sigma: float) -> float:
    """The standard deviation of a batch, from the mode of its effects and the curvature of the likelihood.

    A shift common to all answers does not change shares: only the L - 1 directions across it count.
    """
    size, answers = effects.shape
    inverse = np.linalg.inv(curvature + np.eye(answers) / sigma**2)
    variance = np.trace(inverse, axis1=1, axis2=2).sum() - size * sigma**2
    free = size * (answers - 1) - variance / sigma**2  # effects that the data, not the prior, decide
    return float(np.clip(np.sqrt((effects**2).sum() / max(free, 1e-8)), _LEAST, 10))


def extend(
    spec: MrpAnalysis, at: int, known: Table | None, people: pd.DataFrame, cells: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The cells of the population told apart by one more variable.

    Where the survey has weights, its shares are the weighted ones: the chance to be in the sample may depend
    on the variable, as it does if that is the stratum of the weights (Si, Trangucci, Gabry and Gelman 2020,
    Survey Methodology 46:181-214).

    Args:
        at: which of `spec.extend`.
        known: its table of known numbers, harmonised.
        people: the respondents, with the variable, `weight` and `file` (the survey's name);
            those without an answer in it are passed over.
        cells: variables (categories) and `count`.

    Returns:
        the cells with the variable; and facts: `variable`, `levels`, `terms`, `sigma`, `weighted`, `known`,
        `iterations`.

    Raises:
        InputError: a formula that does not fit survey and census, a known table that does not fit.
    """
    extension = spec.extend[at]
    people = people[people[extension.variable].astype(object) != MISSING_LEVEL]
    terms = _terms(extension, f"extend.{at}", people, cells)
    levels = ordered(people[extension.variable].astype(object).unique())
    codes, sizes, places = [], [], []
    for term in terms:
        asked = pd.MultiIndex.from_frame(people[list(term)].astype(object))
        unique = asked.unique()
        codes.append(unique.get_indexer(asked))
        sizes.append(len(unique))
        places.append(unique.get_indexer(pd.MultiIndex.from_frame(cells[list(term)].astype(object))))
    answer = pd.Index(levels, dtype=object).get_indexer(people[extension.variable].astype(object))
    weight = _relative_weights(people, ["file", *([spec.time] if spec.time in people else [])])
    grouped = pd.DataFrame({f"b{k}": code for k, code in enumerate(codes)} | {"answer": answer, "n": weight})
    keys = [f"b{k}" for k in range(len(codes))]
    wide = grouped.groupby([*keys, "answer"])["n"].sum().unstack("answer", fill_value=0) if keys else None
    if wide is None:
        counts = np.bincount(answer, weight, minlength=len(levels))[None, :]
        batches: list[np.ndarray] = []
    else:
        counts = wide.reindex(columns=range(len(levels)), fill_value=0).to_numpy(dtype=float)
        batches = [wide.index.get_level_values(key).to_numpy() for key in keys]
    fitted = fit_shares(counts, batches, sizes)
    share = np.broadcast_to(fitted.predict(places), (len(cells), len(levels)))
    many = cells.iloc[np.repeat(np.arange(len(cells)), len(levels))].reset_index(drop=True)
    many[extension.variable] = pd.Categorical.from_codes(
        np.tile(np.arange(len(levels)), len(cells)), pd.Index(levels, dtype=object)
    )
    many["count"] = many["count"].to_numpy() * share.ravel()
    facts = {
        "variable": extension.variable,
        "levels": len(levels),
        "terms": [term_name(term) for term in terms],
        "sigma": [float(value) for value in fitted.sigma],
        "weighted": spec.weight is not None,
        "known": extension.known or "",
    }
    if known is not None:
        facts |= _agree(extension, f"extend.{at}", known, many, np.repeat(np.arange(len(cells)), len(levels)))
    return many, facts


def _relative_weights(people: pd.DataFrame, apart: list[str]) -> np.ndarray:
    """What each respondent counts for: 1 on average in each survey and time, then as many as are effective.

    Surveys may scale their weights differently. The sum is Kish's effective sample size, so that shares are
    smoothed as those of so many respondents.
    """
    weight = people["weight"].astype(float)
    weight = weight / weight.groupby([people[name] for name in apart], observed=True).transform("mean")
    return (weight * weight.sum() / (weight**2).sum()).to_numpy()


def _terms(extension: Extension, at: str, people: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[str, ...]]:
    """The batches of varying intercepts of the variable's model."""
    usable = [
        name
        for name in cells.columns
        if name in people
        and isinstance(cells[name].dtype, pd.CategoricalDtype)
        and name != extension.variable
    ]
    if extension.formula is None:
        return [(name,) for name in usable]
    formula = parse_formula(f"`{extension.variable}` {extension.formula}", extension.variable)
    problems = []
    if formula.predictors:
        what = f"it has coefficients or slopes ({', '.join(formula.predictors)})"
        problems.append(
            Problem(f"config: {at}.formula", what, "only varying intercepts go here: (1 | county)")
        )
    for name in formula.variables:
        if name not in usable:
            what = f"'{name}' is no variable that both survey and census have"
            problems.append(Problem(f"config: {at}.formula", what, nearest(name, usable)))
    if problems:
        raise InputError(problems)
    return list(formula.terms)


def _check_merged_shares(table: Table, names: list[str], keys: list[str], numbers: pd.Series) -> None:
    """Raise where recoding has made one of groups that are known by shares: their sizes are not known."""
    rows = table.frame[keys].astype(object)
    if not names or not rows.duplicated().any():
        return
    merged = rows.groupby(keys)[keys[-1]].transform("size").groupby([rows[n] for n in names]).max()
    sums = numbers.groupby([rows[n] for n in names]).sum()[merged > 1] / merged[merged > 1]
    if any(np.allclose(sums, whole, rtol=0.005) for whole in (1, 100)):
        group = ", ".join(sums.index[0]) if isinstance(sums.index[0], tuple) else sums.index[0]
        what = f"{group} has several rows a level after recoding, and shares cannot be added up"
        table.problem(what, "give numbers of people, or the shares of the group as recoded")
        table.finish()


def _agree(
    extension: Extension, at: str, table: Table, cells: pd.DataFrame, own: np.ndarray
) -> dict[str, Any]:
    """Rake the extended cells to the known shares, each of the census's own cells keeping its people."""
    variable = extension.variable
    if not all([table.has(variable, key=at), table.has(extension.count, key=f"{at}.count")]):
        table.finish()
    names = [name for name in table.frame.columns if name not in (variable, extension.count)]
    for name in names:
        if name not in cells:
            what = f"the census has no variable '{name}'"
            table.problem(what, nearest_then(name, cells.columns, "Or take the column out"), column=name)
    numbers = table.numbers(extension.count, lower=0, what="the number of people or the share, 0 or more")
    for line in table.frame.index[table.is_missing(extension.count)][:5]:
        table.problem("no number", "every row needs one", line=line, column=extension.count)
    table.finish()
    keys = [*names, variable]
    _check_merged_shares(table, names, keys, numbers)
    given = table.frame[keys].astype(object).assign(number=numbers).groupby(keys)["number"].sum()
    groups = given.groupby(level=names).sum() if names else None
    rows = cells[keys].astype(object)
    lived = rows.assign(count=cells["count"]).groupby(keys)["count"].sum()
    for key in lived.index:
        label = key if isinstance(key, tuple) else (key,)
        if key not in given.index:
            what = f"there is no row for {', '.join(f'{n} {v!r}' for n, v in zip(keys, label, strict=True))}"
            table.problem(what, "give every group of the census and every level of the survey a row")
    for key in given.index[given.to_numpy() > 0]:
        if key not in lived.index:
            label = ", ".join(key) if isinstance(key, tuple) else key
            table.problem(f"{label} is in neither census nor survey", "spell levels alike in all files")
    if groups is not None:
        for key in groups.index[groups.to_numpy() <= 0]:
            table.problem(f"the numbers of {key} add up to 0", "give the number of people or shares")
    elif given.sum() <= 0:
        table.problem("the numbers add up to 0", "give the number of people or shares")
    table.problems = table.problems[:20]
    table.finish()
    population = lived.groupby(level=names).transform("sum") if names else lived * 0 + lived.sum()
    whole = given.groupby(level=names).transform("sum") if names else given * 0 + given.sum()
    target = population * (given / whole).reindex(lived.index)
    place = lived.index.get_indexer(
        pd.MultiIndex.from_frame(rows) if len(keys) > 1 else pd.Index(rows[variable])
    )
    start = cells["count"].to_numpy(dtype=float)
    totals = [np.bincount(own, start), target.to_numpy()]
    raked = rake(start, [own, place], totals)
    if not raked.converged:
        what = f"raking to {table.path} does not converge after {raked.iterations:,} rounds"
        raise InputError(
            [Problem(f"config: {at}.known", what, "check the numbers: some group cannot hold them")]
        )
    cells["count"] = raked.cells
    return {"iterations": raked.iterations, "gap": raked.gap}
