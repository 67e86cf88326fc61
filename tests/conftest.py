"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job: the tests' runs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("POOLMAP_STAN_OPT", "1")  # compiling is quicker, and the tests sample little


@pytest.fixture(scope="session")
def compiled() -> Callable[..., CmdStanModel]:
    """`compiled(program, include_paths=())`: a Stan program as a cmdstanpy model, compiled at most once."""
    from cmdstanpy import CmdStanModel

    from poolmap.stan.compile import compile_program

    def model(program: Path, include_paths: Sequence[Path] = ()) -> CmdStanModel:
        return CmdStanModel(exe_file=compile_program(program, include_paths=include_paths).executable)

    return model
