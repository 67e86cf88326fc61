"""The distribution of each kind of outcome in words and equations."""

from __future__ import annotations

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, Equation
from poolmap.families.mrp.report_words import joined
from poolmap.families.mrp.words import listed

CELLS = "rows with the same levels and predictors"

_BINOMIAL = Equation(
    r"y_i \sim \mathrm{Binomial}(n_i, p_i), \qquad \mathrm{logit}(p_i) = \eta_i",
    "y i, the number of yes answers in cell i, is binomial with size n i and probability p i; the logit "
    "of p i is eta i",
)
_TESTED = Equation(
    r"y_i \sim \mathrm{Binomial}\left(n_i,\ p_i\, \mathrm{sens} + (1 - p_i)(1 - \mathrm{spec})\right), "
    r"\qquad \mathrm{logit}(p_i) = \eta_i",
    "y i, the number of positive tests in cell i, is binomial with size n i and probability p i times the "
    "sensitivity plus one minus p i times one minus the specificity; the logit of the prevalence p i is "
    "eta i",
)
_NORMAL = Equation(
    r"y_{ir} \sim \mathrm{Normal}(\eta_i, \sigma_y^2)",
    "y i r, the outcome of respondent r in cell i, is normal with mean eta i and standard deviation sigma y",
)
_POISSON = Equation(
    r"y_i \sim \mathrm{Poisson}\left(t_i \exp(\eta_i)\right)",
    "y i, the total count of cell i, is Poisson with mean t i times the exponential of eta i",
)
_NEGATIVE_BINOMIAL = Equation(
    r"\mathrm{E}(y_{ir}) = m_{ir} = t_{ir} \exp(\eta_i), \qquad "
    r"\mathrm{Var}(y_{ir}) = m_{ir} + \delta\, m_{ir}^2",
    "y i r, the count of respondent r in cell i, is negative binomial with mean m i r, which is t i r "
    "times the exponential of eta i, and variance m i r plus the dispersion delta times m i r squared",
)
_ORDERED = Equation(
    r"\Pr(y_{ir} \le c) = \mathrm{logit}^{-1}(\kappa_c - \eta_i)",
    "the probability that the answer of respondent r in cell i is c or lower is the inverse logit of kappa c "
    "minus eta i",
)
_CATEGORICAL = Equation(
    r"\Pr(y_{ir} = c) = \frac{\exp(\eta_{ic})}{\sum_{d} \exp(\eta_{id})}, \qquad \eta_{i1} = 0",
    "the probability of answer c of respondent r in cell i is the exponential of eta i c over the sum "
    "over all answers d of the exponential of eta i d; eta i 1, of the first answer, is zero",
)


def likelihood_blocks(spec: MrpAnalysis, model: str, data: Dataset) -> list[Block]:
    """What the outcome's kind is, how it depends on the linear predictor eta, and what is aggregated."""
    kind, facts = spec.outcome.kind, data.facts
    formula = spec.formula_of(model)
    start = (
        f"Multilevel regression and poststratification (Gelman and Little 1997). The formula is {formula}."
    )
    if kind == "binary" and spec.outcome.test is not None:
        return [
            f"{start} The outcome is the result of a test that errs. The regression is of the prevalence, "
            "and the "
            f"test's sensitivity and specificity are estimated with it. Cells ({CELLS}) are binomial "
            "together:",
            _TESTED,
            _test(spec),
        ]
    if kind == "binary":
        return [
            f"{start} It is a logistic regression, fitted to the survey's cells: {CELLS}, whose yes "
            "answers are binomial together.",
            _BINOMIAL,
        ]
    if kind == "continuous":
        scale = facts["outcome_scale"]
        return [
            f"{start} It is a linear regression with one standard deviation within all cells ({CELLS}). "
            "Each cell enters by its size, mean and sum of squares, which hold all that the data say in "
            "this model.",
            _NORMAL,
            f"The model sees the outcome standardised (mean {scale['mean']:,.4g}, standard deviation "
            f"{scale['sd']:,.4g} of the respondents), and priors are in these standard deviations; all "
            "estimates are in the outcome's own units.",
        ]
    if kind == "count":
        time = (
            f"t is the exposure, '{spec.outcome.exposure}'."
            if spec.outcome.exposure is not None
            else "Everyone has the same exposure, t = 1 a respondent, so that the mean count is estimated."
        )
        if spec.models[model].likelihood == "negative_binomial":
            return [
                f"{start} It is a negative binomial regression: counts vary more than Poisson counts would.",
                _NEGATIVE_BINOMIAL,
                time,
            ]
        return [
            f"{start} It is a Poisson regression, fitted to the totals of the survey's cells: {CELLS}.",
            _POISSON,
            time,
        ]
    answers = listed([f"'{answer}'" for answer in facts["answers"]])
    if kind == "ordered":
        return [
            f"{start} It is a cumulative logit (proportional odds) regression of the answers in their order: "
            f"{answers}. The higher eta, the higher the answers.",
            _ORDERED,
            "The cutpoints kappa rise from answer to answer and take the place of the intercept.",
        ]
    return [
        f"{start} It is a multinomial logit regression of the answers {answers}, against the first as "
        "reference. Every other answer has an intercept, coefficients and varying effects of its own, "
        "independent between answers a priori.",
        _CATEGORICAL,
    ]


def _test(spec: MrpAnalysis) -> str:
    test = spec.outcome.test

    def studies(found) -> str:
        return joined([f"{study.correct:,} of {study.of:,}" for study in found])

    text = (
        f"Validation studies (binomial): of cases {studies(test.sensitivity)} tested positive, of others "
        f"{studies(test.specificity)} tested negative. "
    )
    if test.between_studies == "equal":
        return text + (
            "All studies and the survey share one sensitivity and one specificity, uniform between 0 and 1 a "
            "priori."
        )
    return text + (
        "Sensitivity (and specificity) differs between studies: their logits are normal about a mean, and "
        "the survey's own is one more of them (Gelman and Carpenter 2020, JRSS C 69:1269-1283)."
    )
