"""From the user's files to checked tables, and the graph of the areas.

Inputs:  the files that the analysis names in the config
Outputs: results/<analysis>/data/, results/<analysis>/graph/
"""


rule ingest:
    input:
        files=lambda w: list(ANALYSES[w.analysis].input_files().values()),
        library=library("poolmap.dataset", doors=["ingest"]),
    output:
        data=directory("results/{analysis}/data"),
    log:
        "results/{analysis}/data.log",
    benchmark:
        "results/{analysis}/data.benchmark.tsv"
    priority: 100
    resources:
        mem_mb=1500,
    params:
        spec=spec_of("ingest"),
    message:
        "{wildcards.analysis}: reading and checking the input files"
    script:
        "../../scripts/ingest.py"


rule graph:
    input:
        data="results/{analysis}/data",
        files=lambda w: ANALYSES[w.analysis].graph_files(),
        library=library("poolmap.graph.adjacency", "poolmap.figures.graph_map", "poolmap.dataset"),
    output:
        graph=directory("results/{analysis}/graph"),
    log:
        "results/{analysis}/graph.log",
    benchmark:
        "results/{analysis}/graph.benchmark.tsv"
    priority: 90
    resources:
        mem_mb=1500,
    params:
        spec=spec_of("ingest"),
    message:
        "{wildcards.analysis}: building the graph of neighbouring areas"
    script:
        "../../scripts/graph.py"
