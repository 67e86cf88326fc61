"""Variances under the survey's design: strata, clusters, several stages, finite populations.

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
        fraction: (parents,) share of the parent's units that was drawn; 0 where it is not known.
    """

    unit: NDArray[np.intp]
    parent: NDArray[np.intp]
    fraction: Array


@dataclass(frozen=True, eq=False)
class Design:
    """How the respondents were drawn.

    Attributes:
        weight: (n,) sampling weights.
        stages: the stages whose variance counts; those below a stage without population sizes do not (the
            first stage's variance then stands for all, as in sampling with replacement).
    """

    weight: Array
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, survey: pd.DataFrame) -> Design:
        """The design in the columns `weight`, `stratum`, `cluster_<k>` and `population_size_<k>`.

        Without clusters the respondents are the units. Population sizes are the numbers of units in the
        stratum (stage 0) or in the unit of the stage before; one more of them than clusters is that of the
        respondents in the last cluster.
        """
        n = len(survey)
        size = [
            survey[f"population_size_{k}"].to_numpy(dtype=float) for k in _numbered(survey, "population_size")
        ]
        units = [survey[f"cluster_{k}"].to_numpy() for k in _numbered(survey, "cluster")]
        if len(units) < max(len(size), 1):
            units.append(np.arange(n))
        above = pd.factorize(survey["stratum"])[0] if "stratum" in survey else np.zeros(n, dtype=np.intp)
        stages: list[Stage] = []
        for k, names in enumerate(units):
            unit = pd.MultiIndex.from_arrays([above, names]).factorize()[0]
            first = np.unique(unit, return_index=True)[1]
            parent = above[first]
            drawn = np.bincount(parent)
            fraction = np.zeros(len(drawn))
            if k < len(size):
                parents_first = np.unique(above, return_index=True)[1]
                fraction = np.minimum(drawn / size[k][parents_first], 1)
            stages.append(Stage(unit, parent, fraction))
            if not fraction.any():
                break
            above = unit
        return cls(survey["weight"].to_numpy(dtype=float), tuple(stages))

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
        found = np.zeros(scores.shape[1])
        for totals, means, of_unit, of_parent in self._totals(scores):
            found += of_unit @ totals.power(2) - of_parent @ means.power(2)
        return found

    def covariance(self, first: Array | sparse.csr_array, second: Array) -> Array:
        """Covariances of totals of scores.

        Stage by stage, sum over parents of (1 - f) m / (m - 1) times the products of the units' totals about
        their means, m units drawn, those of lower stages times the sampling fractions above (Särndal,
        Swensson and Wretman 1992, Model Assisted Survey Sampling, 4.3; `svyrecvar` of R's survey). A parent
        with one unit drawn, not the only one, contributes the product of its totals, the mean of all being 0
        (`survey.lonely.psu = "adjust"`).

        Args:
            first: (n, G) weighted scores of the respondents, 0 outside the domain.
            second: (n, M) others.

        Returns:
            (G, M).
        """
        found = np.zeros((first.shape[1], second.shape[1]))
        both = (self._totals(sparse.csr_array(scores)) for scores in (first, second))
        for (one, mean, of_unit, of_parent), (other, other_mean, _, _) in zip(*both, strict=True):
            found += (one.T @ (sparse.diags_array(of_unit) @ other)).toarray()
            found -= (mean.T @ (sparse.diags_array(of_parent) @ other_mean)).toarray()
        return found

    def _totals(
        self, scores: sparse.csr_array
    ) -> Iterator[tuple[sparse.csr_array, sparse.csr_array, Array, Array]]:
        """Of each stage the units' totals, the parents' means, and the factors of their squares."""
        share = np.ones(len(self.stages[0].fraction))
        for stage in self.stages:
            parents = len(stage.fraction)
            drawn = np.bincount(stage.parent, minlength=parents)
            totals = _sums(stage.unit, len(stage.parent)) @ scores
            factor = share * (1 - stage.fraction) * drawn / np.maximum(drawn - 1, 1)
            centre = np.where(drawn > 1, 1 / np.maximum(drawn, 1), 0.0)
            means = sparse.diags_array(centre) @ _sums(stage.parent, parents) @ totals
            yield totals, means, factor[stage.parent], factor * drawn
            share = (share * stage.fraction)[stage.parent]


def _numbered(survey: pd.DataFrame, name: str) -> range:
    count = 0
    while f"{name}_{count}" in survey:
        count += 1
    return range(count)


def _sums(member: NDArray[np.intp], groups: int) -> sparse.csr_array:
    """The matrix that adds the rows of each group."""
    n = len(member)
    return sparse.csr_array((np.ones(n), (member, np.arange(n))), shape=(groups, n))
