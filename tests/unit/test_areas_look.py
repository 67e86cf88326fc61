"""Ids of areas in the config that the table does not have: told before anything is run."""

import pytest

from poolmap.config.areas import AreasAnalysis
from poolmap.families.areas.look import look


def _spec(tmp_path, table="id,cases,pop\nD1,2,100\nD2,3,100\nD3,1,90\n", **keys):
    (tmp_path / "counts.csv").write_text(table)
    section = {
        "family": "areas",
        "data": str(tmp_path / "counts.csv"),
        "geometry": "map.gpkg",
        "area": "id",
        "outcome": {"cases": "cases", "population": "pop"},
    }
    return AreasAnalysis.model_validate(section | keys)


@pytest.mark.parametrize(
    ("at", "keys"),
    [
        ("contrasts", {"contrasts": [["D1", "D33"]]}),
        ("graph.join", {"graph": {"join": [["D33", "D1"], ["D2", "D33"]]}}),
        ("graph.cut", {"graph": {"cut": [["D33", "D1"]]}}),
    ],
)
def test_unknown_areas_are_told_once_with_the_valid_ones(tmp_path, at, keys):
    spec = _spec(tmp_path, **keys)
    (found,) = look(spec, files=True)
    assert (found.at, found.what) == (at, "'D33' is not an area of the map")
    assert found.remedy == "valid names: D1, D2, D3"
    assert look(spec, files=False) == []


def test_known_areas_and_tables_with_mistakes_of_their_own_are_passed_over(tmp_path):
    keys = {"contrasts": [["D1", "D3"]], "graph": {"join": [["D1", "D2"]]}}
    assert look(_spec(tmp_path, **keys), files=True) == []
    keys = {"contrasts": [["D1", "D33"]]}
    assert look(_spec(tmp_path, "code,cases,pop\nD1,2,100\n", **keys), files=True) == []
    assert look(_spec(tmp_path, "id,id\nD1,2\n", **keys), files=True) == []
