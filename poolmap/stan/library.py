"""A Stan program as a shared library, with the C interface that nutpie asks for (``bridge.cpp``).

It is built from the same headers as the executables: the wheel's, or those of an installed CmdStan with the
flags that CmdStan's own makefile tells.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from poolmap.errors import ToolchainError
from poolmap.stan import toolchain as tools
from poolmap.stan.toolchain import Toolchain

BRIDGE = Path(__file__).with_name("bridge.cpp")

_ELSE = "Choose `sampler: stan` in the config, or unset CMDSTAN to let poolmap find or build Stan itself."
_MADE = ("LINK.cpp", "LDLIBS", "SUNDIALS_TARGETS", "TBB_TARGETS")  # of CmdStan's makefile


@dataclass(frozen=True)
class _Commands:
    """Compiler, with the flags of every step; what follows the objects when linking; where both run."""

    compiler: list[str]
    libraries: list[str]
    folder: Path | None


def flags(optimise: int) -> list[str]:
    """The C++ flags that poolmap chooses: for several threads, loadable anywhere in memory."""
    return [*tools.compiler_flags(optimise, threads=True), "-fPIC"]


def build(toolchain: Toolchain, cpp: Path, target: Path, *, optimise: int) -> None:
    """Compiles a translated program and links it with the bridge, which is compiled once for all programs.

    Args:
        toolchain: as found; the wheel must be unpacked.
        cpp: the program in C++, as stanc wrote it.
        target: the library to write.
        optimise: the C++ compiler's level.

    Raises:
        ToolchainError: a build fails, or the installed CmdStan does not have what is needed.
    """
    tell = _with_wheel if toolchain.kind == "wheel" else _with_cmdstan
    commands = tell(toolchain, optimise)
    key = tools.digest(toolchain.identity, *commands.compiler, BRIDGE.read_bytes())[:16]
    bridge = tools.cache_root() / "build" / f"bridge-{key}" / "bridge.o"
    if not bridge.is_file():
        what = "poolmap's bridge from Stan to nutpie (about 25 s, once)"
        tools.build_once(bridge, [*commands.compiler, "-c", str(BRIDGE)], what, commands.folder)
    model, what = cpp.with_suffix(".o").absolute(), f"the Stan program {cpp.stem} for nutpie"
    source = ["-x", "c++", "-c", str(cpp.absolute()), "-o", str(model)]
    tools.run_compiler([*commands.compiler, *source], what, commands.folder)
    # the model first: of functions in both objects the linker keeps the first
    objects = ["-shared", str(model), str(bridge), *commands.libraries, "-o", str(target.absolute())]
    tools.run_compiler([*commands.compiler, *objects], what, commands.folder)


def _with_wheel(toolchain: Toolchain, optimise: int) -> _Commands:
    compiler = [*toolchain.compiler_command, *flags(optimise), *tools.include_flags(toolchain)]
    return _Commands(compiler, tools.link_flags(toolchain), None)


def _with_cmdstan(toolchain: Toolchain, optimise: int) -> _Commands:
    """What CmdStan's makefile would call; its flags are relative to its folder."""
    if os.name == "nt":
        raise ToolchainError(
            "`sampler: nutpie` is not offered on Windows.\nChoose `sampler: stan` in the config."
        )
    header = toolchain.path / "stan" / "src" / "stan" / "model" / "model_base.hpp"
    if not header.is_file():
        raise ToolchainError(
            f"`sampler: nutpie` needs Stan's C++ headers, and the CmdStan in {toolchain.path} has none "
            f"({header} is missing).\n{_ELSE}"
        )
    command = [toolchain.make or "make", f"O={optimise}", "STAN_THREADS=TRUE"]
    answer = subprocess.run(
        [*command, *(f"print-{name}" for name in _MADE)],
        cwd=toolchain.path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = dict(re.findall(r"^(\S+) = ?(.*)$", answer.stdout, re.MULTILINE))
    if answer.returncode != 0 or not set(_MADE) <= set(told):
        raise ToolchainError(
            f"`sampler: nutpie` needs to know how to build a library, and the makefile of the CmdStan in "
            f"{toolchain.path} does not tell.\nCommand: {shlex.join([*command, 'print-LINK.cpp'])}\n"
            f"{(answer.stderr or answer.stdout).strip()}\n{_ELSE}"
        )
    compiler, *libraries = (shlex.split(told[name]) for name in _MADE)
    wanted = [flag for flag in ("-DSTAN_THREADS", "-fPIC", "-w") if flag not in compiler]
    return _Commands([*compiler, *wanted], [word for part in libraries for word in part], toolchain.path)
