"""Fits of the model `m` of a disease map, as the program is run, and how near their draws are to a number."""

import arviz
import numpy as np

from poolmap.config.base import Sampling
from poolmap.families.areas.model import stan_data
from poolmap.inference.fit import brief
from poolmap.stan.sample import sample


def fit(program, spec, data, seed=1, draws=1000):
    values = stan_data(spec, "m", data)
    settings = brief(Sampling(chains=4, draws=draws), values.whitened)
    found = sample(program, values.data, values.parameters, settings, seed=seed, cores=2, whitened=True)
    assert found.sample_stats["diverging"].sum() <= 2
    return found.posterior


def near(draws, mean):
    """Within 4 Monte Carlo standard errors."""
    draws = np.asarray(draws).reshape(4, -1)
    error = float(arviz.mcse(draws))
    assert abs(draws.mean() - mean) < 4 * error, (draws.mean(), mean, error)
