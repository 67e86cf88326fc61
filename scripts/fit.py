"""Stan data, sampling and checks of one model; refits where leave-one-out needs them."""

from pathlib import Path

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset
from poolmap.families import door, has_door
from poolmap.files import whole_file, write_json
from poolmap.inference.fit import fit
from poolmap.inference.left_out import refit_left_out
from poolmap.inference.posterior import write_posterior
from poolmap.logs import job
from poolmap.stan.compile import compile_program
from poolmap.stan.toolchain import find_toolchain

output, params, model = snakemake.output, snakemake.params, snakemake.wildcards.model
with job(snakemake.log[0], f"{snakemake.wildcards.analysis} / {model}, fit"):
    spec = parse_analysis(params.spec)
    data = read_dataset(snakemake.input.data, graph=next(iter(snakemake.input.graph), None))
    given = (spec, model, data)
    stan_data, estimate = door(spec.family, "stan_data")(*given), door(spec.family, "estimate")
    source, library = Path(f"stan/{spec.program(model)}.stan"), spec.sampling.sampler == "nutpie"
    program = compile_program(source, include_paths=[Path("stan")], library=library)
    made_with = {"program": program.as_dict(), "toolchain": find_toolchain().as_dict()}
    how = {"seed": params.seed, "cores": snakemake.threads}
    result = fit(program.executable, stan_data, lambda d, rng: estimate(*given, d, rng), spec.sampling, **how)
    densities = refit_left_out(
        program.executable,
        result,
        lambda d, rng: door(spec.family, "predictive")(*given, d, rng),
        door(spec.family, "left_out")(*given) if has_door(spec.family, "left_out") else None,
        **how,
    )
    write_json(output.left_out, densities)
    write_json(output.stan_data, stan_data.data)
    with whole_file(output.posterior) as part:
        write_posterior(result.draws, part)
    write_json(output.checks, result.verdict | made_with)
