"""What the tests of the meta-analysis programs share: fits by the family's own doors, distances in MCSE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from poolmap.config.base import Sampling
from poolmap.config.load import parse_analysis
from poolmap.families.meta.estimate import estimate
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.predictive import predictive
from poolmap.inference.checks import check_fit, passed
from poolmap.inference.summary import import_arviz
from poolmap.stan.sample import sample

ROOT = Path(__file__).resolve().parents[2]
SAMPLING = Sampling(chains=4, warmup=1000, draws=2500, adapt_delta=0.9)


class Fitted:
    """One fit, of the first model unless named; `fit[table, quantity]` has the draws (chain, draw, row)."""

    def __init__(
        self, compiled, view, *, model=None, sampling=SAMPLING, seed=1, data=None, gate=True, **replaced
    ):
        self.spec = parse_analysis(view)
        self.model = model or next(iter(self.spec.models))
        self.data = ingest(self.spec) if data is None else data
        stan = ROOT / "stan"
        executable = compiled(stan / f"{self.spec.program(self.model)}.stan", [stan]).exe_file
        given = stan_data(self.spec, self.model, self.data)
        values = {**given.data, **replaced}
        self.draws = sample(executable, values, given.parameters, sampling, seed=seed, cores=2)
        self.rng = np.random.default_rng(seed)
        self.quantities = estimate(self.spec, self.model, self.data, self.draws.posterior, self.rng)
        checks = check_fit(self.quantities, self.draws.sample_stats, sampling.max_treedepth)
        assert not gate or passed(checks), [c for c in checks if not c.passed]

    def __getitem__(self, at):
        (found,) = (q for q in self.quantities if (q.table, q.quantity) == at)
        return found.draws

    def tables(self):
        return {q.table for q in self.quantities}

    def parameter(self, name, j=0):
        return self.draws.posterior[name].values[:, :, j]

    def predictive(self):
        return predictive(self.spec, self.model, self.data, self.draws.posterior, self.rng)


def generic(folder, frame, model, **keys):
    """An analysis of estimates: the table is written to the folder; columns study, estimate, se, others."""
    path = folder / "studies.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    columns = {"estimate": "estimate", "se": "se"} | keys.pop("columns", {})
    view = {"family": "meta", "data": str(path), "study": "study", "measure": "GEN", "interval": 0.95}
    return {**view, "columns": columns, "models": {"m": model}, **keys}


def distance(draws, reference, *, statistic="mean", prob=None, reference_mcse=0.0):
    """Distance of an estimate from its reference, in Monte Carlo standard errors of both."""
    value = {
        "mean": lambda x: x.mean(),
        "sd": lambda x: x.std(ddof=1),
        "quantile": lambda x: np.quantile(x, prob),
    }[statistic](draws)
    mcse = float(import_arviz().mcse(draws, method=statistic, **({"prob": prob} if prob else {})))
    return abs(value - reference) / np.hypot(mcse, reference_mcse)


def agree(draws, exact):
    """Draws (chain, draw) against an exact posterior: one set of `quadrature.Mixture` or `TauMarginal`."""
    assert distance(draws, exact.mean()[0]) < 4
    assert distance(draws, exact.sd()[0], statistic="sd") < 4
    for prob in (0.025, 0.5, 0.975):
        assert distance(draws, exact.quantile(prob)[0], statistic="quantile", prob=prob) < 4


def agree_with_normal(draws, mean, sd):
    """Draws (chain, draw) against a normal distribution."""
    assert distance(draws, mean) < 4
    assert distance(draws, sd, statistic="sd") < 4


def agree_with_draws(draws, reference):
    """Draws against the summary of another sampler: mean, sd, mcse (of the mean), q2_5, q50, q97_5.

    Of the other sampler's n near-independent draws (n = (sd / mcse)^2) the sd and the quantiles have about
    these errors in units of the mean's: sd 1, as its excess kurtosis is near 2 or below; the median 1.25; the
    2.5 and 97.5 per cent points of a near-normal 2.7.
    """
    mcse = reference["mcse"]
    assert distance(draws, reference["mean"], reference_mcse=mcse) < 4
    assert distance(draws, reference["sd"], statistic="sd", reference_mcse=mcse) < 4
    for name, prob, factor in (("q2_5", 0.025, 2.7), ("q50", 0.5, 1.25), ("q97_5", 0.975, 2.7)):
        found = distance(
            draws, reference[name], statistic="quantile", prob=prob, reference_mcse=factor * mcse
        )
        assert found < 4
