"""The Stan toolchain and the compiled programs.

Inputs:  stan/<program>.stan with what it includes
Outputs: results/stan/toolchain.json, results/stan/<program>.json (where the executable is, and from what)

The executables themselves are in the user's cache, shared by all projects.
"""

from poolmap.stan.compile import included_files
from poolmap.stan.toolchain import find_toolchain


def toolchain_identity(wildcards):
    """Which Stan is used: another one recompiles."""
    return find_toolchain().identity


def included(wildcards):
    return [str(f) for f in included_files(Path(f"stan/{wildcards.program}.stan"), [Path("stan")])]


rule toolchain:
    message:
        "Stan: finding the toolchain, or building it (once for all projects, about a minute)"
    output:
        "results/stan/toolchain.json",
    log:
        "results/stan/toolchain.log",
    benchmark:
        "results/stan/toolchain.benchmark.tsv"
    params:
        programs=PROGRAMS,
        identity=toolchain_identity,
    priority: 95
    resources:
        mem_mb=3500,
    script:
        "../../scripts/toolchain.py"


rule compile:
    message:
        "Stan: compiling {wildcards.program}"
    input:
        program="stan/{program}.stan",
        included=included,
        # a rebuilt toolchain alone recompiles nothing; another one does, through `identity`
        toolchain=ancient("results/stan/toolchain.json"),
    output:
        "results/stan/{program}.json",
    log:
        "results/stan/{program}.log",
    benchmark:
        "results/stan/{program}.benchmark.tsv"
    params:
        identity=toolchain_identity,
    priority: 95
    resources:
        mem_mb=2000,
    script:
        "../../scripts/compile.py"
