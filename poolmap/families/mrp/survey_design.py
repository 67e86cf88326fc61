"""Variances under the survey's design: strata, clusters, stages, finite populations, unequal probabilities.

Written here: the libraries for it bring a second data frame library (svy, samplics: polars, pyarrow), and
what is needed are the scores of thousands of domains at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of sampling.

    Attributes:
        unit: (n,) the unit of each respondent, from 0, units of different parents told apart.
        parent: (units,) what the unit was drawn from: the stratum, or the unit of the stage before.
        drawn: (units,) probability with which the unit was drawn from its parent, without replacement: the
            share of the parent's units that was drawn where all had the same; 0 where it is not known.
        equal: whether all units of a parent had the same.
    """

    unit: NDArray[np.intp]
    parent: NDArray[np.intp]
    drawn: Array
    equal: bool = True


@dataclass(frozen=True, eq=False)
class Design:
    """How the respondents were drawn.

    Attributes:
        weight: (n,) sampling weights.
        stages: the stages whose variance counts; those below a stage without population sizes or inclusion
            probabilities do not (its variance then stands for all, as in sampling with replacement).
    """

    weight: Array
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, survey: pd.DataFrame, unused: pd.DataFrame | None = None) -> Design:
        """The design in the survey's columns `weight` and `stratum`, and those of each stage k.

        These are `cluster_<k>`, and `population_size_<k>` or `inclusion_<k>`.
        Surveys (`file`) were drawn each for itself: they are strata, and share no strata and units.
        Without clusters the respondents are the units. Population sizes are the numbers of units in the
        stratum (stage 0) or in the unit of the stage before; one more of them than clusters is that of the
        respondents in the last cluster. Inclusion probabilities, in their place, are those of the units
        given the stage before.

        Args:
            survey: the respondents.
            unused: those of the sample who are left out for want of a value. The respondents
                are a domain of the sample: units in which nobody can be used count as drawn.
        """
        n, weight = len(survey), survey["weight"].to_numpy(dtype=float)
        if unused is not None:
            survey = pd.concat([survey[list(unused.columns)], unused], ignore_index=True)
        sizes, inclusions = (
            [survey[f"{name}_{k}"].to_numpy(dtype=float) for k in _numbered(survey, name)]
            for name in ("population_size", "inclusion")
        )
        known = max(len(sizes), len(inclusions))
        units = [survey[f"cluster_{k}"].to_numpy() for k in _numbered(survey, "cluster")]
        if len(units) < max(known, 1):
            units.append(np.arange(len(survey)))
        strata = [survey[name] for name in ("file", "stratum") if name in survey]
        above = np.zeros(len(survey), dtype=np.intp)
        if strata:
            above = pd.MultiIndex.from_arrays(strata).factorize()[0]
        stages: list[Stage] = []
        for k, names in enumerate(units):
            unit = pd.MultiIndex.from_arrays([above, names]).factorize()[0]
            first = np.unique(unit, return_index=True)[1]
            parent = above[first]
            drawn = np.zeros(len(parent))
            if k < len(inclusions):
                drawn = inclusions[k][first]
            elif k < len(sizes):
                drawn = np.minimum(np.bincount(parent)[parent] / sizes[k][first], 1)
            stages.append(Stage(unit[:n], parent, drawn, equal=k >= len(inclusions)))
            if not drawn.any():
                break
            above = unit
        return cls(weight, tuple(stages))

    def freedom(self, group: NDArray[np.int64], groups: int) -> Array:
        """Degrees of freedom of each group: first-stage units with members of it less strata with them.

        A group that lies in one unit has none, and no standard error to be relied on: between units it seems
        not to vary (Korn and Graubard 1999, Analysis of Health Surveys, 5.2; the standards of the US National
        Center for Health Statistics, Vital and Health Statistics 2(175), 2017, ask for 8).

        Args:
            group: (n,) the group 0..groups-1 of each respondent, or -1 for none.

        Returns:
            (groups,), NaN where not above 0.
        """
        inside, first = group >= 0, self.stages[0]
        unit = first.unit[inside]

        def different(of: NDArray[np.intp]) -> NDArray[np.intp]:
            pairs = np.unique(np.stack([group[inside], of]), axis=1)
            return np.bincount(pairs[0], minlength=groups)

        freedom = different(unit) - different(first.parent[unit])
        return np.where(freedom > 0, freedom, np.nan)

    def variance(self, scores: Array | sparse.csr_array) -> Array:
        """Variances (G,) of the totals of scores (n, G): the diagonal of `covariance`."""
        scores = sparse.csr_array(scores)
        return sum(factor @ values.power(2) for values, factor in self._squares(scores))

    def covariance(self, first: Array | sparse.csr_array, second: Array) -> Array:
        """Covariances of totals of scores.

        Stage by stage, sum over parents of m / (m - 1) times the products of the units' totals about their
        mean, each times 1 - p, m units drawn and p the share of the parent's units that was drawn; those of
        lower stages times the p of the units above (Särndal, Swensson and Wretman 1992, Model Assisted Survey
        Sampling, 4.3; `svyrecvar` of R's survey). Units drawn with unequal probabilities have each their own
        p: an approximation that needs no joint probabilities (Brewer 2002, Combined Survey Sampling
        Inference, chapter 9; `svydesign(pps = "brewer")`). A parent with one unit drawn, not the only one,
        contributes the product of its totals, the mean of all being 0 (`survey.lonely.psu = "adjust"`).

        Args:
            first: (n, G) weighted scores of the respondents, 0 outside the domain.
            second: (n, M) others.

        Returns:
            (G, M).
        """
        both = (self._squares(sparse.csr_array(scores)) for scores in (first, second))
        return sum(
            (one.T @ (sparse.diags_array(factor) @ other)).toarray()
            for (one, factor), (other, _) in zip(*both, strict=True)
        )

    def _squares(self, scores: sparse.csr_array) -> Iterator[tuple[sparse.csr_array, Array]]:
        """Linear functions of the scores, and the factors of their squares whose sum is the variance.

        sum c (t - m)^2 = sum c t^2 - C w^2 + C (w - m)^2, of a parent's units with totals t and factors c,
        m the mean of the totals, w that weighted by c, C the sum of c: so no sparse matrix fills up.
        """
        share = np.ones(1)
        for stage in self.stages:
            of_parent = _sums(stage.parent, int(stage.parent.max()) + 1)
            m = of_parent.sum(axis=1)
            above = share[stage.parent] if len(share) > 1 else share
            factor = above * (1 - stage.drawn) * (m / np.maximum(m - 1, 1))[stage.parent]
            totals = _sums(stage.unit, len(stage.parent)) @ scores
            yield totals, factor
            whole, several = of_parent @ factor, m > 1
            centre = sparse.diags_array(np.where(several, 1 / m, 0)) @ of_parent
            if not stage.equal:
                weights = np.divide(1, whole, out=np.zeros(len(m)), where=several & (whole > 0))
                weighted = sparse.diags_array(weights) @ of_parent @ sparse.diags_array(factor)
                yield (weighted - centre) @ totals, whole
                centre = weighted
            yield centre @ totals, -whole
            share = above * stage.drawn


def _numbered(survey: pd.DataFrame, name: str) -> range:
    count = 0
    while f"{name}_{count}" in survey:
        count += 1
    return range(count)


def _sums(member: NDArray[np.intp], groups: int) -> sparse.csr_array:
    """The matrix that adds the rows of each group."""
    n = len(member)
    return sparse.csr_array((np.ones(n), (member, np.arange(n))), shape=(groups, n))
