"""Surveys simulated from a fitted model and fitted again: the expected error of each group's estimate."""

from pathlib import Path

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset
from poolmap.estimates import write_companion
from poolmap.families import door
from poolmap.files import whole_folder
from poolmap.inference.posterior import read_posterior
from poolmap.logs import job
from poolmap.stan.compile import compile_program

wildcards, params = snakemake.wildcards, snakemake.params
with job(snakemake.log[0], f"{wildcards.analysis} / {wildcards.model}, calibration"):
    spec = parse_analysis(params.spec)
    data = read_dataset(
        snakemake.input.data, graph=next(iter(snakemake.input.graph), None), geometry=spec.has_graph
    )
    program = compile_program(
        Path(f"stan/{spec.program(wildcards.model)}.stan"), include_paths=[Path("stan")]
    )
    found = door(spec.family, "calibrate")(
        spec,
        wildcards.model,
        data,
        read_posterior(snakemake.input.posterior),
        program.executable,
        seed=params.seed,
        cores=snakemake.threads,
    )
    with whole_folder(snakemake.output.calibration) as folder:
        write_companion(found, folder)
