"""The likelihoods and their parameters in words and equations."""

from __future__ import annotations

from poolmap.contracts import Block, Equation

ALPHA = {
    "rr": "log relative risk",
    "prevalence": "logit of the prevalence",
    "mean": "mean",
}
BETA = {"rr": "log relative risk", "prevalence": "log odds", "mean": "mean"}
RATIO = {"rr": ("rate_ratio", "relative risks"), "prevalence": ("odds_ratio", "odds")}
"""exp(beta) by scale: its name, and what it is a ratio of."""
OWN = {
    "negative_binomial": (
        "dispersion",
        "overdispersion of the counts: a count with mean m has the variance m + dispersion m^2 (its inverse "
        "is the size of the negative binomial, Stan's phi)",
    ),
    "beta_binomial": (
        "icc",
        "intraclass correlation of the beta-binomial: that of two persons of an area beyond what the area's "
        "prevalence explains",
    ),
    "zero_inflated_poisson": (
        "zero_inflation",
        "probability that the count of an area is 0 whatever its expected count (a structural zero)",
    ),
}
"""The parameter that a likelihood has of its own, and what it is."""
SYMBOL = {"dispersion": "psi", "icc": "kappa", "zero_inflation": "pi"}
"""How the equations write it."""

_BOTH = (
    "With one count an area this extra variation and unstructured area effects explain much the same: the "
    "data tell them apart by the shape of their distributions only, and the priors decide the rest. Effects "
    "that are structured only (ICAR) are told apart from it."
)


def linear_predictor(*, covariates: bool, regions: bool, components: bool) -> tuple[str, str]:
    """What the linear predictor is the sum of, in LaTeX and in words."""
    parts = [(r"\alpha_{c[i]}", "alpha of the component of i") if components else (r"\alpha", "alpha")]
    if covariates:
        parts.append((r"\mathbf{x}_i^\top \boldsymbol\beta", "x i transposed beta"))
    if regions:
        parts.append((r"v_{g[i]}", "v of the region of i"))
    parts.append(("b_i", "b i"))
    return " + ".join(latex for latex, _ in parts), " plus ".join(words for _, words in parts)


def likelihood_blocks(likelihood: str, predictor: tuple[str, str]) -> list[Block]:
    """How what was observed follows from what is estimated.

    Args:
        predictor: see `linear_predictor`.
    """
    linear, spoken = predictor
    risk = r", \qquad \log \mathrm{RR}_i = " + linear
    risk_words = f"; the log of R R i is {spoken}"
    share = r", \qquad \mathrm{logit}\, p_i = " + linear
    share_words = f"; the logit of p i is {spoken}"
    if likelihood == "poisson":
        return [
            "The observed count of each area is Poisson, with the expected count times the area's relative "
            "risk as its mean:",
            Equation(
                r"y_i \sim \mathrm{Poisson}(E_i\, \mathrm{RR}_i)" + risk,
                f"y i is Poisson with mean E i times R R i{risk_words}",
            ),
        ]
    if likelihood == "negative_binomial":
        return [
            "The observed count of each area is negative binomial, with the expected count times the area's "
            "relative risk as its mean and a variance above the mean (overdispersion psi):",
            Equation(
                r"y_i \sim \mathrm{NegBin}(m_i, \psi), \quad m_i = E_i\, \mathrm{RR}_i, \quad "
                r"\mathrm{Var}(y_i) = m_i + \psi m_i^2" + risk,
                "y i is negative binomial with mean m i, which is E i times R R i, and variance m i plus psi "
                f"times m i squared{risk_words}",
            ),
            _BOTH,
        ]
    if likelihood == "zero_inflated_poisson":
        return [
            "The count of an area is 0 with probability pi whatever its expected count (a structural zero: "
            "no reporting, no exposure), and else Poisson (Lambert 1992, Technometrics 34:1-14):",
            Equation(
                r"y_i \sim \pi\, \mathbf{1}\{y_i = 0\} + (1 - \pi)\, \mathrm{Poisson}(E_i\, \mathrm{RR}_i)"
                + risk,
                f"y i is zero with probability pi, and else Poisson with mean E i times R R i{risk_words}",
            ),
            "The relative risk is that of counts that are not structural zeros; the rate takes those zeros "
            "in.",
        ]
    if likelihood == "binomial":
        return [
            "The cases of each area are binomial among the persons examined there:",
            Equation(
                r"y_i \sim \mathrm{Binomial}(n_i, p_i)" + share,
                f"y i is binomial among n i persons with probability p i{share_words}",
            ),
        ]
    if likelihood == "beta_binomial":
        return [
            "The cases of each area are beta-binomial among the persons examined there: more variable than "
            "binomial, with the intraclass correlation kappa between persons of an area:",
            Equation(
                r"y_i \sim \mathrm{BetaBinomial}(n_i, p_i, \kappa), \quad "
                r"\mathrm{Var}(y_i) = n_i p_i (1 - p_i) (1 + (n_i - 1) \kappa)" + share,
                "y i is beta-binomial among n i persons with probability p i and variance n i p i times one "
                f"minus p i times one plus n i minus one times kappa{share_words}",
            ),
            _BOTH,
        ]
    return [
        "The direct estimate of each area is normal around the area's mean, with its standard error taken as "
        "known (Fay and Herriot 1979, Journal of the American Statistical Association 74:269-277):",
        Equation(
            r"y_i \sim \mathrm{Normal}(\mu_i, s_i^2), \qquad \mu_i = " + linear,
            f"y i is normal with mean mu i and standard deviation s i; mu i is {spoken}",
        ),
        "A standard error that is itself estimated from few observations is less certain than this says.",
    ]


def suppressed_block() -> list[Block]:
    """How a count enters of which only a range is known."""
    return [
        "A suppressed count adds the probability of its range (interval censoring): it is neither left out "
        "nor replaced by a number.",
        Equation(
            r"p(a_i \le y_i \le b_i) = \sum_{y = a_i}^{b_i} p(y)",
            "the probability that y i lies between a i and b i is the sum of the probabilities of the counts "
            "from a i to b i",
        ),
    ]
