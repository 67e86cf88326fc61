"""Compile one Stan program, or find it compiled in the user's cache."""

from pathlib import Path

from poolmap.files import write_json
from poolmap.logs import job
from poolmap.stan.compile import compile_program

with job(snakemake.log[0], f"compiling {snakemake.wildcards.program}"):
    library = bool(snakemake.wildcards.library)
    compiled = compile_program(Path(snakemake.input.program), include_paths=[Path("stan")], library=library)
    write_json(snakemake.output[0], compiled.as_dict())
