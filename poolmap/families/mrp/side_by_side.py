"""Raw, weighted, raked and GREG estimates of each group, and the truth, beside the model's."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset
from poolmap.families.mrp.calibration import calibrated_weights, coefficients
from poolmap.families.mrp.direct import (
    domain_ratio,
    log_interval,
    logit_interval,
    plain_interval,
    poisson_interval,
    wilson_interval,
)
from poolmap.families.mrp.groups import members
from poolmap.families.mrp.raking import rake
from poolmap.families.mrp.survey_design import Design

log = logging.getLogger("poolmap.direct")

FEWEST = 5
"""Respondents in every level of a variable that the sample is raked to."""
MOST_ROUNDS = 1000
"""Over all margins; weights that take longer would be far from the sampling weights."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Weights that agree with the census, and the variables they agree in.

    Attributes:
        margins: variables that the sample is raked to.
        raked: (n,) weights, None where raking does not converge.
        dummies: (n, M) of their levels.
        assisting: (n, Q) intercept, dummies and numeric predictors of the respondents, the assisting
            model's; linear: (n,) weights calibrated to their totals.
        codes: of each margin (cells,) the level of each cell of the census; numeric: (cells, predictors)
            standardised.
    """

    margins: tuple[str, ...]
    raked: Array | None
    dummies: Array
    assisting: Array
    linear: Array
    codes: tuple[NDArray[np.intp], ...]
    numeric: Array

    def fits(self, beta: Array) -> Array:
        """(cells,) fits of the assisting model, from its coefficients (Q,)."""
        found = beta[0] + self.numeric @ beta[len(beta) - self.numeric.shape[1] :]
        start = 1
        for code in self.codes:
            size = int(code.max()) + 1
            found += np.where(code >= 0, beta[start : start + size][code], 0)  # -1: a cell without people
            start += size
        return found


def calibrated(spec: MrpAnalysis, data: Dataset, design: Design) -> Calibrated | None:
    """The sample made to agree with the census.

    Margins are the variables of the formula that survey and census share and of which every level with
    people has 5 respondents or more; None where there is none.
    """
    survey, census, facts = data.tables["survey"], data.tables["census"], data.facts
    count = census["count"].to_numpy(dtype=float)
    factors = [v for term in facts["terms"] for v in term]
    factors += [name for name, about in facts["predictors"].items() if about.get("type") == "factor"]
    margins, codes, totals = [], [], []
    for name in dict.fromkeys(factors):
        if name not in survey or name not in census:
            continue
        people = census.groupby(name)["count"].sum()
        people = people[people > 0]
        code = people.index.get_indexer(survey[name])
        counted = np.bincount(code[code >= 0], design.weight[code >= 0] > 0, len(people))
        if (code >= 0).all() and counted.min() >= FEWEST:
            margins.append(name)
            codes.append((code, people.index.get_indexer(census[name])))
            totals.append(people.to_numpy(dtype=float))
    if not margins:
        return None
    dummies = np.hstack(
        [code[:, None] == np.arange(len(t)) for (code, _), t in zip(codes, totals, strict=True)]
    ).astype(float)
    raked = rake(design.weight, [code for code, _ in codes], totals, most=MOST_ROUNDS)
    if not raked.converged:
        log.warning("raking to %s did not converge: no raked estimates", ", ".join(margins))
    numeric = [
        name
        for name, about in facts["predictors"].items()
        if about.get("type", "numeric") == "numeric" and name in survey and survey[name].notna().all()
    ]

    def standardised(frame: pd.DataFrame) -> Array:
        scales = [facts["predictors"][name] for name in numeric]
        parts = [(frame[n] - at["mean"]) / at["sd"] for n, at in zip(numeric, scales, strict=True)]
        return np.column_stack(parts).astype(float) if parts else np.zeros((len(frame), 0))

    x = np.hstack([np.ones((len(survey), 1)), dummies, standardised(survey)])
    of_census = standardised(census)
    known = np.concatenate([[count.sum()], *totals, count @ of_census])
    linear = calibrated_weights(design.weight, x, known)
    weight = raked.cells if raked.converged else None
    return Calibrated(tuple(margins), weight, dummies, x, linear, tuple(code for _, code in codes), of_census)


class SideBySide:
    """The direct estimates of one analysis, grouping by grouping."""

    def __init__(self, spec: MrpAnalysis, data: Dataset) -> None:
        self.spec, self.data = spec, data
        self.survey = data.tables["survey"]
        self.kind = spec.outcome.kind
        y = self.survey["y" if "y" in self.survey else "yes"].to_numpy(dtype=float)
        self.answers = (
            list(data.facts.get("answers", ())) if self.kind in ("ordered", "categorical") else [""]
        )
        self.outcomes = [y == a for a in range(len(self.answers))] if len(self.answers) > 1 else [y]
        self.base = np.ones(len(y))
        if "exposure" in self.survey:
            self.base = self.survey["exposure"].to_numpy(dtype=float)
        self.design = Design.of(self.survey, data.tables.get("unused"))
        self.weighted = spec.weight is not None or "stratum" in self.survey or "cluster_0" in self.survey
        self.calibrated = calibrated(spec, data, self.design)

    def columns(self, grouping: tuple[str, ...], keys: pd.DataFrame) -> pd.DataFrame:
        """Numbers of people, direct estimates and the truth; NaN where they are not known.

        The direct estimates of a grouping by a variable that the survey lacks are not known.

        Args:
            grouping: variables.
            keys: (groups) their levels.

        Returns:
            A row for each group and answer, the answers of a group together: `n_survey`, `n_census`, and
            with their limits (`_lower`, `_upper`) `raw`; `weighted`, where there are weights or a design;
            `raked` and `greg`, where there is a margin; `truth`, where one is known.
        """
        census, groups = self.data.tables["census"], len(keys)
        known = set(grouping) <= set(self.survey.columns)
        member = members(self.survey, grouping, keys) if known else np.full(len(self.survey), -1)
        cell = members(census, grouping, keys)
        people = _totals(cell, census["count"].to_numpy(dtype=float), groups)
        if self.spec.time not in grouping:  # a census that is repeated for each time has its people each time
            people = people / self.data.facts.get("times", 1)
        n = _totals(member, np.ones(len(member)), groups)
        parts = []
        for answer, y in zip(self.answers, self.outcomes, strict=True):
            part = pd.DataFrame({"n_survey": n if known else np.nan, "n_census": people}, index=range(groups))
            for name, (value, lower, upper) in self._estimates(y.astype(float), member, cell, groups).items():
                part[name], part[f"{name}_lower"], part[f"{name}_upper"] = (
                    np.asarray(v) if known else np.nan for v in (value, lower, upper)
                )
            if "truth" in self.data.tables:
                part["truth"] = self._truth(grouping, keys, answer)
            parts.append(part)
        order = np.arange(groups * len(parts)).reshape(len(parts), groups).T.ravel()
        return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)

    def _estimates(
        self, y: Array, member: NDArray[np.int64], cell: NDArray[np.int64], groups: int
    ) -> dict[str, tuple[Array, Array, Array]]:
        level, freedom = self.spec.interval, self.design.freedom(member, groups)
        interval = {"continuous": plain_interval, "count": log_interval}.get(self.kind, logit_interval)
        found = {"raw": self._raw(y, member, groups)}
        of = (self.design, y, self.base, member, groups)
        if self.weighted:
            value, se = domain_ratio(*of)
            found["weighted"] = (value, *interval(value, se, level, freedom))
        if self.calibrated is not None and self.calibrated.raked is not None:
            value, se = domain_ratio(*of, weight=self.calibrated.raked, x=self.calibrated.dummies)
            found["raked"] = (value, *interval(value, se, level, freedom))
        if self.calibrated is not None and "exposure" not in self.survey:
            value, se = self._greg(y, member, cell, groups)
            found["greg"] = (value, *plain_interval(value, se, level, freedom))
        return found

    def _raw(self, y: Array, member: NDArray[np.int64], groups: int) -> tuple[Array, Array, Array]:
        level = self.spec.interval
        base, total = (_totals(member, v, groups) for v in (self.base, y))
        value = np.divide(total, base, out=np.full(groups, np.nan), where=base > 0)
        if self.kind == "count":
            return value, *poisson_interval(total, base, level)
        if self.kind != "continuous":
            return value, *wilson_interval(total, base, level)
        squares = _totals(member, (y - value[member]) ** 2, groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            se = np.sqrt(squares / (base - 1) / base)
            return value, *plain_interval(value, se, level, np.where(base > 1, base - 1, np.nan))

    def _greg(
        self, y: Array, member: NDArray[np.int64], cell: NDArray[np.int64], groups: int
    ) -> tuple[Array, Array]:
        """Mean of the assisting linear model's fits over the people, plus the weighted mean residual."""
        with_x, count = self.calibrated, self.data.tables["census"]["count"].to_numpy(dtype=float)
        beta = coefficients(y[:, None], with_x.assisting, self.design.weight)[:, 0]
        fits = _totals(cell, count * with_x.fits(beta), groups)
        left = y - with_x.assisting @ beta
        away, se = domain_ratio(self.design, left, np.ones_like(y), member, groups, weight=with_x.linear)
        with np.errstate(invalid="ignore", divide="ignore"):
            return fits / _totals(cell, count, groups) + away, se

    def _truth(self, grouping: tuple[str, ...], keys: pd.DataFrame, answer: str) -> Array:
        truth = self.data.tables["truth"]
        truth = truth[truth["table"] == self.spec.table_name(grouping)]
        if answer and "answer" in truth:
            truth = truth[truth["answer"] == answer]
        found = np.full(len(keys), np.nan)
        at = members(truth, grouping, keys)
        found[at[at >= 0]] = truth["value"].to_numpy()[at >= 0]  # groups without people have no row
        return found


def _totals(group: NDArray[np.int64], values: Array, groups: int) -> Array:
    """Sum of the values of each group's rows; a row of group -1 is in none."""
    inside = group >= 0
    return np.bincount(group[inside], values[inside], groups)
