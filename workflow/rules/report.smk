"""Reports: comparison, figures and page of each analysis, the index, and the verdict on the whole run.

Inputs:  everything above
Outputs: results/<analysis>/{comparison.csv,summary.json,figures/,report.html}, results/report.html,
         results/verdict.txt
"""


rule report:
    input:
        data="results/{analysis}/data",
        graph=graph_of,
        checks=of_models("results/{analysis}/{model}/checks.json"),
        estimates=of_models("results/{analysis}/{model}/estimates"),
        library=library(
            "poolmap.report.assemble",
            doors=["figures", "methods", "findings", "describe", "checklists"],
        ),
        templates=sorted(str(p) for p in Path("poolmap/report/templates").glob("*")),
    output:
        comparison="results/{analysis}/comparison.csv",
        summary="results/{analysis}/summary.json",
        figures=directory("results/{analysis}/figures"),
        page="results/{analysis}/report.html",
    log:
        "results/{analysis}/report.log",
    benchmark:
        "results/{analysis}/report.benchmark.tsv"
    resources:
        mem_mb=2000,
    params:
        spec=spec_of("report"),
        title=CONFIG.title,
    message:
        "{wildcards.analysis}: figures and report"
    script:
        "../../scripts/report.py"


rule index:
    input:
        summaries=[f"results/{a}/summary.json" for a in ANALYSES],
        pages=[f"results/{a}/report.html" for a in ANALYSES],
        library=source_files("poolmap.report.assemble"),
        templates=sorted(str(p) for p in Path("poolmap/report/templates").glob("*")),
    output:
        "results/report.html",
        # tells this page from the one that a run writes which does not come to its end
        touch("results/.index.complete"),
    log:
        "results/report.log",
    params:
        title=CONFIG.title,
        names=list(ANALYSES),
    message:
        "index of all analyses"
    script:
        "../../scripts/index.py"


rule verdict:
    input:
        checks=of_fits("results/{analysis}/{model}/checks.json"),
        index="results/.index.complete",
    output:
        "results/verdict.txt",
    log:
        "results/verdict.log",
    params:
        stop=[spec.on_failed_checks == "stop" for spec in ANALYSES.values() for m in spec.models],
    message:
        "the verdict on all fits"
    script:
        "../../scripts/verdict.py"
