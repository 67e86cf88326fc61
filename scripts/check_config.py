"""Check a config before Snakemake reads it: `make run` says in our own words what is wrong with the file.

With `--tables` (`make dry-run`) the input files are read too, and graphs of areas built.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poolmap.config import load_config
from poolmap.config.places import places
from poolmap.errors import InputError
from poolmap.families import door, look
from poolmap.graph.adjacency import analysis_graph

path, *options = sys.argv[1:]
try:
    config = load_config(path, look=look)
    problems = []
    placed = places(path)
    for name, spec in config.analyses.items() if "--tables" in options else ():
        try:
            data = door(spec.family, "ingest")(spec)
            for doubt in data.facts.get("doubts", ()):
                print(f"{name}, look at this: {doubt}")
            if spec.has_graph:
                analysis_graph(spec, data.geometry)
        except InputError as error:
            problems += [replace(problem, where=placed(problem.where, name)) for problem in error.problems]
    if problems:
        raise InputError(problems)
except InputError as error:
    sys.exit(f"poolmap cannot run {path}.\n{error}")
