"""One model of multilevel regression and poststratification."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from poolmap.config.base import Column, Section
from poolmap.config.priors import HalfPrior, LogitPrior, UnboundedPrior, UnitPrior

Structure = Literal["iid", "rw1", "ar1", "icar", "bym2"]


class MrpModel(Section):
    """One model of a survey outcome. Scales: logit (binary, ordered, categorical), log (count), or standard
    deviations of the outcome (continuous)."""

    formula: str | None = Field(None, pattern=r"~")
    """The formula of this model, where it differs from that of the analysis."""
    structure: dict[Column, Structure] = Field(default_factory=dict)
    """Varying intercepts of a factor whose levels are not exchangeable: `rw1` (random walk: each level near
    the one before), `ar1` (the same about a mean), `icar` or `bym2` (areas, neighbours on the map)."""
    likelihood: Literal["poisson", "negative_binomial"] = "poisson"
    """Distribution of a count."""
    alpha_prior: LogitPrior = LogitPrior("normal", (0, 2.5))
    """Prior of the intercept, with predictors centred (ordered: of each cutpoint). `{logistic: [0, 1]}` is
    uniform on the share."""
    beta_prior: UnboundedPrior = UnboundedPrior("normal", (0, 1))
    """Prior of each coefficient, predictors standardised."""
    sigma_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the standard deviation of each batch of varying intercepts or slopes."""
    rho_prior: UnitPrior = UnitPrior("beta", (0.5, 0.5))
    """Prior of the share of variance that is spatially structured (bym2)."""
    correlation_prior: UnitPrior = UnitPrior("beta", (2, 1))
    """Prior of the correlation of neighbouring levels (ar1)."""
    lkj: float = Field(2.0, gt=0)
    """Shape of the LKJ prior of the correlations of varying intercepts and slopes; 1 is uniform."""
    residual_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the standard deviation within cells (continuous), in standard deviations of the outcome."""
    dispersion_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the overdispersion of `negative_binomial`, whose variance is m + dispersion m^2."""
    test_mean_prior: UnboundedPrior = UnboundedPrior("normal", (4, 2))
    """Prior of the mean logit of sensitivity, and of specificity, of the studies of a test that vary."""
    test_sd_prior: HalfPrior = HalfPrior("half_normal", (1,))
    """Prior of the standard deviation of these logits between studies. With few studies `{half_normal: 1}`
    lets the sensitivity fall near 0 and the prevalence rise; Gelman and Carpenter advise 0.5 or less."""

    @property
    def is_areal(self) -> bool:
        """Whether effects are shared between neighbours on the map."""
        return bool({"icar", "bym2"} & set(self.structure.values()))
