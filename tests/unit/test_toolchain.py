"""Finding Stan and compiling once, with a stand-in compiler: no test here needs Stan or the network."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from poolmap.errors import ToolchainError
from poolmap.stan import library as libraries
from poolmap.stan import toolchain as tools
from poolmap.stan.compile import (
    CompiledProgram,
    StanCompileError,
    cache_key,
    compile_program,
    included_files,
    is_compiled,
)
from poolmap.stan.toolchain import find_toolchain, prepare_toolchain

# writes its arguments to $POOLMAP_TEST_LOG, one call a line, to the same with .hpp the last C++ that it
# compiles, and a file where -o says
FAKE_COMPILER = """\
#!/bin/sh
if [ "$*" = "--version" ]; then echo "${FAKE_VERSION:-fake 1.0}"; exit 0; fi
echo "$*" >> "$POOLMAP_TEST_LOG"
if [ -n "$FAKE_SAYS" ]; then echo "$FAKE_SAYS" >&2; exit 1; fi
while [ $# -gt 0 ]; do
    if [ "$1" = "-o" ]; then target="$2"; fi
    case "$1" in *model.hpp) cat "$1" > "$POOLMAP_TEST_LOG.hpp";; esac
    shift
done
echo half > "$target"
sleep "${FAKE_SECONDS:-0}"
echo whole > "$target"
"""
FAKE_STANC = """\
#!/bin/sh
for word in "$@"; do case "$word" in --o=*) target="${word#--o=}";; esac; program="$word"; done
if grep -q "not Stan" "$program"; then echo "Syntax error in '$program', line 1, column 4" >&2; exit 1; fi
echo "#include <stan/model/model_header.hpp>" > "$target"
cat "$program" >> "$target"
"""


def executable_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_cmdstan(folder: Path, version: str = "2.38.0") -> Path:
    executable_file(folder / "bin" / "stanc", FAKE_STANC)
    (folder / "makefile").write_text(f"# CmdStan\nCMDSTAN_VERSION := {version}\n")
    return folder


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with a stand-in compiler, no CmdStan, an empty home and a cache whose path has spaces."""
    for name in ("CMDSTAN", "CONDA_PREFIX", "POOLMAP_HTTPSTAN_WHEEL", "POOLMAP_STAN_OPT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POOLMAP_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("POOLMAP_TEST_LOG", str(tmp_path / "calls.log"))
    monkeypatch.setenv("CXX", f"'{executable_file(tmp_path / 'my bin' / 'fake++', FAKE_COMPILER)}'")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    return tmp_path


@pytest.fixture
def wheel(machine):
    """The unpacked wheel, as far as compiling looks at it."""
    executable_file(find_toolchain().path / "bin" / "stanc", FAKE_STANC)
    return find_toolchain()


@pytest.fixture
def program(machine):
    """A program with an include that includes another, in a folder with a space and a comma."""
    folder = machine / "a project, mine" / "stan"
    (folder / "functions").mkdir(parents=True)
    (folder / "functions" / "a.stanfunctions").write_text('#include "functions/b.stanfunctions"\n')
    (folder / "functions" / "b.stanfunctions").write_text("real b() { return 1; }\n")
    (folder / "model.stan").write_text("functions {\n  #include functions/a.stanfunctions\n}\n")
    return folder / "model.stan"


def calls(machine: Path) -> list[str]:
    log = machine / "calls.log"
    return log.read_text().splitlines() if log.exists() else []


# ---- finding ---------------------------------------------------------------------------------------------


def test_without_cmdstan_the_wheel_is_used(machine):
    found = find_toolchain()
    assert (found.kind, found.stan_version, found.compiler) == ("wheel", tools.STAN_VERSION, "fake 1.0")
    assert found.path.is_relative_to(machine / "the cache")
    assert not (machine / "the cache").exists()
    assert set(found.as_dict()) == {"kind", "stan_version", "compiler", "identity"}


def test_order_of_places(machine, monkeypatch):
    old = make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.9.0", "2.9.0")
    make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.36.0", "2.36.0")
    make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.38.0-rc1", "2.38.0-rc1")
    latest = make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.38.0")
    assert (find_toolchain().path, find_toolchain().stan_version) == (latest, "2.38.0")
    conda = make_cmdstan(machine / "conda" / "bin" / "cmdstan", "2.37.0")
    monkeypatch.setenv("CONDA_PREFIX", str(machine / "conda"))
    assert find_toolchain().path == conda
    named = make_cmdstan(machine / "named")
    monkeypatch.setenv("CMDSTAN", str(named))
    assert find_toolchain().path == named
    monkeypatch.setenv("CMDSTAN", str(old))
    with pytest.raises(ToolchainError, match=r"CmdStan 2\.9\.0; poolmap needs 2\.36 or later"):
        find_toolchain()


def test_places_without_a_built_cmdstan_are_passed_over(machine):
    unbuilt = make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.38.0")
    (unbuilt / "bin" / "stanc").unlink()
    usable = make_cmdstan(machine / "home" / ".cmdstan" / "cmdstan-2.37.0", "2.37.0")
    assert find_toolchain().path == usable


@pytest.mark.parametrize("missing", ["makefile", "bin/stanc"])
def test_a_named_cmdstan_that_is_none_is_refused(machine, monkeypatch, missing):
    folder = make_cmdstan(machine / "named")
    (folder / missing).unlink()
    monkeypatch.setenv("CMDSTAN", str(folder))
    with pytest.raises(ToolchainError, match=r"CMDSTAN names .*named, which"):
        find_toolchain()


def test_no_compiler(machine, monkeypatch):
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(
        ToolchainError, match=r"(?s)a C\+\+ compiler.*sudo apt install g\+\+ make.*xcode-select"
    ):
        find_toolchain()
    monkeypatch.setenv("CXX", "g++-99")
    with pytest.raises(ToolchainError, match=r"CXX names \(g\+\+-99\)"):
        find_toolchain()


def test_only_an_installed_cmdstan_needs_make(machine, monkeypatch):
    monkeypatch.setenv("PATH", str(machine))
    assert find_toolchain().kind == "wheel"
    monkeypatch.setenv("CMDSTAN", str(make_cmdstan(machine / "named")))
    with pytest.raises(ToolchainError, match="needs make"):
        find_toolchain()


@pytest.mark.parametrize(
    ("system", "processor", "libc"),
    [
        ("linux", "aarch64", "glibc"),
        ("linux", "x86_64", ""),
        ("darwin", "x86_64", ""),
        ("win32", "AMD64", ""),
    ],
)
def test_systems_without_a_wheel_are_offered_cmdstan(monkeypatch, system, processor, libc):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: processor)
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    with pytest.raises(
        ToolchainError, match=rf"(?s)\({system} {processor}\).*install_cmdstan.*conda install"
    ):
        find_toolchain()


def test_finding_is_quick():
    start = time.perf_counter()
    find_toolchain()
    assert time.perf_counter() - start < 0.1


def test_identity_depends_on_what_decides_executables(machine, monkeypatch):
    identities = [find_toolchain().identity]
    tools._compiler_version.cache_clear()
    monkeypatch.setenv("FAKE_VERSION", "fake 2.0")
    identities.append(find_toolchain().identity)
    monkeypatch.setenv("POOLMAP_CACHE", str(machine / "elsewhere"))
    identities.append(find_toolchain().identity)
    other_main = machine / "main.cpp"
    other_main.write_text("int main() {}")
    monkeypatch.setattr(tools, "MAIN_PROGRAM", other_main)
    identities.append(find_toolchain().identity)
    tools._compiler_version.cache_clear()
    assert len(set(identities)) == 4


def test_optimisation_level(monkeypatch):
    assert tools.optimisation_level(3) == 3
    monkeypatch.setenv("POOLMAP_STAN_OPT", "1")
    assert tools.optimisation_level(3) == 1
    monkeypatch.setenv("POOLMAP_STAN_OPT", "fast")
    with pytest.raises(ToolchainError, match="POOLMAP_STAN_OPT is 'fast'"):
        tools.optimisation_level(3)


# ---- the wheel -------------------------------------------------------------------------------------------


def make_wheel(machine: Path, monkeypatch) -> Path:
    path = machine / "httpstan-4.17.0-test.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "httpstan/stanc",
            "httpstan/stan_services.o",
            "httpstan/lib/libtbb.so.2",
            "httpstan/include/",
            "httpstan/include/stan/version.hpp",
            "httpstan/include/stan/math/opencl/err.hpp",
            "httpstan/include/boost/version.hpp",
            "httpstan/include/boost/math/tools.hpp",
            "httpstan/include/boost/spirit/home.hpp",
            "httpstan/include/pybind11/cast.h",
            "httpstan-4.17.0.dist-info/RECORD",
        ):
            archive.writestr(name, "" if name.endswith("/") else name)
    monkeypatch.setenv("POOLMAP_HTTPSTAN_WHEEL", str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = tools._Wheel("manylinux2014_x86_64", sha256, "libtbb.so.2")
    monkeypatch.setitem(tools._WHEELS, ("linux", "x86_64"), known)
    return path


def test_only_what_programs_need_is_unpacked(machine, monkeypatch):
    make_wheel(machine, monkeypatch)
    toolchain = prepare_toolchain()
    unpacked = {str(f.relative_to(toolchain.path)) for f in toolchain.path.rglob("*") if f.is_file()}
    assert unpacked == {
        "bin/stanc",
        "lib/libtbb.so.2",
        "include/stan/version.hpp",
        "include/boost/version.hpp",
        "include/boost/math/tools.hpp",
    }
    assert os.access(toolchain.stanc, os.X_OK)
    assert [call.split()[1] for call in calls(machine)] == ["-O1"]
    prepare_toolchain()
    assert len(calls(machine)) == 1


def test_another_file_than_the_known_wheel_is_refused(machine, monkeypatch):
    path = make_wheel(machine, monkeypatch)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ToolchainError, match=r"(?s)is not the file poolmap was built for.*sha256 expected"):
        prepare_toolchain()
    assert not find_toolchain().path.exists()
    monkeypatch.setenv("POOLMAP_HTTPSTAN_WHEEL", str(machine / "absent.whl"))
    with pytest.raises(ToolchainError, match=r"absent\.whl, which is not a file"):
        prepare_toolchain()


def test_a_failed_download_says_what_was_tried_and_what_else_serves(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ToolchainError) as caught:
        prepare_toolchain()
    for part in ("pip download", "httpstan==4.17.0", "POOLMAP_HTTPSTAN_WHEEL", "install_cmdstan", "network"):
        assert part in str(caught.value)


def test_without_pip(machine, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(
        ToolchainError, match=r"(?s)this Python has no pip.*ensurepip.*POOLMAP_HTTPSTAN_WHEEL"
    ):
        prepare_toolchain()


def test_precompiled_header_is_built_once_for_its_flags_and_used(machine, wheel, program):
    prepare_toolchain(precompiled_header=True)
    prepare_toolchain(precompiled_header=True)
    header = [call for call in calls(machine) if "c++-header" in call]
    assert len(header) == 1
    assert "-O3" in header[0]
    compile_program(program)
    compile_program(program, optimise=1)
    used, unused = (call for call in calls(machine) if "-x c++ " in call)
    assert "-I " in used
    assert "-I " not in unused


# ---- includes --------------------------------------------------------------------------------------------


def test_included_files_are_found_transitively_and_once(program):
    folder = program.parent
    expected = [folder / "functions" / name for name in ("a.stanfunctions", "b.stanfunctions")]
    assert included_files(program, [folder]) == expected
    program.write_text(program.read_text() + "#include <functions/b.stanfunctions>\n")
    assert included_files(program) == expected
    text = '// #include no\n/* \n#include no\n*/\ntransformed data { print("// /*"); }\n'
    program.write_text(text + program.read_text())
    assert included_files(program) == expected


def test_the_first_include_path_wins(program, machine):
    other = machine / "other" / "functions" / "a.stanfunctions"
    other.parent.mkdir(parents=True)
    other.write_text("real a() { return 2; }\n")
    assert included_files(program, [machine / "other", program.parent]) == [other]


def test_includes_that_cannot_be_read_are_named(program):
    program.write_text("\n\n#include functions/absent.stanfunctions\n")
    with pytest.raises(
        StanCompileError, match=r"model\.stan, line 3: no file 'functions/absent\.stanfunctions'"
    ):
        included_files(program, [program.parent])
    program.write_text("#include ../secret.stan\n")
    (program.parent.parent / "secret.stan").write_text("")
    with pytest.raises(StanCompileError, match=r"without '\.\.'"):
        included_files(program)
    program.write_text("#include functions/a.stanfunctions\n")
    (program.parent / "functions" / "b.stanfunctions").write_text("#include functions/a.stanfunctions\n")
    with pytest.raises(StanCompileError, match="in a circle"):
        included_files(program)
    with pytest.raises(StanCompileError, match=r"absent\.stan cannot be read"):
        included_files(program.with_name("absent.stan"))


# ---- compiling once --------------------------------------------------------------------------------------


def test_keys_change_with_everything_that_decides_the_executable(program, machine, monkeypatch):
    def key(**options):
        return cache_key(program, find_toolchain(), **options)

    header = machine / "header.hpp"
    header.write_text("// one")
    keys = [key(), key(optimise=1), key(threads=True), key(user_header=header)]
    header.write_text("// two")
    keys.append(key(user_header=header))
    include = program.parent / "functions" / "b.stanfunctions"
    include.write_text("real b() { return 2; }\n")
    keys.append(key())
    program.write_text(program.read_text() + "// a comment\n")
    keys.append(key())
    other = machine / "main.cpp"
    other.write_text("int main() {}")
    monkeypatch.setattr(tools, "MAIN_PROGRAM", other)
    keys.append(key())
    assert len(set(keys)) == len(keys)
    before = key()
    os.utime(program)
    assert key() == before
    monkeypatch.setenv("POOLMAP_STAN_OPT", "1")
    assert key() == key(optimise=1) != before


def test_a_program_is_compiled_once(machine, wheel, program):
    assert not is_compiled(program)
    compiled = compile_program(program)
    assert is_compiled(program)
    assert compiled.executable.read_text() == "whole\n"
    assert compiled.executable.name == compiled.name == "model"
    assert (compiled.stan_version, compiled.compiler) == (tools.STAN_VERSION, "fake 1.0")
    assert CompiledProgram.from_dict(json.loads(json.dumps(compiled.as_dict()))) == compiled
    assert json.loads((compiled.executable.parent / "program.json").read_text()) == compiled.as_dict()
    count = len(calls(machine))
    assert compile_program(program) == compiled
    assert len(calls(machine)) == count == 3  # main program, program, link


def compile_in_new_process(program: Path, options: str = "") -> subprocess.Popen:
    code = f"from poolmap.stan.compile import *; compile_program(Path({str(program)!r}), {options})"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], start_new_session=True
    )


def test_processes_at_the_same_time_compile_once(machine, wheel, program, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.5")
    processes = [compile_in_new_process(program) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert len(calls(machine)) == 3
    assert compile_program(program).executable.read_text() == "whole\n"


def test_a_killed_build_leaves_nothing_taken_for_whole(machine, wheel, program, monkeypatch):
    prepare_toolchain()
    monkeypatch.setenv("FAKE_SECONDS", "60")
    process = compile_in_new_process(program)
    deadline = time.monotonic() + 30
    while len(calls(machine)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert not is_compiled(program)
    monkeypatch.setenv("FAKE_SECONDS", "0")
    compiled = compile_program(program)
    assert compiled.executable.read_text() == "whole\n"
    assert [folder.name for folder in compiled.executable.parents[1].iterdir()] == [f"model-{compiled.key}"]


@pytest.mark.parametrize("beside", [False, True])
def test_a_header_follows_the_one_of_stan(machine, wheel, program, beside):
    header = program.with_suffix(".hpp") if beside else machine / "a header.hpp"
    header.write_text("// own\n")
    compile_program(program, user_header=None if beside else header)
    said = (machine / "calls.log.hpp").read_text().splitlines()
    at = said.index("#include <stan/model/model_header.hpp>")
    assert said[at + 1] == '#include "user_header.hpp"'
    assert (header in included_files(program)) == beside


def test_a_program_that_is_not_stan_is_named_as_given(wheel, program):
    program.write_text("this is not Stan\n")
    with pytest.raises(StanCompileError) as caught:
        compile_program(program)
    assert str(caught.value).startswith(
        f"{program} does not compile.\nSyntax error in 'model.stan', line 1, column 4"
    )
    assert not is_compiled(program)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("internal compiler error", "Please report it"),
        ("g++: fatal error: Killed signal terminated program cc1plus", "ran out of memory"),
        ("No space left on device", "POOLMAP_CACHE"),
    ],
)
def test_a_failing_compiler_is_quoted_with_advice(wheel, program, monkeypatch, said, advice):
    prepare_toolchain()
    monkeypatch.setenv("FAKE_SAYS", said)
    with pytest.raises(ToolchainError) as caught:
        compile_program(program)
    assert said in str(caught.value)
    assert advice in str(caught.value)
    assert not is_compiled(program)


def test_an_installed_cmdstan_is_run_with_make_on_paths_without_spaces(machine, program, monkeypatch):
    folder = make_cmdstan(machine / "named")
    monkeypatch.setenv("CMDSTAN", str(folder))
    make = executable_file(machine / "tools" / "make", f'#!/bin/sh\necho "$PWD $*" > "{machine}/make.log"\n'
                           'for target in "$@"; do :; done; echo whole > "$target"\n')  # fmt: skip
    monkeypatch.setenv("PATH", f"{make.parent}:{os.environ['PATH']}")
    compiled = compile_program(program, threads=True)
    assert compiled.executable.read_text() == "whole\n"
    where, *words = (machine / "make.log").read_text().split()
    assert where == str(folder)
    assert words[0] == "O=3"
    assert "STAN_THREADS=TRUE" in words
    assert words[-1].endswith("/program/model")
    assert len(words) == 5


# ---- libraries for nutpie --------------------------------------------------------------------------------


def test_a_library_is_built_beside_the_executable_and_the_bridge_once(machine, wheel, program):
    library = compile_program(program, library=True)
    assert (library.name, library.executable.name) == ("model", "model.so")
    assert library.executable.read_text() == "whole\n"
    assert is_compiled(program, library=True)
    assert not is_compiled(program)
    bridge, source, link = calls(machine)  # no main program
    assert str(libraries.BRIDGE) in bridge
    assert "-shared" in link
    assert all("-fPIC" in call and "-DSTAN_THREADS" in call for call in (bridge, source, link))
    assert {"-fPIC", "-DSTAN_THREADS"} <= set(library.flags)
    program.write_text(program.read_text() + "// changed\n")
    compile_program(program, library=True)
    assert len(calls(machine)) == 5
    assert compile_program(program).executable != library.executable


def test_the_key_of_a_library_depends_on_the_bridge(program, machine, monkeypatch):
    def key(**options):
        return cache_key(program, find_toolchain(), **options)

    keys = [key(), key(threads=True), key(library=True), key(library=True, optimise=1)]
    changed = machine / "bridge.cpp"
    changed.write_text("// another")
    monkeypatch.setattr(libraries, "BRIDGE", changed)
    keys.append(key(library=True))
    assert len(set(keys)) == len(keys)


def test_a_killed_build_leaves_no_library(machine, wheel, program, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "60")
    process = compile_in_new_process(program, "library=True")
    deadline = time.monotonic() + 30
    while len(calls(machine)) < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert not is_compiled(program, library=True)
    monkeypatch.setenv("FAKE_SECONDS", "0")
    library = compile_program(program, library=True)
    assert library.executable.read_text() == "whole\n"
    cache = machine / "the cache"
    assert [folder.name for folder in (cache / "programs").iterdir()] == [f"model-{library.key}"]
    assert len(list((cache / "build").iterdir())) == 1  # the bridge


MAKEFILE_THAT_TELLS = """\
CMDSTAN_VERSION := 2.38.0
CXXFLAGS += -O$(O) $(if $(STAN_THREADS),-DSTAN_THREADS) -I stan/src
LDLIBS = -lpthread
LDFLAGS = -Wl,-rpath,"$(CURDIR)/lib"
SUNDIALS_TARGETS = lib/libsundials_nvecserial.a lib/libsundials_cvodes.a
TBB_TARGETS = lib/libtbb.so.2
print-%  : ; @echo $* = $($*)
"""


@pytest.fixture
def cmdstan(machine, monkeypatch):
    folder = make_cmdstan(machine / "named")
    (folder / "makefile").write_text(MAKEFILE_THAT_TELLS)
    header = folder / "stan/src/stan/model/model_base.hpp"
    header.parent.mkdir(parents=True)
    header.write_text("")
    monkeypatch.setenv("CMDSTAN", str(folder))
    monkeypatch.setenv(
        "CXX", str(executable_file(machine / "bin" / "fake++", FAKE_COMPILER))
    )  # as make has it
    return folder


def test_a_library_from_an_installed_cmdstan_has_the_flags_of_its_makefile(machine, cmdstan, program):
    library = compile_program(program, library=True)
    assert library.executable.read_text() == "whole\n"
    bridge, source, link = calls(machine)
    for call in (bridge, source, link):
        assert {"-O3", "-DSTAN_THREADS", "-fPIC", "-I", "stan/src"} <= set(call.split())
    assert f"-Wl,-rpath,{cmdstan}/lib" in link
    objects = link[link.index("-shared") :].split()
    assert [word for word in objects if word.startswith(("lib/", "-l"))] == [
        *("-lpthread", "lib/libsundials_nvecserial.a", "lib/libsundials_cvodes.a", "lib/libtbb.so.2"),
    ]


@pytest.mark.parametrize("missing", ["stan/src/stan/model/model_base.hpp", "print-%"])
def test_an_installed_cmdstan_without_what_a_library_needs_is_told(cmdstan, program, missing):
    if missing == "print-%":
        (cmdstan / "makefile").write_text(MAKEFILE_THAT_TELLS.replace("print-%", "show-%"))
    else:
        (cmdstan / missing).unlink()
    with pytest.raises(ToolchainError, match=r"(?s)CmdStan in .*named.*`sampler: stan`.*unset CMDSTAN"):
        compile_program(program, library=True)
    assert not is_compiled(program, library=True)
