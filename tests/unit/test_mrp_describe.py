"""What the report says of the data, on analyses of every sort."""

import pytest

from poolmap.contracts import ReportTable
from poolmap.families.mrp.describe import describe
from poolmap.families.mrp.ingest import ingest
from tests.unit.mrp_files import CENSUS, SURVEY, refused, spec_of


def said(spec):
    """The paragraphs, and the tables by their first words."""
    blocks = describe(spec, ingest(spec))
    text = "\n".join(block for block in blocks if isinstance(block, str))
    return text, {block.caption.split()[0]: block.frame for block in blocks if isinstance(block, ReportTable)}


def test_a_plain_analysis(tmp_path):
    text, tables = said(spec_of(tmp_path, SURVEY + "no,A,,f,1\n,A,30+,f,1\n", weight="w"))
    assert "gives 6 usable rows in 6 cells. The census" in text
    assert "counts a population of 2,100 in 12 cells" in text
    assert "Answers to 'vote': yes: 3, no: 3; 'yes' counts as yes" in text
    assert "2 rows of the survey could not be used (" in text
    assert "no 'age': 1" in text
    table = tables["The"].set_index(["Variable", "Level"])
    assert table.loc[("state", "B")].tolist() == ["3", "50.0%", "40.0%", "34.3%", ""]
    assert table.loc[("state", "C"), "Remark"] == "nobody in the survey"
    assert tables["Levels"]["Population in the others"].tolist() == ["1,060", "0", "0"]


def test_many_levels_are_summed_up(tmp_path):
    states = [f"s{i:02d}" for i in range(40)]
    census = "\n".join(["state,n", *(f"{s},10" for s in [*states, "S00"])])
    survey = "\n".join(
        ["vote,state", *(f"{'yes' if i % 2 else 'no'},{s}" for i, s in enumerate(states[:30]))]
    )
    _, tables = said(spec_of(tmp_path, survey, census, formula="vote ~ 1 + (1 | state)"))
    (row,) = tables["The"].to_dict("records")
    assert row["Level"] == "41 levels, 30 in the survey"
    assert row["Remark"].startswith("26.8% of the population in 11 levels without respondents")
    assert "spelt nearly alike: S00, s00" in row["Remark"]


def test_recoding_bands_missing_levels_and_excluded_census_rows(tmp_path):
    census = "state,years,sex,n\nA,20,f,10\nA,40,m,10\nB,30,f,10\nB,15,m,10\n"
    survey = "vote,state,years,sex\nyes,A,20,f\nno,B,35,m\nno,B,16,m\nyes,B,30,NA\n"
    text, tables = said(
        spec_of(
            tmp_path,
            survey,
            census,
            bands={"age": {"column": "years", "lower": [18, 30]}},
            recode={"sex": {"f": "female", "m": "male"}},
            missing={"sex": "level"},
        )
    )
    assert "Levels recoded, in every table alike: sex (f to female, m to male)." in text
    assert "'age' from 'years' (18-29, 30+)" in text
    assert (
        "1 row of the survey could not be used ('years' is below the first band of 'age', 18-29: 1)" in text
    )
    assert "1 row of the census could not be used ('years' is below" in text
    assert "The combinations: B / 30+ / male (1 respondent); B / 30+ / missing (1 respondent)." in text
    table = tables["The"].set_index(["Variable", "Level"])
    assert table.loc[("sex", "missing"), "Remark"] == "no answer; nobody in the census"


def test_margins_and_extensions(tmp_path):
    files = {
        "age.csv": "age,n\n18-29,60\n30+,40\n",
        "state.csv": "state,n\nA,30\nB,70\n",
        "sex.csv": "sex,n\nf,1\nm,2\n",
    }
    listed = [{"data": str(tmp_path / name), "count": "n"} for name in ("age.csv", "state.csv")]
    known = {"variable": "sex", "known": str(tmp_path / "sex.csv"), "count": "n"}
    text, _ = said(spec_of(tmp_path, census=None, margins=listed, extend=[known], files=files))
    assert "The census is known by its margins; raked, they give a population of 100 in 4 cells." in text
    assert "agree with the margins age, state, of 100 people each, by raking" in text
    assert "It converged after 1 round" in text
    assert "The census lacks 'sex'. Each of its cells was divided into 2 levels by a multinomial" in text
    assert "raked to those of" in text
    assert "its uncertainty is not carried into the intervals" in text


def test_houses_and_times(tmp_path):
    survey = "\n".join(
        f"{line},{'wave' if i == 0 else i % 2},{'mode' if i == 0 else 'pw'[i % 2]}"
        for i, line in enumerate(SURVEY.splitlines())
    )
    formula = "vote ~ 1 + (1 | state) + (1 | wave) + (1 | mode)"
    text, tables = said(spec_of(tmp_path, survey, formula=formula, time="wave", house=["mode"]))
    assert "How the survey was taken (mode) is not in the census." in text
    assert "taken to hold for each of the 2 levels of 'wave'" in text
    remarks = tables["The"].set_index(["Variable", "Level"])["Remark"]
    assert remarks["mode", "p"] == "the census lacks the variable"


@pytest.mark.parametrize(
    ("values", "outcome", "words"),
    [
        (
            "1.5 2 3 4.5 5 8",
            {"kind": "continuous"},
            "'vote' runs from 1.5 to 8, mean 4, standard deviation 2.39.",
        ),
        ("0 2 3 4 5 10", {"kind": "count"}, "'vote' runs from 0 to 10, mean 4."),
        (
            "0 2 3 4 5 1",
            {"kind": "count", "exposure": "w"},
            "15 in all, over a time at risk ('w') of 7.5, are 2 per",
        ),
        (
            "a b c a b a",
            {"kind": "ordered", "levels": ["c", "a", "b"]},
            "'vote', in order: c: 1, a: 3, b: 2.",
        ),
        ("a b c a b a", {"kind": "categorical"}, "the model compares the others with 'a'."),
    ],
)
def test_outcomes(tmp_path, values, outcome, words):
    lines = SURVEY.splitlines()
    survey = "\n".join(
        [
            lines[0],
            *(value + line[line.index(",") :] for value, line in zip(values.split(), lines[1:], strict=True)),
        ]
    )
    text, _ = said(spec_of(tmp_path, survey, outcome={"column": "vote", **outcome}))
    assert words in text


def test_several_surveys_persons_and_factors(tmp_path):
    census = "\n".join(line.rpartition(",")[0] for line in CENSUS.splitlines())
    surveys = {"first": str(tmp_path / "survey.csv"), "second": str(tmp_path / "second.csv")}
    text, tables = said(
        spec_of(
            tmp_path,
            census=census,
            count=None,
            microdata=True,
            surveys=surveys,
            files={"second.csv": SURVEY},
            formula="vote ~ sex + (1 | state)",
        )
    )
    assert "2 surveys, pooled, give 12 usable rows" in text
    assert "has a row for each of 12 members of the population, in" in text
    assert tables["Predictors,"]["Where from"].tolist() == ["factor: f, m; compared with f"]


def test_predictors_of_areas(tmp_path):
    source = {"data": str(tmp_path / "a.csv"), "area": "state", "columns": ["x"]}
    files = {"a.csv": "state,x\nA,1\nB,2\nC,3\n"}
    _, tables = said(
        spec_of(tmp_path, area_predictors=[source], files=files, formula="vote ~ x + (1 | state)")
    )
    assert tables["Predictors,"]["Where from"].tolist() == [f"joined by 'state' from {source['data']}"]


def test_polygons(tmp_path):
    """All for a map; those of the census where neighbours are needed, by their column and layer."""
    import geopandas
    from shapely.geometry import box

    from poolmap.graph.adjacency import build_graph
    from poolmap.graph.geometry import Geometry

    squares = [box(i, 0, i + 1, 1) for i in range(4)]
    path = tmp_path / "map.gpkg"
    frame = geopandas.GeoDataFrame({"name": ["B", "A", "C", "D"]}, geometry=squares, crs="EPSG:4326")
    frame.to_file(path, layer="areas")
    drawn = {"geometry": str(path), "variable": "state", "column": "name", "layer": "areas"}
    plain = spec_of(tmp_path, map=drawn)
    assert not plain.has_graph
    assert ingest(plain).geometry["area"].tolist() == ["B", "A", "C", "D"]
    spec = spec_of(tmp_path, map=drawn, models={"main": {"structure": {"state": "bym2"}}})
    data = ingest(spec)
    assert spec.has_graph
    assert data.geometry["area"].tolist() == ["B", "A", "C"]
    assert data.facts["polygons_left_out"] == ["D"]
    assert "the census lacks were left out of the map: D." in said(spec)[0]
    geometry = Geometry(
        data.geometry, path=spec.geometry, area_column=spec.geometry_area, layer=spec.geometry_layer
    )
    graph = build_graph(geometry, spec.graph)
    assert graph.areas == ("B", "A", "C")
    frame.assign(name=["B", "A", "ç", "D"]).to_file(path, layer="areas")
    (found,) = refused(spec)
    assert "there is no polygon for state 'C' of the census\n    -> did you mean 'ç'?" in found
