"""The effect measures: their raw columns, their default priors, and what else the config knows of them."""

from __future__ import annotations

from poolmap.config.priors import PositivePrior, Prior

COUNT_COLUMNS = ("events_1", "total_1", "events_2", "total_2")

_PERSON_TIME = ("events_1", "time_1", "events_2", "time_2")
_MEANS = ("mean_1", "sd_1", "n_1", "mean_2", "sd_2", "n_2")
MEASURES: dict[str, tuple[str, ...]] = {
    "OR": COUNT_COLUMNS,
    "RR": COUNT_COLUMNS,
    "RD": COUNT_COLUMNS,
    "PETO": COUNT_COLUMNS,
    "IRR": _PERSON_TIME,
    "IRD": _PERSON_TIME,
    "MD": _MEANS,
    "SMD": _MEANS,
    "ROM": _MEANS,
    "PLO": ("events", "total"),
    "PFT": ("events", "total"),
    "PR": ("events", "total"),
    "IRLN": ("events", "time"),
    "IR": ("events", "time"),
    "MN": ("mean", "sd", "n"),
    "ZCOR": ("r", "n"),
}
"""The raw columns of each measure but GEN, in a table with one row a study."""
ADDING_UP = ("events", "total", "time", "n")
"""Raw data that add up over studies: what stands before `_1` and `_2`."""
PRECISION_COLUMNS = (("se",), ("variance",), ("lower", "upper"), ("p_value",))
"""What may tell the precision of an estimate (measure GEN); exactly one of them does."""
GENERIC_COLUMNS = ("estimate", *(name for names in PRECISION_COLUMNS for name in names))
RISK_MEASURES = ("OR", "RR", "RD", "PETO")
"""Measures from which a risk follows, given the risk without the intervention."""
RATIOS = ("OR", "RR", "PETO", "IRR", "ROM", "IRLN")
"""Measures that are reported as ratios or rates and analysed as logarithms."""
NO_CORRECTION = ("PETO",)
"""Measures that zero cells leave defined, so that nothing is added to them unless the config says so."""

DEFAULT_PRIORS = {
    # measure: (mu, tau). Ratios: Günhan, Röver & Friede 2020 (mu), Röver et al. 2021 (tau).
    "RR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "OR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "RD": (Prior("normal", (0, 1)), PositivePrior("half_normal", (0.25,))),
    "PETO": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
    "IRR": (Prior("normal", (0, 2.82)), PositivePrior("half_normal", (0.5,))),
}

_EXAMPLES = {
    # scale: normal prior of mu, scale of the half-normal prior of tau
    "SMD": ("[0, 1]", "0.5"),
    "ROM": ("[0, 1]", "0.5"),
    "ratio": ("[0, 1]", "0.5"),
    "log_ratio": ("[0, 1]", "0.5"),
    "ZCOR": ("[0, 0.5]", "0.25"),
    "PLO": ("[0, 1.5]", "1"),
    "PFT": ("[0.5, 0.5]", "0.25"),
    "PR": ("[0.5, 0.5]", "0.25"),
    "IRLN": ("[-6, 3]", "1"),
}


def example_prior(key: str, scale: str) -> str:
    """A prior to copy into the config, and to change.

    Args:
        key: the prior, such as `mu_prior`.
        scale: the measure, or the scale of its estimates (GEN).
    """
    mu, tau = _EXAMPLES.get(scale, ("[0, 10]", "5"))
    if key == "beta_prior":
        return "{normal: [0, 0.5]}"
    return f"{{normal: {mu}}}" if key == "mu_prior" else f"{{half_normal: {tau}}}"


CALLED = {
    "OR": ("odds ratio", "log odds ratio", "lnor", "logor"),
    "RR": ("risk ratio", "relative risk", "log risk ratio", "lnrr", "logrr"),
    "RD": ("risk difference", "absolute risk reduction", "arr"),
    "PETO": ("peto odds ratio", "petos odds ratio", "peto or"),
    "IRR": ("incidence rate ratio", "rate ratio"),
    "IRD": ("incidence rate difference", "rate difference"),
    "MD": ("mean difference", "wmd", "weighted mean difference"),
    "SMD": (
        "standardised mean difference",
        "standardized mean difference",
        "hedges g",
        "cohens d",
        "cohen d",
        "g",
        "d",
    ),
    "ROM": ("ratio of means", "response ratio"),
    "PLO": ("proportion", "prevalence", "logit", "plogit"),
    "PFT": ("freeman-tukey",),
    "PR": ("praw", "raw proportion"),
    "IRLN": ("incidence rate", "rate"),
    "MN": ("mean",),
    "ZCOR": ("correlation", "fisher z", "cor"),
    "GEN": ("hazard ratio", "hr", "generic", "estimate", "generic inverse variance", "giv"),
}
"""What users call the measures elsewhere, in small letters."""
