"""The index over all analyses."""

from pathlib import Path

from poolmap.files import read_json, write_text
from poolmap.logs import job
from poolmap.report.assemble import assemble_index

with job(snakemake.log[0], "index"):
    summaries = [read_json(path) for path in snakemake.input.summaries]
    write_text(snakemake.output[0], assemble_index(snakemake.params.title, summaries, Path("results")))
