"""Every measure from table to words and figures, from draws that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from poolmap.config.load import parse_analysis
from poolmap.config.meta import MEASURES
from poolmap.contracts import Equation, ModelResult, ReportTable
from poolmap.families.meta.effects import scale_of
from poolmap.families.meta.estimate import estimate, predictive
from poolmap.families.meta.figures import figures
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.methods import describe, findings, methods
from poolmap.families.meta.model import stan_data
from poolmap.inference.summary import dictionary, summarise

VALUES = {
    "events": [4, 0, 12],
    "total": [123, 116, 300],
    "time": [410.5, 200, 1000],
    "mean": [10.3, 12, 11],
    "sd": [2, 3.5, 3],
    "n": [25, 40, 33],
    "r": [0.3, 0.5, -0.1],
    "estimate": [0.8, 1.2, 0.5],
    "lower": [0.64, 0.6, 0.25],
    "upper": [1.0, 2.4, 1.0],
}
MODEL = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 0.5}}


def analysis(tmp_path, measure, **more):
    names = MEASURES.get(measure, ("estimate", "lower", "upper"))
    more_in_arm_2 = {"events_2": [1, 1, 1], "mean_2": [0.5, 1.5, 2.5]}
    table = {
        n: [v + m for v, m in zip(VALUES[n.split("_")[0]], more_in_arm_2.get(n, [0] * 3), strict=True)]
        for n in names
    }
    lines = [",".join(map(str, row)) for row in zip(["A", "B", "C"], *table.values(), strict=True)]
    path = tmp_path / "studies.csv"
    path.write_text("\n".join([",".join(["study", *names]), *lines]) + "\n")
    view = {
        "family": "meta", "data": str(path), "study": "study", "measure": measure,
        "columns": {name: name for name in names}, "models": {"one": MODEL, "two": MODEL},
    }  # fmt: skip
    return parse_analysis(view | more)


def analysed(spec):
    data = ingest(spec)
    results, rng = {}, np.random.default_rng(1)
    yi = data.tables["studies"]["yi"]
    for name in spec.models:
        assert stan_data(spec, name, data).data["K"] == 3
        mu = rng.normal(yi.mean(), 0.1 * abs(yi.mean()), (2, 400))
        tau = 0.1 * abs(rng.standard_normal((2, 400))) * yi.std() + 1e-3 * yi.std()
        parameters = {"beta": mu[:, :, None], "tau": tau[:, :, None]}
        draws = xarray.Dataset(
            {name: (("chain", "draw", f"{name}_dim"), x) for name, x in parameters.items()}
        )
        quantities = estimate(spec, name, data, draws, rng)
        assert predictive(spec, name, data, draws, rng).replicated.shape == (2, 400, 3)
        tables = summarise(quantities, spec.interval)
        results[name] = ModelResult(
            name, tables, dictionary(quantities, spec.interval), {"passed": True}, None, None, ""
        )
    return data, results


def words(blocks):
    parts = []
    for block in blocks:
        if isinstance(block, ReportTable):
            parts += [block.caption, block.frame.to_string()]
        else:
            parts.append(block.words if isinstance(block, Equation) else block)
    return "\n".join(parts)


CASES = [(measure, {}) for measure in MEASURES] + [
    ("GEN", {"estimate_scale": scale}) for scale in ("plain", "ratio", "log_ratio")
]


@pytest.mark.parametrize(("measure", "more"), CASES)
def test_from_table_to_report(tmp_path, measure, more):
    spec = analysis(tmp_path, measure, **more)
    scale = scale_of(spec)
    data, results = analysed(spec)
    pooled = results["one"].estimates["pooled"].set_index("quantity")
    mean = data.tables["studies"]["yi"].mean()
    assert pooled.at[scale.name, "median"] == pytest.approx(mean, rel=0.02)
    # a monotone way back carries the median with it
    for end in ("", "_new"):
        carried = float(scale.natural(pooled.at[scale.name + end, "median"]))
        assert pooled.at[scale.report + end, "median"] == pytest.approx(carried, rel=1e-3)
    studies = results["one"].estimates["studies"]
    raw = studies[studies["quantity"] == scale.report]["raw"]
    assert raw.to_numpy() == pytest.approx(scale.natural(data.tables["studies"]["yi"]))
    has_odds = "p_lt_null" in pooled and pooled["p_lt_null"].notna().any()
    assert has_odds == scale.contrast

    text = (
        words(describe(spec, data)) + words(methods(spec, "one", data)) + words(findings(spec, data, results))
    )
    assert "nan" not in text.lower().replace("finance", "")
    assert scale.report_words in text
    assert ("posterior probability that it lies below" in text) == scale.contrast
    assert ("Treated" in text) == spec.compares_arms
    for made in figures(spec, data, results):
        made.figure.savefig(tmp_path / f"{made.name}.png", dpi=100)
        assert "nan" not in made.caption + made.alt
        assert (tmp_path / f"{made.name}.png").stat().st_size > 5000
        lines = [line for line in made.figure.axes[0].lines if len(set(line.get_xdata())) == 1]
        if made.name in ("forest", "models", "funnel"):  # those with an axis of effects
            assert lines or not scale.contrast


def test_natural_words(tmp_path):
    spec = analysis(tmp_path, "PFT")
    text = words(describe(spec, ingest(spec)))
    assert "carried back by the squared sine" in text
    assert "16 events among 539 people" in text
    spec = analysis(tmp_path, "IRR")
    text = words(describe(spec, ingest(spec)))
    assert "16 events in 1,610 units of person-time in the arm Treated" in text
    assert "0.5 was added to the events of both arms of B" in text
    spec = analysis(tmp_path, "PLO")
    assert "0.5 was added to events and non-events of B" in words(describe(spec, ingest(spec)))
