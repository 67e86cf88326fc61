"""Fitting: stan data, sampling and checks in one job; then the estimates from the draws.

Inputs:  results/<analysis>/data/ (and graph/), results/stan/<program>.json
Outputs: results/<analysis>/<model>/{stan_data.json,posterior.nc,checks.json,left_out.json}, estimates/
         and, where the config asks for simulated surveys, calibration/
"""


rule fit:
    input:
        data="results/{analysis}/data",
        graph=graph_of,
        program=program_of,
        library=library(
            "poolmap.inference.fit",
            "poolmap.inference.left_out",
            "poolmap.inference.posterior",
            "poolmap.dataset",
            doors=["stan_data", "estimate", "predictive", "left_out"],
        ),
    output:
        stan_data="results/{analysis}/{model}/stan_data.json",
        posterior="results/{analysis}/{model}/posterior.nc",
        checks="results/{analysis}/{model}/checks.json",
        left_out="results/{analysis}/{model}/left_out.json",
    log:
        "results/{analysis}/{model}/fit.log",
    benchmark:
        "results/{analysis}/{model}/fit.benchmark.tsv"
    threads: lambda w: ANALYSES[w.analysis].sampling.chains
    resources:
        mem_mb=2000,
    params:
        spec=spec_of("fit"),
        seed=fit_seed,
    message:
        "{wildcards.analysis} / {wildcards.model}: sampling; progress in {log}"
    script:
        "../../scripts/fit.py"


rule calibrate:
    input:
        data="results/{analysis}/data",
        graph=graph_of,
        program=program_of,
        posterior="results/{analysis}/{model}/posterior.nc",
        library=library(
            "poolmap.inference.posterior",
            "poolmap.dataset",
            doors=["calibrate"],
        ),
    output:
        calibration=directory("results/{analysis}/{model}/calibration"),
    log:
        "results/{analysis}/{model}/calibration.log",
    benchmark:
        "results/{analysis}/{model}/calibration.benchmark.tsv"
    threads: lambda w: ANALYSES[w.analysis].sampling.chains
    resources:
        mem_mb=2000,
    params:
        spec=spec_of("estimate"),
        seed=fit_seed,
    message:
        "{wildcards.analysis} / {wildcards.model}: surveys simulated from the fit; progress in {log}"
    script:
        "../../scripts/calibrate.py"


rule estimate:
    input:
        data="results/{analysis}/data",
        graph=graph_of,
        posterior="results/{analysis}/{model}/posterior.nc",
        checks="results/{analysis}/{model}/checks.json",
        left_out="results/{analysis}/{model}/left_out.json",
        calibration=calibration_of,
        library=library(
            "poolmap.estimates",
            "poolmap.inference.posterior",
            "poolmap.dataset",
            doors=["estimate", "predictive", "companions"],
        ),
    output:
        estimates=directory("results/{analysis}/{model}/estimates"),
    log:
        "results/{analysis}/{model}/estimates.log",
    benchmark:
        "results/{analysis}/{model}/estimates.benchmark.tsv"
    resources:
        mem_mb=2000,
    params:
        spec=spec_of("estimate"),
        seed=fit_seed,
    message:
        "{wildcards.analysis} / {wildcards.model}: estimates and predictive checks"
    script:
        "../../scripts/estimate.py"
