"""Check a config before Snakemake reads it: `make run` says in our own words what is wrong with the file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poolmap.config import load_config
from poolmap.errors import InputError
from poolmap.families import look

try:
    load_config(sys.argv[1], look=look)
except InputError as error:
    sys.exit(f"poolmap cannot run {sys.argv[1]}.\n{error}")
