"""A model of a map in arrays: what the approximations and the Stan program are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from poolmap.families.areas.likelihoods import CODES, WITH_DISPERSION, Observed

Array = NDArray[np.float64]

EFFECTS = {"iid": 1, "icar": 2, "bym2": 3, "leroux": 4, "car": 5}
INTRINSIC = ("icar", "bym2")
WITH_RHO = ("bym2", "leroux", "car")


@dataclass(frozen=True, eq=False)
class Field:
    """The structured part of the area effects, over the areas that have neighbours.

    Attributes:
        nodes: (f,) the areas with neighbours; none with `iid`.
        matrix: (f, f) the Laplacian: scaled by component (icar, bym2) or D - A as it is (leroux, car).
        degree: (f,) number of neighbours.
        component: (f,) from 0.
        wanted: whose eigenvalues `spectrum` has: `leroux`, `car`, `pc`; of any other none.
    """

    nodes: NDArray[np.int64]
    matrix: sparse.csc_array
    degree: Array
    component: NDArray[np.int64]
    wanted: str

    @cached_property
    def spectrum(self) -> Array:
        """(f,) what the determinant or the prior of rho needs (`areas.stan`).

        Eigenvalues of D - A (leroux), of D^-1/2 A D^-1/2 (car), or 1 / those of the scaled precision less 1
        (pc; 0 on the null space); else zeros. Dense: only where it is asked for.
        """
        if self.wanted == "leroux":
            return np.linalg.eigvalsh(self.matrix.toarray())
        if self.wanted == "car":
            root = np.sqrt(self.degree)
            return 1 - np.linalg.eigvalsh(self.matrix.toarray() / np.outer(root, root))
        g = np.zeros(len(self.degree))
        if self.wanted == "pc":
            null = self.n_components
            g[null:] = 1 / np.linalg.eigvalsh(self.matrix.toarray())[null:] - 1
        return g

    @property
    def n_components(self) -> int:
        """The number of components of at least two areas."""
        return int(self.component.max()) + 1 if len(self.component) else 0


@dataclass(frozen=True, eq=False)
class MeasuredCovariate:
    """A covariate that is measured with errors of known standard deviation.

    x observed ~ normal(x, se^2), x ~ normal(mu_x, sigma_x^2), with the priors mu_x ~ normal(0, scale) and
    sigma_x ~ half-normal(scale) (Carroll, Ruppert, Stefanski and Crainiceanu 2006, Measurement Error in
    Nonlinear Models, chapter 8).

    Attributes:
        column: of the design matrix.
        se: (n,) standard deviation of the errors, in the unit of that column; 0: known exactly.
        scale: of the priors.
    """

    column: int
    se: Array
    scale: float

    def given(self, x: Array, mu: float, sigma: float) -> tuple[Array, Array]:
        """Mean and variance of the true values, given what was observed: (n,) each."""
        total = sigma**2 + self.se**2
        return (sigma**2 * x + self.se**2 * mu) / total, sigma**2 * self.se**2 / total


@dataclass(frozen=True, eq=False)
class MapModel:
    """One model of a map, in arrays.

    Attributes:
        effects: `iid`, `icar`, `bym2`, `leroux` or `car`.
        field: the structured part.
        X: (n, K) design matrix: the columns of the intercepts (one column of 1, or one for each component),
            then the covariates.
        rows: (m,) areas that were observed.
        observed: what was observed there.
        priors: `Prior.stan_data` of `alpha`, `beta`, `sigma` and, where the model has them, `rho`,
            `dispersion`, `zero` and `sigma_region`: entries `<name>_prior_family` and `<name>_prior`.
        intercepts: (A,) the weight of each intercept in alpha, their mean.
        region: (n,) region of each area, from 0; None without region effects.
        measured: covariates with errors.
        noise: (n,) known variance of the linear predictor beyond the area effects; None for none.
    """

    effects: str
    field: Field
    X: Array
    rows: NDArray[np.int64]
    observed: Observed
    priors: Mapping[str, Any]
    intercepts: Array = dataclass_field(default_factory=lambda: np.ones(1))
    region: NDArray[np.int64] | None = None
    measured: tuple[MeasuredCovariate, ...] = ()
    noise: Array | None = None

    @property
    def n_regions(self) -> int:
        """The number of regions with an effect of their own."""
        return 0 if self.region is None else int(self.region.max()) + 1

    @property
    def design(self) -> Array:
        """(n, K + G) the columns of X and one of 0 and 1 for each region."""
        if self.region is None:
            return self.X
        return np.column_stack([self.X, np.eye(self.n_regions)[self.region]])

    @property
    def hyper_names(self) -> tuple[str, ...]:
        """The hyperparameters in the order of `areas.stan`."""
        names = ["sigma"]
        names += ["rho"] if self.effects in WITH_RHO else []
        names += ["dispersion"] if self.observed.likelihood in WITH_DISPERSION else []
        names += ["zero"] if self.observed.likelihood == "zero_inflated_poisson" else []
        names += ["sigma_region"] if self.region is not None else []
        return tuple(names)


def codes(model: MapModel) -> dict[str, int]:
    """The codes of the likelihood and of the area effects."""
    return {"likelihood": CODES[model.observed.likelihood], "effects": EFFECTS[model.effects]}
