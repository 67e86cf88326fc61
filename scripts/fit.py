"""Stan data, sampling and checks of one model."""

from pathlib import Path

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset
from poolmap.families import door
from poolmap.files import whole_file, write_json
from poolmap.inference.fit import fit
from poolmap.inference.posterior import write_posterior
from poolmap.logs import job
from poolmap.stan.compile import compile_program
from poolmap.stan.toolchain import find_toolchain

wildcards, output = snakemake.wildcards, snakemake.output
with job(
    snakemake.log[0], f"{wildcards.analysis} / {wildcards.model}, fit", withdraw=snakemake.params.withdraw
):
    spec = parse_analysis(snakemake.params.spec)
    data = read_dataset(snakemake.input.data, graph=next(iter(snakemake.input.graph), None))
    stan_data = door(spec.family, "stan_data")(spec, wildcards.model, data)
    estimate = door(spec.family, "estimate")
    # already in the cache, unless the cache was emptied since
    program = compile_program(
        Path(f"stan/{spec.program(wildcards.model)}.stan"), include_paths=[Path("stan")]
    )
    made_with = {"program": program.as_dict(), "toolchain": find_toolchain().as_dict()}
    result = fit(
        program.executable,
        stan_data,
        lambda draws, rng: estimate(spec, wildcards.model, data, draws, rng),
        spec.sampling,
        seed=snakemake.params.seed,
        cores=snakemake.threads,
    )
    write_json(output.stan_data, stan_data.data)
    with whole_file(output.posterior) as part:
        write_posterior(result.draws, part)
    write_json(output.checks, result.verdict | made_with)
