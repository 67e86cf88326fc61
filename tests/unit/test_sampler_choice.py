"""`sampling.sampler`: where it is set, and that the report names the sampler that was used."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolmap.config.base import Sampling
from poolmap.config.load import load_config
from poolmap.errors import InputError
from poolmap.families import door
from poolmap.inference.fit import brief, harder
from poolmap.report.assemble import _software

ROOT = Path(__file__).parents[2]
NUTPIE = {"sampling": {"sampler": "nutpie", "draws": 500}}


@pytest.fixture(autouse=True)
def at_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def load(keys=None, check_files=False):
    return load_config("config/config.yaml", overrides=keys, check_files=check_files)


def samplers(config):
    return {name: spec.sampling.sampler for name, spec in config.analyses.items()}


def test_stan_is_the_default_and_any_analysis_may_choose():
    assert Sampling().sampler == "stan"
    assert set(samplers(load()).values()) == {"stan"}
    assert set(samplers(load(NUTPIE)).values()) == {"nutpie"}
    own = load(NUTPIE | {"analyses": {"bcg": {"sampling": {"sampler": "stan"}}}})
    assert {name for name, sampler in samplers(own).items() if sampler == "stan"} == {"bcg"}
    assert {spec.sampling.draws for spec in own.analyses.values()} == {500}


def test_another_name_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"sampling\.sampler") as caught:
        load({"sampling": {"sampler": "nutpy"}})
    assert "nutpie" in str(caught.value)


def test_the_choice_reruns_the_fit_and_nothing_before():
    one, other = (next(iter(load(keys).analyses.values())) for keys in (None, NUTPIE))
    assert one.view("ingest") == other.view("ingest")
    assert one.view("fit") != other.view("fit")


def test_both_attempts_use_the_sampler():
    chosen = Sampling(sampler="nutpie")
    assert harder(chosen).sampler == brief(chosen, 0.9).sampler == "nutpie"


def test_the_report_names_the_sampler():
    for keys, text in (
        (None, "Hamiltonian Monte Carlo in Stan"),
        (NUTPIE, "Hamiltonian Monte Carlo with the sampler nutpie on a program in Stan"),
    ):
        spec = next(spec for spec in load(keys).analyses.values() if spec.family == "meta")
        data = door("meta", "ingest")(spec)
        blocks = door("meta", "methods")(spec, next(iter(spec.models)), data)
        assert any(f"The model was fitted by {text} (Carpenter et al. 2017" in str(block) for block in blocks)


def test_the_software_table_has_nutpie_where_it_was_used():
    assert "nutpie" not in _software({}) and "nutpie" not in _software({"sampler": "stan"})
    assert _software({"sampler": "nutpie"})["nutpie"] == "0.16.8"
