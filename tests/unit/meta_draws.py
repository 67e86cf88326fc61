"""Made-up posteriors of meta-analyses for tests of what is reported: no Stan."""

from __future__ import annotations

import numpy as np
import xarray

from poolmap.contracts import Equation, ModelResult, ReportTable
from poolmap.families.meta.design import design
from poolmap.families.meta.estimate import estimate
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.model import stan_data
from poolmap.families.meta.usable import used_by
from poolmap.inference.summary import dictionary, summarise

SHAPE = (2, 500)


def posterior(spec, model, data, rng, **given):
    """Draws of the parameters that the model keeps; `given` sets some of them."""
    data = used_by(spec, model, data)
    layout, k = design(spec, model, data), len(data.tables["studies"])
    size = {
        "beta": layout.X.shape[1], "tau": layout.G, "w": k, "theta": k, "baseline": k,
    }  # fmt: skip
    made = {
        "beta": lambda n: rng.normal(-0.4, 0.1, n),
        "tau": lambda n: 0.2 + abs(rng.normal(0, 0.1, n)),
        "tau_within": lambda n: 0.1 + abs(rng.normal(0, 0.1, n)),
        "w": lambda n: 1 / rng.gamma(2, 0.5, n),
        "theta": lambda n: rng.normal(-0.4, 0.2, n),
        "baseline": lambda n: rng.normal(-2.5, 0.1, n),
        "baseline_mean": lambda n: rng.normal(-2.5, 0.1, n),
        "baseline_sd": lambda n: 0.2 + abs(rng.normal(0, 0.1, n)),
        "icc": lambda n: rng.beta(2, 40, n),
    }
    draws = {}
    for name in stan_data(spec, model, data).parameters:
        values = given.get(name)
        draws[name] = made[name]((*SHAPE, size.get(name, 1))) if values is None else values
    return xarray.Dataset({name: (("chain", "draw", f"{name}_dim"), x) for name, x in draws.items()})


def analysed(spec, passed=True, **given):
    """The dataset, and each model's result from made-up draws."""
    data = ingest(spec)
    results = {}
    for name in spec.models:
        rng = np.random.default_rng(1)
        quantities = estimate(spec, name, data, posterior(spec, name, data, rng, **given), rng)
        told = dictionary(quantities, spec.interval)
        tables = {  # key columns as text, as `estimates.read_result` reads them
            table: frame.astype(dict.fromkeys(told["tables"][table]["keys"], str))
            for table, frame in summarise(quantities, spec.interval).items()
        }
        results[name] = ModelResult(
            name,
            tables,
            told,
            {"passed": passed},
            None,
            None,
            "",
        )
    return data, results


def words(blocks):
    """All text of report blocks, tables with a bar between cells."""
    parts = []
    for block in blocks:
        if isinstance(block, ReportTable):
            parts += [block.caption, " | ".join(block.frame.columns)]
            parts += [" | ".join(map(str, row)) for row in block.frame.to_numpy()]
        else:
            parts.append(block.words if isinstance(block, Equation) else block)
    return "\n".join(parts)
