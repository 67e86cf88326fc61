"""The priors of the area effects in words and equations."""

from __future__ import annotations

from poolmap.contracts import Block, Equation

_SCALE = "scale of the area effects given their neighbours"
SIGMA = dict.fromkeys(("iid", "icar", "bym2"), "standard deviation of the area effects")
SIGMA |= dict.fromkeys(("leroux", "car"), _SCALE)
_DEPENDENCE = "strength of the dependence between neighbours"
RHO = {"bym2": "share of the variance of the area effects that is spatially structured"}
RHO |= dict.fromkeys(("leroux", "car"), _DEPENDENCE)
"""What sigma and rho are, by prior of the area effects."""

_STRUCTURED = Equation(
    r"p(\boldsymbol\phi) \propto \exp\left( -\tfrac{1}{2} \sum_{i \sim j} (\phi_i - \phi_j)^2 \right)",
    "the density of phi is proportional to the exponential of minus one half of the sum over "
    "neighbours i and j of the squared difference of phi i and phi j",
)
_ALONE = "An area without neighbours has an unstructured effect with standard deviation sigma."
_SAMPLED = (
    "The effects are sampled in coordinates in which they are nearly independent (a sparse Cholesky factor "
    "of their approximate posterior precision); this changes the speed, not the model."
)


def effect_blocks(prior: str) -> list[Block]:
    """The area effects in words and equations."""
    if prior == "iid":
        return [
            "The area effects are unstructured: an area is drawn towards the mean of all areas, not "
            "towards its neighbours.",
            Equation(
                r"b_i \sim \mathrm{Normal}(0, \sigma^2)",
                "b i is normal with mean zero and standard deviation sigma",
            ),
        ]
    if prior == "icar":
        return [
            "The area effects are spatially structured: an area is drawn towards its neighbours (intrinsic "
            "conditional autoregression, ICAR: Besag, York and Mollié 1991, Annals of the Institute of "
            "Statistical Mathematics 43:1-59):",
            Equation(
                r"b_i = \sigma\, \phi_i / \sqrt{s}", "b i is sigma times phi i over the square root of s"
            ),
            _STRUCTURED,
            "phi sums to zero in each connected component, and s is the scaling factor of the component: the "
            f"geometric mean of the variances of phi. {_ALONE} {_SAMPLED}",
        ]
    if prior == "bym2":
        return [
            "The area effects have a structured part that neighbours share and an unstructured part (BYM2: "
            "Riebler, Sørbye, Simpson and Rue 2016, Statistical Methods in Medical Research 25:1145-1165):",
            Equation(
                r"b_i = \sigma \left( \sqrt{1 - \rho}\, \theta_i + \sqrt{\rho / s}\, \phi_i \right), "
                r"\qquad \theta_i \sim \mathrm{Normal}(0, 1)",
                "b i is sigma times the sum of the square root of one minus rho times theta i and the "
                "square root of rho over s times phi i; theta i is standard normal",
            ),
            _STRUCTURED,
            "phi sums to zero in each connected component, and s is the scaling factor of the component: "
            "the geometric mean of the variances of phi, so that sigma is the typical standard deviation "
            "of the area effects and rho the share of their variance that is spatially structured. "
            "Components are scaled one by one (Freni-Sterrantino, Ventrucci and Rue 2018, Spatial and "
            f"Spatio-temporal Epidemiology 26:25-34). {_ALONE} {_SAMPLED}",
        ]
    if prior == "leroux":
        return [
            "Neighbours share their area effects (Leroux, Lei and Breslow 2000): given the others, "
            "the effect of an area has its mean between zero and the mean of its neighbours. With n_i "
            "neighbours:",
            Equation(
                r"b_i \mid b_{-i} \sim \mathrm{Normal}\left( \frac{\rho \sum_{j \sim i} b_j}"
                r"{\rho n_i + 1 - \rho},\ \frac{\sigma^2}{\rho n_i + 1 - \rho} \right)",
                "given the others b i is normal with mean rho times the sum of its neighbours over rho n i "
                "plus one minus rho, and variance sigma squared over rho n i plus one minus rho",
            ),
            "rho is the strength of the dependence between neighbours: 0 is the unstructured model. It "
            "is not a share of variance, and sigma is not the standard deviation of the effects unless rho "
            f"is 0. {_ALONE} {_SAMPLED}",
        ]
    return [
        "Neighbours share their area effects (proper conditional autoregression: Besag 1974, Journal of the "
        "Royal Statistical Society B 36:192-236). With n_i neighbours:",
        Equation(
            r"b_i \mid b_{-i} \sim \mathrm{Normal}\left( \frac{\rho}{n_i} \sum_{j \sim i} b_j,\ "
            r"\frac{\sigma^2}{n_i} \right)",
            "given the others b i is normal with mean rho times the mean of its neighbours and variance "
            "sigma squared over n i",
        ),
        "rho, between 0 and 1, is the strength of the dependence between neighbours. It is not a share of "
        f"variance, and sigma is not the standard deviation of the effects. {_ALONE} {_SAMPLED}",
    ]
