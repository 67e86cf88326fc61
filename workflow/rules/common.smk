"""What the rules share: the inputs and parameters of a step, worked out from the config."""

from poolmap.config import derive_seed
from poolmap.families import DOORS, has_door
from poolmap.sources import source_files
from poolmap.stan.compile import included_files


def spec_of(step):
    """The part of an analysis's config that a step reads; a change in it reruns the step."""
    return lambda wildcards: ANALYSES[wildcards.analysis].view(step, wildcards.get("model"))


def library(*modules, doors=()):
    """The library files that a step uses: modules, and doors of the analysis's family that it has."""

    def files(wildcards):
        family = ANALYSES[wildcards.analysis].family
        own = {DOORS[name] for name in doors if has_door(family, name)}
        return source_files(*modules, *(f"poolmap.families.{family}.{module}" for module in own))

    return files


def toolchain_identity(wildcards):
    """Which Stan is used: another one recompiles."""
    return find_toolchain().identity


def included(wildcards):
    return [str(f) for f in included_files(Path(f"stan/{wildcards.program}.stan"), [Path("stan")])]


def graph_of(wildcards):
    """The graph's folder, for analyses that have one."""
    return ["results/{analysis}/graph"] if ANALYSES[wildcards.analysis].has_graph else []


def calibration_of(wildcards):
    """The data sets simulated from a fit, where the config asks for them."""
    wanted = ANALYSES[wildcards.analysis].is_calibrated(wildcards.model)
    return ["results/{analysis}/{model}/calibration"] if wanted else []


def resting_on(job):
    """What a job makes worthless when it begins: its log, and the pages that rest on its results."""
    if job.rule.name in ("index", "verdict"):
        pages = job.output
    elif "analysis" in job.wildcards_dict:
        page = f"results/{job.wildcards_dict['analysis']}/report.html"
        pages = [page, "results/report.html", "results/.index.complete", "results/verdict.txt"]
    else:
        pages = []
    return [*job.log, *pages]


def program_of(wildcards):
    spec = ANALYSES[wildcards.analysis]
    library = ".nutpie" if spec.sampling.sampler == "nutpie" else ""
    return f"results/stan/{spec.program(wildcards.model)}{library}.json"


def fit_seed(wildcards):
    spec = ANALYSES[wildcards.analysis]
    return derive_seed(spec.seed, "fit", wildcards.analysis, wildcards.model)


def of_models(path):
    """A path of each model of the analysis, the primary model first."""
    return lambda w: [
        path.format(analysis=w.analysis, model=m) for m in ANALYSES[w.analysis].models
    ]


def of_fits(path):
    """A path of each fit of the run."""
    return [path.format(analysis=a, model=m) for a, spec in ANALYSES.items() for m in spec.models]
