"""Surveys made by hand for tests of words and figures: areas by age by sex, with draws near the truth."""

import numpy as np
import pandas as pd

from poolmap.config.mrp import MrpAnalysis
from poolmap.contracts import Dataset, ModelResult
from poolmap.families.mrp.estimate import estimates_of
from poolmap.families.mrp.parts import Batch, Parts
from poolmap.inference.summary import summarise

CHAINS, DRAWS = 2, 60
AGES = ["18-29", "30-44", "45-64", "65+"]
SEXES = ["female", "male"]
OUTCOMES = {
    "binary": {"positive": "Yes"},
    "test": {
        "kind": "binary",
        "positive": "Yes",
        "test": {
            "sensitivity": [{"correct": 78, "of": 85}, {"correct": 27, "of": 37}],
            "specificity": [{"correct": 368, "of": 371}],
            "between_studies": "varying",
        },
    },
    "continuous": {},
    "count": {"exposure": "years"},
    "ordered": {"levels": ["never", "sometimes", "often", "always"]},
    "categorical": {"levels": ["bus", "car", "foot"]},
}
NAMES = {
    "binary": "people who smoke",
    "test": "people who had the infection",
    "continuous": "systolic pressure (mmHg)",
    "count": "visits to a doctor",
    "ordered": "how often people exercise",
    "categorical": "way to work",
}


def made(kind="binary", areas=50, *, waves=0, truth=True, models=None, seed=1, **changes):
    """(spec, data, results): estimates are those of hand-made draws; the survey follows the same truth."""
    rng = np.random.default_rng(seed)
    name = "binary" if kind == "test" else kind
    answers = OUTCOMES[kind].get("levels", [])
    E = len(answers) - 1 if kind == "categorical" else 1
    labels = [f"area {i:03d}" for i in range(areas)]
    times = [f"wave {t}" for t in range(1, waves + 1)]
    lists = [labels, AGES, SEXES, *([times] if waves else [])]
    columns = ["area", "age", "sex", *(["wave"] if waves else [])]
    census = pd.MultiIndex.from_product(lists, names=columns).to_frame(index=False)
    codes = [
        pd.Categorical(census[c], categories=order).codes for c, order in zip(columns, lists, strict=True)
    ]
    for k, code in enumerate(codes):
        census[f"level_{k}"] = code
    sizes = rng.lognormal(7, 1, areas)
    census["count"] = np.maximum(
        1, rng.poisson(sizes[codes[0]] * np.array([2, 3, 3, 2])[codes[1]] / 40)
    ).astype(float)
    income = rng.normal(size=areas)
    census["income"] = 30 + 5 * income[codes[0]]
    effects = [
        rng.normal(0, s, (len(levels), E)) for s, levels in zip((0.4, 0.3, 0.2, 0.3), lists, strict=False)
    ]
    alpha, beta = np.full(E, -0.6), np.full(E, 0.35)
    eta = alpha + income[codes[0]][:, None] * beta + sum(u[c] for u, c in zip(effects, codes, strict=True))
    cutpoints = np.array([-1.0, 0.3, 1.4])
    outcome = _cell_values(kind, eta, cutpoints)

    asked = rng.choice(len(census), size=30 * max(areas, 20), p=_uneven(census, rng))
    asked = np.sort(asked[census["area"].to_numpy()[asked] != labels[-1]])
    survey = census.loc[asked, [*columns, "income"]].reset_index(drop=True)
    survey["y"] = _answers(kind, outcome[asked], rng)
    survey["weight"] = rng.uniform(0.5, 2, len(survey))
    survey["file"] = "survey"
    if kind == "count":
        survey["exposure"] = rng.uniform(0.5, 2, len(survey))
    cells = survey.groupby([*columns, "income"], as_index=False).size().rename(columns={"size": "n"})

    terms = [[c] for c in columns]
    facts = {
        "kind": name,
        "terms": terms,
        "predictors": {"income": {"type": "numeric", "mean": 30.0, "sd": 5.0, "in_survey": True}},
        "answers": answers,
        "order": dict(zip(columns, lists, strict=True)),
        "outcome_scale": {"mean": float(survey["y"].mean()), "sd": float(survey["y"].std())},
        "times": 1,
        "respondents": len(survey),
        "rows_excluded": 0,
    }
    levels = pd.DataFrame(
        [
            (c, level, i, True)
            for c, order in zip(columns, lists, strict=True)
            for i, level in enumerate(order)
        ],
        columns=["term", "level", "code", "seen"],
    )
    tables = {"survey": survey, "census": census, "cells": cells, "levels": levels}
    if truth:
        tables["truth"] = _truth(census, outcome, answers)
    data = Dataset(tables, pd.DataFrame(), facts)

    formula = "answer ~ 1 + income + " + " + ".join(f"(1 | {c})" for c in columns)
    spec = MrpAnalysis(
        **{
            "family": "mrp",
            "survey": "survey.csv",
            "census": "census.csv",
            "count": "n",
            "weight": "w",
            "outcome": {"column": "answer", "kind": kind, **OUTCOMES[kind]},
            "outcome_name": NAMES[kind],
            "formula": formula,
            "estimates": ["area", "age", "area:age", *(["wave", "area:wave"] if waves else [])],
            "contrasts": [{"variable": "sex", "levels": SEXES, "within": ["age"]}],
            "interval": 0.9,
            "time": "wave" if waves else None,
            "models": {name: {} for name in models or ["main"]},
        }
        | changes
    )
    results = {}
    for model in spec.models:
        own = np.random.default_rng(len(results) + 7)
        parts = _parts(kind, alpha, beta, effects, columns, cutpoints, own)
        x = ((census["income"] - 30) / 5).to_numpy()[:, None]
        quantities = estimates_of(spec, data, parts, x, (CHAINS, DRAWS), own)
        estimates = summarise(quantities, spec.interval)
        results[model] = ModelResult(
            model, estimates, {}, {"passed": True}, pd.DataFrame(), pd.DataFrame(), ""
        )
    return spec, data, results


def _uneven(census, rng):
    """The old are asked too often, and areas not in proportion to their people."""
    weight = np.array([0.5, 0.8, 1.2, 2.0])[census["level_1"]] * np.sqrt(census["count"].to_numpy())
    return weight / weight.sum()


def _cell_values(kind, eta, cutpoints):
    """(cells, answers) shares, or (cells, 1) probabilities, means or rates."""
    if kind in ("binary", "test"):
        return 1 / (1 + np.exp(-eta))
    if kind == "continuous":
        return 120 + 10 * eta
    if kind == "count":
        return np.exp(eta)
    if kind == "ordered":
        below = 1 / (1 + np.exp(eta - cutpoints))
        return np.diff(np.column_stack([np.zeros(len(eta)), below, np.ones(len(eta))]), axis=1)
    odds = np.column_stack([np.ones(len(eta)), np.exp(eta)])
    return odds / odds.sum(axis=1, keepdims=True)


def _answers(kind, values, rng):
    if kind in ("binary", "test"):
        return rng.binomial(1, values[:, 0])
    if kind == "continuous":
        return rng.normal(values[:, 0], 12)
    if kind == "count":
        return rng.poisson(values[:, 0])
    return (rng.uniform(size=(len(values), 1)) > np.cumsum(values, axis=1)).sum(axis=1)


def _truth(census, outcome, answers):
    """Known values of the areas, and of the ages."""
    count, found = census["count"].to_numpy(), []
    for variable in ("area", "age"):
        for a, answer in enumerate(answers or [""]):
            of = census.assign(v=outcome[:, a] * count).groupby(variable)
            value = of["v"].sum() / of["count"].sum()
            part = pd.DataFrame({"table": variable, variable: value.index, "value": value.to_numpy()})
            found.append(part.assign(answer=answer) if answer else part)
    columns = ["table", *(c for c in census if c in ("area", "age", "sex", "wave")), "value"]
    return pd.concat(found, ignore_index=True).reindex(columns=[*columns, *(["answer"] if answers else [])])


def _parts(kind, alpha, beta, effects, columns, cutpoints, rng):
    """Draws about the truth; of a measurement in its units."""
    count, E = CHAINS * DRAWS, len(alpha)
    unit = 10.0 if kind == "continuous" else 1.0

    def near(value, sd):
        return unit * (value + rng.normal(0, sd, (count, *value.shape)))

    batches = []
    for k, (name, effect) in enumerate(zip(columns, effects, strict=True)):
        own = near(effect, 0.12)[:, :, None, :]
        sigma = {"sigma": np.abs(near(np.full((1, E), 0.4), 0.05))}
        batches.append(
            Batch(f"level_{k}", (-1,), lambda some, own=own: own[some], name, ("intercept",), sigma)
        )
    own = {}
    if kind == "ordered":
        own["cutpoints"] = np.sort(near(cutpoints, 0.03), axis=1)
    if kind == "test":
        own = {name: rng.beta(90, 10, count) for name in ("sensitivity", "specificity")}
    if kind == "continuous":
        own["residual_sd"] = rng.normal(12, 0.2, count)
    intercept = near(alpha, 0.03) + (120 if kind == "continuous" else 0)
    if kind == "ordered":
        intercept = np.zeros_like(intercept) + alpha
    return Parts(intercept, near(beta[None], 0.03), batches, own, ("income",))
