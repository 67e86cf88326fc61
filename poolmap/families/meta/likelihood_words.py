"""The report's words on how the data of a study follow from its effect: equations of each likelihood."""

from __future__ import annotations

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Block, Dataset, Equation
from poolmap.families.meta.numbers import on_scale

BASELINES = (
    "The baselines are independent between studies, so that arms are compared within studies only. "
    "{corrected} need no correction."
)


def likelihood_blocks(spec: MetaAnalysis, model: str, data: Dataset) -> list[Block]:
    """What is observed, given the effects theta."""
    program = spec.program(model)
    if program == "meta/beta_binomial":
        return _beta_binomial(spec)
    if program == "meta/multilevel":
        return _several_effects(spec, model, data)
    if program == "meta/group":
        return _group(spec)
    if program in ("meta/binomial", "meta/poisson"):
        return _two_arms(spec, model)
    return [
        f"The estimate y of study i (its {on_scale(spec)}) is normal around the study's own effect with its "
        "standard error, taken as known.",
        Equation(
            r"y_i \sim \mathrm{Normal}(\theta_i, s_i^2)",
            "The estimate y i of study i is normal with mean theta i and standard error s i.",
        ),
    ]


def _two_arms(spec: MetaAnalysis, model: str) -> list[Block]:
    chosen, poisson = spec.models[model], spec.models[model].likelihood == "poisson"
    link = "logit" if spec.measure == "OR" else "log"
    word = {"OR": "log odds", "RR": "log risk", "IRR": "log rate"}[spec.measure]
    kind = "Poisson" if poisson else "binomial"
    blocks: list[Block] = [
        f"The counts of each arm enter as they are, with their exact {kind} likelihood. Study i has a "
        f"baseline, the {word} of an event in the arm {spec.arms[1]}, and an effect, its {on_scale(spec)}."
    ]
    if poisson:
        blocks.append(
            Equation(
                r"y_{ij} \sim \mathrm{Poisson}(t_{ij} \lambda_{ij}), \quad "
                r"\log(\lambda_{i2}) = \alpha_i, \quad \log(\lambda_{i1}) = \alpha_i + \theta_i",
                "The events in arm j of study i are Poisson with mean the person-time t times the rate; the "
                "log of the rate is the study's baseline alpha i in arm 2 and alpha i plus its effect theta "
                "i in arm 1.",
            )
        )
    else:
        blocks.append(
            Equation(
                r"y_{ij} \sim \mathrm{Binomial}(n_{ij}, p_{ij}), \quad "
                rf"\mathrm{{{link}}}(p_{{i2}}) = \alpha_i, \quad "
                rf"\mathrm{{{link}}}(p_{{i1}}) = \alpha_i + \theta_i",
                f"The events in arm j of study i are binomial; the {link} of the risk is the study's "
                "baseline alpha i in arm 2 and alpha i plus its effect theta i in arm 1.",
            )
        )
    corrected = "Arms without events" if poisson else "Zero cells"
    if chosen.baseline == "random":
        blocks += [
            Equation(
                r"\alpha_i \sim \mathrm{Normal}(m, \sigma^2)",
                "The baseline alpha i of study i is normal with mean m and standard deviation sigma.",
            ),
            "The baselines follow a normal distribution with mean m and standard deviation sigma, "
            "independent of the effects, so that some information on the effect comes from comparing arms "
            f"of different studies (Jackson et al. 2018, Stat Med 37:1059). {corrected} need no correction.",
        ]
    else:
        blocks.append(BASELINES.format(corrected=corrected))
    if spec.measure == "RR":
        law = "the normal distribution" if chosen.baseline == "random" else "its prior"
        blocks.append(
            f"Risks stay below 1: given its effect, a study's baseline has {law} truncated to the "
            "values that leave both risks below 1 (and divided by its mass there, so that the "
            "distribution of the effects is not distorted; Warn, Thompson & Spiegelhalter 2002, Stat Med "
            "21:1601)."
        )
    return blocks


def _group(spec: MetaAnalysis) -> list[Block]:
    if spec.measure == "PLO":
        return [
            "The events of each study enter as they are, with their exact binomial likelihood: no correction "
            "is needed where none or all have the event.",
            Equation(
                r"y_i \sim \mathrm{Binomial}(n_i, p_i), \quad \mathrm{logit}(p_i) = \theta_i",
                "The events y i among the n i people of study i are binomial; the logit of their risk is "
                "theta i.",
            ),
        ]
    return [
        "The events of each study enter as they are, with their exact Poisson likelihood: no correction is "
        "needed where there are none.",
        Equation(
            r"y_i \sim \mathrm{Poisson}(t_i \lambda_i), \quad \log(\lambda_i) = \theta_i",
            "The events y i in the person-time t i of study i are Poisson with mean t i times the rate; the "
            "log of the rate is theta i.",
        ),
    ]


def _beta_binomial(spec: MetaAnalysis) -> list[Block]:
    law = (
        r"y_{ij} \sim \mathrm{Binomial}(n_{ij}, p_{ij}), \quad "
        r"p_{ij} \sim \mathrm{Beta}\left(m_{ij} \phi, (1 - m_{ij}) \phi\right), \quad "
        r"\phi = \frac{1 - \rho}{\rho}"
    )
    spoken = (
        "The events in arm j of study i are binomial; their risk has a beta distribution with mean m and "
        "parameters m times phi and 1 minus m times phi, where phi is 1 minus rho divided by rho."
    )
    note = (
        "The intraclass correlation rho says how far risks vary between arms: the variance of a risk is "
        "rho m (1 - m). There is no tau."
    )
    if not spec.compares_arms:
        return [
            "The events of each study enter as they are, and the risk varies between studies by a beta "
            "distribution (beta-binomial model; Kuss 2015, Stat Med 34:1097).",
            Equation(law.replace("_{ij}", "_i"), spoken.replace("in arm j of", "of")),
            Equation(
                r"\mathrm{logit}(m_i) = \mu_i", "The logit of the mean risk m i is the expected effect mu i."
            ),
            note,
        ]
    return [
        "The counts of each arm enter as they are, and the risk varies between the arms of different studies "
        "by a beta distribution (beta-binomial model; Kuss 2015, Stat Med 34:1097).",
        Equation(law, spoken),
        Equation(
            r"\mathrm{logit}(m_{i2}) = \alpha, \quad \mathrm{logit}(m_{i1}) = \alpha + \mu_i",
            "The logit of the mean risk is alpha in arm 2 of every study, and alpha plus the expected effect "
            "mu i in arm 1.",
        ),
        f"{note} All arms are independent given these: the model compares arms of different studies as well "
        "as those of one study, and the odds ratio is that of the mean risks, not the mean of the studies' "
        "odds ratios. Zero cells, in one arm or both, need no correction.",
    ]


def _several_effects(spec: MetaAnalysis, model: str, data: Dataset) -> list[Block]:
    text = (
        f"The estimate y of effect j in study i (its {on_scale(spec)}) is normal around that effect with its "
        "standard error, taken as known. "
    )
    equation = Equation(
        r"y_{ij} = \theta_{ij} + e_{ij}, \quad e_{ij} \sim \mathrm{Normal}(0, s_{ij}^2), \quad "
        r"\mathrm{Cov}(e_{ij}, e_{ik}) = \rho_i s_{ij} s_{ik}",
        "The estimate y i j of effect j in study i is the effect theta i j plus a sampling error, normal "
        "with standard error s i j; the errors j and k of one study have the covariance rho i times s i j "
        "times s i k.",
    )
    rho = spec.models[model].correlation
    if spec.columns.correlation is not None:
        several = data.tables["studies"].groupby("study")["correlation"].agg(["size", "first"])
        values = several.loc[several["size"] > 1, "first"]
        least, most = values.min(), values.max()
        told = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        text += (
            "The sampling errors of one study are correlated as the file says (column "
            f"{spec.columns.correlation}: {told})."
        )
    elif rho:
        text += f"The sampling errors of one study are assumed to have the correlation {rho:g}."
    else:
        text += (
            "The sampling errors of one study are taken as independent: where its effects come from the same "
            "people, state their correlation."
        )
        equation = Equation(
            r"y_{ij} \sim \mathrm{Normal}(\theta_{ij}, s_{ij}^2)",
            "The estimate y i j of effect j in study i is normal with mean theta i j and standard error s i "
            "j.",
        )
    return [text, equation]
