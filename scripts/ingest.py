"""Read and check the input files of one analysis."""

from poolmap.config.load import parse_analysis
from poolmap.dataset import write_dataset
from poolmap.families import door
from poolmap.files import whole_folder
from poolmap.logs import job

with job(snakemake.log[0], f"{snakemake.wildcards.analysis}, input") as log:
    spec = parse_analysis(snakemake.params.spec)
    data = door(spec.family, "ingest")(spec)
    log.info("%s; %d rows left out", {k: len(v) for k, v in data.tables.items()}, len(data.exclusions))
    for doubt in data.facts.get("doubts", ()):
        log.warning("Look at this: %s", doubt)
    with whole_folder(snakemake.output.data) as folder:
        write_dataset(data, spec.input_files(), folder)
