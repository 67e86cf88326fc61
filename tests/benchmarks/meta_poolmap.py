"""One fit of the BCG trials by poolmap's Stan program, timed; prints JSON. Usage: meta_poolmap.py SEED"""

import json
import sys
import time

from measure import ROOT, cpu, import_poolmap, settings

import_poolmap()

from poolmap.config.base import Sampling  # noqa: E402
from poolmap.config.load import parse_analysis  # noqa: E402
from poolmap.config.yaml_file import read_yaml  # noqa: E402
from poolmap.families.meta.ingest import ingest  # noqa: E402
from poolmap.families.meta.model import stan_data  # noqa: E402
from poolmap.inference.summary import import_arviz  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

SETTINGS = settings("meta")

bcg = read_yaml(ROOT / "config/config.yaml")[0]["analyses"]["bcg"]
priors = {name: SETTINGS[name] for name in ("mu_prior", "tau_prior")}
spec = parse_analysis({**bcg, "data": str(ROOT / bcg["data"]), "models": {"normal": priors}})
data = ingest(spec)
given = stan_data(spec, "normal", data)
start = time.perf_counter()
program = compile_program(ROOT / "stan/meta/normal.stan", include_paths=[ROOT / "stan"])
compile_seconds = time.perf_counter() - start
sampling = Sampling(
    chains=SETTINGS["chains"], warmup=SETTINGS["warmup"], draws=SETTINGS["draws"], adapt_delta=0.9
)
az = import_arviz()
import cmdstanpy  # noqa: E402, F401  its import is not sampling

cpu_before, start = cpu(), time.perf_counter()
draws = sample(
    program.executable,
    given.data,
    given.parameters,
    sampling,
    seed=int(sys.argv[1]),
    cores=SETTINGS["cores"],
)
wall, cpu_seconds = time.perf_counter() - start, cpu() - cpu_before
found = {"mu": draws.posterior["beta"].values[:, :, 0], "tau": draws.posterior["tau"].values[:, :, 0]}
print(
    json.dumps(
        {
            "compile": compile_seconds,
            "wall": wall,
            "cpu": cpu_seconds,
            "chains": sum(sum(chain.values()) for chain in draws.seconds),
            "ess": {name: float(az.ess(x, method="bulk")) for name, x in found.items()},
            "mean": {name: float(x.mean()) for name, x in found.items()},
            "mcse": {name: float(az.mcse(x, method="mean")) for name, x in found.items()},
            "yi": data.tables["studies"]["yi"].tolist(),
            "se": data.tables["studies"]["se"].tolist(),
        }
    )
)
