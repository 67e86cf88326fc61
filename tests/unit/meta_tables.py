"""Study tables for tests: written, read, and what a user is told of them."""

from __future__ import annotations

import pytest

from poolmap.config.load import parse_analysis
from poolmap.errors import InputError
from poolmap.families.meta.ingest import ingest

COUNTS = {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"}


GOOD = "A,1,10,2,10\nB,3,20,5,21\n"


def make(tmp_path, rows, *, measure="RR", header="trial,e1,n1,e2,n2", columns=None, study="trial", **more):
    path = tmp_path / "trials.csv"
    path.write_text(f"{header}\n{rows}")
    columns = columns or (COUNTS if measure != "GEN" else {"estimate": "y", "se": "s"})
    view = {"family": "meta", "data": str(path), "study": study, "measure": measure, "columns": columns}
    prior = {"mu_prior": {"normal": [0, 1]}, "tau_prior": {"half_normal": 1}}
    return parse_analysis({**view, "models": {"normal": prior}, **more})


def refused(spec):
    with pytest.raises(InputError) as error:
        ingest(spec)
    return [str(problem) for problem in error.value.problems]


def columns(*names):
    return {name: name for name in names}


def ingested(tmp_path, measure, names, rows, **more):
    header = ",".join(["trial", *names])
    return ingest(make(tmp_path, rows, measure=measure, header=header, columns=columns(*names), **more))


GEN = ("estimate", "lower", "upper")


LONG = {"events": "x", "total": "n", "arm": "group"}


def long(tmp_path, rows, **more):
    options = {
        "layout": "long",
        "reference": "placebo",
        "columns": LONG,
        "header": "trial,group,x,n,dose,year",
    }
    return make(tmp_path, rows, **(options | more))


EFFECTS = {"estimate": "y", "se": "s"}
CORRELATED = {"columns": {**EFFECTS, "correlation": "r"}}


def gen(tmp_path, header, rows, **more):
    """Estimates; further columns named in `header`."""
    return make(tmp_path, rows, measure="GEN", header=f"trial,y,s,{header}", **more)


def placed(tmp_path, problem, place, *words):
    """The message names the file and the place in it, and says all of these words."""
    assert problem.startswith(f"{tmp_path / 'trials.csv'}, {place}"), problem
    for part in words:
        assert part in problem, f"no {part!r} in: {problem}"


def several(tmp_path, rows, header="outcome,r,year", **more):
    return gen(tmp_path, header, rows, effect_id="outcome", **more)
