"""Find or build the Stan toolchain; with four or more programs to compile, precompile the header."""

import os
from pathlib import Path

from poolmap.files import write_json
from poolmap.logs import job
from poolmap.stan.compile import is_compiled
from poolmap.stan.toolchain import prepare_toolchain

HEADER_PAYS_FROM = 4

with job(snakemake.log[0], "Stan toolchain") as log:
    # not a parameter of the rule: another set of programs is no reason to compile any of them anew
    programs = [Path(f"stan/{name}.stan") for name in os.environ["POOLMAP_PROGRAMS"].split()]
    missing = [p for p in programs if not is_compiled(p, include_paths=[Path("stan")])]
    log.info("%d of %d programs are to be compiled", len(missing), len(programs))
    toolchain = prepare_toolchain(precompiled_header=len(missing) >= HEADER_PAYS_FROM)
    write_json(snakemake.output[0], toolchain.as_dict())
