"""Effective samples a second in alternating runs, poolmap against others. Usage: compare.py PYTHON PART...

PYTHON is that of the environment with PyMC; the parts are `meta`, `areas` and `mrp` (all by
default), and `areas:N` for maps of N areas only. Ends with an error where two posteriors do not agree.
"""

import sys

import areas
import meta
import mrp

PARTS = {"meta": meta.main, "areas": areas.main, "mrp": mrp.main}


def main(python: str, *parts: str) -> int:
    """Run the parts; 1 where the posteriors of one differ."""
    differ = 0
    for part in parts or PARTS:
        name, _, size = part.partition(":")
        differ |= PARTS[name](python, *filter(None, [size]))
    return differ


if __name__ == "__main__":
    if not {part.partition(":")[0] for part in sys.argv[2:]} <= PARTS.keys():
        sys.exit(f"The parts of the benchmark are {', '.join(PARTS)}.")
    sys.exit(main(*sys.argv[1:]))
