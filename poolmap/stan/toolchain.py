"""Finding or building Stan on this machine.

Two toolchains give executables that cmdstanpy runs alike:

- ``cmdstan``: an installed CmdStan, named by ``CMDSTAN``, in the active conda environment, or in cmdstanpy's
  default place, in this order;
- ``wheel``: the headers, libraries and Stan compiler that the PyPI wheel of httpstan carries (its files only:
  httpstan itself is never imported), and poolmap's own main program (``main.cpp``).

The wheel is unpacked and the main program built once per user, in a cache shared by projects:
``POOLMAP_CACHE``, else the platform's cache folder. Everything is written under a temporary name and renamed
when whole, under a lock, so jobs that run at the same time or are killed leave nothing half-written.

Only the standard library is imported here; `find_toolchain` runs nothing but ``$CXX --version``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from poolmap.errors import ToolchainError

logger = logging.getLogger("poolmap.stan")

STAN_VERSION = "2.39.0"
"""Version of Stan in the wheel."""

MINIMUM_CMDSTAN = (2, 36)
"""Oldest CmdStan that knows everything poolmap's programs use (``sum_to_zero_vector``)."""

PRECOMPILED_HEADER_PAYS_FROM = 4
"""Number of programs to compile from which a precompiled header saves time."""

MAIN_PROGRAM = Path(__file__).with_name("main.cpp")

_MAIN_OPTIMISE = 1  # the densities are in the program's own object: -O3 here samples no faster
_DEFINES = ("-DBOOST_DISABLE_ASSERTS", "-D_REENTRANT")
_MODEL_HEADER = "stan/model/model_header.hpp"


@dataclass(frozen=True)
class _Wheel:
    """One wheel of httpstan: pip's platform tag, its checksum, and the library of TBB in it."""

    platform: str
    sha256: str
    tbb: str

    def download_arguments(self) -> list[str]:
        tags = ["--python-version", "3.13", "--implementation", "cp", "--abi", "cp313"]
        return ["--no-deps", "--only-binary=:all:", *tags, "--platform", self.platform, "httpstan==4.17.0"]


_WHEELS = {
    ("linux", "x86_64"): _Wheel(
        "manylinux2014_x86_64",
        "b05349967ad19a6970d4392732653b8ad98839cb3cb7a7e8a493ae70a264988e",
        "libtbb.so.2",
    ),
    ("darwin", "arm64"): _Wheel(
        "macosx_14_0_arm64",
        "f1559fce9ae4aaff28e5faaad368591a43d158869b378fc0ed2fea9731ee8510",
        "libtbb.dylib",
    ),
}

# of Boost, what Stan's headers include on any platform; the rest is a quarter of the wheel
_BOOST = """
    algorithm archive assert bind circular_buffer concept config container container_hash core describe
    detail exception function function_types fusion integer io iterator lexical_cast math move mp11 mpl
    multi_array numeric optional predef preprocessor random range regex serialization smart_ptr type_traits
    typeof units utility
"""


@dataclass(frozen=True)
class Toolchain:
    """A Stan toolchain and the C++ compiler it uses.

    Attributes:
        kind: "cmdstan" (an installed CmdStan) or "wheel" (built from the PyPI wheel).
        path: the CmdStan folder, or the folder of the unpacked wheel (which may not exist yet).
        stan_version: such as "2.39.0".
        compiler: first line of ``$CXX --version``.
        compiler_command: how the compiler is called: program and leading arguments.
        make: the make program ("cmdstan" only, else None).
        settings_sha256: hash of what else decides how programs are built: the main program ("wheel"), or
            CmdStan's ``make/local`` ("cmdstan").
    """

    kind: Literal["cmdstan", "wheel"]
    path: Path
    stan_version: str
    compiler: str
    compiler_command: tuple[str, ...]
    make: str | None
    settings_sha256: str

    @property
    def identity(self) -> str:
        """Short name that changes whenever executables may: such as "wheel-2.39.0-1f0c9d2e51"."""
        parts = (self.path, self.compiler, *self.compiler_command, self.settings_sha256)
        return f"{self.kind}-{self.stan_version}-{digest(*parts)[:10]}"

    @property
    def stanc(self) -> Path:
        """The Stan-to-C++ compiler."""
        return self.path / "bin" / ("stanc.exe" if os.name == "nt" else "stanc")

    def as_dict(self) -> dict[str, str]:
        """What a reader of the report needs to know, as text: kind, Stan version, compiler, identity."""
        return {
            "kind": self.kind,
            "stan_version": self.stan_version,
            "compiler": self.compiler,
            "identity": self.identity,
        }


def cache_root() -> Path:
    """The cache folder shared by projects: ``POOLMAP_CACHE``, else the platform's own."""
    if chosen := os.environ.get("POOLMAP_CACHE"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("poolmap")


def find_toolchain() -> Toolchain:
    """The toolchain that would be used. Builds and downloads nothing; takes milliseconds.

    Raises:
        ToolchainError: no C++ compiler, no make (for an installed CmdStan), ``CMDSTAN`` names no usable
            CmdStan, or there is none and no wheel exists for this system.
    """
    cmdstan = _find_cmdstan()
    command, version = _find_compiler()
    if cmdstan is not None:
        local = cmdstan / "make" / "local"
        return Toolchain(
            kind="cmdstan",
            path=cmdstan,
            stan_version=_cmdstan_version(cmdstan) or "",
            compiler=version,
            compiler_command=command,
            make=_find_make(),
            settings_sha256=digest(local.read_bytes() if local.is_file() else b""),
        )
    wheel = _wheel_for_platform()
    return Toolchain(
        kind="wheel",
        path=cache_root() / f"stan-{STAN_VERSION}-{wheel.sha256[:8]}",
        stan_version=STAN_VERSION,
        compiler=version,
        compiler_command=command,
        make=None,
        settings_sha256=digest(MAIN_PROGRAM.read_bytes()),
    )


def prepare_toolchain(
    *, precompiled_header: bool = False, optimise: int = 3, threads: bool = False
) -> Toolchain:
    """The toolchain, with everything in place to compile programs.

    An installed CmdStan needs nothing. For the wheel this fetches and unpacks it, builds the main program
    (about 45 s) and, if asked, the precompiled header (about 30 s and 0.8 GB of disk; it saves 9 s a program,
    so ask from `PRECOMPILED_HEADER_PAYS_FROM` programs; GCC only). What is there is not made again.

    Args:
        precompiled_header: also build the precompiled header, for programs compiled with `optimise`.
        optimise: optimisation level of the programs to come; ``POOLMAP_STAN_OPT`` overrides it.
        threads: for programs that use several threads.

    Raises:
        ToolchainError: as `find_toolchain`, or the wheel cannot be fetched, or a build fails.
    """
    toolchain = find_toolchain()
    if toolchain.kind == "wheel":
        unpack_wheel(toolchain)
        main_object(toolchain, threads)
        if precompiled_header:
            _build_precompiled_header(toolchain, optimisation_level(optimise), threads)
    return toolchain


def optimisation_level(requested: int) -> int:
    """The level to compile at: ``POOLMAP_STAN_OPT`` where set (0 to 3), else `requested`."""
    chosen = os.environ.get("POOLMAP_STAN_OPT", str(requested))
    if chosen not in ("0", "1", "2", "3"):
        raise ToolchainError(f"POOLMAP_STAN_OPT is {chosen!r}; it is an optimisation level: 0, 1, 2 or 3.")
    return int(chosen)


# ---- looking around --------------------------------------------------------------------------------------


def digest(*parts: object) -> str:
    """SHA-256 of the parts, each kept apart from the next."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def _find_cmdstan() -> Path | None:
    """An installed CmdStan, or None."""
    if named := os.environ.get("CMDSTAN"):
        folder = Path(named).expanduser().absolute()
        if problem := _cmdstan_problem(folder):
            raise ToolchainError(
                f"CMDSTAN names {folder}, {problem}.\n"
                "Point CMDSTAN at a built CmdStan, or unset it to let poolmap find or build Stan itself."
            )
        return folder
    places = []
    if prefix := os.environ.get("CONDA_PREFIX"):
        places.append(Path(prefix) / "bin" / "cmdstan")
    places += sorted(Path.home().glob(".cmdstan/cmdstan-*"), key=_version_in_name, reverse=True)
    for folder in places:
        if not folder.is_dir():
            continue
        if problem := _cmdstan_problem(folder):
            logger.info("Passing over %s, %s.", folder, problem)
            continue
        return folder.absolute()
    return None


def _version_in_name(folder: Path) -> tuple[int, ...]:
    """(2, 38, 0, 1) for cmdstan-2.38.0; a release candidate sorts before its release."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", folder.name)[:3])
    return (*numbers, 0 if "rc" in folder.name else 1)


def _cmdstan_version(folder: Path) -> str | None:
    try:
        text = (folder / "makefile").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"^CMDSTAN_VERSION\s*:=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else None


def _cmdstan_problem(folder: Path) -> str | None:
    """Why a folder cannot serve as CmdStan, as the end of a sentence; None if it can."""
    version = _cmdstan_version(folder)
    if version is None:
        return "which is not a CmdStan folder (no makefile with its version)"
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < MINIMUM_CMDSTAN:
        return f"which is CmdStan {version}; poolmap needs {'.'.join(map(str, MINIMUM_CMDSTAN))} or later"
    if not (folder / "bin" / ("stanc.exe" if os.name == "nt" else "stanc")).is_file():
        return "which has not been built (no bin/stanc)"
    return None


def _find_compiler() -> tuple[tuple[str, ...], str]:
    """The compiler's command and the first line of its version."""
    if chosen := os.environ.get("CXX"):
        candidates = [shlex.split(chosen)]
    else:
        candidates = [["clang++"], ["g++"]] if sys.platform == "darwin" else [["g++"], ["clang++"], ["c++"]]
    for command in candidates:
        program = shutil.which(command[0])
        version = _compiler_version(program, tuple(command[1:])) if program else ""
        if program and version:
            return (program, *command[1:]), version
    named = f"the C++ compiler that CXX names ({chosen})" if chosen else "a C++ compiler"
    raise ToolchainError(f"poolmap needs {named} to compile Stan programs and found none.\n{_HOW_TO_INSTALL}")


@functools.cache
def _compiler_version(program: str, arguments: tuple[str, ...]) -> str:
    """First line of the version, or "" where the program does not run (as macOS's stub without its tools)."""
    answer = subprocess.run([program, *arguments, "--version"], capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    return lines[0].strip() if answer.returncode == 0 and lines else ""


def _find_make() -> str:
    for name in ("mingw32-make", "make") if os.name == "nt" else ("make", "gmake"):
        if program := shutil.which(name):
            return program
    raise ToolchainError(f"An installed CmdStan needs make, and none was found.\n{_HOW_TO_INSTALL}")


_HOW_TO_INSTALL = """\
Install it, then run again:
  Debian, Ubuntu    sudo apt install g++ make
  Fedora, Red Hat   sudo dnf install gcc-c++ make
  macOS             xcode-select --install
  conda             conda install -c conda-forge cxx-compiler make"""

_HOW_TO_INSTALL_CMDSTAN = """\
Install CmdStan (it takes about 10 minutes and 1 GB) in one of these ways, then run again:
  install_cmdstan                           cmdstanpy's installer; it downloads from CmdStan's releases
  conda install -c conda-forge cmdstan      in a conda environment
or set CMDSTAN to the folder of one that is installed."""


def _wheel_for_platform() -> _Wheel:
    system, machine = sys.platform, platform.machine()
    wheel = _WHEELS.get((system, machine))
    if wheel is None or (system == "linux" and platform.libc_ver()[0] != "glibc"):
        raise ToolchainError(
            f"No CmdStan was found, and there is no ready-made Stan for this system ({system} {machine}).\n"
            f"{_HOW_TO_INSTALL_CMDSTAN}"
        )
    return wheel


# ---- building from the wheel -----------------------------------------------------------------------------


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Holds the cache's lock of that name; waits for whoever holds it, saying so."""
    import filelock

    folder = cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("Waiting for another process that is building %s.", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def fresh_folder(final: Path) -> Iterator[Path]:
    """A new folder beside `final`; removed at the end if it was not renamed.

    Call it under the lock of `final`: what earlier, killed builds of the same name left is cleared away.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for left_over in final.parent.glob(f".{final.name}.*"):
        shutil.rmtree(left_over, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack_wheel(toolchain: Toolchain) -> None:
    """Fetches and unpacks the wheel unless it is there: ``include/``, ``lib/`` and ``bin/stanc``."""
    if toolchain.path.is_dir():
        return
    with exclusive(toolchain.path.name), fresh_folder(toolchain.path) as folder:
        if toolchain.path.is_dir():
            return
        wheel = _fetch_wheel(folder)
        logger.info("Unpacking Stan %s into %s.", STAN_VERSION, toolchain.path)
        whole = folder / "whole"
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                target = _unpacked_name(entry.filename)
                if target is not None and not entry.is_dir():
                    (whole / target).parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(entry) as source, (whole / target).open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        (whole / "bin" / "stanc").chmod(0o755)
        whole.rename(toolchain.path)


def _unpacked_name(name: str) -> str | None:
    """Where a file of the wheel goes, or None for what Stan programs do not need."""
    parts = PurePosixPath(name).parts
    if parts[:2] == ("httpstan", "stanc"):
        return "bin/stanc"
    if parts[:2] == ("httpstan", "lib"):
        return "/".join(parts[1:])
    unneeded = (
        parts[:2] != ("httpstan", "include")
        or parts[2:3] == ("pybind11",)
        or parts[2:5] == ("stan", "math", "opencl")
        or (parts[2:3] == ("boost",) and len(parts) > 4 and parts[3] not in _BOOST.split())
    )
    if unneeded:
        return None
    return "/".join(parts[1:])


def _fetch_wheel(folder: Path) -> Path:
    """The wheel, its checksum verified: the one at ``POOLMAP_HTTPSTAN_WHEEL``, else downloaded by pip."""
    wanted = _wheel_for_platform()
    if given := os.environ.get("POOLMAP_HTTPSTAN_WHEEL"):
        wheel = Path(given).expanduser()
        if not wheel.is_file():
            raise ToolchainError(f"POOLMAP_HTTPSTAN_WHEEL names {wheel}, which is not a file.")
    else:
        wheel = _download_wheel(wanted, folder)
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.sha256:
        raise ToolchainError(
            f"{wheel.name} is not the file poolmap was built for, and is not used.\n"
            f"  sha256 expected  {wanted.sha256}\n  sha256 found     {found}\n"
            "Download it again; if it happens again, the package index or a proxy serves another file."
        )
    return wheel


def _download_wheel(wanted: _Wheel, folder: Path) -> Path:
    arguments = ["download", *wanted.download_arguments()]
    by_hand = "pip " + " ".join(arguments)
    otherwise = (
        f"Either of these also serves: the wheel fetched on another machine with\n    {by_hand}\n"
        "and POOLMAP_HTTPSTAN_WHEEL set to its path; or an installed CmdStan.\n" + _HOW_TO_INSTALL_CMDSTAN
    )
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif found := shutil.which("pip3") or shutil.which("pip"):
        pip = [found]
    else:
        raise ToolchainError(
            "poolmap fetches Stan's headers with pip, and this Python has no pip.\n"
            f"Add it with `{sys.executable} -m ensurepip` (or `uv pip install pip`), then run again.\n"
            f"{otherwise}"
        )
    logger.info("Fetching Stan %s (the wheel httpstan 4.17.0, 35 MB), once.", STAN_VERSION)
    command = [*pip, *arguments, "--quiet", "--dest", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("httpstan-*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        raise ToolchainError(
            f"Stan's headers could not be fetched. Tried: {by_hand}\n"
            f"{_last_lines(answer.stderr or answer.stdout)}\n"
            f"Check the network connection (and pip's proxy or index settings), then run again.\n{otherwise}"
        )
    return wheels[0]


def compiler_flags(optimise: int, threads: bool) -> list[str]:
    """Flags of every C++ file that goes into one executable or its precompiled header."""
    flags = ["-std=c++17", f"-O{optimise}", *_DEFINES, "-w"]
    return [*flags, "-DSTAN_THREADS"] if threads else flags


def include_flags(toolchain: Toolchain) -> list[str]:
    """Where the wheel's headers are."""
    return ["-isystem", str(toolchain.path / "include")]


def link_flags(toolchain: Toolchain) -> list[str]:
    """The wheel's libraries; the executable finds TBB by the wheel's absolute path."""
    lib = toolchain.path / "lib"
    static = [str(lib / f"libsundials_{name}.a") for name in ("cvodes", "idas", "kinsol", "nvecserial")]
    return [*static, str(lib / _wheel_for_platform().tbb), f"-Wl,-rpath,{lib}", "-lpthread"]


def main_object(toolchain: Toolchain, threads: bool) -> Path:
    """The main program's object file, built unless it is there."""
    flags = compiler_flags(_MAIN_OPTIMISE, threads)
    built = _build_path(toolchain, "main", toolchain.settings_sha256, *flags) / "main.o"
    if not built.is_file():
        command = [*toolchain.compiler_command, *flags, *include_flags(toolchain), "-c", str(MAIN_PROGRAM)]
        build_once(built, command, "poolmap's main program for Stan (about 45 s, once)")
    return built


def precompiled_header_flags(toolchain: Toolchain, optimise: int, threads: bool) -> list[str]:
    """The flags that make a program use the precompiled header; empty where it has not been built."""
    header = _precompiled_header(toolchain, optimise, threads)
    return ["-I", str(header.parents[2])] if header.is_file() else []


def _precompiled_header(toolchain: Toolchain, optimise: int, threads: bool) -> Path:
    folder = _build_path(toolchain, "header", *compiler_flags(optimise, threads))
    return folder / f"{_MODEL_HEADER}.gch"


def _build_precompiled_header(toolchain: Toolchain, optimise: int, threads: bool) -> None:
    if "clang" in toolchain.compiler.lower():
        return
    built = _precompiled_header(toolchain, optimise, threads)
    if not built.is_file():
        source = str(toolchain.path / "include" / _MODEL_HEADER)
        flags = [*compiler_flags(optimise, threads), *include_flags(toolchain)]
        what = "the precompiled header of Stan (about 30 s and 0.8 GB of disk, once)"
        command = [*toolchain.compiler_command, *flags, "-x", "c++-header", source]
        build_once(built, command, what)


def _build_path(toolchain: Toolchain, what: str, *decisive: str) -> Path:
    key = digest(toolchain.path, toolchain.compiler, *toolchain.compiler_command, *decisive)[:16]
    return cache_root() / "build" / f"{what}-{key}"


def build_once(built: Path, command: Sequence[str], what: str, cwd: Path | None = None) -> None:
    """Compiles to `built`, which lies in a folder of its own under ``build/``, unless it is there.

    Args:
        built: the file to make.
        command: the compiler and its arguments but for the output.
        what: what is built, in words.
        cwd: the folder in which the compiler runs.

    Raises:
        ToolchainError: the compiler failed.
    """
    final = cache_root() / "build" / built.relative_to(cache_root() / "build").parts[0]
    with exclusive(final.name), fresh_folder(final) as folder:
        if built.is_file():
            return
        target = folder / "whole" / built.relative_to(final)
        target.parent.mkdir(parents=True)
        logger.info("Building %s.", what)
        start = time.monotonic()
        run_compiler([*command, "-o", str(target)], what, cwd)
        (folder / "whole").rename(final)
        logger.info("Built in %.0f s.", time.monotonic() - start)


def run_compiler(command: Sequence[str], what: str, cwd: Path | None = None) -> None:
    """Runs a C++ compiler, linker or make; what it says goes into the error if it fails.

    Raises:
        ToolchainError: it failed.
    """
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if answer.returncode == 0:
        return
    said = answer.stderr + answer.stdout
    advice = "This is not an error in your data or config. Please report it with the text above."
    if "Killed" in said or "out of memory" in said or "bad_alloc" in said:
        advice = "The compiler ran out of memory: it needs 3 GB free. Compile fewer programs at a time."
    elif "No space left" in said:
        advice = f"The disk is full: the cache is {cache_root()}, and POOLMAP_CACHE can move it."
    raise ToolchainError(
        f"Compiling {what} failed.\nCommand: {shlex.join(map(str, command))}\n{_last_lines(said)}\n{advice}"
    )


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-count:])
