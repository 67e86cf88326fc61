"""Figures of survey and census, before any model: who was asked, and whom the estimates are for."""

from __future__ import annotations

import numpy as np

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, NamedFigure
from poolmap.figures.composition import Variable, draw_composition

MOST_LEVELS = 15


def compared_variables(spec: MrpAnalysis, data: Dataset) -> list[str]:
    """Variables of formula and estimates whose levels both survey and census have of their own."""
    facts, survey, census = data.facts, data.tables["survey"], data.tables["census"]
    names = [variable for term in facts["terms"] for variable in term]
    names += [name for name, about in facts["predictors"].items() if about.get("type") == "factor"]
    names += [variable for grouping in spec.groupings() for variable in grouping]
    repeated = [spec.time] if facts.get("times", 1) > 1 else []
    return [
        name for name in dict.fromkeys(names) if name in survey and name in census and name not in repeated
    ]


def composition_figure(spec: MrpAnalysis, data: Dataset) -> NamedFigure | None:
    """Shares of the levels in the sample, raw and weighted, and in the census; None without a variable."""
    survey, census = data.tables["survey"], data.tables["census"]
    weight = survey["weight"].to_numpy(dtype=float) if spec.weight is not None else None
    variables, cut, largest = [], [], (0.0, "", "", 0.0, 0.0)
    for name in compared_variables(spec, data):
        people = census.groupby(name, sort=False)["count"].sum()
        asked = survey[name].value_counts(sort=False)
        there = list(dict.fromkeys([*people.index, *asked.index]))
        known = data.facts.get("order", {}).get(name, [])
        levels = [v for v in known if v in there] if set(there) <= set(known) else sorted(there, key=str)
        if len(levels) < 2:
            continue
        shares = [np.nan_to_num(part.reindex(levels).to_numpy(dtype=float)) for part in (asked, people)]
        sample, population = (share / share.sum() for share in shares)
        weighted = None
        if weight is not None:
            sums = survey.assign(w=weight).groupby(name)["w"].sum()
            weighted = np.nan_to_num(sums.reindex(levels).to_numpy(dtype=float)) / weight.sum()
        gap = np.abs(sample - population)
        at = int(gap.argmax())
        largest = max(
            largest, (float(gap[at]), name, str(levels[at]), float(sample[at]), float(population[at]))
        )
        if len(levels) > MOST_LEVELS:
            kept = np.sort(np.argsort(-gap, kind="stable")[:MOST_LEVELS])
            cut.append(f"{name.replace('_', ' ')} ({len(levels):,})")
            levels = [levels[i] for i in kept]
            sample, population = sample[kept], population[kept]
            weighted = weighted[kept] if weighted is not None else None
        title = name.replace("_", " ") + (" (some levels)" if len(gap) > MOST_LEVELS else "")
        variables.append(Variable(title, [str(v) for v in levels], sample, population, weighted))
    if not variables:
        return None
    _, name, level, of_sample, of_census = largest
    some = f" Of {', '.join(cut)} the {MOST_LEVELS} levels are shown whose shares differ most." if cut else ""
    by_weight = f"; squares: shares weighted by '{spec.weight}'" if weight is not None else ""
    return NamedFigure(
        name="composition",
        figure=draw_composition(variables),
        title="Sample and census",
        caption=f"Shares of the levels of each variable. Bars: the people of the census; dots: the "
        f"{len(survey):,} respondents{by_weight}. A line joins the sample to the census. Poststratification "
        f"gives each level its share in the census.{some}",
        alt=f"Shares of the levels of {len(variables)} variables in the sample and in the census. They "
        "differ "
        f"most for {name.replace('_', ' ')} {level}: {of_sample:.1%} of the sample, {of_census:.1%} of the "
        "census.",
    )
