"""Compiling Stan programs, once each: to an executable, or to a shared library for nutpie (`library`).

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
from poolmap.stan import library as libraries
from poolmap.stan import toolchain as tools
from poolmap.stan.toolchain import Toolchain

logger = logging.getLogger("poolmap.stan")


class StanCompileError(ToolchainError):
    """A Stan program that does not compile, or whose includes cannot be read."""


@dataclass(frozen=True)
class CompiledProgram:
    """An executable for ``cmdstanpy.CmdStanModel(exe_file=...)``, or a library, and what it was made from.

    Attributes:
        name: the program's file name without ``.stan``.
        executable: its path in the cache; the library's, where one was asked for.
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
_LOCAL_HEADER = re.compile(r'^#include "([^"\n]+)"', re.MULTILINE)
_STAN_HEADER = re.compile(r"^#include <stan/model/model_header\.hpp>", re.MULTILINE)
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"', re.DOTALL)


def included_files(program: Path, include_paths: Sequence[Path] = ()) -> list[Path]:
    """The files that a Stan program includes, and those that they include, each once, in order of first use;
    last its C++ header, where there is one beside it, and the headers that this one includes.

    An include is looked for in `include_paths` in turn, then beside the program, as stanc does.

    Raises:
        StanCompileError: the program or an include cannot be read, or includes go in a circle.
    """
    program = Path(program)
    header = _header(program, None)
    files = [source.path for source in _read_sources(program, include_paths)[1:]]
    if header:
        files += [header, *_header_includes(header, include_paths).values()]
    return list(dict.fromkeys(files))


def _header(program: Path, user_header: Path | None) -> Path | None:
    """The C++ header of a program: the one given, else the one beside it with its name."""
    beside = program.with_suffix(".hpp")
    return Path(user_header) if user_header else beside if beside.is_file() else None


def _header_includes(header: Path, include_paths: Sequence[Path]) -> dict[str, Path]:
    """The files of `include_paths` that a C++ header includes, by the line that does; they include none."""
    found = {}
    for line in _LOCAL_HEADER.finditer(header.read_text(encoding="utf-8")):
        file = next(
            (folder / line[1] for folder in map(Path, include_paths) if (folder / line[1]).is_file()), None
        )
        if file is None:
            raise StanCompileError(
                f"{header}: no file {line[1]!r} to include in {', '.join(map(str, include_paths))}"
            )
        found[line[0]] = file
    return found


def _header_text(header: Path | None, include_paths: Sequence[Path]) -> str:
    """The text of a C++ header with the project's own headers put in the place of their includes."""
    if header is None:
        return ""
    text = header.read_text(encoding="utf-8")
    for line, file in _header_includes(header, include_paths).items():
        text = text.replace(line, file.read_text(encoding="utf-8"))
    return text


@dataclass(frozen=True)
class _Source:
    """A file of a program: its name (in the #include; the program's own file name), place and text."""

    name: str
    path: Path
    text: str


def _read_sources(program: Path, include_paths: Sequence[Path]) -> list[_Source]:
    """The program and every file that it includes, in order of first use."""
    folders = list(dict.fromkeys([*map(Path, include_paths), program.parent]))
    sources: dict[str, _Source] = {}

    def visit(name: str, file: Path, chain: tuple[str, ...]) -> None:
        if name in chain:
            circle = " -> ".join((*chain, name))
            raise StanCompileError(f"{program}: the #include directives go in a circle: {circle}")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StanCompileError(f"{file} cannot be read: {error}") from error
        sources.setdefault(name, _Source(name, file, text))
        for line, included in _include_directives(text):
            found = next((folder / included for folder in folders if (folder / included).is_file()), None)
            if found is None or ".." in Path(included).parts or Path(included).is_absolute():
                looked = ", ".join(map(str, folders))
                raise StanCompileError(
                    f"{file}, line {line}: no file {included!r} to include.\n"
                    f"Looked in: {looked}. Put the file there, or correct the #include (a path below one of "
                    "these folders, without '..')."
                )
            visit(included, found, (*chain, name))

    visit(program.name, program, ())
    return list(sources.values())


def _include_directives(text: str) -> list[tuple[int, str]]:
    """(line, name) of each #include outside comments."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

    code = _COMMENT_OR_STRING.sub(blank, text)
    found = _INCLUDE.finditer(code)
    return [(code.count("\n", 0, hit.start()) + 1, hit[1] or hit[2] or hit[3]) for hit in found]


# ---- the cache -------------------------------------------------------------------------------------------


def cache_key(
    program: Path,
    toolchain: Toolchain,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
    library: bool = False,
) -> str:
    """Key of what `compile_program` would give: 20 hexadecimal digits.

    It depends on the texts (program, includes, `user_header`), not on where they lie or how new they are.
    """
    user_header = _header(Path(program), user_header)
    source = _source_sha256(Path(program), include_paths)
    header = _header_text(user_header, include_paths).encode()
    flags = _flags(optimise, threads, library)
    bridge = [libraries.BRIDGE.read_bytes()] if library else []
    return tools.digest(Path(program).stem, source, header, toolchain.identity, *flags, *bridge)[:20]


def is_compiled(
    program: Path,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
    library: bool = False,
) -> bool:
    """Whether `compile_program` with the same arguments would find what it gives in the cache."""
    key = cache_key(
        program,
        tools.find_toolchain(),
        include_paths=include_paths,
        optimise=optimise,
        user_header=user_header,
        threads=threads,
        library=library,
    )
    return _compiled_file(Path(program).stem, key, library).is_file()


def compile_program(
    program: Path,
    *,
    include_paths: Sequence[Path] = (),
    optimise: int = 3,
    user_header: Path | None = None,
    threads: bool = False,
    library: bool = False,
) -> CompiledProgram:
    """The executable of a Stan program: from the cache, else compiled now (about 20 s at -O3).

    Args:
        program: a ``.stan`` file.
        include_paths: folders in which its includes are looked for; then the program's own folder.
        optimise: the C++ compiler's level; ``POOLMAP_STAN_OPT`` overrides it.
        user_header: a C++ header that defines the functions which the program only declares; where it is not
            given, the file beside the program with its name and ending ``.hpp``, if there is one.
        threads: build for several threads in one process.
        library: build a shared library for nutpie (`poolmap.stan.library`) in place of an executable;
            always for several threads.

    Raises:
        StanCompileError: the program is not valid Stan, or an include is missing.
        ToolchainError: Stan or the C++ compiler is missing, or the C++ build fails.
    """
    program = Path(program)
    user_header = _header(program, user_header)
    toolchain = tools.find_toolchain()
    source_sha256 = _source_sha256(program, include_paths)
    key = cache_key(
        program,
        toolchain,
        include_paths=include_paths,
        optimise=optimise,
        user_header=user_header,
        threads=threads,
        library=library,
    )
    executable = _compiled_file(program.stem, key, library)
    compiled = CompiledProgram(
        name=program.stem,
        executable=executable,
        key=key,
        stan_version=toolchain.stan_version,
        flags=tuple(_flags(optimise, threads, library)),
        compiler=toolchain.compiler,
        source_sha256=source_sha256,
    )
    if executable.is_file():
        return compiled
    if toolchain.kind == "wheel":
        tools.unpack_wheel(toolchain) if library else tools.prepare_toolchain(threads=threads)
    final = executable.parent
    with tools.exclusive(final.name), tools.fresh_folder(final) as folder:
        if executable.is_file():
            return compiled
        logger.info("Compiling the Stan program %s (about 20 s, once).", program.stem)
        start = time.monotonic()
        whole = folder / "whole"
        whole.mkdir()
        (folder / "source").mkdir()
        copy = _copy_sources(program, include_paths, folder / "source")
        if user_header:
            text = _header_text(user_header, include_paths)
            user_header = copy.parent / "user_header.hpp"
            user_header.write_text(text, encoding="utf-8")
        _translate(toolchain, program, copy, user_header)
        level = tools.optimisation_level(optimise)
        target = whole / executable.name
        if library:
            if user_header:
                _include_header(copy, user_header)
            libraries.build(toolchain, copy.with_suffix(".hpp"), target, optimise=level)
        else:
            build = _build_with_wheel if toolchain.kind == "wheel" else _build_with_cmdstan
            build(toolchain, copy, target, optimise=level, user_header=user_header, threads=threads)
        (whole / "program.json").write_text(json.dumps(compiled.as_dict(), indent=1) + "\n")
        whole.rename(final)
        logger.info("Compiled %s in %.0f s.", program.stem, time.monotonic() - start)
    return compiled


def _source_sha256(program: Path, include_paths: Sequence[Path]) -> str:
    return tools.digest(*(f"{s.name}\n{s.text}" for s in _read_sources(program, include_paths)))


def _flags(optimise: int, threads: bool, library: bool) -> list[str]:
    level = tools.optimisation_level(optimise)
    return libraries.flags(level) if library else tools.compiler_flags(level, threads)


def _compiled_file(name: str, key: str, library: bool) -> Path:
    ending = ".so" if library else ".exe" if os.name == "nt" else ""
    return tools.cache_root() / "programs" / f"{name}-{key}" / f"{name}{ending}"


# ---- building --------------------------------------------------------------------------------------------


def _copy_sources(program: Path, include_paths: Sequence[Path], folder: Path) -> Path:
    """Copies the program into a folder and its includes below ``include``; returns the program's copy.

    Stan's compiler separates include paths by commas, and make knows no spaces: copies have neither.
    """
    for source in _read_sources(program, include_paths):
        is_program = source.name == program.name
        copy = folder / source.name if is_program else folder / "include" / source.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.text, encoding="utf-8")
    return folder / program.name


def _translate(toolchain: Toolchain, program: Path, copy: Path, user_header: Path | None) -> Path:
    """Runs stanc on the copy of a program: Stan to C++."""
    cpp = copy.with_suffix(".hpp")
    command = [str(toolchain.stanc), "--color=never", "--include-paths=include", f"--o={cpp.name}"]
    command += ["--allow-undefined"] if user_header else []
    answer = subprocess.run(
        [*command, copy.name], cwd=copy.parent, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        said = (answer.stderr + answer.stdout).strip()
        raise StanCompileError(
            f"{program} does not compile.\n{said}\n"
            "Correct the program at the place shown; if it is one that came with poolmap, please report it."
        )
    for line in answer.stderr.splitlines():
        logger.warning("%s: %s", program.name, line)
    return cpp


def _include_header(copy: Path, user_header: Path) -> None:
    """Puts a C++ header beside a translation into it: after Stan's own, which is precompiled only if it comes
    first."""
    cpp = copy.with_suffix(".hpp")
    text = cpp.read_text(encoding="utf-8")
    own = _STAN_HEADER.search(text)
    if own is None:
        raise StanCompileError(f"{copy.name}: the translation does not include Stan's header")
    code = text[: own.end()] + f'\n#include "{user_header.name}"' + text[own.end() :]
    cpp.write_text(code, encoding="utf-8")


def _build_with_wheel(
    toolchain: Toolchain,
    copy: Path,
    executable: Path,
    *,
    optimise: int,
    user_header: Path | None,
    threads: bool,
) -> None:
    """C++ to executable with the wheel's headers; paths are arguments of their own and may hold spaces."""
    arguments = tools.compiler_flags(optimise, threads)
    arguments += tools.precompiled_header_flags(toolchain, optimise, threads)
    cpp, model = copy.with_suffix(".hpp"), copy.with_suffix(".o")
    if user_header:
        _include_header(copy, user_header)
    compiler, what = toolchain.compiler_command, f"the Stan program {copy.name}"
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
    copy: Path,
    executable: Path,
    *,
    optimise: int,
    user_header: Path | None,
    threads: bool,
) -> None:
    """Stan to executable with CmdStan's makefile, in the system's temporary folder (make knows no spaces)."""
    with tempfile.TemporaryDirectory(prefix="poolmap-") as temporary:
        folder = Path(temporary) / "program"
        shutil.copytree(copy.parent, folder)
        target = folder / executable.name
        command = [toolchain.make or "make", f"O={optimise}"]
        command.append(f"STANCFLAGS+=--include-paths={(folder / 'include').as_posix()}")
        command.append(f"STANCFLAGS+=--filename-in-msg={copy.name}")
        if threads:
            command.append("STAN_THREADS=TRUE")
        if user_header:
            header = folder / user_header.name
            command += ["STANCFLAGS+=--allow-undefined", f"USER_HEADER={header.as_posix()}"]
        with _first_build_alone(toolchain, threads):
            tools.run_compiler([*command, target.as_posix()], f"the Stan program {copy.name}", toolchain.path)
        shutil.move(target, executable)
