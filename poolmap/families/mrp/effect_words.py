"""The linear predictor of a survey model: coefficients, batches of varying effects, their structures."""

from __future__ import annotations

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Block, Dataset, Equation
from poolmap.families.mrp.formula import Formula, Group, parse_formula, term_name
from poolmap.families.mrp.report_words import joined
from poolmap.families.mrp.structures import structure_of
from poolmap.families.mrp.words import listed

_IID = Equation(
    r"u_{k, l} \sim \mathrm{Normal}(0, \sigma_k^2)",
    "each effect of batch k is normal with mean 0 and standard deviation sigma k",
)
_SLOPES = Equation(
    r"\mathbf{u}_{k, l} \sim \mathrm{Normal}\left(\mathbf{0},\ \mathrm{diag}(\boldsymbol\sigma_k)\, R_k\, "
    r"\mathrm{diag}(\boldsymbol\sigma_k)\right), \qquad R_k \sim \mathrm{LKJ}",
    "the effects of a level of batch k are normal together with mean 0; their covariance matrix is the "
    "diagonal matrix of the standard deviations sigma k times the correlation matrix R k times the same "
    "diagonal matrix; R k has an LKJ prior",
)
_RW1 = Equation(
    r"p(\mathbf{u}_k) \propto \exp\left( -\frac{s_k}{2 \sigma_k^2} "
    r"\sum_{l} (u_{k, l + 1} - u_{k, l})^2 \right)",
    "the density of the effects of batch k is proportional to the exponential of minus s k over two sigma k "
    "squared times the sum over levels l of the squared difference of neighbouring effects",
)
_AR1 = Equation(
    r"u_{k, 1} \sim \mathrm{Normal}(0, \sigma_k^2), \qquad "
    r"u_{k, l + 1} \mid u_{k, l} \sim "
    r"\mathrm{Normal}\left(\rho_k u_{k, l},\ (1 - \rho_k^2)\, \sigma_k^2\right)",
    "the first effect of batch k is normal with mean 0 and standard deviation sigma k; given an effect "
    "the next is normal with mean rho k times it and variance one minus rho k squared times sigma k "
    "squared",
)
_ICAR = Equation(
    r"p(\mathbf{u}_k) \propto \exp\left( -\frac{s_k}{2 \sigma_k^2} "
    r"\sum_{l \sim m} (u_{k, l} - u_{k, m})^2 \right)",
    "the density of the effects of batch k is proportional to the exponential of minus s k over two sigma k "
    "squared times the sum over pairs of neighbours l and m of the squared difference of their effects",
)
_BYM2 = Equation(
    r"u_{k, l} = \sigma_k \left( \sqrt{1 - \rho_k}\, \theta_l + \sqrt{\rho_k}\, \phi_l \right), \qquad "
    r"\theta_l \sim \mathrm{Normal}(0, 1)",
    "u k l is sigma k times the sum of the square root of one minus rho k times theta l and the square "
    "root of rho k times phi l; theta l is standard normal",
)
_SCALED = (
    "The effects sum to zero, and s is such that the geometric mean of their variances, given sigma, is "
    "sigma squared (Sørbye and Rue 2014): sigma is their typical standard deviation"
)


def batch_words(group: Group) -> str:
    """A batch in plain words: "county", "slopes of income by county"."""
    factor = " by ".join(group.factor)
    if not group.slopes:
        return factor
    slopes = joined([term_name(slope) for slope in group.slopes])
    inner = "intercepts and slopes" if group.intercept else "slopes"
    return f"{factor} ({inner} of {slopes})"


def effect_blocks(spec: MrpAnalysis, model: str, data: Dataset) -> list[Block]:
    """The linear predictor and the distribution of each batch of varying effects."""
    formula = parse_formula(spec.formula_of(model), spec.outcome.column, pooled=False)
    structures = dict(spec.models[model].structure)
    blocks: list[Block] = [_predictor(spec, formula)]
    by = {name: [g for g in formula.groups if structure_of(g, structures) == name] for name in STRUCTURED}
    plain = [g for g in formula.groups if structure_of(g, structures) == "iid" and _effects(g, data) == 1]
    slopes = [g for g in formula.groups if _effects(g, data) > 1]
    if plain:
        blocks += [f"Exchangeable effects: {listed([batch_words(g) for g in plain])}.", _IID]
    if slopes:
        blocks += [
            f"Correlated effects of each level: {listed([batch_words(g) for g in slopes])}.",
            _SLOPES,
        ]
    for name, (words, *parts) in STRUCTURED.items():
        if by[name]:
            blocks += [f"{words}: {listed([batch_words(g) for g in by[name]])}.", *parts]
    return blocks + _coefficients(formula, data)


STRUCTURED: dict[str, tuple[Block, ...]] = {
    "rw1": (
        "Random walk of first order, each level near the one before",
        _RW1,
        f"{_SCALED}, not that of a single step.",
    ),
    "ar1": (
        "Autoregression of first order, each level near the one before, and all about a mean",
        _AR1,
        "sigma is the standard deviation of the effects, rho the correlation of neighbouring levels.",
    ),
    "icar": (
        "Intrinsic conditional autoregression, areas near their neighbours on the map (Besag, York and "
        "Mollié 1991)",
        _ICAR,
        f"{_SCALED}; this holds in each connected component of the map. An area without neighbours has an "
        "exchangeable effect.",
    ),
    "bym2": (
        "BYM2, a part shared by neighbours on the map and a part of each area's own (Riebler, Sørbye, "
        "Simpson and Rue 2016)",
        _BYM2,
        "phi is an intrinsic conditional autoregression of the neighbours, scaled so that the geometric "
        "mean of its variances is 1 in each connected component; it sums to zero there. sigma is the "
        "standard deviation of the effects, rho the share of their variance that neighbours share. An "
        "area without neighbours has an exchangeable effect with standard deviation sigma.",
    ),
}


def _predictor(spec: MrpAnalysis, formula: Formula) -> Equation:
    kind = spec.outcome.kind
    place, several = ("ic", " c") if kind == "categorical" else ("i", "")
    mark = ", c" if kind == "categorical" else ""
    alpha = "" if kind == "ordered" else r"\alpha_c" if several else r"\alpha"
    latex, words = [alpha] if alpha else [], [f"alpha{several}"] if alpha else []
    if formula.common:
        latex.append(rf"\sum_{{q}} \beta_{{q{mark}}}\, x_{{iq}}")
        words.append(f"the sum over predictors q of beta q{several} times x i q")
    if any(not group.slopes for group in formula.groups):
        latex.append(rf"\sum_{{k}} u_{{k, l_k(i){mark}}}")
        words.append(f"the sum over batches k of the effect{several} of the cell's level in batch k")
    if any(group.slopes for group in formula.groups):
        latex.append(rf"\sum_{{k}} \mathbf{{w}}_{{ki}}' \mathbf{{u}}_{{k, l_k(i){mark}}}")
        words.append(
            f"the sum over batches k with slopes of the products of the effects{several} of the cell's "
            "level with 1 (intercept) and the cell's predictors w k i"
        )
    return Equation(rf"\eta_{{{place}}} = {' + '.join(latex)}", f"eta i{several} is {' plus '.join(words)}")


def _effects(group: Group, data: Dataset) -> int:
    """J, the effects of a level: slopes of a factor are one a level but the first."""
    predictors = data.facts["predictors"]
    count = int(group.intercept)
    for slope in group.slopes:
        size = 1
        for name in slope:
            about = predictors.get(name, {})
            size *= len(about["levels"]) - 1 if about.get("type") == "factor" else 1
        count += size
    return count


def largest_batch(formula: Formula, data: Dataset) -> int:
    """The largest number of effects of a level of all batches."""
    return max((_effects(group, data) for group in formula.groups), default=0)


def _coefficients(formula: Formula, data: Dataset) -> list[Block]:
    predictors = data.facts["predictors"]
    numeric = [
        name for name in formula.predictors if predictors.get(name, {}).get("type", "numeric") == "numeric"
    ]
    factors = [name for name in formula.predictors if name not in numeric]
    told = []
    if numeric:
        told.append(
            f"Numeric predictors: {listed(numeric)}, standardised with the mean and standard deviation "
            "over the people of the census."
        )
    if factors:
        first = [f"{name} (against '{predictors[name]['levels'][0]}')" for name in factors]
        told.append(f"Factors with a coefficient for each level but the first: {listed(first)}.")
    products = [term_name(term) for term in formula.common if len(term) > 1]
    if products:
        told.append(f"Interactions, products of their columns: {listed(products)}.")
    return [" ".join(told)] if told else []
