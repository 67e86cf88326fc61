"""Figures, comparison and page of one analysis."""

from pathlib import Path

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset
from poolmap.estimates import read_result
from poolmap.files import whole_folder, write_json, write_text
from poolmap.logs import job
from poolmap.report.assemble import assemble_analysis

wildcards, output = snakemake.wildcards, snakemake.output
with job(snakemake.log[0], f"{wildcards.analysis}, report"):
    spec = parse_analysis(snakemake.params.spec)
    data = read_dataset(snakemake.input.data, graph=next(iter(snakemake.input.graph), None), geometry=True)
    found = zip(spec.models, snakemake.input.estimates, snakemake.input.checks, strict=True)
    results = {name: read_result(name, estimates, checks) for name, estimates, checks in found}
    with whole_folder(output.figures) as folder:
        report = assemble_analysis(
            wildcards.analysis, spec, data, results, Path(output.page).parent, folder, snakemake.params.title
        )
    report.comparison.to_csv(output.comparison, index=False)
    write_text(output.page, report.html)
    write_json(output.summary, report.summary)
