"""Compiling Stan programs, once each.

A compiled program is kept in the user's cache under a key of everything that decides it: the source with
its includes, the toolchain (Stan version, compiler, main program, place) and the flags. Two jobs that need
the same program at the same time compile it once: the second waits for the first.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from poolmap.errors import ToolchainError
from poolmap.stan import toolchain as tools
from poolmap.stan.toolchain import Toolchain

logger = logging.getLogger("poolmap.stan")


class StanCompileError(ToolchainError):
    """A Stan program that does not compile, or whose includes cannot be read."""


@dataclass(frozen=True)
class CompiledProgram:
    """An executable for ``cmdstanpy.CmdStanModel(exe_file=...)`` and what it was made from.

    Attributes:
        name: the program's file name without ``.stan``.
        executable: its path in the cache.
        key: the cache key.
        stan_version: such as "2.39.0".
        flags: C++ flags that poolmap chose.
        compiler: first line of ``$CXX --version``.
        source_sha256: of the program with its includes.
    """

    name: str
    executable: Path
    key: str
    stan_version: str
    flags: tuple[str, ...]
    compiler: str
    source_sha256: str

    def as_dict(self) -> dict[str, object]:
        """As values that JSON can hold."""
        return asdict(self) | {"executable": str(self.executable), "flags": list(self.flags)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> CompiledProgram:
        """The inverse of `as_dict`."""
        known = dict(values)
        return cls(
            **known | {"executable": Path(str(known["executable"])), "flags": tuple(known["flags"])}  # type: ignore[arg-type]
        )


# ---- includes --------------------------------------------------------------------------------------------

_INCLUDE = re.compile(r'^[ \t]*#include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>|([^\s"<>]+))', re.MULTILINE)
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"', re.DOTALL)


def included_files(program: Path, include_paths: Sequence[Path] = ()) -> list[Path]:
    """The files that a Stan program includes, and those that they include, each once, in order of first use.

    An include is looked for in `include_paths` in turn, then beside the program, as stanc does.

    Raises:
        StanCompileError: the program or an include cannot be read, or includes go in a circle.
    """
    return [path for path, _ in _read_sources(Path(program), include_paths)][1:]


def _read_sources(program: Path, include_paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """(file, text) of the program and of every file it includes, in order of first use."""
    sources: dict[Path, str] = {}
    folders = _include_folders(program, include_paths)

    def visit(file: Path, chain: tuple[Path, ...]) -> None:
        if file in chain:
            circle = " -> ".join(path.name for path in (*chain, file))
            raise StanCompileError(f"{program}: the #include directives go in a circle: {circle}")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StanCompileError(f"{program}: cannot read {file}: {error}") from error
        sources.setdefault(file, text)
        for line, name in _include_directives(text):
            found = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if found is None:
                looked = ", ".join(map(str, folders))
                raise StanCompileError(
                    f"{file}, line {line}: no file {name!r} to include.\n"
                    f"Looked in: {looked}. Correct the #include or put the file there."
                )
            visit(found, (*chain, file))

    visit(program, ())
    return list(sources.items())


def _include_directives(text: str) -> list[tuple[int, str]]:
    """(line, name) of each #include outside comments."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

    code = _COMMENT_OR_STRING.sub(blank, text)
    found = _INCLUDE.finditer(code)
    return [(code.count("\n", 0, hit.start()) + 1, hit[1] or hit[2] or hit[3]) for hit in found]


def _include_folders(program: Path, include_paths: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys([*map(Path, include_paths), program.parent]))


# ---- the cache -------------------------------------------------------------------------------------------


def cache_key(
    program: Path,
    toolchain: Toolchain,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
) -> str:
    """Key of the executable that `compile_program` would give: 20 hexadecimal digits.

    It depends on the texts (program, includes, `user_header`), not on where they lie or how new they are.
    """
    source = _source_sha256(Path(program), include_paths)
    header = Path(user_header).read_bytes() if user_header else b""
    flags = _flags(optimise, user_header, threads)
    return tools.digest(Path(program).stem, source, header, toolchain.identity, *flags)[:20]


def is_compiled(
    program: Path,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
) -> bool:
    """Whether `compile_program` with the same arguments would find its executable in the cache."""
    key = cache_key(
        program,
        tools.find_toolchain(),
        include_paths=include_paths,
        optimise=optimise,
        user_header=user_header,
        threads=threads,
    )
    return _executable(Path(program).stem, key).is_file()


def compile_program(
    program: Path,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
) -> CompiledProgram:
    """The executable of a Stan program: from the cache, else compiled now (about 20 s at -O3).

    Args:
        program: a ``.stan`` file.
        include_paths: folders in which its includes are looked for; then the program's own folder.
        optimise: the C++ compiler's level; ``POOLMAP_STAN_OPT`` overrides it.
        user_header: a C++ header that defines the functions which the program only declares.
        threads: build for several threads in one process.

    Raises:
        StanCompileError: the program is not valid Stan, or an include is missing.
        ToolchainError: Stan or the C++ compiler is missing, or the C++ build fails.
    """
    program = Path(program)
    toolchain = tools.find_toolchain()
    source_sha256 = _source_sha256(program, include_paths)
    options = {"include_paths": include_paths, "user_header": user_header, "threads": threads}
    key = cache_key(program, toolchain, optimise=optimise, **options)
    executable = _executable(program.stem, key)
    compiled = CompiledProgram(
        name=program.stem,
        executable=executable,
        key=key,
        stan_version=toolchain.stan_version,
        flags=tuple(_flags(optimise, user_header, threads)),
        compiler=toolchain.compiler,
        source_sha256=source_sha256,
    )
    if executable.is_file():
        return compiled
    if toolchain.kind == "wheel":
        tools.prepare_toolchain(threads=threads)
    final = executable.parent
    with tools.exclusive(final.name), tools.fresh_folder(final) as folder:
        if executable.is_file():
            return compiled
        logger.info("Compiling the Stan program %s (about 20 s, once).", program.stem)
        start = time.monotonic()
        whole = folder / "whole"
        whole.mkdir()
        cpp = folder / f"{program.stem}.hpp"
        _translate(toolchain, program, include_paths, cpp, user_header)
        build = _build_with_wheel if toolchain.kind == "wheel" else _build_with_cmdstan
        build(toolchain, program, cpp, whole / executable.name, optimise=optimise, **options)
        (whole / "program.json").write_text(json.dumps(compiled.as_dict(), indent=1) + "\n")
        whole.rename(final)
        logger.info("Compiled %s in %.0f s.", program.stem, time.monotonic() - start)
    return compiled


def _source_sha256(program: Path, include_paths: Sequence[Path]) -> str:
    return tools.digest(*(text for _, text in _read_sources(program, include_paths)))


def _flags(optimise: int, user_header: Path | None, threads: bool) -> list[str]:
    flags = tools.compiler_flags(tools.optimisation_level(optimise), threads)
    return [*flags, "-include"] if user_header else flags


def _executable(name: str, key: str) -> Path:
    return tools.cache_root() / "programs" / f"{name}-{key}" / (f"{name}.exe" if os.name == "nt" else name)


# ---- building --------------------------------------------------------------------------------------------


def _translate(
    toolchain: Toolchain, program: Path, include_paths: Sequence[Path], cpp: Path, user_header: Path | None
) -> None:
    """Runs stanc: Stan to C++."""
    folders = ",".join(map(str, _include_folders(program, include_paths)))
    command = [str(toolchain.stanc), "--color=never", f"--include-paths={folders}", f"--o={cpp}"]
    command.append(f"--filename-in-msg={program.name}")
    command += ["--allow-undefined"] if user_header else []
    answer = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = (answer.stderr + answer.stdout).strip()
        raise StanCompileError(
            f"{program} does not compile.\n{said}\n"
            "Correct the program at the place shown; if it is one that came with poolmap, please report it."
        )
    for line in answer.stderr.splitlines():
        logger.warning("%s: %s", program.name, line)


def _build_with_wheel(
    toolchain: Toolchain,
    program: Path,
    cpp: Path,
    executable: Path,
    *,
    optimise: int,
    user_header: Path | None,
    threads: bool,
    include_paths: Sequence[Path],
) -> None:
    """C++ to executable with the wheel's headers; paths are arguments of their own and may hold spaces."""
    level = tools.optimisation_level(optimise)
    arguments = tools.compiler_flags(level, threads)
    if user_header:  # it would come before the precompiled header, which must be first
        arguments += ["-include", str(Path(user_header).absolute())]
    else:
        arguments += tools.precompiled_header_flags(toolchain, level, threads)
    model = cpp.with_suffix(".o")
    compiler, what = toolchain.compiler_command, f"the Stan program {program}"
    arguments += [*tools.include_flags(toolchain), "-x", "c++", "-c", str(cpp), "-o", str(model)]
    tools.run_compiler([*compiler, *arguments], what)
    # the model first: of functions in both objects the linker keeps the first, and the model's are optimised
    objects = [str(model), str(tools.main_object(toolchain, threads))]
    tools.run_compiler([*compiler, *objects, *tools.link_flags(toolchain), "-o", str(executable)], what)


@contextmanager
def _first_build_alone(toolchain: Toolchain, threads: bool) -> Iterator[None]:
    """Lets the first build in a CmdStan folder run alone: it may make CmdStan's own objects there."""
    done = tools.cache_root() / "build" / f"{toolchain.identity}{'-threads' if threads else ''}.done"
    if done.is_file():
        yield
        return
    with tools.exclusive(done.stem):
        yield
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()


def _build_with_cmdstan(
    toolchain: Toolchain,
    program: Path,
    cpp: Path,
    executable: Path,
    *,
    optimise: int,
    user_header: Path | None,
    threads: bool,
    include_paths: Sequence[Path],
) -> None:
    """Stan to executable with CmdStan's makefile, on a copy in a folder without spaces (make allows none)."""
    with tempfile.TemporaryDirectory(prefix="poolmap-") as temporary:
        folder = Path(temporary)
        copy = folder / program.name
        shutil.copyfile(program, copy)
        places = []
        for number, include in enumerate(_include_folders(program, include_paths)):
            places.append(folder / f"include{number}")
            places[-1].symlink_to(include.absolute(), target_is_directory=True)
        command = [toolchain.make or "make", f"O={tools.optimisation_level(optimise)}"]
        command.append(f"STANCFLAGS+=--include-paths={','.join(map(str, places))}")
        command.append(f"STANCFLAGS+=--filename-in-msg={program.name}")
        if threads:
            command.append("STAN_THREADS=TRUE")
        if user_header:
            header = folder / "user_header.hpp"
            shutil.copyfile(user_header, header)
            command += ["STANCFLAGS+=--allow-undefined", f"USER_HEADER={header}"]
        target = copy.with_suffix(executable.suffix)
        command.append(target.as_posix())
        with _first_build_alone(toolchain, threads):
            tools.run_compiler(command, f"the Stan program {program}", cwd=toolchain.path)
        shutil.move(target, executable)
