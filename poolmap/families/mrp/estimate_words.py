"""How estimates come from the model and what stands beside them, in words and equations."""

from __future__ import annotations

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, Equation
from poolmap.families.mrp.estimate import people_of
from poolmap.families.mrp.report_words import joined, level, noun
from poolmap.families.mrp.side_by_side import FEWEST, calibrated
from poolmap.families.mrp.survey_design import Design
from poolmap.families.mrp.words import listed

_GROUP = Equation(
    r"\theta_g = \frac{\sum_{j \in g} N_j \, \mu_j}{\sum_{j \in g} N_j}",
    "theta g is the sum over the census cells j of group g of N j times mu j, over the sum of N j",
)

MU = {
    "binary": "mu_j is the probability of yes in cell j",
    "continuous": "mu_j is the mean of cell j, eta_j",
    "count": "mu_j is the mean count (or rate) of cell j, exp(eta_j)",
    "ordered": "mu_j is the probability of the answer in cell j, for each answer in turn",
    "categorical": "mu_j is the probability of the answer in cell j, for each answer in turn",
}


def estimate_blocks(spec: MrpAnalysis, data: Dataset) -> list[Block]:
    """Poststratification, what is averaged over, direct estimates, validation."""
    blocks: list[Block] = [
        f"Poststratification. The {noun(spec)} of a group is the average over its cells of the census, "
        "weighted "
        f"by the people that the census counts in them; {_mu(spec)}:",
        _GROUP,
        f"It is computed for every draw of the posterior.{_unseen(spec, data)} {_representative(spec)}",
    ]
    if spec.house:
        blocks.append(
            f"How the survey was taken ({listed(list(spec.house))}) shifts the answers in the model, and "
            "is left out of poststratification: estimates are for the average of these effects "
            "over the levels of the survey, each with the same weight."
        )
    if spec.time is not None:
        blocks.append(
            f"Estimates by '{spec.time}' average over the census with the effects of that time."
            + (
                " The census does not tell times apart, and is taken to hold for all of them."
                if data.facts.get("times", 1) > 1
                else ""
            )
        )
    blocks += _finite(spec, data)
    blocks.append(_direct(spec, data))
    return blocks + _compared(spec) + _validation(spec)


def _unseen(spec: MrpAnalysis, data: Dataset) -> str:
    if data.tables["levels"]["seen"].all():
        return ""
    return (
        " The effect of a level that the survey does not hold is drawn anew in every draw from the "
        f"distribution of its batch{_structured(spec)}, so that its uncertainty is in the interval."
    )


def _representative(spec: MrpAnalysis) -> str:
    if spec.weight is not None:
        return (
            "The survey's weights are not used in the model: what they correct for must stand in the formula "
            "and in the census."
        )
    return (
        "The respondents of a cell are taken to be like the others in it: what decides who answers must "
        "stand in the formula and in the census."
    )


def _structured(spec: MrpAnalysis) -> str:
    structures = {s for model in spec.models.values() for s in model.structure.values()} - {"iid"}
    return " (of a factor with a structure it follows from its neighbours)" if structures else ""


def _mu(spec: MrpAnalysis) -> str:
    if spec.outcome.test is not None:
        return "mu_j is the prevalence p_j in cell j, the test's errors taken out"
    if spec.outcome.kind == "count":
        what = "rate" if spec.outcome.exposure is not None else "mean count"
        return f"mu_j is the {what} of cell j, exp(eta_j)"
    return MU[spec.outcome.kind]


ANSWERING = {
    "binary": "answering yes with the probability of the cell",
    "ordered": "giving each answer with its probability in the cell",
    "categorical": "giving each answer with its probability in the cell",
    "continuous": "scattering about the mean of the cell with the residual standard deviation",
    "count": "having a count drawn from the distribution of the cell",
}


def _finite(spec: MrpAnalysis, data: Dataset) -> list[Block]:
    draws = spec.sampling.chains * spec.sampling.draws if spec.sampling else 0
    counts = data.tables["census"]["count"].to_numpy()
    if people_of(spec, counts, draws) is None:
        if (counts % 1 == 0).all():
            return []
        return [
            f"The interval is that of the expected {noun(spec)}: there is none for a finite population, "
            "since the numbers of people in the cells are not whole."
        ]
    what, whom = noun(spec), ANSWERING[spec.outcome.kind]
    return [
        f"The interval of this expected {what} leaves out by how much the few members of a small group "
        "happen to differ from it. The columns predicted_lower and predicted_upper of the tables put that "
        f"in: they are the interval of the {what} in a finite population of the census's size, each member "
        f"{whom}."
    ]


def _direct(spec: MrpAnalysis, data: Dataset) -> str:
    kind, what, of = spec.outcome.kind, noun(spec), level(spec)
    raw = {"continuous": "Student's t", "count": "exact Poisson"}.get(kind, "Wilson's")
    on = {"continuous": "Student's t", "count": "on the log scale"}.get(kind, "on the logit scale")
    text = f"Beside it stand direct estimates. Raw: the {what} in the sample with its {of} interval ({raw})."
    designed = spec.design.strata is not None or bool(spec.design.clusters or spec.design.inclusion)
    if spec.weight is not None or designed:
        by = f"weighted by '{spec.weight}'" if spec.weight is not None else "with equal weights"
        text += (
            f" Weighted: the {what} {by}, with a {of} interval ({on}) from the linearised standard error "
            "under "
            f"{_design(spec)}."
        )
    if len(spec.surveys) > 1:
        text += " In standard errors each survey is a stratum of its own."
    if "unused" in data.tables:
        text += " In standard errors the rows that are left out still count as drawn."
    adjusted = _calibrated(spec, data)
    text += adjusted
    if spec.outcome.test is not None:
        text += " Direct estimates are of the share that tests positive; the test's errors stay in them."
    if spec.weight is None and not designed and " Raked: " not in adjusted:
        return text
    return (
        f"{text} Degrees of freedom are those of the group, its first-stage units less its strata. A group "
        "that lies in a single unit of each stratum has none, and one whose members all answer alike no "
        "standard error: they are without an interval."
    )


def _calibrated(spec: MrpAnalysis, data: Dataset) -> str:
    """Raked and GREG estimates, as far as there are any."""
    found = calibrated(spec, data, Design.of(data.tables["survey"]))
    if found is None:
        return (
            " There are no raked estimates: a sample can be raked to variables of the formula that survey "
            f"and census share and of which every level has {FEWEST} respondents or more, and there is none."
        )
    start = "the weights" if spec.weight is not None else "equal weights"
    margins = joined([name.replace("_", " ") for name in found.margins])
    text = f" Raking of the sample to the census's margins of {margins} did not converge."
    if found.raked is not None:
        text = (
            f" Raked: {start} made to agree with the census's margins of {margins}, the variables of the "
            f"formula that both know and of which every level has {FEWEST} respondents or more (Deming and "
            "Stephan 1940; Deville, Särndal and Sautory 1993)."
        )
    if spec.outcome.exposure is None:
        numeric = " and the numeric predictors" if found.numeric.shape[1] else ""
        text += (
            f" GREG: the generalised regression estimator with a linear model of these margins{numeric} "
            "(Särndal, Swensson and Wretman 1992)."
        )
    return text


def _design(spec: MrpAnalysis) -> str:
    design = spec.design
    parts = []
    if design.strata is not None:
        parts.append(f"strata '{design.strata}'")
    if design.clusters:
        parts.append(f"sampling units {joined([f'{name!r}' for name in design.clusters])}")
    if not parts and (design.inclusion or design.population_sizes):
        parts.append("respondents as sampling units")
    if not parts:
        return "sampling by weights alone, without strata and clusters (the config names none)"
    if design.inclusion:
        how = (
            ", drawn without replacement with the probabilities in "
            f"{joined([f'{name!r}' for name in design.inclusion])} (Brewer's approximation, "
            "which needs no joint probabilities; Brewer 2002)"
        )
    else:
        how = ", with finite population corrections" if design.population_sizes else ", with replacement"
    return f"the design of the config: {' and '.join(parts)}{how}"


def _compared(spec: MrpAnalysis) -> list[Block]:
    if not spec.contrasts:
        return []
    return [
        "Groups are compared draw by draw, so that what their estimates have in common does not blur the "
        "difference; each group keeps its own composition, so a difference is not one between people who are "
        "alike otherwise."
    ]


def _validation(spec: MrpAnalysis) -> list[Block]:
    found: list[Block] = []
    if spec.leave_out is not None:
        found.append(
            f"Validation. The answers of each '{spec.leave_out}' are predicted from all others: by "
            "importance sampling (Vehtari, Gelman and Gabry 2017), and by a fit without it where that "
            "cannot be trusted. A "
            f"{spec.leave_out.replace('_', ' ')} left out stays in the model without respondents."
        )
    if spec.calibrate:
        found.append(
            f"Expected error. {spec.calibrate} surveys are simulated from the fitted "
            f"{'primary ' if len(spec.models) > 1 else ''}model, each from a "
            "draw of its own and with the respondents of this survey's cells, fitted again and "
            "poststratified; the estimates are compared with the values that the draw implies. This tells "
            "how large errors are where the model is right, not whether it is."
        )
    return found
