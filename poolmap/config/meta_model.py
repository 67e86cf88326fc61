"""The config section of one model of a meta-analysis."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from poolmap.config.base import Column, PositivePrior, Prior, Section, UnitPrior
from poolmap.config.conflicts import Conflict
from poolmap.config.priors import TauPrior

LIKELIHOODS: dict[str, tuple[str, ...]] = {
    "binomial": ("OR", "RR", "PLO"),
    "poisson": ("IRR", "IRLN"),
    "beta_binomial": ("OR", "PLO"),
}
"""The measures that each exact likelihood can be used for; `normal` fits all."""
SINGLE_GROUP = ("PLO", "IRLN")

BASELINE_PRIOR = Prior("normal", (0, 10))
BASELINE_SD_PRIOR = PositivePrior("half_normal", (2,))
ICC_PRIOR = UnitPrior("beta", (1, 1))
DEFAULT_DF = 4.0
FORMULA_WORDS = ("True", "False", "None", "Treatment", "Sum")
"""Words of the formula language that name no column."""


class MetaModel(Section):
    """One model of a meta-analysis."""

    likelihood: Literal["normal", "binomial", "poisson", "beta_binomial"] = "normal"
    """`normal`: effect estimates with known variances; `binomial` (OR, RR, PLO), `poisson` (IRR, IRLN): the
    exact counts of each arm or group; `beta_binomial` (OR, PLO): the same, risks that vary between arms by a
    beta distribution."""
    effects: Literal["normal", "student_t", "common", "independent"] = "normal"
    """How the studies' effects are distributed around the pooled effect: `normal`; `student_t` with `df`
    degrees of freedom, less drawn by outlying studies; `common`: one effect in all studies (complete
    pooling); `independent`: unrelated effects (no pooling)."""
    df: float | None = Field(None, ge=1)
    """Degrees of freedom of `effects: student_t`; 4 where it is left out."""
    formula: str | None = Field(None, min_length=1)
    """Meta-regression: right-hand side of a formula over `moderators`, such as `latitude + allocation`."""
    centre: bool = True
    """Whether the columns of the formula are centred, so that mu is the effect at the studies' average."""
    subgroups: Column | None = None
    """A column of `moderators`: each of its categories gets a pooled effect of its own."""
    subgroup_tau: Literal["common", "own"] | None = None
    """Whether the subgroups share one between-study standard deviation (`common`, where it is left out)."""
    levels: Literal[2, 3] | None = None
    """With `effect_id`: 3 (where it is left out): effects vary between studies and within them; 2: between
    studies only."""
    correlation: float | None = Field(None, gt=-1, lt=1)
    """With `effect_id`: assumed correlation of the sampling errors of a study's effects; 0 where neither it
    nor `columns.correlation` is given."""
    baseline: Literal["fixed", "random"] | None = None
    """Two arms with an exact likelihood: each study's baseline is a parameter with a prior of its own
    (`fixed`, where it is left out), or the baselines are drawn from a normal distribution (`random`)."""
    mu_prior: Prior | None = None
    """Prior of the pooled effect, on the scale of analysis (the log scale for ratios); of each subgroup's."""
    beta_prior: Prior | None = None
    """Prior of each coefficient of the formula, per unit of its moderator."""
    tau_prior: TauPrior | None = None
    """Prior of the between-study standard deviation, on the scale of analysis."""
    tau_within_prior: PositivePrior | None = None
    """Prior of the standard deviation within studies (`effect_id`); that of tau where it is left out."""
    baseline_prior: Prior | None = None
    """Prior of each study's baseline (log odds, log risk, log rate in arm 2), or of their mean (`random`)."""
    baseline_sd_prior: PositivePrior | None = None
    """Prior of the standard deviation of random baselines."""
    icc_prior: UnitPrior | None = None
    """Prior of the intraclass correlation of the beta-binomial likelihood."""

    def conflicts(self, measure: str, *, several_effects: bool) -> list[Conflict]:
        """Keys that the model cannot have, or that would have no effect."""
        fits = LIKELIHOODS.get(self.likelihood, (measure,))
        if measure not in fits:
            listed = " and ".join((", ".join(fits[:-1]), fits[-1]) if len(fits) > 1 else fits)
            words = self.likelihood.replace("_", "-")
            valid = ["normal", *(name for name, of in LIKELIHOODS.items() if measure in of)]
            what = f"the {words} likelihood is available for {listed}, not for measure {measure}"
            return [
                Conflict(
                    "likelihood",
                    what,
                    f"for {measure} write {' or '.join(filter(None, (', '.join(valid[:-1]), valid[-1])))}",
                )
            ]
        counts, heterogeneous = self.likelihood == "beta_binomial", self.heterogeneous
        has_baseline = self.likelihood != "normal" and measure not in SINGLE_GROUP
        two_arms = has_baseline and not counts
        pools = self.effects != "independent"
        by_key = {
            "effects": (
                not (counts or several_effects)
                or self.effects == "normal"
                or (several_effects and self.effects == "common"),
                "beta_binomial has its own variation between arms: leave `effects` away"
                if counts
                else "several effects of a study (`effect_id`) take normal or common effects",
            ),
            "likelihood": (
                not several_effects or self.likelihood == "normal",
                "several effects of a study (`effect_id`) take the normal likelihood",
            ),
            "df": (self.effects == "student_t", "only `effects: student_t` has degrees of freedom"),
            "formula": (pools, "unrelated effects (`independent`) have no regression"),
            "centre": (self.formula is not None or self.centre, "it belongs to `formula`"),
            "subgroups": (pools, "unrelated effects (`independent`) have no subgroups"),
            "subgroup_tau": (
                heterogeneous and self.subgroups is not None and not several_effects,
                "it belongs to `subgroups`, with effects that vary between studies of one effect each",
            ),
            "levels": (several_effects and heterogeneous, "it belongs to `effect_id`, with varying effects"),
            "correlation": (several_effects, "it belongs to several effects of a study: see `effect_id`"),
            "baseline": (two_arms, "it belongs to the binomial and Poisson likelihood of two arms"),
            "beta_prior": (self.formula is not None, "it belongs to `formula`"),
            "tau_prior": (heterogeneous, "this model has no between-study standard deviation"),
            "tau_within_prior": (self.within(several_effects), "it belongs to `effect_id` with 3 levels"),
            "baseline_prior": (
                has_baseline,
                "it belongs to exact likelihoods of two arms",
            ),
            "baseline_sd_prior": (two_arms and self.baseline == "random", "it belongs to `baseline: random`"),
            "icc_prior": (counts, "it belongs to `likelihood: beta_binomial`"),
        }
        found = []
        for key, (fitting, words) in by_key.items():
            always = key in ("effects", "likelihood")
            if not fitting and (always or getattr(self, key) is not None):
                found.append(Conflict(key, words if always else f"{words}: leave `{key}` away"))
        return found

    @property
    def heterogeneous(self) -> bool:
        """Whether the model has a between-study standard deviation tau."""
        return self.effects in ("normal", "student_t") and self.likelihood != "beta_binomial"

    def within(self, several_effects: bool) -> bool:
        """Whether effects vary within studies too."""
        return several_effects and self.heterogeneous and self.levels != 2

    @property
    def formula_names(self) -> list[str]:
        """The columns that the formula names, as far as they can be told without the data."""
        text = self.formula or ""
        quoted = re.findall(r"`([^`]+)`", text)
        rest = re.sub(r"`[^`]+`|\"[^\"]*(\"|$)|'[^']*('|$)", " ", text)
        plain = re.findall(r"(?<![\w.])[^\W\d][\w.]*+(?!\s*\()(?!\s*=[^=])", rest)
        return [name for name in dict.fromkeys([*quoted, *plain]) if name not in FORMULA_WORDS]

    @property
    def subgroup_names(self) -> list[str]:
        """The column of the subgroups, if any."""
        return [self.subgroups] if self.subgroups else []

    def needs_priors(self, has_default: bool, several_effects: bool) -> list[str]:
        """The priors that the config must state."""
        needed = []
        if self.within(several_effects) and self.tau_within_prior is None and self.tau_prior is not None:
            # published priors are those of the variation between studies
            needed += ["tau_within_prior"] if self.tau_prior.measures else []
        if not has_default:
            needed += ["mu_prior"] if self.mu_prior is None else []
            needed += ["tau_prior"] if self.heterogeneous and self.tau_prior is None else []
        return needed + (["beta_prior"] if self.formula is not None and self.beta_prior is None else [])

    def priors(
        self, measure: str, mu: Prior | None, tau: PositivePrior | None, *, several_effects: bool
    ) -> dict[str, Prior]:
        """The priors in force, by parameter, given the measure's defaults of mu and tau."""
        found: dict[str, Prior | None] = {"mu": self.mu_prior or mu}
        if self.formula is not None:
            found["beta"] = self.beta_prior
        if self.heterogeneous:
            found["tau"] = self.tau_prior or tau
        if self.within(several_effects):
            found["tau_within"] = self.tau_within_prior or found["tau"]
        if self.likelihood != "normal" and measure not in SINGLE_GROUP:
            found["baseline"] = self.baseline_prior or BASELINE_PRIOR
        if self.baseline == "random":
            found["baseline_sd"] = self.baseline_sd_prior or BASELINE_SD_PRIOR
        if self.likelihood == "beta_binomial":
            found["icc"] = self.icc_prior or ICC_PRIOR
        return {name: prior for name, prior in found.items() if prior is not None}
