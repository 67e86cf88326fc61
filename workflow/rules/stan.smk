"""The Stan toolchain and the compiled programs.

Inputs:  stan/<program>.stan with what it includes
Outputs: results/stan/toolchain.json, results/stan/<program>.json (where the executable is, and from what);
         for analyses sampled by nutpie results/stan/<program>.nutpie.json (where the library is)

The executables and libraries themselves are in the user's cache, shared by all projects.
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
        bridge=lambda w: ["poolmap/stan/bridge.cpp"] if w.library else [],
        toolchain="results/stan/toolchain.json",
    output:
        "results/stan/{program}{library}.json",
    log:
        "results/stan/{program}{library}.log",
    benchmark:
        "results/stan/{program}{library}.benchmark.tsv"
    priority: 95
    resources:
        mem_mb=2000,
    params:
        identity=toolchain_identity,
    message:
        "Stan: compiling {wildcards.program}{wildcards.library}"
    script:
        "../../scripts/compile.py"
