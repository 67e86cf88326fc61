"""poolmap: the front door. Reads the config, lists the targets, includes the rules."""

import sys
import time
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, str(workflow.basedir))

from poolmap.config import load_config
from poolmap.config.places import places
from poolmap.errors import PoolmapError
from poolmap.families import look
from poolmap.report.unfinished import close, withdraw
from poolmap.stan.toolchain import find_toolchain
from poolmap.terminal import not_to_be_used, watch
from poolmap.workspace import lead, memory_mb, prepare_scripts

STARTED = time.monotonic()
CONFIG_FILE = str((list(workflow.overwrite_configfiles) or ["config/config.yaml"])[-1])
MAIN = workflow.is_main_process
SHOWN = workflow.output_settings
WATCH = watch(logger, terse=not (SHOWN.dryrun or SHOWN.verbose)) if MAIN else None

try:
    # Jobs read the config again, but only the first reading looks into the input files.
    CONFIG = load_config(
        CONFIG_FILE,
        overrides=dict(workflow.config_settings.config),
        check_files=MAIN,
        look=look,
    )
    ANALYSES = CONFIG.analyses
    PROGRAMS = sorted({spec.program(m) for spec in ANALYSES.values() for m in spec.models})
    by_stan = [spec for spec in ANALYSES.values() if spec.sampling.sampler == "stan"]
    prepare_scripts(
        workflow.basedir, sorted({spec.program(m) for spec in by_stan for m in spec.models})
    )
    if MAIN:
        find_toolchain()  # a missing compiler is told now, not after an hour
except PoolmapError as error:
    logger.error(f"poolmap cannot run {CONFIG_FILE}.\n{error}")
    sys.exit(1)

if MAIN and "mem_mb" not in workflow.global_resources:
    workflow.register_resource("mem_mb", memory_mb())


wildcard_constraints:
    analysis="|".join(ANALYSES),
    model="[a-z][a-z0-9_]*",
    program="|".join(PROGRAMS),
    library=r"(\.nutpie)?",


rule all:
    default_target: True
    input:
        "results/report.html",
        # an index of what is finished, which a broken run leaves, is no reason to stop
        "results/.index.complete",
        "results/verdict.txt",


include: "workflow/rules/common.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/stan.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/report.smk"


onstart:
    try:
        lead("results")
    except PoolmapError as error:
        logger.error(str(error))
        sys.exit(1)
    if not workflow.touch:
        withdraw(path for job in workflow.dag.needrun_jobs() for path in resting_on(job))


onsuccess:
    for said in not_to_be_used(
        Path("results"), {name: spec.models for name, spec in ANALYSES.items()}
    ):
        logger.warning(said)
    logger.info(
        f"\nDone in {time.monotonic() - STARTED:.0f} s. Open the report: {Path('results/report.html').resolve()}"
    )


onerror:
    failures = [failure.at(places(CONFIG_FILE)) for failure in WATCH.failures]
    logger.error(close(Path("results"), CONFIG, failures))
