"""The Stan toolchain and the compiled programs.

Inputs:  stan/<program>.stan with what it includes
Outputs: results/stan/toolchain.json, results/stan/<program>.json (where the executable is, and from what)

The executables themselves are in the user's cache, shared by all projects.
"""


rule toolchain:
    input:
        library=source_files("poolmap.stan.compile"),
    output:
        "results/stan/toolchain.json",
    log:
        "results/stan/toolchain.log",
    benchmark:
        "results/stan/toolchain.benchmark.tsv"
    priority: 95
    resources:
        mem_mb=3500,
    params:
        identity=toolchain_identity,
    message:
        "Stan: finding the toolchain, or building it (once for all projects, about a minute)"
    script:
        "../../scripts/toolchain.py"


rule compile:
    input:
        program="stan/{program}.stan",
        included=included,
        library=source_files("poolmap.stan.compile"),
        toolchain="results/stan/toolchain.json",
    output:
        "results/stan/{program}.json",
    log:
        "results/stan/{program}.log",
    benchmark:
        "results/stan/{program}.benchmark.tsv"
    priority: 95
    resources:
        mem_mb=2000,
    params:
        identity=toolchain_identity,
    message:
        "Stan: compiling {wildcards.program}"
    script:
        "../../scripts/compile.py"
