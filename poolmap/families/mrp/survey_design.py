"""Variances under the survey's design: strata, clusters, several stages, finite populations."""

from __future__ import annotations

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
        freedom: degrees of freedom, first-stage units less strata.
    """

    weight: Array
    stages: tuple[Stage, ...]
    freedom: int

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
        freedom = len(stages[0].parent) - len(stages[0].fraction)
        return cls(survey["weight"].to_numpy(dtype=float), tuple(stages), freedom)

    def variance(self, scores: Array) -> Array:
        """Variance of totals of scores.

        Stage by stage, sum over parents of (1 - f) m / (m - 1) times the sum of squares of the units' totals
        about their mean, m units drawn, those of lower stages times the sampling fractions above (Särndal,
        Swensson and Wretman 1992, Model Assisted Survey Sampling, 4.3; `svyrecvar` of R's survey). A parent
        with one unit drawn, not the only one, contributes its total squared, the mean of all being 0
        (`survey.lonely.psu = "adjust"`).

        Args:
            scores: (n, G) weighted scores of the respondents, 0 outside the domain.

        Returns:
            (G,) variances.
        """
        found = np.zeros(scores.shape[1])
        share = np.ones(len(self.stages[0].fraction))
        for stage in self.stages:
            units, parents = len(stage.parent), len(stage.fraction)
            totals = _sums(stage.unit, units) @ scores
            drawn = np.bincount(stage.parent, minlength=parents)
            of_parent = _sums(stage.parent, parents)
            mean = (of_parent @ totals) / drawn[:, None]
            mean[drawn == 1] = 0
            factor = share * (1 - stage.fraction) * drawn / np.maximum(drawn - 1, 1)
            found += factor @ (of_parent @ (totals - mean[stage.parent]) ** 2)
            share = (share * stage.fraction)[stage.parent]
        return found


def _numbered(survey: pd.DataFrame, name: str) -> range:
    count = 0
    while f"{name}_{count}" in survey:
        count += 1
    return range(count)


def _sums(member: NDArray[np.intp], groups: int) -> sparse.csr_array:
    """The matrix that adds the rows of each group."""
    n = len(member)
    return sparse.csr_array((np.ones(n), (member, np.arange(n))), shape=(groups, n))
