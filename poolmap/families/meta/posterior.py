"""What the draws of a fitted model say of the studies' effects, whatever its likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolmap.config.meta import MetaAnalysis
from poolmap.config.meta_model import DEFAULT_DF
from poolmap.contracts import Dataset
from poolmap.families.meta.design import Design, design
from poolmap.families.meta.usable import used_by

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Effects:
    """Draws of one model, all (chain, draw, ...), on the scale of analysis; None for what it has not.

    Attributes:
        design: the model's design.
        beta: means and slopes (.., P).
        mu: pooled effect (..,): the effect expected at the studies' average.
        tau: between-study standard deviations (.., G); of Student-t effects the scale.
        tau_within: the same within studies (..,).
        df: degrees of freedom of Student-t effects; None for normal ones.
        theta: the effect of each study (.., K).
        new: the effect of a new study (..,).
    """

    design: Design
    beta: np.ndarray | None
    mu: np.ndarray | None
    tau: np.ndarray | None
    tau_within: np.ndarray | None
    df: float | None
    theta: np.ndarray
    new: np.ndarray | None

    @property
    def location(self) -> np.ndarray:
        """The expected effect of each study (.., K)."""
        return self.beta @ self.design.X.T

    def mean_of(self, subgroup: int) -> np.ndarray:
        """The pooled effect (..,) of one subgroup, at the studies' average of the moderators."""
        slopes = self.design.average[self.design.M :]
        return self.beta[:, :, subgroup] + self.beta[:, :, self.design.M :] @ slopes

    def new_in(self, subgroup: int, rng: np.random.Generator) -> np.ndarray:
        """A new effect (..,) of a new study of one subgroup, at the studies' average of the moderators."""
        spread = self.tau_of(subgroup)
        if self.tau_within is not None:
            spread = np.hypot(spread, self.tau_within)
        return new_effects(self.mean_of(subgroup), spread, self.df, rng)

    def tau_of(self, subgroup: int) -> np.ndarray:
        """The between-study standard deviation (..,) in one subgroup."""
        return self.tau[:, :, subgroup if self.design.G > 1 else 0]


def study_effects(
    spec: MetaAnalysis, model: str, data: Dataset, draws: xarray.Dataset, rng: np.random.Generator
) -> Effects:
    """The studies' effects and those of a new study.

    Where the program has integrated the effects out they are drawn from their exact distribution given the
    parameters and the estimates.

    Args:
        draws: the parameters of `model.stan_data`.
        rng: draws the effects that are not among them.
    """
    chosen, data = spec.models[model], used_by(spec, model, data)
    layout = design(spec, model, data)
    found = {name: values.values for name, values in draws.data_vars.items()}
    beta, tau = found.get("beta"), found.get("tau")
    within = found["tau_within"].reshape(*tau.shape[:2]) if "tau_within" in found else None
    studies = data.tables["studies"]
    mu = None if beta is None else beta @ layout.average
    if spec.program(model) == "meta/beta_binomial":
        from poolmap.families.meta.beta_binomial import beta_binomial_effects

        theta, new = beta_binomial_effects(spec, layout, studies, draws, rng)
        return Effects(layout, beta, mu, None, None, None, theta, new)
    if spec.program(model) == "meta/multilevel":
        from poolmap.families.meta.multilevel import multilevel_effects

        theta = multilevel_effects(spec, model, layout, studies, draws, rng)
    elif "theta" in found:
        theta = found["theta"]
    else:
        theta = _integrated(layout, studies, beta, tau, found.get("w"), rng)
    df = (chosen.df or DEFAULT_DF) if chosen.effects == "student_t" else None
    new = None if tau is None else _new_study(layout, beta, tau, within, df, rng)
    return Effects(layout, beta, mu, tau, within, df, theta, new)


def _integrated(layout: Design, studies, beta, tau, w, rng: np.random.Generator) -> np.ndarray:
    """Effects of a normal likelihood given the rest (Gelman et al. 2013, BDA3, equation 5.17).

    Normal with mean B m + (1 - B) y and variance (1 - B) se^2, where m is the study's expected effect and
    B = se^2 / (se^2 + v), v the variance of the effects: tau^2, for Student-t effects tau^2 w.
    """
    location = beta @ layout.X.T
    if tau is None:
        return location
    scale = tau[:, :, layout.group - 1] * (1.0 if w is None else np.sqrt(w))
    yi, vi = studies["yi"].to_numpy(), studies["vi"].to_numpy()
    spread = np.sqrt(vi + scale**2)
    deviation = (scale / spread) ** 2 * (yi - location)  # not (1 - B): exact where tau is tiny
    return location + deviation + scale * np.sqrt(vi) / spread * rng.standard_normal(location.shape)


def _new_study(layout: Design, beta, tau, within, df, rng: np.random.Generator) -> np.ndarray:
    """A new study's effect: at the studies' average; with subgroups, of a subgroup as frequent as here."""
    if layout.subgroups:
        shape = beta.shape[:2]
        share = np.bincount(layout.subgroup, minlength=layout.M) / len(layout.X)
        drawn = rng.choice(layout.M, size=shape, p=share)[:, :, None]
        centre = np.take_along_axis(beta[:, :, : layout.M], drawn, axis=2)[:, :, 0]
        centre = centre + beta[:, :, layout.M :] @ layout.average[layout.M :]
        spread = np.take_along_axis(tau, drawn if layout.G > 1 else np.zeros_like(drawn), axis=2)[:, :, 0]
    else:
        centre, spread = beta @ layout.average, tau[:, :, 0]
    if within is not None:
        spread = np.hypot(spread, within)
    return new_effects(centre, spread, df, rng)


def new_effects(
    location: np.ndarray, spread: np.ndarray | float, df: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Effects drawn around a location: normal, or Student-t with `df` degrees of freedom."""
    unit = rng.standard_normal(location.shape) if df is None else rng.standard_t(df, location.shape)
    return location + spread * unit
