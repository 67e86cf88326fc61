"""nutpie on poolmap's Stan programs: against published and independent posteriors, and what it refuses."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import arviz as az
import numpy as np
import pytest
from test_areas import REFERENCE as MAPS
from test_areas import _agrees, _sids, _spec
from test_stan_main import REFERENCE, REFERENCE_DRAWS, SCHOOLS

from poolmap.config.base import Sampling
from poolmap.contracts import Quantity, StanData
from poolmap.families.areas.model import stan_data
from poolmap.inference.checks import ebfmi
from poolmap.inference.fit import brief, fit
from poolmap.stan.compile import compile_program
from poolmap.stan.sample import Draws, SamplingError, sample

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("nutpie_schools.stan")
DATA = SCHOOLS | {"failing": 0}
NUTPIE = Sampling(sampler="nutpie", draws=2000, adapt_delta=0.95)
SHORT = NUTPIE.model_copy(update={"warmup": 200, "draws": 100})


@pytest.fixture(scope="module")
def library():
    return compile_program(PROGRAM, library=True).executable


def draw(library, parameters=("mu", "tau"), sampling=SHORT, data=DATA, seed=1, cores=2) -> Draws:
    return sample(library, data, parameters, sampling, seed=seed, cores=cores)


def test_the_reference_posterior_of_the_eight_schools(library, caplog):
    """Means and sds within four Monte Carlo standard errors (theirs and ours together) of posteriordb."""
    with caplog.at_level(logging.INFO, logger="poolmap.stan"):
        draws = draw(library, sampling=NUTPIE)
    for name, (mean, sd) in REFERENCE.items():
        values = draws.posterior[name]
        error = np.hypot(float(az.mcse(values)[name]), sd / np.sqrt(REFERENCE_DRAWS))
        assert abs(float(values.mean()) - mean) < 4 * error, name
        error_sd = np.hypot(float(az.mcse(values, method="sd")[name]), sd / np.sqrt(REFERENCE_DRAWS))
        assert abs(float(values.std()) - sd) < 4 * error_sd, name
    said = [record.getMessage() for record in caplog.records]
    assert any(re.fullmatch(r"nutpie: 12000 of 12000 iterations, 4 of 4 chains finished", s) for s in said)
    assert len(said) < 15


def test_the_figures_of_the_sampler(library):
    stats = draw(library, sampling=NUTPIE).sample_stats
    assert {values.shape for values in stats.values()} == {(4, 2000)}
    assert abs(stats["acceptance_rate"].mean() - 0.95) < 0.03
    assert (ebfmi(stats["energy"]) > 0.3).all()
    # as in Stan, a last doubling that is not taken counts as steps, not as depth
    assert (stats["n_steps"] >= 2 ** stats["tree_depth"] - 1).all()
    assert (stats["n_steps"] < 2 ** (stats["tree_depth"] + 1)).all()
    assert (stats["step_size"] > 0).all()
    # the energy is the potential one and a kinetic one: half a chi-square with a degree for each parameter
    kinetic = stats["energy"] + stats["lp"]
    assert (kinetic > 0).all()
    assert abs(kinetic.mean() - 10 / 2) < 4 * np.sqrt(10 / 2 / kinetic.size)


def test_a_saturated_tree_is_told_as_one(library):
    bound = SHORT.model_copy(update={"max_treedepth": 5, "adapt_delta": 0.9999})
    stats = draw(library, sampling=bound).sample_stats
    assert stats["tree_depth"].max() == 5
    assert stats["n_steps"].max() == 2**5 - 1


def test_divergent_transitions_are_told(library):
    """A step so long that few proposals are accepted diverges where tau is small."""
    long_steps = SHORT.model_copy(update={"draws": 1000, "adapt_delta": 0.2})
    assert draw(library, sampling=long_steps).sample_stats["diverging"].mean() > 0.05
    assert draw(library).sample_stats["diverging"].mean() < 0.01


def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores(library):
    runs = [draw(library, ("tau", "y_rep"), seed=s, cores=c) for s, c in ((7, 2), (7, 1), (8, 2))]
    first, again, other = (run.posterior for run in runs)
    assert first.identical(again)
    assert not np.isclose(first["tau"], other["tau"]).any()
    assert not np.isclose(first["tau"][0], first["tau"][1]).any()
    for name, values in runs[0].sample_stats.items():
        assert np.array_equal(values, runs[1].sample_stats[name]), name


def test_only_what_is_asked_for_is_kept_in_the_shape_of_the_program(library):
    posterior = draw(library, ("further", "places", "mu", "theta")).posterior
    assert list(posterior) == ["further", "places", "mu", "theta"]
    assert posterior["theta"].dims == ("chain", "draw", "theta_dim_0")
    assert posterior["theta"].shape == (4, 100, 8)
    i, j, k = np.ogrid[1:3, 1:4, 1:5]
    assert (posterior["further"] == 100 * i + 10 * j + k).all()
    assert (posterior["places"] == (10 * i + j)[:, :, 0]).all()
    assert posterior["draw"].to_numpy().tolist() == list(range(100))


def test_where_generated_quantities_fail_there_is_no_number(library):
    values = draw(library, data=DATA | {"failing": 1}).posterior
    assert np.isnan(values["tau"]).any()
    assert values["tau"].max() <= 3


@pytest.mark.parametrize(
    ("parameters", "data", "said"),
    [
        (("mu",), DATA | {"sigma": [-1.0] * 8}, r"sigma\[1\] is -1, but must be greater than or equal to 0"),
        (("mu",), DATA | {"sigma": [1.0] * 7}, r"mismatch in dimension declared.*variable name=sigma"),
        (("mu",), SCHOOLS, "variable does not exist.*failing"),
        (("mu", "nu"), DATA, "the program has no variable nu"),
        (("mu",), DATA | {"y": [1e300] * 8}, "All initialization points failed"),
    ],
)
def test_what_cannot_be_sampled_is_told_in_the_words_of_stan_and_nutpie(library, parameters, data, said):
    with pytest.raises(SamplingError, match=rf"(?s)^nutpie stopped while sampling:\n.*{said}") as caught:
        draw(library, parameters, data=data)
    assert "backtrace" not in str(caught.value)


def test_a_library_that_is_none_is_told(tmp_path):
    (tmp_path / "empty.so").write_text("")
    with pytest.raises(SamplingError, match=r"empty\.so"):
        draw(tmp_path / "empty.so")


def test_an_interrupted_run_ends_without_draws(library, tmp_path):
    code = f"""
from pathlib import Path
from poolmap.config.base import Sampling
from poolmap.stan.sample import sample
print("begins", flush=True)
sample(Path({str(library)!r}), {DATA!r}, ["y_rep"], Sampling(sampler="nutpie", draws=10**8), seed=1, cores=2)
print("draws", flush=True)
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert run.stdout.readline() == "begins\n"
        time.sleep(3)
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        said, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert said == ""
    assert "KeyboardInterrupt" in errors
    assert run.returncode != 0


def test_the_gate_judges_the_draws_of_nutpie(library):
    def reported(posterior, rng):
        return [
            Quantity("schools", name, "", posterior[name].to_numpy()[:, :, None]) for name in ("mu", "tau")
        ]

    found = fit(library, StanData(DATA, ["mu", "tau"]), reported, NUTPIE, seed=1, cores=2)
    assert found.verdict["passed"], found.verdict
    assert found.verdict["sampler"] == found.sampling.sampler == "nutpie"
    few = NUTPIE.model_copy(update={"warmup": 100, "draws": 100})
    again = fit(library, StanData(DATA, ["mu", "tau"]), reported, few, seed=1, cores=2)
    first, second = again.verdict["attempts"]
    assert (first["passed"], first["draws"], second["draws"]) == (False, 100, 200)
    assert again.sampling.sampler == "nutpie"


def test_a_map_with_its_own_header_against_an_independent_program():
    """BYM2 of the North Carolina SIDS data, in the coordinates and with the gradient of `areas.hpp`."""
    program = compile_program(ROOT / "stan/areas/areas.stan", include_paths=[ROOT / "stan"], library=True)
    spec = _spec()
    data = _sids(spec)
    given = stan_data(spec, "bym2", data)
    settings = brief(Sampling(sampler="nutpie"), given.whitened)
    draws = sample(program.executable, given.data, given.parameters, settings, seed=1, cores=2, whitened=True)
    _agrees(MAPS["ncsids74"], spec, data, draws)
