"""A small survey and census on disk, to be changed by the tests of the ingestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolmap.config.mrp import MrpAnalysis
from poolmap.errors import InputError
from poolmap.families.mrp.ingest import ingest

CENSUS = """state,age,sex,n
A,18-29,f,100
A,18-29,m,110
A,30+,f,50
A,30+,m,60
B,18-29,f,200
B,18-29,m,210
B,30+,f,150
B,30+,m,160
C,18-29,f,500
C,18-29,m,510
C,30+,f,20
C,30+,m,30
"""
SURVEY = """vote,state,age,sex,w
yes,A,18-29,f,1.5
no,A,18-29,m,2
yes,B,30+,f,1
no,B,18-29,f,1
yes,B,18-29,m,1
no,A,30+,m,1
"""


def spec_of(folder: Path, survey: str = SURVEY, census: str | None = CENSUS, **changes) -> MrpAnalysis:
    """An analysis of the two tables, written to the folder; further tables by `files`: {name: text}."""
    (folder / "survey.csv").write_text(survey, encoding="utf-8")
    content = {
        "family": "mrp",
        "survey": changes.pop("surveys", str(folder / "survey.csv")),
        "outcome": {"column": "vote", "positive": "yes"},
        "formula": "vote ~ 1 + (1 | state) + (1 | age) + (1 | sex)",
        "estimates": ["state"],
        "interval": 0.95,
    }
    if census is not None:
        (folder / "census.csv").write_text(census, encoding="utf-8")
        content |= {"census": str(folder / "census.csv"), "count": "n"}
    for name, text in changes.pop("files", {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    return MrpAnalysis(**{key: value for key, value in (content | changes).items() if value is not None})


def refused(spec: MrpAnalysis) -> list[str]:
    """Everything that is wrong, without the folder."""
    with pytest.raises(InputError) as caught:
        ingest(spec)
    folder = str(Path(spec.surveys[next(iter(spec.surveys))]).parent) + "/"
    return [str(problem).replace(folder, "") for problem in caught.value.problems]
