"""Fits without one study, where importance sampling cannot tell how well the others predict it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poolmap.config.meta import MetaAnalysis
from poolmap.contracts import Dataset, LeftOut, StanData
from poolmap.families.meta.design import design
from poolmap.families.meta.exact import is_common_normal, is_exact
from poolmap.families.meta.log_likelihood import integrated, log_likelihood
from poolmap.families.meta.model import program_data
from poolmap.families.meta.usable import used_by

if TYPE_CHECKING:
    import xarray

SHARED = ("beta", "tau", "tau_within", "baseline_mean", "baseline_sd", "icc")
FEWEST = 2  # studies that the programs take


def left_out(spec: MetaAnalysis, model: str, data: Dataset) -> Callable[[int], LeftOut] | None:
    """How to fit the model without study i (in the order of appearance), with the same design columns.

    Returns:
        None where there is nothing to refit: the leave-one-out density is known exactly, the likelihood of
        the study cannot be told from the parameters that all studies share, or too few studies are left.
    """
    data = used_by(spec, model, data)
    studies = data.tables["studies"]
    member, names = pd.factorize(studies["study"])
    known = spec.models[model].effects == "independent" or is_common_normal(spec, model)
    if known or is_exact(spec, model, studies):
        return None
    if not integrated(spec, model) or len(names) <= FEWEST:
        return None
    layout = design(spec, model, data)

    def without(i: int) -> LeftOut:
        out = member == i
        rest = studies[~out].reset_index(drop=True)
        given = program_data(spec, model, layout.rows(~out), rest)
        shared = StanData(given.data, tuple(name for name in given.parameters if name in SHARED))
        alone, own = layout.rows(out), studies[out].reset_index(drop=True)

        def log_lik(draws: xarray.Dataset) -> np.ndarray:
            if spec.program(model) == "meta/multilevel":
                from poolmap.families.meta.multilevel import multilevel_predictive

                found = multilevel_predictive(spec, model, alone, own, draws, np.random.default_rng(0))
                return found.log_lik[:, :, 0]
            if spec.program(model) == "meta/beta_binomial":
                from poolmap.families.meta.beta_binomial import beta_binomial_predictive

                found = beta_binomial_predictive(spec, alone, own, draws, np.random.default_rng(0))
                return found.log_lik[:, :, 0]
            return log_likelihood(spec, model, alone, own, draws)[:, :, 0]

        return LeftOut(shared, log_lik)

    return without
